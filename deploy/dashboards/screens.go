package dashboards

import "fmt"

// screens returns the dashboard of the API and the hub.
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
		"screens", "API and screens", "API requests and responses, and the updates of the screens.",
		[]row{
			{"Now", []panel{
				{title: "Requests per second", about: "Requests to the API.", kind: number, unit: "reqps", queries: []query{{rate(requests + "_count"), "requests"}}},
				{
					title: "Failed requests", about: "Share of the requests with a 5xx response.", kind: number, unit: "percentunit", steps: []step{{0.01, "orange"}, {0.05, "red"}},
					queries: []query{{fmt.Sprintf(`(sum(rate(%[1]s_count{code=~"5..",%[2]s}%[3]s)) or vector(0)) / clamp_min(sum(rate(%[1]s_count{%[2]s}%[3]s)), 1e-9)`, requests, byInstance, window), "failed"}},
				},
				{title: "Screens", about: "Screens connected to a station.", kind: number, unit: "short", queries: []query{{total("ecupcakes_hub_screens"), "screens"}}},
				{
					title: "Delay of changes, p99", about: "99th percentile of the last hour, from the change in the view to the screen's socket.", kind: number, unit: "s", steps: []step{{0.5, "orange"}, {2, "red"}},
					queries: []query{{fmt.Sprintf("histogram_quantile(0.99, sum by (le) (increase(ecupcakes_hub_send_delay_seconds_bucket{%s}[1h])))", byInstance), "p99"}},
				},
				{
					title: "Screens dropped in the last hour", about: "Screens that were too slow: see screens-dropping in the runbook.", kind: number, unit: "short", steps: []step{{1, "orange"}, {20, "red"}},
					queries: []query{{fmt.Sprintf("sum(increase(ecupcakes_hub_dropped_screens_total{%s}[1h]))", byInstance), "dropped"}},
				},
			}},
			{"API", []panel{
				{title: "Requests per second, by operation", about: "Commands and queries.", kind: graph, unit: "reqps", queries: []query{{perSecond("operation", requests+"_count"), "{{operation}}"}}},
				{title: "Answers per second, by status", about: "409 is a command that came too late, 503 means that the line cannot answer yet.", kind: graph, unit: "reqps", stacked: true, queries: []query{{perSecond("code", requests+"_count"), "{{code}}"}}},
				{
					title: "Duration of commands", about: "Requests that change something. Requests with ?wait= are excluded.", kind: graph, unit: "s", steps: []step{{1, "orange"}, {5, "red"}},
					queries: quantiles(requests, `operation!~"order|orders|queue|stations|stats|board|menu|estimate|deadletters?",`+byInstance),
				},
				{
					title: "Duration of queries", about: "Without the query of one order, which may wait for a change.", kind: graph, unit: "s", steps: []step{{0.5, "orange"}, {2, "red"}},
					queries: quantiles(requests, `operation=~"orders|queue|stations|stats|board|menu|estimate|deadletters?",`+byInstance),
				},
			}},
			{"To Kafka", []panel{
				{title: "Time until Kafka's acknowledgement", about: "Messages of the API, acknowledged by all in-sync replicas.", kind: graph, unit: "s", steps: []step{{0.5, "orange"}, {5, "red"}}, queries: quantiles("ecupcakes_send_duration_seconds", byInstance)},
				{title: "Not acknowledged, per second", about: "Their requests were answered with 503.", kind: graph, unit: "short", queries: []query{{rate("ecupcakes_send_failures_total"), "failed"}}},
			}},
			{"Screens", []panel{
				{title: "Screens, by the topic of their station", about: "Sum over all instances.", kind: graph, unit: "short", queries: []query{{sum("topic", "ecupcakes_hub_screens"), "{{topic}}"}}},
				{title: "Groups of screens", about: "Groups that share a station's orders. A group counts once for each instance with a screen of it.", kind: graph, unit: "short", queries: []query{{sum("topic", "ecupcakes_hub_groups"), "{{topic}}"}}},
				{title: "Written to screens, per second", about: "Orders and departures, snapshots included.", kind: graph, unit: "short", queries: []query{{rate("ecupcakes_hub_events_total"), "events"}}},
			}},
			{"Freshness", []panel{
				{title: "Delay of changes", about: "Time from the change in the view to the screen's socket.", kind: graph, unit: "s", steps: []step{{0.5, "orange"}, {2, "red"}}, queries: quantiles("ecupcakes_hub_send_delay_seconds", byInstance)},
				{title: "Connecting screens, per second", about: "By how they were synchronised: with a snapshot, in a group, or resumed after a disconnect. Many mean an unstable network.", kind: graph, unit: "short", queries: []query{{perSecond("how", "ecupcakes_hub_syncs_total"), "{{how}}"}}},
				{
					title: "Dropped screens and gaps, per second", about: "Screens disconnected for being slow, and gaps after which all screens had to reconnect.", kind: graph, unit: "short",
					queries: []query{{rate("ecupcakes_hub_dropped_screens_total"), "dropped"}, {rate("ecupcakes_hub_gaps_total"), "gaps"}},
				},
			}},
		},
	}
}
