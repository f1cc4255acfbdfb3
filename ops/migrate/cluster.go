package migrate

import (
	"context"
	"fmt"
	"hash/maphash"

	"github.com/ecupcakes/ecupcakes/kafka"
	"github.com/ecupcakes/ecupcakes/topology"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// cluster is the source or the target of a migration.
type cluster struct {
	*kafka.Admin
	name      string // "source" or "target".
	progress  func(doing string, done, of int64)
	client    *kgo.Client // Reads and writes; idempotent, with acknowledgements of all in-sync replicas.
	admin     *kadm.Client
	ranges    map[string]map[int32]kafka.Range
	committed []map[string]map[int32]int64 // By stage, topic and partition.
}

// maxBuffered bounds the messages that the target has not acknowledged, in bytes.
const maxBuffered = 32 << 20

// maxBatch is Kafka's default of max.message.bytes, in bytes. A message that the source has accepted
// with that setting is not too large for a batch.
const maxBatch = 1048588

func dial(name string, config kafka.Config, progress func(string, int64, int64)) (*cluster, error) {
	admin, err := kafka.NewAdmin(config)
	if err != nil {
		return nil, err
	}
	client, err := config.NewClient(append(kafka.ReadOptions(),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchMaxBytes(maxBatch), kgo.MaxBufferedBytes(maxBuffered),
	)...)
	if err != nil {
		admin.Close()
		return nil, err
	}
	return &cluster{Admin: admin, name: name, progress: progress, client: client, admin: kadm.NewClient(client)}, nil
}

func (c *cluster) close() {
	c.client.Close()
	c.Close()
}

// look reads the committed offsets of the groups and the ranges of the topics.
func (c *cluster) look(ctx context.Context, line topology.Line) (err error) {
	c.committed, c.ranges = nil, map[string]map[int32]kafka.Range{}
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

// read is kafka.Read with progress reports.
func (c *cluster) read(ctx context.Context, topic string, p int32, from, to int64, f func(*kgo.Record) error) error {
	doing := fmt.Sprintf("reading partition %d of the %s's %s", p, c.name, topic)
	err := kafka.Read(ctx, c.client, topic, p, kafka.Range{Begin: from, End: to}, func(r *kgo.Record) error {
		c.progress(doing, r.Offset+1-from, to-from)
		return f(r)
	})
	if err != nil {
		return fmt.Errorf("%s: %w", c.name, err)
	}
	return nil
}

var seed = maphash.MakeSeed()

// digest returns a 64-bit hash of the parts of a message that a migration must keep: key, value,
// timestamp and headers. The chance that one of ten million different messages goes unnoticed is one
// in 10^12.
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
		_, _ = h.Write(b) // Writing to a hash never fails.
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
