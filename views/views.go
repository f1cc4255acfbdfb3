// Package views is the reading side of the line. It follows the group table of every stage with a
// goka view, and answers queries from memory: the state of an order, the orders that wait at a
// stage, the latest orders, and the outcome of a report.
//
// Each instance holds the current state of all orders, so any instance answers any query. The
// package only reads from Kafka.
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

// Views answers queries about the orders of a line. It is safe for concurrent use.
type Views struct {
	line  topology.Line
	log   *slog.Logger
	index *index
	feed  *feed

	mu       sync.Mutex
	progress map[partition]*progress
	caughtUp []bool // Flags by stage: its table was read to the end once. Never reset.
}

// feedLength is the number of changes that are kept, and so the bound on how far a reader may lag.
const feedLength = 8192

// New returns views without orders. To fill them, run a View of each stage.
func New(line topology.Line, log *slog.Logger) *Views {
	f := newFeed(feedLength)
	return &Views{
		line: line, log: log, feed: f, index: newIndex(line, f),
		progress: map[partition]*progress{}, caughtUp: make([]bool, len(line.Stages)),
	}
}

// Order is an order with its state on the line.
type Order struct {
	order.Order
	At      int         // Index of the furthest stage that has a row for the order.
	State   order.State // State of the order at that stage.
	Arrived time.Time   // Time of arrival at that stage; zero unless it waits there.
	Claim   string      // Name of the claimant; "" if the order is not claimed now.
	Until   time.Time   // Expiry of the claim unless it is renewed; zero if it never expires.
	ETag    string      // Version of the order, equal on all instances.
}

// order decodes the order.
func (e *entry) order() Order {
	v, _ := codecs.Row{}.Decode(e.raw) // The error is always nil.
	row := v.(*order.Row)              // update has decoded the same bytes before.
	claim, until := e.claimedBy(time.Now()), e.until
	if claim == "" {
		until = time.Time{}
	}
	return Order{
		Order: row.Order, At: e.stage, State: e.state, Arrived: e.arrived, Claim: claim, Until: until,
		ETag: fmt.Sprintf(`"%d-%d-%d"`, e.stage, e.applied[order.Arrivals], e.applied[order.Reports]),
	}
}

// NotReadyError is the error while the views have not read their tables for the first time.
type NotReadyError struct {
	Percent int // Fraction that has been read, 0 to 99.
}

func (e *NotReadyError) Error() string {
	return fmt.Sprintf("the orders are still being read (%d %% done): try again", e.Percent)
}

// Ready returns a *NotReadyError until every view has read its table to the end once.
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

// Reached reports whether the view of the stage has read its table up to these end offsets, which
// are given by partition.
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

// Order returns the order with this ID, and whether there is one.
func (v *Views) Order(id string) (Order, bool) {
	v.index.mu.RLock()
	s := v.index.slots[id]
	v.index.mu.RUnlock()
	if s == nil {
		return Order{}, false
	}
	return v.read(s)
}

// Has reports whether there is an order with this ID. Unlike Order it decodes nothing.
func (v *Views) Has(id string) bool {
	v.index.mu.RLock()
	defer v.index.mu.RUnlock()
	return v.index.entry(id) != nil
}

// read returns the order in s, and whether it still exists.
func (v *Views) read(s *slot) (Order, bool) {
	v.index.mu.RLock()
	e := s.now
	v.index.mu.RUnlock()
	if e == nil {
		return Order{}, false
	}
	return e.order(), true
}

// Await blocks until there is an order with this ID for which enough returns true, and returns it.
// It returns the error of ctx if that ends first.
func (v *Views) Await(ctx context.Context, id string, enough func(Order) bool) (Order, error) {
	w := v.index.watch(id, "", 0)
	defer v.index.unwatch(id, w)
	for {
		if o, ok := v.Order(id); ok && enough(o) {
			return o, nil
		}
		select {
		case <-w.changed:
		case <-ctx.Done():
			return Order{}, ctx.Err()
		}
	}
}

// PendingReport waits for the outcome of one report. It must be closed.
type PendingReport struct {
	v  *Views
	w  *watcher
	id string
}

// AwaitReport starts to wait for the outcome of a report. The caller must call it before it sends
// the report, or it can miss the outcome.
func (v *Views) AwaitReport(stage int, orderID, reportID string) *PendingReport {
	return &PendingReport{v: v, w: v.index.watch(orderID, reportID, stage), id: orderID}
}

// Close ends the wait.
func (w *PendingReport) Close() { w.v.index.unwatch(w.id, w.w) }

// Outcome blocks until the stage's table has the outcome of the report, and returns it with the
// current order. It returns the error of ctx if that ends first.
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
		case <-w.w.changed:
		case <-ctx.Done():
			return order.Outcome{}, Order{}, ctx.Err()
		}
	}
}

// Known is the outcome of a report with an idempotency key.
type Known struct {
	OrderID string
	Stage   int
	order.Outcome
}

