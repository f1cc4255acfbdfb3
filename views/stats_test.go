package views

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/ecupcakes/ecupcakes/order"
	"github.com/ecupcakes/ecupcakes/views/stats"

	"pgregory.net/rapid"
)

func later() time.Time { return placedOn.Add(time.Hour) }

// figures returns all statistics of the line.
func figures(l *stats.Figures) (all []any) {
	from, series := l.Series(later(), stats.Hours)
	all = append(all, l.Stages(later()), from, series)
	for i := range line.Stages {
		all = append(all, fmt.Sprint(l.Recent(i)))
	}
	return all
}

// The figures equal those computed from the current orders, whatever the sequence of the tables,
// rereads, rows written by hand and expired orders.
func TestStatsEqualThoseOfTheCurrentOrders(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f, v := aFactory(t), New(line, quiet)
		v.index.stats = stats.New(len(line.Stages), later)
		if rapid.Bool().Draw(t, "by hand") {
			o := order.Order{
				ID: "o1", Flavour: "Vanilla", Size: "M", Quantity: 1, PlacedOn: placedOn, Status: line.Expects(2),
				History: []order.Step{{Stage: "tasting", By: "Ann", On: placedOn}, {Stage: "mixing", By: "Ann"}, {Stage: "baking", By: "Ann", On: placedOn.Add(time.Minute)}},
			}
			f.event(2, "o1", order.Event{Order: &o})
		}
		rows := f.merge(t)
		for _, r := range rows {
			v.put(r)
			if rapid.IntRange(0, 9).Draw(t, "forget") == 0 {
				v.put(row{r.stage, r.id, r.offset + 1000, nil})
			}
		}
		if rapid.Bool().Draw(t, "again") {
			v.put(rows...)
		}
		afresh := stats.New(len(line.Stages), later)
		for _, s := range v.index.slots {
			o := s.now.order()
			v.index.visits(s.now, &o.Order, 0, afresh.Add)
		}
		v.Stats(func(l *stats.Figures) {
			if got, want := figures(l), figures(afresh); !reflect.DeepEqual(got, want) {
				t.Fatalf("the figures are\n%.3000s\nwant\n%.3000s", fmt.Sprint(got...), fmt.Sprint(want...))
			}
		})
	})
}

func TestVisitsFollowTheHistory(t *testing.T) {
	f, v := newFactory(), New(line, quiet)
	v.index.stats = stats.New(len(line.Stages), later)
	f.place("o1") // At second 1.
	f.place("o2")
	f.done("o1", 0)                               // At second 4: the report has the time of the event before it.
	f.report(0, "o2", order.KindReject, "r1", "") // At second 5.
	f.report(1, "o1", order.KindClaim, "r2", "")
	v.put(f.all()...)
	v.Stats(func(l *stats.Figures) {
		at := func(o Order, i int) time.Time { return o.History[i].On }
		one, _ := v.Order("o1")
		two, _ := v.Order("o2")
		want := []stats.Visit{
			{ID: "o1", Arrived: one.PlacedOn, Left: at(one, 0)},
			{ID: "o2", Arrived: two.PlacedOn, Left: at(two, 0), Rejected: true},
		}
		if got := l.Recent(0); !reflect.DeepEqual(got, want) {
			t.Errorf("the departures are %+v, want %+v", got, want)
		}
		if stages := l.Stages(later()); l.Present(0) != 0 || l.Present(1) != 1 || l.Present(2) != 0 || stages[1].Present != 1 {
			t.Errorf("the stages are %+v", stages)
		}
	})
}

func TestAheadCountsTheQueueBeforeAnOrder(t *testing.T) {
	f, v := newFactory(), New(line, quiet)
	for n := range 9 {
		f.place(fmt.Sprint("o", n))
	}
	f.done("o0", 0, 1, 2, 3, 4)
	f.done("o1", 0, 1)
	f.done("o2", 0)
	f.done("o3", 0)
	v.put(f.all()...)
	counts := func(id string) (stage int, orders []int) {
		stage, ahead, ok := v.Ahead(id)
		if !ok {
			return -1, nil
		}
		for i, a := range ahead {
			orders = append(orders, a.Orders)
			if n, _, _ := v.Waiting(stage+i, 1); (len(n) > 0) != !a.First.IsZero() || len(n) > 0 && !a.First.Equal(n[0].Arrived) {
				t.Errorf("ahead of %s at stage %d the first order arrived at %v", id, stage+i, a.First)
			}
		}
		return stage, orders
	}
	for id, want := range map[string][]int{
		"o0": {-1}, "none": {-1}, "o1": {2, 0, 0, 0}, "o2": {1, 0, 1, 0, 0}, "o3": {1, 1, 1, 0, 0}, "o4": {0, 0, 2, 1, 0, 0}, "o8": {0, 4, 2, 1, 0, 0},
	} {
		stage, orders := counts(id)
		if got := append([]int{stage}, orders...); !reflect.DeepEqual(got, want) {
			t.Errorf("ahead of %s there is %v, want %v", id, got, want)
		}
	}
	moved := f.written[0][len(f.written[0])-1] // o3 is mixed, and the row of baking has not been read.
	v = New(line, quiet)
	v.put(f.written[0]...)
	if stage, ahead, ok := v.Ahead(moved.id); !ok || stage != 1 || ahead[0].Orders != 3 {
		t.Errorf("ahead of an order on its way there is %d, %+v, %t", stage, ahead, ok)
	}
}
