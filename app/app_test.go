package app

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ecupcakes/ecupcakes/internal/testkit"
	"github.com/ecupcakes/ecupcakes/kafka"
	"github.com/ecupcakes/ecupcakes/kafka/embedded"
	"github.com/ecupcakes/ecupcakes/ops/connect"
	"github.com/ecupcakes/ecupcakes/topology"
)

func options(data string) Options {
	return Options{
		Line: topology.Cupcakes, Data: data, KafkaListen: "127.0.0.1:0", Listen: "127.0.0.1:0", Partitions: 2,
		Session: 10 * time.Second, ClaimTTL: time.Minute, MaxDead: 0.5, API: true, Stages: topology.Cupcakes.Names(), Version: "test", Log: slog.New(slog.DiscardHandler),
	}
}

// start starts the program and returns what stops it.
func start(t *testing.T, o Options) (Addresses, func() error) {
	t.Helper()
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Deadline)
	defer cancel() // Start's context bounds the start alone.
	if err := a.Start(ctx); err != nil {
		t.Fatal(err)
	}
	return a.Addr(), func() error {
		select {
		case err := <-a.Failed():
			t.Errorf("a part has failed: %v", err)
		default:
		}
		return a.Stop()
	}
}

func mustNotStart(t *testing.T) func(Addresses) {
	return func(Addresses) { t.Error("it started") }
}

func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	return do(t, "GET", url, "")
}

func do(t *testing.T, method, url, body string) (status int, answer string) {
	t.Helper()
	r, err := http.NewRequestWithContext(testkit.Context(t), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(b)
}

func ready(t *testing.T, url string) {
	t.Helper()
	var status int
	var body string
	testkit.Eventually(t, "/readyz answers 200", func() bool {
		status, body = get(t, url+"/readyz")
		return status == http.StatusOK
	}, func() any { return fmt.Sprint(status, " ", body) })
}

// One life after the other on the same data.
func TestRun(t *testing.T) {
	testkit.NoLeaks(t)
	data := t.TempDir()
	a, stop := start(t, options(data))
	ready(t, a.URL)
	status, body := do(t, "POST", a.URL+"/api/v1/order", `{"Order":{"Flavour":"Coffee","Quantity":1,"Size":"S"}}`)
	var placed struct{ CorrelationID string }
	if err := json.Unmarshal([]byte(body), &placed); err != nil || status != http.StatusCreated {
		t.Fatalf("placing an order is answered with %d %s", status, body)
	}
	mix := fmt.Sprintf(`{"Order":{"Id":%q}}`, placed.CorrelationID)
	get(t, a.URL+"/api/v1/order/"+placed.CorrelationID+"?wait=30")
	if status, body := do(t, "POST", a.URL+"/api/v1/order/mix", mix); status != http.StatusOK {
		t.Errorf("mixing is answered with %d %s", status, body)
	}
	// Pages are there, or the page that tells how to build them.
	for path, want := range map[string]string{"/": "<html", "/mixer": "<html"} {
		if _, body := get(t, a.URL+path); !strings.Contains(body, want) {
			t.Errorf("GET %s is answered with %.300s", path, body)
		}
	}
	for path, want := range map[string]string{"/api/v1/menu": "Coffee", "/metrics": `ecupcakes_partition_lag_events{partition="0",stage="mixing",topic="orderrequests"}`, "/ordermonitorhub": ""} {
		if status, body := get(t, a.URL+path); !strings.Contains(body, want) || (want == "") == (status == http.StatusOK) {
			t.Errorf("GET %s is answered with %d %.300s", path, status, body)
		}
	}
	if err := stop(); err != nil {
		t.Errorf("it stopped with %v", err)
	}

	a, stop = start(t, options(data))
	ready(t, a.URL)
	if status, body := get(t, a.URL+"/api/v1/order/"+placed.CorrelationID); status != http.StatusOK || !strings.Contains(body, `"status":"mixed"`) {
		t.Errorf("in its second life the order is %d %s", status, body)
	}
	if err := stop(); err != nil {
		t.Errorf("its second life ended with %v", err)
	}

	// The topics cannot change their partitions, and say what to do.
	o := options(data)
	o.Partitions = 4
	if err := Run(t.Context(), o, mustNotStart(t)); err == nil || !strings.Contains(err.Error(), "topic orderrequests has 2 partitions, not 4: run with --partitions 2") {
		t.Errorf("with other partitions: %v", err)
	}
}

// Roles can run apart: processors in one process, the API in another.
func TestRoles(t *testing.T) {
	testkit.NoLeaks(t)
	o := options(t.TempDir())
	o.API, o.Monitor = false, "127.0.0.1:0"
	worker, stopWorker := start(t, o)
	if worker.URL != "" {
		t.Errorf("without the API there is the address %s", worker.URL)
	}
	ready(t, worker.Monitor)
	if status, body := get(t, worker.Monitor+"/metrics"); status != http.StatusOK || !strings.Contains(body, "ecupcakes_build_info") {
		t.Errorf("the worker's metrics: %d %.100s", status, body)
	}
	if status, _ := get(t, worker.Monitor+"/api/v1/menu"); status != http.StatusNotFound {
		t.Errorf("the worker has an API: %d", status)
	}
	o = options("")
	o.Kafka, o.Stages = kafka.Config{Brokers: []string{worker.Kafka}}, nil
	server, stopServer := start(t, o)
	ready(t, server.URL)
	status, body := do(t, "POST", server.URL+"/api/v1/order", `{"Order":{"Flavour":"Coffee","Quantity":1,"Size":"S"}}`)
	var placed struct{ CorrelationID string }
	if err := json.Unmarshal([]byte(body), &placed); err != nil || status != http.StatusCreated {
		t.Errorf("placing an order is answered with %d %s", status, body)
	}
	if status, body := get(t, server.URL+"/api/v1/order/"+placed.CorrelationID+"?wait=30"); status != http.StatusOK {
		t.Errorf("the order does not come from the other process: %d %s", status, body)
	}
	if err := stopServer(); err != nil {
		t.Errorf("the server stopped with %v", err)
	}
	if err := stopWorker(); err != nil {
		t.Errorf("the worker stopped with %v", err)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Options)
		want   string
	}{
		"unknown stage":      {func(o *Options) { o.Stages = []string{"mixing", "tasting"} }, `there is no stage "tasting": the line has mixing, baking, decorating, packaging, shipping`},
		"odd partitions":     {func(o *Options) { o.Partitions = 3 }, "--partitions 3 is not a power of two"},
		"no partitions":      {func(o *Options) { o.Partitions = 0 }, "--partitions 0"},
		"too many":           {func(o *Options) { o.Partitions = 2048 }, "--partitions 2048"},
		"nothing to run":     {func(o *Options) { o.API, o.Stages = false, nil }, "no role is chosen"},
		"no line":            {func(o *Options) { o.Line.Stages = nil }, "the line is invalid: the line has no stage"},
		"bad broker address": {func(o *Options) { o.Kafka.Brokers = []string{"kafka"} }, `"kafka" is not host:port`},
	} {
		t.Run(name, func(t *testing.T) {
			testkit.NoLeaks(t)
			o := options(t.TempDir())
			c.change(&o)
			if err := Run(t.Context(), o, mustNotStart(t)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %v, want %q", err, c.want)
			}
		})
	}
}

