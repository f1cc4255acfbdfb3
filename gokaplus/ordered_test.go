package gokaplus

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/IBM/sarama"
	"github.com/ecupcakes/ecupcakes/gokaplus/internal/kafkatest"
	"github.com/lovoo/goka"
	"github.com/lovoo/goka/codec"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"
)

func TestWindow(t *testing.T) {
	type finish struct{ offset, next int64 } // next is -1 when nothing is to be committed
	for _, tc := range []struct {
		name     string
		add      []int64
		finishes []finish
	}{
		{"in order", []int64{0, 1, 2}, []finish{{0, 1}, {1, 2}, {2, 3}}},
		{"reversed", []int64{0, 1, 2}, []finish{{2, -1}, {1, -1}, {0, 3}}},
		{"the first is slow", []int64{7, 8, 9}, []finish{{8, -1}, {7, 9}, {9, 10}}},
		{"gaps", []int64{3, 10, 11, 5000}, []finish{{11, -1}, {5000, -1}, {3, 4}, {10, 5001}}},
		{"twice", []int64{0, 1}, []finish{{1, -1}, {1, -1}, {0, 2}, {0, -1}, {1, -1}}},
		{"never delivered", []int64{5, 8}, []finish{{4, -1}, {6, -1}, {7, -1}, {9, -1}, {-1, -1}, {5, 6}, {8, 9}}},
		{"redelivered while unfinished", []int64{0, 1, 0, 1}, []finish{{0, 1}, {1, 2}}},
		{"nothing delivered", nil, []finish{{0, -1}, {-1, -1}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWindow(64)
			for _, o := range tc.add {
				if !w.add(o) {
					t.Fatalf("no room for %d", o)
				}
			}
			for _, f := range tc.finishes {
				next, moved := w.finish(f.offset)
				if !moved {
					next = -1
				}
				if next != f.next {
					t.Fatalf("after %d is finished: commit %d, want %d", f.offset, next, f.next)
				}
			}
		})
	}
}

// model is what window has to do, without any thought of cost.
type model struct {
	delivered []int64
	finished  map[int64]bool
	committed int64 // 0 if nothing
}

func (m *model) finish(offset int64) {
	if slices.Contains(m.delivered, offset) {
		m.finished[offset] = true
	}
	for _, o := range m.delivered {
		if !m.finished[o] {
			return
		}
		m.committed = o + 1
	}
}

// held are the finished ones that wait for an earlier one.
func (m *model) held() (n int) {
	for _, o := range m.delivered[len(m.delivered)-m.pending():] {
		if m.finished[o] {
			n++
		}
	}
	return n
}

func (m *model) pending() int {
	for i, o := range m.delivered {
		if !m.finished[o] {
			return len(m.delivered) - i
		}
	}
	return 0
}

// exercise runs one interleaving, taken from next, on a window and on the model.
func exercise(limit int, more func() bool, next func(n int) int) error {
	w, m := newWindow(limit), &model{finished: map[int64]bool{}}
	var committed, last int64 = 0, -1
	for more() {
		switch op := next(8); {
		case op < 3: // delivered, mostly without a gap
			offset := last + 1
			if next(4) == 0 {
				offset += int64(next(20))
			}
			room := w.add(offset)
			if want := m.pending() < limit; room != want {
				return fmt.Errorf("room for %d: %t, with %d of %d in flight", offset, room, m.pending(), limit)
			}
			if room {
				last = offset
				m.delivered = append(m.delivered, offset)
			}
		case op == 3 && last >= 0: // delivered again
			if !w.add(int64(next(int(last) + 1))) {
				return errors.New("an offset delivered before needs no room")
			}
		default: // finished, whether delivered or not
			offset := int64(next(int(last)+3)) - 1
			if len(m.delivered) > 0 && next(3) > 0 {
				offset = m.delivered[max(0, len(m.delivered)-1-next(limit+2))]
			}
			m.finish(offset)
			if to, moved := w.finish(offset); moved {
				if to <= committed {
					return fmt.Errorf("finishing %d moves the commit back from %d to %d", offset, committed, to)
				}
				committed = to
			}
			if committed != m.committed {
				return fmt.Errorf("after %d is finished: committed %d, want %d", offset, committed, m.committed)
			}
		}
		if _, n, held := w.position(); n != m.pending() || held != m.held() {
			return fmt.Errorf("%d in flight and %d held, want %d and %d", n, held, m.pending(), m.held())
		}
	}
	return nil
}

func TestWindowAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := 1 << rapid.IntRange(0, 8).Draw(t, "log limit")
		steps := rapid.IntRange(0, 600).Draw(t, "steps")
		if err := exercise(limit, func() bool { steps--; return steps >= 0 }, func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "n") }); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzWindow(f *testing.F) {
	f.Add(uint8(1), []byte{0, 0, 0, 0, 7, 1, 7, 0})
	f.Add(uint8(7), []byte("an unlikely interleaving of deliveries and acknowledgements"))
	f.Fuzz(func(t *testing.T, limit uint8, data []byte) {
		take := func(n int) int {
			if len(data) == 0 {
				return 0
			}
			b := data[0]
			data = data[1:]
			return int(b) % n
		}
		if err := exercise(1<<(limit%8), func() bool { return len(data) > 0 }, take); err != nil {
			t.Fatal(err)
		}
	})
}

// fakeGroup runs one session per Consume with one claim, like sarama: Messages is closed only when ConsumeClaim has
// returned or the session has been cancelled.
type fakeGroup struct {
	sarama.ConsumerGroup
	messages chan *sarama.ConsumerMessage
	session  *fakeSession
}

func (g *fakeGroup) Consume(ctx context.Context, topics []string, h sarama.ConsumerGroupHandler) error {
	g.session = &fakeSession{ctx: ctx, topic: topics[0]}
	if err := h.Setup(g.session); err != nil {
		return err
	}
	err := h.ConsumeClaim(g.session, fakeClaim{topic: topics[0], messages: g.messages})
	return errors.Join(err, h.Cleanup(g.session))
}

type fakeClaim struct {
	sarama.ConsumerGroupClaim
	topic    string
	messages chan *sarama.ConsumerMessage
}

func (c fakeClaim) Topic() string                            { return c.topic }
func (c fakeClaim) Partition() int32                         { return 0 }
func (c fakeClaim) InitialOffset() int64                     { return 0 }
func (c fakeClaim) HighWaterMarkOffset() int64               { return 1000 }
func (c fakeClaim) Messages() <-chan *sarama.ConsumerMessage { return c.messages }

type fakeSession struct {
	sarama.ConsumerGroupSession
	ctx   context.Context
	topic string

	mu     sync.Mutex
	marked int64
	reset  int64
}

func (s *fakeSession) Claims() map[string][]int32 { return map[string][]int32{s.topic: {0}} }
func (s *fakeSession) Context() context.Context   { return s.ctx }

func (s *fakeSession) MarkOffset(_ string, _ int32, next int64, _ string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.marked = max(s.marked, next)
}
func (s *fakeSession) ResetOffset(_ string, _ int32, offset int64, _ string) { s.reset = offset }

// handlerFunc is a handler that only consumes claims.
type handlerFunc func(sarama.ConsumerGroupSession, sarama.ConsumerGroupClaim) error

func (handlerFunc) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (handlerFunc) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (f handlerFunc) ConsumeClaim(s sarama.ConsumerGroupSession, c sarama.ConsumerGroupClaim) error {
	return f(s, c)
}

func orderedFake(t *testing.T, progress *Progress, messages ...*sarama.ConsumerMessage) (sarama.ConsumerGroup, *fakeGroup) {
	fake := &fakeGroup{messages: make(chan *sarama.ConsumerMessage, len(messages)+1)}
	for _, m := range messages {
		fake.messages <- m
	}
	g, err := WithInOrderCommits(func([]string, string, string) (sarama.ConsumerGroup, error) { return fake, nil }, progress)(nil, "group", "client")
	if err != nil {
		t.Fatal(err)
	}
	return g, fake
}

func message(offset int64) *sarama.ConsumerMessage {
	return &sarama.ConsumerMessage{Topic: "in", Offset: offset}
}

func TestInOrderCommitsMarkOnlyTheFinishedPrefix(t *testing.T) {
	var all []*sarama.ConsumerMessage
	for i := range int64(500) {
		all = append(all, message(i*3)) // as after compaction
	}
	g, fake := orderedFake(t, nil, all...)
	close(fake.messages)
	err := g.Consume(t.Context(), []string{"in"}, handlerFunc(func(s sarama.ConsumerGroupSession, c sarama.ConsumerGroupClaim) error {
		var got []*sarama.ConsumerMessage
		for m := range c.Messages() {
			got = append(got, m)
		}
		if !slices.Equal(got, all) {
			t.Errorf("%d of %d messages arrived, or in another order", len(got), len(all))
		}
		var acks sync.WaitGroup // all but message 100, at the same time
		for _, i := range rand.Perm(len(all)) {
			if i != 100 {
				acks.Go(func() { s.MarkMessage(all[i], "") })
			}
		}
		acks.Wait()
		if want := all[99].Offset + 1; fake.session.marked != want {
			t.Errorf("marked %d while message 100 is unfinished, want %d", fake.session.marked, want)
		}
		s.MarkOffset("in", 0, all[100].Offset+1, "")
		s.MarkOffset("in", 0, 10_000, "")     // never delivered
		s.MarkOffset("another", 7, 5, "")     // never claimed
		s.ResetOffset("in", 0, 1, "metadata") // as sarama does it
		if want := all[499].Offset + 1; fake.session.marked != want || fake.session.reset != 1 {
			t.Errorf("marked %d and reset %d at the end, want %d and 1", fake.session.marked, fake.session.reset, want)
		}
		return nil
	}))
	if err != nil {
		t.Fatal(err)
	}
}

