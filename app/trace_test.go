package app

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/ecupcakes/ecupcakes/internal/testkit"

	"github.com/coder/websocket"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// kept keeps what is exported after the end, too.
type kept struct{ *tracetest.InMemoryExporter }

func (kept) Shutdown(context.Context) error { return nil }

// TestTrace walks an order through the line, with a screen at each station, and
// finds all of its life in one trace: each stage takes the order because of
// what the one before did, and each screen shows it because of that.
func TestTrace(t *testing.T) {
	testkit.NoLeaks(t)
	o := options(t.TempDir())
	spans := kept{tracetest.NewInMemoryExporter()}
	o.Traces = spans
	at, stop := start(t, o)
	ready(t, at.URL)
	var screens []*websocket.Conn
	for _, s := range o.Line.Stages {
		screens = append(screens, watch(t, at.URL, s.Input))
	}
	status, body := do(t, "POST", at.URL+"/api/v1/order", `{"Order":{"Flavour":"Coffee","Quantity":1,"Size":"S"}}`)
	var placed struct{ CorrelationID string }
	if err := json.Unmarshal([]byte(body), &placed); err != nil || status != http.StatusCreated {
		t.Fatalf("placing an order is answered with %d %s", status, body)
	}
	get(t, at.URL+"/api/v1/order/"+placed.CorrelationID+"?wait=30")
	for _, s := range o.Line.Stages {
		if status, body := do(t, "POST", at.URL+"/api/v1/order/"+s.Verb, fmt.Sprintf(`{"Order":{"Id":%q}}`, placed.CorrelationID)); status != http.StatusOK {
			t.Fatalf("%s is answered with %d %s", s.Verb, status, body)
		}
	}

	// The name of a span and that of its cause.
	var want []string
	cause := "send to " + o.Line.Stages[0].Input + " <- "
	for _, s := range o.Line.Stages {
		takes := s.Name + " takes " + s.Input
		send := "send to " + s.Reports()
		done := s.Name + " takes " + s.Reports()
		want = append(want, cause, takes+" <- "+cause[:strings.Index(cause, " <-")], "screens of "+s.Name+" <- "+takes, send+" <- ", done+" <- "+send)
		cause = done + " <- " + send
	}
	slices.Sort(want)
	want = slices.Compact(want)
	var got []string
	testkit.Eventually(t, "the trace is\n"+strings.Join(want, "\n"), func() bool {
		all := spans.GetSpans()
		names := map[string]string{"0000000000000000": ""}
		for _, s := range all {
			names[s.SpanContext.SpanID().String()] = s.Name
		}
		got = nil
		for _, s := range all {
			if id := s.SpanContext.TraceID().String(); id != strings.ReplaceAll(placed.CorrelationID, "-", "") {
				t.Fatalf("the span %q is in the trace %s, which is not the order's, %s", s.Name, id, placed.CorrelationID)
			}
			got = append(got, s.Name+" <- "+names[s.Parent.SpanID().String()])
		}
		slices.Sort(got)
		got = slices.Compact(got)
		return slices.Equal(got, want)
	}, func() any { return strings.Join(got, "\n") })
	for _, ws := range screens {
		_ = ws.CloseNow()
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// watch opens a screen that has all orders of its station. Later events wait in its socket.
func watch(t *testing.T, url, topic string) *websocket.Conn {
	t.Helper()
	var screen *websocket.Conn
	testkit.Eventually(t, "a screen of "+topic+" has all orders of its station", func() bool {
		ws, _, err := websocket.Dial(t.Context(), url+"/ordermonitorhub?topic="+topic, nil)
		if err != nil {
			t.Fatal(err)
		}
		ws.SetReadLimit(-1)
		if err := ws.Write(t.Context(), websocket.MessageText, []byte("{\"protocol\":\"json\",\"version\":1}\x1e")); err != nil {
			t.Fatal(err)
		}
		for {
			_, b, err := ws.Read(t.Context())
			if err != nil { // The hub is starting, and sends it away.
				break
			}
			if strings.Contains(string(b), "InformSynced") {
				screen = ws
				return true
			}
		}
		_ = ws.CloseNow()
		return false
	})
	return screen
}
