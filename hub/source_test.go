package hub

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"
)

// kitchen is a Source in memory: the orders that wait at each station, and the last changes.
type kitchen struct {
	keep int    // changes kept
	pad  string // makes orders longer

	mu       sync.Mutex
	closed   error // why there is no answer yet
	gap      bool  // the next Changes fails
	position uint64
	waiting  map[string][]string // ids, oldest first
	orders   map[string]Order
	changes  []Change
	changed  chan struct{} // closed at the next change
}

func newKitchen() *kitchen {
	return &kitchen{keep: 1000, waiting: map[string][]string{}, orders: map[string]Order{}, changed: make(chan struct{})}
}

func (k *kitchen) Waiting(topic string) (iter.Seq[Order], int, uint64, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed != nil {
		return nil, 0, 0, k.closed
	}
	orders := k.list(topic)
	return slices.Values(orders), len(orders), k.position, nil
}

func (k *kitchen) Changes(ctx context.Context, after uint64) ([]Change, error) {
	for {
		k.mu.Lock()
		oldest, news, gap := k.position-uint64(len(k.changes)), slices.Clone(k.changes), k.gap
		k.gap = false
		changed := k.changed
		k.mu.Unlock()
		if gap || after < oldest {
			return nil, fmt.Errorf("kitchen: %w", ErrGap)
		}
		if news = news[after-oldest:]; len(news) > 0 {
			return news, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// put announces the order at the topic's station, whether it comes from another one, is new, or
// only changed.
func (k *kitchen) put(topic, id string) { k.change("", topic, id) }

func (k *kitchen) move(from, to, id string) { k.change(from, to, id) }

func (k *kitchen) take(topic, id string) { k.change(topic, "", id) }

func (k *kitchen) change(from, to, id string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.changeTo(from, to, id, func(time.Time) string { return "" })
}

// claim claims an order that waits at the topic, until a time if that is not zero. It reports
// whether the order waits there.
func (k *kitchen) claim(topic, id, by string, until time.Time) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !slices.Contains(k.waiting[topic], id) {
		return false
	}
	k.changeTo("", topic, id, func(now time.Time) string {
		if !until.IsZero() && !now.Before(until) {
			return ""
		}
		return by
	})
	return true
}

func (k *kitchen) changeTo(from, to, id string, claimedBy func(time.Time) string) {
	k.position++
	text := json.RawMessage(fmt.Sprintf(`{"id":%q,"position":%d,"pad":%q}`, id, k.position, k.pad))
	order := Order{ID: id, ClaimedBy: claimedBy, JSON: func() json.RawMessage { return text }}
	k.waiting[from] = slices.DeleteFunc(k.waiting[from], func(other string) bool { return other == id })
	if to != "" && !slices.Contains(k.waiting[to], id) {
		k.waiting[to] = append(k.waiting[to], id)
	}
	k.orders[id] = order
	k.changes = append(k.changes, Change{Position: k.position, Left: from, Arrived: to, ID: id, Order: order})
	k.changes = k.changes[max(0, len(k.changes)-k.keep):]
	k.wakeLocked()
}

func (k *kitchen) wakeLocked() {
	close(k.changed)
	k.changed = make(chan struct{})
}

// has reports whether there ever was an order of the ID.
func (k *kitchen) has(id string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	_, has := k.orders[id]
	return has
}

// lose makes the next call of Changes fail with ErrGap.
func (k *kitchen) lose() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.gap = true
	k.wakeLocked()
}

func (k *kitchen) setClosed(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.closed = err
}

func (k *kitchen) list(topic string) []Order {
	orders := []Order{}
	for _, id := range k.waiting[topic] {
		orders = append(orders, k.orders[id])
	}
	return orders
}

func (k *kitchen) text(topic string) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var texts []json.RawMessage
	for _, o := range k.list(topic) {
		texts = append(texts, o.JSON())
	}
	return join(texts)
}

func join(orders []json.RawMessage) string {
	var b strings.Builder
	for _, o := range orders {
		b.Write(o)
		b.WriteByte('\n')
	}
	return b.String()
}
