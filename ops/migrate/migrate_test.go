package migrate

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ecupcakes/ecupcakes/codecs"
	"github.com/ecupcakes/ecupcakes/gokaplus"
	"github.com/ecupcakes/ecupcakes/gokaplus/franz"
	"github.com/ecupcakes/ecupcakes/internal/testkit"
	"github.com/ecupcakes/ecupcakes/internal/testkit/testbroker"
	"github.com/ecupcakes/ecupcakes/kafka"
	"github.com/ecupcakes/ecupcakes/ops/verify"
	"github.com/ecupcakes/ecupcakes/order"
	"github.com/ecupcakes/ecupcakes/processors"
	"github.com/ecupcakes/ecupcakes/topology"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const partitions = 2

var line = topology.Cupcakes

// testLine is a broker and a client that may do everything with it.
type testLine struct {
	*cluster
	t      *testing.T
	config kafka.Config
}

func start(t *testing.T) *testLine {
	t.Helper()
	config := testbroker.Start(t)
	c, err := dial("test", config, func(string, int64, int64) {})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.close)
	return &testLine{c, t, config}
}

// withTopics has the topics of the line.
func withTopics(t *testing.T, partitions int32) *testLine {
	k := start(t)
	fatal(t, k.Apply(t.Context(), kafka.RequiredTopics(line, partitions, 1)))
	return k
}

func fatal(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		fatal(t, err)
		return v
	}
}

func partitionOf(key string) int32 {
	return gokaplus.Partition([]byte(key), partitions)
}

// send writes a message to its key's partition.
func (k *testLine) send(topic, key string, value []byte, headers ...kgo.RecordHeader) {
	k.t.Helper()
	k.produce(k.client, &kgo.Record{Topic: topic, Partition: partitionOf(key), Key: []byte(key), Value: value, Headers: headers})
}

func (k *testLine) produce(client *kgo.Client, r *kgo.Record) {
	k.t.Helper()
	fatal(k.t, client.ProduceSync(k.t.Context(), r).FirstErr())
}

func (k *testLine) place(id string) {
	k.t.Helper()
	b, err := codecs.EncodeOrder(&order.Order{ID: id, Flavour: "Lemon", Size: "S", Quantity: 1, Status: order.StatusPlaced})
	fatal(k.t, err)
	k.send(line.Stages[0].Input, id, b)
}

// report sends a report; it may come before its order.
func (k *testLine) report(stage int, id string, kind order.Kind) {
	k.t.Helper()
	r := &order.Report{ID: fmt.Sprint(id, "-", stage, "-", kind), OrderID: id, Kind: kind, By: "Ana"}
	if kind == order.KindReject {
		r.Reason = "burnt"
	}
	b, err := codecs.EncodeReport(r)
	fatal(k.t, err)
	k.send(line.Stages[stage].Reports(), id, b)
}

// walk has an order finished by so many stages.
func (k *testLine) walk(id string, stages int) {
	k.t.Helper()
	k.place(id)
	for i := range stages {
		k.report(i, id, order.KindComplete)
	}
}

// poison writes what nobody should.
func (k *testLine) poison(key string) {
	k.t.Helper()
	for _, s := range line.Stages {
		for _, topic := range inputs(s) {
			k.send(topic, key, []byte("rubbish"), kgo.RecordHeader{Key: "trace", Value: []byte("1")}, kgo.RecordHeader{Key: "none"})
			k.send(topic, key, nil)
			k.produce(k.client, &kgo.Record{Topic: topic, Partition: 1 - partitionOf(key), Key: []byte(key), Value: []byte(`{"v":1,"id":"` + key + `"}`)})
			k.produce(k.client, &kgo.Record{Topic: topic, Value: []byte{}, Timestamp: time.UnixMilli(1_700_000_000_123)})
		}
	}
}

// transaction places an order in a transaction: its end takes an offset.
func (k *testLine) transaction(id string) {
	k.t.Helper()
	client, err := k.config.NewClient(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.TransactionalID("messy"))
	fatal(k.t, err)
	defer client.Close()
	fatal(k.t, client.BeginTransaction())
	tx := *k
	tx.cluster = &cluster{client: client}
	tx.walk(id, 1)
	fatal(k.t, client.EndTransaction(k.t.Context(), kgo.TryCommit))
}

