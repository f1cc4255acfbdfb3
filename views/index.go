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

// index is the state of all orders. Of an order's rows it keeps only that of the furthest stage,
// because that row contains the whole history. update applies a row. The result does not depend on
// the order in which the tables deliver their rows.
type index struct {
	line topology.Line
	feed *feed

	mu      sync.RWMutex
	slots   map[string]*slot          // Slots by the ID of the order.
	latest  *btree.BTreeG[*slot]      // All orders, newest first.
	queues  []*btree.BTreeG[*slot]    // Waiting orders by stage, oldest arrival first.
	claimed map[*slot]struct{}        // Orders with a claim, expired or not.
	reports map[uuid.UUID]*reportSlot // Reports with an idempotency key, by ID.
	watched map[string][]*watcher     // Watchers by the ID of the order.
	counts  map[order.Status]int      // Number of orders by status.
	stats   *stats.Figures
}

// slot holds the current entry of one order.
type slot struct {
	now     *entry
	reports []uuid.UUID // Keys of the order in index.reports.
}

// entry is the row of the furthest stage. It is immutable, so readers need the lock only to find
// it.
type entry struct {
	id      string
	stage   int
	state   order.State
	status  order.Status
	placed  time.Time
	arrived time.Time
	claim   string    // Name of the claimant, even of an expired claim; "" unless the order waits.
	until   time.Time // Expiry of the claim; zero if it never expires.
	applied [2]int64  // NextOffset of the row.
	steps   int       // Number of steps in the history.
	ended   int       // Stage of the last step; -1 without one, or if the line has no such stage.
	since   time.Time // Time of the last step; that of placing without one.
	offset  int64     // Offset of the row in the changelog.
	raw     []byte    // Row as JSON.
}

func (e *entry) waiting() bool { return e.state == order.StateWaiting }

func (e *entry) claimedBy(now time.Time) string { return order.Holder(e.claim, e.until, now) }

// reportSlot is the outcome of a report with an idempotency key.
type reportSlot struct {
	orderID string
	stage   int
	outcome order.Outcome
}

// watcher waits for changes of one order, and if it has a reportID also for the outcome of that
// report at the stage.
type watcher struct {
	reportID string
	stage    int
	outcome  *order.Outcome // Outcome of the report, once known; guarded by index.mu.
	changed  chan struct{}  // Signal of a change, with capacity 1.
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

// newer orders by the time of placing, newest first.
func newer(a, b *slot) bool {
	if c := a.now.placed.Compare(b.now.placed); c != 0 {
		return c > 0
	}
	return a.now.id > b.now.id
}

// earlier orders by the time of arrival at the present stage, oldest first.
func earlier(a, b *slot) bool {
	if c := a.now.arrived.Compare(b.now.arrived); c != 0 {
		return c < 0
	}
	return a.now.id < b.now.id
}

// update applies a record of the changelog of a stage's table; data is nil for a tombstone. It
// ignores an undecodable row and returns it. It does not retain data.
func (x *index) update(stage int, id string, offset int64, data []byte, trace string) *codecs.Undecodable {
	if data == nil {
		x.remove(stage, id)
		return nil
	}
	data = bytes.Clone(data)          // The row must not keep the whole fetch buffer alive.
	v, _ := codecs.Row{}.Decode(data) // The error is always nil.
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
	x.rememberOutcomes(s, stage, row)
	if s.now == nil || s.now.olderThan(stage, row, offset) {
		e := &entry{
			id: row.Order.ID, stage: stage, state: row.State, status: row.Order.Status,
			placed: row.Order.PlacedOn, arrived: row.Arrived, claim: row.Claim, until: row.Until, applied: row.NextOffset, offset: offset, raw: data,
		}
		if s.now != nil {
			e.placed = s.now.placed // The order must keep its place in x.latest.
		}
		e.steps, e.ended, e.since = len(row.Order.History), -1, e.placed
		if e.steps > 0 {
			last := row.Order.History[e.steps-1]
			e.ended, e.since = x.line.Index(last.Stage), last.On
		}
		x.updateStats(s.now, e, &row.Order)
		x.replace(s, e, trace)
	}
	for _, w := range x.watched[id] {
		if o, found := row.Outcome(w.reportID); found && stage == w.stage {
			w.outcome = &o
		}
		w.notify()
	}
	return nil
}

// olderThan reports whether e is older than a row of the stage. An order never moves backwards,
// neither when the tables deliver their rows in another order than they were written, nor when a
// table is read again from its start, nor when a processor that has lost its partitions writes an
// old row late, behind newer ones.
func (e *entry) olderThan(stage int, row *order.Row, offset int64) bool {
	if stage != e.stage {
		return stage > e.stage
	}
	return offset > e.offset &&
		row.NextOffset[order.Arrivals] >= e.applied[order.Arrivals] &&
		row.NextOffset[order.Reports] >= e.applied[order.Reports]
}

// replace makes e the current entry of s and pushes the change, if it concerns the stages' queues.
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

// rememberOutcomes stores the outcomes of reports with an idempotency key.
func (x *index) rememberOutcomes(s *slot, stage int, row *order.Row) {
	for _, o := range row.Outcomes {
		if o.Digest == "" {
			continue
		}
		id, err := uuid.Parse(o.ReportID)
		if err != nil || x.reports[id] != nil {
			continue
		}
		x.reports[id] = &reportSlot{orderID: row.Order.ID, stage: stage, outcome: o}
		s.reports = append(s.reports, id)
	}
}

// remove deletes the order if the tombstone is one of the furthest stage that has a row for it.
func (x *index) remove(stage int, id string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	s := x.slots[id]
	if s == nil || s.now == nil || s.now.stage != stage {
		return
	}
	x.counts[s.now.status]--
	x.latest.Delete(s)
	x.updateStats(s.now, nil, nil)
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
	w := &watcher{reportID: reportID, stage: stage, changed: make(chan struct{}, 1)}
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

// notify wakes the watcher. It never blocks: one pending signal stands for any number of changes.
func (w *watcher) notify() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}
