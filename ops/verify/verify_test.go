package verify

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ecupcakes/ecupcakes/codecs"
	"github.com/ecupcakes/ecupcakes/gokaplus"
	"github.com/ecupcakes/ecupcakes/internal/testkit"
	"github.com/ecupcakes/ecupcakes/internal/testkit/testbroker"
	"github.com/ecupcakes/ecupcakes/order"
	"github.com/ecupcakes/ecupcakes/topology"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

var line = topology.Cupcakes

const partitions = 2

// world is a line's topics before they are written: what the stages would have
// written, so that a test can take away and add.
type world struct {
	t      *testing.T
	topics map[string][]*kgo.Record
	// What each stage leaves uncommitted at the end of each input partition.
	uncommitted map[string]int64
}

func (w *world) add(topic, key string, value []byte, headers ...kgo.RecordHeader) {
	p := gokaplus.Partition([]byte(key), partitions)
	w.topics[topic] = append(w.topics[topic], &kgo.Record{
		Topic: topic, Key: []byte(key), Value: value, Partition: p, Headers: headers,
		Timestamp: time.UnixMilli(1_700_000_000_000 + int64(len(w.topics[topic]))),
	})
}

// offset is that of the last message of a key.
func (w *world) offset(topic, key string) (offset int64) {
	var n int64
	p := gokaplus.Partition([]byte(key), partitions)
	for _, r := range w.topics[topic] {
		if r.Partition == p {
			if string(r.Key) == key {
				offset = n
			}
			n++
		}
	}
	return offset
}

