package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ecupcakes/ecupcakes/kafka"
	"github.com/ecupcakes/ecupcakes/kafka/embedded"
	"github.com/ecupcakes/ecupcakes/ops/connect"
	"github.com/ecupcakes/ecupcakes/topology"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

var target = Target{
	Line: topology.Cupcakes, Partitions: 2, Roles: []kafka.Role{kafka.Processors, kafka.API}, User: "User:line", Brokers: []string{"a:1", "b:2"}, Connect: "http://c:3",
}

func sink(state, trace string, tasks ...connect.Task) connect.Status {
	return connect.Status{Name: "sink", Connector: connect.Part{State: state, Trace: trace}, Tasks: tasks}
}

func task(id int, state, trace string) connect.Task {
	return connect.Task{ID: id, Part: connect.Part{State: state, Trace: trace}}
}

// progress returns the progress of a group that has members.
func progress(topic string, p int32, begin, committed, end int64) GroupProgress {
	return GroupProgress{Topic: topic, Partition: p, Range: kafka.Range{Begin: begin, End: end}, Committed: committed}
}

func stuck(p GroupProgress) GroupProgress {
	p.Stuck = true
	return p
}

// healthy returns the facts about a cluster of three brokers without a problem.
func healthy() *Facts {
	f := &Facts{
		Now: time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC), Cluster: "c", Topics: map[string]Topic{}, Groups: map[string]Group{}, Permissions: map[Resource][]kadm.ACLOperation{},
		Disks:      []Disk{{Of: "broker 1", Directory: "/d", Free: 50 << 30, Total: 100 << 30}},
		Connectors: []connect.Status{sink("RUNNING", "", task(0, "RUNNING", ""))},
	}
	for i := range int32(3) {
		f.Brokers = append(f.Brokers, Broker{ID: i, Address: "a:1", Version: "4.3"})
	}
	for _, t := range kafka.RequiredTopics(target.Line, 2, 3) {
		partitions := map[int32]Partition{}
		for p := range t.Partitions {
			partitions[p] = Partition{Leader: p, Replicas: 3, InSync: 3}
		}
		f.Topics[t.Name] = Topic{Partitions: partitions, Configs: t.Configs, Newest: f.Now.Add(-time.Hour)}
	}
	for _, s := range target.Line.Stages {
		f.Groups[s.Group()] = Group{Members: 1, Partitions: []GroupProgress{progress(s.Input, 0, 10, 20, 20), progress(s.Reports(), 1, 0, 5, 30)}}
	}
	for _, a := range kafka.ACLs(target.Line, target.Roles...) {
		r := Resource{Kind: a.Resource, Name: a.Name}
		f.Permissions[r] = append(f.Permissions[r], a.Operation)
	}
	return f
}

