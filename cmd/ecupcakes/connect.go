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
	Topics connectTopics `cmd:"" help:"Create the topics that Kafka Connect needs. Run it before the first start of a worker."`
	Apply  connectApply  `cmd:"" help:"Create or update the connectors, and wait until they run."`
	Status connectStatus `cmd:"" help:"Print the states of the connectors; exit status 1 if one does not run."`
	Delete connectDelete `cmd:"" help:"Delete the connectors. Kafka Connect keeps their offsets."`
	ACLs   connectACLs   `cmd:"" name:"acls" help:"Print the ACLs that the workers' user needs."`
	Watch  connectWatch  `cmd:"" help:"Run until stopped: restart failed connectors and tasks, and export their states on /metrics."`
}

// worker has the flag for the URL of Kafka Connect.
type worker struct {
	ConnectURL string `help:"URL of a Kafka Connect worker." name:"connect-url" default:"http://127.0.0.1:8083" env:"ECUPCAKES_CONNECT_URL"`
}

// each calls f for every connector, even after an error, and returns all errors.
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
	MongoDBURI string        `help:"URI of MongoDB; pass it in the environment, since it contains a password. If absent, the workers read ECUPCAKES_MONGODB_URI from their own environment." name:"mongodb-uri" env:"ECUPCAKES_MONGODB_URI" placeholder:"mongodb://…"`
	Database   string        `help:"Database for the orders." default:"ecupcakes" env:"ECUPCAKES_DATABASE"`
	Timeout    time.Duration `help:"How long to wait for Kafka Connect and MongoDB." default:"2m" env:"ECUPCAKES_TIMEOUT"`
}

func (c *connectApply) Run(g *global) error {
	ctx, cancel := context.WithTimeout(g.ctx, c.Timeout)
	defer cancel()
	return c.each(connect.Site{MongoDB: c.MongoDBURI, Database: c.Database}, func(client *connect.Client, want connect.Connector) error {
		did, err := client.Apply(ctx, want)
		if err == nil {
			fmt.Printf("%s: %s, running\n", want.Name, did)
		}
		return err
	})
}

type connectStatus struct {
	worker
	JSON bool `help:"Print the states as JSON." name:"json" env:"ECUPCAKES_JSON"`
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
			return fmt.Errorf("connector %s does not run: start it with `connect apply`, which also reports why it fails", want.Name)
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
			fmt.Printf("%s: did not exist\n", want.Name)
		}
		return nil
	})
}

type connectWatch struct {
	worker
	Listen     string        `help:"Address of /metrics and /healthz; port 0 picks a free one." default:"127.0.0.1:9404" env:"ECUPCAKES_WATCH_LISTEN"`
	Every      time.Duration `help:"Interval between two checks, and wait between the first and second restart of a connector; the wait doubles each time." default:"5s" env:"ECUPCAKES_EVERY"`
	MaxBackoff time.Duration `help:"Longest wait between two restarts of a connector." default:"2m" env:"ECUPCAKES_MAX_BACKOFF"`
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
		Started: func(url string) { fmt.Printf("watching the connectors, metrics at %s/metrics\n", url) },
	})
}
