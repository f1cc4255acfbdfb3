package commands

import (
	"testing"

	"github.com/ecupcakes/ecupcakes/order"
	"github.com/ecupcakes/ecupcakes/topology"
	"github.com/ecupcakes/ecupcakes/views"
)

var line = topology.Cupcakes

// at is an order at the stage with the index, after Ana has done all before.
func at(stage int, state order.State) views.Order {
	o := views.Order{At: stage, State: state}
	steps := stage
	if state != order.StateWaiting {
		steps++
	}
	for _, s := range line.Stages[:steps] {
		o.History = append(o.History, order.Step{Stage: s.Name, By: "Ana"})
	}
	if state == order.StateRejected {
		o.Reason = "burnt"
	}
	return o
}

func TestConflictNamesTheReason(t *testing.T) {
	last := len(line.Stages) - 1
	for name, c := range map[string]struct {
		stage int
		order views.Order
		code  Code
		want  string
	}{
		"has not come yet":                   {2, at(0, order.StateWaiting), NotItsTurn, "The order is at mixing and has not come to decorating yet."},
		"is on its way to the stage before":  {3, at(1, order.StateCompleted), NotItsTurn, "The order is at decorating and has not come to packaging yet."},
		"is past":                            {0, at(2, order.StateWaiting), AlreadyDone, "The order is past mixing already: Ana did it."},
		"was finished by another report":     {1, at(1, order.StateCompleted), AlreadyDone, "The order is past baking already: Ana did it."},
		"was rejected here":                  {1, at(1, order.StateRejected), AlreadyDone, "The order was rejected at baking by Ana: burnt."},
		"was rejected before it came":        {4, at(1, order.StateRejected), AlreadyDone, "The order was rejected at baking by Ana: burnt."},
		"has left the line, a stage asks":    {2, at(last, order.StateCompleted), AlreadyDone, "The order is past decorating already: Ana did it."},
		"has left the line, nobody's turn":   {anywhere, at(last, order.StateCompleted), AlreadyDone, "The order is past shipping already: Ana did it."},
		"rejected, no stage is named":        {anywhere, at(0, order.StateRejected), AlreadyDone, "The order was rejected at mixing by Ana: burnt."},
		"was put on the line behind a stage": {3, views.Order{At: last, State: order.StateCompleted, Order: order.Order{History: []order.Step{{Stage: "shipping", By: "Ben"}}}}, AlreadyDone, "The order is past shipping already: Ben did it."},
		"has left without any history":       {3, views.Order{At: last, State: order.StateCompleted}, AlreadyDone, "The order has left the line: there is nothing to do for it."},
		"rejected without any history":       {3, views.Order{At: 1, State: order.StateRejected}, AlreadyDone, "The order has left the line: there is nothing to do for it."},
	} {
		t.Run(name, func(t *testing.T) {
			e := conflict(line, c.stage, c.order)
			if e.Code != c.code || e.Message != c.want || e.Order == nil {
				t.Errorf("%s: %q, want %s: %q", e.Code, e.Message, c.code, c.want)
			}
		})
	}
}

// Every state of an order at every stage gives a refusal for every stage but its
// own, and never a panic.
func TestConflictKnowsEveryState(t *testing.T) {
	for s := range line.Stages {
		for _, state := range []order.State{order.StateWaiting, order.StateCompleted, order.StateRejected} {
			for stage := anywhere; stage < len(line.Stages); stage++ {
				o := at(s, state)
				if o.Present(line) >= 0 && (stage == anywhere || stage == o.Present(line)) {
					continue // It is the stage's turn, or that of no other.
				}
				e := conflict(line, stage, o)
				if want := o.Present(line) >= 0 && stage > s; (e.Code == NotItsTurn) != want {
					t.Errorf("stage %d about an order %s at %d: %s %q", stage, state, s, e.Code, e.Message)
				}
			}
		}
	}
}

func TestTakenNamesTheClaimant(t *testing.T) {
	if e := taken(views.Order{Claim: "Ana"}); e.Message != "Ana is on this order." {
		t.Error(e.Message)
	}
	if e := taken(views.Order{}); e.Message != "Somebody else is on this order." {
		t.Error(e.Message)
	}
}

// Rows on Kafka contain digests: another form would refuse retries across an
// upgrade.
func TestDigestIsStable(t *testing.T) {
	r := order.Report{OrderID: "o1", Kind: order.KindReject, By: "Ana", Reason: "burnt"}
	for stage, want := range map[int]string{anywhere: "fa47341deb6e7630", 0: "2ddd0e4e847aae26"} {
		if got := digest(stage, r); got != want {
			t.Errorf("the digest at %d is %s, want %s", stage, got, want)
		}
	}
}
