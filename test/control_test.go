package test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"ecupcakes/test/realkafka"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestControl shows that the tests of this directory can fail: each scenario is
// played by the program and then by the same program without one of the parts
// that are there for it. The audit has to find nothing first, and something
// then.
func TestControl(t *testing.T) {
	c := &controlled{}
	c.Cluster, c.proxies = behindProxies(t, 3)
	c.admin = adminOf(t, c.Brokers())
	for _, control := range []struct {
		part     string
		file     string // Where the part is, below the module's root.
		is, then string // The source with it and without it.
		play     func(t *testing.T, program string) (damage string)
	}{
		{
			part: "all replicas acknowledge an order before its 201",
			file: "broker/producer.go", is: "kgo.RequiredAcks(kgo.AllISRAcks())", then: "kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite()",
			play: c.leaderDiesAlone,
		},
		{
			part: "commits in order",
			file: "gokaplus/config.go", is: "Rejoin(Ordered(o.consumerGroup, o.Progress))", then: "Rejoin(o.consumerGroup)",
			play: c.killedBehindAnUnreachableLeader,
		},
		{
			part: "a row remembers its order",
			file: "order/next.go", is: "if row.State != None && row.State != Early {", then: "if false {",
			play: orderComesAgain,
		},
	} {
		t.Run(control.part, func(t *testing.T) {
			if damage := control.play(t, binary); damage != "" {
				t.Errorf("with it: %s", damage)
			}
			if damage := control.play(t, mutant(t, control.file, control.is, control.then)); damage == "" {
				t.Error("without it nothing is found: the scenario proves nothing")
			} else {
				t.Logf("without it: %s", damage)
			}
		})
	}
}

// mutant builds the program with one piece of its source replaced.
func mutant(t *testing.T, file, is, then string) (program string) {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", file))
	if err == nil {
		program, err = overlaid(t.TempDir(), path, is, then)
	}
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// overlaid builds the program in dir with pieces of a source file, its own or
// the standard library's, replaced; pieces are pairs of what is there, once, and
// what is to be there.
func overlaid(dir, path string, pieces ...string) (program string, err error) {
	source, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	for i := 0; i < len(pieces); i += 2 {
		if n := strings.Count(string(source), pieces[i]); n != 1 {
			return "", fmt.Errorf("%s contains %q %d times, want once", path, pieces[i], n)
		}
	}
	changed, overlay := filepath.Join(dir, "changed.go"), filepath.Join(dir, "overlay.json")
	program = filepath.Join(dir, "ecupcakes")
	replace, _ := json.Marshal(map[string]any{"Replace": map[string]string{path: changed}}) // Strings cannot fail.
	err = errors.Join(
		os.WriteFile(changed, []byte(strings.NewReplacer(pieces...).Replace(string(source))), 0o600),
		os.WriteFile(overlay, replace, 0o600))
	if err != nil {
		return "", err
	}
	if out, err := exec.Command("go", "build", "-overlay", overlay, "-o", program, "ecupcakes/cmd/ecupcakes").CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the program with another %s: %w\n%s", path, err, out)
	}
	return program, nil
}

// controlled is a cluster of three nodes.
type controlled struct {
	*realkafka.Cluster
	proxies []*proxy
	admin   *kadm.Client
}

// lead makes a node the leader of all partitions of topics.
func (c *controlled) lead(t *testing.T, node int32, topics ...string) {
	t.Helper()
	ctx := t.Context()
	var moves kadm.AlterPartitionAssignmentsReq
	var elect kadm.TopicsSet
	details, err := c.admin.ListTopicsWithInternal(ctx, topics...)
	if err != nil {
		t.Fatal(err)
	}
	replicas := []int32{node}
	for n := range int32(3) {
		if n+1 != node {
			replicas = append(replicas, n+1)
		}
	}
	details.EachPartition(func(p kadm.PartitionDetail) {
		moves.Assign(p.Topic, p.Partition, replicas)
		elect.Add(p.Topic, p.Partition)
	})
	if _, err := c.admin.AlterPartitionAssignments(ctx, moves); err != nil {
		t.Fatal(err)
	}
	eventually(t, fmt.Sprintf("node %d leads %v", node, topics), func() bool {
		_, err := c.admin.ElectLeaders(ctx, kadm.ElectPreferredReplica, elect)
		return err == nil && c.each(ctx, topics, func(p kadm.PartitionDetail) bool { return p.Leader == node && len(p.ISR) == 3 })
	})
}

// each says whether all partitions of topics are as ok wants them, as far as
// the cluster can tell.
func (c *controlled) each(ctx context.Context, topics []string, ok func(kadm.PartitionDetail) bool) bool {
	now, err := c.admin.ListTopicsWithInternal(ctx, topics...)
	all := err == nil && len(now) == len(topics)
	now.EachPartition(func(p kadm.PartitionDetail) { all = all && p.Err == nil && ok(p) })
	return all
}

func adminOf(t *testing.T, brokers string) *kadm.Client {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(brokers, ",")...), kgo.MetadataMinAge(100*time.Millisecond), kgo.AlwaysRetryEOF())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return kadm.NewClient(client)
}

