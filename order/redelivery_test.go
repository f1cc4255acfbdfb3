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

// crashingStage is the model of a stage that can crash at any moment. It works on one order as goka
// works on one partition: it consumes the messages of each input in order, writes rows and emits
// orders without waiting until they are durable, and commits only messages whose effects, and those
// of all messages before, are durable.
type crashingStage struct {
	stage     Stage
	log       [2][]Event
	committed [2]int    // Number of committed messages of each input; they are not redelivered.
	next      [2]int    // Index of the next message of each input.
	pending   []effects // Effects of the messages consumed since the last crash.

	row          Row        // Row as the running process sees it.
	writes       []Row      // Rows written since the last crash.
	writesAcked  int        // Number of writes that are acknowledged.
	emits        []Emission // Emissions and dead letters sent since the last crash.
	emitsAcked   int        // Number of emits that are acknowledged.
	durableRow   Row        // Row in the table as of the last crash.
	durableEmits []Emission // Emissions and dead letters that were durable by then.
}

// effects says which writes and emits must be durable before a message may be committed.
type effects struct {
	in            Input
	index         int // Index of the message in its log.
	writes, emits int // Numbers of writes and emits up to this message, inclusive.
}

// deadLetter is the output of invalid orders in this model.
const deadLetter Output = 99

// consume consumes one or more messages of an input: one input can be far behind the other.
func (s *crashingStage) consume(t *rapid.T, in Input) {
	for range rapid.IntRange(1, len(s.log[in])-s.next[in]).Draw(t, "messages") {
		s.consumeOne(t, in)
	}
}

func (s *crashingStage) consumeOne(t *rapid.T, in Input) {
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

// commit commits all messages that may be committed.
func (s *crashingStage) commit() {
	var blocked [2]bool
	for _, p := range s.pending {
		blocked[p.in] = blocked[p.in] || p.writes > s.writesAcked || p.emits > s.emitsAcked
		if !blocked[p.in] {
			s.committed[p.in] = max(s.committed[p.in], p.index+1)
		}
	}
}

// restart ends the process with the first writes and emits of it durable, and starts a new one.
func (s *crashingStage) restart(writes, emits int) {
	if writes > 0 {
		s.durableRow = s.writes[writes-1]
	}
	s.durableEmits = append(s.durableEmits, s.emits[:emits]...)
	s.row, s.next = s.durableRow, s.committed
	s.pending, s.writes, s.writesAcked, s.emits, s.emitsAcked = nil, nil, 0, nil, 0
}

// run consumes both logs to their ends. t draws the interleaving, the acknowledgements and the
// crashes.
func (s *crashingStage) run(t *rapid.T) {
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
			s.consume(t, Arrivals)
		case "report":
			s.consume(t, Reports)
		case "acknowledge":
			s.writesAcked = rapid.IntRange(s.writesAcked, len(s.writes)).Draw(t, "written")
			s.emitsAcked = rapid.IntRange(s.emitsAcked, len(s.emits)).Draw(t, "emitted")
		case "commit":
			s.commit()
		case "crash": // Whatever is not acknowledged may survive or not.
			crashes++
			s.restart(rapid.IntRange(s.writesAcked, len(s.writes)).Draw(t, "writes that survive"),
				rapid.IntRange(s.emitsAcked, len(s.emits)).Draw(t, "emissions that survive"))
		}
	}
	s.restart(len(s.writes), len(s.emits))
}

