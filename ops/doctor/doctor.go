// Package doctor diagnoses a cluster with the credentials of a process of the line. For each problem
// it gives the impact on orders and the command that fixes it. Collect reads facts and changes
// nothing; Diagnose is a pure function that judges them.
//
// It does not read orders.
package doctor

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ecupcakes/ecupcakes/kafka"
	"github.com/ecupcakes/ecupcakes/topology"

	"github.com/twmb/franz-go/pkg/kadm"
)

// Finding is one problem.
type Finding struct {
	Check string `json:"check"` // The one of Checks that found it.
	What  string `json:"what"`  // The problem and its impact.
	Fix   string `json:"fix"`   // A command, or an instruction.
}

// MarshalJSON encodes the fix as "fix" and also as "mend", its name in the first version. "mend" will
// be removed in the next version.
func (f Finding) MarshalJSON() ([]byte, error) {
	type finding Finding
	return json.Marshal(struct {
		finding
		Mend string `json:"mend"`
	}{finding: finding(f), Mend: f.Fix})
}

// Checks lists the checks in the order in which they run.
var Checks = []string{"brokers", "versions", "topics", "groups", "acls", "clocks", "disks", "connect"}

// Target is what to diagnose and what it is expected to be.
type Target struct {
	Line       topology.Line
	Partitions int32
	Roles      []kafka.Role // The roles of the user whose credentials are used.
	User       string       // The user's name in ACLs.
	Brokers    []string     // Addresses of the cluster, host:port.
	Connect    string       // URL of Kafka Connect; empty for none.
}

const (
	maxSkew      = 5 * time.Second // Largest clock difference that is no problem.
	minFree      = 0.1             // Smallest free share of a disk that is no problem.
	minFreeBytes = 1 << 30         // Smallest free space of a disk that is no problem.
)

// Diagnose judges the facts. Absent facts yield no finding, except that a missing permission to read
// them is one.
func Diagnose(p Target, f *Facts) (findings []Finding) {
	for i, check := range []func(Target, *Facts) []Finding{brokers, versions, topics, groups, acls, clocks, disks, connectors} {
		for _, found := range check(p, f) {
			found.Check = Checks[i]
			findings = append(findings, found)
		}
	}
	return findings
}

// Summary says in one line what a check without findings has examined.
func (f *Facts) Summary(check string) string {
	switch check {
	case "brokers":
		return fmt.Sprintf("%d answer", len(f.Brokers))
	case "versions":
		versions := map[string]bool{}
		for _, b := range f.Brokers {
			versions[b.Version] = true
		}
		return "Kafka " + strings.Join(slices.Sorted(maps.Keys(versions)), ", ")
	case "topics":
		return fmt.Sprintf("%d topics have the required partitions, replicas and settings", len(f.Topics))
	case "groups":
		var lag int64
		for _, g := range f.Groups {
			lag += g.Lag()
		}
		return fmt.Sprintf("%d groups, total lag %d events", len(f.Groups), lag)
	case "acls":
		if len(f.Permissions) == 0 {
			return "unknown: the cluster does not report permissions"
		}
		return "the user has all ACLs that its roles need"
	case "clocks":
		return "no message has a timestamp in the future"
	case "disks":
		if len(f.Disks) == 0 {
			return "not checked: the user may not describe log directories, and no --data is given"
		}
		return fmt.Sprintf("%d, with free space", len(f.Disks))
	default:
		if f.Connectors == nil {
			return "not checked: no --connect-url is given"
		}
		return fmt.Sprintf("%d connectors", len(f.Connectors))
	}
}

func (p Target) bootstrap() string { return strings.Join(p.Brokers, ",") }

func (p Target) alter(topic, setting string) string {
	return fmt.Sprintf("kafka-configs --bootstrap-server %s --alter --topic %s --add-config %s", p.bootstrap(), topic, setting)
}

func brokers(_ Target, f *Facts) (found []Finding) {
	for _, b := range f.Brokers {
		if b.Failure != "" {
			found = append(found, Finding{
				What: fmt.Sprintf("broker %d at %s does not answer: %s", b.ID, b.Address, b.Failure),
				Fix:  "start it, and check that its advertised.listeners can be reached from here",
			})
		}
	}
	return found
}

