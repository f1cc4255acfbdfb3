package gokaplus

import (
	"context"
	"fmt"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"
)

// maxInFlight is how many messages of one partition may be delivered while an earlier one is unfinished. It bounds the
// memory of the window to 512 KiB a partition and is well above what goka and the producer of package franz hold.
const maxInFlight = 1 << 16

// WithInOrderCommits wraps a builder of consumer groups so that an offset is committed only once that message and every
// message delivered before it in its partition are finished. The package documentation states the guarantee and argues
// for it. Pass the result to goka.WithConsumerGroupBuilder; inner may be goka.DefaultConsumerGroupBuilder.
//
// At most 65,536 messages of a partition wait behind an unfinished one. Then the partition is not read further until
// that message is finished. So a callback that forgets to call the function returned by DeferCommit stops its partition,
// whereas goka alone would commit past the message and lose it after a crash.
//
// If the process crashes, the messages behind the first unfinished one are redelivered, also those that were finished.
//
// If progress is not nil, it reports the partitions of the group while they are consumed.
func WithInOrderCommits(inner goka.ConsumerGroupBuilder, progress *Progress) goka.ConsumerGroupBuilder {
	return func(brokers []string, group, clientID string) (sarama.ConsumerGroup, error) {
		cg, err := inner(brokers, group, clientID)
		if err != nil {
			return nil, err
		}
		return &orderedGroup{ConsumerGroup: cg, name: group, progress: progress}, nil
	}
}

type orderedGroup struct {
	sarama.ConsumerGroup
	name     string
	progress *Progress
	paused   atomic.Pointer[time.Time] // when the last session ended; nil before that
}

func (g *orderedGroup) Consume(ctx context.Context, topics []string, h sarama.ConsumerGroupHandler) error {
	return g.ConsumerGroup.Consume(ctx, topics, &orderedHandler{inner: h, group: g})
}

// orderedHandler passes wrapped sessions and claims to the inner handler. sarama calls Setup for each generation, after
// all claims of the previous one have returned.
type orderedHandler struct {
	inner   sarama.ConsumerGroupHandler
	group   *orderedGroup
	session *orderedSession
}

func (h *orderedHandler) Setup(s sarama.ConsumerGroupSession) error {
	h.session = &orderedSession{s, map[string]map[int32]*window{}}
	for topic, partitions := range s.Claims() {
		h.session.windows[topic] = map[int32]*window{}
		for _, p := range partitions {
			h.session.windows[topic][p] = newWindow(maxInFlight)
		}
	}
	if err := h.inner.Setup(h.session); err != nil { // goka reads the tables in it
		return err
	}
	h.group.progress.assigned(h.group.name, h.group.paused.Load())
	context.AfterFunc(s.Context(), func() {
		now := time.Now()
		h.group.paused.Store(&now)
	})
	return nil
}

func (h *orderedHandler) Cleanup(sarama.ConsumerGroupSession) error {
	return h.inner.Cleanup(h.session)
}

func (h *orderedHandler) ConsumeClaim(_ sarama.ConsumerGroupSession, c sarama.ConsumerGroupClaim) error {
	w := h.session.windows[c.Topic()][c.Partition()]
	if w == nil { // only a cooperative strategy, which goka does not support, adds claims during a session
		return fmt.Errorf("%s/%d was not assigned when the session began: use an eager rebalance strategy", c.Topic(), c.Partition())
	}
	defer h.group.progress.add(h.group.name, c, w)()

	// The feeder must not wait for Messages() to be closed: sarama closes it only after this function has returned.
	out, stop := make(chan *sarama.ConsumerMessage, cap(c.Messages())), make(chan struct{})
	var feeder sync.WaitGroup
	feeder.Go(func() {
		defer close(out)
		w.feed(c.Messages(), out, stop)
	})
	defer feeder.Wait()
	defer close(stop)
	return h.inner.ConsumeClaim(h.session, &orderedClaim{c, out})
}

type orderedClaim struct {
	sarama.ConsumerGroupClaim
	messages chan *sarama.ConsumerMessage
}

func (c *orderedClaim) Messages() <-chan *sarama.ConsumerMessage { return c.messages }

// orderedSession turns marks of single messages into marks of the contiguous finished prefix. ResetOffset and Commit are
// those of sarama.
type orderedSession struct {
	sarama.ConsumerGroupSession
	windows map[string]map[int32]*window // read-only after Setup
}

