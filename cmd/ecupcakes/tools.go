package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/ecupcakes/ecupcakes/api"
	"github.com/ecupcakes/ecupcakes/kafka"
	"github.com/ecupcakes/ecupcakes/load"
	"github.com/ecupcakes/ecupcakes/topology"
)

type topicsCmd struct {
	Plan  topicsPlan  `cmd:"" help:"Print the topics that the line needs."`
	Apply topicsApply `cmd:"" help:"Create the missing topics."`
	Check topicsCheck `cmd:"" help:"Compare the required topics with the cluster's; exit status 1 if they differ."`
	ACLs  topicsACLs  `cmd:"" name:"acls" help:"Print the ACLs that a user needs."`
}

// timeout bounds commands that only make a few requests.
const timeout = 30 * time.Second

// lineTopics returns the required topics for a cluster with the given number of brokers.
func (k cluster) lineTopics(brokers int) []kafka.Topic {
	return kafka.RequiredTopics(topology.Cupcakes, k.Partitions, brokers)
}

// compared compares the required topics with those of the cluster and calls f with the result.
func (k cluster) compared(
	g *global,
	need func(brokers int) []kafka.Topic,
	f func(ctx context.Context, a *kafka.Admin, needed []kafka.Topic, findings []kafka.TopicProblem) error,
) error {
	c := k.config()
	if err := c.Validate(); err != nil {
		return err
	}
	admin, err := kafka.NewAdmin(c)
	if err != nil {
		return err
	}
	defer admin.Close()
	ctx, cancel := context.WithTimeout(g.ctx, timeout)
	defer cancel()
	brokers, err := admin.WaitForBrokers(ctx)
	if err != nil {
		return err
	}
	needed := need(brokers)
	findings, err := admin.Check(ctx, needed)
	if err != nil {
		return err
	}
	return f(ctx, admin, needed, findings)
}

type topicsPlan struct{ cluster }

func (c *topicsPlan) Run(g *global) error {
	return c.compared(g, c.lineTopics, func(_ context.Context, _ *kafka.Admin, needed []kafka.Topic, _ []kafka.TopicProblem) error {
		for _, t := range needed {
			fmt.Printf("%-20s partitions=%d replication=%d cleanup.policy=%s min.insync.replicas=%s\n",
				t.Name, t.Partitions, t.Replication, t.Configs["cleanup.policy"], t.Configs["min.insync.replicas"])
		}
		return nil
	})
}

type topicsApply struct{ cluster }

func (c *topicsApply) Run(g *global) error {
	return c.compared(g, c.lineTopics, apply)
}

// apply creates the topics that are missing.
func apply(ctx context.Context, a *kafka.Admin, needed []kafka.Topic, findings []kafka.TopicProblem) error {
	if err := a.Apply(ctx, needed); err != nil {
		return err
	}
	created, wrong := 0, []kafka.TopicProblem{}
	for _, f := range findings {
		if f.Missing {
			created++
		} else {
			wrong = append(wrong, f)
		}
	}
	fmt.Printf("%d of %d topics created\n", created, len(needed))
	return differences(wrong)
}

type topicsCheck struct{ cluster }

func (c *topicsCheck) Run(g *global) error {
	return c.compared(g, c.lineTopics, func(_ context.Context, _ *kafka.Admin, needed []kafka.Topic, findings []kafka.TopicProblem) error {
		if err := differences(findings); err != nil {
			return err
		}
		fmt.Printf("all %d topics have the required settings\n", len(needed))
		return nil
	})
}

// roles has the flag for the roles of a Kafka user.
type roles struct {
	Roles []kafka.Role `help:"Roles of the user: processors, api, setup (topics apply), auditor (verify)." enum:"processors,api,setup,auditor" default:"processors,api" env:"ECUPCAKES_ROLES"`
}

type topicsACLs struct {
	roles
	grants
}

func (c *topicsACLs) Run() error { return c.print(kafka.ACLs(topology.Cupcakes, c.Roles...)) }

// grants has the flags for printing ACLs.
type grants struct {
	User    string `help:"Principal of the user, as Kafka names it." default:"User:ecupcakes" env:"ECUPCAKES_ACL_USER"`
	Brokers string `help:"Bootstrap servers in the printed commands." default:"127.0.0.1:9092" env:"ECUPCAKES_BROKERS,ENV_KAFKA_CLUSTER"`
	Table   bool   `help:"Print a table instead of the commands."`
}

func (f grants) print(acls []kafka.ACL) error {
	grants := kafka.Grants(acls)
	if !f.Table {
		for _, g := range grants {
			fmt.Println(g.Command(f.Brokers, f.User))
		}
		return nil
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	for _, g := range grants {
		for _, name := range g.Names {
			if g.Prefix {
				name += "*"
			}
			fmt.Fprintf(w, "%s\t%s\t%s\n", g.Resource, name, strings.Join(g.Operations, ", "))
		}
	}
	return w.Flush()
}

func differences(findings []kafka.TopicProblem) error {
	var errs []error
	for _, f := range findings {
		errs = append(errs, fmt.Errorf("topic %s %s", f.Topic, f.What))
	}
	return errors.Join(errs...)
}

type loadCmd struct {
	URL    string  `help:"URL of the API." default:"http://127.0.0.1:8080" env:"ECUPCAKES_URL"`
	Rate   float64 `help:"Orders to place per second; 0 for as many as possible." default:"50" env:"ECUPCAKES_RATE"`
	Orders int     `help:"Number of orders." default:"1000" env:"ECUPCAKES_ORDERS"`
	Watch  bool    `help:"Also measure the time until an order arrives on the first station's screen." env:"ECUPCAKES_WATCH"`
	Walk   bool    `help:"Also finish each order at every stage." env:"ECUPCAKES_WALK"`
	JSON   bool    `help:"Print the result as JSON." name:"json" env:"ECUPCAKES_JSON"`
}

func (c *loadCmd) Run(g *global) error {
	_, err := load.Run(g.ctx, load.Options{
		URL: c.URL, Rate: c.Rate, Orders: c.Orders, Watch: c.Watch, Walk: c.Walk, JSON: c.JSON, Out: os.Stdout, Terminal: isTerminal(os.Stdout),
	})
	return err
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

type openapiCmd struct{}

func (openapiCmd) Run() error {
	doc, err := api.Document(topology.Cupcakes)
	if err != nil {
		return err
	}
	_, err = fmt.Printf("%s\n", doc)
	return err
}
