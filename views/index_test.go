package views

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ecupcakes/ecupcakes/codecs"
	"github.com/ecupcakes/ecupcakes/order"
	"github.com/ecupcakes/ecupcakes/topology"

	"pgregory.net/rapid"
)

const deadline = 30 * time.Second

var (
	quiet    = slog.New(slog.DiscardHandler)
	placedOn = time.Date(2026, 11, 25, 9, 0, 0, 0, time.UTC)
	line     = topology.Cupcakes
)

// row is a value in the changelog of a stage's table.
type row struct {
	stage  int
	id     string
	offset int64
	value  []byte
}

func (v *Views) put(rows ...row) {
	for _, r := range rows {
		v.index.update(r.stage, r.id, r.offset, r.value, "")
	}
}

// factory passes orders through the line like the processors, and records what they write to the
// tables.
type factory struct {
	rows    []map[string]order.Row // Current rows by stage and order.
	written [][]row                // Records by stage, in the sequence of writing.
	events  int64                  // Number of events so far, from which offsets and times derive.
}

func newFactory() *factory {
	f := &factory{written: make([][]row, len(line.Stages))}
	for range line.Stages {
		f.rows = append(f.rows, map[string]order.Row{})
	}
	return f
}

// now returns a time that advances with each event.
func (f *factory) now() time.Time { return placedOn.Add(time.Duration(f.events) * time.Second) }

func (f *factory) event(stage int, id string, e order.Event) {
	f.events++
	e.Offset, e.Time = f.events, f.now()
	d := order.Next(line.DecisionStage(stage), f.rows[stage][id], e)
	if d.Verdict != order.VerdictApplied {
		return
	}
	value, err := codecs.Row{}.Encode(&d.Row)
	if err != nil {
		panic(err)
	}
	f.rows[stage][id] = d.Row
	f.written[stage] = append(f.written[stage], row{stage, id, int64(len(f.written[stage])), value})
	for _, emission := range d.Emissions {
		if emission.To == order.Onward && stage+1 < len(line.Stages) {
			f.event(stage+1, id, order.Event{Order: emission.Order})
		}
	}
}

func (f *factory) place(id string) {
	f.event(0, id, order.Event{Order: &order.Order{ID: id, Flavour: "Vanilla", Size: "M", Quantity: 1, PlacedOn: f.now(), Status: order.StatusPlaced}})
}

// report sends a report, with an idempotency key if digest is not empty.
func (f *factory) report(stage int, id string, kind order.Kind, reportID, digest string) {
	r := &order.Report{ID: reportID, OrderID: id, Kind: kind, By: "Ana", On: f.now(), Digest: digest}
	if kind == order.KindReject {
		r.Reason = "burnt"
	}
	if kind == order.KindClaim && f.events%3 == 0 {
		r.Until = time.UnixMilli(1) // It has expired by now.
	}
	f.event(stage, id, order.Event{Report: r})
}

func (f *factory) done(id string, stages ...int) {
	for _, s := range stages {
		f.report(s, id, order.KindComplete, order.NewID(), "")
	}
}

// all returns the records of all tables, stage by stage.
func (f *factory) all() []row { return slices.Concat(f.written...) }

// aFactory draws the events of some orders, including reports that are early, late or duplicated.
func aFactory(t *rapid.T) *factory {
	f := newFactory()
	orders := rapid.IntRange(1, 5).Draw(t, "orders")
	for range rapid.IntRange(1, 40).Draw(t, "events") {
		id := fmt.Sprint("o", rapid.IntRange(1, orders).Draw(t, "order"))
		kind := rapid.SampledFrom([]order.Kind{"placed", order.KindComplete, order.KindComplete, order.KindComplete, order.KindClaim, order.KindRelease, order.KindReject}).Draw(t, "what")
		if kind == "placed" {
			f.place(id)
			continue
		}
		stage := rapid.IntRange(0, len(line.Stages)-1).Draw(t, "stage")
		if rapid.Bool().Draw(t, "where it is") {
			stage = f.furthest(id)
		}
		key := fmt.Sprint(id, rapid.IntRange(1, 8).Draw(t, "report"), stage) // As many as a row keeps.
		digest := rapid.SampledFrom([]string{"", "d"}).Draw(t, "digest")
		f.report(stage, id, kind, order.DeriveID(key), digest)
	}
	return f
}

