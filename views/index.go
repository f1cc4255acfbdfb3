package views

import (
	"bytes"
	"sync"
	"time"

	"github.com/ecupcakes/ecupcakes/codecs"
	"github.com/ecupcakes/ecupcakes/order"
	"github.com/ecupcakes/ecupcakes/topology"
	"github.com/ecupcakes/ecupcakes/views/stats"

	"github.com/google/uuid"
	"github.com/tidwall/btree"
)

// index is what the views know, by order: of all rows of an order only the
// furthest stage's, because that one tells the whole story. It is pure data;
// update puts a row in, whatever the order in which the tables deliver them.
type index struct {
	line topology.Line
	feed *feed

	mu      sync.RWMutex
	slots   map[string]*slot          // By order id.
	latest  *btree.BTreeG[*slot]      // All orders, newest first.
	queues  []*btree.BTreeG[*slot]    // For each stage, those that wait there, oldest arrival first.
	claimed map[*slot]struct{}        // Those with a claim, lapsed or not.
	reports map[uuid.UUID]*reportSlot // Reports that came with an idempotency key, by id.
	watched map[string][]*watcher     // By order id.
	counts  map[order.Status]int
	stats   *stats.Figures
}

// slot holds what is known of one order now.
type slot struct {
	now     *entry
	reports []uuid.UUID // Its keys in index.reports.
}

// entry is the row of the furthest stage. It never changes once made, so that
// readers need the lock only to find it.
type entry struct {
	id      string
	stage   int
	state   order.State
	status  order.Status
	placed  time.Time
	arrived time.Time
	claim   string    // Empty unless it waits.
	until   time.Time // When the claim lapses; zero is never.
	applied [2]int64
	steps   int       // How many the order's history has.
	ended   int       // The stage of the last one, -1 if there is none or it is none of the line's.
	since   time.Time // The last one's time; that of placing if there is none.
	offset  int64     // Of the row in the changelog.
	raw     []byte    // The row as JSON.
}

func (e *entry) waiting() bool { return e.state == order.StateWaiting }

func (e *entry) claimedBy(now time.Time) string { return order.Holder(e.claim, e.until, now) }

type reportSlot struct {
	orderID string
	stage   int
	outcome order.Outcome
}

// watcher waits for news of one order, and for the outcome of one report about
// it if it names one.
type watcher struct {
	reportID string
	stage    int
	outcome  *order.Outcome // Guarded by index.mu.
	news     chan struct{}  // Capacity 1.
}

func newIndex(line topology.Line, f *feed) *index {
	x := &index{
		line: line, feed: f,
		slots:   map[string]*slot{},
		latest:  btree.NewBTreeG(newer),
		claimed: map[*slot]struct{}{},
		reports: map[uuid.UUID]*reportSlot{},
		watched: map[string][]*watcher{},
		counts:  map[order.Status]int{},
		stats:   stats.New(len(line.Stages), time.Now),
	}
	for range line.Stages {
		x.queues = append(x.queues, btree.NewBTreeG(earlier))
	}
	return x
}

// newer sorts by the time of placing, newest first.
func newer(a, b *slot) bool {
	if c := a.now.placed.Compare(b.now.placed); c != 0 {
		return c > 0
	}
	return a.now.id > b.now.id
}

// earlier sorts by the time of arrival at the present station, oldest first.
func earlier(a, b *slot) bool {
	if c := a.now.arrived.Compare(b.now.arrived); c != 0 {
		return c < 0
	}
	return a.now.id < b.now.id
}

