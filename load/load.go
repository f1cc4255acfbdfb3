// Package load is a load generator. It places orders through the HTTP API and can also play the whole
// kitchen: it receives each order from the hub and finishes it at every station.
//
// It is an ordinary client: it uses only the HTTP API and the hub's protocol, and imports no package
// of the server and no Kafka client.
package load

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Options configures a run.
type Options struct {
	URL      string    // URL of the server, such as http://127.0.0.1:8080.
	Rate     float64   // Orders to place per second; 0 for as many as the server accepts.
	Orders   int       // Number of orders to place, at least 1.
	Watch    bool      // Also measure the time until each order appears at the first station.
	Walk     bool      // Like Watch, and finish each order at every station.
	Out      io.Writer // Receives the summary.
	Terminal bool      // Out is a terminal, so progress is shown there.
	JSON     bool      // Write the summary as one JSON object, and no progress.
}

const (
	// workers bounds the concurrent requests that place orders, and also those that finish orders.
	workers = 64
	// giveUpAfter is how long a command is retried, and how long a walk waits for progress. A restart
	// of the server takes far less.
	giveUpAfter = 2 * time.Minute
)

// Run places o.Orders orders, with o.Walk finishes them at every station, and writes a summary to
// o.Out. Each command has its own Idempotency-Key and is retried with it while the server cannot be
// reached or answers 503, so the server may be killed and restarted during a run.
//
// Run returns an error if an order is unaccounted for: it was not accepted, with o.Watch not shown, or
// with o.Walk not shipped. The Result is complete even then.
func Run(ctx context.Context, o Options) (Result, error) {
	return run(ctx, o, giveUpAfter)
}

func run(ctx context.Context, o Options, giveUpAfter time.Duration) (Result, error) {
	switch {
	case o.Orders < 1:
		return Result{}, fmt.Errorf("invalid number of orders %d: use 1 or more", o.Orders)
	case o.Rate < 0:
		return Result{}, fmt.Errorf("invalid rate of %g orders per second: use a positive rate, or 0 for no limit", o.Rate)
	}
	tally := newTally(o)
	server := newClient(o.URL, giveUpAfter, tally)
	defer server.close()

	var menu menu
	if err := server.get(ctx, "/menu", &menu); err != nil {
		return Result{}, fmt.Errorf("getting the menu of %s: %w; check that the server runs there", o.URL, err)
	}
	if len(menu.Flavours) == 0 || len(menu.Sizes) == 0 {
		return Result{}, fmt.Errorf("the menu of %s is empty, so nothing can be ordered: check its inventory", o.URL)
	}
	var kitchen *kitchen
	if o.Watch || o.Walk {
		var err error
		if kitchen, err = openKitchen(ctx, server, tally, o); err != nil {
			return Result{}, err
		}
	}
	stop := tally.show(o)
	tally.start()
	placeAll(ctx, o, server, menu, tally, kitchen)
	if kitchen != nil {
		kitchen.wait(ctx, giveUpAfter)
		kitchen.close()
	}
	stop()
	result := tally.result()
	if err := result.write(o.Out, o.JSON); err != nil {
		return result, fmt.Errorf("writing the summary: %w", err)
	}
	return result, cmp.Or(context.Cause(ctx), result.unaccounted())
}

type menu struct {
	Flavours []struct{ Name string }
	Sizes    []string
}

// order returns the body of the n-th order. The orders cycle through the whole menu.
func (m menu) order(n int) []byte {
	body := map[string]any{"Order": map[string]any{
		"Flavour": m.Flavours[n%len(m.Flavours)].Name, "Size": m.Sizes[n/len(m.Flavours)%len(m.Sizes)], "Quantity": 1 + n%3,
	}}
	b, _ := json.Marshal(body) // Encoding strings and numbers cannot fail.
	return b
}

// placeAll places the orders and returns when each was answered or given up.
//
// The latency of an order counts from when it was due, not from when a worker was free. A slow server
// also delays the orders that wait for a worker, and the measurement must include that.
func placeAll(ctx context.Context, o Options, server *client, menu menu, tally *tally, kitchen *kitchen) {
	type job struct {
		n   int
		due time.Time
	}
	jobs := make(chan job)
	name := "load-" + rand.Text()
	var wg sync.WaitGroup
	for range min(workers, o.Orders) {
		wg.Go(func() {
			for j := range jobs {
				if j.due.IsZero() {
					j.due = time.Now()
				}
				id, err := server.place(ctx, fmt.Sprintf("%s-%d", name, j.n), menu.order(j.n))
				if err != nil {
					tally.lost(err)
					continue
				}
				tally.placed(time.Since(j.due))
				if kitchen != nil {
					kitchen.placed(id, j.due)
				}
			}
		})
	}
	defer wg.Wait()
	defer close(jobs)
	start := time.Now()
	for n := range o.Orders {
		j := job{n: n}
		if o.Rate > 0 {
			j.due = start.Add(time.Duration(float64(n) / o.Rate * float64(time.Second)))
			if !sleep(ctx, time.Until(j.due)) {
				return
			}
		}
		select {
		case jobs <- j:
		case <-ctx.Done():
			return
		}
	}
}

// sleep blocks for d or until ctx ends, and reports whether d has passed.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// place places an order and returns its ID.
func (c *client) place(ctx context.Context, key string, body []byte) (id string, err error) {
	a, err := c.command(ctx, "/order", key, body)
	if err != nil {
		return "", err
	}
	if a.status != http.StatusCreated && a.status != http.StatusAccepted {
		return "", a.refused()
	}
	var placed struct{ CorrelationID string }
	if err := json.Unmarshal(a.body, &placed); err != nil {
		return "", fmt.Errorf("reading the answer to an order: %w", err)
	}
	if placed.CorrelationID == "" {
		return "", errors.New("the answer to an order has no correlationId")
	}
	return placed.CorrelationID, nil
}

// finish finishes an order at a station. It succeeds if the order was already finished there, by an
// attempt whose answer was lost.
func (c *client) finish(ctx context.Context, s station, id string) error {
	body, _ := json.Marshal(map[string]any{"Order": map[string]any{"Id": id}}) // Encoding strings cannot fail.
	a, err := c.command(ctx, "/order/"+s.Verb, id+"-"+s.Verb, body, http.StatusAccepted)
	switch {
	case err != nil:
		return err
	case a.status == http.StatusOK || a.status == http.StatusConflict && a.past(s):
		return nil
	default:
		return a.refused()
	}
}

// past reports whether a 409 answer shows that the order has already passed the station.
func (a answer) past(s station) bool {
	var problem struct {
		Type  string
		Order struct {
			State   string
			History []struct{ Stage string }
		}
	}
	if json.Unmarshal(a.body, &problem) != nil || !strings.HasSuffix(problem.Type, "already-done") || problem.Order.State == "rejected" {
		return false
	}
	for _, step := range problem.Order.History {
		if step.Stage == s.Stage {
			return true
		}
	}
	return false
}
