// Package forecast says when an order will be shipped, honestly: from how the
// stages did lately and what is before the order, or not at all. And it keeps
// count of how well that came true.
//
// It keeps no orders; it asks the views. It never knows HTTP.
package forecast

import (
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/ecupcakes/ecupcakes/views"
	"github.com/ecupcakes/ecupcakes/views/stats"
)

// Forecast says when an order will be shipped.
type Forecast struct {
	P50, P90 time.Time // It is as likely before P50 as after it, and nine times in ten before P90. Zero without enough data.
	Ahead    int       // Orders that are before it, at its stage and at the later ones.
	Basis    int       // How many recent orders each stage's times are from, the fewest; below Enough there is no estimate.
}

// Enough is how many orders must have left each stage that is left before
// anything is said.
const Enough = 20

const (
	runs     = 200 // of a simulation
	maxExact = 200 // orders ahead that are simulated one by one
	few      = 5   // A sample with fewer values says nothing.
)

// Views is what is asked about an order.
type Views interface {
	Ahead(id string) (stage int, ahead []views.Ahead, ok bool)
}

// For foretells when the order will be shipped; ok is false for one that is not
// on the line.
//
// Each stage is taken for a queue, first come, first served, that goes on as it
// did with its last orders. Lindley's recursion gives when each order leaves
// each stage, D(n) = max(A(n), D(n-1)) + S(n), for all orders ahead and then for
// this one, with S drawn at random from what was seen there: if the order came
// after the one before it had left, from the times that such orders were there,
// and otherwise from the times that passed between two departures. So the
// number of people at a stage, their breaks and their habits are in S without
// being known. Of what has begun at each stage only times count that are longer
// than has passed. The quantiles are those of 200 such runs; the same order
// gets the same random numbers each time, so that it does not jump about.
func For(v Views, id string, now time.Time) (f Forecast, ok bool) {
	_, ahead, ok := v.Ahead(id)
	if !ok {
		return f, false
	}
	f.Basis = math.MaxInt
	stages := make([]stage, len(ahead))
	for i, a := range ahead {
		stages[i] = observe(a, now)
		f.Ahead, f.Basis = f.Ahead+a.Orders, min(f.Basis, len(a.Recent))
	}
	if f.Basis < Enough {
		return f, true
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(id))
	ends := simulate(stages, rand.New(rand.NewPCG(h.Sum64(), 0)))
	on := func(q float64) time.Time {
		return now.Add(time.Duration(stats.Quantile(ends, q) * float64(time.Second))).UTC().Truncate(time.Millisecond)
	}
	f.P50, f.P90 = on(0.5), on(0.9)
	return f, true
}

// stage is a queue of the simulation; times are in seconds.
type stage struct {
	free, behind sample // How long orders took that came when the one before had left, or that were behind it.
	ahead        int
	begun        float64 // How long ago the first one could be begun with; -1 if none is there.
}

// observe makes a queue of what was seen at a stage.
func observe(a views.Ahead, now time.Time) stage {
	s := stage{ahead: a.Orders, begun: -1}
	var before time.Time
	for i, v := range a.Recent {
		switch {
		case v.Arrived.Before(before):
			s.behind = append(s.behind, v.Left.Sub(before).Seconds())
		case i > 0 || v.Arrived.Before(v.Left): // Whom the first one was behind is not known.
			s.free = append(s.free, max(0, v.Left.Sub(v.Arrived).Seconds()))
		}
		before = v.Left
	}
	if len(s.free) < few {
		s.free = append(s.behind, s.free...)
	}
	if len(s.behind) < few {
		s.behind = s.free
	}
	if !a.First.IsZero() {
		began := a.First
		if before.After(began) {
			began = before
		}
		s.begun = max(0, now.Sub(began).Seconds())
	}
	return s
}

// sample is what was seen, in seconds, in no order.
type sample []float64

func (s sample) draw(r *rand.Rand) float64 { return s[r.IntN(len(s))] }

// rest is what is left of one that has taken that long already.
func (s sample) rest(r *rand.Rand, taken float64) float64 {
	for range 8 { // So likely that more tries would rarely find a longer one.
		if v := s.draw(r); v > taken {
			return v - taken
		}
	}
	longest := slices.Max(s)
	if longest > taken {
		return longest - taken
	}
	return s.draw(r) // Longer than any: it could as well have begun just now.
}

func (s sample) mean() (sum float64) {
	for _, v := range s {
		sum += v
	}
	return sum / float64(len(s))
}

// simulate returns after how many seconds the last of those that are at the
// first stage has left the last one, sorted, of each run.
func simulate(stages []stage, r *rand.Rand) (ends []float64) {
	all := 0
	means := make([]float64, len(stages))
	for i, s := range stages {
		all += s.ahead
		means[i] = s.behind.mean()
	}
	block := (all + maxExact - 1) / maxExact // So many go as one through the line when there are more.
	left := make([]float64, len(stages))
	for range runs {
		for i := range left {
			left[i] = -1
		}
		var end float64
		for at := len(stages) - 1; at >= 0; at-- {
			n := stages[at].ahead
			for first := true; n > 0; first = false {
				size := min(block, n)
				pass(stages, means, left, at, size, first, r)
				n -= size
			}
		}
		end = pass(stages, means, left, 0, 1, stages[0].ahead == 0, r)
		ends = append(ends, end)
	}
	slices.Sort(ends)
	return ends
}

// pass takes size orders through the line from the stage at on, where they are
// now, and returns when they leave it. left is when the ones before them left
// each stage, and is brought up to date. The first ones of a stage may be under
// way.
func pass(stages []stage, means, left []float64, at, size int, first bool, r *rand.Rand) (t float64) {
	for i := at; i < len(stages); i++ {
		s := &stages[i]
		// A sum of n has n times the mean, but only √n times the deviation.
		n, spread := float64(size), math.Sqrt(float64(size))
		many := func(one float64) float64 { return max(0, n*means[i]+spread*(one-means[i])) }
		switch {
		case i == at && first && s.begun >= 0:
			from := s.free
			if len(s.behind) > len(from) {
				from = s.behind
			}
			t = from.rest(r, s.begun)
			if size > 1 {
				t += many(s.behind.draw(r)) * (n - 1) / n
			}
		case t >= left[i] && size == 1:
			t += s.free.draw(r)
		case size == 1:
			t = left[i] + s.behind.draw(r)
		default:
			t = max(t, left[i]) + many(s.behind.draw(r))
		}
		left[i] = t
	}
	return t
}
