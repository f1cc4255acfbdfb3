// Package app is the life of the process: it starts the chosen roles in order,
// runs them until it is told to stop or one of them fails, and stops them in
// the opposite order within bounded time.
//
// It never looks into a message or a request.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ecupcakes/ecupcakes/api"
	"github.com/ecupcakes/ecupcakes/gokaplus"
	"github.com/ecupcakes/ecupcakes/hub"
	"github.com/ecupcakes/ecupcakes/hub/screengroups"
	"github.com/ecupcakes/ecupcakes/kafka"
	"github.com/ecupcakes/ecupcakes/kafka/embedded"
	"github.com/ecupcakes/ecupcakes/ops/deadletters"
	"github.com/ecupcakes/ecupcakes/order"
	"github.com/ecupcakes/ecupcakes/processors"
	"github.com/ecupcakes/ecupcakes/topology"
	"github.com/ecupcakes/ecupcakes/tracing"
	"github.com/ecupcakes/ecupcakes/upkeep/claims"
	"github.com/ecupcakes/ecupcakes/upkeep/expiry"
	"github.com/ecupcakes/ecupcakes/views"
	"github.com/ecupcakes/ecupcakes/views/forecast"
	"github.com/ecupcakes/ecupcakes/views/freshness"
	"github.com/ecupcakes/ecupcakes/views/inventory"
	"github.com/ecupcakes/ecupcakes/web"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"
	"github.com/prometheus/client_golang/prometheus"
)

// Options say what to run and where.
type Options struct {
	Line        topology.Line
	Kafka       kafka.Config  // Without brokers, an embedded one runs.
	Data        string        // Directory of the embedded broker.
	KafkaListen string        // Address of the embedded broker, host:port.
	Session     time.Duration // After which a processor that is not heard of is taken for dead.
	Partitions  int32         // Of each topic of the line, a power of two.
	Instance    string        // Static membership: stable and unique for each live instance; empty for none.
	API         bool          // Serve HTTP, the hub and the web client.
	Listen      string        // Their address, host:port.
	Stages      []string      // Whose processors run here; nil for none.
	MaxDead     float64       // The share of a stage's events, 0 to 1, that may become dead letters before this process is not ready.
	Expiry      time.Duration // How long after it was finished an order is forgotten; 0 is never. The API does it.
	ClaimTTL    time.Duration // How long a claim holds once its person's screens have gone.
	Version     string
	Traces      tracing.Exporter     // Where traces of orders go; nil for none. Run closes it.
	Monitor     string               // Address of /metrics, /healthz and /readyz of their own, host:port; empty for none.
	Registry    *prometheus.Registry // Of the metrics; nil for a new one.
	Log         *slog.Logger
	Started     func(Addresses) // Called once everything listens; may be nil.
}

// Addresses are where a started process can be reached.
type Addresses struct {
	URL     string `json:"url,omitempty"`
	Kafka   string `json:"kafka"`
	Monitor string `json:"monitor,omitempty"`
}

// How long the steps of a start and a stop may take. With the brokers at hand a
// stop takes milliseconds; without them, these add up to less than 15 s.
const (
	reachTimeout = time.Minute     // Until a cluster answers and has its topics.
	drainTimeout = 4 * time.Second // For requests and screens to end.
	viewsTimeout = 2 * time.Second // For the views, which have nothing to finish.
	stopTimeout  = 6 * time.Second // For the processors to finish what is in flight.
	leaveTimeout = time.Second     // For a processor to leave its group.
)

// The limits of brokers that are not told otherwise.
const (
	minSession = 6 * time.Second
	maxSession = 30 * time.Minute
)

// minLapse is the least time for which a claim is worth its messages.
const minLapse = time.Second

