package forecast

import (
	"context"
	"errors"
	"time"

	"github.com/ecupcakes/ecupcakes/order"
	"github.com/ecupcakes/ecupcakes/views"

	"github.com/prometheus/client_golang/prometheus"
)

// Accuracy measures the accuracy of forecasts. For a sample of the orders it compares the shipping
// time with the forecast that was made when the order arrived on the line.
type Accuracy struct {
	views  Orders
	errors prometheus.Histogram
	total  prometheus.Counter
	within *prometheus.CounterVec
	first  map[string]Forecast // First forecasts of orders that are on the line, by order ID.
	made   time.Time           // Time of the last forecast.
}

// Orders is the part of views.Views that Accuracy needs.
type Orders interface {
	Views
	Ready() error
	Order(id string) (views.Order, bool)
	Position() uint64
	Changes(ctx context.Context, after uint64) ([]views.Change, error)
}

const (
	maxFirst       = 4096                   // Forecasts that are kept.
	sampleInterval = 100 * time.Millisecond // Least time between two forecasts of the sample.
	maxOrderAge    = time.Second            // Age up to which an order is new enough for the sample.
	maxOverdue     = 24 * time.Hour         // Time after P90 from which a forecast may be discarded.
)

// NewAccuracy returns an Accuracy that reads orders from v and registers its metrics with registry.
func NewAccuracy(v Orders, registry prometheus.Registerer) *Accuracy {
	a := &Accuracy{
		views: v, first: map[string]Forecast{},
		errors: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "ecupcakes_estimate_error_seconds",
			Help:    "Absolute difference between the time an order was shipped and its first p50 estimate.",
			Buckets: []float64{1, 5, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200},
		}),
		total: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "ecupcakes_estimate_total", Help: "Shipped orders whose first estimate was checked.",
		}),
		within: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ecupcakes_estimate_within_total",
			Help: "Checked orders that were shipped by their first estimate. " +
				"Divided by ecupcakes_estimate_total it should be 0.5 for p50 and 0.9 for p90.",
		}, []string{"estimate"}),
	}
	a.within.WithLabelValues("p50")
	a.within.WithLabelValues("p90")
	registry.MustRegister(a.errors, a.total, a.within)
	return a
}

// Run follows the changes of the line until ctx ends.
func (a *Accuracy) Run(ctx context.Context) {
	for a.views.Ready() != nil {
		select {
		case <-time.After(sampleInterval):
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
				a.check(id)
			}
			continue
		case err != nil:
			return
		}
		for _, c := range changes {
			a.observe(c, time.Now())
		}
		position = changes[len(changes)-1].Position
	}
}

// observe makes a forecast for a new order, and checks that of an order that has left the line.
func (a *Accuracy) observe(c views.Change, now time.Time) {
	_, known := a.first[c.ID]
	switch {
	case known && c.Arrived < 0:
		a.check(c.ID)
	case !known && c.Arrived == 0 && now.Sub(a.made) >= sampleInterval && now.Sub(c.Order().Arrived) < maxOrderAge:
		a.made = now
		if len(a.first) >= maxFirst {
			a.discardOverdue(now)
		}
		if f, ok := For(a.views, c.ID, now); ok && f.Basis >= Enough && len(a.first) < maxFirst {
			a.first[c.ID] = f
		}
	}
}

// check compares the forecast of an order with its shipping time, if the order has left the line.
func (a *Accuracy) check(id string) {
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

// discardOverdue discards the forecasts of orders that are overdue by more than maxOverdue.
func (a *Accuracy) discardOverdue(now time.Time) {
	for id, f := range a.first {
		if now.Sub(f.P90) > maxOverdue {
			delete(a.first, id)
		}
	}
}
