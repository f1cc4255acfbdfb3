package gokaplus

import (
	"context"
	"time"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"
)

// Rejoin wraps a consumer group builder so that a rebalance does not cost goka's fixed pause of five seconds, in which
// it handles nothing: goka sleeps when Consume returns, so Consume goes on to the next session itself. It returns, as
// before, when the session has failed or ctx has ended.
//
// A session shorter than a second is followed by a pause, doubled each time from 100 ms to those five seconds, so that
// a partition which cannot be consumed does not keep the whole group rebalancing.
//
// Rejoin and [Ordered] may wrap each other either way; [ProcessorOptions] uses Rejoin(Ordered(…)).
func Rejoin(inner goka.ConsumerGroupBuilder) goka.ConsumerGroupBuilder {
	return func(brokers []string, group, clientID string) (sarama.ConsumerGroup, error) {
		cg, err := inner(brokers, group, clientID)
		if err != nil {
			return nil, err
		}
		return &rejoiningGroup{cg}, nil
	}
}

type rejoiningGroup struct{ sarama.ConsumerGroup }

func (g *rejoiningGroup) Consume(ctx context.Context, topics []string, h sarama.ConsumerGroupHandler) error {
	const firstPause, longestPause = 100 * time.Millisecond, 5 * time.Second
	pause := firstPause
	for {
		start := time.Now()
		// sarama returns nil after a rebalance and when ctx ends.
		if err := g.ConsumerGroup.Consume(ctx, topics, h); err != nil || ctx.Err() != nil {
			return err
		}
		if time.Since(start) >= time.Second {
			pause = firstPause
			continue
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
		pause = min(2*pause, longestPause)
	}
}
