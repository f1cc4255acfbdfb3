package dashboards

import (
	"fmt"

	"github.com/ecupcakes/ecupcakes/topology"
)

// theLine returns the dashboard for everybody in the factory: throughput, backlog and rejections.
func theLine(line topology.Line) dashboard {
	first, last := line.Stages[0].Name, line.Stages[len(line.Stages)-1].Name
	// Stages can have different ages; the thresholds are the smallest ones.
	warn, late := line.Stages[0].Age.Warn, line.Stages[0].Age.Late
	for _, s := range line.Stages {
		warn, late = min(warn, s.Age.Warn), min(late, s.Age.Late)
	}
	age := []step{{warn.Seconds(), "orange"}, {late.Seconds(), "red"}}
	orders := func(outcome string) string {
		return perMinute(fmt.Sprintf(`ecupcakes_stage_orders_total{outcome=%q,%s}`, outcome, byStage), "stage")
	}
	at := func(stage, outcome string) string {
		return fmt.Sprintf(`60 * sum(rate(ecupcakes_stage_orders_total{stage=%q,outcome=%q,%s}%s))`, stage, outcome, byInstance, window)
	}
	stations := func(metric string) string { return fmt.Sprintf("max by (stage) (%s{%s})", metric, byStage) }
	return dashboard{
		"line", "the line", "Throughput, backlog and rejected orders of each stage.",
		[]row{
			{"Now", []panel{
				{title: "New orders per minute", about: "Orders that arrive at the first stage.", kind: number, unit: "short", queries: []query{{at(first, "arrived"), "new"}}},
				{title: "Shipped per minute", about: "Orders that the last stage has completed.", kind: number, unit: "short", queries: []query{{at(last, "done"), "shipped"}}},
				{title: "Waiting", about: "Orders that wait at the stages.", kind: number, unit: "short", queries: []query{{"sum(" + stations("ecupcakes_stage_waiting_orders") + ")", "waiting"}}},
				{
					title: "Oldest order waiting", about: "Age of the order that has waited longest at its stage.", kind: number, unit: "s", steps: age,
					queries: []query{{"max(" + stations("ecupcakes_stage_oldest_age_seconds") + ")", "oldest"}},
				},
				{
					title: "Late stages", about: "Stages at which the oldest order is late: see stage-late in the runbook.", kind: number, unit: "short", steps: []step{{1, "red"}},
					queries: []query{{fmt.Sprintf("sum(%s > bool %s)", stations("ecupcakes_stage_oldest_age_seconds"), stations("ecupcakes_stage_late_after_seconds")), "late"}},
				},
				{
					title: "Rejected in the last hour", about: "Orders that could not be made.", kind: number, unit: "short", steps: []step{{10, "orange"}},
					queries: []query{{fmt.Sprintf(`sum(increase(ecupcakes_stage_orders_total{outcome="rejected",%s}[1h]))`, byStage), "rejected"}},
				},
			}},
			{"Throughput", []panel{
				{title: "Done per minute", about: "Orders that each stage has completed. The lowest curve is the bottleneck.", kind: graph, unit: "short", queries: []query{{orders("done"), "{{stage}}"}}},
				{title: "Arrived per minute", about: "Orders that arrive at each stage.", kind: graph, unit: "short", queries: []query{{orders("arrived"), "{{stage}}"}}},
			}},
			{"Waiting", []panel{
				{title: "Waiting at each stage", about: "The stage with a growing backlog is the bottleneck.", kind: graph, unit: "short", queries: []query{{stations("ecupcakes_stage_waiting_orders"), "{{stage}}"}}},
				{title: "Oldest at each stage", about: "The dashed lines are the smallest ages at which orders show a warning and are late.", kind: graph, unit: "s", steps: age, queries: []query{{stations("ecupcakes_stage_oldest_age_seconds"), "{{stage}}"}}},
			}},
			{"Time in a stage, since the previous stage completed the order", []panel{
				{title: "Time in a stage, p50", about: "Median.", kind: graph, unit: "s", queries: []query{{quantile("0.50", "ecupcakes_stage_duration_seconds", byStage, "stage"), "{{stage}}"}}},
				{title: "Time in a stage, p90", about: "90th percentile.", kind: graph, unit: "s", steps: age, queries: []query{{quantile("0.90", "ecupcakes_stage_duration_seconds", byStage, "stage"), "{{stage}}"}}},
				{title: "Time in a stage, p99", about: "99th percentile.", kind: graph, unit: "s", steps: age, queries: []query{{quantile("0.99", "ecupcakes_stage_duration_seconds", byStage, "stage"), "{{stage}}"}}},
			}},
			{"Quality", []panel{
				{title: "Rejected per minute", about: "Orders that could not be made, by stage.", kind: graph, unit: "short", queries: []query{{orders("rejected"), "{{stage}}"}}},
				{
					title: "Orders shipped before their estimate", about: "Share of the orders of the last two hours. It should be 50 % for the p50 estimate and 90 % for the p90 estimate.",
					kind: graph, unit: "percentunit", max: 1,
					queries: []query{{fmt.Sprintf("max by (estimate) (increase(ecupcakes_estimate_within_total{%[1]s}[%[2]s])) / on () group_left () max(increase(ecupcakes_estimate_total{%[1]s}[%[2]s]))", byInstance, "2h"), "{{estimate}}"}},
				},
				{
					title: "Error of the estimates", about: "Difference between an order's first p50 estimate and the time when it was shipped.", kind: graph, unit: "s",
					queries: []query{
						{fmt.Sprintf("histogram_quantile(0.50, sum by (le) (increase(ecupcakes_estimate_error_seconds_bucket{%s}[%s])))", byInstance, "2h"), "p50"},
						{fmt.Sprintf("histogram_quantile(0.90, sum by (le) (increase(ecupcakes_estimate_error_seconds_bucket{%s}[%s])))", byInstance, "2h"), "p90"},
					},
				},
			}},
		},
	}
}
