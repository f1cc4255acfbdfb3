// Package stats computes statistics of the line: how many orders arrived at each stage and left it
// in each minute, how long they stayed, and which stage is the bottleneck.
//
// The computation is pure and incremental. The caller adds and removes visits of orders to stages.
// The figures depend only on the visits that are in at the moment, not on the sequence of additions
// and removals. They need no store: after a restart the same orders give the same figures. Memory
// is bounded.
package stats

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Visit is an order's stay at one stage.
type Visit struct {
	ID       string    // ID of the order.
	Stage    int       // Index of the stage.
	Arrived  time.Time // Time at which the stage before completed the order.
	Left     time.Time // Time at which this stage completed or rejected it; zero before that.
	Rejected bool      // The stage rejected the order.
}

const (
	// Hours is the length of the history, in hours.
	Hours = 8
	// Bucket is the time that one value of a Series covers.
	Bucket = 5 * time.Minute

	minutes = Hours * 60
	recent  = 256 // Departures of a stage that are kept one by one.
)

// Figures holds the statistics of a line. Concurrent reads are safe; Add and Remove need exclusive
// access.
type Figures struct {
	now    func() time.Time
	stages []stage
}

// stage holds the statistics of one stage.
type stage struct {
	present int             // Orders at the stage or on their way to it.
	minutes [minutes]minute // Ring buffer of minutes, indexed by their number modulo its length.
	left    []Visit         // Last departures, sorted by time and ID: up to twice as many as Recent returns, so that trimming is rare.
}

// minute counts the arrivals, completions and rejections of one minute, numbered since 1970.
type minute struct {
	number                  int64
	arrived, done, rejected int
}

// New returns the statistics of a line with this number of stages, without visits. Times more than
// a minute after now are not counted by minute.
func New(stages int, now func() time.Time) *Figures {
	return &Figures{now: now, stages: make([]stage, stages)}
}

// Add adds a visit.
func (l *Figures) Add(v Visit) {
	l.count(v, 1)
	if v.Left.IsZero() || v.Left.After(l.now().Add(time.Minute)) {
		return
	}
	s := &l.stages[v.Stage]
	at, _ := slices.BinarySearchFunc(s.left, v, earlier)
	if at == 0 && len(s.left) >= recent {
		return
	}
	v.ID = strings.Clone(v.ID) // The ID must not keep a whole message alive.
	if s.left = slices.Insert(s.left, at, v); len(s.left) > 2*recent {
		s.left = slices.Delete(s.left, 0, len(s.left)-recent)
	}
}

// Remove removes a visit. It must equal one that was added.
func (l *Figures) Remove(v Visit) {
	l.count(v, -1)
	s := &l.stages[v.Stage]
	if at, found := slices.BinarySearchFunc(s.left, v, earlier); found {
		s.left = slices.Delete(s.left, at, at+1)
	}
}

// earlier compares visits by departure and ID.
func earlier(a, b Visit) int {
	return cmp.Or(a.Left.Compare(b.Left), strings.Compare(a.ID, b.ID))
}

// count changes the counters for a visit by 1 or -1.
func (l *Figures) count(v Visit, by int) {
	s := &l.stages[v.Stage]
	if m := s.minute(v.Arrived, l.now()); m != nil {
		m.arrived = max(0, m.arrived+by)
	}
	if v.Left.IsZero() {
		s.present += by
		return
	}
	m := s.minute(v.Left, l.now())
	switch {
	case m == nil:
	case v.Rejected:
		m.rejected = max(0, m.rejected+by)
	default:
		m.done = max(0, m.done+by)
	}
}

// minute returns the counters of the minute of t, or nil if t is before the history or in the
// future. A newer minute overwrites the oldest one.
func (s *stage) minute(t, now time.Time) *minute {
	number := t.Unix() / 60
	if number > now.Unix()/60+1 || number < 0 {
		return nil
	}
	m := &s.minutes[number%minutes]
	switch {
	case number < m.number:
		return nil
	case number > m.number:
		*m = minute{number: number}
	}
	return m
}

// at returns the counters of the minute with that number.
func (s *stage) at(number int64) minute {
	if m := s.minutes[max(0, number)%minutes]; m.number == number {
		return m
	}
	return minute{}
}

// Present returns the number of orders at the stage or on their way to it.
func (l *Figures) Present(stage int) int { return l.stages[stage].present }

// Recent returns the last departures from the stage, oldest first, at most 256.
func (l *Figures) Recent(stage int) []Visit { return slices.Clone(l.stages[stage].recent()) }

func (s *stage) recent() []Visit { return s.left[max(0, len(s.left)-recent):] }

