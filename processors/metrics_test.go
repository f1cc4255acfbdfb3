package processors

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"github.com/ecupcakes/ecupcakes/order"
	"github.com/ecupcakes/ecupcakes/topology"

	"github.com/lovoo/goka"
	"github.com/lovoo/goka/tester"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
)

// A stage counts each order once despite redeliveries. It measures the time from when the order
// became ready for the stage, not from when the stage consumed it.
func TestMetricsCountEachOrderOnce(t *testing.T) {
	line := startLine(t, topology.Cupcakes)
	for range 2 {
		line.kafka.Consume("orderrequests", "o1", newOrder("o1", order.StatusPlaced), sentOn, offset(7))
		line.kafka.Consume("mixing-reports", "o1", newReport("c1", "o1", order.KindClaim), offset(7))
		line.kafka.Consume("mixing-reports", "o1", newReport("r1", "o1", order.KindComplete), offset(8))
	}
	line.kafka.Consume("mixing-reports", "o2", newReport("r2", "o2", order.KindReject), offset(9))
	line.kafka.Consume("orderrequests", "o2", newOrder("o2", order.StatusPlaced), offset(9))
	line.kafka.Consume("orderrequests", "o3", newOrder("o3", "baked"), offset(10))
	for o, want := range map[outcome]float64{arrived: 2, done: 1, rejected: 1} {
		if got := testutil.ToFloat64(line.metrics.orders.WithLabelValues("mixing", string(o))); got != want {
			t.Errorf("%g orders are counted as %s at mixing, want %g", got, o, want)
		}
	}
	if got := testutil.ToFloat64(line.metrics.orders.WithLabelValues("baking", string(arrived))); got != 1 {
		t.Errorf("%g orders are counted as arrived at baking, want 1", got)
	}
	if got := testutil.ToFloat64(line.metrics.letters.WithLabelValues("mixing", string(Invalid))); got != 1 {
		t.Errorf("%g dead letters are counted as invalid, want 1", got)
	}
	var m dto.Metric
	if err := line.metrics.of("mixing").seconds.(interface{ Write(*dto.Metric) error }).Write(&m); err != nil {
		t.Fatal(err)
	}
	// Both reports were made two minutes after the orders were placed.
	if h := m.GetHistogram(); h.GetSampleCount() != 2 || h.GetSampleSum() != 240 || h.GetSchema() == 0 {
		t.Errorf("the times at mixing are %s, want two of 120 s in a native histogram", strings.TrimSpace(h.String()))
	}
}

// At level debug the log has every message of an order, at level info only dead letters.
func TestLogHasEveryMessageAtDebugLevel(t *testing.T) {
	for level, want := range map[slog.Level]int{slog.LevelInfo: 1, slog.LevelDebug: 3} {
		var b bytes.Buffer
		kafka := tester.New(t)
		log := slog.New(slog.NewJSONHandler(&b, &slog.HandlerOptions{Level: level}))
		p, err := goka.NewProcessor(nil, Graph(topology.Cupcakes, 0, 1, Instruments{Metrics: NewMetrics(prometheus.NewRegistry()), Log: log}), append(Options(), goka.WithTester(kafka))...)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- p.Run(t.Context()) }()
		kafka.Consume("orderrequests", "o1", newOrder("o1", order.StatusPlaced), sentOn)
		kafka.Consume("orderrequests", "o2", newOrder("o3", order.StatusPlaced), sentOn)
		p.Stop()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSpace(b.String()), "\n")
		if len(lines) != want {
			t.Errorf("at level %s there are %d lines, want %d: %s", level, len(lines), want, &b)
		}
		for _, l := range lines {
			var r struct {
				Stage, Topic, Order, Reason string
				Partition, Offset           *int
			}
			if err := json.Unmarshal([]byte(l), &r); err != nil || r.Stage != "mixing" || r.Topic != "orderrequests" || r.Order == "" || r.Partition == nil || r.Offset == nil {
				t.Errorf("a line without the origin of its message (%v): %s", err, l)
			}
			if level == slog.LevelInfo && r.Reason != string(WrongKey) {
				t.Errorf("at level info there is %s", l)
			}
		}
	}
}