// work runs the processors of all stages until stop is called.
func (k *testLine) work() (stop func(), registry *prometheus.Registry) {
	ctx, cancel := context.WithCancel(context.Background())
	registry = prometheus.NewRegistry()
	metrics := processors.NewMetrics(registry)
	ended := make(chan error, len(line.Stages))
	for i, s := range line.Stages {
		go func() {
			ended <- gokaplus.Supervise(ctx, s.Name, func(context.Context) (gokaplus.Runner, error) {
				return gokaplus.NewProcessor(k.config.Brokers, processors.Graph(line, i, int32(len(must(k.EndOffsets(ctx, s.Input))(k.t))), processors.Instruments{Metrics: metrics, Log: testkit.Quiet}),
					gokaplus.Options{Sarama: k.config.Sarama, Producer: franz.ProducerBuilder(franz.Options{Client: k.config.ClientOptions}), Logger: testkit.Quiet}, processors.Options()...)
			}, gokaplus.SuperviseOptions{})
		}()
	}
	return func() {
		cancel()
		for range line.Stages {
			if err := <-ended; err != nil {
				k.t.Error(err)
			}
		}
	}, registry
}

// settle waits until the stages have worked off everything.
func (k *testLine) settle() {
	k.t.Helper()
	var behind string
	testkit.Eventually(k.t, "every stage has committed everything", func() bool {
		for _, s := range line.Stages {
			committed := must(k.Committed(k.t.Context(), s.Group()))(k.t)
			for _, topic := range inputs(s) {
				for p, r := range must(k.Ranges(k.t.Context(), topic))(k.t) {
					if r.Begin < r.End && committed[topic][p] < r.End {
						behind = fmt.Sprintf("%s has committed %d of %d on %s/%d", s.Name, committed[topic][p], r.End, topic, p)
						return false
					}
				}
			}
		}
		return true
	}, func() any { return behind })
}

// trim has retention take all that the streams have, save the dead letters.
func (k *testLine) trim() {
	k.t.Helper()
	var all kadm.Offsets
	for topic, kind := range line.Topics() {
		if kind == topology.Stream && topic != line.DeadLetters {
			for p, end := range must(k.EndOffsets(k.t.Context(), topic))(k.t) {
				all.AddOffset(topic, p, end, -1)
			}
		}
	}
	deleted, err := k.admin.DeleteRecords(k.t.Context(), all)
	fatal(k.t, err)
	fatal(k.t, deleted.Error())
}

// messy is a line that has had a life: its oldest messages are gone, with
// orders among them that still wait; there are orders everywhere, duplicates,
// early reports, dead letters and holes, and events that no stage has taken.
func messy(t *testing.T) *testLine {
	k := withTopics(t, partitions)
	stop, _ := k.work()
	k.poison("old")
	for i := range 20 {
		k.walk(fmt.Sprint("gone-", i), 5)
	}
	for i := range 8 { // They wait: claimed, with high offsets in their rows.
		k.walk(fmt.Sprint("old-", i), i%5)
		k.report(i%5, fmt.Sprint("old-", i), order.KindClaim)
	}
	k.settle()
	k.trim()
	for i := range 30 {
		id := fmt.Sprint("new-", i)
		k.walk(id, i%6)
		switch i % 5 {
		case 0:
			k.report(min(i%6, 4), id, order.KindClaim)
		case 1:
			k.walk(id, i%6) // Once more.
		case 2:
			k.report(min(i%6, 4), id, order.KindReject)
		case 3:
			k.transaction(fmt.Sprint("tx-", i))
		}
	}
	k.report(0, "early", order.KindComplete)
	k.poison("new")
	k.report(0, "old-0", order.KindRelease)
	k.settle()
	stop()
	for i := range 6 { // In flight.
		k.walk(fmt.Sprint("late-", i), 2)
		k.report(4, fmt.Sprint("old-", i), order.KindClaim)
	}
	k.send("mixing-reports", "late-0", []byte("rubbish"))
	return k
}

