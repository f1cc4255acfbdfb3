package connect

import (
	"context"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// WatchOptions configures Watch. Zero durations stand for the defaults.
type WatchOptions struct {
	Every      time.Duration // Interval between two checks; default 5 s.
	MinBackoff time.Duration // Wait between the first and second restart of a connector, doubled each time; default 5 s.
	MaxBackoff time.Duration // Longest wait between two restarts of a connector; default 2 min.
	Registry   prometheus.Registerer
	Log        *slog.Logger
}

// firstCheckTimeout bounds the check with which Watch begins.
const firstCheckTimeout = 10 * time.Second

// Watch restarts failed parts of the named connectors until ctx ends. Connect does not do that: a
// database that is down for a minute stops their tasks until somebody restarts them. Watch calls
// begun after its first check, when the metrics have values.
func (c *Client) Watch(ctx context.Context, names []string, o WatchOptions, begun func()) {
	w := newWatcher(c, names, o)
	first, cancel := context.WithTimeout(ctx, firstCheckTimeout)
	w.check(first, time.Now())
	cancel()
	begun()
	tick := time.NewTicker(w.Every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			w.check(ctx, time.Now())
		case <-ctx.Done():
			return
		}
	}
}

type watcher struct {
	WatchOptions
	client   *Client
	names    []string
	backoffs map[string]*backoff // By the connector's name.
	blind    bool                // The last check could not read the states.

	up                prometheus.Gauge
	connectors        *prometheus.GaugeVec
	tasks             *prometheus.GaugeVec
	restarts, refused *prometheus.CounterVec
}

func newWatcher(c *Client, names []string, o WatchOptions) *watcher {
	w := &watcher{WatchOptions: o, client: c, names: names, backoffs: map[string]*backoff{}}
	for d, otherwise := range map[*time.Duration]time.Duration{
		&w.Every:      5 * time.Second,
		&w.MinBackoff: 5 * time.Second,
		&w.MaxBackoff: 2 * time.Minute,
	} {
		if *d == 0 {
			*d = otherwise
		}
	}
	w.up = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "ecupcakes_connect_up",
		Help: "1 if Kafka Connect answers. While it is 0, the states of connectors and tasks are absent.",
	})
	w.connectors = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "ecupcakes_connect_connector_state",
		Help: "1 for the connector's current state, 0 for the other states.",
	}, []string{"connector", "state"})
	w.tasks = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "ecupcakes_connect_task_state",
		Help: "1 for the task's current state, 0 for the other states.",
	}, []string{"connector", "task", "state"})
	w.restarts = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "ecupcakes_connect_restarts_total",
		Help: "Restarts of a connector's failed parts.",
	}, []string{"connector"})
	w.refused = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "ecupcakes_connect_restart_failures_total",
		Help: "Restarts that Kafka Connect refused.",
	}, []string{"connector"})
	o.Registry.MustRegister(w.up, w.connectors, w.tasks, w.restarts, w.refused)
	for _, name := range names {
		w.backoffs[name] = &backoff{min: w.MinBackoff, max: w.MaxBackoff}
		w.restarts.WithLabelValues(name)
		w.refused.WithLabelValues(name)
	}
	return w
}

// check reads the states and restarts failed connectors whose backoff has passed.
func (w *watcher) check(ctx context.Context, now time.Time) {
	var all []Status
	for _, name := range w.names {
		s, err := w.client.Status(ctx, name)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			if !w.blind {
				w.Log.Warn("reading the states of the connectors failed; trying again", "error", err)
			}
			w.blind = true
			w.show(nil)
			return
		}
		all = append(all, s)
	}
	w.blind = false
	w.show(all)
	for _, s := range all {
		why, b := s.Failures(), w.backoffs[s.Name]
		if !b.due(now, len(why) > 0) {
			continue
		}
		w.restarts.WithLabelValues(s.Name).Inc()
		w.Log.Warn("restarting failed parts of a connector", "connector", s.Name, "why", strings.Join(why, "; "), "again_after", b.wait)
		if err := w.client.Restart(ctx, s.Name); err != nil {
			w.refused.WithLabelValues(s.Name).Inc()
			w.Log.Warn("Kafka Connect refused the restart", "connector", s.Name, "error", err)
		}
	}
}

// show sets the metrics; nil stands for unknown states.
func (w *watcher) show(all []Status) {
	w.up.Set(one(all != nil))
	w.connectors.Reset()
	w.tasks.Reset()
	for _, s := range all {
		for _, state := range States {
			w.connectors.WithLabelValues(s.Name, state).Set(one(state == s.Connector.State))
			for _, t := range s.Tasks {
				w.tasks.WithLabelValues(s.Name, strconv.Itoa(t.ID), state).Set(one(state == t.State))
			}
		}
	}
}

func one(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// backoff spaces out the restarts of one connector.
type backoff struct {
	min, max time.Duration
	wait     time.Duration // Wait after the last restart; 0 if there was none.
	next     time.Time     // Earliest time of the next restart.
	well     time.Time     // Start of the time without a failure; zero while it has failed.
}

// due records whether the connector has failed and reports whether to restart it now. The wait
// starts over at min once the connector has run for as long as the last wait.
func (b *backoff) due(now time.Time, failed bool) bool {
	if !failed {
		if b.well.IsZero() {
			b.well = now
		}
		if now.Sub(b.well) >= b.wait {
			b.wait = 0
		}
		return false
	}
	b.well = time.Time{}
	if now.Before(b.next) {
		return false
	}
	b.wait = min(max(2*b.wait, b.min), b.max)
	b.next = now.Add(b.wait)
	return true
}