// Stage is the throughput and the cycle time of a stage.
type Stage struct {
	Present                 int           // Orders at the stage or on their way to it.
	Arrived, Done, Rejected int           // Orders in the last hour, counted in whole minutes.
	PerHour                 float64       // Departures per hour; see Stages.
	Expected                time.Duration // Expected stay of an order that arrives now; see Bottleneck.
	P50, P90                time.Duration // Percentiles of the time from arrival to completion.
	Sample                  int           // Number of last orders from which P50 and P90 are computed.
}

// Stages returns the figures of each stage. Rates are measured over the last hour, or since the
// first event on the line if that is more recent.
func (l *Figures) Stages(now time.Time) []Stage {
	last := now.Unix() / 60
	first := last
	stages := make([]Stage, len(l.stages))
	for i := range l.stages {
		s := &stages[i]
		s.Present = l.stages[i].present
		for number := last - 59; number <= last; number++ {
			m := l.stages[i].at(number)
			s.Arrived, s.Done, s.Rejected = s.Arrived+m.arrived, s.Done+m.done, s.Rejected+m.rejected
			if m.arrived+m.done+m.rejected > 0 {
				first = min(first, number)
			}
		}
		var times []time.Duration
		for _, v := range l.stages[i].recent() {
			if !v.Rejected {
				times = append(times, max(0, v.Left.Sub(v.Arrived)))
			}
		}
		slices.Sort(times)
		s.Sample, s.P50, s.P90 = len(times), Quantile(times, 0.5), Quantile(times, 0.9)
	}
	span := max(time.Minute, now.Sub(time.Unix(first*60, 0)))
	for i := range stages {
		s := &stages[i]
		left := s.Done + s.Rejected
		s.PerHour = float64(left) / span.Hours()
		s.Expected = time.Duration(float64(s.Present) * float64(span) / float64(max(1, left)))
	}
	return stages
}

// Quantile returns the smallest of the sorted values that at least the fraction q of them does not
// exceed, or the zero value if there are none.
func Quantile[T cmp.Ordered](sorted []T, q float64) (value T) {
	if len(sorted) == 0 {
		return value
	}
	at := int(q*float64(len(sorted))+0.999999) - 1
	return sorted[min(max(at, 0), len(sorted)-1)]
}

// Bottleneck returns the index of the stage that limits the line, or -1 if none does.
//
// By Little's law, L = λW: if L orders are at a stage and λ of them leave per unit of time, an
// order that arrives now stays for W = L/λ, which is Stage.Expected. Where arrivals outpace
// departures, L grows and so does W. The bottleneck is the stage with the longest W, provided that
// W is at least warn(stage), the age from which the stage's orders should be hurried: a short queue
// is no bottleneck. If no order has left in the time of the measurement, less than one did, so W is
// at least L times that time. This bound is used then.
func Bottleneck(stages []Stage, warn func(stage int) time.Duration) int {
	worst := -1
	for i, s := range stages {
		if s.Expected >= warn(i) && (worst < 0 || s.Expected > stages[worst].Expected) {
			worst = i
		}
	}
	return worst
}

// Series is the history of a stage, with one value per Bucket.
type Series struct {
	Done, Rejected []int // Departures in the bucket.
	Waiting        []int // Orders at the stage or on their way to it, at the end of the bucket or now.
}

// Series returns the history of each stage over the last hours, at most Hours. Buckets start at
// multiples of Bucket since 1970. The first one starts at from, and the last one contains now.
// Waiting is computed backwards from the orders that are present now and the arrivals and
// departures since.
func (l *Figures) Series(now time.Time, hours int) (from time.Time, series []Series) {
	const width = int64(Bucket / time.Minute)
	count := int64(min(max(hours, 1), Hours)) * 60 / width
	lastMinute := now.Unix() / 60
	firstBucket := lastMinute/width - count + 1
	series = make([]Series, len(l.stages))
	for i := range l.stages {
		s := Series{Done: make([]int, count), Rejected: make([]int, count), Waiting: make([]int, count)}
		waiting := l.stages[i].present - l.stages[i].at(lastMinute+1).arrived // Arrivals dated by a clock that is a little fast.
		for b := count - 1; b >= 0; b-- {
			s.Waiting[b] = max(0, waiting)
			for number := (firstBucket + b) * width; number < (firstBucket+b+1)*width; number++ {
				if number > lastMinute {
					break
				}
				m := l.stages[i].at(number)
				s.Done[b], s.Rejected[b] = s.Done[b]+m.done, s.Rejected[b]+m.rejected
				waiting -= m.arrived - m.done - m.rejected
			}
		}
		series[i] = s
	}
	return time.Unix(firstBucket*width*60, 0).UTC(), series
}
