package dashboards

import "fmt"

// resources returns the dashboard with the resources that the processes use.
func resources() dashboard {
	of := func(metric string) string { return fmt.Sprintf("%s{job=~\"ecupcakes.*\",%s}", metric, byInstance) }
	rate := func(counter string) string { return "rate(" + of(counter) + window + ")" }
	each := func(expr string) []query { return []query{{expr, "{{instance}}"}} }
	return dashboard{
		"resources", "resources", "CPU time, memory, open files and the Go runtime of each process.",
		[]row{
			{"Now", []panel{
				{title: "Processes", about: "Processes that answered the last scrape.", kind: number, unit: "short", steps: []step{{0, "red"}, {1, "green"}}, queries: []query{{fmt.Sprintf("sum(up{job=~\"ecupcakes.*\",%s})", byInstance), "up"}}},
				{
					title: "Versions", about: "More than one after a roll-out means that a process was not updated.", kind: number, unit: "short", steps: []step{{2, "orange"}},
					queries: []query{{fmt.Sprintf("count(count by (version) (ecupcakes_build_info{%s}))", byInstance), "versions"}},
				},
				{title: "Youngest process", about: "Uptime of the process that was started last.", kind: number, unit: "s", queries: []query{{"min(time() - " + of("process_start_time_seconds") + ")", "uptime"}}},
				{title: "Orders known", about: "Orders that the views hold in memory.", kind: number, unit: "short", queries: []query{{fmt.Sprintf("sum(max by (status) (ecupcakes_view_orders{%s}))", byInstance), "orders"}}},
			}},
			{"Processor and memory", []panel{
				{title: "Processor time", about: "CPU cores in use by each process.", kind: graph, unit: "short", queries: each(rate("process_cpu_seconds_total"))},
				{title: "Memory", about: "Resident memory.", kind: graph, unit: "bytes", queries: each(of("process_resident_memory_bytes"))},
				{title: "Heap in use", about: "Heap of the Go runtime.", kind: graph, unit: "bytes", queries: each(of("go_memstats_heap_inuse_bytes"))},
			}},
			{"Go", []panel{
				{title: "Goroutines", about: "About one per screen and some dozens per stage. Steady growth means a leak.", kind: graph, unit: "short", queries: each(of("go_goroutines"))},
				{title: "Longest garbage collection pause", about: "Maximum over the last collections.", kind: graph, unit: "s", queries: []query{{`max by (instance) (` + fmt.Sprintf(`go_gc_duration_seconds{quantile="1",job=~"ecupcakes.*",%s}`, byInstance) + `)`, "{{instance}}"}}},
				{title: "Allocated per second", about: "Allocated bytes, which the garbage collector must free.", kind: graph, unit: "Bps", queries: each(rate("go_memstats_alloc_bytes_total"))},
			}},
			{"Files, network and orders", []panel{
				{title: "Open files, share of the limit", about: "Each screen needs one.", kind: graph, unit: "percentunit", max: 1, steps: []step{{0.7, "orange"}, {0.9, "red"}}, queries: each(of("process_open_fds") + " / " + of("process_max_fds"))},
				{title: "Network", about: "Traffic of the whole container or machine.", kind: graph, unit: "Bps", queries: []query{
					{rate("process_network_receive_bytes_total"), "{{instance}} in"}, {rate("process_network_transmit_bytes_total"), "{{instance}} out"},
				}},
				{title: "Orders known, by status", about: "Finished orders expire after --expiry.", kind: graph, unit: "short", stacked: true, queries: []query{{fmt.Sprintf("max by (status) (ecupcakes_view_orders{%s})", byInstance), "{{status}}"}}},
			}},
		},
	}
}