// Run runs the roles until ctx ends, and returns nil if all of them stopped
// cleanly. It returns early, with the reason, when one of them cannot start or
// fails for good; what can be tried again is tried again.
func Run(ctx context.Context, o Options) (err error) {
	if err := o.validate(); err != nil {
		return err
	}
	tuneMemory()
	if o.Registry == nil {
		o.Registry = prometheus.NewRegistry()
	}
	o.Kafka.Metrics = kafka.NewMetrics(o.Registry)
	var stops stack
	defer func() { err = errors.Join(err, stops.unwind()) }()

	instance, embeds := o.Instance, len(o.Kafka.Brokers) == 0
	if embeds {
		embedded, err := embedded.Start(o.Data, o.KafkaListen, o.Log)
		if err != nil {
			return err
		}
		stops.push("stopping the embedded broker", embedded.Close)
		o.Kafka.Brokers = []string{embedded.Addr()}
		if instance == "" {
			instance = "embedded" // The lock on the data directory makes it unique.
		}
	}
	admin, err := prepare(ctx, o, embeds)
	if err != nil {
		return err
	}
	stops.push("closing the admin client", func() error { admin.Close(); return nil })

	p := &process{
		Options: o, admin: admin, failed: make(chan error, 1),
		goka: gokaplus.Options{
			InstanceID: instance, Sarama: o.sarama, Kgo: o.Kafka.Client(), Logger: o.Log.With("from", "goka"),
			Progress: &gokaplus.Progress{},
		},
	}
	newMetrics(o.Registry, o, p.goka.Progress, p.supervised)

	// The processors stop last, so that what the API has taken on is worked off.
	if o.Traces != nil {
		p.trace = tracing.New(o.Traces, o.Version, instance)
		stops.push("exporting the last traces", func() error {
			ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
			defer cancel()
			if err := p.trace.Close(ctx); err != nil {
				o.Log.Warn("traces are lost", "error", err)
			}
			return nil
		})
	}
	p.startProcessors(&stops)
	addresses := Addresses{Kafka: strings.Join(o.Kafka.Brokers, ",")}
	if o.Monitor != "" {
		if addresses.Monitor, err = p.startMonitor(&stops); err != nil {
			return err
		}
	}
	if o.API {
		if addresses.URL, err = p.startAPI(&stops); err != nil {
			return err
		}
	}
	if o.Started != nil {
		o.Started(addresses)
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-p.failed:
		return err
	}
}

func (o *Options) sarama(c *sarama.Config) {
	o.Kafka.Sarama(c)
	c.Consumer.Group.Session.Timeout = o.Session
}

func (o *Options) validate() error {
	if err := o.Line.Validate(); err != nil {
		return fmt.Errorf("the line is wrong: %w", err)
	}
	if o.Partitions < 1 || o.Partitions > 1024 || o.Partitions&(o.Partitions-1) != 0 {
		return fmt.Errorf("--partitions %d is not a power of two from 1 to 1024", o.Partitions)
	}
	for _, s := range o.Stages {
		if o.Line.Index(s) < 0 {
			return fmt.Errorf("there is no stage %q: the line has %s", s, strings.Join(o.Line.Names(), ", "))
		}
	}
	if o.Session < minSession || o.Session > maxSession {
		return fmt.Errorf("--session-timeout %s is not between %s and %s, which brokers accept", o.Session, minSession, maxSession)
	}
	if o.MaxDead < 0 || o.MaxDead > 1 {
		return fmt.Errorf("--max-dead %g is not a share from 0 to 1", o.MaxDead)
	}
	if o.Expiry < 0 {
		return fmt.Errorf("--expiry %s is negative: give how long finished orders are kept, or 0 for ever", o.Expiry)
	}
	if o.ClaimTTL < minLapse {
		return fmt.Errorf("--claim-lapse %s is less than %s: a claim must outlast a hiccup of the network", o.ClaimTTL, minLapse)
	}
	if !o.API && len(o.Stages) == 0 {
		return errors.New("there is nothing to run: choose a role")
	}
	if len(o.Kafka.Brokers) == 0 {
		o.Data = filepath.Clean(o.Data)
		return nil
	}
	return o.Kafka.Validate()
}

