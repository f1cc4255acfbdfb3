// Package claims keeps what people have taken on theirs as long as they are
// there. A claim lapses by itself; for each person who has a screen at the
// station it is made again in time. So nothing has to notice that a person, or
// the instance with their screen, has gone.
//
// It keeps nothing and decides nothing: who is there, and what is claimed, is
// looked up each time, and the stages decide about a claim as about any other.
package claims

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/ecupcakes/ecupcakes/codecs"
	"github.com/ecupcakes/ecupcakes/order"
	"github.com/ecupcakes/ecupcakes/topology"
	"github.com/ecupcakes/ecupcakes/views"

	"golang.org/x/sync/errgroup"
)

// Options say how long claims last and how Kafka is reached.
type Options struct {
	Line  topology.Line
	TTL   time.Duration // After its last making a claim lapses.
	Views interface {
		// Claims returns what is claimed now.
		Claims() []views.Claim
	}
	// Present says whether a person has a screen at the station of the topic here.
	Present func(topic, person string) bool
	Send    func(ctx context.Context, topic, key string, value []byte) error // Returns nil once the message is durable.
	Log     *slog.Logger
}

const (
	inFlight    = 16              // Claims that are made at a time.
	sendTimeout = 5 * time.Second // Of one.
)

// Run makes claims again, each when half of its time is over, until ctx ends.
// What fails is tried again after a tenth of the time. Any number of instances
// may run; that a person has screens at two of them makes a claim twice.
func Run(ctx context.Context, o Options) {
	tick := time.NewTicker(max(o.TTL/10, 10*time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if err := renew(ctx, o); err != nil && ctx.Err() == nil {
			o.Log.Warn("claims could not be kept; trying again", "error", err)
		}
	}
}

func renew(ctx context.Context, o Options) error {
	now := time.Now().UTC().Truncate(time.Millisecond)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(inFlight)
	for _, c := range o.Views.Claims() {
		stage := o.Line.Stages[c.Stage]
		if c.Until.IsZero() || c.Until.Sub(now) > o.TTL/2 || !o.Present(stage.Input, c.By) {
			continue
		}
		g.Go(func() error {
			b, err := codecs.EncodeReport(&order.Report{
				ID: order.NewID(), OrderID: c.OrderID, Kind: order.KindClaim, By: c.By, On: now, Until: now.Add(o.TTL),
			})
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(ctx, sendTimeout)
			defer cancel()
			return o.Send(ctx, stage.Reports(), c.OrderID, b)
		})
	}
	if err := g.Wait(); err != nil {
		return fmt.Errorf("claiming once more: %w", err)
	}
	return nil
}