func versions(_ Target, f *Facts) (found []Finding) {
	seen := map[string]bool{}
	for _, b := range f.Brokers {
		if b.Failure != "" {
			continue
		}
		seen[b.Version] = true
		if b.Old {
			found = append(found, Finding{
				What: fmt.Sprintf("broker %d runs Kafka %s, which lacks features that the line needs "+
					"(static membership, idempotent writes)",
					b.ID, b.Version),
				Fix: "upgrade it to Kafka 2.8 or later",
			})
		}
	}
	if len(seen) > 1 {
		found = append(found, Finding{
			What: "the brokers have different versions: " + strings.Join(slices.Sorted(maps.Keys(seen)), ", "),
			Fix:  "finish the upgrade",
		})
	}
	return found
}

func topics(p Target, f *Facts) (found []Finding) {
	needed := kafka.RequiredTopics(p.Line, p.Partitions, len(f.Brokers))
	if f.Embedded() {
		kafka.DisableRetention(needed)
	}
	var missing []string
	other, orders := map[int][]string{}, 0 // Topics of orders with a wrong number of partitions, by that number; and all topics of orders.
	for _, t := range needed {
		h, seen := f.Topics[t.Name]
		switch {
		case !seen:
			continue // The user may not describe it.
		case h.Missing:
			missing = append(missing, t.Name)
			continue
		}
		switch n := len(h.Partitions); {
		case t.Name == p.Line.Ingredients && n != 1:
			found = append(found, Finding{
				What: fmt.Sprintf("topic %s has %d partitions, not 1: an ingredient that has run out may be shown as available", t.Name, n),
				Fix: fmt.Sprintf("kafka-topics --bootstrap-server %s --delete --topic %s, "+
					"then ecupcakes topics apply --brokers %s, then a new snapshot by its connector",
					p.bootstrap(), t.Name, p.bootstrap()),
			})
		case t.Name != p.Line.Ingredients:
			orders++
			if n != int(p.Partitions) {
				other[n] = append(other[n], t.Name)
			}
		}
		found = append(found, replicas(p, t, h)...)
		found = append(found, settings(p, t, h)...)
	}
	for _, n := range slices.Sorted(maps.Keys(other)) {
		f := Finding{
			What: fmt.Sprintf("the topics %s have %d partitions, not %d: orders would be searched in the wrong partition",
				strings.Join(other[n], ", "), n, p.Partitions),
		}
		if len(other[n]) == orders {
			f.Fix = fmt.Sprintf("ecupcakes serve --partitions %d --brokers %s", n, p.bootstrap())
		} else {
			f.Fix = "start a new line on another cluster and drain this one: existing orders could not be found after a change of the number"
		}
		found = append(found, f)
	}
	if len(missing) > 0 {
		found = append(found, Finding{
			What: "missing topics: " + strings.Join(missing, ", "),
			Fix:  fmt.Sprintf("ecupcakes topics apply --brokers %s --partitions %d", p.bootstrap(), p.Partitions),
		})
	}
	return found
}

// replicas judges the leaders and replicas of a topic.
func replicas(p Target, t kafka.Topic, h Topic) (found []Finding) {
	few, least, leaderless := []string{}, 0, []string{}
	for _, id := range slices.Sorted(maps.Keys(h.Partitions)) {
		part := h.Partitions[id]
		if least == 0 || part.Replicas < least {
			least = part.Replicas
		}
		switch {
		case part.Leader < 0:
			leaderless = append(leaderless, fmt.Sprint(id))
		case part.InSync < part.Replicas:
			few = append(few, fmt.Sprint(id))
		}
	}
	if least > 0 && least < int(t.Replication) {
		found = append(found, Finding{
			What: fmt.Sprintf("topic %s has %d of %d replicas: losing a disk can lose orders", t.Name, least, t.Replication),
			Fix: fmt.Sprintf("kafka-reassign-partitions --bootstrap-server %s --execute --reassignment-json-file FILE, "+
				"where FILE gives each of its partitions %d replicas",
				p.bootstrap(), t.Replication),
		})
	}
	if len(leaderless) > 0 {
		found = append(found, Finding{
			What: fmt.Sprintf("partitions %s of topic %s have no leader: their orders are not processed", strings.Join(leaderless, ", "), t.Name),
			Fix:  "start the brokers that host them",
		})
	}
	if len(few) > 0 {
		found = append(found, Finding{
			What: fmt.Sprintf("partitions %s of topic %s are under-replicated: one more failing broker could stop the line",
				strings.Join(few, ", "), t.Name),
			Fix: fmt.Sprintf("kafka-topics --bootstrap-server %s --describe --under-replicated-partitions, "+
				"then start the brokers that are missing from Isr",
				p.bootstrap()),
		})
	}
	return found
}

