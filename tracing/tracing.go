// Package tracing puts all spans of an order into one trace. The trace ID derives from the order's
// ID, so every request, stage and screen computes it, and so can a person who looks for the trace.
// Parent spans are propagated in the W3C traceparent header of records and requests.
//
// A nil Tracer does nothing: tracing is off unless an exporter is configured.
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

// Tracer starts spans of orders.
type Tracer struct {
	provider *trace.TracerProvider
	tracer   api.Tracer
}

// Exporter is a destination of traces.
type Exporter = trace.SpanExporter

// OTLP returns an exporter to the URL of an OpenTelemetry collector, such as
// http://127.0.0.1:4318/v1/traces. The exporter connects when it first sends, and drops spans that
// it cannot send.
func OTLP(ctx context.Context, url string) (Exporter, error) {
	e, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(url))
	if err != nil {
		return nil, fmt.Errorf("sending traces to %s: %w", url, err)
	}
	return e, nil
}

// LogTo logs failures to export traces. It sets OpenTelemetry's error handler, which the whole
// program shares.
func LogTo(log *slog.Logger) {
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("traces are lost", "error", err) }))
}

// maxQueued bounds the number of spans that wait for export. Further spans are dropped.
const maxQueued = 2048

// New returns a tracer that sends its spans to e. It must be closed.
func New(e Exporter, version, instance string) *Tracer {
	p := trace.NewTracerProvider(
		trace.WithBatcher(e, trace.WithBatchTimeout(time.Second), trace.WithMaxQueueSize(maxQueued)),
		trace.WithIDGenerator(ids{}),
		trace.WithResource(resource.NewSchemaless(
			attribute.String("service.name", "ecupcakes"),
			attribute.String("service.version", version),
			attribute.String("service.instance.id", instance),
		)),
	)
	return &Tracer{provider: p, tracer: p.Tracer("ecupcakes")}
}

// Close exports the spans that have ended. It gives up when ctx ends.
func (t *Tracer) Close(ctx context.Context) error {
	if err := t.provider.Shutdown(ctx); err != nil {
		return fmt.Errorf("exporting the last traces: %w", err)
	}
	return nil
}

// Kinds of spans.
const (
	Sends    = api.SpanKindProducer
	Receives = api.SpanKindConsumer
)

// Failed is the status of a span whose work has failed.
const Failed = codes.Error

// Start starts a span in the order's trace. The span in ctx becomes its parent if it belongs to the
// same trace, and is linked to if it belongs to another one.
func (t *Tracer) Start(
	ctx context.Context, orderID, name string, kind api.SpanKind, attributes ...attribute.KeyValue,
) (context.Context, api.Span) {
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

// Place returns the attributes that identify the message of a span.
func Place(topic string, partition int32, offset int64) []attribute.KeyValue {
	return []attribute.KeyValue{
		attribute.String("messaging.system", "kafka"), attribute.String("messaging.destination.name", topic),
		attribute.Int("messaging.destination.partition.id", int(partition)), attribute.Int64("messaging.kafka.offset", offset),
	}
}

// Verdict returns the attribute for the verdict on the message of a span.
func Verdict(v string) attribute.KeyValue { return attribute.String("verdict", v) }

// traceOf returns the trace ID of an order: the order's own ID if it is a UUID, else a hash of it.
func traceOf(orderID string) api.TraceID {
	if u, err := uuid.Parse(orderID); err == nil {
		return api.TraceID(u)
	}
	h := sha256.Sum256([]byte(orderID))
	return api.TraceID(h[:16])
}

// root is the context key of the ID for a new trace.
type root struct{}

// ids generates trace IDs from the context and span IDs at random.
type ids struct{}

func (ids) NewIDs(ctx context.Context) (api.TraceID, api.SpanID) {
	id, _ := ctx.Value(root{}).(api.TraceID)
	return id, ids{}.NewSpanID(ctx, id)
}

func (ids) NewSpanID(context.Context, api.TraceID) (id api.SpanID) {
	_, _ = rand.Read(id[:]) // It never fails.
	return id
}

// From returns ctx with the span that the traceparent header of a message or request names as
// parent. It returns ctx itself if the header is invalid.
func From(ctx context.Context, header string) context.Context {
	if codecs.Trace([]byte(header)) == "" {
		return ctx
	}
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{codecs.TraceHeader: header})
}

// Header returns the traceparent header for the span in ctx, or "" if that span is not recorded.
func Header(ctx context.Context) string {
	if !api.SpanFromContext(ctx).IsRecording() {
		return ""
	}
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier[codecs.TraceHeader]
}
