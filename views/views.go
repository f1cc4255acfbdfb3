// Package views is the reading side: it follows the table of every stage with
// a goka view and answers, from memory, where an order is, what waits at a
// station, which orders came last and what became of a report.
//
// It holds a complete copy of what the tables say, so any instance answers any
// question. It never writes to Kafka and never knows HTTP.
package views

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/ecupcakes/ecupcakes/codecs"
	"github.com/ecupcakes/ecupcakes/order"
	"github.com/ecupcakes/ecupcakes/topology"

	"github.com/google/uuid"
)

// Views answers questions about the orders of a line. Its methods may be
// called by any number of goroutines.
type Views struct {
	line  topology.Line
	log   *slog.Logger
	index *index
	feed  *feed

	mu       sync.Mutex
	progress map[partition]*progress
	caughtUp []bool // For each stage; once true it stays so.
}

// feedLength bounds how many changes a slow reader may fall behind.
const feedLength = 8192

// New returns views that know nothing until Run.
func New(line topology.Line, log *slog.Logger) *Views {
	f := newFeed(feedLength)
	return &Views{
		line: line, log: log, feed: f, index: newIndex(line, f),
		progress: map[partition]*progress{}, caughtUp: make([]bool, len(line.Stages)),
	}
}

// Order is an order and where it stands.
type Order struct {
	order.Order
	At      int         // Index of the furthest stage that knows it.
	State   order.State // There.
	Arrived time.Time   // When it came there.
	Claim   string      // Who is on it there now; empty when nobody.
	Until   time.Time   // When that lapses unless it is renewed; zero is never.
	ETag    string      // Changes whenever the order does; the same on every instance.
}

func (e *entry) order() Order {
	v, _ := codecs.Row{}.Decode(e.raw)
	row := v.(*order.Row) // It was one when the entry was made.
	claim, until := e.claimedBy(time.Now()), e.until
	if claim == "" {
		until = time.Time{}
	}
	return Order{
		Order: row.Order, At: e.stage, State: e.state, Arrived: e.arrived, Claim: claim, Until: until,
		ETag: fmt.Sprintf(`"%d-%d-%d"`, e.stage, e.applied[order.Arrivals], e.applied[order.Reports]),
	}
}

// NotReadyError says that the views cannot answer yet.
type NotReadyError struct {
	Percent int // How far they are, 0 to 99.
}

func (e *NotReadyError) Error() string {
	return fmt.Sprintf("the orders are still being read: %d %% done", e.Percent)
}

// Ready returns a *NotReadyError until every view has caught up once.
func (v *Views) Ready() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	ready := true
	for _, c := range v.caughtUp {
		ready = ready && c
	}
	if ready {
		return nil
	}
	var done, all int64
	for _, p := range v.progress {
		done, all = done+min(p.next, p.end), all+p.end
	}
	if all == 0 {
		return &NotReadyError{}
	}
	return &NotReadyError{Percent: int(min(done*100/all, 99))}
}

// Reached says whether the table of the stage is read up to these ends, by the
// number of the partition.
func (v *Views) Reached(stage int, ends map[int32]int64) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	for number, end := range ends {
		if p := v.progress[partition{stage, number}]; end > 0 && (p == nil || p.next < end) {
			return false
		}
	}
	return v.caughtUp[stage]
}

// Order returns the order with the id.
func (v *Views) Order(id string) (Order, bool) {
	v.index.mu.RLock()
	s := v.index.slots[id]
	v.index.mu.RUnlock()
	if s == nil {
		return Order{}, false
	}
	return v.read(s)
}

// Has says whether there is an order with the id, without reading it.
func (v *Views) Has(id string) bool {
	v.index.mu.RLock()
	defer v.index.mu.RUnlock()
	s := v.index.slots[id]
	return s != nil && s.now != nil
}

func (v *Views) read(s *slot) (Order, bool) {
	v.index.mu.RLock()
	e := s.now
	v.index.mu.RUnlock()
	if e == nil {
		return Order{}, false
	}
	return e.order(), true
}

