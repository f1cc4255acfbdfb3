package test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ecupcakes/ecupcakes/internal/testkit"
	"github.com/ecupcakes/ecupcakes/internal/testkit/realkafka"
	"github.com/ecupcakes/ecupcakes/load"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sys/unix"
)

var (
	faultsSeed = flag.Uint64("faults.seed", 0, "replay one run of TestFaults")
	faultsKind = flag.String("faults.kafka", "", "with -faults.seed or -faults.for: embedded, kafka or cluster")
	faultsFor  = flag.Duration("faults.for", 0, "run new seeds for so long")
)

// TestFaults has orders placed and walked through the line while one thing
// after another fails, chosen by a seed, and then audits the topics: each order
// with a 201 has been shipped, once, and all else is accounted for.
//
// A failing run names its seed; `go test ./test -run TestFaults -faults.seed N
// -faults.kafka K` does the same again. The faults come in the same order and
// with the same choices; how far the orders have got when they hit is up to the
// machine.
func TestFaults(t *testing.T) {
	kinds := []string{"embedded", "kafka", "cluster"}
	run := func(kind string, seed uint64) {
		t.Run(fmt.Sprint(kind, "-", seed), func(t *testing.T) {
			defer func() {
				if t.Failed() {
					t.Logf("replay it: go test ./test -run TestFaults -faults.kafka %s -faults.seed %d", kind, seed)
				}
			}()
			newScene(t, kind, seed).play()
		})
	}
	switch {
	case *faultsSeed != 0:
		run(*faultsKind, *faultsSeed)
	case *faultsFor != 0:
		if *faultsKind != "" {
			kinds = []string{*faultsKind}
		}
		for began := time.Now(); time.Since(began) < *faultsFor && !t.Failed(); {
			run(kinds[rand.IntN(len(kinds))], rand.Uint64N(1_000_000))
		}
	default:
		t.Parallel()
		for _, kind := range kinds {
			run(kind, 1)
		}
	}
}

const (
	faultOrders = 400
	faultRate   = 40 // Orders a second, so that the faults have ten seconds at least.
)

// scene is one run.
type scene struct {
	t       *testing.T
	rng     *rand.Rand
	api     *factory   // Where the orders are placed.
	members []*factory // All processes of the program.
	cluster *cluster
	brokers string // For the test's own clients.
	poison  int    // Messages that must have become dead letters.
	done    chan error
}

func newScene(t *testing.T, kind string, seed uint64) *scene {
	s := &scene{t: t, rng: rand.New(rand.NewPCG(seed, 0)), done: make(chan error, 1)}
	if kind == "embedded" {
		s.api = open(t)
		s.members, s.brokers = []*factory{s.api}, s.api.kafka
		return s
	}
	nodes := map[string]int{"kafka": 1, "cluster": 3}[kind]
	if nodes == 0 {
		t.Fatalf("unknown kind of Kafka %q", kind)
	}
	s.cluster = realKafka(t, nodes)
	s.brokers = s.cluster.Brokers()
	s.api = s.member("--roles", "api")
	s.member("--roles", "processors", "--instance", "one")
	s.member("--roles", "processors", "--instance", "two")
	return s
}

// member starts one more process.
func (s *scene) member(flags ...string) *factory {
	f := opened(s.t, &factory{t: s.t, kafka: s.brokers, serve: flags})
	s.members = append(s.members, f)
	return f
}

// fault is something that goes wrong and is over when it returns.
type fault struct {
	name string
	do   func(*scene)
}

