package views

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestMetricsReportBacklogAndProgress(t *testing.T) {
	v, f := New(line, quiet), newFactory()
	for _, id := range []string{"o1", "o2", "o3"} {
		f.place(id)
	}
	f.done("o1", 0)
	v.put(f.all()...)
	v.progress[partition{0, 0}] = &progress{next: 8, end: 10}
	v.recovered(0, 0)
	v.progress[partition{1, 0}] = &progress{next: 1, end: 4}
	v.progress[partition{1, 1}] = &progress{next: 9, end: 4} // Further records have arrived since the start.

	r := prometheus.NewRegistry()
	r.MustRegister(Metrics{v})
	values := map[string]float64{}
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			values[strings.TrimPrefix(family.GetName(), "ecupcakes_")+" "+m.GetLabel()[0].GetValue()] = m.GetGauge().GetValue()
		}
	}
	first, second := line.Stages[0], line.Stages[1]
	for name, want := range map[string]float64{
		"stage_waiting_orders " + first.Name: 2, "stage_waiting_orders " + second.Name: 1,
		"stage_late_after_seconds " + first.Name: first.Age.Late.Seconds(),
		"view_read_ratio " + first.Name:          1, "view_read_ratio " + second.Name: 5. / 8,
		"view_orders placed": 2, "view_orders " + string(first.Done): 1, "view_orders rejected": 0,
	} {
		if got, there := values[name]; !there || got != want {
			t.Errorf("%s is %g (%t), want %g", name, got, there, want)
		}
	}
	if age, want := values["stage_oldest_age_seconds "+first.Name], time.Since(placedOn).Seconds(); age < want-60 || age > want+60 {
		t.Errorf("the oldest order at %s is %g s old, want about %g", first.Name, age, want)
	}
	if problems, err := testutil.GatherAndLint(r); err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
}
