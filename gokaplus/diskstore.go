package gokaplus

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/lovoo/goka/storage"
	"github.com/syndtr/goleveldb/leveldb"
	ldberrors "github.com/syndtr/goleveldb/leveldb/errors"
	"github.com/syndtr/goleveldb/leveldb/filter"
	"github.com/syndtr/goleveldb/leveldb/iterator"
	"github.com/syndtr/goleveldb/leveldb/opt"
	ldbstorage "github.com/syndtr/goleveldb/leveldb/storage"
	"github.com/syndtr/goleveldb/leveldb/util"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// DiskStorage returns a builder of storages that keep their rows in LevelDB below dir, for tables that are larger than
// memory or take too long to read from Kafka at each start. dir belongs to one processor or view of one instance; a
// second user of the same table there gets an error.
//
// # What survives
//
// Each partition of a table has a directory, named by the cluster and the topic. When a storage is built it asks the
// brokers, within 30 seconds and with o.Kgo, and it wipes the directory, logs why, and lets goka read the table from
// Kafka anew if
//   - the topic is another one of the same name, by its id,
//   - the topic ends before the stored offset,
//   - LevelDB finds it corrupt, now or while it was used last,
//   - there are newer records, and it was last written longer ago than the topic keeps tombstones
//     (delete.retention.ms): it could miss the deletion of a row.
//
// An error of the brokers is an error of the builder, since the rows could be wrong. It needs permission to describe the
// topic and its configuration.
//
// # Crashes
//
// On the disk there is always the table as the topic has it at one offset, the stored one, whenever the process is
// killed. (1) A row is written only after Kafka has acknowledged its record, or when it was read from there; until then
// it is in memory, where Get and iterators see it. goka's own LevelDB storage writes it at once: after a crash, or a
// failed emit, it may show a row that Kafka never got and that no other instance knows. (2) Rows and the offset of the
// last one are written together, in one batch that LevelDB applies wholly or not at all. (3) The offset counts on only
// while the records of this processor follow each other. Behind a record that somebody else wrote in between, which goka
// does not read while it runs, it stays, and the next start reads from there. (4) Batches are not synchronised with the
// disk. Killing the process loses none of them. Losing power loses the last ones, or leaves a journal with a hole, which
// LevelDB's checksums and strict mode show, so that the directory is wiped.
//
// A batch is written with the first write after 1,000 rows, a MiB, or a minute, and at the end. After a crash what came
// since is read from Kafka again.
//
// The acknowledgements come from the producer of [ProcessorOptions] or [NewProcessor]. With any other producer a row can
// reach the disk before its record is acknowledged, as with goka's own storage.
//
// # Memory
//
// Per partition, LevelDB takes up to 16 MB. What is not acknowledged is kept besides; a processor's producer bounds it
// with [MaxBufferedRecords] and [MaxBufferedBytes]. Rows may have any key, also "__offset".
func DiskStorage(dir string, brokers []string, o Options) storage.Builder {
	o = o.withDefaults()
	return func(topic string, partition int32) (storage.Storage, error) {
		c, err := askCluster(brokers, o.Kgo, topic, partition)
		if err != nil {
			return nil, fmt.Errorf("asking the brokers whether the storage on disk fits %s/%d: %w", topic, partition, err)
		}
		path := filepath.Join(dir, fmt.Sprintf("%s.%s.%d", url.PathEscape(c.cluster), topic, partition))
		return openDisk(path, topic, c, o.Logger.With("topic", topic, "partition", partition))
	}
}

const (
	diskAskTimeout = 30 * time.Second

	// A batch is written when one of these is reached.
	diskBatchRows  = 1000
	diskBatchBytes = 1 << 20
	diskBatchAge   = time.Minute

	// Keys in LevelDB: rows are apart from the rest.
	diskRow  = "r"
	diskMeta = "m"
)

// clusterState is what the brokers say about one partition of a table.
type clusterState struct {
	cluster    string
	topic      string        // its id, empty with brokers older than 2.8
	end        int64         // the offset of the next record
	tombstones time.Duration // how long a deleted row can be seen to be deleted
}

