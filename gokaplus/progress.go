package gokaplus

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

// Progress measures how far the input partitions of running processors are processed. goka's own figure for it, the
// OffsetLag of inputs, is always 0. The zero value is ready to use. One Progress may serve any number of processors, and
// its methods may be called at any time from any goroutine.
type Progress struct {
	// OnRebalance, if not nil, is called after each rebalance of a group, when the processor has its partitions and has
	// read their tables. pause is the time since the end of the previous session, in which the group's member handled
	// nothing; it is 0 for the first session. OnRebalance must not block, and must be set before the first processor runs.
	OnRebalance func(group string, pause time.Duration)

	mu     sync.Mutex
	claims map[*window]func() PartitionProgress
}

// PartitionProgress describes one partition that this process consumes.
type PartitionProgress struct {
	Group     string
	Topic     string
	Partition int32

	// Next is the offset of the first unfinished message. A restart resumes here, or earlier if the last commit is older.
	Next int64

	// HighWaterMark is the offset of the next message to be produced, as of the last fetch. It is 0 before the first fetch.
	HighWaterMark int64

	// InFlight is the number of messages that were delivered and are not committable: either they are unfinished or they
	// wait behind an unfinished one.
	InFlight int

	// Held is how many of the messages in flight are finished and wait behind an unfinished one.
	Held int
}

// Lag returns how many offsets are not finished, including those in flight. It counts offsets, not messages: gaps left
// by compaction and transaction markers are included.
func (p PartitionProgress) Lag() int64 { return max(0, p.HighWaterMark-p.Next) }

// Partitions returns the partitions that are consumed at present, sorted by group, topic and partition. It is empty during
// a rebalance.
func (p *Progress) Partitions() []PartitionProgress {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []PartitionProgress
	for read := range maps.Values(p.claims) {
		all = append(all, read())
	}
	slices.SortFunc(all, func(a, b PartitionProgress) int {
		return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return all
}

// add lists a claim until the returned function is called.
func (p *Progress) add(group string, c sarama.ConsumerGroupClaim, w *window) (remove func()) {
	if p == nil {
		return func() {}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.claims == nil {
		p.claims = map[*window]func() PartitionProgress{}
	}
	p.claims[w] = func() PartitionProgress {
		next, inFlight, held := w.position()
		return PartitionProgress{group, c.Topic(), c.Partition(), max(next, c.InitialOffset()), c.HighWaterMarkOffset(), inFlight, held}
	}
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.claims, w)
	}
}

// assigned reports an assignment of a group. ended is when the previous session ended, nil if there was none.
func (p *Progress) assigned(group string, ended *time.Time) {
	if p == nil || p.OnRebalance == nil {
		return
	}
	var pause time.Duration
	if ended != nil {
		pause = time.Since(*ended)
	}
	p.OnRebalance(group, pause)
}
