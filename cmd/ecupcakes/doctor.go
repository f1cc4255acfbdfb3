package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/ecupcakes/ecupcakes/ops/doctor"
	"github.com/ecupcakes/ecupcakes/topology"
)

type doctorCmd struct {
	cluster
	roles
	ConnectURL string `help:"Where Kafka Connect is, if there is one." name:"connect-url" env:"ECUPCAKES_CONNECT_URL" placeholder:"URL"`
	Data       string `help:"Directory of the embedded broker's data, on this machine, whose disk is looked at." env:"ECUPCAKES_DATA" placeholder:"DIR"`
	JSON       bool   `help:"Print what is found as JSON." name:"json" env:"ECUPCAKES_JSON"`
}

// Help is what --help says besides.
func (doctorCmd) Help() string {
	return "It changes nothing. The exit code is 0 if nothing is wrong, 1 if something is, and 2 if the cluster could not be asked. " +
		"Give it the login of a process of the line: what it may do is one of the checks."
}

// unasked says that nobody can tell whether something is wrong.
type unasked struct{ error }

func (c *doctorCmd) Run(g *global) error {
	p := doctor.Target{Line: topology.Cupcakes, Partitions: c.Partitions, Roles: c.Roles, Brokers: c.Brokers, Connect: c.ConnectURL}
	facts, err := c.see(g, &p)
	if err != nil {
		return unasked{err}
	}
	found := doctor.Diagnose(p, facts)
	if c.JSON {
		err = json.NewEncoder(os.Stdout).Encode(map[string]any{"brokers": len(facts.Brokers), "findings": append([]doctor.Finding{}, found...)})
	} else {
		printFindings(facts, found)
	}
	if err == nil && len(found) > 0 {
		err = fmt.Errorf("findings: %d", len(found))
	}
	return err
}

func (c *doctorCmd) see(g *global, p *doctor.Target) (*doctor.Facts, error) {
	if len(c.Brokers) == 0 {
		return nil, errors.New("name the line's Kafka with --brokers; that of `ecupcakes up` is at 127.0.0.1:9092")
	}
	config, _, err := c.reach(g, "")
	if err != nil {
		return nil, err
	}
	p.User = config.Principal()
	ctx, cancel := context.WithTimeout(g.ctx, time.Minute)
	defer cancel()
	return doctor.Collect(ctx, config, *p, c.Data)
}

func printFindings(f *doctor.Facts, found []doctor.Finding) {
	for _, check := range doctor.Checks {
		if !slices.ContainsFunc(found, func(f doctor.Finding) bool { return f.Check == check }) {
			fmt.Printf("ok     %-8s  %s\n", check, f.Summary(check))
		}
		for _, f := range found {
			if f.Check == check {
				fmt.Printf("WRONG  %-8s  %s. Mend: %s\n", check, f.What, f.Fix)
			}
		}
	}
}

// exitCode is 1, or 2 if it is not known whether something is wrong.
func exitCode(err error) int {
	if _, ok := errors.AsType[unasked](err); ok {
		return 2
	}
	return 1
}
