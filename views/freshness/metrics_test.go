package freshness

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// The consumer lag is the end offset less the committed offset, without deleted records. It keeps
// its value while Kafka does not answer.
func TestMetricsReportConsumerLag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKafka()
		k.begins["mixed"], k.ends["mixed"] = 5, 8
		k.ends["requests"], k.committed["mixing"]["requests"] = 9, 2
		k.members["baking"] = 0
		g := New(Options{Line: line, Ranges: k.Ranges, Ends: k.Ends, Groups: k.Groups, Views: k, Log: slog.New(slog.DiscardHandler)})
		if err := g.measure(t.Context()); err != nil {
			t.Fatal(err)
		}
		want := `
# HELP ecupcakes_broker_up 1 if Kafka answered the last queries, which are made once a second, else 0.
# TYPE ecupcakes_broker_up gauge
ecupcakes_broker_up UP
# HELP ecupcakes_stage_lag_events Consumer lag of a stage: events of an input topic that its processors have not committed.
# TYPE ecupcakes_stage_lag_events gauge
ecupcakes_stage_lag_events{input="arrivals",stage="baking"} 3
ecupcakes_stage_lag_events{input="arrivals",stage="mixing"} 7
ecupcakes_stage_lag_events{input="reports",stage="baking"} 0
ecupcakes_stage_lag_events{input="reports",stage="mixing"} 0
# HELP ecupcakes_stage_members Members of a stage's consumer group: its processors on all instances.
# TYPE ecupcakes_stage_members gauge
ecupcakes_stage_members{stage="baking"} 0
ecupcakes_stage_members{stage="mixing"} 1
`
		names := []string{"ecupcakes_broker_up", "ecupcakes_stage_lag_events", "ecupcakes_stage_members"}
		if err := testutil.CollectAndCompare(Metrics{g}, strings.NewReader(strings.Replace(want, "UP", "1", 1)), names...); err != nil {
			t.Error(err)
		}
		time.Sleep(2 * Tolerance)
		k.change(func(k *fakeKafka) { k.away = errors.New("connection refused") })
		if err := g.measure(t.Context()); err == nil {
			t.Fatal("the measurement succeeded without a broker")
		}
		if err := testutil.CollectAndCompare(Metrics{g}, strings.NewReader(strings.Replace(want, "UP", "0", 1)), names...); err != nil {
			t.Error(err)
		}
		want = `
# HELP ecupcakes_stage_behind_seconds Lag of the screens of a stage behind what was sent; up to 5 s they count as live.
# TYPE ecupcakes_stage_behind_seconds gauge
ecupcakes_stage_behind_seconds{stage="baking"} 10
ecupcakes_stage_behind_seconds{stage="mixing"} 10
# HELP ecupcakes_stage_held_up 1 for the cause of a lag of more than 5 s: broker, processors or view.
# TYPE ecupcakes_stage_held_up gauge
ecupcakes_stage_held_up{cause="broker",stage="baking"} 1
ecupcakes_stage_held_up{cause="broker",stage="mixing"} 1
ecupcakes_stage_held_up{cause="processors",stage="baking"} 0
ecupcakes_stage_held_up{cause="processors",stage="mixing"} 0
ecupcakes_stage_held_up{cause="view",stage="baking"} 0
ecupcakes_stage_held_up{cause="view",stage="mixing"} 0
`
		if err := testutil.CollectAndCompare(Metrics{g}, strings.NewReader(want), "ecupcakes_stage_behind_seconds", "ecupcakes_stage_held_up"); err != nil {
			t.Error(err)
		}
	})
}