// furthest returns the last stage at which the order has arrived, 0 if it is unknown.
func (f *factory) furthest(id string) int {
	for s := len(f.rows) - 1; s > 0; s-- {
		if r := f.rows[s][id]; r.State != order.StateNone && r.State != order.StateEarly {
			return s
		}
	}
	return 0
}

// merge draws one of the sequences in which the tables can deliver their records.
func (f *factory) merge(t *rapid.T) (merged []row) {
	rest := slices.Clone(f.written)
	for {
		rest = slices.DeleteFunc(rest, func(rows []row) bool { return len(rows) == 0 })
		if len(rest) == 0 {
			return merged
		}
		i := rapid.IntRange(0, len(rest)-1).Draw(t, "table")
		merged, rest[i] = append(merged, rest[i][0]), rest[i][1:]
	}
}

// answers holds the results of all queries that do not block.
type answers struct {
	Latest   []Order
	Waiting  [][]Order
	Stations []Station
	Counts   map[order.Status]int
	Reports  map[string]Known
	Claims   []Claim
}

func (v *Views) answers() (a answers) {
	a.Latest, _, _ = v.Latest(Filter{}, Cursor{}, 1000)
	for i := range line.Stages {
		waiting, n, _ := v.Waiting(i, 1000)
		if n != len(waiting) {
			panic("the count of the waiting is not their number")
		}
		a.Waiting = append(a.Waiting, waiting)
	}
	a.Stations, a.Counts = v.Stations()
	for s, n := range a.Counts {
		if n == 0 {
			delete(a.Counts, s)
		}
	}
	a.Claims = v.Claims()
	sortClaims(a.Claims)
	a.Reports = map[string]Known{}
	for id := range v.index.reports {
		a.Reports[id.String()], _ = v.Report(id.String())
	}
	return a
}

// answers returns the right answers once all tables are read, computed from the current rows.
func (f *factory) answers() answers {
	a := answers{Counts: map[order.Status]int{}, Reports: map[string]Known{}}
	a.Waiting, a.Stations = make([][]Order, len(line.Stages)), make([]Station, len(line.Stages))
	for s := range line.Stages {
		for id, r := range f.rows[s] {
			for _, o := range r.Outcomes {
				if o.Digest != "" {
					a.Reports[o.ReportID] = Known{id, s, o}
				}
			}
			if s != f.furthest(id) || r.State == order.StateEarly {
				continue
			}
			o := Order{
				Order: r.Order, At: s, State: r.State, Arrived: r.Arrived, Claim: r.ClaimedBy(time.Now()),
				ETag: fmt.Sprintf(`"%d-%d-%d"`, s, r.NextOffset[0], r.NextOffset[1]),
			}
			a.Latest = append(a.Latest, o)
			a.Counts[r.Order.Status]++
			if r.State == order.StateWaiting {
				a.Waiting[s] = append(a.Waiting[s], o)
			}
			if o.Claim != "" {
				a.Claims = append(a.Claims, Claim{id, s, o.Claim, r.Until})
			}
		}
	}
	sortClaims(a.Claims)
	slices.SortFunc(a.Latest, func(a, b Order) int { return b.PlacedOn.Compare(a.PlacedOn) })
	for s, waiting := range a.Waiting {
		slices.SortFunc(waiting, func(a, b Order) int { return a.Arrived.Compare(b.Arrived) })
		a.Stations[s].Waiting = len(waiting)
		if len(waiting) > 0 {
			a.Stations[s].Oldest = waiting[0].Arrived
		} else {
			a.Waiting[s] = []Order{}
		}
	}
	return a
}

func sortClaims(claims []Claim) {
	slices.SortFunc(claims, func(a, b Claim) int { return strings.Compare(a.OrderID, b.OrderID) })
}

func wantAnswers(t rapid.TB, v *Views, want answers) {
	t.Helper()
	if got := v.answers(); !reflect.DeepEqual(got, want) {
		t.Fatalf("the answers are\n%+v, want\n%+v", got, want)
	}
}

// Kafka guarantees no order between tables. The answers do not depend on it.
func TestAnswersDoNotDependOnTheOrderOfTables(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f, v := aFactory(t), New(line, quiet)
		v.put(f.merge(t)...)
		want := f.answers()
		wantAnswers(t, v, want)
		for _, o := range want.Latest {
			if got, ok := v.Order(o.ID); !ok || !reflect.DeepEqual(got, o) {
				t.Fatalf("order %s is %+v, want %+v", o.ID, got, o)
			}
		}
	})
}

