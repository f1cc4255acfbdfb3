package claims

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
	"github.com/ecupcakes/ecupcakes/order"
	"github.com/ecupcakes/ecupcakes/topology"
	"github.com/ecupcakes/ecupcakes/views"
)

// kitchen is one claim of Ana's at baking, and who is there.
type kitchen struct {
	mu      sync.Mutex
	claim   views.Claim
	present bool
	fails   bool
	made    []time.Duration // When the claim was made again, from the start.
}

func (k *kitchen) Claims() []views.Claim {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.claim.Until.IsZero() && !time.Now().Before(k.claim.Until) {
		return nil
	}
	return []views.Claim{k.claim}
}

// run runs the upkeep for some minutes beside what happens.
func (k *kitchen) run(t *testing.T, happens func()) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now().UTC()
		k.claim = views.Claim{OrderID: "o1", Stage: 1, By: "Ana", Until: start.Add(2 * time.Minute)}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			Run(ctx, Options{
				Line: topology.Cupcakes, TTL: 2 * time.Minute, Views: k, Log: slog.New(slog.DiscardHandler),
				Present: func(topic, person string) bool {
					k.mu.Lock()
					defer k.mu.Unlock()
					return k.present && topic == "readytobake" && person == "Ana"
				},
				Send: func(_ context.Context, topic, key string, value []byte) error {
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
					k.made = append(k.made, time.Since(start))
					return nil
				},
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

func TestAClaimIsKeptWhileItsPersonIsThere(t *testing.T) {
	k := &kitchen{present: true}
	k.run(t, func() {
		time.Sleep(150 * time.Second)
		k.set(func() { k.present = false })
		time.Sleep(10 * time.Minute)
		k.set(func() { k.present = true }) // Too late.
		time.Sleep(10 * time.Minute)
	})
	if want := []time.Duration{60 * time.Second, 120 * time.Second}; !slices.Equal(k.made, want) {
		t.Errorf("made again after %v, want %v", k.made, want)
	}
}

func TestAClaimThatCouldNotBeMadeIsTriedAgain(t *testing.T) {
	k := &kitchen{present: true, fails: true}
	k.run(t, func() {
		time.Sleep(90 * time.Second)
		k.set(func() { k.fails = false })
		time.Sleep(10 * time.Second)
	})
	if want := []time.Duration{96 * time.Second}; !slices.Equal(k.made, want) {
		t.Errorf("made again after %v, want %v", k.made, want)
	}
}

func TestWhatDoesNotLapseIsLeftAlone(t *testing.T) {
	k := &kitchen{present: true}
	k.run(t, func() {
		k.set(func() { k.claim.Until = time.Time{} })
		time.Sleep(time.Hour)
	})
	if len(k.made) > 0 {
		t.Errorf("made again after %v", k.made)
	}
}
