package dealer

import (
	"fmt"
	"slices"
	"testing"
)

// everything is the assignment of an instance that is alone in its group.
var everything = Assignment{Partitions: map[int32]bool{0: true, 1: true}, Joined: true}

func with(people map[string]bool) Assignment {
	a := everything
	a.People = people
	return a
}

func unclaimed(id string) Order { return Order{ID: id} }

// written returns the moves as text, such as "+a on 1", "-a on 1" and "~a on 1".
func written(moves []Move[int]) []string {
	var all []string
	for _, m := range moves {
		all = append(all, fmt.Sprintf("%c%s on %d", "+-~"[m.Kind], m.Order, m.Screen))
	}
	return all
}

func TestMovesOfEachChange(t *testing.T) {
	type dealing = Dealer[int]
	// Two screens, Ana at 1 and nobody at 2, with the orders a and c on 1, b and d on 2.
	two := func(d *dealing) {
		d.Join("g", 1, "Ana")
		d.Join("g", 2, "")
		d.Assign("g", everything)
		for _, id := range []string{"a", "b", "c", "d"} {
			d.Arrive(unclaimed(id))
		}
	}
	for name, test := range map[string]struct {
		before func(*dealing)
		change func(*dealing) []Move[int]
		moves  []string
	}{
		"an order without any screen is on none": {
			func(*dealing) {},
			func(d *dealing) []Move[int] { return d.Arrive(unclaimed("a")) }, nil,
		},
		"an order before the group is joined is on no screen": {
			func(d *dealing) { d.Join("g", 1, "") },
			func(d *dealing) []Move[int] { return d.Arrive(unclaimed("a")) }, nil,
		},
		"joining the group deals all orders by arrival": {
			func(d *dealing) {
				d.Arrive(unclaimed("b"))
				d.Arrive(unclaimed("a"))
				d.Join("g", 1, "")
				d.Join("g", 2, "")
			},
			func(d *dealing) []Move[int] { return d.Assign("g", everything) },
			[]string{"+b on 1", "+a on 2"},
		},
		"losing the group takes all orders away": {
			two,
			func(d *dealing) []Move[int] { return d.Assign("g", Assignment{}) },
			[]string{"-a on 1", "-b on 2", "-c on 1", "-d on 2"},
		},
		"a new order goes to the screen that joined first": {
			two,
			func(d *dealing) []Move[int] { return d.Arrive(unclaimed("e")) },
			[]string{"+e on 1"},
		},
		"a changed order stays": {
			two,
			func(d *dealing) []Move[int] { return d.Arrive(unclaimed("b")) },
			[]string{"~b on 2"},
		},
		"an order of another instance's partition is on no screen": {
			two,
			func(d *dealing) []Move[int] { return d.Arrive(Order{ID: "e", Partition: 7}) }, nil,
		},
		"a new screen gets the newest order": {
			two,
			func(d *dealing) []Move[int] { return d.Join("g", 3, "") },
			[]string{"-c on 1", "+c on 3"},
		},
		"a screen that joins twice changes nothing": {
			two,
			func(d *dealing) []Move[int] { return d.Join("g", 2, "Ben") }, nil,
		},
		"a screen that goes leaves its orders to the others": {
			two,
			func(d *dealing) []Move[int] { return d.Gone("g", 1) },
			[]string{"+a on 2", "+c on 2"},
		},
		"a claim moves the order to the claimant, and the newest one back": {
			two,
			func(d *dealing) []Move[int] { return d.Claim("d", "Ana") },
			[]string{"-d on 2", "+d on 1", "-c on 1", "+c on 2"},
		},
		"a claim of somebody without a screen moves nothing": {
			two,
			func(d *dealing) []Move[int] { return d.Claim("d", "Ben") }, nil,
		},
		"a repeated claim moves nothing": {
			func(d *dealing) { two(d); d.Claim("d", "Ana") },
			func(d *dealing) []Move[int] { return d.Claim("d", "Ana") }, nil,
		},
		"an arriving claimant gets the claimed order": {
			func(d *dealing) { two(d); d.Claim("b", "Ben") },
			func(d *dealing) []Move[int] { return d.Join("g", 3, "Ben") },
			[]string{"-b on 2", "+b on 3"},
		},
		"an order claimed at another instance is taken away": {
			func(d *dealing) { two(d); d.Claim("b", "Ben") },
			func(d *dealing) []Move[int] { return d.Assign("g", with(map[string]bool{"Ben": false})) },
			[]string{"-b on 2"},
		},
		"an order claimed here is shown whatever its partition": {
			func(d *dealing) { two(d); d.Assign("g", with(map[string]bool{"Ana": true})) },
			func(d *dealing) []Move[int] { return d.Arrive(Order{ID: "e", Partition: 7, Claimant: "Ana"}) },
			[]string{"+e on 1"},
		},
		"claimed orders are not balanced": {
			func(d *dealing) { two(d); d.Claim("a", "Ana"); d.Claim("c", "Ana"); d.Leave("b") },
			func(d *dealing) []Move[int] { return d.Leave("d") },
			[]string{"-d on 2"},
		},
		"an order that leaves is taken away, and the newest one moves": {
			func(d *dealing) { two(d); d.Arrive(unclaimed("e")) },
			func(d *dealing) []Move[int] { return d.Leave("b") },
			[]string{"-b on 2", "-e on 1", "+e on 2"},
		},
		"an unknown order that leaves changes nothing": {
			two,
			func(d *dealing) []Move[int] { return d.Leave("z") }, nil,
		},
		"each group gets all orders": {
			func(d *dealing) { two(d); d.Join("h", 9, ""); d.Assign("h", everything) },
			func(d *dealing) []Move[int] { return d.Arrive(unclaimed("e")) },
			[]string{"+e on 1", "+e on 9"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := New[int]()
			test.before(d)
			if got := written(test.change(d)); !slices.Equal(got, test.moves) {
				t.Errorf("got %q, want %q", got, test.moves)
			}
		})
	}
}

