package order

import (
	"fmt"
	"slices"
	"time"
)

// Stage holds what Next needs to know about a stage of the line.
type Stage struct {
	Name    string // Name of the stage: "baking".
	Expects Status // Status of an order when it arrives: "mixed".
	Done    Status // Status of an order that the stage has completed: "baked".
}

// Event is one message of one of a stage's two input topics. Exactly one of Order and Report is
// set: Order for a message of Arrivals, Report for a message of Reports.
type Event struct {
	Offset int64     // Offset of the message in its partition.
	Time   time.Time // Timestamp of the message.
	Order  *Order
	Report *Report
}

func (e *Event) input() Input {
	if e.Order != nil {
		return Arrivals
	}
	return Reports
}

// Emission is an order that a stage sends to one of its outputs.
type Emission struct {
	To    Output
	Order *Order
}

// Output is one of a stage's two output topics.
type Output int

const (
	Onward   Output = iota // The input topic of the next stage; for the last stage, the line's output topic.
	Failures               // The topic of rejected orders.
)

// Verdict classifies an event. It tells the caller what to do with the rest of a Decision:
//
//	VerdictApplied, VerdictRedelivered  write the row, send the emissions
//	VerdictForgotten                    delete the row
//	VerdictIgnored                      do nothing
//	VerdictInvalid                      send the message to the dead letters, leave the row alone
type Verdict string

const (
	// VerdictApplied means that the event changed the row.
	VerdictApplied Verdict = "applied"

	// VerdictRedelivered means that the event was applied before. A crash may have lost the row or
	// an emission, so both are written again.
	VerdictRedelivered Verdict = "repeated"

	// VerdictForgotten means that the row is no longer needed.
	VerdictForgotten Verdict = "dropped"

	// VerdictIgnored means that the event brings nothing new: it is a duplicate.
	VerdictIgnored Verdict = "nothing"

	// VerdictInvalid means that the event cannot be right. Decision.Why has the reason.
	VerdictInvalid Verdict = "misplaced"
)

// Decision is the result of Next.
type Decision struct {
	Verdict   Verdict
	Row       Row        // Row after the event.
	Emissions []Emission // Orders to send.
	Why       string     // Reason in words, for an operator; set only with VerdictInvalid.
}

// Next decides what an event does to an order at a stage, given the row that the stage has stored
// for the order. Next is pure: it reads no clock and does no I/O, and equal arguments give equal
// decisions. It never modifies row, but Decision.Row may share row's slices.
//
// The event's order or report must have passed its Validate. Where it has no time of its own, Next
// takes the time of the message.
//
// # Why no order is lost or doubled
//
// Kafka delivers a message at least once. The caller commits an offset only after the row and the
// emissions of that message, and of all messages before it in the partition, are durable. A crash
// before the commit can lose the row, the emissions, both or neither, and the message is delivered
// again. Four rules make that harmless:
//
//  1. If the row was lost, the redelivered event meets the old row and is applied a second time. It
//     produces the same row and the same emissions, because they depend on nothing but the
//     arguments of Next. If an emission had survived, the next stage gets a duplicate (rule 3).
//  2. If the row survived, its NextOffset is above the event's offset. That identifies the event as
//     a redelivery. The row is written again and everything that the row says this stage has
//     emitted is emitted again. Row.Emissions derives the emissions from the row alone, so the
//     copies are equal to the originals byte for byte.
//  3. A duplicate is another message with the same content and a higher offset: a copy that rule 1
//     or 2 sent to the next stage, or a command that a client retried. It finds its order in the
//     row, or its report's ID among the row's Outcomes, and is ignored. A report older than the
//     last 8 outcomes is no longer recognized, but it cannot complete or reject an order twice.
//  4. Kafka guarantees no order between the two inputs. A report that overtakes its order is parked
//     in the row and decided when the order arrives, so every interleaving of the two inputs leads
//     to the same row.
//
// No rule moves an order backwards: once it is completed or rejected, later reports only get an
// outcome.
//
// KindExpire deletes a closed row, and with it what recognizes duplicates. Its sender must
// therefore know that the stage has committed every earlier message about the order. If reports are
// redelivered nevertheless, they create a StateEarly row, which the redelivered KindExpire behind
// them deletes again.
func Next(stage Stage, row Row, e Event) Decision {
	switch why := whyInvalid(stage, e.Order); {
	case why != "":
		return Decision{Verdict: VerdictInvalid, Row: row, Why: why}
	case e.Offset < row.NextOffset[e.input()]:
		return Decision{Verdict: VerdictRedelivered, Row: row, Emissions: row.Emissions()}
	case e.Order != nil:
		return arrive(stage, row, e)
	default:
		return report(stage, row, e)
	}
}

