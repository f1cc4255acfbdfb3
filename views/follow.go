package views

import (
	"context"
	"fmt"

	"github.com/ecupcakes/ecupcakes/codecs"
	"github.com/ecupcakes/ecupcakes/gokaplus"

	"github.com/lovoo/goka"
	"github.com/lovoo/goka/storage"
)

// partition is a partition of a stage's table.
type partition struct {
	stage  int
	number int32
}

// progress is the progress of reading a partition of a table.
type progress struct {
	next, end int64 // Next offset to read, and the end offset when the view was built.
	recovered bool  // Everything up to end has been read.
}

// Ends returns the current end offsets of a topic by partition.
type Ends func(ctx context.Context, topic string) (map[int32]int64, error)

// View returns a new goka view of a stage's table. After a view has failed, the caller must build
// and run another one; the orders that are known already stay.
//
// The goka view stores no rows. Its callback puts them into the index, which keeps only the
// furthest stage's row of each order.
func (v *Views) View(ctx context.Context, stage int, brokers []string, ends Ends, o gokaplus.Options) (gokaplus.Runner, error) {
	name := v.line.Stages[stage].Table()
	end, err := ends(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("reading the end offsets of %s: %w", name, err)
	}
	v.mu.Lock()
	for number, end := range end {
		v.progress[partition{stage, number}] = &progress{end: end}
	}
	v.mu.Unlock()
	build := gokaplus.MapStorage()
	o.Storage = func(topic string, number int32) (storage.Storage, error) {
		s, err := build(topic, number)
		return table{Storage: s, recovered: func() { v.recovered(stage, number) }}, err
	}
	view, err := gokaplus.NewView(brokers, goka.Table(name), codecs.Row{}, o,
		goka.WithViewCallback(func(ctx goka.UpdateContext, _ storage.Storage, key string, value []byte) error {
			v.apply(stage, ctx, key, value)
			return nil
		}))
	if err != nil {
		return nil, fmt.Errorf("following %s: %w", name, err)
	}
	return view, nil
}

// table is a storage that calls recovered when its partition has been read. goka's own WaitRunning
// can return too early: it considers only partitions that have reported their state.
type table struct {
	storage.Storage
	recovered func()
}

// MarkRecovered implements storage.Storage. goka calls it when it has passed on every record up to
// the end of the partition at the start of the view.
func (t table) MarkRecovered() error {
	t.recovered()
	return t.Storage.MarkRecovered()
}

// recovered marks a partition as read. Its stage has caught up when all of its partitions are read.
func (v *Views) recovered(stage int, number int32) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if p := v.progress[partition{stage, number}]; p != nil {
		p.recovered = true
		p.next = max(p.next, p.end) // Compaction may have removed the last records before the end.
	}
	for of, p := range v.progress {
		if of.stage == stage && !p.recovered {
			return
		}
	}
	v.caughtUp[stage] = true
}

// apply puts a record of a table into the index. It returns no error and recovers from panics,
// because goka would stop the view or the program.
func (v *Views) apply(stage int, ctx goka.UpdateContext, key string, value []byte) {
	defer func() {
		if r := recover(); r != nil {
			v.log.Error("skipping a row after a panic", "table", v.line.Stages[stage].Table(), "key", key, "offset", ctx.Offset(), "panic", r)
		}
	}()
	if bad := v.index.update(stage, key, ctx.Offset(), value, string(ctx.Headers()[codecs.TraceHeader])); bad != nil {
		v.log.Error("skipping an undecodable row", "table", v.line.Stages[stage].Table(), "key", key, "offset", ctx.Offset(), "why", bad.Why)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if p := v.progress[partition{stage, ctx.Partition()}]; p != nil {
		p.next = ctx.Offset() + 1
	}
}
