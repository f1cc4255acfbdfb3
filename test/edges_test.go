package test

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// problem is the body of every error.
type problem struct {
	Type, Title, Detail string
	Status              int
	Errors              []struct{ Message, Location string }
	Order               *order
}

func (f *factory) problem(status int, method, path, body string, headers ...string) (p problem) {
	f.t.Helper()
	a := f.must(status, method, path, body, headers...)
	if kind := a.Header.Get("Content-Type"); kind != "application/problem+json" {
		f.t.Errorf("%s %s: the %d has the content type %q", method, path, status, kind)
	}
	a.decode(f.t, &p)
	if p.Status != status || p.Title == "" || p.Detail == "" || p.Type == "" {
		f.t.Errorf("%s %s: problem %+v", method, path, p)
	}
	return p
}

func TestHTTPEdges(t *testing.T) { everyBroker(t, httpEdges) }

func httpEdges(t *testing.T, f *factory) {
	t.Run("refused before anything is looked at", func(t *testing.T) {
		f := f.in(t)
		for _, c := range []struct {
			status             int
			method, path, body string
		}{
			{413, "POST", "/api/v1/order", `{"Order":{"Flavour":"` + strings.Repeat("x", 70_000) + `"}}`},
			{413, "POST", "/api/v1/order/mix", `{"Order":{"Id":"` + strings.Repeat("x", 70_000) + `"}}`},
			{400, "POST", "/api/v1/order", `{"Order":`},
			{400, "POST", "/api/v1/order", `not JSON`},
			{400, "POST", "/api/v1/order/reporterror", `{`},
			{404, "GET", "/api/v1/order/none", ""},
			{404, "GET", "/api/v1/nothing", ""},
			{404, "GET", "/api/v1/stations/none/orders", ""},
			{404, "POST", "/api/v1/order/mix", `{"Order":{"Id":"none"}}`},
			{404, "POST", "/api/v1/order/reporterror", `{"Order":{"Id":"none"},"Reason":"burnt"}`},
			{405, "DELETE", "/api/v1/menu", ""},
			{405, "GET", "/api/v1/order", ""},
			{422, "POST", "/api/v1/order", `{}`},
			{422, "POST", "/api/v1/order/mix", `{}`},
			{422, "GET", "/api/v1/orders?limit=0", ""},
			{422, "GET", "/api/v1/orders?cursor=x", ""},
		} {
			f.problem(c.status, c.method, c.path, c.body)
		}
		if allow := f.call("DELETE", "/api/v1/menu", "").Header.Get("Allow"); !strings.Contains(allow, "GET") {
			t.Errorf("Allow of a 405 is %q", allow)
		}
	})
	t.Run("one entry for each bad field", func(t *testing.T) {
		f := f.in(t)
		p := f.problem(422, "POST", "/api/v1/order", `{"Order":{"Flavour":"Mud","Quantity":0,"Size":"XXL"}}`)
		var at []string
		for _, e := range p.Errors {
			at = append(at, e.Location)
		}
		if want := []string{"body.Order.Flavour", "body.Order.Size", "body.Order.Quantity"}; !slices.Equal(at, want) {
			t.Errorf("errors at %v, want %v", at, want)
		}
	})
	t.Run("a rejection needs a reason of at most 500 characters", func(t *testing.T) {
		f := f.in(t)
		id := f.place()
		for _, reason := range []string{"", "  ", strings.Repeat("ü", 501)} {
			p := f.problem(422, "POST", "/api/v1/order/reporterror", fmt.Sprintf(`{"Order":{"Id":%q},"Reason":%q}`, id, reason))
			if len(p.Errors) != 1 || p.Errors[0].Location != "body.Reason" {
				t.Errorf("reason of %d bytes: %+v", len(reason), p)
			}
		}
		f.must(200, "POST", "/api/v1/order/reporterror", fmt.Sprintf(`{"Order":{"Id":%q},"Reason":%q}`, id, strings.Repeat("ü", 500)))
		f.problem(409, "POST", "/api/v1/order/reporterror", fmt.Sprintf(`{"Order":{"Id":%q},"Reason":"again"}`, id))
	})
	t.Run("not its turn and already done", func(t *testing.T) {
		f := f.in(t)
		id := f.place()
		p := f.problem(409, "POST", "/api/v1/order/bake", fmt.Sprintf(`{"Order":{"Id":%q}}`, id))
		if p.Order == nil || p.Order.ID != id || p.Order.Status != "placed" || !strings.HasSuffix(p.Type, "not-its-turn") {
			t.Errorf("baked too early: %+v", p)
		}
		f.finish("mix", "MixedBy", "Ana", id)
		p = f.problem(409, "POST", "/api/v1/order/mix", fmt.Sprintf(`{"Order":{"Id":%q,"MixedBy":"Ben"}}`, id))
		if p.Order == nil || p.Order.Status != "mixed" || p.Order.History[0].By != "Ana" || !strings.HasSuffix(p.Type, "already-done") {
			t.Errorf("mixed twice: %+v", p)
		}
	})
	t.Run("Idempotency-Key", func(t *testing.T) {
		f := f.in(t)
		place := func(status int, body, key string) (id string) {
			var placed struct{ CorrelationID string }
			f.must(status, "POST", "/api/v1/order", body, "Idempotency-Key", key).decode(t, &placed)
			return placed.CorrelationID
		}
		id := place(201, strawberry, "one")
		if again := place(201, strawberry, "one"); again != id {
			t.Errorf("the same key gives order %s, then %s", id, again)
		}
		if other := place(201, strawberry, "two"); other == id {
			t.Error("another key gives the same order")
		}
		f.problem(422, "POST", "/api/v1/order", `{"Order":{"Flavour":"Vanilla","Quantity":1,"Size":"M"}}`, "Idempotency-Key", "one")
		f.problem(422, "POST", "/api/v1/order", strawberry, "Idempotency-Key", strings.Repeat("k", 129))

		mix := fmt.Sprintf(`{"Order":{"Id":%q,"MixedBy":"Ana"}}`, id)
		for range 2 {
			var o order
			f.must(200, "POST", "/api/v1/order/mix", mix, "Idempotency-Key", "mix one").decode(t, &o)
			if o.Status != "mixed" || len(o.History) != 1 {
				t.Errorf("mixed with a key: %+v", o)
			}
		}
		f.problem(422, "POST", "/api/v1/order/mix", fmt.Sprintf(`{"Order":{"Id":%q,"MixedBy":"Ben"}}`, id), "Idempotency-Key", "mix one")
		f.problem(409, "POST", "/api/v1/order/mix", mix, "Idempotency-Key", "mix another")
	})
	t.Run("ETag", func(t *testing.T) {
		f := f.in(t)
		path := "/api/v1/order/" + f.place()
		a := f.must(200, "GET", path, "")
		f.must(304, "GET", path, "", "If-None-Match", a.Header.Get("ETag"))
		f.must(200, "GET", path, "", "If-None-Match", `"other"`)
	})
	t.Run("pages for operators", func(t *testing.T) {
		f := f.in(t)
		for path, want := range map[string]string{
			"/healthz": "ok", "/readyz": "ready", "/metrics": "ecupcakes_stage_events_total", "/docs": "<html", "/": "<html",
		} {
			if a := f.must(200, "GET", path, ""); !strings.Contains(strings.ToLower(string(a.body)), want) {
				t.Errorf("%s does not contain %q:\n%.500s", path, want, a.body)
			}
		}
		var document struct {
			OpenAPI string
			Paths   map[string]json.RawMessage
		}
		f.must(200, "GET", "/openapi.json", "").decode(t, &document)
		if document.OpenAPI == "" || document.Paths["/api/v1/order/ship"] == nil {
			t.Errorf("the OpenAPI document %q has the paths %v", document.OpenAPI, document.Paths)
		}
	})
	f.stop()
}

