package freshness

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

var (
	lagDesc = prometheus.NewDesc("ecupcakes_stage_lag_events",
		"Events on a stage's topic that its processors have not committed: the end of the topic less what is committed, as Kafka says.",
		[]string{"stage", "input"}, nil)
	membersDesc = prometheus.NewDesc("ecupcakes_stage_members",
		"Processors of a stage, wherever they run, as Kafka says.", []string{"stage"}, nil)
	behindDesc = prometheus.NewDesc("ecupcakes_stage_behind_seconds",
		"How far what the screens of a stage show is behind what was sent; below 5 s they are live.", []string{"stage"}, nil)
	causeDesc = prometheus.NewDesc("ecupcakes_stage_held_up",
		"1 for what holds up a stage that is behind by 5 s or more: broker, processors or view.", []string{"stage", "cause"}, nil)
	upDesc = prometheus.NewDesc("ecupcakes_broker_up",
		"Whether Kafka answered when it was asked last, a second ago.", nil, nil)
)

// Metrics show what the gauge found last.
type Metrics struct{ *Monitor }

// Describe tells what there is.
func (Metrics) Describe(c chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{lagDesc, membersDesc, behindDesc, causeDesc, upDesc} {
		c <- d
	}
}

// Collect reads it. The lag keeps its last value while Kafka does not answer.
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
		p, of := &m.probes[i], m.found[i]
		gauge(lagDesc, float64(of.arrivals), s.Name, "arrivals")
		gauge(lagDesc, float64(of.reports), s.Name, "reports")
		gauge(membersDesc, float64(of.members), s.Name)
		behind := max(0, now.Sub(p.fresh))
		gauge(behindDesc, behind.Seconds(), s.Name)
		for _, cause := range []Cause{Broker, Processors, View} {
			gauge(causeDesc, is(behind > Tolerance && p.cause == cause), s.Name, string(cause))
		}
	}
}

// found is what Kafka said about a stage last.
type found struct {
	arrivals, reports int64 // Not committed yet.
	members           int
}
