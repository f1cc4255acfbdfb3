// Package dashboards holds the Grafana dashboards of the line as data and
// writes them as JSON that Grafana 11 and 12 provision as it is. What they show
// is in line.go, streaming.go, screens.go and resources.go; docs/metrics.md
// says what the metrics in their queries are.
//
// It never knows how a metric is measured.
package dashboards

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/ecupcakes/ecupcakes/topology"
)

// dashboard is one of Grafana's pages.
type dashboard struct {
	name  string // Of its file, and its uid after "ecupcakes-".
	title string
	about string
	rows  []row
}

// row is a heading and what stands below it. Panels of one row have one height
// and share its width, so that a row of big numbers can be read on a wall and
// one of three graphs on a laptop.
type row struct {
	title  string
	panels []panel
}

// panel shows the answers to some queries.
type panel struct {
	title   string
	about   string // What it says and what to do about it.
	kind    kind
	unit    string // One of Grafana's ids of units.
	queries []query
	steps   []step  // From when on the value is not good any more; none for what is neither good nor bad.
	min     float64 // 0 unless said otherwise; only of a graph.
	max     float64 // 0 for as large as it gets.
	stacked bool
}

type kind string

const (
	graph  kind = "timeseries"
	number kind = "stat"
)

// query is PromQL, and what its series are called: text with {{label}}.
type query struct{ expr, legend string }

// step is a colour from a value on.
type step struct {
	from  float64
	color string
}

// The two variables of every query, and the window of a rate.
const (
	byStage    = `stage=~"$stage",instance=~"$instance"`
	byInstance = `instance=~"$instance"`
	window     = `[$__rate_interval]`
)

// All returns the dashboards of a line, as the content of files by their name.
func All(line topology.Line) (map[string][]byte, error) {
	all := []dashboard{theLine(line), streaming(), screens(), resources()}
	files := map[string][]byte{}
	for _, d := range all {
		b, err := json.MarshalIndent(d.grafana(line, all), "", "  ")
		if err != nil {
			return nil, fmt.Errorf("writing the dashboard %s: %w", d.name, err)
		}
		files[d.name+".json"] = append(b, '\n')
	}
	return files, nil
}

// perMinute is how often a counter grows in a minute, summed by labels.
func perMinute(counter, labels string) string {
	return fmt.Sprintf("60 * sum by (%s) (rate(%s%s))", labels, counter, window)
}

// quantiles are the p50, p90 and p99 of a histogram with the selector, one
// series each for the values of the labels.
func quantiles(histogram, selector string, labels ...string) (queries []query) {
	for _, q := range []string{"0.50", "0.90", "0.99"} {
		queries = append(queries, query{quantile(q, histogram, selector, labels...), legend("p"+q[2:], labels)})
	}
	return queries
}

func quantile(q, histogram, selector string, labels ...string) string {
	return fmt.Sprintf("histogram_quantile(%s, sum by (%s) (rate(%s_bucket{%s}%s)))", q, strings.Join(append(labels, "le"), ", "), histogram, selector, window)
}

func legend(first string, labels []string) string {
	for _, l := range labels {
		first += " {{" + l + "}}"
	}
	return first
}
