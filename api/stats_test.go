package api_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ecupcakes/ecupcakes/api"
	"github.com/ecupcakes/ecupcakes/order"
	"github.com/ecupcakes/ecupcakes/present"
	"github.com/ecupcakes/ecupcakes/views/forecast"

	"github.com/prometheus/client_golang/prometheus"
)

type lineStats struct {
	Bottleneck    string
	Stages        []api.StageStats
	From          time.Time
	BucketSeconds int
}

func sum(values []int) (n int) {
	for _, v := range values {
		n += v
	}
	return n
}

func testStats(t *testing.T, _ *factory) {
	f := open(t) // What it counts must not be moved by others.
	look := func() lineStats { return decode[lineStats](t, call(t, 200, "GET", f.url+"/api/v1/stats?hours=1", "")) }
	board := func() (b struct{ Almost, Ready []string }) {
		return decode[struct{ Almost, Ready []string }](t, call(t, 200, "GET", f.url+"/api/v1/board", ""))
	}
	if s := look(); len(s.Stages) != len(line.Stages) || s.Bottleneck != "" || s.Stages[0].Done != 0 || len(s.Stages[0].WaitingSeries) != 12 {
		t.Errorf("an empty line has the figures %+v", s)
	}
	if b := board(); b.Almost == nil || b.Ready == nil || len(b.Almost)+len(b.Ready) > 0 {
		t.Errorf("the board of an empty line is %+v", b)
	}
	var ids []string
	for range forecast.Enough + 2 {
		ids = append(ids, f.place(t))
	}
	last := ids[len(ids)-1]
	e := decode[api.Estimate](t, call(t, 200, "GET", f.url+"/api/v1/order/"+last+"/estimate", ""))
	if e.P50On != nil || e.P90On != nil || e.Ahead != len(ids)-1 || e.Basis != 0 || e.Needs != forecast.Enough {
		t.Errorf("without any data the estimate is %+v", e)
	}
	if s := look(); s.Bottleneck != "mixing" { // Many wait, and none was done.
		t.Errorf("the bottleneck is %q", s.Bottleneck)
	}
	reject(t, f, ids[0])
	for _, id := range ids[1 : len(ids)-1] {
		for _, s := range line.Stages {
			f.report(t, 200, s.Verb, id, "Ana")
		}
	}
	f.claim(t, 200, f.url, "claim", last, "Ben")
	s := look()
	if s.BucketSeconds != 300 || len(s.Stages[0].DoneSeries) != 12 || time.Since(s.From) < 55*time.Minute {
		t.Errorf("the series are %+v", s)
	}
	for i, one := range s.Stages {
		if one.Stage != line.Stages[i].Name || one.Done != forecast.Enough || sum(one.DoneSeries) != forecast.Enough || one.Sample != forecast.Enough ||
			one.P90Seconds < one.P50Seconds || one.P50Seconds <= 0 || one.PerHour < forecast.Enough {
			t.Errorf("stage %d has the figures %+v", i, one)
		}
	}
	if m := s.Stages[0]; m.Rejected != 1 || sum(m.RejectedSeries) != 1 || m.Arrived != len(ids) || m.Waiting != 1 || m.InWork != 1 || m.OldestArrivedOn == nil ||
		m.RejectRate != 1/float64(forecast.Enough+1) || m.WaitingSeries[11] != 1 || m.WaitingSeries[0] != 0 {
		t.Errorf("the mixer has the figures %+v", m)
	}
	e = decode[api.Estimate](t, call(t, 200, "GET", f.url+"/api/v1/order/"+last+"/estimate", ""))
	if e.P50On == nil || e.P90On == nil || e.P90On.Before(*e.P50On) || e.P50On.Before(time.Now().Add(-time.Minute)) || e.Ahead != 0 || e.Basis != forecast.Enough {
		t.Errorf("with enough data the estimate is %+v", e)
	}
	wantProblem(t, 404, "unknown-order", "GET", f.url+"/api/v1/order/none/estimate", "")
	wantProblem(t, 409, "already-done", "GET", f.url+"/api/v1/order/"+ids[1]+"/estimate", "")
	wantProblem(t, 422, "invalid", "GET", f.url+"/api/v1/stats?hours=9", "")

	for _, s := range line.Stages[:len(line.Stages)-2] {
		f.report(t, 200, s.Verb, last, "Ben")
	}
	f.arrived(t, last, line.Stages[len(line.Stages)-2].Name)
	b := board()
	if want := []string{last[len(last)-6:]}; !slices.Equal(b.Almost, want) || len(b.Ready) != forecast.Enough || b.Ready[0] != ids[len(ids)-2][30:] || slices.Contains(b.Ready, ids[0][30:]) {
		t.Errorf("the board is %+v, want almost %v and %d ready", b, want, forecast.Enough)
	}
}

func reject(t *testing.T, f *factory, id string) {
	t.Helper()
	call(t, 200, "POST", f.url+"/api/v1/order/reporterror", fmt.Sprintf(`{"Order":{"Id":%q},"Reason":"burnt"}`, id))
}

