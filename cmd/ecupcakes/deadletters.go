package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/user"
	"text/tabwriter"
	"time"

	"github.com/ecupcakes/ecupcakes/ops/deadletters"
	"github.com/ecupcakes/ecupcakes/topology"
)

type deadlettersCmd struct {
	List    letterList    `cmd:"" help:"List the unresolved dead letters, oldest first."`
	Show    letterShow    `cmd:"" help:"Print a dead letter with its whole message, as JSON."`
	Requeue letterRequeue `cmd:"" help:"Send messages again to the topics they came from."`
	Drop    letterDrop    `cmd:"" help:"Mark dead letters as needing no action, so that they are no longer listed."`
}

// open calls f with the dead letters of the cluster that the flags name.
func (k cluster) open(g *global, f func(ctx context.Context, l *deadletters.Letters) error) error {
	config, _, err := k.reach(g, "")
	if err != nil {
		return err
	}
	letters, err := deadletters.Open(config, topology.Cupcakes)
	if err != nil {
		return err
	}
	defer letters.Close()
	ctx, cancel := context.WithTimeout(g.ctx, time.Minute)
	defer cancel()
	return f(ctx, letters)
}

type letterList struct {
	cluster
	Stage string `help:"List only the dead letters of this stage." env:"ECUPCAKES_STAGE"`
	All   bool   `help:"List resolved dead letters, too." env:"ECUPCAKES_ALL"`
	Limit int    `help:"How many to list, the newest ones." default:"50" env:"ECUPCAKES_LIMIT"`
	JSON  bool   `help:"Print the list as JSON." name:"json" env:"ECUPCAKES_JSON"`
}

func (c *letterList) Run(g *global) error {
	if c.Limit < 1 {
		return fmt.Errorf("invalid --limit %d: use 1 or more", c.Limit)
	}
	return c.open(g, func(ctx context.Context, l *deadletters.Letters) error {
		list, err := l.List(ctx, deadletters.Filter{Stage: c.Stage, All: c.All, Limit: c.Limit})
		switch {
		case err != nil:
			return err
		case c.JSON:
			return json.NewEncoder(os.Stdout).Encode(map[string]any{"count": list.Count, "leftOut": list.LeftOut, "letters": list.Letters})
		case list.Count == 0:
			fmt.Println("no dead letters")
			return nil
		}
		w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "id\ttime\tstage\tfrom\tkey\treason\tdone")
		for _, d := range list.Letters {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s %d-%d\t%.40q\t%.80s\t%s\n",
				d.ID, d.Time.Local().Format(time.DateTime), d.Stage,
				d.Topic, d.Partition, d.Offset, d.Key, d.Reason, d.Resolved)
		}
		if err := w.Flush(); err != nil {
			return err
		}
		fmt.Printf("%d of %d\n", len(list.Letters), list.Count)
		if list.LeftOut {
			fmt.Println("there are older ones; they are listed once these are requeued or dropped")
		}
		return nil
	})
}

type letterShow struct {
	cluster
	ID string `arg:"" help:"ID of the dead letter, from the list."`
}

func (c *letterShow) Run(g *global) error {
	return c.open(g, func(ctx context.Context, l *deadletters.Letters) error {
		letter, err := l.Find(ctx, c.ID)
		if err != nil {
			return err
		}
		out := json.NewEncoder(os.Stdout)
		out.SetIndent("", "  ")
		return out.Encode(struct {
			deadletters.Letter
			Text string `json:"text"` // The value, with invalid UTF-8 replaced.
		}{letter, string(letter.Value)})
	})
}

// chosen has the flags that select the dead letters to resolve.
type chosen struct {
	cluster
	IDs      []string `arg:"" optional:"" name:"id" help:"IDs of dead letters, from the list."`
	AllStage string   `help:"Resolve all dead letters of this stage, up to 10,000 at a time, instead of those with the IDs." name:"all-of-stage" env:"ECUPCAKES_ALL_OF_STAGE"`
	By       string   `help:"Name of the person who resolves them; default is the operating system's user." env:"ECUPCAKES_BY"`
}

// resolve is the type of Letters.Requeue and Letters.Drop.
type resolve = func(ctx context.Context, id, by string) (now deadletters.Letter, before bool, err error)

// each resolves the chosen letters and prints each one that is resolved, even if others fail.
func (c *chosen) each(g *global, done string, do func(l *deadletters.Letters) resolve) error {
	if (len(c.IDs) > 0) == (c.AllStage != "") {
		return errors.New("give either the IDs of dead letters, or a stage with --all-of-stage")
	}
	if c.By == "" {
		if u, err := user.Current(); err == nil {
			c.By = u.Username
		}
	}
	return c.open(g, func(ctx context.Context, l *deadletters.Letters) error {
		if c.AllStage != "" {
			list, err := l.List(ctx, deadletters.Filter{Stage: c.AllStage, Limit: 10_000})
			if err != nil {
				return err
			}
			for _, letter := range list.Letters {
				c.IDs = append(c.IDs, letter.ID)
			}
		}
		var errs []error
		for _, id := range c.IDs {
			switch letter, before, err := do(l)(ctx, id, c.By); {
			case err != nil:
				errs = append(errs, err)
			case before:
				fmt.Printf("%s was already %s\n", id, letter.Resolved)
			default:
				fmt.Printf("%s is %s\n", id, done)
			}
		}
		return errors.Join(errs...)
	})
}

type letterRequeue struct{ chosen }

func (c *letterRequeue) Run(g *global) error {
	return c.each(g, deadletters.Requeued, func(l *deadletters.Letters) resolve { return l.Requeue })
}

type letterDrop struct{ chosen }

func (c *letterDrop) Run(g *global) error {
	return c.each(g, deadletters.Dropped, func(l *deadletters.Letters) resolve { return l.Drop })
}
