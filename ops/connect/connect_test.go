package connect

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ecupcakes/ecupcakes/topology"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

const uri = "mongodb://ana:secret@db.example:27017/?replicaSet=rs0"

func connectors(t *testing.T, site Site) map[string]map[string]string {
	t.Helper()
	all, err := Connectors(site)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]map[string]string{}
	for _, c := range all {
		found[c.Name] = c.Config
	}
	return found
}

// The topics in deploy/connect are those of the line.
func TestConnectorFilesMatchTheLine(t *testing.T) {
	all := connectors(t, Site{})
	sink, source := all["orders-to-mongodb"], all["ingredients-from-mongodb"]
	if got := strings.Split(sink["topics"], ","); !slices.Equal(got, topology.Cupcakes.OrderTopics()) {
		t.Errorf("the sink copies %v, and the line has %v", got, topology.Cupcakes.OrderTopics())
	}
	if got := source["topic.prefix"] + "." + source["collection.include.list"]; got != topology.Cupcakes.Ingredients {
		t.Errorf("the source writes to %s, and the line reads %s", got, topology.Cupcakes.Ingredients)
	}
	if topics := Topics(3); topics[len(topics)-1].Name != sink["errors.deadletterqueue.topic.name"] {
		t.Errorf("the sink's dead letters go to %s, which is not created", sink["errors.deadletterqueue.topic.name"])
	}
}

func TestConnectorsAreAdaptedToTheSite(t *testing.T) {
	for name, config := range connectors(t, Site{}) {
		if !slices.Contains(slices.Collect(maps.Values(config)), environment) {
			t.Errorf("%s does not leave the address of MongoDB to the worker", name)
		}
	}
	for name, config := range connectors(t, Site{MongoDB: uri, Database: "cakes"}) {
		if !slices.Contains(slices.Collect(maps.Values(config)), uri) {
			t.Errorf("%s does not have the address: %v", name, config)
		}
		if d, has := config["database"]; has && d != "cakes" {
			t.Errorf("%s writes to the database %s", name, d)
		}
	}
}

func TestCauseIsFirstLineAndRootCause(t *testing.T) {
	for trace, want := range map[string]string{
		"":                                    "",
		"a.B: it broke\n\tat a.B.c(D.java:1)": "a.B: it broke",
		"a.B: outer\n\tat x\nCaused by: c.D: middle\n\tat y\nCaused by: e.F: cannot reach db\n\t... 3 more": "a.B: outer; caused by e.F: cannot reach db",
	} {
		if got := (Part{Trace: trace}).Cause(); got != want {
			t.Errorf("the cause in %q is %q, want %q", trace, got, want)
		}
	}
}

func TestBackoffDoublesAndResets(t *testing.T) {
	b := backoff{min: time.Second, max: 4 * time.Second}
	start := time.Now()
	for _, step := range []struct {
		second float64
		failed bool
		due    bool
	}{
		{0, true, true},
		{0.5, true, false},
		{1, true, true},
		{2.5, true, false},
		{3, true, true},
		{6.9, true, false},
		{7, true, true},
		{8, false, false},
		{10, false, false},
		{10.5, true, false},
		{11, true, true}, // It has not run for as long as the last wait.
		{12, false, false},
		{16, false, false},
		{17, true, true},
		{17.5, true, false},
		{18, true, true}, // It has run for as long as the last wait.
	} {
		if due := b.due(start.Add(time.Duration(step.second*float64(time.Second))), step.failed); due != step.due {
			t.Errorf("at %g s, failed %t: due is %t", step.second, step.failed, due)
		}
	}
}

// worker is a fake of Kafka Connect's REST interface.
type worker struct {
	mu       sync.Mutex
	plugins  []string
	wrong    map[string]string // Validation errors, by setting.
	configs  map[string]map[string]string
	states   map[string][]string // States of task 0 by connector; each restart moves on to the next one.
	state    map[string]string   // States of the connectors.
	requests []string
	refuse   int // How many of the next requests are answered with 409.
}

