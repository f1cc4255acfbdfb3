package test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ecupcakes/ecupcakes/internal/testkit"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// finding is a finding of `ecupcakes doctor --json`.
type finding struct{ Check, What, Fix string }

// examine runs the doctor, checks that its exit status fits its findings, and returns them.
func examine(t *testing.T, l login, flags ...string) []finding {
	t.Helper()
	said, code := l.run(t, append([]string{"doctor", "--json"}, flags...)...)
	var report struct {
		Brokers  int
		Findings []finding
	}
	if err := json.NewDecoder(strings.NewReader(said)).Decode(&report); err != nil || report.Brokers != 1 {
		t.Fatalf("the doctor says, %v:\n%s", err, said)
	}
	if (code == 0) != (len(report.Findings) == 0) || code > 1 {
		t.Errorf("the exit code is %d for\n%s", code, said)
	}
	return report.Findings
}

// The doctor finds nothing on a sound cluster and finds each fault that the test makes; running the
// commands of its fixes removes the faults.
func TestDoctorFindsFaultsAndItsFixesWork(t *testing.T) {
	t.Parallel()
	k := realKafka(t, 1)
	f := openOn(t, k.Brokers())
	here := login{at: k.Brokers()}
	id := f.place()
	if found := examine(t, here); len(found) > 0 {
		t.Fatalf("all is well, and it finds %+v", found)
	}
	if said, code := here.run(t, "doctor"); code != 0 || strings.Count(said, "\n") != 8 || strings.Count(said, "ok  ") != 8 {
		t.Errorf("exit code %d for\n%s", code, said)
	}
	if said, code := (login{at: freeAddress(t)}).run(t, "doctor"); code != 2 || !strings.Contains(said, "no Kafka broker answers") {
		t.Errorf("without a broker the exit code is %d for\n%s", code, said)
	}

	admin := adminOf(t, k.Brokers())
	faults := map[[2]string]string{
		{"retention.ms", "3600000"}: "orderrequests", {"retention.bytes", "1000000"}: "readytobake", {"cleanup.policy", "compact,delete"}: "baking-table",
		{"unclean.leader.election.enable", "true"}: "shipping-reports",
	}
	for setting, topic := range faults {
		altered, err := admin.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Name: setting[0], Value: &setting[1]}}, topic)
		if err != nil || altered[0].Err != nil {
			t.Fatal(err, altered)
		}
	}
	found := examine(t, here)
	if len(found) != len(faults) {
		t.Errorf("with %v it finds %+v", faults, found)
	}
	script := tools(t, k.Cluster)
	for setting, topic := range faults {
		at := slices.IndexFunc(found, func(f finding) bool {
			return f.Check == "topics" && strings.Contains(f.What, "topic "+topic+" has "+setting[0]+"="+setting[1])
		})
		if at < 0 {
			t.Fatalf("with %s it finds %+v", setting, found)
		}
		script += found[at].Fix + "\n"
	}
	if out, err := shell(t.Context(), t, script).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
	if found := examine(t, here); len(found) > 0 {
		t.Fatalf("after the fixes it finds %+v", found)
	}

	only := func(check, what, fix string, flags ...string) {
		t.Helper()
		found := slices.DeleteFunc(examine(t, here, flags...), func(f finding) bool { return !strings.Contains(f.What, what) })
		if len(found) != 1 || found[0].Check != check || !strings.Contains(found[0].Fix, fix) {
			t.Errorf("it finds %+v, want %s: %q and %q", found, check, what, fix)
		}
	}
	only("topics", " have 8 partitions, not 4", "--partitions 8", "--partitions", "4")
	connect := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, `{"sink":{"status":{"name":"sink","connector":{"state":"RUNNING"},"tasks":[{"id":0,"state":"FAILED","trace":"java.lang.X: boom\n\tat y"}]}}}`)
	}))
	defer connect.Close()
	only("connect", "task 0 of the connector sink has failed, and Connect does not restart it: java.lang.X: boom", connect.URL+"/connectors/sink/tasks/0/restart", "--connect-url", connect.URL)
	only("connect", "Kafka Connect does not answer", "--connect-url", "--connect-url", "http://"+freeAddress(t))

	f.stop()
	only("groups", "the group mixing has no members: 0 events", "ecupcakes serve --roles processors --stages mixing")
	at := partitionOf([]byte(id))
	record := &kgo.Record{Topic: "orderrequests", Partition: at, Key: []byte(id), Value: []byte("rubbish"), Timestamp: time.Now().Add(50 * time.Minute)}
	produce(t, k.Brokers(), []*kgo.Record{record, {Topic: "orderrequests", Partition: at, Key: []byte(id), Value: []byte("rubbish")}})
	only("clocks", "orderrequests has a message from", "timedatectl")
	only("groups", "the group mixing has no members: 2 events", "serve")
	var all kadm.Offsets
	all.AddOffset("orderrequests", at, -1, -1)
	if _, err := admin.DeleteRecords(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	only("groups", "2 events of partition", "ecupcakes verify")
	deleted, err := admin.DeleteTopics(t.Context(), "shipped")
	if err != nil || deleted.Error() != nil {
		t.Fatal(err, deleted)
	}
	var again []finding
	testkit.Eventually(t, "the doctor misses the deleted topic", func() bool {
		again = examine(t, here)
		return slices.ContainsFunc(again, func(f finding) bool { return strings.Contains(f.What, "missing topics: shipped") })
	}, func() any { return again })
	only("topics", "missing topics: shipped", "ecupcakes topics apply --brokers "+k.Brokers())
}

// With one of three brokers down, the doctor still checks the rest and reports under-replicated
// partitions.
func TestDoctorWithBrokerDown(t *testing.T) {
	t.Parallel()
	k := realKafka(t, 3)
	here := login{at: k.Brokers()}
	if said, code := here.run(t, "topics", "apply"); code != 0 {
		t.Fatal(said)
	}
	var said string
	well := func() bool {
		said, _ = here.run(t, "doctor")
		return !strings.Contains(said, "WRONG  topics") && !strings.Contains(said, "WRONG  brokers") && strings.Contains(said, "3 answer")
	}
	// Each broker of a new cluster hears in its own time of the topics that one has created.
	last := func() any { return said }
	testkit.Eventually(t, "the doctor finds nothing wrong with three brokers", well, last)
	node := k.Nodes[2]
	node.Kill()
	testkit.Eventually(t, "the doctor finds topics on too few brokers", func() bool {
		var code int
		if said, code = here.run(t, "doctor"); code == 2 {
			t.Errorf("it fails without one of three brokers:\n%s", said)
		}
		return strings.Contains(said, "of topic orderrequests are under-replicated")
	}, last)
	if err := node.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "the doctor finds nothing wrong with the third broker back", well, last)
}

// With --data, the doctor also checks the disk of an embedded broker.
func TestDoctorChecksDiskOfEmbeddedBroker(t *testing.T) {
	t.Parallel()
	f := open(t)
	here := login{at: f.kafka}
	f.place()
	if found := examine(t, here, "--data", f.data); len(found) > 0 {
		t.Errorf("it finds %+v", found)
	}
	if said, code := here.run(t, "doctor", "--data", f.data); code != 0 || !strings.Contains(said, "1, with free space") {
		t.Errorf("exit code %d for\n%s", code, said)
	}
	if said, code := here.run(t, "doctor", "--data", f.data+"none"); code != 2 || !strings.Contains(said, "reading the free space") {
		t.Errorf("exit code %d for\n%s", code, said)
	}
}
