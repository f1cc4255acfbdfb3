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
	pollInterval = 300 * time.Millisecond // Time between two attempts of persist.
	// settleTime is how long all tasks must keep running after a change: a new configuration
	// restarts running tasks, which then show RUNNING for a moment before they fail.
	settleTime = 2 * time.Second
)

// Applied is what Apply did to a connector's configuration.
type Applied string

const (
	Created   Applied = "created"
	Changed   Applied = "changed"
	Unchanged Applied = "unchanged"
)

// Apply creates or reconfigures a connector and blocks until the connector and all its tasks run.
// It does not touch a connector that has the wanted configuration and runs. It resumes a paused or
// stopped connector and restarts failed parts once. Until ctx ends, Apply waits for a worker or a
// database that cannot be reached; errors that waiting cannot fix are returned at once.
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

// valid returns an error if Connect rejects a configuration. Connectors validate the database URI by
// connecting to it, so errors about that setting alone are not final: the database may be down.
func (c *Client) valid(ctx context.Context, want Connector) error {
	found, err := c.validate(ctx, want)
	if err != nil {
		return err
	}
	var errs []error
	databaseOnly := true
	for _, w := range found {
		errs = append(errs, fmt.Errorf("%s: %s", w.setting, w.what))
		address := want.Config[w.setting]
		databaseOnly = databaseOnly && (address == environment || strings.HasPrefix(address, "mongodb"))
	}
	err = errors.Join(errs...)
	switch {
	case err == nil:
		return nil
	case databaseOnly:
		return fmt.Errorf("the worker cannot use the database: %w; "+
			"check that the database runs and that --mongodb-uri, or the worker's ECUPCAKES_MONGODB_URI, is its address",
			err)
	default:
		return final{err}
	}
}

// run blocks until a connector and its tasks run; it restarts failed parts once and resumes a paused
// connector. If anything was changed, before the call or by it, everything must keep running for
// settleTime.
func (c *Client) run(ctx context.Context, name string, changed bool) error {
	var since time.Time // Start of the time in which everything has been running; zero if something does not run.
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
			if !changed || time.Since(since) >= settleTime {
				return nil
			}
			return errors.New("its tasks have just started")
		}
		since, changed = time.Time{}, true
		switch why := s.Failures(); {
		case len(why) > 0 && restarted:
			return final{fmt.Errorf("it fails: %s; fix that, then run `connect apply` again", strings.Join(why, "; "))}
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

// String returns the states of the connector and its tasks in one line.
func (s Status) String() string {
	states := []string{s.Connector.State}
	for _, t := range s.Tasks {
		states = append(states, fmt.Sprintf("task %d %s", t.ID, t.State))
	}
	return strings.Join(slices.Compact(states), ", ")
}

// persist calls f every pollInterval until it returns nil or a final error, or ctx ends.
func persist(ctx context.Context, f func() error) error {
	for {
		err := f()
		if err == nil || !temporary(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w (%w)", err, ctx.Err())
		case <-time.After(pollInterval):
		}
	}
}