func askCluster(brokers []string, opts []kgo.Opt, topic string, partition int32) (c clusterState, err error) {
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(brokers...), kgo.DisableClientMetrics()}, opts...)...)
	if err != nil {
		return c, err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.Background(), diskAskTimeout)
	defer cancel()
	adm := kadm.NewClient(cl)
	meta, err := adm.Metadata(ctx, topic)
	if err == nil {
		err = meta.Topics[topic].Err
	}
	if err != nil {
		return c, err
	}
	if id := meta.Topics[topic].ID; id != (kadm.TopicID{}) {
		c.topic = id.String()
	}
	c.cluster = meta.Cluster
	ends, err := adm.ListEndOffsets(ctx, topic)
	if err != nil {
		return c, err
	}
	end, ok := ends.Lookup(topic, partition)
	if !ok {
		return c, errors.New("there is no such partition")
	}
	if end.Err != nil {
		return c, end.Err
	}
	c.end = end.Offset
	configs, err := adm.DescribeTopicConfigs(ctx, topic)
	if err != nil {
		return c, err
	}
	config, err := configs.On(topic, nil)
	if err = cmp.Or(err, config.Err); err != nil {
		return c, fmt.Errorf("reading the topic's configuration: %w", err)
	}
	c.tombstones = 24 * time.Hour
	for _, kv := range config.Configs {
		if kv.Key == "delete.retention.ms" && kv.Value != nil {
			ms, err := strconv.ParseInt(*kv.Value, 10, 64)
			if err != nil {
				return c, fmt.Errorf("reading delete.retention.ms: %w", err)
			}
			c.tombstones = time.Duration(ms) * time.Millisecond
		}
	}
	return c, nil
}

// diskState is stored with every batch.
type diskState struct {
	Cluster  string
	Topic    string
	Offset   int64     // of the last record whose row, and all rows before it, are stored; -1 for none
	Complete time.Time // when the storage last had all rows that the topic held, or when it was begun
}

// misfit says why a storage cannot be used with the topic as it is now, and "" if it can.
func (s diskState) misfit(c clusterState, now time.Time) string {
	switch {
	case s.Cluster != c.cluster:
		return fmt.Sprintf("it is of cluster %q, not %q", s.Cluster, c.cluster)
	case s.Topic != c.topic:
		return "it is of an earlier topic of the same name"
	case s.Offset >= c.end:
		return fmt.Sprintf("the topic ends before offset %d, at %d", s.Offset, c.end)
	case s.Offset+1 < c.end && now.Sub(s.Complete) > c.tombstones:
		return fmt.Sprintf("it was written last at %v and the topic keeps tombstones for %v", s.Complete.Format(time.DateTime), c.tombstones)
	}
	return ""
}

// openDisk opens the storage in path, or a new one if that does not fit.
func openDisk(path, topic string, c clusterState, log *slog.Logger) (*diskStore, error) {
	s, misfit, err := tryDisk(path, topic, c)
	if misfit != "" {
		log.Warn("a storage on disk is wiped, the table will be read from Kafka", "path", path, "reason", misfit)
		if err := os.RemoveAll(path); err != nil {
			return nil, fmt.Errorf("wiping the storage %s: %w", path, err)
		}
		s, misfit, err = tryDisk(path, topic, c)
	}
	if misfit != "" {
		return nil, fmt.Errorf("opening the storage %s, which is new: %s", path, misfit)
	}
	return s, err
}

func tryDisk(path, topic string, c clusterState) (s *diskStore, misfit string, err error) {
	db, err := leveldb.OpenFile(path, &opt.Options{
		Filter: filter.NewBloomFilter(10), // a row that is not there costs no reading
		Strict: opt.StrictAll,             // without it a hole in the journal is skipped and its rows are missing
	})
	switch {
	case isCorrupt(err):
		return nil, "it is corrupt: " + err.Error(), nil
	case errors.Is(err, syscall.EAGAIN):
		return nil, "", fmt.Errorf("the storage %s is in use: give each processor, view and instance a directory of its own: %w", path, err)
	case err != nil:
		return nil, "", fmt.Errorf("opening the storage %s: %w", path, err)
	}
	s = &diskStore{
		path: path, topic: topic, db: db, end: c.end, flushed: time.Now(), latest: map[string]*diskWrite{},
		state: diskState{c.cluster, c.topic, -1, time.Now()},
	}
	stored, err := db.Get([]byte(diskMeta), nil)
	if err == nil {
		err = json.Unmarshal(stored, &s.state)
	}
	switch {
	case errors.Is(err, leveldb.ErrNotFound): // new
	case err != nil:
		misfit = "its state cannot be read: " + err.Error()
	default:
		misfit = s.state.misfit(c, time.Now())
	}
	if misfit != "" {
		return nil, misfit, db.Close()
	}
	return s, "", nil
}

func isCorrupt(err error) bool {
	var database *ldberrors.ErrCorrupted
	var file *ldbstorage.ErrCorrupted
	return errors.As(err, &database) || errors.As(err, &file) || errors.Is(err, io.ErrUnexpectedEOF)
}

// diskStore is one open storage. Writes go to the end of a queue; the front of it, what is known to be in the topic, is
// ready to be written to LevelDB.
type diskStore struct {
	path, topic string
	db          *leveldb.DB
	end         int64   // of the topic when this was opened
	tables      *tables // tells what is acknowledged; nil if nobody does

	flushing sync.Mutex // held by the one who writes to db

	mu        sync.RWMutex
	queue     []*diskWrite
	ready     int
	bytes     int                   // of the queue
	latest    map[string]*diskWrite // of each key in the queue; nil once closed
	state     diskState             // as of the ready part of the queue
	recovered bool
	emits     bool // writes become ready by acknowledgement, not by SetOffset
	others    bool // somebody else has written to the topic meanwhile, which goka does not read
	corrupt   bool
	flushed   time.Time
}

