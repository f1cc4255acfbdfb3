package test

import (
	"io"
	"net/http"
	"testing"

	"github.com/ecupcakes/ecupcakes/load"
)

// TestExpiry has finished orders forgotten soon, and one that waits kept.
func TestExpiry(t *testing.T) {
	t.Parallel()
	const orders = 100
	f := openWith(t, "--expiry", "1s")
	waiting := f.place()
	if _, err := load.Run(t.Context(), load.Options{URL: f.url, Orders: orders, Walk: true, Out: io.Discard}); err != nil {
		t.Fatal(err)
	}
	f.eventually("only the order that waits is known", func() bool {
		var all struct{ Orders []order }
		f.must(http.StatusOK, "GET", "/api/v1/orders", "").decode(t, &all)
		return len(all.Orders) == 1 && all.Orders[0].ID == waiting
	})
	f.eventually("nothing is left of the others in any table", func() bool {
		for _, stage := range stageNames {
			rows := map[string]bool{}
			for _, r := range f.read(stage + "-table") {
				if rows[string(r.Key)] = true; r.Value == nil {
					delete(rows, string(r.Key))
				}
			}
			if delete(rows, waiting); len(rows) > 0 {
				return false
			}
		}
		return true
	})
	if s := f.stations(); s.Stations[0].Waiting != 1 || s.Finished["shipped"] != 0 {
		t.Errorf("GET /stations: %+v", s)
	}
	f.stop()

	audit := auditOf(t, "--data", f.data)
	for i, s := range audit.Stages {
		if s.Expired != orders {
			t.Errorf("%d orders have expired at %s, want %d", s.Expired, stageNames[i], orders)
		}
	}
	if audit.Places["shipped"] != orders || audit.Places["mixing"] != 1 {
		t.Errorf("the orders are %v", audit.Places)
	}
}
