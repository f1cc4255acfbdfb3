package hub

import "sort"

// event is one change, as the screens of a station get it.
type event struct {
	position uint64
	at       int64  // when the hub recorded the change, as of Hub.now
	record   []byte // whole and encoded
	shown    func() // see Order.Shown
}

// ring keeps the last events of a station, or of one screen of a group, by position. It holds at
// most limit events and overwrites the oldest.
type ring struct {
	limit  int
	lost   uint64 // the position up to which events are not kept
	events []event
	oldest int // the index of the oldest event, once the ring is full
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

// len returns the number of events that are kept.
func (r *ring) len() int { return len(r.events) }

// at returns the i-th event, counted from the oldest one that is kept.
func (r *ring) at(i int) event { return r.events[(r.oldest+i)%len(r.events)] }

// after returns the index of the first event after the position.
func (r *ring) after(position uint64) int {
	return sort.Search(r.len(), func(i int) bool { return r.at(i).position > position })
}
