package commands

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/ecupcakes/ecupcakes/order"
	"github.com/ecupcakes/ecupcakes/views"
)

// anywhere is the stage of a command that is meant for the stage where the order
// is. Digests contain it: changing it would break retries across an upgrade.
const anywhere = -1

// Finish is the command of a stage's people: their work on an order is done.
type Finish struct {
	Key     string // Idempotency key; empty for none.
	Stage   int    // Index of the stage in the line.
	OrderID string
	By      string    // Empty means the stage's role.
	On      time.Time // When it was done. Zero, or a time that is still to come, means now.
}

// Finish has the stage finish an order. It fails with UnknownOrder, NotItsTurn,
// AlreadyDone, Taken, KeyReused, NotReady, BrokerUnavailable or TooManyAtOnce.
func (c *Commands) Finish(ctx context.Context, f Finish) (Outcome, error) {
	on := now()
	if !f.On.IsZero() && !f.On.After(on) {
		on = f.On.UTC().Truncate(time.Millisecond)
	}
	return c.report(ctx, f.Key, f.Stage, order.Report{OrderID: f.OrderID, Kind: order.KindComplete, By: f.By, On: on})
}

// Reject is the command to take an order off the line, at the stage where it is.
type Reject struct {
	Key     string // Idempotency key; empty for none.
	OrderID string
	By      string // Empty means the role of the stage.
	Reason  string // At least one character.
}

// Reject takes an order off the line. It fails as Finish does, or with Invalid.
func (c *Commands) Reject(ctx context.Context, r Reject) (Outcome, error) {
	if r.Reason == "" {
		return Outcome{}, empty("Reason", "Say in Reason why the order cannot be made.", r.Reason)
	}
	return c.report(ctx, r.Key, anywhere, order.Report{OrderID: r.OrderID, Kind: order.KindReject, By: r.By, Reason: r.Reason, On: now()})
}

// Hold is the command to claim an order, or to release it.
type Hold struct {
	Key     string // Idempotency key; empty for none.
	Topic   string // Input topic of the stage; empty means the stage where the order is.
	OrderID string
	By      string // At least one character.
}

// Claim reserves an order for a person at its stage: nobody else can finish it
// there until the claim expires, after Config.ClaimTTL. Claiming again renews
// the claim. It fails as Finish does, or with Invalid.
func (c *Commands) Claim(ctx context.Context, h Hold) (Outcome, error) {
	on := now()
	return c.hold(ctx, h, order.Report{Kind: order.KindClaim, On: on, Until: on.Add(c.ClaimTTL)})
}

// Release ends the claim of a person. It fails as Finish does, or with Invalid.
func (c *Commands) Release(ctx context.Context, h Hold) (Outcome, error) {
	return c.hold(ctx, h, order.Report{Kind: order.KindRelease, On: now()})
}

func (c *Commands) hold(ctx context.Context, h Hold, r order.Report) (Outcome, error) {
	if h.By == "" {
		return Outcome{}, empty("By", "Say in By who it is.", h.By)
	}
	stage := anywhere
	if h.Topic != "" {
		stage = c.Line.StageOf(h.Topic)
	}
	r.OrderID, r.By = h.OrderID, h.By
	return c.report(ctx, h.Key, stage, r)
}

// report sends a report to a stage, or to the stage where the order is, and
// returns what the stage decided about it.
func (c *Commands) report(ctx context.Context, key string, stage int, r order.Report) (Outcome, error) {
	return c.run(func() (Outcome, error) {
		r.ID = commandID(key)
		look, err := c.look(r.OrderID, r.ID)
		if err != nil {
			return Outcome{}, err
		}
		if key != "" {
			r.Digest = digest(stage, r)
			if before, done, err := c.before(look, &r); done {
				return before, err
			}
		}
		if look.Order == nil {
			return Outcome{}, Unknown(r.OrderID)
		}
		ctx, cancel := context.WithTimeout(ctx, c.Patience)
		defer cancel()
		if stage, err = c.turn(ctx, *look.Order, stage); err != nil {
			return Outcome{}, err
		}
		if r.By == "" {
			r.By = c.Line.Stages[stage].Role
		}
		if err := r.Validate(); err != nil {
			return Outcome{}, &Error{Code: Invalid, Message: "The report cannot be sent: " + err.Error() + "."}
		}
		return c.decided(ctx, stage, &r)
	})
}

// before answers a retry with what became of the first command with its key.
// done is false if there was none.
func (c *Commands) before(look views.Look, r *order.Report) (before Outcome, done bool, err error) {
	switch first := look.Report; {
	case first == nil:
		if look.IsOrder {
			return Outcome{}, true, reused()
		}
		return Outcome{}, false, nil
	case first.OrderID != r.OrderID || first.Digest != r.Digest:
		return Outcome{}, true, reused()
	case look.Order == nil:
		return Outcome{}, true, Unknown(r.OrderID)
	default:
		before, err = c.answer(first.Stage, first.Result, *look.Order)
		return before, true, err
	}
}

// turn returns the stage that is to decide about the order, and why that stage
// cannot. It waits for an order that is on its way there.
func (c *Commands) turn(ctx context.Context, o views.Order, stage int) (int, error) {
	present := o.Present(c.Line)
	if stage == anywhere {
		stage = present
	}
	if stage < 0 { // It has left the line.
		return stage, conflict(c.Line, anywhere, o)
	}
	if o.State != order.StateWaiting && present == stage {
		arrived, err := c.Views.Await(ctx, o.ID, func(o views.Order) bool { return o.At >= stage })
		if err != nil {
			return stage, onItsWay(c.Line, stage, o)
		}
		o = arrived
	}
	if o.At != stage || o.State != order.StateWaiting {
		return stage, conflict(c.Line, stage, o)
	}
	return stage, nil
}

// decided sends the report and waits until the views show the stage's decision
// about it.
func (c *Commands) decided(ctx context.Context, stage int, r *order.Report) (Outcome, error) {
	pending := c.Views.AwaitReport(stage, r.OrderID, r.ID)
	defer pending.Close()
	if err := c.acknowledged(c.Line.Stages[stage].Reports(), c.sender.Report(ctx, stage, r)); err != nil {
		return Outcome{}, err
	}
	decision, o, err := pending.Outcome(ctx)
	if err != nil { // The report is durable, but nothing has decided it yet.
		o, _ = c.Views.Order(r.OrderID)
		o.ID = r.OrderID // Also of an order that has been forgotten meanwhile.
		return Outcome{Order: o, Pending: true}, nil
	}
	return c.answer(stage, decision.Result, o)
}

func (c *Commands) answer(stage int, result order.Result, o views.Order) (Outcome, error) {
	switch result {
	case order.ResultAccepted:
		return Outcome{Order: o}, nil
	case order.ResultTaken:
		return Outcome{}, taken(o)
	default:
		return Outcome{}, conflict(c.Line, stage, o)
	}
}

// digest tells apart commands with the same key. Rows keep it, so its form must
// not change.
func digest(stage int, r order.Report) string {
	h := sha256.Sum256(fmt.Appendf(nil, "%d|%s|%s|%q|%q", stage, r.OrderID, r.Kind, r.By, r.Reason))
	return hex.EncodeToString(h[:8])
}
