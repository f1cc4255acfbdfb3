package api

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/ecupcakes/ecupcakes/commands"
	"github.com/ecupcakes/ecupcakes/order"
	"github.com/ecupcakes/ecupcakes/present"
	"github.com/ecupcakes/ecupcakes/topology"

	"github.com/danielgtaylor/huma/v2"
)

// Idempotency is the header that makes a command repeatable: the order's or
// report's id is derived from it.
type Idempotency struct {
	Key string `header:"Idempotency-Key" maxLength:"128" doc:"Makes the command idempotent: a retry with the same key and body returns the same result."`
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
	CorrelationID  string        `json:"correlationId"`
	Acknowledgment string        `json:"acknowledgment"`
	CreatedOn      time.Time     `json:"createdOn"`
	Order          present.Order `json:"order"`
}

// place answers 201 once the order is durable.
func (a *api) place(ctx context.Context, in *placeInput) (*placeOutput, error) {
	wanted := in.Body.Order
	out, err := a.Commands.Place(ctx, commands.Place{
		Key: in.Key, Flavour: wanted.Flavour, Size: string(wanted.Size), Quantity: wanted.Quantity,
	})
	return a.placed(out, err, "Your order has been received.")
}

// remake places a rejected order once more.
func (a *api) remake(ctx context.Context, in *reportInput) (*placeOutput, error) {
	out, err := a.Commands.Remake(ctx, commands.Remake{OrderID: in.field("Id"), By: in.by()})
	return a.placed(out, err, "The order has been placed again.")
}

func (a *api) placed(out commands.Outcome, err error, acknowledgment string) (*placeOutput, error) {
	if err != nil {
		return nil, a.refused(err)
	}
	status := http.StatusCreated
	if out.Pending {
		status = http.StatusAccepted
	}
	o := out.Order
	return &placeOutput{status, location(o.ID), placed{o.ID, acknowledgment, o.PlacedOn, a.order(o)}}, nil
}

func location(id string) string { return "/api/v1/order/" + id }

// reportInput is the body of a command about an order at a stage. The fields of
// the order differ from stage to stage (MixedBy, BakedBy, …) and are matched
// without regard to case; reportSchema lists them.
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

// by is the person who gives a command that needs a name.
func (in *reportInput) by() string { return strings.TrimSpace(in.Body.By) }

func text(limit int, description string) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, MaxLength: &limit, Description: description}
}

// reportSchema returns the schema of a command's body, for the OpenAPI document
// and for validation.
func reportSchema(fields map[string]*huma.Schema, more map[string]*huma.Schema, required ...string) *huma.RequestBody {
	fields["Id"] = text(order.MaxID, "The order's id.")
	o := &huma.Schema{Type: huma.TypeObject, Properties: fields, Required: []string{"Id"}, AdditionalProperties: true}
	body := &huma.Schema{
		Type: huma.TypeObject, Properties: map[string]*huma.Schema{"Order": o},
		Required: append(required, "Order"), AdditionalProperties: true,
	}
	for name, s := range more {
		body.Properties[name] = s
	}
	o.PrecomputeMessages()
	body.PrecomputeMessages()
	return &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"application/json": {Schema: body}}}
}

func stepSchema(s topology.Stage) *huma.RequestBody {
	when := text(64, "When it was done; now if absent.")
	when.Format = "date-time"
	return reportSchema(map[string]*huma.Schema{
		s.By(): text(order.MaxName, "Person who did it; \""+s.Role+"\" if absent."),
		s.On(): when,
	}, nil)
}

func rejectSchema() *huma.RequestBody {
	return reportSchema(map[string]*huma.Schema{}, map[string]*huma.Schema{
		"Reason":     text(order.MaxReason, "Why the order cannot be made."),
		"ReportedBy": text(order.MaxName, "Person who rejects it; the stage's role if absent."),
	}, "Reason")
}

func claimSchema() *huma.RequestBody {
	return reportSchema(map[string]*huma.Schema{}, map[string]*huma.Schema{"By": text(order.MaxName, "Person who gives the command.")}, "By")
}

type orderOutput struct {
	Status   int
	Location string `header:"Location"`
	ETag     string `header:"ETag"`
	Body     present.Order
}

// finish is the command of a stage: its work on the order is done.
func (a *api) finish(ctx context.Context, stage int, in *reportInput) (*orderOutput, error) {
	s := a.Line.Stages[stage]
	on, err := instant(in.field(s.On()), s.On())
	if err != nil {
		return nil, err
	}
	return a.reported(a.Commands.Finish(ctx, commands.Finish{
		Key: in.Key, Stage: stage, OrderID: in.field("Id"), By: in.field(s.By()), On: on,
	}))
}

// reject takes an order off the line, at the stage where it is.
func (a *api) reject(ctx context.Context, in *reportInput) (*orderOutput, error) {
	return a.reported(a.Commands.Reject(ctx, commands.Reject{
		Key: in.Key, OrderID: in.field("Id"), By: strings.TrimSpace(in.Body.ReportedBy), Reason: strings.TrimSpace(in.Body.Reason),
	}))
}

// claim reserves an order for a person, at the stage where it is.
func (a *api) claim(ctx context.Context, in *reportInput) (*orderOutput, error) {
	return a.reported(a.Commands.Claim(ctx, in.hold()))
}

// release ends the claim of a person.
func (a *api) release(ctx context.Context, in *reportInput) (*orderOutput, error) {
	return a.reported(a.Commands.Release(ctx, in.hold()))
}

func (in *reportInput) hold() commands.Hold {
	return commands.Hold{Key: in.Key, OrderID: in.field("Id"), By: in.by()}
}

// reported answers 200 when the stage has decided about a report, and 202 while
// it has not.
func (a *api) reported(out commands.Outcome, err error) (*orderOutput, error) {
	if err != nil {
		return nil, a.refused(err)
	}
	o := &orderOutput{Status: http.StatusOK, ETag: a.etag(out.Order), Body: a.order(out.Order)}
	if out.Pending {
		o.Status, o.Location = http.StatusAccepted, location(out.Order.ID)
	}
	return o, nil
}

// instant parses a time that the client may have sent; zero if it has not.
func instant(s, field string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil || t.Year() < 1970 {
		p := problem(string(commands.Invalid), http.StatusUnprocessableEntity, "Give %s as in 2026-11-25T09:30:00Z, or leave it out.", field)
		p.Errors = []*huma.ErrorDetail{{Message: "not a time in RFC 3339", Location: "body.Order." + field, Value: s}}
		return time.Time{}, p
	}
	return t, nil
}
