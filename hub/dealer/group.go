package dealer

import "slices"

// groupQueue is one group's part of a station: its screens and where each order is shown.
type groupQueue[S comparable] struct {
	Assignment
	name    string
	screens []*screen[S]          // by arrival, which breaks ties
	byID    map[S]*screen[S]      // the same screens
	people  map[string]int        // the number of screens of each person here
	on      map[*order]*screen[S] // the screen that shows an order
}

// screen is a screen of a group with the orders that it shows.
type screen[S comparable] struct {
	id     S
	person string
	orders []*order // by arrival
}

func newGroupQueue[S comparable](name string) *groupQueue[S] {
	return &groupQueue[S]{name: name, byID: map[S]*screen[S]{}, people: map[string]int{}, on: map[*order]*screen[S]{}}
}

func (q *groupQueue[S]) find(id S) *screen[S] { return q.byID[id] }

func (q *groupQueue[S]) add(id S, person string) {
	s := &screen[S]{id: id, person: person}
	q.byID[id] = s
	q.screens = append(q.screens, s)
	q.people[person]++
}

func (q *groupQueue[S]) remove(s *screen[S]) {
	delete(q.byID, s.id)
	q.screens = slices.DeleteFunc(q.screens, func(other *screen[S]) bool { return other == s })
	if q.people[s.person]--; q.people[s.person] == 0 {
		delete(q.people, s.person)
	}
}

// owns reports whether an order belongs to this instance.
func (q *groupQueue[S]) owns(w *order) bool {
	here, known := q.People[w.Claimant]
	if w.Claimant == "" || !known {
		return q.Joined && q.Partitions[w.Partition]
	}
	return q.Joined && here
}

// choose returns the screen on which an order belongs, or nil if it belongs on none here.
func (q *groupQueue[S]) choose(w *order) *screen[S] {
	if !q.owns(w) {
		return nil
	}
	claimantHere := w.Claimant != "" && q.people[w.Claimant] > 0
	fits := func(s *screen[S]) bool { return !claimantHere || s.person == w.Claimant }
	if s := q.on[w]; s != nil && fits(s) {
		return s
	}
	var fewest *screen[S]
	for _, s := range q.screens {
		if fits(s) && (fewest == nil || len(s.orders) < len(fewest.orders)) {
			fewest = s
		}
	}
	return fewest
}

// surplus returns the order that has to move for the screens to be balanced, and the screen where
// it has to go: the newest unclaimed order of the fullest screen that has one. It returns nil if
// the screens are balanced.
func (q *groupQueue[S]) surplus() (newest *order, to *screen[S]) {
	var fullest *screen[S]
	for _, s := range q.screens {
		if to == nil || len(s.orders) < len(to.orders) {
			to = s
		}
		if fullest == nil || len(s.orders) > len(fullest.orders) {
			if w := s.newestUnclaimed(); w != nil {
				fullest, newest = s, w
			}
		}
	}
	if fullest == nil || len(fullest.orders) < len(to.orders)+2 {
		return nil, nil
	}
	return newest, to
}

func (s *screen[S]) newestUnclaimed() *order {
	for _, w := range slices.Backward(s.orders) {
		if w.Claimant == "" {
			return w
		}
	}
	return nil
}

func (s *screen[S]) insert(w *order) {
	i, _ := slices.BinarySearchFunc(s.orders, w, byArrival)
	s.orders = slices.Insert(s.orders, i, w)
}

func (s *screen[S]) remove(w *order) {
	if i, shown := slices.BinarySearchFunc(s.orders, w, byArrival); shown {
		s.orders = slices.Delete(s.orders, i, i+1)
	}
}
