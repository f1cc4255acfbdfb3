package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/ecupcakes/ecupcakes/commands"
	"github.com/ecupcakes/ecupcakes/present"
	"github.com/ecupcakes/ecupcakes/views"

	"github.com/danielgtaylor/huma/v2"
)

// Problem is the body of every error (RFC 9457). Type is stable and meant for
// programs; Detail is for people and says what to do.
type Problem struct {
	Type   string              `json:"type" format:"uri" example:"urn:ecupcakes:problem:unknown-order"`
	Title  string              `json:"title"`
	Status int                 `json:"status"`
	Detail string              `json:"detail"`
	Errors []*huma.ErrorDetail `json:"errors,omitempty" doc:"One entry for each invalid field."`
	Order  *present.Order      `json:"order,omitempty" doc:"The order in its present state, if that state is the problem."`

	headers http.Header
}

// The types of problems that are not codes of commands.
const (
	invalid       = string(commands.Invalid)
	alreadyDone   = string(commands.AlreadyDone)
	notReady      = string(commands.NotReady)
	noBroker      = string(commands.BrokerUnavailable)
	tooManyAtOnce = string(commands.TooManyAtOnce)
)

// statuses are the HTTP statuses of refused commands.
var statuses = map[commands.Code]int{
	commands.Invalid:           http.StatusUnprocessableEntity,
	commands.KeyReused:         http.StatusUnprocessableEntity,
	commands.UnknownOrder:      http.StatusNotFound,
	commands.NotItsTurn:        http.StatusConflict,
	commands.AlreadyDone:       http.StatusConflict,
	commands.Taken:             http.StatusConflict,
	commands.NotRejected:       http.StatusConflict,
	commands.SoldOut:           http.StatusConflict,
	commands.NotReady:          http.StatusServiceUnavailable,
	commands.BrokerUnavailable: http.StatusServiceUnavailable,
	commands.TooManyAtOnce:     http.StatusServiceUnavailable,
}

// refused turns the error of a command, or a question, into a problem. An error
// that is not one of commands is for the log, and huma answers 500.
func (a *api) refused(err error) error {
	var e *commands.Error
	if !errors.As(err, &e) {
		return err
	}
	p := problem(string(e.Code), statuses[e.Code], "%s", e.Message)
	for _, f := range e.Fields {
		p.Errors = append(p.Errors, &huma.ErrorDetail{Message: f.Message, Location: "body." + f.Field, Value: f.Value})
	}
	if e.Order != nil {
		p = p.about(a.order(*e.Order))
	}
	if e.RetryAfter > 0 {
		p = p.retry(e.RetryAfter)
	}
	return p
}

// ready refuses to answer from views that have not caught up.
func (a *api) ready() error {
	var e *views.NotReadyError
	if errors.As(a.Views.Ready(), &e) {
		return a.refused(commands.NotReadyYet(e))
	}
	return nil
}

func problem(kind string, status int, format string, args ...any) *Problem {
	return &Problem{
		Type: "urn:ecupcakes:problem:" + kind, Title: http.StatusText(status), Status: status,
		Detail: fmt.Sprintf(format, args...),
	}
}

// busy returns the problem of a request beyond a bound on concurrent requests.
func busy() *Problem {
	return problem(tooManyAtOnce, http.StatusServiceUnavailable,
		"Too many requests of this kind are being carried out: try again.").retry(time.Second)
}

// broken returns the problem of an internal error. Only the log has the details.
func broken() *Problem {
	return problem("internal", http.StatusInternalServerError, "Something went wrong here; try again, and tell the factory if it stays.")
}

// about adds the order whose state is the problem.
func (p *Problem) about(o present.Order) *Problem {
	p.Order = &o
	return p
}

// retry sets Retry-After, in whole seconds, at least one.
func (p *Problem) retry(after time.Duration) *Problem {
	p.headers = http.Header{"Retry-After": {strconv.Itoa(max(1, int(after.Seconds())))}}
	return p
}

func (p *Problem) Error() string { return p.Detail }

// GetStatus implements huma.StatusError.
func (p *Problem) GetStatus() int { return p.Status }

// GetHeaders implements huma.HeadersError.
func (p *Problem) GetHeaders() http.Header { return p.headers }

// ContentType implements huma.ContentTypeFilter.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// write sends the problem outside huma's handlers.
func (p *Problem) write(w http.ResponseWriter) {
	for k, v := range p.GetHeaders() {
		w.Header()[k] = v
	}
	w.Header().Set("Content-Type", p.ContentType(""))
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // The error means that the client has hung up.
}

// statusTypes are the types of the problems that huma itself raises.
var statusTypes = map[int]string{
	http.StatusBadRequest:            "malformed",
	http.StatusNotFound:              "not-found",
	http.StatusMethodNotAllowed:      "method-not-allowed",
	http.StatusNotAcceptable:         "not-acceptable",
	http.StatusRequestTimeout:        "too-slow",
	http.StatusRequestEntityTooLarge: "too-large",
	http.StatusUnsupportedMediaType:  "unsupported-media-type",
	http.StatusUnprocessableEntity:   invalid,
}

// huma.NewError is one variable for the whole program: setting it in New would
// race with the requests of another API.
func init() { huma.NewError = newProblem }

// newProblem gives huma's own errors the form of a Problem. It hides the details
// of internal errors from clients.
func newProblem(status int, msg string, errs ...error) huma.StatusError {
	kind := statusTypes[status]
	if status >= http.StatusInternalServerError || kind == "" {
		kind, msg, errs = "internal", "Something went wrong here; try again, and tell the factory if it stays.", nil
	}
	switch status {
	case http.StatusUnsupportedMediaType:
		msg, errs = "Send the body as JSON, with the header Content-Type: application/json.", nil
	case http.StatusRequestEntityTooLarge:
		msg = fmt.Sprintf("The body is longer than %d bytes: an order needs a few hundred.", maxBody)
	case http.StatusUnprocessableEntity, http.StatusBadRequest:
		msg = "The request cannot be understood: see errors, and /docs for what is expected."
	}
	p := problem(kind, status, "%s", msg)
	for _, e := range errs {
		if d, ok := e.(huma.ErrorDetailer); ok {
			p.Errors = append(p.Errors, d.ErrorDetail())
		} else if e != nil {
			p.Errors = append(p.Errors, &huma.ErrorDetail{Message: e.Error()})
		}
	}
	return p
}
