// Package upkeep is what the line does by itself: it renews the claims of people
// who are still there, and has the stages forget orders that left the line long
// ago.
//
// It keeps no state of its own and decides nothing. It looks things up in the
// views and sends reports, which the stages decide about like any other.
package upkeep

import (
	"context"
	"log/slog"
	"time"
)

// every calls f at each interval until ctx ends. An error is logged, and f is
// called again at the next interval.
func every(ctx context.Context, interval time.Duration, log *slog.Logger, job string, f func(context.Context) error) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if err := f(ctx); err != nil && ctx.Err() == nil {
			log.Warn("upkeep failed; trying again", "job", job, "error", err)
		}
	}
}
