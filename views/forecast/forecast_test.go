package forecast

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/ecupcakes/ecupcakes/views"
	"github.com/ecupcakes/ecupcakes/views/stats"
)

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// station is a simulated stage with a number of people, each of whom needs a random time per order.
type station struct {
	people int
	time   func(*rand.Rand) time.Duration
}

// history is a line of which the arrivals and departures of all orders are known.
type history struct {
	arrived, left [][]time.Time // Times by stage and order.
	now           time.Time
}

// run passes orders, first come, first served, through the stations.
func run(stations []station, orders int, between time.Duration, r *rand.Rand) *history {
	k := &history{}
	arrived := make([]time.Time, orders)
	t := noon
	for n := range arrived {
		t = t.Add(time.Duration(r.ExpFloat64() * float64(between)))
		arrived[n] = t
	}
	for _, s := range stations {
		// Orders arrive in the order of their departure from the stage before.
		by := make([]int, orders)
		for n := range by {
			by[n] = n
		}
		slices.SortFunc(by, func(a, b int) int { return arrived[a].Compare(arrived[b]) })
		free, left := make([]time.Time, s.people), make([]time.Time, orders)
		for _, n := range by {
			next := 0
			for p := range free {
				if free[p].Before(free[next]) {
					next = p
				}
			}
			begin := arrived[n]
			if free[next].After(begin) {
				begin = free[next]
			}
			left[n] = begin.Add(s.time(r))
			free[next] = left[n]
		}
		k.arrived, k.left = append(k.arrived, arrived), append(k.left, left)
		arrived = left
	}
	return k
}

// Ahead returns the queues before an order that has just arrived at the first stage.
func (k *history) Ahead(id string) (int, []views.Ahead, bool) {
	var order int
	_, _ = fmt.Sscan(id, &order)
	ahead := make([]views.Ahead, len(k.arrived))
	for i := range ahead {
		a := &ahead[i]
		for n := range k.arrived[i] {
			switch {
			case k.arrived[i][n].After(k.now):
			case !k.left[i][n].After(k.now):
				a.Recent = append(a.Recent, stats.Visit{Stage: i, Arrived: k.arrived[i][n], Left: k.left[i][n]})
			default:
				if a.First.IsZero() || k.arrived[i][n].Before(a.First) {
					a.First = k.arrived[i][n]
				}
				if n != order {
					a.Orders++
				}
			}
		}
		slices.SortFunc(a.Recent, func(a, b stats.Visit) int { return a.Left.Compare(b.Left) })
		a.Recent = a.Recent[max(0, len(a.Recent)-256):]
	}
	return 0, ahead, true
}

func exponential(mean time.Duration) func(*rand.Rand) time.Duration {
	return func(r *rand.Rand) time.Duration { return time.Duration(r.ExpFloat64() * float64(mean)) }
}

func lognormal(median time.Duration, sigma float64) func(*rand.Rand) time.Duration {
	return func(r *rand.Rand) time.Duration {
		return time.Duration(float64(median) * math.Exp(sigma*r.NormFloat64()))
	}
}

// Half of the orders must be shipped before P50, and nine in ten before P90.
func TestForIsCalibrated(t *testing.T) {
	for name, stations := range map[string][]station{
		"one person each":     {{1, exponential(40 * time.Second)}, {1, lognormal(45*time.Second, 0.4)}, {1, exponential(30 * time.Second)}},
		"the same all over":   {{1, exponential(42 * time.Second)}, {1, exponential(42 * time.Second)}, {1, exponential(42 * time.Second)}, {1, exponential(42 * time.Second)}, {1, exponential(42 * time.Second)}},
		"several people":      {{3, lognormal(2*time.Minute, 0.3)}, {2, lognormal(80*time.Second, 0.3)}, {1, lognormal(30*time.Second, 0.3)}},
		"an oven and a queue": {{1, lognormal(10*time.Second, 0.5)}, {1, lognormal(52*time.Second, 0.2)}, {1, lognormal(20*time.Second, 0.5)}},
		"hardly any work":     {{1, exponential(10 * time.Second)}, {2, lognormal(15*time.Second, 0.5)}},
	} {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 2))
			k := run(stations, 1500, time.Minute, r)
			var p50, p90, all int
			for n := 300; n < 1500; n += 3 {
				k.now = k.arrived[0][n]
				f, ok := For(k, fmt.Sprint(n), k.now)
				if !ok || f.P50.IsZero() || f.P90.Before(f.P50) || f.P50.Before(k.now.Truncate(time.Second)) {
					t.Fatalf("order %d: %+v, %t", n, f, ok)
				}
				shipped := k.left[len(stations)-1][n]
				all++
				if !shipped.After(f.P50) {
					p50++
				}
				if !shipped.After(f.P90) {
					p90++
				}
			}
			half, most := float64(p50)/float64(all), float64(p90)/float64(all)
			t.Logf("%.1f %% before P50, %.1f %% before P90", 100*half, 100*most)
			if math.Abs(half-0.5) > 0.1 || math.Abs(most-0.9) > 0.05 {
				t.Errorf("of %d orders %.1f %% come before P50 and %.1f %% before P90", all, 100*half, 100*most)
			}
		})
	}
}