// A table may be reread from any offset.
func TestRereadingMovesNoOrderBackwards(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f, v := aFactory(t), New(line, quiet)
		rows := f.merge(t)
		v.put(rows...)
		want, position := v.answers(), v.feed.position()
		for i, r := range f.merge(t) {
			v.put(r)
			if got := v.answers(); !reflect.DeepEqual(got, want) {
				t.Fatalf("row %d, read again, changed the answers to\n%+v, from\n%+v", i, got, want)
			}
		}
		if got := v.feed.position(); got != position {
			t.Fatalf("rereading made %d changes", got-position)
		}
	})
}

// A processor that has lost its partitions may still write a row that was in flight: an older row
// at a higher offset.
func TestLateWriteOfAnOldRowIsIgnored(t *testing.T) {
	f, v := newFactory(), New(line, quiet)
	f.place("o1")
	f.done("o1", 0)
	waiting := f.written[0][0]
	v.put(f.written[0]...)
	want := v.answers()
	waiting.offset = 99
	v.put(waiting)
	wantAnswers(t, v, want)
}

func TestTombstoneOfTheFurthestStageDeletes(t *testing.T) {
	f, v := newFactory(), New(line, quiet)
	f.place("o1")
	f.report(0, "o1", order.KindComplete, order.DeriveID("k"), "d")
	f.place("o2")
	v.put(f.all()...)
	v.put(row{stage: 0, id: "o1", offset: 50}, row{stage: 3, id: "o1", offset: 50}, row{stage: 0, id: "none", offset: 51})
	if o, ok := v.Order("o1"); !ok || o.At != 1 {
		t.Fatalf("without its row at another stage the order is %+v, %v", o, ok)
	}
	before := v.feed.position()
	v.put(row{stage: 1, id: "o1", offset: 52})
	if o, ok := v.Order("o1"); ok {
		t.Errorf("the deleted order is %+v", o)
	}
	if known, ok := v.Report(order.DeriveID("k")); ok {
		t.Errorf("the report about the deleted order is known: %+v", known)
	}
	changes, err := v.Changes(t.Context(), before)
	if err != nil || len(changes) != 1 || changes[0] != (Change{Position: before + 1, ID: "o1", Left: 1, Arrived: -1}) {
		t.Errorf("the changes are %+v, %v", changes, err)
	}
	alone := New(line, quiet)
	alone.put(f.written[0][len(f.written[0])-1])
	wantAnswers(t, v, alone.answers())
}

// ids returns the IDs of orders.
func ids(orders []Order) (ids []string) {
	for _, o := range orders {
		ids = append(ids, o.ID)
	}
	return ids
}

func TestQueuesAreSortedByArrival(t *testing.T) {
	f, v := newFactory(), New(line, quiet)
	for _, id := range []string{"a", "b", "c", "d"} {
		f.place(id)
	}
	f.done("c", 0)
	f.done("a", 0)
	f.done("d", 0, 1)
	f.done("b", 0)
	v.put(f.all()...)
	for stage, want := range [][]string{nil, {"c", "a", "b"}, {"d"}, nil, nil} {
		if waiting, n, _ := v.Waiting(stage, 10); !slices.Equal(ids(waiting), want) || n != len(want) {
			t.Errorf("%d wait at stage %d: %v, want %v", n, stage, ids(waiting), want)
		}
	}
	waiting, n, _ := v.Waiting(1, 2)
	if !slices.Equal(ids(waiting), []string{"c", "a"}) || n != 3 {
		t.Errorf("the first two of %d are %v", n, ids(waiting))
	}
	stations, _ := v.Stations()
	if stations[1] != (Station{3, waiting[0].Arrived}) || stations[0] != (Station{}) {
		t.Errorf("the stations are %+v", stations)
	}
	f.report(1, "c", order.KindClaim, "r1", "") // An update keeps the place in the queue.
	v.put(f.all()...)
	if waiting, _, _ := v.Waiting(1, 10); !slices.Equal(ids(waiting), []string{"c", "a", "b"}) || waiting[0].Claim != "Ana" {
		t.Errorf("after a claim %+v wait", waiting)
	}
}

