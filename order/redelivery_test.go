package order

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// station is a stage that can crash at any moment. It works on one order, as
// goka does on one partition: it takes the messages of each input in their
// order, writes rows and emits orders without waiting for them to be durable,
// and commits only the messages before the first whose effects are not.
type station struct {
	stage     Stage
	log       [2][]Event
	committed [2]int // Messages that will not come again.
	next      [2]int // The message that comes next.
	pending   []effects
	row       Row   // As the running process sees it.
	writes    []Row // Rows since the last crash, and how many are acknowledged.
	written   int
	emits     []Emission // Emissions and dead letters since then, likewise.
	emitted   int
	durable   Row        // The table as of the last crash.
	out       []Emission // What had arrived by then, dead letters included.
}

// effects says what must be durable before a message may be committed.
type effects struct {
	in            Input
	index         int // Of the message in its log.
	writes, emits int
}

// deadLetter is where a misplaced order goes in this test.
const deadLetter Output = 99

// take takes some messages in a row: one input can be far behind the other.
func (s *station) take(t *rapid.T, in Input) {
	for range rapid.IntRange(1, len(s.log[in])-s.next[in]).Draw(t, "messages") {
		s.takeOne(t, in)
	}
}

func (s *station) takeOne(t *rapid.T, in Input) {
	e := s.log[in][s.next[in]]
	d := Next(s.stage, s.row, e)
	if rank(d.Row.State) < rank(s.row.State) || s.row.Closed() && d.Row.State != s.row.State {
		t.Fatalf("%+v moved the row from %q back to %q", e, s.row.State, d.Row.State)
	}
	switch d.Verdict {
	case VerdictApplied, VerdictRedelivered:
		s.row = d.Row
		s.writes = append(s.writes, d.Row)
		s.emits = append(s.emits, d.Emissions...)
	case VerdictInvalid:
		s.emits = append(s.emits, Emission{deadLetter, e.Order})
	}
	s.pending = append(s.pending, effects{in, s.next[in], len(s.writes), len(s.emits)})
	s.next[in]++
}

// commit commits what may be committed.
func (s *station) commit() {
	var blocked [2]bool
	for _, p := range s.pending {
		blocked[p.in] = blocked[p.in] || p.writes > s.written || p.emits > s.emitted
		if !blocked[p.in] {
			s.committed[p.in] = max(s.committed[p.in], p.index+1)
		}
	}
}

// stop ends the process with these many of its writes and emissions durable.
func (s *station) stop(writes, emits int) {
	if writes > 0 {
		s.durable = s.writes[writes-1]
	}
	s.out = append(s.out, s.emits[:emits]...)
	s.row, s.next = s.durable, s.committed
	s.pending, s.writes, s.written, s.emits, s.emitted = nil, nil, 0, nil, 0
}

// run processes both logs to their ends in an order, with acknowledgements and
// with crashes that t draws.
func (s *station) run(t *rapid.T) {
	for crashes := 0; ; {
		actions := []string{"acknowledge", "commit"}
		for in := range s.log {
			if s.next[in] < len(s.log[in]) {
				actions = append(actions, []string{"arrival", "report"}[in])
			}
		}
		if len(actions) == 2 {
			break
		}
		if crashes < 6 {
			actions = append(actions, "crash")
		}
		switch rapid.SampledFrom(actions).Draw(t, "action") {
		case "arrival":
			s.take(t, Arrivals)
		case "report":
			s.take(t, Reports)
		case "acknowledge":
			s.written = rapid.IntRange(s.written, len(s.writes)).Draw(t, "written")
			s.emitted = rapid.IntRange(s.emitted, len(s.emits)).Draw(t, "emitted")
		case "commit":
			s.commit()
		case "crash": // What is not acknowledged may be lost or not.
			crashes++
			s.stop(rapid.IntRange(s.written, len(s.writes)).Draw(t, "writes that survive"),
				rapid.IntRange(s.emitted, len(s.emits)).Draw(t, "emissions that survive"))
		}
	}
	s.stop(len(s.writes), len(s.emits))
}

// straight is what becomes of the order when nothing ever goes wrong.
func straight(stage Stage, log [2][]Event) (row Row) {
	for _, events := range log {
		for _, e := range events {
			if d := Next(stage, row, e); d.Verdict == VerdictApplied {
				row = d.Row
			}
		}
	}
	return row
}

func rank(s State) int {
	return map[State]int{StateNone: 0, StateEarly: 1, StateWaiting: 2, StateCompleted: 3, StateRejected: 3}[s]
}

// logged gives the events the offsets of a topic that they share with others.
func logged(t *rapid.T, events []Event) []Event {
	offset := int64(-1)
	for i := range events {
		offset += rapid.Int64Range(1, 3).Draw(t, "offset")
		events[i].Offset, events[i].Time = offset, noon.Add(time.Duration(offset)*time.Second)
	}
	return events
}

