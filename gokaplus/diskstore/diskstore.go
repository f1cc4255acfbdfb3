package diskstore

import (
	"bytes"
	"encoding/base64"
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

	"github.com/IBM/sarama"
	"github.com/lovoo/goka/storage"
	"github.com/syndtr/goleveldb/leveldb"
	ldberrors "github.com/syndtr/goleveldb/leveldb/errors"
	"github.com/syndtr/goleveldb/leveldb/filter"
	"github.com/syndtr/goleveldb/leveldb/iterator"
	"github.com/syndtr/goleveldb/leveldb/opt"
	ldbstorage "github.com/syndtr/goleveldb/leveldb/storage"
	"github.com/syndtr/goleveldb/leveldb/util"

	"github.com/ecupcakes/ecupcakes/gokaplus"
	"github.com/ecupcakes/ecupcakes/gokaplus/internal/acks"
)

// Builder returns a builder of storages that keep their rows in LevelDB below dir. It is for gokaplus.Options.Storage,
// goka.WithStorageBuilder and goka.WithViewStorageBuilder. dir must be used by one processor or view of one instance
// only: a second user of the same table there gets an error.
//
// Each time goka builds a storage, the builder asks brokers about the topic, with the Sarama of o. It needs permission to
// describe the topic and its configuration. It fails if the brokers cannot be reached within about 30 seconds, because
// the rows on disk could be wrong. The package documentation describes when it wipes the rows instead of using them; it
// logs the reason as a warning to the Logger of o. The other fields of o are not used.
func Builder(dir string, brokers []string, o gokaplus.Options) storage.Builder {
	logger := o.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return func(topic string, partition int32) (storage.Storage, error) {
		c, err := askCluster(brokers, o, topic, partition)
		if err != nil {
			return nil, fmt.Errorf("asking the brokers whether the storage on disk fits %s/%d: %w", topic, partition, err)
		}
		path := filepath.Join(dir, fmt.Sprintf("%s.%s.%d", url.PathEscape(c.cluster), topic, partition))
		return openDisk(path, topic, c, logger.With("topic", topic, "partition", partition))
	}
}

const (
	// A batch is written when one of these is reached.
	diskBatchRows  = 1000
	diskBatchBytes = 1 << 20
	diskBatchAge   = time.Minute

	// Prefixes of the keys in LevelDB: rows are kept apart from the state.
	diskRow  = "r"
	diskMeta = "m"
)

// clusterState describes one partition of a table as the brokers have it.
type clusterState struct {
	cluster    string
	topic      string        // its id, empty with brokers older than 2.8
	end        int64         // the offset of the next record
	tombstones time.Duration // how long the record of a deletion is kept
}

func askCluster(brokers []string, o gokaplus.Options, topic string, partition int32) (c clusterState, err error) {
	config, err := gokaplus.SaramaConfig(o)
	if err != nil {
		return c, err
	}
	client, err := sarama.NewClient(brokers, config)
	if err != nil {
		return c, err
	}
	defer client.Close()
	if c.cluster, c.topic, err = identity(client, topic); err != nil {
		return c, err
	}
	if c.end, err = client.GetOffset(topic, partition, sarama.OffsetNewest); err != nil {
		return c, err
	}
	if c.tombstones, err = tombstoneRetention(client, topic); err != nil {
		return c, fmt.Errorf("reading the topic's configuration: %w", err)
	}
	return c, nil
}

// identity returns the ids of the cluster and of a topic.
func identity(client sarama.Client, topic string) (cluster, id string, err error) {
	// Unlike the client's own methods, this does not accept metadata from the cache: the topic may be a new one.
	broker := client.LeastLoadedBroker()
	if broker == nil {
		return "", "", sarama.ErrOutOfBrokers
	}
	if err := broker.Open(client.Config()); err != nil && !errors.Is(err, sarama.ErrAlreadyConnected) {
		return "", "", err
	}
	request := sarama.NewMetadataRequest(client.Config().Version, []string{topic})
	request.AllowAutoTopicCreation = false
	meta, err := broker.GetMetadata(request)
	if err != nil {
		return "", "", err
	}
	if meta.ClusterID != nil {
		cluster = *meta.ClusterID
	}
	for _, t := range meta.Topics {
		if t.Name != topic {
			continue
		}
		if t.Err != sarama.ErrNoError {
			return "", "", t.Err
		}
		if t.Uuid != (sarama.Uuid{}) {
			id = base64.RawURLEncoding.EncodeToString(t.Uuid[:]) // as Kafka's tools print it
		}
		return cluster, id, nil
	}
	return "", "", sarama.ErrUnknownTopicOrPartition
}