// whyInvalid returns why o cannot arrive at the stage, or "" if it can or is nil. It does not look
// at the row: a redelivery must get the same verdict, so that its dead letter is not lost in a
// crash.
func whyInvalid(stage Stage, o *Order) string {
	switch {
	case o == nil:
		return ""
	case o.Status != stage.Expects:
		return fmt.Sprintf("its status is %q, but %s expects orders that are %q", o.Status, stage.Name, stage.Expects)
	case len(o.History) >= maxSteps:
		return fmt.Sprintf("its history has %d steps already, the maximum", len(o.History))
	default:
		return ""
	}
}

// Emissions returns everything that the stage has emitted about the order so far.
func (r *Row) Emissions() []Emission {
	switch r.State {
	case StateCompleted:
		return []Emission{{To: Onward, Order: &r.Order}}
	case StateRejected:
		return []Emission{{To: Failures, Order: &r.Order}}
	default:
		return nil
	}
}

// arrive applies an order that came from the stage before. Reports that overtook it are decided
// now, in the order in which they came.
func arrive(stage Stage, row Row, e Event) Decision {
	if row.State != StateNone && row.State != StateEarly {
		return Decision{Verdict: VerdictIgnored, Row: row}
	}
	pending := row.Pending
	row.State, row.Order, row.Arrived, row.Pending = StateWaiting, *e.Order, e.Time, nil
	if row.Order.PlacedOn.IsZero() {
		row.Order.PlacedOn = e.Time
	}
	row.NextOffset[Arrivals] = e.Offset + 1
	for _, r := range pending {
		row = decide(stage, row, r)
	}
	return Decision{Verdict: VerdictApplied, Row: row, Emissions: row.Emissions()}
}

// report applies a report unless the row knows its ID already.
func report(stage Stage, row Row, e Event) Decision {
	r := *e.Report
	if r.On.IsZero() {
		r.On = e.Time
	}
	if r.Kind == KindExpire {
		if row.Closed() || row.State == StateEarly {
			return Decision{Verdict: VerdictForgotten}
		}
		return Decision{Verdict: VerdictIgnored, Row: row}
	}
	if _, known := row.Outcome(r.ID); known {
		return Decision{Verdict: VerdictIgnored, Row: row}
	}
	if row.State == StateNone || row.State == StateEarly {
		return park(stage, row, e.Offset, r)
	}
	before := row.State
	row = decide(stage, row, r)
	row.NextOffset[Reports] = e.Offset + 1
	d := Decision{Verdict: VerdictApplied, Row: row}
	if row.State != before {
		d.Emissions = row.Emissions()
	}
	return d
}

// park stores a report that overtook its order. It compares IDs with the last maxOutcomes reports,
// as many as Row.Outcomes remembers, so that a duplicate gets the same verdict before and after the
// order arrives.
func park(stage Stage, row Row, offset int64, r Report) Decision {
	last := row.Pending[max(0, len(row.Pending)-maxOutcomes):]
	if slices.ContainsFunc(last, func(p Report) bool { return p.ID == r.ID }) {
		return Decision{Verdict: VerdictIgnored, Row: row}
	}
	if len(row.Pending) >= maxPending {
		why := fmt.Sprintf("%s holds %d reports about an order that has not arrived, the maximum", stage.Name, maxPending)
		return Decision{Verdict: VerdictInvalid, Row: row, Why: why}
	}
	row.State = StateEarly
	row.Pending = append(slices.Clip(row.Pending), r)
	row.NextOffset[Reports] = offset + 1
	return Decision{Verdict: VerdictApplied, Row: row}
}

// decide applies a new report to an order that has arrived, and records the outcome.
func decide(stage Stage, row Row, r Report) Row {
	result := ResultAccepted
	claimed := row.ClaimedBy(r.On)
	switch {
	case row.Closed():
		result = ResultTooLate
	case claimed != "" && claimed != r.By:
		result = ResultTaken
	case r.Kind == KindClaim:
		row.Claim, row.Until = r.By, r.Until
	case r.Kind == KindRelease:
		row.Claim, row.Until = "", time.Time{}
	default:
		row = finish(stage, row, r)
	}
	outcomes := row.Outcomes[max(0, len(row.Outcomes)-maxOutcomes+1):]
	row.Outcomes = append(slices.Clip(outcomes), Outcome{ReportID: r.ID, Result: result, Digest: r.Digest})
	return row
}

// finish completes or rejects the order.
func finish(stage Stage, row Row, r Report) Row {
	row.State, row.Order.Status = StateCompleted, stage.Done
	if r.Kind == KindReject {
		row.State, row.Order.Status, row.Order.Reason = StateRejected, StatusRejected, r.Reason
	}
	row.Claim, row.Until, row.Arrived = "", time.Time{}, time.Time{} // The history has them from now on.
	row.Order.History = append(slices.Clip(row.Order.History), Step{Stage: stage.Name, By: r.By, On: r.On})
	return row
}