func TestGroupEndsWithItsLastScreen(t *testing.T) {
	d := New[int]()
	d.Arrive(unclaimed("a"))
	d.Join("g", 1, "")
	d.Assign("g", everything)
	d.Gone("g", 1)
	if groups := slices.Collect(d.Groups()); len(groups) > 0 || d.Joined("g") {
		t.Errorf("groups %v, joined %v", groups, d.Joined("g"))
	}
	if moves := d.Join("g", 2, ""); len(moves) > 0 || d.Shown("g", 2) == nil || d.Joined("g") {
		t.Errorf("a new group begins with %q", written(moves))
	}
}

func TestClearRemovesOrdersOnly(t *testing.T) {
	d := New[int]()
	d.Join("g", 1, "Ana")
	d.Assign("g", everything)
	d.Arrive(unclaimed("a"))
	d.Clear()
	if shown := d.Shown("g", 1); len(shown) > 0 {
		t.Errorf("still shown: %v", shown)
	}
	for range d.Waiting() {
		t.Error("an order still waits")
	}
	if moves := d.Leave("a"); len(moves) > 0 {
		t.Errorf("got %q", written(moves))
	}
	if got := written(d.Arrive(unclaimed("b"))); !slices.Equal(got, []string{"+b on 1"}) {
		t.Errorf("got %q", got)
	}
}

// BenchmarkDealer measures one change among many orders and screens.
func BenchmarkDealer(b *testing.B) {
	for _, orders := range []int{100, 10_000} {
		const screens = 20
		d := New[int]()
		for i := range orders {
			d.Arrive(Order{ID: fmt.Sprint(i)})
		}
		for i := range screens {
			d.Join("g", i, "")
		}
		d.Assign("g", everything)
		b.Run(fmt.Sprintf("ArriveAndLeave/orders=%d", orders), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				d.Arrive(Order{ID: "new"})
				d.Leave("new")
			}
		})
		b.Run(fmt.Sprintf("GoneAndJoin/orders=%d", orders), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				d.Gone("g", 0)
				d.Join("g", 0, "")
			}
		})
		b.Run(fmt.Sprintf("Assign/orders=%d", orders), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				d.Assign("g", everything)
			}
		})
	}
}
