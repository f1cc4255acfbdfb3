package processors

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/ecupcakes/ecupcakes/order"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics count what the stages of one process did.
type Metrics struct {
	events  *prometheus.CounterVec
	orders  *prometheus.CounterVec
	seconds *prometheus.HistogramVec
	letters *prometheus.CounterVec

	mu     sync.Mutex
	shares map[string]*deadLetterRatio // By stage.
}

// NewMetrics registers the metrics.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		shares: map[string]*deadLetterRatio{},
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ecupcakes_stage_events_total",
			Help: "Events that a stage has taken from its topics, by what they meant to it.",
		}, []string{"stage", "input", "verdict"}),
		orders: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ecupcakes_stage_orders_total",
			Help: "Orders that came to a stage, were done there or were rejected there.",
		}, []string{"stage", "outcome"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:                            "ecupcakes_stage_duration_seconds",
			Help:                            "Time from when an order was ready for a stage until the stage had finished with it, done or rejected.",
			Buckets:                         []float64{.1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300, 480, 900, 1800, 3600, 7200, 14400},
			NativeHistogramBucketFactor:     1.1,
			NativeHistogramMaxBucketNumber:  100,
			NativeHistogramMinResetDuration: time.Hour,
		}, []string{"stage"}),
		letters: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ecupcakes_stage_dead_letters_total",
			Help: "Messages that a stage put on the topic of the dead letters, by why.",
		}, []string{"stage", "reason"}),
	}
	r.MustRegister(m.events, m.orders, m.seconds, m.letters)
	return m
}

// outcome is what became of an order at a stage.
type outcome string

const (
	arrived  outcome = "arrived"
	done     outcome = "done"
	rejected outcome = "rejected"
)

// counted are one stage's metrics. They exist from the start, so that what has
// not happened yet is 0 instead of absent.
type counted struct {
	events  map[order.Verdict][2]prometheus.Counter // By order.Input.
	orders  map[outcome]prometheus.Counter
	seconds prometheus.Observer
	letters map[Reason]prometheus.Counter
	share   *deadLetterRatio
}

func (m *Metrics) of(stage string) counted {
	c := counted{
		events: map[order.Verdict][2]prometheus.Counter{}, orders: map[outcome]prometheus.Counter{}, letters: map[Reason]prometheus.Counter{},
		seconds: m.seconds.WithLabelValues(stage), share: m.share(stage),
	}
	for _, v := range []order.Verdict{order.VerdictApplied, order.VerdictRedelivered, order.VerdictForgotten, order.VerdictIgnored, order.VerdictInvalid, deadLettered} {
		c.events[v] = [2]prometheus.Counter{
			order.Arrivals: m.events.WithLabelValues(stage, "arrivals", string(v)),
			order.Reports:  m.events.WithLabelValues(stage, "reports", string(v)),
		}
	}
	for _, o := range []outcome{arrived, done, rejected} {
		c.orders[o] = m.orders.WithLabelValues(stage, string(o))
	}
	for _, r := range []Reason{Empty, Unreadable, WrongKey, WrongPartition, UnreadableRow, Invalid} {
		c.letters[r] = m.letters.WithLabelValues(stage, string(r))
	}
	return c
}

// event counts what an event meant.
func (c counted) event(in order.Input, verdict order.Verdict) {
	c.events[verdict][in].Inc()
	c.share.count(time.Now(), verdict == deadLettered || verdict == order.VerdictInvalid)
}

// step counts what an event that was applied changed: the order's state was
// before, and the row is as it is now.
func (c counted) step(before order.State, row *order.Row) {
	here := func(s order.State) bool {
		return s == order.StateWaiting || s == order.StateCompleted || s == order.StateRejected
	}
	if here(row.State) && !here(before) {
		c.orders[arrived].Inc()
	}
	if row.State == before || !row.Closed() {
		return
	}
	if row.State == order.StateCompleted {
		c.orders[done].Inc()
	} else {
		c.orders[rejected].Inc()
	}
	last := len(row.Order.History) - 1
	c.seconds.Observe(max(0, row.Order.History[last].On.Sub(row.Order.ArrivedOn(last)).Seconds()))
}

// share returns the stage's, which lives longer than its processor.
func (m *Metrics) share(stage string) *deadLetterRatio {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.shares[stage] == nil {
		m.shares[stage] = &deadLetterRatio{}
	}
	return m.shares[stage]
}

// Healthy returns an error while more than the limit, a share of 0 to 1, of a
// stage's events within the last minute became dead letters, 20 at least. Then
// the line goes on, but not with what it should be working on.
func (m *Metrics) Healthy(limit float64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var errs []error
	for _, stage := range slices.Sorted(maps.Keys(m.shares)) {
		if err := m.shares[stage].exceeds(time.Now(), limit); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", stage, err))
		}
	}
	return errors.Join(errs...)
}
