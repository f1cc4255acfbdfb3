package connect

import (
	"context"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// WatchOptions say how a watch goes about it. Zero values mean what is said.
type WatchOptions struct {
	Every      time.Duration // How often it looks; 5 s.
	MinBackoff time.Duration // Until the same connector is restarted again; 5 s, and twice as long each time,
	MaxBackoff time.Duration // up to 2 min.
	Registry   prometheus.Registerer
	Log        *slog.Logger
}

// firstLook bounds the look with which a watch begins.
const firstLook = 10 * time.Second

// Watch restarts what fails of the named connectors until ctx ends. Connect never
// does: a database that is away for a minute stops their tasks for good. It calls
// begun after its first look, when the metrics say how everything is.
func (c *Client) Watch(ctx context.Context, names []string, o WatchOptions, begun func()) {
	w := newWatcher(c, names, o)
	first, cancel := context.WithTimeout(ctx, firstLook)
	w.look(first, time.Now())
	cancel()
	begun()
	tick := time.NewTicker(w.Every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			w.look(ctx, time.Now())
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
	blind    bool                // The last look saw nothing.

	up                prometheus.Gauge
	connectors        *prometheus.GaugeVec
	tasks             *prometheus.GaugeVec
	restarts, refused *prometheus.CounterVec
}

func newWatcher(c *Client, names []string, o WatchOptions) *watcher {
	w := &watcher{WatchOptions: o, client: c, names: names, backoffs: map[string]*backoff{}}
	for d, otherwise := range map[*time.Duration]time.Duration{&w.Every: 5 * time.Second, &w.MinBackoff: 5 * time.Second, &w.MaxBackoff: 2 * time.Minute} {
		if *d == 0 {
			*d = otherwise
		}
	}
	w.up = prometheus.NewGauge(prometheus.GaugeOpts{Name: "ecupcakes_connect_up", Help: "1 if Kafka Connect answers, 0 otherwise; then nothing is known of its connectors."})
	w.connectors = prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "ecupcakes_connect_connector_state", Help: "1 for the state of a connector, 0 for the others."}, []string{"connector", "state"})
	w.tasks = prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "ecupcakes_connect_task_state", Help: "1 for the state of a task, 0 for the others."}, []string{"connector", "task", "state"})
	w.restarts = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ecupcakes_connect_restarts_total", Help: "How often what had failed of a connector was started again."}, []string{"connector"})
	w.refused = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ecupcakes_connect_restart_failures_total", Help: "How often Kafka Connect refused that."}, []string{"connector"})
	o.Registry.MustRegister(w.up, w.connectors, w.tasks, w.restarts, w.refused)
	for _, name := range names {
		w.backoffs[name] = &backoff{min: w.MinBackoff, max: w.MaxBackoff}
		w.restarts.WithLabelValues(name)
		w.refused.WithLabelValues(name)
	}
	return w
}

// look takes in how everything stands, and restarts what has failed and may be
// restarted again.
func (w *watcher) look(ctx context.Context, now time.Time) {
	var all []Status
	for _, name := range w.names {
		s, err := w.client.Status(ctx, name)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			if !w.blind {
				w.Log.Warn("it cannot be seen how the connectors are; trying again", "error", err)
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
		w.Log.Warn("restarting what has failed", "connector", s.Name, "why", strings.Join(why, "; "), "again after", b.wait)
		if err := w.client.Restart(ctx, s.Name); err != nil {
			w.refused.WithLabelValues(s.Name).Inc()
			w.Log.Warn("it was not restarted", "connector", s.Name, "error", err)
		}
	}
}

// show puts how everything stands into the metrics; nil is that nothing is known.
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

// backoff says when something that fails again and again may be tried again.
type backoff struct {
	min, max time.Duration
	wait     time.Duration // After the last try; 0 if there was none.
	next     time.Time     // When it may be tried.
	well     time.Time     // Since when it has not failed; zero if it has.
}

// due takes in whether it has failed, and says whether to try now. Once it has
// been well for as long as the last wait, the waits begin anew.
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
