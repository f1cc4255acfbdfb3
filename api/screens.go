package api

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"math"
	"net/http"
	"slices"
	"sync"
	"unicode/utf8"

	"github.com/ecupcakes/ecupcakes/hub"
	"github.com/ecupcakes/ecupcakes/order"
	"github.com/ecupcakes/ecupcakes/topology"
	"github.com/ecupcakes/ecupcakes/tracing"
	"github.com/ecupcakes/ecupcakes/views"
	"github.com/ecupcakes/ecupcakes/views/freshness"
)

// Stations are what the hub shows of a line.
func Stations(line topology.Line) []hub.Station {
	stations := make([]hub.Station, len(line.Stages))
	for i, s := range line.Stages {
		stations[i] = hub.Station{Topic: s.Input, Arrived: s.Event}
	}
	return stations
}

// Freshness tells the hub how far the screens of a topic are behind.
func Freshness(line topology.Line, of func(stage int) freshness.State) func(topic string) hub.Freshness {
	return func(topic string) hub.Freshness {
		s := of(stageOf(line, topic))
		return hub.Freshness{Behind: s.Behind, Because: string(s.Cause), Stage: s.Stage}
	}
}

// stageOf is the stage whose station has the topic, -1 if none has.
func stageOf(line topology.Line, topic string) int {
	return slices.IndexFunc(line.Stages, func(s topology.Stage) bool { return s.Input == topic })
}

// Screens lets the hub show what the views know, in the form of this API.
//
// The trace of an order that comes to a station ends on the first screen.
func Screens(line topology.Line, v *views.Views, t *tracing.Tracer) hub.Source {
	return screens{line, v, t}
}

type screens struct {
	line  topology.Line
	views *views.Views
	trace *tracing.Tracer
}

func (s screens) encode(o views.Order) json.RawMessage {
	b, err := json.Marshal(present(s.line, s.views.Present(o), o))
	if err != nil {
		panic("an order cannot be written as JSON: " + err.Error()) // It has neither cycles nor odd numbers.
	}
	return b
}

func (s screens) order(o views.Lazy) hub.Order {
	return hub.Order{ID: o.ID(), ClaimedBy: o.ClaimedBy, JSON: func() json.RawMessage { return s.encode(o.Order()) }}
}

func (s screens) Waiting(topic string) (iter.Seq[hub.Order], int, uint64, error) {
	if err := s.views.Ready(); err != nil {
		return nil, 0, 0, err
	}
	i := stageOf(s.line, topic)
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

func (s screens) Changes(ctx context.Context, after uint64) ([]hub.Change, error) {
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
				_, span := s.trace.Start(tracing.From(context.Background(), c.Trace), c.ID, "screens of "+s.line.Stages[c.Arrived].Name, tracing.Receives)
				h.Order.Shown = sync.OnceFunc(func() { span.End() })
			}
		}
		out[i] = h
	}
	return out, err
}

// methods are what screens can call. Both take the id of an order that waits at
// the screen's station, are said to come from who stands before it, and return
// the order, as POST /order/claim and /order/release do.
func (a *api) methods() map[string]hub.Method {
	return map[string]hub.Method{"Claim": a.method(order.KindClaim), "Release": a.method(order.KindRelease)}
}

func (a *api) method(kind order.Kind) hub.Method {
	return func(ctx context.Context, by hub.Caller, arguments []json.RawMessage) (json.RawMessage, error) {
		var id string
		switch {
		case len(arguments) != 1 || json.Unmarshal(arguments[0], &id) != nil:
			return nil, problem(invalid, http.StatusUnprocessableEntity, "Give the order's id as the only argument.")
		case by.Person == "" || utf8.RuneCountInString(by.Person) > order.MaxName:
			return nil, problem(invalid, http.StatusUnprocessableEntity, "Say who you are: connect with person= and a name of at most %d characters.", order.MaxName)
		}
		select {
		case a.commands <- struct{}{}:
			defer func() { <-a.commands }()
		default:
			return nil, busy()
		}
		out, err := a.report(ctx, Idempotency{}, stageOf(a.Line, by.Topic), a.hold(kind, id, by.Person))
		var refused *Problem
		switch {
		case errors.As(err, &refused):
			return nil, refused
		case err != nil:
			a.Log.Error("a screen's call failed", "method", kind, "error", err)
			return nil, broken()
		case out.Status == http.StatusAccepted:
			return nil, problem(notReady, http.StatusServiceUnavailable, "Nobody has answered yet; it may still be carried out. Look at the order again in a moment.")
		}
		return json.Marshal(out.Body)
	}
}
