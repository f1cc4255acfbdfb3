package views

import (
	"time"

	"github.com/ecupcakes/ecupcakes/order"
	"github.com/ecupcakes/ecupcakes/views/stats"
)

// count takes what the order's new entry says into the figures in place of what
// the old one said; either may be nil. o is the order of e.
//
// A history nearly always goes on where it ended, so that only its new end has
// to be counted.
func (x *index) count(old, e *entry, o *order.Order) {
	from := 0
	switch {
	case old == nil:
	case e != nil && x.goesOn(old, o):
		if old.steps == e.steps && present(x.line, old) == present(x.line, e) {
			return
		}
		from = old.steps
		x.visits(old, nil, from, x.stats.Remove)
	default:
		before := old.order()
		x.visits(old, &before.Order, 0, x.stats.Remove)
	}
	if e != nil {
		x.visits(e, o, from, x.stats.Add)
	}
}

// goesOn says whether the order's history begins with that of the entry, as far
// as its last step tells.
func (x *index) goesOn(old *entry, o *order.Order) bool {
	if len(o.History) < old.steps {
		return false
	}
	if old.steps == 0 {
		return true
	}
	last := o.History[old.steps-1]
	return last.On.Equal(old.since) && x.line.Index(last.Stage) == old.ended
}

// visits calls f with the order's visits to the stages, those that the steps of
// its history from that one on ended, and the present one. o is only needed for
// the former.
func (x *index) visits(e *entry, o *order.Order, from int, f func(stats.Visit)) {
	for i := from; i < e.steps; i++ {
		step := o.History[i]
		arrived := o.ArrivedOn(i)
		if i == 0 {
			arrived = e.placed
		}
		if stage := x.line.Index(step.Stage); stage >= 0 && !arrived.IsZero() && !step.On.IsZero() {
			f(stats.Visit{ID: e.id, Stage: stage, Arrived: arrived, Left: step.On, Rejected: e.status == order.StatusRejected && i == e.steps-1})
		}
	}
	if stage := present(x.line, e); stage >= 0 {
		f(stats.Visit{ID: e.id, Stage: stage, Arrived: e.since})
	}
}

// Stats calls f with the figures of the line, which it may read until it
// returns.
func (v *Views) Stats(f func(*stats.Figures)) {
	v.index.mu.RLock()
	defer v.index.mu.RUnlock()
	f(v.index.stats)
}

// Ahead is what an order has before it at a stage.
type Ahead struct {
	Orders int           // That are or will be there before it.
	First  time.Time     // Since when the first one of those that are there is there; zero if none waits.
	Recent []stats.Visit // The last departures from the stage, oldest first.
}

// Ahead tells where an order that is on the line is, and what it has before it
// at that stage and at each later one; ok is false for an order that is not.
func (v *Views) Ahead(id string) (stage int, ahead []Ahead, ok bool) {
	x := v.index
	x.mu.RLock()
	defer x.mu.RUnlock()
	s := x.slots[id]
	if s == nil || s.now == nil {
		return 0, nil, false
	}
	if stage = v.present(s.now); stage < 0 {
		return 0, nil, false
	}
	for i := stage; i < len(x.queues); i++ {
		a := Ahead{Orders: x.stats.Present(i), Recent: x.stats.Recent(i)}
		if i == stage {
			a.Orders = max(0, a.Orders-1) // On its way it is the last one.
			if s.now.waiting() {
				a.Orders = x.rank(s)
			}
		}
		if first, some := x.queues[i].Min(); some {
			a.First = first.now.arrived
		}
		ahead = append(ahead, a)
	}
	return stage, ahead, true
}

// rank is how many come before s in the queue where it waits.
func (x *index) rank(s *slot) int {
	q := x.queues[s.now.stage]
	low, high := 0, q.Len()
	for low < high {
		middle := int(uint(low+high) >> 1)
		if other, _ := q.GetAt(middle); earlier(other, s) {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low
}
