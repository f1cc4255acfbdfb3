package hub

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
)

var seedFlag = flag.Uint64("hub.seed", 0, "seed of TestScreensEqualTheSource and TestGroupsOfThreeHubsShowEachOrderOnce; 0 draws one")

// screen is the list of orders that a browser builds from the hub's records.
type screen struct {
	ids    []string // in the order of their first announcement
	orders map[string]json.RawMessage
	newest uint64 // position of the last change seen
	synced bool
}

func (s *screen) apply(r record) error {
	switch r.Target {
	case "InformSynced":
		if s.synced {
			return errors.New("synced twice")
		}
		if got, want := r.argument(), fmt.Sprintf(`{"waiting":%d,"resumed":false}`, len(s.ids)); got != want {
			return fmt.Errorf("synced with %s, want %s", got, want)
		}
		s.synced = true
	case "InformOrderLeft":
		var id string
		if err := json.Unmarshal(r.Arguments[0], &id); err != nil {
			return err
		}
		if s.orders[id] == nil {
			return fmt.Errorf("%s left, but was not there", id)
		}
		delete(s.orders, id)
		s.ids = slices.DeleteFunc(s.ids, func(other string) bool { return other == id })
	case "InformNewOrderToMix", "InformNewOrderToBake":
		var order struct {
			ID       string
			Position uint64
		}
		if err := json.Unmarshal(r.Arguments[0], &order); err != nil {
			return err
		}
		if s.synced && order.Position <= s.newest {
			return fmt.Errorf("%s of position %d comes after position %d", order.ID, order.Position, s.newest)
		}
		known := s.orders[order.ID] != nil
		if known && !s.synced {
			return fmt.Errorf("%s is twice in the snapshot", order.ID)
		}
		if !known {
			s.ids = append(s.ids, order.ID)
		}
		s.newest = max(s.newest, order.Position)
		s.orders[order.ID] = r.Arguments[0]
	default:
		return fmt.Errorf("unexpected record %s", r.raw)
	}
	return nil
}

// text returns an order of which only the JSON matters.
func (s *screen) text() string {
	var orders []json.RawMessage
	for _, id := range s.ids {
		orders = append(orders, s.orders[id])
	}
	return join(orders)
}

// While orders move at random, screens join, leave, stall, get cut and reconnect. From its
// snapshot on, each screen gets every change of its station once and in order. In the end its
// orders equal the source's.
func TestScreensEqualTheSource(t *testing.T) {
	const screens, changes = 20, 4000
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	defer func() {
		if t.Failed() {
			t.Logf("again: go test -run %s -hub.seed=%d", t.Name(), seed)
		}
	}()
	kitchen := newKitchen()
	kitchen.keep, kitchen.pad = 200, strings.Repeat("x", 1000)
	h, server := open(t, kitchen, Options{LogLength: 100})

	var watchers sync.WaitGroup
	for n := range screens {
		random := rand.New(rand.NewPCG(seed, uint64(n)))
		watchers.Go(func() {
			for {
				topic := line[random.IntN(len(line))].Topic
				if ended, err := visit(t, kitchen, server, topic, random); err != nil {
					t.Errorf("screen %d at %s: %v", n, topic, err)
					return
				} else if ended {
					return
				}
			}
		})
	}

	random := rand.New(rand.NewPCG(seed, screens))
	var at [2][]string // ids at mix and bake
	for n := range changes {
		which := random.IntN(2)
		topic, other := line[which].Topic, line[1-which].Topic
		ids := at[which]
		action := random.IntN(10)
		switch {
		case len(ids) == 0 || action < 4 && len(ids) < 60:
			id := fmt.Sprint(n)
			kitchen.put(topic, id)
			at[which] = append(ids, id)
		case action < 6:
			kitchen.put(topic, ids[random.IntN(len(ids))]) // an update
		default:
			i := random.IntN(len(ids))
			id := ids[i]
			at[which] = slices.Delete(ids, i, i+1)
			if action < 8 {
				kitchen.take(topic, id)
			} else {
				kitchen.move(topic, other, id)
				at[1-which] = append(at[1-which], id)
			}
		}
		if n == changes/2 {
			kitchen.lose()
		}
		if n%50 == 0 { // let somebody see something
			events := h.Stats().Events
			eventually(t, "a screen reads", func() bool { return h.Stats().Events > events })
		}
	}
	for _, s := range line {
		kitchen.put(s.Topic, "end of "+s.Topic)
	}
	watchers.Wait()
	stats := h.Stats()
	t.Logf("%d events, %d slow clients cut, %d gaps", stats.Events, stats.SlowClients, stats.Gaps)
	if stats.Gaps == 0 {
		t.Error("no gap was tried")
	}
}

