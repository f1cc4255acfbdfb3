package dealer

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// spec is a naive dealer: after every change it looks at all orders of all groups again. It says
// where each order is, not how it came there.
type spec struct {
	orders []Order // by arrival
	groups map[string]*specGroup
}

type specGroup struct {
	Assignment
	screens []specScreen   // by arrival
	on      map[string]int // the screen of each order
}

type specScreen struct {
	id     int
	person string
}

func (s *spec) settle() {
	for _, g := range s.groups {
		for _, o := range s.orders {
			if id, ok := g.belongs(o); ok {
				g.on[o.ID] = id
			} else {
				delete(g.on, o.ID)
			}
		}
		for g.balance(s.orders) {
		}
	}
}

func (g *specGroup) count(id int) (n int) {
	for _, on := range g.on {
		if on == id {
			n++
		}
	}
	return n
}

func (g *specGroup) fewest(screens []specScreen) int {
	return slices.MinFunc(screens, func(a, b specScreen) int { return g.count(a.id) - g.count(b.id) }).id
}

func (g *specGroup) owns(o Order) bool {
	if here, known := g.People[o.Claimant]; known {
		return g.Joined && here
	}
	return g.Joined && g.Partitions[o.Partition]
}

func (g *specGroup) belongs(o Order) (int, bool) {
	if !g.owns(o) {
		return 0, false
	}
	fit := slices.DeleteFunc(slices.Clone(g.screens), func(s specScreen) bool { return s.person != o.Claimant })
	if o.Claimant == "" || len(fit) == 0 {
		fit = g.screens
	}
	on, shown := g.on[o.ID]
	if shown && slices.ContainsFunc(fit, func(s specScreen) bool { return s.id == on }) {
		return on, true
	}
	delete(g.on, o.ID)
	return g.fewest(fit), true
}

// newestUnclaimed returns the newest unclaimed order on a screen.
func (g *specGroup) newestUnclaimed(orders []Order, screen int) (string, bool) {
	for _, o := range slices.Backward(orders) {
		if on, shown := g.on[o.ID]; shown && on == screen && o.Claimant == "" {
			return o.ID, true
		}
	}
	return "", false
}

func (g *specGroup) balance(orders []Order) bool {
	full := slices.DeleteFunc(slices.Clone(g.screens), func(s specScreen) bool {
		_, some := g.newestUnclaimed(orders, s.id)
		return !some
	})
	if len(full) == 0 {
		return false
	}
	from := slices.MinFunc(full, func(a, b specScreen) int { return g.count(b.id) - g.count(a.id) }).id
	to := g.fewest(g.screens)
	if g.count(from) < g.count(to)+2 {
		return false
	}
	id, _ := g.newestUnclaimed(orders, from)
	g.on[id] = to
	return true
}

// watcher is what the screens show if they apply the moves. It also checks each move.
type watcher struct {
	shown map[string]map[int]map[string]bool // by group, screen and order
	owner map[int]string                     // the group of each screen
}

func (w *watcher) apply(m Move[int]) error {
	orders := w.shown[w.owner[m.Screen]][m.Screen]
	switch {
	case orders == nil:
		return fmt.Errorf("%v is for a screen that is not there", m)
	case orders[m.Order] != (m.Kind != Show):
		return fmt.Errorf("%v, but the screen shows %v", m, orders)
	case m.Kind == Show:
		orders[m.Order] = true
	case m.Kind == TakeAway:
		delete(orders, m.Order)
	}
	return nil
}

const modelPartitions = 4

var modelPeople = []string{"", "Ana", "Ben", "Cem"}

func assignments(t *rapid.T) Assignment {
	a := Assignment{Partitions: map[int32]bool{}, People: map[string]bool{}, Joined: rapid.IntRange(0, 5).Draw(t, "joined") > 0}
	for p := range int32(modelPartitions) {
		if rapid.IntRange(0, 3).Draw(t, "owned") > 0 {
			a.Partitions[p] = true
		}
	}
	for _, p := range modelPeople[1:] {
		if where := rapid.IntRange(0, 2).Draw(t, "where"); where > 0 {
			a.People[p] = where == 1
		}
	}
	return a
}