// settings judges the settings of a topic that can lose orders or stop the line.
func settings(p Target, t kafka.Topic, h Topic) (found []Finding) {
	for _, d := range t.Diff(h.Configs) {
		found = append(found, Finding{
			What: fmt.Sprintf("topic %s has %s=%s, not %s: %s", t.Name, d.Key, d.Have, d.Need, because[d.Key]),
			Fix:  p.alter(t.Name, d.Key+"="+d.Need),
		})
	}
	if h.Configs["unclean.leader.election.enable"] == "true" {
		found = append(found, Finding{
			What: fmt.Sprintf("topic %s has unclean.leader.election.enable=true: a replica that lacks orders may become the leader", t.Name),
			Fix:  p.alter(t.Name, "unclean.leader.election.enable=false"),
		})
	}
	if size := h.Configs["retention.bytes"]; size != "" && size != "-1" && strings.Contains(h.Configs["cleanup.policy"], "delete") {
		found = append(found, Finding{
			What: fmt.Sprintf("topic %s has retention.bytes=%s: events beyond that size are deleted, even unread ones", t.Name, size),
			Fix:  p.alter(t.Name, "retention.bytes=-1"),
		})
	}
	insync, err := strconv.Atoi(h.Configs["min.insync.replicas"])
	for _, part := range h.Partitions {
		if err == nil && insync > 1 && insync >= part.Replicas {
			found = append(found, Finding{
				What: fmt.Sprintf("topic %s has min.insync.replicas=%d and %d replicas: the line stops whenever a broker stops",
					t.Name, insync, part.Replicas),
				Fix: p.alter(t.Name, fmt.Sprint("min.insync.replicas=", max(1, part.Replicas-1))),
			})
			break
		}
	}
	return found
}

// because has the impact of each setting that differs from the required one.
var because = map[string]string{
	"cleanup.policy":      "records that the line needs are deleted, or events of the same order replace each other",
	"retention.ms":        "events that wait longer are deleted before they are processed",
	"min.insync.replicas": "an acknowledged event may exist on one broker only and be lost with it",
}

func groups(p Target, f *Facts) (found []Finding) {
	for _, s := range p.Line.Stages {
		g, seen := f.Groups[s.Group()]
		if !seen {
			continue
		}
		if g.Leaderless {
			found = append(found, Finding{
				What: fmt.Sprintf("no broker coordinates the group %s: it cannot commit offsets", s.Group()),
				Fix: fmt.Sprintf("if the cluster is new, run the doctor again in a minute; "+
					"otherwise start the brokers that kafka-topics --bootstrap-server %s --describe --topic __consumer_offsets shows",
					p.bootstrap()),
			})
			continue
		}
		if g.Members == 0 {
			found = append(found, Finding{
				What: fmt.Sprintf("the group %s has no members: %d events wait for it", s.Group(), g.Lag()),
				Fix:  fmt.Sprintf("ecupcakes serve --roles processors --stages %s --brokers %s", s.Name, p.bootstrap()),
			})
		}
		for _, at := range g.Partitions {
			if f, wrong := offsets(p, s.Group(), g.Members, at); wrong {
				found = append(found, f)
			}
		}
	}
	return found
}

// offsets judges the progress of a group in one partition.
func offsets(p Target, group string, members int, at GroupProgress) (f Finding, wrong bool) {
	where := fmt.Sprintf("partition %d of %s", at.Partition, at.Topic)
	switch {
	case at.Begin > at.Committed:
		return Finding{
			What: fmt.Sprintf("%d events of %s were deleted before the group %s committed them: their orders may be lost",
				at.Begin-at.Committed, where, group),
			Fix: fmt.Sprintf("ecupcakes verify --brokers %s, which counts lost orders; then check the retention of the topic", p.bootstrap()),
		}, true
	case at.Committed > at.End:
		return Finding{
			What: fmt.Sprintf("the group %s has committed offset %d of %s, which ends at %d: "+
				"the topic was deleted and created again, or a broker has lost events",
				group, at.Committed, where, at.End),
			Fix: fmt.Sprintf("kafka-consumer-groups --bootstrap-server %s --group %s --topic %s:%d "+
				"--reset-offsets --to-earliest --execute, while its processors are stopped",
				p.bootstrap(), group, at.Topic, at.Partition),
		}, true
	case members > 0 && at.Stuck:
		return Finding{
			What: fmt.Sprintf("%d events of %s wait for the group %s, which committed nothing within %s",
				at.Lag(at.Committed), where, group, commitWait),
			Fix: fmt.Sprintf("read the log of its process, then restart it: "+
				"kafka-consumer-groups --bootstrap-server %s --describe --group %s --members names it",
				p.bootstrap(), group),
		}, true
	}
	return Finding{}, false
}

