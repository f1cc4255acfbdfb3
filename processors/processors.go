// Package processors defines the goka processor of a stage, the same for every stage. It passes
// each message to order.Next, and applies the decision to the stage's table and output topics.
// Messages that cannot be decoded, or do not belong on their topic, go to the dead-letter topic, so
// that none of them can stop a stage.
//
// The rules of the domain are in package order.
package processors

import (
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/ecupcakes/ecupcakes/codecs"
	"github.com/ecupcakes/ecupcakes/gokaplus"
	"github.com/ecupcakes/ecupcakes/order"
	"github.com/ecupcakes/ecupcakes/topology"
	"github.com/ecupcakes/ecupcakes/tracing"

	"github.com/lovoo/goka"
)

// deadLettered is the verdict on a message that could not become an order.Event.
const deadLettered order.Verdict = "unreadable"

// Reason is the reason why a message became a dead letter, as a label for programs.
type Reason string

const (
	Empty          Reason = "empty"           // The message has no value.
	Unreadable     Reason = "unreadable"      // The value cannot be decoded.
	WrongKey       Reason = "wrong-key"       // The key is not the ID of the message's order.
	WrongPartition Reason = "wrong-partition" // The key belongs to another partition.
	UnreadableRow  Reason = "unreadable-row"  // The stage's row for the order cannot be decoded.
	Invalid        Reason = "misplaced"       // The message cannot be right at this stage.
)

// maxDeadLetter bounds the value of a dead letter, in bytes, so that it always fits into a Kafka
// message. If the value is cut, the header "truncated" has its original length, and the headers
// "topic", "partition" and "offset" tell where to find all of it.
const maxDeadLetter = 256 << 10

// stage is the processor of one stage.
type stage struct {
	decides    order.Stage
	partitions int32
	inputs     [2]string
	outputs    [2]goka.Stream // By order.Output.
	dead       goka.Stream
	counters   stageCounters
	log        *slog.Logger
	trace      *tracing.Tracer
}

// Instruments are the metrics, the log and the traces of the stages.
type Instruments struct {
	Metrics *Metrics
	Log     *slog.Logger    // Log of every dead letter at level info, and of every event at level debug.
	Trace   *tracing.Tracer // Tracer of the events; may be nil.
}

// Graph returns the goka graph of stage i of the line. partitions is the number of partitions that
// every topic of the line has.
//
// The processor must commit in order and start at the oldest offset, or orders can be lost
// (gokaplus does both). It also needs the Options of this package.
func Graph(line topology.Line, i int, partitions int32, w Instruments) *goka.GroupGraph {
	s := line.Stages[i]
	p := &stage{
		decides:    line.DecisionStage(i),
		partitions: partitions,
		inputs:     [2]string{order.Arrivals: s.Input, order.Reports: s.Reports()},
		outputs:    [2]goka.Stream{order.Onward: goka.Stream(line.NextTopic(i)), order.Failures: goka.Stream(line.Failures)},
		dead:       goka.Stream(line.DeadLetters),
		counters:   w.Metrics.of(s.Name),
		log:        w.Log.With("stage", s.Name),
		trace:      w.Trace,
	}
	return goka.DefineGroup(goka.Group(s.Group()),
		goka.Input(goka.Stream(s.Input), codecs.Order{}, func(ctx goka.Context, msg any) { p.handle(ctx, order.Arrivals, msg) }),
		goka.Input(goka.Stream(s.Reports()), codecs.Report{}, func(ctx goka.Context, msg any) { p.handle(ctx, order.Reports, msg) }),
		goka.Output(p.outputs[order.Onward], codecs.Order{}),
		goka.Output(p.outputs[order.Failures], codecs.Order{}),
		goka.Output(p.dead, codecs.Raw{}),
		goka.Persist(codecs.Row{}),
	)
}

// Options returns the goka options that a Graph relies on: tombstones are processed, not skipped.
func Options() []goka.ProcessorOption {
	return []goka.ProcessorOption{goka.WithNilHandling(goka.NilProcess)}
}

