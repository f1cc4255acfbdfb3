package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/ecupcakes/ecupcakes/codecs"
	"github.com/ecupcakes/ecupcakes/order"
	"github.com/ecupcakes/ecupcakes/topology"
	"github.com/ecupcakes/ecupcakes/tracing"
	"github.com/ecupcakes/ecupcakes/views"

	"github.com/danielgtaylor/huma/v2"
)

// patience is how long a command waits for Kafka, and again for its outcome.
const patience = 5 * time.Second

// Idempotency is the header that makes a command repeatable. The order's or report's id
// derives from it, so it needs no store of its own and holds on any instance
// and after a restart, as long as the order is kept. Two commands with the same
// key and other bodies that run at the very same moment may both succeed: the
// second is only recognised once the first is visible.
type Idempotency struct {
	Key string `header:"Idempotency-Key" maxLength:"128" doc:"Makes the call repeatable: the same key and body give the same result again."`
}

// id is that of the order or report that a command makes.
func (k Idempotency) id() string {
	if k.Key == "" {
		return order.NewID()
	}
	return order.DeriveID(k.Key)
}

type placeInput struct {
	Idempotency
	Body struct {
		_     struct{} `additionalProperties:"true"`
		Order struct {
			_        struct{} `additionalProperties:"true"`
			Flavour  string   `json:"Flavour" required:"false" doc:"One of the menu's." example:"Strawberry"`
			Quantity int      `json:"Quantity" required:"false" doc:"1 to the menu's maximum." example:"1"`
			Size     Size     `json:"Size" required:"false"`
		} `json:"Order"`
	}
}

type placeOutput struct {
	Status   int
	Location string `header:"Location"`
	Body     placed
}

type placed struct {
	CorrelationID  string    `json:"correlationId"`
	Acknowledgment string    `json:"acknowledgment"`
	CreatedOn      time.Time `json:"createdOn"`
	Order          Order     `json:"order"`
}

// place takes an order on. It answers 201 only when the order is durable.
func (a *api) place(ctx context.Context, in *placeInput) (*placeOutput, error) {
	wanted := in.Body.Order
	o := order.Order{
		ID: in.id(), Flavour: wanted.Flavour, Size: string(wanted.Size), Quantity: wanted.Quantity,
		PlacedOn: a.now(), Status: order.StatusPlaced,
	}
	if errs := a.Menu.Check(&o); len(errs) > 0 {
		return nil, invalidFields(errs)
	}
	if missing := a.Stock.Missing(o.Flavour); missing != nil {
		if in.Key != "" { // Who repeats an order that is on the line already shall hear that it is.
			if before, err := a.placedBefore(&o); before != nil || err != nil {
				return before, err
			}
		}
		return nil, problem(soldOut, http.StatusConflict, "%s is sold out: there is no %s. Choose another flavour; GET /api/v1/menu tells which there are.", o.Flavour, strings.Join(missing, ", no "))
	}
	return a.begin(ctx, &o, in.Key != "")
}

// begin puts an order on the line. One whose id is derived may be there already.
func (a *api) begin(ctx context.Context, o *order.Order, derived bool) (*placeOutput, error) {
	if derived {
		if before, err := a.placedBefore(o); before != nil || err != nil {
			return before, err
		}
	}
	value, err := codecs.EncodeOrder(o)
	if err != nil {
		return nil, err
	}
	if err := a.send(ctx, a.Line.Stages[0].Input, o.ID, value); err != nil {
		return nil, err
	}
	if !derived {
		return a.placed(http.StatusCreated, views.Order{Order: *o, State: order.StateWaiting, Arrived: o.PlacedOn}), nil
	}
	// Another order may have come in with the same id just before.
	ctx, cancel := context.WithTimeout(ctx, a.Patience)
	defer cancel()
	seen, err := a.Views.Await(ctx, o.ID, func(views.Order) bool { return true })
	if err != nil {
		return a.placed(http.StatusAccepted, views.Order{Order: *o, State: order.StateWaiting, Arrived: o.PlacedOn}), nil
	}
	if !same(o, &seen.Order) {
		return nil, reused()
	}
	return a.placed(http.StatusCreated, seen), nil
}

