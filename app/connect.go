package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/ecupcakes/ecupcakes/ops/connect"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// ConnectorOptions are the options of SuperviseConnectors.
type ConnectorOptions struct {
	Connect    *connect.Client
	Connectors []string // Names of the connectors.
	Every      time.Duration
	MaxBackoff time.Duration
	Listen     string // Address of /metrics and /healthz, host:port.
	Log        *slog.Logger
	Started    func(url string) // Called once the address listens.
}

// SuperviseConnectors restarts failed connectors and tasks of Kafka Connect until
// ctx ends, and serves their state as metrics. It returns nil after a clean stop.
func SuperviseConnectors(ctx context.Context, o ConnectorOptions) (err error) {
	if o.Every <= 0 || o.MaxBackoff < o.Every {
		return fmt.Errorf(
			"--every %s and --max-backoff %s do not fit: --every must be positive, and --max-backoff not less than --every",
			o.Every, o.MaxBackoff,
		)
	}
	var stops stack
	defer func() { err = errors.Join(err, stops.unwind()) }()
	listener, err := net.Listen("tcp", o.Listen)
	if err != nil {
		return fmt.Errorf("listening for HTTP: %w; choose another address with --listen", err)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	server := &http.Server{
		Handler: mux, ReadTimeout: 5 * time.Second, WriteTimeout: 15 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
	}
	stops.push("draining HTTP", func() error {
		ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
		defer cancel()
		return errors.Join(ignoreClosed(listener.Close()), server.Shutdown(ctx))
	})
	failed := make(chan error, 1)
	stops.background("the supervision of the connectors", func(ctx context.Context) {
		options := connect.WatchOptions{
			Every: o.Every, MinBackoff: o.Every, MaxBackoff: o.MaxBackoff, Registry: registry, Log: o.Log,
		}
		o.Connect.Watch(ctx, o.Connectors, options, func() {
			go func() { failed <- server.Serve(listener) }()
		})
	})
	o.Started("http://" + listener.Addr().String())
	select {
	case <-ctx.Done():
		return nil
	case err := <-failed:
		return fmt.Errorf("serving HTTP: %w", err)
	}
}
