package dashboards

import "fmt"

// streaming is for whoever operates the line: what Kafka and the processors do.
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
					title: "Brokers answer", about: "1 while Kafka answers every instance: see the runbook's broker-away.", kind: number, unit: "short", steps: []step{{0, "red"}, {1, "green"}},
					queries: []query{{fmt.Sprintf("min(ecupcakes_broker_up{%s})", byInstance), "up"}},
				},
				{
					title: "Lag", about: "Events that wait for the processors: the ends of the topics less what is committed.", kind: number, unit: "short", steps: []step{{1000, "orange"}, {10000, "red"}},
					queries: []query{{"sum(" + most("stage, input", "ecupcakes_stage_lag_events") + ")", "lag"}},
				},
				{
					title: "Screens behind", about: "How far the stage whose screens are furthest behind is; 5 s and more are shown on the screens.", kind: number, unit: "s", steps: []step{{5, "orange"}, {30, "red"}},
					queries: []query{{"max(" + most("stage", "ecupcakes_stage_behind_seconds") + ")", "behind"}},
				},
				{
					title: "Parts that do not run", about: "Processors and views that start, recover, stall or restart.", kind: number, unit: "short", steps: []step{{1, "orange"}, {3, "red"}},
					queries: []query{{fmt.Sprintf(`sum(ecupcakes_part_state{state!="running",%s})`, byStage), "not running"}},
				},
				{
					title: "Restarts in the last hour", about: "See the runbook's restart-loop.", kind: number, unit: "short", steps: []step{{1, "orange"}, {5, "red"}},
					queries: []query{{fmt.Sprintf("sum(increase(ecupcakes_part_restarts_total{%s}[1h]))", byStage), "restarts"}},
				},
				{
					title: "Dead letters in the last hour", about: "See the runbook's dead-letters.", kind: number, unit: "short", steps: []step{{1, "orange"}, {100, "red"}},
					queries: []query{{fmt.Sprintf("sum(increase(ecupcakes_stage_dead_letters_total{%s}[1h]))", byStage), "dead letters"}},
				},
			}},
			{"Lag", []panel{
				{
					title: "Lag of each stage", about: "As Kafka says, wherever the processors run. Arrivals are orders, reports what people do with them.", kind: graph, unit: "short", steps: []step{{1000, "orange"}, {10000, "red"}},
					queries: []query{{most("stage, input", "ecupcakes_stage_lag_events"), "{{stage}} {{input}}"}},
				},
				{title: "The partition with the most", about: "As the processors of these instances know it.", kind: graph, unit: "short", queries: []query{{most("stage, topic", "ecupcakes_partition_lag_events"), "{{topic}}"}}},
				{title: "Processors of each stage", about: "Members of the consumer groups. 0 is a stage at which nothing happens.", kind: graph, unit: "short", queries: []query{{most("stage", "ecupcakes_stage_members"), "{{stage}}"}}},
			}},
			{"Events and commits", []panel{
				{
					title: "Events per second", about: "By what they meant: applied, a repetition, nothing new, dropped, or a dead letter.", kind: graph, unit: "short", stacked: true,
					queries: []query{{perSecond("verdict", "ecupcakes_stage_events_total", byStage), "{{verdict}}"}},
				},
				{title: "In flight", about: "Events that are being worked on.", kind: graph, unit: "short", queries: []query{{sum("stage", "ecupcakes_partition_in_flight_events"), "{{stage}}"}}},
				{
					title: "Commits held back", about: "Events that are finished and wait for an earlier one. One that stays up is an emission that Kafka does not acknowledge.", kind: graph, unit: "short", steps: []step{{10000, "red"}},
					queries: []query{{sum("stage", "ecupcakes_partition_held_commits"), "{{stage}}"}},
				},
			}},
			{"Processors", []panel{
				{title: "Assignments in the last hour", about: "Rebalances, and the first assignment after a start.", kind: graph, unit: "short", queries: []query{{lastHour("stage", "ecupcakes_rebalances_total"), "{{stage}}"}}},
				{title: "Seconds paused by rebalances, in the last hour", about: "Time in which an instance handled nothing of a stage.", kind: graph, unit: "s", queries: []query{
					{lastHour("stage", "ecupcakes_rebalance_pause_seconds_sum"), "{{stage}}"},
				}},
				{title: "Restarts in the last hour, by part", about: "Processors and views that failed and were started again.", kind: graph, unit: "short", queries: []query{{lastHour("part, stage", "ecupcakes_part_restarts_total"), "{{part}} {{stage}}"}}},
				{title: "States", about: "How many parts are in each state.", kind: graph, unit: "short", stacked: true, queries: []query{{sum("state", "ecupcakes_part_state"), "{{state}}"}}},
			}},
			{"Views", []panel{
				{title: "Screens behind, by stage", about: "All that was sent longer ago is shown.", kind: graph, unit: "s", steps: []step{{5, "orange"}, {30, "red"}}, queries: []query{{most("stage", "ecupcakes_stage_behind_seconds"), "{{stage}}"}}},
				{title: "Held up by", about: "Stages that are behind, by what holds them up.", kind: graph, unit: "short", stacked: true, queries: []query{{sum("cause", "ecupcakes_stage_held_up"), "{{cause}}"}}},
				{title: "Tables read", about: "How much of its table each view has read since it started.", kind: graph, unit: "percentunit", max: 1, queries: []query{{fmt.Sprintf("min by (stage) (ecupcakes_view_read_ratio{%s})", byStage), "{{stage}}"}}},
				{title: "Tables recovered", about: "How much of its table each processor and view has read since it was assigned it.", kind: graph, unit: "percentunit", max: 1, queries: []query{{fmt.Sprintf("min by (part, stage) (ecupcakes_part_recovered_ratio{%s})", byStage), "{{part}} {{stage}}"}}},
			}},
			{"Trouble", []panel{
				{title: "Dead letters in the last hour, by reason", about: "`ecupcakes deadletters` shows them.", kind: graph, unit: "short", queries: []query{{lastHour("reason", "ecupcakes_stage_dead_letters_total"), "{{reason}}"}}},
				{title: "Dead letters in the last hour, by stage", about: "Where they were put away.", kind: graph, unit: "short", queries: []query{{lastHour("stage", "ecupcakes_stage_dead_letters_total"), "{{stage}}"}}},
				{title: "Broker errors per second", about: "Failures to connect, to write a request or to read its answer.", kind: graph, unit: "short", queries: []query{{perSecond("client, operation", "ecupcakes_broker_errors_total", byInstance), "{{client}} {{operation}}"}}},
			}},
		},
	}
}
