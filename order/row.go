package order

import "time"

// State is the state of an order at one stage.
//
// An order goes from StateNone or StateEarly to StateWaiting, and from there to StateCompleted or
// StateRejected. It never goes back.
type State string

const (
	StateNone      State = ""         // The stage has no row for the order.
	StateEarly     State = "early"    // Reports arrived before the order itself.
	StateWaiting   State = "waiting"  // The order waits for a person to finish it.
	StateCompleted State = "done"     // The stage has completed the order and passed it on.
	StateRejected  State = "rejected" // The stage has rejected the order.
)

// Input is one of a stage's two input topics.
type Input int

const (
	Arrivals Input = iota // The topic of the orders that come to the stage.
	Reports               // The topic of the reports about them.
)

// Row is the value in a stage's group table for one order: everything that the stage remembers
// about it. All that the stage has emitted can be derived from the row; see Emissions.
type Row struct {
	State   State
	Order   Order     // Order as the stage knows it; zero while StateEarly.
	Arrived time.Time // Arrival of the order at the stage, UTC, whole milliseconds; zero unless StateWaiting.
	Claim   string    // Name of the claimant; "" without a claim.
	Until   time.Time // Expiry of the claim; zero if it never expires.

	// NextOffset holds, for each Input, one more than the offset of the last event that changed
	// the row, or 0 if none did.
	NextOffset [2]int64

	// Outcomes holds the outcomes of the last maxOutcomes reports, oldest first.
	Outcomes []Outcome

	// Pending holds the undecided reports of a StateEarly row, oldest first.
	Pending []Report
}

// Outcome is the recorded answer to a report.
type Outcome struct {
	ReportID string
	Result   Result
	Digest   string // Digest of the report.
}

// Result is the answer of a stage to a report.
type Result string

const (
	ResultAccepted Result = "accepted" // The report took effect, or changed nothing.
	ResultTooLate  Result = "late"     // The stage had completed or rejected the order before.
	ResultTaken    Result = "taken"    // Somebody else holds the claim on the order.
)

const (
	maxOutcomes = 8  // Outcomes that a row keeps.
	maxPending  = 32 // Reports that a row keeps before its order arrives.
)

// Outcome returns the outcome of the report with this ID, if it is one of the last maxOutcomes.
func (r *Row) Outcome(reportID string) (Outcome, bool) {
	for _, o := range r.Outcomes {
		if o.ReportID == reportID {
			return o, true
		}
	}
	return Outcome{}, false
}

// ClaimedBy returns the claimant at now, or "" if nobody holds the claim.
func (r *Row) ClaimedBy(now time.Time) string { return Holder(r.Claim, r.Until, now) }

// Holder returns the claimant at now, or "" if there is no claim or it has expired. A zero until
// never expires.
func Holder(claim string, until, now time.Time) string {
	if !until.IsZero() && !now.Before(until) {
		return ""
	}
	return claim
}

// Closed reports whether the stage has completed or rejected the order.
func (r *Row) Closed() bool { return r.State == StateCompleted || r.State == StateRejected }