func ok[T any](t *testing.T, v T, err error) T {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// run has orders worked on as the line does: the first of them by all stages,
// each further one by one stage less, and the last rejected by the first stage.
func (w *world) run(ids ...string) {
	t := w.t
	rows := make([]map[string]order.Row, len(line.Stages))
	apply := func(i int, id string, e order.Event) {
		if rows[i] == nil {
			rows[i] = map[string]order.Row{}
		}
		d := order.Next(line.DecisionStage(i), rows[i][id], e)
		if d.Verdict != order.VerdictApplied {
			t.Fatalf("%s: %+v", line.Stages[i].Name, d)
		}
		rows[i][id] = d.Row
		b, err := codecs.Row{}.Encode(&d.Row)
		w.add(line.Stages[i].Table(), id, ok(t, b, err))
		for _, e := range d.Emissions {
			b, err := codecs.EncodeOrder(e.Order)
			w.add(map[order.Output]string{order.Onward: line.NextTopic(i), order.Failures: line.Failures}[e.To], id, ok(t, b, err))
		}
	}
	for n, id := range ids {
		b, err := codecs.EncodeOrder(&order.Order{ID: id, Flavour: "Lemon", Size: "S", Quantity: 1 + n, Status: order.StatusPlaced, PlacedOn: time.UnixMilli(1_700_000_000_000).UTC()})
		w.add(line.Stages[0].Input, id, ok(t, b, err))
	}
	last := func(topic, id string) (r *kgo.Record, e order.Event) {
		for _, m := range w.topics[topic] {
			if string(m.Key) == id {
				r = m
			}
		}
		return r, order.Event{Offset: w.offset(topic, id), Time: r.Timestamp.UTC()}
	}
	for n, id := range ids {
		for i, s := range line.Stages {
			r, e := last(s.Input, id)
			v, _ := codecs.Order{}.Decode(r.Value)
			e.Order = v.(*order.Order)
			apply(i, id, e)
			rejected := n == len(ids)-1 && n > 0
			if i == len(line.Stages)-n && !rejected {
				break // It waits here.
			}
			report := &order.Report{ID: fmt.Sprintf("%s-%d", id, i), OrderID: id, Kind: order.KindComplete, By: "Ana", On: time.UnixMilli(1_700_000_100_000).UTC()}
			if rejected {
				report.Kind, report.Reason = order.KindReject, "burnt"
			}
			b, err := codecs.EncodeReport(report)
			w.add(s.Reports(), id, ok(t, b, err))
			r, e = last(s.Reports(), id)
			v, _ = codecs.Report{}.Decode(r.Value)
			e.Report = v.(*order.Report)
			apply(i, id, e)
			if rejected {
				break
			}
		}
	}
}

// without takes away the last message of a key.
func (w *world) without(topic, key string) {
	for i, r := range slices.Backward(w.topics[topic]) {
		if string(r.Key) == key {
			w.topics[topic] = slices.Delete(w.topics[topic], i, i+1)
			return
		}
	}
	w.t.Fatalf("%s has no %s", topic, key)
}

// audit writes the world to a broker and audits it.
func (w *world) audit() *Result {
	var o Options
	t := w.t
	ctx := testkit.Context(t)
	config, admin := testbroker.StartLine(t, line, partitions)
	o.Kafka, o.Line = config, line
	client, err := o.Kafka.NewClient(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	ok(t, client, err)
	defer client.Close()
	for _, topic := range slices.Sorted(maps.Keys(w.topics)) {
		if err := client.ProduceSync(ctx, w.topics[topic]...).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range line.Stages {
		var offsets kadm.Offsets
		for _, topic := range []string{s.Input, s.Reports()} {
			for p, end := range ok(t, must(admin.EndOffsets(ctx, topic)), nil) {
				offsets.AddOffset(topic, p, max(0, end-w.uncommitted[topic]), -1)
			}
		}
		if err := kadm.NewClient(client).CommitAllOffsets(ctx, s.Group(), offsets); err != nil {
			t.Fatal(err)
		}
	}
	r, err := Run(ctx, o)
	return ok(t, r, err)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

var ids = []string{"shipped", "packaged", "decorated", "baked", "mixed", "refused"}

func TestAuditOfSoundLine(t *testing.T) {
	w := &world{t: t, topics: map[string][]*kgo.Record{}}
	w.run(ids...)
	r := w.audit()
	if !r.OK() || len(r.Findings) > 0 || r.Orders != len(ids) || r.InFlight != 0 || r.DeadLetters != 0 {
		t.Errorf("%+v", r)
	}
	want := map[string]int{"shipped": 1, "shipping": 1, "packaging": 1, "decorating": 1, "baking": 1, "orderfailures": 1}
	if !maps.Equal(r.Places, want) {
		t.Errorf("the orders are %v, want %v", r.Places, want)
	}
}

// The audit reports each kind of damage once, and nothing else.
func TestAuditFindsEachFault(t *testing.T) {
	const lost, doubled, wrong = 0, 1, 2
	for name, c := range map[string]struct {
		change func(*world)
		kind   int
		words  string
	}{
		"an order is not passed on": {func(w *world) {
			w.without("readytodecorate", "baked")
			w.without("decorating-table", "baked")
		}, lost, "readytodecorate: order baked is lost"},
		"a finished order is not on shipped":       {func(w *world) { w.without("shipped", "shipped") }, lost, "shipped: order shipped is lost"},
		"a rejected order is not on orderfailures": {func(w *world) { w.without("orderfailures", "refused") }, lost, "orderfailures: order refused is lost"},
		"a row is missing": {func(w *world) {
			w.without("mixing-table", "mixed")
			w.without("mixing-table", "mixed")
		}, lost, "mixing-table: the row of order mixed (done) is missing"},
		"a row lags behind its events": {func(w *world) { w.without("mixing-table", "mixed") }, wrong, "mixing-table: the row of order mixed differs"},
		"a row has no events":          {func(w *world) { w.add("baking-table", "ghost", []byte(`{"v":1,"state":"waiting"}`)) }, wrong, "baking-table: the row of order ghost has no event"},
		"a row cannot be read":         {func(w *world) { w.add("mixing-table", "mixed", []byte("rubbish")) }, wrong, "mixing-table: the row of order mixed differs"},
		"an order without a cause": {func(w *world) {
			w.add("shipped", "ghost", []byte(`{"v":1,"id":"ghost","flavour":"Lemon","size":"S","quantity":1,"status":"shipped"}`))
		}, wrong, "shipped: order ghost at offset"},
		"an order is passed on with different contents": {func(w *world) {
			for _, r := range w.topics["readytobake"] {
				if string(r.Key) == "mixed" {
					w.add("readytobake", "mixed", []byte(strings.Replace(string(r.Value), "Ana", "Ben", 1)))
				}
			}
		}, doubled, "readytobake: order mixed at offset"},
		"a bad message is not a dead letter": {func(w *world) { w.add("orderrequests", "bad", []byte("rubbish")) }, wrong, "not among the dead letters"},
	} {
		t.Run(name, func(t *testing.T) {
			w := &world{t: t, topics: map[string][]*kgo.Record{}}
			w.run(ids...)
			c.change(w)
			r := w.audit()
			counts := []int{r.Lost, r.Doubled, r.Wrong}
			if counts[c.kind] != 1 || r.Lost+r.Doubled+r.Wrong != 1 || len(r.Findings) != 1 || !strings.Contains(r.Findings[0], c.words) {
				t.Errorf("%+v, want one finding with %q", r, c.words)
			}
		})
	}
}

// The audit does not report what can happen on a sound line.
func TestAuditAcceptsWhatIsNoFault(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*world)
		check  func(*Result) bool
	}{
		"repeated orders": {func(w *world) {
			w.topics["readytobake"] = append(w.topics["readytobake"], w.topics["readytobake"]...)
		}, func(r *Result) bool { return r.Stages[1].Repeated == 5 }},
		"dead letter": {func(w *world) {
			w.add("orderrequests", "bad", []byte("rubbish"))
			h := func(k, v string) kgo.RecordHeader { return kgo.RecordHeader{Key: k, Value: []byte(v)} }
			p := fmt.Sprint(gokaplus.Partition([]byte("bad"), partitions))
			w.add("deadletters", "bad", []byte("rubbish"), h("topic", "orderrequests"), h("partition", p), h("offset", fmt.Sprint(w.offset("orderrequests", "bad"))))
		}, func(r *Result) bool { return r.DeadLetters == 1 && r.Stages[0].Bad == 1 }},
		"events in flight": {func(w *world) {
			w.without("readytobake", "mixed")
			w.without("baking-table", "mixed")
			w.uncommitted = map[string]int64{"mixing-reports": 10}
		}, func(r *Result) bool { return r.InFlight == 6 && r.Places[Between] == 1 }},
		"expired order": {func(w *world) {
			b, err := codecs.EncodeReport(&order.Report{ID: "e", OrderID: "shipped", Kind: order.KindExpire, By: "expiry"})
			w.add("mixing-reports", "shipped", ok(w.t, b, err))
			w.add("mixing-table", "shipped", nil)
		}, func(r *Result) bool {
			return r.Stages[0].Expired == 1 && r.Stages[0].Done == 5 && r.Places["shipped"] == 1
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := &world{t: t, topics: map[string][]*kgo.Record{}}
			w.run(ids...)
			c.change(w)
			if r := w.audit(); !r.OK() || !c.check(r) {
				t.Errorf("%+v", r)
			}
		})
	}
}
