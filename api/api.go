// Package api is the HTTP door to the line: requests become commands, and queries
// are answered from the views. Its routes are derived from the topology, its
// OpenAPI document from the handlers. Errors are problem+json.
//
// The package does not import goka, sarama or hub.
package api

import (
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ecupcakes/ecupcakes/codecs"
	"github.com/ecupcakes/ecupcakes/commands"
	"github.com/ecupcakes/ecupcakes/ops/deadletters"
	"github.com/ecupcakes/ecupcakes/order"
	"github.com/ecupcakes/ecupcakes/topology"
	"github.com/ecupcakes/ecupcakes/tracing"
	"github.com/ecupcakes/ecupcakes/views"
	"github.com/ecupcakes/ecupcakes/views/freshness"
	"github.com/ecupcakes/ecupcakes/views/inventory"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/prometheus/client_golang/prometheus"
	swgui "github.com/swaggest/swgui/v5emb"
)

// Config is what the API needs of the rest of the program.
type Config struct {
	Line     topology.Line
	Menu     order.Menu
	Stock    *inventory.Stock // Which flavours cannot be made; nil means that all can be made.
	Views    *views.Views
	Letters  *deadletters.Letters
	Commands *commands.Commands
	Fresh    func(stage int) freshness.State // Lag of the views at a stage; nil means that they never lag.
	Ready    func() error                    // Returns why the process cannot serve, for /readyz.
	Registry *prometheus.Registry
	Log      *slog.Logger
	Patience time.Duration   // How long a request for the dead letters waits; 0 means 5 s.
	Stopping context.Context // Ends when the program stops; long polls are answered then. May be nil.
	Version  string
	Trace    *tracing.Tracer // May be nil.
}

// maxBody bounds the body of a request, in bytes.
const maxBody = 64 << 10

// patience is how long a request for the dead letters waits for Kafka.
const patience = 5 * time.Second

// maxWaits bounds the requests that wait for an order or the menu to change;
// beyond it they are answered without waiting.
const maxWaits = 10_000

type api struct {
	Config
	aside   chan struct{} // Capacity maxLetters; one value for each request about dead letters.
	waits   chan struct{} // Capacity maxWaits; one value for each request that waits for a change.
	seconds *prometheus.HistogramVec
}

// New returns the handler of everything under /api/ and of /healthz, /readyz,
// /metrics, /openapi.json and /docs; see Owns.
func New(c Config) http.Handler {
	_, handler, _ := build(c)
	return handler
}

// Document returns the OpenAPI document of a line's API, as JSON.
func Document(line topology.Line) ([]byte, error) {
	_, _, doc := build(Config{Line: line, Menu: order.DefaultMenu, Registry: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler)})
	return json.MarshalIndent(doc, "", "  ")
}

// Owns reports whether the API serves the path.
func Owns(path string) bool {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	switch first {
	case "api", "openapi.json", "docs":
		return true
	}
	return slices.Contains(probePaths, first)
}

func build(c Config) (*api, http.Handler, *huma.OpenAPI) {
	if c.Fresh == nil {
		c.Fresh = func(int) freshness.State { return freshness.State{} }
	}
	if c.Stock == nil {
		c.Stock = inventory.New(c.Menu, c.Log)
	}
	c.Patience = cmp.Or(c.Patience, patience)
	a := &api{Config: c, aside: make(chan struct{}, maxLetters), waits: make(chan struct{}, maxWaits)}
	if a.Stopping == nil {
		a.Stopping = context.Background()
	}
	a.seconds = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:                            "ecupcakes_http_request_duration_seconds",
		Help:                            "Duration of HTTP requests, by operation and status code; long polls count in full.",
		Buckets:                         []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		NativeHistogramBucketFactor:     1.1,
		NativeHistogramMaxBucketNumber:  100,
		NativeHistogramMinResetDuration: time.Hour,
	}, []string{"operation", "code"})
	c.Registry.MustRegister(a.seconds)

	mux := http.NewServeMux()
	config := huma.DefaultConfig("eCupcakes", c.Version)
	config.Info.Description = "Order cupcakes and walk them through the factory. Errors are application/problem+json."
	config.OpenAPIPath, config.DocsPath, config.SchemasPath = "", "", ""
	config.CreateHooks = nil // No $schema links in answers.
	h := humago.New(mux, config)
	h.UseMiddleware(a.measure)
	a.register(h)

	probes := Probes(c.Registry, func() error { return a.Ready() })
	for _, path := range probePaths {
		mux.Handle("GET /"+path, probes)
	}
	document, err := json.Marshal(h.OpenAPI())
	if err != nil {
		panic("the API's own description cannot be written: " + err.Error())
	}
	mux.HandleFunc("GET /openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/openapi+json")
		_, _ = w.Write(document)
	})
	mux.Handle("GET /docs/", swgui.New("eCupcakes", "/openapi.json", "/docs/"))
	mux.Handle("GET /docs", http.RedirectHandler("/docs/", http.StatusMovedPermanently))
	return a, a.guard(mux), h.OpenAPI()
}

