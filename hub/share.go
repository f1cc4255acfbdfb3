package hub

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"
)

// share is what the screens of one consumer group have of a station's orders at this hub. Each of these orders is on one
// of the screens: on that of the person who has claimed it, else where it is, and at first where there are fewest. When
// one screen has two more than another, its newest one that nobody has claimed goes there: so all have about as much to
// do, and nobody loses what they are about to begin.
type share struct {
	screens map[*client]struct{}
	on      map[string]*client // by the order's id, where it is shown

	// As Shared was told.
	partitions map[int32]bool
	people     map[string]bool
	joined     bool
}

// held is an order that waits at a station with shares.
type held struct {
	Order
	seq       uint64 // grows with the order's arrival
	partition int32
	by        string // whose it was when it was last looked at, see Order.ClaimedBy
}

// privateLog is how many events a screen of a group may be behind.
const privateLog = 512

// Shared tells what the consumer group leaves to this hub: the orders of some partitions, without those that people
// have claimed who are elsewhere, and with those of people who are here, whatever their partition. Until it is joined,
// nobody knows, and the group's screens wait; when it no longer is, they are sent away, for they cannot be trusted.
func (h *Hub) Shared(group, topic string, partitions map[int32]bool, people map[string]bool, joined bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.stations[topic]
	if s == nil || s.shares[group] == nil {
		return
	}
	sh := s.shares[group]
	if sh.joined && !joined {
		sh.sendAway("The consumer group is lost. Reconnect to find it again.")
	}
	sh.partitions, sh.people, sh.joined = partitions, people, joined
	h.distribute(s, sh)
}

// joinShare makes the client a screen of its group.
func (h *Hub) joinShare(c *client) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := c.station
	if s.waiting == nil {
		// The pump waits meanwhile, so the source is not behind it.
		orders, count, position, err := h.source.Waiting(s.Topic)
		if err != nil {
			c.close(err.Error(), true)
			return
		}
		if position < s.log.lost {
			c.close(starting, true)
			return
		}
		s.waiting, s.since = make(map[string]*held, count), position
		for o := range orders {
			s.hold(h, o)
		}
	}
	sh := s.shares[c.group]
	if sh == nil {
		sh = &share{screens: map[*client]struct{}{}, on: map[string]*client{}}
		s.shares[c.group] = sh
	}
	sh.screens[c] = struct{}{}
	h.joined.Add(1)
	h.distribute(s, sh)
	h.changedPresence()
}

func (h *Hub) leaveShare(c *client) {
	s := c.station
	sh := s.shares[c.group]
	if sh == nil {
		return
	}
	if _, there := sh.screens[c]; !there {
		return
	}
	delete(sh.screens, c)
	h.changedPresence()
	if len(sh.screens) > 0 {
		h.distribute(s, sh)
		return
	}
	delete(s.shares, c.group)
	if len(s.shares) == 0 {
		s.waiting = nil
	}
}

func (s *station) hold(h *Hub, o Order) *held {
	w := s.waiting[o.ID]
	if w == nil {
		s.seq++
		w = &held{seq: s.seq, partition: h.options.Partition(o.ID)}
		s.waiting[o.ID] = w
	}
	w.Order, w.by = o, o.ClaimedBy(time.Now())
	return w
}

// arrived and left pass a change on to the shares; the record announces the order.
func (h *Hub) arrived(s *station, change Change, record []byte) {
	if s.waiting == nil || change.Position <= s.since {
		return
	}
	w := s.hold(h, change.Order)
	for _, sh := range s.shares {
		was := sh.on[w.ID]
		if is := sh.move(s, w, record); is != nil && is == was {
			is.push(s, w, record) // It is another one now.
		}
		sh.level(s)
	}
}

func (h *Hub) left(s *station, change Change) {
	if s.waiting == nil || change.Position <= s.since {
		return
	}
	w := s.waiting[change.ID]
	delete(s.waiting, change.ID)
	for _, sh := range s.shares {
		if c := sh.on[change.ID]; c != nil {
			sh.put(s, w, nil, nil)
			sh.level(s)
		}
	}
}

// lapse looks for claims that have lapsed since.
func (h *Hub) lapse() {
	now := time.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.stations {
		for _, w := range s.waiting {
			if by := w.ClaimedBy(now); by != w.by {
				w.by = by
				for _, sh := range s.shares {
					sh.move(s, w, nil)
					sh.level(s)
				}
			}
		}
	}
}

// distribute puts every order where it belongs, and shows the screens theirs that have none yet.
func (h *Hub) distribute(s *station, sh *share) {
	if !sh.joined {
		return
	}
	for _, w := range slices.SortedFunc(maps.Values(s.waiting), earlier) {
		sh.move(s, w, nil)
	}
	sh.level(s)
	for c := range sh.screens {
		if c.log == nil {
			first := make([]Order, len(c.mine))
			for i, w := range c.mine {
				first[i] = w.Order
			}
			c.show(&ring{limit: privateLog}, slices.Values(first), len(first), 0)
		}
	}
}

func earlier(a, b *held) int { return cmp.Compare(a.seq, b.seq) }