// When one part cannot start, those that did are stopped.
func TestPortInUse(t *testing.T) {
	testkit.NoLeaks(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	data := t.TempDir()
	for want, change := range map[string]func(*Options){
		"--listen":       func(o *Options) { o.Listen = taken.Addr().String() },
		"--kafka-listen": func(o *Options) { o.KafkaListen = taken.Addr().String() },
	} {
		o := options(data)
		change(&o)
		if err := Run(t.Context(), o, mustNotStart(t)); err == nil || !strings.Contains(err.Error(), "choose another address with "+want) {
			t.Errorf("with the port in use: %v, want %s in it", err, want)
		}
	}
	again, err := embedded.Start(data, "127.0.0.1:0", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatalf("the data is still in use: %v", err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}

// A start that waits for a cluster ends when it is told to.
func TestStopWhileStarting(t *testing.T) {
	testkit.NoLeaks(t)
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	o := options("")
	o.Kafka.Brokers = []string{nobody.Addr().String()}
	done := make(chan error, 1)
	go func() { done <- Run(ctx, o, mustNotStart(t)) }()
	conn, err := nobody.Accept() // It is trying.
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	_ = conn.Close()
	_ = nobody.Close()
	select {
	case err := <-done:
		if err == nil || !strings.Contains(err.Error(), "no Kafka broker answers") {
			t.Errorf("it ended with %v", err)
		}
	case <-time.After(testkit.Deadline):
		t.Errorf("it still runs after %s", testkit.Deadline)
	}
}

// The state of the connectors is in the metrics as soon as the address listens.
func TestSuperviseConnectors(t *testing.T) {
	testkit.NoLeaks(t)
	worker := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.NotFound(w, nil) }))
	defer worker.Close()
	client, err := connect.New(worker.URL)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	started, done := make(chan string, 1), make(chan error, 1)
	o := ConnectorOptions{
		Connect: client, Connectors: []string{"one"}, Every: time.Hour, MaxBackoff: time.Hour, Listen: "127.0.0.1:0",
		Log: slog.New(slog.DiscardHandler), Started: func(url string) { started <- url },
	}
	go func() { done <- SuperviseConnectors(ctx, o) }()
	url := <-started
	for path, want := range map[string]string{"/metrics": `ecupcakes_connect_connector_state{connector="one",state="ABSENT"} 1`, "/healthz": "ok"} {
		if status, body := get(t, url+path); status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("GET %s is answered with %d %s", path, status, body)
		}
	}
	o.Every = 0
	if err := SuperviseConnectors(ctx, o); err == nil || !strings.Contains(err.Error(), "--every 0s") {
		t.Errorf("without a pause: %v", err)
	}
	o.Every, o.Listen = time.Second, strings.TrimPrefix(url, "http://")
	if err := SuperviseConnectors(ctx, o); err == nil || !strings.Contains(err.Error(), "choose another address with --listen") {
		t.Errorf("where another one listens: %v", err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
