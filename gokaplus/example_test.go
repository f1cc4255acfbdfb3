package gokaplus_test

import (
	"context"
	"fmt"
	"log"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lovoo/goka"
	"github.com/lovoo/goka/codec"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/ecupcakes/ecupcakes/gokaplus"
)

// A processor counts words into its table, and a view shows the table. Both are supervised.
func Example() {
	kafka, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(4, "words", "count-table"))
	if err != nil {
		log.Fatal(err)
	}
	defer kafka.Close()
	brokers := kafka.ListenAddrs()

	o := gokaplus.Options{InstanceID: "counter-0", Progress: &gokaplus.Progress{}}
	graph := goka.DefineGroup("count",
		goka.Input("words", new(codec.String), func(ctx goka.Context, _ any) {
			n, _ := ctx.Value().(int64)
			ctx.SetValue(n + 1)
		}),
		goka.Persist(new(codec.Int64)),
	)
	var view atomic.Pointer[gokaplus.View] // a new one after each restart
	var processorHealth, viewHealth gokaplus.Health

	ctx, stop := context.WithCancel(context.Background())
	var supervised sync.WaitGroup
	supervised.Go(func() {
		err := gokaplus.Supervise(ctx, "counter", func(context.Context) (gokaplus.Runner, error) {
			return gokaplus.NewProcessor(brokers, graph, o)
		}, gokaplus.SuperviseOptions{Health: &processorHealth})
		if err != nil {
			log.Fatal(err) // it did not stop in time: exit
		}
	})
	supervised.Go(func() {
		err := gokaplus.Supervise(ctx, "counts", func(context.Context) (gokaplus.Runner, error) {
			v, err := gokaplus.NewView(brokers, goka.GroupTable("count"), new(codec.Int64), o)
			view.Store(v)
			return v, err
		}, gokaplus.SuperviseOptions{Health: &viewHealth})
		if err != nil {
			log.Fatal(err)
		}
	})

	emitter, err := gokaplus.NewEmitter(brokers, "words", new(codec.String), o)
	if err != nil {
		log.Fatal(err)
	}
	for range 3 {
		if err := emitter.EmitSync("goka", ""); err != nil {
			log.Fatal(err)
		}
	}
	if err := emitter.Finish(); err != nil {
		log.Fatal(err)
	}

	for poll := time.Tick(10 * time.Millisecond); ; <-poll {
		if viewHealth.Status().State != gokaplus.Running {
			continue // a row that is missing now may come with the recovery
		}
		if n, err := view.Load().Get("goka"); err == nil && n == int64(3) {
			fmt.Println("goka:", n)
			break
		}
	}
	fmt.Println("processor:", processorHealth.Status().State)
	stop()
	supervised.Wait()
	// Output:
	// goka: 3
	// processor: running
}
