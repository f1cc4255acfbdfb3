// Package order is the domain: what a cupcake order is, what can happen to it
// at one stage of the line, and Next, the pure decision about it.
//
// It does no I/O, reads no clock and knows neither Kafka nor HTTP nor JSON:
// whoever calls it brings the times and the offsets along.
package order

import (
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// Order is one customer's order with everything that has happened to it so
// far. Every event on the line carries a whole Order, so that any topic can be
// read alone.
type Order struct {
	ID       string // See ValidID.
	Flavour  string
	Size     string
	Quantity int
	PlacedOn time.Time // UTC, whole milliseconds.
	Status   Status
	Reason   string // Why it was rejected; empty otherwise.
	History  []Step // One entry for each stage that has finished with it, in order.
	RemakeOf string // The id of the rejected order in whose place it is made; empty for nearly all.
	RemadeBy string // Who had it made again; only with RemakeOf.

	// Unknown holds the fields, as a JSON object, that this version of the
	// program does not know. They travel on unchanged.
	Unknown []byte
}

// Status says how far an order has come: Placed, then the Done word of the
// last stage that finished it ("mixed", …), or Rejected.
type Status string

// The two statuses that belong to no stage.
const (
	StatusPlaced   Status = "placed"
	StatusRejected Status = "rejected"
)

// Step says which stage finished with an order (by doing or by rejecting it),
// who did it and when.
type Step struct {
	Stage string
	By    string
	On    time.Time // UTC, whole milliseconds.
}

// ArrivedOn is when the order was ready for the stage of History[i]: when the
// step before was finished, or when the order was placed.
func (o *Order) ArrivedOn(i int) time.Time {
	if i == 0 {
		return o.PlacedOn
	}
	return o.History[i-1].On
}

// Limits of what the line accepts from outside. They keep every event and row
// far below Kafka's default message limit of 1 MB.
const (
	MaxID     = 64  // characters of an order's or a report's id
	MaxName   = 64  // runes of a person's name
	MaxReason = 500 // runes of the reason of a rejection
)

// NewID returns a new id, a UUIDv7: ids sort by the time they were made.
func NewID() string { return uuid.Must(uuid.NewV7()).String() }

// DeriveID returns the id that belongs to an idempotency key: the same key
// always gives the same id, on any instance, so that a repeated command needs
// no store to be recognised. It is a UUIDv8 made of the key's SHA-256.
func DeriveID(key string) string {
	h := sha256.Sum256([]byte(key))
	u := uuid.UUID(h[:16])
	u[6] = u[6]&0x0f | 0x80
	u[8] = u[8]&0x3f | 0x80
	return u.String()
}

// RemakeID is the id of the order that is made in the place of a rejected one.
// There is one such id, so however often somebody asks, it is made again once.
// No idempotency key can hold the line feed, so none gives this id.
func RemakeID(id string) string { return DeriveID("remake\n" + id) }

// Remake is a new order for the same, to be made in the place of o, which was
// rejected.
func (o *Order) Remake(by string, on time.Time) Order {
	return Order{
		ID: RemakeID(o.ID), Flavour: o.Flavour, Size: o.Size, Quantity: o.Quantity, PlacedOn: on, Status: StatusPlaced,
		RemakeOf: o.ID, RemadeBy: by, Unknown: o.Unknown,
	}
}

// ValidID says whether id can be the id of an order or a report: 1 to MaxID
// letters, digits and hyphens. So goka's reserved key "__offset", which would
// poison a table, is impossible.
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

// Kind is what is reported about an order at a stage, by a person save for the
// last one.
type Kind string

// The reports.
const (
	KindComplete Kind = "done"     // The stage's work is finished.
	KindReject   Kind = "rejected" // The order cannot be made; it leaves the line.
	KindClaim    Kind = "claimed"  // The reporter takes the order on.
	KindRelease  Kind = "released" // The reporter gives it back.
	KindExpire   Kind = "expired"  // The order was finished long ago: the stage may forget it.
)

// Report is what a person says about an order at one stage.
type Report struct {
	ID      string // See ValidID. The same id gets the same outcome again.
	OrderID string
	Kind    Kind
	By      string
	On      time.Time // UTC, whole milliseconds.
	Reason  string    // Only of a Reject.
	Until   time.Time // Only of a Claim: when it lapses, as a screen that has gone will not give it back; zero is never.
	Digest  string    // Fingerprint of the command it came from; empty without an idempotency key.
}

// Validate returns what is wrong with a report that came from outside.
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
		return fmt.Errorf("a %q report does not lapse", r.Kind)
	case len(r.Digest) > MaxID:
		return fmt.Errorf("the digest is longer than %d characters", MaxID)
	}
	return nil
}

// Validate returns what is wrong with an order that came from outside, other
// than what the menu says about it.
func (o *Order) Validate() error {
	switch {
	case !ValidID(o.ID):
		return fmt.Errorf("order id %.80q is not 1 to %d letters, digits and hyphens", o.ID, MaxID)
	case o.Quantity < 1 || o.Quantity > maxQuantity:
		return fmt.Errorf("quantity %d is not 1 to %d", o.Quantity, maxQuantity)
	case o.Flavour == "" || runesOver(o.Flavour, MaxName) || o.Size == "" || runesOver(o.Size, MaxName):
		return fmt.Errorf("flavour or size is empty or longer than %d characters", MaxName)
	case len(o.Status) > MaxID:
		return fmt.Errorf("the status is longer than %d characters", MaxID)
	case runesOver(o.Reason, MaxReason):
		return fmt.Errorf("the reason is longer than %d characters", MaxReason)
	case len(o.History) > maxSteps:
		return fmt.Errorf("a history of %d steps is longer than any line", len(o.History))
	case o.RemakeOf != "" && !ValidID(o.RemakeOf):
		return fmt.Errorf("the id %.80q of the order it is a remake of is not 1 to %d letters, digits and hyphens", o.RemakeOf, MaxID)
	case runesOver(o.RemadeBy, MaxName):
		return fmt.Errorf("the name of who had it made again is longer than %d characters", MaxName)
	case len(o.Unknown) > maxUnknown:
		return fmt.Errorf("%d bytes of unknown fields are more than %d", len(o.Unknown), maxUnknown)
	}
	for _, s := range o.History {
		if len(s.Stage) > MaxID || runesOver(s.By, MaxName) {
			return fmt.Errorf("a step of the history names a stage or a person with more than %d characters", MaxName)
		}
	}
	return nil
}

// Bounds of what a message written by somebody else may make a row hold.
const (
	maxQuantity = 1_000_000 // Far above any menu's.
	maxSteps    = 64
	maxUnknown  = 16 << 10 // bytes
)

func runesOver(s string, limit int) bool {
	return len(s) > limit && len([]rune(s)) > limit
}