// visit watches the topic until it has read enough, is sent away, or has seen the last change.
func visit(t *testing.T, kitchen *kitchen, server *httptest.Server, topic string, random *rand.Rand) (ended bool, err error) {
	p := dial(t, server, "?topic="+topic)
	defer p.ws.CloseNow()
	s := screen{orders: map[string]json.RawMessage{}}
	p.send(greeting)
	if r, ok := p.next(); !ok || r.raw != "{}" {
		return false, fmt.Errorf("handshake answered by %q: %w", r.raw, p.closed)
	}
	enough := random.IntN(1000)
	for n := 0; ; n++ {
		r, ok := p.next()
		switch {
		case !ok:
			return false, fmt.Errorf("cut without a farewell: %w", p.closed)
		case r.Type == typeClose:
			if !r.AllowReconnect {
				return false, fmt.Errorf("sent away for good: %s", r.raw)
			}
			return false, nil
		}
		if err := s.apply(r); err != nil {
			return false, err
		}
		if s.synced && s.orders["end of "+topic] != nil { // its last change
			if got, want := s.text(), kitchen.text(topic); got != want {
				return true, fmt.Errorf("in the end there is\n%s, want\n%s", strings.ReplaceAll(got, kitchen.pad, ""), strings.ReplaceAll(want, kitchen.pad, ""))
			}
			return true, nil
		}
		if n == enough {
			switch random.IntN(3) {
			case 0: // switched off
				return false, nil
			case 1: // closed in order
				return false, p.ws.Close(websocket.StatusNormalClosure, "")
			default: // asleep for many changes, unless the end is near
				kitchen.mu.Lock()
				until := kitchen.position + 300
				kitchen.mu.Unlock()
				eventually(t, "the line moves on", func() bool {
					kitchen.mu.Lock()
					defer kitchen.mu.Unlock()
					return kitchen.position >= until || kitchen.orders["end of "+topic].JSON != nil
				})
			}
		}
	}
}

// A person is present at the stations of their screens, until the screens have gone.
func TestPresentWhileAPersonHasAScreen(t *testing.T) {
	h, server := open(t, newKitchen(), Options{})
	if h.Present("mix", "Ana") {
		t.Error("Ana is there before she came")
	}
	p := dial(t, server, "?topic=mix&person=+Ana+")
	p.send("{\"protocol\":\"json\",\"version\":1}\x1e")
	if r, ok := p.next(); !ok || r.raw != "{}" {
		t.Fatalf("handshake answered by %q", r.raw)
	}
	watch(t, server, "mix").synced() // Of nobody.
	p.synced()
	for person, there := range map[string]bool{"Ana": true, "Ben": false, "": false} {
		if h.Present("mix", person) != there || h.Present("bake", person) || h.Present("nowhere", person) {
			t.Errorf("%q is present at mix: %v, want %v, or elsewhere", person, !there, there)
		}
	}
	_ = p.ws.CloseNow()
	for end := time.Now().Add(patience); h.Present("mix", "Ana"); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("Ana is still there")
		}
	}
	answer, err := server.Client().Get(server.URL + Path + "?topic=mix&person=" + strings.Repeat("x", maxPerson+1))
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusBadRequest {
		t.Errorf("too long a name is answered with %s", answer.Status)
	}
}

// text is an order of which only the JSON matters.
func text(s string) Order {
	return Order{JSON: func() json.RawMessage { return json.RawMessage(s) }}
}