func (p *stage) handle(ctx goka.Context, in order.Input, msg any) {
	ctx, end := p.startSpan(ctx)
	verdict := p.process(ctx, in, msg)
	end(verdict)
	p.counters.event(in, verdict)
	if p.log.Enabled(ctx.Context(), slog.LevelDebug) {
		p.log.Debug("event", append(place(ctx), "verdict", verdict)...)
	}
}

// startSpan starts the span of a message. It returns a context that propagates the span, and a
// function that ends the span with the verdict.
func (p *stage) startSpan(ctx goka.Context) (goka.Context, func(order.Verdict)) {
	if p.trace == nil {
		return ctx, func(order.Verdict) {}
	}
	topic := string(ctx.Topic())
	parent := tracing.From(ctx.Context(), string(ctx.Headers()[codecs.TraceHeader]))
	in, span := p.trace.Start(parent, ctx.Key(), p.decides.Name+" takes "+topic,
		tracing.Receives, tracing.Place(topic, ctx.Partition(), ctx.Offset())...)
	header := goka.WithCtxEmitHeaders(goka.Headers{codecs.TraceHeader: []byte(tracing.Header(in))})
	return traced{gokaContext: ctx, header: header}, func(v order.Verdict) {
		span.SetAttributes(tracing.Verdict(string(v)))
		span.End()
	}
}

// traced is a goka.Context that adds the header with the span of its message to everything that it
// writes: to the emissions, and to the row, from which the views read it.
type traced struct {
	gokaContext
	header goka.ContextOption
}

type gokaContext = goka.Context // Under the name Context the embedded field would hide the method Context.

func (c traced) Emit(topic goka.Stream, key string, value any, options ...goka.ContextOption) {
	c.gokaContext.Emit(topic, key, value, append(options, c.header)...)
}

func (c traced) SetValue(value any, options ...goka.ContextOption) {
	c.gokaContext.SetValue(value, append(options, c.header)...)
}

// place returns log attributes that identify a message.
func place(ctx goka.Context) []any {
	return []any{"order", ctx.Key(), "topic", ctx.Topic(), "partition", ctx.Partition(), "offset", ctx.Offset()}
}

// process applies a message and returns the verdict on it.
func (p *stage) process(ctx goka.Context, in order.Input, msg any) order.Verdict {
	from := Origin{Key: ctx.Key(), Partition: ctx.Partition(), Offset: ctx.Offset(), Time: ctx.Timestamp()}
	event, reason, why := Event(msg, from, p.partitions)
	if why != "" {
		p.deadLetter(ctx, msg, reason, why)
		return deadLettered
	}
	var row order.Row
	switch v := ctx.Value().(type) {
	case nil:
	case *order.Row:
		row = *v
	case *codecs.Undecodable: // What the stage has done for this order is unknown, so the row must stay.
		p.deadLetter(ctx, msg, UnreadableRow, "the stage's row for this order cannot be decoded: "+v.Why)
		return deadLettered
	}
	d := Decide(p.decides, row, event)
	switch d.Verdict {
	case order.VerdictApplied, order.VerdictRedelivered:
		p.apply(ctx, &d)
		if d.Verdict == order.VerdictApplied {
			p.counters.step(row.State, &d.Row)
		}
	case order.VerdictForgotten:
		ctx.Delete()
	case order.VerdictInvalid:
		p.deadLetter(ctx, msg, Invalid, d.Why)
	}
	return d.Verdict
}

// Origin is the key, the position and the timestamp of a message.
type Origin struct {
	Key       string
	Partition int32
	Offset    int64
	Time      time.Time
}

