package load

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	attemptTimeout = 20 * time.Second // Longer than the 10 s that the server itself waits for Kafka.
	firstBackoff   = 50 * time.Millisecond
	maxBackoff     = 2 * time.Second
	maxAnswer      = 1 << 20 // Bytes.
)

// client calls the API and retries until giveUpAfter has passed.
type client struct {
	url         string
	giveUpAfter time.Duration
	tally       *tally
	http        *http.Client
}

func newClient(url string, giveUpAfter time.Duration, t *tally) *client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 2*workers + 8
	return &client{
		url: strings.TrimSuffix(url, "/"), giveUpAfter: giveUpAfter, tally: t,
		http: &http.Client{Transport: transport, Timeout: attemptTimeout},
	}
}

func (c *client) close() { c.http.CloseIdleConnections() }

type answer struct {
	status int
	body   []byte
}

// refusal is an error response that a retry would not change.
type refusal struct {
	status int
	detail string
}

func (r *refusal) Error() string {
	return fmt.Sprintf("the server answered %d: %.200s", r.status, r.detail)
}

func (a answer) refused() error {
	var problem struct{ Detail string }
	if json.Unmarshal(a.body, &problem) != nil || problem.Detail == "" {
		problem.Detail = string(a.body)
	}
	return &refusal{a.status, problem.Detail}
}

// get reads a resource into v.
func (c *client) get(ctx context.Context, path string, v any) error {
	a, err := c.insist(ctx, http.MethodGet, path, "", nil)
	if err != nil {
		return err
	}
	if a.status != http.StatusOK {
		return a.refused()
	}
	return json.Unmarshal(a.body, v)
}

// command sends a command and retries until the answer is final. The statuses in again are retried in
// addition to those that insist retries.
func (c *client) command(ctx context.Context, path, key string, body []byte, again ...int) (answer, error) {
	return c.insist(ctx, http.MethodPost, path, key, body, again...)
}

// insist sends a request and retries with exponential backoff on network errors, on 429, 502, 503 and
// 504, and on the statuses in again. It gives up after giveUpAfter or when ctx ends.
func (c *client) insist(ctx context.Context, method, path, key string, body []byte, again ...int) (answer, error) {
	again = append(again, http.StatusServiceUnavailable, http.StatusTooManyRequests, http.StatusBadGateway, http.StatusGatewayTimeout)
	end := time.Now().Add(c.giveUpAfter)
	for pause := firstBackoff; ; pause = min(2*pause, maxBackoff) {
		a, err := c.once(ctx, method, path, key, body)
		if err == nil && !slices.Contains(again, a.status) {
			return a, nil
		}
		if ctx.Err() != nil {
			return answer{}, context.Cause(ctx)
		}
		if err == nil {
			err = a.refused()
		}
		if time.Now().After(end) {
			return answer{}, fmt.Errorf("giving up after %s: %w", c.giveUpAfter, err)
		}
		c.tally.retry(kind(err))
		sleep(ctx, pause/2+rand.N(pause/2))
	}
}

func (c *client) once(ctx context.Context, method, path, key string, body []byte) (answer, error) {
	request, err := http.NewRequestWithContext(ctx, method, c.url+"/api/v1"+path, bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if key != "" {
		request.Header.Set("Idempotency-Key", key)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	b, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return answer{}, fmt.Errorf("reading the answer to %s %s: %w", method, path, err)
	}
	return answer{response.StatusCode, b}, nil
}

// kind returns the key under which the summary counts an error.
func kind(err error) string {
	var r *refusal
	var timeout interface{ Timeout() bool }
	switch {
	case errors.As(err, &r):
		return fmt.Sprint(r.status)
	case errors.Is(err, context.Canceled):
		return "cancelled"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	default:
		return "connection"
	}
}
