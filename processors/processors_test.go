package processors

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ecupcakes/ecupcakes/codecs"
	"github.com/ecupcakes/ecupcakes/order"
	"github.com/ecupcakes/ecupcakes/topology"

	"github.com/lovoo/goka"
	"github.com/lovoo/goka/tester"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

var (
	placedOn = time.Date(2026, 11, 25, 9, 0, 0, 0, time.UTC)
	sentOn   = tester.WithTime(placedOn.Add(time.Minute))
)

// testLine is a line that runs in goka's tester.
type testLine struct {
	topology.Line
	t       *testing.T
	kafka   *tester.Tester
	metrics *Metrics
	dead    *tester.QueueTracker
}

// startLine starts the processors of all stages.
func startLine(t *testing.T, l topology.Line) *testLine {
	t.Helper()
	r := &testLine{Line: l, t: t, kafka: tester.New(t), metrics: NewMetrics(prometheus.NewRegistry())}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	for i, s := range l.Stages {
		p, err := goka.NewProcessor(nil, Graph(l, i, 1, Instruments{Metrics: r.metrics, Log: slog.New(slog.DiscardHandler)}), append(Options(),
			goka.WithTester(r.kafka),
			goka.WithContextWrapper(func(ctx goka.Context) goka.Context { return atOffset{ctx} }))...)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- p.Run(ctx) }()
		t.Cleanup(func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("the processor of %s: %v", s.Name, err)
			}
		})
	}
	r.dead = r.kafka.NewQueueTracker(l.DeadLetters)
	return r
}

// offsetHeader overrides the offset that the tester gives a message. The tester counts the messages
// of a topic, so a redelivery needs the header.
const offsetHeader = "test-offset"

type atOffset struct{ gokaContext }

func (c atOffset) Offset() int64 {
	if h, ok := c.Headers()[offsetHeader]; ok {
		offset, err := strconv.ParseInt(string(h), 10, 64)
		if err != nil {
			panic(err)
		}
		return offset
	}
	return c.gokaContext.Offset()
}

func offset(n int) tester.EmitOption {
	return tester.WithHeaders(goka.Headers{offsetHeader: strconv.AppendInt(nil, int64(n), 10)})
}

func (l *testLine) row(stage int, id string) *order.Row {
	l.t.Helper()
	switch v := l.kafka.TableValue(goka.Table(l.Stages[stage].Table()), id).(type) {
	case nil:
		return &order.Row{}
	case *order.Row:
		return v
	default:
		l.t.Fatalf("the row of %s at %s is %+v", id, l.Stages[stage].Name, v)
		return nil
	}
}

// next returns the next order on a topic, or nil if no more orders come.
func (l *testLine) next(q *tester.QueueTracker) *order.Order {
	l.t.Helper()
	key, v, ok := q.Next()
	if !ok {
		return nil
	}
	o, isOrder := v.(*order.Order)
	if !isOrder || o.ID != key {
		l.t.Fatalf("key %q has the value %+v", key, v)
	}
	return o
}

func (l *testLine) count(stage int, input string, verdict order.Verdict) int {
	l.t.Helper()
	var m dto.Metric
	if err := l.metrics.events.WithLabelValues(l.Stages[stage].Name, input, string(verdict)).Write(&m); err != nil {
		l.t.Fatal(err)
	}
	return int(m.GetCounter().GetValue())
}

func (l *testLine) wantCount(stage int, input string, verdict order.Verdict, want int) {
	l.t.Helper()
	if got := l.count(stage, input, verdict); got != want {
		l.t.Errorf("%d %s of %s are counted as %s, want %d", got, input, l.Stages[stage].Name, verdict, want)
	}
}

func (l *testLine) wantNoDeadLetter() {
	l.t.Helper()
	if h, key, _, ok := l.dead.NextRawWithHeaders(); ok {
		l.t.Errorf("a dead letter with the key %q: %s", key, h["reason"])
	}
}

