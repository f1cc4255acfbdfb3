package order

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	baking = Stage{Name: "baking", Expects: "mixed", Done: "baked"}
	noon   = time.Date(2026, 9, 20, 12, 0, 0, 0, time.UTC)
)

func mixed() Order {
	return Order{
		ID: "o1", Flavour: "Vanilla", Size: "M", Quantity: 6, PlacedOn: noon.Add(-time.Hour), Status: "mixed",
		History: []Step{{"mixing", "Maria", noon.Add(-time.Minute)}},
	}
}

// none is the expected output when no emission is expected.
const none Output = -1

// A situation is an event that meets a row.
type situation struct {
	rowName  string // Description of the row.
	row      Row
	event    string // "right arrival", "wrong arrival" or the kind of a report by Ann.
	delivery string // "new", "redelivered", or "duplicate": a known report ID at a higher offset.
}

// An expectation is what Next should decide in a situation.
type expectation struct {
	verdict Verdict
	state   State
	claim   string
	emits   Output
	result  Result // Outcome of the report; "" if the row has none.
}

// rowsInEveryState returns a row in each state, and in each state of a claim.
func rowsInEveryState() []situation {
	waiting := Row{
		State: StateWaiting, Order: mixed(), Arrived: noon, NextOffset: [2]int64{5, 10},
		Outcomes: []Outcome{{ReportID: "r0", Result: ResultAccepted}},
	}
	with := func(change func(*Row)) Row { r := waiting; change(&r); return r }
	early := Row{
		State: StateEarly, NextOffset: [2]int64{0, 10},
		Pending: []Report{{ID: "r0", OrderID: "o1", Kind: KindClaim, By: "Bob", On: noon}},
	}
	return []situation{
		{rowName: "none", row: Row{}},
		{rowName: "early", row: early},
		{rowName: "waiting", row: waiting},
		{rowName: "claimed by Ann", row: with(func(r *Row) { r.Claim = "Ann" })},
		{rowName: "claimed by Bob", row: with(func(r *Row) { r.Claim = "Bob" })},
		{rowName: "claimed by Bob until later", row: with(func(r *Row) { r.Claim, r.Until = "Bob", noon.Add(time.Millisecond) })},
		{rowName: "claimed by Bob until now", row: with(func(r *Row) { r.Claim, r.Until = "Bob", noon })},
		{rowName: "completed", row: with(func(r *Row) { r.State, r.Order.Status = StateCompleted, "baked" })},
		{rowName: "rejected", row: with(func(r *Row) { r.State, r.Order.Status, r.Order.Reason = StateRejected, StatusRejected, "burnt" })},
	}
}

// everySituation combines each row with each event and each delivery that is possible.
func everySituation() (all []situation) {
	for _, s := range rowsInEveryState() {
		for _, s.event = range []string{"right arrival", "wrong arrival", "done", "rejected", "claimed", "released", "expired"} {
			for _, s.delivery = range []string{"new", "redelivered", "duplicate"} {
				if s.possible() {
					all = append(all, s)
				}
			}
		}
	}
	return all
}

func (s situation) arrival() bool { return strings.HasSuffix(s.event, "arrival") }

// arrived reports whether the order has arrived before the event.
func (s situation) arrived() bool { return s.row.State != StateNone && s.row.State != StateEarly }

// possible reports whether the event can be delivered like this: one that never changed the row
// cannot be redelivered, and an unknown report ID cannot be a duplicate.
func (s situation) possible() bool {
	e, _ := s.build()
	switch s.delivery {
	case "redelivered":
		return s.row.NextOffset[e.input()] > 0
	case "duplicate":
		return !s.arrival() && s.row.State != StateNone
	default:
		return true
	}
}

// build returns the event, and the ID of the report whose outcome it determines. All rows know the
// report r0, but not r1.
func (s situation) build() (e Event, reportID string) {
	e, reportID = Event{Offset: 20, Time: noon}, "r0"
	if s.arrival() {
		o := mixed()
		if s.event == "wrong arrival" {
			o.Status = "decorated"
		}
		e.Order = &o
	} else {
		if s.delivery == "new" {
			reportID = "r1"
		}
		e.Report = &Report{ID: reportID, OrderID: "o1", Kind: Kind(s.event), By: "Ann"}
		if s.event == "rejected" {
			e.Report.Reason = "burnt"
		}
	}
	if s.delivery == "redelivered" {
		e.Offset = s.row.NextOffset[e.input()] - 1
	}
	return e, reportID
}

