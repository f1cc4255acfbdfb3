// Package order is the domain: orders, the reports of people about them, the row that a stage keeps
// for an order, and Next, the pure function that decides what an event does to a row.
//
// The package does no I/O, reads no clock and imports no client of Kafka or HTTP. Callers pass
// times and offsets as arguments.
package order

import (
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// Order is a customer's order together with its history. Every message of the line
// except the reports carries a whole Order, so that each topic can be read without the others.
type Order struct {
	ID       string // Identifier; see ValidID.
	Flavour  string
	Size     string
	Quantity int
	PlacedOn time.Time // Time of placing, UTC, whole milliseconds.
	Status   Status
	Reason   string // Reason of the rejection; "" unless the order is rejected.
	History  []Step // Steps of the stages that have completed or rejected the order, oldest first.
	RemakeOf string // ID of the rejected order that this one replaces; "" if it is no remake.
	RemadeBy string // Name of the person who ordered the remake; "" if it is no remake.

	// Unknown holds the fields that this version of the program does not know, as a JSON object.
	// Stages pass them on unchanged.
	Unknown []byte
}

// Status is the progress of an order: StatusPlaced, then the Done status of the last stage that
// completed it ("mixed", …), or StatusRejected.
type Status string

// Statuses that belong to no stage.
const (
	StatusPlaced   Status = "placed"
	StatusRejected Status = "rejected"
)

// Step records that a stage completed or rejected an order.
type Step struct {
	Stage string
	By    string    // Name of the person.
	On    time.Time // Time of the report, UTC, whole milliseconds.
}

// ArrivedOn returns the time at which the order became ready for the stage of History[i]: the end
// of the step before, or the time of placing for the first step.
func (o *Order) ArrivedOn(i int) time.Time {
	if i == 0 {
		return o.PlacedOn
	}
	return o.History[i-1].On
}

// Limits on input from outside. They keep every event and row far below Kafka's default message
// limit of 1 MB.
const (
	MaxID     = 64  // Bytes of an order's or a report's ID.
	MaxName   = 64  // Runes of a person's name.
	MaxReason = 500 // Runes of the reason of a rejection.
)

// NewID returns a new ID, a UUIDv7. IDs sort by the time of their creation.
func NewID() string { return uuid.Must(uuid.NewV7()).String() }

// DeriveID returns the ID that belongs to an idempotency key, a UUIDv8 made of the key's SHA-256.
// Equal keys give equal IDs on every instance, so a retried command is recognized without a store.
func DeriveID(key string) string {
	h := sha256.Sum256([]byte(key))
	u := uuid.UUID(h[:16])
	u[6] = u[6]&0x0f | 0x80
	u[8] = u[8]&0x3f | 0x80
	return u.String()
}

// RemakeID returns the ID of the order that replaces the rejected order with this id. The ID
// depends on id alone, so remaking is idempotent. No idempotency key can contain a line feed, so
// none derives the same ID.
func RemakeID(id string) string { return DeriveID("remake\n" + id) }

// Remake returns a new order that replaces o, which was rejected. It has o's flavour, size,
// quantity and unknown fields.
func (o *Order) Remake(by string, on time.Time) Order {
	return Order{
		ID: RemakeID(o.ID), Flavour: o.Flavour, Size: o.Size, Quantity: o.Quantity, PlacedOn: on, Status: StatusPlaced,
		RemakeOf: o.ID, RemadeBy: by, Unknown: o.Unknown,
	}
}

// ValidID reports whether id can be the ID of an order or a report: 1 to MaxID letters, digits and
// hyphens. That excludes goka's reserved key "__offset", which would corrupt a table.
func ValidID(id string) bool {
	if id == "" || len(id) > MaxID {
		return false
	}
	for _, c := range []byte(id) {
		switch {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '-':
		default:
			return false
		}
	}
	return true
}

// Kind is the kind of a report. People send all of them except KindExpire, which the program sends.
type Kind string

const (
	KindComplete Kind = "done"     // The person has finished the work of the stage.
	KindReject   Kind = "rejected" // The order cannot be made and leaves the line.
	KindClaim    Kind = "claimed"  // The person claims the order, or renews the claim.
	KindRelease  Kind = "released" // The person releases the claim.
	KindExpire   Kind = "expired"  // The order left the stage long ago: its row can be deleted.
)

// Report is a statement about an order at one stage, normally by a person.
type Report struct {
	ID      string // Identifier; see ValidID. A repeated ID gets the recorded outcome.
	OrderID string
	Kind    Kind
	By      string    // Name of the person.
	On      time.Time // Time of the report, UTC, whole milliseconds; zero for that of its message.
	Reason  string    // Reason of a KindReject; "" otherwise.
	Until   time.Time // Expiry of a KindClaim; zero otherwise, and if the claim never expires.
	Digest  string    // Fingerprint of the command behind the report; "" without an idempotency key.
}

// Validate returns an error if a report from outside breaks a limit or contradicts its kind.
func (r *Report) Validate() error {
	switch {
	case !ValidID(r.ID):
		return fmt.Errorf("report id %.80q is not 1 to %d letters, digits and hyphens", r.ID, MaxID)
	case !ValidID(r.OrderID):
		return fmt.Errorf("order id %.80q is not 1 to %d letters, digits and hyphens", r.OrderID, MaxID)
	case r.Kind != KindComplete && r.Kind != KindReject && r.Kind != KindClaim && r.Kind != KindRelease && r.Kind != KindExpire:
		return fmt.Errorf("unknown kind of report %.80q", r.Kind)
	case r.By == "" || runesOver(r.By, MaxName):
		return fmt.Errorf("the reporter's name must have 1 to %d characters", MaxName)
	case r.Kind == KindReject && (r.Reason == "" || runesOver(r.Reason, MaxReason)):
		return fmt.Errorf("the reason of a rejection must have 1 to %d characters", MaxReason)
	case r.Kind != KindReject && r.Reason != "":
		return fmt.Errorf("a %q report has no reason", r.Kind)
	case r.Kind != KindClaim && !r.Until.IsZero():
		return fmt.Errorf("a %q report has no expiry", r.Kind)
	case len(r.Digest) > MaxID:
		return fmt.Errorf("the digest has %d characters, more than %d", len(r.Digest), MaxID)
	}
	return nil
}

// Validate returns an error if an order from outside breaks a limit. It does not look at the menu;
// see Menu.Check.
func (o *Order) Validate() error {
	switch {
	case !ValidID(o.ID):
		return fmt.Errorf("order id %.80q is not 1 to %d letters, digits and hyphens", o.ID, MaxID)
	case o.Quantity < 1 || o.Quantity > maxQuantity:
		return fmt.Errorf("quantity %d is not 1 to %d", o.Quantity, maxQuantity)
	case o.Flavour == "" || runesOver(o.Flavour, MaxName) || o.Size == "" || runesOver(o.Size, MaxName):
		return fmt.Errorf("flavour and size must have 1 to %d characters", MaxName)
	case len(o.Status) > MaxID:
		return fmt.Errorf("the status is longer than %d characters", MaxID)
	case runesOver(o.Reason, MaxReason):
		return fmt.Errorf("the reason is longer than %d characters", MaxReason)
	case len(o.History) > maxSteps:
		return fmt.Errorf("the history has %d steps, more than %d", len(o.History), maxSteps)
	case o.RemakeOf != "" && !ValidID(o.RemakeOf):
		return fmt.Errorf("remakeOf %.80q is not 1 to %d letters, digits and hyphens", o.RemakeOf, MaxID)
	case runesOver(o.RemadeBy, MaxName):
		return fmt.Errorf("remadeBy is longer than %d characters", MaxName)
	case len(o.Unknown) > maxUnknown:
		return fmt.Errorf("the unknown fields have %d bytes, more than %d", len(o.Unknown), maxUnknown)
	}
	for _, s := range o.History {
		if len(s.Stage) > MaxID || runesOver(s.By, MaxName) {
			return fmt.Errorf("the history names a stage or a person with more than %d characters", MaxName)
		}
	}
	return nil
}

// Bounds on the size of a row, whatever somebody else writes to an input topic.
const (
	maxQuantity = 1_000_000 // Cupcakes of an order; far above the limit of any menu.
	maxSteps    = 64        // Steps of a history.
	maxUnknown  = 16 << 10  // Bytes of unknown fields.
)

// runesOver reports whether s has more than limit runes. A string of at most limit bytes cannot, so
// it is not decoded.
func runesOver(s string, limit int) bool {
	return len(s) > limit && len([]rune(s)) > limit
}
