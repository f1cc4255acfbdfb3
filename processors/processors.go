// Package processors runs the line: one generic goka processor that serves any
// stage. It applies what order.Next decides to the stage's table and topics,
// and puts messages that mean nothing to the line on the dead-letter topic, so
// that none of them can stop it.
//
// It holds no rule of the domain and never knows HTTP.
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

// deadLettered is the verdict on a message that was not even an event.
const deadLettered order.Verdict = "unreadable"

// Reason is why a message became a dead letter, as a word for programs.
type Reason string

// The reasons.
const (
	Empty          Reason = "empty"           // It has no value.
	Unreadable     Reason = "unreadable"      // It is not what belongs on its topic.
	WrongKey       Reason = "wrong-key"       // Its key is not its order's id.
	WrongPartition Reason = "wrong-partition" // Its key belongs to another partition.
	UnreadableRow  Reason = "unreadable-row"  // What the stage knows of its order cannot be read.
	Invalid        Reason = "misplaced"       // It cannot be right at this stage.
)

// maxDeadLetter bounds what is kept of a bad message, in bytes, so that a dead
// letter always fits into a message. The header "truncated" says when it is
// not all; the origin in the headers tells where the rest is.
const maxDeadLetter = 256 << 10

// stage is one stage's processor.
type stage struct {
	decides    order.Stage
	partitions int32
	inputs     [2]string
	outputs    [2]goka.Stream // By order.Output.
	dead       goka.Stream
	counted    counted
	log        *slog.Logger
	trace      *tracing.Tracer
}

// Instruments is how others see what the stages do.
type Instruments struct {
	Metrics *Metrics
	Log     *slog.Logger    // Of every event at level debug and of every dead letter at level info.
	Trace   *tracing.Tracer // May be nil.
}

