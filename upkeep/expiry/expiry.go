// Package expiry has orders forgotten that left the line long ago: it finds
// them in the views and reports to each stage that its row may go. Without it
// tables and views would grow for ever.
//
// It decides nothing: the stages do, and never drop what still waits.
package expiry

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/ecupcakes/ecupcakes/codecs"
	"github.com/ecupcakes/ecupcakes/gokaplus"
	"github.com/ecupcakes/ecupcakes/order"
	"github.com/ecupcakes/ecupcakes/topology"
	"github.com/ecupcakes/ecupcakes/views"

	"golang.org/x/sync/errgroup"
)

// Options say what expires and how Kafka is reached.
type Options struct {
	Line  topology.Line
	After time.Duration // How long after it was finished an order is forgotten.
	Views interface {
		// DepartedBefore returns orders that left the line before then, at most limit.
		DepartedBefore(then time.Time, limit int) []views.Departed
	}
	Ends      func(ctx context.Context, topic string) (map[int32]int64, error)
	Committed func(ctx context.Context, group string) (map[string]map[int32]int64, error)
	Send      func(ctx context.Context, topic, key string, value []byte) error // Returns nil once the message is durable.
	Log       *slog.Logger
}

const (
	batch       = 10_000          // Orders a sweep takes on at most.
	inFlight    = 64              // Reports a sweep sends at a time.
	sendTimeout = 5 * time.Second // Of one report.
)

// Run sweeps until ctx ends. A sweep that fails is tried again with the next
// one. Any number of instances may run: a second report about an order changes
// nothing.
func Run(ctx context.Context, o Options) {
	tick := time.NewTicker(min(max(o.After/20, time.Second), time.Minute))
	defer tick.Stop()
	var s sweep
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if err := s.next(ctx, o); err != nil && ctx.Err() == nil {
			o.Log.Warn("finished orders could not be dropped; trying again", "error", err)
		}
	}
}

// sweep is what was found by the last one.
//
// A row may go only when nothing about its order can be delivered to the stage
// again: the row is what recognises that. So a sweep notes which orders are
// finished and only then where all inputs end: everything about these orders is
// below that. They are dropped when the stages have committed as far, which
// with in-order commits means that all of it, and all that came of it, is
// durable and never read again.
type sweep struct {
	found []views.Departed
	ends  map[string]map[int32]int64 // By topic and partition.
}

// next drops what the last sweep found, and finds more.
func (s *sweep) next(ctx context.Context, o Options) error {
	if err := s.drop(ctx, o); err != nil {
		return err
	}
	s.found, s.ends = o.Views.DepartedBefore(time.Now().Add(-o.After), batch), map[string]map[int32]int64{}
	for _, stage := range o.Line.Stages {
		for _, topic := range []string{stage.Input, stage.Reports()} {
			ends, err := o.Ends(ctx, topic)
			if err != nil {
				s.found = nil
				return err
			}
			s.ends[topic] = ends
		}
	}
	return nil
}

// drop reports the orders found whose stages have all committed far enough. The
// others are found again.
func (s *sweep) drop(ctx context.Context, o Options) error {
	if len(s.found) == 0 {
		return nil
	}
	behind := map[int32]bool{}
	for _, stage := range o.Line.Stages {
		committed, err := o.Committed(ctx, stage.Group())
		if err != nil {
			return err
		}
		for _, topic := range []string{stage.Input, stage.Reports()} {
			for p, end := range s.ends[topic] {
				if end > 0 && committed[topic][p] < end {
					behind[p] = true
				}
			}
		}
	}
	partitions := len(s.ends[o.Line.Stages[0].Input])
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(inFlight)
	for _, f := range s.found {
		if behind[gokaplus.Partition([]byte(f.ID), partitions)] {
			continue
		}
		g.Go(func() error { return report(ctx, o, f) })
	}
	if err := g.Wait(); err != nil {
		return fmt.Errorf("reporting that orders have expired: %w", err)
	}
	return nil
}

// report tells each stage that the order has been through. The furthest comes
// last: it is the one that the views show, so that an order is found again if
// this is interrupted.
func report(ctx context.Context, o Options, f views.Departed) error {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	for i := range f.Stage + 1 {
		stage := o.Line.Stages[i]
		b, err := codecs.EncodeReport(&order.Report{
			ID: order.DeriveID("expiry of " + f.ID + " at " + stage.Name), OrderID: f.ID, Kind: order.KindExpire, By: "expiry", On: time.Now(),
		})
		if err != nil {
			return err
		}
		if err := o.Send(ctx, stage.Reports(), f.ID, b); err != nil {
			return err
		}
	}
	return nil
}
