package commands

import (
	"context"
	"fmt"

	"github.com/ecupcakes/ecupcakes/order"
	"github.com/ecupcakes/ecupcakes/views"
)

// Place is the command of a customer.
type Place struct {
	Key      string // Idempotency key; empty for none.
	Flavour  string // One of the menu's, in any case.
	Size     string // One of the menu's, in any case.
	Quantity int
}

// Place places an order. It returns once the order is durable; a retry with the
// same key returns the same order. It fails with Invalid, SoldOut, KeyReused,
// NotReady (with a key only), BrokerUnavailable or TooManyAtOnce.
//
// Two commands with the same key and other contents that run at the very same
// moment may both succeed: the second is recognised only once the first one is
// visible.
func (c *Commands) Place(ctx context.Context, p Place) (Outcome, error) {
	return c.run(func() (Outcome, error) { return c.place(ctx, p) })
}

func (c *Commands) place(ctx context.Context, p Place) (Outcome, error) {
	o := order.Order{
		ID: commandID(p.Key), Flavour: p.Flavour, Size: p.Size, Quantity: p.Quantity, PlacedOn: now(), Status: order.StatusPlaced,
	}
	if wrong := c.Menu.Check(&o); len(wrong) > 0 {
		for i := range wrong {
			wrong[i].Field = "Order." + wrong[i].Field
		}
		return Outcome{}, &Error{
			Code: Invalid, Message: "The order cannot be made like this: see errors, and GET /api/v1/menu for what there is.", Fields: wrong,
		}
	}
	if missing := c.missing(o.Flavour); missing != nil {
		if p.Key != "" { // A retry of an order that was placed must succeed even if the flavour has sold out since.
			if before, err := c.placedBefore(&o); before != nil || err != nil {
				return result(before, err)
			}
		}
		return Outcome{}, soldOut(o.Flavour, missing)
	}
	if p.Key != "" {
		return c.placeOnce(ctx, &o)
	}
	if err := c.sendOrder(ctx, &o); err != nil {
		return Outcome{}, err
	}
	return Outcome{Order: justPlaced(&o)}, nil
}

func (c *Commands) missing(flavour string) []string {
	if c.Stock == nil {
		return nil
	}
	return c.Stock.Missing(flavour)
}

// Remake is the command to place a rejected order once more.
type Remake struct {
	OrderID string // The rejected order.
	By      string // The person who asks for it; at least one character.
}

// Remake places a new order like a rejected one. The new order's id is derived
// from the old one's, so the command is idempotent without a key. It fails with
// Invalid, UnknownOrder, NotRejected, NotReady, BrokerUnavailable or
// TooManyAtOnce.
func (c *Commands) Remake(ctx context.Context, r Remake) (Outcome, error) {
	return c.run(func() (Outcome, error) { return c.remake(ctx, r) })
}

func (c *Commands) remake(ctx context.Context, r Remake) (Outcome, error) {
	look, err := c.look(r.OrderID, "")
	switch {
	case err != nil:
		return Outcome{}, err
	case r.By == "":
		return Outcome{}, empty("By", "Say in By who it is.", r.By)
	case look.Order == nil:
		return Outcome{}, Unknown(r.OrderID)
	case look.Order.State != order.StateRejected:
		return Outcome{}, &Error{
			Code: NotRejected, Order: look.Order,
			Message: fmt.Sprintf("The order is %s: only a rejected order can be remade.", look.Order.Status),
		}
	}
	o := look.Order.Remake(r.By, now())
	return c.placeOnce(ctx, &o)
}

// placeOnce places an order whose id is derived, so that it may be there
// already.
func (c *Commands) placeOnce(ctx context.Context, o *order.Order) (Outcome, error) {
	if before, err := c.placedBefore(o); before != nil || err != nil {
		return result(before, err)
	}
	if err := c.sendOrder(ctx, o); err != nil {
		return Outcome{}, err
	}
	// Another order may have come in with the same id just before.
	ctx, cancel := context.WithTimeout(ctx, c.Patience)
	defer cancel()
	seen, err := c.Views.Await(ctx, o.ID, func(views.Order) bool { return true })
	if err != nil {
		return Outcome{Order: justPlaced(o), Pending: true}, nil
	}
	if !same(o, &seen.Order) {
		return Outcome{}, reused()
	}
	return Outcome{Order: seen}, nil
}

// placedBefore returns the order that has the derived id already, nil if the id is free.
func (c *Commands) placedBefore(o *order.Order) (*views.Order, error) {
	look, err := c.look(o.ID, o.ID)
	switch {
	case err != nil:
		return nil, err
	case look.Report != nil, look.Order != nil && !same(o, &look.Order.Order):
		return nil, reused()
	default:
		return look.Order, nil
	}
}

func (c *Commands) sendOrder(ctx context.Context, o *order.Order) error {
	return c.acknowledged(c.Line.Stages[0].Input, c.sender.Order(ctx, o))
}

func result(o *views.Order, err error) (Outcome, error) {
	if err != nil {
		return Outcome{}, err
	}
	return Outcome{Order: *o}, nil
}

// justPlaced is an order that the views may not show yet.
func justPlaced(o *order.Order) views.Order {
	return views.Order{Order: *o, State: order.StateWaiting, Arrived: o.PlacedOn}
}

func same(a, b *order.Order) bool {
	return a.Flavour == b.Flavour && a.Size == b.Size && a.Quantity == b.Quantity
}

// commandID is the id of the order or report that a command makes. It is derived
// from the idempotency key, so that a retry is recognised on any instance and
// after a restart, as long as the order is kept.
func commandID(key string) string {
	if key == "" {
		return order.NewID()
	}
	return order.DeriveID(key)
}
