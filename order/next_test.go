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

// TestNextEveryPair takes a row in each state and gives it each event in each
// way that it can come. The rules below say what is right; the first that
// matches counts, and every one must be needed.
func TestNextEveryPair(t *testing.T) {
	waiting := Row{State: StateWaiting, Order: mixed(), Arrived: noon, NextOffset: [2]int64{5, 10}, Outcomes: []Outcome{{"r0", ResultAccepted, ""}}}
	with := func(change func(*Row)) Row { r := waiting; change(&r); return r }
	rows := []struct {
		state string
		row   Row
	}{
		{"none", Row{}},
		{"early", Row{State: StateEarly, NextOffset: [2]int64{0, 10}, Pending: []Report{{ID: "r0", OrderID: "o1", Kind: KindClaim, By: "Bob", On: noon}}}},
		{"waiting", waiting},
		{"claimed by Ann", with(func(r *Row) { r.Claim = "Ann" })},
		{"claimed by Bob", with(func(r *Row) { r.Claim = "Bob" })},
		{"claimed by Bob until later", with(func(r *Row) { r.Claim, r.Until = "Bob", noon.Add(time.Millisecond) })},
		{"claimed by Bob until now", with(func(r *Row) { r.Claim, r.Until = "Bob", noon })},
		{"finished", with(func(r *Row) { r.State, r.Order.Status = StateCompleted, "baked" })},
		{"refused", with(func(r *Row) { r.State, r.Order.Status, r.Order.Reason = StateRejected, StatusRejected, "burnt" })},
	}
	events := []string{"right arrival", "wrong arrival", "done", "rejected", "claimed", "released", "expired"} // Reports are Ann's.
	ways := []string{"new", "redelivered", "again"}                                                            // Again: the report of a known id at a higher offset.

	const silent Output = -1
	type want struct {
		verdict Verdict
		state   State
		claim   string
		emits   Output
		result  Result // Of the report; empty when the row has none.
	}
	type cell struct {
		state, event, way string
		row               Row
	}
	arrival := func(c cell) bool { return strings.HasSuffix(c.event, "arrival") }
	early := func(c cell) bool { return c.row.State == StateNone || c.row.State == StateEarly }
	same := func(c cell, v Verdict) want { return want{v, c.row.State, c.row.Claim, silent, ""} }
	type rule struct {
		name  string
		match func(cell) bool
		want  func(cell) want
	}
	rules := []rule{
		{"a wrong arrival is misplaced", func(c cell) bool { return c.event == "wrong arrival" }, func(c cell) want { return same(c, VerdictInvalid) }},
		{"a redelivery repeats what was emitted", func(c cell) bool { return c.way == "redelivered" }, func(c cell) want {
			w := same(c, VerdictRedelivered)
			switch c.row.State {
			case StateCompleted:
				w.emits = Onward
			case StateRejected:
				w.emits = Failures
			}
			return w
		}},
		{"only what is waited for does not expire", func(c cell) bool { return c.event == "expired" }, func(c cell) want {
			if c.row.State == StateNone || c.row.State == StateWaiting {
				return same(c, VerdictIgnored)
			}
			return want{VerdictForgotten, StateNone, "", silent, ""}
		}},
		{"an order arrives once", func(c cell) bool { return arrival(c) && !early(c) }, func(c cell) want { return same(c, VerdictIgnored) }},
		{"a report counts once", func(c cell) bool { return c.way == "again" }, func(c cell) want { return same(c, VerdictIgnored) }},
		{"an order arrives", func(c cell) bool { return arrival(c) && c.state == "none" }, func(cell) want { return want{VerdictApplied, StateWaiting, "", silent, ""} }},
		{"pending reports count when it arrives", arrival, func(cell) want { return want{VerdictApplied, StateWaiting, "Bob", silent, ResultAccepted} }},
		{"a report without its order is kept", early, func(cell) want { return want{VerdictApplied, StateEarly, "", silent, ""} }},
		{"a report on what is gone is late", func(c cell) bool { return c.row.Closed() }, func(c cell) want { return want{VerdictApplied, c.row.State, "", silent, ResultTooLate} }},
		{"a claim keeps others out", func(c cell) bool { return c.row.ClaimedBy(noon) == "Bob" }, func(cell) want { return want{VerdictApplied, StateWaiting, "Bob", silent, ResultTaken} }},
		{"done", func(c cell) bool { return c.event == "done" }, func(cell) want { return want{VerdictApplied, StateCompleted, "", Onward, ResultAccepted} }},
		{"rejected", func(c cell) bool { return c.event == "rejected" }, func(cell) want { return want{VerdictApplied, StateRejected, "", Failures, ResultAccepted} }},
		{"claimed", func(c cell) bool { return c.event == "claimed" }, func(cell) want { return want{VerdictApplied, StateWaiting, "Ann", silent, ResultAccepted} }},
		{"released", func(c cell) bool { return c.event == "released" }, func(cell) want { return want{VerdictApplied, StateWaiting, "", silent, ResultAccepted} }},
	}

	used := map[string]bool{}
	for _, r := range rows {
		for _, event := range events {
			for _, way := range ways {
				c := cell{r.state, event, way, r.row}
				e := Event{Offset: 20, Time: noon, Report: &Report{ID: "r1", OrderID: "o1", Kind: Kind(event), By: "Ann"}}
				if arrival(c) {
					o := mixed()
					if event == "wrong arrival" {
						o.Status = "decorated"
					}
					e.Report, e.Order = nil, &o
				} else if event == "rejected" {
					e.Report.Reason = "burnt"
				}
				reportID := "r1"
				if arrival(c) || way != "new" {
					reportID = "r0"
				}
				if e.Report != nil {
					e.Report.ID = reportID
				}
				last := r.row.NextOffset[e.input()] - 1
				switch {
				case way == "redelivered" && last < 0, way == "again" && (arrival(c) || r.state == "none"):
					continue // What changed nothing cannot come again.
				case way == "redelivered":
					e.Offset = last
				}
				i := slices.IndexFunc(rules, func(r rule) bool { return r.match(c) })
				if i < 0 {
					t.Fatalf("no rule covers %q, %s %s", c.state, way, event)
				}
				used[rules[i].name] = true
				t.Run(fmt.Sprintf("%s/%s %s", r.state, way, event), func(t *testing.T) {
					d, w := Next(baking, r.row, e), rules[i].want(c)
					got := want{d.Verdict, d.Row.State, d.Row.Claim, silent, ""}
					if len(d.Emissions) > 0 {
						got.emits = d.Emissions[0].To
					}
					if len(d.Emissions) > 1 {
						t.Errorf("it emits %d orders", len(d.Emissions))
					}
					if o, ok := d.Row.Outcome(reportID); ok && d.Verdict == VerdictApplied {
						got.result = o.Result
					}
					if got != w {
						t.Errorf("%s: got %+v, want %+v", rules[i].name, got, w)
					}
					if (d.Why != "") != (d.Verdict == VerdictInvalid) {
						t.Errorf("%s, because %q", d.Verdict, d.Why)
					}
					applied := r.row.NextOffset
					if d.Verdict == VerdictApplied {
						applied[e.input()] = e.Offset + 1
					} else if d.Verdict == VerdictForgotten {
						applied = [2]int64{}
					} else if !reflect.DeepEqual(d.Row, r.row) {
						t.Errorf("%s changed the row from %+v to %+v", d.Verdict, r.row, d.Row)
					}
					if d.Row.NextOffset != applied {
						t.Errorf("applied %v, want %v", d.Row.NextOffset, applied)
					}
				})
			}
		}
	}
	for _, rule := range rules {
		if !used[rule.name] {
			t.Errorf("no cell needs the rule %q", rule.name)
		}
	}
}