// records are all of a topic by partition and offset.
func (k *testLine) records(topic string) map[int32]map[int64]*kgo.Record {
	k.t.Helper()
	all := map[int32]map[int64]*kgo.Record{}
	for p, r := range must(k.Ranges(k.t.Context(), topic))(k.t) {
		all[p] = map[int64]*kgo.Record{}
		fatal(k.t, k.read(k.t.Context(), topic, p, r.Begin, r.End, func(r *kgo.Record) error {
			all[p][r.Offset] = r
			return nil
		}))
	}
	return all
}

// same is a message without its offset.
func same(r *kgo.Record) string {
	if r == nil {
		return "nothing"
	}
	return fmt.Sprintf("%#v %#v %#v %d", r.Key, r.Value, r.Headers, r.Timestamp.UnixMilli())
}

func header(r *kgo.Record, key string) string {
	for _, h := range r.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}

// state is all that a line has: messages of streams with their offsets, last
// rows, and what is committed.
func (k *testLine) state() map[string]any {
	k.t.Helper()
	state := map[string]any{}
	for topic, kind := range line.Topics() {
		for p, records := range k.records(topic) {
			for _, at := range slices.Sorted(maps.Keys(records)) {
				key := fmt.Sprint(topic, "/", p, "/", at)
				if kind == topology.Table {
					key = fmt.Sprint(topic, "/", string(records[at].Key))
				}
				state[key] = same(records[at])
			}
		}
		if kind == topology.Stream {
			state[topic] = must(k.Ranges(k.t.Context(), topic))(k.t)
		}
	}
	for _, s := range line.Stages {
		state[s.Group()] = must(k.Committed(k.t.Context(), s.Group()))(k.t)
	}
	return state
}

func (k *testLine) audit() *verify.Result {
	k.t.Helper()
	return must(verify.Run(k.t.Context(), verify.Options{Kafka: k.config, Line: line}))(k.t)
}

// last are the last rows of a table, by order; nil for one that nobody can
// read.
func (k *testLine) last(table string) map[string]*order.Row {
	k.t.Helper()
	last := map[string]*order.Row{}
	for _, records := range k.records(table) {
		for _, at := range slices.Sorted(maps.Keys(records)) {
			v, _ := codecs.Row{}.Decode(records[at].Value)
			last[string(records[at].Key)], _ = v.(*order.Row)
		}
	}
	return last
}

func TestMigrate(t *testing.T) {
	source := messy(t)
	before := source.state()
	audit := source.audit()
	if !audit.OK() || audit.InFlight == 0 || audit.DeadLetters == 0 || audit.Stages[0].Old == 0 {
		t.Fatalf("the source is not what this test needs: %+v", audit)
	}

	target := start(t)
	steps := 0
	options := Options{From: source.config, To: target.config, Line: line, Progress: func(doing string, done, of int64) {
		if steps++; done < 1 || done > of {
			t.Errorf("%s: %d of %d", doing, done, of)
		}
	}}
	report := must(Run(t.Context(), options))(t)
	if !reflect.DeepEqual(report.Audit, audit) {
		t.Errorf("the audit of the target is\n%+v, that of the source was\n%+v", report.Audit, audit)
	}
	for _, topic := range report.Topics {
		if topic.Written != topic.Records || topic.Records == 0 {
			t.Errorf("%+v", topic)
		}
	}
	compare(t, source, target)
	complete := target.state()

	t.Run("again", func(t *testing.T) {
		report := must(Run(t.Context(), options))(t)
		for _, topic := range report.Topics {
			if topic.Written > 0 {
				t.Errorf("%+v", topic)
			}
		}
		wantState(t, target.state(), complete)
	})
	t.Run("interrupted", func(t *testing.T) {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		rng := rand.New(rand.NewPCG(seed, 0))
		target := start(t)
		for range 12 {
			ctx, cancel := context.WithCancel(t.Context())
			left := rng.IntN(steps)
			o := options
			o.To, o.Progress = target.config, func(string, int64, int64) {
				if left--; left < 0 {
					cancel()
				}
			}
			_, err := Run(ctx, o)
			cancel()
			if err != nil && !strings.Contains(err.Error(), context.Canceled.Error()) {
				t.Fatal(err)
			}
		}
		o := options
		o.To = target.config
		must(Run(t.Context(), o))(t)
		wantState(t, target.state(), complete)
	})
	wantState(t, source.state(), before)

	t.Run("processing continues", func(t *testing.T) {
		stop, registry := target.work()
		target.settle()
		for i := range 8 { // Each is where it was claimed.
			target.report(i%5, fmt.Sprint("old-", i), order.KindComplete)
		}
		target.report(0, "late-0", order.KindComplete)
		target.settle()
		stop()
		for i := range 8 {
			id, stage := fmt.Sprint("old-", i), line.Stages[i%5]
			if row := target.last(stage.Table())[id]; row == nil || row.State != order.StateCompleted {
				t.Errorf("%s: the row of %s is %+v", stage.Table(), id, row)
			}
		}
		families := must(registry.Gather())(t)
		for _, m := range families[0].GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == "verdict" && l.GetValue() == string(order.VerdictRedelivered) && m.GetCounter().GetValue() > 0 {
					t.Errorf("new events were taken for redeliveries: %v", m)
				}
			}
		}
		if after := target.audit(); !after.OK() || after.InFlight > 0 || after.Orders < audit.Orders {
			t.Errorf("the audit finds %+v", after)
		}
		if _, err := Run(t.Context(), options); err == nil || !strings.Contains(err.Error(), "the line has run there") {
			t.Errorf("a migration after the line has run: %v", err)
		}
	})
}

