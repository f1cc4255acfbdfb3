package test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ecupcakes/ecupcakes/internal/testkit"
	"github.com/ecupcakes/ecupcakes/load"

	"github.com/twmb/franz-go/pkg/kgo"
)

// dashboard is what Grafana is given.
type dashboard struct {
	UID    string
	Panels []struct {
		Title   string
		Type    string
		Targets []struct {
			Expr    string
			Instant bool
		}
	}
}

func dashboards(t *testing.T) (all map[string]dashboard) {
	t.Helper()
	files, err := filepath.Glob("../deploy/grafana/*.json")
	if err != nil || len(files) < 4 {
		t.Fatalf("the dashboards are %q (%v), want at least four", files, err)
	}
	all = map[string]dashboard{}
	for _, path := range files {
		var d dashboard
		if err := json.Unmarshal([]byte(read(t, path)), &d); err != nil {
			t.Fatalf("reading %s: %v", path, err)
		}
		all[strings.TrimSuffix(filepath.Base(path), ".json")] = d
	}
	return all
}

// TestDashboards runs two instances under load and with faults, has a real
// Prometheus scrape them, and asks it every query of every panel: none is empty,
// and where what happened is known they say it.
func TestDashboards(t *testing.T) {
	t.Parallel()
	f := open(t)
	g := opened(t, &factory{t: t, kafka: f.kafka, serve: []string{"--roles", "processors,api", "--instance", "second", "--session-timeout", "6s"}})
	began := time.Now()
	p := startPrometheus(t, f.url, g.url)
	p.eventually("both instances are scraped", `count(up == 1)`, func(v float64) bool { return v == 2 })

	// People at their screens, and a load in which estimates are possible after
	// the first orders.
	f.screen("", "Ana")
	f.screen("mixers", "Ben")
	g.screen("mixers", "Cem")
	const walked = 90
	for _, n := range []int{40, 50} {
		if _, err := load.Run(t.Context(), load.Options{URL: f.url, Orders: n, Rate: 20, Walk: true, Out: io.Discard}); err != nil {
			t.Fatal(err)
		}
	}
	const rejected = 3
	for range rejected {
		f.must(http.StatusOK, "POST", "/api/v1/order/reporterror", fmt.Sprintf(`{"Order":{"Id":%q},"Reason":"burnt"}`, f.place()))
	}
	const letters = 5
	var rubbish []*kgo.Record
	for i := range letters {
		key := []byte(fmt.Sprint("rubbish", i))
		rubbish = append(rubbish, &kgo.Record{Topic: "baking-reports", Partition: partitionOf(key), Key: key, Value: []byte("{")})
	}
	produce(t, f.kafka, rubbish)

	// A process hangs: what is on its partitions waits, and then others take
	// them over.
	lag := `sum(max by (stage, input) (ecupcakes_stage_lag_events{stage="mixing",input="arrivals"}))`
	p.eventually("nothing waits", lag, func(v float64) bool { return v == 0 })
	signal := func(f *factory, s syscall.Signal) {
		t.Helper()
		if err := f.cmd.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
	}
	signal(g, syscall.SIGSTOP)
	const waiting = 40
	for range waiting {
		f.send()
	}
	p.eventually("orders wait for the process that hangs", lag, func(v float64) bool { return v > 0 && v < waiting })
	p.eventually("others have taken them over", lag, func(v float64) bool { return v == 0 })
	signal(g, syscall.SIGCONT)
	p.eventually("it is back", `count(up == 1)`, func(v float64) bool { return v == 2 })

	// Kafka hangs, seen from the other process.
	signal(f, syscall.SIGSTOP)
	p.eventually("the broker is away", `min(ecupcakes_broker_up)`, func(v float64) bool { return v == 0 })
	p.eventually("an alert begins", `count(ALERTS{alertname="BrokerAway"})`, func(v float64) bool { return v > 0 })
	signal(f, syscall.SIGCONT)
	p.eventually("the broker is back", `min(ecupcakes_broker_up) + count(up == 1)`, func(v float64) bool { return v == 3 })
	p.eventually("every order is known", `min(sum by (instance) (ecupcakes_view_orders))`, func(v float64) bool { return v == walked+rejected+waiting })

	found := map[string][]series{}
	for name, d := range dashboards(t) {
		for _, panel := range d.Panels {
			for i, target := range panel.Targets {
				all := p.ask(target.Expr, began, target.Instant)
				found[name+": "+panel.Title] = append(found[name+": "+panel.Title], all...)
				if !someValue(all) {
					t.Errorf("%s: %q, query %d, shows nothing: %s", name, panel.Title, i+1, target.Expr)
				}
			}
			if panel.Type != "row" && len(panel.Targets) == 0 {
				t.Errorf("%s: %q asks for nothing", name, panel.Title)
			}
		}
	}
	stages := []string{"mixing", "baking", "decorating", "packaging", "shipping"}
	for _, check := range []struct {
		panel, label, value string
		measure             func(series) float64
		low, high           float64
	}{
		{"line: Waiting", "", "", series.last, waiting, waiting},
		{"line: Waiting at each stage", "stage", "mixing", series.last, waiting, waiting},
		{"line: Waiting at each stage", "stage", "shipping", series.last, 0, 0},
		{"line: Rejected in the last hour", "", "", series.last, rejected * .8, rejected * 2},
		{"line: Late stages", "", "", series.last, 0, 0},
		{"line: Oldest order waiting", "", "", series.last, 1, 300},
		{"line: Rejected per minute", "stage", "mixing", series.perMinute, rejected * .7, rejected * 1.3},
		{"line: Time in a stage, p90", "stage", "mixing", series.max, 0, 60},
		{"line: Orders shipped before their estimate", "estimate", "p90", series.max, 0, 1},
		{"streaming: Dead letters in the last hour, by reason", "reason", "unreadable", series.max, letters * .8, letters * 2},
		{"streaming: Dead letters in the last hour, by reason", "reason", "misplaced", series.max, 0, 0},
		{"streaming: Dead letters in the last hour, by stage", "stage", "baking", series.max, letters * .8, letters * 2},
		{"streaming: Lag of each stage", "stage", "mixing", series.max, 1, waiting},
		{"streaming: Brokers answer", "", "", series.last, 1, 1},
		{"streaming: Processors of each stage", "stage", "mixing", series.max, 2, 2},
		{"streaming: Assignments in the last hour", "stage", "mixing", series.max, 1, 100},
		{"streaming: Seconds paused by rebalances, in the last hour", "stage", "mixing", series.max, 0.01, 60},
		{"streaming: Screens behind", "", "", series.last, 0, 30},
		{"screens: Screens, by the topic of their station", "topic", "orderrequests", series.max, 3, 4}, // One was the load's.
		{"screens: Groups of screens", "topic", "orderrequests", series.max, 2, 2},                      // One at each instance.
		{"screens: Answers per second, by status", "code", "201", series.perSecond, (walked + rejected + waiting) * .7, (walked + rejected + waiting) * 1.3},
		{"resources: Processes", "", "", series.last, 2, 2},
		{"resources: Versions", "", "", series.last, 1, 1},
	} {
		all := found[check.panel]
		if check.label != "" {
			all = with(all, check.label, check.value)
		}
		if len(all) == 0 {
			t.Errorf("%s has no series of the %s %q", check.panel, check.label, check.value)
		}
		highest := math.Inf(-1)
		for _, s := range all {
			highest = max(highest, check.measure(s))
		}
		if !(highest >= check.low && highest <= check.high) {
			t.Errorf("%s shows %s %q as %g, want %g to %g", check.panel, check.label, check.value, highest, check.low, check.high)
		}
	}
	// Throughput is what was sent: exactly, and as the panel shows it.
	for _, stage := range stages {
		p.eventually("everything that "+stage+" did is counted", fmt.Sprintf(`sum(ecupcakes_stage_orders_total{outcome="done",stage=%q})`, stage),
			func(v float64) bool { return v == walked })
		if done := with(found["line: Done per minute"], "stage", stage); len(done) != 1 || math.Abs(done[0].perMinute()-walked) > walked/4 {
			t.Errorf("by the panel, %s has done %v orders, want %d", stage, done, walked)
		}
	}
}

