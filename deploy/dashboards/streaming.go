package dashboards

import "fmt"

// streaming returns the dashboard for operators: Kafka and the processors.
func streaming() dashboard {
	most := func(labels, metric string) string {
		return fmt.Sprintf("max by (%s) (%s{%s})", labels, metric, byStage)
	}
	sum := func(labels, metric string) string {
		return fmt.Sprintf("sum by (%s) (%s{%s})", labels, metric, byStage)
	}
	perSecond := func(labels, counter, selector string) string {
		return fmt.Sprintf("sum by (%s) (rate(%s{%s}%s))", labels, counter, selector, window)
	}
	lastHour := func(labels, counter string) string {
		return fmt.Sprintf("sum by (%s) (increase(%s{%s}[1h]))", labels, counter, byStage)
	}
	return dashboard{
		"streaming", "streaming", "Lag, commits, rebalances, views, restarts and dead letters.",
		[]row{
			{"Now", []panel{
				{
					title: "Brokers answer", about: "1 while every instance reaches Kafka: see broker-away in the runbook.", kind: number, unit: "short", steps: []step{{0, "red"}, {1, "green"}},
					queries: []query{{fmt.Sprintf("min(ecupcakes_broker_up{%s})", byInstance), "up"}},
				},
				{
					title: "Lag", about: "Events that wait for the processors: end offsets minus committed offsets.", kind: number, unit: "short", steps: []step{{1000, "orange"}, {10000, "red"}},
					queries: []query{{"sum(" + most("stage, input", "ecupcakes_stage_lag_events") + ")", "lag"}},
				},
				{
					title: "Screens behind", about: "Largest delay of all stages. From 5 s on, the screens show it.", kind: number, unit: "s", steps: []step{{5, "orange"}, {30, "red"}},
					queries: []query{{"max(" + most("stage", "ecupcakes_stage_behind_seconds") + ")", "behind"}},
				},
				{
					title: "Parts that do not run", about: "Processors and views that are starting, recovering, stalled or restarting.", kind: number, unit: "short", steps: []step{{1, "orange"}, {3, "red"}},
					queries: []query{{fmt.Sprintf(`sum(ecupcakes_part_state{state!="running",%s})`, byStage), "not running"}},
				},
				{
					title: "Restarts in the last hour", about: "See restart-loop in the runbook.", kind: number, unit: "short", steps: []step{{1, "orange"}, {5, "red"}},
					queries: []query{{fmt.Sprintf("sum(increase(ecupcakes_part_restarts_total{%s}[1h]))", byStage), "restarts"}},
				},
				{
					title: "Dead letters in the last hour", about: "See dead-letters in the runbook.", kind: number, unit: "short", steps: []step{{1, "orange"}, {100, "red"}},
					queries: []query{{fmt.Sprintf("sum(increase(ecupcakes_stage_dead_letters_total{%s}[1h]))", byStage), "dead letters"}},
				},
			}},
			{"Lag", []panel{
				{
					title: "Lag of each stage", about: "As reported by Kafka, for all processors. Arrivals are orders; reports are people's actions on orders.", kind: graph, unit: "short", steps: []step{{1000, "orange"}, {10000, "red"}},
					queries: []query{{most("stage, input", "ecupcakes_stage_lag_events"), "{{stage}} {{input}}"}},
				},
				{title: "Largest lag of a partition", about: "As measured by the processors of the selected instances.", kind: graph, unit: "short", queries: []query{{most("stage, topic", "ecupcakes_partition_lag_events"), "{{topic}}"}}},
				{title: "Processors of each stage", about: "Members of the consumer groups. A stage with 0 processes nothing.", kind: graph, unit: "short", queries: []query{{most("stage", "ecupcakes_stage_members"), "{{stage}}"}}},
			}},
			{"Events and commits", []panel{
				{
					title: "Events per second", about: "By verdict: applied, a repetition, nothing new, dropped, or a dead letter.", kind: graph, unit: "short", stacked: true,
					queries: []query{{perSecond("verdict", "ecupcakes_stage_events_total", byStage), "{{verdict}}"}},
				},
				{title: "In flight", about: "Events that are being processed.", kind: graph, unit: "short", queries: []query{{sum("stage", "ecupcakes_partition_in_flight_events"), "{{stage}}"}}},
				{
					title: "Commits held back", about: "Finished events whose commit waits for an earlier event. A curve that stays up means that Kafka does not acknowledge an emission.", kind: graph, unit: "short", steps: []step{{10000, "red"}},
					queries: []query{{sum("stage", "ecupcakes_partition_held_commits"), "{{stage}}"}},
				},
			}},
			{"Processors", []panel{
				{title: "Assignments in the last hour", about: "Rebalances, and the first assignment after a start.", kind: graph, unit: "short", queries: []query{{lastHour("stage", "ecupcakes_rebalances_total"), "{{stage}}"}}},
				{title: "Seconds paused by rebalances, in the last hour", about: "Time in which an instance processed no events of a stage.", kind: graph, unit: "s", queries: []query{
					{lastHour("stage", "ecupcakes_rebalance_pause_seconds_sum"), "{{stage}}"},
				}},
				{title: "Restarts in the last hour, by part", about: "Processors and views that failed and were restarted.", kind: graph, unit: "short", queries: []query{{lastHour("part, stage", "ecupcakes_part_restarts_total"), "{{part}} {{stage}}"}}},
				{title: "States", about: "Number of parts in each state.", kind: graph, unit: "short", stacked: true, queries: []query{{sum("state", "ecupcakes_part_state"), "{{state}}"}}},
			}},
			{"Views", []panel{
				{title: "Screens behind, by stage", about: "Age of the newest changes that the screens may lack.", kind: graph, unit: "s", steps: []step{{5, "orange"}, {30, "red"}}, queries: []query{{most("stage", "ecupcakes_stage_behind_seconds"), "{{stage}}"}}},
				{title: "Cause of the delay", about: "Number of stages that are behind, by cause.", kind: graph, unit: "short", stacked: true, queries: []query{{sum("cause", "ecupcakes_stage_held_up"), "{{cause}}"}}},
				{title: "Tables read", about: "Share of its table that each view has read since it started.", kind: graph, unit: "percentunit", max: 1, queries: []query{{fmt.Sprintf("min by (stage) (ecupcakes_view_read_ratio{%s})", byStage), "{{stage}}"}}},
				{title: "Tables recovered", about: "Share of its table that each processor and view has read since the assignment.", kind: graph, unit: "percentunit", max: 1, queries: []query{{fmt.Sprintf("min by (part, stage) (ecupcakes_part_recovered_ratio{%s})", byStage), "{{part}} {{stage}}"}}},
			}},
			{"Trouble", []panel{
				{title: "Dead letters in the last hour, by reason", about: "`ecupcakes deadletters list` shows them.", kind: graph, unit: "short", queries: []query{{lastHour("reason", "ecupcakes_stage_dead_letters_total"), "{{reason}}"}}},
				{title: "Dead letters in the last hour, by stage", about: "The stage that could not process the message.", kind: graph, unit: "short", queries: []query{{lastHour("stage", "ecupcakes_stage_dead_letters_total"), "{{stage}}"}}},
				{title: "Broker errors per second", about: "Failures to connect, to write a request or to read its answer.", kind: graph, unit: "short", queries: []query{{perSecond("client, operation", "ecupcakes_broker_errors_total", byInstance), "{{client}} {{operation}}"}}},
			}},
		},
	}
}