// TestDataAndPortsInUse starts a second program on the data directory or a port of
// the first one: it ends with an error that names the flag to change.
func TestDataAndPortsInUse(t *testing.T) {
	t.Parallel()
	f := open(t)
	listen := strings.TrimPrefix(f.url, "http://")
	other := filepath.Join(t.TempDir(), "other")
	for _, c := range []struct{ name, data, listen, kafka, want string }{
		{"data directory", f.data, "127.0.0.1:0", "127.0.0.1:0", "--data"},
		{"HTTP port", other, listen, "127.0.0.1:0", "--listen"},
		{"Kafka port", other, "127.0.0.1:0", f.kafka, "--kafka-listen"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), deadline)
			defer cancel()
			cmd := exec.CommandContext(ctx, binary, "up", "--listen", c.listen, "--kafka-listen", c.kafka, "--data", c.data, "--json")
			var stderr strings.Builder
			cmd.Stderr = &stderr
			out, err := cmd.Output()
			if code := cmd.ProcessState.ExitCode(); err == nil || code < 1 {
				t.Fatalf("it ended with code %d (%v)", code, err)
			}
			if len(out) > 0 {
				t.Errorf("it says on stdout where it is: %s", out)
			}
			if said := stderr.String(); !strings.Contains(said, "ecupcakes: ") || !strings.Contains(said, c.want) || strings.Contains(said, "goroutine ") {
				t.Errorf("stderr does not tell what to do with %s:\n%s", c.want, said)
			}
		})
	}
	f.must(200, "GET", "/readyz", "") // The first one is not disturbed.
	f.stop()
}

// TestAgeFlag checks --age, after which a waiting order counts as late, and that
// invalid values are refused.
func TestAgeFlag(t *testing.T) {
	f := openWith(t, "--age", "mixing=90s/2m", "--age", "shipping=1h/24h")
	var s struct {
		Stations []struct {
			Stage                    string
			WarnSeconds, LateSeconds int
		}
	}
	f.must(200, "GET", "/api/v1/stations", "").decode(t, &s)
	var got []string
	for _, s := range s.Stations {
		got = append(got, fmt.Sprint(s.Stage, " ", s.WarnSeconds, "/", s.LateSeconds))
	}
	if want := []string{"mixing 90/120", "baking 300/480", "decorating 300/480", "packaging 300/480", "shipping 3600/86400"}; !slices.Equal(got, want) {
		t.Errorf("the ages are %q, want %q", got, want)
	}
	f.stop()
	for _, age := range []string{"mixing=5m", "mixing=8m/5m", "backing=5m/8m", "5m/8m"} {
		ctx, cancel := context.WithTimeout(t.Context(), deadline)
		defer cancel()
		out, err := exec.CommandContext(ctx, binary, "up", "--data", f.data, "--age", age).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "--age: ") {
			t.Errorf("--age %s ends with %v and says %s", age, err, out)
		}
	}
}
