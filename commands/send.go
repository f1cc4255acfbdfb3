package commands

import (
	"context"
	"fmt"
	"time"

	"github.com/ecupcakes/ecupcakes/codecs"
	"github.com/ecupcakes/ecupcakes/order"
	"github.com/ecupcakes/ecupcakes/topology"
	"github.com/ecupcakes/ecupcakes/tracing"
)

// Send returns nil once Kafka has acknowledged the message. After an error the
// message may still arrive.
type Send func(ctx context.Context, topic, key string, value []byte) error

// Sender encodes the events that come from outside the stages and sends them to
// the topics of the line.
type Sender struct {
	Line    topology.Line
	Send    Send
	Timeout time.Duration   // How long one event waits for its acknowledgement.
	Trace   *tracing.Tracer // May be nil.
}

// Order places an order on the line: it sends the order to the input of the
// first stage.
func (s Sender) Order(ctx context.Context, o *order.Order) error {
	value, err := codecs.EncodeOrder(o)
	if err != nil {
		return fmt.Errorf("encoding the order %s: %w", o.ID, err)
	}
	return s.send(ctx, s.Line.Stages[0].Input, o.ID, value)
}

// Report sends a report to the stage with the index.
func (s Sender) Report(ctx context.Context, stage int, r *order.Report) error {
	value, err := codecs.EncodeReport(r)
	if err != nil {
		return fmt.Errorf("encoding the report %s: %w", r.ID, err)
	}
	return s.send(ctx, s.Line.Stages[stage].Reports(), r.OrderID, value)
}

func (s Sender) send(ctx context.Context, topic, key string, value []byte) error {
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	ctx, span := s.Trace.Start(ctx, key, "send to "+topic, tracing.Sends)
	defer span.End()
	if err := s.Send(ctx, topic, key, value); err != nil {
		span.SetStatus(tracing.Failed, "not acknowledged")
		return err
	}
	return nil
}
