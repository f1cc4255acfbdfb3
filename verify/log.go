package verify

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ecupcakes/broker"

	"github.com/twmb/franz-go/pkg/kgo"
)

// log is what Kafka had of the line when the audit began.
type log struct {
	client    *kgo.Client
	ranges    map[string]map[int32]broker.Range
	committed []map[string]map[int32]int64 // By stage, topic and partition.
}

// patience is how long nothing may come of a partition that has more.
const patience = 30 * time.Second

// read calls f for each message of a partition. A message is valid only during
// the call.
func (l *log) read(ctx context.Context, topic string, p int32, f func(*kgo.Record)) error {
	r := l.ranges[topic][p]
	if r.Begin >= r.End {
		return nil
	}
	l.client.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: {p: kgo.NewOffset().At(r.Begin)}})
	defer l.client.RemoveConsumePartitions(map[string][]int32{topic: {p}})
	for {
		poll, cancel := context.WithTimeout(ctx, patience)
		fetches := l.client.PollFetches(poll)
		cancel()
		if err := fetches.Err(); err != nil {
			if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
				err = fmt.Errorf("nothing came for %s", patience)
			}
			return fmt.Errorf("reading partition %d of %s: %w", p, topic, err)
		}
		for it := fetches.RecordIter(); !it.Done(); {
			m := it.Next()
			if m.Topic != topic || m.Partition != p {
				continue // Fetched for the partition before.
			}
			if m.Offset < r.End {
				f(m)
			}
			if m.Offset+1 >= r.End {
				return nil
			}
		}
	}
}
