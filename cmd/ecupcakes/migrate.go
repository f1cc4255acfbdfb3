package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/ecupcakes/ecupcakes/ops/migrate"
	"github.com/ecupcakes/ecupcakes/topology"
)

type migrateCmd struct {
	From string   `help:"Data directory of the embedded broker; no other program may use it." default:"./data" aliases:"data" env:"ECUPCAKES_FROM,ECUPCAKES_DATA"`
	To   []string `help:"Addresses of the Kafka cluster to move to, host:port." required:"" env:"ECUPCAKES_TO" placeholder:"HOST:PORT"`
	login
}

func (c *migrateCmd) Run(g *global) (err error) {
	from, stop, err := cluster{}.reach(g, c.From)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	to, _, err := cluster{Brokers: c.To, login: c.login}.reach(g, "")
	if err != nil {
		return err
	}
	draw, wipe := progress(os.Stderr)
	report, err := migrate.Run(g.ctx, migrate.Options{From: from, To: to, Line: topology.Cupcakes, Progress: draw})
	wipe()
	if g.ctx.Err() != nil {
		return errors.Join(err, errors.New("interrupted: run the migration again to resume it"))
	}
	if report != nil {
		err = errors.Join(err, printMoved(os.Stdout, report))
	}
	if err == nil {
		fmt.Printf("\nThe line has been moved, and its audit found no fault. Start it there: ecupcakes up --brokers %s\n",
			strings.Join(to.Brokers, ","))
	}
	return err
}

// progress returns functions that show progress on a terminal, at most ten times a second, and that
// erase it. draw is nil if f is not a terminal.
func progress(f *os.File) (draw func(doing string, done, of int64), wipe func()) {
	if !isTerminal(f) {
		return nil, func() {}
	}
	var drawn time.Time
	draw = func(doing string, done, of int64) {
		if time.Since(drawn) > 100*time.Millisecond {
			drawn = time.Now()
			fmt.Fprintf(f, "\r\x1b[K%s: %d of %d", doing, done, of)
		}
	}
	return draw, func() { fmt.Fprint(f, "\r\x1b[K") }
}

func printMoved(out io.Writer, r *migrate.Result) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "topic\trecords\twritten now\t")
	for _, t := range r.Topics {
		fmt.Fprintf(w, "%s\t%d\t%d\t\n", t.Name, t.Records, t.Written)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "\n%d orders, %d events in flight, %d dead letters; lost %d, doubled %d, wrong %d\n",
		r.Audit.Orders, r.Audit.InFlight, r.Audit.DeadLetters, r.Audit.Lost, r.Audit.Doubled, r.Audit.Wrong)
	for _, f := range r.Audit.Findings {
		fmt.Fprintln(out, "-", f)
	}
	return err
}
