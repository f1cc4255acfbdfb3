package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ecupcakes/ecupcakes/api"
	"github.com/ecupcakes/ecupcakes/commands"
	"github.com/ecupcakes/ecupcakes/hub"
	"github.com/ecupcakes/ecupcakes/kafka"
	"github.com/ecupcakes/ecupcakes/order"
	"github.com/ecupcakes/ecupcakes/present"
	"github.com/ecupcakes/ecupcakes/views"

	"github.com/prometheus/client_golang/prometheus"
)

func TestAPI(t *testing.T) {
	f := open(t)
	for name, test := range map[string]func(*testing.T, *factory){
		"placing": testPlacing, "sold out": testSoldOut, "bad fields": testBadFields, "the line": testLine, "shapes": testShapes, "out of turn": testOutOfTurn,
		"rejecting": testRejecting, "bad requests": testBadRequests, "keys of orders": testKeysOfOrders, "keys of reports": testKeysOfReports,
		"claiming": testClaiming, "claims lapse": testClaimsLapse, "calls": testCalls,
		"stats": testStats, "remake": testRemake, "waiting for a change": testWaitingForAChange, "waits end with the program": testWaitsEndWithTheProgram,
		"ETag": testETag, "waiting for an order": testWaitingForAnOrder, "paging": testPaging, "times of steps": testTimesOfSteps,
		"other sites": testOtherSites, "operators": testOperators, "docs": testDocs, "without a stage": testWithoutStage, "without the broker": testWithoutBroker,
	} {
		t.Run(name, func(t *testing.T) { test(t, f) })
	}
}

func testPlacing(t *testing.T, f *factory) {
	for body, want := range map[string][3]any{
		strawberry: {"Strawberry", "M", 1},
		`{"order":{"flavour":"vanilla","quantity":100,"size":"xl"}}`:                          {"Vanilla", "XL", 100},
		`{"ORDER":{"FLAVOUR":"COFFEE","QUANTITY":7,"SIZE":0},"more":1}`:                       {"Coffee", "S", 7},
		`{"Order":{"Flavour":"Chocolate","Quantity":2,"Size":1,"Note":"no nuts"}}`:            {"Chocolate", "M", 2},
		`{"Order":{"Flavour":"Chocolate","Quantity":2,"Size":2}}`:                             {"Chocolate", "L", 2},
		`{"Order":{"Id":"mine","Status":"shipped","Flavour":"Coffee","Quantity":2,"Size":3}}`: {"Coffee", "XL", 2},
	} {
		a := call(t, 201, "POST", f.url+"/api/v1/order", body)
		p := decode[placed](t, a)
		o := p.Order
		if got := [3]any{o.Flavour, o.Size, o.Quantity}; got != want || o.Status != "placed" || o.Stage != "mixing" || o.State != "waiting" {
			t.Errorf("%s is placed as %+v", body, o)
		}
		if p.CorrelationID != o.ID || p.Acknowledgment == "" || !p.CreatedOn.Equal(o.PlacedOn) || o.PlacedOn.IsZero() {
			t.Errorf("the answer is %+v", p)
		}
		location := a.Header.Get("Location")
		if location != "/api/v1/order/"+p.CorrelationID {
			t.Errorf("the location is %q", location)
		}
		if seen := decode[present.Order](t, call(t, 200, "GET", f.url+location, "", "Prefer", "wait=30")); seen.Flavour != o.Flavour || !seen.PlacedOn.Equal(o.PlacedOn) {
			t.Errorf("the placed order is seen as %+v", seen)
		}
	}
}

