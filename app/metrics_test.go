package app

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ecupcakes/ecupcakes/internal/testkit"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
)

var update = flag.Bool("update", false, "write docs/metrics.md")

const page = "../docs/metrics.md"

// TestMetrics runs the program and checks that its metrics follow Prometheus's
// naming rules, that each of them has a series before the first order, and that
// docs/metrics.md describes all of them.
func TestMetrics(t *testing.T) {
	testkit.NoLeaks(t)
	o := options(t.TempDir())
	o.Registry, o.Monitor = prometheus.NewRegistry(), "127.0.0.1:0"
	at, stop := start(t, o)
	get(t, at.URL+"/api/v1/menu") // The operations exist once they are called.
	if status, body := get(t, at.Monitor+"/metrics"); status != 200 || !strings.Contains(body, "ecupcakes_build_info{") {
		t.Errorf("the monitor's /metrics: %d %.300s", status, body)
	}
	if status, body := get(t, at.Monitor+"/healthz"); status != 200 {
		t.Errorf("the monitor's /healthz: %d %s", status, body)
	}
	ready(t, at.URL) // The partitions are assigned before that.
	families, err := o.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}

	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}

	ours := map[string]*dto.MetricFamily{}
	for _, f := range families {
		if strings.HasPrefix(f.GetName(), "ecupcakes_") {
			ours[f.GetName()] = f
		}
	}
	descs := make(chan *prometheus.Desc)
	go func() { o.Registry.Describe(descs); close(descs) }()
	for d := range descs {
		name := regexp.MustCompile(`fqName: "([^"]*)"`).FindStringSubmatch(d.String())[1]
		if strings.HasPrefix(name, "ecupcakes_") && ours[name] == nil {
			t.Errorf("%s has no series although the program runs: make those whose labels are known from the start", name)
		}
	}

	want := describe(ours)
	if *update {
		if err := os.WriteFile(page, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(page); err != nil || !bytes.Equal(got, want) {
		t.Errorf("docs/metrics.md is out of date (%v): run `go test ./app -run TestMetrics -update`", err)
	}
}

// describe writes docs/metrics.md.
func describe(families map[string]*dto.MetricFamily) []byte {
	var b bytes.Buffer
	b.WriteString("# Metrics\n\n" +
		"A process with the role `api` serves its metrics at `/metrics`. With `--monitor HOST:PORT`, any process serves them at that\n" +
		"address. A process has the metrics of the parts that it runs. Histograms are also native histograms for a scrape in the\n" +
		"protobuf format (Prometheus with `--enable-feature=native-histograms`). The metrics of the Go runtime (`go_…`) and of the\n" +
		"process (`process_…`) are included. Generated from the running program; a test keeps it current.\n\n" +
		"| name | type | labels | what it is |\n|---|---|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(families)) {
		f := families[name]
		var labels []string
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, "`"+l.GetName()+"`")
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", name, strings.ToLower(f.GetType().String()), strings.Join(labels, ", "), f.GetHelp())
	}
	return b.Bytes()
}
