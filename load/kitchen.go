package load

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// station is an element of GET /stations.
type station struct{ Stage, Verb, Topic, Event string }

// kitchen finishes the orders that this program placed at every station, as soon as the hub shows
// them there. If it only watches, it has the first station alone, and an order is done once the hub
// has shown it.
type kitchen struct {
	server   *client
	tally    *tally
	walks    bool
	stations []station
	jobs     chan string   // IDs of orders to finish at their next station; buffered for all orders.
	moved    chan struct{} // Receives a value after progress; buffered for one.
	cancel   context.CancelFunc
	wg       sync.WaitGroup

	mu      sync.Mutex
	orders  map[string]*walk       // The orders that this program placed and that are not done, by ID.
	waiting []map[string]time.Time // For each station: when the hub first showed an order, by ID; other programs' orders included.
	synced  []chan struct{}        // For each station: closed when the hub's first snapshot is complete.
}

// walk is the progress of an order.
type walk struct {
	step int       // Index of the station where the order must be finished next.
	busy bool      // A worker is finishing it.
	due  time.Time // When the order was due to be placed; zero once the hub has shown it at the first station.
}

// openKitchen returns once the hub's snapshots of all watched stations are complete.
func openKitchen(ctx context.Context, server *client, t *tally, o Options) (*kitchen, error) {
	var line struct{ Stations []station }
	if err := server.get(ctx, "/stations", &line); err != nil {
		return nil, fmt.Errorf("getting the stations: %w", err)
	}
	if !o.Walk {
		line.Stations = line.Stations[:min(1, len(line.Stations))]
	}
	k := &kitchen{
		server: server, tally: t, walks: o.Walk, stations: line.Stations,
		jobs: make(chan string, o.Orders), moved: make(chan struct{}, 1), orders: make(map[string]*walk, o.Orders),
	}
	for range line.Stations {
		k.waiting = append(k.waiting, map[string]time.Time{})
		k.synced = append(k.synced, make(chan struct{}))
	}
	ctx, k.cancel = context.WithCancel(ctx)
	for i, s := range line.Stations {
		k.wg.Go(func() { watch(ctx, server, s, func(e event) { k.see(i, e) }) })
	}
	for range min(workers, o.Orders) {
		k.wg.Go(func() { k.work(ctx) })
	}
	limit := time.NewTimer(server.giveUpAfter)
	defer limit.Stop()
	for i, synced := range k.synced {
		select {
		case <-synced:
		case <-limit.C:
			k.close()
			return nil, fmt.Errorf("the hub has sent no snapshot of the station %s within %s: check the server with `ecupcakes health`", line.Stations[i].Stage, server.giveUpAfter)
		case <-ctx.Done():
			k.close()
			return nil, context.Cause(ctx)
		}
	}
	return k, nil
}

func (k *kitchen) close() {
	k.cancel()
	k.wg.Wait()
}

// placed adds an order. The hub may have shown it before the answer to its POST arrived.
func (k *kitchen) placed(id string, due time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.orders[id] = &walk{due: due}
	if seen, ok := k.waiting[0][id]; ok {
		k.shown(id, seen)
	}
}

// shown handles the arrival of one of this program's orders at the first station. The lock must be
// held.
func (k *kitchen) shown(id string, now time.Time) {
	w := k.orders[id]
	if !w.due.IsZero() {
		k.tally.shown(now.Sub(w.due))
		w.due = time.Time{}
	}
	if !k.walks {
		delete(k.orders, id)
		k.progress()
		return
	}
	k.next(id)
}

// see handles an event of station i.
func (k *kitchen) see(i int, e event) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch e.kind {
	case reconnected:
		clear(k.waiting[i])
	case synced:
		select {
		case <-k.synced[i]:
		default:
			close(k.synced[i])
		}
	case left:
		delete(k.waiting[i], e.id)
	case arrived:
		now := time.Now()
		if _, again := k.waiting[i][e.id]; !again {
			k.waiting[i][e.id] = now
		}
		switch {
		case k.orders[e.id] == nil: // Another program's order, or one whose POST is not answered yet.
		case i == 0:
			k.shown(e.id, now)
		default:
			k.next(e.id)
		}
	}
}

// next passes an order to the workers if the hub shows it at its next station. The lock must be held.
func (k *kitchen) next(id string) {
	w := k.orders[id]
	if w.busy {
		return
	}
	if _, here := k.waiting[w.step][id]; here {
		w.busy = true
		k.jobs <- id // It never blocks: busy keeps an order from being in the channel twice.
	}
}

func (k *kitchen) work(ctx context.Context) {
	for {
		select {
		case id := <-k.jobs:
			k.finish(ctx, id)
		case <-ctx.Done():
			return
		}
	}
}

// finish finishes an order at its next station. An order that is refused there counts as lost.
func (k *kitchen) finish(ctx context.Context, id string) {
	k.mu.Lock()
	w := k.orders[id]
	s := k.stations[w.step]
	k.mu.Unlock()

	err := k.server.finish(ctx, s, id)

	k.mu.Lock()
	defer k.mu.Unlock()
	if err != nil {
		k.tally.lost(fmt.Errorf("order %s at %s: %w", id, s.Stage, err))
		delete(k.orders, id)
	} else {
		delete(k.waiting[w.step], id)
		w.step, w.busy = w.step+1, false
		if w.step == len(k.stations) {
			k.tally.shipped()
			delete(k.orders, id)
		} else {
			k.next(id)
		}
	}
	k.progress()
}

// progress wakes wait.
func (k *kitchen) progress() {
	select {
	case k.moved <- struct{}{}:
	default:
	}
}

// wait blocks until every order is done or lost, there was no progress for stallAfter, or ctx ends.
func (k *kitchen) wait(ctx context.Context, stallAfter time.Duration) {
	for k.remaining() > 0 {
		stalled := time.NewTimer(stallAfter)
		select {
		case <-k.moved:
			stalled.Stop()
		case <-stalled.C:
			return
		case <-ctx.Done():
			stalled.Stop()
			return
		}
	}
}

func (k *kitchen) remaining() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.orders)
}
