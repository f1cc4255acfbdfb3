package kafka

import (
	"context"
	"net"
	"time"

	"github.com/IBM/sarama"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Metrics counts network failures on connections to brokers and times sends. All clients of a
// process share one, see Config.Metrics.
type Metrics struct {
	errors *prometheus.CounterVec
	sends  prometheus.Histogram
	failed prometheus.Counter
}

// NewMetrics returns a Metrics whose collectors are registered with r.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ecupcakes_broker_errors_total",
			Help: "Network failures on connections to brokers, by operation: connect, write (a request) or read (its response). " +
				"The client sarama reports only connect.",
		}, []string{"client", "operation"}),
		sends: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:                            "ecupcakes_send_duration_seconds",
			Help:                            "Time from sending a message that enters the line until Kafka acknowledged it or the send failed.",
			Buckets:                         []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
			NativeHistogramBucketFactor:     1.1,
			NativeHistogramMaxBucketNumber:  100,
			NativeHistogramMinResetDuration: time.Hour,
		}),
		failed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "ecupcakes_send_failures_total",
			Help: "Messages that enter the line and that Kafka did not acknowledge in time.",
		}),
	}
	for _, operation := range []string{"connect", "write", "read"} {
		m.errors.WithLabelValues("franz-go", operation)
	}
	m.errors.WithLabelValues("sarama", "connect")
	r.MustRegister(m.errors, m.sends, m.failed)
	return m
}

// sent records the outcome of a message that was sent at start. It does nothing on a nil Metrics.
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

// OnBrokerConnect implements kgo.HookBrokerConnect: it counts failed connection attempts.
func (m *Metrics) OnBrokerConnect(_ kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	if err != nil {
		m.errors.WithLabelValues("franz-go", "connect").Inc()
	}
}

// OnBrokerE2E implements kgo.HookBrokerE2E: it counts failed writes and reads.
func (m *Metrics) OnBrokerE2E(_ kgo.BrokerMetadata, _ int16, e kgo.BrokerE2E) {
	switch {
	case e.WriteErr != nil:
		m.errors.WithLabelValues("franz-go", "write").Inc()
	case e.ReadErr != nil:
		m.errors.WithLabelValues("franz-go", "read").Inc()
	}
}

// sarama makes a sarama configuration count failed connection attempts. The counting dialer is
// installed as a proxy dialer, because sarama has no other hook for dialing; it dials directly.
func (m *Metrics) sarama(c *sarama.Config) {
	c.Net.Proxy.Enable, c.Net.Proxy.Dialer = true, dialer{
		Dialer:   net.Dialer{Timeout: c.Net.DialTimeout, KeepAlive: c.Net.KeepAlive, LocalAddr: c.Net.LocalAddr},
		failures: m.errors.WithLabelValues("sarama", "connect"),
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
