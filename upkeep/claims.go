package upkeep

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/ecupcakes/ecupcakes/commands"
	"github.com/ecupcakes/ecupcakes/order"
	"github.com/ecupcakes/ecupcakes/views"

	"golang.org/x/sync/errgroup"
)

// Claims are the options of RenewClaims.
type Claims struct {
	TTL   time.Duration // How long a claim holds after it was made or renewed.
	Views interface {
		// Claims returns the claims that hold now.
		Claims() []views.Claim
	}
	// Present reports whether the person has a screen of this instance at the
	// station of the topic.
	Present func(topic, person string) bool
	Sender  commands.Sender
	Log     *slog.Logger
}

// renewing bounds the claims that are renewed at a time.
const renewing = 16

// RenewClaims renews the claim of each person who has a screen at the station,
// once half of its TTL is over, until ctx ends. So a claim expires by itself when
// the person, or the instance with the screen, has gone. A renewal that fails is
// tried again after a tenth of the TTL. Any number of instances may run; a person
// with screens at two of them has the claim renewed twice, which is harmless.
func RenewClaims(ctx context.Context, o Claims) {
	every(ctx, max(o.TTL/10, 10*time.Millisecond), o.Log, "renewing claims", o.renew)
}

func (o Claims) renew(ctx context.Context) error {
	now := time.Now().UTC().Truncate(time.Millisecond)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(renewing)
	for _, c := range o.Views.Claims() {
		if c.Until.IsZero() || c.Until.Sub(now) > o.TTL/2 || !o.Present(o.Sender.Line.Stages[c.Stage].Input, c.By) {
			continue
		}
		g.Go(func() error {
			return o.Sender.Report(ctx, c.Stage, &order.Report{
				ID: order.NewID(), OrderID: c.OrderID, Kind: order.KindClaim, By: c.By, On: now, Until: now.Add(o.TTL),
			})
		})
	}
	if err := g.Wait(); err != nil {
		return fmt.Errorf("renewing claims: %w", err)
	}
	return nil
}
