package api_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ecupcakes/ecupcakes/api"
	"github.com/ecupcakes/ecupcakes/commands"
	"github.com/ecupcakes/ecupcakes/gokaplus"
	"github.com/ecupcakes/ecupcakes/gokaplus/franz"
	"github.com/ecupcakes/ecupcakes/hub"
	"github.com/ecupcakes/ecupcakes/hub/source"
	"github.com/ecupcakes/ecupcakes/kafka"
	"github.com/ecupcakes/ecupcakes/kafka/embedded"
	"github.com/ecupcakes/ecupcakes/order"
	"github.com/ecupcakes/ecupcakes/present"
	"github.com/ecupcakes/ecupcakes/processors"
	"github.com/ecupcakes/ecupcakes/topology"
	"github.com/ecupcakes/ecupcakes/views"
	"github.com/ecupcakes/ecupcakes/views/inventory"

	"github.com/prometheus/client_golang/prometheus"
)

// deadline bounds every wait for what must happen, impatience those for what
// cannot.
const (
	deadline   = 30 * time.Second
	impatience = 200 * time.Millisecond
	partitions = 2
)

var (
	line  = topology.Cupcakes
	quiet = slog.New(slog.DiscardHandler)
)

// factory is the line with real processors, views and an embedded broker. Each
// stage's processor can be stopped and started.
type factory struct {
	url, impatient string                // Where commands wait as long as it takes, and where they give up soon.
	hasty          string                // Where claims lapse soon.
	methods        map[string]hub.Method // What screens of url can call.
	send           func(ctx context.Context, topic, key string, value []byte) error
	views          *views.Views
	goka           gokaplus.Options
	brokers        []string
	metrics        *processors.Metrics
	stages         []func() // What stops each stage.
}

// startKafka starts an embedded broker with the line's topics.
func startKafka(t *testing.T) (kafka.Config, *kafka.Admin) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	embedded, err := embedded.Start(t.TempDir(), "127.0.0.1:0", quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := embedded.Close(); err != nil {
			t.Error(err)
		}
	})
	config := kafka.Config{Brokers: []string{embedded.Addr()}}
	admin, err := kafka.NewAdmin(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(admin.Close)
	if err := admin.Apply(ctx, kafka.RequiredTopics(line, partitions, 1)); err != nil {
		t.Fatal(err)
	}
	return config, admin
}

func open(t *testing.T) *factory {
	t.Helper()
	config, admin := startKafka(t)
	producer, err := kafka.NewProducer(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(producer.Close)
	f := &factory{
		views: views.New(line, quiet), goka: gokaplus.Options{Sarama: config.Sarama, Producer: franz.ProducerBuilder(franz.Options{Client: config.ClientOptions}), Logger: quiet},
		brokers: config.Brokers, metrics: processors.NewMetrics(prometheus.NewRegistry()), stages: make([]func(), len(line.Stages)),
	}
	for i := range line.Stages {
		t.Cleanup(supervise(t, "view", func(ctx context.Context) (gokaplus.Runner, error) {
			return f.views.View(ctx, i, f.brokers, admin.EndOffsets, f.goka)
		}))
		f.start(t, i)
		t.Cleanup(func() { f.stages[i]() })
	}
	stock := inventory.New(order.DefaultMenu, quiet)
	t.Cleanup(supervise(t, "stock", func(context.Context) (gokaplus.Runner, error) { return stock.View(line.Ingredients, f.brokers, f.goka) }))
	f.send = producer.Send
	var carries *commands.Commands
	f.url, carries = serve(t, commands.Config{Stock: stock, Views: f.views, Send: producer.Send, Patience: deadline})
	f.methods = source.Methods(carries, quiet)
	f.impatient, _ = serve(t, commands.Config{Views: f.views, Send: producer.Send, Patience: impatience})
	f.hasty, _ = serve(t, commands.Config{Views: f.views, Send: producer.Send, Patience: deadline, ClaimTTL: 2 * time.Second})
	eventually(t, "the views are ready", func() bool { return f.views.Ready() == nil })
	return f
}

func (f *factory) start(t *testing.T, stage int) {
	f.stages[stage] = supervise(t, line.Stages[stage].Name, func(context.Context) (gokaplus.Runner, error) {
		return gokaplus.NewProcessor(f.brokers, processors.Graph(line, stage, partitions, processors.Instruments{Metrics: f.metrics, Log: quiet}), f.goka, processors.Options()...)
	})
}

func supervise(t *testing.T, name string, build func(context.Context) (gokaplus.Runner, error)) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- gokaplus.Supervise(ctx, name, build, gokaplus.SuperviseOptions{})
		close(done)
	}()
	return func() {
		cancel()
		if err := <-done; err != nil { // The second time nil.
			t.Error(err)
		}
	}
}

