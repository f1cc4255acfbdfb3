package order

import "time"

// State is where an order stands at one stage.
type State string

// The states. An order goes from StateNone or StateEarly to StateWaiting, and from there to
// StateCompleted or StateRejected; it never goes back.
const (
	StateNone      State = ""         // The stage has never heard of the order.
	StateEarly     State = "early"    // Reports came before the order itself.
	StateWaiting   State = "waiting"  // It waits for the stage's people.
	StateCompleted State = "done"     // The stage is done with it and has passed it on.
	StateRejected  State = "rejected" // The stage rejected it.
)

// Input says on which of a stage's two input topics an event came.
type Input int

// The inputs of a stage.
const (
	Arrivals Input = iota // The topic from which orders come.
	Reports               // The topic of what people report about them.
)

// Row is all that a stage remembers about one order: the value of the stage's
// group table. Whatever the stage emits can be rebuilt from it (Emissions).
type Row struct {
	State   State
	Order   Order     // Zero while StateEarly.
	Arrived time.Time // When the order arrived here; UTC, whole milliseconds. Only while StateWaiting.
	Claim   string    // Who has taken it on; empty when nobody.
	Until   time.Time // When the claim lapses: from then on it keeps nobody out. Zero is never.

	// NextOffset holds, for each input, one more than the offset of the last
	// event that changed this row; 0 means none did.
	NextOffset [2]int64

	// Outcomes are those of the last maxOutcomes reports, oldest first.
	Outcomes []Outcome

	// Pending are the reports of an Early row, oldest first.
	Pending []Report
}

// Outcome is what became of a report.
type Outcome struct {
	ReportID string
	Result   Result
	Digest   string // That of the report.
}

// Result is the answer to a report.
type Result string

// The results.
const (
	ResultAccepted Result = "accepted" // It did what it says, or that was so already.
	ResultTooLate  Result = "late"     // The stage had finished with the order before.
	ResultTaken    Result = "taken"    // Somebody else has claimed the order.
)

const (
	maxOutcomes = 8
	maxPending  = 32
)

// Outcome returns what became of the report with this id, as far back as the
// row remembers.
func (r *Row) Outcome(reportID string) (Outcome, bool) {
	for _, o := range r.Outcomes {
		if o.ReportID == reportID {
			return o, true
		}
	}
	return Outcome{}, false
}

// ClaimedBy is who has taken the order on at that time; empty when nobody.
func (r *Row) ClaimedBy(now time.Time) string { return Holder(r.Claim, r.Until, now) }

// Holder is who holds an order at that time which somebody has claimed until
// then, for ever if that is zero; empty when nobody.
func Holder(claim string, until, now time.Time) string {
	if !until.IsZero() && !now.Before(until) {
		return ""
	}
	return claim
}

// Closed says that the stage has finished with the order, one way or the other.
func (r *Row) Closed() bool { return r.State == StateCompleted || r.State == StateRejected }
