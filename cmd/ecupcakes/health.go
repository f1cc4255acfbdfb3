package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

type healthCmd struct {
	URL     string        `help:"URL of the process." name:"url" default:"http://127.0.0.1:8080" env:"ECUPCAKES_HEALTH_URL"`
	Live    bool          `help:"Check only liveness (/healthz), not readiness (/readyz)."`
	Timeout time.Duration `help:"How long to wait for the answer." default:"3s"`
}

func (c *healthCmd) Run(g *global) error {
	ctx, cancel := context.WithTimeout(g.ctx, c.Timeout)
	defer cancel()
	path := "/readyz"
	if c.Live {
		path = "/healthz"
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(c.URL, "/")+path, nil)
	if err != nil {
		return fmt.Errorf("--url: %w", err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return fmt.Errorf("checking the health of %s: %w; check that the process runs and --url is its address", r.URL.Redacted(), err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 64<<10))
	if err != nil {
		return fmt.Errorf("reading the answer of %s: %w", r.URL.Redacted(), err)
	}
	if answer.StatusCode != http.StatusOK {
		var problem struct{ Detail string }
		_ = json.Unmarshal(body, &problem) // The status is enough if the body is not a problem document.
		return fmt.Errorf("%s answers %s %s", r.URL, answer.Status, problem.Detail)
	}
	fmt.Println(strings.TrimSpace(string(body)))
	return nil
}