// unchanged expects that the row does not change and nothing is emitted.
func (s situation) unchanged(v Verdict) expectation {
	return expectation{v, s.row.State, s.row.Claim, none, ""}
}

// always returns a rule's expectation that does not depend on the situation.
func always(v Verdict, state State, claim string, emits Output, result Result) func(situation) expectation {
	return func(situation) expectation { return expectation{v, state, claim, emits, result} }
}

// A rule says what Next should decide in the situations that it matches.
type rule struct {
	name    string
	matches func(situation) bool
	want    func(situation) expectation
}

// nextRules are the rules for Next. The first one that matches a situation applies.
var nextRules = []rule{
	{
		"an arrival with the wrong status is invalid",
		func(s situation) bool { return s.event == "wrong arrival" },
		func(s situation) expectation { return s.unchanged(VerdictInvalid) },
	},
	{
		"a redelivery emits again what was emitted",
		func(s situation) bool { return s.delivery == "redelivered" },
		func(s situation) expectation {
			want := s.unchanged(VerdictRedelivered)
			switch s.row.State {
			case StateCompleted:
				want.emits = Onward
			case StateRejected:
				want.emits = Failures
			}
			return want
		},
	},
	{
		"an absent or a waiting row does not expire",
		func(s situation) bool {
			return s.event == "expired" && (s.row.State == StateNone || s.row.State == StateWaiting)
		},
		func(s situation) expectation { return s.unchanged(VerdictIgnored) },
	},
	{
		"other rows expire",
		func(s situation) bool { return s.event == "expired" },
		always(VerdictForgotten, StateNone, "", none, ""),
	},
	{
		"an order arrives once",
		func(s situation) bool { return s.arrival() && s.arrived() },
		func(s situation) expectation { return s.unchanged(VerdictIgnored) },
	},
	{
		"a report counts once",
		func(s situation) bool { return s.delivery == "duplicate" },
		func(s situation) expectation { return s.unchanged(VerdictIgnored) },
	},
	{
		"an order that arrives waits",
		func(s situation) bool { return s.arrival() && s.row.State == StateNone },
		always(VerdictApplied, StateWaiting, "", none, ""),
	},
	{
		"pending reports are decided when their order arrives",
		func(s situation) bool { return s.arrival() },
		always(VerdictApplied, StateWaiting, "Bob", none, ResultAccepted),
	},
	{
		"a report that overtakes its order is parked",
		func(s situation) bool { return !s.arrived() },
		always(VerdictApplied, StateEarly, "", none, ""),
	},
	{
		"a report on a closed row is too late",
		func(s situation) bool { return s.row.Closed() },
		func(s situation) expectation {
			return expectation{VerdictApplied, s.row.State, "", none, ResultTooLate}
		},
	},
	{
		"a claim excludes others",
		func(s situation) bool { return s.row.ClaimedBy(noon) == "Bob" },
		always(VerdictApplied, StateWaiting, "Bob", none, ResultTaken),
	},
	{
		"a completed order is passed on",
		func(s situation) bool { return s.event == "done" },
		always(VerdictApplied, StateCompleted, "", Onward, ResultAccepted),
	},
	{
		"a rejected order goes to the failures",
		func(s situation) bool { return s.event == "rejected" },
		always(VerdictApplied, StateRejected, "", Failures, ResultAccepted),
	},
	{
		"a claim is stored",
		func(s situation) bool { return s.event == "claimed" },
		always(VerdictApplied, StateWaiting, "Ann", none, ResultAccepted),
	},
	{
		"a release clears the claim",
		func(s situation) bool { return s.event == "released" },
		always(VerdictApplied, StateWaiting, "", none, ResultAccepted),
	},
}

// TestNextDecidesEverySituation checks Next against nextRules. Each situation must match a rule,
// and each rule must be needed.
func TestNextDecidesEverySituation(t *testing.T) {
	used := make([]bool, len(nextRules))
	for _, s := range everySituation() {
		i := slices.IndexFunc(nextRules, func(r rule) bool { return r.matches(s) })
		if i < 0 {
			t.Fatalf("no rule for a %s row, %s %s", s.rowName, s.delivery, s.event)
		}
		used[i] = true
		t.Run(fmt.Sprintf("%s/%s %s", s.rowName, s.delivery, s.event), func(t *testing.T) {
			checkNext(t, s, nextRules[i].name, nextRules[i].want(s))
		})
	}
	for i, u := range used {
		if !u {
			t.Errorf("no situation needs the rule %q", nextRules[i].name)
		}
	}
}

