package dashboards

import (
	"fmt"

	"github.com/ecupcakes/ecupcakes/topology"
)

// theLine is for everybody in the factory: what comes, what waits, what goes.
func theLine(line topology.Line) dashboard {
	first, last := line.Stages[0].Name, line.Stages[len(line.Stages)-1].Name
	// The hour's ages may differ; the strictest are where colours begin.
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
		"line", "the line", "Throughput, waiting and trouble at each stage.",
		[]row{
			{"Now", []panel{
				{title: "New orders per minute", about: "Orders that come to the first stage.", kind: number, unit: "short", queries: []query{{at(first, "arrived"), "new"}}},
				{title: "Shipped per minute", about: "Orders that the last stage is done with.", kind: number, unit: "short", queries: []query{{at(last, "done"), "shipped"}}},
				{title: "Waiting", about: "Orders that wait at the stages.", kind: number, unit: "short", queries: []query{{"sum(" + stations("ecupcakes_stage_waiting_orders") + ")", "waiting"}}},
				{
					title: "Oldest order waiting", about: "How long the order that waits longest has waited at its stage.", kind: number, unit: "s", steps: age,
					queries: []query{{"max(" + stations("ecupcakes_stage_oldest_age_seconds") + ")", "oldest"}},
				},
				{
					title: "Late stages", about: "Stages where an order waits longer than it may: see the runbook's stage-late.", kind: number, unit: "short", steps: []step{{1, "red"}},
					queries: []query{{fmt.Sprintf("sum(%s > bool %s)", stations("ecupcakes_stage_oldest_age_seconds"), stations("ecupcakes_stage_late_after_seconds")), "late"}},
				},
				{
					title: "Rejected in the last hour", about: "Orders that could not be made.", kind: number, unit: "short", steps: []step{{10, "orange"}},
					queries: []query{{fmt.Sprintf(`sum(increase(ecupcakes_stage_orders_total{outcome="rejected",%s}[1h]))`, byStage), "rejected"}},
				},
			}},
			{"Throughput", []panel{
				{title: "Done per minute", about: "Orders that each stage is done with. The lowest one holds up the line.", kind: graph, unit: "short", queries: []query{{orders("done"), "{{stage}}"}}},
				{title: "Arrived per minute", about: "Orders that come to each stage.", kind: graph, unit: "short", queries: []query{{orders("arrived"), "{{stage}}"}}},
			}},
			{"Waiting", []panel{
				{title: "Waiting at each stage", about: "What grows is the bottleneck.", kind: graph, unit: "short", queries: []query{{stations("ecupcakes_stage_waiting_orders"), "{{stage}}"}}},
				{title: "Oldest at each stage", about: "The lines are the strictest ages at which orders warn and are late.", kind: graph, unit: "s", steps: age, queries: []query{{stations("ecupcakes_stage_oldest_age_seconds"), "{{stage}}"}}},
			}},
			{"Time in a stage, from when the stage before was done", []panel{
				{title: "Half of the orders within", about: "p50.", kind: graph, unit: "s", queries: []query{{quantile("0.50", "ecupcakes_stage_duration_seconds", byStage, "stage"), "{{stage}}"}}},
				{title: "Nine of ten within", about: "p90.", kind: graph, unit: "s", steps: age, queries: []query{{quantile("0.90", "ecupcakes_stage_duration_seconds", byStage, "stage"), "{{stage}}"}}},
				{title: "99 of 100 within", about: "p99.", kind: graph, unit: "s", steps: age, queries: []query{{quantile("0.99", "ecupcakes_stage_duration_seconds", byStage, "stage"), "{{stage}}"}}},
			}},
			{"Quality", []panel{
				{title: "Rejected per minute", about: "Orders that could not be made, by stage.", kind: graph, unit: "short", queries: []query{{orders("rejected"), "{{stage}}"}}},
				{
					title: "Estimates that came true", about: "Of the orders shipped in the last hours, the share that was shipped before its estimate: that with even odds should be at one half, the other at 90 %.",
					kind: graph, unit: "percentunit", max: 1,
					queries: []query{{fmt.Sprintf("max by (estimate) (increase(ecupcakes_estimate_within_total{%[1]s}[%[2]s])) / on () group_left () max(increase(ecupcakes_estimate_total{%[1]s}[%[2]s]))", byInstance, "2h"), "{{estimate}}"}},
				},
				{
					title: "Estimates, how far off", about: "Time between an order's first median estimate and when it was shipped.", kind: graph, unit: "s",
					queries: []query{
						{fmt.Sprintf("histogram_quantile(0.50, sum by (le) (increase(ecupcakes_estimate_error_seconds_bucket{%s}[%s])))", byInstance, "2h"), "p50"},
						{fmt.Sprintf("histogram_quantile(0.90, sum by (le) (increase(ecupcakes_estimate_error_seconds_bucket{%s}[%s])))", byInstance, "2h"), "p90"},
					},
				},
			}},
		},
	}
}
