package app

import (
	"context"
	"slices"

	"github.com/ecupcakes/ecupcakes/gokaplus"
	"github.com/ecupcakes/ecupcakes/processors"

	"github.com/lovoo/goka"
)

func (a *App) startProcessors() {
	a.stages = processors.NewMetrics(a.Registry)
	var all []func() error
	for i, s := range a.Line.Stages {
		if !slices.Contains(a.Stages, s.Name) {
			continue
		}
		stop := a.supervise("processor", s.Name, gokaplus.Supervision{
			ShutdownTimeout: stopTimeout, Progress: a.goka.Progress, Group: goka.Group(s.Group()),
		}, func(context.Context) (gokaplus.Runner, error) {
			return gokaplus.NewProcessor(a.Kafka.Brokers, processors.Graph(a.Line, i, a.Partitions, processors.Instruments{Metrics: a.stages, Log: a.Log, Trace: a.trace}), a.goka, processors.Options()...)
		})
		all = append(all, func() error {
			defer a.leave(s.Group())
			return stop()
		})
	}
	a.stops.push("stopping the processors", together(all))
}

// leave has the other instances take over at once what this one was working on:
// nobody knows whether it will be back. Whoever comes back after a crash, without
// having left, takes its partitions up again instead.
func (a *App) leave(group string) {
	if a.goka.InstanceID == "" {
		return // A dynamic member has left by itself.
	}
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	if err := a.admin.Leave(ctx, group, a.goka.InstanceID); err != nil {
		a.Log.Warn("others take over only after the end of the session", "error", err)
	}
}