// prepare waits for the cluster, or the embedded broker, and sees to it that it
// has the line's topics.
func prepare(ctx context.Context, o Options, embedded bool) (*kafka.Admin, error) {
	admin, err := kafka.NewAdmin(o.Kafka)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	if err := ensureTopics(ctx, admin, o, embedded); err != nil {
		admin.Close()
		return nil, err
	}
	return admin, nil
}

func ensureTopics(ctx context.Context, admin *kafka.Admin, o Options, embedded bool) error {
	brokers, err := admin.WaitForBrokers(ctx)
	if err != nil {
		return err
	}
	needed := kafka.RequiredTopics(o.Line, o.Partitions, brokers)
	if embedded {
		kafka.DisableRetention(needed)
	}
	findings, err := admin.Check(ctx, needed)
	if err != nil {
		return err
	}
	var wrong []error
	missing := false
	for _, f := range findings {
		if f.Missing {
			missing = true
		} else {
			wrong = append(wrong, fmt.Errorf("topic %s %s", f.Topic, f.What))
		}
	}
	if err := errors.Join(wrong...); err != nil {
		return err
	}
	if !missing {
		return nil
	}
	return admin.Apply(ctx, needed)
}

// process is what the started roles share.
type process struct {
	Options
	goka   gokaplus.Options
	admin  *kafka.Admin
	failed chan error // Capacity 1; the first failure for good.
	stages *processors.Metrics
	trace  *tracing.Tracer // nil for none.

	mu    sync.Mutex
	parts []part
}

// supervised are the parts that have been started.
func (p *process) supervised() []part {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.parts)
}

func (p *process) fail(err error) {
	select {
	case p.failed <- err:
	default:
	}
}

// supervise runs what build makes until stop is called, which then waits for
// the ShutdownTimeout at most. The process is not ready without it.
func (p *process) supervise(kind, stage string, s gokaplus.Supervision, build func(context.Context) (gokaplus.Runner, error)) (stop func() error) {
	of := part{kind, stage, &gokaplus.Health{}}
	p.mu.Lock()
	p.parts = append(p.parts, of)
	p.mu.Unlock()
	s.Health = of.health
	return p.keep(of.name(), s, build)
}

// keep is supervise for what the process can do without.
func (p *process) keep(name string, s gokaplus.Supervision, build func(context.Context) (gokaplus.Runner, error)) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	s.Logger, s.MaxBackoff = p.Log, 10*time.Second
	done := make(chan error, 1)
	go func() {
		err := gokaplus.Supervise(ctx, name, build, s)
		if err != nil {
			p.fail(err)
		}
		done <- err
	}()
	return func() error {
		cancel()
		return <-done
	}
}

func (p *process) startProcessors(stops *stack) {
	p.stages = processors.NewMetrics(p.Registry)
	var all []func() error
	for i, s := range p.Line.Stages {
		if !slices.Contains(p.Stages, s.Name) {
			continue
		}
		stop := p.supervise("processor", s.Name, gokaplus.Supervision{
			ShutdownTimeout: stopTimeout, Progress: p.goka.Progress, Group: goka.Group(s.Group()),
		}, func(context.Context) (gokaplus.Runner, error) {
			return gokaplus.NewProcessor(p.Kafka.Brokers, processors.Graph(p.Line, i, p.Partitions, processors.Instruments{Metrics: p.stages, Log: p.Log, Trace: p.trace}), p.goka, processors.Options()...)
		})
		all = append(all, func() error {
			defer p.leave(s.Group())
			return stop()
		})
	}
	stops.push("stopping the processors", together(all))
}

// leave has the other instances take over at once what this one was working on:
// nobody knows whether it will be back. Whoever comes back after a crash, without
// having left, takes its partitions up again instead.
func (p *process) leave(group string) {
	if p.goka.InstanceID == "" {
		return // A dynamic member has left by itself.
	}
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	if err := p.admin.Leave(ctx, group, p.goka.InstanceID); err != nil {
		p.Log.Warn("others take over only after the end of the session", "error", err)
	}
}