func (s *scene) faults() []fault {
	all := []fault{
		{"kill -9 of a process", func(s *scene) {
			f := s.any()
			f.kill()
			f.start()
		}},
		{"a process that is paused", func(s *scene) {
			f := s.any()
			s.signal(f, syscall.SIGSTOP)
			s.pause(500*time.Millisecond, 5*time.Second)
			s.signal(f, syscall.SIGCONT)
		}},
		{"a planned restart", func(s *scene) {
			f := s.any()
			f.stop()
			f.start()
		}},
		{"a clock that jumps, and back", func(s *scene) {
			f := s.any()
			f.stop()
			// Kafka refuses messages from more than an hour ahead. Then all waits until the clock is right.
			by := time.Duration(1+s.rng.IntN(20)) * time.Hour
			if s.rng.IntN(2) == 0 {
				by = -by
			}
			f.jumps(by, 500*time.Millisecond, 4*time.Second)
			f.start()
			s.pause(4*time.Second, 5*time.Second)
		}},
		{"messages that come again, late and in another order", (*scene).repeat},
		{"poison", (*scene).poisoned},
	}
	if s.cluster == nil {
		return append(all, fault{"a full disk", (*scene).fullDisk})
	}
	return append(all,
		fault{"a processor more, and less", func(s *scene) {
			f := s.member("--roles", "processors", "--instance", "three")
			s.progress(20)
			f.stop()
			s.members = s.members[:len(s.members)-1]
		}},
		fault{"kill -9 of a broker", func(s *scene) {
			n := s.cluster.Nodes[s.rng.IntN(len(s.cluster.Nodes))]
			n.Kill()
			s.pause(0, 3*time.Second)
			s.restart(n)
		}},
		fault{"kill -9 of a broker and of a processor while it is away", func(s *scene) {
			n := s.cluster.Nodes[s.rng.IntN(len(s.cluster.Nodes))]
			n.Kill()
			s.members[1].kill()
			s.restart(n)
			s.members[1].start()
		}},
		fault{"a broker that is paused", func(s *scene) {
			n := s.cluster.Nodes[s.rng.IntN(len(s.cluster.Nodes))]
			if err := n.Pause(); err != nil {
				s.t.Fatal(err)
			}
			s.pause(time.Second, 8*time.Second)
			if err := n.Resume(); err != nil {
				s.t.Fatal(err)
			}
		}},
		fault{"all connections cut", func(s *scene) {
			for range 1 + s.rng.IntN(10) {
				for _, p := range s.cluster.proxies {
					p.cut()
				}
				s.pause(0, 300*time.Millisecond)
			}
		}},
		fault{"a broker that cannot be reached", func(s *scene) {
			p := s.cluster.proxies[s.rng.IntN(len(s.cluster.proxies))]
			p.set(true, 0)
			s.pause(time.Second, 12*time.Second)
			p.set(false, 0)
		}},
		fault{"a slow network", func(s *scene) {
			for _, p := range s.cluster.proxies {
				p.set(false, time.Duration(s.rng.IntN(100))*time.Millisecond)
			}
			s.pause(time.Second, 5*time.Second)
			for _, p := range s.cluster.proxies {
				p.set(false, 0)
			}
		}},
	)
}

func (s *scene) any() *factory { return s.members[s.rng.IntN(len(s.members))] }

func (s *scene) signal(f *factory, sig syscall.Signal) {
	if err := f.cmd.Process.Signal(sig); err != nil {
		s.t.Fatalf("%s: %v", sig, err)
	}
}

