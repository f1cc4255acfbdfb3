package views

import (
	"context"
	"errors"
	"sync"
)

// Change is a change of one order that concerns the queue of a stage.
type Change struct {
	Position uint64 // Position of the change: one more than that of the change before.
	ID       string // ID of the order.
	Left     int    // Stage whose queue the order left, or -1.
	Arrived  int    // Stage where the order waits now, or -1; without Left it may have waited there before.
	Trace    string // Trace header of the row behind the change; "" without tracing.
	entry    *entry
}

// Order returns the order as it was directly after the change. It panics if Arrived is -1.
func (c Change) Order() Order { return c.entry.order() }

// Lazy is like Order, but decodes the order on demand. It panics if Arrived is -1 on use.
func (c Change) Lazy() Lazy { return Lazy{c.entry} }

// ErrGap is the error for a position whose following changes are no longer kept. The reader must
// start over from the current state.
var ErrGap = errors.New("changes after this position are no longer kept: read the current state")

// feed is a ring buffer of the last changes. push never waits for a reader.
type feed struct {
	mu   sync.Mutex
	ring []Change
	next uint64        // Position of the next change; positions start with 1.
	more chan struct{} // Closed and replaced by each push.
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

// position returns the position of the last change, or 0 if there was none.
func (f *feed) position() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.next - 1
}

// changes blocks until there is a change after the position, and returns all of them.
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
