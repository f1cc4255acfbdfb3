// Command ecupcakes is the whole factory in one binary. It turns flags, environment variables and
// signals into calls of the packages below and has no other logic.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/ecupcakes/ecupcakes/app"
	"github.com/ecupcakes/ecupcakes/gokaplus"
	"github.com/ecupcakes/ecupcakes/kafka"
	"github.com/ecupcakes/ecupcakes/topology"
	"github.com/ecupcakes/ecupcakes/tracing"

	"github.com/IBM/sarama"
	"github.com/alecthomas/kong"
)

type cli struct {
	Up          upCmd          `cmd:"" help:"Run everything in one process, with an embedded broker unless --brokers names a cluster."`
	Serve       serveCmd       `cmd:"" help:"Run selected roles on a cluster, for scaling out."`
	Topics      topicsCmd      `cmd:"" help:"Plan, create or check the topics that the line needs on a cluster, or print ACLs."`
	Deadletters deadlettersCmd `cmd:"" help:"List messages that the line could not process; requeue or drop them."`
	Doctor      doctorCmd      `cmd:"" help:"Diagnose the cluster and the line on it. Prints the impact and the fix of each problem."`
	Verify      verifyCmd      `cmd:"" help:"Audit the line from its topics: no order lost, doubled or wrong."`
	Migrate     migrateCmd     `cmd:"" help:"Move the data of a stopped embedded broker to a cluster."`
	Connect     connectCmd     `cmd:"" help:"Manage the Kafka Connect connectors that copy orders to MongoDB and read the inventory from it."`
	Load        loadCmd        `cmd:"" help:"Generate load: place orders through HTTP and, with --walk, finish them at every stage."`
	Topology    topologyCmd    `cmd:"" help:"Print the line as text, Mermaid or DOT."`
	Openapi     openapiCmd     `cmd:"" help:"Print the OpenAPI document of the HTTP API."`
	Health      healthCmd      `cmd:"" help:"Check whether a running process is ready; exit status 1 if not. For health checks of containers."`
	Version     versionCmd     `cmd:"" help:"Print the version."`

	LogLevel  slog.Level `help:"Lowest level that is logged: debug, info, warn or error." default:"warn" env:"ECUPCAKES_LOG_LEVEL"`
	LogFormat string     `help:"Format of the log: json, one object a line, or text." enum:"json,text" default:"json" env:"ECUPCAKES_LOG_FORMAT"`
}

func main() { os.Exit(run()) }

func run() int {
	var c cli
	parser := kong.Parse(&c, kong.Name("ecupcakes"), kong.DefaultEnvars("ECUPCAKES"),
		kong.Description("An order line for a cupcake factory on Kafka. Every flag has an environment variable."), kong.UsageOnError())
	log := c.logger()
	sarama.Logger = gokaplus.SaramaLogger(log)
	tracing.LogTo(log)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // A second signal kills the program at once.
	if err := parser.Run(&global{ctx, log}); err != nil {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			fmt.Fprintln(os.Stderr, "ecupcakes:", line)
		}
		return exitCode(err)
	}
	return 0
}

func (c *cli) logger() *slog.Logger {
	o := &slog.HandlerOptions{Level: c.LogLevel}
	if c.LogFormat == "text" {
		return slog.New(slog.NewTextHandler(os.Stderr, o))
	}
	return slog.New(slog.NewJSONHandler(os.Stderr, o))
}

// global is passed to the Run method of every command.
type global struct {
	ctx context.Context
	log *slog.Logger
}

// cluster has the flags of a cluster. The ENV_KAFKA_… variables are those of Confluent Cloud's
// examples; a user enables both SASL and TLS.
type cluster struct {
	Brokers []string `help:"Addresses of the Kafka cluster, host:port." env:"ECUPCAKES_BROKERS,ENV_KAFKA_CLUSTER" placeholder:"HOST:PORT"`
	login
	Partitions int32 `help:"Number of partitions of each topic, a power of two. It cannot be changed once the topics exist." default:"8" env:"ECUPCAKES_PARTITIONS"`
}

