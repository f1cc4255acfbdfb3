package franz

import (
	"cmp"
	"context"
	"fmt"
	"hash"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ecupcakes/ecupcakes/gokaplus/internal/hashing"
)

// MaxBufferedRecords and MaxBufferedBytes are how much one producer buffers until the brokers acknowledge it. When either
// limit is reached, Emit blocks. MaxBufferedBytes counts keys, values and headers, uncompressed. kgo.MaxBufferedRecords
// and kgo.MaxBufferedBytes in Options.Client change the limits of a producer.
const (
	MaxBufferedRecords = 20_000
	MaxBufferedBytes   = 32 << 20
)

// Options configures [ProducerBuilder]. The zero value works with a cluster that needs neither TLS nor SASL.
type Options struct {
	// Client returns options of franz-go, for example for TLS and SASL. They override those that ProducerBuilder sets.
	// Client is called for each producer, so a certificate or password that it reads can be replaced between restarts of
	// a processor. Its error fails the producer. Nil means no options.
	Client func() ([]kgo.Opt, error)

	// Logger receives the warnings and errors of franz-go, see [Logger]. Nil discards them.
	Logger *slog.Logger

	// CloseTimeout bounds how long Close waits for the acknowledgement of buffered records. 0 means 10 s.
	CloseTimeout time.Duration
}

// ProducerBuilder returns a builder of goka producers on franz-go. It is for gokaplus.Options.Producer, and for
// goka.WithProducerBuilder and goka.WithEmitterProducerBuilder.
//
// Records go to the same partitions as with goka's own producer. They are written idempotently with acks=all, so in order
// and once per partition. They are sent at once, without linger, and compressed with snappy.
//
// A record is retried until it is acknowledged. In an outage emits wait, and once the buffer is full Emit blocks, see
// [MaxBufferedRecords]. Sending resumes within about a second after the brokers are back. An emit fails if
//   - the broker refuses the record: it is larger than the topic allows, or permission is missing;
//   - the topic does not exist, and still does not after about five seconds;
//   - the producer is closed;
//   - kgo.RecordDeliveryTimeout is in Options.Client and has passed. The record may be written nevertheless.
//
// The builder does not connect to the brokers. It fails only if Options.Client fails or its options are invalid.
//
// Close waits up to Options.CloseTimeout for the acknowledgement of buffered records. Then it fails those that are left,
// as well as the emits that are blocked, and returns an error. Emits after Close fail. A second Close returns the result
// of the first.
func ProducerBuilder(o Options) goka.ProducerBuilder {
	logger := o.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return func(brokers []string, clientID string, hasher func() hash.Hash32) (goka.Producer, error) {
		var opts []kgo.Opt
		if o.Client != nil {
			var err error
			if opts, err = o.Client(); err != nil {
				return nil, fmt.Errorf("getting the options of the producer's client: %w", err)
			}
		}
		cl, err := kgo.NewClient(append(append(ClientOptions(),
			kgo.SeedBrokers(brokers...),
			kgo.ClientID(clientID),
			kgo.WithLogger(Logger(logger)),
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
		return newProducer(cl, cmp.Or(o.CloseTimeout, 10*time.Second)), nil
	}
}

// ClientOptions returns options that make a franz-go client resume within a second after the brokers are back or
// partitions have other leaders. franz-go's own steps are five seconds. The options are not specific to producers, and
// [ProducerBuilder] includes them.
func ClientOptions() []kgo.Opt {
	return []kgo.Opt{kgo.RetryBackoffFn(retryBackoff), kgo.MetadataMinAge(500 * time.Millisecond)}
}

// retryBackoff doubles from 100 ms to one second, less up to a quarter at random so that clients do not retry in step.
func retryBackoff(fails int) time.Duration {
	d := min(100*time.Millisecond<<min(max(fails-1, 0), 4), time.Second)
	return d - rand.N(d/4)
}

// Partitioner returns a partitioner that assigns records to partitions as goka does, see gokaplus.Partition. A franz-go
// client that writes to an input or table of goka must use it, with kgo.RecordPartitioner. Otherwise the rows of a key,
// and the messages that are to be joined with it, are in different partitions. hasher must be the hasher of the
// processors and views: goka.DefaultHasher() unless they were given another one.
func Partitioner(hasher func() hash.Hash32) kgo.Partitioner {
	return kgo.BasicConsistentPartitioner(func(string) func(*kgo.Record, int) int {
		h := hasher() // franz-go partitions the records of one topic one at a time
		return func(r *kgo.Record, n int) int { return int(hashing.Partition(h, r.Key, n)) }
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

// emission is one record in flight and the arguments for finishing its promise, in one allocation.
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