// A client that does not read falls behind and is cut, while others get everything. When it reads
// again it gets the reason.
func TestSlowClientIsCut(t *testing.T) {
	kitchen := newKitchen()
	kitchen.pad = strings.Repeat("x", 32<<10)
	h, server := open(t, kitchen, Options{LogLength: 8, WriteTimeout: 10 * patience}) // Only the log's length cuts it.
	slow, quick := watch(t, server, "mix"), watch(t, server, "mix")
	slow.synced()
	quick.synced()
	// The kernel holds no more than a few hundred KiB for a loopback connection with small buffers;
	// this is 8 MiB.
	for n := range 256 {
		kitchen.put("mix", fmt.Sprint(n))
		if r, ok := quick.next(); !ok || !strings.HasPrefix(r.argument(), fmt.Sprintf(`{"id":"%d",`, n)) {
			t.Fatalf("the quick client got %.100s, %v", r.raw, quick.closed)
		}
	}
	if r := slow.last(); r.Type != typeClose || !r.AllowReconnect || !strings.Contains(r.Error, "too slow") {
		t.Errorf("the slow client got %.200s at last, ended by %v", r.raw, slow.closed)
	}
	if websocket.CloseStatus(slow.closed) != websocket.StatusNormalClosure {
		t.Errorf("the slow client was not closed in order: %v", slow.closed)
	}
	if got := h.Stats().SlowClients; got != 1 {
		t.Errorf("%d slow clients counted", got)
	}
	var delay dto.Metric
	if err := h.delay.Write(&delay); err != nil || delay.GetHistogram().GetSampleCount() < 100 || delay.GetHistogram().GetSampleSum() <= 0 {
		t.Errorf("the delays of 256 changes are %s (%v)", delay.GetHistogram(), err)
	}
	want := `
# HELP ecupcakes_hub_dropped_screens_total Screens disconnected because they fell behind or their socket was stuck.
# TYPE ecupcakes_hub_dropped_screens_total counter
ecupcakes_hub_dropped_screens_total 1
# HELP ecupcakes_hub_syncs_total Screens synchronized: with the changes that they missed (resumed), with a snapshot of their station (snapshot), or as screens of a consumer group (group).
# TYPE ecupcakes_hub_syncs_total counter
ecupcakes_hub_syncs_total{how="group"} 0
ecupcakes_hub_syncs_total{how="resumed"} 0
ecupcakes_hub_syncs_total{how="snapshot"} 2
`
	if err := testutil.CollectAndCompare(Metrics{h}, strings.NewReader(want), "ecupcakes_hub_dropped_screens_total", "ecupcakes_hub_syncs_total"); err != nil {
		t.Error(err)
	}
	if orders := watch(t, server, "mix").synced(); len(orders) != 256 {
		t.Errorf("the slow client came back to %d orders", len(orders))
	}
}

// A client that never reads again is cut once a write exceeds the timeout, both within the snapshot
// and after it.
func TestStuckClientIsCutAfterWriteTimeout(t *testing.T) {
	kitchen := newKitchen()
	kitchen.pad = strings.Repeat("x", 32<<10)
	h, server := open(t, kitchen, Options{WriteTimeout: 90 * time.Millisecond})
	watch(t, server, "mix").synced()
	for n := range 256 {
		kitchen.put("mix", fmt.Sprint(n))
	}
	watch(t, server, "mix")
	eventually(t, "both are cut", func() bool {
		s := h.Stats()
		return s.SlowClients == 2 && s.Clients["mix"] == 0
	})
}

// Replies that a client does not read are bounded: the client is cut.
func TestUnreadRepliesAreBounded(t *testing.T) {
	h, server := open(t, newKitchen(), Options{InboundPerSecond: 1e9})
	p := watch(t, server, "mix")
	p.synced()
	ask := `{"type":1,"target":"Cook","invocationId":"` + strings.Repeat("i", 16<<10) + "\"}\x1e"
	for h.Stats().SlowClients == 0 {
		if err := p.ws.Write(t.Context(), websocket.MessageText, []byte(ask)); err != nil {
			t.Fatal(err)
		}
	}
	if r := p.last(); r.Type != typeClose || !r.AllowReconnect || !strings.Contains(r.Error, "too slow") {
		t.Errorf("got %.200s at last, ended by %v", r.raw, p.closed)
	}
}

func TestGapMakesScreensReconnect(t *testing.T) {
	kitchen := newKitchen()
	h, server := open(t, kitchen, Options{})
	kitchen.put("mix", "a")
	peers := []*peer{watch(t, server, "mix"), watch(t, server, "bake"), watch(t, server, "mix")}
	for _, p := range peers {
		p.synced()
	}
	kitchen.lose()
	for _, p := range peers {
		if r := p.last(); r.Type != typeClose || !r.AllowReconnect || !strings.Contains(r.Error, "lost track") {
			t.Errorf("got %s at last", r.raw)
		}
	}
	if got := h.Stats().Gaps; got != 1 {
		t.Errorf("%d gaps counted", got)
	}
	p := watch(t, server, "mix")
	if orders := p.synced(); len(orders) != 1 {
		t.Errorf("orders: %s", orders)
	}
	kitchen.move("mix", "bake", "a")
	if r, _ := p.next(); r.raw != `{"type":1,"target":"InformOrderLeft","arguments":["a"]}` {
		t.Errorf("got %s", r.raw)
	}
}

