package hub

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
)

var cutFlag = flag.Uint64("hub.cutseed", 0, "seed of TestReconnectingScreensMissNothing; 0 draws one")

// memory is a screen that comes back with its last position, as a page does: what it hears after
// a connection broke counts only once the hub has reported whether it is what was missed or everything.
type memory struct {
	epoch   string
	after   uint64            // position of the last message that counts
	orders  map[string]string // by id, as JSON
	waiting []record          // heard since it is connected, until it is synced
	synced  bool
	resumed bool
}

func (m *memory) query() string {
	if m.epoch == "" {
		return "after="
	}
	return fmt.Sprintf("after=%s-%d", m.epoch, m.after)
}

func (m *memory) hear(r record, missed func(after, position uint64) bool) error {
	switch {
	case r.Target == "InformSynced":
		var end struct {
			Waiting int
			Resumed bool
		}
		if err := json.Unmarshal(r.Arguments[0], &end); err != nil || m.synced {
			return fmt.Errorf("synced twice, or %w", err)
		}
		m.synced, m.resumed = true, end.Resumed
		if !end.Resumed {
			if end.Waiting != len(m.waiting) {
				return fmt.Errorf("a snapshot of %d orders has %d", end.Waiting, len(m.waiting))
			}
			clear(m.orders)
		}
		for _, earlier := range m.waiting {
			if err := m.apply(earlier, missed); err != nil {
				return err
			}
		}
		m.waiting = nil
		return m.move(r, func(after, position uint64) bool { return position < after || end.Resumed && position != after })
	case !m.synced:
		m.waiting = append(m.waiting, r)
		return nil
	default:
		return m.apply(r, missed)
	}
}

// apply applies an announcement. Announcements without a position belong to a snapshot.
func (m *memory) apply(r record, missed func(after, position uint64) bool) error {
	if r.Target == "InformOrderLeft" {
		var id string
		if err := json.Unmarshal(r.Arguments[0], &id); err != nil {
			return err
		}
		if m.orders[id] == "" {
			return fmt.Errorf("%s left, but was not there", id)
		}
		delete(m.orders, id)
	} else {
		var o struct{ ID string }
		if err := json.Unmarshal(r.Arguments[0], &o); err != nil {
			return err
		}
		m.orders[o.ID] = string(r.Arguments[0])
	}
	if len(r.Arguments) == 1 {
		return nil
	}
	return m.move(r, missed)
}

func (m *memory) move(r record, wrong func(after, position uint64) bool) error {
	var token string
	if len(r.Arguments) != 2 || json.Unmarshal(r.Arguments[1], &token) != nil {
		return fmt.Errorf("%s has no position", r.raw)
	}
	epoch, number, _ := strings.Cut(token, "-")
	position, err := strconv.ParseUint(number, 10, 64)
	if err != nil || m.epoch != "" && epoch != m.epoch {
		return fmt.Errorf("position %q after %s-%d", token, m.epoch, m.after)
	}
	if wrong(m.after, position) {
		return fmt.Errorf("%s comes after position %d", r.raw, m.after)
	}
	m.epoch, m.after = epoch, position
	return nil
}

