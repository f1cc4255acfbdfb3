// Command bench measures what gokaplus changes, beside goka as it comes: messages lost when the broker is killed, pauses
// when members come and go, throughput and CPU, and the recovery of a table. It prints one Markdown table.
//
// Everything that is killed or whose CPU is measured is a process of its own, this binary started again. Machines are
// noisy: compare within a row, whose runs alternate between the variants.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	run := measure
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "member":
			run = runMember
		case "broker":
			run = runBroker
		}
	}
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// settings are the flags, and which run this is.
type settings struct{ run, orders, messages, rows int }

// figures are what was measured, by row and variant, one value a run.
type figures struct {
	order  []string
	values map[string][]string
}

func (f *figures) add(row, variant, format string, value ...any) {
	at := row + " | " + variant
	if !slices.Contains(f.order, at) {
		f.order = append(f.order, at)
	}
	f.values[at] = append(f.values[at], fmt.Sprintf(format, value...))
	fmt.Fprintln(os.Stderr, time.Now().Format(time.TimeOnly), at, f.values[at])
}

var measurements = map[string]func(context.Context, *kafka, settings, *figures) error{
	"lost": lost, "pause": pause, "throughput": throughput, "recovery": recovery,
}

func measure(ctx context.Context) error {
	rows := flag.String("rows", "lost,pause,throughput,recovery", "what to measure")
	kinds := flag.String("broker", "kafka,kfake", "on what: Apache Kafka, the embedded broker, or both")
	var s settings
	runs := flag.Int("runs", 3, "runs of each variant")
	flag.IntVar(&s.orders, "orders", 80_000, "messages of the row lost")
	flag.IntVar(&s.messages, "messages", 200_000, "messages of the row throughput")
	flag.IntVar(&s.rows, "table", 100_000, "rows of the table that is recovered")
	flag.Parse()
	fmt.Printf("%d cores, %s, %s/%s\n\n| | | runs |\n|---|---|---|\n", runtime.NumCPU(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	for _, row := range strings.Split(*rows, ",") {
		for _, kind := range strings.Split(*kinds, ",") {
			f := &figures{values: map[string][]string{}}
			if err := onNewBroker(ctx, kind, row, *runs, s, f); err != nil {
				return fmt.Errorf("measuring %s on %s: %w", row, kind, err)
			}
			for _, at := range f.order {
				fmt.Printf("| %s, %s | %s |\n", kind, at, strings.Join(f.values[at], " · "))
			}
		}
	}
	return nil
}

func onNewBroker(ctx context.Context, kind, row string, runs int, s settings, f *figures) error {
	measure, ok := measurements[row]
	if !ok {
		return errors.New("there is no such row")
	}
	dir, err := os.MkdirTemp("", "gokaplus-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	k, err := startKafka(ctx, kind, dir)
	if err != nil {
		return fmt.Errorf("starting the broker: %w", err)
	}
	defer k.Kill()
	for s.run = range runs {
		if err := measure(ctx, k, s, f); err != nil {
			return err
		}
	}
	return nil
}