// placedBefore answers for an order whose derived id is used.
func (a *api) placedBefore(o *order.Order) (*placeOutput, error) {
	if err := a.ready(); err != nil {
		return nil, err
	}
	if _, used := a.Views.Report(o.ID); used {
		return nil, reused()
	}
	before, ok := a.Views.Order(o.ID)
	switch {
	case !ok:
		return nil, nil
	case !same(o, &before.Order):
		return nil, reused()
	default:
		return a.placed(http.StatusCreated, before), nil
	}
}

func same(a, b *order.Order) bool {
	return a.Flavour == b.Flavour && a.Size == b.Size && a.Quantity == b.Quantity
}

func reused() *Problem {
	return problem(keyReused, http.StatusUnprocessableEntity, "This Idempotency-Key was used for something else: choose a new key for a new command.")
}

func (a *api) placed(status int, o views.Order) *placeOutput {
	return &placeOutput{status, location(o.ID), placed{o.ID, "Your order has been received.", o.PlacedOn, a.order(o)}}
}

func location(id string) string { return "/api/v1/order/" + id }

func invalidFields(errs []order.FieldError) *Problem {
	p := problem(invalid, http.StatusUnprocessableEntity, "The order cannot be made as it is: see errors, and GET /api/v1/menu for what there is.")
	for _, e := range errs {
		p.Errors = append(p.Errors, &huma.ErrorDetail{Message: e.Message, Location: "body.Order." + e.Field, Value: e.Value})
	}
	return p
}

// reportInput is a command about an order at a stage. The order's fields differ
// from stage to stage (MixedBy, BakedBy, …) and are matched without regard to
// case; reportSchema says which there are.
type reportInput struct {
	Idempotency
	Body struct {
		Order      map[string]any `json:"Order"`
		Reason     string         `json:"Reason"`
		ReportedBy string         `json:"ReportedBy"`
		By         string         `json:"By"`
	}
}

func (in *reportInput) field(name string) string {
	for k, v := range in.Body.Order {
		if s, ok := v.(string); ok && strings.EqualFold(k, name) {
			return strings.TrimSpace(s)
		}
	}
	return ""
}

func text(limit int, description string) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, MaxLength: &limit, Description: description}
}

// reportSchema is what the body of a command holds, for the document and for
// the check.
func reportSchema(fields map[string]*huma.Schema, more map[string]*huma.Schema, required ...string) *huma.RequestBody {
	fields["Id"] = text(order.MaxID, "The order's id.")
	o := &huma.Schema{Type: huma.TypeObject, Properties: fields, Required: []string{"Id"}, AdditionalProperties: true}
	body := &huma.Schema{Type: huma.TypeObject, Properties: map[string]*huma.Schema{"Order": o}, Required: append(required, "Order"), AdditionalProperties: true}
	for name, s := range more {
		body.Properties[name] = s
	}
	o.PrecomputeMessages()
	body.PrecomputeMessages()
	return &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"application/json": {Schema: body}}}
}

func stepSchema(s topology.Stage) *huma.RequestBody {
	when := text(64, "When; now if absent.")
	when.Format = "date-time"
	return reportSchema(map[string]*huma.Schema{
		s.By(): text(order.MaxName, "Who did it; \""+s.Role+"\" if absent."),
		s.On(): when,
	}, nil)
}

func rejectSchema() *huma.RequestBody {
	return reportSchema(map[string]*huma.Schema{}, map[string]*huma.Schema{
		"Reason":     text(order.MaxReason, "Why the order cannot be made."),
		"ReportedBy": text(order.MaxName, "Who says so; the stage's role if absent."),
	}, "Reason")
}

func claimSchema() *huma.RequestBody {
	return reportSchema(map[string]*huma.Schema{}, map[string]*huma.Schema{"By": text(order.MaxName, "Who.")}, "By")
}

type orderOutput struct {
	Status   int
	Location string `header:"Location"`
	ETag     string `header:"ETag"`
	Body     Order
}

// finish is the command of stage i: its work on the order is done.
func (a *api) finish(ctx context.Context, i int, in *reportInput) (*orderOutput, error) {
	s := a.Line.Stages[i]
	r := order.Report{OrderID: in.field("Id"), Kind: order.KindComplete, By: or(in.field(s.By()), s.Role)}
	on, err := a.instant(in.field(s.On()), s.On())
	if err != nil {
		return nil, err
	}
	r.On = on
	return a.report(ctx, in.Idempotency, i, r)
}