// serve serves an API whose commands have the configuration, and returns its
// address and the commands.
func serve(t *testing.T, c commands.Config) (string, *commands.Commands) {
	c.Line, c.Menu, c.Log = line, order.DefaultMenu, quiet
	carries := commands.New(c)
	stock, _ := c.Stock.(*inventory.Stock)
	server := httptest.NewServer(api.New(api.Config{
		Line: line, Menu: order.DefaultMenu, Stock: stock, Views: c.Views, Commands: carries, Ready: c.Views.Ready,
		Registry: prometheus.NewRegistry(), Log: quiet, Version: "test",
	}))
	t.Cleanup(server.Close)
	return server.URL, carries
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(deadline); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after %s it is still not so: %s", deadline, what)
		}
	}
}

// answer is a response whose body has been read.
type answer struct {
	*http.Response
	body []byte
}

// call sends a request and wants the status; headers are pairs of name and
// value. Every error must be a complete problem.
func call(t *testing.T, status int, method, url, body string, headers ...string) answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	a := answer{response, b}
	if a.StatusCode != status {
		t.Fatalf("%s %s %.200s is answered with %d %s, want %d", method, url, body, a.StatusCode, a.body, status)
	}
	if status >= 400 {
		p := decode[problem](t, a)
		if kind := a.Header.Get("Content-Type"); kind != "application/problem+json" || p.Status != status ||
			p.Title != http.StatusText(status) || p.Detail == "" || !strings.HasPrefix(p.Type, "urn:ecupcakes:problem:") {
			t.Errorf("%s %s: %s is no problem: %s", method, url, kind, b)
		}
		if retry := a.Header.Get("Retry-After"); (status == http.StatusServiceUnavailable) != (retry != "") || retry == "0" {
			t.Errorf("%s %s: %d with Retry-After %q", method, url, status, retry)
		}
	}
	return a
}

// wantProblem is a call that is refused with this type of problem.
func wantProblem(t *testing.T, status int, kind, method, url, body string, headers ...string) problem {
	t.Helper()
	p := decode[problem](t, call(t, status, method, url, body, headers...))
	if p.Type != "urn:ecupcakes:problem:"+kind {
		t.Errorf("%s %s %.200s: the problem is %+v, want %s", method, url, body, p, kind)
	}
	return p
}

func decode[T any](t *testing.T, a answer) (v T) {
	t.Helper()
	if err := json.Unmarshal(a.body, &v); err != nil {
		t.Fatalf("reading %q: %v", a.body, err)
	}
	return v
}

// The answers, as far as these tests look at them.
type (
	problem struct {
		Type, Title, Detail string
		Status              int
		Errors              []struct {
			Message, Location string
			Value             any
		}
		Order *present.Order
	}
	placed struct {
		CorrelationID  string        `json:"correlationId"`
		Acknowledgment string        `json:"acknowledgment"`
		CreatedOn      time.Time     `json:"createdOn"`
		Order          present.Order `json:"order"`
	}
	page struct {
		Orders []present.Order `json:"orders"`
		Next   string          `json:"next"`
	}
	queue struct {
		Waiting int             `json:"waiting"`
		Orders  []present.Order `json:"orders"`
	}
)

const strawberry = `{"Order":{"Flavour":"Strawberry","Quantity":1,"Size":"M"}}`

// place places an order, waits until it is at the first station and returns
// its id.
func (f *factory) place(t *testing.T) string {
	t.Helper()
	id := decode[placed](t, call(t, 201, "POST", f.url+"/api/v1/order", strawberry)).CorrelationID
	call(t, 200, "GET", f.url+"/api/v1/order/"+id, "", "Prefer", "wait=30")
	return id
}

// report sends a command of a stage.
func (f *factory) report(t *testing.T, status int, verb, id, by string, headers ...string) answer {
	t.Helper()
	field := line.Stages[0].By()
	for _, s := range line.Stages {
		if s.Verb == verb {
			field = s.By()
		}
	}
	body, err := json.Marshal(map[string]any{"Order": map[string]string{"Id": id, field: by}})
	if err != nil {
		t.Fatal(err)
	}
	return call(t, status, "POST", f.url+"/api/v1/order/"+verb, string(body), headers...)
}
