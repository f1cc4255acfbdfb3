package views

import (
	"time"

	"github.com/ecupcakes/ecupcakes/order"
	"github.com/ecupcakes/ecupcakes/views/stats"
)

// updateStats replaces the visits of an order's old entry by those of its new entry e. Either may
// be nil. o is the order of e.
//
// Nearly always the new history extends the old one, and only the steps at its end have to be
// counted.
func (x *index) updateStats(old, e *entry, o *order.Order) {
	from := 0
	switch {
	case old == nil:
	case e != nil && x.extends(old, o):
		if old.steps == e.steps && present(x.line, old.stage, old.state) == present(x.line, e.stage, e.state) {
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

// extends reports whether the history of o begins with that of the old entry. It compares the last
// step only.
func (x *index) extends(old *entry, o *order.Order) bool {
	if len(o.History) < old.steps {
		return false
	}
	if old.steps == 0 {
		return true
	}
	last := o.History[old.steps-1]
	return last.On.Equal(old.since) && x.line.Index(last.Stage) == old.ended
}

// visits calls f with visits of the order to stages: those that the steps of its history from index
// from on ended, and the present one. o is needed only if there are such steps.
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
	if stage := present(x.line, e.stage, e.state); stage >= 0 {
		f(stats.Visit{ID: e.id, Stage: stage, Arrived: e.since})
	}
}

// Stats calls f with the figures of the line. f must not use them after it has returned.
func (v *Views) Stats(f func(*stats.Figures)) {
	v.index.mu.RLock()
	defer v.index.mu.RUnlock()
	f(v.index.stats)
}

// Ahead describes the queue before an order at a stage.
type Ahead struct {
	Orders int           // Number of orders at the stage or on their way to it that are before the order.
	First  time.Time     // Arrival of the order that has waited longest at the stage; zero if none waits.
	Recent []stats.Visit // Last departures from the stage, oldest first.
}

// Ahead returns the present stage of an order, and the queue before the order at that stage and at
// each later one. ok is false for an order that is not on the line.
func (v *Views) Ahead(id string) (stage int, ahead []Ahead, ok bool) {
	x := v.index
	x.mu.RLock()
	defer x.mu.RUnlock()
	s := x.slots[id]
	if s == nil || s.now == nil {
		return 0, nil, false
	}
	if stage = present(v.line, s.now.stage, s.now.state); stage < 0 {
		return 0, nil, false
	}
	for i := stage; i < len(x.queues); i++ {
		a := Ahead{Orders: x.stats.Present(i), Recent: x.stats.Recent(i)}
		if i == stage {
			a.Orders = max(0, a.Orders-1) // An order on its way to the stage is the last one.
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

// rank returns the number of orders before s in the queue where it waits.
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