// An ingredient runs out and comes back: the menu tells, orders are refused with
// the reason, and one that was taken on before stays so.
func testSoldOut(t *testing.T, f *factory) {
	path := f.url + "/api/v1/menu"
	stock := func(amount int) {
		t.Helper()
		value := fmt.Sprintf(`{"op":"u","after":"{\"_id\":\"cocoa\",\"stock\":%d}"}`, amount)
		if err := f.send(t.Context(), line.Ingredients, `{"id":"\"cocoa\""}`, []byte(value)); err != nil {
			t.Fatal(err)
		}
	}
	// next waits for another menu than the one with this ETag.
	next := func(etag string) (answer, map[string]api.Flavour) {
		t.Helper()
		a := call(t, 200, "GET", path, "", "If-None-Match", etag, "Prefer", "wait=30")
		flavours := map[string]api.Flavour{}
		for _, fl := range decode[api.Menu](t, a).Flavours {
			flavours[fl.Name] = fl
		}
		return a, flavours
	}
	all, flavours := next("")
	if len(flavours) != 4 || flavours["Chocolate"].SoldOut || !slices.Contains(flavours["Chocolate"].Ingredients, "cocoa") || all.Header.Get("Cache-Control") != "no-cache" {
		t.Fatalf("the menu is %s", all.body)
	}
	etag := all.Header.Get("ETag")
	call(t, 304, "GET", path, "", "If-None-Match", etag)
	const chocolate = `{"Order":{"Flavour":"chocolate","Quantity":1,"Size":"M"}}`
	before := decode[placed](t, call(t, 201, "POST", f.url+"/api/v1/order", chocolate, "Idempotency-Key", "before it ran out"))

	stock(0)
	a, flavours := next(etag)
	if c := flavours["Chocolate"]; !c.SoldOut || !slices.Equal(c.Missing, []string{"cocoa"}) || flavours["Vanilla"].SoldOut {
		t.Errorf("without cocoa the menu is %s", a.body)
	}
	if p := wantProblem(t, 409, "sold-out", "POST", f.url+"/api/v1/order", chocolate, "Idempotency-Key", "too late"); !strings.Contains(p.Detail, "Chocolate is sold out: there is no cocoa.") {
		t.Errorf("the reason is %q", p.Detail)
	}
	wantProblem(t, 409, "sold-out", "POST", f.url+"/api/v1/order", chocolate)
	call(t, 201, "POST", f.url+"/api/v1/order", strawberry)
	if again := decode[placed](t, call(t, 201, "POST", f.url+"/api/v1/order", chocolate, "Idempotency-Key", "before it ran out")); again.CorrelationID != before.CorrelationID {
		t.Errorf("repeated, the order is %s, and was %s", again.CorrelationID, before.CorrelationID)
	}

	stock(5)
	if a, flavours := next(a.Header.Get("ETag")); flavours["Chocolate"].SoldOut || a.Header.Get("ETag") != etag {
		t.Errorf("with cocoa again the menu is %s %s", a.Header.Get("ETag"), a.body)
	}
	call(t, 201, "POST", f.url+"/api/v1/order", chocolate, "Idempotency-Key", "too late")
}

func testBadFields(t *testing.T, f *factory) {
	const flavour, size, quantity = "body.Order.Flavour", "body.Order.Size", "body.Order.Quantity"
	for body, want := range map[string][]string{
		`{"Order":{"Flavour":"Mud","Quantity":0,"Size":"XXL"}}`: {flavour, size, quantity},
		`{"Order":{}}`: {flavour, size, quantity},
		`{"Order":{"Flavour":"Mud","Quantity":1,"Size":"M"}}`:         {flavour},
		`{"Order":{"Flavour":"Vanilla","Quantity":101,"Size":"M"}}`:   {quantity},
		`{"Order":{"Flavour":"Vanilla","Quantity":-1,"Size":"M"}}`:    {quantity},
		`{"Order":{"Flavour":"Vanilla","Quantity":1,"Size":4}}`:       {size},
		`{"Order":{"Flavour":"Vanilla","Quantity":1,"Size":-1}}`:      {size},
		`{"Order":{"Flavour":"Vanilla","Quantity":"two","Size":"M"}}`: {quantity},
		`{"Order":{"Flavour":"Vanilla","Quantity":1.5,"Size":"M"}}`:   {quantity},
	} {
		p := wantProblem(t, 422, "invalid", "POST", f.url+"/api/v1/order", body)
		var at []string
		for _, e := range p.Errors {
			at = append(at, e.Location)
			if e.Message == "" {
				t.Errorf("%s: nothing is said about %s", body, e.Location)
			}
		}
		if !slices.Equal(at, want) {
			t.Errorf("%s is wrong at %v, want %v", body, at, want)
		}
	}
}

func testLine(t *testing.T, _ *factory) {
	f := open(t) // What it counts must not be moved by others.
	type station struct{ Stage, Role, Verb, Action, Done, Page, Topic, Event string }
	type stations struct {
		Stations []struct {
			station
			Waiting         int
			OldestArrivedOn *time.Time
		}
		Finished map[string]int
	}
	look := func() stations { return decode[stations](t, call(t, 200, "GET", f.url+"/api/v1/stations", "")) }
	before, id := look(), f.place(t)
	for i, s := range line.Stages {
		now := look()
		if want := (station{s.Name, s.Role, s.Verb, s.Label, string(s.Done), s.Page, s.Input, s.Event}); now.Stations[i].station != want {
			t.Errorf("station %d is %+v, want %+v", i, now.Stations[i].station, want)
		}
		if now.Stations[i].Waiting != before.Stations[i].Waiting+1 || now.Stations[i].OldestArrivedOn == nil {
			t.Errorf("at %s %d wait since %v, before there were %d", s.Name, now.Stations[i].Waiting, now.Stations[i].OldestArrivedOn, before.Stations[i].Waiting)
		}
		q := decode[queue](t, call(t, 200, "GET", f.url+"/api/v1/stations/"+s.Name+"/orders", ""))
		if last := q.Orders[len(q.Orders)-1]; q.Waiting != len(q.Orders) || last.ID != id || last.ArrivedOn == nil {
			t.Errorf("%s has the queue %+v", s.Name, q)
		}
		a := f.report(t, 200, s.Verb, id, "Ana")
		o := decode[present.Order](t, a)
		if step := o.History[len(o.History)-1]; len(o.History) != i+1 || step.Stage != s.Name || step.By != "Ana" || o.Status != string(s.Done) || a.Header.Get("ETag") == "" {
			t.Errorf("after %s the order is %+v", s.Verb, o)
		}
		if i+1 < len(line.Stages) {
			next := line.Stages[i+1].Name
			if o.Stage != next {
				t.Errorf("after %s the order is at %q, want %s", s.Verb, o.Stage, next)
			}
			f.arrived(t, id, next)
		}
	}
	o := decode[present.Order](t, call(t, 200, "GET", f.url+"/api/v1/order/"+id, ""))
	if o.Stage != "" || o.State != "done" || o.Status != "shipped" || o.ArrivedOn != nil {
		t.Errorf("the shipped order is %+v", o)
	}
	if after := look(); after.Finished["shipped"] != before.Finished["shipped"]+1 || after.Finished["rejected"] != before.Finished["rejected"] {
		t.Errorf("finished are %v, before they were %v", after.Finished, before.Finished)
	}
}

