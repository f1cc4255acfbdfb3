package views

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

var (
	waitingDesc = prometheus.NewDesc("ecupcakes_stage_waiting_orders",
		"Orders that wait at a stage.", []string{"stage"}, nil)
	oldestDesc = prometheus.NewDesc("ecupcakes_stage_oldest_age_seconds",
		"Age of the order that has waited longest at a stage; 0 if none waits.", []string{"stage"}, nil)
	lateDesc = prometheus.NewDesc("ecupcakes_stage_late_after_seconds",
		"Age from which an order that waits at a stage counts as late (--age).", []string{"stage"}, nil)
	readDesc = prometheus.NewDesc("ecupcakes_view_read_ratio",
		"Fraction of a stage's table, as of the start, that this process has read; 1 once it can answer queries.", []string{"stage"}, nil)
	ordersDesc = prometheus.NewDesc("ecupcakes_view_orders",
		"Orders in the tables, by status.", []string{"status"}, nil)
)

// Metrics is a Prometheus collector of the views' state.
type Metrics struct{ *Views }

// Describe implements prometheus.Collector.
func (Metrics) Describe(c chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{waitingDesc, oldestDesc, lateDesc, readDesc, ordersDesc} {
		c <- d
	}
}

// Collect implements prometheus.Collector.
func (m Metrics) Collect(c chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, label string) {
		c <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, label)
	}
	read := m.readRatios()
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
		gauge(ordersDesc, float64(counts[status]), string(status))
	}
}

// readRatios returns the fraction of each stage's table that has been read. It is 1 only once the
// table has caught up.
func (v *Views) readRatios() []float64 {
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
