package test

import (
	"strconv"
	"syscall"
	"testing"
)

// TestFreshness holds the line up in several places. Screens are told that they
// are behind and why, whether they are in a consumer group or not; the stations
// say the same; and once it goes on, all are live again and show what came
// meanwhile.
func TestFreshness(t *testing.T) {
	t.Parallel()
	kafka := realKafka(t, 1)
	api := opened(t, &factory{t: t, kafka: kafka.Brokers(), serve: []string{"--roles", "api"}})
	processors := opened(t, &factory{t: t, kafka: kafka.Brokers(), serve: []string{"--roles", "processors", "--instance", "one"}})
	api.place()
	screens := map[string]*screen{"": api.screen("", ""), "mixers": api.screen("mixers", "")}
	every := func(what string, state func(*screen) bool) {
		t.Helper()
		for group := range screens {
			api.eventually("the screen of the group "+strconv.Quote(group)+what, func() bool {
				if screens[group].is(func(s *screen) bool { return s.gone }) { // Without Kafka there are no groups.
					if s := api.connect(group, ""); s != nil {
						screens[group] = s
					}
				}
				return screens[group].is(state)
			})
		}
	}
	signal := func(s syscall.Signal) {
		if err := processors.cmd.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
	}
	for _, trouble := range []struct {
		name        string
		begin, mend func()
		sent        bool // While it lasts, something can be sent.
		because     string
	}{
		{"the processors are stopped", func() { processors.stop() }, func() { processors.start() }, true, "processors"},
		{"the processors hang", func() { signal(syscall.SIGSTOP) }, func() { signal(syscall.SIGCONT) }, true, "processors"},
		{"the broker is dead", func() { kafka.Nodes[0].Kill() }, func() {
			if err := kafka.Nodes[0].Start(t.Context()); err != nil {
				t.Fatal(err)
			}
		}, false, "broker"},
	} {
		trouble.begin()
		id := ""
		if trouble.sent {
			id = api.send()
		}
		every(" is told that it is behind because of the "+trouble.because, func(s *screen) bool {
			return s.fresh.Behind >= 5 && s.fresh.Because == trouble.because && s.fresh.Stage == "mixing"
		})
		at := api.stations().Stations
		if last := at[len(at)-1]; last.BehindSeconds < 5 || last.BehindBecause != trouble.because || last.BehindAt != "mixing" {
			t.Errorf("%s: the last station says %+v", trouble.name, last)
		}
		trouble.mend()
		every(" is live again and shows everything", func(s *screen) bool {
			return s.synced && s.fresh == freshness{} && (id == "" || s.orders[id])
		})
	}
}
