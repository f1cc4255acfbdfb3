package api

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// probePaths are the paths that Probes serves.
var probePaths = []string{"healthz", "readyz", "metrics"}

// Probes returns the handler of a process's health, with or without the rest of
// the API: /healthz answers 200 while the process lives, /readyz answers 503 with
// the reason while it cannot serve, and /metrics is for Prometheus.
func Probes(registry *prometheus.Registry, ready func() error) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := ready(); err != nil {
			problem(notReady, http.StatusServiceUnavailable, "Not ready: %v.", err).retry(time.Second).write(w)
			return
		}
		_, _ = w.Write([]byte("ready\n"))
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4}))
	return mux
}
