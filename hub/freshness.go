package hub

import (
	"context"
	"fmt"
	"time"
)

// staleness is what the screens of a station were told of their freshness, when, and the record that tells it.
type staleness struct {
	Freshness
	at     time.Time
	record []byte
}

const (
	freshnessEvery = time.Second     // how often the freshness is looked at
	repeatEvery    = 5 * time.Second // how often screens are told again that are behind; meanwhile they can count themselves
)

// freshen tells the screens when they begin to be behind, when the reason changes, how far they are every now and then,
// and when they no longer are.
func (h *Hub) freshen(ctx context.Context) {
	if h.options.Freshness == nil {
		return
	}
	ticker := time.NewTicker(freshnessEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for topic, s := range h.stations {
			h.tellFreshness(s, h.options.Freshness(topic))
		}
	}
}

func (h *Hub) tellFreshness(s *station, f Freshness) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now, was := time.Now(), s.staleness
	switch {
	case f.Behind <= 0 && (was == nil || was.Behind == 0):
		return
	case f.Behind > 0 && was != nil && was.Behind > 0 && was.Because == f.Because && was.Stage == f.Stage && now.Sub(was.at) < repeatEvery:
		return
	}
	f.Behind = max(f.Behind, 0)
	argument := fmt.Appendf(nil, `{"behind":%d,"because":%s,"stage":%s}`, int(f.Behind.Seconds()), quote(f.Because), quote(f.Stage))
	s.staleness = &staleness{f, now, appendInvocation(nil, informFreshness, argument)}
	for c := range s.all() {
		c.wake()
	}
}
