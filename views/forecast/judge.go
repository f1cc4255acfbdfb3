package forecast

import (
	"context"
	"errors"
	"time"

	"github.com/ecupcakes/ecupcakes/order"
	"github.com/ecupcakes/ecupcakes/views"

	"github.com/prometheus/client_golang/prometheus"
)

// Accuracy counts how well forecasts came true. It looks at a sample of the
// orders, each with the first forecast that was possible for it, when it came
// to the line.
type Accuracy struct {
	views  Orders
	errors prometheus.Histogram
	total  prometheus.Counter
	within *prometheus.CounterVec
	first  map[string]Forecast // Of orders that are on the line.
	made   time.Time           // When the last forecast was made.
}

// Orders is what Accuracy asks the views.
type Orders interface {
	Views
	Ready() error
	Order(id string) (views.Order, bool)
	Position() uint64
	Changes(ctx context.Context, after uint64) ([]views.Change, error)
}

const (
	maxFirst = 4096                   // forecasts that are remembered
	pause    = 100 * time.Millisecond // between two of them
	fresh    = time.Second            // An order that came longer ago is not new.
	given    = 24 * time.Hour         // After which an order is no longer waited for.
)

// NewAccuracy registers the figures.
func NewAccuracy(v Orders, registry prometheus.Registerer) *Accuracy {
	a := &Accuracy{
		views: v, first: map[string]Forecast{},
		errors: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "ecupcakes_estimate_error_seconds",
			Help:    "How far from its first median estimate an order was shipped, to either side.",
			Buckets: []float64{1, 5, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200},
		}),
		total: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "ecupcakes_estimate_total", Help: "Shipped orders whose first estimate was looked at.",
		}),
		within: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ecupcakes_estimate_within_total",
			Help: "Those of them that were shipped before their first estimate: by the total that should be 0.5 with p50 and 0.9 with p90.",
		}, []string{"estimate"}),
	}
	a.within.WithLabelValues("p50")
	a.within.WithLabelValues("p90")
	registry.MustRegister(a.errors, a.total, a.within)
	return a
}

// Run follows the line until ctx ends.
func (a *Accuracy) Run(ctx context.Context) {
	for a.views.Ready() != nil {
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
	position := a.views.Position()
	for {
		changes, err := a.views.Changes(ctx, position)
		switch {
		case errors.Is(err, views.ErrGap):
			position = a.views.Position()
			for id := range a.first {
				a.look(id)
			}
			continue
		case err != nil:
			return
		}
		for _, c := range changes {
			a.take(c, time.Now())
		}
		position = changes[len(changes)-1].Position
	}
}

// take makes a forecast for an order that is new, and compares the one of an
// order that has left the line.
func (a *Accuracy) take(c views.Change, now time.Time) {
	_, known := a.first[c.ID]
	switch {
	case known && c.Arrived < 0:
		a.look(c.ID)
	case !known && c.Arrived == 0 && now.Sub(a.made) >= pause && now.Sub(c.Order().Arrived) < fresh:
		a.made = now
		if len(a.first) >= maxFirst {
			a.forget(now)
		}
		if f, ok := For(a.views, c.ID, now); ok && f.Basis >= Enough && len(a.first) < maxFirst {
			a.first[c.ID] = f
		}
	}
}

// look compares an order's forecast with what came, if it has left the line.
func (a *Accuracy) look(id string) {
	o, ok := a.views.Order(id)
	if ok && o.State == order.StateWaiting {
		return
	}
	if _, _, onLine := a.views.Ahead(id); onLine {
		return
	}
	f := a.first[id]
	delete(a.first, id)
	if !ok || o.State != order.StateCompleted {
		return
	}
	shipped := o.History[len(o.History)-1].On
	a.total.Inc()
	a.errors.Observe(shipped.Sub(f.P50).Abs().Seconds())
	if !shipped.After(f.P50) {
		a.within.WithLabelValues("p50").Inc()
	}
	if !shipped.After(f.P90) {
		a.within.WithLabelValues("p90").Inc()
	}
}

// forget makes room: what should have been shipped a day ago has been left lying.
func (a *Accuracy) forget(now time.Time) {
	for id, f := range a.first {
		if now.Sub(f.P90) > given {
			delete(a.first, id)
		}
	}
}
