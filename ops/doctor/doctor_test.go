package doctor

import (
	"strings"
	"testing"
	"time"

	"github.com/ecupcakes/ecupcakes/kafka"
	"github.com/ecupcakes/ecupcakes/kafka/embedded"
	"github.com/ecupcakes/ecupcakes/topology"

	"github.com/twmb/franz-go/pkg/kadm"
)

var patient = Target{
	Line: topology.Cupcakes, Partitions: 2, Roles: []kafka.Role{kafka.Processors, kafka.API}, User: "User:line", Brokers: []string{"a:1", "b:2"}, Connect: "http://c:3",
}

// healthy are the facts about a cluster of three brokers that is well.
func healthy() *Facts {
	f := &Facts{
		Now: time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC), Cluster: "c", Topics: map[string]Topic{}, Groups: map[string]Group{}, Permissions: map[Resource][]kadm.ACLOperation{},
		Disks:      []Disk{{"broker 1", "/d", 50 << 30, 100 << 30, ""}},
		Connectors: []Connector{{"sink", "RUNNING", "", []Task{{0, "RUNNING", ""}}}},
	}
	for i := range int32(3) {
		f.Brokers = append(f.Brokers, Broker{ID: i, Address: "a:1", Version: "4.3"})
	}
	for _, t := range kafka.RequiredTopics(patient.Line, 2, 3) {
		partitions := map[int32]Partition{}
		for p := range t.Partitions {
			partitions[p] = Partition{p, 3, 3}
		}
		f.Topics[t.Name] = Topic{Partitions: partitions, Configs: t.Configs, Newest: f.Now.Add(-time.Hour)}
	}
	for _, s := range patient.Line.Stages {
		f.Groups[s.Group()] = Group{1, []GroupProgress{{s.Input, 0, 10, 20, 20, false}, {s.Reports(), 1, 0, 5, 30, false}}, false}
	}
	for _, a := range kafka.ACLs(patient.Line, patient.Roles...) {
		r := Resource{a.Resource, a.Name}
		f.Permissions[r] = append(f.Permissions[r], a.Operation)
	}
	return f
}