// diskWrite is a row, or its deletion if value is nil.
type diskWrite struct {
	key    string
	value  []byte
	offset int64 // of its record, once acknowledged
	acked  bool
}

func (s *diskStore) Open() error { return nil }

// MarkRecovered is called when the table has been read up to its end.
func (s *diskStore) MarkRecovered() error {
	s.mu.Lock()
	s.recovered = true
	s.mu.Unlock()
	return s.flush()
}

// Close writes what is ready and drops the rest, which is not acknowledged.
func (s *diskStore) Close() error {
	s.mu.RLock()
	closed := s.latest == nil
	s.mu.RUnlock()
	if closed {
		return nil
	}
	err := s.flush()
	s.mu.Lock()
	corrupt := s.corrupt
	s.queue, s.ready, s.latest = nil, 0, nil
	s.mu.Unlock()
	err = errors.Join(err, s.db.Close())
	switch {
	case corrupt: // Somebody has had that error already, and with the storage its cause goes.
		return os.RemoveAll(s.path)
	case isCorrupt(err): // A compaction in the background has found it.
		return errors.Join(err, os.RemoveAll(s.path))
	}
	return err
}

// failed wraps an error of LevelDB. A corrupt storage is wiped when it is closed, or it would fail again and again.
func (s *diskStore) failed(doing string, err error) error {
	if isCorrupt(err) {
		s.mu.Lock()
		s.corrupt = true
		s.mu.Unlock()
	}
	if errors.Is(err, leveldb.ErrClosed) {
		return ErrStorageClosed
	}
	return fmt.Errorf("%s the storage %s: %w", doing, s.path, err)
}

func (s *diskStore) Has(key string) (bool, error) {
	v, err := s.Get(key)
	return v != nil, err
}

// Get returns the value of key, or nil if there is none. An empty value is not nil.
func (s *diskStore) Get(key string) ([]byte, error) {
	s.mu.RLock()
	w, closed := s.latest[key], s.latest == nil
	s.mu.RUnlock()
	switch {
	case closed:
		return nil, ErrStorageClosed
	case w != nil:
		return w.value, nil
	}
	v, err := s.db.Get([]byte(diskRow+key), nil)
	if errors.Is(err, leveldb.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, s.failed("reading from", err)
	}
	return v, nil
}

// Set stores a copy of value. A nil value is stored as an empty one; goka deletes instead.
func (s *diskStore) Set(key string, value []byte) error {
	return s.write(&diskWrite{key: key, value: append(make([]byte, 0, len(value)), value...)})
}

func (s *diskStore) Delete(key string) error { return s.write(&diskWrite{key: key}) }

func (s *diskStore) write(w *diskWrite) error {
	s.mu.RLock()
	due := s.ready > 0 && (s.ready >= diskBatchRows || s.bytes >= diskBatchBytes || time.Since(s.flushed) > diskBatchAge)
	s.mu.RUnlock()
	if due { // here and not when acknowledgements come: a slow disk is to slow down its partition, not the producer
		if err := s.flush(); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.latest == nil {
		return ErrStorageClosed
	}
	s.queue, s.latest[w.key] = append(s.queue, w), w
	s.bytes += len(w.key) + len(w.value)
	if s.recovered && s.tables != nil {
		s.tables.wrote(s, w)
	}
	return nil
}

func (s *diskStore) GetOffset(def int64) (int64, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.state.Offset < 0 {
		return def, nil
	}
	return s.state.Offset, nil
}

// SetOffset is called after the writes of each record that is read. goka also calls it after acknowledgements, without
// saying of what, and not for offset 0; where those come from the producer it is ignored.
func (s *diskStore) SetOffset(offset int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.emits || s.latest == nil {
		return nil
	}
	if s.recovered && s.tables != nil {
		s.tables.followed(s, s.queue[s.ready:])
	}
	s.ready, s.state.Offset = len(s.queue), offset
	return nil
}

// emitted notes that this is the table of a processor that handles messages now.
func (s *diskStore) emitted() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.emits { // recovery has read everything that was there
		s.emits, s.state.Offset = true, max(s.state.Offset, s.end-1)
	}
}

func (s *diskStore) acknowledged(w *diskWrite, offset int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.acked, w.offset = true, offset
	for s.ready < len(s.queue) && s.queue[s.ready].acked {
		s.others = s.others || s.queue[s.ready].offset != s.state.Offset+1
		if !s.others {
			s.state.Offset++
		}
		s.ready++
	}
}

