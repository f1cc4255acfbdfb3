package test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"

	"github.com/ecupcakes/ecupcakes/internal/testkit"

	"github.com/coder/websocket"
)

// TestConsumerGroups has the mixers of one consumer group before screens of two
// instances. Each order is on one of them while screens and instances come and go; Kafka knows the group; a screen of no group shows everything.
func TestConsumerGroups(t *testing.T) {
	t.Parallel()
	brokers := realKafka(t, 1).Brokers()
	serve := func(roles, instance string) *factory {
		return opened(t, &factory{t: t, kafka: brokers, serve: []string{"--roles", roles, "--instance", instance}})
	}
	one, two := serve("processors,api", "one"), serve("api", "two")
	ids := map[string]bool{}
	for range 40 {
		ids[one.place()] = true
	}
	everything := one.screen("", "")
	ana, ben, cem := one.screen("mixers", "Ana"), one.screen("mixers", "Ben"), two.screen("mixers", "Cem")
	shared := func(what string, screens ...*screen) {
		t.Helper()
		testkit.Eventually(t, what, func() bool {
			all := map[string]bool{}
			n := 0
			for _, s := range screens {
				orders := s.shown()
				if len(orders) == 0 {
					return false
				}
				n += len(orders)
				maps.Copy(all, orders)
			}
			return n == len(ids) && maps.Equal(all, ids)
		}, func() any {
			var counts []int
			for _, s := range screens {
				counts = append(counts, len(s.shown()))
			}
			return fmt.Sprintf("the screens show %v of %d orders", counts, len(ids))
		})
	}
	shared("three screens share all orders", ana, ben, cem)
	admin := adminOf(t, brokers)
	group, err := admin.DescribeGroups(t.Context(), "screens.orderrequests.mixers")
	if g := group["screens.orderrequests.mixers"]; err != nil || g.State != "Stable" || len(g.Members) != 2 || len(g.AssignedPartitions()["orderrequests"]) != 8 {
		t.Errorf("Kafka knows the group as %+v, %v", group, err)
	}

	// A claimed order stays with its person while other screens come.
	var his string
	for his = range cem.shown() {
		break
	}
	one.must(200, "POST", "/api/v1/order/claim", fmt.Sprintf(`{"Order":{"Id":%q},"By":"Cem"}`, his))
	dana := one.screen("mixers", "Dana")
	shared("four screens share all orders", ana, ben, cem, dana)
	if !cem.shown()[his] {
		t.Error("the order that Cem has claimed is not before him")
	}

	ids[one.place()] = true
	shared("a new order is on one screen", ana, ben, cem, dana)
	ben.close()
	shared("a screen has gone", ana, cem, dana)
	two.kill()
	shared("an instance has died", ana, dana)
	two.start()
	cem = two.screen("mixers", "Cem")
	shared("it is back", ana, cem, dana)
	testkit.Eventually(t, "Cem's screen shows the order that he has claimed", func() bool { return cem.shown()[his] }, func() any { return cem.shown() })
	other := two.screen("others", "Eve")
	shared("another group has all orders", other)
	shared("a screen of no group has all orders", everything)
	one.stop()
	shared("the other instance has all orders", cem)
	testkit.Eventually(t, "the instance that has stopped has left the group", func() bool {
		group, err = admin.DescribeGroups(t.Context(), "screens.orderrequests.mixers")
		return err == nil && len(group["screens.orderrequests.mixers"].Members) == 1
	}, func() any { return fmt.Sprintf("%+v, %v", group, err) })
	two.stop()
}

// screen is a screen at the mixing station and what it shows.
type screen struct {
	ws *websocket.Conn

	mu     sync.Mutex
	orders map[string]bool
	synced bool      // All that was there when it came is there.
	fresh  freshness // As it was told last.
	gone   bool      // The connection has ended.
}

// freshness is how far a screen is behind, in seconds.
type freshness struct {
	Behind         int
	Because, Stage string
}

func (s *screen) close() { _ = s.ws.CloseNow() }

func (s *screen) shown() map[string]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.orders)
}

func (s *screen) is(state func(*screen) bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return state(s)
}

// screen opens a screen of a person and a consumer group, either of which may
// be empty. It shows its orders when it returns.
func (f *factory) screen(group, person string) (s *screen) {
	f.t.Helper()
	f.eventually("the screen shows its orders", func() bool {
		if s == nil || s.is(func(s *screen) bool { return s.gone }) { // It was sent away, and comes again.
			s = f.connect(group, person)
		}
		return s != nil && s.is(func(s *screen) bool { return s.synced })
	})
	return s
}

// connect opens a screen that may not show anything yet, or returns nil.
func (f *factory) connect(group, person string) *screen {
	f.t.Helper()
	ws, _, err := websocket.Dial(f.t.Context(), f.url+"/ordermonitorhub?topic=orderrequests&consumergroup="+group+"&person="+person, nil)
	if err != nil {
		return nil
	}
	ws.SetReadLimit(-1)
	s := &screen{ws: ws, orders: map[string]bool{}}
	f.t.Cleanup(s.close)
	if err := ws.Write(f.t.Context(), websocket.MessageText, []byte("{\"protocol\":\"json\",\"version\":1}\x1e")); err != nil {
		return nil
	}
	go func() { // Pings are answered while somebody reads.
		for s.read(f.t.Context()) == nil {
		}
	}()
	return s
}

// read takes in one message.
func (s *screen) read(ctx context.Context) error {
	_, data, err := s.ws.Read(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.gone = true
		return err
	}
	for record := range strings.SplitSeq(string(data), "\x1e") {
		var m struct {
			Target    string
			Arguments []json.RawMessage
		}
		if json.Unmarshal([]byte(record), &m) != nil || len(m.Arguments) == 0 {
			continue
		}
		switch m.Target {
		case "InformSynced":
			s.synced = true
		case "InformFreshness":
			_ = json.Unmarshal(m.Arguments[0], &s.fresh)
		case "InformOrderLeft":
			var id string
			_ = json.Unmarshal(m.Arguments[0], &id)
			delete(s.orders, id)
		default:
			var o order
			_ = json.Unmarshal(m.Arguments[0], &o)
			s.orders[o.ID] = true
		}
	}
	return nil
}
