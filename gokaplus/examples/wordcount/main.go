// Command wordcount counts words in a table and reads the table through a view once that is ready. Topics: words,
// count-table. Run it with -brokers.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"strings"
	"time"

	"github.com/lovoo/goka"
	"github.com/lovoo/goka/codec"

	"github.com/ecupcakes/ecupcakes/gokaplus"
)

func main() {
	brokers := flag.String("brokers", "localhost:9092", "addresses of brokers, separated by commas")
	flag.Parse()
	if err := run(strings.Split(*brokers, ",")); err != nil {
		log.Fatal(err)
	}
}

func run(brokers []string) error {
	var o gokaplus.Options
	graph := goka.DefineGroup("count",
		goka.Input("words", new(codec.String), func(ctx goka.Context, _ any) {
			n, _ := ctx.Value().(int64)
			ctx.SetValue(n + 1)
		}),
		goka.Persist(new(codec.Int64)),
	)
	ctx, stop := context.WithCancel(context.Background())
	counted := make(chan error, 1)
	go func() {
		counted <- gokaplus.Supervise(ctx, "count", func(context.Context) (gokaplus.Runner, error) {
			return gokaplus.NewProcessor(brokers, graph, o)
		}, gokaplus.SuperviseOptions{})
	}()

	view, err := gokaplus.NewView(brokers, goka.GroupTable("count"), new(codec.Int64), o)
	if err != nil {
		stop()
		return err
	}
	viewed := make(chan error, 1)
	go func() { viewed <- view.Run(ctx) }()

	emitter, err := gokaplus.NewEmitter(brokers, "words", new(codec.String), o)
	if err != nil {
		stop()
		return err
	}
	for _, word := range strings.Fields("a rose is a rose is a rose") {
		if _, err := emitter.Emit(word, ""); err != nil {
			stop()
			return err
		}
	}
	if err := emitter.Finish(); err != nil {
		stop()
		return err
	}

	for poll := time.Tick(10 * time.Millisecond); ; <-poll {
		if !view.Recovered() {
			continue // a missing row may not have been read yet
		}
		if n, err := view.Get("rose"); err == nil && n == int64(3) {
			fmt.Println("rose:", n)
			break
		}
	}
	stop()
	if err := <-viewed; err != nil {
		return err
	}
	return <-counted
}