// series is one line of a graph, a point for each second, or one number.
type series struct {
	Metric map[string]string
	Values [][2]any // Time and value.
	Value  [2]any
}

func (s series) numbers() (n []float64) {
	for _, v := range append(s.Values, s.Value) {
		if text, ok := v[1].(string); ok {
			if f, err := strconv.ParseFloat(text, 64); err == nil && !math.IsNaN(f) && !math.IsInf(f, 0) {
				n = append(n, f)
			}
		}
	}
	return n
}

func (s series) last() float64 {
	n := s.numbers()
	if len(n) == 0 {
		return math.NaN()
	}
	return n[len(n)-1]
}

func (s series) max() float64 {
	highest := math.Inf(-1)
	for _, n := range s.numbers() {
		highest = max(highest, n)
	}
	return highest
}

// perSecond is how much a rate by the second comes to.
func (s series) perSecond() (sum float64) {
	for _, n := range s.numbers() {
		sum += n
	}
	return sum
}

// perMinute is how much a rate by the minute comes to.
func (s series) perMinute() float64 { return s.perSecond() / 60 }

func someValue(all []series) bool {
	for _, s := range all {
		if len(s.numbers()) > 0 {
			return true
		}
	}
	return false
}

func with(all []series, label, value string) (some []series) {
	for _, s := range all {
		if s.Metric[label] == value {
			some = append(some, s)
		}
	}
	return some
}