// Run returns the source's error, and tells all screens to reconnect, since their orders no longer
// change.
func TestRunReturnsTheErrorOfTheSource(t *testing.T) {
	source := &failing{kitchen: newKitchen(), fail: make(chan error, 1)}
	h, err := New(source, line, slog.New(slog.DiscardHandler), Options{})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(h)
	defer server.Close()
	ran := make(chan error, 1)
	turnedAway := watch(t, server, "mix") // before Run
	if r := turnedAway.last(); r.Type != typeClose || !r.AllowReconnect || !strings.Contains(r.Error, "starting") {
		t.Errorf("before Run: %s", r.raw)
	}
	go func() { ran <- h.Run(t.Context()) }()
	follows(t, h)
	p := watch(t, server, "mix")
	p.synced()
	broken := errors.New("broken")
	source.fail <- broken
	if err := <-ran; !errors.Is(err, broken) {
		t.Errorf("Run returned %v", err)
	}
	if r := p.last(); r.Type != typeClose || !r.AllowReconnect {
		t.Errorf("at the end: %s", r.raw)
	}
	if err := h.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

type failing struct {
	*kitchen
	fail chan error
}

func (f *failing) Changes(ctx context.Context, _ uint64) ([]Change, error) {
	select {
	case err := <-f.fail:
		return nil, err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func TestShutdownTellsClientsToReconnect(t *testing.T) {
	h, server := open(t, newKitchen(), Options{})
	watching, strange := watch(t, server, "mix"), dial(t, server, "?topic=mix") // one has not shaken hands
	watching.synced()
	done := make(chan error, 1)
	eventually(t, "both are taken in", func() bool {
		h.mu.RLock()
		defer h.mu.RUnlock()
		return len(h.clients) == 2
	})
	h.record(Change{Position: 1, Arrived: "mix", Order: text(`{}`)}) // nothing may follow the farewell
	go func() { done <- h.Shutdown(t.Context()) }()
	const text = "The server is shutting down. Reconnect in a moment."
	if r := watching.last(); r.raw != `{"type":7,"error":"`+text+`","allowReconnect":true}` {
		t.Errorf("got %s", r.raw)
	}
	if r := strange.last(); r.raw != `{"error":"`+text+`"}` {
		t.Errorf("without a handshake: got %s", r.raw)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	for method, path := range map[string]string{"POST": Path + "/negotiate", "GET": Path} {
		if response, _ := call(t, method, server.URL+path, nil); response.StatusCode != 503 || response.Header.Get("Retry-After") == "" {
			t.Errorf("%s %s after Shutdown: %d", method, path, response.StatusCode)
		}
	}
}

// Clients that do not close their side are cut when the context ends.
func TestShutdownCutsUnresponsiveClients(t *testing.T) {
	kitchen := newKitchen()
	kitchen.pad = strings.Repeat("x", 32<<10)
	h, server := open(t, kitchen, Options{})
	for n := range 256 {
		kitchen.put("mix", fmt.Sprint(n))
	}
	watch(t, server, "mix")           // stuck within a write
	watch(t, server, "bake").synced() // does not answer the close handshake
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown returned %v", err)
	}
	if got := h.Stats().Clients; got["mix"]+got["bake"] != 0 {
		t.Errorf("still there: %v", got)
	}
}

// An event that is recorded at the moment when the writer ends is written.
func TestNoWakeupIsLost(t *testing.T) {
	h, server := open(t, newKitchen(), Options{})
	p := watch(t, server, "mix")
	p.synced()
	position := uint64(0)
	put := func() {
		position++
		h.record(Change{Position: position, Arrived: "mix", Order: text(fmt.Sprint(position))})
		h.mu.RLock()
		defer h.mu.RUnlock()
		for c := range h.stations["mix"].screens {
			c.wake()
		}
	}
	for round := range 20_000 {
		put()
		for start := time.Now(); time.Since(start) < time.Duration(round%1000)*50*time.Nanosecond; {
			// meets the writer anywhere in its course
		}
		put()
		for _, want := range []uint64{position - 1, position} {
			if r, ok := p.next(); !ok || r.argument() != fmt.Sprint(want) {
				t.Fatalf("got %s, want order %d: %v", r.raw, want, p.closed)
			}
		}
	}
}

func TestRingKeepsTheLastEvents(t *testing.T) {
	r := ring{limit: 4, lost: 10}
	positions := func(after uint64) (list []uint64) {
		for i := r.after(after); i < r.len(); i++ {
			list = append(list, r.at(i).position)
		}
		return list
	}
	for position := uint64(12); position <= 40; position += 2 {
		r.add(event{position: position})
		if want := max(10, position-min(position, 8)); r.lost != want && position > 18 {
			t.Errorf("lost %d at position %d, want %d", r.lost, position, want)
		}
		if position <= 18 && r.lost != 10 {
			t.Errorf("lost %d at position %d", r.lost, position)
		}
		for after := r.lost; after <= position; after++ {
			var want []uint64
			for p := (after + 2) / 2 * 2; p <= position; p += 2 {
				if p > 10 {
					want = append(want, p)
				}
			}
			if got := positions(after); !slices.Equal(got, want) {
				t.Errorf("after %d at %d: %v, want %v", after, position, got, want)
			}
		}
	}
}
