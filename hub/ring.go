package hub

import "sort"

// event is what one change means to one station's screens: a whole record, ready to be written.
type event struct {
	position uint64
	at       int64 // when it happened, as of Hub.now
	record   []byte
	shown    func() // see Order.Shown
}

// ring keeps the last events of a station, or of one screen, up to a limit, in the order of their positions.
type ring struct {
	limit  int
	lost   uint64 // events up to this position are not kept
	events []event
	oldest int // its index in events, once they are at the limit and go round
}

func (r *ring) add(e event) {
	if len(r.events) < r.limit {
		r.events = append(r.events, e)
		return
	}
	r.lost = r.events[r.oldest].position
	r.events[r.oldest] = e
	r.oldest = (r.oldest + 1) % r.limit
}

// len and at let a reader walk from the oldest event that is kept to the newest.
func (r *ring) len() int { return len(r.events) }

func (r *ring) at(i int) event { return r.events[(r.oldest+i)%len(r.events)] }

// after is the index of the first event after the position.
func (r *ring) after(position uint64) int {
	return sort.Search(r.len(), func(i int) bool { return r.at(i).position > position })
}
