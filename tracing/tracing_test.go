package tracing

import (
	"context"
	"testing"

	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

func TestStartPutsSpansIntoTheTraceOfTheOrder(t *testing.T) {
	const order, header = "018f2c5e-0000-7000-8000-00000000c0de", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	ended := tracetest.NewInMemoryExporter()
	tracer := New(ended, "v1", "a")
	ctx, first := tracer.Start(t.Context(), order, "first", Sends)
	_, below := tracer.Start(From(t.Context(), Header(ctx)), order, "below", Receives)
	_, elsewhere := tracer.Start(From(t.Context(), header), order, "caused elsewhere", Sends)
	_, odd := tracer.Start(t.Context(), "order-7", "an id that is no UUID", Sends)
	for _, s := range []interface{ IsRecording() bool }{first, below, elsewhere, odd} {
		if !s.IsRecording() {
			t.Error("a span is not recorded")
		}
	}
	if got := first.SpanContext().TraceID().String(); got != "018f2c5e00007000800000000000c0de" {
		t.Errorf("the trace of the order %s is %s", order, got)
	}
	if below.SpanContext().TraceID() != first.SpanContext().TraceID() || below.(trace.ReadOnlySpan).Parent().SpanID() != first.SpanContext().SpanID() {
		t.Error("the span in the header is not the parent")
	}
	if s := elsewhere.(trace.ReadOnlySpan); s.SpanContext().TraceID() != first.SpanContext().TraceID() || s.Parent().IsValid() ||
		len(s.Links()) != 1 || s.Links()[0].SpanContext.TraceID().String() != header[3:35] {
		t.Errorf("a span that another trace caused is in the trace %s with the links %v", s.SpanContext().TraceID(), s.Links())
	}
	if !odd.SpanContext().IsValid() || odd.SpanContext().TraceID() == first.SpanContext().TraceID() {
		t.Errorf("the trace of an id that is no UUID is %s", odd.SpanContext().TraceID())
	}
	first.End()
	if err := tracer.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestNilTracerDoesNothing(t *testing.T) {
	var tracer *Tracer
	ctx, span := tracer.Start(t.Context(), "o1", "nothing", Sends)
	span.End()
	if Header(ctx) != "" {
		t.Errorf("without tracing the header is %q", Header(ctx))
	}
	for _, bad := range []string{"", "00-0-0-00", "rubbish"} {
		if ctx := From(context.Background(), bad); ctx != context.Background() {
			t.Errorf("the invalid header %q was accepted", bad)
		}
	}
}
