package processors

import (
	"fmt"
	"sync"
	"time"
)

const (
	window         = time.Minute // Time over which the ratio is measured.
	minDeadLetters = 20          // Number of dead letters in a window below which the ratio is ignored.
	bucketCount    = 60          // Buckets of a window.
)

// deadLetterRatio is the fraction of a stage's recent events that became dead letters.
type deadLetterRatio struct {
	mu      sync.Mutex
	buckets [bucketCount]bucket
}

// bucket counts the events of one bucket of time.
type bucket struct {
	number       int64 // Number of the bucket since 1970.
	events, dead int
}

// count counts an event at now.
func (s *deadLetterRatio) count(now time.Time, dead bool) {
	number := now.UnixNano() / int64(window/bucketCount)
	s.mu.Lock()
	defer s.mu.Unlock()
	b := &s.buckets[number%bucketCount]
	if b.number != number {
		*b = bucket{number: number}
	}
	b.events++
	if dead {
		b.dead++
	}
}

// exceeds returns an error if the ratio of the last window is above limit, a fraction from 0 to 1.
func (s *deadLetterRatio) exceeds(now time.Time, limit float64) error {
	oldest := now.Add(-window).UnixNano() / int64(window/bucketCount)
	events, dead := 0, 0
	s.mu.Lock()
	for _, b := range s.buckets {
		if b.number > oldest {
			events, dead = events+b.events, dead+b.dead
		}
	}
	s.mu.Unlock()
	if dead < minDeadLetters || float64(dead) <= limit*float64(events) {
		return nil
	}
	return fmt.Errorf("%d of the last minute's %d events are dead letters: "+
		"look at the reasons in the dead-letter topic, and find the producer of these messages",
		dead, events)
}
