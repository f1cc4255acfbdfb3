package connect

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// requestTimeout bounds one request. Connect itself gives up after 90 s, of which
// a database that does not answer can take many.
const requestTimeout = 100 * time.Second

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 8 << 20

// Client speaks with the REST interface of a worker, whichever of a cluster.
type Client struct {
	url  string
	http *http.Client
}

// New returns a client for a worker's address, such as http://127.0.0.1:8083. A
// user and a password in it are for HTTP's basic authentication.
func New(address string) (*Client, error) {
	u, err := url.Parse(address)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, errors.New("the address of Kafka Connect is none: give it as in --connect-url http://127.0.0.1:8083")
	}
	return &Client{strings.TrimSuffix(address, "/"), &http.Client{Timeout: requestTimeout}}, nil
}

// Refusal is an answer that is not what was asked for.
type Refusal struct {
	Status  int
	Message string // Without what should not be read by anybody.
}

func (r *Refusal) Error() string {
	return fmt.Sprintf("Kafka Connect answers %d %s: %.1000s", r.Status, http.StatusText(r.Status), r.Message)
}

// secrets are the passwords of MongoDB's addresses, which Connect repeats in some
// of its messages.
var secrets = regexp.MustCompile(`(mongodb(?:\+srv)?://)[^\s"',]*@`)

func redact(s string) string { return secrets.ReplaceAllString(s, "$1***@") }

// call sends a request, and reads the answer into out unless that is nil.
func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	body := []byte(nil)
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return err
		}
	}
	r, err := http.NewRequestWithContext(ctx, method, c.url+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := c.http.Do(r)
	if err != nil {
		return fmt.Errorf("asking Kafka Connect: %w; see that a worker runs there, or give its address with --connect-url", err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("reading the answer of Kafka Connect: %w", err)
	}
	if answer.StatusCode >= http.StatusMultipleChoices {
		var said struct{ Message string }
		_ = json.Unmarshal(b, &said) // A proxy may say what it likes.
		return &Refusal{answer.StatusCode, redact(cmp.Or(said.Message, strings.TrimSpace(string(b))))}
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(b, out); err != nil {
		return fmt.Errorf("reading the answer of Kafka Connect: %w; is there something else at this address?", err)
	}
	return nil
}

func is(err error, status int) bool {
	r := (*Refusal)(nil)
	return errors.As(err, &r) && r.Status == status
}

// final is an error that waiting does not mend.
type final struct{ error }

// passing says whether an error may go away by itself: nobody is there yet, or
// the workers are sharing their work out anew.
func passing(err error) bool {
	if errors.As(err, &final{}) {
		return false
	}
	r := (*Refusal)(nil)
	return !errors.As(err, &r) || r.Status == http.StatusConflict || r.Status >= http.StatusInternalServerError
}

func at(name string) string { return "/connectors/" + url.PathEscape(name) }

// Status tells how a connector stands; one that is not there is ABSENT.
func (c *Client) Status(ctx context.Context, name string) (Status, error) {
	s := Status{Name: name}
	err := c.call(ctx, http.MethodGet, at(name)+"/status", nil, &s)
	if is(err, http.StatusNotFound) {
		return Status{Name: name, Connector: Part{State: absent}}, nil
	}
	return s, err
}

// Delete deletes a connector, and says whether there was one. What it has read so
// far is remembered under its name: when it is there again, it goes on.
func (c *Client) Delete(ctx context.Context, name string) (was bool, err error) {
	err = c.call(ctx, http.MethodDelete, at(name), nil, nil)
	if is(err, http.StatusNotFound) {
		return false, nil
	}
	return err == nil, err
}

// Restart starts again what has failed of a connector, and leaves alone what runs.
func (c *Client) Restart(ctx context.Context, name string) error {
	return c.call(ctx, http.MethodPost, at(name)+"/restart?includeTasks=true&onlyFailed=true", nil, nil)
}

func (c *Client) resume(ctx context.Context, name string) error {
	return c.call(ctx, http.MethodPut, at(name)+"/resume", nil, nil)
}

func (c *Client) config(ctx context.Context, name string) (map[string]string, error) {
	var config map[string]string
	err := c.call(ctx, http.MethodGet, at(name)+"/config", nil, &config)
	if is(err, http.StatusNotFound) {
		return nil, nil
	}
	delete(config, "name")
	return config, err
}

func (c *Client) configure(ctx context.Context, want Connector) error {
	return c.call(ctx, http.MethodPut, at(want.Name)+"/config", want.Config, nil)
}

// installed returns an error if the worker does not have the connector's class.
func (c *Client) installed(ctx context.Context, want Connector) error {
	var plugins []struct{ Class string }
	if err := c.call(ctx, http.MethodGet, "/connector-plugins", nil, &plugins); err != nil {
		return err
	}
	class := want.Config["connector.class"]
	if !slices.ContainsFunc(plugins, func(p struct{ Class string }) bool { return p.Class == class }) {
		return final{fmt.Errorf("the worker has no plugin with the class %s: put its jars below the worker's plugin.path and start it again", class)}
	}
	return nil
}

// wrong is what Connect finds wrong with a setting.
type wrong struct{ setting, what string }

// validate asks Connect, and through it the connector, what is wrong with a
// configuration.
func (c *Client) validate(ctx context.Context, want Connector) (all []wrong, err error) {
	var answer struct {
		Configs []struct {
			Value struct {
				Name   string
				Errors []string
			}
		}
	}
	config := map[string]string{"name": want.Name}
	for k, v := range want.Config {
		config[k] = v
	}
	path := "/connector-plugins/" + url.PathEscape(want.Config["connector.class"]) + "/config/validate"
	if err := c.call(ctx, http.MethodPut, path, config, &answer); err != nil {
		return nil, err
	}
	for _, s := range answer.Configs {
		for _, e := range s.Value.Errors {
			all = append(all, wrong{s.Value.Name, redact(e)})
		}
	}
	return all, nil
}
