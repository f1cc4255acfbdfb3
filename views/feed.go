package views

import (
	"context"
	"errors"
	"sync"
)

// Change is what happened to one order, seen from the stations.
type Change struct {
	Position uint64 // Grows by one with each change.
	ID       string // The order's.
	Left     int    // The stage that it left, -1 if none.
	Arrived  int    // The stage where it waits now, -1 if none; without Left it may be an update.
	Trace    string // The header of the row that says so; empty without tracing.
	entry    *entry
}

// Order is the order as it was right after the change. Only with Arrived.
func (c Change) Order() Order { return c.entry.order() }

// Lazy is the same for those who may not need all. Only with Arrived.
func (c Change) Lazy() Lazy { return Lazy{c.entry} }

// ErrGap says that changes were asked for that are no longer kept: look at the
// present state instead.
var ErrGap = errors.New("these changes are no longer kept")

// feed keeps the last changes. Pushing never waits for who reads.
type feed struct {
	mu   sync.Mutex
	ring []Change
	next uint64        // Position of the next change; positions start with 1.
	more chan struct{} // Closed and replaced when there are more.
}

func newFeed(length int) *feed {
	return &feed{ring: make([]Change, length), next: 1, more: make(chan struct{})}
}

func (f *feed) push(c Change) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c.Position = f.next
	f.ring[f.next%uint64(len(f.ring))] = c
	f.next++
	close(f.more)
	f.more = make(chan struct{})
}

// position is that of the last change.
func (f *feed) position() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.next - 1
}

// changes blocks until there is a change after the position, and returns all
// that there are.
func (f *feed) changes(ctx context.Context, after uint64) ([]Change, error) {
	for {
		f.mu.Lock()
		more := f.more
		if after+1 < f.next {
			defer f.mu.Unlock()
			if f.next-after-1 > uint64(len(f.ring)) {
				return nil, ErrGap
			}
			cs := make([]Change, 0, f.next-after-1)
			for p := after + 1; p < f.next; p++ {
				cs = append(cs, f.ring[p%uint64(len(f.ring))])
			}
			return cs, nil
		}
		f.mu.Unlock()
		select {
		case <-more:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
