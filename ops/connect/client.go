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

// requestTimeout bounds one request. It is longer than Connect's own limit of 90 s, which a
// validation can use up while the database does not answer.
const requestTimeout = 100 * time.Second

// maxAnswer bounds the size of a response, in bytes.
const maxAnswer = 8 << 20

// Client calls the REST interface of a Kafka Connect worker; any worker of a cluster will do. No
// error or Status that it returns contains the password of a MongoDB URI.
type Client struct {
	url  string
	http *http.Client
}

// New returns a client for a worker's URL, such as http://127.0.0.1:8083. A user and password in the
// URL are sent as HTTP basic authentication.
func New(address string) (*Client, error) {
	u, err := url.Parse(address)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		if i := strings.LastIndex(address, "@"); i >= 0 { // There may be a password before it.
			address = "***" + address[i:]
		}
		return nil, fmt.Errorf("invalid Kafka Connect URL %q: use --connect-url http://host:8083", address)
	}
	return &Client{url: strings.TrimSuffix(address, "/"), http: &http.Client{Timeout: requestTimeout}}, nil
}

// Refusal is an error response of a worker.
type Refusal struct {
	Status  int    // HTTP status.
	Message string // The worker's message, without passwords.
}

func (r *Refusal) Error() string {
	return fmt.Sprintf("Kafka Connect answers %d %s: %.1000s", r.Status, http.StatusText(r.Status), r.Message)
}

// secrets matches the credentials in MongoDB URIs, which Connect repeats in some of its messages.
var secrets = regexp.MustCompile(`(mongodb(?:\+srv)?://)[^\s"',]*@`)

func redact(s string) string { return secrets.ReplaceAllString(s, "$1***@") }

// call sends a request and decodes the response into out, unless out is nil.
func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	_, err := c.exchange(ctx, method, path, in, out)
	return err
}

// exchange is call that also returns the headers of the response.
func (c *Client) exchange(ctx context.Context, method, path string, in, out any) (http.Header, error) {
	body := []byte(nil)
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return nil, err
		}
	}
	r, err := http.NewRequestWithContext(ctx, method, c.url+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := c.http.Do(r)
	if err != nil {
		return nil, fmt.Errorf("calling Kafka Connect: %w; check that a worker runs there, or give its address with --connect-url", err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("reading the response of Kafka Connect: %w", err)
	}
	if answer.StatusCode >= http.StatusMultipleChoices {
		var problem struct{ Message string }
		_ = json.Unmarshal(b, &problem) // A proxy's error response need not be JSON.
		return nil, &Refusal{Status: answer.StatusCode, Message: redact(cmp.Or(problem.Message, strings.TrimSpace(string(b))))}
	}
	if out == nil {
		return answer.Header, nil
	}
	if err := json.Unmarshal(b, out); err != nil {
		return nil, fmt.Errorf("reading the response of Kafka Connect: %w; check that --connect-url is the address of a worker", err)
	}
	return answer.Header, nil
}

func is(err error, status int) bool {
	r := (*Refusal)(nil)
	return errors.As(err, &r) && r.Status == status
}

// final marks an error that waiting cannot fix.
type final struct{ error }

// temporary reports whether an error may go away by itself, because no worker answers yet or the
// workers are rebalancing.
func temporary(err error) bool {
	if errors.As(err, &final{}) {
		return false
	}
	r := (*Refusal)(nil)
	return !errors.As(err, &r) || r.Status == http.StatusConflict || r.Status >= http.StatusInternalServerError
}

func at(name string) string { return "/connectors/" + url.PathEscape(name) }

// Status returns the state of a connector. One that does not exist has the state ABSENT.
func (c *Client) Status(ctx context.Context, name string) (Status, error) {
	s := Status{Name: name}
	err := c.call(ctx, http.MethodGet, at(name)+"/status", nil, &s)
	if is(err, http.StatusNotFound) {
		return Status{Name: name, Connector: Part{State: absent}}, nil
	}
	s.redact()
	return s, err
}

// Overview is the state of every connector of a Connect cluster.
type Overview struct {
	Connectors []Status      // Sorted by name; not nil.
	ClockAhead time.Duration // How far the worker's clock is ahead of this machine's; 0 if the response has no date.
}

// Overview returns the state of every connector in one request.
func (c *Client) Overview(ctx context.Context) (Overview, error) {
	var all map[string]struct{ Status Status }
	header, err := c.exchange(ctx, http.MethodGet, "/connectors?expand=status", nil, &all)
	if err != nil {
		return Overview{}, err
	}
	o := Overview{Connectors: []Status{}}
	for name, connector := range all {
		s := connector.Status
		s.Name = name
		s.redact()
		o.Connectors = append(o.Connectors, s)
	}
	slices.SortFunc(o.Connectors, func(a, b Status) int { return strings.Compare(a.Name, b.Name) })
	if date, err := http.ParseTime(header.Get("Date")); err == nil {
		o.ClockAhead = time.Until(date)
	}
	return o, nil
}

// Delete deletes a connector and reports whether it existed. Connect keeps the offsets under the
// connector's name, so a connector that is created again resumes where the old one stopped.
func (c *Client) Delete(ctx context.Context, name string) (was bool, err error) {
	err = c.call(ctx, http.MethodDelete, at(name), nil, nil)
	if is(err, http.StatusNotFound) {
		return false, nil
	}
	return err == nil, err
}

// Restart restarts the failed parts of a connector: the connector itself, its tasks, or both.
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
		return final{fmt.Errorf("the worker has no plugin with the class %s: "+
			"put its jars below the worker's plugin.path and restart the worker", class)}
	}
	return nil
}

// wrong is one validation error of a setting.
type wrong struct{ setting, what string }

// validate returns the errors that Connect and the connector's plugin find in a configuration.
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
			all = append(all, wrong{setting: s.Value.Name, what: redact(e)})
		}
	}
	return all, nil
}
