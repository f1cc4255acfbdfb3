package gokaplus

import (
	"context"
	"fmt"
	"hash"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"
	"github.com/twmb/franz-go/pkg/kgo"
)

// What one producer holds at most that the brokers have not acknowledged. Above either, Emit blocks.
const (
	MaxBufferedRecords = 20_000
	MaxBufferedBytes   = 32 << 20 // keys, values and headers, uncompressed
)

// Producer returns a builder of goka producers on franz-go, for goka.WithProducerBuilder and
// goka.WithEmitterProducerBuilder. Records go to the same partitions as with goka's own producer. They are written
// idempotently with acks=all, so in order and once per partition, and retried until acknowledged: an emit does not fail
// because brokers are away, it waits, and blocks once the buffer is full. It does fail when the record is refused
// (larger than the topic allows, no permission) and when the topic still
// does not exist after some five seconds.
//
// Records are sent at once, without linger, and compressed with snappy. Each of opts overrides what is set here;
// kgo.RecordDeliveryTimeout, for example, gives emits an end.
//
// Close waits up to closeTimeout for what is buffered. Then it fails the rest and releases the callers of Emit that
// are blocked. An emit after Close fails.
func Producer(closeTimeout time.Duration, opts ...kgo.Opt) goka.ProducerBuilder {
	return func(brokers []string, clientID string, hasher func() hash.Hash32) (goka.Producer, error) {
		cl, err := kgo.NewClient(append(append(ClientOptions(),
			kgo.SeedBrokers(brokers...),
			kgo.ClientID(clientID),
			kgo.RecordPartitioner(Partitioner(hasher)),
			kgo.ProducerLinger(0),
			kgo.UnknownTopicRetries(10),
			kgo.AlwaysRetryEOF(),       // a proxy in front of a broker that is away closes connections before the first answer
			kgo.DisableClientMetrics(), // they would delay Close by a second while the brokers are away
			kgo.MaxBufferedRecords(MaxBufferedRecords),
			kgo.MaxBufferedBytes(MaxBufferedBytes),
		), opts...)...)
		if err != nil {
			return nil, fmt.Errorf("creating the producer: %w", err)
		}
		return newProducer(cl, closeTimeout), nil
	}
}

// ClientOptions make a franz-go client go on within a second once brokers are back or partitions have other leaders;
// franz-go's own steps are five seconds.
func ClientOptions() []kgo.Opt {
	return []kgo.Opt{kgo.RetryBackoffFn(retryBackoff), kgo.MetadataMinAge(500 * time.Millisecond)}
}

// retryBackoff doubles from 100 ms to one second, less up to a quarter at random so that clients do not come in step.
func retryBackoff(fails int) time.Duration {
	d := min(100*time.Millisecond<<min(max(fails-1, 0), 4), time.Second)
	return d - rand.N(d/4)
}

// Partition returns the partition that goka puts a key in: with goka.DefaultHasher(), unless set otherwise, the hash of
// the key, taken as a signed number, modulo the number of partitions, without its sign.
func Partition(key []byte, partitions int) int32 {
	return partition(goka.DefaultHasher()(), key, partitions)
}

func partition(h hash.Hash32, key []byte, partitions int) int32 {
	h.Reset()
	h.Write(key)
	p := int32(h.Sum32()) % int32(partitions)
	return max(p, -p)
}

// Partitioner assigns records to partitions as goka does, see [Partition]. Every franz-go client that writes to an input
// of goka has to use it with the hasher of the processors and views, which is goka.DefaultHasher() unless set otherwise.
func Partitioner(hasher func() hash.Hash32) kgo.Partitioner {
	return kgo.BasicConsistentPartitioner(func(string) func(*kgo.Record, int) int {
		h := hasher() // franz-go partitions the records of one topic one at a time
		return func(r *kgo.Record, n int) int { return int(partition(h, r.Key, n)) }
	})
}

type producer struct {
	client *kgo.Client
	close  func() error
}

func newProducer(client *kgo.Client, timeout time.Duration) *producer {
	return &producer{client, sync.OnceValue(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		defer cancel()
		err := client.Flush(ctx)
		client.Close()
		if err != nil {
			return fmt.Errorf("not everything emitted was acknowledged within %v, the rest has failed: %w", timeout, err)
		}
		return nil
	})}
}

// emission is one record on its way and what its promise will be finished with, in one allocation.
type emission struct {
	record  kgo.Record
	message sarama.ProducerMessage
	finish  goka.PromiseFinisher
}

func (e *emission) done(r *kgo.Record, err error) {
	e.message.Topic, e.message.Partition, e.message.Offset, e.message.Timestamp = r.Topic, r.Partition, r.Offset, r.Timestamp
	e.finish(&e.message, err)
}

func (p *producer) Emit(topic, key string, value []byte) *goka.Promise {
	return p.EmitWithHeaders(topic, key, value, nil)
}

// EmitWithHeaders takes over value; it must not be modified before the promise is finished.
func (p *producer) EmitWithHeaders(topic, key string, value []byte, headers goka.Headers) *goka.Promise {
	promise, finish := goka.NewPromiseWithFinisher()
	e := &emission{record: kgo.Record{Topic: topic, Key: []byte(key), Value: value}, finish: finish}
	for k, v := range headers {
		e.record.Headers = append(e.record.Headers, kgo.RecordHeader{Key: k, Value: v})
	}
	p.client.Produce(context.Background(), &e.record, e.done)
	return promise
}

func (p *producer) Close() error { return p.close() }