func (s *scene) restart(n *realkafka.Node) {
	if err := n.Start(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

// pause is how long a fault lasts. It waits for nothing.
func (s *scene) pause(least, most time.Duration) {
	time.Sleep(least + time.Duration(s.rng.Int64N(int64(most-least))))
}

// play runs the orders and the faults and then looks at what is left.
func (s *scene) play() {
	ctx, cancel := context.WithTimeout(s.t.Context(), 10*time.Minute)
	defer cancel()
	go func() {
		r, err := load.Run(ctx, load.Options{URL: s.api.url, Orders: faultOrders, Rate: faultRate, Walk: true, Out: io.Discard})
		result, _ := json.Marshal(r) // It is made for that.
		s.done <- errors.Join(err, failedIf(r.Placed != faultOrders, "the load: %s", result))
	}()
	s.progress(20)
	faults := s.faults()
	for s.shipped() < faultOrders*4/5 {
		f := faults[s.rng.IntN(len(faults))]
		began := time.Now()
		s.t.Logf("%4d shipped: %s", s.shipped(), f.name)
		f.do(s)
		took := time.Since(began)
		s.progress(20)
		s.t.Logf("     it took %s, and the line went on %s later", took.Round(time.Millisecond), (time.Since(began) - took).Round(time.Millisecond))
	}
	select {
	case err := <-s.done:
		if err != nil {
			s.t.Fatal(err)
		}
	case <-ctx.Done():
		s.t.Fatalf("%d of %d orders are shipped: %v", s.shipped(), faultOrders, <-s.done)
	}
	s.api.eventually("it is ready", s.api.ready)
	for _, f := range s.members {
		f.stop()
	}
	s.audit()
}

func failedIf(failed bool, format string, args ...any) error {
	if failed {
		return fmt.Errorf(format, args...)
	}
	return nil
}

// shipped is how many orders have come out of the line, 0 if nobody says.
func (s *scene) shipped() int {
	client := http.Client{Timeout: 2 * time.Second}
	answer, err := client.Get(s.api.url + "/api/v1/stations")
	if err != nil {
		return 0
	}
	defer answer.Body.Close()
	var all stations
	if json.NewDecoder(answer.Body).Decode(&all) != nil {
		return 0
	}
	return all.Finished["shipped"]
}

// progress waits until n more orders are shipped, or all.
func (s *scene) progress(n int) {
	s.t.Helper()
	from, now := 0, 0
	testkit.EventuallyWithin(s.t, 3*deadline, fmt.Sprintf("%d more orders are shipped", n), func() bool {
		now = s.shipped()
		if from == 0 {
			from = now
		}
		return from > 0 && now >= min(from+n, faultOrders)
	}, func() any { return fmt.Sprintf("%d at first, %d now; %v", from, now, s.api.state()) })
}

// fullDisk has writes of files fail that are as large as some of the data are
// already, or all writes, and lets the program go on or be killed meanwhile.
func (s *scene) fullDisk() {
	pid := s.api.cmd.Process.Pid
	limit := func(bytes uint64) {
		if err := unix.Prlimit(pid, unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: bytes, Max: unix.RLIM_INFINITY}, nil); err != nil {
			s.t.Fatalf("limiting the size of files: %v", err)
		}
	}
	limit(uint64(s.rng.IntN(2)) * uint64(s.rng.IntN(200_000)))
	s.pause(time.Second, 5*time.Second)
	if s.rng.IntN(2) == 0 {
		s.api.kill()
		s.api.start()
		return
	}
	limit(unix.RLIM_INFINITY)
}

// inputs are the topics that the stages read.
func inputs() (all []string) {
	all = []string{"orderrequests", "readytobake", "readytodecorate", "readytopackage", "readytoship"}
	for _, s := range stageNames {
		all = append(all, s+"-reports")
	}
	return all
}

// repeat writes some messages of the inputs once more, in any order.
func (s *scene) repeat() {
	var again []*kgo.Record
	for _, topic := range inputs() {
		records := slices.DeleteFunc(s.api.read(topic), func(r *kgo.Record) bool { return len(r.Headers) > 0 }) // No poison.
		for range min(20, len(records)) {
			r := records[s.rng.IntN(len(records))]
			again = append(again, &kgo.Record{Topic: r.Topic, Partition: r.Partition, Key: r.Key, Value: r.Value})
		}
	}
	s.rng.Shuffle(len(again), func(i, j int) { again[i], again[j] = again[j], again[i] })
	produce(s.t, s.brokers, again)
}

// poisoned writes what nobody should, to every input.
func (s *scene) poisoned() {
	known := string(s.api.read("orderrequests")[0].Key)
	var all []*kgo.Record
	for _, topic := range inputs() {
		p := func(key, value []byte) {
			all = append(all, &kgo.Record{Topic: topic, Partition: partitionOf(key), Key: key, Value: value})
		}
		p([]byte(known), []byte("not JSON"))
		p([]byte(known), nil)
		p([]byte(known), []byte(`{"v":99,"id":"`+known+`"}`))
		p([]byte("__offset"), []byte(`{"v":1,"id":"__offset","orderId":"__offset","kind":"done","by":"x","flavour":"x","size":"x","quantity":1,"status":"placed"}`))
		p(nil, []byte(`{}`))
		p([]byte(strconv.Itoa(s.rng.Int())), []byte(strings.Repeat("[", 100_000)))
		p([]byte("huge"), []byte(strings.Repeat("x", 900_000)))
		p([]byte("\xff\x00"), []byte("\xff\x00"))
	}
	all = append(all, // Of another partition than their key's, and before its time.
		&kgo.Record{Topic: "orderrequests", Partition: (partitionOf([]byte(known)) + 1) % 8, Key: []byte(known), Value: []byte(`{"v":1,"id":"` + known + `","flavour":"x","size":"x","quantity":1,"status":"placed"}`)},
		&kgo.Record{Topic: "readytoship", Partition: partitionOf([]byte(known)), Key: []byte(known), Value: []byte(`{"v":1,"id":"` + known + `","flavour":"x","size":"x","quantity":1,"status":"placed"}`)})
	for _, r := range all {
		r.Headers = []kgo.RecordHeader{{Key: "poison"}}
	}
	s.poison += len(all)
	produce(s.t, s.brokers, all)
}

// partitionOf is FNV-1a as goka takes it, written once more: tests do not ask the program where its orders are.
func partitionOf(key []byte) int32 {
	h := fnv.New32a()
	h.Write(key)
	p := int32(h.Sum32()) % 8
	return max(p, -p)
}

// produce writes records to the partitions that they name.
func produce(t *testing.T, brokers string, records []*kgo.Record) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(brokers, ",")...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.AlwaysRetryEOF())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	if err := client.ProduceSync(ctx, records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// audit is the program's own, at rest.
func (s *scene) audit() {
	args := []string{"--brokers", s.brokers}
	if s.cluster == nil {
		args = []string{"--data", s.api.data}
	}
	a := auditOf(s.t, args...)
	bad, repeated := 0, 0
	for _, st := range a.Stages {
		bad += st.Bad
		repeated += st.Repeated
	}
	s.t.Logf("%d orders, %d messages that were there before, %d poisonous ones, %d dead letters", a.Orders, repeated, bad, a.DeadLetters)
	if !a.allShipped(faultOrders) || bad != s.poison {
		s.t.Errorf("verify says %s; %d poisonous messages were sent", a.said, s.poison)
	}
}