// together calls all functions at the same time.
func together(all []func() error) func() error {
	return func() error {
		errs := make([]error, len(all))
		var wg sync.WaitGroup
		for i, f := range all {
			wg.Go(func() { errs[i] = f() })
		}
		wg.Wait()
		return errors.Join(errs...)
	}
}

func (p *process) startAPI(stops *stack) (url string, err error) {
	listener, err := listen(p.Listen, "--listen", stops)
	if err != nil {
		return "", err
	}
	producer, err := kafka.NewProducer(p.Kafka)
	if err != nil {
		return "", err
	}
	stops.push("closing the producer", func() error { producer.Close(); return nil })

	letters, err := deadletters.Open(p.Kafka, p.Line)
	if err != nil {
		return "", err
	}
	stops.push("closing the dead letters", func() error { letters.Close(); return nil })

	known := views.New(p.Line, p.Log)
	var all []func() error
	for i, s := range p.Line.Stages {
		all = append(all, p.supervise("view", s.Name, gokaplus.Supervision{ShutdownTimeout: viewsTimeout}, func(ctx context.Context) (gokaplus.Runner, error) {
			return known.View(ctx, i, p.Kafka.Brokers, p.admin.EndOffsets, p.goka)
		}))
	}
	stock := inventory.New(order.DefaultMenu, p.Log)
	if p.Line.Ingredients != "" {
		all = append(all, p.keep("view of "+p.Line.Ingredients, gokaplus.Supervision{ShutdownTimeout: viewsTimeout}, func(context.Context) (gokaplus.Runner, error) {
			return stock.View(p.Line.Ingredients, p.Kafka.Brokers, p.goka)
		}))
	}
	stops.push("stopping the views", func() error {
		if err := together(all)(); !errors.Is(err, gokaplus.ErrAbandoned) { // Nothing is lost with a view that hangs on a broker.
			return err
		}
		return nil
	})

	p.Registry.MustRegister(views.Metrics{Views: known})
	fresh := freshness.New(freshness.Options{
		Line: p.Line, Ranges: p.admin.AllRanges, Ends: p.admin.AllEndOffsets, Groups: p.admin.Groups, Views: known, Log: p.Log,
	})
	p.Registry.MustRegister(freshness.Metrics{Monitor: fresh})
	stops.background("the measuring of freshness", fresh.Run)
	stopping, stopWaits := context.WithCancel(context.Background())
	stops.push("ending the waits for orders", func() error { stopWaits(); return nil })
	handler, methods := api.New(api.Config{
		Stopping: stopping,
		Line:     p.Line, Menu: order.DefaultMenu, Stock: stock, Views: known, Letters: letters, Send: producer.Send, Registry: p.Registry, Log: p.Log, ClaimTTL: p.ClaimTTL, Version: p.Version, Trace: p.trace,
		Fresh: fresh.Of,
		Ready: func() error { return errors.Join(known.Ready(), p.unhealthy()) },
	})

	var screens *hub.Hub
	groups := screengroups.New(p.Kafka, func(group, topic string, s screengroups.Assignment) {
		screens.Shared(group, topic, s.Partitions, s.People, s.Joined)
	})
	stops.push("leaving the consumer groups of screens", func() error { groups.Close(); return nil })
	screens, err = hub.New(api.Screens(p.Line, known, p.trace), api.Stations(p.Line), p.Log, hub.Options{
		Groups:    groups,
		Partition: func(id string) int32 { return gokaplus.Partition([]byte(id), int(p.Partitions)) },
		Freshness: api.Freshness(p.Line, fresh.Of),
		Methods:   methods,
	})
	if err != nil {
		return "", err
	}
	p.Registry.MustRegister(hub.Metrics{Hub: screens})
	hubCtx, cancel := context.WithCancel(context.Background())
	hubDone := make(chan error, 1)
	go func() {
		err := screens.Run(hubCtx)
		if err != nil {
			p.fail(err)
		}
		hubDone <- err
	}()
	stops.push("stopping the hub", func() error { cancel(); return <-hubDone })

	stops.background("the upkeep of claims", func(ctx context.Context) {
		claims.Run(ctx, claims.Options{Line: p.Line, TTL: p.ClaimTTL, Views: known, Present: screens.Present, Send: producer.Send, Log: p.Log})
	})
	if p.Expiry > 0 {
		stops.background("the expiry of orders", func(ctx context.Context) {
			expiry.Run(ctx, expiry.Options{
				Line: p.Line, After: p.Expiry, Views: known, Ends: p.admin.EndOffsets, Committed: p.admin.Committed, Send: producer.Send, Log: p.Log,
			})
		})
	}

	accuracy := forecast.NewAccuracy(known, p.Registry)
	stops.background("the accuracy of estimates", accuracy.Run)

	client := web.Handler()
	server := p.serve(listener, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == hub.Path || strings.HasPrefix(r.URL.Path, hub.Path+"/"):
			screens.ServeHTTP(w, r)
		case api.Owns(r.URL.Path):
			handler.ServeHTTP(w, r)
		default:
			client.ServeHTTP(w, r)
		}
	})
	server.RegisterOnShutdown(stopWaits)
	stops.push("draining HTTP", func() error {
		ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
		defer cancel()
		return errors.Join(screens.Shutdown(ctx), server.Shutdown(ctx))
	})
	return "http://" + listener.Addr().String(), nil
}

