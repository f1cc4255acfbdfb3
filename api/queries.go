package api

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/ecupcakes/ecupcakes/commands"
	"github.com/ecupcakes/ecupcakes/order"
	"github.com/ecupcakes/ecupcakes/present"
	"github.com/ecupcakes/ecupcakes/views"
)

// maxWait bounds how long a request may wait for a change.
const maxWait = 30 * time.Second

type getInput struct {
	ID          string `path:"id" maxLength:"64" doc:"ID of the order."`
	Prefer      string `header:"Prefer" example:"wait=3" doc:"wait=n waits up to n seconds, at most 30, for the order to appear or, with If-None-Match, to change."`
	Wait        int    `query:"wait" minimum:"0" maximum:"30" doc:"The same as Prefer: wait=n."`
	IfNoneMatch string `header:"If-None-Match" doc:"ETag that the client has."`
}

var preferWait = regexp.MustCompile(`(?i)\bwait=(\d{1,4})\b`)

func (in *getInput) wait() time.Duration {
	if preferWait.MatchString(in.Prefer) {
		return preferredWait(in.Prefer)
	}
	return min(time.Duration(in.Wait)*time.Second, maxWait)
}

// preferredWait returns the wait of a Prefer header; 0 if it names none.
func preferredWait(prefer string) time.Duration {
	seconds := 0
	if m := preferWait.FindStringSubmatch(prefer); m != nil {
		seconds, _ = strconv.Atoi(m[1]) // One to four digits are always a number.
	}
	return min(time.Duration(seconds)*time.Second, maxWait)
}

type getOutput struct {
	Status       int
	ETag         string `header:"ETag"`
	CacheControl string `header:"Cache-Control"`
	Body         present.Order
}

func (a *api) get(ctx context.Context, in *getInput) (*getOutput, error) {
	if err := a.ready(); err != nil {
		return nil, err
	}
	o, ok := a.Views.Order(in.ID)
	if wait := in.wait(); wait > 0 {
		ctx, cancel := a.patient(ctx, wait)
		defer cancel()
		if !ok {
			var err error
			o, err = a.Views.Await(ctx, in.ID, func(views.Order) bool { return true })
			ok = err == nil
		}
		for ok && matches(in.IfNoneMatch, a.etag(o)) && ctx.Err() == nil {
			a.change(ctx, o)
			o, ok = a.Views.Order(in.ID)
		}
	}
	if !ok {
		return nil, a.refused(commands.Unknown(in.ID))
	}
	etag := a.etag(o)
	if matches(in.IfNoneMatch, etag) {
		return &getOutput{Status: http.StatusNotModified, ETag: etag, CacheControl: "no-cache"}, nil
	}
	return &getOutput{http.StatusOK, etag, "no-cache", a.order(o)}, nil
}

// patient returns a context that ends after wait, or when the program stops. It
// has ended already if too many requests wait.
func (a *api) patient(ctx context.Context, wait time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	select {
	case a.waits <- struct{}{}:
		stop := context.AfterFunc(a.Stopping, cancel)
		return ctx, func() { stop(); cancel(); <-a.waits }
	default:
		cancel()
		return ctx, cancel
	}
}

// change blocks until the ETag of the order changes, its claim expires, or ctx
// ends.
func (a *api) change(ctx context.Context, o views.Order) {
	id, etag := o.ID, a.etag(o)
	if o.State == order.StateRejected { // Only its replacement can still happen.
		id, etag = order.RemakeID(id), ""
	}
	if !o.Until.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, o.Until)
		defer cancel()
	}
	_, _ = a.Views.Await(ctx, id, func(o views.Order) bool { return a.etag(o) != etag }) // The caller then reads the order again.
}

func matches(ifNoneMatch, etag string) bool {
	for tag := range strings.SplitSeq(ifNoneMatch, ",") {
		if tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/"); tag == etag || tag == "*" {
			return true
		}
	}
	return false
}

type listInput struct {
	Status string `query:"status" maxLength:"64" doc:"Only orders with this status."`
	Stage  string `query:"stage" maxLength:"64" doc:"Only orders that wait at this stage or are on their way to it."`
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
	Cursor string `query:"cursor" maxLength:"256" doc:"Value of next in the previous page."`
}