// Connections are cut thousands of times while orders move, also within snapshots and resumptions.
// Each screen gets every change of its station once and in order. Whenever it is synchronized after
// the last change, its orders equal the source's.
func TestReconnectingScreensMissNothing(t *testing.T) {
	const screens, changes, cuts = 16, 4000, 2000
	seed := *cutFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	defer func() {
		if t.Failed() {
			t.Logf("again: go test -run %s -hub.cutseed=%d", t.Name(), seed)
		}
	}()
	kitchen := newKitchen()
	kitchen.keep = 10 * changes // So that the test can look at all of them.
	h, server := open(t, kitchen, Options{LogLength: 150})

	// missed reports whether the topic had a change between two positions of a screen.
	missed := func(topic string) func(after, position uint64) bool {
		return func(after, position uint64) bool {
			kitchen.mu.Lock()
			defer kitchen.mu.Unlock()
			if position <= after || position > uint64(len(kitchen.changes)) {
				return true
			}
			return slices.ContainsFunc(kitchen.changes[after:position-1], func(c Change) bool { return c.Left == topic || c.Arrived == topic })
		}
	}
	var cut, resumed, anew, ended atomic.Int64
	var watchers sync.WaitGroup
	for n := range screens {
		random := rand.New(rand.NewPCG(seed, uint64(n)))
		topic := line[n%len(line)].Topic
		watchers.Go(func() {
			m := &memory{orders: map[string]string{}}
			for {
				enough := random.IntN(120)
				if kitchen.has("end of " + topic) {
					enough = math.MaxInt
				}
				over, err := m.visit(t, server, topic, enough, missed(topic))
				if err != nil {
					t.Errorf("screen %d at %s, cut %d: %v", n, topic, cut.Load(), err)
					ended.Add(1)
					return
				}
				if m.synced && m.resumed {
					resumed.Add(1)
				} else if m.synced {
					anew.Add(1)
				}
				if over {
					if got, want := m.text(), sorted(kitchen, topic); got != want {
						t.Errorf("screen %d at %s has in the end\n%s, want\n%s", n, topic, got, want)
					}
					ended.Add(1)
					return
				}
				cut.Add(1)
				if random.IntN(20) == 0 { // It is away for longer than the hub remembers.
					kitchen.mu.Lock()
					until := kitchen.position + 400
					kitchen.mu.Unlock()
					eventually(t, "the line moves on", func() bool {
						kitchen.mu.Lock()
						defer kitchen.mu.Unlock()
						return kitchen.position >= until || kitchen.orders["end of "+topic].JSON != nil
					})
				}
			}
		})
	}

	random := rand.New(rand.NewPCG(seed, screens))
	var at [2][]string
	var events uint64
	for n := 0; n < changes || cut.Load() < cuts && ended.Load() < screens; n++ {
		which := random.IntN(2)
		topic, other := line[which].Topic, line[1-which].Topic
		ids := at[which]
		switch action := random.IntN(10); {
		case len(ids) == 0 || action < 4 && len(ids) < 30:
			id := fmt.Sprint(n)
			kitchen.put(topic, id)
			at[which] = append(ids, id)
		case action < 6:
			kitchen.put(topic, ids[random.IntN(len(ids))])
		default:
			i := random.IntN(len(ids))
			id := ids[i]
			at[which] = slices.Delete(ids, i, i+1)
			kitchen.move(topic, other, id)
			at[1-which] = append(at[1-which], id)
		}
		if n%5 == 0 { // A pace at which most screens can follow. Nobody may be there, or all have read it: so it waits for none.
			for patience := 20; h.Stats().Events == events && patience > 0; patience-- {
				time.Sleep(time.Millisecond)
			}
			events = h.Stats().Events
		}
	}
	for _, s := range line {
		kitchen.put(s.Topic, "end of "+s.Topic)
	}
	watchers.Wait()
	t.Logf("%d cuts, %d screens resumed, %d got a snapshot", cut.Load(), resumed.Load(), anew.Load())
	if s := h.Stats(); s.Resumed < uint64(resumed.Load()) || s.Snapshots < uint64(anew.Load()) {
		t.Errorf("the hub has counted %d screens that resumed and %d that got a snapshot", s.Resumed, s.Snapshots)
	}
	if cut.Load() < cuts || resumed.Load() < cuts/4 || anew.Load() < screens {
		t.Error("that is too few of something to prove anything")
	}
}

