// Package connect looks after the connectors of Kafka Connect: the one that
// copies orders to MongoDB, and the one that brings the inventory from there. It
// puts their configurations through Connect's REST interface, tells how they are,
// and starts again what has failed, which Connect never does.
//
// It never looks into a record, and does not know MongoDB: the connectors do.
package connect

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/ecupcakes/ecupcakes/deploy"
	"github.com/ecupcakes/ecupcakes/kafka"

	"github.com/twmb/franz-go/pkg/kadm"
)

// Connector is a connector as it should be.
type Connector struct {
	Name   string
	Config map[string]string
}

// Site is what differs from place to place.
type Site struct {
	MongoDB  string // URI of the database; empty leaves it to the workers, whose environment has it then.
	Database string // Where the orders go; empty for the files' own.
}

// environment is how the configurations refer to what the workers' environment
// has. What is in there does not pass through Connect's REST interface, nor is it
// kept on a topic.
const environment = "${env:ECUPCAKES_MONGODB_URI}"

// Connectors are those of the files in deploy/connect, for a site.
func Connectors(site Site) ([]Connector, error) {
	names, err := fs.Glob(deploy.Connectors, "connect/*.json")
	if err != nil {
		return nil, err
	}
	var all []Connector
	for _, name := range names {
		b, err := deploy.Connectors.ReadFile(name)
		if err != nil {
			return nil, err
		}
		c := Connector{Name: strings.TrimSuffix(path.Base(name), ".json")}
		if err := json.Unmarshal(b, &c.Config); err != nil {
			return nil, fmt.Errorf("reading the built-in %s: %w", name, err)
		}
		for key, value := range c.Config {
			if value == environment && site.MongoDB != "" {
				c.Config[key] = site.MongoDB
			}
		}
		if _, has := c.Config["database"]; has && site.Database != "" {
			c.Config["database"] = site.Database
		}
		all = append(all, c)
	}
	return all, nil
}

// Names are the names of the connectors.
func Names(connectors []Connector) []string {
	names := make([]string, len(connectors))
	for i, c := range connectors {
		names[i] = c.Name
	}
	return names
}

// What deploy/connect/worker.properties and the sink's configuration call them.
const (
	workers     = "ecupcakes-connect" // Their consumer group.
	configs     = "connect-configs"
	offsets     = "connect-offsets"
	status      = "connect-status"
	deadLetters = "connect-deadletters"
)

// Topics are those that a worker with deploy/connect/worker.properties and the
// connectors need besides the line's, for a cluster of so many brokers. Workers
// create the first three themselves if they may, and if the broker is Apache
// Kafka.
func Topics(brokers int) []kafka.Topic {
	return []kafka.Topic{
		kafka.Compacted(configs, 1, brokers),
		kafka.Compacted(offsets, 5, brokers),
		kafka.Compacted(status, 5, brokers),
		kafka.Retained(deadLetters, 1, brokers, -1),
	}
}

// ACLs are what the user of the workers needs on a cluster with ACLs: for the
// workers themselves, and for the connectors, which are as Connectors returns
// them. The topics must be there.
func ACLs(connectors []Connector) []kafka.ACL {
	all := []kafka.ACL{kafka.OnGroup(workers, kadm.OpRead)}
	for _, topic := range []string{configs, offsets, status} {
		all = append(all, kafka.OnTopic(topic, kadm.OpDescribeConfigs, kadm.OpRead, kadm.OpWrite)...)
	}
	for _, c := range connectors {
		if read, sink := c.Config["topics"]; sink {
			for topic := range strings.SplitSeq(read, ",") {
				all = append(all, kafka.OnTopic(topic, kadm.OpRead)...)
			}
			all = append(all, kafka.OnGroup("connect-"+c.Name, kadm.OpRead)) // As every sink has it.
			all = append(all, kafka.OnTopic(deadLetters, kadm.OpWrite)...)
		}
		if prefix, source := c.Config["topic.prefix"]; source {
			all = append(all, kafka.OnTopic(prefix+"."+c.Config["collection.include.list"], kadm.OpWrite)...)
		}
	}
	return kafka.Least(all)
}

// Status is how a connector stands.
type Status struct {
	Name      string `json:"name"`
	Connector Part   `json:"connector"`
	Tasks     []Task `json:"tasks"`
}

// Part is a connector, or one of its tasks.
type Part struct {
	State  string `json:"state"`
	Worker string `json:"worker_id"`
	Trace  string `json:"trace,omitempty"` // Why it has failed, as Java tells it.
}

// Task is a task of a connector.
type Task struct {
	ID int `json:"id"`
	Part
}

// The states that matter here. Connect has more.
const (
	running = "RUNNING"
	failed  = "FAILED"
	paused  = "PAUSED"
	stopped = "STOPPED"
	absent  = "ABSENT" // Ours: Connect does not know the connector.
)

// States are all that a connector or a task can have.
var States = []string{running, failed, paused, stopped, "UNASSIGNED", "RESTARTING", "DESTROYED", absent}

// Running says whether the connector and all of its tasks run.
func (s Status) Running() bool {
	return s.Connector.State == running && len(s.Tasks) > 0 &&
		!slices.ContainsFunc(s.Tasks, func(t Task) bool { return t.State != running })
}

// Failures says what has failed, for a person; nil if nothing has.
func (s Status) Failures() (why []string) {
	if s.Connector.State == failed {
		why = append(why, "the connector: "+cause(s.Connector.Trace))
	}
	for _, t := range s.Tasks {
		if t.State == failed {
			why = append(why, fmt.Sprintf("task %d: %s", t.ID, cause(t.Trace)))
		}
	}
	return why
}

// cause is what a person needs of a stack trace: what happened, and what that
// came from in the end.
func cause(trace string) string {
	lines := strings.Split(strings.TrimSpace(trace), "\n")
	text := lines[0]
	for _, line := range slices.Backward(lines[1:]) {
		if c, found := strings.CutPrefix(strings.TrimSpace(line), "Caused by: "); found {
			text += "; caused by " + c
			break
		}
	}
	return fmt.Sprintf("%.600s", redact(text))
}
