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

// Metrics counts the events, orders and dead letters of the stages of one process.
type Metrics struct {
	events  *prometheus.CounterVec
	orders  *prometheus.CounterVec
	seconds *prometheus.HistogramVec
	letters *prometheus.CounterVec

	mu     sync.Mutex
	ratios map[string]*deadLetterRatio // Ratios by the name of the stage.
}

// NewMetrics registers the metrics with r. It panics if they are registered already.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		ratios: map[string]*deadLetterRatio{},
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ecupcakes_stage_events_total",
			Help: "Events that a stage has processed, by input and by verdict.",
		}, []string{"stage", "input", "verdict"}),
		orders: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ecupcakes_stage_orders_total",
			Help: "Orders that arrived at a stage, were completed there or were rejected there.",
		}, []string{"stage", "outcome"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:                            "ecupcakes_stage_duration_seconds",
			Help:                            "Time from when an order became ready for a stage until the stage completed or rejected it.",
			Buckets:                         []float64{.1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300, 480, 900, 1800, 3600, 7200, 14400},
			NativeHistogramBucketFactor:     1.1,
			NativeHistogramMaxBucketNumber:  100,
			NativeHistogramMinResetDuration: time.Hour,
		}, []string{"stage"}),
		letters: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ecupcakes_stage_dead_letters_total",
			Help: "Messages that a stage sent to the dead letters, by reason.",
		}, []string{"stage", "reason"}),
	}
	r.MustRegister(m.events, m.orders, m.seconds, m.letters)
	return m
}

// outcome is the label for the progress of an order at a stage.
type outcome string

const (
	arrived  outcome = "arrived"
	done     outcome = "done"
	rejected outcome = "rejected"
)

// stageCounters are the metrics of one stage. All of them exist from the start, so that a counter
// is 0 and not absent before its first event.
type stageCounters struct {
	events  map[order.Verdict][2]prometheus.Counter // Counters by verdict and order.Input.
	orders  map[outcome]prometheus.Counter
	seconds prometheus.Observer
	letters map[Reason]prometheus.Counter
	ratio   *deadLetterRatio
}

// of returns the metrics of a stage.
func (m *Metrics) of(stage string) stageCounters {
	c := stageCounters{
		events: map[order.Verdict][2]prometheus.Counter{}, orders: map[outcome]prometheus.Counter{}, letters: map[Reason]prometheus.Counter{},
		seconds: m.seconds.WithLabelValues(stage), ratio: m.ratio(stage),
	}
	for _, v := range []order.Verdict{
		order.VerdictApplied, order.VerdictRedelivered, order.VerdictForgotten,
		order.VerdictIgnored, order.VerdictInvalid, deadLettered,
	} {
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

// event counts an event by its verdict.
func (c stageCounters) event(in order.Input, verdict order.Verdict) {
	c.events[verdict][in].Inc()
	c.ratio.count(time.Now(), verdict == deadLettered || verdict == order.VerdictInvalid)
}

// step counts the change that an applied event made to an order. before is the state before the
// event, and row the row after it.
func (c stageCounters) step(before order.State, row *order.Row) {
	hasArrived := func(s order.State) bool {
		return s == order.StateWaiting || s == order.StateCompleted || s == order.StateRejected
	}
	if hasArrived(row.State) && !hasArrived(before) {
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

// ratio returns the dead-letter ratio of a stage, which outlives a restart of the processor.
func (m *Metrics) ratio(stage string) *deadLetterRatio {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ratios[stage] == nil {
		m.ratios[stage] = &deadLetterRatio{}
	}
	return m.ratios[stage]
}

// Healthy returns an error for each stage whose dead-letter ratio of the last minute is above
// limit, a fraction from 0 to 1. Fewer than 20 dead letters are never an error. Such a stage makes
// progress, but most likely discards orders that it should process.
func (m *Metrics) Healthy(limit float64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var errs []error
	for _, stage := range slices.Sorted(maps.Keys(m.ratios)) {
		if err := m.ratios[stage].exceeds(time.Now(), limit); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", stage, err))
		}
	}
	return errors.Join(errs...)
}