// reject takes an order off the line, at the stage where it is.
func (a *api) reject(ctx context.Context, in *reportInput) (*orderOutput, error) {
	reason := strings.TrimSpace(in.Body.Reason)
	if reason == "" {
		p := problem(invalid, http.StatusUnprocessableEntity, "Say in Reason why the order cannot be made.")
		p.Errors = []*huma.ErrorDetail{{Message: "must not be empty", Location: "body.Reason", Value: in.Body.Reason}}
		return nil, p
	}
	return a.report(ctx, in.Idempotency, -1, order.Report{
		OrderID: in.field("Id"), Kind: order.KindReject, By: strings.TrimSpace(in.Body.ReportedBy), Reason: reason, On: a.now(),
	})
}

// claim takes an order on for a person, or again, at the stage where it is, so
// that nobody else can finish it there until the claim lapses.
func (a *api) claim(ctx context.Context, in *reportInput) (*orderOutput, error) {
	return a.named(ctx, in, order.KindClaim)
}

// release gives an order back that the person has claimed, or that nobody has.
func (a *api) release(ctx context.Context, in *reportInput) (*orderOutput, error) {
	return a.named(ctx, in, order.KindRelease)
}

func (a *api) named(ctx context.Context, in *reportInput, kind order.Kind) (*orderOutput, error) {
	by, err := in.by()
	if err != nil {
		return nil, err
	}
	return a.report(ctx, in.Idempotency, -1, a.hold(kind, in.field("Id"), by))
}

// hold is a report that somebody takes an order on, or gives it back.
func (a *api) hold(kind order.Kind, id, by string) order.Report {
	r := order.Report{OrderID: id, Kind: kind, By: by, On: a.now()}
	if kind == order.KindClaim {
		r.Until = r.On.Add(a.ClaimTTL)
	}
	return r
}