func (s *orderedSession) MarkOffset(topic string, partition int32, next int64, metadata string) {
	w := s.windows[topic][partition]
	if w == nil {
		return
	}
	// Two marks may reach sarama in the other order than they left the window: sarama keeps the higher one.
	if upTo, moved := w.finish(next - 1); moved {
		s.ConsumerGroupSession.MarkOffset(topic, partition, upTo, metadata)
	}
}

func (s *orderedSession) MarkMessage(m *sarama.ConsumerMessage, metadata string) {
	s.MarkOffset(m.Topic, m.Partition, m.Offset+1, metadata)
}

// window holds the offsets of one partition from the first unfinished one to the last one delivered, in that order.
// Offsets ascend but may have gaps, where the broker has compacted records or keeps transaction markers. Adding and
// finishing are O(1), amortised over the messages; finishing is O(log window) where there are gaps.
type window struct {
	limit int           // the most offsets held
	room  chan struct{} // capacity 1: an offset has left the window

	mu      sync.Mutex
	ring    []int64 // its length is a power of two; a finished offset is stored as its complement
	head, n int     // the offsets are ring[head], … ring[head+n-1], modulo its length
	held    int     // how many of them are finished
	last    int64   // the highest offset added so far, -1 at first
	next    int64   // one above the highest offset that has left
}

func newWindow(limit int) *window {
	return &window{limit: limit, room: make(chan struct{}, 1), ring: make([]int64, min(64, limit)), last: -1}
}

// feed adds each message to the window and passes it on, until in is closed or stop is.
func (w *window) feed(in <-chan *sarama.ConsumerMessage, out chan<- *sarama.ConsumerMessage, stop <-chan struct{}) {
	for {
		var m *sarama.ConsumerMessage
		var ok bool
		select {
		case m, ok = <-in:
			if !ok {
				return
			}
		case <-stop:
			return
		}
		for m != nil && !w.add(m.Offset) {
			select {
			case <-w.room:
			case <-stop:
				return
			}
		}
		select {
		case out <- m:
		case <-stop:
			return
		}
	}
}

// add appends an offset and reports whether there was room for it. An offset that is not above the last one has been
// delivered before in this session; it keeps its first entry.
func (w *window) add(offset int64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if offset <= w.last {
		return true
	}
	if w.n == w.limit {
		return false
	}
	if w.n == len(w.ring) {
		grown := make([]int64, 2*len(w.ring))
		k := copy(grown, w.ring[w.head:])
		copy(grown[k:], w.ring[:w.head])
		w.ring, w.head = grown, 0
	}
	w.n++
	w.last, *w.at(w.n - 1) = offset, offset
	return true
}

// finish notes that the message at offset is finished. It returns the offset to commit, which is the next one to be
// read after a restart, and whether that has moved. An offset that was never added or has left changes nothing.
func (w *window) finish(offset int64) (next int64, moved bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	i, ok := w.find(offset)
	if !ok {
		return 0, false
	}
	if *w.at(i) >= 0 {
		w.held++
	}
	*w.at(i) = ^offset
	if i > 0 {
		return 0, false
	}
	for w.n > 0 && *w.at(0) < 0 {
		w.next = ^*w.at(0) + 1
		w.head = (w.head + 1) & (len(w.ring) - 1)
		w.n--
		w.held--
	}
	select {
	case w.room <- struct{}{}:
	default:
	}
	return w.next, true
}

// find returns where in the window offset is. Without gaps it is where its distance from the first one says; with
// gaps it can only be before that.
func (w *window) find(offset int64) (int, bool) {
	if w.n == 0 || offset < w.offset(0) || offset > w.last {
		return 0, false
	}
	i := int(min(offset-w.offset(0), int64(w.n-1)))
	if w.offset(i) != offset {
		i = sort.Search(i, func(j int) bool { return w.offset(j) >= offset })
	}
	return i, w.offset(i) == offset
}

func (w *window) at(i int) *int64 { return &w.ring[(w.head+i)&(len(w.ring)-1)] }

func (w *window) offset(i int) int64 {
	if o := *w.at(i); o >= 0 {
		return o
	}
	return ^*w.at(i)
}

// position returns the offset of the first unfinished message, or of the next one to come, how many are unfinished or
// wait behind an unfinished one, and how many of them wait.
func (w *window) position() (next int64, inFlight, held int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.n > 0 {
		return w.offset(0), w.n, w.held
	}
	return w.next, 0, 0
}
