package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"github.com/ecupcakes/ecupcakes/app"
	"github.com/ecupcakes/ecupcakes/ops/connect"
)

type connectCmd struct {
	Topics connectTopics `cmd:"" help:"Create the topics that Kafka Connect needs; before its worker is started."`
	Apply  connectApply  `cmd:"" help:"See to it that the connectors are there as they should be, and run."`
	Status connectStatus `cmd:"" help:"Tell how the connectors are; exit 1 if one does not run."`
	Delete connectDelete `cmd:"" help:"Delete the connectors. What they have read so far is remembered."`
	ACLs   connectACLs   `cmd:"" name:"acls" help:"Print what the workers' user must be allowed to do on a cluster with ACLs."`
	Watch  connectWatch  `cmd:"" help:"Stay, restart what fails of the connectors, and show how they are on /metrics."`
}

// worker are the flags that say where Kafka Connect is.
type worker struct {
	ConnectURL string `help:"Address of a worker of Kafka Connect." name:"connect-url" default:"http://127.0.0.1:8083" env:"ECUPCAKES_CONNECT_URL"`
}

// each calls f for the connectors one after the other, and goes on when one
// fails.
func (w worker) each(site connect.Site, f func(*connect.Client, connect.Connector) error) error {
	client, err := connect.New(w.ConnectURL)
	if err != nil {
		return err
	}
	connectors, err := connect.Connectors(site)
	if err != nil {
		return err
	}
	var errs []error
	for _, c := range connectors {
		errs = append(errs, f(client, c))
	}
	return errors.Join(errs...)
}

type connectTopics struct {
	Brokers []string `help:"Addresses of the Kafka cluster, host:port." required:"" env:"ECUPCAKES_BROKERS,ENV_KAFKA_CLUSTER" placeholder:"HOST:PORT"`
	login
}

func (c *connectTopics) Run(g *global) error {
	return cluster{Brokers: c.Brokers, login: c.login}.compared(g, connect.Topics, apply)
}

type connectACLs struct{ grants }

func (c *connectACLs) Run() error {
	connectors, err := connect.Connectors(connect.Site{})
	if err != nil {
		return err
	}
	return c.print(connect.ACLs(connectors))
}

type connectApply struct {
	worker
	MongoDBURI string        `help:"Address of MongoDB; give it in the environment. If absent, the workers' own ECUPCAKES_MONGODB_URI is used, and stays there." name:"mongodb-uri" env:"ECUPCAKES_MONGODB_URI" placeholder:"mongodb://…"`
	Database   string        `help:"Database for the orders." default:"ecupcakes" env:"ECUPCAKES_DATABASE"`
	Timeout    time.Duration `help:"How long to wait for Kafka Connect and MongoDB." default:"2m" env:"ECUPCAKES_TIMEOUT"`
}

func (c *connectApply) Run(g *global) error {
	ctx, cancel := context.WithTimeout(g.ctx, c.Timeout)
	defer cancel()
	return c.each(connect.Site{MongoDB: c.MongoDBURI, Database: c.Database}, func(client *connect.Client, want connect.Connector) error {
		did, err := client.Apply(ctx, want)
		if err == nil {
			fmt.Printf("%s: %s, runs\n", want.Name, did)
		}
		return err
	})
}

type connectStatus struct {
	worker
	JSON bool `help:"Print it as JSON." name:"json" env:"ECUPCAKES_JSON"`
}

func (c *connectStatus) Run(g *global) error {
	ctx, cancel := context.WithTimeout(g.ctx, timeout)
	defer cancel()
	var all []connect.Status
	err := c.each(connect.Site{}, func(client *connect.Client, want connect.Connector) error {
		s, err := client.Status(ctx, want.Name)
		if err != nil {
			return err
		}
		all = append(all, s)
		if !s.Running() {
			return fmt.Errorf("connector %s does not run: `connect apply` has it run, or says why not", want.Name)
		}
		return nil
	})
	if c.JSON {
		return errors.Join(json.NewEncoder(os.Stdout).Encode(all), err)
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	for _, s := range all {
		fmt.Fprintf(w, "%s\t%s\n", s.Name, s)
		for _, why := range s.Failures() {
			fmt.Fprintf(w, "\t%s\n", why)
		}
	}
	return errors.Join(w.Flush(), err)
}

type connectDelete struct{ worker }

func (c *connectDelete) Run(g *global) error {
	ctx, cancel := context.WithTimeout(g.ctx, timeout)
	defer cancel()
	return c.each(connect.Site{}, func(client *connect.Client, want connect.Connector) error {
		was, err := client.Delete(ctx, want.Name)
		switch {
		case err != nil:
			return fmt.Errorf("connector %s: %w", want.Name, err)
		case was:
			fmt.Printf("%s: deleted\n", want.Name)
		default:
			fmt.Printf("%s: was not there\n", want.Name)
		}
		return nil
	})
}

type connectWatch struct {
	worker
	Listen     string        `help:"Address of /metrics and /healthz; port 0 picks a free one." default:"127.0.0.1:9404" env:"ECUPCAKES_WATCH_LISTEN"`
	Every      time.Duration `help:"How often to look, and how long to wait before the first restart is followed by another; then twice as long each time." default:"5s" env:"ECUPCAKES_EVERY"`
	MaxBackoff time.Duration `help:"The longest wait between two restarts of a connector." default:"2m" env:"ECUPCAKES_MAX_BACKOFF"`
}

func (c *connectWatch) Run(g *global) error {
	client, err := connect.New(c.ConnectURL)
	if err != nil {
		return err
	}
	connectors, err := connect.Connectors(connect.Site{})
	if err != nil {
		return err
	}
	return app.SuperviseConnectors(g.ctx, app.ConnectorOptions{
		Connect: client, Connectors: connect.Names(connectors), Every: c.Every, MaxBackoff: c.MaxBackoff, Listen: c.Listen, Log: g.log,
		Started: func(url string) { fmt.Printf("the watch of the connectors is at %s/metrics\n", url) },
	})
}
