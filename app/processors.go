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
		stop := a.supervise("processor", s.Name, gokaplus.SuperviseOptions{
			ShutdownTimeout: stopTimeout, Progress: a.goka.Progress, Group: goka.Group(s.Group()),
		}, func(context.Context) (gokaplus.Runner, error) {
			instruments := processors.Instruments{Metrics: a.stages, Log: a.Log, Trace: a.trace}
			graph := processors.Graph(a.Line, i, a.Partitions, instruments)
			return gokaplus.NewProcessor(a.Kafka.Brokers, graph, a.goka, processors.Options()...)
		})
		all = append(all, func() error {
			defer a.leave(s.Group())
			return stop()
		})
	}
	a.stops.push("stopping the processors", together(all))
}

// leave removes this instance from the consumer group, so that the others take
// over its partitions at once: it may not come back. After a crash the instance has
// not left, and takes its partitions back within the session timeout.
func (a *App) leave(group string) {
	if a.goka.InstanceID == "" {
		return // A dynamic member has left by itself.
	}
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	if err := a.admin.Leave(ctx, group, a.goka.InstanceID); err != nil {
		a.Log.Warn("the partitions are reassigned only after the session timeout", "error", err)
	}
}