// arrived waits until an order waits at a station.
func (f *factory) arrived(t *testing.T, id, stage string) {
	t.Helper()
	eventually(t, id+" is at "+stage, func() bool {
		o := decode[present.Order](t, call(t, 200, "GET", f.url+"/api/v1/order/"+id, ""))
		return o.Stage == stage && o.State == "waiting"
	})
}

// The names in answers are the contract with clients of other languages.
func testShapes(t *testing.T, f *factory) {
	names := func(m map[string]any) (names []string) {
		for k := range m {
			names = append(names, k)
		}
		slices.Sort(names)
		return names
	}
	want := func(what string, got map[string]any, want ...string) {
		t.Helper()
		if !slices.Equal(names(got), want) {
			t.Errorf("%s has the fields %v, want %v", what, names(got), want)
		}
	}
	get := func(path string) map[string]any {
		t.Helper()
		return decode[map[string]any](t, call(t, 200, "GET", f.url+path, ""))
	}
	id := f.place(t)
	mixed := decode[map[string]any](t, f.report(t, 200, "mix", id, "Ana"))
	want("a step", mixed["history"].([]any)[0].(map[string]any), "arrivedOn", "by", "on", "seconds", "stage")
	f.arrived(t, id, "baking")
	o := get("/api/v1/order/" + id)
	want("an order", o, "arrivedOn", "flavour", "history", "id", "placedOn", "quantity", "size", "stage", "state", "status")
	if when := o["placedOn"].(string); !regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?Z$`).MatchString(when) {
		t.Errorf("placedOn is %q, want UTC with milliseconds", when)
	}
	want("stations", get("/api/v1/stations"), "finished", "stations")
	want("a station", get("/api/v1/stations")["stations"].([]any)[1].(map[string]any),
		"action", "behindSeconds", "done", "event", "lateSeconds", "oldestArrivedOn", "page", "role", "stage", "topic", "verb", "waiting", "warnSeconds")
	want("a queue", get("/api/v1/stations/baking/orders"), "orders", "waiting")
	f.place(t)
	want("a page", get("/api/v1/orders?limit=1"), "next", "orders")
	menu := get("/api/v1/menu")
	want("the menu", menu, "flavours", "maxQuantity", "sizes")
	want("a flavour", menu["flavours"].([]any)[0].(map[string]any), "ingredients", "name", "soldOut")
	if empty := string(call(t, 200, "GET", f.url+"/api/v1/orders?status=none", "").body); strings.TrimSpace(empty) != `{"orders":[]}` {
		t.Errorf("no orders are %s", empty)
	}
}

func testOutOfTurn(t *testing.T, f *factory) {
	id := f.place(t)
	if p := decode[problem](t, f.report(t, 409, "bake", id, "Ben")); !strings.HasSuffix(p.Type, ":not-its-turn") || p.Order == nil || p.Order.ID != id || p.Order.Status != "placed" {
		t.Errorf("baked before it is mixed: %+v", p)
	}
	f.report(t, 200, "mix", id, "Ana")
	if p := decode[problem](t, f.report(t, 409, "mix", id, "Ben")); !strings.HasSuffix(p.Type, ":already-done") || p.Order == nil || p.Order.Status != "mixed" || !strings.Contains(p.Detail, "Ana") {
		t.Errorf("mixed by another: %+v", p)
	}
	if p := decode[problem](t, f.report(t, 404, "mix", "none", "Ana")); !strings.HasSuffix(p.Type, ":unknown-order") {
		t.Errorf("an unknown order is mixed: %+v", p)
	}
}

func testRejecting(t *testing.T, f *factory) {
	reject := func(status int, id, reason string) answer {
		t.Helper()
		return call(t, status, "POST", f.url+"/api/v1/order/reporterror", fmt.Sprintf(`{"Order":{"Id":%q},"Reason":%q,"ReportedBy":"Ana"}`, id, reason))
	}
	id := f.place(t)
	for _, reason := range []string{"", "  \n", strings.Repeat("ü", 501)} {
		if p := decode[problem](t, reject(422, id, reason)); len(p.Errors) != 1 || p.Errors[0].Location != "body.Reason" {
			t.Errorf("rejected for a reason of %d bytes: %+v", len(reason), p)
		}
	}
	call(t, 422, "POST", f.url+"/api/v1/order/reporterror", fmt.Sprintf(`{"Order":{"Id":%q}}`, id))
	o := decode[present.Order](t, reject(200, id, strings.Repeat("ü", 500)))
	if o.Status != "rejected" || o.State != "rejected" || o.Stage != "" || o.Reason != strings.Repeat("ü", 500) || o.History[0].Stage != "mixing" || o.History[0].By != "Ana" {
		t.Errorf("the rejected order is %+v", o)
	}
	if p := decode[problem](t, reject(409, id, "again")); !strings.HasSuffix(p.Type, ":already-done") || p.Order == nil || p.Order.Status != "rejected" {
		t.Errorf("rejected twice: %+v", p)
	}
	f.report(t, 409, "mix", id, "Ana")
	reject(404, "none", "burnt")

	id = f.place(t)
	f.report(t, 200, "mix", id, "Ana")
	o = decode[present.Order](t, call(t, 200, "POST", f.url+"/api/v1/order/reporterror", fmt.Sprintf(`{"order":{"id":%q},"reason":" burnt "}`, id)))
	if last := o.History[len(o.History)-1]; last.Stage != "baking" || last.By != "baker" || o.Reason != "burnt" {
		t.Errorf("rejected where it was, by nobody: %+v", o)
	}
}

func testBadRequests(t *testing.T, f *factory) {
	long := `{"Order":{"Id":"` + strings.Repeat("x", 70_000) + `"}}`
	for _, c := range []struct {
		status                   int
		kind, method, path, body string
	}{
		{400, "malformed", "POST", "/api/v1/order", `{"Order":`},
		{400, "malformed", "POST", "/api/v1/order", `not JSON`},
		{400, "malformed", "POST", "/api/v1/order/ship", `{`},
		{400, "malformed", "POST", "/api/v1/order", ``},
		{404, "unknown-order", "GET", "/api/v1/order/none", ""},
		{404, "unknown-stage", "GET", "/api/v1/stations/none/orders", ""},
		{404, "not-found", "GET", "/api/v1/none", ""},
		{404, "not-found", "POST", "/api/v1/order/none/of/them", "{}"},
		{404, "unknown-order", "POST", "/api/v1/order/reporterror", `{"Order":{"Id":"none"},"Reason":"burnt"}`},
		{405, "method-not-allowed", "DELETE", "/api/v1/menu", ""},
		{405, "method-not-allowed", "PUT", "/api/v1/order", "{}"},
		{413, "too-large", "POST", "/api/v1/order", long},
		{413, "too-large", "POST", "/api/v1/order/mix", long},
		{422, "invalid", "POST", "/api/v1/order", `{}`},
		{422, "invalid", "POST", "/api/v1/order", `[]`},
		{422, "invalid", "POST", "/api/v1/order/mix", `{}`},
		{422, "invalid", "POST", "/api/v1/order/mix", `{"Order":{"MixedBy":"Ana"}}`},
		{422, "invalid", "POST", "/api/v1/order/mix", `{"Order":{"Id":"o","MixedBy":"` + strings.Repeat("x", 65) + `"}}`},
		{422, "invalid", "GET", "/api/v1/orders?limit=0", ""},
		{422, "invalid", "GET", "/api/v1/orders?limit=201", ""},
		{422, "invalid", "GET", "/api/v1/orders?cursor=x", ""},
		{422, "unknown-stage", "GET", "/api/v1/orders?stage=none", ""},
		{422, "invalid", "GET", "/api/v1/stations/baking/orders?limit=1001", ""},
	} {
		t.Run(fmt.Sprintf("%d %s %s %.20s", c.status, c.method, c.path, c.body), func(t *testing.T) {
			wantProblem(t, c.status, c.kind, c.method, f.url+c.path, c.body)
		})
	}
	wantProblem(t, 415, "unsupported-media-type", "POST", f.url+"/api/v1/order", strawberry, "Content-Type", "text/plain")
	wantProblem(t, 422, "invalid", "POST", f.url+"/api/v1/order", strawberry, "Idempotency-Key", strings.Repeat("k", 129))
	if allow := call(t, 405, "DELETE", f.url+"/api/v1/menu", "").Header.Get("Allow"); !strings.Contains(allow, "GET") {
		t.Errorf("Allow of the 405 is %q", allow)
	}
}

func testKeysOfOrders(t *testing.T, f *factory) {
	place := func(body, key string) string {
		t.Helper()
		return decode[placed](t, call(t, 201, "POST", f.url+"/api/v1/order", body, "Idempotency-Key", key)).CorrelationID
	}
	key := strings.Repeat("k", 128)
	id := place(strawberry, key)
	if again := place(strings.ToLower(strawberry), key); again != id {
		t.Errorf("the same key gives order %s, then %s", id, again)
	}
	if other := place(strawberry, "another"); other == id {
		t.Error("another key gives the same order")
	}
	wantProblem(t, 422, "key-reused", "POST", f.url+"/api/v1/order", strings.Replace(strawberry, "1", "2", 1), "Idempotency-Key", key)
	f.report(t, 200, "mix", id, "Ana")
	if again := decode[placed](t, call(t, 201, "POST", f.url+"/api/v1/order", strawberry, "Idempotency-Key", key)); again.CorrelationID != id || again.Order.Status != "mixed" {
		t.Errorf("the same key, after the order moved on, gives %+v", again)
	}
	if p := decode[problem](t, f.report(t, 422, "bake", id, "Ben", "Idempotency-Key", key)); !strings.HasSuffix(p.Type, ":key-reused") {
		t.Errorf("the order's key used for baking: %+v", p)
	}
}

func testKeysOfReports(t *testing.T, f *factory) {
	id, other := f.place(t), f.place(t)
	f.report(t, 200, "mix", id, "Ana", "Idempotency-Key", "mix one")
	f.report(t, 200, "mix", id, "Ana", "Idempotency-Key", "mix one")
	f.report(t, 200, "bake", id, "Ben")
	if o := decode[present.Order](t, f.report(t, 200, "mix", id, "Ana", "Idempotency-Key", "mix one")); o.Status != "baked" || len(o.History) != 2 {
		t.Errorf("mixed again with the same key after it is baked: %+v", o)
	}
	for name, a := range map[string]answer{
		"by another":       f.report(t, 422, "mix", id, "Ben", "Idempotency-Key", "mix one"),
		"another order":    f.report(t, 422, "mix", other, "Ana", "Idempotency-Key", "mix one"),
		"another stage":    f.report(t, 422, "bake", id, "Ana", "Idempotency-Key", "mix one"),
		"a rejection":      call(t, 422, "POST", f.url+"/api/v1/order/reporterror", fmt.Sprintf(`{"Order":{"Id":%q},"Reason":"burnt"}`, id), "Idempotency-Key", "mix one"),
		"placing an order": call(t, 422, "POST", f.url+"/api/v1/order", strawberry, "Idempotency-Key", "mix one"),
	} {
		if p := decode[problem](t, a); !strings.HasSuffix(p.Type, ":key-reused") {
			t.Errorf("the key used for %s: %+v", name, p)
		}
	}
	if o := decode[present.Order](t, call(t, 200, "GET", f.url+"/api/v1/order/"+other, "")); o.Status != "placed" {
		t.Errorf("a refused command has changed the order to %+v", o)
	}
	body := fmt.Sprintf(`{"Order":{"Id":%q},"Reason":"burnt","ReportedBy":"Ana"}`, other)
	for range 2 {
		if o := decode[present.Order](t, call(t, 200, "POST", f.url+"/api/v1/order/reporterror", body, "Idempotency-Key", "reject")); o.Status != "rejected" || len(o.History) != 1 {
			t.Errorf("rejected with a key: %+v", o)
		}
	}
}

// claim sends a claim or a release.
func (f *factory) claim(t *testing.T, status int, url, verb, id, by string, headers ...string) answer {
	t.Helper()
	return call(t, status, "POST", url+"/api/v1/order/"+verb, fmt.Sprintf(`{"Order":{"Id":%q},"By":%q}`, id, by), headers...)
}

func testClaiming(t *testing.T, f *factory) {
	id := f.place(t)
	o := decode[present.Order](t, f.claim(t, 200, f.url, "claim", id, " Ana "))
	if left := time.Until(*o.Until); o.ClaimedBy != "Ana" || left < time.Minute || left > 2*time.Minute || o.State != "waiting" {
		t.Errorf("claimed by Ana: %+v", o)
	}
	for name, a := range map[string]answer{
		"claiming":  f.claim(t, 409, f.url, "claim", id, "Ben"),
		"releasing": f.claim(t, 409, f.url, "release", id, "Ben"),
		"mixing":    f.report(t, 409, "mix", id, "Ben"),
	} {
		if p := decode[problem](t, a); !strings.HasSuffix(p.Type, ":taken") || !strings.Contains(p.Detail, "Ana is on this order") {
			t.Errorf("%s what Ana has claimed: %+v", name, p)
		}
	}
	f.claim(t, 200, f.url, "claim", id, "Ana")
	for range 2 {
		if o := decode[present.Order](t, f.claim(t, 200, f.url, "release", id, "Ana", "Idempotency-Key", "back")); o.ClaimedBy != "" || o.Until != nil {
			t.Errorf("released: %+v", o)
		}
	}
	f.claim(t, 200, f.url, "claim", id, "Ben")
	f.report(t, 200, "mix", id, "Ben")
	if o := decode[present.Order](t, call(t, 200, "GET", f.url+"/api/v1/order/"+id, "", "Prefer", "wait=30")); o.ClaimedBy != "" || o.Stage != "baking" {
		t.Errorf("mixed: %+v", o)
	}
	f.claim(t, 422, f.url, "claim", id, " ")
	f.claim(t, 404, f.url, "claim", "nobodys", "Ana")
}

// A screen claims and releases over the hub what waits at its station, for who stands before it.
func testCalls(t *testing.T, f *factory) {
	id := f.place(t)
	call := func(method, topic, person, arguments string) (present.Order, string) {
		t.Helper()
		var given []json.RawMessage
		if err := json.Unmarshal([]byte(arguments), &given); err != nil {
			t.Fatal(err)
		}
		result, err := f.methods[method](t.Context(), hub.Caller{Topic: topic, Person: person}, given)
		if err != nil {
			return present.Order{}, err.Error()
		}
		var o present.Order
		if err := json.Unmarshal(result, &o); err != nil {
			t.Fatal(err)
		}
		return o, ""
	}
	mine := fmt.Sprintf("[%q]", id)
	for _, c := range []struct{ method, topic, person, arguments, by, refusal string }{
		{"Claim", "orderrequests", "Ana", mine, "Ana", ""},
		{"Claim", "orderrequests", "Ben", mine, "", "Ana is on this order."},
		{"Release", "orderrequests", "Ben", mine, "", "Ana is on this order."},
		{"Claim", "readytobake", "Ben", mine, "", "has not come to baking"},
		{"Claim", "orderrequests", "", mine, "", "Say who you are"},
		{"Claim", "orderrequests", strings.Repeat("x", 65), mine, "", "Say who you are"},
		{"Claim", "orderrequests", "Ana", "[]", "", "the order's id"},
		{"Claim", "orderrequests", "Ana", "[1]", "", "the order's id"},
		{"Claim", "orderrequests", "Ana", `["nobodys"]`, "", "There is no order"},
		{"Release", "orderrequests", "Ana", mine, "", ""},
	} {
		o, refusal := call(c.method, c.topic, c.person, c.arguments)
		if o.ClaimedBy != c.by || !strings.Contains(refusal, c.refusal) || c.refusal == "" && o.ID != id {
			t.Errorf("%+v: %+v, %q", c, o, refusal)
		}
	}
}

func testClaimsLapse(t *testing.T, f *factory) {
	id := f.place(t)
	o := decode[present.Order](t, f.claim(t, 200, f.hasty, "claim", id, "Ana"))
	if o.ClaimedBy != "Ana" {
		t.Errorf("claimed: %+v", o)
	}
	eventually(t, "nobody is on the order", func() bool {
		return decode[present.Order](t, call(t, 200, "GET", f.url+"/api/v1/order/"+id, "")).ClaimedBy == ""
	})
	f.report(t, 200, "mix", id, "Ben")
}

func testETag(t *testing.T, f *factory) {
	id := f.place(t)
	url := f.url + "/api/v1/order/" + id
	etag := call(t, 200, "GET", url, "").Header.Get("ETag")
	for _, same := range []string{etag, "W/" + etag, `"other", ` + etag, "*"} {
		if a := call(t, 304, "GET", url, "", "If-None-Match", same); len(a.body) > 0 || a.Header.Get("ETag") != etag {
			t.Errorf("If-None-Match %s: %q with ETag %s", same, a.body, a.Header.Get("ETag"))
		}
	}
	call(t, 200, "GET", url, "", "If-None-Match", `"other"`)
	f.report(t, 200, "mix", id, "Ana")
	if a := call(t, 200, "GET", url, "", "If-None-Match", etag); a.Header.Get("ETag") == etag {
		t.Error("the order has changed and its ETag has not")
	}
}

func testWaitingForAnOrder(t *testing.T, f *factory) {
	const key = "comes later"
	id := order.DeriveID(key)
	call(t, 404, "GET", f.url+"/api/v1/order/"+id, "")
	sent, got := make(chan struct{}), make(chan error, 1)
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { close(sent) }})
	r, err := http.NewRequestWithContext(ctx, "GET", f.url+"/api/v1/order/"+id, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Prefer", "respond-async, wait=30")
	go func() {
		response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(r)
		if err == nil {
			_ = response.Body.Close()
			if response.StatusCode != 200 {
				err = fmt.Errorf("waiting for an order is answered with %s", response.Status)
			}
		}
		got <- err
	}()
	<-sent
	call(t, 201, "POST", f.url+"/api/v1/order", strawberry, "Idempotency-Key", key)
	if err := <-got; err != nil {
		t.Error(err)
	}
}

func testPaging(t *testing.T, f *factory) {
	var want []string
	for range 5 {
		want = append(want, f.place(t))
	}
	slices.Reverse(want)
	first := decode[page](t, call(t, 200, "GET", f.url+"/api/v1/orders?limit=2", ""))
	f.place(t)
	second := decode[page](t, call(t, 200, "GET", f.url+"/api/v1/orders?limit=3&cursor="+first.Next, ""))
	var got []string
	for _, o := range append(first.Orders, second.Orders...) {
		got = append(got, o.ID)
	}
	if !slices.Equal(got, want) {
		t.Errorf("the pages have %v, want %v", got, want)
	}
	f.report(t, 200, "mix", want[0], "Ana")
	for query, there := range map[string]bool{"status=mixed": true, "stage=baking": true, "status=placed": false, "stage=mixing": false} {
		p := decode[page](t, call(t, 200, "GET", f.url+"/api/v1/orders?limit=200&"+query, ""))
		if slices.ContainsFunc(p.Orders, func(o present.Order) bool { return o.ID == want[0] }) != there {
			t.Errorf("with %s the mixed order is there: %v", query, !there)
		}
		if p.Next != "" {
			t.Errorf("with %s there is a page after the last one", query)
		}
	}
}

func testTimesOfSteps(t *testing.T, f *factory) {
	mix := func(status int, id, on string) answer {
		return call(t, status, "POST", f.url+"/api/v1/order/mix", fmt.Sprintf(`{"order":{"ID":%q,"mixedby":" Ana ","MIXEDON":%q}}`, id, on))
	}
	id := f.place(t)
	mix(422, id, "yesterday")
	placed := decode[present.Order](t, call(t, 200, "GET", f.url+"/api/v1/order/"+id, "")).PlacedOn
	on := placed.Add(-time.Second).In(time.FixedZone("", 3600))
	if s := decode[present.Order](t, mix(200, id, on.Format(time.RFC3339Nano))).History[0]; !s.On.Equal(on) || s.On.Location() != time.UTC || s.By != "Ana" || s.Seconds != 0 {
		t.Errorf("mixed on %s, the step is %+v", on, s)
	}
	id = f.place(t)
	if s := decode[present.Order](t, mix(200, id, "2999-01-01T00:00:00Z")).History[0]; s.On.Year() == 2999 {
		t.Errorf("mixed in the future: %+v", s)
	}
}

func testOtherSites(t *testing.T, f *factory) {
	for _, headers := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Origin", "https://elsewhere.example"}} {
		wantProblem(t, 403, "cross-origin", "POST", f.url+"/api/v1/order", strawberry, headers...)
		call(t, 200, "GET", f.url+"/api/v1/menu", "", headers...)
	}
	call(t, 201, "POST", f.url+"/api/v1/order", strawberry, "Origin", f.url)
}

func testOperators(t *testing.T, f *factory) {
	for path, want := range map[string]string{
		"/healthz": "ok", "/readyz": "ready", "/metrics": `ecupcakes_http_request_duration_seconds_count{code="200",operation="menu"}`,
		"/openapi.json": `"openapi":"3`,
	} {
		call(t, 200, "GET", f.url+"/api/v1/menu", "")
		if a := call(t, 200, "GET", f.url+path, ""); !bytes.Contains(a.body, []byte(want)) {
			t.Errorf("%s has no %q: %.500s", path, want, a.body)
		}
	}
	for path, want := range map[string]bool{
		"/api/v1/menu": true, "/api": true, "/healthz": true, "/readyz": true, "/metrics": true, "/openapi.json": true, "/docs": true, "/docs/x.js": true,
		"/": false, "/mixer": false, "/apiary": false, "/assets/api": false, "/ordermonitorhub": false,
	} {
		if api.Owns(path) != want {
			t.Errorf("the API owns %s: %v", path, !want)
		}
	}
}

var (
	loads    = regexp.MustCompile(`(?:src|href)="([^"]+)"`)
	anywhere = regexp.MustCompile(`(?i)(?:src|href)\s*=\s*["']?(?:[a-z]+:)?//|@import|url\(["']?(?:https?:)?//`)
)

// The documentation must work where there is no internet.
func testDocs(t *testing.T, f *factory) {
	html := call(t, 200, "GET", f.url+"/docs", "").body
	if m := anywhere.Find(html); m != nil {
		t.Errorf("/docs loads from elsewhere: %s", m)
	}
	files := loads.FindAllSubmatch(html, -1)
	if len(files) < 2 {
		t.Fatalf("/docs loads only %s", files)
	}
	for _, m := range files {
		file := string(m[1])
		if !strings.HasPrefix(file, "/") {
			file = path.Join("/docs", file)
		}
		if a := call(t, 200, "GET", f.url+file, ""); strings.HasSuffix(file, ".css") && anywhere.Match(a.body) {
			t.Errorf("%s loads from elsewhere", file)
		}
	}
}

func testWithoutStage(t *testing.T, f *factory) {
	mixed, waiting := f.place(t), f.place(t)
	f.stages[1]() // Baking.
	f.report(t, 200, "mix", mixed, "Ana")
	body := fmt.Sprintf(`{"Order":{"Id":%q,"BakedBy":"Ben"}}`, mixed)
	if p := wantProblem(t, 503, "not-ready", "POST", f.impatient+"/api/v1/order/bake", body); p.Order == nil || p.Order.State != "moving" || p.Order.Stage != "baking" {
		t.Errorf("baked on its way: %+v", p)
	}
	if p := decode[page](t, call(t, 200, "GET", f.url+"/api/v1/orders?stage=baking&limit=1", "")); len(p.Orders) != 1 || p.Orders[0].ID != mixed {
		t.Errorf("on its way to baking is %+v", p)
	}
	f.start(t, 1)
	f.arrived(t, mixed, "baking")
	call(t, 200, "POST", f.url+"/api/v1/order/bake", body)

	f.stages[0]() // Mixing.
	body = fmt.Sprintf(`{"Order":{"Id":%q,"MixedBy":"Ana"}}`, waiting)
	a := call(t, 202, "POST", f.impatient+"/api/v1/order/mix", body, "Idempotency-Key", "nobody there")
	if o := decode[present.Order](t, a); o.ID != waiting || o.Status != "placed" || a.Header.Get("Location") != "/api/v1/order/"+waiting {
		t.Errorf("without the stage the order is %+v at %s", o, a.Header.Get("Location"))
	}
	a = call(t, 202, "POST", f.impatient+"/api/v1/order", strawberry, "Idempotency-Key", "not seen yet")
	if p := decode[placed](t, a); p.CorrelationID != order.DeriveID("not seen yet") || a.Header.Get("Location") != "/api/v1/order/"+p.CorrelationID {
		t.Errorf("placed without the stage: %+v at %s", p, a.Header.Get("Location"))
	}
	f.start(t, 0)
	f.arrived(t, waiting, "baking")
	if o := decode[present.Order](t, call(t, 200, "POST", f.url+"/api/v1/order/mix", body, "Idempotency-Key", "nobody there")); len(o.History) != 1 {
		t.Errorf("a retry after the 202 gives %+v", o)
	}
	f.arrived(t, order.DeriveID("not seen yet"), "mixing")
}

func testWithoutBroker(t *testing.T, f *factory) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	producer, err := kafka.NewProducer(kafka.Config{Brokers: []string{nobody}})
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	url, _ := serve(t, commands.Config{Views: f.views, Send: producer.Send, Patience: impatience})
	wantProblem(t, 503, "broker-unavailable", "POST", url+"/api/v1/order", strawberry)
	wantProblem(t, 503, "broker-unavailable", "POST", url+"/api/v1/order", strawberry, "Idempotency-Key", "no broker")
	wantProblem(t, 503, "broker-unavailable", "POST", url+"/api/v1/order/mix", fmt.Sprintf(`{"Order":{"Id":%q}}`, f.place(t)))
	call(t, 200, "GET", url+"/api/v1/stations", "") // Questions are answered all the same.
}

