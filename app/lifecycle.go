package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ecupcakes/ecupcakes/gokaplus"
)

// stack holds the steps that have to be undone: last in, first out.
type stack []step

type step struct {
	name string
	undo func() error
}

// background runs f in a goroutine. When the stack is unwound, the ctx of f ends
// and unwind waits for f to return.
func (s *stack) background(name string, f func(ctx context.Context)) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(ctx)
	}()
	s.push("stopping "+name, func() error { cancel(); <-done; return nil })
}

func (s *stack) push(name string, undo func() error) { *s = append(*s, step{name, undo}) }

// unwind undoes all steps, even if one fails, and empties the stack.
func (s *stack) unwind() error {
	var errs []error
	steps := *s
	*s = nil
	for _, step := range slices.Backward(steps) {
		if err := step.undo(); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", step.name, err))
		}
	}
	return errors.Join(errs...)
}

// together returns a function that calls all functions concurrently.
func together(all []func() error) func() error {
	return func() error {
		errs := make([]error, len(all))
		var wg sync.WaitGroup
		for i, f := range all {
			wg.Go(func() { errs[i] = f() })
		}
		wg.Wait()
		return errors.Join(errs...)
	}
}

// supervised returns the parts that have been started.
func (a *App) supervised() []part {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.parts)
}

// fail reports that a part of the process has failed for good.
func (a *App) fail(err error) {
	select {
	case a.failed <- err:
	default:
	}
}

// supervise runs what build returns until stop is called, and restarts it when it
// fails. stop waits for the ShutdownTimeout at most. The process is not ready
// unless the part runs.
func (a *App) supervise(
	kind, stage string, s gokaplus.SuperviseOptions,
	build func(context.Context) (gokaplus.Runner, error),
) (stop func() error) {
	of := part{kind, stage, &gokaplus.Health{}}
	a.mu.Lock()
	a.parts = append(a.parts, of)
	a.mu.Unlock()
	s.Health = of.health
	return a.keep(of.name(), s, build)
}

// keep is supervise for a part that readiness does not depend on.
func (a *App) keep(name string, s gokaplus.SuperviseOptions, build func(context.Context) (gokaplus.Runner, error)) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	s.Logger, s.MaxBackoff = a.Log, 10*time.Second
	done := make(chan error, 1)
	go func() {
		err := gokaplus.Supervise(ctx, name, build, s)
		if err != nil {
			a.fail(err)
		}
		done <- err
	}()
	return func() error {
		cancel()
		return <-done
	}
}