// startMonitor serves /metrics, /healthz and /readyz on an address of their own,
// for a process that has no API or whose API is open to others than those who
// watch it.
func (p *process) startMonitor(stops *stack) (url string, err error) {
	listener, err := listen(p.Monitor, "--monitor", stops)
	if err != nil {
		return "", err
	}
	server := p.serve(listener, api.Probes(p.Registry, p.unhealthy).ServeHTTP)
	stops.push("closing /metrics", func() error {
		ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
		defer cancel()
		return server.Shutdown(ctx)
	})
	return "http://" + listener.Addr().String(), nil
}

func listen(address, flag string, stops *stack) (net.Listener, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listening for HTTP: %w; choose another address with %s", err, flag)
	}
	stops.push("closing the HTTP listener", func() error { return ignoreClosed(listener.Close()) })
	return listener, nil
}

// serve answers HTTP until the server is shut down.
func (p *process) serve(listener net.Listener, handler http.HandlerFunc) *http.Server {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      time.Minute, // Longer than any wait for an order.
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(p.Log.Handler(), slog.LevelDebug),
	}
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			p.fail(fmt.Errorf("serving HTTP: %w", err))
		}
	}()
	return server
}

// unhealthy says which of the supervised parts do not run, and which stages put
// away too much of what they get.
func (p *process) unhealthy() error {
	var errs []error
	for _, n := range p.supervised() {
		switch s := n.health.Status(); s.State {
		case gokaplus.Running:
		case gokaplus.Recovering:
			errs = append(errs, fmt.Errorf("%s is %s: %d %% of its table is read", n.name(), s.State, s.RecoveredPercent))
		case gokaplus.Stalled:
			first := s.Stalled[0]
			errs = append(errs, fmt.Errorf("%s is %s: %d events wait in partition %d of %s and none is finished", n.name(), s.State, first.Lag(), first.Partition, first.Topic))
		default:
			errs = append(errs, fmt.Errorf("%s is %s", n.name(), s.State))
		}
	}
	return errors.Join(append(errs, p.stages.Healthy(p.MaxDead))...)
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// stack holds what has to be undone, last in, first out.
type stack []step

type step struct {
	name string
	undo func() error
}

// background runs f beside everything else; its ctx ends when the stack is
// unwound, which waits for it.
func (s *stack) background(name string, f func(ctx context.Context)) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(ctx)
	}()
	s.push("stopping "+name, func() error { cancel(); <-done; return nil })
}

func (s *stack) push(name string, undo func() error) { *s = append(*s, step{name, undo}) }

func (s *stack) unwind() error {
	var errs []error
	for _, step := range slices.Backward(*s) {
		if err := step.undo(); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", step.name, err))
		}
	}
	return errors.Join(errs...)
}