// Graph is what goka runs for stage i of the line, whose topics have so many
// partitions.
//
// Needed of the processor's options: in-order commits and an initial offset of
// oldest, or orders can be lost; nil messages are processed (Options does so).
func Graph(line topology.Line, i int, partitions int32, w Instruments) *goka.GroupGraph {
	s := line.Stages[i]
	p := &stage{
		decides:    line.DecisionStage(i),
		partitions: partitions,
		inputs:     [2]string{order.Arrivals: s.Input, order.Reports: s.Reports()},
		outputs:    [2]goka.Stream{order.Onward: goka.Stream(line.NextTopic(i)), order.Failures: goka.Stream(line.Failures)},
		dead:       goka.Stream(line.DeadLetters),
		counted:    w.Metrics.of(s.Name),
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

// Options are the processor options that the graph relies on.
func Options() []goka.ProcessorOption {
	return []goka.ProcessorOption{goka.WithNilHandling(goka.NilProcess)}
}

func (p *stage) handle(ctx goka.Context, in order.Input, msg any) {
	ctx, end := p.traced(ctx)
	verdict := p.take(ctx, in, msg)
	end(verdict)
	p.counted.event(in, verdict)
	if p.log.Enabled(ctx.Context(), slog.LevelDebug) {
		p.log.Debug("event", append(place(ctx), "verdict", verdict)...)
	}
}

// traced begins the span of a message, which ends with its verdict.
func (p *stage) traced(ctx goka.Context) (goka.Context, func(order.Verdict)) {
	if p.trace == nil {
		return ctx, func(order.Verdict) {}
	}
	topic := string(ctx.Topic())
	in, span := p.trace.Start(tracing.From(ctx.Context(), string(ctx.Headers()[codecs.TraceHeader])), ctx.Key(), p.decides.Name+" takes "+topic,
		tracing.Receives, tracing.Place(topic, ctx.Partition(), ctx.Offset())...)
	header := goka.WithCtxEmitHeaders(goka.Headers{codecs.TraceHeader: []byte(tracing.Header(in))})
	return traced{ctx, header}, func(v order.Verdict) {
		span.SetAttributes(tracing.Verdict(string(v)))
		span.End()
	}
}

// traced has all that comes of a message tell of the span in which it was taken:
// what is sent, and the row, from which the views have it.
type traced struct {
	gokaContext
	header goka.ContextOption
}

type gokaContext = goka.Context // An embedded Context would hide its method of that name.

func (c traced) Emit(topic goka.Stream, key string, value any, options ...goka.ContextOption) {
	c.gokaContext.Emit(topic, key, value, append(options, c.header)...)
}

func (c traced) SetValue(value any, options ...goka.ContextOption) {
	c.gokaContext.SetValue(value, append(options, c.header)...)
}

// place names a message for the log.
func place(ctx goka.Context) []any {
	return []any{"order", ctx.Key(), "topic", ctx.Topic(), "partition", ctx.Partition(), "offset", ctx.Offset()}
}

func (p *stage) take(ctx goka.Context, in order.Input, msg any) order.Verdict {
	event, reason, why := Event(msg, Origin{ctx.Key(), ctx.Partition(), ctx.Offset(), ctx.Timestamp()}, p.partitions)
	if why != "" {
		p.deadLetter(ctx, msg, reason, why)
		return deadLettered
	}
	var row order.Row
	switch v := ctx.Value().(type) {
	case nil:
	case *order.Row:
		row = *v
	case *codecs.Undecodable: // Nobody can tell what was done for this order: touch nothing.
		p.deadLetter(ctx, msg, UnreadableRow, "the stage's row for this order cannot be read: "+v.Why)
		return deadLettered
	}
	d := Decide(p.decides, row, event)
	switch d.Verdict {
	case order.VerdictApplied, order.VerdictRedelivered:
		p.apply(ctx, &d)
		if d.Verdict == order.VerdictApplied {
			p.counted.step(row.State, &d.Row)
		}
	case order.VerdictForgotten:
		ctx.Delete()
	case order.VerdictInvalid:
		p.deadLetter(ctx, msg, Invalid, d.Why)
	}
	return d.Verdict
}

// Origin says with what and where a message came.
type Origin struct {
	Key       string
	Partition int32
	Offset    int64
	Time      time.Time
}

// Event makes an event of a message as its codec decoded it, nil for a
// tombstone, or says why it is none.
//
// A message in another partition than its key's is none: what a stage wrote for
// it would go to the key's partition, and be read by the instance of that one
// after a restart.
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
		return e, WrongPartition, fmt.Sprintf("it is in partition %d and its key belongs to %d: produce it with the partitioner that the line uses (FNV-1a)", from.Partition, p)
	}
	return e, "", ""
}

// Decide is order.Next, and a panic in it is a verdict like others: it would
// come again with the message, for ever, and the stage would stand still.
func Decide(stage order.Stage, row order.Row, e order.Event) (d order.Decision) {
	defer func() {
		if r := recover(); r != nil {
			d = order.Decision{Verdict: order.VerdictInvalid, Row: row, Why: fmt.Sprintf("deciding it panicked: %v", r)}
		}
	}()
	return order.Next(stage, row, e)
}

// apply writes the row and sends the emissions. The order is encoded once for
// both.
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

// fail stops the processor with the message uncommitted; it is supervised and
// starts again. goka's Fail returns when a shutdown has begun already, and the
// message would count as done: hence the panic.
func fail(ctx goka.Context, err error) {
	ctx.Fail(err)
	panic(err)
}

func (p *stage) deadLetter(ctx goka.Context, msg any, reason Reason, why string) {
	p.counted.letters[reason].Inc()
	p.log.Info("dead letter", append(place(ctx), "reason", reason, "why", why)...)
	var raw []byte
	switch m := msg.(type) {
	case *codecs.Undecodable:
		raw = m.Raw
	case *order.Order:
		raw, _ = codecs.EncodeOrder(m)
	case *order.Report:
		raw, _ = codecs.EncodeReport(m)
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
		raw = []byte{} // A tombstone would say that the letter is gone.
	}
	ctx.Emit(p.dead, ctx.Key(), raw, goka.WithCtxEmitHeaders(h))
}
