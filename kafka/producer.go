package kafka

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"time"

	"github.com/ecupcakes/ecupcakes/codecs"
	"github.com/ecupcakes/ecupcakes/gokaplus/franz"
	"github.com/ecupcakes/ecupcakes/tracing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// ErrUnavailable reports that Kafka did not acknowledge a message in time. The message may still
// arrive later, so send it again only if the receiver recognises duplicates.
var ErrUnavailable = errors.New("the broker does not answer")

// maxBuffered bounds the messages that wait for an acknowledgement. Each of them has an HTTP
// request that waits with it.
const maxBuffered = 10_000

// Producer sends messages from outside the line, such as orders and reports, to its topics.
type Producer struct {
	client  *kgo.Client
	metrics *Metrics
}

// NewProducer returns an idempotent producer that waits for all in-sync replicas and assigns keys
// to the same partitions as goka. It connects on the first Send. It must be closed.
func NewProducer(c Config) (*Producer, error) {
	client, err := c.NewClient(
		kgo.RecordPartitioner(franz.Partitioner(fnv.New32a)),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerLinger(0),
		kgo.AlwaysRetryEOF(), // A proxy closes the connection while its broker is away.
		kgo.MaxBufferedRecords(maxBuffered),
		kgo.ProducerBatchCompression(kgo.SnappyCompression()),
	)
	if err != nil {
		return nil, fmt.Errorf("producer: %w", err)
	}
	return &Producer{client, c.Metrics}, nil
}

// Send sends a message and blocks until Kafka has acknowledged it. It returns an error that wraps
// ErrUnavailable if ctx ends before that, if Kafka rejects the message, or at once if maxBuffered
// messages wait already. If ctx carries a span, the message has its trace context in a header.
func (p *Producer) Send(ctx context.Context, topic, key string, value []byte) (err error) {
	defer func(start time.Time) { p.metrics.sent(start, err) }(time.Now())
	done := make(chan error, 1)
	record := &kgo.Record{Topic: topic, Key: []byte(key), Value: value}
	if trace := tracing.Header(ctx); trace != "" {
		record.Headers = []kgo.RecordHeader{{Key: codecs.TraceHeader, Value: []byte(trace)}}
	}
	p.client.TryProduce(ctx, record, func(_ *kgo.Record, err error) { done <- err })
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("sending to %s: %w: %w", topic, ErrUnavailable, err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("sending to %s: %w: %w", topic, ErrUnavailable, ctx.Err())
	}
}

// Close closes the producer. Every Send that still waits fails.
func (p *Producer) Close() { p.client.Close() }