// update takes in the value that the changelog of a stage's table has for an
// order; nil is a tombstone. It returns why a value was ignored that nobody can
// read. Memory that data shares with others is not kept.
func (x *index) update(stage int, id string, offset int64, data []byte, trace string) *codecs.Undecodable {
	if data == nil {
		x.remove(stage, id)
		return nil
	}
	data = bytes.Clone(data) // A fetch buffer must not live as long as the row.
	v, _ := codecs.Row{}.Decode(data)
	row, ok := v.(*order.Row)
	if !ok {
		return v.(*codecs.Undecodable)
	}
	if row.State == order.StateEarly || row.Order.ID != id {
		return nil
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	s := x.slots[id]
	if s == nil {
		s = &slot{}
		x.slots[id] = s
	}
	x.note(s, stage, row)
	if s.now == nil || s.now.before(stage, row, offset) {
		e := &entry{
			id: row.Order.ID, stage: stage, state: row.State, status: row.Order.Status,
			placed: row.Order.PlacedOn, arrived: row.Arrived, claim: row.Claim, until: row.Until, applied: row.NextOffset, offset: offset, raw: data,
		}
		if s.now != nil {
			e.placed = s.now.placed // The place in x.latest must not change.
		}
		e.steps, e.ended, e.since = len(row.Order.History), -1, e.placed
		if e.steps > 0 {
			last := row.Order.History[e.steps-1]
			e.ended, e.since = x.line.Index(last.Stage), last.On
		}
		x.count(s.now, e, &row.Order)
		x.replace(s, e, trace)
	}
	for _, w := range x.watched[id] {
		if o, found := row.Outcome(w.reportID); found && stage == w.stage {
			w.outcome = &o
		}
		w.poke()
	}
	return nil
}

// before says whether e is older than a row of the stage. Nothing moves
// backwards: not when the tables deliver in another order than things
// happened, not when a table is read again from its start, and not when the
// late write of a processor that has lost its partitions follows newer ones.
func (e *entry) before(stage int, row *order.Row, offset int64) bool {
	if stage != e.stage {
		return stage > e.stage
	}
	return offset > e.offset && row.NextOffset[order.Arrivals] >= e.applied[order.Arrivals] && row.NextOffset[order.Reports] >= e.applied[order.Reports]
}

// replace makes e the state of the order in s and tells the feed what that
// means to the stations.
func (x *index) replace(s *slot, e *entry, trace string) {
	change := Change{Left: -1, Arrived: -1, ID: e.id, Trace: trace}
	old := s.now
	if old != nil {
		x.counts[old.status]--
		if old.waiting() {
			x.queues[old.stage].Delete(s)
			if !e.waiting() || e.stage != old.stage {
				change.Left = old.stage
			}
		}
	}
	s.now = e
	delete(x.claimed, s)
	if e.waiting() && e.claim != "" {
		x.claimed[s] = struct{}{}
	}
	x.counts[e.status]++
	if old == nil {
		x.latest.Set(s)
	}
	if e.waiting() {
		x.queues[e.stage].Set(s)
		change.Arrived, change.entry = e.stage, e
	}
	if change.Left >= 0 || change.Arrived >= 0 {
		x.feed.push(change)
	}
}

// note remembers the outcomes of reports that came with an idempotency key.
func (x *index) note(s *slot, stage int, row *order.Row) {
	for _, o := range row.Outcomes {
		if o.Digest == "" {
			continue
		}
		id, err := uuid.Parse(o.ReportID)
		if err != nil || x.reports[id] != nil {
			continue
		}
		x.reports[id] = &reportSlot{row.Order.ID, stage, o}
		s.reports = append(s.reports, id)
	}
}

func (x *index) remove(stage int, id string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	s := x.slots[id]
	if s == nil || s.now == nil || s.now.stage != stage {
		return
	}
	x.counts[s.now.status]--
	x.latest.Delete(s)
	x.count(s.now, nil, nil)
	if s.now.waiting() {
		x.queues[stage].Delete(s)
		x.feed.push(Change{Left: stage, Arrived: -1, ID: id})
	}
	for _, r := range s.reports {
		delete(x.reports, r)
	}
	delete(x.claimed, s)
	delete(x.slots, id)
}

func (x *index) watch(id, reportID string, stage int) *watcher {
	w := &watcher{reportID: reportID, stage: stage, news: make(chan struct{}, 1)}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.watched[id] = append(x.watched[id], w)
	return w
}

func (x *index) unwatch(id string, w *watcher) {
	x.mu.Lock()
	defer x.mu.Unlock()
	ws := x.watched[id]
	for i := range ws {
		if ws[i] == w {
			ws = append(ws[:i], ws[i+1:]...)
			break
		}
	}
	if x.watched[id] = ws; len(ws) == 0 {
		delete(x.watched, id)
	}
}

func (w *watcher) poke() {
	select {
	case w.news <- struct{}{}:
	default:
	}
}
