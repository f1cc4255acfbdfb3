package test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ecupcakes/ecupcakes/internal/testkit"
	"github.com/ecupcakes/ecupcakes/load"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestControl shows that the tests of this directory can fail: each scenario is
// played by the program and then by the same program without one of the parts
// that are there for it. There has to be no damage first, and some then.
//
// The scenarios on the cluster share its topics, and those that may lose orders
// come last.
func TestControl(t *testing.T) {
	t.Parallel()
	c := &controlled{cluster: realKafka(t, 3)}
	c.admin = adminOf(t, c.Brokers())
	for _, scenario := range []struct {
		name  string
		play  func(t *testing.T, program string) (damage string)
		parts []part
	}{
		{"a leader dies alone", c.leaderDiesAlone, []part{{
			"all replicas acknowledge an order before its 201", "kafka/producer.go",
			"kgo.RequiredAcks(kgo.AllISRAcks())", "kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite()",
		}}},
		{"a table's leader cannot be reached", c.tableAway, []part{{
			"emits wait for the brokers", "gokaplus/config.go",
			"t.producer(o.producer())", "t.producer(goka.DefaultProducerBuilder)",
		}}},
		{"another process takes an instance's name", c.twin, []part{{
			"a failed processor is built again", "gokaplus/supervise.go",
			"s.Health.restarting(err)", "return err",
		}}},
		{"an instance joins and leaves", c.rebalances, []part{{
			"no pause in a rebalance", "gokaplus/config.go",
			"WithQuickRejoin(WithInOrderCommits(o.consumerGroup, o.Progress))", "WithInOrderCommits(o.consumerGroup, o.Progress)",
		}}},
		{"kill -9 behind an unreachable leader", c.killedBehindAnUnreachableLeader, []part{{
			"commits in order", "gokaplus/config.go",
			"WithQuickRejoin(WithInOrderCommits(o.consumerGroup, o.Progress))", "WithQuickRejoin(o.consumerGroup)",
		}}},
		{"an order comes before its stage", c.orderComesFirst, []part{{
			"a new group begins with the oldest message", "gokaplus/config.go",
			"c.Consumer.Offsets.Initial = sarama.OffsetOldest", "c.Consumer.Offsets.Initial = sarama.OffsetNewest",
		}}},
		{"an order comes again", orderComesAgain, []part{{
			"a row remembers its order", "order/next.go",
			"if row.State != StateNone && row.State != StateEarly {", "if false {",
		}}},
	} {
		t.Run(scenario.name, func(t *testing.T) {
			if damage := scenario.play(t, binary); damage != "" {
				t.Errorf("with all parts: %s", damage)
			}
			for _, part := range scenario.parts {
				t.Run(part.name, func(t *testing.T) {
					if damage := scenario.play(t, mutant(t, part)); damage == "" {
						t.Error("without it nothing is found: the scenario proves nothing")
					} else {
						t.Logf("without it: %s", damage)
					}
				})
			}
		})
	}
}

// part is a part of the program that can be left out.
type part struct {
	name     string
	file     string // Where it is, below the module's root.
	is, then string // The source with it and without it.
}

// mutant builds the program without a part.
func mutant(t *testing.T, without part) (program string) {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", without.file))
	if err == nil {
		program, err = overlaid(t.TempDir(), path, without.is, without.then)
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
	if out, err := exec.Command("go", "build", "-overlay", overlay, "-o", program, "github.com/ecupcakes/ecupcakes/cmd/ecupcakes").CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the program with another %s: %w\n%s", path, err, out)
	}
	return program, nil
}

// controlled is a cluster of three nodes.
type controlled struct {
	*cluster
	admin *kadm.Client
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
	testkit.Eventually(t, fmt.Sprintf("node %d leads %v", node, topics), func() bool {
		_, err := c.admin.ElectLeaders(ctx, kadm.ElectPreferredReplica, elect)
		return err == nil && c.each(ctx, topics, func(p kadm.PartitionDetail) bool { return p.Leader == node && len(p.ISR) == 3 })
	}, func() any { return c.partitions(ctx, topics) })
}

// partitions describes the leaders and in-sync replicas of topics.
func (c *controlled) partitions(ctx context.Context, topics []string) string {
	now, err := c.admin.ListTopicsWithInternal(ctx, topics...)
	if err != nil {
		return err.Error()
	}
	var all []string
	now.EachPartition(func(p kadm.PartitionDetail) {
		all = append(all, fmt.Sprintf("%s/%d: leader %d, in sync %v, %v", p.Topic, p.Partition, p.Leader, p.ISR, p.Err))
	})
	return strings.Join(all, "; ")
}