// feed gives a row events at ascending offsets and returns the last decision.
func feed(row Row, events ...any) (d Decision) {
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

func TestNextTakesTheMessagesTime(t *testing.T) {
	o := mixed()
	o.PlacedOn = time.Time{}
	d := feed(Row{}, o, Report{ID: "r1", OrderID: "o1", Kind: KindComplete, By: "Ann"})
	got := []time.Time{feed(Row{}, o).Row.Arrived, d.Row.Order.PlacedOn, d.Row.Order.History[1].On, d.Row.Arrived}
	if want := []time.Time{noon, noon, noon, {}}; !slices.Equal(got, want) {
		t.Errorf("arrived, placed, finished on, arrival afterwards: %v, want %v", got, want)
	}
	own := noon.Add(time.Second)
	d = feed(Row{}, mixed(), Report{ID: "r1", OrderID: "o1", Kind: KindComplete, By: "Ann", On: own})
	got = []time.Time{d.Row.Order.PlacedOn, d.Row.Order.History[1].On}
	if want := []time.Time{mixed().PlacedOn, own}; !slices.Equal(got, want) {
		t.Errorf("placed, finished on %v, want their own times %v", got, want)
	}
}

func TestNextWritesTheHistory(t *testing.T) {
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
		d := feed(Row{}, o, c.report)
		if len(d.Emissions) != 1 || !reflect.DeepEqual(*d.Emissions[0].Order, want) || !reflect.DeepEqual(d.Row.Order, want) {
			t.Errorf("%s: row %+v, emissions %+v, want the order %+v", c.report.Kind, d.Row.Order, d.Emissions, want)
		}
	}
}