func TestLatestPagesDoNotShift(t *testing.T) {
	f, v := newFactory(), New(line, quiet)
	var want []string
	for i := range 10 {
		f.place(fmt.Sprint("old", i))
		want = append(want, fmt.Sprint("old", 9-i))
	}
	v.put(f.all()...)
	var got []string
	var from Cursor
	for page := 0; ; page++ {
		orders, next, more := v.Latest(Filter{}, from, 3)
		got, from = append(got, ids(orders)...), next
		if more != (len(got) < len(want)) || len(orders) > 3 {
			t.Fatalf("page %d is %v, more %v", page, ids(orders), more)
		}
		if !more {
			break
		}
		f.place(fmt.Sprint("new", page))
		f.done(next.ID, 0)
		v.put(f.all()...)
		if page == 1 { // Even the order at the cursor may be deleted.
			v.put(row{stage: 1, id: next.ID, offset: 1 << 20})
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("the pages have %v, want %v", got, want)
	}
	if orders, _, more := v.Latest(Filter{}, from, 3); len(orders) > 0 || more {
		t.Errorf("behind the last page are %v, more %v", ids(orders), more)
	}
	if orders, _, _ := v.Latest(Filter{}, Cursor{}, 2); !slices.Equal(ids(orders), []string{"new2", "new1"}) {
		t.Errorf("the newest are %v", ids(orders))
	}
}

func TestLatestFiltersByStatusAndStage(t *testing.T) {
	f, v := newFactory(), New(line, quiet)
	for _, id := range []string{"placed", "mixed", "moving", "leaving", "shipped", "rejected"} {
		f.place(id)
	}
	f.done("mixed", 0)
	f.done("moving", 0, 1)
	f.done("leaving", 0, 1, 2, 3)
	f.done("shipped", 0, 1, 2, 3, 4)
	f.report(0, "rejected", order.KindReject, "r1", "")
	for _, r := range f.all() {
		next := map[string]int{"moving": 2, "leaving": 4}[r.id] // The stage to which the order is on its way.
		if next == 0 || r.stage < next {
			v.put(r)
		}
	}
	at := func(stage int) *int { return &stage }
	for _, c := range []struct {
		Filter
		want []string
	}{
		{Filter{}, []string{"rejected", "shipped", "leaving", "moving", "mixed", "placed"}},
		{Filter{Status: "placed"}, []string{"placed"}},
		{Filter{Status: "Mixed"}, []string{"mixed"}},
		{Filter{Status: "baked"}, []string{"moving"}},
		{Filter{Status: "rejected"}, []string{"rejected"}},
		{Filter{Status: "none"}, nil},
		{Filter{Stage: at(0)}, []string{"placed"}},
		{Filter{Stage: at(1)}, []string{"mixed"}},
		{Filter{Stage: at(2)}, []string{"moving"}},
		{Filter{Stage: at(3)}, nil},
		{Filter{Stage: at(4)}, []string{"leaving"}},
		{Filter{Status: "mixed", Stage: at(0)}, nil},
	} {
		if got, _, more := v.Latest(c.Filter, Cursor{}, len(c.want)+1); !slices.Equal(ids(got), c.want) || more {
			t.Errorf("%+v selects %v, more %v, want %v", c.Filter, ids(got), more, c.want)
		}
	}
	counts := v.answers().Counts
	if want := map[order.Status]int{"placed": 1, "mixed": 1, "baked": 1, "packaged": 1, "shipped": 1, "rejected": 1}; !reflect.DeepEqual(counts, want) {
		t.Errorf("the counts are %v, want %v", counts, want)
	}
	for id, want := range map[string]int{"placed": 0, "mixed": 1, "moving": 2, "leaving": 4, "shipped": -1, "rejected": -1} {
		if o, ok := v.Order(id); !ok || o.Present(v.line) != want {
			t.Errorf("%s is at stage %d, %v, want %d", id, o.Present(v.line), ok, want)
		}
	}
}

// The row of the next stage may be read before the row with the outcome.
func TestPendingReportFindsItsOutcome(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	for _, order := range [][]int{{0, 1}, {1, 0}} {
		f, v := newFactory(), New(line, quiet)
		f.place("o1")
		v.put(f.all()...)
		w := v.AwaitReport(0, "o1", "r1")
		f.report(0, "o1", "done", "r1", "")
		for _, stage := range order {
			v.put(f.written[stage]...)
		}
		outcome, o, err := w.Outcome(ctx)
		if err != nil || outcome.Result != "accepted" || o.Status != "mixed" || o.At != 1 {
			t.Errorf("tables in the order %v: %+v, %+v, %v", order, outcome, o, err)
		}
		w.Close()
		if len(v.index.watched) > 0 {
			t.Errorf("watchers are left: %v", v.index.watched)
		}
	}
}

func TestAwaitReturnsOnceTheOrderChanges(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	f, v := newFactory(), New(line, quiet)
	w := v.AwaitReport(0, "o1", "r1")
	defer w.Close()
	errs := make(chan error, 3)
	go func() {
		o, err := v.Await(ctx, "o1", func(o Order) bool { return o.At == 1 })
		if err == nil && (o.ID != "o1" || o.At != 1) {
			err = fmt.Errorf("waited for %+v", o)
		}
		errs <- err
	}()
	go func() {
		outcome, _, err := w.Outcome(ctx)
		if err == nil && outcome != (order.Outcome{ReportID: "r1", Result: order.ResultAccepted}) {
			err = fmt.Errorf("the outcome is %+v", outcome)
		}
		errs <- err
	}()
	go func() {
		_, err := v.Changes(ctx, 0)
		errs <- err
	}()
	f.place("o2")
	f.place("o1")
	f.report(0, "o1", order.KindComplete, "r1", "")
	v.put(f.all()...)
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

func TestAwaitEndsWithItsContext(t *testing.T) {
	v := New(line, quiet)
	w := v.AwaitReport(0, "o1", "r1")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, awaited := v.Await(ctx, "o1", func(Order) bool { return true })
	_, _, watched := w.Outcome(ctx)
	_, followed := v.Changes(ctx, 0)
	for _, err := range []error{awaited, watched, followed} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("a cancelled wait ended with %v", err)
		}
	}
	w.Close()
	if len(v.index.watched) > 0 {
		t.Errorf("watchers are left: %v", v.index.watched)
	}
}

