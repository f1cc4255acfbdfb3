package commands

import (
	"fmt"
	"strings"
	"time"

	"github.com/ecupcakes/ecupcakes/order"
	"github.com/ecupcakes/ecupcakes/topology"
	"github.com/ecupcakes/ecupcakes/views"
)

// Code says why a command was refused, as a stable word for programs.
type Code string

// The codes of refusals.
const (
	Invalid           Code = "invalid"            // A value cannot be used: see Fields.
	UnknownOrder      Code = "unknown-order"      // The views have no order with the id.
	NotItsTurn        Code = "not-its-turn"       // The order has not come to the stage yet.
	AlreadyDone       Code = "already-done"       // The stage, or the line, has finished with the order.
	Taken             Code = "taken"              // Somebody else has claimed the order.
	NotRejected       Code = "not-rejected"       // Only a rejected order can be remade.
	SoldOut           Code = "sold-out"           // An ingredient has run out.
	KeyReused         Code = "key-reused"         // The idempotency key belongs to another command.
	NotReady          Code = "not-ready"          // The views, or the stage before, are not far enough: retry.
	BrokerUnavailable Code = "broker-unavailable" // Kafka has not acknowledged the event: retry with the same key.
	TooManyAtOnce     Code = "too-many-at-once"   // A bound on concurrent commands is reached: retry.
)

// Error is a refused command. Nothing was sent, except with BrokerUnavailable:
// then the event may still arrive.
type Error struct {
	Code       Code
	Message    string             // One or two sentences for the person, with what to do next.
	Order      *views.Order       // The order whose state is the reason; nil if it is not.
	Fields     []order.FieldError // The values that are wrong; with Invalid only.
	RetryAfter time.Duration      // When to try again; 0 if that would not help.
}

func (e *Error) Error() string { return e.Message }

// Unknown returns the error about an order that the views do not have.
func Unknown(id string) *Error {
	const message = "There is no order %.80q. If it was placed just now, ask again with the header Prefer: wait=3."
	return &Error{Code: UnknownOrder, Message: fmt.Sprintf(message, id)}
}

// NotReadyYet returns the error about views that have not caught up.
func NotReadyYet(e *views.NotReadyError) *Error {
	return &Error{
		Code: NotReady, RetryAfter: time.Second,
		Message: fmt.Sprintf("The orders are still being read, %d %% are done: try again.", e.Percent),
	}
}

func reused() *Error {
	return &Error{Code: KeyReused, Message: "This Idempotency-Key was used for something else: choose a new key for a new command."}
}

func empty(field, message, value string) *Error {
	return &Error{Code: Invalid, Message: message, Fields: []order.FieldError{{Field: field, Value: value, Message: "must not be empty"}}}
}

func soldOut(flavour string, missing []string) *Error {
	message := fmt.Sprintf("%s is sold out: there is no %s. Choose another flavour; GET /api/v1/menu tells which there are.",
		flavour, strings.Join(missing, ", no "))
	return &Error{Code: SoldOut, Message: message}
}

// taken returns the error about an order that somebody else has claimed.
func taken(o views.Order) *Error {
	by := o.Claim
	if by == "" { // The claim has expired since it was the reason.
		by = "Somebody else"
	}
	return &Error{Code: Taken, Message: by + " is on this order.", Order: &o}
}

// onItsWay returns the error about an order that has left the stage before and
// has not arrived in time.
func onItsWay(line topology.Line, stage int, o views.Order) *Error {
	return &Error{
		Code: NotReady, Message: fmt.Sprintf("The order is on its way to %s: try again.", line.Stages[stage].Name),
		Order: &o, RetryAfter: time.Second,
	}
}

// conflict returns why the stage cannot do anything about the order. Stage is
// anywhere if the command names none.
func conflict(line topology.Line, stage int, o views.Order) *Error {
	e := &Error{Code: AlreadyDone, Order: &o}
	present, steps := o.Present(line), len(o.History)
	switch {
	case o.State == order.StateRejected && steps > 0:
		last := o.History[steps-1]
		e.Message = fmt.Sprintf("The order was rejected at %s by %s: %s.", last.Stage, last.By, o.Reason)
	case steps > 0 && (stage < steps || present < 0):
		step := o.History[steps-1]
		if stage >= 0 && stage < steps {
			step = o.History[stage]
		}
		e.Message = fmt.Sprintf("The order is past %s already: %s did it.", step.Stage, step.By)
	case present < 0:
		e.Message = "The order has left the line: there is nothing to do for it."
	default:
		e.Code = NotItsTurn
		e.Message = fmt.Sprintf("The order is at %s and has not come to %s yet.", line.Stages[present].Name, line.Stages[stage].Name)
	}
	return e
}
