// Package source connects the hub to the line: the stations are those of the
// topology, the orders come from the views, and what screens call becomes a
// command.
package source

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"math"
	"sync"

	"github.com/ecupcakes/ecupcakes/hub"
	"github.com/ecupcakes/ecupcakes/present"
	"github.com/ecupcakes/ecupcakes/topology"
	"github.com/ecupcakes/ecupcakes/tracing"
	"github.com/ecupcakes/ecupcakes/views"
	"github.com/ecupcakes/ecupcakes/views/freshness"
)

// Stations returns the stations of the line that screens can watch.
func Stations(line topology.Line) []hub.Station {
	stations := make([]hub.Station, len(line.Stages))
	for i, s := range line.Stages {
		stations[i] = hub.Station{Topic: s.Input, Arrived: s.Event}
	}
	return stations
}

// Freshness returns the hub's function for how far the screens of a topic are
// behind.
func Freshness(line topology.Line, of func(stage int) freshness.State) func(topic string) hub.Freshness {
	return func(topic string) hub.Freshness {
		s := of(line.StageOf(topic))
		return hub.Freshness{Behind: s.Behind, Because: string(s.Cause), Stage: s.Stage}
	}
}

// New returns the views as a source of orders for the hub. The trace of an order
// that comes to a station ends when the first screen shows it.
func New(line topology.Line, v *views.Views, t *tracing.Tracer) hub.Source {
	return source{line: line, views: v, trace: t}
}

type source struct {
	line  topology.Line
	views *views.Views
	trace *tracing.Tracer
}

func (s source) encode(o views.Order) json.RawMessage {
	b, err := json.Marshal(present.New(s.line, o))
	if err != nil {
		panic("an order cannot be written as JSON: " + err.Error()) // It has neither cycles nor odd numbers.
	}
	return b
}

func (s source) order(o views.Lazy) hub.Order {
	return hub.Order{ID: o.ID(), ClaimedBy: o.ClaimedBy, JSON: func() json.RawMessage { return s.encode(o.Order()) }}
}

func (s source) Waiting(topic string) (iter.Seq[hub.Order], int, uint64, error) {
	if err := s.views.Ready(); err != nil {
		return nil, 0, 0, err
	}
	i := s.line.StageOf(topic)
	if i < 0 {
		return nil, 0, 0, errors.New("there is no station of topic " + topic)
	}
	orders, count, position := s.views.WaitingLazily(i, math.MaxInt)
	return func(yield func(hub.Order) bool) {
		for _, o := range orders {
			if !yield(s.order(o)) {
				return
			}
		}
	}, count, position, nil
}

func (s source) Changes(ctx context.Context, after uint64) ([]hub.Change, error) {
	changes, err := s.views.Changes(ctx, after)
	if errors.Is(err, views.ErrGap) {
		return nil, hub.ErrGap
	}
	out := make([]hub.Change, len(changes))
	for i, c := range changes {
		h := hub.Change{Position: c.Position, ID: c.ID}
		if c.Left >= 0 {
			h.Left = s.line.Stages[c.Left].Input
		}
		if c.Arrived >= 0 {
			h.Arrived, h.Order = s.line.Stages[c.Arrived].Input, s.order(c.Lazy())
			if c.Trace != "" && s.trace != nil {
				ctx, name := tracing.From(context.Background(), c.Trace), "screens of "+s.line.Stages[c.Arrived].Name
				_, span := s.trace.Start(ctx, c.ID, name, tracing.Receives)
				h.Order.Shown = sync.OnceFunc(func() { span.End() })
			}
		}
		out[i] = h
	}
	return out, err
}
