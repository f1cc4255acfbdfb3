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
	"github.com/ecupcakes/ecupcakes/topology"
	"github.com/ecupcakes/ecupcakes/views"
)

var line = topology.Cupcakes

// world is Kafka and the views as a sweep sees them.
type world struct {
	mu        sync.Mutex
	finished  []views.Departed
	end       int64 // Of every partition.
	committed map[string]int64
	fails     bool
	sent      []string // Topic and key.
}

func (w *world) DepartedBefore(time.Time, int) []views.Departed { return w.finished }

func (w *world) ends(context.Context, string) (map[int32]int64, error) {
	return map[int32]int64{0: w.end}, nil
}

func (w *world) group(_ context.Context, group string) (map[string]map[int32]int64, error) {
	s := line.Stages[line.Index(group)]
	of := map[int32]int64{0: w.committed[group]}
	return map[string]map[int32]int64{s.Input: of, s.Reports(): of}, nil
}

func (w *world) send(_ context.Context, topic, key string, value []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fails {
		return errors.New("no broker")
	}
	v, _ := codecs.Report{}.Decode(value)
	if r, ok := v.(*order.Report); !ok || r.Kind != order.KindExpire || r.OrderID != key {
		return errors.New("not what it should be")
	}
	w.sent = append(w.sent, topic+" "+key)
	return nil
}

func (w *world) options() Expiry {
	return Expiry{
		After: time.Hour, Views: w, EndOffsets: w.ends, Committed: w.group, Log: slog.New(slog.DiscardHandler),
		Sender: commands.Sender{Line: line, Timeout: time.Second, Send: w.send},
	}
}

// A row is deleted only after all stages have committed every offset that existed
// when the order was found. Each stage gets a report, the furthest one last.
func TestExpiryWaitsForCommits(t *testing.T) {
	w := &world{finished: []views.Departed{{ID: "o1", Stage: 2}}, end: 10, committed: map[string]int64{}}
	for _, s := range line.Stages {
		w.committed[s.Group()] = 10
	}
	w.committed["baking"] = 9
	var s sweep
	next := func(want ...string) {
		t.Helper()
		w.sent = nil
		if err := s.next(t.Context(), w.options()); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(w.sent, want) {
			t.Errorf("sent %q, want %q", w.sent, want)
		}
	}
	next() // Found.
	next() // The baker is behind.
	w.committed["baking"] = 10
	w.end = 20 // What came since does not matter.
	next("mixing-reports o1", "baking-reports o1", "decorating-reports o1")
	w.finished = nil
	next() // Found again meanwhile, but now all are behind.
}

func TestExpiryIsRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{finished: []views.Departed{{ID: "o1", Stage: 0}}, fails: true}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); ForgetOrders(ctx, w.options()) }()
		time.Sleep(5 * time.Minute)
		w.mu.Lock()
		w.fails = false
		w.mu.Unlock()
		time.Sleep(5 * time.Minute)
		cancel()
		<-done
		if len(w.sent) == 0 {
			t.Error("nothing was sent")
		}
	})
}