// login has the flags for the credentials on a cluster. There is no flag for the password, because
// every user of a machine can read command lines.
type login struct {
	KafkaUser         string `help:"SASL user." env:"ECUPCAKES_KAFKA_USER,ENV_KAFKA_USER_NAME"`
	KafkaPasswordFile string `help:"File with the SASL password. Without it, the password is read from ECUPCAKES_KAFKA_PASSWORD or ENV_KAFKA_USER_PASSWORD." placeholder:"FILE" env:"ECUPCAKES_KAFKA_PASSWORD_FILE"`
	KafkaSASL         string `help:"SASL mechanism." name:"kafka-sasl" enum:"PLAIN,SCRAM-SHA-256,SCRAM-SHA-512" default:"PLAIN" env:"ECUPCAKES_KAFKA_SASL"`
	KafkaTLS          *bool  `help:"Use TLS; the default with a user or a certificate." name:"kafka-tls" negatable:"" env:"ECUPCAKES_KAFKA_TLS"`
	KafkaCA           string `help:"PEM file with the certificate authorities to trust, instead of the system's." name:"kafka-ca" placeholder:"FILE" env:"ECUPCAKES_KAFKA_CA"`
	KafkaCert         string `help:"PEM file with the client certificate." placeholder:"FILE" env:"ECUPCAKES_KAFKA_CERT"`
	KafkaKey          string `help:"PEM file with the key of the client certificate." placeholder:"FILE" env:"ECUPCAKES_KAFKA_KEY"`
}

func (k cluster) config() kafka.Config {
	c := kafka.Config{
		Brokers: k.Brokers, User: k.KafkaUser, PasswordFile: k.KafkaPasswordFile, Mechanism: k.KafkaSASL,
		Password: cmp.Or(os.Getenv("ECUPCAKES_KAFKA_PASSWORD"), os.Getenv("ENV_KAFKA_USER_PASSWORD")),
		CAFile:   k.KafkaCA, CertFile: k.KafkaCert, KeyFile: k.KafkaKey,
	}
	c.TLS = c.User != "" || c.CAFile != "" || c.CertFile != "" || c.KeyFile != ""
	if k.KafkaTLS != nil {
		c.TLS = *k.KafkaTLS
	}
	return c
}

// server has the flags of up and serve, the commands that run until they are stopped.
type server struct {
	cluster
	Listen         string            `help:"Address of the web page, the API and the hub; port 0 picks a free one." default:"127.0.0.1:8080" env:"ECUPCAKES_LISTEN"`
	Instance       string            `help:"Name of this instance, for static group membership: stable across restarts and unique among running instances. A restarted instance gets its partitions back at once." env:"ECUPCAKES_INSTANCE"`
	Monitor        string            `help:"Separate address for /metrics, /healthz and /readyz, for a process without the api role; port 0 picks a free one." placeholder:"HOST:PORT" env:"ECUPCAKES_MONITOR"`
	Traces         string            `help:"URL of an OpenTelemetry collector that receives a trace of each order, such as http://127.0.0.1:4318/v1/traces. Without it, no traces are exported." placeholder:"URL" env:"ECUPCAKES_TRACES"`
	SessionTimeout time.Duration     `help:"Consumer-group session timeout: how long a processor may miss heartbeats before its partitions are reassigned." default:"10s" env:"ECUPCAKES_SESSION_TIMEOUT"`
	MaxDead        float64           `help:"Largest share of a stage's events in a minute that may become dead letters before /readyz fails." default:"0.5" env:"ECUPCAKES_MAX_DEAD"`
	Expiry         time.Duration     `help:"How long a finished order is kept, and with it the idempotency keys of its commands; 0 keeps them forever." default:"24h" env:"ECUPCAKES_EXPIRY"`
	ClaimLapse     time.Duration     `help:"TTL of a claim after the claimant's last screen has disconnected." default:"2m" env:"ECUPCAKES_CLAIM_LAPSE"`
	Age            map[string]string `help:"Ages at which an order waiting at a stage shows a warning and counts as late, as in mixing=5m/8m, the default; can be repeated." placeholder:"STAGE=WARN/LATE" env:"ECUPCAKES_AGE"`
	JSON           bool              `help:"Print the addresses as one line of JSON." name:"json" env:"ECUPCAKES_JSON"`
}

