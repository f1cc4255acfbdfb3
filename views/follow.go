package views

import (
	"context"
	"fmt"

	"github.com/ecupcakes/ecupcakes/codecs"
	"github.com/ecupcakes/ecupcakes/gokaplus"

	"github.com/lovoo/goka"
	"github.com/lovoo/goka/storage"
)

type partition struct {
	stage  int
	number int32
}

// progress is how far the first reading of a table's partition has come.
type progress struct {
	next, end int64
	recovered bool
}

// Ends tells where the partitions of a topic end now, by their number.
type Ends func(ctx context.Context, topic string) (map[int32]int64, error)

// View makes a view of one stage's table, to be run. Each call gives a new one,
// as a restart needs it; what is known already stays.
//
// The goka view keeps no rows itself: its callback puts them into the index,
// which holds the furthest stage's row of each order only.
func (v *Views) View(ctx context.Context, stage int, brokers []string, ends Ends, o gokaplus.Options) (gokaplus.Runner, error) {
	name := v.line.Stages[stage].Table()
	end, err := ends(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("asking where %s ends: %w", name, err)
	}
	v.mu.Lock()
	for number, end := range end {
		v.progress[partition{stage, number}] = &progress{end: end}
	}
	v.mu.Unlock()
	build := gokaplus.MapStorage()
	o.Storage = func(topic string, number int32) (storage.Storage, error) {
		s, err := build(topic, number)
		return table{s, func() { v.recovered(stage, number) }}, err
	}
	view, err := gokaplus.NewView(brokers, goka.Table(name), codecs.Row{}, o,
		goka.WithViewCallback(func(ctx goka.UpdateContext, _ storage.Storage, key string, value []byte) error {
			v.take(stage, ctx, key, value)
			return nil
		}))
	if err != nil {
		return nil, fmt.Errorf("following %s: %w", name, err)
	}
	return view, nil
}

// table says when its partition has been read. goka's own WaitRunning can come
// too early: it looks only at those partitions that have reported their state.
type table struct {
	storage.Storage
	recovered func()
}

// MarkRecovered is called by goka after it has handed over all that the
// partition held when it began.
func (t table) MarkRecovered() error {
	t.recovered()
	return t.Storage.MarkRecovered()
}

// recovered takes in that a partition has been read. Its stage has caught up
// when all of them have.
func (v *Views) recovered(stage int, number int32) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if p := v.progress[partition{stage, number}]; p != nil {
		p.recovered = true
		p.next = max(p.next, p.end) // The last rows before the end may have been compacted away.
	}
	for of, p := range v.progress {
		if of.stage == stage && !p.recovered {
			return
		}
	}
	v.caughtUp[stage] = true
}

// take never fails and never panics: goka would stop the view, or the program.
func (v *Views) take(stage int, ctx goka.UpdateContext, key string, value []byte) {
	defer func() {
		if r := recover(); r != nil {
			v.log.Error("a row was skipped", "table", v.line.Stages[stage].Table(), "key", key, "offset", ctx.Offset(), "panic", r)
		}
	}()
	if bad := v.index.update(stage, key, ctx.Offset(), value, string(ctx.Headers()[codecs.TraceHeader])); bad != nil {
		v.log.Error("a row cannot be read", "table", v.line.Stages[stage].Table(), "key", key, "offset", ctx.Offset(), "why", bad.Why)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if p := v.progress[partition{stage, ctx.Partition()}]; p != nil {
		p.next = ctx.Offset() + 1
	}
}
