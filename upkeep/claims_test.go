package upkeep

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ecupcakes/ecupcakes/codecs"
	"github.com/ecupcakes/ecupcakes/commands"
	"github.com/ecupcakes/ecupcakes/order"
	"github.com/ecupcakes/ecupcakes/views"
)

// kitchen has one claim of Ana at baking, and knows whether she is present.
type kitchen struct {
	mu      sync.Mutex
	claim   views.Claim
	present bool
	fails   bool
	renewed []time.Duration // When the claim was renewed, from the start.
}

func (k *kitchen) Claims() []views.Claim {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.claim.Until.IsZero() && !time.Now().Before(k.claim.Until) {
		return nil
	}
	return []views.Claim{k.claim}
}

// run renews claims while happens runs, in fake time.
func (k *kitchen) run(t *testing.T, happens func()) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now().UTC()
		k.claim = views.Claim{OrderID: "o1", Stage: 1, By: "Ana", Until: start.Add(2 * time.Minute)}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			RenewClaims(ctx, Claims{
				TTL: 2 * time.Minute, Views: k, Log: slog.New(slog.DiscardHandler),
				Present: func(topic, person string) bool {
					k.mu.Lock()
					defer k.mu.Unlock()
					return k.present && topic == "readytobake" && person == "Ana"
				},
				Sender: commands.Sender{Line: line, Timeout: time.Second, Send: func(_ context.Context, topic, key string, value []byte) error {
					k.mu.Lock()
					defer k.mu.Unlock()
					v, _ := codecs.Report{}.Decode(value)
					r, ok := v.(*order.Report)
					if k.fails || !ok {
						return errors.New("no broker")
					}
					if topic != "baking-reports" || key != "o1" || r.Kind != order.KindClaim || r.By != "Ana" || r.Until.Sub(r.On) != 2*time.Minute {
						t.Errorf("%s %s: %+v", topic, key, r)
					}
					k.claim.Until = r.Until
					k.renewed = append(k.renewed, time.Since(start))
					return nil
				}},
			})
		}()
		happens()
		cancel()
		<-done
	})
}

func (k *kitchen) set(change func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	change()
}

func TestClaimIsRenewedWhilePersonIsPresent(t *testing.T) {
	k := &kitchen{present: true}
	k.run(t, func() {
		time.Sleep(150 * time.Second)
		k.set(func() { k.present = false })
		time.Sleep(10 * time.Minute)
		k.set(func() { k.present = true }) // Too late.
		time.Sleep(10 * time.Minute)
	})
	if want := []time.Duration{60 * time.Second, 120 * time.Second}; !slices.Equal(k.renewed, want) {
		t.Errorf("renewed after %v, want %v", k.renewed, want)
	}
}

func TestFailedRenewalIsRetried(t *testing.T) {
	k := &kitchen{present: true, fails: true}
	k.run(t, func() {
		time.Sleep(90 * time.Second)
		k.set(func() { k.fails = false })
		time.Sleep(10 * time.Second)
	})
	if want := []time.Duration{96 * time.Second}; !slices.Equal(k.renewed, want) {
		t.Errorf("renewed after %v, want %v", k.renewed, want)
	}
}

func TestClaimWithoutEndIsNotRenewed(t *testing.T) {
	k := &kitchen{present: true}
	k.run(t, func() {
		k.set(func() { k.claim.Until = time.Time{} })
		time.Sleep(time.Hour)
	})
	if len(k.renewed) > 0 {
		t.Errorf("renewed after %v", k.renewed)
	}
}