// Await returns the order with the id as soon as enough says so, or the ctx's
// error. An order that is unknown so far is waited for.
func (v *Views) Await(ctx context.Context, id string, enough func(Order) bool) (Order, error) {
	w := v.index.watch(id, "", 0)
	defer v.index.unwatch(id, w)
	for {
		if o, ok := v.Order(id); ok && enough(o) {
			return o, nil
		}
		select {
		case <-w.news:
		case <-ctx.Done():
			return Order{}, ctx.Err()
		}
	}
}

// PendingReport is a wait for the outcome of one report. It must be closed.
type PendingReport struct {
	v  *Views
	w  *watcher
	id string
}

// AwaitReport starts to watch for the outcome of a report. Call it before the
// report is sent, so that the outcome cannot be missed.
func (v *Views) AwaitReport(stage int, orderID, reportID string) *PendingReport {
	return &PendingReport{v, v.index.watch(orderID, reportID, stage), orderID}
}

// Close ends the watch.
func (w *PendingReport) Close() { w.v.index.unwatch(w.id, w.w) }

// Outcome waits until the stage's table tells what became of the report, and
// returns it with the order as it is then; or the ctx's error.
func (w *PendingReport) Outcome(ctx context.Context) (order.Outcome, Order, error) {
	for {
		w.v.index.mu.RLock()
		outcome := w.w.outcome
		w.v.index.mu.RUnlock()
		if outcome != nil {
			o, _ := w.v.Order(w.id)
			return *outcome, o, nil
		}
		select {
		case <-w.w.news:
		case <-ctx.Done():
			return order.Outcome{}, Order{}, ctx.Err()
		}
	}
}

// Known is what became of a report that came with an idempotency key.
type Known struct {
	OrderID string
	Stage   int
	order.Outcome
}

// Report returns what became of the report with this id, if it came with an
// idempotency key.
func (v *Views) Report(id string) (Known, bool) {
	u, err := uuid.Parse(id)
	if err != nil {
		return Known{}, false
	}
	v.index.mu.RLock()
	defer v.index.mu.RUnlock()
	r := v.index.reports[u]
	if r == nil {
		return Known{}, false
	}
	return Known{r.orderID, r.stage, r.outcome}, true
}

// Waiting returns the orders that wait at the stage, oldest first, at most
// limit of them; how many wait there in all; and the position of the last
// change that the answer includes.
func (v *Views) Waiting(stage, limit int) (orders []Order, count int, position uint64) {
	entries, count, position := v.WaitingLazily(stage, limit)
	orders = make([]Order, len(entries))
	for i, e := range entries {
		orders[i] = e.Order()
	}
	return orders, count, position
}

// Lazy is an order that is decoded only when it is asked for.
type Lazy struct{ entry *entry }

// ID is the order's.
func (l Lazy) ID() string { return l.entry.id }

// ClaimedBy is who has taken the order on at that time; empty when nobody.
func (l Lazy) ClaimedBy(now time.Time) string { return l.entry.claimedBy(now) }

// Order decodes the order.
func (l Lazy) Order() Order { return l.entry.order() }

// WaitingLazily is Waiting for those who may not need all.
func (v *Views) WaitingLazily(stage, limit int) (orders []Lazy, count int, position uint64) {
	v.index.mu.RLock()
	defer v.index.mu.RUnlock()
	q := v.index.queues[stage]
	orders = make([]Lazy, 0, min(limit, q.Len()))
	q.Scan(func(s *slot) bool {
		if len(orders) == limit {
			return false
		}
		orders = append(orders, Lazy{s.now})
		return true
	})
	return orders, q.Len(), v.feed.position()
}

// Claim is an order that somebody has taken on.
type Claim struct {
	OrderID string
	Stage   int
	By      string
	Until   time.Time // When it lapses; zero is never.
}

// Claims returns what is claimed now, in no order.
func (v *Views) Claims() (claims []Claim) {
	now := time.Now()
	v.index.mu.RLock()
	defer v.index.mu.RUnlock()
	for s := range v.index.claimed {
		if e := s.now; e.claimedBy(now) != "" {
			claims = append(claims, Claim{e.id, e.stage, e.claim, e.until})
		}
	}
	return claims
}