// Report returns the outcome of the report with this ID, and whether it is known. Only reports with
// an idempotency key are.
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
	return Known{OrderID: r.orderID, Stage: r.stage, Outcome: r.outcome}, true
}

// Waiting returns at most limit of the orders that wait at the stage, the longest waiting first.
// count is the number of all that wait there, and position that of the last change that the answer
// includes.
func (v *Views) Waiting(stage, limit int) (orders []Order, count int, position uint64) {
	entries, count, position := v.WaitingLazily(stage, limit)
	orders = make([]Order, len(entries))
	for i, e := range entries {
		orders[i] = e.Order()
	}
	return orders, count, position
}

// Lazy is an order that is decoded on demand.
type Lazy struct{ entry *entry }

// ID returns the ID of the order.
func (l Lazy) ID() string { return l.entry.id }

// ClaimedBy returns the claimant at now, or "" if nobody holds the claim.
func (l Lazy) ClaimedBy(now time.Time) string { return l.entry.claimedBy(now) }

// Order decodes the order.
func (l Lazy) Order() Order { return l.entry.order() }

// WaitingLazily is like Waiting, but decodes no order until the caller asks for it.
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

// Claim is a valid claim on an order.
type Claim struct {
	OrderID string
	Stage   int
	By      string
	Until   time.Time // Expiry of the claim; zero if it never expires.
}

// Claims returns the claims that are valid now, unsorted.
func (v *Views) Claims() (claims []Claim) {
	now := time.Now()
	v.index.mu.RLock()
	defer v.index.mu.RUnlock()
	for s := range v.index.claimed {
		if e := s.now; e.claimedBy(now) != "" {
			claims = append(claims, Claim{OrderID: e.id, Stage: e.stage, By: e.claim, Until: e.until})
		}
	}
	return claims
}

// Station is the backlog of a stage.
type Station struct {
	Waiting int       // Number of orders that wait at the stage.
	Oldest  time.Time // Arrival of the order that has waited longest; zero if none waits.
}

// Stations returns the backlog of each stage, in the order of the line, and the number of orders by
// status.
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

// Filter selects orders. The zero value selects all.
type Filter struct {
	Status order.Status // Status of the order, compared case-insensitively; "" selects any.
	Stage  *int         // Stage of the order as Present returns it; nil selects any.
}

// Cursor is a position in the list of all orders, directly after an order. The zero value is the
// start of the list.
type Cursor struct {
	Placed time.Time // Time of placing of that order.
	ID     string    // ID of that order.
}

// Latest returns at most limit orders that f selects, newest first, starting at from. next is the
// cursor after the last of them, and more reports whether further ones follow. Orders placed in the
// meantime do not shift the pages.
func (v *Views) Latest(f Filter, from Cursor, limit int) (orders []Order, next Cursor, more bool) {
	var entries []*entry
	v.index.mu.RLock()
	visit := func(s *slot) bool {
		e := s.now
		if from.ID == e.id && from.Placed.Equal(e.placed) || !v.selects(f, e) {
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
		v.index.latest.Ascend(from.pivot(), visit)
	}
	v.index.mu.RUnlock()
	for _, e := range entries {
		orders = append(orders, e.order())
		next = Cursor{Placed: e.placed, ID: e.id}
	}
	return orders, next, more
}

// pivot returns the cursor in the form in which the tree compares it with its items: a slot, of
// which the tree's order newer reads the ID and the time of placing only.
func (c Cursor) pivot() *slot { return &slot{now: &entry{id: c.ID, placed: c.Placed}} }

// Departed is an order that has left the line.
type Departed struct {
	ID    string
	Stage int // Index of the furthest stage that has a row for the order.
}

// DepartedBefore returns at most limit orders that left the line before then, in ascending order of
// the time of placing.
func (v *Views) DepartedBefore(then time.Time, limit int) (found []Departed) {
	var old []*entry // Only orders that were placed before then can have left before then.
	v.index.mu.RLock()
	v.index.latest.Reverse(func(s *slot) bool {
		if present(v.line, s.now.stage, s.now.state) < 0 {
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

func (v *Views) selects(f Filter, e *entry) bool {
	return (f.Status == "" || strings.EqualFold(string(f.Status), string(e.status))) &&
		(f.Stage == nil || present(v.line, e.stage, e.state) == *f.Stage)
}

// present is Order.Present of an order that is in this state at the furthest stage that has a row
// for it.
func present(line topology.Line, stage int, state order.State) int {
	switch {
	case state == order.StateCompleted && stage+1 < len(line.Stages):
		return stage + 1
	case state == order.StateWaiting:
		return stage
	default:
		return -1
	}
}

// Changes blocks until there are changes after the position, and returns them, oldest first. It
// returns ErrGap if some of them are no longer kept, and the error of ctx if that ends first.
func (v *Views) Changes(ctx context.Context, after uint64) ([]Change, error) {
	return v.feed.changes(ctx, after)
}

// Position returns the position of the last change.
func (v *Views) Position() uint64 { return v.feed.position() }
