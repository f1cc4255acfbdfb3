package upkeep

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/ecupcakes/ecupcakes/commands"
	"github.com/ecupcakes/ecupcakes/gokaplus"
	"github.com/ecupcakes/ecupcakes/order"
	"github.com/ecupcakes/ecupcakes/views"

	"golang.org/x/sync/errgroup"
)

// Expiry are the options of ForgetOrders.
type Expiry struct {
	After time.Duration // How long an order is kept after it has left the line.
	Views interface {
		// DepartedBefore returns orders that left the line before then, at most limit.
		DepartedBefore(then time.Time, limit int) []views.Departed
	}
	EndOffsets func(ctx context.Context, topic string) (map[int32]int64, error)            // By partition.
	Committed  func(ctx context.Context, group string) (map[string]map[int32]int64, error) // By topic and partition.
	Sender     commands.Sender
	Log        *slog.Logger
}

const (
	batch    = 10_000 // Orders that one sweep takes on at most.
	expiring = 64     // Orders that are reported at a time.
)

// ForgetOrders sweeps until ctx ends: it finds orders that left the line longer
// ago than After, and reports to each stage that it may delete their rows.
// Without it, tables and views would grow without bound. A sweep that fails is
// tried again with the next one. Any number of instances may run: a second report
// about an order changes nothing. A stage never deletes the row of an order that
// still waits.
func ForgetOrders(ctx context.Context, o Expiry) {
	var s sweep
	every(ctx, min(max(o.After/20, time.Second), time.Minute), o.Log, "forgetting orders",
		func(ctx context.Context) error { return s.next(ctx, o) })
}

// sweep is what the last sweep has found.
//
// A row may be deleted only when no message about its order can be redelivered:
// the row is what recognises a redelivery. So a sweep first notes which orders
// have left the line, and only then the end offsets of all inputs: every message
// about these orders is below them. The rows are deleted once the stages have
// committed these offsets. With in-order commits, that means that all of these
// messages, and everything they caused, are durable and never read again.
type sweep struct {
	found []views.Departed
	ends  map[string]map[int32]int64 // By topic and partition.
}

// next forgets what the last sweep has found, and looks for more.
func (s *sweep) next(ctx context.Context, o Expiry) error {
	if err := s.forget(ctx, o); err != nil {
		return err
	}
	s.found, s.ends = o.Views.DepartedBefore(time.Now().Add(-o.After), batch), map[string]map[int32]int64{}
	for _, stage := range o.Sender.Line.Stages {
		for _, topic := range []string{stage.Input, stage.Reports()} {
			ends, err := o.EndOffsets(ctx, topic)
			if err != nil {
				s.found = nil
				return err
			}
			s.ends[topic] = ends
		}
	}
	return nil
}

// forget reports the orders whose stages have all committed far enough. The
// others are found again by the next sweep.
func (s *sweep) forget(ctx context.Context, o Expiry) error {
	if len(s.found) == 0 {
		return nil
	}
	behind := map[int32]bool{}
	for _, stage := range o.Sender.Line.Stages {
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
	partitions := len(s.ends[o.Sender.Line.Stages[0].Input])
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(expiring)
	for _, f := range s.found {
		if behind[gokaplus.Partition([]byte(f.ID), partitions)] {
			continue
		}
		g.Go(func() error { return o.report(ctx, f) })
	}
	if err := g.Wait(); err != nil {
		return fmt.Errorf("reporting that orders have expired: %w", err)
	}
	return nil
}

// report tells each stage that the order has expired. The furthest stage comes
// last, because the views show its row: an order whose report is interrupted is
// found again.
func (o Expiry) report(ctx context.Context, d views.Departed) error {
	for i := range d.Stage + 1 {
		err := o.Sender.Report(ctx, i, &order.Report{
			ID:      order.DeriveID("expiry of " + d.ID + " at " + o.Sender.Line.Stages[i].Name),
			OrderID: d.ID, Kind: order.KindExpire, By: "expiry", On: time.Now(),
		})
		if err != nil {
			return err
		}
	}
	return nil
}
