package gokaplus

import (
	"hash"
	"sync"
	"sync/atomic"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"
	"github.com/lovoo/goka/storage"
)

// tables knows the open storages of a processor or view: how far each is recovered and, where a storage wants to hear
// it, which of its writes Kafka has acknowledged. goka tells neither; its own statistics cannot be read without a race
// while tables are set up.
type tables struct {
	emits   bool        // the producer tells what is acknowledged
	waiting atomic.Bool // and some storage wants to know

	mu      sync.Mutex // never held while a storage is called
	open    map[tablePartition]*recovery
	written map[tableKey]written // not emitted yet
}

type tablePartition struct {
	topic     string
	partition int32
}

type tableKey struct{ topic, key string }

// recovery is the reading of one table partition from start on; consumer is nil before the first.
type recovery struct {
	storage  storage.Storage
	start    int64
	consumer sarama.PartitionConsumer
}

// written is a write to a disk storage that goka is about to emit.
type written struct {
	store *diskStore
	write *diskWrite
}

func (t *tables) storage(build storage.Builder) storage.Builder {
	return func(topic string, partition int32) (storage.Storage, error) {
		s, err := build(topic, partition)
		if err != nil {
			return nil, err
		}
		if d, ok := s.(*diskStore); ok && t.emits {
			d.tables = t
			t.waiting.Store(true)
		}
		at, r := tablePartition{topic, partition}, &recovery{storage: s}
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.open == nil {
			t.open, t.written = map[tablePartition]*recovery{}, map[tableKey]written{}
		}
		t.open[at] = r
		return &openTable{s, func() {
			t.mu.Lock()
			defer t.mu.Unlock()
			if t.open[at] == r {
				delete(t.open, at)
			}
		}}, nil
	}
}

type openTable struct {
	storage.Storage
	closed func()
}

func (o *openTable) Close() error {
	o.closed()
	return o.Storage.Close()
}

func (t *tables) consumer(build goka.SaramaConsumerBuilder) goka.SaramaConsumerBuilder {
	return func(brokers []string, clientID string) (sarama.Consumer, error) {
		c, err := build(brokers, clientID)
		return &tableConsumer{c, t}, err
	}
}

type tableConsumer struct {
	sarama.Consumer
	tables *tables
}

func (c *tableConsumer) ConsumePartition(topic string, partition int32, offset int64) (sarama.PartitionConsumer, error) {
	p, err := c.Consumer.ConsumePartition(topic, partition, offset)
	if err != nil {
		return nil, err
	}
	c.tables.mu.Lock()
	defer c.tables.mu.Unlock()
	if r := c.tables.open[tablePartition{topic, partition}]; r != nil {
		r.start, r.consumer = offset, p
	}
	return p, nil
}

// recoveredPercent is how much of what the open tables have to read has been read, from 0 to 100, by offsets: the gaps
// of a compacted topic count as if they held records.
func (t *tables) recoveredPercent() int {
	t.mu.Lock()
	var begun []recovery
	for _, r := range t.open {
		if r.consumer != nil {
			begun = append(begun, *r)
		}
	}
	t.mu.Unlock()
	var read, all int64
	for _, r := range begun {
		at, err := r.storage.GetOffset(r.start - 1)
		if err != nil {
			continue
		}
		end := max(r.consumer.HighWaterMarkOffset(), r.start)
		all += end - r.start
		read += min(max(at+1, r.start), end) - r.start
	}
	if all == 0 {
		return 0
	}
	return int(100 * read / all)
}

func (t *tables) producer(build goka.ProducerBuilder) goka.ProducerBuilder {
	t.emits = true
	return func(brokers []string, clientID string, hasher func() hash.Hash32) (goka.Producer, error) {
		p, err := build(brokers, clientID, hasher)
		if err != nil {
			return nil, err
		}
		return &tableProducer{p, t}, nil
	}
}

// tableProducer tells disk storages which of their writes are acknowledged. goka emits each write of a table after it,
// in the same goroutine, and lets no other write of the same key come between.
type tableProducer struct {
	goka.Producer
	tables *tables
}

func (p *tableProducer) Emit(topic, key string, value []byte) *goka.Promise {
	return p.EmitWithHeaders(topic, key, value, nil)
}

func (p *tableProducer) EmitWithHeaders(topic, key string, value []byte, headers goka.Headers) *goka.Promise {
	w, ok := p.tables.emitted(topic, key)
	if !ok {
		return p.Producer.EmitWithHeaders(topic, key, value, headers)
	}
	w.store.emitted()
	return p.Producer.EmitWithHeaders(topic, key, value, headers).ThenWithMessage(func(m *sarama.ProducerMessage, err error) {
		if err == nil && m != nil {
			w.store.acknowledged(w.write, m.Offset)
		}
	})
}

// wrote notes a write that may be emitted next.
func (t *tables) wrote(s *diskStore, w *diskWrite) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.written[tableKey{s.topic, w.key}] = written{s, w}
}

// followed forgets writes that came from the topic itself, so will not be emitted.
func (t *tables) followed(s *diskStore, writes []*diskWrite) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, w := range writes {
		if at := (tableKey{s.topic, w.key}); t.written[at].write == w {
			delete(t.written, at)
		}
	}
}

func (t *tables) emitted(topic, key string) (w written, ok bool) {
	if !t.waiting.Load() {
		return w, false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	w, ok = t.written[tableKey{topic, key}]
	delete(t.written, tableKey{topic, key})
	return w, ok
}
