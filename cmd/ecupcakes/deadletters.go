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
	List    letterList    `cmd:"" help:"List those that nothing has been done about, oldest first."`
	Show    letterShow    `cmd:"" help:"Show one with its whole message, as JSON."`
	Requeue letterRequeue `cmd:"" help:"Send the messages once more to where they came from."`
	Drop    letterDrop    `cmd:"" help:"Put them aside."`
}

// open gives the dead letters of the cluster that the flags name.
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
	Stage string `help:"Those of one stage only." env:"ECUPCAKES_STAGE"`
	All   bool   `help:"Those that something has been done about, too." env:"ECUPCAKES_ALL"`
	Limit int    `help:"The newest so many." default:"50" env:"ECUPCAKES_LIMIT"`
	JSON  bool   `help:"Print them as JSON." name:"json" env:"ECUPCAKES_JSON"`
}

func (c *letterList) Run(g *global) error {
	if c.Limit < 1 {
		return fmt.Errorf("--limit %d is not a number of letters: give 1 or more", c.Limit)
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
			fmt.Fprintf(w, "%s\t%s\t%s\t%s %d-%d\t%.40q\t%.80s\t%s\n", d.ID, d.Time.Local().Format(time.DateTime), d.Stage, d.Topic, d.Partition, d.Offset, d.Key, d.Reason, d.Resolved)
		}
		if err := w.Flush(); err != nil {
			return err
		}
		fmt.Printf("%d of %d\n", len(list.Letters), list.Count)
		if list.LeftOut {
			fmt.Println("there are older ones, which come up when something was done about these")
		}
		return nil
	})
}

type letterShow struct {
	cluster
	ID string `arg:"" help:"Its id, from the list."`
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
			Text string `json:"text"` // The value, as far as it is text.
		}{letter, string(letter.Value)})
	})
}

// chosen are the flags of what is done about letters.
type chosen struct {
	cluster
	IDs      []string `arg:"" optional:"" help:"Their ids, from the list."`
	AllStage string   `help:"All of a stage, in place of ids; 10,000 at a time." name:"all-of-stage" env:"ECUPCAKES_ALL_OF_STAGE"`
	By       string   `help:"Who does it; the name of the user if absent." env:"ECUPCAKES_BY"`
}

// act is what is done about a letter: Requeue or Drop.
type act = func(ctx context.Context, id, by string) (now deadletters.Letter, before bool, err error)

// each does something about each chosen letter. What has been done is told,
// however it ends.
func (c *chosen) each(g *global, done string, do func(l *deadletters.Letters) act) error {
	if (len(c.IDs) > 0) == (c.AllStage != "") {
		return errors.New("name dead letters by their ids, or a stage with --all-of-stage")
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
				fmt.Printf("%s was %s before\n", id, letter.Resolved)
			default:
				fmt.Printf("%s is %s\n", id, done)
			}
		}
		return errors.Join(errs...)
	})
}

type letterRequeue struct{ chosen }

func (c *letterRequeue) Run(g *global) error {
	return c.each(g, deadletters.Requeued, func(l *deadletters.Letters) act { return l.Requeue })
}

type letterDrop struct{ chosen }

func (c *letterDrop) Run(g *global) error {
	return c.each(g, deadletters.Dropped, func(l *deadletters.Letters) act { return l.Drop })
}