type listOutput struct {
	Body struct {
		Orders []present.Order `json:"orders" nullable:"false" doc:"Newest first."`
		Next   string          `json:"next,omitempty" doc:"Cursor of the next page; absent on the last page."`
	}
}

func (a *api) list(_ context.Context, in *listInput) (*listOutput, error) {
	if err := a.ready(); err != nil {
		return nil, err
	}
	f := views.Filter{Status: order.Status(in.Status)}
	if in.Stage != "" {
		i := a.Line.Index(in.Stage)
		if i < 0 {
			return nil, a.noStage(http.StatusUnprocessableEntity, in.Stage)
		}
		f.Stage = &i
	}
	from, err := parseCursor(in.Cursor)
	if err != nil {
		return nil, badCursor()
	}
	orders, next, more := a.Views.Latest(f, from, in.Limit)
	out := &listOutput{}
	out.Body.Orders = make([]present.Order, len(orders))
	for i, o := range orders {
		out.Body.Orders[i] = a.order(o)
	}
	if more {
		out.Body.Next = formatCursor(next)
	}
	return out, nil
}

func badCursor() *Problem {
	return problem(invalid, http.StatusUnprocessableEntity, "The cursor is not one that this API returned: start again without it.")
}

func formatCursor(c views.Cursor) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d %s", c.Placed.UnixMilli(), c.ID))
}

func parseCursor(s string) (c views.Cursor, err error) {
	if s == "" {
		return c, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return c, fmt.Errorf("decoding the cursor: %w", err)
	}
	placed, id, _ := strings.Cut(string(b), " ")
	ms, err := strconv.ParseInt(placed, 10, 64)
	if err != nil || !order.ValidID(id) {
		return c, fmt.Errorf("the cursor %q was not made here", b)
	}
	return views.Cursor{Placed: time.UnixMilli(ms).UTC(), ID: id}, nil
}

// Station is a stage of the line as clients see it.
type Station struct {
	Stage           string     `json:"stage"`
	Role            string     `json:"role" doc:"Role of the people who work there."`
	Verb            string     `json:"verb" doc:"Command that finishes an order there: POST /api/v1/order/{verb}."`
	Action          string     `json:"action" doc:"Label of the button."`
	Done            string     `json:"done" doc:"Status of an order that the stage has finished."`
	Page            string     `json:"page" doc:"Page of the stage in the web client."`
	Topic           string     `json:"topic" doc:"Topic that a screen of the stage names to the hub."`
	Event           string     `json:"event" doc:"Hub event that announces an arriving order."`
	Waiting         int        `json:"waiting"`
	OldestArrivedOn *time.Time `json:"oldestArrivedOn,omitempty" doc:"Arrival of the order that has waited longest; absent if none waits."`
	BehindSeconds   int        `json:"behindSeconds" doc:"How far this answer may lag behind what was sent; 0 is live."`
	BehindBecause   string     `json:"behindBecause,omitempty" enum:"broker,processors,view" doc:"Cause of the lag."`
	BehindAt        string     `json:"behindAt,omitempty" doc:"Stage that causes the lag."`
	WarnSeconds     int        `json:"warnSeconds" doc:"Age from which a waiting order should be hurried, in seconds."`
	LateSeconds     int        `json:"lateSeconds" doc:"Age from which a waiting order is late, in seconds."`
}

type stationsOutput struct {
	Body struct {
		Stations []Station      `json:"stations" nullable:"false" doc:"In the order of the line."`
		Finished map[string]int `json:"finished" doc:"Number of orders that have left the line, by status."`
	}
}