func TestReportIsKnownByItsKey(t *testing.T) {
	f, v := newFactory(), New(line, quiet)
	key, late, without := order.DeriveID("k"), order.DeriveID("late"), order.DeriveID("without")
	f.place("o1")
	f.report(0, "o1", order.KindComplete, key, "d")
	f.report(0, "o1", order.KindReject, late, "e")
	f.report(1, "o1", order.KindComplete, without, "")
	f.done("o1", 2, 3)
	v.put(f.all()...)
	for id, want := range map[string]Known{
		key:  {"o1", 0, order.Outcome{ReportID: key, Result: order.ResultAccepted, Digest: "d"}},
		late: {"o1", 0, order.Outcome{ReportID: late, Result: order.ResultTooLate, Digest: "e"}},
	} {
		if known, ok := v.Report(id); !ok || known != want {
			t.Errorf("report %s is %+v, %v, want %+v", id, known, ok, want)
		}
	}
	for _, id := range []string{without, order.DeriveID("never"), "no UUID"} {
		if known, ok := v.Report(id); ok {
			t.Errorf("report %s is %+v", id, known)
		}
	}
}

func TestUndecodableRowsAreIgnored(t *testing.T) {
	f, v := newFactory(), New(line, quiet)
	f.place("o1")
	v.put(f.all()...)
	want, position := v.answers(), v.feed.position()
	for _, bad := range []string{"", "{", "\xff", `{"v":2}`, `{"state":"lost"}`, `{"state":"waiting"}`, "null"} {
		if got := v.index.update(1, "o1", 1, []byte(bad), ""); got == nil || got.Why == "" {
			t.Errorf("the row %q is undecodable because %v", bad, got)
		}
	}
	early, other := newFactory(), newFactory()
	early.report(1, "o1", order.KindComplete, "r1", "")
	other.place("o2")
	for name, r := range map[string]row{"an early row": early.written[1][0], "a row under another key": {1, "o1", 1, other.written[0][0].value}} {
		if bad := v.index.update(r.stage, r.id, r.offset, r.value, ""); bad != nil {
			t.Errorf("%s is undecodable: %s", name, bad.Why)
		}
	}
	wantAnswers(t, v, want)
	if got := v.feed.position(); got != position {
		t.Errorf("undecodable rows made %d changes", got-position)
	}
}