// each reports whether all partitions of topics are as ok wants them, as far as
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

// api and mixer start a process each on the cluster.
func (c *controlled) api(t *testing.T, program string) *factory {
	return opened(t, &factory{t: t, program: program, kafka: c.Brokers(), serve: []string{"--roles", "api"}})
}

func (c *controlled) mixer(t *testing.T, program, instance string) *factory {
	return opened(t, &factory{t: t, program: program, kafka: c.Brokers(), serve: []string{"--roles", "processors", "--stages", "mixing", "--instance", instance}})
}

// tableAway has the mixer's rows wait for a broker that cannot be reached.
func (c *controlled) tableAway(t *testing.T, program string) string {
	api, mixer := c.api(t, program), c.mixer(t, program, "one")
	defer api.kill()
	defer mixer.kill()
	api.place()
	mixer.stop() // So that it joins where its coordinator will stay.
	c.lead(t, 1, "orderrequests", "__consumer_offsets")
	c.lead(t, 2, "mixing-table")
	mixer.start()
	ids := []string{api.place()}

	c.proxies[1].set(true, 0)
	defer c.proxies[1].set(false, 0)
	for range 10 {
		ids = append(ids, api.send())
	}
	const outage = 5 * time.Second // Long enough for goka's own producer to give up.
	if testkit.Happens(outage, func() bool { return mixer.restarts() > 0 }) {
		return "the mixer fails while its rows cannot be written"
	}
	c.proxies[1].set(false, 0)
	api.eventually("all orders wait", func() bool {
		return !slices.ContainsFunc(ids, func(id string) bool { return !api.knows(id) })
	})
	mixer.stop()
	api.stop()
	return auditOf(t, "--brokers", c.Brokers()).damage()
}

// twin has a second mixer take the first one's name, which throws that one out
// of its group, and be killed.
func (c *controlled) twin(t *testing.T, program string) string {
	api, mixer := c.api(t, program), c.mixer(t, program, "one")
	defer api.kill()
	defer mixer.kill()
	comes := func(id string) {
		api.eventually("the order waits", func() bool { return mixer.gone() || api.knows(id) })
	}
	comes(api.send())
	twin := c.mixer(t, program, "one")
	api.eventually("the mixer has been thrown out", func() bool { return mixer.gone() || mixer.restarts() > 0 })
	twin.kill()
	comes(api.send())
	if mixer.gone() {
		return fmt.Sprintf("the mixer has ended with exit code %d", mixer.cmd.ProcessState.ExitCode())
	}
	mixer.stop()
	api.stop()
	return auditOf(t, "--brokers", c.Brokers()).damage()
}

// rebalances has a second mixer join, leave and join again while orders come.
// What stops the line each time is no hiccup of the machine, which is why the
// shortest of the pauses counts; goka's own lasts five seconds.
func (c *controlled) rebalances(t *testing.T, program string) string {
	api, one := c.api(t, program), c.mixer(t, program, "one")
	ctx, stop := context.WithCancel(t.Context())
	var customers sync.WaitGroup
	customers.Go(func() {
		_, _ = load.Run(ctx, load.Options{URL: api.url, Orders: 1_000_000, Rate: 50, Out: io.Discard}) // Stopped amid it, which is an error.
	})
	defer customers.Wait()
	defer stop()
	var changes []time.Time
	goesOn := func(members int) {
		t.Helper()
		var g kadm.DescribedGroup
		testkit.Eventually(t, fmt.Sprintf("the group has %d members", members), func() bool {
			groups, err := c.admin.DescribeGroups(t.Context(), "mixing")
			g = groups["mixing"]
			return err == nil && g.State == "Stable" && len(g.Members) == members
		}, func() any { return fmt.Sprintf("%s with %d members", g.State, len(g.Members)) })
		before := endOf(t, c.admin, "mixing-table")
		testkit.Eventually(t, fmt.Sprintf("the mixer's table is longer than %d rows", before+50),
			func() bool { return endOf(t, c.admin, "mixing-table") > before+50 }, func() any { return endOf(t, c.admin, "mixing-table") })
		changes = append(changes, time.Now())
	}
	goesOn(1)
	two := c.mixer(t, program, "two")
	goesOn(2)
	two.stop()
	goesOn(1)
	two.start()
	goesOn(2)
	stop()
	customers.Wait()
	for _, f := range []*factory{two, one, api} {
		f.stop()
	}

	var rows []time.Time
	for _, r := range api.read("mixing-table") {
		rows = append(rows, r.Timestamp)
	}
	slices.SortFunc(rows, time.Time.Compare)
	pauses := make([]time.Duration, len(changes)-1)
	for i := range rows[1:] {
		for j := range pauses {
			if rows[i+1].After(changes[j]) && !rows[i+1].After(changes[j+1]) {
				pauses[j] = max(pauses[j], rows[i+1].Sub(rows[i]))
			}
		}
	}
	t.Logf("pauses of the mixer: %v", pauses)
	if shortest := slices.Min(pauses); shortest >= 5*time.Second {
		return fmt.Sprintf("each time the mixer pauses for %s at least", shortest)
	}
	return ""
}

