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

// fakeKafka is a cluster with one partition per topic, and the views of its tables.
type fakeKafka struct {
	sync.Mutex
	away      error
	begins    map[string]int64
	ends      map[string]int64            // End offsets by topic.
	committed map[string]map[string]int64 // Committed offsets by group and topic.
	members   map[string]int
	read      []int64 // Offsets that the views have read, by stage.
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

// An event that was sent and is not shown makes its stage and the ones behind it lag from the
// Tolerance on. The cause is the first obstacle on its way.
func TestMonitorFindsLagAndCause(t *testing.T) {
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
				m := New(Options{Line: line, Ranges: k.Ranges, Ends: k.Ends, Groups: k.Groups, Views: k, Log: slog.New(slog.DiscardHandler)})
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan struct{})
				go func() { defer close(done); m.Run(ctx) }()
				check := func(when string, want states) {
					t.Helper()
					synctest.Wait()
					for i, w := range want {
						s := m.Of(i)
						if s.Behind > 0 != w.stale || s.Cause != w.cause || s.Stage != w.stage {
							t.Errorf("%s, stage %d: %+v, want %+v", when, i, s, w)
						}
					}
				}
				time.Sleep(10*time.Second + time.Second/2)
				check("at first", live)
				k.change(test.do)
				time.Sleep(Tolerance - 2*interval)
				check("soon", live)
				time.Sleep(time.Minute)
				check("later", test.want)
				if test.want != live {
					// The last completed probe began at most one interval earlier.
					since := time.Minute + Tolerance - 2*interval
					if behind := m.Of(1).Behind; behind < since || behind > since+interval {
						t.Errorf("after a minute %s behind", behind)
					}
				}
				k.change(test.undo)
				time.Sleep(2 * interval)
				check("in the end", live)
				cancel()
				<-done
			})
		})
	}
}

// A steady stream of new events is no lag.
func TestMonitorReportsNoLagUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKafka()
		m := New(Options{Line: line, Ranges: k.Ranges, Ends: k.Ends, Groups: k.Groups, Views: k, Log: slog.New(slog.DiscardHandler)})
		for range 60 {
			time.Sleep(interval)
			// The events of the second before are committed and read, those since are not.
			k.committed["mixing"]["requests"], k.read[0] = k.ends["requests"], k.ends["mixing-table"]
			k.ends["requests"] += 1000
			k.ends["mixing-table"] += 1000
			if err := m.measure(t.Context()); err != nil {
				t.Fatal(err)
			}
			if s := m.Of(1); s.Behind > 0 {
				t.Fatalf("%+v", s)
			}
		}
	})
}
