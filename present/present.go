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
	ID        string     `json:"id" doc:"ID of the order."`
	Flavour   string     `json:"flavour"`
	Size      string     `json:"size"`
	Quantity  int        `json:"quantity"`
	Status    string     `json:"status" doc:"placed, the status of the last finished stage (mixed, …), or rejected."`
	Stage     string     `json:"stage,omitempty" doc:"Stage where the order waits or to which it is on its way; absent once it has left the line."`
	State     string     `json:"state" enum:"waiting,moving,done,rejected"`
	PlacedOn  time.Time  `json:"placedOn"`
	ArrivedOn *time.Time `json:"arrivedOn,omitempty" doc:"When it arrived at the stage where it waits."`
	ClaimedBy string     `json:"claimedBy,omitempty" doc:"Person who has claimed it."`
	Until     *time.Time `json:"claimedUntil,omitempty" doc:"When the claim expires unless it is renewed; absent if it does not expire."`
	Reason    string     `json:"reason,omitempty" doc:"Reason of the rejection."`
	RemakeOf  string     `json:"remakeOf,omitempty" doc:"ID of the rejected order that it replaces."`
	RemadeBy  string     `json:"remadeBy,omitempty" doc:"Person who had the rejected order remade."`
	RemadeAs  string     `json:"remadeAs,omitempty" doc:"ID of the order that replaces this rejected one."`
	History   []Step     `json:"history" nullable:"false" doc:"Finished stages, oldest first."`
}

// Step is a stage that has finished with an order.
type Step struct {
	Stage     string    `json:"stage"`
	By        string    `json:"by"`
	ArrivedOn time.Time `json:"arrivedOn" doc:"When the previous stage finished it."`
	On        time.Time `json:"on"`
	Seconds   float64   `json:"seconds" doc:"Seconds from arrival to completion there."`
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