func wantState(t *testing.T, got, want map[string]any) {
	t.Helper()
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if !reflect.DeepEqual(got[key], want[key]) {
			t.Errorf("%s is\n%v, want\n%v", key, got[key], want[key])
		}
	}
	if len(got) != len(want) {
		t.Errorf("there are %d things, want %d", len(got), len(want))
	}
}

// compare looks at all messages of both sides: an offset on the target stands
// for the same message as that on the source.
func compare(t *testing.T, source, target *testLine) {
	t.Helper()
	from, to := map[string]map[int32]map[int64]*kgo.Record{}, map[string]map[int32]map[int64]*kgo.Record{}
	for topic := range line.Topics() {
		from[topic], to[topic] = source.records(topic), target.records(topic)
	}
	for topic, kind := range line.Topics() {
		if kind == topology.Table {
			continue
		}
		for p := range int32(partitions) {
			a, b := slices.Sorted(maps.Keys(from[topic][p])), slices.Sorted(maps.Keys(to[topic][p]))
			if len(a) != len(b) {
				t.Errorf("partition %d of %s has %d messages, %d on the source", p, topic, len(b), len(a))
				continue
			}
			for i := range a {
				x, y := from[topic][p][a[i]], to[topic][p][b[i]]
				if topic == line.DeadLetters {
					sameOrigin(t, x, y, from, to)
					copied := *x
					copied.Headers = slices.Clone(x.Headers)
					for i := range copied.Headers {
						if copied.Headers[i].Key == "offset" {
							copied.Headers[i].Value = []byte(header(y, "offset"))
						}
					}
					x = &copied
				}
				if same(x) != same(y) {
					t.Errorf("%s: %s has become %s", topic, same(x), same(y))
				}
			}
		}
	}
	shifted := 0
	for _, s := range line.Stages {
		a, b := must(source.Committed(t.Context(), s.Group()))(t), must(target.Committed(t.Context(), s.Group()))(t)
		xs, ys := source.last(s.Table()), target.last(s.Table())
		for in, topic := range inputs(s) {
			for p := range int32(partitions) {
				if x, y := from[topic][p][a[topic][p]], to[topic][p][b[topic][p]]; same(x) != same(y) {
					t.Errorf("partition %d of %s goes on at %d with %s, on the source at %d with %s", p, topic, b[topic][p], same(y), a[topic][p], same(x))
				}
			}
			for id, x := range xs {
				y := ys[id]
				if x == nil || y == nil {
					t.Errorf("%s: the row of %s is %+v, on the source %+v", s.Table(), id, y, x)
					continue
				}
				p := partitionOf(id)
				if u, v := from[topic][p][x.NextOffset[in]-1], to[topic][p][y.NextOffset[in]-1]; same(u) != same(v) {
					t.Errorf("%s: %s has applied %s, on the source %s", s.Table(), id, same(v), same(u))
				}
				if x.NextOffset[in] != y.NextOffset[in] {
					shifted++
				}
				y.NextOffset[in] = x.NextOffset[in]
				if in == 1 && !reflect.DeepEqual(x, y) {
					t.Errorf("%s: %+v has become %+v", s.Table(), x, y)
				}
			}
		}
	}
	if shifted == 0 {
		t.Error("no offset had to be mapped: the source is not what this test needs")
	}
}