// flush writes what is ready.
func (s *diskStore) flush() error {
	s.flushing.Lock()
	defer s.flushing.Unlock()
	now := time.Now()
	s.mu.Lock()
	if s.latest == nil || s.corrupt {
		s.mu.Unlock()
		return nil
	}
	if s.recovered && !s.others {
		s.state.Complete = now
	}
	writes, state := s.queue[:s.ready], s.state
	s.mu.Unlock()

	meta, err := json.Marshal(state)
	if err != nil {
		return fmt.Errorf("encoding the state of the storage %s: %w", s.path, err)
	}
	batch := new(leveldb.Batch)
	batch.Put([]byte(diskMeta), meta)
	for _, w := range writes {
		if w.value == nil {
			batch.Delete([]byte(diskRow + w.key))
		} else {
			batch.Put([]byte(diskRow+w.key), w.value)
		}
	}
	if err := s.db.Write(batch, nil); err != nil {
		return s.failed("writing to", err)
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	s.flushed = now
	for i, w := range writes {
		s.bytes -= len(w.key) + len(w.value)
		if s.latest[w.key] == w {
			delete(s.latest, w.key)
		}
		writes[i] = nil
	}
	s.queue, s.ready = s.queue[len(writes):], s.ready-len(writes)
	return nil
}

func (s *diskStore) Iterator() (storage.Iterator, error) { return s.IteratorWithRange(nil, nil) }

// IteratorWithRange iterates in key order over a snapshot of the rows from start up to and without limit. Without a
// limit it iterates over the rows whose keys begin with start, as [MapStorage] and goka's LevelDB storage do.
func (s *diskStore) IteratorWithRange(start, limit []byte) (storage.Iterator, error) {
	rows := util.BytesPrefix([]byte(diskRow + string(start)))
	wanted := func(key string) bool { return strings.HasPrefix(key, string(start)) }
	if len(limit) > 0 {
		rows = &util.Range{Start: []byte(diskRow + string(start)), Limit: []byte(diskRow + string(limit))}
		wanted = func(key string) bool { return key >= string(start) && key < string(limit) }
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.latest == nil {
		return nil, ErrStorageClosed
	}
	it := &diskIterator{disk: s.db.NewIterator(rows, &opt.ReadOptions{DontFillCache: true}), failed: s.failed}
	for key, w := range s.latest {
		if wanted(key) {
			it.queued = append(it.queued, w)
		}
	}
	slices.SortFunc(it.queued, func(a, b *diskWrite) int { return strings.Compare(a.key, b.key) })
	return it, nil
}

// diskIterator merges what is queued into what is on the disk. Both are at the present row or, where they do not have
// it, at the one after it.
type diskIterator struct {
	queued  []*diskWrite
	i       int
	disk    iterator.Iterator
	failed  func(doing string, err error) error
	started bool
	key     []byte // nil before the first row and after the last one
	value   []byte
}

func (it *diskIterator) Next() bool {
	switch {
	case !it.started:
		it.started = true
		it.disk.First()
	case it.key != nil:
		it.skip()
	}
	return it.settle()
}

// Seek moves to the first row whose key is not below key, see the iterator of [MapStorage].
func (it *diskIterator) Seek(key []byte) bool {
	it.started = true
	it.i, _ = slices.BinarySearchFunc(it.queued, string(key), func(w *diskWrite, k string) int { return strings.Compare(w.key, k) })
	it.disk.Seek([]byte(diskRow + string(key)))
	return it.settle()
}

// skip moves on from it.key.
func (it *diskIterator) skip() {
	if it.i < len(it.queued) && it.queued[it.i].key == string(it.key) {
		it.i++
	}
	if it.disk.Valid() && bytes.Equal(it.disk.Key()[len(diskRow):], it.key) {
		it.disk.Next()
	}
}

func (it *diskIterator) settle() bool {
	for {
		var queued *diskWrite
		if it.i < len(it.queued) {
			queued = it.queued[it.i]
		}
		switch {
		case it.disk.Valid() && (queued == nil || string(it.disk.Key()[len(diskRow):]) < queued.key):
			it.key, it.value = it.disk.Key()[len(diskRow):], it.disk.Value()
			return true
		case queued == nil:
			it.key, it.value = nil, nil
			return false
		}
		it.key, it.value = []byte(queued.key), queued.value
		if queued.value != nil {
			return true
		}
		it.skip() // deleted
	}
}

func (it *diskIterator) Key() []byte            { return it.key }
func (it *diskIterator) Value() ([]byte, error) { return it.value, nil }

func (it *diskIterator) Err() error {
	if err := it.disk.Error(); err != nil {
		return it.failed("reading from", err)
	}
	return nil
}

func (it *diskIterator) Release() {
	it.queued, it.key, it.value = nil, nil, nil
	it.disk.Release()
}