// queues is a Views that returns the same queues for every order.
type queues []views.Ahead

func (a queues) Ahead(string) (int, []views.Ahead, bool) { return 0, a, a != nil }

// steady returns n consecutive departures of orders that each took this long.
func steady(n int, each time.Duration) (visits []stats.Visit) {
	for i := range n {
		left := noon.Add(-time.Duration(n-1-i) * each)
		visits = append(visits, stats.Visit{Arrived: left.Add(-each - time.Second), Left: left})
	}
	return visits
}

func TestForNeedsEnoughData(t *testing.T) {
	if _, ok := For(queues(nil), "o1", noon); ok {
		t.Error("there is a forecast for an order that is not on the line")
	}
	f, ok := For(queues{{Recent: steady(50, time.Minute), Orders: 3}, {Recent: steady(Enough-1, time.Minute), Orders: 4}}, "o1", noon)
	if want := (Forecast{Ahead: 7, Basis: Enough - 1}); !ok || f != want {
		t.Errorf("with too little data the forecast is %+v, want %+v", f, want)
	}
	f, _ = For(queues{{Recent: steady(50, time.Minute)}, {Recent: steady(Enough, time.Minute)}}, "o1", noon)
	if f.P50.IsZero() || f.Basis != Enough {
		t.Errorf("with enough data the forecast is %+v", f)
	}
}

// On a line where each order takes a minute at each stage, the forecast is exact.
func TestForIsExactOnASteadyLine(t *testing.T) {
	minute := steady(100, time.Minute)
	for _, c := range []struct {
		name  string
		ahead queues
		want  time.Duration
	}{
		{"nobody else", queues{{Recent: minute}, {Recent: minute}}, 2 * time.Minute},
		{"it has been worked on", queues{{Recent: minute, First: noon.Add(-40 * time.Second)}}, time.Minute}, // Work could begin only when the last one left, now.
		{"a queue", queues{{Recent: minute, Orders: 9}, {Recent: minute}}, 11 * time.Minute},
		{"a queue at the next stage", queues{{Recent: minute}, {Recent: minute, Orders: 9}}, 10 * time.Minute},
		{"queues at both", queues{{Recent: minute, Orders: 5}, {Recent: minute, Orders: 5}}, 11 * time.Minute},
		{"more than are simulated", queues{{Recent: minute, Orders: 10_000}, {Recent: minute}}, 10_002 * time.Minute},
		{"a million", queues{{Recent: minute, Orders: 1_000_000}}, 1_000_001 * time.Minute},
	} {
		f, _ := For(c.ahead, "o1", noon)
		for _, on := range []time.Time{f.P50, f.P90} {
			if got := on.Sub(noon); got < c.want-time.Second || got > c.want+c.want/100+time.Second {
				t.Errorf("%s: it is shipped after %s, want %s", c.name, got, c.want)
			}
		}
		if again, _ := For(c.ahead, "o1", noon); again != f {
			t.Errorf("%s: the forecast is %+v, then %+v", c.name, f, again)
		}
	}
}

// The longer work has taken, the less remains, until it takes longer than any observed work.
func TestRestShrinksWithTimeTaken(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for taken, want := range map[float64][]float64{0: {10, 20}, 9: {1, 11}, 10: {10}, 15: {5}, 20: {10, 20}, 99: {10, 20}} {
		for range 50 {
			if got := (sample{10, 20}).rest(r, taken); !slices.Contains(want, got) {
				t.Errorf("after %g the rest is %g, want one of %v", taken, got, want)
			}
		}
	}
}

func BenchmarkFor(b *testing.B) {
	recent := steady(256, time.Minute)
	ahead := queues{{Recent: recent, Orders: 1_000_000}, {Recent: recent, Orders: 300}, {Recent: recent}, {Recent: recent}, {Recent: recent}}
	for b.Loop() {
		For(ahead, "o1", noon)
	}
}
