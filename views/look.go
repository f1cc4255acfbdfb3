package views

import (
	"github.com/ecupcakes/ecupcakes/topology"

	"github.com/google/uuid"
)

// Look is a consistent snapshot of everything that the views hold about a command.
type Look struct {
	Order   *Order // Order that the command is about; nil if it is unknown.
	Report  *Known // Outcome of the report with the command's ID; nil unless it has an idempotency key.
	IsOrder bool   // There is an order with the command's ID.
}

// Look returns a snapshot about an order and a command. commandID is the ID of the order or report
// that the command creates.
func (v *Views) Look(orderID, commandID string) (look Look) {
	v.index.mu.RLock()
	e := v.index.entry(orderID)
	look.IsOrder = v.index.entry(commandID) != nil
	if id, err := uuid.Parse(commandID); err == nil {
		if r := v.index.reports[id]; r != nil {
			look.Report = &Known{OrderID: r.orderID, Stage: r.stage, Outcome: r.outcome}
		}
	}
	v.index.mu.RUnlock()
	if e != nil {
		o := e.order()
		look.Order = &o
	}
	return look
}

// entry returns the current entry of the order, or nil if it is unknown. The caller must hold the
// lock.
func (x *index) entry(id string) *entry {
	if s := x.slots[id]; s != nil {
		return s.now
	}
	return nil
}

// Present returns the index of the stage at which the order waits or to which it is on its way, or
// -1 if it has left the line.
func (o Order) Present(line topology.Line) int { return present(line, o.At, o.State) }