// checkNext checks the decision about a situation, and that the row and its NextOffset change only
// as the verdict says.
func checkNext(t *testing.T, s situation, rule string, want expectation) {
	e, reportID := s.build()
	d := Next(baking, s.row, e)
	got := expectation{d.Verdict, d.Row.State, d.Row.Claim, none, ""}
	if len(d.Emissions) > 0 {
		got.emits = d.Emissions[0].To
	}
	if len(d.Emissions) > 1 {
		t.Errorf("%d emissions, want at most one", len(d.Emissions))
	}
	if o, ok := d.Row.Outcome(reportID); ok && d.Verdict == VerdictApplied {
		got.result = o.Result
	}
	if got != want {
		t.Errorf("%s: got %+v, want %+v", rule, got, want)
	}
	if (d.Why != "") != (d.Verdict == VerdictInvalid) {
		t.Errorf("the verdict is %s, the reason %q", d.Verdict, d.Why)
	}
	nextOffset := s.row.NextOffset
	switch d.Verdict {
	case VerdictApplied:
		nextOffset[e.input()] = e.Offset + 1
	case VerdictForgotten:
		nextOffset = [2]int64{}
	default:
		if !reflect.DeepEqual(d.Row, s.row) {
			t.Errorf("%s changed the row from %+v to %+v", d.Verdict, s.row, d.Row)
		}
	}
	if d.Row.NextOffset != nextOffset {
		t.Errorf("next offsets %v, want %v", d.Row.NextOffset, nextOffset)
	}
}

// apply gives a row orders and reports at ascending offsets and returns the last decision.
func apply(row Row, events ...any) (d Decision) {
	d.Row = row
	for i, v := range events {
		e := Event{Offset: int64(100 + i), Time: noon}
		switch v := v.(type) {
		case Order:
			e.Order = &v
		case Report:
			e.Report = &v
		}
		d = Next(baking, d.Row, e)
	}
	return d
}

func TestNextDefaultsToTheTimeOfTheMessage(t *testing.T) {
	o := mixed()
	o.PlacedOn = time.Time{}
	d := apply(Row{}, o, Report{ID: "r1", OrderID: "o1", Kind: KindComplete, By: "Ann"})
	got := []time.Time{apply(Row{}, o).Row.Arrived, d.Row.Order.PlacedOn, d.Row.Order.History[1].On, d.Row.Arrived}
	if want := []time.Time{noon, noon, noon, {}}; !slices.Equal(got, want) {
		t.Errorf("arrived, placed, completed, arrived once completed: %v, want %v", got, want)
	}
	own := noon.Add(time.Second)
	d = apply(Row{}, mixed(), Report{ID: "r1", OrderID: "o1", Kind: KindComplete, By: "Ann", On: own})
	got = []time.Time{d.Row.Order.PlacedOn, d.Row.Order.History[1].On}
	if want := []time.Time{mixed().PlacedOn, own}; !slices.Equal(got, want) {
		t.Errorf("placed, completed: %v, want the times of the order and of the report %v", got, want)
	}
}

func TestNextAppendsToTheHistory(t *testing.T) {
	o := mixed()
	o.Unknown = []byte(`{"gift":true}`)
	for _, c := range []struct {
		report Report
		change func(*Order)
	}{
		{Report{Kind: KindComplete}, func(o *Order) { o.Status = "baked" }},
		{Report{Kind: KindReject, Reason: "burnt"}, func(o *Order) { o.Status, o.Reason = StatusRejected, "burnt" }},
	} {
		c.report.ID, c.report.OrderID, c.report.By = "r1", "o1", "Ann"
		want := o
		c.change(&want)
		want.History = append(slices.Clone(o.History), Step{"baking", "Ann", noon})
		d := apply(Row{}, o, c.report)
		if len(d.Emissions) != 1 || !reflect.DeepEqual(*d.Emissions[0].Order, want) || !reflect.DeepEqual(d.Row.Order, want) {
			t.Errorf("%s: row %+v, emissions %+v, want the order %+v", c.report.Kind, d.Row.Order, d.Emissions, want)
		}
	}
}

