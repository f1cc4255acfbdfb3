package test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ecupcakes/ecupcakes/internal/testkit"
)

const (
	prometheusFiles = "../deploy/prometheus"
	alertRules      = prometheusFiles + "/alerts.yml"
)

// TestAlerts has promtool run the tests of the alert rules. Each alert has one
// case in which it fires and one in which it does not, and a page of the
// runbook that its annotation names.
func TestAlerts(t *testing.T) {
	t.Parallel()
	promtool(t, "check", "config", prometheusFiles+"/prometheus.yml")
	promtool(t, "test", "rules", prometheusFiles+"/alerts_test.yml")

	rules, tests := read(t, alertRules), read(t, prometheusFiles+"/alerts_test.yml")
	fires, quiet := map[string]bool{}, map[string]bool{}
	for _, m := range regexp.MustCompile(`alertname: (\w+)\s+eval_time: \w+\s+exp_alerts:( \[\])?`).FindAllStringSubmatch(tests, -1) {
		if m[2] == "" {
			fires[m[1]] = true
		} else {
			quiet[m[1]] = true
		}
	}
	pages := map[string]bool{}
	for rule := range strings.SplitSeq(rules, "- alert: ") {
		name, body, _ := strings.Cut(rule, "\n")
		if !strings.Contains(body, "expr:") {
			continue // What stands before the first one.
		}
		if !fires[name] || !quiet[name] {
			t.Errorf("alerts_test.yml has a case in which %s fires: %t; in which it does not: %t", name, fires[name], quiet[name])
		}
		page := regexp.MustCompile(`runbook_url: (docs/runbook/[a-z-]+\.md)`).FindStringSubmatch(body)
		if page == nil {
			t.Errorf("%s names no page of the runbook", name)
			continue
		}
		pages[page[1]] = true
		if !strings.Contains(read(t, filepath.Join("..", page[1])), "`"+name+"`") {
			t.Errorf("%s does not tell of %s", page[1], name)
		}
	}
	if len(pages) < 8 {
		t.Errorf("only %d pages of the runbook are named", len(pages))
	}
	all, err := filepath.Glob("../docs/runbook/*.md")
	all = slices.DeleteFunc(all, func(page string) bool { return filepath.Base(page) == "README.md" })
	if err != nil || len(all) != len(pages) {
		t.Errorf("the runbook has %d pages (%v), and the alerts name %d", len(all), err, len(pages))
	}
	// Panels that a page names exist, or nobody finds them in trouble.
	var titles []string
	for _, d := range dashboards(t) {
		for _, p := range d.Panels {
			titles = append(titles, p.Title)
		}
	}
	known := strings.Join(append(titles, "the line", "streaming", "API and screens", "resources"), "\n")
	for _, page := range all {
		for _, m := range regexp.MustCompile(`\*([A-Z][^*]+)\*`).FindAllStringSubmatch(read(t, page), -1) {
			if name := strings.Join(strings.Fields(m[1]), " "); !strings.Contains(known, name) {
				t.Errorf("%s names the panel %q, which no dashboard has", page, name)
			}
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func promtool(t *testing.T, args ...string) {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil {
		testkit.Missing(t, fmt.Errorf("%w: run `make setup`, which installs Debian's prometheus", err))
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if out, err := exec.CommandContext(ctx, path, args...).CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}
