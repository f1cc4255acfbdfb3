package freshness

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ecupcakes/ecupcakes/kafka"
	"github.com/ecupcakes/ecupcakes/topology"
)

var line = topology.Line{
	Stages: []topology.Stage{{Name: "mixing", Input: "requests"}, {Name: "baking", Input: "mixed"}},
}

// fakeKafka is a cluster with one partition for each topic, and a view of its
// tables.
type fakeKafka struct {
	sync.Mutex
	away      error
	begins    map[string]int64
	ends      map[string]int64            // By topic.
	committed map[string]map[string]int64 // By group and topic.
	members   map[string]int
	read      []int64 // Of the table, by stage.
}

func newKafka() *fakeKafka {
	return &fakeKafka{
		begins: map[string]int64{}, ends: map[string]int64{}, read: make([]int64, len(line.Stages)),
		committed: map[string]map[string]int64{"mixing": {}, "baking": {}}, members: map[string]int{"mixing": 1, "baking": 1},
	}
}

func (k *fakeKafka) Ranges(_ context.Context, topics ...string) (map[string]map[int32]kafka.Range, error) {
	k.Lock()
	defer k.Unlock()
	ranges := map[string]map[int32]kafka.Range{}
	for _, t := range topics {
		ranges[t] = map[int32]kafka.Range{0: {Begin: k.begins[t], End: k.ends[t]}}
	}
	return ranges, k.away
}

func (k *fakeKafka) Ends(_ context.Context, topics ...string) (map[string]map[int32]int64, error) {
	k.Lock()
	defer k.Unlock()
	ends := map[string]map[int32]int64{}
	for _, t := range topics {
		ends[t] = map[int32]int64{0: k.ends[t]}
	}
	return ends, k.away
}

func (k *fakeKafka) Groups(_ context.Context, groups ...string) (map[string]kafka.Group, error) {
	k.Lock()
	defer k.Unlock()
	stand := map[string]kafka.Group{}
	for _, g := range groups {
		committed := map[string]map[int32]int64{}
		for t, at := range k.committed[g] {
			committed[t] = map[int32]int64{0: at}
		}
		stand[g] = kafka.Group{Members: k.members[g], Committed: committed}
	}
	return stand, k.away
}

func (k *fakeKafka) Reached(stage int, ends map[int32]int64) bool {
	k.Lock()
	defer k.Unlock()
	return k.read[stage] >= ends[0]
}

func (k *fakeKafka) change(how func(*fakeKafka)) {
	k.Lock()
	defer k.Unlock()
	how(k)
}

// What is sent and not shown makes its station stale, and those behind it, from
// the Tolerance on; the cause is what comes first on the way.
func TestGauge(t *testing.T) {
	type states [2]struct {
		stale bool
		cause Cause
		stage string
	}
	live := states{}
	for _, test := range []struct {
		name string
		do   func(k *fakeKafka)
		want states
		undo func(k *fakeKafka)
	}{
		{"nothing happens", func(*fakeKafka) {}, live, func(*fakeKafka) {}},
		{
			"all is through",
			func(k *fakeKafka) {
				k.ends["requests"], k.committed["mixing"]["requests"], k.ends["mixing-table"], k.read[0] = 7, 7, 9, 9
			},
			live, func(*fakeKafka) {},
		},
		{
			"what was there has gone, and nothing was ever committed", func(k *fakeKafka) { k.begins["mixed"], k.ends["mixed"] = 5, 5 },
			live, func(*fakeKafka) {},
		},
		{
			"the broker is away", func(k *fakeKafka) { k.away = errors.New("connection refused") },
			states{{true, Broker, "mixing"}, {true, Broker, "mixing"}},
			func(k *fakeKafka) { k.away = nil },
		},
		{
			"a report is not worked off", func(k *fakeKafka) { k.ends["baking-reports"], k.committed["baking"]["baking-reports"] = 3, 2 },
			states{{}, {true, Processors, "baking"}},
			func(k *fakeKafka) { k.committed["baking"]["baking-reports"] = 3 },
		},
		{
			"nobody mixes", func(k *fakeKafka) { k.members["mixing"] = 0 },
			states{{true, Processors, "mixing"}, {true, Processors, "mixing"}},
			func(k *fakeKafka) { k.members["mixing"] = 1 },
		},
		{
			"the view does not keep up", func(k *fakeKafka) { k.ends["baking-table"], k.read[1] = 4, 3 },
			states{{}, {true, View, "baking"}},
			func(k *fakeKafka) { k.read[1] = 4 },
		},
		{
			"nobody mixes and the view of what is baked does not keep up", func(k *fakeKafka) { k.members["mixing"], k.ends["baking-table"] = 0, 5 },
			states{{true, Processors, "mixing"}, {true, Processors, "mixing"}},
			func(k *fakeKafka) { k.members["mixing"], k.read[1] = 1, 5 },
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newKafka()
				g := New(Options{Line: line, Ranges: k.Ranges, Ends: k.Ends, Groups: k.Groups, Views: k, Log: slog.New(slog.DiscardHandler)})
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan struct{})
				go func() { defer close(done); g.Run(ctx) }()
				check := func(when string, want states) {
					t.Helper()
					synctest.Wait()
					for i, w := range want {
						s := g.Of(i)
						if s.Behind > 0 != w.stale || s.Cause != w.cause || s.Stage != w.stage {
							t.Errorf("%s, stage %d: %+v, want %+v", when, i, s, w)
						}
					}
				}
				time.Sleep(10*time.Second + time.Second/2)
				check("at first", live)
				k.change(test.do)
				time.Sleep(Tolerance - 2*every)
				check("soon", live)
				time.Sleep(time.Minute)
				check("later", test.want)
				if test.want != live {
					// What was last found to be shown was sent at most as long before as one looks apart.
					since := time.Minute + Tolerance - 2*every
					if behind := g.Of(1).Behind; behind < since || behind > since+every {
						t.Errorf("after a minute %s behind", behind)
					}
				}
				k.change(test.undo)
				time.Sleep(2 * every)
				check("in the end", live)
				cancel()
				<-done
			})
		})
	}
}

// New events that come all the time do not make what is shown look old.
func TestGaugeUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKafka()
		g := New(Options{Line: line, Ranges: k.Ranges, Ends: k.Ends, Groups: k.Groups, Views: k, Log: slog.New(slog.DiscardHandler)})
		for range 60 {
			time.Sleep(every)
			// What came in the second before is committed and read, what has come since is not.
			k.committed["mixing"]["requests"], k.read[0] = k.ends["requests"], k.ends["mixing-table"]
			k.ends["requests"] += 1000
			k.ends["mixing-table"] += 1000
			if err := g.measure(t.Context()); err != nil {
				t.Fatal(err)
			}
			if s := g.Of(1); s.Behind > 0 {
				t.Fatalf("%+v", s)
			}
		}
	})
}
