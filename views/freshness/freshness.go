// Package freshness tells how far what the screens show is behind what people
// have sent, and what holds it up: a broker that does not answer, processors
// that do not keep up or are gone, or the reading of their tables.
//
// It asks Kafka where the topics end and how far the processors have committed,
// and the views how far they have read. So it is right on any instance, wherever
// the processors run. It never looks into a message.
package freshness

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/ecupcakes/ecupcakes/kafka"
	"github.com/ecupcakes/ecupcakes/topology"
)

// Cause is what holds up what is not shown yet; empty when nothing does.
type Cause string

// The causes.
const (
	Broker     Cause = "broker"     // It does not answer.
	Processors Cause = "processors" // There are none, or they do not keep up.
	View       Cause = "view"       // This instance does not keep up with the table.
)

// Options say whom to ask.
type Options struct {
	Line   topology.Line
	Ranges func(ctx context.Context, topics ...string) (map[string]map[int32]kafka.Range, error)
	Ends   func(ctx context.Context, topics ...string) (map[string]map[int32]int64, error)
	Groups func(ctx context.Context, groups ...string) (map[string]kafka.Group, error)
	Views  interface {
		// Reached says whether the stage's table is read up to these ends.
		Reached(stage int, ends map[int32]int64) bool
	}
	Log *slog.Logger
}

const (
	every    = time.Second     // How often everything is asked for.
	patience = 2 * time.Second // How long an answer may take.
	// Tolerance is how far behind counts as live. Processors commit five times a
	// second and are asked for it once, and a rebalance takes half a second; a
	// person does not see the difference.
	Tolerance = 5 * time.Second
)

// Monitor is the measurement. Its methods may be called by any number of
// goroutines.
type Monitor struct {
	Options
	mu       sync.Mutex
	probes   []probe // One for each stage.
	found    []found // One for each stage.
	answered bool    // Kafka did, the last time.
}

// probe follows what was sent until a moment on its way to the screens of a
// stage. There is always one under way.
type probe struct {
	fresh time.Time // All that was sent by then is shown.
	cause Cause     // What kept the present one from its end when it was last looked at.

	begun  time.Time                        // When this was found on the inputs; zero is not yet.
	inputs map[string]map[int32]kafka.Range // By topic and partition.
	table  map[int32]int64                  // Where the table ended once the stage had committed all that; nil is not yet.
}

// New returns a gauge that takes everything for fresh as of now.
func New(o Options) *Monitor {
	g := &Monitor{Options: o, probes: make([]probe, len(o.Line.Stages)), found: make([]found, len(o.Line.Stages))}
	for i := range g.probes {
		g.probes[i].fresh = time.Now()
	}
	return g
}

// Run measures until ctx ends.
func (g *Monitor) Run(ctx context.Context) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	failed := false
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		err := g.measure(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil && !failed {
			g.Log.Warn("how fresh the screens are cannot be told; trying again", "error", err)
		}
		failed = err != nil
	}
}

// measure takes every probe one step on, or more.
//
// What counts is the sequence. The inputs are asked for first: what was sent by
// now is below. When the processors have committed that, then, for commits are
// in order, all that came of it is in the table and below its end as that is
// asked for next. When the view has read that, it is shown.
func (g *Monitor) measure(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	now := time.Now()
	var inputs, tables, groups []string
	for _, s := range g.Line.Stages {
		inputs, tables, groups = append(inputs, s.Input, s.Reports()), append(tables, s.Table()), append(groups, s.Group())
	}
	sent, err := g.Ranges(ctx, inputs...)
	var done map[string]kafka.Group
	if err == nil {
		done, err = g.Groups(ctx, groups...)
	}
	var written map[string]map[int32]int64
	if err == nil {
		written, err = g.Ends(ctx, tables...)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.answered = err == nil
	for i, s := range g.Line.Stages {
		p := &g.probes[i]
		if err != nil {
			p.cause = Broker
			continue
		}
		of := done[s.Group()]
		g.found[i] = found{of.Lag(s.Input, sent[s.Input]), of.Lag(s.Reports(), sent[s.Reports()]), of.Members}
		if p.begun.IsZero() {
			p.begun, p.inputs = now, map[string]map[int32]kafka.Range{s.Input: sent[s.Input], s.Reports(): sent[s.Reports()]}
		}
		if p.table == nil {
			if !through(done[s.Group()], p.inputs) {
				p.cause = Processors
				continue
			}
			p.table = written[s.Table()]
		}
		if !g.Views.Reached(i, p.table) {
			p.cause = View
			continue
		}
		*p = probe{fresh: p.begun}
	}
	return err
}

// through says whether a group has members and has committed everything that was
// on its inputs. It commits nothing where there was nothing to read any more.
func through(g kafka.Group, inputs map[string]map[int32]kafka.Range) bool {
	for topic, of := range inputs {
		if g.Lag(topic, of) > 0 {
			return false
		}
	}
	return g.Members > 0
}

// State is how far a stage's screens are behind.
type State struct {
	Behind time.Duration // All that was sent longer ago is shown; 0 while that is within the Tolerance.
	Cause  Cause
	Stage  string // Where the cause is.
}

// Of tells how far the screens of a stage are behind: as far as the stage itself
// or one before it, because what is held up there should have come here.
func (g *Monitor) Of(stage int) State {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	var worst State
	for i := range stage + 1 {
		p := &g.probes[i]
		if behind := now.Sub(p.fresh); behind > max(worst.Behind, Tolerance) {
			worst = State{behind, p.cause, g.Line.Stages[i].Name}
		}
	}
	return worst
}