// killedBehindAnUnreachableLeader has the mixer's rows wait for a broker that
// cannot be reached, later messages of the same partitions be finished, and the
// processor killed before the rows are written.
func (c *controlled) killedBehindAnUnreachableLeader(t *testing.T, program string) string {
	api := opened(t, &factory{t: t, program: program, kafka: c.Brokers(), serve: []string{"--roles", "api"}})
	mixer := opened(t, &factory{t: t, program: program, kafka: c.Brokers(), serve: []string{"--roles", "processors", "--instance", "one"}})
	api.place()
	mixer.stop() // So that it joins where its coordinator will stay.
	c.lead(t, 1, "orderrequests", "deadletters", "__consumer_offsets")
	c.lead(t, 2, "mixing-table")
	mixer.start()
	api.place()
	c.proxies[1].set(true, 0)
	for range 40 {
		api.must(http.StatusCreated, "POST", "/api/v1/order", strawberry)
	}
	var poison []*kgo.Record
	for p := range int32(8) {
		poison = append(poison, &kgo.Record{Topic: "orderrequests", Partition: p, Key: []byte("poison"), Value: []byte("not JSON")})
	}
	before := endOf(t, c.admin, "deadletters")
	produce(t, c.Brokers(), poison)
	eventually(t, "the poison is put away", func() bool { return endOf(t, c.admin, "deadletters") == before+8 })
	time.Sleep(time.Second) // For some commits. No order is finished, so there should be none.
	mixer.kill()
	c.proxies[1].set(false, 0)
	mixer.start()
	var a audit
	eventually(t, "nothing is in flight", func() bool {
		a = auditOf(t, "--brokers", c.Brokers())
		return a.InFlight == 0
	})
	mixer.stop()
	api.stop()
	return a.damage()
}

// leaderDiesAlone kills the broker that alone has what it was sent.
func (c *controlled) leaderDiesAlone(t *testing.T, program string) string {
	f := opened(t, &factory{t: t, program: program, kafka: c.Brokers()})
	f.place()
	c.lead(t, 1, "orderrequests")
	accepted := make(chan string, 30)
	place := func() {
		a := f.call("POST", "/api/v1/order", strawberry)
		var placed struct{ CorrelationID string }
		if a.StatusCode == http.StatusCreated && json.Unmarshal(a.body, &placed) == nil {
			accepted <- placed.CorrelationID
		}
	}
	for range 10 {
		place() // The program learns who leads now.
	}
	for _, n := range c.Nodes[1:] {
		if err := n.Pause(); err != nil {
			t.Fatal(err)
		}
	}
	place() // This one answers what the others have asked the leader, and is in their sockets.
	var all sync.WaitGroup
	for range 19 {
		all.Go(place)
	}
	all.Wait()
	close(accepted)
	c.Nodes[0].Kill()
	for _, n := range c.Nodes[1:] {
		if err := n.Resume(); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the others lead", func() bool {
		return c.each(t.Context(), []string{"orderrequests"}, func(p kadm.PartitionDetail) bool { return p.Leader > 1 })
	})
	if err := c.Nodes[0].Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.eventually("it is ready", f.ready)
	there := map[string]bool{}
	for _, r := range f.read("orderrequests") {
		there[string(r.Key)] = true
	}
	f.stop()
	tries, lost := len(accepted), 0
	for id := range accepted {
		if !there[id] {
			lost++
		}
	}
	if lost > 0 {
		return fmt.Sprintf("%d of %d orders with a 201 are not on the topic", lost, tries)
	}
	return auditOf(t, "--brokers", c.Brokers()).damage()
}

// orderComesAgain writes the request of a mixed order once more.
func orderComesAgain(t *testing.T, program string) string {
	f := opened(t, &factory{t: t, program: program, data: filepath.Join(t.TempDir(), "data"), kafka: freeAddress(t)})
	f.finish("mix", "MixedBy", "Ana", f.place())
	first := f.read("orderrequests")[0]
	produce(t, f.kafka, []*kgo.Record{{Topic: first.Topic, Partition: first.Partition, Key: first.Key, Value: first.Value}})
	f.eventually("the mixer has taken both", func() bool {
		taken := 0
		for line := range strings.Lines(string(f.call("GET", "/metrics", "").body)) {
			if strings.HasPrefix(line, "ecupcakes_stage_events_total{") && strings.Contains(line, `input="arrivals"`) && strings.Contains(line, `stage="mixing"`) {
				n, _ := strconv.Atoi(strings.Fields(line)[1])
				taken += n
			}
		}
		return taken == 2
	})
	f.stop()
	return auditOf(t, "--data", f.data).damage()
}

func endOf(t *testing.T, admin *kadm.Client, topic string) (end int64) {
	t.Helper()
	ends, err := admin.ListEndOffsets(t.Context(), topic)
	if err = cmp.Or(err, ends.Error()); err != nil {
		t.Fatal(err)
	}
	ends.Each(func(o kadm.ListedOffset) { end += o.Offset })
	return end
}

// damage is what an audit has found, in words, or "".
func (a audit) damage() string {
	if a.clean() {
		return ""
	}
	return fmt.Sprintf("%d lost, %d doubled, %d wrong: %s", a.Lost, a.Doubled, a.Wrong, a.Findings[0])
}