func (s server) options(g *global) (app.Options, error) {
	line, err := topology.Cupcakes.WithAges(s.Age)
	if err != nil {
		return app.Options{}, fmt.Errorf("--age: %w", err)
	}
	var traces tracing.Exporter
	if s.Traces != "" {
		if traces, err = tracing.OTLP(g.ctx, s.Traces); err != nil {
			return app.Options{}, fmt.Errorf("--traces: %w", err)
		}
	}
	v, _ := version()
	return app.Options{
		Traces: traces, Line: line, Kafka: s.config(), Partitions: s.Partitions,
		Instance: s.Instance, Expiry: s.Expiry, ClaimTTL: s.ClaimLapse, MaxDead: s.MaxDead, Session: s.SessionTimeout,
		Listen: s.Listen, Monitor: s.Monitor, Version: v, Log: g.log,
	}, nil
}

func (s server) started(a app.Addresses) {
	if s.JSON {
		_ = json.NewEncoder(os.Stdout).Encode(a) // The server runs even if nobody reads its standard output.
		return
	}
	if a.URL != "" {
		fmt.Printf("eCupcakes is at %s, ", a.URL)
	}
	if a.Monitor != "" {
		fmt.Printf("metrics at %s, ", a.Monitor)
	}
	fmt.Printf("Kafka at %s\n", a.Kafka)
}

type upCmd struct {
	server
	Data        string `help:"Directory of the embedded broker's data." default:"./data" env:"ECUPCAKES_DATA"`
	KafkaListen string `help:"Address of the embedded broker; port 0 picks a free one." default:"127.0.0.1:9092" env:"ECUPCAKES_KAFKA_LISTEN"`
}

func (c *upCmd) Run(g *global) error {
	o, err := c.options(g)
	if err != nil {
		return err
	}
	o.API, o.Stages, o.Data, o.KafkaListen = true, o.Line.Names(), c.Data, c.KafkaListen
	return app.Run(g.ctx, o, c.started)
}

type serveCmd struct {
	server
	Roles  []string `help:"Roles to run: processors, api." enum:"processors,api" default:"processors,api" env:"ECUPCAKES_ROLES"`
	Stages []string `help:"Stages whose processors run; all if absent." env:"ECUPCAKES_STAGES"`
}

func (c *serveCmd) Run(g *global) error {
	o, err := c.options(g)
	if err != nil {
		return err
	}
	if len(o.Kafka.Brokers) == 0 {
		return errors.New("no Kafka cluster given: use --brokers, or `ecupcakes up` for one process with an embedded broker")
	}
	for _, role := range c.Roles {
		switch role {
		case "api":
			o.API = true
		case "processors":
			if o.Stages = c.Stages; len(o.Stages) == 0 {
				o.Stages = o.Line.Names()
			}
		}
	}
	return app.Run(g.ctx, o, c.started)
}

type topologyCmd struct {
	Format string `arg:"" optional:"" enum:"text,mermaid,dot" default:"text" help:"Output format: text, mermaid or dot."`
}

func (c *topologyCmd) Run() error {
	l := topology.Cupcakes
	fmt.Print(map[string]func() string{"text": l.Text, "mermaid": l.Mermaid, "dot": l.DOT}[c.Format]())
	return nil
}

type versionCmd struct{}

func (versionCmd) Run() error {
	v, commit := version()
	fmt.Printf("ecupcakes %s (%s), %s, %s/%s\n", v, commit, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return nil
}

// stamped is the version that the linker sets (-X main.stamped) in builds without a git checkout.
var stamped string

// version returns the module's version and the commit that the binary was built from.
func version() (version, commit string) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown", "no commit is known"
	}
	of := map[string]string{}
	for _, s := range info.Settings {
		of[s.Key] = s.Value
	}
	if of["vcs.revision"] == "" {
		return cmp.Or(stamped, info.Main.Version), "no commit is known"
	}
	commit = "commit " + of["vcs.revision"][:min(12, len(of["vcs.revision"]))] + " of " + of["vcs.time"]
	if of["vcs.modified"] == "true" {
		commit += " with changes"
	}
	return info.Main.Version, commit
}
