// Package tracing shows an order's whole life in one trace: the trace's id
// follows from the order's, so that every request, stage and screen finds it
// without being told, and so does who looks for it. What caused what travels in
// the header of messages, as W3C has it.
//
// It never knows what a stage does. A nil Tracer does nothing: tracing is off
// unless somebody says where the traces go.
package tracing

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"time"

	"github.com/ecupcakes/ecupcakes/codecs"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
	api "go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// Tracer makes spans of orders.
type Tracer struct {
	provider *trace.TracerProvider
	tracer   api.Tracer
}

// Exporter is where traces go.
type Exporter = trace.SpanExporter

// OTLP sends traces to the URL of an OpenTelemetry collector, such as
// http://127.0.0.1:4318/v1/traces. It connects when it first sends, and what it
// cannot send is lost.
func OTLP(ctx context.Context, url string) (Exporter, error) {
	e, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(url))
	if err != nil {
		return nil, fmt.Errorf("sending traces to %s: %w", url, err)
	}
	return e, nil
}

// LogTo has what fails on the way of traces logged: OpenTelemetry has one place
// for that in the whole program.
func LogTo(log *slog.Logger) {
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("traces are lost", "error", err) }))
}

// maxWaiting bounds the spans that wait to be exported; more are dropped.
const maxWaiting = 2048

// New returns a tracer; it must be closed.
func New(e Exporter, version, instance string) *Tracer {
	p := trace.NewTracerProvider(
		trace.WithBatcher(e, trace.WithBatchTimeout(time.Second), trace.WithMaxQueueSize(maxWaiting)),
		trace.WithIDGenerator(ids{}),
		trace.WithResource(resource.NewSchemaless(
			attribute.String("service.name", "ecupcakes"), attribute.String("service.version", version), attribute.String("service.instance.id", instance))),
	)
	return &Tracer{p, p.Tracer("ecupcakes")}
}

// Close exports what has ended until ctx does.
func (t *Tracer) Close(ctx context.Context) error {
	if err := t.provider.Shutdown(ctx); err != nil {
		return fmt.Errorf("exporting the last traces: %w", err)
	}
	return nil
}

// The kinds of spans.
const (
	Sends    = api.SpanKindProducer
	Receives = api.SpanKindConsumer
)

// Failed is the status of a span of what has failed.
const Failed = codes.Error

// Start begins a span in the order's trace, below the span in ctx if that is of
// the same trace, and with a link to it if it is of another one.
func (t *Tracer) Start(ctx context.Context, orderID, name string, kind api.SpanKind, attributes ...attribute.KeyValue) (context.Context, api.Span) {
	if t == nil {
		return ctx, noop.Span{}
	}
	id := traceOf(orderID)
	options := []api.SpanStartOption{api.WithSpanKind(kind), api.WithAttributes(append(attributes, attribute.String("order.id", orderID))...)}
	if cause := api.SpanContextFromContext(ctx); cause.TraceID() != id {
		options = append(options, api.WithNewRoot())
		if cause.IsValid() {
			options = append(options, api.WithLinks(api.Link{SpanContext: cause}))
		}
		ctx = context.WithValue(ctx, root{}, id)
	}
	return t.tracer.Start(ctx, name, options...)
}

// Place says which message a span is about.
func Place(topic string, partition int32, offset int64) []attribute.KeyValue {
	return []attribute.KeyValue{
		attribute.String("messaging.system", "kafka"), attribute.String("messaging.destination.name", topic),
		attribute.Int("messaging.destination.partition.id", int(partition)), attribute.Int64("messaging.kafka.offset", offset),
	}
}

// Verdict says what came of it.
func Verdict(v string) attribute.KeyValue { return attribute.String("verdict", v) }

// traceOf is the id of an order's trace: the order's own, as far as it is a
// UUID.
func traceOf(orderID string) api.TraceID {
	if u, err := uuid.Parse(orderID); err == nil {
		return api.TraceID(u)
	}
	h := sha256.Sum256([]byte(orderID))
	return api.TraceID(h[:16])
}

// root is the key, in a context, of the id that a trace gets which begins.
type root struct{}

type ids struct{}

func (ids) NewIDs(ctx context.Context) (api.TraceID, api.SpanID) {
	id, _ := ctx.Value(root{}).(api.TraceID)
	return id, ids{}.NewSpanID(ctx, id)
}

func (ids) NewSpanID(context.Context, api.TraceID) (id api.SpanID) {
	_, _ = rand.Read(id[:]) // It never fails.
	return id
}

// From is ctx with the span of a message's or a request's header, if it is
// valid.
func From(ctx context.Context, header string) context.Context {
	if codecs.Trace([]byte(header)) == "" {
		return ctx
	}
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{codecs.TraceHeader: header})
}

// Header is what tells of the span in ctx; empty when there is none of ours.
func Header(ctx context.Context) string {
	if !api.SpanFromContext(ctx).IsRecording() {
		return ""
	}
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier[codecs.TraceHeader]
}