// sameOrigin wants the origin of a dead letter to be the same message.
func sameOrigin(t *testing.T, x, y *kgo.Record, from, to map[string]map[int32]map[int64]*kgo.Record) {
	t.Helper()
	topic := header(x, "topic")
	p := must(strconv.Atoi(header(x, "partition")))(t)
	a, b := must(strconv.ParseInt(header(x, "offset"), 10, 64))(t), must(strconv.ParseInt(header(y, "offset"), 10, 64))(t)
	origin := from[topic][int32(p)][a]
	if got := to[topic][int32(p)][b]; same(got) != same(origin) || origin == nil && b >= 0 {
		t.Errorf("a dead letter comes from %s at %d, on the source from %s at %d", same(got), b, same(origin), a)
	}
}

// When an embedded broker restarts after retention has emptied a partition, the log begins at 0 again,
// below the committed and applied offsets. The source also has a row that cannot be decoded.
func TestMigrateSourceWithLostLog(t *testing.T) {
	source, target := withTopics(t, partitions), start(t)
	const id = "waiting"
	row := &order.Row{State: order.StateWaiting, NextOffset: [2]int64{500, 700}, Order: order.Order{ID: id, Flavour: "Lemon", Size: "S", Quantity: 1, Status: order.StatusPlaced}}
	b, err := codecs.Row{}.Encode(row)
	fatal(t, err)
	source.send("mixing-table", id, b)
	source.send("mixing-table", "unreadable", []byte("rubbish"))
	var committed kadm.Offsets
	for _, topic := range inputs(line.Stages[0]) {
		for p := range int32(partitions) {
			committed.AddOffset(topic, p, 900, -1)
		}
	}
	fatal(t, source.admin.CommitAllOffsets(t.Context(), "mixing", committed))
	if report := must(Run(t.Context(), Options{From: source.config, To: target.config, Line: line}))(t); report.Audit.Stages[0].Old != 2 {
		t.Errorf("the audit finds %+v", report.Audit)
	}
	if got := target.last("mixing-table")[id]; got.NextOffset != [2]int64{1, 1} {
		t.Errorf("the row has applied %v", got.NextOffset)
	}
	for _, records := range target.records("mixing-table") {
		for _, r := range records {
			if string(r.Key) == "unreadable" && string(r.Value) != "rubbish" {
				t.Errorf("the unreadable row is %q", r.Value)
			}
		}
	}
	stop, _ := target.work()
	target.report(0, id, order.KindComplete)
	target.settle()
	stop()
	if got := target.last("mixing-table")[id]; got.State != order.StateCompleted {
		t.Errorf("after its report the order is %+v", got)
	}
}

// A source that has grown since an interrupted migration is moved up to its new end. Once a migration
// is complete, a source that has grown is an error.
func TestMigrateSourceThatGrows(t *testing.T) {
	source, target := withTopics(t, partitions), start(t)
	o := Options{From: source.config, To: target.config, Line: line}
	work := func(ids ...string) {
		stop, _ := source.work()
		for i, id := range ids {
			source.walk(id, i)
		}
		source.settle()
		stop()
	}
	work("a", "b", "c", "d")
	ctx, cancel := context.WithCancel(t.Context())
	o.Progress = func(doing string, _, _ int64) {
		if strings.Contains(doing, "target's "+line.Stages[0].Input) { // All is copied when that is compared.
			cancel()
		}
	}
	if _, err := Run(ctx, o); err == nil {
		t.Fatal("it has not been interrupted")
	}
	o.Progress = nil
	for _, id := range []string{"a", "b"} {
		source.report(1, id, order.KindClaim)
	}
	work("e", "f")
	must(Run(t.Context(), o))(t)
	wantState(t, target.state(), source.state()) // All offsets are the same.
	source.place("g")
	if _, err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "lacks messages of the source") {
		t.Errorf("the source has gone on after it was moved: %v", err)
	}
}

