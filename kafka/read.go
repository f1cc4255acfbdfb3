package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// readPatience is how long nothing may come of a partition that has more.
const readPatience = 30 * time.Second

// ReadOptions are what a client needs that is given to Read.
func ReadOptions() []kgo.Opt {
	return []kgo.Opt{
		kgo.FetchMaxBytes(8 << 20), kgo.FetchMaxWait(100 * time.Millisecond),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()), // What is not there any more must not be passed over.
		kgo.KeepControlRecords(),                    // A partition may end with one.
	}
}

// Read calls f for each message of a partition in the range, until it returns
// an error. A message is valid only during the call. All of the range must have
// been written; 30 s in which nothing comes are an error. The client, which has
// ReadOptions, must read nothing else meanwhile.
func Read(ctx context.Context, client *kgo.Client, topic string, p int32, r Range, f func(*kgo.Record) error) error {
	if r.Begin >= r.End {
		return nil
	}
	client.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: {p: kgo.NewOffset().At(r.Begin)}})
	defer client.RemoveConsumePartitions(map[string][]int32{topic: {p}})
	for {
		poll, cancel := context.WithTimeoutCause(ctx, readPatience, fmt.Errorf("nothing has come for %s", readPatience))
		fetches := client.PollFetches(poll)
		err := fetches.Err()
		if errors.Is(err, context.DeadlineExceeded) {
			err = context.Cause(poll)
		}
		cancel()
		if err != nil {
			return fmt.Errorf("reading partition %d of %s from offset %d to %d: %w", p, topic, r.Begin, r.End, err)
		}
		for it := fetches.RecordIter(); !it.Done(); {
			m := it.Next()
			if m.Topic != topic || m.Partition != p {
				continue // Fetched for the partition before.
			}
			if m.Offset < r.End && !m.Attrs.IsControl() {
				if err := f(m); err != nil {
					return err
				}
			}
			if m.Offset+1 >= r.End {
				return nil
			}
		}
	}
}