// by is who gives a command that needs a name.
func (in *reportInput) by() (string, error) {
	by := strings.TrimSpace(in.Body.By)
	if by == "" {
		p := problem(invalid, http.StatusUnprocessableEntity, "Say in By who it is.")
		p.Errors = []*huma.ErrorDetail{{Message: "must not be empty", Location: "body.By", Value: in.Body.By}}
		return "", p
	}
	return by, nil
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// instant reads a time that the client may have sent. One that lies ahead of
// our clock is taken for now.
func (a *api) instant(s, field string) (time.Time, error) {
	now := a.now()
	if s == "" {
		return now, nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil || t.Year() < 1970 {
		p := problem(invalid, http.StatusUnprocessableEntity, "Give %s as in 2026-11-25T09:30:00Z, or leave it out.", field)
		p.Errors = []*huma.ErrorDetail{{Message: "not a time in RFC 3339", Location: "body.Order." + field, Value: s}}
		return now, p
	}
	if t.After(now) {
		return now, nil
	}
	return t.UTC().Truncate(time.Millisecond), nil
}

// report sends what a person says about an order to stage i, or to the stage
// where the order is if i is -1, and answers with what became of it.
func (a *api) report(ctx context.Context, k Idempotency, i int, r order.Report) (*orderOutput, error) {
	if err := a.ready(); err != nil {
		return nil, err
	}
	r.ID = k.id()
	if k.Key != "" {
		r.Digest = digest(i, r)
		if known, ok := a.Views.Report(r.ID); ok {
			if known.OrderID != r.OrderID || known.Digest != r.Digest {
				return nil, reused()
			}
			o, _ := a.Views.Order(r.OrderID)
			return a.answer(known.Stage, known.Result, o)
		}
		if _, used := a.Views.Order(r.ID); used {
			return nil, reused()
		}
	}
	ctx, cancel := context.WithTimeout(ctx, a.Patience)
	defer cancel()
	i, err := a.turn(ctx, i, r.OrderID)
	if err != nil {
		return nil, err
	}
	r.By = or(r.By, a.Line.Stages[i].Role)
	value, err := codecs.EncodeReport(&r)
	if err != nil {
		return nil, err
	}
	watch := a.Views.AwaitReport(i, r.OrderID, r.ID)
	defer watch.Close()
	if err := a.send(ctx, a.Line.Stages[i].Reports(), r.OrderID, value); err != nil {
		return nil, err
	}
	outcome, o, err := watch.Outcome(ctx)
	if err != nil { // Durable, but nobody has decided it yet.
		o, _ = a.Views.Order(r.OrderID)
		return &orderOutput{Status: http.StatusAccepted, Location: location(r.OrderID), ETag: a.etag(o), Body: a.order(o)}, nil
	}
	return a.answer(i, outcome.Result, o)
}

// turn waits for an order that is on its way to stage i, and says no when it is
// not its turn. It returns the stage.
func (a *api) turn(ctx context.Context, i int, id string) (int, error) {
	o, ok := a.Views.Order(id)
	if !ok {
		return i, unknown(id)
	}
	if i < 0 {
		i = a.Views.Present(o)
	}
	if o.State != order.StateWaiting && i >= 0 && a.Views.Present(o) == i {
		arrived, err := a.Views.Await(ctx, id, func(o views.Order) bool { return o.At >= i })
		if err != nil {
			return i, problem(notReady, http.StatusServiceUnavailable, "The order is on its way to %s: try again.", a.Line.Stages[i].Name).about(a.order(o)).retry(time.Second)
		}
		o = arrived
	}
	if i < 0 || o.At != i || o.State != order.StateWaiting {
		return i, a.conflict(i, o)
	}
	return i, nil
}

// conflict says why stage i cannot do anything about the order.
func (a *api) conflict(i int, o views.Order) *Problem {
	p := a.order(o)
	switch {
	case o.State == order.StateRejected:
		last := o.History[len(o.History)-1]
		return problem(alreadyDone, http.StatusConflict, "The order was rejected at %s by %s: %s.", last.Stage, last.By, o.Reason).about(p)
	case i < 0 || i < len(o.History):
		last := o.History[max(0, min(i, len(o.History)-1))]
		return problem(alreadyDone, http.StatusConflict, "The order is past %s already: %s did it.", last.Stage, last.By).about(p)
	default:
		return problem(notItsTurn, http.StatusConflict, "The order is at %s and has not come to %s yet.", p.Stage, a.Line.Stages[i].Name).about(p)
	}
}

func (a *api) answer(i int, result order.Result, o views.Order) (*orderOutput, error) {
	switch result {
	case order.ResultAccepted:
		return &orderOutput{Status: http.StatusOK, ETag: a.etag(o), Body: a.order(o)}, nil
	case order.ResultTaken:
		return nil, problem(taken, http.StatusConflict, "%s is on this order.", or(o.Claim, "Somebody else")).about(a.order(o))
	default:
		return nil, a.conflict(i, o)
	}
}

func unknown(id string) *Problem {
	return problem(unknownOrder, http.StatusNotFound, "There is no order %.80q. If it was placed just now, ask again with the header Prefer: wait=3.", id)
}

// digest tells commands with the same key apart.
func digest(i int, r order.Report) string {
	h := sha256.Sum256(fmt.Appendf(nil, "%d|%s|%s|%q|%q", i, r.OrderID, r.Kind, r.By, r.Reason))
	return hex.EncodeToString(h[:8])
}

// send returns nil when the message is durable.
func (a *api) send(ctx context.Context, topic, key string, value []byte) error {
	ctx, cancel := context.WithTimeout(ctx, a.Patience)
	defer cancel()
	ctx, span := a.Trace.Start(ctx, key, "send to "+topic, tracing.Sends)
	defer span.End()
	err := a.Send(ctx, topic, key, value)
	if err == nil {
		return nil
	}
	span.SetStatus(tracing.Failed, "not acknowledged")
	if !errors.Is(err, context.Canceled) { // Who hung up is no fault of the broker.
		a.Log.Warn("a command was not acknowledged", "topic", topic, "error", err)
	}
	return problem(noBroker, http.StatusServiceUnavailable,
		"The broker has not acknowledged it; it may still be carried out. Try again, with the same Idempotency-Key so that it is not done twice.").retry(2 * time.Second)
}

// ready refuses to answer from views that do not know everything yet.
func (a *api) ready() error {
	var e *views.NotReadyError
	if errors.As(a.Views.Ready(), &e) {
		return problem(notReady, http.StatusServiceUnavailable, "The orders are still being read, %d %% are done: try again.", e.Percent).retry(time.Second)
	}
	return nil
}