// drawArrivals draws messages that say that o came: it once or repeated, among
// them some that do not belong to the stage.
func drawArrivals(t *rapid.T, o Order) (events []Event) {
	for i := range rapid.IntRange(1, 4).Draw(t, "arrivals") {
		o := o
		o.Quantity = 1 + i // The first one counts.
		if rapid.IntRange(0, 4).Draw(t, "wrong") == 0 {
			o.Status = "shipped"
		}
		events = append(events, Event{Order: &o})
	}
	return logged(t, events)
}

// drawReports draws what three people report about the order, in rivalry and
// with repetitions near and far.
func drawReports(t *rapid.T, stage string) (events []Event) {
	var reports []Report
	for i := range rapid.IntRange(0, maxPending).Draw(t, "reports") {
		var r Report
		if i > 0 && rapid.IntRange(0, 2).Draw(t, "repeat") == 0 {
			r = rapid.SampledFrom(reports).Draw(t, "repeated")
		} else {
			r = Report{
				ID: fmt.Sprint(stage, "-", i), OrderID: "o1",
				Kind: rapid.SampledFrom([]Kind{KindComplete, KindReject, KindClaim, KindClaim, KindRelease, KindRelease}).Draw(t, "kind"),
				By:   rapid.SampledFrom([]string{"Ann", "Bob", "Cem"}).Draw(t, "by"),
			}
			if r.Kind == KindReject {
				r.Reason = "because of " + r.ID
			}
			if r.Kind == KindClaim && rapid.Bool().Draw(t, "lapses") {
				r.Until = noon.Add(time.Duration(rapid.IntRange(-1, 40).Draw(t, "until")) * time.Millisecond)
			}
		}
		reports = append(reports, r)
		events = append(events, Event{Report: &r})
	}
	return logged(t, events)
}

// TestNothingIsLostOrDoubled is the promise in Next's comment.
func TestNothingIsLostOrDoubled(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		log := [2][]Event{drawArrivals(t, mixed()), drawReports(t, "baking")}
		s := station{stage: baking, log: log}
		s.run(t)

		want := straight(baking, log)
		if !reflect.DeepEqual(s.durable, want) {
			t.Fatalf("the row became\n%+v, without interruptions it is\n%+v", s.durable, want)
		}
		letters := map[*Order]bool{}
		for _, e := range log[Arrivals] {
			if e.Order.Status != baking.Expects {
				letters[e.Order] = true
			}
		}
		emitted := false
		for _, e := range s.out {
			if e.To == deadLetter {
				delete(letters, e.Order)
				continue
			}
			emitted = true
			if !reflect.DeepEqual([]Emission{e}, want.Emissions()) {
				t.Fatalf("emitted\n%+v to %d, the row says\n%+v", *e.Order, e.To, want.Emissions())
			}
		}
		if emitted != want.Closed() {
			t.Fatalf("emitted: %t, gone: %t", emitted, want.Closed())
		}
		if len(letters) > 0 {
			t.Fatalf("%d misplaced orders are not among the dead letters", len(letters))
		}
	})
}

// TestTheLineTakesEachStageOnce sends an order through five stages that crash,
// each of which reads what the one before has emitted, repetitions included.
func TestTheLineTakesEachStageOnce(t *testing.T) {
	line := []Stage{
		{"mixing", StatusPlaced, "mixed"},
		{"baking", "mixed", "baked"},
		{"decorating", "baked", "decorated"},
		{"packaging", "decorated", "packaged"},
		{"shipping", "packaged", "shipped"},
	}
	rapid.Check(t, func(t *rapid.T) {
		placed := mixed()
		placed.Status, placed.History = StatusPlaced, nil
		arrivals := logged(t, slices.Repeat([]Event{{Order: &placed}}, rapid.IntRange(1, 3).Draw(t, "arrivals")))
		var steps []string
		for i, stage := range line {
			reports := drawReports(t, stage.Name)
			if rapid.IntRange(0, 4).Draw(t, "done first") > 0 { // So that most orders come far.
				first := Event{Report: &Report{ID: stage.Name, OrderID: "o1", Kind: KindComplete, By: "Ann"}}
				reports = logged(t, slices.Insert(reports, 0, first))
				reports = reports[:min(len(reports), maxPending)]
			}
			s := station{stage: stage, log: [2][]Event{arrivals, reports}}
			s.run(t)

			if want := straight(stage, s.log); !reflect.DeepEqual(s.durable, want) {
				t.Fatalf("%s: the row became\n%+v, without interruptions it is\n%+v", stage.Name, s.durable, want)
			}
			if s.durable.Closed() {
				steps = append(steps, stage.Name)
			}
			var passed []string
			for _, step := range s.durable.Order.History {
				passed = append(passed, step.Stage)
			}
			if !slices.Equal(passed, steps) {
				t.Fatalf("the order has been through %q, want %q", passed, steps)
			}
			arrivals = nil
			for _, e := range s.out {
				if e.To == Onward {
					arrivals = append(arrivals, Event{Order: e.Order})
				}
			}
			if (len(arrivals) > 0) != (s.durable.State == StateCompleted) {
				t.Fatalf("%s is %q and passes on %d orders", stage.Name, s.durable.State, len(arrivals))
			}
			if len(arrivals) == 0 {
				return
			}
			arrivals = logged(t, arrivals)
			if i == len(line)-1 && s.durable.Order.Status != "shipped" {
				t.Fatalf("at the end of the line the order is %q", s.durable.Order.Status)
			}
		}
	})
}