func TestNextDecidesPendingReportsInTheirOrder(t *testing.T) {
	r := func(id string, kind Kind, by string) Report {
		return Report{ID: id, OrderID: "o1", Kind: kind, By: by, Digest: "of " + id}
	}
	d := feed(Row{}, r("r1", KindClaim, "Ann"), r("r2", KindComplete, "Bob"), r("r3", KindComplete, "Ann"), r("r4", KindComplete, "Ann"), mixed())
	want := []Outcome{{"r1", ResultAccepted, "of r1"}, {"r2", ResultTaken, "of r2"}, {"r3", ResultAccepted, "of r3"}, {"r4", ResultTooLate, "of r4"}}
	if !reflect.DeepEqual(d.Row.Outcomes, want) || d.Row.State != StateCompleted || d.Row.Pending != nil || len(d.Emissions) != 1 {
		t.Errorf("got %+v, want a finished row with the outcomes %+v", d, want)
	}
}

// TestClaimLapses has Ann claim an order twice and Bob try to have it, by the
// times that the reports name.
func TestClaimLapses(t *testing.T) {
	at := func(id string, kind Kind, by string, seconds int) Report {
		r := Report{ID: id, OrderID: "o1", Kind: kind, By: by, On: noon.Add(time.Duration(seconds) * time.Second)}
		if kind == KindClaim {
			r.Until = r.On.Add(time.Minute)
		}
		return r
	}
	d := feed(Row{}, mixed(), at("r1", KindClaim, "Ann", 0), at("r2", KindClaim, "Bob", 59), at("r3", KindClaim, "Ann", 50), at("r4", KindComplete, "Bob", 109), at("r5", KindClaim, "Bob", 110))
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

func TestNextIsBounded(t *testing.T) {
	reports := func(n int) (events []any) {
		for i := range n {
			events = append(events, Report{ID: fmt.Sprint("r", i), OrderID: "o1", Kind: KindClaim, By: "Ann"})
		}
		return events
	}
	if d := feed(Row{}, reports(maxPending)...); d.Verdict != VerdictApplied || len(d.Row.Pending) != maxPending {
		t.Errorf("after %d early reports: %s with %d pending", maxPending, d.Verdict, len(d.Row.Pending))
	}
	if d := feed(Row{}, reports(maxPending+1)...); d.Verdict != VerdictInvalid || len(d.Row.Pending) != maxPending {
		t.Errorf("after %d early reports: %s with %d pending", maxPending+1, d.Verdict, len(d.Row.Pending))
	}
	d := feed(Row{}, append([]any{mixed()}, reports(maxOutcomes+1)...)...)
	if _, known := d.Row.Outcome("r0"); known || len(d.Row.Outcomes) != maxOutcomes || d.Row.Outcomes[0].ReportID != "r1" {
		t.Errorf("outcomes %+v, want those of the last %d reports", d.Row.Outcomes, maxOutcomes)
	}
	full := mixed()
	full.History = make([]Step, maxSteps)
	if d := feed(Row{}, full); d.Verdict != VerdictInvalid {
		t.Errorf("an order with a full history is %s", d.Verdict)
	}
	full.History = full.History[1:]
	d = feed(Row{}, full, Report{ID: "r1", OrderID: "o1", Kind: KindComplete, By: "Ann"})
	if err := d.Row.Order.Validate(); d.Row.State != StateCompleted || err != nil {
		t.Errorf("an order with room for one step became %s, %v", d.Row.State, err)
	}
}