// Views that have not read everything must not say that an order is unknown.
func TestNotReady(t *testing.T) {
	v := views.New(line, quiet)
	sent := 0
	url, _ := serve(t, commands.Config{Views: v, Send: func(context.Context, string, string, []byte) error { sent++; return nil }})
	for _, path := range []string{"/api/v1/order/o1", "/api/v1/orders", "/api/v1/stations", "/api/v1/stations/mixing/orders", "/readyz"} {
		wantProblem(t, 503, "not-ready", "GET", url+path, "")
	}
	for _, path := range []string{"/api/v1/order/mix", "/api/v1/order/reporterror"} {
		wantProblem(t, 503, "not-ready", "POST", url+path, `{"Order":{"Id":"o1"},"Reason":"burnt"}`)
	}
	wantProblem(t, 503, "not-ready", "POST", url+"/api/v1/order", strawberry, "Idempotency-Key", "k")
	if sent > 0 {
		t.Errorf("%d refused commands were sent", sent)
	}
	call(t, 201, "POST", url+"/api/v1/order", strawberry) // It needs nothing of the views.
	call(t, 200, "GET", url+"/api/v1/menu", "")
	call(t, 200, "GET", url+"/healthz", "")
}

func TestTooManyAtOnce(t *testing.T) {
	const most = 1024
	busy, release := make(chan struct{}), make(chan struct{})
	v := views.New(line, quiet)
	handler := api.New(api.Config{
		Line: line, Menu: order.DefaultMenu, Views: v, Registry: prometheus.NewRegistry(), Log: quiet,
		Commands: commands.New(commands.Config{
			Line: line, Menu: order.DefaultMenu, Views: v, Log: quiet,
			Send: func(context.Context, string, string, []byte) error {
				busy <- struct{}{}
				<-release
				return nil
			},
		}),
	})
	statuses := make(chan *httptest.ResponseRecorder, most)
	place := func() {
		r := httptest.NewRequest("POST", "/api/v1/order", strings.NewReader(strawberry))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		statuses <- w
	}
	for range most {
		go place()
	}
	for range most {
		<-busy
	}
	place()
	if w := <-statuses; w.Code != 503 || w.Header().Get("Retry-After") == "" || w.Header().Get("Content-Type") != "application/problem+json" || !strings.Contains(w.Body.String(), "too-many-at-once") {
		t.Errorf("one more command than at once is answered with %d %v %s", w.Code, w.Header(), w.Body)
	}
	close(release)
	for range most {
		if w := <-statuses; w.Code != 201 {
			t.Errorf("a command that was taken on is answered with %d %s", w.Code, w.Body)
		}
	}
}

func TestDocument(t *testing.T) {
	got, err := api.Document(line)
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(append(got, '\n'), want) {
		t.Error("api/openapi.json is out of date: run `bin/ecupcakes openapi > api/openapi.json`, and see whether clients can live with the difference")
	}
	var document struct{ Paths map[string]json.RawMessage }
	if err := json.Unmarshal(got, &document); err != nil {
		t.Fatal(err)
	}
	for _, s := range line.Stages {
		if document.Paths["/api/v1/order/"+s.Verb] == nil {
			t.Errorf("the document does not tell how to %s", s.Verb)
		}
	}
}
