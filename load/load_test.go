package load

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"pgregory.net/rapid"
)

var names = []string{"mixing", "baking"}

// factory is a server with a line of two stations. Its fields change what it
// answers; they are called with the lock held.
type factory struct {
	*httptest.Server
	refuse func(path, key string) int  // A status that is answered in place of the right one; 0 for none.
	drop   func(path, key string) bool // Carry the command out, but cut the connection.

	mu      sync.Mutex
	orders  map[string]int         // Stations behind each order, by id.
	keys    map[string]string      // The body that came with each key.
	calls   map[string]int         // How often each key came.
	sockets []map[chan []byte]bool // For each station.
	broken  []string               // What a client did wrong.
}

func newFactory(t *testing.T) *factory {
	f := &factory{
		refuse: func(string, string) int { return 0 }, drop: func(string, string) bool { return false },
		orders: map[string]int{}, keys: map[string]string{}, calls: map[string]int{},
		sockets: []map[chan []byte]bool{{}, {}},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/menu", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"flavours":[{"name":"Lemon"},{"name":"Nut"}],"sizes":["S","L"],"maxQuantity":9}`)
	})
	mux.HandleFunc("GET /api/v1/stations", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"stations":[{"stage":"mixing","verb":"mix","topic":"t0","event":"E0"},{"stage":"baking","verb":"bake","topic":"t1","event":"E1"}]}`)
	})
	mux.HandleFunc("POST /api/v1/order", f.command(f.place))
	mux.HandleFunc("POST /api/v1/order/mix", f.command(f.finish(0)))
	mux.HandleFunc("POST /api/v1/order/bake", f.command(f.finish(1)))
	mux.HandleFunc("/ordermonitorhub", f.hub)
	f.Server = httptest.NewServer(mux)
	t.Cleanup(func() {
		f.cut()
		f.Close()
		f.mu.Lock()
		defer f.mu.Unlock()
		if len(f.broken) > 0 {
			t.Errorf("the client broke the contract: %v", f.broken)
		}
	})
	return f
}

func (f *factory) command(carryOut func(key string, body []byte) (int, string)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		key := r.Header.Get("Idempotency-Key")
		f.mu.Lock()
		defer f.mu.Unlock()
		if before, used := f.keys[key]; key == "" || used && before != string(body) {
			f.broken = append(f.broken, fmt.Sprintf("key %q came with %s", key, body))
		}
		f.keys[key] = string(body)
		f.calls[key]++
		if status := f.refuse(r.URL.Path, key); status != 0 {
			w.WriteHeader(status)
			return
		}
		status, answer := carryOut(key, body)
		if f.drop(r.URL.Path, key) {
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
	}
}

func (f *factory) place(key string, _ []byte) (int, string) {
	id := "o-" + key
	if _, known := f.orders[id]; !known {
		f.orders[id] = 0
		f.announce(0, id)
	}
	return http.StatusCreated, fmt.Sprintf(`{"correlationId":%q}`, id)
}

func (f *factory) finish(i int) func(string, []byte) (int, string) {
	return func(_ string, body []byte) (int, string) {
		var b struct{ Order struct{ ID string } }
		_ = json.Unmarshal(body, &b)
		switch at, known := f.orders[b.Order.ID]; {
		case !known:
			return http.StatusNotFound, `{"detail":"unknown"}`
		case at > i:
			return http.StatusConflict, fmt.Sprintf(`{"type":"urn:x:already-done","order":{"history":[{"stage":%q}]}}`, names[i])
		case at < i:
			return http.StatusConflict, `{"type":"urn:x:not-its-turn","detail":"not yet","order":{}}`
		}
		f.orders[b.Order.ID]++
		f.send(i, "InformOrderLeft", b.Order.ID)
		if i == 0 {
			f.announce(1, b.Order.ID)
		}
		return http.StatusOK, `{}`
	}
}

func (f *factory) announce(i int, id string) {
	f.send(i, fmt.Sprint("E", i), map[string]string{"id": id})
}

func (f *factory) send(i int, target string, argument any) {
	for s := range f.sockets[i] {
		s <- record(target, argument)
	}
}

func record(target string, argument any) []byte {
	b, _ := json.Marshal(map[string]any{"type": 1, "target": target, "arguments": []any{argument}})
	return append(b, separator...)
}

// cut ends all connections of the hub.
func (f *factory) cut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, sockets := range f.sockets {
		for s := range sockets {
			close(s)
		}
		clear(sockets)
	}
}

func (f *factory) hub(w http.ResponseWriter, r *http.Request) {
	ws, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer ws.CloseNow()
	ctx := r.Context()
	if _, b, err := ws.Read(ctx); err != nil || string(b) != `{"protocol":"json","version":1}`+separator {
		f.mu.Lock()
		f.broken = append(f.broken, fmt.Sprintf("handshake %q, %v", b, err))
		f.mu.Unlock()
		return
	}
	station := 0
	if r.URL.Query().Get("topic") == "t1" {
		station = 1
	}
	out := make(chan []byte, 10_000)
	f.mu.Lock()
	first := []byte("{}" + separator + `{"type":6}` + separator)
	for id, at := range f.orders {
		if at == station {
			first = append(first, record(fmt.Sprint("E", station), map[string]string{"id": id})...)
		}
	}
	out <- append(first, record("InformSynced", map[string]int{"waiting": 0})...)
	f.sockets[station][out] = true
	f.mu.Unlock()
	if b := <-out; ws.Write(ctx, websocket.MessageText, b) != nil {
		return
	}
	if _, b, err := ws.Read(ctx); err != nil || string(b) != `{"type":6}`+separator {
		return // It may have been closed by then.
	}
	for b := range out {
		if ws.Write(ctx, websocket.MessageText, b) != nil {
			return
		}
	}
	_ = ws.Write(ctx, websocket.MessageText, []byte(`{"type":7,"allowReconnect":true}`+separator))
}

func (f *factory) finished() (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, at := range f.orders {
		if at == len(names) {
			n++
		}
	}
	return n
}

func options(f *factory, orders int) Options {
	return Options{URL: f.URL, Orders: orders, Out: io.Discard}
}

func mustRun(t *testing.T, o Options) Result {
	t.Helper()
	r, err := run(t.Context(), o, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRunPlacesEachOrderOnce(t *testing.T) {
	f := newFactory(t)
	r := mustRun(t, options(f, 200))
	if r.Placed != 200 || len(f.orders) != 200 || r.Retries != 0 || r.Walk != nil || r.OrdersPerSecond <= 0 {
		t.Errorf("%d orders exist; result %+v", len(f.orders), r)
	}
}

// roundTrip is a server without a network, so that it can live in a bubble of
// fake time.
type roundTrip func(*http.Request) *http.Response

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r), nil }

func TestRunKeepsRateAndMeasuresFromDueTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := Options{Orders: workers + 1, Rate: 200}
		tally := newTally(o)
		c := newClient("http://factory", time.Minute, tally)
		start := time.Now()
		var mu sync.Mutex
		var due []time.Duration
		c.http.Transport = roundTrip(func(*http.Request) *http.Response {
			mu.Lock()
			due = append(due, time.Since(start))
			mu.Unlock()
			time.Sleep(time.Second) // In fake time: the workers are all busy when the last order is due.
			return &http.Response{StatusCode: http.StatusCreated, Body: io.NopCloser(strings.NewReader(`{"correlationId":"o"}`))}
		})
		tally.start()
		placeAll(t.Context(), o, c, menu{Flavours: []struct{ Name string }{{"Nut"}}, Sizes: []string{"S"}}, tally, nil)
		for n, at := range due {
			want := time.Duration(n) * 5 * time.Millisecond
			if n == workers {
				want = time.Second // The first worker is free again.
			}
			if at != want {
				t.Errorf("order %d is placed after %s, want %s", n, at, want)
			}
		}
		// The last one was due after 320 ms and answered after 2 s.
		if r := tally.result(); r.Placed != workers+1 || r.Seconds != 2 || r.Post.P50 != 1000 || r.Post.Max != 1680 {
			t.Errorf("result %+v", r)
		}
	})
}

func TestRetriesUseTheSameIdempotencyKey(t *testing.T) {
	f := newFactory(t)
	f.refuse = func(_, key string) int {
		if f.calls[key] == 1 {
			return http.StatusServiceUnavailable
		}
		return 0
	}
	f.drop = func(_, key string) bool { return f.calls[key] == 2 } // The order is placed, the answer lost.
	r := mustRun(t, options(f, 10))
	if len(f.orders) != 10 || r.Placed != 10 {
		t.Errorf("%d orders exist, %d are counted; want 10", len(f.orders), r.Placed)
	}
	// net/http itself repeats a request whose reused connection broke.
	if r.Errors["503"] != 10 || r.Retries < 10 || r.Retries > 20 {
		t.Errorf("errors %v, retries %d", r.Errors, r.Retries)
	}
	for key, n := range f.calls {
		if n < 3 {
			t.Errorf("key %s came %d times, want at least 3", key, n)
		}
	}
}

func TestWalkSurvivesLostAnswersAndConnections(t *testing.T) {
	f := newFactory(t)
	commands := 0
	f.drop = func(path, key string) bool { return path != "/api/v1/order" && f.calls[key] == 1 && len(key)%2 == 0 }
	f.refuse = func(path, key string) int {
		if commands++; commands%50 == 0 {
			go f.cut() // The hub loses everybody now and then.
		}
		if path == "/api/v1/order/bake" && f.calls[key] == 1 {
			return http.StatusAccepted // Durable, but not decided yet.
		}
		return 0
	}
	o := options(f, 300)
	o.Walk = true
	r := mustRun(t, o)
	if r.Placed != 300 || r.Walk.Shipped != 300 || f.finished() != 300 {
		t.Errorf("result %+v with %+v, %d are finished", r, *r.Walk, f.finished())
	}
	if r.Errors["202"] != 300 {
		t.Errorf("errors %v: each 202 must be asked again", r.Errors)
	}
	if r.Shown.P50 <= 0 || r.Walk.OrdersPerSecond <= 0 {
		t.Errorf("walk %+v", *r.Walk)
	}
}

func TestWatchMeasuresFirstStationOnly(t *testing.T) {
	f := newFactory(t)
	o := options(f, 50)
	o.Watch = true
	r := mustRun(t, o)
	if r.Placed != 50 || r.Shown.Count != 50 || r.Shown.P50 <= 0 || r.Walk != nil || f.finished() != 0 {
		t.Errorf("result %+v with %+v, %d are finished", r, r.Shown, f.finished())
	}
}

func TestRunReportsUnaccountedOrders(t *testing.T) {
	f := newFactory(t)
	f.refuse = func(path, key string) int {
		switch {
		case path == "/api/v1/order" && strings.HasSuffix(key, "-3"):
			return http.StatusUnprocessableEntity
		case path == "/api/v1/order/bake" && strings.HasSuffix(key, "-5-bake"):
			return http.StatusNotFound
		}
		return 0
	}
	o := options(f, 10)
	o.Walk = true
	r, err := run(t.Context(), o, time.Minute)
	if err == nil || !strings.Contains(err.Error(), "2 of 10 orders are not accounted for") {
		t.Errorf("error %v", err)
	}
	if r.Placed != 9 || r.Walk.Shipped != 8 || r.Errors["422"] != 1 || r.Errors["404"] != 1 || len(r.Lost) != 2 {
		t.Errorf("result %+v", r)
	}
}

func TestOrderRejectedByOthersIsNotShipped(t *testing.T) {
	a := answer{http.StatusConflict, []byte(`{"type":"urn:x:already-done","order":{"state":"rejected","history":[{"stage":"baking"}]}}`)}
	if a.past(station{Stage: "baking"}) {
		t.Error("a rejection counts as done")
	}
}

func TestRunGivesUpAfterTimeout(t *testing.T) {
	f := newFactory(t)
	f.refuse = func(string, string) int { return http.StatusServiceUnavailable }
	_, err := run(t.Context(), options(f, 1), time.Millisecond)
	if err == nil || !strings.Contains(err.Error(), "giving up") {
		t.Errorf("error %v", err)
	}
}

func TestRunEndsWithContext(t *testing.T) {
	f := newFactory(t)
	ctx, cancel := context.WithCancel(t.Context())
	f.refuse = func(_, key string) int {
		if strings.HasSuffix(key, "-7") {
			cancel()
		}
		return 0
	}
	o := options(f, 1_000_000)
	o.Walk = true
	if _, err := run(ctx, o, time.Minute); err == nil {
		t.Error("no error though it was cancelled")
	}
}

func TestRunRejectsInvalidOptions(t *testing.T) {
	for _, o := range []Options{{Orders: 0}, {Orders: 1, Rate: -1}} {
		if _, err := Run(t.Context(), o); err == nil {
			t.Errorf("%+v is accepted", o)
		}
	}
}

func TestSummaryAsTableAndJSON(t *testing.T) {
	f := newFactory(t)
	var out bytes.Buffer
	o := options(f, 5)
	o.Walk, o.Out, o.JSON, o.Terminal = true, &out, true, true
	r := mustRun(t, o)
	var got Result
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatalf("not one JSON object: %v\n%s", err, out.String())
	}
	if got.Placed != 5 || got.Walk.Shipped != 5 || got.Post != r.Post {
		t.Errorf("JSON says %+v, the result is %+v", got, r)
	}

	out.Reset()
	o.JSON = false
	mustRun(t, o)
	for _, want := range []string{"placed   5 of 5", "shipped  5 of 5", "POST to mixer's socket", "errors   none", "\r\x1b[K"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
}

func TestProgressBar(t *testing.T) {
	tally := newTally(Options{Orders: 4, Walk: true})
	tally.placed(0)
	tally.placed(0)
	tally.shipped()
	if got, want := tally.bar(), "[#######.......................] 2 of 4 placed, 1 shipped\x1b[K"; got != want {
		t.Errorf("bar %q, want %q", got, want)
	}
}

// A percentile is the smallest value that is not exceeded by so many percent.
func TestPercentile(t *testing.T) {
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(100-i) * time.Millisecond
	}
	if got, want := latency(hundred), (Latency{100, 50, 95, 99, 100}); got != want {
		t.Errorf("latency of 1..100 ms is %+v, want %+v", got, want)
	}
	if got := latency(nil); got != (Latency{}) {
		t.Errorf("latency of nothing is %+v", got)
	}
	rapid.Check(t, func(t *rapid.T) {
		ms := rapid.SliceOfN(rapid.IntRange(0, 1000), 1, 200).Draw(t, "values")
		values := make([]time.Duration, len(ms))
		for i, v := range ms {
			values[i] = time.Duration(v) * time.Millisecond
		}
		slices.Sort(values)
		p := rapid.IntRange(1, 100).Draw(t, "p")
		got := percentile(values, float64(p))
		atMost, below := 0, 0
		for _, v := range ms {
			if float64(v) <= got {
				atMost++
			}
			if float64(v) < got {
				below++
			}
		}
		if atMost*100 < p*len(ms) || below*100 >= p*len(ms) {
			t.Errorf("p%d of %v is %v: %d of %d do not exceed it, %d are below", p, values, got, atMost, len(ms), below)
		}
	})
}
