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

// Runner is a component that Supervise can run. Run blocks until the component fails or ctx ends. goka's processors and
// views are Runners, and so are [Processor] and [View].
type Runner interface {
	Run(ctx context.Context) error
}

var (
	_ Runner = (*goka.Processor)(nil)
	_ Runner = (*goka.View)(nil)
)

// ErrAbandoned is wrapped by the error that Supervise returns when its Runner did not stop within
// SuperviseOptions.ShutdownTimeout. Exit the process: the Runner still runs in the background. With in-order commits
// nothing is lost by that; the messages in flight are redelivered.
var ErrAbandoned = errors.New("abandoned while stopping: exit the process, messages in flight will be redelivered")

// SuperviseOptions configures [Supervise]. The zero value works.
type SuperviseOptions struct {
	// Logger receives a warning with the reason for each restart. Nil discards it.
	Logger *slog.Logger

	// Health, if not nil, reports the state of the Runner. Each Supervise needs a Health of its own.
	Health *Health

	// MinBackoff is the wait before the first restart, 0 means 500 ms. It doubles with each restart up to MaxBackoff, 0
	// means 30 s. Up to half of each wait is subtracted at random, so that instances do not restart in step. The wait
	// returns to MinBackoff after a run of at least HealthyAfter, 0 means one minute.
	MinBackoff, MaxBackoff, HealthyAfter time.Duration

	// Progress, if not nil, lets the Health report [Stalled]: a partition of Group has lag, and none of its messages was
	// finished for StalledAfter, 0 means one minute. Typical causes are a callback that hangs, a forgotten DeferCommit,
	// emits that are not acknowledged, and partitions that cannot be fetched. A stalled Runner is logged but not
	// restarted, since a restart seldom helps.
	//
	// Use the Progress of the Runner's Options, and the Group of its graph. An empty Group means all groups of the
	// Progress. An idle input that is written in transactions is reported as stalled, because its transaction markers
	// count as lag.
	Progress     *Progress
	Group        goka.Group
	StalledAfter time.Duration

	// ShutdownTimeout bounds how long Supervise waits for the Runner to stop after ctx has ended. 0 means 30 s. A processor
	// stops within milliseconds while the brokers can be reached; without them goka can take minutes.
	ShutdownTimeout time.Duration
}

func (s SuperviseOptions) withDefaults() SuperviseOptions {
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

// Supervise calls build and runs the Runner that it returns. When the Runner ends, Supervise waits for the back-off and
// starts again with a new Runner, since those of goka can run only once. It does so after an error of build or Run, after
// a panic in either, and after a Run that returns nil before ctx has ended. So it also waits for a cluster that cannot be
// reached when the program starts, or that has not elected the leaders of new topics yet. It cannot recover a panic in a
// goroutine that goka started, such as one in a codec's Decode: that ends the process.
//
// name identifies the Runner in the log and in errors.
//
// Supervise blocks until ctx has ended. It returns nil if the Runner has stopped. An error of that last Run is logged and
// not returned: with in-order commits it causes nothing but a redelivery. If the Runner has not stopped within
// SuperviseOptions.ShutdownTimeout, Supervise returns an error that wraps [ErrAbandoned], and the caller should exit the
// process.
//
// If ctx ends during build, the new Runner does not run; it is closed if it is an io.Closer.
func Supervise(ctx context.Context, name string, build func(context.Context) (Runner, error), s SuperviseOptions) error {
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
		if p := (*panicError)(nil); errors.As(err, &p) {
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

// live builds and runs one Runner, and reports whether it has stopped.
func (s SuperviseOptions) live(
	ctx context.Context, log *slog.Logger,
	build func(context.Context) (Runner, error),
) (stopped bool, err error) {
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

// stallWatch records since when partitions with lag have made no progress.
type stallWatch struct {
	after  time.Duration
	behind map[PartitionProgress]time.Time // with only Group, Topic, Partition and Next set
}

// look returns the partitions that have made no progress for too long.
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

func (s SuperviseOptions) buildAndRun(ctx context.Context, build func(context.Context) (Runner, error)) (err error) {
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

// State is the state of a supervised Runner.
type State int

const (
	// Starting means that the first Runner is being built.
	Starting State = iota
	// Recovering means that the Runner runs, but has not read all of its tables. It is reported only for a Runner with a
	// method Recovered() bool, as goka's processors and those of this package have.
	Recovering
	// Running means that the Runner runs and has recovered.
	Running
	// Stalled means that the Runner runs, but a partition with lag makes no progress. It is reported only with
	// SuperviseOptions.Progress.
	Stalled
	// Restarting means that the Runner has failed, and the next one waits for the back-off or is being built.
	Restarting
	// Stopped means that Supervise has returned.
	Stopped
)

// String returns the name of the state in lower case.
func (s State) String() string {
	return [...]string{"starting", "recovering", "running", "stalled", "restarting", "stopped"}[s]
}

// Status describes a supervised Runner at one moment.
type Status struct {
	State State

	// Since is when the Runner was started, failed or stopped, or since when it has been stalled. The change from
	// Recovering to Running does not alter it.
	Since time.Time

	// Restarts is the number of restarts so far. If it keeps growing, the Runner needs attention.
	Restarts int

	// Reason is the error that caused the last restart. It is nil before the first one.
	Reason error

	// RecoveredPercent is how much of the tables has been read, from 0 to 100. While Recovering it comes from the Runner's
	// method RecoveredPercent() int, if there is one. It is 100 while Running or Stalled, and 0 otherwise.
	RecoveredPercent int

	// Stalled holds the partitions that make no progress. It is empty unless the State is Stalled.
	Stalled []PartitionProgress
}

// Health reports the state of a supervised Runner. The zero value is ready to use, and its method is safe for concurrent
// use.
type Health struct {
	mu           sync.Mutex
	status       Status
	stalledSince time.Time
	runner       Runner // set while running
}

// Status returns the current status.
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

// stalled sets the partitions that make no progress, and logs when that begins and ends.
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
