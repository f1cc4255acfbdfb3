package hub

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

var (
	screensDesc = prometheus.NewDesc("ecupcakes_hub_screens",
		"Screens connected to the station of a topic.", []string{"topic"}, nil)
	groupsDesc = prometheus.NewDesc("ecupcakes_hub_groups",
		"Consumer groups with screens at this instance, by the topic of their station.", []string{"topic"}, nil)
	joinsDesc = prometheus.NewDesc("ecupcakes_hub_syncs_total",
		"Screens synchronized: with the changes that they missed (resumed), with a snapshot of their station (snapshot), "+
			"or as screens of a consumer group (group).", []string{"how"}, nil)
	eventsDesc = prometheus.NewDesc("ecupcakes_hub_events_total",
		"Arrivals, updates and departures of orders written to screens, including snapshots.", nil, nil)
	droppedDesc = prometheus.NewDesc("ecupcakes_hub_dropped_screens_total",
		"Screens disconnected because they fell behind or their socket was stuck.", nil, nil)
	gapsDesc = prometheus.NewDesc("ecupcakes_hub_gaps_total",
		"Times that the hub fell behind its source and made all screens reconnect.", nil, nil)
)

func newDelay() prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "ecupcakes_hub_send_delay_seconds",
		Help: "Time from the hub's recording of a change until a screen's socket has taken it, " +
			"for the oldest change of each message.",
		Buckets:                         []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		NativeHistogramBucketFactor:     1.1,
		NativeHistogramMaxBucketNumber:  100,
		NativeHistogramMinResetDuration: time.Hour,
	})
}

// Metrics is a prometheus.Collector of the hub's figures.
type Metrics struct{ *Hub }

// Describe implements prometheus.Collector.
func (m Metrics) Describe(c chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{screensDesc, groupsDesc, joinsDesc, eventsDesc, droppedDesc, gapsDesc} {
		c <- d
	}
	m.delay.Describe(c)
}

// Collect implements prometheus.Collector.
func (m Metrics) Collect(c chan<- prometheus.Metric) {
	s := m.Stats()
	of := func(d *prometheus.Desc, kind prometheus.ValueType, value uint64, labels ...string) {
		c <- prometheus.MustNewConstMetric(d, kind, float64(value), labels...)
	}
	for topic, n := range s.Clients {
		of(screensDesc, prometheus.GaugeValue, uint64(n), topic)
		of(groupsDesc, prometheus.GaugeValue, uint64(s.Groups[topic]), topic)
	}
	of(joinsDesc, prometheus.CounterValue, s.Resumed, "resumed")
	of(joinsDesc, prometheus.CounterValue, s.Snapshots, "snapshot")
	of(joinsDesc, prometheus.CounterValue, s.Joined, "group")
	of(eventsDesc, prometheus.CounterValue, s.Events)
	of(droppedDesc, prometheus.CounterValue, s.SlowClients)
	of(gapsDesc, prometheus.CounterValue, s.Gaps)
	m.delay.Collect(c)
}
