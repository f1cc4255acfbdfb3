package test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// stages are the commands of the line, with the field that names who did it.
var stages = [][2]string{{"mix", "MixedBy"}, {"bake", "BakedBy"}, {"decorate", "DecoratedBy"}, {"box", "PackagedBy"}, {"ship", "ShippedBy"}}

type lineStats struct {
	Bottleneck string
	Stages     []struct {
		Stage                            string
		Waiting, Arrived, Done, Rejected int
		Sample                           int
		P50Seconds, P90Seconds           float64
		DoneSeries, WaitingSeries        []int
	}
}

func (f *factory) stats() (s lineStats) {
	f.t.Helper()
	f.must(200, "GET", "/api/v1/stats", "").decode(f.t, &s)
	return s
}

func (f *factory) ship(id string) {
	f.t.Helper()
	for _, s := range stages {
		f.finish(s[0], s[1], "Ana", id)
	}
}

// TestStats looks at the line from outside, and again after kill -9: the figures
// are the same, because they follow from the orders that Kafka has.
func TestStats(t *testing.T) {
	f := open(t)
	var ids []string
	for range 22 {
		ids = append(ids, f.place())
	}
	estimate := func(id string) (e struct {
		P50On, P90On        *time.Time
		Ahead, Basis, Needs int
	},
	) {
		f.must(200, "GET", "/api/v1/order/"+id+"/estimate", "").decode(t, &e)
		return e
	}
	if e := estimate(ids[21]); e.P50On != nil || e.Ahead != 21 || e.Basis >= e.Needs {
		t.Errorf("before anything was shipped the estimate is %+v", e)
	}
	for _, id := range ids[:21] {
		f.ship(id)
	}
	last, e := ids[21], estimate(ids[21])
	if e.P50On == nil || e.P90On == nil || e.P90On.Before(*e.P50On) || e.Ahead != 0 || e.Basis != 21 {
		t.Errorf("the estimate is %+v", e)
	}
	before := f.stats()
	for i, s := range before.Stages {
		if s.Done != 21 || s.Sample != 21 || s.P50Seconds > s.P90Seconds || i == 0 && s.Waiting != 1 {
			t.Errorf("the figures are %+v", s)
		}
	}
	f.kill()
	f.start()
	if after := f.stats(); fmt.Sprint(timeless(after)) != fmt.Sprint(timeless(before)) {
		t.Errorf("after kill -9 the figures are\n%+v, before\n%+v", after, before)
	}

	// The accuracy of estimates is counted: of orders that were new here.
	judged := func() bool {
		id := f.place()
		f.ship(id)
		return strings.Contains(string(f.must(200, "GET", "/metrics", "").body), "ecupcakes_estimate_total 1")
	}
	f.eventually("an estimate is looked at", judged)
	f.ship(last)
	if metrics := string(f.must(200, "GET", "/metrics", "").body); !strings.Contains(metrics, `ecupcakes_estimate_within_total{estimate="p90"}`) ||
		!strings.Contains(metrics, "ecupcakes_estimate_error_seconds_count") {
		t.Error("the metrics do not tell how good the estimates are")
	}
	var board struct{ Almost, Ready []string }
	f.must(200, "GET", "/api/v1/board", "").decode(t, &board)
	if len(board.Ready) == 0 || board.Ready[0] != last[len(last)-6:] {
		t.Errorf("the board is %+v, want %s on it", board, last)
	}
	f.stop()
}

// timeless takes away what passes with time: a minute may have begun.
func timeless(s lineStats) lineStats {
	for i := range s.Stages {
		s.Stages[i].DoneSeries, s.Stages[i].WaitingSeries = nil, nil
	}
	return s
}

// TestRemakeRejectedOrder remakes a rejected order, and asks again after kill -9: the new
// order is the same one, on the line, and the audit finds nothing wrong.
func TestRemakeRejectedOrder(t *testing.T) {
	f := open(t)
	old := f.place()
	body := fmt.Sprintf(`{"Order":{"Id":%q},"By":"Zoe"}`, old)
	f.problem(409, "POST", "/api/v1/order/remake", body)
	f.must(200, "POST", "/api/v1/order/reporterror", fmt.Sprintf(`{"Order":{"Id":%q},"Reason":"burnt"}`, old))
	remake := func() (id string) {
		var placed struct {
			CorrelationID string
			Order         struct{ RemakeOf, RemadeBy string }
		}
		f.must(201, "POST", "/api/v1/order/remake", body).decode(t, &placed)
		if placed.Order.RemakeOf != old || placed.Order.RemadeBy != "Zoe" {
			t.Errorf("the remade order is %+v", placed)
		}
		return placed.CorrelationID
	}
	again := remake()
	f.finish("mix", "MixedBy", "Ana", again)
	f.kill()
	f.start()
	if id := remake(); id != again {
		t.Errorf("after kill -9 it is remade as %s, before as %s", id, again)
	}
	var o struct{ RemadeAs, Status string }
	f.must(200, "GET", "/api/v1/order/"+old, "").decode(t, &o)
	if o.RemadeAs != again || o.Status != "rejected" {
		t.Errorf("the old order is %+v", o)
	}
	for _, s := range stages[1:] {
		f.finish(s[0], s[1], "Ana", again)
	}
	if a := auditOf(t, "--brokers", f.kafka); !a.clean() || a.Orders != 2 || a.Places["shipped"] != 1 {
		t.Errorf("verify says %s", a.said)
	}
	f.stop()
}
