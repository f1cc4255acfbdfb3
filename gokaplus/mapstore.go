package gokaplus

import (
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/lovoo/goka/storage"
)

// ErrStorageClosed is the error of an operation on a storage of this module after its Close. goka closes a storage when
// its partition is stopped or moves to another instance.
var ErrStorageClosed = errors.New("gokaplus: the storage is closed: its partition was stopped or moved to another instance")

// MapStorage returns a builder of storages that keep their rows in a Go map. It is for goka.WithStorageBuilder,
// goka.WithViewStorageBuilder and [Options].Storage, which uses it by default.
//
// Get, Set and Delete are O(1); goka's MemoryBuilder sorts all keys on each new one. An iterator is a snapshot, and
// creating one costs O(rows) and sorts the keys in its range. Nothing survives Close, so goka reads the whole table from
// Kafka at each start and each rebalance.
//
// A row takes its value, its key, and 60 to 100 bytes. Set copies the value: during recovery and in views it is a slice
// of a decompressed fetch response, which would otherwise stay in memory as a whole. Get does not copy. The slice that
// it returns belongs to the storage and must not be modified. It keeps its contents, also after the row is set again or
// deleted. Get returns nil for a row that does not exist, and an empty slice for an empty one.
//
// The storages are safe for concurrent use. The offset is kept apart from the rows, so a row may have the key
// "__offset", unlike in goka's LevelDB storage. Operations after Close return [ErrStorageClosed].
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

// Close releases the rows, even if goka still holds the storage.
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
// limit it iterates over the rows whose keys begin with start, so without either over all rows. goka's LevelDB storage
// does the same; goka's documentation calls the range unbounded, and its memory storage includes the limit. The rows are
// collected under a read lock and sorted outside of it.
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

// mapIterator starts before its first row, and has no row once exhausted or released. It is not safe for concurrent use.
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
