package stats

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

func at(minutes float64) time.Time { return noon.Add(time.Duration(minutes * float64(time.Minute))) }

func clock() time.Time { return noon }

// figures holds all statistics of a line.
type figures struct {
	stages []Stage
	from   time.Time
	series []Series
	recent [][]Visit
}

func (l *Figures) figures(now time.Time) (f figures) {
	f.stages = l.Stages(now)
	f.from, f.series = l.Series(now, Hours)
	for i := range l.stages {
		f.recent = append(f.recent, append([]Visit{}, l.Recent(i)...))
	}
	return f
}

// The figures equal those computed from the visits that are in, whatever the sequence of additions
// and removals. Some of the visits are older than the history. The removed ones are as old as
// expired orders, or few.
func TestFiguresDoNotDependOnTheSequence(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		visit := rapid.Custom(func(r *rapid.T) Visit {
			v := Visit{Stage: rapid.IntRange(0, 2).Draw(r, "stage"), Arrived: at(-rapid.Float64Range(0, 1.5*60*Hours).Draw(r, "arrived"))}
			if rapid.Bool().Draw(r, "left") {
				v.Left = v.Arrived.Add(time.Duration(rapid.Float64Range(0, noon.Sub(v.Arrived).Seconds()).Draw(r, "seconds") * float64(time.Second)))
				v.Rejected = rapid.Bool().Draw(r, "rejected")
			}
			return v
		})
		line := New(3, clock)
		var in []Visit
		for n := range rapid.IntRange(0, 150).Draw(r, "visits") {
			v := visit.Draw(r, "visit")
			v.ID = fmt.Sprint("o", n)
			line.Add(v)
			in = append(in, v)
			if rapid.IntRange(0, 3).Draw(r, "remove") == 0 {
				at := rapid.IntRange(0, len(in)-1).Draw(r, "at")
				line.Remove(in[at])
				in = slices.Delete(in, at, at+1)
			}
		}
		afresh := New(3, clock)
		for _, v := range rapid.Permutation(in).Draw(r, "in another order") {
			afresh.Add(v)
		}
		now := at(rapid.Float64Range(0, 30).Draw(r, "later"))
		if got, want := line.figures(now), afresh.figures(now); !reflect.DeepEqual(got, want) {
			r.Fatalf("the figures are\n%+v\nwant\n%+v", got, want)
		}
		for i, s := range line.Stages(now) { // Compare with a straightforward count.
			var done, rejected, present int
			for _, v := range in {
				recently := now.Unix()/60-v.Left.Unix()/60 < 60
				switch {
				case v.Stage != i:
				case v.Left.IsZero():
					present++
				case recently && v.Rejected:
					rejected++
				case recently:
					done++
				}
			}
			if s.Done != done || s.Rejected != rejected || s.Present != present {
				r.Fatalf("stage %d has %+v, want %d done, %d rejected and %d present", i, s, done, rejected, present)
			}
		}
	})
}

func TestStagesReturnsRatesAndPercentiles(t *testing.T) {
	l := New(2, clock)
	for n := range 10 { // In each of ten minutes, one order is completed at once.
		l.Add(Visit{ID: fmt.Sprint("a", n), Stage: 0, Arrived: at(float64(n - 10)), Left: at(float64(n-10) + float64(n+1)/60)})
	}
	l.Add(Visit{ID: "r", Stage: 0, Arrived: at(-5), Left: at(-4), Rejected: true})
	for n := range 6 {
		l.Add(Visit{ID: fmt.Sprint("b", n), Stage: 1, Arrived: at(-3)})
	}
	l.Add(Visit{ID: "old", Stage: 1, Arrived: at(-100), Left: at(-61)})
	got := l.Stages(noon)
	want := []Stage{
		{Arrived: 11, Done: 10, Rejected: 1, PerHour: 66, P50: 5 * time.Second, P90: 9 * time.Second, Sample: 10},
		{Present: 6, Arrived: 6, Expected: time.Hour, P50: 39 * time.Minute, P90: 39 * time.Minute, Sample: 1},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the stages are\n%+v, want\n%+v", got, want)
	}
}

func TestBottleneckIsTheLongestExpectedStay(t *testing.T) {
	warn := func(int) time.Duration { return 5 * time.Minute }
	for _, c := range []struct {
		name string
		want int
		each []time.Duration
	}{
		{"an empty line", -1, []time.Duration{0, 0, 0}},
		{"all is quick", -1, []time.Duration{time.Minute, 4 * time.Minute, 0}},
		{"one is slow", 1, []time.Duration{time.Minute, 5 * time.Minute, 0}},
		{"the slowest", 2, []time.Duration{time.Hour, 5 * time.Minute, 2 * time.Hour}},
		{"the first of two alike", 0, []time.Duration{time.Hour, time.Hour}},
	} {
		var stages []Stage
		for _, e := range c.each {
			stages = append(stages, Stage{Expected: e})
		}
		if got := Bottleneck(stages, warn); got != c.want {
			t.Errorf("%s: the bottleneck is %d, want %d", c.name, got, c.want)
		}
	}
}

