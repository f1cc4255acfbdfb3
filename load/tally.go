package load

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"time"
)

// Result is the result of a run.
type Result struct {
	Orders          int            `json:"orders"`          // Number of orders to place.
	Placed          int            `json:"placed"`          // Number of orders that the server accepted.
	Seconds         float64        `json:"seconds"`         // Time from the start of the run to the last order placed.
	OrdersPerSecond float64        `json:"ordersPerSecond"` // Placed divided by Seconds.
	Post            Latency        `json:"post"`            // Time from when an order was due to the answer, all retries included.
	Shown           *Latency       `json:"shown,omitempty"` // Time from when an order was due to its arrival on the first station's socket; with Options.Watch or Walk only.
	Walk            *Walk          `json:"walk,omitempty"`  // With Options.Walk only.
	Errors          map[string]int `json:"errors"`          // Errors by kind: "connection", "timeout", "hub" (its connection ended) or the HTTP status.
	Retries         int            `json:"retries"`
	Lost            []string       `json:"lost,omitempty"` // The first five reasons why orders were given up.
}

// Walk is the result of finishing orders.
type Walk struct {
	Shipped         int     `json:"shipped"`
	Seconds         float64 `json:"seconds"`         // Time from the start of the run to the last order shipped.
	OrdersPerSecond float64 `json:"ordersPerSecond"` // Shipped divided by Seconds.
}

// Latency is a distribution of times, in milliseconds. Percentiles are computed by nearest rank.
type Latency struct {
	Count int     `json:"count"`
	P50   float64 `json:"p50"`
	P95   float64 `json:"p95"`
	P99   float64 `json:"p99"`
	Max   float64 `json:"max"`
}

func latency(values []time.Duration) Latency {
	slices.Sort(values)
	return Latency{len(values), percentile(values, 50), percentile(values, 95), percentile(values, 99), percentile(values, 100)}
}

// percentile returns the p-th percentile of sorted values by nearest rank, in milliseconds. It returns
// 0 without values.
func percentile(values []time.Duration, p float64) float64 {
	if len(values) == 0 {
		return 0
	}
	rank := int(math.Ceil(p / 100 * float64(len(values))))
	return float64(values[max(rank, 1)-1].Microseconds()) / 1000
}

// maxLost bounds the reasons in Result.Lost.
const maxLost = 5

// tally collects the measurements of a run.
type tally struct {
	mu        sync.Mutex
	started   time.Time
	lastPlace time.Time
	lastShip  time.Time
	post      []time.Duration
	socket    []time.Duration
	done      Result // Only its counts are kept up to date.
}

func newTally(o Options) *tally {
	t := &tally{done: Result{Orders: o.Orders, Errors: map[string]int{}}}
	if o.Watch || o.Walk {
		t.done.Shown = &Latency{}
	}
	if o.Walk {
		t.done.Walk = &Walk{}
	}
	return t
}

func (t *tally) update(f func(now time.Time)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f(time.Now())
}

func (t *tally) start() { t.update(func(now time.Time) { t.started = now }) }

func (t *tally) placed(after time.Duration) {
	t.update(func(now time.Time) {
		t.done.Placed++
		t.post = append(t.post, after)
		t.lastPlace = now
	})
}

func (t *tally) shown(after time.Duration) {
	t.update(func(time.Time) {
		t.socket = append(t.socket, after)
		t.done.Shown.Count++
	})
}

func (t *tally) shipped() {
	t.update(func(now time.Time) {
		t.done.Walk.Shipped++
		t.lastShip = now
	})
}

// retry counts an error that is followed by another attempt.
func (t *tally) retry(kind string) {
	t.update(func(time.Time) {
		t.done.Retries++
		t.done.Errors[kind]++
	})
}

// lost counts an order that was given up, and keeps the reason.
func (t *tally) lost(err error) {
	t.update(func(time.Time) {
		t.done.Errors[kind(err)]++
		if len(t.done.Lost) < maxLost {
			t.done.Lost = append(t.done.Lost, err.Error())
		}
	})
}

