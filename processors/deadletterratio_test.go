package processors

import (
	"strings"
	"testing"
	"time"
)

func TestShareOfDeadLetters(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	for name, c := range map[string]struct {
		good, bad int
		later     time.Duration
		want      string // In the error; empty for none.
	}{
		"all well":               {good: 1000},
		"a few are always borne": {bad: fewest - 1},
		"half is not too much":   {good: 50, bad: 50},
		"more than half":         {good: 50, bad: 51, want: "51 of the last minute's 101 events"},
		"still within a minute":  {bad: 30, later: window - time.Second, want: "30 of"},
		"over a minute ago":      {bad: 30, later: window + time.Second},
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

// A bucket that is used again has forgotten its former second.
func TestShareForgets(t *testing.T) {
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