// Station is how a stage stands.
type Station struct {
	Waiting int
	Oldest  time.Time // Arrival of the order that waits longest; zero when none waits.
}

// Stations tells how each stage stands, in the order of the line, and how many
// orders have each status.
func (v *Views) Stations() ([]Station, map[order.Status]int) {
	v.index.mu.RLock()
	defer v.index.mu.RUnlock()
	stations := make([]Station, len(v.index.queues))
	for i, q := range v.index.queues {
		stations[i].Waiting = q.Len()
		if s, ok := q.Min(); ok {
			stations[i].Oldest = s.now.arrived
		}
	}
	counts := make(map[order.Status]int, len(v.index.counts))
	for s, n := range v.index.counts {
		counts[s] = n
	}
	return stations, counts
}

// Filter chooses orders; its zero value chooses all.
type Filter struct {
	Status order.Status
	Stage  *int // The stage where the order is or to which it is on its way.
}

// Cursor is a place in the list of all orders: behind the order placed then
// with that id. Its zero value is the start.
type Cursor struct {
	Placed time.Time
	ID     string
}

// Latest returns orders newest first, at most limit of those that the filter
// chooses, from the cursor on, and the cursor behind them; more says whether
// there are any behind it. Orders placed meanwhile do not shift the pages.
func (v *Views) Latest(f Filter, from Cursor, limit int) (orders []Order, next Cursor, more bool) {
	var entries []*entry
	v.index.mu.RLock()
	visit := func(s *slot) bool {
		e := s.now
		if from.ID == e.id && from.Placed.Equal(e.placed) || !v.chosen(f, e) {
			return true
		}
		if len(entries) == limit {
			more = true
			return false
		}
		entries = append(entries, e)
		return true
	}
	if from.ID == "" {
		v.index.latest.Scan(visit)
	} else {
		v.index.latest.Ascend(&slot{now: &entry{id: from.ID, placed: from.Placed}}, visit)
	}
	v.index.mu.RUnlock()
	for _, e := range entries {
		orders = append(orders, e.order())
		next = Cursor{e.placed, e.id}
	}
	return orders, next, more
}

// Departed is an order that has left the line.
type Departed struct {
	ID    string
	Stage int // Index of the last stage that knew it.
}

// DepartedBefore returns orders that left the line before then, those placed
// first first, at most limit of them.
func (v *Views) DepartedBefore(then time.Time, limit int) (found []Departed) {
	var old []*entry // Those placed before are all that can have left before.
	v.index.mu.RLock()
	v.index.latest.Reverse(func(s *slot) bool {
		if v.present(s.now) < 0 {
			old = append(old, s.now)
		}
		return s.now.placed.Before(then) && len(old) < limit
	})
	v.index.mu.RUnlock()
	for _, e := range old {
		history := e.order().History
		if len(history) > 0 && history[len(history)-1].On.Before(then) {
			found = append(found, Departed{e.id, e.stage})
		}
	}
	return found
}

func (v *Views) chosen(f Filter, e *entry) bool {
	return (f.Status == "" || strings.EqualFold(string(f.Status), string(e.status))) &&
		(f.Stage == nil || v.present(e) == *f.Stage)
}

// present is the stage where the order is or to which it is on its way, -1
// when it has left the line.
func (v *Views) present(e *entry) int { return present(v.line, e) }

func present(line topology.Line, e *entry) int {
	switch {
	case e.state == order.StateCompleted && e.stage+1 < len(line.Stages):
		return e.stage + 1
	case e.waiting():
		return e.stage
	default:
		return -1
	}
}

// Present is the stage where o is or to which it is on its way, -1 when it has
// left the line.
func (v *Views) Present(o Order) int { return v.present(&entry{stage: o.At, state: o.State}) }

// Changes blocks until something has happened after the position and returns
// all of it, oldest first: ErrGap when that is too long ago, or ctx's error.
func (v *Views) Changes(ctx context.Context, after uint64) ([]Change, error) {
	return v.feed.changes(ctx, after)
}

// Position is that of the last change.
func (v *Views) Position() uint64 { return v.feed.position() }