func TestInOrderClaimEndsWhileMessagesStaysOpen(t *testing.T) {
	g, fake := orderedFake(t, nil, message(0), message(1), nil, message(2))
	failed := errors.New("processor stopped")
	ended := make(chan error, 1)
	go func() {
		ended <- g.Consume(t.Context(), []string{"in"}, handlerFunc(func(s sarama.ConsumerGroupSession, c sarama.ConsumerGroupClaim) error {
			s.MarkMessage(<-c.Messages(), "")
			return failed
		}))
	}()
	if err := kafkatest.Within(t, "the claim ends", ended); !errors.Is(err, failed) {
		t.Fatalf("got %v", err)
	}
	if fake.session.marked != 1 {
		t.Fatalf("marked %d, want 1", fake.session.marked)
	}

	// What was not finished comes again in the next session, which shares no state with the first.
	fake.messages = make(chan *sarama.ConsumerMessage, 2)
	fake.messages <- message(1)
	fake.messages <- message(2)
	close(fake.messages)
	err := g.Consume(t.Context(), []string{"in"}, handlerFunc(func(s sarama.ConsumerGroupSession, c sarama.ConsumerGroupClaim) error {
		one, two := <-c.Messages(), <-c.Messages()
		s.MarkMessage(two, "")
		if fake.session.marked != 0 {
			t.Errorf("marked %d before 1 is finished", fake.session.marked)
		}
		s.MarkMessage(one, "")
		return nil
	}))
	if err != nil || fake.session.marked != 3 {
		t.Fatalf("marked %d, want 3; error %v", fake.session.marked, err)
	}
}

func TestInOrderCommitsStopReadingBehindAnUnfinishedMessage(t *testing.T) {
	w := newWindow(4)
	in, out, stop := make(chan *sarama.ConsumerMessage), make(chan *sarama.ConsumerMessage, 100), make(chan struct{})
	var feeder sync.WaitGroup
	feeder.Go(func() { w.feed(in, out, stop) })
	for i := range int64(5) {
		in <- message(i) // the fifth is taken but waits for room
	}
	select {
	case in <- message(5):
		t.Fatal("a sixth message was taken while none is finished")
	default:
	}
	if _, n, _ := w.position(); n != 4 {
		t.Fatalf("%d in flight, want 4", n)
	}
	w.finish(0)
	in <- message(5)
	close(stop)
	feeder.Wait()
	if len(out) < 5 {
		t.Fatalf("%d messages passed on, want 5", len(out))
	}
}