// prometheus is a running one.
type prometheus struct {
	t   *testing.T
	url string
}

// startPrometheus runs Prometheus with the configuration in deploy, except that it
// scrapes these addresses, and every second.
func startPrometheus(t *testing.T, targets ...string) *prometheus {
	t.Helper()
	path, err := exec.LookPath("prometheus")
	if err != nil {
		testkit.Missing(t, fmt.Errorf("%w: run `make setup`, which installs Debian's prometheus", err))
	}
	dir := t.TempDir()
	config := read(t, prometheusFiles+"/prometheus.yml")
	for old, replaced := range map[string]string{
		`"127.0.0.1:8080"`: `"` + strings.ReplaceAll(strings.Join(targets, `", "`), "http://", "") + `"`,
		"_interval: 15s":   "_interval: 1s",
	} {
		if !strings.Contains(config, old) {
			t.Fatalf("prometheus.yml does not say %s any more", old)
		}
		config = strings.ReplaceAll(config, old, replaced)
	}
	for name, content := range map[string]string{"prometheus.yml": config, "alerts.yml": read(t, alertRules)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	address := freeAddress(t)
	cmd := exec.Command(path, "--config.file="+filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting Prometheus: %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("Prometheus said:\n%s", said.Bytes())
		}
	})
	p := &prometheus{t, "http://" + address}
	var status string
	testkit.Eventually(t, "Prometheus is ready", func() bool {
		r, err := http.Get(p.url + "/-/ready")
		if err != nil {
			status = err.Error()
			return false
		}
		_ = r.Body.Close()
		status = r.Status
		return r.StatusCode == http.StatusOK
	}, func() any { return status })
	return p
}

// ask asks a panel's query as Grafana does: for every second since then, or for
// now.
func (p *prometheus) ask(expr string, since time.Time, instant bool) []series {
	p.t.Helper()
	for variable, value := range map[string]string{"$stage": ".*", "$instance": ".*", "$__rate_interval": "5s"} {
		expr = strings.ReplaceAll(expr, variable, value)
	}
	now := time.Now()
	path, parameters := "/api/v1/query_range", url.Values{
		"query": {expr}, "step": {"1"},
		"start": {strconv.FormatInt(since.Unix(), 10)}, "end": {strconv.FormatInt(now.Unix(), 10)},
	}
	if instant {
		path, parameters = "/api/v1/query", url.Values{"query": {expr}}
	}
	r, err := http.PostForm(p.url+path, parameters)
	if err != nil {
		p.t.Fatalf("asking Prometheus: %v", err)
	}
	defer r.Body.Close()
	var answer struct {
		Status, Error string
		Data          struct{ Result []series }
	}
	if err := json.NewDecoder(r.Body).Decode(&answer); err != nil || answer.Status != "success" {
		p.t.Fatalf("Prometheus answers %s with %s %s (%v)", expr, answer.Status, answer.Error, err)
	}
	return answer.Data.Result
}

// eventually waits until a query has exactly one value, for which is holds.
func (p *prometheus) eventually(what, expr string, is func(float64) bool) {
	p.t.Helper()
	var last []series
	testkit.Eventually(p.t, what, func() bool {
		last = p.ask(expr, time.Now(), true)
		return len(last) == 1 && is(last[0].last())
	}, func() any { return fmt.Sprintf("%s is %v", expr, last) })
}