// orderComesFirst has an order wait that was there before the stage's group.
func (c *controlled) orderComesFirst(t *testing.T, program string) string {
	api := c.api(t, program)
	var last error
	testkit.Eventually(t, "the group of mixing is deleted", func() bool {
		deleted, err := c.admin.DeleteGroups(t.Context(), "mixing")
		last = cmp.Or(err, deleted["mixing"].Err)
		return last == nil || errors.Is(last, kerr.GroupIDNotFound)
	}, func() any { return last })
	first := api.send()
	mixer := c.mixer(t, program, "one")
	var later []string
	api.eventually("the mixer has taken on a later order of the same partition", func() bool {
		if id := api.send(); partitionOf([]byte(id)) == partitionOf([]byte(first)) {
			later = append(later, id)
		}
		return slices.ContainsFunc(later, api.knows)
	})
	passed := !api.knows(first)
	mixer.stop()
	api.stop()
	if passed {
		return "the mixer has passed the order over"
	}
	return ""
}

// killedBehindAnUnreachableLeader has the mixer's rows wait for a broker that
// cannot be reached, later messages of the same partitions be finished, and the
// processor killed before the rows are written.
func (c *controlled) killedBehindAnUnreachableLeader(t *testing.T, program string) string {
	api, mixer := c.api(t, program), c.mixer(t, program, "one")
	api.place()
	mixer.stop() // So that it joins where its coordinator will stay.
	c.lead(t, 1, "orderrequests", "deadletters", "__consumer_offsets")
	c.lead(t, 2, "mixing-table")
	mixer.start()
	api.place()
	c.proxies[1].set(true, 0)
	for range 40 {
		api.send()
	}
	var poison []*kgo.Record
	for p := range int32(8) {
		poison = append(poison, &kgo.Record{Topic: "orderrequests", Partition: p, Key: []byte("poison"), Value: []byte("not JSON")})
	}
	before := endOf(t, c.admin, "deadletters")
	produce(t, c.Brokers(), poison)
	testkit.Eventually(t, "eight bad messages are dead letters", func() bool { return endOf(t, c.admin, "deadletters") == before+8 },
		func() any { return endOf(t, c.admin, "deadletters") - before })
	// No order is finished, so nothing should be committed. If it is, its rows are lost in the kill.
	testkit.Happens(time.Second, func() bool { return c.committed(t.Context(), "mixing", "orderrequests") })
	mixer.kill()
	c.proxies[1].set(false, 0)
	mixer.start()
	var a audit
	testkit.Eventually(t, "nothing is in flight", func() bool {
		a = auditOf(t, "--brokers", c.Brokers())
		return a.InFlight == 0
	}, func() any { return a.said })
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
	testkit.Eventually(t, "the others lead", func() bool {
		return c.each(t.Context(), []string{"orderrequests"}, func(p kadm.PartitionDetail) bool { return p.Leader > 1 })
	}, func() any { return c.partitions(t.Context(), []string{"orderrequests"}) })
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

// committed reports whether a group has committed everything on a topic, as far
// as the cluster can tell.
func (c *controlled) committed(ctx context.Context, group, topic string) bool {
	offsets, err := c.admin.FetchOffsets(ctx, group)
	ends, endsErr := c.admin.ListEndOffsets(ctx, topic)
	all := cmp.Or(err, endsErr, ends.Error()) == nil
	ends.Each(func(end kadm.ListedOffset) {
		at, ok := offsets.Lookup(topic, end.Partition)
		all = all && (end.Offset == 0 || ok && at.At == end.Offset)
	})
	return all
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
