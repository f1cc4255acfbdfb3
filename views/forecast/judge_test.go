package forecast

import (
	"context"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/ecupcakes/ecupcakes/order"
	"github.com/ecupcakes/ecupcakes/views"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// fakeOrders is a line of one steady stage. The test sets its orders and changes.
type fakeOrders struct {
	queues
	orders  map[string]views.Order
	changes chan []views.Change // Results of Changes; nil stands for ErrGap.
}

func (w *fakeOrders) Ready() error     { return nil }
func (w *fakeOrders) Position() uint64 { return 0 }

func (w *fakeOrders) Ahead(id string) (int, []views.Ahead, bool) {
	if o, ok := w.orders[id]; !ok || o.State != order.StateWaiting {
		return 0, nil, false
	}
	return w.queues.Ahead(id)
}

func (w *fakeOrders) Order(id string) (views.Order, bool) {
	o, ok := w.orders[id]
	return o, ok
}

func (w *fakeOrders) Changes(ctx context.Context, _ uint64) ([]views.Change, error) {
	select {
	case c := <-w.changes:
		if c == nil {
			return nil, views.ErrGap
		}
		return c, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func shipped(on time.Time) views.Order {
	return views.Order{State: order.StateCompleted, Order: order.Order{History: []order.Step{{Stage: "mixing", On: on}}}}
}

func counted(t *testing.T, c prometheus.Metric) float64 {
	t.Helper()
	var m dto.Metric
	if err := c.Write(&m); err != nil {
		t.Fatal(err)
	}
	return m.GetCounter().GetValue()
}

func TestAccuracyComparesForecastsWithShipping(t *testing.T) {
	now := time.Now()
	w := &fakeOrders{queues: queues{{Recent: steady(50, time.Minute)}}, orders: map[string]views.Order{}}
	a := NewAccuracy(w, prometheus.NewRegistry())
	p50 := Forecast{P50: now.Add(time.Minute), P90: now.Add(2 * time.Minute)}
	for id, o := range map[string]views.Order{
		"before both": shipped(p50.P50.Add(-time.Second)), "at P50": shipped(p50.P50), "before P90": shipped(p50.P50.Add(time.Second)), "at P90": shipped(p50.P90),
		"after both": shipped(p50.P90.Add(time.Second)), "rejected": {State: order.StateRejected}, "waits": {State: order.StateWaiting},
	} {
		a.first[id], w.orders[id] = p50, o
	}
	a.first["forgotten"] = p50
	for id := range a.first {
		a.observe(views.Change{ID: id, Left: 0, Arrived: -1}, now)
	}
	if len(a.first) != 1 || a.first["waits"] != p50 {
		t.Errorf("of the forecasts these are kept: %v", a.first)
	}
	for what, c := range map[string]struct {
		c    prometheus.Metric
		want float64
	}{"orders": {a.total, 5}, "before P50": {a.within.WithLabelValues("p50"), 2}, "before P90": {a.within.WithLabelValues("p90"), 4}} {
		if got := counted(t, c.c); got != c.want {
			t.Errorf("%s are %g, want %g", what, got, c.want)
		}
	}
	var m dto.Metric
	if err := a.errors.Write(&m); err != nil || m.Histogram.GetSampleCount() != 5 || math.Abs(m.Histogram.GetSampleSum()-123) > 0.001 {
		t.Errorf("the errors are %v, %v, want five that add up to 1, 0, 1, 60 and 61 s", m.Histogram, err)
	}
}

func TestAccuracyBoundsItsForecasts(t *testing.T) {
	now := time.Now()
	a := NewAccuracy(&fakeOrders{queues: queues{{Recent: steady(50, time.Minute)}}}, prometheus.NewRegistry())
	for n := range maxFirst {
		a.first[fmt.Sprint(n)] = Forecast{P90: now.Add(time.Duration(-n) * maxOverdue / maxFirst * 2)}
	}
	a.discardOverdue(now)
	if n := len(a.first); n < maxFirst/2-1 || n > maxFirst/2+1 {
		t.Errorf("after a day %d forecasts are kept, want half of %d", n, maxFirst)
	}
}

// A gap in the changes loses no order that was shipped during it.
func TestAccuracyChecksAllForecastsAfterAGap(t *testing.T) {
	w := &fakeOrders{orders: map[string]views.Order{"o1": shipped(time.Now())}, changes: make(chan []views.Change)}
	registry := prometheus.NewRegistry()
	a := NewAccuracy(w, registry)
	a.first["o1"] = Forecast{}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { a.Run(ctx); close(done) }()
	w.changes <- nil
	w.changes <- []views.Change{{ID: "other", Left: 0, Arrived: -1}} // Once this is accepted, the gap has been handled.
	cancel()
	<-done
	if got := counted(t, a.total); got != 1 || len(a.first) != 0 {
		t.Errorf("%g orders were checked, %d forecasts are left", got, len(a.first))
	}
}
