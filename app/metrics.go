package app

import (
	"runtime"
	"strconv"
	"time"

	"github.com/ecupcakes/ecupcakes/gokaplus"
	"github.com/ecupcakes/ecupcakes/topology"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// processMetrics are the metrics of the supervised parts. They come from the parts'
// own bookkeeping, so a scrape asks no broker.
type processMetrics struct {
	line       topology.Line
	progress   *gokaplus.Progress
	parts      func() []part
	rebalances *prometheus.CounterVec
	pauses     *prometheus.HistogramVec
}

// part is a supervised part of the process.
type part struct {
	kind   string // "processor" or "view".
	stage  string
	health *gokaplus.Health
}

func (p part) name() string {
	if p.kind == "processor" {
		return p.stage
	}
	return p.kind + " of " + p.stage
}

var (
	lagDesc = prometheus.NewDesc("ecupcakes_partition_lag_events",
		"Consumer lag of a partition that this process consumes, in events: those waiting on the broker and those in flight.",
		[]string{"stage", "topic", "partition"}, nil)
	inFlightDesc = prometheus.NewDesc("ecupcakes_partition_in_flight_events",
		"Events of a partition that have been read and whose offset is not committed yet.",
		[]string{"stage", "topic", "partition"}, nil)
	heldDesc = prometheus.NewDesc("ecupcakes_partition_held_commits",
		"Events of a partition that are finished and whose commit waits for an earlier event.",
		[]string{"stage", "topic", "partition"}, nil)
	stateDesc = prometheus.NewDesc("ecupcakes_part_state",
		"1 for the present state of a processor or a view of this process, else 0.", []string{"part", "stage", "state"}, nil)
	restartsDesc = prometheus.NewDesc("ecupcakes_part_restarts_total",
		"Restarts of a processor or a view of this process after a failure.", []string{"part", "stage"}, nil)
	recoveredDesc = prometheus.NewDesc("ecupcakes_part_recovered_ratio",
		"Fraction of its table that a processor or a view of this process has recovered since it started or was assigned partitions; "+
			"1 while it runs.",
		[]string{"part", "stage"}, nil)
)

// newMetrics registers the metrics of the process, of the Go runtime and of the
// build.
func newMetrics(r prometheus.Registerer, o Options, progress *gokaplus.Progress, parts func() []part) *processMetrics {
	m := &processMetrics{
		line: o.Line, progress: progress, parts: parts,
		rebalances: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ecupcakes_rebalances_total",
			Help: "Rebalances that assigned partitions to the processors of a stage, the first assignment included.",
		}, []string{"stage"}),
		pauses: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "ecupcakes_rebalance_pause_seconds",
			Help: "Time during which this process handled no event of a stage " +
				"because of a rebalance and the recovery of its tables.",
			Buckets:                         []float64{.05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
			NativeHistogramBucketFactor:     1.1,
			NativeHistogramMaxBucketNumber:  100,
			NativeHistogramMinResetDuration: time.Hour,
		}, []string{"stage"}),
	}
	for _, stage := range o.Stages {
		m.rebalances.WithLabelValues(stage)
		m.pauses.WithLabelValues(stage)
	}
	progress.OnRebalance = m.rebalanced
	build := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "ecupcakes_build_info", Help: "Always 1, labelled with the version of the program and of Go.",
		ConstLabels: prometheus.Labels{"version": o.Version, "go": runtime.Version()},
	}, func() float64 { return 1 })
	r.MustRegister(
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		build, m.rebalances, m.pauses, m,
	)
	return m
}

func (m *processMetrics) rebalanced(group string, pause time.Duration) {
	m.rebalances.WithLabelValues(m.stage(group)).Inc()
	if pause > 0 {
		m.pauses.WithLabelValues(m.stage(group)).Observe(pause.Seconds())
	}
}

// stage returns the name of the stage whose consumer group it is.
func (m *processMetrics) stage(group string) string {
	for _, s := range m.line.Stages {
		if s.Group() == group {
			return s.Name
		}
	}
	return ""
}

func (m *processMetrics) Describe(c chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{lagDesc, inFlightDesc, heldDesc, stateDesc, restartsDesc, recoveredDesc} {
		c <- d
	}
}

func (m *processMetrics) Collect(c chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		c <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	for _, p := range m.progress.Partitions() {
		stage, partition := m.stage(p.Group), strconv.Itoa(int(p.Partition))
		gauge(lagDesc, float64(p.Lag()), stage, p.Topic, partition)
		gauge(inFlightDesc, float64(p.InFlight), stage, p.Topic, partition)
		gauge(heldDesc, float64(p.Held), stage, p.Topic, partition)
	}
	for _, p := range m.parts() {
		is := p.health.Status()
		for s := gokaplus.Starting; s <= gokaplus.Stopped; s++ {
			value := 0.
			if s == is.State {
				value = 1
			}
			gauge(stateDesc, value, p.kind, p.stage, s.String())
		}
		c <- prometheus.MustNewConstMetric(restartsDesc, prometheus.CounterValue, float64(is.Restarts), p.kind, p.stage)
		gauge(recoveredDesc, float64(is.RecoveredPercent)/100, p.kind, p.stage)
	}
}
