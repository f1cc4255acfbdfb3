// Command deferredcommit finishes its messages in the background and in reverse order. Offsets are committed in order all
// the same: a crash redelivers each message that was not finished. Topic: jobs, with one partition. Run it with -brokers.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"strconv"
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
	const jobs = 3
	progress := &gokaplus.Progress{}
	o := gokaplus.Options{Progress: progress}
	deferred := make(chan func(error), jobs)
	processor, err := gokaplus.NewProcessor(brokers, goka.DefineGroup("working",
		goka.Input("jobs", new(codec.String), func(ctx goka.Context, _ any) { deferred <- ctx.DeferCommit() }),
	), o)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- processor.Run(ctx) }()

	e, err := gokaplus.NewEmitter(brokers, "jobs", new(codec.String), o)
	if err != nil {
		return err
	}
	for i := range jobs {
		if err := e.EmitSync(strconv.Itoa(i), "work"); err != nil {
			return err
		}
	}
	if err := e.Finish(); err != nil {
		return err
	}
	var commits []func(error)
	for range jobs {
		commits = append(commits, <-deferred)
	}
	for i := jobs - 1; i >= 0; i-- {
		commits[i](nil) // an error would stop the processor, and the job would be redelivered
		wait(progress, func(p gokaplus.PartitionProgress) bool { return p.Held == jobs-i || p.Next == jobs })
		p := progress.Partitions()[0]
		fmt.Printf("job %d is finished: resume at %d\n", i, p.Next)
	}
	stop()
	return <-ended
}

func wait(progress *gokaplus.Progress, cond func(gokaplus.PartitionProgress) bool) {
	for poll := time.Tick(time.Millisecond); ; <-poll {
		if p := progress.Partitions(); len(p) == 1 && cond(p[0]) {
			return
		}
	}
}