// Run rejects a target with foreign data and does not change it.
func TestMigrateRejectsTargetInUse(t *testing.T) {
	source := withTopics(t, partitions)
	stop, _ := source.work()
	for i := range 6 {
		source.walk(fmt.Sprint("order-", i), i)
	}
	source.settle()
	stop()
	for name, c := range map[string]struct {
		target func(t *testing.T) *testLine
		words  string
	}{
		"other partitions": {func(t *testing.T) *testLine { return withTopics(t, 4) }, "has 4 partitions, not 2"},
		"other settings": {func(t *testing.T) *testLine {
			k := start(t)
			needed := kafka.RequiredTopics(line, partitions, 1)
			needed[0].Configs["message.timestamp.type"] = "LogAppendTime"
			fatal(t, k.Apply(t.Context(), needed))
			return k
		}, "message.timestamp.type"},
		"another line's message": {func(t *testing.T) *testLine {
			k := withTopics(t, partitions)
			k.place("another")
			return k
		}, "the target has another line"},
		"more messages": {func(t *testing.T) *testLine {
			k := withTopics(t, partitions)
			k.send("deadletters", "another", nil)
			return k
		}, "something else has written"},
		"another line's row": {func(t *testing.T) *testLine {
			k := withTopics(t, partitions)
			k.send("mixing-table", "another", []byte("{}"))
			return k
		}, "the target has a row of order another"},
		"a committed offset": {func(t *testing.T) *testLine {
			k := withTopics(t, partitions)
			var o kadm.Offsets
			o.AddOffset("baking-reports", 0, 1, -1)
			fatal(t, k.admin.CommitAllOffsets(t.Context(), "baking", o))
			return k
		}, "the target has committed offsets"},
		"a running line": {func(t *testing.T) *testLine {
			k := withTopics(t, partitions)
			stop, _ := k.work()
			t.Cleanup(stop)
			var empty string
			testkit.Eventually(t, "every stage's group has a member", func() bool {
				for _, s := range line.Stages {
					if empty = s.Group(); len(must(k.admin.DescribeGroups(t.Context(), empty))(t)[empty].Members) == 0 {
						return false
					}
				}
				return true
			}, func() any { return empty + " has none" })
			return k
		}, "the line runs there"},
	} {
		t.Run(name, func(t *testing.T) {
			target := c.target(t)
			before := target.state()
			_, err := Run(t.Context(), Options{From: source.config, To: target.config, Line: line})
			if err == nil || !strings.Contains(err.Error(), c.words) || !strings.Contains(err.Error(), again) {
				t.Errorf("the error is %v, want %q and the remedy", err, c.words)
			}
			if name == "another line's message" || name == "a running line" {
				wantState(t, target.state(), before)
			}
		})
	}
	t.Run("source without a line", func(t *testing.T) {
		if _, err := Run(t.Context(), Options{From: start(t).config, To: start(t).config, Line: line}); err == nil || !strings.Contains(err.Error(), "reading the source") {
			t.Errorf("the error is %v", err)
		}
	})
}

// Run notices at once if something else writes to the target.
func TestMigrateNoticesOtherWriter(t *testing.T) {
	source, target := withTopics(t, partitions), start(t)
	for i := range 6 {
		source.place(fmt.Sprint("order-", i))
	}
	_, err := Run(t.Context(), Options{From: source.config, To: target.config, Line: line, Progress: func(doing string, done, _ int64) {
		if strings.Contains(doing, "partition "+fmt.Sprint(partitionOf("another"))+" of the source's orderrequests") && done == 1 {
			target.place("another")
		}
	}})
	if err == nil || !strings.Contains(err.Error(), "something else writes there") {
		t.Errorf("the error is %v", err)
	}
}

// A fault of the source is moved and reported.
func TestMigrateReportsFaultOfSource(t *testing.T) {
	source, target := withTopics(t, partitions), start(t)
	source.send("baking-table", "ghost", []byte(`{"v":1,"state":"early"}`))
	report, err := Run(t.Context(), Options{From: source.config, To: target.config, Line: line})
	if err == nil || !strings.Contains(err.Error(), "1 wrong") || report == nil || len(report.Audit.Findings) != 1 {
		t.Errorf("the error is %v, the report %+v", err, report)
	}
	wantState(t, target.state(), source.state())
}
