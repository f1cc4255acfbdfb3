package migrate

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"time"

	"ecupcakes/broker"
	"ecupcakes/topology"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// cluster is one of the two.
type cluster struct {
	*broker.Admin
	name      string // "source" or "target".
	progress  func(doing string, done, of int64)
	client    *kgo.Client // Reads and writes; idempotently, with acks from all replicas in sync.
	admin     *kadm.Client
	ranges    map[string]map[int32]broker.Range
	committed []map[string]map[int32]int64 // By stage, topic and partition.
}

// maxBuffered bounds what the target has not acknowledged, in bytes.
const maxBuffered = 32 << 20

// maxBatch is the size in bytes that a topic takes unless it is told otherwise;
// so nothing that was taken once is too large.
const maxBatch = 1048588

func dial(name string, config broker.Config, progress func(string, int64, int64)) (*cluster, error) {
	admin, err := broker.NewAdmin(config)
	if err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(append(config.Client(),
		kgo.FetchMaxBytes(8<<20), kgo.FetchMaxWait(100*time.Millisecond),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()), // What is not there any more must not be passed over.
		kgo.KeepControlRecords(),                    // A partition may end with one.
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchMaxBytes(maxBatch), kgo.MaxBufferedBytes(maxBuffered),
	)...)
	if err != nil {
		admin.Close()
		return nil, fmt.Errorf("making a Kafka client: %w", err)
	}
	return &cluster{Admin: admin, name: name, progress: progress, client: client, admin: kadm.NewClient(client)}, nil
}

func (c *cluster) close() {
	c.client.Close()
	c.Close()
}

// look notes how far the groups have come and what the topics have.
func (c *cluster) look(ctx context.Context, line topology.Line) (err error) {
	c.committed, c.ranges = nil, map[string]map[int32]broker.Range{}
	for _, s := range line.Stages {
		committed, err := c.Committed(ctx, s.Group())
		if err != nil {
			return err
		}
		c.committed = append(c.committed, committed)
	}
	for topic := range line.Topics() {
		if c.ranges[topic], err = c.Ranges(ctx, topic); err != nil {
			return err
		}
	}
	return nil
}

// read calls f for each message of a partition from one offset up to and
// without another, until it returns an error. All of them must have been
// written.
func (c *cluster) read(ctx context.Context, topic string, p int32, from, to int64, f func(*kgo.Record) error) error {
	if from >= to {
		return nil
	}
	doing := fmt.Sprintf("reading partition %d of the %s's %s", p, c.name, topic)
	c.client.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: {p: kgo.NewOffset().At(from)}})
	defer c.client.RemoveConsumePartitions(map[string][]int32{topic: {p}})
	for {
		poll, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("nothing has come for %s", patience))
		fetches := c.client.PollFetches(poll)
		err := fetches.Err()
		if errors.Is(err, context.DeadlineExceeded) {
			err = context.Cause(poll)
		}
		cancel()
		if err != nil {
			return fmt.Errorf("%s from offset %d to %d: %w", doing, from, to, err)
		}
		for it := fetches.RecordIter(); !it.Done(); {
			r := it.Next()
			c.progress(doing, min(r.Offset+1, to)-from, to-from)
			if r.Offset < to && !r.Attrs.IsControl() {
				if err := f(r); err != nil {
					return err
				}
			}
			if r.Offset+1 >= to {
				return nil
			}
		}
	}
}

var seed = maphash.MakeSeed()

// digest stands for all of a message that a migration must keep. That two of
// ten million differ unnoticed has a chance of one to a million million.
func digest(r *kgo.Record) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	number := func(n int64) { maphash.WriteComparable(&h, n) }
	field := func(b []byte) {
		if b == nil {
			number(-1)
			return
		}
		number(int64(len(b)))
		_, _ = h.Write(b) // It never fails.
	}
	field(r.Key)
	field(r.Value)
	number(r.Timestamp.UnixMilli())
	for _, header := range r.Headers {
		field([]byte(header.Key))
		field(header.Value)
	}
	return h.Sum64()
}