func (a *api) register(h huma.API) {
	command := func(id, path, summary string) huma.Operation {
		return huma.Operation{
			OperationID: id, Method: http.MethodPost, Path: "/api/v1" + path, Summary: summary, MaxBodyBytes: maxBody,
			DefaultStatus: http.StatusOK, Errors: []int{400, 404, 409, 413, 422, 503}, Tags: []string{"commands"},
		}
	}
	query := func(id, path, summary string, errors ...int) huma.Operation {
		return huma.Operation{
			OperationID: id, Method: http.MethodGet, Path: "/api/v1" + path, Summary: summary,
			Errors: append(errors, 503), Tags: []string{"queries"},
		}
	}
	place := command("place", "/order", "Place an order")
	place.DefaultStatus, place.Errors = http.StatusCreated, []int{400, 409, 413, 422, 503}
	huma.Register(h, place, a.place)
	for i, s := range a.Line.Stages {
		op := command(s.Verb, "/order/"+s.Verb, s.Label+": "+s.Name+" is finished with an order")
		op.RequestBody = stepSchema(s)
		huma.Register(h, op, func(ctx context.Context, in *reportInput) (*orderOutput, error) { return a.finish(ctx, i, in) })
	}
	reject := command("reporterror", "/order/reporterror", "REJECT: the order cannot be made and leaves the line at its present stage")
	reject.RequestBody = rejectSchema()
	huma.Register(h, reject, a.reject)

	claim := command("claim", "/order/claim", "Claim an order at its present stage: nobody else can finish it there until the claim expires")
	release := command("release", "/order/release", "Release a claim")
	claim.RequestBody, release.RequestBody = claimSchema(), claimSchema()
	huma.Register(h, claim, a.claim)
	huma.Register(h, release, a.release)

	again := command("remake", "/order/remake", "Place a rejected order once more, as a new order; a second call returns the same new order")
	again.DefaultStatus, again.RequestBody = http.StatusCreated, claimSchema()
	huma.Register(h, again, a.remake)

	few := huma.Middlewares{a.limit(h, a.aside)}
	requeue := command("requeuedeadletter", "/deadletters/{id}/requeue",
		"Requeue a dead letter: send its message to its original topic once more")
	drop := command("dropdeadletter", "/deadletters/{id}/drop", "Drop a dead letter: its message is not needed")
	letters := query("deadletters", "/deadletters", "Dead letters: messages that the line could not process, oldest first", 422)
	letter := query("deadletter", "/deadletters/{id}", "A dead letter with its message", 404, 422)
	requeue.Middlewares, drop.Middlewares, letters.Middlewares, letter.Middlewares = few, few, few, few
	huma.Register(h, requeue, a.resolve(deadletters.Requeued))
	huma.Register(h, drop, a.resolve(deadletters.Dropped))
	huma.Register(h, letters, a.letters)
	huma.Register(h, letter, a.letter)

	huma.Register(h, query("order", "/order/{id}", "An order and its history", 404), a.get)
	huma.Register(h, query("estimate", "/order/{id}/estimate",
		"When an order is expected to be shipped, estimated from recent orders", 404, 409), a.estimate)
	huma.Register(h, query("orders", "/orders", "All orders, newest first", 422), a.list)
	huma.Register(h, query("stations", "/stations", "The stages of the line and their queues"), a.stations)
	huma.Register(h, query("queue", "/stations/{stage}/orders", "The orders that wait at a stage, oldest first", 404), a.queue)
	huma.Register(h, query("stats", "/stats", "Figures of each stage, now and over the last hours", 422), a.stats)
	huma.Register(h, query("board", "/board", "The board for customers: orders that are almost ready, and orders that are ready"), a.board)
	huma.Register(h, query("menu", "/menu", "What can be ordered, and its ingredients"), a.menu)
}

// limit answers 503 when all slots are taken.
func (a *api) limit(h huma.API, slots chan struct{}) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
			next(ctx)
		default:
			ctx.SetHeader("Retry-After", "1")
			p := busy()
			ctx.SetHeader("Content-Type", p.ContentType(""))
			ctx.SetStatus(p.Status)
			_ = json.NewEncoder(ctx.BodyWriter()).Encode(p) // The error means that the client has hung up.
		}
	}
}

func (a *api) measure(ctx huma.Context, next func(huma.Context)) {
	start := time.Now()
	if a.Trace != nil {
		ctx = huma.WithContext(ctx, tracing.From(ctx.Context(), ctx.Header(codecs.TraceHeader)))
	}
	next(ctx)
	a.seconds.WithLabelValues(ctx.Operation().OperationID, strconv.Itoa(ctx.Status())).Observe(time.Since(start).Seconds())
}

// guard wraps the routes. It refuses commands from pages of other sites, answers
// a panic with 500, and gives 404 and 405 the form of a problem.
func (a *api) guard(mux *http.ServeMux) http.Handler {
	protection := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if p := recover(); p != nil && p != http.ErrAbortHandler {
				a.Log.Error("a request panicked", "path", r.URL.Path, "panic", p, "stack", string(debug.Stack()))
				broken().write(w)
			}
		}()
		if err := protection.Check(r); err != nil {
			problem("cross-origin", http.StatusForbidden, "A page of another site cannot send commands here.").write(w)
			return
		}
		if _, pattern := mux.Handler(r); pattern == "" {
			missed(mux, w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// missed turns the router's own plain-text 404 and 405 into problems.
func missed(mux *http.ServeMux, w http.ResponseWriter, r *http.Request) {
	probe := &statusProbe{header: http.Header{}}
	mux.ServeHTTP(probe, r)
	if probe.status == http.StatusMethodNotAllowed {
		allow := probe.header.Get("Allow")
		w.Header().Set("Allow", allow)
		problem("method-not-allowed", probe.status, "%s is not for this path: use %s.", r.Method, allow).write(w)
		return
	}
	problem("not-found", http.StatusNotFound, "There is nothing at this path: see /docs.").write(w)
}

type statusProbe struct {
	header http.Header
	status int
}

func (p *statusProbe) Header() http.Header         { return p.header }
func (p *statusProbe) WriteHeader(status int)      { p.status = status }
func (p *statusProbe) Write(b []byte) (int, error) { return len(b), nil }
