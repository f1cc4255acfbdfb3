// Package commands carries out what people tell the line: place, finish,
// reject, claim, release and remake an order. HTTP and SignalR are two doors to
// it.
//
// A command becomes one event on Kafka. Its method returns when Kafka has
// acknowledged the event and, where a stage decides, when the views show the
// decision about this very event. A command that is refused returns an *Error,
// which says why in words for the person and in a code for programs.
//
// The package does not import net/http, SignalR or a Kafka client: it is given
// a Send.
package commands

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/ecupcakes/ecupcakes/order"
	"github.com/ecupcakes/ecupcakes/topology"
	"github.com/ecupcakes/ecupcakes/tracing"
	"github.com/ecupcakes/ecupcakes/views"
)

// Config is what commands need of the rest of the program.
type Config struct {
	Line     topology.Line
	Menu     order.Menu
	Stock    Stock // Which flavours cannot be made; nil means that all can.
	Views    *views.Views
	Send     Send
	Trace    *tracing.Tracer // May be nil.
	Log      *slog.Logger
	Patience time.Duration // How long a command waits for Kafka, and again for its outcome; 0 means 5 s.
	ClaimTTL time.Duration // How long a claim holds unless it is renewed; 0 means 2 min.
}

// Stock reports which ingredients of a flavour have run out; none if it can be
// made.
type Stock interface {
	Missing(flavour string) []string
}

// patience is how long a command waits for Kafka, and again for its outcome.
const patience = 5 * time.Second

// claimTTL is how long a claim holds unless it is renewed.
const claimTTL = 2 * time.Minute

// maxRunning bounds the commands that run at a time; each may wait for the
// broker. A command beyond it fails with TooManyAtOnce.
const maxRunning = 1024

// Commands carries out commands. Its methods may be called by any number of
// goroutines.
type Commands struct {
	Config
	sender  Sender
	running chan struct{} // Capacity maxRunning; one value for each command that runs.
}

// New returns commands that send through c.Send and look things up in c.Views.
func New(c Config) *Commands {
	c.Patience, c.ClaimTTL = cmp.Or(c.Patience, patience), cmp.Or(c.ClaimTTL, claimTTL)
	return &Commands{
		Config:  c,
		sender:  Sender{Line: c.Line, Send: c.Send, Timeout: c.Patience, Trace: c.Trace},
		running: make(chan struct{}, maxRunning),
	}
}

// Outcome is what became of a command that was not refused.
type Outcome struct {
	// Order is the order after the command.
	Order views.Order
	// Pending reports whether the event is durable but the views do not show
	// yet what became of it. It may still be refused.
	Pending bool
}

// now is the time that events carry: UTC in whole milliseconds.
func now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }

// run carries out a command, unless too many run already.
func (c *Commands) run(command func() (Outcome, error)) (Outcome, error) {
	select {
	case c.running <- struct{}{}:
		defer func() { <-c.running }()
		return command()
	default:
		return Outcome{}, &Error{
			Code: TooManyAtOnce, Message: "Too many requests of this kind are being carried out: try again.", RetryAfter: time.Second,
		}
	}
}

// look returns what the views know at this moment about a command. It fails
// with NotReady until every view has caught up.
func (c *Commands) look(orderID, commandID string) (views.Look, error) {
	var e *views.NotReadyError
	if errors.As(c.Views.Ready(), &e) {
		return views.Look{}, NotReadyYet(e)
	}
	return c.Views.Look(orderID, commandID), nil
}

// acknowledged turns the error of a send into the one for the person.
func (c *Commands) acknowledged(topic string, err error) error {
	if err == nil {
		return nil
	}
	if !errors.Is(err, context.Canceled) { // A caller that has hung up is no fault of the broker.
		c.Log.Warn("a command was not acknowledged", "topic", topic, "error", err)
	}
	return &Error{
		Code: BrokerUnavailable, RetryAfter: 2 * time.Second,
		Message: "The broker has not acknowledged it; it may still be carried out. " +
			"Try again, with the same Idempotency-Key so that it is not done twice.",
	}
}
