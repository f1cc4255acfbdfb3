package hub

import (
	"context"
	"time"

	"github.com/ecupcakes/ecupcakes/hub/dealer"
)

// groupLog is the number of events that a screen of a group may be behind.
const groupLog = 512

// Shared sets the assignment of a consumer group to this hub. The hub shows the orders of the
// partitions, and the orders that people with a screen here have claimed, whatever their partition.
// It does not show orders claimed by people with a screen elsewhere: people says for each person
// whether their screen is here. The screens of the group wait until joined is true for the first
// time. When it becomes false again, they are told to reconnect, since their orders may be on
// another instance's screens. Shared does nothing if the group has no screens here.
func (h *Hub) Shared(group, topic string, partitions map[int32]bool, people map[string]bool, joined bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.stations[topic]
	if s == nil {
		return
	}
	wasJoined := s.dealer.Joined(group)
	moves := s.dealer.Assign(group, dealer.Assignment{Partitions: partitions, People: people, Joined: joined})
	if joined {
		s.apply(moves, "", nil)
		s.showFirst(group)
	} else if wasJoined {
		// The moves take all orders away. The screens keep showing them until they have reconnected.
		s.sendAway(group, "This server left the consumer group. Reconnect to join it again.")
	}
}

// joinGroup makes the client a screen of its group.
func (h *Hub) joinGroup(c *client) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := c.station
	if s.waiting == nil {
		// The lock stops Run from recording changes, so the snapshot is at least as new as the logs.
		orders, count, position, err := h.source.Waiting(s.Topic)
		if err != nil {
			c.close(err.Error(), true)
			return
		}
		if position < s.log.lost {
			c.close(starting, true)
			return
		}
		s.fill(orders, count, position, h.options.Partition)
	}
	c.member.joined = true
	h.joined.Add(1)
	s.apply(s.dealer.Join(c.group, c, c.person), "", nil)
	s.showFirst(c.group)
	h.signalPresence()
}

// leaveGroup removes the client from its group, if it is a screen of one. The caller holds h.mu.
func (h *Hub) leaveGroup(c *client) {
	if !c.member.joined {
		return
	}
	s := c.station
	c.member.joined = false
	s.apply(s.dealer.Gone(c.group, c), "", nil)
	if s.dealer.GroupCount() == 0 {
		s.forget()
	}
	h.signalPresence()
}

// expireClaims deals the orders of all stations again whose claims have expired.
func (h *Hub) expireClaims() {
	now := time.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.stations {
		s.expireClaims(now)
	}
}

// signalPresence makes reportPresence report the screens and people of all groups.
func (h *Hub) signalPresence() {
	select {
	case h.presence <- struct{}{}:
	default:
	}
}

// reportPresence reports to Options.Groups which screens and people each group has here, after each
// change. When ctx has ended, it reports that no group has any.
func (h *Hub) reportPresence(ctx context.Context) {
	groups := h.options.Groups
	if groups == nil {
		return
	}
	reported := map[groupKey]bool{}
	for {
		select {
		case <-ctx.Done():
			for k := range reported {
				_ = groups.Set(k.group, k.topic, 0, nil) // Set fails only when it joins a group.
			}
			return
		case <-h.presence:
		}
		present := h.groupsPresent()
		for k := range reported {
			if _, still := present[k]; !still {
				_ = groups.Set(k.group, k.topic, 0, nil) // Set fails only when it joins a group.
				delete(reported, k)
			}
		}
		for k, p := range present {
			if err := groups.Set(k.group, k.topic, p.screens, p.people); err != nil {
				h.refuse(k, err)
				continue
			}
			reported[k] = true
		}
	}
}

// groupKey names one group of screens of one station.
type groupKey struct{ group, topic string }

// groupPresence is the screens of a group at this hub, and the people in front of them.
type groupPresence struct {
	screens int
	people  []string // one entry for each screen with a person
}

func (h *Hub) groupsPresent() map[groupKey]groupPresence {
	h.mu.RLock()
	defer h.mu.RUnlock()
	present := map[groupKey]groupPresence{}
	for topic, s := range h.stations {
		for group := range s.dealer.Groups() {
			var p groupPresence
			for _, person := range s.dealer.Screens(group) {
				p.screens++
				if person != "" {
					p.people = append(p.people, person)
				}
			}
			present[groupKey{group, topic}] = p
		}
	}
	return present
}

// refuse sends the screens of a group away that this hub cannot join.
func (h *Hub) refuse(k groupKey, why error) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	h.stations[k.topic].sendAway(k.group, "The consumer group cannot be joined: "+why.Error()+".")
}