func (t *tally) result() Result {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.done
	r.Post = latency(t.post)
	r.Seconds, r.OrdersPerSecond = pace(r.Placed, t.started, t.lastPlace)
	if r.Shown != nil {
		*r.Shown = latency(t.socket)
	}
	if r.Walk != nil {
		r.Walk.Seconds, r.Walk.OrdersPerSecond = pace(r.Walk.Shipped, t.started, t.lastShip)
	}
	return r
}

func pace(n int, from, to time.Time) (seconds, perSecond float64) {
	seconds = to.Sub(from).Seconds()
	if n == 0 || seconds <= 0 {
		return 0, 0
	}
	return seconds, float64(n) / seconds
}

// accounted returns the number of orders that reached the goal of the run.
func (r *Result) accounted() int {
	switch {
	case r.Walk != nil:
		return r.Walk.Shipped
	case r.Shown != nil:
		return r.Shown.Count
	}
	return r.Placed
}

func (r *Result) unaccounted() error {
	missing := r.Orders - r.accounted()
	if missing == 0 {
		return nil
	}
	err := fmt.Errorf("%d of %d orders are not accounted for: look for them with GET /api/v1/orders", missing, r.Orders)
	if len(r.Lost) > 0 {
		err = fmt.Errorf("%w; the first: %s", err, r.Lost[0])
	}
	return err
}

func (r *Result) write(out io.Writer, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(out).Encode(r)
	}
	_, err := io.WriteString(out, r.table())
	return err
}

func (r *Result) table() string {
	var b strings.Builder
	paced := func(what string, n int, seconds, perSecond float64) {
		fmt.Fprintf(&b, "%-8s %d of %d in %.1f s: %.1f orders/s\n", what, n, r.Orders, seconds, perSecond)
	}
	paced("placed", r.Placed, r.Seconds, r.OrdersPerSecond)
	if r.Walk != nil {
		paced("shipped", r.Walk.Shipped, r.Walk.Seconds, r.Walk.OrdersPerSecond)
	}
	fmt.Fprintf(&b, "\n%-24s %9s %9s %9s %9s\n", "latency in ms", "p50", "p95", "p99", "max")
	row := func(what string, l Latency) {
		fmt.Fprintf(&b, "%-24s %9.1f %9.1f %9.1f %9.1f\n", what, l.P50, l.P95, l.P99, l.Max)
	}
	row("POST to answer", r.Post)
	if r.Shown != nil {
		row("POST to mixer's socket", *r.Shown)
	}
	fmt.Fprintf(&b, "\nretries  %d\nerrors   ", r.Retries)
	if len(r.Errors) == 0 {
		b.WriteString("none")
	}
	for i, kind := range slices.Sorted(maps.Keys(r.Errors)) {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s: %d", kind, r.Errors[kind])
	}
	b.WriteByte('\n')
	return b.String()
}

// show draws progress on a terminal until stop is called.
func (t *tally) show(o Options) (stop func()) {
	if !o.Terminal || o.JSON {
		return func() {}
	}
	quit := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				_, _ = io.WriteString(o.Out, "\r"+t.bar()) // If writing fails, writing the summary reports it.
			case <-quit:
				_, _ = io.WriteString(o.Out, "\r\x1b[K") // If writing fails, writing the summary reports it.
				return
			}
		}
	})
	return func() {
		close(quit)
		wg.Wait()
	}
}

func (t *tally) bar() string {
	const width = 30
	t.mu.Lock()
	defer t.mu.Unlock()
	r := &t.done
	full := width * r.accounted() / r.Orders
	line := fmt.Sprintf("[%s%s] %d of %d placed", strings.Repeat("#", full), strings.Repeat(".", width-full), r.Placed, r.Orders)
	if r.Walk != nil {
		line += fmt.Sprintf(", %d shipped", r.Walk.Shipped)
	}
	if r.Retries > 0 {
		line += fmt.Sprintf(", %d retries", r.Retries)
	}
	return line + "\x1b[K"
}
