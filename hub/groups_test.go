package hub

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
)

const partitions = 8

func partition(id string) int32 {
	h := fnv.New32a()
	h.Write([]byte(id))
	return int32(h.Sum32() % partitions)
}

// members is a consumer group of hubs, without Kafka. It assigns the partitions as soon as a hub
// has a screen, and knows at which hub each person is.
type members struct {
	mu   sync.Mutex
	hubs []*member
}

type member struct {
	of     *members
	hub    *Hub
	alive  bool
	people map[[2]string][]string // by group and topic; no key without screens
}

func (m *member) Set(group, topic string, screens int, people []string) error {
	m.of.mu.Lock()
	m.people[[2]string{group, topic}] = nil
	if screens == 0 {
		delete(m.people, [2]string{group, topic})
	} else {
		m.people[[2]string{group, topic}] = people
	}
	m.of.mu.Unlock()
	m.of.rebalance(group, topic)
	return nil
}

// rebalance passes their assignments to all members of a group, one after the other.
func (m *members) rebalance(group, topic string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := [2]string{group, topic}
	var in []*member
	at := map[string]*member{}
	for _, h := range m.hubs {
		people, member := h.people[k]
		if !h.alive || !member {
			continue
		}
		in = append(in, h)
		for _, p := range people {
			if at[p] == nil {
				at[p] = h
			}
		}
	}
	for i, h := range in {
		mine, people := map[int32]bool{}, map[string]bool{}
		for p := range int32(partitions) {
			if int(p)%len(in) == i {
				mine[p] = true
			}
		}
		for p, there := range at {
			people[p] = there == h
		}
		h.hub.Shared(group, topic, mine, people, true)
	}
}

// lose makes a hub lose its memberships, so that the other members own its partitions.
func (m *members) lose(i int, groups []string, topic string) {
	m.mu.Lock()
	m.hubs[i].alive = false
	m.mu.Unlock()
	for _, g := range groups {
		m.hubs[i].hub.Shared(g, topic, nil, nil, false)
		m.rebalance(g, topic)
	}
}

// find makes a hub join its groups again.
func (m *members) find(i int, groups []string, topic string) {
	m.mu.Lock()
	m.hubs[i].alive = true
	m.mu.Unlock()
	for _, g := range groups {
		m.rebalance(g, topic)
	}
}

// Screens of two groups and of none connect to three hubs and leave. The hubs lose their groups
// and join them again, while orders arrive, leave, and are claimed. Whenever nothing changes any
// more, each order is on exactly one screen of each group, and on all screens without a group.
// Claimed orders are on a screen of their claimant. The tests of package dealer check the balance
// of the screens.
func TestGroupsOfThreeHubsShowEachOrderOnce(t *testing.T) {
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	defer func() {
		if t.Failed() {
			t.Logf("again: go test -run %s -hub.seed=%d", t.Name(), seed)
		}
	}()
	random := rand.New(rand.NewPCG(seed, 0))
	kitchen, all := newKitchen(), &members{}
	kitchen.keep = 100_000
	var servers []*httptest.Server
	for range 3 {
		m := &member{of: all, alive: true, people: map[[2]string][]string{}}
		h, server := open(t, kitchen, Options{Groups: m, Partition: partition, KeepAlive: 150 * time.Millisecond, ClientTimeout: time.Hour})
		m.hub = h
		all.mu.Lock()
		all.hubs = append(all.hubs, m)
		all.mu.Unlock()
		servers = append(servers, server)
	}
	groups, people := []string{"", "left", "right"}, []string{"", "Ana", "Ben", "Cem"}
	var screens []*shownScreen
	var ids []string
	for round := range 60 {
		for range random.IntN(12) {
			switch random.IntN(9) {
			case 8:
				i := random.IntN(len(all.hubs))
				if !all.hubs[i].alive {
					all.find(i, groups[1:], "mix")
					break
				}
				all.lose(i, groups[1:], "mix")
				screens = slices.DeleteFunc(screens, func(s *shownScreen) bool {
					if s.hub != i || s.group == "" {
						return false
					}
					_ = s.ws.CloseNow() // It is sent away, or was never let in.
					return true
				})
			case 0, 1:
				s := &shownScreen{hub: random.IntN(len(servers)), group: groups[random.IntN(len(groups))], person: people[random.IntN(len(people))]}
				if !all.hubs[s.hub].alive {
					s.group = ""
				}
				s.open(t, servers[s.hub])
				screens = append(screens, s)
			case 2:
				if len(screens) > 4 {
					i := random.IntN(len(screens))
					_ = screens[i].ws.CloseNow()
					screens = slices.Delete(screens, i, i+1)
				}
			case 3, 4:
				id := fmt.Sprintf("%d-%d", round, len(ids))
				ids = append(ids, id)
				kitchen.put("mix", id)
			case 5:
				if len(ids) > 0 {
					kitchen.take("mix", ids[random.IntN(len(ids))])
				}
			default:
				if len(ids) > 0 {
					until := time.Time{}
					if random.IntN(3) == 0 {
						until = time.Now().Add(time.Duration(random.IntN(100)) * time.Millisecond)
					}
					kitchen.claim("mix", ids[random.IntN(len(ids))], people[random.IntN(len(people))], until)
				}
			}
		}
		wrong := "nothing was looked at"
		for end := time.Now().Add(patience); wrong != ""; time.Sleep(2 * time.Millisecond) {
			if wrong = disagreement(kitchen, screens); wrong != "" && time.Now().After(end) {
				t.Fatalf("round %d: %s", round, wrong)
			}
		}
	}
}

