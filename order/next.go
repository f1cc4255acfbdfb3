package order

import (
	"slices"
	"time"
)

// Stage is what the decision needs to know of a stage of the line.
type Stage struct {
	Name    string // "baking"
	Expects Status // Status of an order that may arrive: "mixed".
	Done    Status // Status that the stage gives it: "baked".
}

// Event is one message of one of a stage's inputs: an Order on Arrivals, a
// Report on Reports.
type Event struct {
	Offset int64     // Of the message in its topic and partition.
	Time   time.Time // Of the message.
	Order  *Order
	Report *Report
}

func (e *Event) input() Input {
	if e.Order != nil {
		return Arrivals
	}
	return Reports
}

// Emission is an order that the stage passes on.
type Emission struct {
	To    Output
	Order *Order
}

// Output is one of the two ways out of a stage.
type Output int

// The ways out of a stage.
const (
	Onward   Output = iota // To the next stage.
	Failures               // Off the line.
)

// Verdict says what an event meant to a stage.
type Verdict string

// The verdicts. After VerdictApplied and VerdictRedelivered the row must be written and the
// emissions sent; after VerdictForgotten the row must be deleted; after
// VerdictIgnored neither; after VerdictInvalid the message belongs to the dead letters and the row stays as
// it is.
const (
	VerdictApplied     Verdict = "applied"
	VerdictRedelivered Verdict = "repeated"  // Delivered before; everything is written and sent again.
	VerdictForgotten   Verdict = "dropped"   // The order is forgotten.
	VerdictIgnored     Verdict = "nothing"   // It brings nothing new.
	VerdictInvalid     Verdict = "misplaced" // It cannot be right: see Decision.Why.
)

// Decision is what Next decided.
type Decision struct {
	Verdict   Verdict
	Row       Row
	Emissions []Emission
	Why       string // For a person; only with VerdictInvalid.
}

// Next decides what an event means for an order at a stage, given the row that
// the stage has for it. It is pure: the same arguments give the same decision,
// and row is never changed (Decision.Row may share its slices).
//
// Why this neither loses nor doubles an order, whatever is redelivered:
//
//   - A crash can lose the write of the row, the emission, both or none, but
//     the input is not committed before both are durable, so the event comes
//     again. If the row was lost, the event is applied afresh to the old row and
//     gives the same row and emission, because neither depends on anything
//     else. If only the emission was lost, the row's Applied says that the event
//     is a redelivery, and the emission is rebuilt from the row, byte for byte.
//   - A duplicate in the input has a higher offset than the row's Applied and
//     finds the order already known: Nothing.
//   - The two inputs have no order between them. A report that overtakes its
//     order is kept in the row and decided when the order arrives, so every
//     interleaving of the two ends with the same row.
//   - An Expire drops the row of an order that the stage has finished with, and
//     with it what recognises duplicates. Whoever sends it must know that all
//     the stage has been told about the order before is committed. Reports that
//     come again all the same lead to an Early row, which the Expire that
//     follows them drops again.
//
// The event's order or report must have passed its Validate. Where one brings
// no time of its own, the message's is taken.
func Next(stage Stage, row Row, e Event) Decision {
	switch why := misplaced(stage, e.Order); {
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

// misplaced says why an order, if there is one, cannot come to the stage. It
// does not look at the row, so that a redelivery gets the same answer and its
// dead letter is not lost.
func misplaced(stage Stage, o *Order) string {
	switch {
	case o == nil:
		return ""
	case o.Status != stage.Expects:
		return "an order that comes to " + stage.Name + " must be " + string(stage.Expects) + ", this one is " + string(o.Status)
	case len(o.History) >= maxSteps:
		return "its history has no room for another step"
	default:
		return ""
	}
}

// Emissions is everything that the stage has emitted about the order.
func (r *Row) Emissions() []Emission {
	switch r.State {
	case StateCompleted:
		return []Emission{{Onward, &r.Order}}
	case StateRejected:
		return []Emission{{Failures, &r.Order}}
	default:
		return nil
	}
}

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

// park keeps a report that overtook its order. It remembers ids as far back as
// Outcomes does, so that a duplicate means the same before the order and after.
func park(stage Stage, row Row, offset int64, r Report) Decision {
	last := row.Pending[max(0, len(row.Pending)-maxOutcomes):]
	if slices.ContainsFunc(last, func(p Report) bool { return p.ID == r.ID }) {
		return Decision{Verdict: VerdictIgnored, Row: row}
	}
	if len(row.Pending) >= maxPending {
		return Decision{Verdict: VerdictInvalid, Row: row, Why: "too many reports about an order that has not come to " + stage.Name}
	}
	row.State = StateEarly
	row.Pending = append(slices.Clip(row.Pending), r)
	row.NextOffset[Reports] = offset + 1
	return Decision{Verdict: VerdictApplied, Row: row}
}

// decide applies a report that the row has not seen to an order that is here.
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
	row.Outcomes = append(slices.Clip(outcomes), Outcome{r.ID, result, r.Digest})
	return row
}

func finish(stage Stage, row Row, r Report) Row {
	row.State, row.Order.Status = StateCompleted, stage.Done
	if r.Kind == KindReject {
		row.State, row.Order.Status, row.Order.Reason = StateRejected, StatusRejected, r.Reason
	}
	row.Claim, row.Until, row.Arrived = "", time.Time{}, time.Time{} // The history says it from now on.
	row.Order.History = append(slices.Clip(row.Order.History), Step{stage.Name, r.By, r.On})
	return row
}
