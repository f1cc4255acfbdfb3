package views

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

var (
	waitingDesc = prometheus.NewDesc("ecupcakes_stage_waiting_orders",
		"Orders that wait at a stage.", []string{"stage"}, nil)
	oldestDesc = prometheus.NewDesc("ecupcakes_stage_oldest_age_seconds",
		"How long the order that waits longest at a stage has waited there; 0 when none waits.", []string{"stage"}, nil)
	lateDesc = prometheus.NewDesc("ecupcakes_stage_late_after_seconds",
		"From when on an order that waits at a stage is late, as it is set.", []string{"stage"}, nil)
	readDesc = prometheus.NewDesc("ecupcakes_view_read_ratio",
		"How much of a stage's table, as it was at the start, this process has read: 1 once it can answer.", []string{"stage"}, nil)
	keptDesc = prometheus.NewDesc("ecupcakes_view_orders",
		"Orders that this process knows, by their status.", []string{"status"}, nil)
)

// Metrics show what the views see, whenever they are asked.
type Metrics struct{ *Views }

// Describe tells what there is.
func (Metrics) Describe(c chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{waitingDesc, oldestDesc, lateDesc, readDesc, keptDesc} {
		c <- d
	}
}

// Collect reads it.
func (m Metrics) Collect(c chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, label string) {
		c <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, label)
	}
	read := m.shares()
	stations, counts := m.Stations()
	for i, s := range m.line.Stages {
		var oldest time.Duration
		if !stations[i].Oldest.IsZero() {
			oldest = max(0, time.Since(stations[i].Oldest))
		}
		gauge(waitingDesc, float64(stations[i].Waiting), s.Name)
		gauge(oldestDesc, oldest.Seconds(), s.Name)
		gauge(lateDesc, s.Age.Late.Seconds(), s.Name)
		gauge(readDesc, read[i], s.Name)
	}
	for _, status := range m.line.Statuses() {
		gauge(keptDesc, float64(counts[status]), string(status))
	}
}

// shares is how much of each stage's table is read, from 0 to 1.
func (v *Views) shares() []float64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	done, all := make([]int64, len(v.line.Stages)), make([]int64, len(v.line.Stages))
	for of, p := range v.progress {
		done[of.stage] += min(p.next, p.end)
		all[of.stage] += p.end
	}
	read := make([]float64, len(done))
	for i := range read {
		switch {
		case v.caughtUp[i]:
			read[i] = 1
		case all[i] > 0:
			read[i] = min(float64(done[i])/float64(all[i]), .99)
		}
	}
	return read
}
