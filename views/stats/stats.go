// Package stats is the line at a glance: how many orders came to each stage and
// left it, minute by minute, how long they were there, and where work piles up.
//
// It is pure and incremental: whoever holds the orders adds and removes their
// visits to the stages, and the figures are at any moment those of the visits
// that are in it, whatever the order in which they came and however often they
// were taken out and put in again. So they need no store: after a restart the
// same orders give the same figures. Its memory is fixed. It never knows where
// orders are kept.
package stats

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Visit is an order's stay at one stage.
type Visit struct {
	ID       string    // The order's.
	Stage    int       // Its index on the line.
	Arrived  time.Time // When the stage before was done with it.
	Left     time.Time // Zero while it is there, or on its way there.
	Rejected bool      // It was rejected there.
}

const (
	// Hours is how far back the figures go.
	Hours = 8
	// Bucket is the width of a point of a Series.
	Bucket = 5 * time.Minute

	minutes = Hours * 60
	recent  = 256 // departures that a stage remembers one by one
)

// Figures holds the figures of a line. It may not be used by two goroutines at a
// time unless both only read.
type Figures struct {
	now    func() time.Time
	stages []stage
}

type stage struct {
	present int
	minutes [minutes]minute // By number modulo its length.
	left    []Visit         // The last departures, by time and id; more than are shown, as few are moved then.
}

// minute counts what happened in one minute, numbered since 1970.
type minute struct {
	number                  int64
	arrived, done, rejected int
}

// New returns the figures of a line of that many stages, without orders. What
// is dated in the future of now by more than a minute is not counted by time.
func New(stages int, now func() time.Time) *Figures {
	return &Figures{now, make([]stage, stages)}
}

// Add takes a visit in.
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
	v.ID = strings.Clone(v.ID) // It may be a part of something large.
	if s.left = slices.Insert(s.left, at, v); len(s.left) > 2*recent {
		s.left = slices.Delete(s.left, 0, len(s.left)-recent)
	}
}

// Remove takes out a visit that was added before, in the same form.
func (l *Figures) Remove(v Visit) {
	l.count(v, -1)
	s := &l.stages[v.Stage]
	if at, found := slices.BinarySearchFunc(s.left, v, earlier); found {
		s.left = slices.Delete(s.left, at, at+1)
	}
}

func earlier(a, b Visit) int {
	return cmp.Or(a.Left.Compare(b.Left), strings.Compare(a.ID, b.ID))
}

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

// minute is that of a time, nil if it is too old to be shown or lies ahead.
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

// at is the count of the minute with that number.
func (s *stage) at(number int64) minute {
	if m := s.minutes[max(0, number)%minutes]; m.number == number {
		return m
	}
	return minute{}
}

// Present is how many orders are at the stage or on their way to it.
func (l *Figures) Present(stage int) int { return l.stages[stage].present }

// Recent are the last departures from the stage, oldest first, at most 256.
func (l *Figures) Recent(stage int) []Visit { return slices.Clone(l.stages[stage].recent()) }

func (s *stage) recent() []Visit { return s.left[max(0, len(s.left)-recent):] }

// Stage is how a stage does.
type Stage struct {
	Present                 int           // Orders that are there or on their way there.
	Arrived, Done, Rejected int           // In the last hour, counted in whole minutes.
	PerHour                 float64       // Orders that left it, in an hour; see Stages.
	Expected                time.Duration // How long an order that arrives now will be there; see Bottleneck.
	P50, P90                time.Duration // Of the time from arriving to done.
	Sample                  int           // Of how many orders, the last ones, P50 and P90 are.
}

// Stages tells how each stage does. Rates are those of the last hour or, on a
// line that has seen its first order since, of the time from that minute on.
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

// Quantile is the smallest of the sorted values that the share q of them does
// not exceed; 0 if there are none.
func Quantile[T cmp.Ordered](sorted []T, q float64) (value T) {
	if len(sorted) == 0 {
		return value
	}
	at := int(q*float64(len(sorted))+0.999999) - 1
	return sorted[min(max(at, 0), len(sorted)-1)]
}

// Bottleneck is the index of the stage that holds up the line, -1 if none does.
//
// It follows from Little's law, L = λW: with L orders at a stage that λ leave
// in a unit of time, an order that arrives now is there for W = L/λ, which is
// Stage.Expected. Where arrivals outpace departures L grows, and W with it. The
// bottleneck is the stage with the longest W, if that is at least the age from
// which the stage's orders want hurrying: a short queue is no bottleneck. Where
// none has left, fewer than one did, so that W is at least L times as long as
// was watched; that is taken then.
func Bottleneck(stages []Stage, warn func(stage int) time.Duration) int {
	worst := -1
	for i, s := range stages {
		if s.Expected >= warn(i) && (worst < 0 || s.Expected > stages[worst].Expected) {
			worst = i
		}
	}
	return worst
}

// Series is what happened at a stage in time, a value for each Bucket.
type Series struct {
	Done, Rejected []int
	Waiting        []int // At the end of the bucket, or now: there or on the way there.
}

// Series tells what happened in the last hours, at most Hours, of each stage.
// Buckets begin at multiples of Bucket since 1970, the first one at from; the
// last one is the present one. How many waited then follows from how many are
// there now and who came and left since.
func (l *Figures) Series(now time.Time, hours int) (from time.Time, series []Series) {
	const width = int64(Bucket / time.Minute)
	count := int64(min(max(hours, 1), Hours)) * 60 / width
	lastMinute := now.Unix() / 60
	firstBucket := lastMinute/width - count + 1
	series = make([]Series, len(l.stages))
	for i := range l.stages {
		s := Series{make([]int, count), make([]int, count), make([]int, count)}
		waiting := l.stages[i].present - l.stages[i].at(lastMinute+1).arrived // A clock that is a little ahead.
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
