package gokaplus

import (
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/lovoo/goka/storage"
)

// ErrStorageClosed is returned by the operations of a map or disk storage after Close.
var ErrStorageClosed = errors.New("gokaplus: the storage is closed: its partition was stopped or moved to another instance")

// MapStorage returns a builder of storages that keep their rows in a Go map in memory. Set, Get and Delete are O(1)
// (goka's MemoryBuilder sorts all keys at each new one); an iterator sorts the keys it covers. Nothing survives Close,
// so goka reads the whole table from Kafka again at each start and each rebalance.
//
// A row costs its value, its key, and 60 to 100 bytes. Set copies the value: during recovery and in views it is a piece
// of a decompressed fetch response, and keeping that piece would keep the whole response in memory; in a callback it
// belongs to the codec, which may use it again. Get does not copy: the slice
// is part of the storage and must not be modified. It stays as it is, also after the row is set anew or deleted.
//
// Any number of goroutines may read and write at the same time. The offset is kept apart from the rows, so unlike in
// goka's LevelDB storage a row may have the key "__offset".
func MapStorage() storage.Builder {
	return func(string, int32) (storage.Storage, error) {
		return &mapStore{rows: map[string][]byte{}}, nil
	}
}

type mapStore struct {
	mu        sync.RWMutex
	rows      map[string][]byte // nil once closed
	offset    int64
	hasOffset bool
}

func (s *mapStore) Open() error          { return nil }
func (s *mapStore) MarkRecovered() error { return nil }

// Close frees the rows, also when goka still holds the storage.
func (s *mapStore) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rows = nil
	return nil
}

func (s *mapStore) Has(key string) (bool, error) {
	v, err := s.Get(key)
	return v != nil, err
}

// Get returns the value of key, or nil if there is none. An empty value is not nil.
func (s *mapStore) Get(key string) ([]byte, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.rows == nil {
		return nil, ErrStorageClosed
	}
	return s.rows[key], nil
}

// Set stores a copy of value. A nil value is stored as an empty one, as in LevelDB; goka deletes instead.
func (s *mapStore) Set(key string, value []byte) error {
	stored := append(make([]byte, 0, len(value)), value...)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rows == nil {
		return ErrStorageClosed
	}
	s.rows[key] = stored
	return nil
}

func (s *mapStore) Delete(key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rows == nil {
		return ErrStorageClosed
	}
	delete(s.rows, key)
	return nil
}

func (s *mapStore) GetOffset(def int64) (int64, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if !s.hasOffset {
		return def, nil
	}
	return s.offset, nil
}

func (s *mapStore) SetOffset(offset int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.offset, s.hasOffset = offset, true
	return nil
}

func (s *mapStore) Iterator() (storage.Iterator, error) { return s.IteratorWithRange(nil, nil) }

// IteratorWithRange iterates in key order over a snapshot of the rows from start up to and without limit. Without a
// limit it iterates over the rows whose keys begin with start, so over all rows without a start. This is what goka's
// LevelDB storage does; goka's documentation calls the range unbounded, and its memory storage includes the limit.
// Creating it costs O(rows in the storage) under a read lock, and sorting those in the range outside of it.
func (s *mapStore) IteratorWithRange(start, limit []byte) (storage.Iterator, error) {
	first, end := string(start), string(limit)
	rows, err := s.snapshot(func(key string) bool {
		if end == "" {
			return strings.HasPrefix(key, first)
		}
		return key >= first && key < end
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(rows, func(a, b mapRow) int { return strings.Compare(a.key, b.key) })
	return &mapIterator{rows: rows, i: -1}, nil
}

type mapRow struct {
	key   string
	value []byte
}

func (s *mapStore) snapshot(wanted func(key string) bool) ([]mapRow, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.rows == nil {
		return nil, ErrStorageClosed
	}
	var rows []mapRow
	for k, v := range s.rows {
		if wanted(k) {
			rows = append(rows, mapRow{k, v})
		}
	}
	return rows, nil
}

// mapIterator is before its first row at first, and has no row once exhausted or released. It must not be used by
// several goroutines at the same time.
type mapIterator struct {
	rows []mapRow
	i    int
}

func (it *mapIterator) Next() bool {
	it.i = min(it.i+1, len(it.rows))
	return it.valid()
}

// Seek moves to the first row whose key is not below key and reports whether there is one; Key and Value are then those
// of that row, as goka's merging iterator needs it.
func (it *mapIterator) Seek(key []byte) bool {
	it.i, _ = slices.BinarySearchFunc(it.rows, string(key), func(r mapRow, k string) int { return strings.Compare(r.key, k) })
	return it.valid()
}

func (it *mapIterator) valid() bool { return it.i >= 0 && it.i < len(it.rows) }

func (it *mapIterator) Key() []byte {
	if !it.valid() {
		return nil
	}
	return []byte(it.rows[it.i].key)
}

func (it *mapIterator) Value() ([]byte, error) {
	if !it.valid() {
		return nil, nil
	}
	return it.rows[it.i].value, nil
}

func (it *mapIterator) Err() error { return nil }
func (it *mapIterator) Release()   { it.rows = nil }