func TestExamine(t *testing.T) {
	topic := func(name string, change func(*Topic)) func(*Facts) {
		return func(f *Facts) {
			t := f.Topics[name]
			change(&t)
			f.Topics[name] = t
		}
	}
	config := func(key, value string) func(*Facts) {
		return topic("orderrequests", func(t *Topic) { t.Configs[key] = value })
	}
	progress := func(p GroupProgress) func(*Facts) {
		return func(f *Facts) { f.Groups["mixing"] = Group{1, []GroupProgress{p}, false} }
	}
	connector := func(c Connector) func(*Facts) { return func(f *Facts) { f.Connectors = []Connector{c} } }
	const alter = "kafka-configs --bootstrap-server a:1,b:2 --alter --topic orderrequests --add-config "
	for name, c := range map[string]struct {
		change            func(*Facts)
		check, what, mend string // Parts of the one finding; empty for none.
	}{
		"healthy":                      {func(*Facts) {}, "", "", ""},
		"nothing may be seen":          {func(f *Facts) { *f = Facts{Brokers: f.Brokers} }, "", "", ""},
		"a broker is away":             {func(f *Facts) { f.Brokers[2].Failure = "EOF" }, "brokers", "broker 2 at a:1 does not answer: EOF", "start it"},
		"an old broker":                {func(f *Facts) { f.Brokers = []Broker{{Version: "2.0", Old: true}, {Version: "2.0"}, {Version: "2.0"}} }, "versions", "Kafka 2.0", "upgrade"},
		"two versions":                 {func(f *Facts) { f.Brokers[1].Version = "4.2" }, "versions", "4.2, 4.3", "finish the upgrade"},
		"a broker away has no version": {func(f *Facts) { f.Brokers[1] = Broker{Failure: "x"} }, "brokers", "x", "start it"},
		"a topic is missing":           {topic("shipped", func(t *Topic) { *t = Topic{Missing: true} }), "topics", "no topics shipped", "ecupcakes topics apply --brokers a:1,b:2 --partitions 2"},
		"one has other partitions":     {topic("shipped", func(t *Topic) { delete(t.Partitions, 1) }), "topics", "1 partitions, not 2, have the topics shipped:", "new line"},
		"all have other partitions": {func(f *Facts) {
			for _, t := range f.Topics {
				delete(t.Partitions, 1)
			}
		}, "topics", "1 partitions, not 2", "ecupcakes serve --partitions 1"},
		"one replica":                     {topic("shipped", func(t *Topic) { t.Partitions[1] = Partition{1, 1, 1}; t.Configs = nil }), "topics", "shipped is on 1 of 3 brokers", "kafka-reassign-partitions"},
		"no leader":                       {topic("shipped", func(t *Topic) { t.Partitions[1] = Partition{-1, 3, 0} }), "topics", "partitions 1 of topic shipped have no leader", "start the brokers"},
		"out of sync":                     {topic("shipped", func(t *Topic) { t.Partitions[0] = Partition{1, 3, 2} }), "topics", "partitions 0 of topic shipped are not on all", "--under-replicated-partitions"},
		"ingredients with two partitions": {topic(topology.Cupcakes.Ingredients, func(t *Topic) { t.Partitions[1] = Partition{1, 3, 3} }), "topics", "ingredients has 2 partitions, not 1", "kafka-topics"},
		"short retention":                 {config("retention.ms", "3600000"), "topics", "retention.ms=3600000, not 604800000: events that wait longer", alter + "retention.ms=604800000"},
		"long retention":                  {config("retention.ms", "-1"), "", "", ""},
		"compacted":                       {config("cleanup.policy", "compact"), "topics", "cleanup.policy=compact", alter + "cleanup.policy=delete"},
		"a table that forgets":            {topic("mixing-table", func(t *Topic) { t.Configs["cleanup.policy"] = "compact,delete" }), "topics", "has to keep is deleted", "cleanup.policy=compact"},
		"one in sync":                     {config("min.insync.replicas", "1"), "topics", "on one broker only", alter + "min.insync.replicas=2"},
		"all in sync":                     {config("min.insync.replicas", "3"), "topics", "each broker that stops, stops the line", alter + "min.insync.replicas=2"},
		"unclean":                         {config("unclean.leader.election.enable", "true"), "topics", "missed orders", alter + "unclean.leader.election.enable=false"},
		"retention by size":               {config("retention.bytes", "1000"), "topics", "read or not", alter + "retention.bytes=-1"},
		"no retention by size":            {config("retention.bytes", "-1"), "", "", ""},
		"nobody works": {func(f *Facts) {
			f.Groups["mixing"] = Group{0, []GroupProgress{{"orderrequests", 0, 0, 3, 10, true}}, false}
		}, "groups", "nobody works in the group mixing: 7 events", "--stages mixing --brokers a:1,b:2"},
		"no coordinator":    {func(f *Facts) { f.Groups["mixing"] = Group{Leaderless: true} }, "groups", "no broker coordinates the group mixing", "__consumer_offsets"},
		"stuck":             {progress(GroupProgress{"orderrequests", 1, 0, 3, 10, true}), "groups", "7 events of partition 1 of orderrequests wait for the group mixing", "kafka-consumer-groups"},
		"deleted unread":    {progress(GroupProgress{"orderrequests", 1, 9, 3, 10, true}), "groups", "6 events of partition 1 of orderrequests were deleted", "ecupcakes verify"},
		"a topic made anew": {progress(GroupProgress{"orderrequests", 1, 0, 30, 10, false}), "groups", "30 of 10 events", "--topic orderrequests:1 --reset-offsets --to-earliest"},
		"may not write": {func(f *Facts) {
			f.Permissions[Resource{"topic", "shipped"}] = []kadm.ACLOperation{kadm.OpDescribe, kadm.OpDescribeConfigs}
		}, "acls", "User:line lacks the ACLs Write on topic shipped", `--add --allow-principal "User:line" --operation Write --topic shipped`},
		"may do all":      {func(f *Facts) { f.Permissions[Resource{"topic", "shipped"}] = []kadm.ACLOperation{kadm.OpAll} }, "", "", ""},
		"no screens":      {func(f *Facts) { f.Permissions[Resource{"group", "screens."}] = nil }, "acls", "Read on group screens.", "--resource-pattern-type prefixed --operation Read --group screens."},
		"from the future": {topic("shipped", func(t *Topic) { t.Newest = t.Newest.Add(time.Hour + 6*time.Second) }), "clocks", "shipped has a message from 6s in the future", "set-ntp"},
		"from just now":   {topic("shipped", func(t *Topic) { t.Newest = t.Newest.Add(time.Hour + 4*time.Second) }), "", "", ""},
		"Connect's clock": {func(f *Facts) { f.ConnectClock = -time.Minute }, "clocks", "differs from the one here by -1m0s", "set-ntp"},
		"a full disk":     {func(f *Facts) { f.Disks[0].Free = 5 << 30 }, "disks", "5.4 of 107.4 GB free", "du -xh"},
		"a small disk":    {func(f *Facts) { f.Disks[0] = Disk{"x", "/d", 1 << 29, 1 << 30, ""} }, "disks", "/d of x has 0.5", "make room"},
		"a broken disk":   {func(f *Facts) { f.Disks[0].Failure = "KAFKA_STORAGE_ERROR" }, "disks", "KAFKA_STORAGE_ERROR", "replace"},
		"no Connect":      {func(f *Facts) { f.ConnectFailure = "refused" }, "connect", "refused", "--connect-url"},
		"failed":          {connector(Connector{"sink", "FAILED", "boom", nil}), "connect", "sink has failed: boom", "curl -X POST 'http://c:3/connectors/sink/restart?includeTasks=true&onlyFailed=true'"},
		"paused":          {connector(Connector{"sink", "PAUSED", "", []Task{{0, "PAUSED", ""}}}), "connect", "sink is paused", "curl -X PUT http://c:3/connectors/sink/resume"},
		"a failed task":   {connector(Connector{"sink", "RUNNING", "", []Task{{0, "RUNNING", ""}, {1, "FAILED", "boom"}}}), "connect", "task 1 of the connector sink has failed, and Connect does not start it again: boom", "curl -X POST http://c:3/connectors/sink/tasks/1/restart"},
		"no task":         {connector(Connector{"sink", "RUNNING", "", nil}), "connect", "no task", "/connectors/sink/status"},
		"embedded": {func(f *Facts) {
			f.Cluster, f.Brokers = embedded.ClusterID, f.Brokers[:1]
			for name, t := range f.Topics {
				for p := range t.Partitions {
					t.Partitions[p] = Partition{0, 1, 1}
				}
				t.Configs["min.insync.replicas"] = "1"
				if name != "shipped" && t.Configs["retention.ms"] != "" {
					t.Configs["retention.ms"] = "-1"
				}
				f.Topics[name] = t
			}
		}, "topics", "shipped has retention.ms=604800000, not -1", "retention.ms=-1"},
	} {
		f := healthy()
		c.change(f)
		found := Diagnose(patient, f)
		if c.what == "" {
			if len(found) > 0 {
				t.Errorf("%s: found %+v", name, found)
			}
			continue
		}
		if len(found) != 1 || found[0].Check != c.check || !strings.Contains(found[0].What, c.what) || !strings.Contains(found[0].Fix, c.mend) {
			t.Errorf("%s: found %+v, want %s: %q and %q", name, found, c.check, c.what, c.mend)
		}
	}
}

// What is found is one line, and there is something to say when nothing is.
func TestWords(t *testing.T) {
	for _, check := range Checks {
		for _, f := range []*Facts{healthy(), {}} {
			if said := f.Summary(check); said == "" || strings.Contains(said, "\n") {
				t.Errorf("of %s it says %q", check, said)
			}
		}
	}
	for _, trace := range []string{"a", "a\nb\nc"} {
		if got := first(trace); got != "a" {
			t.Errorf("the first line of %q is %q", trace, got)
		}
	}
}