func TestChangesReportQueues(t *testing.T) {
	f, v := newFactory(), New(line, quiet)
	seen := 0
	want := func(what string, changes ...Change) {
		t.Helper()
		position := v.feed.position()
		v.put(f.all()...)
		for i := range changes {
			changes[i].Position, changes[i].ID = position+uint64(i)+1, "o1"
		}
		if got := v.feed.position() - position; got != uint64(len(changes)) {
			t.Fatalf("%s made %d changes, want %d", what, got, len(changes))
		}
		if len(changes) == 0 {
			return
		}
		got, err := v.Changes(t.Context(), position)
		if err != nil {
			t.Fatal(err)
		}
		for i, c := range got {
			if c.Arrived >= 0 && (c.Order().ID != "o1" || c.Order().At != c.Arrived || c.Order().State != order.StateWaiting) {
				t.Errorf("%s: the order of the change is %+v", what, c.Order())
			}
			c.entry = nil
			if c != changes[i] {
				t.Errorf("%s: change %+v, want %+v", what, c, changes[i])
			}
		}
		seen += len(got)
	}
	f.place("o1")
	want("an arrival", Change{Left: -1, Arrived: 0})
	f.report(0, "o1", order.KindClaim, "r1", "")
	want("a claim", Change{Left: -1, Arrived: 0})
	f.done("o1", 0)
	want("a step", Change{Left: 0, Arrived: -1}, Change{Left: -1, Arrived: 1})
	f.report(0, "o1", order.KindComplete, "r2", "")
	want("a late report")
	last := f.written[1][len(f.written[1])-1]
	f.done("o1", 1)
	for i, rows := range f.written { // The tables of later stages are read first.
		if i != 1 {
			v.put(rows...)
		}
	}
	got, err := v.Changes(t.Context(), uint64(seen))
	if err != nil || len(got) != 1 || got[0].Left != last.stage || got[0].Arrived != 2 {
		t.Errorf("the change is %+v, %v", got, err)
	}
	want("the row that came late")
	f.report(2, "o1", order.KindReject, "r3", "")
	want("a rejection", Change{Left: 2, Arrived: -1})
}

func TestChangesReturnErrGap(t *testing.T) {
	f := newFeed(4)
	for range 6 {
		f.push(Change{})
	}
	for after, want := range map[uint64]int{2: 4, 3: 3, 5: 1} {
		changes, err := f.changes(t.Context(), after)
		if err != nil || len(changes) != want || changes[0].Position != after+1 || changes[want-1].Position != 6 {
			t.Errorf("after %d: %+v, %v", after, changes, err)
		}
	}
	for _, after := range []uint64{0, 1} {
		if changes, err := f.changes(t.Context(), after); !errors.Is(err, ErrGap) {
			t.Errorf("after %d: %+v, %v", after, changes, err)
		}
	}
}

// A reader that takes a snapshot of a queue and then follows the changes has the current queue at
// any time. The screens work like this.
func TestChangesContinueTheSnapshot(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f, v := aFactory(t), New(line, quiet)
		rows := f.merge(t)
		start := rapid.IntRange(0, len(rows)).Draw(t, "snapshot")
		v.put(rows[:start]...)
		screens := make([]map[string]string, len(line.Stages)) // ETags by order ID.
		var from uint64
		for i := range screens {
			screens[i] = map[string]string{}
			waiting, _, position := v.Waiting(i, 1000)
			for _, o := range waiting {
				screens[i][o.ID] = o.ETag
			}
			from = position
		}
		v.put(rows[start:]...)
		if v.feed.position() > from {
			changes, err := v.Changes(context.Background(), from)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range changes {
				if c.Left >= 0 {
					if _, there := screens[c.Left][c.ID]; !there {
						t.Fatalf("%s left the queue of stage %d, in which it was not", c.ID, c.Left)
					}
					delete(screens[c.Left], c.ID)
				}
				if c.Arrived >= 0 {
					screens[c.Arrived][c.ID] = c.Order().ETag
				}
			}
		}
		for i, screen := range screens {
			want := map[string]string{}
			waiting, _, _ := v.Waiting(i, 1000)
			for _, o := range waiting {
				want[o.ID] = o.ETag
			}
			if !reflect.DeepEqual(screen, want) {
				t.Fatalf("the screen of stage %d shows %v, want %v", i, screen, want)
			}
		}
	})
}
