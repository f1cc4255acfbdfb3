package gokaplus

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

// Progress shows how far each input partition of the running processors has been worked off; goka's own OffsetLag of
// inputs is always 0. The zero value is ready; one Progress may serve any number of builders and may be read at any
// time.
type Progress struct {
	// Rebalanced, if not nil, is called when a group has been assigned its partitions and their tables are read, with how
	// long it handled nothing since the assignment before ended; 0 for the first one. It must not block.
	Rebalanced func(group string, pause time.Duration)

	mu     sync.Mutex
	claims map[*window]func() PartitionProgress
}

// PartitionProgress is the state of one partition that this process consumes.
type PartitionProgress struct {
	Group     string
	Topic     string
	Partition int32
	Next      int64 // the first offset not finished; what a restart would read again starts here
	HighWater int64 // the offset of the next message to be produced, as of the last fetch; 0 before the first
	InFlight  int   // messages delivered and either unfinished or waiting behind an unfinished one
	Held      int   // those of them that are finished and wait: their commits are held back
}

// Lag is how many offsets are not finished, including what is in flight.
func (p PartitionProgress) Lag() int64 { return max(0, p.HighWater-p.Next) }

// Partitions returns the partitions consumed now, ordered by group, topic and partition.
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

// add shows a claim until the returned function is called.
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

// assigned reports an assignment of a group whose last one ended at that time, nil if there was none.
func (p *Progress) assigned(group string, ended *time.Time) {
	if p == nil || p.Rebalanced == nil {
		return
	}
	var pause time.Duration
	if ended != nil {
		pause = time.Since(*ended)
	}
	p.Rebalanced(group, pause)
}
