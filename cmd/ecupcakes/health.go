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
	URL     string        `help:"Where it listens." name:"url" default:"http://127.0.0.1:8080" env:"ECUPCAKES_HEALTH_URL"`
	Live    bool          `help:"Ask only whether it lives."`
	Timeout time.Duration `help:"How long it may take to answer." default:"3s"`
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
		return fmt.Errorf("asking whether it is well: %w", err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 64<<10))
	if err != nil {
		return fmt.Errorf("reading whether it is well: %w", err)
	}
	if answer.StatusCode != http.StatusOK {
		var problem struct{ Detail string }
		_ = json.Unmarshal(body, &problem) // Whatever else it is, the status says that it is not well.
		return fmt.Errorf("%s answers %s %s", r.URL, answer.Status, problem.Detail)
	}
	fmt.Println(strings.TrimSpace(string(body)))
	return nil
}
