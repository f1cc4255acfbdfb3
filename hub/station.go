package hub

import (
	"iter"
	"slices"
	"time"

	"github.com/ecupcakes/ecupcakes/hub/dealer"
)

// station is a Station with its screens and the log that they read. Hub.mu guards all fields,
// except where noted.
type station struct {
	Station
	announcement []byte // the start of the record that announces an order; immutable
	log          ring
	screens      map[*client]struct{} // the screens without a group, which show all orders
	grown        bool                 // whether the log grew since the screens were last woken; only used by Hub.Run
	staleness    *staleness           // what the screens were last told of their freshness; nil until they are behind

	dealer  *dealer.Dealer[*client] // the consumer groups, and which of their screens shows which order
	waiting map[string]Order        // the orders in the dealer, by ID; nil without groups and after a restart
	since   uint64                  // the position of the source that waiting was read at
}

func newStation(s Station) *station {
	return &station{
		Station: s, announcement: invocation(s.Arrived), screens: make(map[*client]struct{}), dealer: dealer.New[*client](),
	}
}

// announce returns the record that announces an order.
func (s *station) announce(o Order) []byte { return appendInvocation(nil, s.announcement, o.JSON()) }

// all returns the screens of the station, including those of groups.
func (s *station) all() iter.Seq[*client] {
	return func(yield func(*client) bool) {
		for c := range s.screens {
			if !yield(c) {
				return
			}
		}
		for group := range s.dealer.Groups() {
			for c := range s.dealer.Screens(group) {
				if !yield(c) {
					return
				}
			}
		}
	}
}

// fill takes in the orders of a snapshot of the source.
func (s *station) fill(orders iter.Seq[Order], count int, position uint64, partition func(id string) int32) {
	s.waiting, s.since = make(map[string]Order, count), position
	now := time.Now()
	for o := range orders {
		s.waiting[o.ID] = o
		// The moves are dropped: a group that is there already is left from before a restart, and its
		// screens were sent away.
		s.dealer.Arrive(dealer.Order{ID: o.ID, Partition: partition(o.ID), Claimant: o.ClaimedBy(now)})
	}
}

// forget drops the orders of the groups. Their screens must have been sent away.
func (s *station) forget() {
	s.waiting = nil
	s.dealer.Clear()
}

// arrived passes an order that has come or changed to the groups. The record announces the order.
func (s *station) arrived(change Change, record []byte, partition func(id string) int32) {
	if s.waiting == nil || change.Position <= s.since {
		return
	}
	o := change.Order
	s.waiting[o.ID] = o
	moves := s.dealer.Arrive(dealer.Order{ID: o.ID, Partition: partition(o.ID), Claimant: o.ClaimedBy(time.Now())})
	s.apply(moves, o.ID, record)
}

// left passes the departure of an order to the groups.
func (s *station) left(change Change) {
	if s.waiting == nil || change.Position <= s.since {
		return
	}
	delete(s.waiting, change.ID)
	s.apply(s.dealer.Leave(change.ID), "", nil)
}

// expireClaims deals the orders again whose claims have expired.
func (s *station) expireClaims(now time.Time) {
	for o := range s.dealer.Waiting() {
		if claimant := s.waiting[o.ID].ClaimedBy(now); claimant != o.Claimant {
			s.apply(s.dealer.Claim(o.ID, claimant), "", nil)
		}
	}
}

// apply appends moves to the logs of the screens. The record announces the order of the ID; the
// announcements of other orders are encoded as needed. A screen without a log is passed over, for
// it will get its orders with its snapshot.
func (s *station) apply(moves []dealer.Move[*client], id string, record []byte) {
	for _, m := range moves {
		switch {
		case m.Screen.member.log == nil:
		case m.Kind == dealer.TakeAway:
			m.Screen.push(appendInvocation(nil, informOrderLeft, quote(m.Order)), nil)
		case m.Order == id:
			m.Screen.push(record, s.waiting[id].Shown)
		default:
			o := s.waiting[m.Order]
			m.Screen.push(s.announce(o), o.Shown)
		}
	}
}

// showFirst starts the screens of a group that show nothing yet with a snapshot of their orders. It
// does nothing until the group is joined.
func (s *station) showFirst(group string) {
	if !s.dealer.Joined(group) {
		return
	}
	for c := range s.dealer.Screens(group) {
		if c.member.log != nil {
			continue
		}
		ids := s.dealer.Shown(group, c)
		orders := make([]Order, len(ids))
		for i, id := range ids {
			orders[i] = s.waiting[id]
		}
		c.member.log = &ring{limit: groupLog}
		c.start(&feed{log: c.member.log, snapshot: slices.Values(orders), count: len(orders)})
	}
}

// sendAway makes all screens of a group reconnect.
func (s *station) sendAway(group, why string) {
	for c := range s.dealer.Screens(group) {
		c.close(why, true)
	}
}