func TestNextDecidesPendingReportsInOrder(t *testing.T) {
	r := func(id string, kind Kind, by string) Report {
		return Report{ID: id, OrderID: "o1", Kind: kind, By: by, Digest: "of " + id}
	}
	d := apply(Row{}, r("r1", KindClaim, "Ann"), r("r2", KindComplete, "Bob"), r("r3", KindComplete, "Ann"), r("r4", KindComplete, "Ann"), mixed())
	want := []Outcome{{"r1", ResultAccepted, "of r1"}, {"r2", ResultTaken, "of r2"}, {"r3", ResultAccepted, "of r3"}, {"r4", ResultTooLate, "of r4"}}
	if !reflect.DeepEqual(d.Row.Outcomes, want) || d.Row.State != StateCompleted || d.Row.Pending != nil || len(d.Emissions) != 1 {
		t.Errorf("got %+v, want a completed row with the outcomes %+v", d, want)
	}
}

// TestNextExpiresClaims has Ann claim an order twice while Bob tries to get it. The times of the
// reports decide, not a clock.
func TestNextExpiresClaims(t *testing.T) {
	at := func(id string, kind Kind, by string, seconds int) Report {
		r := Report{ID: id, OrderID: "o1", Kind: kind, By: by, On: noon.Add(time.Duration(seconds) * time.Second)}
		if kind == KindClaim {
			r.Until = r.On.Add(time.Minute)
		}
		return r
	}
	d := apply(Row{}, mixed(), at("r1", KindClaim, "Ann", 0), at("r2", KindClaim, "Bob", 59), at("r3", KindClaim, "Ann", 50), at("r4", KindComplete, "Bob", 109), at("r5", KindClaim, "Bob", 110))
	want := []Outcome{{"r1", ResultAccepted, ""}, {"r2", ResultTaken, ""}, {"r3", ResultAccepted, ""}, {"r4", ResultTaken, ""}, {"r5", ResultAccepted, ""}}
	if !reflect.DeepEqual(d.Row.Outcomes, want) || d.Row.Claim != "Bob" || !d.Row.Until.Equal(noon.Add(170*time.Second)) {
		t.Errorf("got %+v, want Bob's row with the outcomes %+v", d.Row, want)
	}
	for kind, until := range map[Kind]time.Time{KindRelease: {}, KindComplete: {}, KindReject: {}, KindClaim: noon.Add(180 * time.Second)} {
		r := at("r6", kind, "Bob", 120)
		if kind == KindReject {
			r.Reason = "burnt"
		}
		if d := Next(baking, d.Row, Event{Offset: d.Row.NextOffset[Reports], Report: &r}); !d.Row.Until.Equal(until) || (d.Row.Claim == "") != until.IsZero() {
			t.Errorf("after %s the row is claimed by %q until %v", kind, d.Row.Claim, d.Row.Until)
		}
	}
}

func TestNextBoundsTheRow(t *testing.T) {
	reports := func(n int) (events []any) {
		for i := range n {
			events = append(events, Report{ID: fmt.Sprint("r", i), OrderID: "o1", Kind: KindClaim, By: "Ann"})
		}
		return events
	}
	if d := apply(Row{}, reports(maxPending)...); d.Verdict != VerdictApplied || len(d.Row.Pending) != maxPending {
		t.Errorf("after %d early reports: %s with %d pending", maxPending, d.Verdict, len(d.Row.Pending))
	}
	if d := apply(Row{}, reports(maxPending+1)...); d.Verdict != VerdictInvalid || len(d.Row.Pending) != maxPending {
		t.Errorf("after %d early reports: %s with %d pending", maxPending+1, d.Verdict, len(d.Row.Pending))
	}
	d := apply(Row{}, append([]any{mixed()}, reports(maxOutcomes+1)...)...)
	if _, known := d.Row.Outcome("r0"); known || len(d.Row.Outcomes) != maxOutcomes || d.Row.Outcomes[0].ReportID != "r1" {
		t.Errorf("outcomes %+v, want those of the last %d reports", d.Row.Outcomes, maxOutcomes)
	}
	full := mixed()
	full.History = make([]Step, maxSteps)
	if d := apply(Row{}, full); d.Verdict != VerdictInvalid {
		t.Errorf("an order with a full history is %s", d.Verdict)
	}
	full.History = full.History[1:]
	d = apply(Row{}, full, Report{ID: "r1", OrderID: "o1", Kind: KindComplete, By: "Ann"})
	if err := d.Row.Order.Validate(); d.Row.State != StateCompleted || err != nil {
		t.Errorf("an order with room for one step became %s, %v", d.Row.State, err)
	}
}
