package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// readTimeout bounds how long Read waits for the next messages of a partition that has more.
const readTimeout = 30 * time.Second

// ReadOptions returns the options that a client for Read must have.
func ReadOptions() []kgo.Opt {
	return []kgo.Opt{
		kgo.FetchMaxBytes(8 << 20), kgo.FetchMaxWait(100 * time.Millisecond),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()), // Deleted offsets are an error, not skipped.
		kgo.KeepControlRecords(),                    // A control record may be the last of a partition.
	}
}

// Read calls f for each message of a partition within the range, and stops at the first error that
// f returns. A message is valid only during the call. The whole range must have been written; Read
// fails if no message arrives for 30 s. The client must have been created with ReadOptions and must
// not consume anything else meanwhile.
func Read(ctx context.Context, client *kgo.Client, topic string, p int32, r Range, f func(*kgo.Record) error) error {
	if r.Begin >= r.End {
		return nil
	}
	client.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: {p: kgo.NewOffset().At(r.Begin)}})
	defer client.RemoveConsumePartitions(map[string][]int32{topic: {p}})
	for {
		poll, cancel := context.WithTimeoutCause(ctx, readTimeout, fmt.Errorf("no message has arrived for %s", readTimeout))
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
				continue // It was fetched for the previous partition.
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