func newOrder(id string, status order.Status) *order.Order {
	return &order.Order{ID: id, Flavour: "Vanilla", Size: "M", Quantity: 2, PlacedOn: placedOn, Status: status}
}

func newReport(id, orderID string, kind order.Kind) *order.Report {
	r := &order.Report{ID: id, OrderID: orderID, Kind: kind, By: "Ana", On: placedOn.Add(2 * time.Minute)}
	if kind == order.KindReject {
		r.Reason = "burnt"
	}
	return r
}

func withTasting() topology.Line {
	l := topology.Cupcakes
	l.Stages = slices.Insert(slices.Clone(l.Stages), l.Index("shipping"), topology.Stage{
		Name: "tasting", Role: "taster", Verb: "taste", Label: "TASTE", Page: "taster",
		Input: "readytotaste", Event: "InformNewOrderToTaste", Done: "tasted", Age: topology.Cupcakes.Stages[0].Age,
	})
	return l
}

// One more entry in the line is one more stage, with no other change.
func TestWalk(t *testing.T) {
	for name, l := range map[string]topology.Line{"the factory's five stages": topology.Cupcakes, "and a sixth one": withTasting()} {
		t.Run(name, func(t *testing.T) {
			if err := l.Validate(); err != nil {
				t.Fatal(err)
			}
			line := startLine(t, l)
			out, failures := line.kafka.NewQueueTracker(l.Output), line.kafka.NewQueueTracker(l.Failures)
			want := newOrder("o1", order.StatusPlaced)
			line.kafka.Consume(l.Stages[0].Input, "o1", want, sentOn)
			for i, s := range l.Stages {
				if row := line.row(i, "o1"); row.State != order.StateWaiting || !reflect.DeepEqual(row.Order, *want) {
					t.Fatalf("before %s its row is %+v, want %+v waiting", s.Name, row, want)
				}
				line.kafka.Consume(s.Reports(), "o1", newReport(s.Name+"-1", "o1", order.KindComplete))
				want.Status = s.Done
				want.History = append(want.History, order.Step{Stage: s.Name, By: "Ana", On: placedOn.Add(2 * time.Minute)})
				if row := line.row(i, "o1"); row.State != order.StateCompleted || !reflect.DeepEqual(row.Order, *want) {
					t.Fatalf("after %s its row is %+v, want %+v finished", s.Name, row, want)
				}
				line.wantCount(i, "arrivals", order.VerdictApplied, 1)
				line.wantCount(i, "reports", order.VerdictApplied, 1)
			}
			if got := line.next(out); !reflect.DeepEqual(got, want) {
				t.Errorf("%s has %+v, want %+v", l.Output, got, want)
			}
			if again, failed := line.next(out), line.next(failures); again != nil || failed != nil {
				t.Errorf("%s also has %+v, %s %+v", l.Output, again, l.Failures, failed)
			}
			line.wantNoDeadLetter()
		})
	}
}

func TestRejectSendsTheOrderToTheFailures(t *testing.T) {
	line := startLine(t, topology.Cupcakes)
	failures, decorating := line.kafka.NewQueueTracker("orderfailures"), line.kafka.NewQueueTracker("readytodecorate")
	line.kafka.Consume("readytobake", "o1", newOrder("o1", "mixed"), sentOn)
	line.kafka.Consume("baking-reports", "o1", newReport("r1", "o1", order.KindReject))
	want := newOrder("o1", order.StatusRejected)
	want.Reason = "burnt"
	want.History = []order.Step{{Stage: "baking", By: "Ana", On: placedOn.Add(2 * time.Minute)}}
	if got := line.next(failures); !reflect.DeepEqual(got, want) {
		t.Errorf("orderfailures has %+v, want %+v", got, want)
	}
	line.kafka.Consume("baking-reports", "o1", newReport("r2", "o1", order.KindComplete))
	if got := line.row(1, "o1"); got.State != order.StateRejected || got.Outcomes[1].Result != order.ResultTooLate {
		t.Errorf("after a completion that follows the rejection the row is %+v", got)
	}
	if o, again := line.next(decorating), line.next(failures); o != nil || again != nil {
		t.Errorf("decorating got %+v, orderfailures again %+v", o, again)
	}
	line.wantNoDeadLetter()
}

