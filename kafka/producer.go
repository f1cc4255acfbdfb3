package kafka

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"time"

	"github.com/ecupcakes/ecupcakes/codecs"
	"github.com/ecupcakes/ecupcakes/gokaplus"
	"github.com/ecupcakes/ecupcakes/tracing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// ErrUnavailable says that Kafka did not acknowledge a message in time. The
// message may still arrive later: send it again with the same meaning only if
// the receiver recognises it.
var ErrUnavailable = errors.New("the broker does not answer")

// maxBuffered bounds how many messages wait for the broker; each belongs to a
// request that waits too.
const maxBuffered = 10_000

// Producer sends what comes from outside the line to its topics.
type Producer struct {
	client  *kgo.Client
	metrics *Metrics
}

// NewProducer returns a producer that is idempotent, waits for all replicas in
// sync and puts keys on the same partitions as goka. It connects when it first
// sends. It must be closed.
func NewProducer(c Config) (*Producer, error) {
	client, err := kgo.NewClient(append(c.Client(),
		kgo.RecordPartitioner(gokaplus.Partitioner(fnv.New32a)),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerLinger(0),
		kgo.AlwaysRetryEOF(), // Of a proxy whose broker is away.
		kgo.MaxBufferedRecords(maxBuffered),
		kgo.ProducerBatchCompression(kgo.SnappyCompression()),
	)...)
	if err != nil {
		return nil, fmt.Errorf("making a Kafka producer: %w", err)
	}
	return &Producer{client, c.Metrics}, nil
}

// Send tells the receiver of the span in ctx, if there is one. It returns nil once the message is durable, and an error that wraps
// ErrUnavailable when that has not happened before ctx ended or too many wait
// already.
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

// Close fails what has not been sent.
func (p *Producer) Close() { p.client.Close() }
