package api

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/ecupcakes/ecupcakes/order"
	"github.com/ecupcakes/ecupcakes/topology"
	"github.com/ecupcakes/ecupcakes/views"

	"github.com/danielgtaylor/huma/v2"
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

// present makes an order as clients see it.
func present(line topology.Line, at int, o views.Order) Order {
	p := Order{
		ID: o.ID, Flavour: o.Flavour, Size: o.Size, Quantity: o.Quantity, Status: string(o.Status),
		State: string(o.State), PlacedOn: o.PlacedOn, ClaimedBy: o.Claim, Reason: o.Reason,
		RemakeOf: o.RemakeOf, RemadeBy: o.RemadeBy,
		History: make([]Step, len(o.History)),
	}
	if !o.Until.IsZero() {
		p.Until = &o.Until
	}
	if at >= 0 {
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

func (a *api) order(o views.Order) Order {
	p := present(a.Line, a.Views.Present(o), o)
	p.RemadeAs = a.remadeAs(o)
	return p
}

// remadeAs is the id of the order that is made in the place of a rejected one,
// empty if there is none.
func (a *api) remadeAs(o views.Order) string {
	if o.State != order.StateRejected {
		return ""
	}
	again := order.RemakeID(o.ID)
	if !a.Views.Has(again) {
		return ""
	}
	return again
}

// etag changes whenever what is shown of an order does, and so too when a claim
// lapses or when another order is made in its place.
func (a *api) etag(o views.Order) string {
	suffix := ""
	if o.Claim != "" {
		suffix += "c"
	}
	if a.remadeAs(o) != "" {
		suffix += "r"
	}
	if o.ETag == "" || suffix == "" {
		return o.ETag
	}
	return strings.TrimSuffix(o.ETag, `"`) + "-" + suffix + `"`
}

// Size is "S", "M", …, or its place on the menu, counted from 0, as the first
// clients of this API sent it.
type Size string

// UnmarshalJSON takes a string or a number. A number that is no place on the
// menu stays as it is, for the menu to refuse.
func (s *Size) UnmarshalJSON(b []byte) error {
	var place int
	if json.Unmarshal(b, &place) == nil {
		*s = Size(string(b))
		if place >= 0 && place < len(order.DefaultMenu.Sizes) {
			*s = Size(order.DefaultMenu.Sizes[place])
		}
		return nil
	}
	return json.Unmarshal(b, (*string)(s))
}

// Schema describes a Size to huma and to the readers of the document.
func (Size) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{
		Description: "One of the menu's sizes, or its place there: 0 to 3.", Examples: []any{"M"},
		OneOf: []*huma.Schema{{Type: huma.TypeString}, {Type: huma.TypeInteger}},
	}
}
