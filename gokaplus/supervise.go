package gokaplus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/lovoo/goka"
)

// A Runner runs until it fails or ctx ends. goka's processors and views are Runners.
type Runner interface {
	Run(ctx context.Context) error
}

var (
	_ Runner = (*goka.Processor)(nil)
	_ Runner = (*goka.View)(nil)
)

// ErrAbandoned is what Supervise returns when the Runner did not stop in time.
var ErrAbandoned = errors.New("abandoned while stopping: exit the process, what was in flight will be redelivered")

// Supervision says how Supervise treats its Runner. The zero value works.
type Supervision struct {
	// Logger receives each restart with its reason; nil discards it.
	Logger *slog.Logger

	// Health, if not nil, shows the state. It must not be shared.
	Health *Health

	// The wait before a restart doubles from MinBackoff (0 means 500 ms) to MaxBackoff (0 means 30 s), less up to half
	// of it at random. A life of HealthyAfter (0 means one minute) makes it start from MinBackoff again.
	MinBackoff, MaxBackoff, HealthyAfter time.Duration

	// Progress, if not nil, makes the Health Stalled while a partition of Group has a lag and none of its messages has
	// been finished for StalledAfter (0 means one minute): a callback hangs, a DeferCommit was forgotten, emits are not
	// acknowledged, or nothing is fetched. Give the Progress of the Runner's Options and its group; an empty Group means
	// all that the Progress shows. A stalled Runner is logged but not restarted. An input that is written in transactions
	// has a lag of their markers when it is worked off, and stalls when idle.
	Progress     *Progress
	Group        goka.Group
	StalledAfter time.Duration

	// ShutdownTimeout bounds the wait for the Runner to stop once ctx has ended; 0 means 30 s. With the brokers at hand a
	// processor stops in milliseconds, without them it can take goka minutes.
	ShutdownTimeout time.Duration
}

func (s Supervision) withDefaults() Supervision {
	if s.Logger == nil {
		s.Logger = slog.New(slog.DiscardHandler)
	}
	if s.Health == nil {
		s.Health = &Health{}
	}
	s.MinBackoff = cmp.Or(s.MinBackoff, 500*time.Millisecond)
	s.MaxBackoff = cmp.Or(s.MaxBackoff, 30*time.Second)
	s.HealthyAfter = cmp.Or(s.HealthyAfter, time.Minute)
	s.StalledAfter = cmp.Or(s.StalledAfter, time.Minute)
	s.ShutdownTimeout = cmp.Or(s.ShutdownTimeout, 30*time.Second)
	return s
}

// Supervise builds a Runner and runs it, and when it ends builds and runs a new one, since goka's can run only once.
// Whatever ends it is a reason to start again: an error of build or Run, a panic in either, or a Run that returns
// nil although nobody asked. So a cluster that is away when the program starts, or has not yet elected the leaders of
// topics just created, is waited for. A panic in a goroutine that goka started is not in either: it ends the process.
//
// Supervise returns nil when ctx has ended and the Runner has stopped; an error of the last Run is then logged only,
// as with in-order commits it causes nothing but a redelivery. If the Runner has not stopped within the
// ShutdownTimeout, Supervise stops waiting for it and returns an error that is [ErrAbandoned]. The Runner goes on in
// the background, so the caller has to exit the process.
//
// A Runner that was built but not run because ctx had ended is closed if it is an io.Closer.
func Supervise(ctx context.Context, name string, build func(context.Context) (Runner, error), s Supervision) error {
	s = s.withDefaults()
	log := s.Logger.With("name", name)
	s.Health.to(Starting, nil)
	defer s.Health.to(Stopped, nil)
	for backoff := s.MinBackoff; ; backoff = min(2*backoff, s.MaxBackoff) {
		started := time.Now()
		stopped, err := s.live(ctx, log, build)
		if !stopped {
			return fmt.Errorf("%s did not stop within %v: %w", name, s.ShutdownTimeout, ErrAbandoned)
		}
		if ctx.Err() != nil {
			if err != nil && !strings.Contains(err.Error(), context.Canceled.Error()) { // goka does not wrap it
				log.Warn("failed while stopping", "error", err)
			}
			return nil
		}
		if err == nil {
			err = errors.New("it returned without an error although it was not asked to stop")
		}
		lived := time.Since(started)
		if lived >= s.HealthyAfter {
			backoff = s.MinBackoff
		}
		wait := backoff - rand.N(backoff/2+1)
		attrs := []any{"reason", err, "lived", lived, "wait", wait}
		if p, ok := errors.AsType[*panicError](err); ok {
			attrs = append(attrs, "stack", string(p.stack))
		}
		log.Warn("restarting", attrs...)
		s.Health.restarting(err)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil
		}
	}
}

