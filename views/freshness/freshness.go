// Package freshness measures how far the screens lag behind what people have sent, and finds the
// cause: a broker that does not answer, processors that lag or are absent, or a view that lags.
//
// It compares end offsets and committed offsets from Kafka with the offsets that the views have
// read. The result is therefore right on any instance, wherever the processors run. The package
// reads no messages.
package freshness

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/ecupcakes/ecupcakes/kafka"
	"github.com/ecupcakes/ecupcakes/topology"
)

// Cause is the reason why screens lag; "" if they do not.
type Cause string

const (
	Broker     Cause = "broker"     // The broker does not answer.
	Processors Cause = "processors" // The processors of the stage lag or are absent.
	View       Cause = "view"       // The view of this instance lags behind the stage's table.
)

// Options configures a Monitor. All fields are required.
type Options struct {
	Line topology.Line

	// Ranges and Ends return the begin and end offsets of topics by topic and partition. Groups
	// returns the committed offsets of consumer groups.
	Ranges func(ctx context.Context, topics ...string) (map[string]map[int32]kafka.Range, error)
	Ends   func(ctx context.Context, topics ...string) (map[string]map[int32]int64, error)
	Groups func(ctx context.Context, groups ...string) (map[string]kafka.Group, error)

	Views interface {
		// Reached reports whether the stage's table is read up to these end offsets.
		Reached(stage int, ends map[int32]int64) bool
	}
	Log *slog.Logger
}

const (
	interval         = time.Second     // Time between two measurements.
	maxQueryDuration = 2 * time.Second // Timeout of the queries of one measurement.

	// Tolerance is the lag up to which a screen counts as live. Processors commit five times a
	// second, the measurement takes place once a second, and a rebalance takes half a second; a
	// person does not notice the difference.
	Tolerance = 5 * time.Second
)

// Monitor measures the lag of the screens of each stage. It is safe for concurrent use.
type Monitor struct {
	Options
	mu       sync.Mutex
	probes   []probe       // Probes by stage.
	lags     []consumerLag // Consumer lags by stage.
	answered bool          // Kafka answered the last queries.
}

// probe follows everything that was sent to a stage up to a moment on its way to the screens. Each
// stage has one probe under way at any time.
type probe struct {
	fresh time.Time // Time up to which everything that was sent is shown.
	cause Cause     // Reason why the probe had not completed at the last measurement.

	begun  time.Time                        // Time at which inputs was read; zero before that.
	inputs map[string]map[int32]kafka.Range // Ranges of the inputs at begun, by topic and partition.
	table  map[int32]int64                  // End offsets of the table once inputs were committed; nil before that.
}

// New returns a Monitor for which everything is shown as of now.
func New(o Options) *Monitor {
	m := &Monitor{Options: o, probes: make([]probe, len(o.Line.Stages)), lags: make([]consumerLag, len(o.Line.Stages))}
	for i := range m.probes {
		m.probes[i].fresh = time.Now()
	}
	return m
}

// Run measures until ctx ends.
func (m *Monitor) Run(ctx context.Context) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	failed := false
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		err := m.measure(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil && !failed {
			m.Log.Warn("cannot measure the lag of the screens; retrying", "error", err)
		}
		failed = err != nil
	}
}

// measure advances every probe by one or more steps.
//
// The sequence of the queries is essential. The end offsets of the inputs come first: everything
// that was sent by now is below them. Once the processors have committed these offsets, the effects
// of all of it are in the table, because commits are in order, and below the table's end offsets,
// which are read next. Once the view has read up to those, everything is shown.
func (m *Monitor) measure(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, maxQueryDuration)
	defer cancel()
	now := time.Now()
	var inputs, tables, groups []string
	for _, s := range m.Line.Stages {
		inputs, tables, groups = append(inputs, s.Input, s.Reports()), append(tables, s.Table()), append(groups, s.Group())
	}
	sent, err := m.Ranges(ctx, inputs...)
	var committed map[string]kafka.Group
	if err == nil {
		committed, err = m.Groups(ctx, groups...)
	}
	var written map[string]map[int32]int64
	if err == nil {
		written, err = m.Ends(ctx, tables...)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.answered = err == nil
	for i, s := range m.Line.Stages {
		p := &m.probes[i]
		if err != nil {
			p.cause = Broker
			continue
		}
		group := committed[s.Group()]
		m.lags[i] = consumerLag{
			arrivals: group.Lag(s.Input, sent[s.Input]), reports: group.Lag(s.Reports(), sent[s.Reports()]), members: group.Members,
		}
		if p.begun.IsZero() {
			p.begun, p.inputs = now, map[string]map[int32]kafka.Range{s.Input: sent[s.Input], s.Reports(): sent[s.Reports()]}
		}
		if p.table == nil {
			if !hasCommitted(group, p.inputs) {
				p.cause = Processors
				continue
			}
			p.table = written[s.Table()]
		}
		if !m.Views.Reached(i, p.table) {
			p.cause = View
			continue
		}
		*p = probe{fresh: p.begun}
	}
	return err
}

// hasCommitted reports whether the group has members and has committed everything in these ranges
// of its inputs. A group has no committed offset in a partition from which it never read a record.
func hasCommitted(group kafka.Group, inputs map[string]map[int32]kafka.Range) bool {
	for topic, of := range inputs {
		if group.Lag(topic, of) > 0 {
			return false
		}
	}
	return group.Members > 0
}

// State is the lag of a stage's screens.
type State struct {
	Behind time.Duration // Lag: everything that was sent longer ago is shown. 0 within the Tolerance.
	Cause  Cause         // Reason of the lag.
	Stage  string        // Name of the stage where the cause is.
}

// Of returns the lag of a stage's screens. It is the largest lag of the stage and of those before
// it, because the orders that are delayed there have not arrived at this stage either.
func (m *Monitor) Of(stage int) State {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	var worst State
	for i := range stage + 1 {
		p := &m.probes[i]
		if behind := now.Sub(p.fresh); behind > max(worst.Behind, Tolerance) {
			worst = State{Behind: behind, Cause: p.cause, Stage: m.Line.Stages[i].Name}
		}
	}
	return worst
}
