package hub

import (
	"context"
	"fmt"
	"time"
)

// staleness is the freshness that the screens of a station were last told.
type staleness struct {
	Freshness
	at     time.Time // when the record was made
	record []byte    // the encoded InformFreshness
}

const (
	freshnessEvery = time.Second     // the interval at which the freshness is measured
	repeatEvery    = 5 * time.Second // the interval at which screens that stay behind are told; in between they can count themselves
)

// freshen tells the screens of each station when they begin to be behind, when the cause changes,
// every repeatEvery how far they are behind, and when they no longer are.
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
	s.staleness = &staleness{Freshness: f, at: now, record: appendInvocation(nil, informFreshness, argument)}
	for c := range s.all() {
		c.wake()
	}
}