// move shows an order where it belongs now, if it is not there, and takes it from where it was. It returns where that is.
func (sh *share) move(s *station, w *held, record []byte) *client {
	c := sh.choose(w)
	if c != sh.on[w.ID] {
		sh.put(s, w, c, record)
	}
	return c
}

// put shows an order on a screen, or on none if that is nil, and takes it from where it was. The record announces it; nil
// has it made if it is needed.
func (sh *share) put(s *station, w *held, c *client, record []byte) {
	if was := sh.on[w.ID]; was != nil {
		delete(sh.on, w.ID)
		if i, there := slices.BinarySearchFunc(was.mine, w, earlier); there {
			was.mine = slices.Delete(was.mine, i, i+1)
		}
		if _, there := sh.screens[was]; there {
			was.pushLeft(w.ID)
		}
	}
	if c != nil {
		sh.on[w.ID] = c
		i, _ := slices.BinarySearchFunc(c.mine, w, earlier)
		c.mine = slices.Insert(c.mine, i, w)
		c.push(s, w, record)
	}
}

// choose says on which screen an order belongs, nil for none here.
func (sh *share) choose(w *held) *client {
	here, known := sh.people[w.by]
	if !sh.joined || known && !here || !here && !sh.partitions[w.partition] {
		return nil
	}
	theirs := w.by != "" && hasPerson(sh.screens, w.by)
	if c := sh.on[w.ID]; c != nil {
		if _, there := sh.screens[c]; there && (!theirs || c.person == w.by) {
			return c
		}
	}
	var best *client
	for c := range sh.screens {
		if (!theirs || c.person == w.by) && (best == nil || len(c.mine) < len(best.mine)) {
			best = c
		}
	}
	return best
}

// hasPerson says whether a person stands before one of the screens.
func hasPerson(screens map[*client]struct{}, person string) bool {
	for c := range screens {
		if c.person == person {
			return true
		}
	}
	return false
}

// level moves orders from full screens to emptier ones until they have as many, or one more, but for what is claimed.
func (sh *share) level(s *station) {
	for {
		var empty, full *client
		var newest *held
		for c := range sh.screens {
			if empty == nil || len(c.mine) < len(empty.mine) {
				empty = c
			}
			if full == nil || len(c.mine) > len(full.mine) {
				if w := c.free(); w != nil {
					full, newest = c, w
				}
			}
		}
		if full == nil || len(full.mine) < len(empty.mine)+2 {
			return
		}
		sh.put(s, newest, empty, nil)
	}
}

// free is the newest of a screen's orders that nobody has claimed.
func (c *client) free() *held {
	for _, w := range slices.Backward(c.mine) {
		if w.by == "" {
			return w
		}
	}
	return nil
}

// sendAway has all screens reconnect.
func (sh *share) sendAway(why string) {
	for c := range sh.screens {
		c.close(why, true)
	}
}

// push and pushLeft tell a screen of a group what is new to it. One that is shown nothing yet learns it from its snapshot.
func (c *client) push(s *station, w *held, record []byte) {
	if c.log == nil {
		return
	}
	if record == nil {
		record = s.announce(w.Order)
	}
	c.append(record, w.Shown)
}

func (c *client) pushLeft(id string) {
	if c.log != nil {
		c.append(appendInvocation(nil, informOrderLeft, quote(id)), nil)
	}
}

func (c *client) append(record []byte, shown func()) {
	c.pushed++
	c.log.add(event{c.pushed, c.hub.now(), record, shown})
	c.wake()
}

// changedPresence has the groups told of who is here.
func (h *Hub) changedPresence() {
	select {
	case h.present <- struct{}{}:
	default:
	}
}

// tellGroups tells each group who is here, whenever that has changed, and at the end that nobody is.
func (h *Hub) tellGroups(ctx context.Context) {
	if h.options.Groups == nil {
		return
	}
	type at struct{ group, topic string }
	type presence struct {
		screens int
		people  []string
	}
	told := map[at]bool{}
	for {
		select {
		case <-ctx.Done():
			for k := range told {
				_ = h.options.Groups.Set(k.group, k.topic, 0, nil)
			}
			return
		case <-h.present:
		}
		here := map[at]*presence{}
		h.mu.RLock()
		for topic, s := range h.stations {
			for group, sh := range s.shares {
				p := &presence{screens: len(sh.screens)}
				for c := range sh.screens {
					if c.person != "" {
						p.people = append(p.people, c.person)
					}
				}
				here[at{group, topic}] = p
			}
		}
		h.mu.RUnlock()
		for k := range told {
			if here[k] == nil {
				_ = h.options.Groups.Set(k.group, k.topic, 0, nil)
				delete(told, k)
			}
		}
		for k, p := range here {
			if err := h.options.Groups.Set(k.group, k.topic, p.screens, p.people); err != nil {
				h.refuse(k.group, k.topic, err)
				continue
			}
			told[k] = true
		}
	}
}

// refuse sends the screens of a group away that cannot be served.
func (h *Hub) refuse(group, topic string, why error) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if sh := h.stations[topic].shares[group]; sh != nil {
		sh.sendAway("The consumer group cannot be joined: " + why.Error() + ".")
	}
}