func newWorker(t *testing.T) (*worker, *Client) {
	t.Helper()
	w := &worker{
		plugins: []string{"com.mongodb.kafka.connect.MongoSinkConnector", "io.debezium.connector.mongodb.MongoDbConnector"},
		wrong:   map[string]string{}, configs: map[string]map[string]string{}, states: map[string][]string{}, state: map[string]string{},
	}
	server := httptest.NewServer(w)
	t.Cleanup(server.Close)
	c, err := New(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return w, c
}

func (w *worker) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	answer := func(status int, v any) {
		out.WriteHeader(status)
		_ = json.NewEncoder(out).Encode(v)
	}
	name, what, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/connectors/"), "/")
	if r.Method != http.MethodGet && !strings.HasSuffix(r.URL.Path, "/validate") {
		w.requests = append(w.requests, r.Method+" "+r.URL.Path)
	}
	if w.refuse > 0 {
		w.refuse--
		answer(409, map[string]string{"message": "rebalancing"})
		return
	}
	config, there := w.configs[name]
	next := func() {
		w.state[name] = running
		if s := w.states[name]; len(s) > 1 {
			w.states[name] = s[1:]
		}
	}
	switch {
	case r.URL.Path == "/connector-plugins":
		var plugins []map[string]string
		for _, p := range w.plugins {
			plugins = append(plugins, map[string]string{"class": p})
		}
		answer(200, plugins)
	case strings.HasSuffix(r.URL.Path, "/config/validate"):
		type value struct {
			Name   string   `json:"name"`
			Errors []string `json:"errors"`
		}
		configs := []map[string]value{{"value": {Name: "tasks.max"}}}
		for k, v := range w.wrong {
			configs = append(configs, map[string]value{"value": {k, []string{v}}})
		}
		answer(200, map[string]any{"configs": configs})
	case r.Method == http.MethodPut && what == "config":
		b, _ := io.ReadAll(r.Body)
		config = map[string]string{}
		_ = json.Unmarshal(b, &config)
		config["name"] = name
		w.configs[name] = config
		next()
		answer(200, config)
	case !there:
		answer(404, map[string]string{"message": "no connector " + name})
	case what == "config":
		answer(200, config)
	case what == "status":
		s := Status{Name: name, Connector: Part{State: w.state[name]}, Tasks: []Task{{0, Part{State: running}}}}
		if of := w.states[name]; len(of) > 0 {
			s.Tasks[0].State, s.Tasks[0].Trace = of[0], "x.Y: no\nCaused by: z.Z: "+uri
		}
		answer(200, s)
	case what == "restart" || what == "resume":
		next()
		out.WriteHeader(204)
	case r.Method == http.MethodDelete:
		delete(w.configs, name)
		out.WriteHeader(204)
	default:
		answer(500, map[string]string{"message": "unexpected " + r.Method + r.URL.Path})
	}
}

var wanted = Connector{"orders-to-mongodb", map[string]string{"connector.class": "com.mongodb.kafka.connect.MongoSinkConnector", "connection.uri": uri, "tasks.max": "2"}}

func TestApplyMakesConnectorRun(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		before   func(*worker)
		did      Applied
		err      string // Part of it; empty for none.
		requests []string
	}{
		"new":       {func(*worker) {}, Created, "", []string{"PUT config"}},
		"unchanged": {func(w *worker) { w.has(wanted.Config, running) }, Unchanged, "", nil},
		"changed":   {func(w *worker) { w.has(map[string]string{"tasks.max": "1"}, running) }, Changed, "", []string{"PUT config"}},
		"rebalance": {func(w *worker) { w.refuse = 2 }, Created, "", []string{"PUT config"}},
		"stopped":   {func(w *worker) { w.has(wanted.Config, stopped) }, Unchanged, "", []string{"PUT resume"}},
		"failed":    {func(w *worker) { w.has(wanted.Config, running); w.states[wanted.Name] = []string{failed, running} }, Unchanged, "", []string{"POST restart"}},
		"fails again": {
			func(w *worker) { w.has(wanted.Config, running); w.states[wanted.Name] = []string{failed, failed} },
			Unchanged, "connector orders-to-mongodb: it fails: task 0: x.Y: no; caused by z.Z: mongodb://***@db.example:27017",
			[]string{"POST restart"},
		},
		"no plugin":       {func(w *worker) { w.plugins = nil }, "", "put its jars below the worker's plugin.path", nil},
		"invalid setting": {func(w *worker) { w.wrong["tasks.max"] = "not a number" }, "", "tasks.max: not a number", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, client := newWorker(t)
			c.before(w)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			did, err := client.Apply(ctx, wanted)
			if did != c.did || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("it was %q, %v; want %q, %q", did, err, c.did, c.err)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("the error contains the password: %v", err)
			}
			var want []string
			for _, r := range c.requests {
				method, what, _ := strings.Cut(r, " ")
				want = append(want, method+" /connectors/"+wanted.Name+"/"+what)
			}
			if !slices.Equal(w.requests, want) {
				t.Errorf("it asked for %v, want %v", w.requests, want)
			}
		})
	}
}