// Messages that cannot be decoded or do not belong on their topic become dead letters with their
// origin and the reason. The stage makes progress.
func TestInvalidMessagesBecomeDeadLetters(t *testing.T) {
	encoded := func(b []byte, err error) codecs.Encoded {
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	placed, mixed := encoded(codecs.EncodeOrder(newOrder("o1", order.StatusPlaced))), encoded(codecs.EncodeOrder(newOrder("o1", "mixed")))
	done := encoded(codecs.EncodeReport(newReport("r1", "o1", order.KindComplete)))
	unknown := bytes.Replace(done, []byte(`"done"`), []byte(`"eaten"`), 1)
	newer := bytes.Replace(placed, []byte(`"v":1`), []byte(`"v":2`), 1)
	large := bytes.Repeat([]byte("x"), maxDeadLetter+1)
	for _, c := range []struct {
		name, input, key, value string
		verdict                 order.Verdict
		why                     string
	}{
		{"an undecodable order", "arrivals", "o1", "\xff{", deadLettered, "not an order: "},
		{"an undecodable report", "reports", "o1", "[]", deadLettered, "not a report: "},
		{"an empty order", "arrivals", "o1", "", deadLettered, "it is empty"},
		{"more bytes than a dead letter holds", "arrivals", "o1", string(large), deadLettered, "not an order: "},
		{"an order of a newer version", "arrivals", "o1", string(newer), deadLettered, "upgrade"},
		{"an order with another key", "arrivals", "o2", string(placed), deadLettered, `its key "o2" is not its order's id "o1"`},
		{"a report with another key", "reports", "o2", string(done), deadLettered, `its key "o2" is not its order's id "o1"`},
		{"goka's own key", "arrivals", "__offset", string(placed), deadLettered, `its key "__offset" is not its order's id`},
		{"an order with the status of another stage", "arrivals", "o1", string(mixed), order.VerdictInvalid, `its status is "mixed", but mixing expects orders that are "placed"`},
		{"a report of an unknown kind", "reports", "o1", string(unknown), deadLettered, `unknown kind of report "eaten"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			line := startLine(t, topology.Cupcakes)
			topic := map[string]string{"arrivals": "orderrequests", "reports": "mixing-reports"}[c.input]
			line.kafka.Consume(topic, c.key, codecs.Encoded(c.value), offset(41))
			line.wantDeadLetter(c.key, []byte(c.value), c.why, topic, "41")
			line.wantCount(0, c.input, c.verdict, 1)
			line.wantProgress()
		})
	}
	for input, topic := range map[string]string{"arrivals": "orderrequests", "reports": "mixing-reports"} {
		t.Run("no value in "+input, func(t *testing.T) {
			line := startLine(t, topology.Cupcakes)
			line.kafka.Consume(topic, "o1", nil, offset(41))
			line.wantDeadLetter("o1", nil, "it has no value", topic, "41")
			line.wantCount(0, input, deadLettered, 1)
			line.wantProgress()
		})
	}
}

// A dead letter has the trace header of its message if that is valid.
func TestDeadLetterKeepsTheTrace(t *testing.T) {
	const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	for sent, want := range map[string]string{trace: trace, "": "", "rubbish": "", trace + "\n": ""} {
		line := startLine(t, topology.Cupcakes)
		line.kafka.Consume("orderrequests", "o1", codecs.Encoded("rubbish"), offset(41), tester.WithHeaders(goka.Headers{"traceparent": []byte(sent)}))
		if h, _, _, ok := line.dead.NextRawWithHeaders(); !ok || string(h["traceparent"]) != want {
			t.Errorf("%q becomes %q", sent, h["traceparent"])
		}
	}
}

// wantDeadLetter checks the next dead letter, which must be the only one.
func (l *testLine) wantDeadLetter(key string, value []byte, why, topic, offset string) {
	l.t.Helper()
	h, gotKey, got, ok := l.dead.NextRawWithHeaders()
	if !ok {
		l.t.Fatal("there is no dead letter")
	}
	want, truncated := value, ""
	if len(value) > maxDeadLetter {
		want, truncated = value[:maxDeadLetter], fmt.Sprint(len(value))
	}
	if gotKey != key || got == nil || !bytes.Equal(got, want) {
		l.t.Errorf("the dead letter is %q: %.300q, want %q: %.300q", gotKey, got, key, want)
	}
	if !strings.Contains(string(h["reason"]), why) {
		l.t.Errorf("its reason is %q, want %q", h["reason"], why)
	}
	for header, want := range map[string]string{"stage": l.Stages[0].Name, "topic": topic, "partition": "0", "offset": offset, "truncated": truncated} {
		if got := string(h[header]); got != want {
			l.t.Errorf("its header %s is %q, want %q", header, got, want)
		}
	}
	l.wantNoDeadLetter()
}

// wantProgress checks that the first stage still processes orders.
func (l *testLine) wantProgress() {
	l.t.Helper()
	l.kafka.Consume("orderrequests", "good", newOrder("good", order.StatusPlaced), offset(42))
	l.kafka.Consume("mixing-reports", "good", newReport("r9", "good", order.KindComplete), offset(42))
	if row := l.row(1, "good"); row.State != order.StateWaiting {
		l.t.Errorf("the order after it has not arrived at the next stage: %+v", row)
	}
	if row := l.row(0, "o1"); row.State != order.StateNone {
		l.t.Errorf("the dead letter created the row %+v", row)
	}
}

func TestReportThatOvertakesItsOrderIsParked(t *testing.T) {
	line := startLine(t, topology.Cupcakes)
	baking := line.kafka.NewQueueTracker("readytobake")
	line.kafka.Consume("mixing-reports", "o1", newReport("r1", "o1", order.KindComplete))
	if row, o := line.row(0, "o1"), line.next(baking); row.State != order.StateEarly || o != nil {
		t.Fatalf("before the order the row is %+v, baking got %+v", row, o)
	}
	line.kafka.Consume("orderrequests", "o1", newOrder("o1", order.StatusPlaced), sentOn)
	if row, o := line.row(0, "o1"), line.next(baking); row.State != order.StateCompleted || o == nil || o.Status != "mixed" || o.History[0].By != "Ana" {
		t.Errorf("after the order the row is %+v, baking got %+v", row, o)
	}
	line.wantNoDeadLetter()
}

func TestDuplicatesAreIgnored(t *testing.T) {
	line := startLine(t, topology.Cupcakes)
	baking := line.kafka.NewQueueTracker("readytobake")
	line.kafka.Consume("orderrequests", "o1", newOrder("o1", order.StatusPlaced), sentOn)
	line.kafka.Consume("mixing-reports", "o1", newReport("c1", "o1", order.KindClaim))
	before := line.row(0, "o1")
	line.kafka.Consume("orderrequests", "o1", newOrder("o1", order.StatusPlaced), sentOn)
	release := newReport("c1", "o1", order.KindRelease) // A duplicate by its ID, although its kind differs.
	line.kafka.Consume("mixing-reports", "o1", release)
	if after := line.row(0, "o1"); !reflect.DeepEqual(after, before) {
		t.Errorf("a duplicate of the waiting order or of the report changed its row from %+v to %+v", before, after)
	}
	line.kafka.Consume("mixing-reports", "o1", newReport("r1", "o1", order.KindComplete))
	if line.next(baking) == nil {
		t.Fatal("the order has not come to baking")
	}
	before = line.row(0, "o1")
	line.kafka.Consume("orderrequests", "o1", newOrder("o1", order.StatusPlaced), sentOn)
	line.kafka.Consume("mixing-reports", "o1", newReport("r1", "o1", order.KindComplete))
	if after := line.row(0, "o1"); !reflect.DeepEqual(after, before) {
		t.Errorf("a duplicate of what is done changed its row from %+v to %+v", before, after)
	}
	if o := line.next(baking); o != nil {
		t.Errorf("a duplicate came to baking again: %+v", o)
	}
	line.wantCount(0, "arrivals", order.VerdictIgnored, 2)
	line.wantCount(0, "reports", order.VerdictIgnored, 2)
	line.wantNoDeadLetter()
}

// The effects of a redelivered message may have been lost in a crash. They are written again, byte
// for byte.
func TestRedeliveryWritesTheSameBytesAgain(t *testing.T) {
	line := startLine(t, topology.Cupcakes)
	changelog, baking := line.kafka.NewQueueTracker("mixing-table"), line.kafka.NewQueueTracker("readytobake")
	deliver := func() {
		line.kafka.Consume("orderrequests", "o1", newOrder("o1", order.StatusPlaced), sentOn, offset(7))
		line.kafka.Consume("mixing-reports", "o1", newReport("r1", "o1", order.KindComplete), offset(7))
	}
	all := func(q *tester.QueueTracker) (values []string) {
		for {
			_, v, ok := q.NextRaw()
			if !ok {
				return values
			}
			values = append(values, string(v))
		}
	}
	deliver()
	rows, orders := all(changelog), all(baking)
	if len(rows) != 2 || len(orders) != 1 {
		t.Fatalf("the rows %q and the orders %q were written", rows, orders)
	}
	deliver()
	if again := all(changelog); !slices.Equal(again, []string{rows[1], rows[1]}) {
		t.Errorf("a redelivery wrote the rows %q, want twice %q", again, rows[1])
	}
	if again := all(baking); !slices.Equal(again, []string{orders[0], orders[0]}) {
		t.Errorf("a redelivery sent %q, want twice %q", again, orders[0])
	}
	line.wantCount(0, "arrivals", order.VerdictRedelivered, 1)
	line.wantCount(0, "reports", order.VerdictRedelivered, 1)
	line.wantCount(1, "arrivals", order.VerdictIgnored, 2) // The two copies are duplicates at the next stage.
}

// The contents of an undecodable row are unknown, so the row must stay, and the messages about its
// order must not be lost.
func TestMessagesOfAnUndecodableRowBecomeDeadLetters(t *testing.T) {
	line := startLine(t, topology.Cupcakes)
	baking := line.kafka.NewQueueTracker("readytobake")
	line.kafka.SetTableValue("mixing-table", "o1", codecs.Encoded(`{"v":1`))
	o := newOrder("o1", order.StatusPlaced)
	raw, err := codecs.EncodeOrder(o)
	if err != nil {
		t.Fatal(err)
	}
	line.kafka.Consume("orderrequests", "o1", o, offset(3))
	line.wantDeadLetter("o1", raw, "the stage's row for this order cannot be decoded: not a row", "orderrequests", "3")
	report := newReport("r1", "o1", order.KindComplete)
	if raw, err = codecs.EncodeReport(report); err != nil {
		t.Fatal(err)
	}
	line.kafka.Consume("mixing-reports", "o1", report, offset(4))
	line.wantDeadLetter("o1", raw, "the stage's row for this order cannot be decoded: not a row", "mixing-reports", "4")
	if bad, ok := line.kafka.TableValue("mixing-table", "o1").(*codecs.Undecodable); !ok || string(bad.Raw) != `{"v":1` {
		t.Errorf("the row is %+v now", bad)
	}
	if o := line.next(baking); o != nil {
		t.Errorf("baking got %+v", o)
	}
	line.wantCount(0, "arrivals", deadLettered, 1)
	line.wantCount(0, "reports", deadLettered, 1)
	line.kafka.Consume("orderrequests", "o2", newOrder("o2", order.StatusPlaced))
	if row := line.row(0, "o2"); row.State != order.StateWaiting {
		t.Errorf("the row of the next order is %+v", row)
	}
}
