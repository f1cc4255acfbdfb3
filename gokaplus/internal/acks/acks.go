// Package acks tells storages which of their writes Kafka has acknowledged. goka does not: it calls SetOffset without
// saying for which record, and not at all for offset 0.
package acks

import (
	"sync"
	"sync/atomic"
)

// Storage is implemented by storages that want to learn of acknowledgements.
type Storage interface {
	// Track is called once, before the first write.
	Track(t *Tracker)
	// Emitting is called before the record of a write is emitted.
	Emitting()
	// Acknowledged is called when the record of a write is acknowledged with that offset.
	Acknowledged(write any, offset int64)
}

// Tracker matches the records that goka emits to a table topic with the writes to its storage. goka emits the record of
// a write after it, in the same goroutine, and lets no other write of the same key come between.
type Tracker struct {
	used atomic.Bool // some storage is tracked

	mu      sync.Mutex // never held while a storage is called
	written map[tableKey]pending
}

type tableKey struct{ topic, key string }

// pending is a write whose record has not been emitted yet.
type pending struct {
	storage Storage
	write   any
}

// Register has s tracked.
func (t *Tracker) Register(s Storage) {
	t.used.Store(true)
	s.Track(t)
}

// Wrote notes a write whose record may be emitted next. Of several writes of a key the last one counts.
func (t *Tracker) Wrote(s Storage, topic, key string, write any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.written == nil {
		t.written = map[tableKey]pending{}
	}
	t.written[tableKey{topic, key}] = pending{s, write}
}

// Followed forgets a write that was read from the topic, so will not be emitted.
func (t *Tracker) Followed(topic, key string, write any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if at := (tableKey{topic, key}); t.written[at].write == write {
		delete(t.written, at)
	}
}

// Emitted returns the write whose record is about to be emitted, and its storage. ok is false if there is none: the
// record belongs to a topic that is not tracked.
func (t *Tracker) Emitted(topic, key string) (s Storage, write any, ok bool) {
	if !t.used.Load() {
		return nil, nil, false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	w, ok := t.written[tableKey{topic, key}]
	delete(t.written, tableKey{topic, key})
	return w.storage, w.write, ok
}
