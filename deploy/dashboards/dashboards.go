// Package dashboards defines the line's Grafana dashboards as data and encodes them as JSON that
// Grafana 11 and 12 can provision. Their content is in line.go, streaming.go, screens.go and
// resources.go. docs/metrics.md describes the metrics in their queries.
//
// It does not import the packages that measure the metrics.
package dashboards

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/ecupcakes/ecupcakes/topology"
)

// dashboard is a Grafana dashboard.
type dashboard struct {
	name  string // Base name of its file; its uid is "ecupcakes-" and name.
	title string
	about string
	rows  []row
}

// row is a heading and the panels below it. The panels of a row have the same height and share the
// width, so that a row of numbers can be read on a wall and a row of three graphs on a laptop.
type row struct {
	title  string
	panels []panel
}

// panel shows the results of one or more queries.
type panel struct {
	title   string
	about   string // Meaning of the values, and where to find the remedy.
	kind    kind
	unit    string // ID of a Grafana unit.
	queries []query
	steps   []step  // Thresholds; none for a value that is neither good nor bad.
	min     float64 // Lower end of the axis of a graph.
	max     float64 // Upper end of the axis; 0 to fit the values.
	stacked bool
}

type kind string

const (
	graph  kind = "timeseries"
	number kind = "stat"
)

// query is a PromQL expression and the legend of its series, a text with {{label}} placeholders.
type query struct{ expr, legend string }

// step colours values of at least from.
type step struct {
	from  float64
	color string
}

// The label matchers of the dashboards' variables, and the window of a rate.
const (
	byStage    = `stage=~"$stage",instance=~"$instance"`
	byInstance = `instance=~"$instance"`
	window     = `[$__rate_interval]`
)

// All returns the JSON of a line's dashboards, by file name.
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

// perMinute returns a query for the increase of a counter per minute, summed by labels.
func perMinute(counter, labels string) string {
	return fmt.Sprintf("60 * sum by (%s) (rate(%s%s))", labels, counter, window)
}

// quantiles returns queries for the p50, p90 and p99 of a histogram, grouped by the labels.
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
