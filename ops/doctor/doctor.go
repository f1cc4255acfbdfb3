// Package doctor looks at a cluster as the line would, and says what is wrong
// with it, what that means for orders, and with which command to mend it. See
// gathers facts and changes nothing; Examine is pure and judges them.
//
// It never knows an order.
package doctor

import (
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

// Finding is one thing that is wrong.
type Finding struct {
	Check string `json:"check"` // Which of Checks has found it.
	What  string `json:"what"`  // And what it means.
	Fix   string `json:"mend"`  // A command, or what to do.
}

// Checks are what is looked at, in this order.
var Checks = []string{"brokers", "versions", "topics", "groups", "acls", "clocks", "disks", "connect"}

// Target is what is examined and what it should be.
type Target struct {
	Line       topology.Line
	Partitions int32
	Roles      []kafka.Role // What the user of the configuration is there for.
	User       string       // Kafka's name of the user.
	Brokers    []string     // Where the cluster is; host:port.
	Connect    string       // URL of Kafka Connect; empty for none.
}

// Limits from which on something is wrong.
const (
	maxSkew = 5 * time.Second
	minFree = 0.1     // Share of a disk.
	minRoom = 1 << 30 // Bytes of it.
)

// Diagnose judges the facts. It finds nothing about what could not be seen, save
// that the user may not see it.
func Diagnose(p Target, f *Facts) (findings []Finding) {
	for i, check := range []func(Target, *Facts) []Finding{brokers, versions, topics, groups, acls, clocks, disks, connect} {
		for _, found := range check(p, f) {
			found.Check = Checks[i]
			findings = append(findings, found)
		}
	}
	return findings
}

// Summary is what a check that found nothing has looked at.
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
		return fmt.Sprintf("%d, with their partitions, replicas and settings", len(f.Topics))
	case "groups":
		var lag int64
		for _, g := range f.Groups {
			lag += g.Lag()
		}
		return fmt.Sprintf("%d, with %d events before them", len(f.Groups), lag)
	case "acls":
		if len(f.Permissions) == 0 {
			return "the cluster does not tell"
		}
		return "the user may do what its roles need"
	case "clocks":
		return "no message is from the future"
	case "disks":
		if len(f.Disks) == 0 {
			return "not looked at: the user may not, and no --data is given"
		}
		return fmt.Sprintf("%d, with room", len(f.Disks))
	default:
		if f.Connectors == nil {
			return "not looked at: no --connect-url is given"
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
			found = append(found, Finding{What: fmt.Sprintf("broker %d at %s does not answer: %s", b.ID, b.Address, b.Failure), Fix: "start it, and see that its advertised.listeners can be reached from here"})
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
			found = append(found, Finding{What: fmt.Sprintf("broker %d has Kafka %s, which does not know what the line needs (static membership, idempotent writes)", b.ID, b.Version), Fix: "upgrade it to Kafka 2.8 or later"})
		}
	}
	if len(seen) > 1 {
		found = append(found, Finding{What: "the brokers have different versions: " + strings.Join(slices.Sorted(maps.Keys(seen)), ", "), Fix: "finish the upgrade"})
	}
	return found
}