// visit reads some records, and is then cut off, unless the last change of the topic comes first.
func (m *memory) visit(t *testing.T, server *httptest.Server, topic string, enough int, missed func(after, position uint64) bool) (over bool, err error) {
	p := dial(t, server, "?topic="+topic+"&"+m.query())
	defer p.ws.CloseNow()
	m.waiting, m.synced = nil, false
	p.send(greeting)
	if r, ok := p.next(); !ok || r.raw != "{}" {
		return false, fmt.Errorf("handshake answered by %q: %w", r.raw, p.closed)
	}
	for n := 0; !m.synced || m.orders["end of "+topic] == ""; n++ {
		if n >= enough {
			_ = p.conn.Close() // This is what happens when the network fails.
			return false, nil
		}
		r, ok := p.next()
		switch {
		case !ok || r.Type == typeClose && !r.AllowReconnect:
			return false, fmt.Errorf("sent away by %s: %w", r.raw, errors.Join(p.closed))
		case r.Type == typeClose: // It was too slow.
			return false, nil
		case r.Type == typePing:
			continue
		}
		if err := m.hear(r, missed); err != nil {
			return false, err
		}
	}
	return true, p.ws.Close(websocket.StatusNormalClosure, "")
}

func (m *memory) text() string {
	lines := make([]string, 0, len(m.orders))
	for _, o := range m.orders {
		lines = append(lines, o)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func sorted(k *kitchen, topic string) string {
	lines := strings.Split(strings.TrimSpace(k.text(topic)), "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// A position that another hub, or none, has given is answered with a snapshot, and so is one that
// the log no longer reaches. A position that the log reaches is answered with the changes after
// it.
func TestResumeAfterAPosition(t *testing.T) {
	kitchen := newKitchen()
	kitchen.put("mix", "a")
	h, server := open(t, kitchen, Options{LogLength: 4})
	greet := func(after string) *peer {
		t.Helper()
		p := dial(t, server, "?topic=mix&after="+after)
		p.send(greeting)
		if r, ok := p.next(); !ok || r.raw != "{}" {
			t.Fatalf("handshake answered by %q", r.raw)
		}
		return p
	}
	expect := func(p *peer, want ...string) {
		t.Helper()
		for _, w := range want {
			if r, _ := p.next(); r.Target+string(r.raw[strings.Index(r.raw, "["):]) != w {
				t.Errorf("got %s, want %s", r.raw, w)
			}
		}
	}
	order := func(id string, position int) string {
		return fmt.Sprintf(`{"id":%q,"position":%d,"pad":""}`, id, position)
	}
	first := greet("")
	expect(first, `InformNewOrderToMix[`+order("a", 1)+`]}`, `InformSynced[{"waiting":1,"resumed":false},"`+h.epoch+`-1"]}`)
	kitchen.put("bake", "elsewhere")
	kitchen.put("mix", "b")
	expect(first, `InformNewOrderToMix[`+order("b", 3)+`,"`+h.epoch+`-3"]}`)
	expect(greet(h.epoch+"-1"), `InformNewOrderToMix[`+order("b", 3)+`,"`+h.epoch+`-3"]}`, `InformSynced[{"resumed":true},"`+h.epoch+`-3"]}`)
	expect(greet(h.epoch+"-3"), `InformSynced[{"resumed":true},"`+h.epoch+`-3"]}`)
	for _, after := range []string{"", "x", "-3", h.epoch + "-", h.epoch + "--1", h.epoch + "-4", h.epoch + "-99999999999999999999", "another-3", strings.ToLower(h.epoch) + "-3"} {
		expect(greet(after), `InformNewOrderToMix[`+order("a", 1)+`]}`, `InformNewOrderToMix[`+order("b", 3)+`]}`, `InformSynced[{"waiting":2,"resumed":false},"`+h.epoch+`-3"]}`)
	}
	again := func(position int) string {
		return fmt.Sprintf(`InformNewOrderToMix[%s,"%s-%d"]}`, order("b", position), h.epoch, position)
	}
	for position := 4; position <= 8; position++ {
		kitchen.put("mix", "b")
		expect(first, again(position))
	}
	expect(greet(h.epoch+"-3"), `InformNewOrderToMix[`+order("a", 1)+`]}`, `InformNewOrderToMix[`+order("b", 8)+`]}`, `InformSynced[{"waiting":2,"resumed":false},"`+h.epoch+`-8"]}`)
	expect(greet(h.epoch+"-7"), again(8), `InformSynced[{"resumed":true},"`+h.epoch+`-8"]}`)
}