func (w *worker) has(config map[string]string, state string) {
	w.configs[wanted.Name] = maps.Clone(config)
	w.configs[wanted.Name]["name"] = wanted.Name
	w.state[wanted.Name] = state
}

// Apply retries until ctx ends while the database or the worker cannot be reached.
func TestApplyWaitsForDatabaseAndWorker(t *testing.T) {
	t.Parallel()
	w, client := newWorker(t)
	w.wrong["connection.uri"] = "Unable to connect to " + uri
	ctx, cancel := context.WithTimeout(t.Context(), 10*pollInterval)
	defer cancel()
	if _, err := client.Apply(ctx, wanted); err == nil || !strings.Contains(err.Error(), "check that the database runs") || strings.Contains(err.Error(), "secret") {
		t.Errorf("with no database it ends with %v", err)
	}
	if len(w.requests) > 0 {
		t.Errorf("it asked for %v", w.requests)
	}
	nobody, err := New("http://127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := nobody.Apply(ctx, wanted); err == nil || !strings.Contains(err.Error(), "--connect-url") {
		t.Errorf("with no worker it ends with %v", err)
	}
}

func TestDeleteReportsWhetherConnectorExisted(t *testing.T) {
	w, client := newWorker(t)
	w.has(wanted.Config, running)
	for _, want := range []bool{true, false} {
		if was, err := client.Delete(t.Context(), wanted.Name); was != want || err != nil {
			t.Errorf("there was one: %t, %v; want %t", was, err, want)
		}
	}
	if s, err := client.Status(t.Context(), wanted.Name); err != nil || s.Connector.State != absent || s.Running() {
		t.Errorf("what was deleted is %+v, %v", s, err)
	}
}

func TestNewRejectsInvalidURL(t *testing.T) {
	for _, address := range []string{"", "connect:8083", "ftp://connect", "http://", "ana:secret@connect:8083", "http://ana:secret@:x"} {
		if _, err := New(address); err == nil || !strings.Contains(err.Error(), "--connect-url") || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", address, err)
		}
	}
}

// The watch restarts failed connectors after their backoff, and shows the states as metrics.
func TestWatchRestartsFailedConnectors(t *testing.T) {
	w, client := newWorker(t)
	w.has(wanted.Config, running)
	w.states[wanted.Name] = []string{failed, failed, running}
	registry := prometheus.NewPedanticRegistry()
	watch := newWatcher(client, []string{wanted.Name, "other"}, WatchOptions{Registry: registry, Log: slog.New(slog.DiscardHandler)})
	now := time.Now()
	for i, step := range []struct {
		after    time.Duration
		restarts int
		state    string
	}{{0, 1, failed}, {time.Second, 1, failed}, {watch.MinBackoff, 2, failed}, {watch.MinBackoff, 2, running}} {
		now = now.Add(step.after)
		watch.check(t.Context(), now)
		if len(w.requests) != step.restarts || testutil.ToFloat64(watch.restarts.WithLabelValues(wanted.Name)) != float64(step.restarts) {
			t.Errorf("check %d: it has requested %v", i, w.requests)
		}
		for _, state := range []string{failed, running} {
			if got := testutil.ToFloat64(watch.tasks.WithLabelValues(wanted.Name, "0", state)); got != one(state == step.state) {
				t.Errorf("check %d: %s is %g", i, state, got)
			}
		}
	}
	if testutil.ToFloat64(watch.connectors.WithLabelValues("other", absent)) != 1 || testutil.ToFloat64(watch.up) != 1 {
		t.Error("an absent connector is not shown")
	}
	client.url = "http://127.0.0.1:1"
	watch.check(t.Context(), now)
	if n, err := testutil.GatherAndCount(registry, "ecupcakes_connect_task_state", "ecupcakes_connect_connector_state"); testutil.ToFloat64(watch.up) != 0 || n != 0 || err != nil {
		t.Errorf("without a worker %d states are shown, %v", n, err)
	}
}

func TestStatusAsText(t *testing.T) {
	s := Status{Connector: Part{State: running}, Tasks: []Task{{0, Part{State: running}}, {1, Part{State: failed, Trace: "x"}}}}
	if got := fmt.Sprint(s, s.Failures(), s.Running()); got != "RUNNING, task 0 RUNNING, task 1 FAILED [task 1: x] false" {
		t.Error(got)
	}
}