// FuzzNext gives Next rows and events that no run would ever lead to.
func FuzzNext(f *testing.F) { f.Fuzz(rapid.MakeFuzz(nextIsPure)) }

func TestNextIsPure(t *testing.T) { rapid.Check(t, nextIsPure) }

func nextIsPure(t *rapid.T) {
	row := Row{
		State:      drawOneOf(t, "state", StateNone, StateEarly, StateWaiting, StateCompleted, StateRejected, "nonsense"),
		Order:      drawOrder(t),
		Claim:      drawOneOf(t, "claim", "", "Ann", "Bob"),
		Until:      time.UnixMilli(drawOffset(t)),
		NextOffset: [2]int64{drawOffset(t), drawOffset(t)},
		Outcomes:   roomy(t, 12, func(t *rapid.T) Outcome { return Outcome{ReportID: drawReport(t).ID, Result: ResultAccepted} }),
		Pending:    roomy(t, maxPending+2, drawReport),
	}
	e := Event{Offset: drawOffset(t), Time: time.UnixMilli(drawOffset(t))}
	if o, r := drawOrder(t), drawReport(t); rapid.Bool().Draw(t, "order") {
		e.Order = &o
	} else {
		e.Report = &r
	}

	before, again := snapshot(row, e), Next(baking, row, e)
	d := Next(baking, row, e)
	if after := snapshot(row, e); !reflect.DeepEqual(before, after) {
		t.Fatalf("the arguments changed from\n%+v to\n%+v", before, after)
	}
	if !reflect.DeepEqual(d, again) {
		t.Fatalf("decided\n%+v, then\n%+v", d, again)
	}
	if d.Verdict == VerdictForgotten {
		if row.State == StateWaiting || !reflect.DeepEqual(d.Row, Row{}) || len(d.Emissions) > 0 {
			t.Fatalf("dropped the row %+v: %+v", row, d)
		}
		return
	}
	if rank(d.Row.State) < rank(row.State) || row.Closed() && d.Row.State != row.State {
		t.Fatalf("the row went from %q back to %q", row.State, d.Row.State)
	}
	if d.Verdict != VerdictApplied && !reflect.DeepEqual(d.Row, row) {
		t.Fatalf("%s changed the row", d.Verdict)
	}
	if (d.Verdict == VerdictInvalid) != (d.Why != "") {
		t.Fatalf("%s, because %q", d.Verdict, d.Why)
	}
	if len(d.Emissions) > 0 && !reflect.DeepEqual(d.Emissions, d.Row.Emissions()) {
		t.Fatalf("emits\n%+v, the row says\n%+v", d.Emissions, d.Row.Emissions())
	}
	if len(d.Row.Pending) > max(maxPending, len(row.Pending)) || len(d.Row.Outcomes) > max(maxOutcomes, len(row.Outcomes)) {
		t.Fatalf("%d pending reports, %d outcomes", len(d.Row.Pending), len(d.Row.Outcomes))
	}
}

// snapshot copies the row and the event with all that they point to, the spare
// room of slices included.
func snapshot(row Row, e Event) any {
	copied := []any{row, slices.Clone(whole(row.Outcomes)), slices.Clone(whole(row.Pending)), slices.Clone(whole(row.Order.History))}
	if e.Order != nil {
		return append(copied, e, *e.Order, slices.Clone(whole(e.Order.History)))
	}
	return append(copied, e, *e.Report)
}

func whole[T any](s []T) []T { return s[:cap(s)] }

// roomy draws a slice with spare room, into which a careless append would write.
func roomy[T any](t *rapid.T, most int, draw func(*rapid.T) T) (s []T) {
	n := rapid.IntRange(0, most).Draw(t, "length")
	for range n + 2 {
		s = append(s, draw(t))
	}
	return s[:n]
}

func drawOneOf[T cmp.Ordered](t *rapid.T, label string, values ...T) T {
	return rapid.SampledFrom(values).Draw(t, label)
}

func drawOffset(t *rapid.T) int64 {
	return rapid.OneOf(rapid.Int64Range(0, 20), rapid.Int64()).Draw(t, "offset")
}

func drawReport(t *rapid.T) Report {
	return Report{
		ID: fmt.Sprint("r", rapid.IntRange(0, 40).Draw(t, "id")), OrderID: "o1",
		Kind: drawOneOf(t, "kind", KindComplete, KindReject, KindClaim, KindRelease, KindExpire, "nonsense"), By: drawOneOf(t, "by", "", "Ann", "Bob"),
	}
}

func drawOrder(t *rapid.T) Order {
	o := mixed()
	o.Status = drawOneOf(t, "status", "mixed", "mixed", StatusPlaced, StatusRejected, "nonsense")
	o.History = roomy(t, maxSteps, func(*rapid.T) Step { return Step{"mixing", "Maria", noon} })
	return o
}
