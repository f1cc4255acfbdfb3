// Package load is a load generator: it places orders through the HTTP API and,
// if asked, is the whole kitchen as well, which learns of each order from the
// hub and finishes it at every station.
//
// It is a client like any other: it knows the API and the hub's protocol and
// nothing of Kafka or of what the server is made of.
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

// Options say what to do.
type Options struct {
	URL      string    // Of the server: http://127.0.0.1:8080.
	Rate     float64   // Orders to place in a second; 0 is as many as the server takes.
	Orders   int       // How many to place, at least one.
	Watch    bool      // Wait for each order to appear at the first station, too, and measure how long that takes.
	Walk     bool      // As Watch, and finish them at every station.
	Out      io.Writer // Gets the summary.
	Terminal bool      // Out is a terminal: show progress there.
	JSON     bool      // The summary is one JSON object, and there is no progress.
}

const (
	// workers bounds the orders that are placed at a time and, again, the
	// steps that are taken at a time.
	workers = 64
	// patience is how long one command is tried, and how long a walk goes on
	// in which nothing moves. A server that starts again needs far less.
	patience = 2 * time.Minute
)

// Run places o.Orders orders, walks them through the line if asked, and writes
// a summary to o.Out. Each command has its own Idempotency-Key and is repeated
// with it while the server cannot be reached or says 503, so a server may be
// killed and started again meanwhile.
//
// Run returns an error if an order is not accounted for: it was not taken on
// or, with o.Watch, not shown or, with o.Walk, not shipped. The Result is complete even then.
func Run(ctx context.Context, o Options) (Result, error) {
	return run(ctx, o, patience)
}

func run(ctx context.Context, o Options, patience time.Duration) (Result, error) {
	switch {
	case o.Orders < 1:
		return Result{}, fmt.Errorf("%d orders cannot be placed: choose one or more", o.Orders)
	case o.Rate < 0:
		return Result{}, fmt.Errorf("a rate of %g orders a second is not possible: choose a positive one, or 0 for no limit", o.Rate)
	}
	tally := newTally(o)
	server := newClient(o.URL, patience, tally)
	defer server.close()

	var menu menu
	if err := server.get(ctx, "/menu", &menu); err != nil {
		return Result{}, fmt.Errorf("asking %s for its menu: %w; is the server running there?", o.URL, err)
	}
	if len(menu.Flavours) == 0 || len(menu.Sizes) == 0 {
		return Result{}, fmt.Errorf("the menu of %s is empty: there is nothing to order", o.URL)
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
		kitchen.wait(ctx, patience)
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

// order is the body of the n-th order; all of the menu gets its turn.
func (m menu) order(n int) []byte {
	body := map[string]any{"Order": map[string]any{
		"Flavour": m.Flavours[n%len(m.Flavours)].Name, "Size": m.Sizes[n/len(m.Flavours)%len(m.Sizes)], "Quantity": 1 + n%3,
	}}
	b, _ := json.Marshal(body) // Strings and numbers cannot fail.
	return b
}

// placeAll places the orders and returns when each was answered or given up.
//
// An order's latency counts from when it was due, not from when a worker was
// free for it: a server that is slow delays the orders behind it, too, and that
// must not be hidden.
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

// sleep says whether d passed before ctx ended.
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

// place places an order and returns its id.
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

// finish takes an order's step at a station. That it was taken before, by an
// attempt whose answer was lost, is fine.
func (c *client) finish(ctx context.Context, s station, id string) error {
	body, _ := json.Marshal(map[string]any{"Order": map[string]any{"Id": id}}) // Strings cannot fail.
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

// past says whether a 409 is about an order that has been through the station.
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
