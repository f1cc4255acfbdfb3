package processors

import (
	"strings"
	"testing"
	"time"
)

func TestDeadLetterRatioExceedsItsLimit(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	for name, c := range map[string]struct {
		good, bad int
		later     time.Duration
		want      string // Part of the error; "" for none.
	}{
		"no dead letters":       {good: 1000},
		"too few to count":      {bad: minDeadLetters - 1},
		"exactly the limit":     {good: 50, bad: 50},
		"above the limit":       {good: 50, bad: 51, want: "51 of the last minute's 101 events"},
		"still within a minute": {bad: 30, later: window - time.Second, want: "30 of"},
		"over a minute ago":     {bad: 30, later: window + time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			var s deadLetterRatio
			for i := range c.good + c.bad {
				s.count(now, i < c.bad)
			}
			err := s.exceeds(now.Add(c.later), 0.5)
			if (err != nil) != (c.want != "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// A bucket that is reused starts at zero.
func TestDeadLetterRatioForgetsTheWindowBefore(t *testing.T) {
	var s deadLetterRatio
	now := time.Unix(1_700_000_000, 0)
	for range 100 {
		s.count(now, true)
	}
	s.count(now.Add(window), false)
	if err := s.exceeds(now.Add(window), 0); err != nil {
		t.Error(err)
	}
}