func TestProgress(t *testing.T) {
	var p Progress
	g, _ := orderedFake(t, &p, message(3), message(4), message(5))
	err := g.Consume(t.Context(), []string{"in"}, handlerFunc(func(s sarama.ConsumerGroupSession, c sarama.ConsumerGroupClaim) error {
		three, four := <-c.Messages(), <-c.Messages()
		<-c.Messages()
		s.MarkMessage(three, "")
		want := PartitionProgress{Group: "group", Topic: "in", Partition: 0, Next: 4, HighWaterMark: 1000, InFlight: 2}
		if got := p.Partitions(); len(got) != 1 || got[0] != want || got[0].Lag() != 996 {
			t.Errorf("got %+v, want %+v with lag 996", got, want)
		}
		s.MarkMessage(four, "")
		return nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Partitions(); len(got) != 0 {
		t.Fatalf("after the session: %+v", got)
	}
}

// stockGroup is goka's own consumer group, with this package's configuration.
func stockGroup(o Options) goka.ConsumerGroupBuilder { return o.withDefaults().consumerGroup }

// TestInOrderCommitsKeepWhatStockLoses shows the hole in goka that WithInOrderCommits closes. The message "lost" emits, and its emit is
// not acknowledged; "quiet" behind it emits nothing. Then the emit fails for good, the processor stops and a new one
// takes over.
func TestInOrderCommitsKeepWhatStockLoses(t *testing.T) {
	for name, producer := range producers(0) {
		t.Run(name, func(t *testing.T) { keepsWhatStockLoses(t, Options{Producer: producer}) })
	}
}

func keepsWhatStockLoses(t *testing.T, o Options) {
	for _, tc := range []struct {
		name  string
		wrap  func(goka.ConsumerGroupBuilder) goka.ConsumerGroupBuilder
		early int64 // committed while the emit is not acknowledged
		out   []string
	}{
		{"stock", func(b goka.ConsumerGroupBuilder) goka.ConsumerGroupBuilder { return b }, 2, []string{"marker"}},
		{"in order", func(b goka.ConsumerGroupBuilder) goka.ConsumerGroupBuilder { return WithInOrderCommits(b, nil) }, -1, []string{"lost", "marker"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			k := kafkatest.Start(t, 2, "in", "out")
			run := func(ctx context.Context) (handled chan string, ended chan error) {
				handled, ended = make(chan string, 10), make(chan error, 1)
				p, err := NewProcessor(k.ListenAddrs(), goka.DefineGroup("group",
					goka.Input("in", new(codec.String), func(ctx goka.Context, m any) {
						if m != "quiet" {
							ctx.Emit("out", ctx.Key(), m)
						}
						handled <- m.(string)
					}),
					goka.Output("out", new(codec.String)),
				), o, goka.WithConsumerGroupBuilder(tc.wrap(stockGroup(o))))
				if err != nil {
					t.Fatal(err)
				}
				go func() { ended <- p.Run(ctx) }()
				return handled, ended
			}

			hold := k.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "out", Err: kerr.NotEnoughReplicas, Count: -1})
			handled, ended := run(t.Context())
			cl := k.Client(t, kgo.RecordPartitioner(kgo.ManualPartitioner()))
			kafkatest.Send(t, cl, &kgo.Record{Topic: "in", Partition: 0, Value: []byte("lost")}, &kgo.Record{Topic: "in", Partition: 0, Value: []byte("quiet")})
			for range 2 {
				kafkatest.Within(t, "both messages are handled", handled)
			}
			// A commit covers all partitions, so once that of partition 1 is there, partition 0 had its chance.
			kafkatest.Send(t, cl, &kgo.Record{Topic: "in", Partition: 1, Value: []byte("quiet")})
			kafkatest.Eventually(t, "partition 1 is committed", func() bool { return k.Committed("group", "in", 1) == 1 })
			if got := k.Committed("group", "in", 0); got != tc.early {
				t.Fatalf("committed %d while the emit of 0 is not acknowledged, want %d", got, tc.early)
			}

			k.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "out", Err: kerr.MessageTooLarge})
			hold.Remove()
			if err := kafkatest.Within(t, "the processor fails", ended); err == nil {
				t.Fatal("the processor ended without an error")
			}
			ctx, cancel := context.WithCancel(t.Context())
			_, ended = run(ctx)
			kafkatest.Send(t, cl, &kgo.Record{Topic: "in", Partition: 0, Value: []byte("marker")})
			kafkatest.Eventually(t, "the marker is committed", func() bool { return k.Committed("group", "in", 0) == 3 })
			cancel()
			if err := kafkatest.Within(t, "the processor stops", ended); err != nil {
				t.Fatal(err)
			}
			var out []string
			for _, r := range k.Records(t, "out") {
				out = append(out, string(r.Value))
			}
			if !slices.Equal(out, tc.out) {
				t.Fatalf("emitted %q, want %q", out, tc.out)
			}
		})
	}
}

// BenchmarkWindow adds and finishes as many messages as are in flight, one operation being one message.
func BenchmarkWindow(b *testing.B) {
	for _, inFlight := range []int{1, 100, 10_000} {
		for _, tc := range []struct {
			name     string
			gap      int
			backward bool
		}{{"in order", 1, false}, {"backward", 1, true}, {"backward with gaps", 3, true}} {
			b.Run(fmt.Sprintf("%s/inflight=%d", tc.name, inFlight), func(b *testing.B) {
				w := newWindow(maxInFlight)
				b.ReportAllocs()
				for base := 0; base < b.N; base += inFlight {
					for i := range inFlight {
						w.add(int64((base + i) * tc.gap))
					}
					for i := range inFlight {
						if tc.backward {
							i = inFlight - 1 - i
						}
						w.finish(int64((base + i) * tc.gap))
					}
				}
			})
		}
	}
}

func BenchmarkOrderedFeed(b *testing.B) {
	w := newWindow(maxInFlight)
	in, out, stop := make(chan *sarama.ConsumerMessage, 256), make(chan *sarama.ConsumerMessage, 256), make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() { w.feed(in, out, stop) })
	all.Go(func() {
		for range b.N {
			w.finish((<-out).Offset)
		}
		close(stop)
	})
	b.ReportAllocs()
	for i := range b.N {
		in <- &sarama.ConsumerMessage{Offset: int64(i)}
	}
	all.Wait()
}
