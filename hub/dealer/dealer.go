// Package dealer decides which screen of a consumer group shows which order of a station.
//
// A Dealer is a plain data structure: it takes no locks, reads no clock and does no I/O. Each
// method takes in one change and returns the moves that follow from it. The same calls in the
// same order always return the same moves.
//
// The rules, for each group by itself:
//
//   - An order belongs to this instance if its claimant has a screen here, or if its partition is
//     assigned to this instance and its claimant has no screen elsewhere. Otherwise, and while the
//     instance is not a member of the group, no screen here shows it.
//   - An order that belongs here is on exactly one screen.
//   - A claimed order is on a screen of its claimant, if the claimant has one in the group here.
//   - An order stays where it is. A new one goes to the screen with the fewest orders, and among
//     those to the screen that joined first.
//   - When a screen has two orders more than another, its newest unclaimed order moves to that one.
//     So the number of orders is balanced, and nobody loses the order that they are about to begin.
package dealer

import (
	"cmp"
	"iter"
	"slices"
)

// Order is a waiting order, as far as dealing depends on it.
type Order struct {
	ID        string
	Partition int32
	Claimant  string // the person who has claimed the order; empty for an unclaimed one
}

// Assignment is the part of a group's orders that belongs to this instance. The Dealer keeps the
// maps and does not change them.
type Assignment struct {
	Partitions map[int32]bool  // the partitions whose orders belong here
	People     map[string]bool // the people with a screen of the group; true for those whose screen is here
	Joined     bool            // whether this instance is a member of the group
}

// Kind says what a screen does with an order.
type Kind uint8

const (
	Show     Kind = iota // The screen starts to show the order.
	TakeAway             // The screen stops showing the order.
	Update               // The screen shows the order already; the order has changed.
)

// Move changes what one screen shows of one order.
type Move[S comparable] struct {
	Kind   Kind
	Screen S
	Order  string // the order's ID
}

// Dealer holds the orders that wait at a station and the groups of screens that share them. S
// identifies a screen. The zero value is not usable; see [New]. A Dealer must not be used by
// several goroutines at a time.
//
// The moves that a method returns must be applied in their order. They are valid until the next
// call of any method that returns moves.
type Dealer[S comparable] struct {
	orders      map[string]*order
	first, last *order // the list of the orders, by arrival
	arrivals    uint64
	groups      []*groupQueue[S] // by the arrival of their first screen
	named       map[string]*groupQueue[S]
	moves       []Move[S]
}

// order is an Order with its place in the list of all, which keeps them sorted at no cost.
type order struct {
	Order
	arrival    uint64 // larger for a later arrival
	prev, next *order
}

// New returns a Dealer without orders and screens.
func New[S comparable]() *Dealer[S] {
	return &Dealer[S]{orders: map[string]*order{}, named: map[string]*groupQueue[S]{}}
}

// Arrive adds an order, or replaces a waiting order of the same ID, which keeps its place in the
// order of arrival. It takes time proportional to the number of screens.
func (d *Dealer[S]) Arrive(o Order) []Move[S] {
	d.moves = d.moves[:0]
	w := d.orders[o.ID]
	if w == nil {
		w = d.append(o)
	}
	w.Order = o
	for _, q := range d.groups {
		was := q.on[w]
		d.place(q, w)
		if is := q.on[w]; is != nil && is == was {
			d.move(Update, is, w)
		}
		d.level(q)
	}
	return d.moves
}

// Leave removes an order. It does nothing if no order of the ID waits.
func (d *Dealer[S]) Leave(id string) []Move[S] {
	d.moves = d.moves[:0]
	w := d.orders[id]
	if w == nil {
		return nil
	}
	d.remove(w)
	for _, q := range d.groups {
		if q.on[w] != nil {
			d.put(q, w, nil)
			d.level(q)
		}
	}
	return d.moves
}

// Claim sets an order's claimant; the empty string ends a claim. It does nothing if no order of the
// ID waits or the claimant is the same already.
func (d *Dealer[S]) Claim(id, claimant string) []Move[S] {
	d.moves = d.moves[:0]
	w := d.orders[id]
	if w == nil || w.Claimant == claimant {
		return nil
	}
	w.Claimant = claimant
	for _, q := range d.groups {
		d.place(q, w)
		d.level(q)
	}
	return d.moves
}

// Join adds a screen to a group, with the person in front of it, which may be empty. A group begins
// with its first screen, and shows nothing until Assign says that this instance has joined it. Join
// does nothing if the screen is in the group already.
func (d *Dealer[S]) Join(group string, screen S, person string) []Move[S] {
	d.moves = d.moves[:0]
	q := d.named[group]
	if q == nil {
		q = newGroupQueue[S](group)
		d.groups = append(d.groups, q)
		d.named[group] = q
	}
	if q.find(screen) != nil {
		return nil
	}
	q.add(screen, person)
	// Every order is where it belongs already, but for those that the new screen's person has claimed.
	if person != "" && q.people[person] == 1 {
		for w := d.first; w != nil; w = w.next {
			if w.Claimant == person {
				d.place(q, w)
			}
		}
	}
	d.level(q)
	return d.moves
}

