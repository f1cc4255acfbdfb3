package dashboards

import "fmt"

// screens is what those outside see: the API and the hub.
func screens() dashboard {
	perSecond := func(labels, counter string) string {
		return fmt.Sprintf("sum by (%s) (rate(%s{%s}%s))", labels, counter, byInstance, window)
	}
	sum := func(labels, metric string) string {
		return fmt.Sprintf("sum by (%s) (%s{%s})", labels, metric, byInstance)
	}
	total := func(metric string) string { return fmt.Sprintf("sum(%s{%s})", metric, byInstance) }
	rate := func(counter string) string { return fmt.Sprintf("sum(rate(%s{%s}%s))", counter, byInstance, window) }
	requests := "ecupcakes_http_request_duration_seconds"
	return dashboard{
		"screens", "API and screens", "Requests, their answers, and what the screens get.",
		[]row{
			{"Now", []panel{
				{title: "Requests per second", about: "To the API.", kind: number, unit: "reqps", queries: []query{{rate(requests + "_count"), "requests"}}},
				{
					title: "Failed requests", about: "The share that is answered with 500 or above.", kind: number, unit: "percentunit", steps: []step{{0.01, "orange"}, {0.05, "red"}},
					queries: []query{{fmt.Sprintf(`(sum(rate(%[1]s_count{code=~"5..",%[2]s}%[3]s)) or vector(0)) / clamp_min(sum(rate(%[1]s_count{%[2]s}%[3]s)), 1e-9)`, requests, byInstance, window), "failed"}},
				},
				{title: "Screens", about: "That watch a station.", kind: number, unit: "short", queries: []query{{total("ecupcakes_hub_screens"), "screens"}}},
				{
					title: "A screen sees a change within", about: "99 of 100 messages of the last hour were with the screen's socket within this time.", kind: number, unit: "s", steps: []step{{0.5, "orange"}, {2, "red"}},
					queries: []query{{fmt.Sprintf("histogram_quantile(0.99, sum by (le) (increase(ecupcakes_hub_send_delay_seconds_bucket{%s}[1h])))", byInstance), "p99"}},
				},
				{
					title: "Screens dropped in the last hour", about: "They were too slow: see the runbook's screens-dropping.", kind: number, unit: "short", steps: []step{{1, "orange"}, {20, "red"}},
					queries: []query{{fmt.Sprintf("sum(increase(ecupcakes_hub_dropped_screens_total{%s}[1h]))", byInstance), "dropped"}},
				},
			}},
			{"API", []panel{
				{title: "Requests per second, by operation", about: "Commands and queries.", kind: graph, unit: "reqps", queries: []query{{perSecond("operation", requests+"_count"), "{{operation}}"}}},
				{title: "Answers per second, by status", about: "409 is somebody who was too late, 503 a line that cannot answer yet.", kind: graph, unit: "reqps", stacked: true, queries: []query{{perSecond("code", requests+"_count"), "{{code}}"}}},
				{
					title: "Commands take", about: "Requests that send something and wait until the line has taken it; without those that wait as long as they are told.", kind: graph, unit: "s", steps: []step{{1, "orange"}, {5, "red"}},
					queries: quantiles(requests, `operation!~"order|orders|queue|stations|stats|board|menu|estimate|deadletters?",`+byInstance),
				},
				{
					title: "Queries take", about: "Without the order's own, which may wait for a change.", kind: graph, unit: "s", steps: []step{{0.5, "orange"}, {2, "red"}},
					queries: quantiles(requests, `operation=~"orders|queue|stations|stats|board|menu|estimate|deadletters?",`+byInstance),
				},
			}},
			{"To Kafka", []panel{
				{title: "Kafka acknowledges within", about: "Messages from the API, from all replicas in sync.", kind: graph, unit: "s", steps: []step{{0.5, "orange"}, {5, "red"}}, queries: quantiles("ecupcakes_send_duration_seconds", byInstance)},
				{title: "Not acknowledged, per second", about: "Their requests were answered with 503.", kind: graph, unit: "short", queries: []query{{rate("ecupcakes_send_failures_total"), "failed"}}},
			}},
			{"Screens", []panel{
				{title: "Screens, by the topic of their station", about: "At all instances.", kind: graph, unit: "short", queries: []query{{sum("topic", "ecupcakes_hub_screens"), "{{topic}}"}}},
				{title: "Groups of screens", about: "That share a station's orders, counted at each instance.", kind: graph, unit: "short", queries: []query{{sum("topic", "ecupcakes_hub_groups"), "{{topic}}"}}},
				{title: "Written to screens, per second", about: "Orders and departures, snapshots included.", kind: graph, unit: "short", queries: []query{{rate("ecupcakes_hub_events_total"), "events"}}},
			}},
			{"How live they are", []panel{
				{title: "A change is on the screen within", about: "From the hub's hearing of it to the screen's socket.", kind: graph, unit: "s", steps: []step{{0.5, "orange"}, {2, "red"}}, queries: quantiles("ecupcakes_hub_send_delay_seconds", byInstance)},
				{title: "Screens that came, per second", about: "With a snapshot, into a group, or going on where they were cut off. Many are a network that breaks.", kind: graph, unit: "short", queries: []query{{perSecond("how", "ecupcakes_hub_syncs_total"), "{{how}}"}}},
				{
					title: "Dropped and lost track, per second", about: "Screens cut for being slow, and times that all of them had to come anew.", kind: graph, unit: "short",
					queries: []query{{rate("ecupcakes_hub_dropped_screens_total"), "dropped"}, {rate("ecupcakes_hub_gaps_total"), "lost track"}},
				},
			}},
		},
	}
}