// tombstoneRetention returns the topic's delete.retention.ms.
func tombstoneRetention(client sarama.Client, topic string) (time.Duration, error) {
	const key, kafkasDefault = "delete.retention.ms", 24 * time.Hour
	admin, err := sarama.NewClusterAdminFromClient(client)
	if err != nil {
		return 0, err
	}
	results, err := admin.DescribeConfigs([]*sarama.ConfigResource{
		{Type: sarama.TopicResource, Name: topic, ConfigNames: []string{key}},
	}, sarama.DescribeConfigsOptions{})
	if err != nil {
		return 0, err
	}
	var entries []sarama.ConfigEntry
	for _, r := range results {
		if r.ErrorCode != 0 {
			return 0, &sarama.DescribeConfigError{Err: sarama.KError(r.ErrorCode), ErrMsg: r.ErrorMsg}
		}
		entries = append(entries, r.Configs...)
	}
	for _, e := range entries {
		if e.Name == key && e.Value != "" {
			ms, err := strconv.ParseInt(e.Value, 10, 64)
			if err != nil {
				return 0, fmt.Errorf("%s: %w", key, err)
			}
			return time.Duration(ms) * time.Millisecond, nil
		}
	}
	return kafkasDefault, nil
}

// diskState is stored with every batch.
type diskState struct {
	Cluster  string
	Topic    string
	Offset   int64     // of the last record whose row, and all rows before it, are stored; -1 for none
	Complete time.Time // when the storage last had all rows that the topic held, or when it was begun
}

// misfit returns why a storage cannot be used with the topic, or "" if it can.
func (s diskState) misfit(c clusterState, now time.Time) string {
	switch {
	case s.Cluster != c.cluster:
		return fmt.Sprintf("it belongs to cluster %q, not %q", s.Cluster, c.cluster)
	case s.Topic != c.topic:
		return "it belongs to an earlier topic of the same name"
	case s.Offset >= c.end:
		return fmt.Sprintf("the topic ends before offset %d, at %d", s.Offset, c.end)
	case s.Offset+1 < c.end && now.Sub(s.Complete) > c.tombstones:
		return fmt.Sprintf("it was last written at %v and the topic keeps tombstones for %v", s.Complete.Format(time.DateTime), c.tombstones)
	}
	return ""
}

// openDisk opens the storage in path. It wipes a storage that does not fit first.
func openDisk(path, topic string, c clusterState, log *slog.Logger) (*diskStore, error) {
	s, misfit, err := tryDisk(path, topic, c)
	if misfit != "" {
		log.Warn("wiping a storage on disk, its table will be read from Kafka", "path", path, "reason", misfit)
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
		Filter: filter.NewBloomFilter(10), // looking up a missing row reads nothing from disk
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

// diskStore is one open storage. Writes are appended to a queue. The front of the queue, whose records are known to be in
// the topic, is ready to be written to LevelDB.
type diskStore struct {
	path, topic string
	db          *leveldb.DB
	end         int64         // of the topic when this was opened
	acks        *acks.Tracker // reports acknowledgements; nil if the producer does not

	flushing sync.Mutex // held while writing to db

	mu        sync.RWMutex
	queue     []*diskWrite
	ready     int
	bytes     int                   // of the queue
	latest    map[string]*diskWrite // of each key in the queue; nil once closed
	state     diskState             // as of the ready part of the queue
	recovered bool
	emits     bool // writes become ready by acknowledgement, not by SetOffset
	others    bool // another producer has written to the topic since; goka does not read that while it runs
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

// Close writes the rows that are ready and drops the others, which are not acknowledged.
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
	case corrupt: // the error was returned before, and removing the storage removes its cause
		return os.RemoveAll(s.path)
	case isCorrupt(err): // found by a compaction in the background
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
		return gokaplus.ErrStorageClosed
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
		return nil, gokaplus.ErrStorageClosed
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
		return gokaplus.ErrStorageClosed
	}
	s.queue, s.latest[w.key] = append(s.queue, w), w
	s.bytes += len(w.key) + len(w.value)
	if s.recovered && s.acks != nil {
		s.acks.Wrote(s, s.topic, w.key, w)
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
// saying for which record, and not for offset 0. It is ignored where the producer reports the acknowledgements.
func (s *diskStore) SetOffset(offset int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.emits || s.latest == nil {
		return nil
	}
	if s.recovered && s.acks != nil {
		for _, w := range s.queue[s.ready:] {
			s.acks.Followed(s.topic, w.key, w)
		}
	}
	s.ready, s.state.Offset = len(s.queue), offset
	return nil
}

// Track has writes become ready by acknowledgement once the table is recovered.
func (s *diskStore) Track(t *acks.Tracker) { s.acks = t }

// Emitting notes that this is the table of a processor that handles messages now.
func (s *diskStore) Emitting() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.emits { // recovery has read everything that was there
		s.emits, s.state.Offset = true, max(s.state.Offset, s.end-1)
	}
}

// Acknowledged notes that the record of a write is in the topic at that offset.
func (s *diskStore) Acknowledged(write any, offset int64) {
	w := write.(*diskWrite)
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

// flush writes the rows that are ready to LevelDB.
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
// limit it iterates over the rows whose keys begin with start, as gokaplus.MapStorage and goka's LevelDB storage do.
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
		return nil, gokaplus.ErrStorageClosed
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

// diskIterator merges the queued writes into the rows on disk. Both are at the current row or, where they do not have it,
// at the one after it.
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

// Seek moves to the first row whose key is not below key, as the iterator of gokaplus.MapStorage.
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
