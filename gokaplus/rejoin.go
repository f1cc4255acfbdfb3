package gokaplus

import (
	"context"
	"time"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"
)

// WithQuickRejoin wraps a builder of consumer groups so that a rebalance does not cost goka's fixed pause. goka sleeps
// five seconds after each session, in which it handles nothing. With this wrapper, Consume enters the next session
// itself. It returns only when a session has failed or ctx has ended.
//
// A session shorter than a second is followed by a pause, so that a partition which cannot be consumed does not keep the
// whole group rebalancing. The pause is 100 ms at first, doubles each time, and is at most five seconds.
//
// WithQuickRejoin and [WithInOrderCommits] may wrap each other either way. [ProcessorOptions] uses both.
func WithQuickRejoin(inner goka.ConsumerGroupBuilder) goka.ConsumerGroupBuilder {
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