func TestDiagnose(t *testing.T) {
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
	mixing := func(p GroupProgress) func(*Facts) {
		return func(f *Facts) { f.Groups["mixing"] = Group{Members: 1, Partitions: []GroupProgress{p}} }
	}
	connector := func(c connect.Status) func(*Facts) { return func(f *Facts) { f.Connectors = []connect.Status{c} } }
	const alter = "kafka-configs --bootstrap-server a:1,b:2 --alter --topic orderrequests --add-config "
	for name, c := range map[string]struct {
		change           func(*Facts)
		check, what, fix string // Parts of the one finding; empty for none.
	}{
		"healthy":                         {func(*Facts) {}, "", "", ""},
		"no permission to read anything":  {func(f *Facts) { *f = Facts{Brokers: f.Brokers} }, "", "", ""},
		"broker down":                     {func(f *Facts) { f.Brokers[2].Failure = "EOF" }, "brokers", "broker 2 at a:1 does not answer: EOF", "start it"},
		"old broker":                      {func(f *Facts) { f.Brokers = []Broker{{Version: "2.0", Old: true}, {Version: "2.0"}, {Version: "2.0"}} }, "versions", "Kafka 2.0", "upgrade"},
		"two versions":                    {func(f *Facts) { f.Brokers[1].Version = "4.2" }, "versions", "4.2, 4.3", "finish the upgrade"},
		"broker down without a version":   {func(f *Facts) { f.Brokers[1] = Broker{Failure: "x"} }, "brokers", "x", "start it"},
		"missing topic":                   {topic("shipped", func(t *Topic) { *t = Topic{Missing: true} }), "topics", "missing topics: shipped", "ecupcakes topics apply --brokers a:1,b:2 --partitions 2"},
		"one topic with other partitions": {topic("shipped", func(t *Topic) { delete(t.Partitions, 1) }), "topics", "the topics shipped have 1 partitions, not 2", "new line"},
		"all topics with other partitions": {func(f *Facts) {
			for _, t := range f.Topics {
				delete(t.Partitions, 1)
			}
		}, "topics", "1 partitions, not 2", "ecupcakes serve --partitions 1"},
		"one replica":                     {topic("shipped", func(t *Topic) { t.Partitions[1] = Partition{Leader: 1, Replicas: 1, InSync: 1}; t.Configs = nil }), "topics", "shipped has 1 of 3 replicas", "kafka-reassign-partitions"},
		"no leader":                       {topic("shipped", func(t *Topic) { t.Partitions[1] = Partition{Leader: -1, Replicas: 3, InSync: 0} }), "topics", "partitions 1 of topic shipped have no leader", "start the brokers"},
		"under-replicated":                {topic("shipped", func(t *Topic) { t.Partitions[0] = Partition{Leader: 1, Replicas: 3, InSync: 2} }), "topics", "partitions 0 of topic shipped are under-replicated", "--under-replicated-partitions"},
		"ingredients with two partitions": {topic(topology.Cupcakes.Ingredients, func(t *Topic) { t.Partitions[1] = Partition{Leader: 1, Replicas: 3, InSync: 3} }), "topics", "ingredients has 2 partitions, not 1", "kafka-topics"},
		"short retention":                 {config("retention.ms", "3600000"), "topics", "retention.ms=3600000, not 604800000: events that wait longer", alter + "retention.ms=604800000"},
		"long retention":                  {config("retention.ms", "-1"), "", "", ""},
		"compacted":                       {config("cleanup.policy", "compact"), "topics", "cleanup.policy=compact", alter + "cleanup.policy=delete"},
		"table with retention":            {topic("mixing-table", func(t *Topic) { t.Configs["cleanup.policy"] = "compact,delete" }), "topics", "records that the line needs are deleted", "cleanup.policy=compact"},
		"min.insync.replicas too low":     {config("min.insync.replicas", "1"), "topics", "on one broker only", alter + "min.insync.replicas=2"},
		"min.insync.replicas too high":    {config("min.insync.replicas", "3"), "topics", "whenever a broker stops", alter + "min.insync.replicas=2"},
		"unclean leader election":         {config("unclean.leader.election.enable", "true"), "topics", "lacks orders", alter + "unclean.leader.election.enable=false"},
		"retention by size":               {config("retention.bytes", "1000"), "topics", "even unread ones", alter + "retention.bytes=-1"},
		"no retention by size":            {config("retention.bytes", "-1"), "", "", ""},
		"no members": {func(f *Facts) {
			f.Groups["mixing"] = Group{Partitions: []GroupProgress{stuck(progress("orderrequests", 0, 0, 3, 10))}}
		}, "groups", "the group mixing has no members: 7 events", "--stages mixing --brokers a:1,b:2"},
		"no coordinator":  {func(f *Facts) { f.Groups["mixing"] = Group{Leaderless: true} }, "groups", "no broker coordinates the group mixing", "__consumer_offsets"},
		"stuck":           {mixing(stuck(progress("orderrequests", 1, 0, 3, 10))), "groups", "7 events of partition 1 of orderrequests wait for the group mixing", "kafka-consumer-groups"},
		"deleted unread":  {mixing(stuck(progress("orderrequests", 1, 9, 3, 10))), "groups", "6 events of partition 1 of orderrequests were deleted", "ecupcakes verify"},
		"recreated topic": {mixing(progress("orderrequests", 1, 0, 30, 10)), "groups", "committed offset 30 of partition 1 of orderrequests, which ends at 10", "--topic orderrequests:1 --reset-offsets --to-earliest"},
		"no ACL to write": {func(f *Facts) {
			f.Permissions[Resource{Kind: "topic", Name: "shipped"}] = []kadm.ACLOperation{kadm.OpDescribe, kadm.OpDescribeConfigs}
		}, "acls", "User:line lacks the ACLs Write on topic shipped", `--add --allow-principal "User:line" --operation Write --topic shipped`},
		"ACL for all operations": {func(f *Facts) {
			f.Permissions[Resource{Kind: "topic", Name: "shipped"}] = []kadm.ACLOperation{kadm.OpAll}
		}, "", "", ""},
		"no ACL for groups of screens":       {func(f *Facts) { f.Permissions[Resource{Kind: "group", Name: "screens."}] = nil }, "acls", "Read on group screens.", "--resource-pattern-type prefixed --operation Read --group screens."},
		"message from the future":            {topic("shipped", func(t *Topic) { t.Newest = t.Newest.Add(time.Hour + 6*time.Second) }), "clocks", "shipped has a message from 6s in the future", "set-ntp"},
		"message within the clock tolerance": {topic("shipped", func(t *Topic) { t.Newest = t.Newest.Add(time.Hour + 4*time.Second) }), "", "", ""},
		"clock of Connect":                   {func(f *Facts) { f.ConnectClock = -time.Minute }, "clocks", "differs from this machine's by -1m0s", "set-ntp"},
		"full disk":                          {func(f *Facts) { f.Disks[0].Free = 5 << 30 }, "disks", "5.4 of 107.4 GB free", "du -xh"},
		"small disk":                         {func(f *Facts) { f.Disks[0] = Disk{Of: "x", Directory: "/d", Free: 1 << 29, Total: 1 << 30} }, "disks", "/d of x has 0.5", "free space"},
		"broken disk":                        {func(f *Facts) { f.Disks[0].Failure = "KAFKA_STORAGE_ERROR" }, "disks", "KAFKA_STORAGE_ERROR", "replace"},
		"Connect unreachable":                {func(f *Facts) { f.ConnectFailure = "refused" }, "connect", "refused", "--connect-url"},
		"failed connector":                   {connector(sink("FAILED", "boom")), "connect", "sink has failed: boom", "curl -X POST 'http://c:3/connectors/sink/restart?includeTasks=true&onlyFailed=true'"},
		"paused connector":                   {connector(sink("PAUSED", "", task(0, "PAUSED", ""))), "connect", "sink is paused", "curl -X PUT http://c:3/connectors/sink/resume"},
		"failed task":                        {connector(sink("RUNNING", "", task(0, "RUNNING", ""), task(1, "FAILED", "boom"))), "connect", "task 1 of the connector sink has failed, and Connect does not restart it: boom", "curl -X POST http://c:3/connectors/sink/tasks/1/restart"},
		"connector without tasks":            {connector(sink("RUNNING", "")), "connect", "no task", "/connectors/sink/status"},
		"embedded": {func(f *Facts) {
			f.Cluster, f.Brokers = embedded.ClusterID, f.Brokers[:1]
			for name, t := range f.Topics {
				for p := range t.Partitions {
					t.Partitions[p] = Partition{Leader: 0, Replicas: 1, InSync: 1}
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
		found := Diagnose(target, f)
		if c.what == "" {
			if len(found) > 0 {
				t.Errorf("%s: found %+v", name, found)
			}
			continue
		}
		if len(found) != 1 || found[0].Check != c.check || !strings.Contains(found[0].What, c.what) || !strings.Contains(found[0].Fix, c.fix) {
			t.Errorf("%s: found %+v, want %s: %q and %q", name, found, c.check, c.what, c.fix)
		}
	}
}

// Every check has a summary of one line, both with and without facts.
func TestSummaryIsOneLine(t *testing.T) {
	for _, check := range Checks {
		for _, f := range []*Facts{healthy(), {}} {
			if got := f.Summary(check); got == "" || strings.Contains(got, "\n") {
				t.Errorf("the summary of %s is %q", check, got)
			}
		}
	}
}

// Scripts written for the first version still find the fix as "mend".
func TestFindingJSONHasFixAndMend(t *testing.T) {
	b, err := json.Marshal([]Finding{{Check: "c", What: "w", Fix: "f"}})
	if want := `[{"check":"c","what":"w","fix":"f","mend":"f"}]`; err != nil || string(b) != want {
		t.Errorf("the JSON is %s, %v, want %s", b, err, want)
	}
}

// Connectors repeat the URI of the database in their stack traces, on any line of them.
func TestMongoDBPasswordStaysOut(t *testing.T) {
	const trace = "x.Y: mongodb://ana:secret@db:27017 is down\\n\\tat x\\nCaused by: z.Z: no route to mongodb+srv://ana:secret@db\\n"
	worker := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, `{
			"sink": {"status": {"name": "sink", "connector": {"state": "RUNNING"}, "tasks": [{"id": 0, "state": "FAILED", "trace": "%[1]s"}]}},
			"source": {"status": {"name": "source", "connector": {"state": "FAILED", "trace": "%[1]s"}, "tasks": []}}}`, trace)
	}))
	defer worker.Close()
	e := &collector{Target: Target{Connect: worker.URL}, Facts: &Facts{}}
	e.connect(t.Context())
	found := connectors(e.Target, e.Facts)
	if len(found) != 2 || e.ConnectFailure != "" {
		t.Fatalf("found %+v, failure %q, want two findings", found, e.ConnectFailure)
	}
	for _, f := range found {
		if !strings.Contains(f.What, "x.Y: mongodb://***@db:27017 is down; caused by z.Z: no route to mongodb+srv://***@db") {
			t.Errorf("found %q, want the cause with redacted URIs", f.What)
		}
	}
	if all := fmt.Sprintf("%+v", e.Facts); strings.Contains(all, "secret") {
		t.Errorf("the facts contain the password: %s", all)
	}
}

// A broker that is down excuses errors that it can cause, and no others.
func TestBrokerDownExcusesOnlyItsErrors(t *testing.T) {
	down := &collector{Facts: &Facts{Brokers: []Broker{{}, {Failure: "EOF"}}}}
	up := &collector{Facts: &Facts{Brokers: []Broker{{}, {}}}}
	for err, excused := range map[error]bool{
		kerr.LeaderNotAvailable: true,
		kerr.NotCoordinator:     true,
		io.EOF:                  true,
		&net.OpError{Op: "dial", Err: errors.New("connection refused")}: true,
		kerr.TopicAuthorizationFailed:                                   false,
		kerr.InvalidRequest:                                             false,
		errors.New("cannot decode the answer"):                          false,
		context.DeadlineExceeded:                                        false,
	} {
		wrapped := fmt.Errorf("asking: %w", err)
		if got := down.failed(wrapped); (got == nil) != excused {
			t.Errorf("with a broker down, %v becomes %v", err, got)
		}
		if up.failed(wrapped) == nil {
			t.Errorf("with all brokers up, %v is swallowed", err)
		}
	}
}