func topics(p Target, f *Facts) (found []Finding) {
	needed := kafka.RequiredTopics(p.Line, p.Partitions, len(f.Brokers))
	if f.Embedded() {
		kafka.DisableRetention(needed)
	}
	var missing []string
	other, orders := map[int][]string{}, 0 // Topics that orders pass through, by their number of partitions.
	for _, t := range needed {
		h, seen := f.Topics[t.Name]
		switch {
		case !seen:
			continue // The user may not see it.
		case h.Missing:
			missing = append(missing, t.Name)
			continue
		}
		switch n := len(h.Partitions); {
		case t.Name == p.Line.Ingredients && n != 1:
			found = append(found, Finding{
				What: fmt.Sprintf("topic %s has %d partitions, not 1: what has run out may be taken for something that is there", t.Name, n),
				Fix:  fmt.Sprintf("kafka-topics --bootstrap-server %s --delete --topic %s, ecupcakes topics apply --brokers %s, and a new snapshot by its connector", p.bootstrap(), t.Name, p.bootstrap()),
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
		f := Finding{What: fmt.Sprintf("%d partitions, not %d, have the topics %s: orders would be looked for in the wrong one", n, p.Partitions, strings.Join(other[n], ", "))}
		if len(other[n]) == orders {
			f.Fix = fmt.Sprintf("ecupcakes serve --partitions %d --brokers %s", n, p.bootstrap())
		} else {
			f.Fix = "the number cannot be changed without losing sight of orders: have a new line on another cluster, and let this one run dry"
		}
		found = append(found, f)
	}
	if len(missing) > 0 {
		found = append(found, Finding{What: "there are no topics " + strings.Join(missing, ", "), Fix: fmt.Sprintf("ecupcakes topics apply --brokers %s --partitions %d", p.bootstrap(), p.Partitions)})
	}
	return found
}

// replicas judges on how many brokers a topic is.
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
			What: fmt.Sprintf("topic %s is on %d of %d brokers: orders are lost with a disk", t.Name, least, t.Replication),
			Fix:  fmt.Sprintf("kafka-reassign-partitions --bootstrap-server %s --execute --reassignment-json-file FILE, which gives each partition of it %d replicas", p.bootstrap(), t.Replication),
		})
	}
	if len(leaderless) > 0 {
		found = append(found, Finding{What: fmt.Sprintf("partitions %s of topic %s have no leader: their orders stand still", strings.Join(leaderless, ", "), t.Name), Fix: "start the brokers that have them"})
	}
	if len(few) > 0 {
		found = append(found, Finding{
			What: fmt.Sprintf("partitions %s of topic %s are not on all their brokers: one more that fails could stop the line", strings.Join(few, ", "), t.Name),
			Fix:  fmt.Sprintf("kafka-topics --bootstrap-server %s --describe --under-replicated-partitions, and start the brokers that it shows", p.bootstrap()),
		})
	}
	return found
}

// settings judges those that could lose orders.
func settings(p Target, t kafka.Topic, h Topic) (found []Finding) {
	for _, d := range t.Diff(h.Configs) {
		found = append(found, Finding{
			What: fmt.Sprintf("topic %s has %s=%s, not %s: %s", t.Name, d.Key, d.Have, d.Need, because[d.Key]),
			Fix:  p.alter(t.Name, d.Key+"="+d.Need),
		})
	}
	if h.Configs["unclean.leader.election.enable"] == "true" {
		found = append(found, Finding{
			What: fmt.Sprintf("topic %s has unclean.leader.election.enable=true: a broker that missed orders may become the one that has them", t.Name),
			Fix:  p.alter(t.Name, "unclean.leader.election.enable=false"),
		})
	}
	if size := h.Configs["retention.bytes"]; size != "" && size != "-1" && strings.Contains(h.Configs["cleanup.policy"], "delete") {
		found = append(found, Finding{
			What: fmt.Sprintf("topic %s has retention.bytes=%s: what is over it is deleted, read or not", t.Name, size),
			Fix:  p.alter(t.Name, "retention.bytes=-1"),
		})
	}
	insync, err := strconv.Atoi(h.Configs["min.insync.replicas"])
	for _, part := range h.Partitions {
		if err == nil && insync > 1 && insync >= part.Replicas {
			found = append(found, Finding{
				What: fmt.Sprintf("topic %s has min.insync.replicas=%d and %d replicas: each broker that stops, stops the line", t.Name, insync, part.Replicas),
				Fix:  p.alter(t.Name, fmt.Sprint("min.insync.replicas=", max(1, part.Replicas-1))),
			})
			break
		}
	}
	return found
}

// because says what a setting that differs does to orders.
var because = map[string]string{
	"cleanup.policy":      "what the line has to keep is deleted, or events of the same order replace each other",
	"retention.ms":        "events that wait longer are deleted before they are worked on",
	"min.insync.replicas": "what is acknowledged may be on one broker only, and lost with it",
}