// TestDealerEqualsSpec plays random changes to a Dealer, to a second one and to the naive spec.
// After each change both dealers have returned the same moves, the moves applied in order show
// what the spec shows, and the rules of the package hold.
func TestDealerEqualsSpec(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, twin := New[int](), New[int]()
		s := &spec{groups: map[string]*specGroup{}}
		w := &watcher{shown: map[string]map[int]map[string]bool{}, owner: map[int]string{}}
		next, screens := 0, 0
		both := func(change func(*Dealer[int]) []Move[int]) {
			moves := slices.Clone(change(d))
			if again := change(twin); !slices.Equal(moves, again) {
				t.Fatalf("the same change returns %q and %q", written(moves), written(again))
			}
			for _, m := range moves {
				if err := w.apply(m); err != nil {
					t.Fatal(err)
				}
			}
		}
		person := rapid.SampledFrom(modelPeople)
		group := rapid.SampledFrom([]string{"left", "right"})
		put := func(o Order) {
			if i := slices.IndexFunc(s.orders, func(other Order) bool { return other.ID == o.ID }); i >= 0 {
				s.orders[i] = o
			} else {
				s.orders = append(s.orders, o)
			}
		}
		some := func(t *rapid.T) Order {
			if len(s.orders) == 0 {
				t.Skip("no order waits")
			}
			return s.orders[rapid.IntRange(0, len(s.orders)-1).Draw(t, "order")]
		}
		t.Repeat(map[string]func(*rapid.T){
			"arrive": func(t *rapid.T) {
				next++
				o := Order{ID: fmt.Sprint(next), Partition: int32(rapid.IntRange(0, modelPartitions-1).Draw(t, "partition")), Claimant: person.Draw(t, "claimant")}
				put(o)
				both(func(d *Dealer[int]) []Move[int] { return d.Arrive(o) })
			},
			"change": func(t *rapid.T) {
				o := some(t)
				o.Claimant = person.Draw(t, "claimant")
				put(o)
				both(func(d *Dealer[int]) []Move[int] { return d.Arrive(o) })
			},
			"claim": func(t *rapid.T) {
				o := some(t)
				o.Claimant = person.Draw(t, "claimant")
				put(o)
				both(func(d *Dealer[int]) []Move[int] { return d.Claim(o.ID, o.Claimant) })
			},
			"leave": func(t *rapid.T) {
				o := some(t)
				s.orders = slices.DeleteFunc(s.orders, func(other Order) bool { return other.ID == o.ID })
				for _, g := range s.groups {
					delete(g.on, o.ID)
				}
				both(func(d *Dealer[int]) []Move[int] { return d.Leave(o.ID) })
			},
			"join": func(t *rapid.T) {
				name, who := group.Draw(t, "group"), person.Draw(t, "person")
				screens++
				id := screens
				if s.groups[name] == nil {
					s.groups[name] = &specGroup{on: map[string]int{}}
					w.shown[name] = map[int]map[string]bool{}
				}
				s.groups[name].screens = append(s.groups[name].screens, specScreen{id, who})
				w.shown[name][id], w.owner[id] = map[string]bool{}, name
				both(func(d *Dealer[int]) []Move[int] { return d.Join(name, id, who) })
			},
			"gone": func(t *rapid.T) {
				name := group.Draw(t, "group")
				g := s.groups[name]
				if g == nil {
					t.Skip("the group has no screen")
				}
				id := g.screens[rapid.IntRange(0, len(g.screens)-1).Draw(t, "screen")].id
				g.screens = slices.DeleteFunc(g.screens, func(s specScreen) bool { return s.id == id })
				maps.DeleteFunc(g.on, func(_ string, on int) bool { return on == id })
				delete(w.shown[name], id)
				if len(g.screens) == 0 {
					delete(s.groups, name)
				}
				both(func(d *Dealer[int]) []Move[int] { return d.Gone(name, id) })
			},
			"assign": func(t *rapid.T) {
				name, a := group.Draw(t, "group"), assignments(t)
				if s.groups[name] == nil {
					t.Skip("the group has no screen")
				}
				s.groups[name].Assignment = a
				both(func(d *Dealer[int]) []Move[int] { return d.Assign(name, a) })
			},
			"": func(t *rapid.T) {
				s.settle()
				for name, g := range s.groups {
					compare(t, d, w, s, name, g)
					checkRules(t, s, name, g, w.shown[name])
				}
				if got := slices.Collect(d.Waiting()); !slices.Equal(got, s.orders) {
					t.Fatalf("%v wait, want %v", got, s.orders)
				}
			},
		})
	})
}