// Gone removes a screen from a group and deals its orders to the others. The screen itself gets
// no move. Without screens the group ends, and so does its assignment. Gone does nothing if the
// screen is not in the group.
func (d *Dealer[S]) Gone(group string, screen S) []Move[S] {
	d.moves = d.moves[:0]
	q := d.named[group]
	if q == nil {
		return nil
	}
	gone := q.find(screen)
	if gone == nil {
		return nil
	}
	if q.remove(gone); len(q.screens) == 0 {
		delete(d.named, group)
		d.groups = slices.DeleteFunc(d.groups, func(other *groupQueue[S]) bool { return other == q })
		return nil
	}
	for _, w := range gone.orders {
		delete(q.on, w)
	}
	for _, w := range gone.orders {
		d.place(q, w)
	}
	d.level(q)
	return d.moves
}

// Assign sets a group's assignment and deals all orders by it. It does nothing if the group has no
// screen.
func (d *Dealer[S]) Assign(group string, a Assignment) []Move[S] {
	d.moves = d.moves[:0]
	q := d.named[group]
	if q == nil {
		return nil
	}
	q.Assignment = a
	for w := d.first; w != nil; w = w.next {
		d.place(q, w)
	}
	d.level(q)
	return d.moves
}

// Clear removes all orders without a move. The screens and the assignments remain.
func (d *Dealer[S]) Clear() {
	clear(d.orders)
	d.first, d.last = nil, nil
	for _, q := range d.groups {
		clear(q.on)
		for _, s := range q.screens {
			s.orders = nil
		}
	}
}

// Waiting returns the waiting orders, by arrival. Claims may change while it is read.
func (d *Dealer[S]) Waiting() iter.Seq[Order] {
	return func(yield func(Order) bool) {
		for w := d.first; w != nil && yield(w.Order); w = w.next {
		}
	}
}

// Groups returns the groups that have screens, by the arrival of their first screen.
func (d *Dealer[S]) Groups() iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, q := range d.groups {
			if !yield(q.name) {
				return
			}
		}
	}
}

// GroupCount returns the number of groups that have screens.
func (d *Dealer[S]) GroupCount() int { return len(d.groups) }

// ScreenCount returns the number of screens of a group.
func (d *Dealer[S]) ScreenCount(group string) int {
	if q := d.named[group]; q != nil {
		return len(q.screens)
	}
	return 0
}

// Screens returns the screens of a group and the people in front of them, by arrival.
func (d *Dealer[S]) Screens(group string) iter.Seq2[S, string] {
	return func(yield func(S, string) bool) {
		q := d.named[group]
		if q == nil {
			return
		}
		for _, s := range q.screens {
			if !yield(s.id, s.person) {
				return
			}
		}
	}
}

// Joined reports whether this instance is a member of the group.
func (d *Dealer[S]) Joined(group string) bool {
	q := d.named[group]
	return q != nil && q.Joined
}

// Shown returns the IDs of the orders that a screen of a group shows, by the orders' arrival.
func (d *Dealer[S]) Shown(group string, screen S) []string {
	q := d.named[group]
	if q == nil {
		return nil
	}
	s := q.find(screen)
	if s == nil {
		return nil
	}
	ids := make([]string, len(s.orders))
	for i, w := range s.orders {
		ids[i] = w.ID
	}
	return ids
}

func (d *Dealer[S]) append(o Order) *order {
	d.arrivals++
	w := &order{Order: o, arrival: d.arrivals, prev: d.last}
	if d.last == nil {
		d.first = w
	} else {
		d.last.next = w
	}
	d.last = w
	d.orders[o.ID] = w
	return w
}

func (d *Dealer[S]) remove(w *order) {
	delete(d.orders, w.ID)
	if w.prev == nil {
		d.first = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		d.last = w.prev
	} else {
		w.next.prev = w.prev
	}
}

// place moves an order to the screen where it belongs, unless it is there.
func (d *Dealer[S]) place(q *groupQueue[S], w *order) {
	if s := q.choose(w); s != q.on[w] {
		d.put(q, w, s)
	}
}

// level moves unclaimed orders from full screens to emptier ones until no screen has two more than
// another, or only claimed ones.
func (d *Dealer[S]) level(q *groupQueue[S]) {
	for {
		newest, to := q.surplus()
		if newest == nil {
			return
		}
		d.put(q, newest, to)
	}
}

// put takes an order from the screen where it is, if any, and shows it on another, if that is not
// nil.
func (d *Dealer[S]) put(q *groupQueue[S], w *order, to *screen[S]) {
	if from := q.on[w]; from != nil {
		delete(q.on, w)
		from.remove(w)
		d.move(TakeAway, from, w)
	}
	if to != nil {
		q.on[w] = to
		to.insert(w)
		d.move(Show, to, w)
	}
}

func (d *Dealer[S]) move(k Kind, s *screen[S], w *order) {
	d.moves = append(d.moves, Move[S]{Kind: k, Screen: s.id, Order: w.ID})
}

func byArrival(a, b *order) int { return cmp.Compare(a.arrival, b.arrival) }