func (a *api) stations(context.Context, *struct{}) (*stationsOutput, error) {
	if err := a.ready(); err != nil {
		return nil, err
	}
	now, counts := a.Views.Stations()
	out := &stationsOutput{}
	for i, s := range a.Line.Stages {
		station := Station{
			Stage: s.Name, Role: s.Role, Verb: s.Verb, Action: s.Label, Done: string(s.Done), Page: s.Page,
			Topic: s.Input, Event: s.Event, Waiting: now[i].Waiting,
			WarnSeconds: int(s.Age.Warn.Seconds()), LateSeconds: int(s.Age.Late.Seconds()),
		}
		fresh := a.Fresh(i)
		station.BehindSeconds, station.BehindBecause, station.BehindAt = int(fresh.Behind.Seconds()), string(fresh.Cause), fresh.Stage
		if now[i].Waiting > 0 {
			station.OldestArrivedOn = &now[i].Oldest
		}
		out.Body.Stations = append(out.Body.Stations, station)
	}
	last := a.Line.Stages[len(a.Line.Stages)-1].Done
	out.Body.Finished = map[string]int{string(last): counts[last], string(order.StatusRejected): counts[order.StatusRejected]}
	return out, nil
}

type queueInput struct {
	Stage string `path:"stage" maxLength:"64"`
	Limit int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}

type queueOutput struct {
	Body struct {
		Waiting int             `json:"waiting" doc:"Number of orders that wait there, beyond limit too."`
		Orders  []present.Order `json:"orders" nullable:"false" doc:"Oldest first."`
	}
}

func (a *api) queue(_ context.Context, in *queueInput) (*queueOutput, error) {
	if err := a.ready(); err != nil {
		return nil, err
	}
	i := a.Line.Index(in.Stage)
	if i < 0 {
		return nil, a.noStage(http.StatusNotFound, in.Stage)
	}
	orders, count, _ := a.Views.Waiting(i, in.Limit)
	out := &queueOutput{}
	out.Body.Waiting, out.Body.Orders = count, make([]present.Order, len(orders))
	for k, o := range orders {
		out.Body.Orders[k] = a.order(o)
	}
	return out, nil
}

func (a *api) noStage(status int, name string) *Problem {
	return problem("unknown-stage", status, "There is no stage %.80q: the line has %s.", name, strings.Join(a.Line.Names(), ", "))
}

// Menu is the menu as clients see it.
type Menu struct {
	Flavours    []Flavour `json:"flavours" nullable:"false"`
	Sizes       []string  `json:"sizes" nullable:"false" doc:"Smallest first."`
	MaxQuantity int       `json:"maxQuantity"`
}

// Flavour is a flavour of the menu as clients see it.
type Flavour struct {
	Name        string   `json:"name"`
	Ingredients []string `json:"ingredients" nullable:"false" doc:"Ingredients of the flavour."`
	SoldOut     bool     `json:"soldOut" doc:"An ingredient has run out, so the flavour cannot be ordered."`
	Missing     []string `json:"missing,omitempty" doc:"The ingredients that have run out."`
}

type menuInput struct {
	Prefer      string `header:"Prefer" example:"wait=3" doc:"With If-None-Match, wait=n waits up to n seconds, at most 30, for the menu to change."`
	IfNoneMatch string `header:"If-None-Match" doc:"ETag that the client has."`
}

type menuOutput struct {
	Status       int
	ETag         string `header:"ETag"`
	CacheControl string `header:"Cache-Control"`
	Body         Menu
}

func (a *api) menu(ctx context.Context, in *menuInput) (*menuOutput, error) {
	ctx, cancel := a.patient(ctx, preferredWait(in.Prefer))
	defer cancel()
	for {
		changed := a.Stock.Changed()
		menu, etag := a.offer()
		if !matches(in.IfNoneMatch, etag) {
			return &menuOutput{http.StatusOK, etag, "no-cache", menu}, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return &menuOutput{Status: http.StatusNotModified, ETag: etag, CacheControl: "no-cache"}, nil
		}
	}
}

// offer returns the present menu and its ETag, which is the same for the same
// menu on every instance.
func (a *api) offer() (Menu, string) {
	m := Menu{Sizes: a.Menu.Sizes, MaxQuantity: a.Menu.MaxQuantity}
	for _, f := range a.Menu.Flavours {
		missing := a.Stock.Missing(f)
		m.Flavours = append(m.Flavours, Flavour{f, append([]string{}, a.Menu.Ingredients[f]...), missing != nil, missing})
	}
	hash := sha256.Sum256(fmt.Append(nil, m))
	return m, fmt.Sprintf(`"%x"`, hash[:8])
}
