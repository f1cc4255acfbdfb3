// Package house lists the rooms of the project. Its tests compare the list with
// the import graph and with docs/architecture.md, and check the words and links
// of the documentation.
package house

// Module is the import path of the house.
const Module = "github.com/ecupcakes/ecupcakes"

// Room is a folder with one subject.
type Room struct {
	Group   string
	Folder  string // Relative to the root of the repository; with a last element ... its subfolders are parts of it.
	Subject string // A noun phrase or several.

	// Excludes names what the room must not import although it stands below:
	// folders of other rooms, and keys of Technologies.
	Excludes []string
}

// Technologies gives names to import path prefixes.
var Technologies = map[string][]string{
	"HTTP":          {"net/http", "github.com/danielgtaylor/huma"},
	"WebSockets":    {"github.com/coder/websocket"},
	"Kafka clients": {"github.com/IBM/sarama", "github.com/lovoo/goka", "github.com/twmb/franz-go"},
	"ecupcakes":     {Module},
}

// Rooms are all rooms, from the top of the house to the bottom. A room imports
// only rooms below it.
var Rooms = []Room{
	{"around the program", "test", "system tests: the released binary as a process, on real brokers, with faults", nil},
	{"around the program", "internal/house", "the list of rooms, and the tests of it and of the documentation", []string{"ecupcakes"}},
	{"around the program", "bench/gokaplus", "goka measured with and without gokaplus", nil},
	{"around the program", "bench", "figures of the program, and of comparable projects", nil},
	{"around the program", "internal/testkit/...", "real Kafka, Kafka Connect and a stand-in for MongoDB, for tests", nil},
	{"around the program", "internal/release", "release archives, checksums and the bill of materials", nil},
	{"around the program", "deploy/dashboards", "Grafana dashboards as data", nil},

	{"the program", "cmd/ecupcakes", "flags, signals and exit codes", nil},
	{"the program", "app", "life cycle: starts and stops the chosen roles", nil},

	{"doors", "web", "the React client, embedded into the binary", []string{"ecupcakes"}},
	{"doors", "api", "HTTP: routes, schemas, problem details", []string{"hub", "WebSockets", "Kafka clients"}},
	{"doors", "hub/source", "the line as the hub's source: stations, orders, calls of screens", []string{"HTTP", "WebSockets", "Kafka clients"}},
	{"doors", "hub", "SignalR: live screens", []string{"Kafka clients"}},
	{"doors", "present", "an order as clients see it, in JSON", []string{"HTTP", "WebSockets", "Kafka clients"}},
	{"doors", "hub/screengroups", "the Kafka consumer groups of screens", []string{"HTTP", "WebSockets"}},
	{"doors", "hub/dealer", "pure decision: which screen shows which order", []string{"HTTP", "WebSockets", "Kafka clients"}},

	{"operators", "ops/doctor", "diagnosis of the cluster and of the line, with the command that fixes each problem", nil},
	{"operators", "ops/connect", "connectors of Kafka Connect: applying, watching and restarting them", nil},
	{"operators", "ops/migrate", "moving a line to another cluster", nil},
	{"operators", "ops/verify", "audit of a line from its topics", nil},
	{"operators", "ops/deadletters", "listing, resending and discarding dead letters", nil},
	{"operators", "load", "load generator, and the whole kitchen as a client", []string{"Kafka clients"}},
	{"operators", "deploy", "files for Compose, Kubernetes, Kafka Connect, Prometheus and Grafana", []string{"ecupcakes"}},

	{"the line", "upkeep", "what the line does by itself: renews claims, forgets finished orders", []string{"HTTP", "WebSockets", "Kafka clients"}},
	{"the line", "commands", "what people tell the line: place, finish, reject, claim, release, remake", []string{"HTTP", "WebSockets", "Kafka clients"}},
	{"the line", "views/inventory", "which ingredients have run out", []string{"HTTP"}},
	{"the line", "views/freshness", "how far screens lag behind Kafka", []string{"HTTP", "Kafka clients"}},
	{"the line", "views/forecast", "when an order will be shipped, and how well earlier estimates held", []string{"HTTP", "Kafka clients"}},
	{"the line", "views", "the reading side: lookups, queues, the change feed", []string{"HTTP"}},
	{"the line", "views/stats", "counts, times and the bottleneck of the line", []string{"HTTP", "Kafka clients"}},
	{"the line", "processors", "one generic stage processor, and dead-lettering", []string{"HTTP"}},

	{"foundations", "kafka/embedded", "the broker inside the process", []string{"order", "topology", "codecs"}},
	{"foundations", "kafka", "Kafka clients, topics, ACLs and the producer", []string{"HTTP", "order"}},
	{"foundations", "tracing", "an order's whole life as one trace", []string{"Kafka clients"}},
	{"foundations", "topology", "the line as data", []string{"HTTP", "WebSockets", "Kafka clients"}},
	{"foundations", "codecs", "the JSON of events and rows, versioned", []string{"HTTP", "WebSockets", "Kafka clients"}},
	{"foundations", "order", "the domain: orders, rows, reports, and the pure decision `Next`", []string{"HTTP", "WebSockets", "Kafka clients"}},

	{"library", "gokaplus/...", "what goka lacks; a module of its own for any goka user", []string{"ecupcakes"}},
}