// The bottleneck is found where arrivals outpace departures.
func TestBottleneckIsWhereTheBacklogGrows(t *testing.T) {
	l := New(3, clock)
	for n := range 60 { // One order arrives per minute; the second stage completes one in three minutes.
		id, came := fmt.Sprint("o", n), at(float64(n-60))
		l.Add(Visit{ID: id, Stage: 0, Arrived: came, Left: came.Add(30 * time.Second)})
		if n%3 == 0 {
			left := at(float64(n-60) + 2)
			l.Add(Visit{ID: id, Stage: 1, Arrived: came.Add(30 * time.Second), Left: left})
			l.Add(Visit{ID: id, Stage: 2, Arrived: left, Left: left.Add(10 * time.Second)})
		} else {
			l.Add(Visit{ID: id, Stage: 1, Arrived: came.Add(30 * time.Second)})
		}
	}
	stages := l.Stages(noon)
	if got := Bottleneck(stages, func(int) time.Duration { return time.Minute }); got != 1 {
		t.Errorf("the bottleneck of %+v is %d", stages, got)
	}
	if w := stages[1].Expected; w < 115*time.Minute || w > 125*time.Minute { // 40 wait, 20 an hour leave.
		t.Errorf("the expected stay is %s, want two hours", w)
	}
	_, series := l.Series(noon, 1)
	waiting := series[1].Waiting
	if len(waiting) != 12 || !slices.IsSorted(waiting) || waiting[11] != 40 || waiting[0] != 7 {
		t.Errorf("%v waited", waiting)
	}
}

func TestSeriesCountsPerBucket(t *testing.T) {
	l := New(1, clock)
	l.Add(Visit{ID: "a", Arrived: at(-12), Left: at(-7)})
	l.Add(Visit{ID: "b", Arrived: at(-11), Left: at(-1), Rejected: true})
	l.Add(Visit{ID: "c", Arrived: at(-2)})
	l.Add(Visit{ID: "d", Arrived: at(-1000)})
	from, series := l.Series(noon, 1)
	last := func(s []int) []int { return s[len(s)-5:] }
	got := [][]int{last(series[0].Done), last(series[0].Rejected), last(series[0].Waiting)}
	// The buckets start 20, 15, 10, 5 and 0 minutes ago.
	if want := [][]int{{0, 0, 1, 0, 0}, {0, 0, 0, 1, 0}, {1, 3, 2, 2, 2}}; !reflect.DeepEqual(got, want) || !from.Equal(at(-55)) {
		t.Errorf("from %s on the series are %v, want %v", from, got, want)
	}
	if _, series := l.Series(noon, 1000); len(series[0].Done) != Hours*12 {
		t.Errorf("more hours than there are give %d values", len(series[0].Done))
	}
}

// Times out of range do no harm.
func TestTimesOutOfRangeAreIgnored(t *testing.T) {
	l := New(1, clock)
	for i, odd := range []time.Time{{}, noon.AddDate(5000, 0, 0), at(3), time.Unix(-5, 0), time.Unix(0, 0)} {
		v := Visit{ID: fmt.Sprint(i), Arrived: odd, Left: odd}
		l.Add(v)
		l.Remove(v)
		v.Left = time.Time{}
		l.Add(v)
	}
	if s := l.Stages(noon)[0]; s.Present != 6 && s.Present != 5 || s.Done != 0 || s.Sample != 0 {
		t.Errorf("the stage has %+v", s)
	}
	l.Add(Visit{ID: "a", Arrived: noon, Left: noon})
	if s := l.Stages(noon)[0]; s.Done != 1 || s.Sample != 1 {
		t.Errorf("after a regular order it has %+v", s)
	}
}

func TestQuantileIsTheNearestRank(t *testing.T) {
	ten := []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
	for _, c := range []struct {
		q    float64
		of   []int
		want int
	}{{0.5, ten, 5}, {0.9, ten, 9}, {0.91, ten, 10}, {1, ten, 10}, {0, ten, 1}, {0.5, ten[:1], 1}, {0.5, ten[:3], 2}, {0.5, nil, 0}} {
		if got := Quantile(c.of, c.q); got != c.want {
			t.Errorf("the %g quantile of %v is %d, want %d", c.q, c.of, got, c.want)
		}
	}
}

func TestRecentIsBounded(t *testing.T) {
	l := New(1, clock)
	for n := range 3 * recent {
		n = (n * 7) % (3 * recent) // Unsorted.
		l.Add(Visit{ID: fmt.Sprint(n), Arrived: at(-400), Left: at(-400 + float64(n)/10)})
	}
	last := l.Recent(0)
	if len(last) != recent || last[0].ID != fmt.Sprint(2*recent) || last[recent-1].ID != fmt.Sprint(3*recent-1) {
		t.Errorf("%d departures are kept, from %s to %s", len(last), last[0].ID, last[len(last)-1].ID)
	}
}

func BenchmarkAdd(b *testing.B) {
	l, n := New(5, clock), 0
	for b.Loop() {
		n++
		left := at(-400).Add(time.Duration(n) * time.Millisecond)
		l.Add(Visit{ID: "01996c5f-7a3c-7b1e-9d52-0f4a6c8e2b10", Stage: n % 5, Arrived: left, Left: left})
	}
}

func BenchmarkStages(b *testing.B) {
	l := New(5, clock)
	for n := range 1_000_000 {
		left := at(-450).Add(time.Duration(n) * 27 * time.Millisecond)
		l.Add(Visit{ID: fmt.Sprint(n), Stage: n % 5, Arrived: left, Left: left})
	}
	for b.Loop() {
		l.Stages(noon)
		l.Series(noon, Hours)
	}
}
