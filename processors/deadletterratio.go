package processors

import (
	"fmt"
	"sync"
	"time"
)

const (
	window   = time.Minute // Over which the share of dead letters is taken.
	fewest   = 20          // Dead letters in it below which nobody is alarmed.
	perStage = 60          // Buckets of a window.
)

// deadLetterRatio is how many of a stage's last events became dead letters.
type deadLetterRatio struct {
	mu      sync.Mutex
	buckets [perStage]bucket
}

type bucket struct {
	number       int64 // Since 1970.
	events, dead int
}

func (s *deadLetterRatio) count(now time.Time, dead bool) {
	number := now.UnixNano() / int64(window/perStage)
	s.mu.Lock()
	defer s.mu.Unlock()
	b := &s.buckets[number%perStage]
	if b.number != number {
		*b = bucket{number: number}
	}
	b.events++
	if dead {
		b.dead++
	}
}

// exceeds returns an error if more than the limit, a share of 0 to 1, of the
// last minute's events became dead letters.
func (s *deadLetterRatio) exceeds(now time.Time, limit float64) error {
	oldest := now.Add(-window).UnixNano() / int64(window/perStage)
	events, dead := 0, 0
	s.mu.Lock()
	for _, b := range s.buckets {
		if b.number > oldest {
			events, dead = events+b.events, dead+b.dead
		}
	}
	s.mu.Unlock()
	if dead < fewest || float64(dead) <= limit*float64(events) {
		return nil
	}
	return fmt.Errorf("%d of the last minute's %d events are dead letters: look at their reasons on the topic of the dead letters, and for who writes them", dead, events)
}
