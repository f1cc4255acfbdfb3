// Package present shapes orders as clients see them: in every answer of the HTTP
// API and in every event of the hub.
package present

import (
	"time"

	"github.com/ecupcakes/ecupcakes/order"
	"github.com/ecupcakes/ecupcakes/topology"
	"github.com/ecupcakes/ecupcakes/views"
)

// Order is an order as clients see it, in every answer and on the hub.
type Order struct {
	ID        string     `json:"id" doc:"The order's id."`
	Flavour   string     `json:"flavour"`
	Size      string     `json:"size"`
	Quantity  int        `json:"quantity"`
	Status    string     `json:"status" doc:"placed, the done-word of the last finished stage (mixed, …), or rejected."`
	Stage     string     `json:"stage,omitempty" doc:"The stage where it is or to which it is on its way; absent once it has left the line."`
	State     string     `json:"state" enum:"waiting,moving,done,rejected"`
	PlacedOn  time.Time  `json:"placedOn"`
	ArrivedOn *time.Time `json:"arrivedOn,omitempty" doc:"When it came to the station where it waits."`
	ClaimedBy string     `json:"claimedBy,omitempty" doc:"Who is on it."`
	Until     *time.Time `json:"claimedUntil,omitempty" doc:"When that lapses, unless it is claimed again before; absent if it does not."`
	Reason    string     `json:"reason,omitempty" doc:"Why it was rejected."`
	RemakeOf  string     `json:"remakeOf,omitempty" doc:"The id of the rejected order in whose place it is made."`
	RemadeBy  string     `json:"remadeBy,omitempty" doc:"Who had it made again."`
	RemadeAs  string     `json:"remadeAs,omitempty" doc:"The id of the order that is made in the place of this rejected one."`
	History   []Step     `json:"history" nullable:"false" doc:"What is behind it, oldest first."`
}

// Step is a stage that has finished with an order.
type Step struct {
	Stage     string    `json:"stage"`
	By        string    `json:"by"`
	ArrivedOn time.Time `json:"arrivedOn" doc:"When the stage before was done with it."`
	On        time.Time `json:"on"`
	Seconds   float64   `json:"seconds" doc:"How long it was there."`
}

// New returns the order as clients of the line see it. RemadeAs is left empty:
// the order alone does not tell.
func New(line topology.Line, o views.Order) Order {
	p := Order{
		ID: o.ID, Flavour: o.Flavour, Size: o.Size, Quantity: o.Quantity, Status: string(o.Status),
		State: string(o.State), PlacedOn: o.PlacedOn, ClaimedBy: o.Claim, Reason: o.Reason,
		RemakeOf: o.RemakeOf, RemadeBy: o.RemadeBy,
		History: make([]Step, len(o.History)),
	}
	if !o.Until.IsZero() {
		p.Until = &o.Until
	}
	if at := o.Present(line); at >= 0 {
		p.Stage = line.Stages[at].Name
		if o.State == order.StateWaiting {
			p.ArrivedOn = &o.Arrived
		} else {
			p.State = "moving"
		}
	}
	for i, s := range o.History {
		arrived := o.ArrivedOn(i)
		p.History[i] = Step{s.Stage, s.By, arrived, s.On, max(0, s.On.Sub(arrived).Seconds())}
	}
	return p
}
