package kafka

import (
	"context"
	"net"
	"time"

	"github.com/IBM/sarama"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Metrics show how the brokers answer. One serves all clients of a process,
// see Config.
type Metrics struct {
	errors *prometheus.CounterVec
	sends  prometheus.Histogram
	failed prometheus.Counter
}

// NewMetrics registers the metrics.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ecupcakes_broker_errors_total",
			Help: "Failures of the network on the way to a broker, by what was tried: to connect, to write a request or to read its answer. Of sarama only the first.",
		}, []string{"client", "operation"}),
		sends: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:                            "ecupcakes_send_duration_seconds",
			Help:                            "Time until Kafka had acknowledged a message from outside the line, or was given up on.",
			Buckets:                         []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
			NativeHistogramBucketFactor:     1.1,
			NativeHistogramMaxBucketNumber:  100,
			NativeHistogramMinResetDuration: time.Hour,
		}),
		failed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "ecupcakes_send_failures_total",
			Help: "Messages from outside the line that Kafka did not acknowledge in time.",
		}),
	}
	for _, operation := range []string{"connect", "write", "read"} {
		m.errors.WithLabelValues("franz-go", operation)
	}
	m.errors.WithLabelValues("sarama", "connect")
	r.MustRegister(m.errors, m.sends, m.failed)
	return m
}

// sent takes in how a message that was sent at start fared. A nil Metrics
// counts nothing.
func (m *Metrics) sent(start time.Time, err error) {
	if m == nil {
		return
	}
	m.sends.Observe(time.Since(start).Seconds())
	if err != nil {
		m.failed.Inc()
	}
}

var _ interface {
	kgo.HookBrokerConnect
	kgo.HookBrokerE2E
} = (*Metrics)(nil)

// OnBrokerConnect is called by franz-go.
func (m *Metrics) OnBrokerConnect(_ kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	if err != nil {
		m.errors.WithLabelValues("franz-go", "connect").Inc()
	}
}

// OnBrokerE2E is called by franz-go.
func (m *Metrics) OnBrokerE2E(_ kgo.BrokerMetadata, _ int16, e kgo.BrokerE2E) {
	switch {
	case e.WriteErr != nil:
		m.errors.WithLabelValues("franz-go", "write").Inc()
	case e.ReadErr != nil:
		m.errors.WithLabelValues("franz-go", "read").Inc()
	}
}

// sarama counts failures to connect: as a proxy that is none, for sarama has no
// other place.
func (m *Metrics) sarama(c *sarama.Config) {
	c.Net.Proxy.Enable, c.Net.Proxy.Dialer = true, dialer{
		net.Dialer{Timeout: c.Net.DialTimeout, KeepAlive: c.Net.KeepAlive, LocalAddr: c.Net.LocalAddr},
		m.errors.WithLabelValues("sarama", "connect"),
	}
}

type dialer struct {
	net.Dialer
	failures prometheus.Counter
}

func (d dialer) Dial(network, address string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, address)
}

func (d dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := d.Dialer.DialContext(ctx, network, address)
	if err != nil {
		d.failures.Inc()
	}
	return c, err
}
