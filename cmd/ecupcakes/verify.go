package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"text/tabwriter"

	"github.com/ecupcakes/ecupcakes/kafka"
	"github.com/ecupcakes/ecupcakes/kafka/embedded"
	"github.com/ecupcakes/ecupcakes/ops/verify"
	"github.com/ecupcakes/ecupcakes/topology"
)

type verifyCmd struct {
	cluster
	Data string `help:"Without --brokers: data directory of an embedded broker; no other program may use it." env:"ECUPCAKES_DATA"`
	JSON bool   `help:"Print the result as JSON." name:"json" env:"ECUPCAKES_JSON"`
}

func (c *verifyCmd) Run(g *global) (err error) {
	config, stop, err := c.reach(g, c.Data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	report, err := verify.Run(g.ctx, verify.Options{Kafka: config, Line: topology.Cupcakes})
	if err != nil {
		return err
	}
	if c.JSON {
		err = json.NewEncoder(os.Stdout).Encode(report)
	} else {
		err = printReport(os.Stdout, report)
	}
	if err == nil && !report.OK() {
		err = fmt.Errorf("%d lost, %d doubled, %d wrong", report.Lost, report.Doubled, report.Wrong)
	}
	return err
}

// reach returns the configuration of the cluster that the flags name once it answers. Without
// brokers it starts an embedded broker on the data directory, which runs until stop is called.
func (k cluster) reach(g *global, data string) (config kafka.Config, stop func() error, err error) {
	config, stop = k.config(), func() error { return nil }
	if len(k.Brokers) == 0 && data != "" {
		if _, err := os.Stat(data); err != nil {
			return config, stop, fmt.Errorf("no data directory: %w", err)
		}
		embedded, err := embedded.Start(data, "127.0.0.1:0", g.log)
		if err != nil {
			return config, stop, err
		}
		return kafka.Config{Brokers: []string{embedded.Addr()}}, embedded.Close, nil
	}
	if len(k.Brokers) == 0 {
		return config, stop, errors.New("no Kafka cluster given: use --brokers, or --data with the data directory of a stopped embedded broker")
	}
	if err := config.Validate(); err != nil {
		return config, stop, err
	}
	admin, err := kafka.NewAdmin(config)
	if err != nil {
		return config, stop, err
	}
	defer admin.Close()
	ctx, cancel := context.WithTimeout(g.ctx, timeout)
	defer cancel()
	_, err = admin.WaitForBrokers(ctx)
	return config, stop, err
}

func printReport(out io.Writer, r *verify.Result) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "stage\twaiting\tdone\trejected\texpired\tearly\trepeated\tbad\told\t")
	for _, s := range r.Stages {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t\n",
			s.Name, s.Waiting, s.Done, s.Rejected, s.Expired, s.Early, s.Repeated, s.Bad, s.Old)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(out, "\n%d orders are", r.Orders)
	for i, place := range slices.Sorted(maps.Keys(r.Places)) {
		if i > 0 {
			fmt.Fprint(out, ",")
		}
		fmt.Fprintf(out, " %s: %d", place, r.Places[place])
	}
	fmt.Fprintf(out, "\nlost %d, doubled %d, wrong %d; dead letters %d, events in flight %d\n",
		r.Lost, r.Doubled, r.Wrong, r.DeadLetters, r.InFlight)
	for _, f := range r.Findings {
		fmt.Fprintln(out, "-", f)
	}
	return nil
}
