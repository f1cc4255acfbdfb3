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
	ConnectURL string `help:"URL of a Kafka Connect worker; without it, the connectors are not checked." name:"connect-url" env:"ECUPCAKES_CONNECT_URL" placeholder:"URL"`
	Data       string `help:"Data directory of an embedded broker on this machine, to check the free space of its disk." env:"ECUPCAKES_DATA" placeholder:"DIR"`
	JSON       bool   `help:"Print the findings as JSON." name:"json" env:"ECUPCAKES_JSON"`
}

// Help returns the text that kong adds to --help.
func (doctorCmd) Help() string {
	return "It changes nothing. The exit status is 0 without findings, 1 with findings, and 2 if the cluster could not be reached. " +
		"Use the login of a process of the line: the ACLs of the user are one of the checks."
}

// unreachable marks an error because of which nothing could be checked.
type unreachable struct{ error }

func (c *doctorCmd) Run(g *global) error {
	p := doctor.Target{Line: topology.Cupcakes, Partitions: c.Partitions, Roles: c.Roles, Brokers: c.Brokers, Connect: c.ConnectURL}
	facts, err := c.collect(g, &p)
	if err != nil {
		return unreachable{err}
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

func (c *doctorCmd) collect(g *global, p *doctor.Target) (*doctor.Facts, error) {
	if len(c.Brokers) == 0 {
		return nil, errors.New("no Kafka cluster given: use --brokers; the embedded broker of `ecupcakes up` listens on 127.0.0.1:9092")
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
				fmt.Printf("WRONG  %-8s  %s. Fix: %s\n", check, f.What, f.Fix)
			}
		}
	}
}

// exitCode returns the exit status for an error: 2 if the doctor could not reach the cluster, else 1.
func exitCode(err error) int {
	if _, ok := errors.AsType[unreachable](err); ok {
		return 2
	}
	return 1
}