// withoutCrashes returns the row that an uninterrupted stage ends with.
func withoutCrashes(stage Stage, log [2][]Event) (row Row) {
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

// withOffsets gives the events ascending offsets, with gaps for messages about other orders, and
// the times that go with them.
func withOffsets(t *rapid.T, events []Event) []Event {
	offset := int64(-1)
	for i := range events {
		offset += rapid.Int64Range(1, 3).Draw(t, "offset")
		events[i].Offset, events[i].Time = offset, noon.Add(time.Duration(offset)*time.Second)
	}
	return events
}

// drawArrivals draws one or more arrivals of o. Some of them have a status that is invalid at the
// stage.
func drawArrivals(t *rapid.T, o Order) (events []Event) {
	for i := range rapid.IntRange(1, 4).Draw(t, "arrivals") {
		o := o
		o.Quantity = 1 + i // Makes the copies distinguishable: the first valid one counts.
		if rapid.IntRange(0, 4).Draw(t, "wrong") == 0 {
			o.Status = "shipped"
		}
		events = append(events, Event{Order: &o})
	}
	return withOffsets(t, events)
}

// drawReports draws competing reports of three people about the order, with duplicates near and
// far.
func drawReports(t *rapid.T, stage string) (events []Event) {
	var reports []Report
	for i := range rapid.IntRange(0, maxPending).Draw(t, "reports") {
		var r Report
		if i > 0 && rapid.IntRange(0, 2).Draw(t, "duplicate") == 0 {
			r = rapid.SampledFrom(reports).Draw(t, "duplicated")
		} else {
			r = Report{
				ID: fmt.Sprint(stage, "-", i), OrderID: "o1",
				Kind: rapid.SampledFrom([]Kind{KindComplete, KindReject, KindClaim, KindClaim, KindRelease, KindRelease}).Draw(t, "kind"),
				By:   rapid.SampledFrom([]string{"Ann", "Bob", "Cem"}).Draw(t, "by"),
			}
			if r.Kind == KindReject {
				r.Reason = "because of " + r.ID
			}
			if r.Kind == KindClaim && rapid.Bool().Draw(t, "expires") {
				r.Until = noon.Add(time.Duration(rapid.IntRange(-1, 40).Draw(t, "until")) * time.Millisecond)
			}
		}
		reports = append(reports, r)
		events = append(events, Event{Report: &r})
	}
	return withOffsets(t, events)
}

// TestCrashesLoseAndDoubleNothing checks the guarantee in the comment on Next.
func TestCrashesLoseAndDoubleNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		log := [2][]Event{drawArrivals(t, mixed()), drawReports(t, "baking")}
		s := crashingStage{stage: baking, log: log}
		s.run(t)

		want := withoutCrashes(baking, log)
		if !reflect.DeepEqual(s.durableRow, want) {
			t.Fatalf("the row became\n%+v, without crashes it is\n%+v", s.durableRow, want)
		}
		missing := map[*Order]bool{}
		for _, e := range log[Arrivals] {
			if e.Order.Status != baking.Expects {
				missing[e.Order] = true
			}
		}
		emitted := false
		for _, e := range s.durableEmits {
			if e.To == deadLetter {
				delete(missing, e.Order)
				continue
			}
			emitted = true
			if !reflect.DeepEqual([]Emission{e}, want.Emissions()) {
				t.Fatalf("emitted\n%+v to %d, the row says\n%+v", *e.Order, e.To, want.Emissions())
			}
		}
		if emitted != want.Closed() {
			t.Fatalf("emitted: %t, row closed: %t", emitted, want.Closed())
		}
		if len(missing) > 0 {
			t.Fatalf("%d invalid orders are not among the dead letters", len(missing))
		}
	})
}

// TestCrashesPassEachStageOnce sends an order through five stages that crash. Each of them consumes
// what the one before has emitted, duplicates included.
func TestCrashesPassEachStageOnce(t *testing.T) {
	line := []Stage{
		{Name: "mixing", Expects: StatusPlaced, Done: "mixed"},
		{Name: "baking", Expects: "mixed", Done: "baked"},
		{Name: "decorating", Expects: "baked", Done: "decorated"},
		{Name: "packaging", Expects: "decorated", Done: "packaged"},
		{Name: "shipping", Expects: "packaged", Done: "shipped"},
	}
	rapid.Check(t, func(t *rapid.T) {
		placed := mixed()
		placed.Status, placed.History = StatusPlaced, nil
		arrivals := withOffsets(t, slices.Repeat([]Event{{Order: &placed}}, rapid.IntRange(1, 3).Draw(t, "arrivals")))
		var steps []string
		for i, stage := range line {
			reports := drawReports(t, stage.Name)
			if rapid.IntRange(0, 4).Draw(t, "completed first") > 0 { // Makes most orders reach late stages.
				first := Event{Report: &Report{ID: stage.Name, OrderID: "o1", Kind: KindComplete, By: "Ann"}}
				reports = withOffsets(t, slices.Insert(reports, 0, first))
				reports = reports[:min(len(reports), maxPending)]
			}
			s := crashingStage{stage: stage, log: [2][]Event{arrivals, reports}}
			s.run(t)

			if want := withoutCrashes(stage, s.log); !reflect.DeepEqual(s.durableRow, want) {
				t.Fatalf("%s: the row became\n%+v, without crashes it is\n%+v", stage.Name, s.durableRow, want)
			}
			if s.durableRow.Closed() {
				steps = append(steps, stage.Name)
			}
			var passed []string
			for _, step := range s.durableRow.Order.History {
				passed = append(passed, step.Stage)
			}
			if !slices.Equal(passed, steps) {
				t.Fatalf("the history has the stages %q, want %q", passed, steps)
			}
			arrivals = nil
			for _, e := range s.durableEmits {
				if e.To == Onward {
					arrivals = append(arrivals, Event{Order: e.Order})
				}
			}
			if (len(arrivals) > 0) != (s.durableRow.State == StateCompleted) {
				t.Fatalf("%s is %q and passes on %d orders", stage.Name, s.durableRow.State, len(arrivals))
			}
			if len(arrivals) == 0 {
				return
			}
			arrivals = withOffsets(t, arrivals)
			if i == len(line)-1 && s.durableRow.Order.Status != "shipped" {
				t.Fatalf("at the end of the line the order is %q", s.durableRow.Order.Status)
			}
		}
	})
}