// compare checks that the screens of a group show what the spec says.
func compare(t *rapid.T, d *Dealer[int], w *watcher, s *spec, name string, g *specGroup) {
	for _, screen := range g.screens {
		var want []string
		for _, o := range s.orders {
			if on, shown := g.on[o.ID]; shown && on == screen.id {
				want = append(want, o.ID)
			}
		}
		if got := d.Shown(name, screen.id); !slices.Equal(got, want) {
			t.Fatalf("screen %d of %s shows %v, want %v", screen.id, name, got, want)
		}
		applied := slices.DeleteFunc(slices.Clone(want), func(id string) bool { return !w.shown[name][screen.id][id] })
		if len(applied) != len(want) || len(w.shown[name][screen.id]) != len(want) {
			t.Fatalf("the moves of screen %d of %s give %v, want %v", screen.id, name, w.shown[name][screen.id], want)
		}
	}
}

// checkRules checks the rules of the package without the spec's way to obey them.
func checkRules(t *rapid.T, s *spec, name string, g *specGroup, shown map[int]map[string]bool) {
	person := map[int]string{}
	for _, screen := range g.screens {
		person[screen.id] = screen.person
	}
	here := slices.Collect(maps.Values(person))
	free := map[int]int{} // unclaimed orders
	for _, o := range s.orders {
		var on []int
		for id, orders := range shown {
			if orders[o.ID] {
				on = append(on, id)
			}
		}
		switch {
		case !g.owns(o) && len(on) > 0:
			t.Fatalf("%v does not belong here, and is on the screens %v of %s", o, on, name)
		case g.owns(o) && len(on) != 1:
			t.Fatalf("%v is on the screens %v of %s, want one", o, on, name)
		case len(on) == 1 && o.Claimant != "" && slices.Contains(here, o.Claimant) && person[on[0]] != o.Claimant:
			t.Fatalf("%v is on screen %d of %s, which is not its claimant's", o, on[0], name)
		case len(on) == 1 && o.Claimant == "":
			free[on[0]]++
		}
	}
	for id := range free {
		for other := range shown {
			if len(shown[id]) > len(shown[other])+1 {
				t.Fatalf("screen %d of %s has %d orders, some unclaimed, and screen %d has %d", id, name, len(shown[id]), other, len(shown[other]))
			}
		}
	}
}

// TestBalancingMovesOnlyTheNewestUnclaimed checks that a screen that comes or goes, or an order
// that leaves, costs another screen only the orders that it would have begun last.
func TestBalancingMovesOnlyTheNewestUnclaimed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := New[int]()
		orders := map[string]Order{}
		screens := rapid.IntRange(1, 5).Draw(t, "screens")
		for id := range screens {
			d.Join("g", id, rapid.SampledFrom(modelPeople).Draw(t, "person"))
		}
		d.Assign("g", everything)
		for n := range rapid.IntRange(0, 30).Draw(t, "orders") {
			o := Order{ID: fmt.Sprint(n), Claimant: rapid.SampledFrom(modelPeople).Draw(t, "claimant")}
			orders[o.ID] = o
			d.Arrive(o)
		}
		before := map[int][]string{}
		for id := range screens {
			before[id] = d.Shown("g", id)
		}
		gone := -1
		var moves []Move[int]
		switch what := rapid.IntRange(0, 2).Draw(t, "what"); {
		case what == 0:
			moves = d.Join("g", screens, "")
		case what == 1:
			gone = 0
			moves = d.Gone("g", gone)
		case len(orders) > 0:
			id := fmt.Sprint(rapid.IntRange(0, len(orders)-1).Draw(t, "order"))
			moves = d.Leave(id)
			for screen, shown := range before {
				before[screen] = slices.DeleteFunc(shown, func(other string) bool { return other == id })
			}
		}
		for _, m := range moves {
			shown := before[m.Screen]
			if m.Kind != TakeAway || !slices.Contains(shown, m.Order) {
				continue
			}
			free := slices.DeleteFunc(slices.Clone(shown), func(id string) bool { return orders[id].Claimant != "" })
			if len(free) == 0 || free[len(free)-1] != m.Order {
				t.Fatalf("%s is taken from screen %d, which shows %v, unclaimed %v", m.Order, m.Screen, shown, free)
			}
			before[m.Screen] = slices.DeleteFunc(slices.Clone(shown), func(id string) bool { return id == m.Order })
		}
	})
}
