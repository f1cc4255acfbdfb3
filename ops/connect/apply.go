package connect

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

const (
	every  = 300 * time.Millisecond // Between two questions to a worker.
	steady = 2 * time.Second        // For which tasks run before they are believed to: a new configuration restarts those that run.
)

// Applied says what Apply had to do.
type Applied string

// What Apply can have done.
const (
	Created   Applied = "created"
	Changed   Applied = "changed"
	Unchanged Applied = "unchanged"
)

// Apply sees to it that a connector is there as it should be and that all of its
// tasks run. What is as it should be stays untouched, what is paused or stopped
// goes on, and what has failed is started again, once. Apply waits for a worker or
// a database that is not there yet until ctx ends; what waiting cannot mend it
// returns at once.
func (c *Client) Apply(ctx context.Context, want Connector) (Applied, error) {
	var did Applied
	err := persist(ctx, func() error {
		if err := c.installed(ctx, want); err != nil {
			return err
		}
		have, err := c.config(ctx, want.Name)
		switch {
		case err != nil:
			return err
		case maps.Equal(have, want.Config):
			did = Unchanged
			return nil
		}
		if err := c.valid(ctx, want); err != nil {
			return err
		}
		if did = Changed; have == nil {
			did = Created
		}
		return c.configure(ctx, want)
	})
	if err == nil {
		err = c.run(ctx, want.Name, did != Unchanged)
	}
	if err != nil {
		return did, fmt.Errorf("connector %s: %w", want.Name, err)
	}
	return did, nil
}

// valid returns what is wrong with a configuration. Connectors check their
// database's address by connecting, so that one which is away passes.
func (c *Client) valid(ctx context.Context, want Connector) error {
	found, err := c.validate(ctx, want)
	if err != nil {
		return err
	}
	var errs []error
	away := true
	for _, w := range found {
		errs = append(errs, fmt.Errorf("%s: %s", w.setting, w.what))
		address := want.Config[w.setting]
		away = away && (address == environment || strings.HasPrefix(address, "mongodb"))
	}
	err = errors.Join(errs...)
	switch {
	case err == nil:
		return nil
	case away:
		return fmt.Errorf("the worker cannot use the database: %w; see that it runs, and that --mongodb-uri or the worker's ECUPCAKES_MONGODB_URI is its address", err)
	default:
		return final{err}
	}
}

// run waits until a connector and its tasks run, and helps them with it. What has
// been touched, before or here, has to run for a while.
func (c *Client) run(ctx context.Context, name string, touched bool) error {
	var since time.Time // From when on all has been running without a break.
	restarted := false
	return persist(ctx, func() error {
		s, err := c.Status(ctx, name)
		if err != nil {
			return err
		}
		if s.Running() {
			if since.IsZero() {
				since = time.Now()
			}
			if !touched || time.Since(since) >= steady {
				return nil
			}
			return errors.New("its tasks have only just started")
		}
		since, touched = time.Time{}, true
		switch why := s.Failures(); {
		case len(why) > 0 && restarted:
			return final{fmt.Errorf("it fails: %s; mend that, and apply again", strings.Join(why, "; "))}
		case len(why) > 0:
			if err := c.Restart(ctx, name); err != nil {
				return err
			}
			restarted = true
		case s.Connector.State == paused || s.Connector.State == stopped:
			if err := c.resume(ctx, name); err != nil {
				return err
			}
		}
		return fmt.Errorf("it does not run yet: %s", s)
	})
}

// String tells the states in one line.
func (s Status) String() string {
	states := []string{s.Connector.State}
	for _, t := range s.Tasks {
		states = append(states, fmt.Sprintf("task %d %s", t.ID, t.State))
	}
	return strings.Join(slices.Compact(states), ", ")
}

// persist calls f until it returns nil or an error that does not pass, or ctx ends.
func persist(ctx context.Context, f func() error) error {
	for {
		err := f()
		if err == nil || !passing(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w (%w)", err, ctx.Err())
		case <-time.After(every):
		}
	}
}