// live runs one life and reports whether it has stopped.
func (s Supervision) live(ctx context.Context, log *slog.Logger, build func(context.Context) (Runner, error)) (stopped bool, err error) {
	done := make(chan error, 1)
	go func() { done <- s.buildAndRun(ctx, build) }()
	var look <-chan time.Time
	if s.Progress != nil {
		ticker := time.NewTicker(max(s.StalledAfter/8, time.Millisecond))
		defer ticker.Stop()
		look = ticker.C
	}
	stalls := stallWatch{after: s.StalledAfter}
	for {
		select {
		case err := <-done:
			return true, err
		case now := <-look:
			s.Health.stalled(stalls.look(s.Progress.Partitions(), string(s.Group), now), log)
			continue
		case <-ctx.Done():
		}
		select {
		case err := <-done:
			return true, err
		case <-time.After(s.ShutdownTimeout):
			return false, nil
		}
	}
}

// stallWatch remembers since when partitions with a lag have not moved.
type stallWatch struct {
	after  time.Duration
	behind map[PartitionProgress]time.Time // with only Group, Topic, Partition and Next set
}

// look returns the partitions that have not moved for too long.
func (w *stallWatch) look(all []PartitionProgress, group string, now time.Time) (stalled []PartitionProgress) {
	behind := map[PartitionProgress]time.Time{}
	for _, p := range all {
		if p.Lag() == 0 || group != "" && p.Group != group {
			continue
		}
		at := PartitionProgress{Group: p.Group, Topic: p.Topic, Partition: p.Partition, Next: p.Next}
		since, ok := w.behind[at]
		if !ok {
			since = now
		}
		behind[at] = since
		if now.Sub(since) >= w.after {
			stalled = append(stalled, p)
		}
	}
	w.behind = behind
	return stalled
}

func (s Supervision) buildAndRun(ctx context.Context, build func(context.Context) (Runner, error)) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &panicError{r, debug.Stack()}
		}
	}()
	r, err := build(ctx)
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		if c, ok := r.(io.Closer); ok {
			return c.Close()
		}
		return nil
	}
	s.Health.to(Running, r)
	return r.Run(ctx)
}

type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprint("panic: ", e.value) }

// State is what a supervised Runner is doing.
type State int

const (
	Starting   State = iota // being built for the first time
	Recovering              // running, but its tables are not complete; only known of a Runner with a method Recovered() bool
	Running
	Stalled    // running, but a partition does not move although it has messages; only known with Supervision.Progress
	Restarting // waiting to be built anew, or being built anew
	Stopped    // Supervise has returned
)

func (s State) String() string {
	return [...]string{"starting", "recovering", "running", "stalled", "restarting", "stopped"}[s]
}

// Status is the state of a supervised Runner at one moment.
type Status struct {
	State    State
	Since    time.Time // when Supervise brought it there; what runs may have recovered since
	Restarts int       // so far; a rate that does not fall to zero needs attention
	Reason   error     // of the last restart, nil before the first

	// RecoveredPercent is how much of the tables has been read while Recovering, from 0 to 100, if the Runner has a method
	// RecoveredPercent() int as those of this package do. It is 100 while Running or Stalled and 0 otherwise.
	RecoveredPercent int

	// Stalled are the partitions that do not move, while Stalled.
	Stalled []PartitionProgress
}

// Health shows the state of what is supervised, to any number of goroutines. The zero value is ready.
type Health struct {
	mu           sync.Mutex
	status       Status
	stalledSince time.Time
	runner       Runner // set while running
}

// Status returns the present state.
func (h *Health) Status() Status {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.status
	if s.State != Running {
		return s
	}
	if r, ok := h.runner.(interface{ Recovered() bool }); ok && !r.Recovered() {
		s.State, s.Stalled = Recovering, nil
		if r, ok := h.runner.(interface{ RecoveredPercent() int }); ok {
			s.RecoveredPercent = r.RecoveredPercent()
		}
		return s
	}
	s.RecoveredPercent = 100
	if len(s.Stalled) > 0 {
		s.State, s.Since = Stalled, h.stalledSince
	}
	return s
}

func (h *Health) to(s State, r Runner) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.status.State, h.status.Since, h.status.Stalled, h.runner = s, time.Now(), nil, r
}

func (h *Health) restarting(reason error) {
	h.to(Restarting, nil)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.status.Restarts++
	h.status.Reason = reason
}

// stalled takes in which partitions do not move, and logs when that begins and ends.
func (h *Health) stalled(p []PartitionProgress, log *slog.Logger) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.status.State != Running {
		return
	}
	switch {
	case len(p) > 0 && len(h.status.Stalled) == 0:
		h.stalledSince = time.Now()
		log.Warn("stalled: there are messages and none is finished", "partitions", p)
	case len(p) == 0 && len(h.status.Stalled) > 0:
		log.Info("no longer stalled")
	}
	h.status.Stalled = p
}