// FuzzNext passes Next rows and events that no run of the line produces.
func FuzzNext(f *testing.F) { f.Fuzz(rapid.MakeFuzz(nextIsPure)) }

func TestNextIsPure(t *testing.T) { rapid.Check(t, nextIsPure) }

func nextIsPure(t *rapid.T) {
	row := Row{
		State:      drawOneOf(t, "state", StateNone, StateEarly, StateWaiting, StateCompleted, StateRejected, "nonsense"),
		Order:      drawOrder(t),
		Claim:      drawOneOf(t, "claim", "", "Ann", "Bob"),
		Until:      time.UnixMilli(drawOffset(t)),
		NextOffset: [2]int64{drawOffset(t), drawOffset(t)},
		Outcomes:   drawSlice(t, 12, func(t *rapid.T) Outcome { return Outcome{ReportID: drawReport(t).ID, Result: ResultAccepted} }),
		Pending:    drawSlice(t, maxPending+2, drawReport),
	}
	e := Event{Offset: drawOffset(t), Time: time.UnixMilli(drawOffset(t))}
	if o, r := drawOrder(t), drawReport(t); rapid.Bool().Draw(t, "order") {
		e.Order = &o
	} else {
		e.Report = &r
	}

	before, d := snapshot(row, e), Next(baking, row, e)
	again := Next(baking, row, e)
	if after := snapshot(row, e); !reflect.DeepEqual(before, after) {
		t.Fatalf("the arguments changed from\n%+v to\n%+v", before, after)
	}
	if !reflect.DeepEqual(d, again) {
		t.Fatalf("decided\n%+v, then\n%+v", d, again)
	}
	if d.Verdict == VerdictForgotten {
		if row.State == StateWaiting || !reflect.DeepEqual(d.Row, Row{}) || len(d.Emissions) > 0 {
			t.Fatalf("deleted the row %+v: %+v", row, d)
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
		t.Fatalf("the verdict is %s, the reason %q", d.Verdict, d.Why)
	}
	if len(d.Emissions) > 0 && !reflect.DeepEqual(d.Emissions, d.Row.Emissions()) {
		t.Fatalf("emits\n%+v, the row says\n%+v", d.Emissions, d.Row.Emissions())
	}
	if len(d.Row.Pending) > max(maxPending, len(row.Pending)) || len(d.Row.Outcomes) > max(maxOutcomes, len(row.Outcomes)) {
		t.Fatalf("%d pending reports, %d outcomes", len(d.Row.Pending), len(d.Row.Outcomes))
	}
}

// snapshot copies the row, the event and everything that they point to, including the spare
// capacity of slices.
func snapshot(row Row, e Event) any {
	copied := []any{row, slices.Clone(fullCapacity(row.Outcomes)), slices.Clone(fullCapacity(row.Pending)), slices.Clone(fullCapacity(row.Order.History))}
	if e.Order != nil {
		return append(copied, e, *e.Order, slices.Clone(fullCapacity(e.Order.History)))
	}
	return append(copied, e, *e.Report)
}

func fullCapacity[T any](s []T) []T { return s[:cap(s)] }

// drawSlice draws a slice with spare capacity, which a careless append would overwrite.
func drawSlice[T any](t *rapid.T, most int, draw func(*rapid.T) T) (s []T) {
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
	o.History = drawSlice(t, maxSteps, func(*rapid.T) Step { return Step{"mixing", "Maria", noon} })
	return o
}