func testRemake(t *testing.T, f *factory) {
	again := func(status int, id, by string) answer {
		return call(t, status, "POST", f.url+"/api/v1/order/remake", fmt.Sprintf(`{"Order":{"Id":%q},"By":%q}`, id, by))
	}
	get := func(id string) present.Order {
		return decode[present.Order](t, call(t, 200, "GET", f.url+"/api/v1/order/"+id, ""))
	}
	old := f.place(t)
	if p := decode[problem](t, again(409, old, "Zoe")); !strings.HasSuffix(p.Type, ":not-rejected") || p.Order == nil || p.Order.ID != old {
		t.Errorf("an order that waits is remade: %+v", p)
	}
	again(404, "none", "Zoe")
	again(422, old, " ")
	again(422, old, strings.Repeat("x", 65))
	reject(t, f, old)

	// However many people press, it is remade once.
	ids := make([]string, 8)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() { ids[i] = decode[placed](t, again(201, old, fmt.Sprint("Zoe", i))).CorrelationID })
	}
	wg.Wait()
	slices.Sort(ids)
	if ids = slices.Compact(ids); len(ids) != 1 || ids[0] == old || ids[0] != order.RemakeID(old) {
		t.Fatalf("order %s is remade as %v", old, ids)
	}
	made, rejected := get(ids[0]), get(old)
	if made.RemakeOf != old || !strings.HasPrefix(made.RemadeBy, "Zoe") || made.Status != "placed" || made.Flavour != "Strawberry" || made.Quantity != 1 || made.Size != "M" || made.RemadeAs != "" {
		t.Errorf("the new order is %+v", made)
	}
	if rejected.RemadeAs != ids[0] || rejected.Status != "rejected" {
		t.Errorf("the old one is %+v", rejected)
	}
	f.report(t, 200, "mix", ids[0], "Ana")
	if now := decode[placed](t, again(201, old, "Bob")); now.CorrelationID != ids[0] || now.Order.Status != "mixed" || now.Order.RemadeBy != made.RemadeBy {
		t.Errorf("asked again later, the answer is %+v", now)
	}
	for _, s := range line.Stages[1:] {
		f.report(t, 200, s.Verb, ids[0], "Ana")
	}
	if o := get(ids[0]); o.Status != "shipped" || o.RemakeOf != old {
		t.Errorf("shipped it is %+v", o)
	}
	// A remake that is rejected can be remade as well.
	third := f.place(t)
	reject(t, f, third)
	second := decode[placed](t, again(201, third, "Zoe")).CorrelationID
	f.arrived(t, second, "mixing")
	reject(t, f, second)
	if o := decode[placed](t, again(201, second, "Zoe")); o.Order.RemakeOf != second || o.CorrelationID == third {
		t.Errorf("the remake of a remake is %+v", o)
	}
}

// A client that has seen an order is told when it changes, and no sooner.
func testWaitingForAChange(t *testing.T, f *factory) {
	id := f.place(t)
	path := f.url + "/api/v1/order/" + id
	etag := call(t, 200, "GET", path, "").Header.Get("ETag")
	change := func(do func()) present.Order {
		t.Helper()
		type result struct {
			status int
			a      present.Order
			etag   string
		}
		results := make(chan result, 1)
		go func() {
			a := callAny(t, path, "If-None-Match", etag, "Prefer", "wait=30")
			r := result{status: a.StatusCode, etag: a.Header.Get("ETag")}
			if r.status == http.StatusOK {
				r.a = decode[present.Order](t, a)
			}
			results <- r
		}()
		do()
		r := <-results
		if r.status != http.StatusOK || r.etag == etag {
			t.Errorf("the answer is %d with the ETag %s, before it was %s", r.status, r.etag, etag)
		}
		etag = r.etag
		return r.a
	}
	if o := change(func() { f.claim(t, 200, f.hasty, "claim", id, "Ana") }); o.ClaimedBy != "Ana" {
		t.Errorf("claimed it is %+v", o)
	}
	if o := change(func() {}); o.ClaimedBy != "" { // Nobody says so: the claim lapses.
		t.Errorf("after the claim has lapsed it is %+v", o)
	}
	if a := callAny(t, path, "If-None-Match", etag, "Prefer", "wait=1"); a.StatusCode != http.StatusNotModified || a.Header.Get("ETag") != etag {
		t.Errorf("without a change the answer is %d %s", a.StatusCode, a.Header.Get("ETag"))
	}
	if o := change(func() { reject(t, f, id) }); o.Status != "rejected" {
		t.Errorf("rejected it is %+v", o)
	}
	if o := change(func() {
		call(t, 201, "POST", f.url+"/api/v1/order/remake", fmt.Sprintf(`{"Order":{"Id":%q},"By":"Zoe"}`, id))
	}); o.RemadeAs == "" {
		t.Errorf("the remade order is %+v", o)
	}
}

// callAny is a GET whose status the caller looks at.
func callAny(t *testing.T, url string, headers ...string) answer {
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		t.Error(err)
		return answer{}
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Error(err)
		return answer{Response: &http.Response{}}
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		t.Error(err)
	}
	return answer{response, b}
}

// When the program stops, nobody is kept waiting.
func testWaitsEndWithTheProgram(t *testing.T, f *factory) {
	id := f.place(t)
	stopping, stop := context.WithCancel(t.Context())
	c := api.Config{
		Line: line, Menu: order.DefaultMenu, Views: f.views, Ready: f.views.Ready, Stopping: stopping,
		Registry: prometheus.NewRegistry(), Log: quiet, Version: "test",
	}
	server := httptest.NewServer(api.New(c))
	t.Cleanup(server.Close)
	path := server.URL + "/api/v1/order/" + id
	etag := call(t, 200, "GET", path, "").Header.Get("ETag")
	began, done := time.Now(), make(chan int, 1)
	go func() { done <- callAny(t, path, "If-None-Match", etag, "Prefer", "wait=30").StatusCode }()
	stop()
	if status := <-done; status != http.StatusNotModified || time.Since(began) > 20*time.Second {
		t.Errorf("the waiting request is answered with %d after %s", status, time.Since(began))
	}
	if status := callAny(t, path, "If-None-Match", etag, "Prefer", "wait=30").StatusCode; status != http.StatusNotModified {
		t.Errorf("a later request is answered with %d", status)
	}
}
