package app

import (
	"strconv"

	"ecupcakes/gokaplus"

	"github.com/prometheus/client_golang/prometheus"
)

// working shows how far the processors of this process are, from their own
// bookkeeping and without asking the brokers.
type working struct{ *gokaplus.Progress }

var (
	lagDesc = prometheus.NewDesc("ecupcakes_consumer_lag",
		"Events of a partition that are not finished: those waiting on the broker and those in flight.",
		[]string{"group", "topic", "partition"}, nil)
	inFlightDesc = prometheus.NewDesc("ecupcakes_consumer_in_flight",
		"Events of a partition that are being worked on, or that are finished but cannot be committed before an earlier one is.",
		[]string{"group", "topic", "partition"}, nil)
)

func (working) Describe(c chan<- *prometheus.Desc) {
	c <- lagDesc
	c <- inFlightDesc
}

func (w working) Collect(c chan<- prometheus.Metric) {
	for _, p := range w.Partitions() {
		labels := []string{p.Group, p.Topic, strconv.Itoa(int(p.Partition))}
		c <- prometheus.MustNewConstMetric(lagDesc, prometheus.GaugeValue, float64(p.Lag()), labels...)
		c <- prometheus.MustNewConstMetric(inFlightDesc, prometheus.GaugeValue, float64(p.InFlight), labels...)
	}
}
