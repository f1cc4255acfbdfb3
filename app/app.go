// Package app is the life cycle of the process. New checks the options, Start
// starts the chosen roles in order, and Stop stops them in the opposite order
// within bounded time.
//
// It does not look into messages or requests.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/ecupcakes/ecupcakes/gokaplus"
	"github.com/ecupcakes/ecupcakes/gokaplus/franz"
	"github.com/ecupcakes/ecupcakes/kafka"
	"github.com/ecupcakes/ecupcakes/kafka/embedded"
	"github.com/ecupcakes/ecupcakes/processors"
	"github.com/ecupcakes/ecupcakes/topology"
	"github.com/ecupcakes/ecupcakes/tracing"

	"github.com/prometheus/client_golang/prometheus"
)

// Options say which roles to run and where.
type Options struct {
	Line        topology.Line
	Kafka       kafka.Config  // The cluster; without brokers, an embedded broker runs.
	Data        string        // Directory of the embedded broker.
	KafkaListen string        // Address of the embedded broker, host:port.
	Session     time.Duration // Consumer-group session timeout: how long a processor may miss heartbeats before its partitions are reassigned.
	Partitions  int32         // Partitions of each topic of the line, a power of two.
	Instance    string        // Static membership ID: stable across restarts, unique among live instances; empty for dynamic membership.
	API         bool          // Run the role api: HTTP, the hub and the web client.
	Listen      string        // Address of the role api, host:port.
	Stages      []string      // Stages whose processors run in this process; nil for none.
	MaxDead     float64       // Ratio of dead letters among a stage's events, 0 to 1, above which the process is not ready.
	Expiry      time.Duration // How long an order is kept after it has left the line; 0 keeps it. The role api applies it.
	ClaimTTL    time.Duration // How long a claim outlives the last screen of its person.
	Version     string
	Traces      tracing.Exporter     // Receives the traces of orders; nil for none. Stop closes it.
	Monitor     string               // Separate address for /metrics, /healthz and /readyz, host:port; empty for none.
	Registry    *prometheus.Registry // Registry of the metrics; nil for a new one.
	Log         *slog.Logger
}

// Addresses are the addresses of a started process.
type Addresses struct {
	URL     string `json:"url,omitempty"`
	Kafka   string `json:"kafka"`
	Monitor string `json:"monitor,omitempty"`
}

// Bounds of the steps of a start and a stop. While the brokers answer, a stop
// takes milliseconds; without them, the bounds add up to less than 15 s.
const (
	reachTimeout = time.Minute     // Wait for a cluster that answers and has the topics.
	drainTimeout = 4 * time.Second // Wait for requests and screens to end.
	viewsTimeout = 2 * time.Second // Wait for the views, which have nothing to finish.
	stopTimeout  = 6 * time.Second // Wait for the processors to finish the messages in flight.
	leaveTimeout = time.Second     // Wait for a processor to leave its group.
)

// Defaults of group.min.session.timeout.ms and group.max.session.timeout.ms.
const (
	minSession = 6 * time.Second
	maxSession = 30 * time.Minute
)

// minClaimTTL is the shortest TTL of a claim; below it, renewals would cost more
// messages than the claim is worth.
const minClaimTTL = time.Second

// App is one process of the program. Its methods may be called by any number of
// goroutines.
type App struct {
	Options
	stages *processors.Metrics
	goka   gokaplus.Options
	admin  *kafka.Admin
	trace  *tracing.Tracer // Nil if no traces are exported.
	addr   Addresses
	failed chan error // Capacity 1; the first failure for good.

	// life serialises Start and Stop: a Stop during a Start waits for it, so that
	// it undoes every step that was taken.
	life  sync.Mutex
	stops stack

	mu    sync.Mutex // Guards parts: /metrics and /readyz read them while Start adds to them.
	parts []part
}

