package freshness

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

var (
	lagDesc = prometheus.NewDesc("ecupcakes_stage_lag_events",
		"Consumer lag of a stage: events of an input topic that its processors have not committed.",
		[]string{"stage", "input"}, nil)
	membersDesc = prometheus.NewDesc("ecupcakes_stage_members",
		"Members of a stage's consumer group: its processors on all instances.", []string{"stage"}, nil)
	behindDesc = prometheus.NewDesc("ecupcakes_stage_behind_seconds",
		"Lag of the screens of a stage behind what was sent; up to 5 s they count as live.", []string{"stage"}, nil)
	causeDesc = prometheus.NewDesc("ecupcakes_stage_held_up",
		"1 for the cause of a lag of more than 5 s: broker, processors or view.", []string{"stage", "cause"}, nil)
	upDesc = prometheus.NewDesc("ecupcakes_broker_up",
		"1 if Kafka answered the last queries, which are made once a second, else 0.", nil, nil)
)

// Metrics is a Prometheus collector of the last measurement.
type Metrics struct{ *Monitor }

// Describe implements prometheus.Collector.
func (Metrics) Describe(c chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{lagDesc, membersDesc, behindDesc, causeDesc, upDesc} {
		c <- d
	}
}

// Collect implements prometheus.Collector. The consumer lag keeps its last value while Kafka does
// not answer.
func (m Metrics) Collect(c chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		c <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	is := func(b bool) float64 {
		if b {
			return 1
		}
		return 0
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	gauge(upDesc, is(m.answered))
	for i, s := range m.Line.Stages {
		p, group := &m.probes[i], m.lags[i]
		gauge(lagDesc, float64(group.arrivals), s.Name, "arrivals")
		gauge(lagDesc, float64(group.reports), s.Name, "reports")
		gauge(membersDesc, float64(group.members), s.Name)
		behind := max(0, now.Sub(p.fresh))
		gauge(behindDesc, behind.Seconds(), s.Name)
		for _, cause := range []Cause{Broker, Processors, View} {
			gauge(causeDesc, is(behind > Tolerance && p.cause == cause), s.Name, string(cause))
		}
	}
}

// consumerLag is the lag of a stage's consumer group at the last measurement.
type consumerLag struct {
	arrivals, reports int64 // Events of each input that are not committed.
	members           int   // Members of the group.
}
