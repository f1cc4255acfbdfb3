package kafka

import (
	"context"
	"testing"
	"time"

	"github.com/ecupcakes/ecupcakes/internal/testkit"

	"github.com/IBM/sarama"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
)

// Failures of both clients are counted, and both successful and failed sends are timed.
func TestMetricsCountFailuresAndTimeSends(t *testing.T) {
	m := NewMetrics(prometheus.NewRegistry())
	e := startEmbedded(t, t.TempDir())
	c := Config{Brokers: []string{e.Addr()}, Metrics: m}
	if err := newAdmin(t, c).Apply(testkit.Context(t), []Topic{{Name: "t", Partitions: 1, Replication: 1}}); err != nil {
		t.Fatal(err)
	}
	producer := newProducer(t, c)
	if err := producer.Send(testkit.Context(t), "t", "k", []byte("v")); err != nil {
		t.Fatal(err)
	}
	connect := func(client string) float64 { return testutil.ToFloat64(m.errors.WithLabelValues(client, "connect")) }
	config := sarama.NewConfig()
	if err := c.Sarama(config); err != nil {
		t.Fatal(err)
	}
	client, err := sarama.NewClient(c.Brokers, config)
	if err != nil {
		t.Fatal(err)
	}
	closed(t, client)
	if connect("franz-go") != 0 || connect("sarama") != 0 || testutil.ToFloat64(m.failed) != 0 {
		t.Errorf("with a broker, %g, %g and %g failures are counted", connect("franz-go"), connect("sarama"), testutil.ToFloat64(m.failed))
	}
	closed(t, e)

	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if err := producer.Send(ctx, "t", "k", []byte("v")); err == nil {
		t.Fatal("a message was sent without a broker")
	}
	config.Metadata.Retry.Max = 0
	if _, err := sarama.NewClient([]string{unusedAddress(t)}, config); err == nil {
		t.Fatal("sarama has found a broker")
	}
	if connect("franz-go") == 0 || connect("sarama") == 0 || testutil.ToFloat64(m.failed) != 1 {
		t.Errorf("without a broker, %g, %g and %g failures are counted, want some, some and 1", connect("franz-go"), connect("sarama"), testutil.ToFloat64(m.failed))
	}
	var sends dto.Metric
	if err := m.sends.Write(&sends); err != nil || sends.GetHistogram().GetSampleCount() != 2 || sends.GetHistogram().GetSampleSum() < 0.5 {
		t.Errorf("the times of two sends, one of them 500 ms, are %s (%v)", sends.GetHistogram(), err)
	}
}
