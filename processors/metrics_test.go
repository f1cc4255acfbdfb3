package processors

import (
	"strings"
	"testing"

	"ecupcakes/order"
	"ecupcakes/topology"

	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
)

// A stage counts each order once, however often its messages come, and the time
// from when it was ready for the stage, not from when the stage heard of it.
func TestMetrics(t *testing.T) {
	line := start(t, topology.Cupcakes)
	for range 2 {
		line.kafka.Consume("orderrequests", "o1", newOrder("o1", order.Placed), sentOn, offset(7))
		line.kafka.Consume("mixing-reports", "o1", newReport("c1", "o1", order.Claim), offset(7))
		line.kafka.Consume("mixing-reports", "o1", newReport("r1", "o1", order.Done), offset(8))
	}
	line.kafka.Consume("mixing-reports", "o2", newReport("r2", "o2", order.Reject), offset(9))
	line.kafka.Consume("orderrequests", "o2", newOrder("o2", order.Placed), offset(9))
	line.kafka.Consume("orderrequests", "o3", newOrder("o3", "baked"), offset(10))
	for o, want := range map[outcome]float64{arrived: 2, done: 1, rejected: 1} {
		if got := testutil.ToFloat64(line.metrics.orders.WithLabelValues("mixing", string(o))); got != want {
			t.Errorf("%g orders are counted as %s at mixing, want %g", got, o, want)
		}
	}
	if got := testutil.ToFloat64(line.metrics.orders.WithLabelValues("baking", string(arrived))); got != 1 {
		t.Errorf("%g orders are counted as arrived at baking, want 1", got)
	}
	if got := testutil.ToFloat64(line.metrics.letters.WithLabelValues("mixing", string(Misplaced))); got != 1 {
		t.Errorf("%g dead letters are counted as misplaced, want 1", got)
	}
	var m dto.Metric
	if err := line.metrics.of("mixing").seconds.(interface{ Write(*dto.Metric) error }).Write(&m); err != nil {
		t.Fatal(err)
	}
	// Both reports are of two minutes after the orders were placed.
	if h := m.GetHistogram(); h.GetSampleCount() != 2 || h.GetSampleSum() != 240 || h.GetSchema() == 0 {
		t.Errorf("the times at mixing are %s, want two of 120 s in a native histogram", strings.TrimSpace(h.String()))
	}
}
