package dashboards

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/ecupcakes/ecupcakes/topology"
)

var update = flag.Bool("update", false, "write deploy/grafana")

const (
	folder = "../grafana"
	alerts = "../prometheus/alerts.yml"
)

// TestFilesAreCurrent compares the dashboards with the files in deploy/grafana.
func TestFilesAreCurrent(t *testing.T) {
	files, err := All(topology.Cupcakes)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		path := filepath.Join(folder, name)
		if *update {
			if err := os.WriteFile(path, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
			t.Errorf("deploy/grafana/%s is out of date (%v): run `go test ./deploy/dashboards -update`", name, err)
		}
	}
	there, err := filepath.Glob(folder + "/*.json")
	if err != nil || len(there) != len(files) {
		t.Errorf("deploy/grafana has %q (%v), want %d files", there, err, len(files))
	}
}

var (
	metric     = regexp.MustCompile(`ecupcakes_[a-z_]+`)
	documented = regexp.MustCompile("(?m)^\\| `(ecupcakes_[a-z_]+)` \\| (\\w+)")
)

// TestQueriesAndMetricsMatch checks that every queried metric is in docs/metrics.md, and that every
// metric there is used in a panel or an alert.
func TestQueriesAndMetricsMatch(t *testing.T) {
	page, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	for _, m := range documented.FindAllStringSubmatch(string(page), -1) {
		used[m[1]] = false
	}
	ask := func(where, text string) {
		for _, name := range metric.FindAllString(text, -1) {
			if _, known := used[name]; !known {
				for _, part := range []string{"_bucket", "_sum", "_count"} {
					name = strings.TrimSuffix(name, part)
				}
			}
			if _, known := used[name]; !known {
				t.Errorf("%s asks for %s, which docs/metrics.md does not know", where, name)
			}
			used[name] = true
		}
	}
	for _, d := range []dashboard{theLine(topology.Cupcakes), streaming(), screens(), resources()} {
		titles := map[string]bool{}
		for _, r := range d.rows {
			if columns%len(r.panels) != 0 && columns/len(r.panels) < 4 {
				t.Errorf("%s: the %d panels of %q are too narrow to be read", d.name, len(r.panels), r.title)
			}
			for _, p := range r.panels {
				if titles[p.title] || p.title == "" || p.about == "" || p.unit == "" || len(p.queries) == 0 || p.kind != r.panels[0].kind {
					t.Errorf("%s: the panel %q has a title that another one has, or lacks what it needs, or stands in a row of another kind", d.name, p.title)
				}
				titles[p.title] = true
				for _, q := range p.queries {
					ask(d.name+": "+p.title, q.expr)
				}
			}
		}
	}
	rules, err := os.ReadFile(alerts)
	if err != nil {
		t.Fatal(err)
	}
	ask("alerts.yml", string(rules))
	for name, is := range used {
		if !is {
			t.Errorf("no panel and no alert shows %s", name)
		}
	}
}
