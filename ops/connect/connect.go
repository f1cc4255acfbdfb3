// Package connect manages two connectors of Kafka Connect: the sink that copies orders to MongoDB
// and the source that reads the inventory from MongoDB. Through Connect's REST interface it applies
// their configurations, reads their state, and restarts failed parts, which Connect does not do by
// itself.
//
// It does not read records and has no MongoDB client.
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

// Connector is the wanted configuration of a connector.
type Connector struct {
	Name   string
	Config map[string]string
}

// Site has the settings that differ between installations.
type Site struct {
	MongoDB  string // URI of the database; empty for the one in the workers' environment.
	Database string // Database for the orders; empty for the default in deploy/connect.
}

// environment is a reference to the URI in the workers' environment. Each worker resolves it, so
// the URI and its password neither pass through the REST interface nor are stored on a topic.
const environment = "${env:ECUPCAKES_MONGODB_URI}"

// Connectors returns the connectors that the files in deploy/connect configure, adapted to the site.
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

// Names returns the names of the connectors.
func Names(connectors []Connector) []string {
	names := make([]string, len(connectors))
	for i, c := range connectors {
		names[i] = c.Name
	}
	return names
}

// Names from deploy/connect/worker.properties and from the sink's configuration.
const (
	workers     = "ecupcakes-connect" // The workers' consumer group.
	configs     = "connect-configs"
	offsets     = "connect-offsets"
	status      = "connect-status"
	deadLetters = "connect-deadletters"
)

// Topics returns the topics that the connectors and a worker with deploy/connect/worker.properties
// need in addition to the line's, for a cluster with the given number of brokers. On Apache Kafka,
// workers that have the ACLs for it create the first three themselves.
func Topics(brokers int) []kafka.Topic {
	return []kafka.Topic{
		kafka.Compacted(configs, 1, brokers),
		kafka.Compacted(offsets, 5, brokers),
		kafka.Compacted(status, 5, brokers),
		kafka.Retained(deadLetters, 1, brokers, -1),
	}
}

// ACLs returns the ACLs that the workers' user needs: for the workers themselves and for connectors
// from Connectors. They do not let the user create topics, so the topics must exist.
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
			all = append(all, kafka.OnGroup("connect-"+c.Name, kadm.OpRead)) // Connect names the group of a sink so.
			all = append(all, kafka.OnTopic(deadLetters, kadm.OpWrite)...)
		}
		if prefix, source := c.Config["topic.prefix"]; source {
			all = append(all, kafka.OnTopic(prefix+"."+c.Config["collection.include.list"], kadm.OpWrite)...)
		}
	}
	return kafka.Least(all)
}

// Status is the state of a connector and its tasks.
type Status struct {
	Name      string `json:"name"`
	Connector Part   `json:"connector"`
	Tasks     []Task `json:"tasks"`
}

// Part is the state of a connector without its tasks, or of one task.
type Part struct {
	State  string `json:"state"` // One of States.
	Worker string `json:"worker_id"`
	Trace  string `json:"trace,omitempty"` // Java stack trace of a failure, without passwords.
}

// Task is a task of a connector.
type Task struct {
	ID int `json:"id"`
	Part
}

// The states that this package acts on.
const (
	running = "RUNNING"
	failed  = "FAILED"
	paused  = "PAUSED"
	stopped = "STOPPED"
	absent  = "ABSENT" // Not one of Connect's: the connector does not exist.
)

// States lists every state that a connector or a task can have.
var States = []string{running, failed, paused, stopped, "UNASSIGNED", "RESTARTING", "DESTROYED", absent}

// redact removes passwords from the stack traces.
func (s *Status) redact() {
	s.Connector.Trace = redact(s.Connector.Trace)
	for i := range s.Tasks {
		s.Tasks[i].Trace = redact(s.Tasks[i].Trace)
	}
}

// Failed reports whether the connector or the task has failed.
func (p Part) Failed() bool { return p.State == failed }

// Paused reports whether an operator has paused or stopped the connector.
func (p Part) Paused() bool { return p.State == paused || p.State == stopped }

// Running reports whether the connector and all of its tasks run. A connector without tasks does not
// run.
func (s Status) Running() bool {
	return s.Connector.State == running && len(s.Tasks) > 0 &&
		!slices.ContainsFunc(s.Tasks, func(t Task) bool { return t.State != running })
}

// Failures describes each failed part for a person; nil if none has failed.
func (s Status) Failures() (why []string) {
	if s.Connector.Failed() {
		why = append(why, "the connector: "+s.Connector.Cause())
	}
	for _, t := range s.Tasks {
		if t.Failed() {
			why = append(why, fmt.Sprintf("task %d: %s", t.ID, t.Cause()))
		}
	}
	return why
}

// Cause returns the first line of the stack trace and its root cause, in one line of at most 600
// characters.
func (p Part) Cause() string {
	lines := strings.Split(strings.TrimSpace(p.Trace), "\n")
	text := lines[0]
	for _, line := range slices.Backward(lines[1:]) {
		if c, found := strings.CutPrefix(strings.TrimSpace(line), "Caused by: "); found {
			text += "; caused by " + c
			break
		}
	}
	return fmt.Sprintf("%.600s", text)
}