func acls(p Target, f *Facts) (found []Finding) {
	var missing []kafka.ACL
	for _, a := range kafka.ACLs(p.Line, p.Roles...) {
		may, seen := f.Permissions[Resource{Kind: a.Resource, Name: a.Name}]
		if seen && !slices.Contains(may, a.Operation) && !slices.Contains(may, kadm.OpAll) {
			missing = append(missing, a)
		}
	}
	for _, g := range kafka.Grants(missing) {
		found = append(found, Finding{
			What: fmt.Sprintf("%s lacks the ACLs %s on %s %s", p.User, strings.Join(g.Operations, ", "), g.Resource, strings.Join(g.Names, ", ")),
			Fix:  g.Command(p.bootstrap(), p.User),
		})
	}
	return found
}

func clocks(_ Target, f *Facts) (found []Finding) {
	for _, t := range slices.Sorted(maps.Keys(f.Topics)) {
		if ahead := f.Topics[t].Newest.Sub(f.Now); ahead > maxSkew {
			return []Finding{{
				What: fmt.Sprintf("topic %s has a message from %s in the future: "+
					"the clock of its producer or of this machine is wrong, so times and estimates are, too",
					t, ahead.Round(time.Second)),
				Fix: "timedatectl set-ntp true, on the machines of the line",
			}}
		}
	}
	if skew := f.ConnectClock; skew.Abs() > maxSkew {
		found = append(found, Finding{
			What: fmt.Sprintf("the clock of Kafka Connect differs from this machine's by %s", skew.Round(time.Second)),
			Fix:  "timedatectl set-ntp true, on both machines",
		})
	}
	return found
}

func disks(_ Target, f *Facts) (found []Finding) {
	for _, d := range f.Disks {
		if d.Failure != "" {
			found = append(found, Finding{
				What: fmt.Sprintf("the directory %s of %s cannot be used: %s", d.Directory, d.Of, d.Failure),
				Fix:  "read the broker's log, and replace the disk",
			})
			continue
		}
		if free := float64(d.Free) / float64(max(d.Total, 1)); free < minFree || d.Free < minFreeBytes {
			found = append(found, Finding{
				What: fmt.Sprintf("the disk with %s of %s has %.1f of %.1f GB free: when it is full, orders can no longer be placed",
					d.Directory, d.Of, float64(d.Free)/1e9, float64(d.Total)/1e9),
				Fix: "free space, or move the directory to a larger disk: du -xh --max-depth 1 " + d.Directory + " | sort -h",
			})
		}
	}
	return found
}

func connectors(p Target, f *Facts) (found []Finding) {
	if f.ConnectFailure != "" {
		return []Finding{{What: "Kafka Connect does not answer: " + f.ConnectFailure, Fix: "start its worker, or give the right --connect-url"}}
	}
	for _, c := range f.Connectors {
		at := p.Connect + "/connectors/" + c.Name
		switch {
		case c.Connector.Paused():
			found = append(found, Finding{
				What: fmt.Sprintf("the connector %s is %s", c.Name, strings.ToLower(c.Connector.State)),
				Fix:  "curl -X PUT " + at + "/resume",
			})
			continue
		case c.Connector.Failed():
			found = append(found, Finding{
				What: fmt.Sprintf("the connector %s has failed: %s", c.Name, c.Connector.Cause()),
				Fix:  "curl -X POST '" + at + "/restart?includeTasks=true&onlyFailed=true'",
			})
			continue
		case len(c.Tasks) == 0:
			found = append(found, Finding{
				What: fmt.Sprintf("the connector %s has no task: it copies nothing", c.Name),
				Fix:  "curl " + at + "/status, and read the worker's log",
			})
		}
		for _, t := range c.Tasks {
			if t.Failed() {
				found = append(found, Finding{
					What: fmt.Sprintf("task %d of the connector %s has failed, and Connect does not restart it: %s", t.ID, c.Name, t.Cause()),
					Fix:  fmt.Sprintf("curl -X POST %s/tasks/%d/restart", at, t.ID),
				})
			}
		}
	}
	return found
}