// Event converts a message, as its codec decoded it and nil for a tombstone, to an event. If the
// message must become a dead letter instead, Event returns the reason as a label and in words.
//
// A message in another partition than that of its key is a dead letter. The row that a stage wrote
// for it would go to the key's partition, and after a restart the owner of that partition would
// read it.
func Event(msg any, from Origin, partitions int32) (e order.Event, reason Reason, why string) {
	e = order.Event{Offset: from.Offset, Time: from.Time.UTC()}
	var id string
	switch m := msg.(type) {
	case nil:
		return e, Empty, "it has no value"
	case *codecs.Undecodable:
		return e, Unreadable, m.Why
	case *order.Order:
		e.Order, id = m, m.ID
	case *order.Report:
		e.Report, id = m, m.OrderID
	}
	if id != from.Key {
		return e, WrongKey, fmt.Sprintf("its key %.80q is not its order's id %q", from.Key, id)
	}
	if p := gokaplus.Partition([]byte(from.Key), int(partitions)); p != from.Partition {
		why = fmt.Sprintf("it is in partition %d, but its key belongs to partition %d: "+
			"produce it with the partitioner of the line (FNV-1a)",
			from.Partition, p)
		return e, WrongPartition, why
	}
	return e, "", ""
}

// Decide calls order.Next and turns a panic into order.VerdictInvalid. Otherwise every redelivery
// of the message would panic again, and its partition would make no progress.
func Decide(stage order.Stage, row order.Row, e order.Event) (d order.Decision) {
	defer func() {
		if r := recover(); r != nil {
			d = order.Decision{Verdict: order.VerdictInvalid, Row: row, Why: fmt.Sprintf("deciding it panicked: %v", r)}
		}
	}()
	return order.Next(stage, row, e)
}

// apply writes the row and sends the emissions. It encodes the order once for both.
func (p *stage) apply(ctx goka.Context, d *order.Decision) {
	encoded, err := codecs.EncodeOrder(&d.Row.Order)
	if err != nil {
		fail(ctx, err)
	}
	row, err := codecs.EncodeRow(&d.Row, encoded)
	if err != nil {
		fail(ctx, err)
	}
	ctx.SetValue(codecs.Encoded(row))
	for _, e := range d.Emissions {
		ctx.Emit(p.outputs[e.To], ctx.Key(), codecs.Encoded(encoded))
	}
}

// fail stops the processor without committing the message; its supervisor restarts it. It panics
// because goka's Fail returns if a shutdown has begun already, and the message would then be
// committed.
func fail(ctx goka.Context, err error) {
	ctx.Fail(err)
	panic(err)
}

// deadLetter sends the message to the dead-letter topic, with its origin and why in the headers.
func (p *stage) deadLetter(ctx goka.Context, msg any, reason Reason, why string) {
	p.counters.letters[reason].Inc()
	p.log.Info("dead letter", append(place(ctx), "reason", reason, "why", why)...)
	var raw []byte
	var err error
	switch m := msg.(type) {
	case *codecs.Undecodable:
		raw = m.Raw
	case *order.Order:
		raw, err = codecs.EncodeOrder(m)
	case *order.Report:
		raw, err = codecs.EncodeReport(m)
	}
	if err != nil {
		p.log.Error("a dead letter is written without its value", append(place(ctx), "error", err)...)
	}
	h := goka.Headers{
		"reason":    []byte(why),
		"stage":     []byte(p.decides.Name),
		"topic":     []byte(ctx.Topic()),
		"partition": strconv.AppendInt(nil, int64(ctx.Partition()), 10),
		"offset":    strconv.AppendInt(nil, ctx.Offset(), 10),
		"time":      ctx.Timestamp().UTC().AppendFormat(nil, time.RFC3339Nano),
	}
	if trace := codecs.Trace(ctx.Headers()[codecs.TraceHeader]); trace != "" {
		h[codecs.TraceHeader] = []byte(trace)
	}
	if len(raw) > maxDeadLetter {
		h["truncated"] = strconv.AppendInt(nil, int64(len(raw)), 10)
		raw = raw[:maxDeadLetter]
	}
	if raw == nil {
		raw = []byte{} // A tombstone would mean that the dead letter is deleted.
	}
	ctx.Emit(p.dead, ctx.Key(), raw, goka.WithCtxEmitHeaders(h))
}
