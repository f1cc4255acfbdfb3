package gokaplus

import (
	"hash"
	"sync"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"
	"github.com/lovoo/goka/storage"

	"github.com/ecupcakes/ecupcakes/gokaplus/internal/acks"
)

// tables holds the open storages of a processor or view. It measures how far each is recovered and tells storages that
// want to know it which of their writes Kafka has acknowledged. goka does neither; its own statistics cannot be read
// without a race while tables are set up.
type tables struct {
	emits bool // a producer reports acknowledgements
	acks  acks.Tracker

	mu   sync.Mutex // never held while a storage is called
	open map[tablePartition]*recovery
}

type tablePartition struct {
	topic     string
	partition int32
}

// recovery is one table partition that is read from offset start. consumer is nil until the first read.
type recovery struct {
	storage  storage.Storage
	start    int64
	consumer sarama.PartitionConsumer
}

func (t *tables) storage(build storage.Builder) storage.Builder {
	return func(topic string, partition int32) (storage.Storage, error) {
		s, err := build(topic, partition)
		if err != nil {
			return nil, err
		}
		if a, ok := s.(acks.Storage); ok && t.emits {
			t.acks.Register(a)
		}
		at, r := tablePartition{topic, partition}, &recovery{storage: s}
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.open == nil {
			t.open = map[tablePartition]*recovery{}
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

// tableProducer reports acknowledgements to the storages that want them.
type tableProducer struct {
	goka.Producer
	tables *tables
}

func (p *tableProducer) Emit(topic, key string, value []byte) *goka.Promise {
	return p.EmitWithHeaders(topic, key, value, nil)
}

func (p *tableProducer) EmitWithHeaders(topic, key string, value []byte, headers goka.Headers) *goka.Promise {
	s, write, ok := p.tables.acks.Emitted(topic, key)
	if !ok {
		return p.Producer.EmitWithHeaders(topic, key, value, headers)
	}
	s.Emitting()
	return p.Producer.EmitWithHeaders(topic, key, value, headers).ThenWithMessage(func(m *sarama.ProducerMessage, err error) {
		if err == nil && m != nil {
			s.Acknowledged(write, m.Offset)
		}
	})
}
