package test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/ecupcakes/ecupcakes/internal/testkit"
	"github.com/ecupcakes/ecupcakes/load"
)

// TestUpgrade has the program of the commit before this one work for a while,
// kills it, and has this one continue with what it left on Kafka.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	before, err := previous(t.Context(), t.TempDir())
	if err != nil {
		testkit.Missing(t, err)
	}
	t.Run("embedded", func(t *testing.T) {
		upgrade(t, opened(t, &factory{t: t, program: before, data: filepath.Join(t.TempDir(), "data"), kafka: freeAddress(t)}))
	})
	t.Run("kafka", func(t *testing.T) {
		upgrade(t, opened(t, &factory{t: t, program: before, kafka: realKafka(t, 1).Brokers()}))
	})
}

// previous builds the program as it was one commit ago.
func previous(ctx context.Context, dir string) (program string, err error) {
	source, program := filepath.Join(dir, "source"), filepath.Join(dir, "ecupcakes")
	for _, c := range [][]string{
		{".", "git", "clone", "--quiet", "--no-checkout", "..", source},
		{source, "git", "checkout", "--quiet", "--detach", "HEAD~1"},
		{source, "go", "build", "-o", program, "./cmd/ecupcakes"},
	} {
		cmd := exec.CommandContext(ctx, c[1], c[2:]...)
		cmd.Dir = c[0]
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("building the previous commit needs a git checkout with its history: %v: %w\n%s", c[1:], err, out)
		}
	}
	return program, nil
}

func upgrade(t *testing.T, f *factory) {
	const shipped = 200
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	if _, err := load.Run(ctx, load.Options{URL: f.url, Orders: shipped, Rate: 100, Walk: true, Out: io.Discard}); err != nil {
		t.Fatal(err)
	}
	var ids []string
	was := map[string]order{}
	for done := range stages { // One order waits at each stage.
		id := f.place()
		for _, s := range stages[:done] {
			f.finish(s[0], s[1], "Ana", id)
		}
		ids = append(ids, id)
	}
	rejected := f.place()
	f.must(http.StatusOK, "POST", "/api/v1/order/reporterror", fmt.Sprintf(`{"Order":{"Id":%q},"Reason":"Burnt","ReportedBy":"Ben"}`, rejected))
	f.must(http.StatusOK, "POST", "/api/v1/order/claim", fmt.Sprintf(`{"Order":{"Id":%q},"By":"Ana"}`, ids[0]))
	const key = "4a7f3c5e9b1d2f60718293a4b5c6d7e8"
	var first struct{ CorrelationID string }
	f.must(http.StatusCreated, "POST", "/api/v1/order", strawberry, "Idempotency-Key", key).decode(t, &first)
	f.must(http.StatusOK, "GET", "/api/v1/order/"+first.CorrelationID, "", "Prefer", "wait=30")
	look := func(id string) (o order) {
		f.must(http.StatusOK, "GET", "/api/v1/order/"+id, "").decode(t, &o)
		return o
	}
	all := append(slices.Clone(ids), rejected, first.CorrelationID)
	for _, id := range all {
		was[id] = look(id)
	}

	f.kill()
	f.program = ""
	f.start()

	for _, id := range all {
		if is := look(id); is.Status != was[id].Status || is.Reason != was[id].Reason || !slices.Equal(is.stages(), was[id].stages()) || !is.PlacedOn.Equal(was[id].PlacedOn) {
			t.Errorf("order %s was %+v and is %+v", id, was[id], is)
		}
	}
	var again struct{ CorrelationID string }
	f.must(http.StatusCreated, "POST", "/api/v1/order", strawberry, "Idempotency-Key", key).decode(t, &again)
	if again != first {
		t.Errorf("the repeated call made order %s, the first one %s", again.CorrelationID, first.CorrelationID)
	}
	f.must(http.StatusConflict, "POST", "/api/v1/order/mix", fmt.Sprintf(`{"Order":{"Id":%q,"MixedBy":"Bob"}}`, ids[0]))
	for done, id := range append(slices.Clone(ids), first.CorrelationID) {
		for _, s := range stages[done%len(stages):] {
			f.finish(s[0], s[1], "Ana", id)
		}
	}
	if s := f.stations(); s.Finished["shipped"] != shipped+len(ids)+1 || s.Finished["rejected"] != 1 {
		t.Errorf("GET /stations: %+v", s)
	}
	var a audit
	testkit.Eventually(t, "nothing is in flight", func() bool {
		a = auditOf(t, "--brokers", f.kafka)
		return a.InFlight == 0
	}, func() any { return a.said })
	if !a.clean() || a.Orders != shipped+len(ids)+2 || a.DeadLetters != 0 {
		t.Errorf("verify says %s", a.said)
	}
}