func groups(p Target, f *Facts) (found []Finding) {
	for _, s := range p.Line.Stages {
		g, seen := f.Groups[s.Group()]
		if !seen {
			continue
		}
		if g.Leaderless {
			found = append(found, Finding{
				What: fmt.Sprintf("no broker coordinates the group %s: what it finishes cannot be noted", s.Group()),
				Fix:  fmt.Sprintf("ask again in a minute if the cluster is new; otherwise start the brokers that kafka-topics --bootstrap-server %s --describe --topic __consumer_offsets shows", p.bootstrap()),
			})
			continue
		}
		if g.Members == 0 {
			found = append(found, Finding{
				What: fmt.Sprintf("nobody works in the group %s: %d events wait for it", s.Group(), g.Lag()),
				Fix:  fmt.Sprintf("ecupcakes serve --roles processors --stages %s --brokers %s", s.Name, p.bootstrap()),
			})
		}
		for _, at := range g.Partitions {
			where := fmt.Sprintf("partition %d of %s", at.Partition, at.Topic)
			switch {
			case at.Begin > at.Committed:
				found = append(found, Finding{
					What: fmt.Sprintf("%d events of %s were deleted before %s has finished them: their orders may be lost", at.Begin-at.Committed, where, s.Group()),
					Fix:  fmt.Sprintf("ecupcakes verify --brokers %s, which counts them; then see that the topic keeps what waits", p.bootstrap()),
				})
			case at.Committed > at.End:
				found = append(found, Finding{
					What: fmt.Sprintf("the group %s has finished more than there is of %s, %d of %d events: the topic was made anew, or a broker has lost some", s.Group(), where, at.Committed, at.End),
					Fix:  fmt.Sprintf("kafka-consumer-groups --bootstrap-server %s --group %s --topic %s:%d --reset-offsets --to-earliest --execute, while its processors are stopped", p.bootstrap(), s.Group(), at.Topic, at.Partition),
				})
			case g.Members > 0 && at.Stuck:
				found = append(found, Finding{
					What: fmt.Sprintf("%d events of %s wait for the group %s, and none was finished in %s", at.End-at.Committed, where, s.Group(), patience),
					Fix:  fmt.Sprintf("see what its process says, then start it anew: kafka-consumer-groups --bootstrap-server %s --describe --group %s --members names it", p.bootstrap(), s.Group()),
				})
			}
		}
	}
	return found
}

func acls(p Target, f *Facts) (found []Finding) {
	var missing []kafka.ACL
	for _, a := range kafka.ACLs(p.Line, p.Roles...) {
		if may, seen := f.Permissions[Resource{a.Resource, a.Name}]; seen && !slices.Contains(may, a.Operation) && !slices.Contains(may, kadm.OpAll) {
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
				What: fmt.Sprintf("topic %s has a message from %s in the future: the clock of who wrote it, or the one here, is wrong, and with it times and estimates", t, ahead.Round(time.Second)),
				Fix:  "timedatectl set-ntp true, on the machines of the line",
			}}
		}
	}
	if skew := f.ConnectClock; skew.Abs() > maxSkew {
		found = append(found, Finding{What: fmt.Sprintf("the clock of Kafka Connect differs from the one here by %s", skew.Round(time.Second)), Fix: "timedatectl set-ntp true, on both machines"})
	}
	return found
}

func disks(_ Target, f *Facts) (found []Finding) {
	for _, d := range f.Disks {
		if d.Failure != "" {
			found = append(found, Finding{What: fmt.Sprintf("%s of %s cannot be used: %s", d.Directory, d.Of, d.Failure), Fix: "see what its log says, and replace the disk"})
			continue
		}
		if free := float64(d.Free) / float64(max(d.Total, 1)); free < minFree || d.Free < minRoom {
			found = append(found, Finding{
				What: fmt.Sprintf("the disk with %s of %s has %.1f of %.1f GB free: when it is full, no order can be taken", d.Directory, d.Of, float64(d.Free)/1e9, float64(d.Total)/1e9),
				Fix:  "make room, or move the directory to a larger disk: du -xh --max-depth 1 " + d.Directory + " | sort -h",
			})
		}
	}
	return found
}

func connect(p Target, f *Facts) (found []Finding) {
	if f.ConnectFailure != "" {
		return []Finding{{What: "Kafka Connect does not answer: " + f.ConnectFailure, Fix: "start its worker, or give the right --connect-url"}}
	}
	for _, c := range f.Connectors {
		at := p.Connect + "/connectors/" + c.Name
		switch {
		case c.State == "PAUSED" || c.State == "STOPPED":
			found = append(found, Finding{What: fmt.Sprintf("the connector %s is %s", c.Name, strings.ToLower(c.State)), Fix: "curl -X PUT " + at + "/resume"})
			continue
		case c.State == "FAILED":
			found = append(found, Finding{What: fmt.Sprintf("the connector %s has failed: %s", c.Name, c.Trace), Fix: "curl -X POST '" + at + "/restart?includeTasks=true&onlyFailed=true'"})
			continue
		case len(c.Tasks) == 0:
			found = append(found, Finding{What: fmt.Sprintf("the connector %s has no task: it does nothing", c.Name), Fix: "curl " + at + "/status, and see what the worker's log says"})
		}
		for _, t := range c.Tasks {
			if t.State == "FAILED" {
				found = append(found, Finding{What: fmt.Sprintf("task %d of the connector %s has failed, and Connect does not start it again: %s", t.ID, c.Name, t.Trace), Fix: fmt.Sprintf("curl -X POST %s/tasks/%d/restart", at, t.ID)})
			}
		}
	}
	return found
}