// New returns a process with the options, which starts nothing. Its error says
// which option is wrong and what to do.
func New(o Options) (*App, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	if o.Registry == nil {
		o.Registry = prometheus.NewRegistry()
	}
	o.Kafka.Metrics = kafka.NewMetrics(o.Registry)
	return &App{Options: o, failed: make(chan error, 1)}, nil
}

// Run starts a process, calls started once it listens, and stops it when ctx
// ends or a part of it fails for good. It returns nil if all parts stopped
// cleanly. What can be tried again is tried again and is no failure.
func Run(ctx context.Context, o Options, started func(Addresses)) error {
	a, err := New(o)
	if err != nil {
		return err
	}
	if err := a.Start(ctx); err != nil {
		return err
	}
	started(a.Addr())
	select {
	case <-ctx.Done():
	case err = <-a.Failed():
	}
	return errors.Join(err, a.Stop())
}

// Start starts the roles and returns once all of them listen. Until ctx ends, and
// for a minute at most, it waits for the Kafka cluster. If a step fails, the
// steps before it are undone and the error says why. Start must be called once.
func (a *App) Start(ctx context.Context) (err error) {
	a.life.Lock()
	defer a.life.Unlock()
	defer func() {
		if err != nil {
			err = errors.Join(err, a.stops.unwind())
		}
	}()
	tuneMemory()
	if err := a.startKafka(ctx); err != nil {
		return err
	}
	newMetrics(a.Registry, a.Options, a.goka.Progress, a.supervised)
	a.startTraces()
	a.startProcessors() // They stop after the API, so that they finish what it has accepted.
	if a.Monitor != "" {
		if err := a.startMonitor(); err != nil {
			return err
		}
	}
	if a.API {
		return a.startAPI()
	}
	return nil
}

// Addr returns the addresses of a process that has started.
func (a *App) Addr() Addresses { return a.addr }

// Failed returns a channel that receives the reason when a part of the process
// has failed for good. The caller is to Stop the process.
func (a *App) Failed() <-chan error { return a.failed }

// Stop stops all parts in the opposite order of their start. It takes
// milliseconds while the brokers answer, and less than 15 s if they do not. A
// second call does nothing. The error joins those of all steps.
func (a *App) Stop() error {
	a.life.Lock()
	defer a.life.Unlock()
	return a.stops.unwind()
}

// startKafka starts the embedded broker unless a cluster is named, waits for
// the brokers and makes sure that the line's topics exist.
func (a *App) startKafka(ctx context.Context) error {
	embeds := len(a.Kafka.Brokers) == 0
	if embeds {
		broker, err := embedded.Start(a.Data, a.KafkaListen, a.Log)
		if err != nil {
			return err
		}
		a.stops.push("stopping the embedded broker", broker.Close)
		a.Kafka.Brokers = []string{broker.Addr()}
		if a.Instance == "" {
			a.Instance = "embedded" // The lock on the data directory makes it unique.
		}
	}
	admin, err := prepare(ctx, a.Options, embeds)
	if err != nil {
		return err
	}
	a.stops.push("closing the admin client", func() error { admin.Close(); return nil })
	a.admin = admin
	log := a.Log.With("from", "goka")
	a.goka = gokaplus.Options{
		InstanceID: a.Instance, Sarama: a.sarama, Logger: log,
		Producer: franz.ProducerBuilder(franz.Options{Client: a.Kafka.ClientOptions, Logger: log}),
		Progress: &gokaplus.Progress{},
	}
	a.addr.Kafka = strings.Join(a.Kafka.Brokers, ",")
	return nil
}

// prepare waits for the brokers and makes sure that the line's topics exist.
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

func (a *App) startTraces() {
	if a.Traces == nil {
		return
	}
	a.trace = tracing.New(a.Traces, a.Version, a.Instance)
	a.stops.push("exporting the last traces", func() error {
		ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
		defer cancel()
		if err := a.trace.Close(ctx); err != nil {
			a.Log.Warn("traces are lost", "error", err)
		}
		return nil
	})
}