// shownScreen is a client and the orders that it shows.
type shownScreen struct {
	hub           int
	group, person string
	ws            *websocket.Conn

	mu     sync.Mutex
	synced bool
	orders map[string]string // JSON by id
}

func (s *shownScreen) open(t *testing.T, server *httptest.Server) {
	t.Helper()
	p := dial(t, server, "?topic=mix&consumergroup="+s.group+"&person="+s.person)
	p.send("{\"protocol\":\"json\",\"version\":1}\x1e")
	s.ws, s.orders = p.ws, map[string]string{}
	go func() {
		for {
			r, ok := p.next()
			if !ok {
				return
			}
			s.mu.Lock()
			switch r.Target {
			case "InformNewOrderToMix":
				s.orders[strings.Split(r.argument(), `"`)[3]] = r.argument()
			case "InformOrderLeft":
				delete(s.orders, strings.Trim(r.argument(), `"`))
			case "InformSynced":
				s.synced = true
			}
			s.mu.Unlock()
		}
	}()
}

// disagreement returns what is wrong with what the screens show, or an empty string.
func disagreement(kitchen *kitchen, screens []*shownScreen) string {
	kitchen.mu.Lock()
	want := map[string]Order{}
	for _, o := range kitchen.list("mix") {
		want[o.ID] = o
	}
	kitchen.mu.Unlock()
	at := map[string]map[string]*shownScreen{} // by group and id
	has := map[string]map[string]bool{}        // by group, people
	for _, s := range screens {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.synced {
			return "a screen is not synced"
		}
		if s.group == "" {
			if len(s.orders) != len(want) {
				return fmt.Sprintf("a screen of no group shows %d of %d orders", len(s.orders), len(want))
			}
			continue
		}
		if at[s.group] == nil {
			at[s.group], has[s.group] = map[string]*shownScreen{}, map[string]bool{}
		}
		has[s.group][s.person] = true
		for id, text := range s.orders {
			o, waits := want[id]
			if !waits {
				return id + " is shown and does not wait"
			}
			if string(o.JSON()) != text {
				return id + " is shown as it was"
			}
			if at[s.group][id] != nil {
				return id + " is on two screens of " + s.group
			}
			at[s.group][id] = s
		}
	}
	for group := range at {
		for id, o := range want {
			s := at[group][id]
			if s == nil {
				return id + " is on no screen of " + group
			}
			if by := o.ClaimedBy(time.Now()); by != "" && has[group][by] && s.person != by {
				return fmt.Sprintf("%s of %s is before %q in %s", id, by, s.person, group)
			}
		}
	}
	return ""
}
