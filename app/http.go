package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/ecupcakes/ecupcakes/api"
	"github.com/ecupcakes/ecupcakes/gokaplus"
)

// startMonitor serves /metrics, /healthz and /readyz on a separate address, for a
// process without the API or whose API is open to other people than its metrics.
func (a *App) startMonitor() error {
	listener, err := a.listen(a.Monitor, "--monitor")
	if err != nil {
		return err
	}
	server := a.serve(listener, api.Probes(a.Registry, a.unhealthy).ServeHTTP)
	a.stops.push("closing /metrics", func() error {
		ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
		defer cancel()
		return server.Shutdown(ctx)
	})
	a.addr.Monitor = "http://" + listener.Addr().String()
	return nil
}

// listen opens the address of a server; flag is the option that names it.
func (a *App) listen(address, flag string) (net.Listener, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listening for HTTP: %w; choose another address with %s", err, flag)
	}
	a.stops.push("closing the HTTP listener", func() error { return ignoreClosed(listener.Close()) })
	return listener, nil
}

// serve answers HTTP until the server is shut down.
func (a *App) serve(listener net.Listener, handler http.HandlerFunc) *http.Server {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      time.Minute, // Longer than any long poll.
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(a.Log.Handler(), slog.LevelDebug),
	}
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			a.fail(fmt.Errorf("serving HTTP: %w", err))
		}
	}()
	return server
}

// unhealthy returns which supervised parts do not run, and which stages exceed
// MaxDead; nil if the process is healthy.
func (a *App) unhealthy() error {
	var errs []error
	for _, n := range a.supervised() {
		switch s := n.health.Status(); s.State {
		case gokaplus.Running:
		case gokaplus.Recovering:
			errs = append(errs, fmt.Errorf("%s is %s: %d %% of its table is read", n.name(), s.State, s.RecoveredPercent))
		case gokaplus.Stalled:
			first := s.Stalled[0]
			errs = append(errs, fmt.Errorf("%s is %s: %d events wait in partition %d of %s and none is finished",
				n.name(), s.State, first.Lag(), first.Partition, first.Topic))
		default:
			errs = append(errs, fmt.Errorf("%s is %s", n.name(), s.State))
		}
	}
	return errors.Join(append(errs, a.stages.Healthy(a.MaxDead))...)
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
