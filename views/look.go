package views

import (
	"github.com/ecupcakes/ecupcakes/order"
	"github.com/ecupcakes/ecupcakes/topology"

	"github.com/google/uuid"
)

// Look is what the views know, at one moment, about a command.
type Look struct {
	Order   *Order // The order that the command is about; nil if it is unknown.
	Report  *Known // What became of the report with the command's id; nil if there is none with an idempotency key.
	IsOrder bool   // There is an order with the command's id.
}

// Look returns what the views know about the order and about a command whose
// order or report has the id commandID. All of it is of the same moment.
func (v *Views) Look(orderID, commandID string) (look Look) {
	v.index.mu.RLock()
	e := v.index.entry(orderID)
	look.IsOrder = v.index.entry(commandID) != nil
	if id, err := uuid.Parse(commandID); err == nil {
		if r := v.index.reports[id]; r != nil {
			look.Report = &Known{r.orderID, r.stage, r.outcome}
		}
	}
	v.index.mu.RUnlock()
	if e != nil {
		o := e.order()
		look.Order = &o
	}
	return look
}

// entry returns what is known of the order; nil if it is unknown. The caller
// holds the lock.
func (x *index) entry(id string) *entry {
	if s := x.slots[id]; s != nil {
		return s.now
	}
	return nil
}

// Present returns the stage of the line where the order is or to which it is on
// its way, -1 if it has left the line.
func (o Order) Present(line topology.Line) int {
	return present(line, &entry{stage: o.At, state: o.State})
}

// Rejected reports whether the order has left the line without being finished.
func (o Order) Rejected() bool { return o.State == order.StateRejected }
