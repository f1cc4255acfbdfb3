package api

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"math"

	"ecupcakes/api/hub"
	"ecupcakes/topology"
	"ecupcakes/views"
)

// Stations are what the hub shows of a line.
func Stations(line topology.Line) []hub.Station {
	stations := make([]hub.Station, len(line.Stages))
	for i, s := range line.Stages {
		stations[i] = hub.Station{Topic: s.Input, Arrived: s.Event}
	}
	return stations
}

// Screens lets the hub show what the views know, in the form of this API.
func Screens(line topology.Line, v *views.Views) hub.Source { return screens{line, v} }

type screens struct {
	line  topology.Line
	views *views.Views
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
	for i, stage := range s.line.Stages {
		if stage.Input == topic {
			orders, count, position := s.views.WaitingLazily(i, math.MaxInt)
			return func(yield func(hub.Order) bool) {
				for _, o := range orders {
					if !yield(s.order(o)) {
						return
					}
				}
			}, count, position, nil
		}
	}
	return nil, 0, 0, errors.New("there is no station of topic " + topic)
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
		}
		out[i] = h
	}
	return out, err
}
