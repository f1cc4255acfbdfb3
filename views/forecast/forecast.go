// Package forecast estimates when an order will be shipped, by a simulation of the queues before
// the order with the recent times of each stage. With too little data it makes no estimate. It also
// measures the accuracy of its estimates.
//
// The package stores no orders; it queries the views.
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

// Forecast is an estimate of the time at which an order will be shipped.
type Forecast struct {
	P50, P90 time.Time // Median and 90th percentile of the simulated shipping time; zero without enough data.
	Ahead    int       // Orders before it at its stage and at the later ones.
	Basis    int       // Smallest number of recent departures at these stages; below Enough there is no estimate.
}

// Enough is the number of recent departures that each remaining stage must have for an estimate.
const Enough = 20

const (
	runs      = 200 // Runs of a simulation.
	maxExact  = 200 // Orders ahead that are simulated one by one; more are simulated in blocks.
	minSample = 5   // Values below which a sample is not used on its own.
)

// Views is the part of views.Views that For needs.
type Views interface {
	Ahead(id string) (stage int, ahead []views.Ahead, ok bool)
}

// For estimates when the order will be shipped. ok is false for an order that is not on the line.
//
// Each stage is modelled as a first-come, first-served queue whose service times are distributed
// like those of its last orders. Lindley's recursion gives the departure time of each order from
// each stage,
//
//	D(n) = max(A(n), D(n-1)) + S(n),
//
// for all orders ahead and then for this one. S is drawn at random from the observed times of the
// stage. If the order arrived after the one before it had left, they are the stays of such orders;
// otherwise they are the times between two departures. The number of people at a stage, their
// breaks and their habits are therefore part of S without being known. For an order that is being
// worked on, only observed times count that are longer than the time that has passed.
//
// The percentiles are those of 200 such runs. The random numbers derive from the ID of the order,
// so that its estimate does not jitter between calls.
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

// stage is a queue of the simulation. Times are in seconds.
type stage struct {
	idle, busy sample  // Service times of orders that arrived after, or before, the departure of the one before.
	ahead      int     // Orders before the order of the forecast.
	begun      float64 // Time since work on the first order could begin; -1 if none is there.
}

// observe returns the queue for the observations of a stage.
func observe(a views.Ahead, now time.Time) stage {
	s := stage{ahead: a.Orders, begun: -1}
	var before time.Time
	for i, v := range a.Recent {
		switch {
		case v.Arrived.Before(before):
			s.busy = append(s.busy, v.Left.Sub(before).Seconds())
		case i > 0 || v.Arrived.Before(v.Left): // The departure before the first one is unknown.
			s.idle = append(s.idle, max(0, v.Left.Sub(v.Arrived).Seconds()))
		}
		before = v.Left
	}
	if len(s.idle) < minSample {
		s.idle = append(s.busy, s.idle...)
	}
	if len(s.busy) < minSample {
		s.busy = s.idle
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

// sample is a set of observed times, in seconds, unsorted.
type sample []float64

// draw returns a random value.
func (s sample) draw(r *rand.Rand) float64 { return s[r.IntN(len(s))] }

// rest returns a random remaining time for work that has taken this long already.
func (s sample) rest(r *rand.Rand, taken float64) float64 {
	for range 8 { // More attempts would rarely find a longer one.
		if v := s.draw(r); v > taken {
			return v - taken
		}
	}
	longest := slices.Max(s)
	if longest > taken {
		return longest - taken
	}
	return s.draw(r) // It has taken longer than any observed one: as if it had begun just now.
}

func (s sample) mean() (sum float64) {
	for _, v := range s {
		sum += v
	}
	return sum / float64(len(s))
}

// simulate returns, sorted, the result of each run: the number of seconds after which the order of
// the forecast, the last one at the first stage, leaves the last stage.
func simulate(stages []stage, r *rand.Rand) (ends []float64) {
	all := 0
	means := make([]float64, len(stages))
	for i, s := range stages {
		all += s.ahead
		means[i] = s.busy.mean()
	}
	block := (all + maxExact - 1) / maxExact // Orders that pass the line as one; 1 up to maxExact orders.
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

// pass simulates size orders from stage at, where they are now, to the end of the line, and returns
// the time at which they leave it. left has the departure times of the orders before them by stage,
// and pass updates it. first says that they are the first ones at the stage: work on them may have
// begun.
func pass(stages []stage, means, left []float64, at, size int, first bool, r *rand.Rand) (t float64) {
	for i := at; i < len(stages); i++ {
		s := &stages[i]
		// A sum of n has n times the mean, but only √n times the deviation.
		n, spread := float64(size), math.Sqrt(float64(size))
		many := func(one float64) float64 { return max(0, n*means[i]+spread*(one-means[i])) }
		switch {
		case i == at && first && s.begun >= 0:
			from := s.idle
			if len(s.busy) > len(from) {
				from = s.busy
			}
			t = from.rest(r, s.begun)
			if size > 1 {
				t += many(s.busy.draw(r)) * (n - 1) / n
			}
		case t >= left[i] && size == 1:
			t += s.idle.draw(r)
		case size == 1:
			t = left[i] + s.busy.draw(r)
		default:
			t = max(t, left[i]) + many(s.busy.draw(r))
		}
		left[i] = t
	}
	return t
}
