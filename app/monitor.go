package app

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// startMonitor serves /metrics, /healthz and /readyz on an address of their
// own, for a process that has no API or whose API is open to others than those
// who watch it.
func (p *process) startMonitor(stops *stack) (url string, err error) {
	listener, err := net.Listen("tcp", p.Monitor)
	if err != nil {
		return "", fmt.Errorf("listening for who watches this process: %w; choose another address with --monitor", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(p.Registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := p.unhealthy(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("ready\n"))
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, MaxHeaderBytes: 8 << 10}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			p.fail(fmt.Errorf("serving /metrics: %w", err))
		}
	}()
	stops.push("closing /metrics", func() error { err := server.Close(); <-done; return err })
	return "http://" + listener.Addr().String(), nil
}
