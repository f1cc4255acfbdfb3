package gokaplus

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/IBM/sarama"
	"github.com/ecupcakes/ecupcakes/gokaplus/franz"
	"github.com/ecupcakes/ecupcakes/gokaplus/internal/kafkatest"
	"github.com/lovoo/goka"
	"github.com/lovoo/goka/codec"
	"github.com/twmb/franz-go/pkg/kgo"
)

// consumeFunc is a group whose sessions are calls of it.
type consumeFunc func(ctx context.Context) error

type consumeGroup struct {
	sarama.ConsumerGroup
	consume consumeFunc
}

func (g consumeGroup) Consume(ctx context.Context, _ []string, _ sarama.ConsumerGroupHandler) error {
	return g.consume(ctx)
}

func rejoining(t *testing.T, consume consumeFunc) sarama.ConsumerGroup {
	g, err := WithQuickRejoin(func([]string, string, string) (sarama.ConsumerGroup, error) {
		return consumeGroup{consume: consume}, nil
	})(nil, "", "")
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestRejoinPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start, end := time.Now(), errors.New("session failed")
		sessions := []time.Duration{time.Minute, 0, 0, 0, 0, 0, 0, 0, 0, time.Hour, 0, 0}
		var began []time.Duration
		g := rejoining(t, func(context.Context) error {
			began = append(began, time.Since(start))
			if len(began) > len(sessions) {
				return end
			}
			time.Sleep(sessions[len(began)-1])
			return nil
		})
		if err := g.Consume(t.Context(), nil, nil); !errors.Is(err, end) {
			t.Fatalf("got %v", err)
		}
		pauses := []time.Duration{0, 100, 200, 400, 800, 1600, 3200, 5000, 5000, 0, 100, 200} // milliseconds
		for i, want := range pauses {
			if got := began[i+1] - began[i] - sessions[i]; got != want*time.Millisecond {
				t.Errorf("pause after session %d: %v, want %dms", i, got, want)
			}
		}
	})
}

func TestRejoinEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		var sessions int
		err := rejoining(t, func(context.Context) error { sessions++; return nil }).Consume(ctx, nil, nil) // ends in the pause
		if err != nil || sessions != 1 {
			t.Errorf("%d sessions, error %v", sessions, err)
		}
		err = rejoining(t, func(context.Context) error { sessions++; return nil }).Consume(ctx, nil, nil) // ends in the session
		if err != nil || sessions != 2 {
			t.Errorf("%d sessions, error %v", sessions, err)
		}
	})
}

func TestBuildersPassOnErrors(t *testing.T) {
	failed := errors.New("no broker")
	inner := func([]string, string, string) (sarama.ConsumerGroup, error) { return nil, failed }
	for _, build := range []goka.ConsumerGroupBuilder{WithQuickRejoin(inner), WithInOrderCommits(inner, nil)} {
		if _, err := build(nil, "", ""); !errors.Is(err, failed) {
			t.Errorf("got %v", err)
		}
	}
}

// TestRebalancesLoseNothing lets processors join and leave a group while messages flow.
func TestRebalancesLoseNothing(t *testing.T) {
	const partitions = 4
	k := kafkatest.Start(t, partitions, "in", "group-table")
	var mu sync.Mutex
	handled, last, longest := map[string]int{}, time.Now(), time.Duration(0)
	count := func(key string) {
		mu.Lock()
		defer mu.Unlock()
		handled[key]++
		longest, last = max(longest, time.Since(last)), time.Now()
	}
	start := func(ctx context.Context) (assigned *atomic.Int64, ended chan error) {
		assigned, ended = &atomic.Int64{}, make(chan error, 1)
		p, err := NewProcessor(k.ListenAddrs(), goka.DefineGroup("group",
			goka.Input("in", new(codec.String), func(ctx goka.Context, m any) {
				ctx.SetValue(m)
				count(ctx.Key())
			}),
			goka.Persist(new(codec.String)),
		), Options{Logger: kafkatest.Logger(t), Producer: franz.ProducerBuilder(franz.Options{})}, goka.WithRebalanceCallback(func(a goka.Assignment) { assigned.Store(int64(len(a))) }))
		if err != nil {
			t.Fatal(err)
		}
		go func() { ended <- p.Run(ctx) }()
		return assigned, ended
	}
	handles := func(n int) { // all partitions, so all members, have to take part
		t.Helper()
		mu.Lock()
		from := len(handled)
		mu.Unlock()
		kafkatest.Eventually(t, fmt.Sprint(n, " more messages are handled"), func() bool {
			mu.Lock()
			defer mu.Unlock()
			return len(handled) >= from+n
		})
	}

	ctx, cancel := context.WithCancel(t.Context())
	first, firstEnded := start(ctx)
	cl := k.Client(t, kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
	var sent int
	sending, stopSending := context.WithCancel(t.Context())
	var sender sync.WaitGroup
	sender.Go(func() {
		for ; sending.Err() == nil; sent++ {
			if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: "in", Key: []byte(strconv.Itoa(sent)), Value: []byte("v")}).FirstErr(); err != nil {
				t.Error(err)
				return
			}
		}
	})
	handles(100)
	mu.Lock()
	longest = 0
	mu.Unlock()
	for range 2 {
		joined, leave := context.WithCancel(t.Context())
		second, secondEnded := start(joined)
		kafkatest.Eventually(t, "both have partitions", func() bool { return first.Load() == partitions/2 && second.Load() == partitions/2 })
		handles(100)
		leave()
		if err := kafkatest.Within(t, "the second leaves", secondEnded); err != nil {
			t.Fatal(err)
		}
		kafkatest.Eventually(t, "the first has all partitions", func() bool { return first.Load() == partitions })
		handles(100)
	}
	stopSending()
	sender.Wait()
	kafkatest.Eventually(t, "every message is handled", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(handled) == sent
	})
	cancel()
	if err := kafkatest.Within(t, "the first stops", firstEnded); err != nil {
		t.Fatal(err)
	}
	var again int
	for _, n := range handled {
		again += n - 1
	}
	var committed int64
	for p := range int32(partitions) {
		committed += max(0, k.Committed("group", "in", p))
	}
	if committed != int64(sent) {
		t.Errorf("committed %d of %d", committed, sent)
	}
	t.Logf("%d messages, %d handled again, longest pause %v", sent, again, longest)
}
