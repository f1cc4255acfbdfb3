package test

import (
	"io"
	"testing"
	"time"

	"github.com/ecupcakes/ecupcakes/load"
)

// TestScaleOut changes the number of processors under load, on Apache Kafka: of
// the whole line and of one stage alone, planned and by kill -9. Every order
// comes to the mixer's screen; how long the slowest one took is logged, and is
// not judged here, for the machine is shared.
func TestScaleOut(t *testing.T) {
	t.Parallel()
	brokers := realKafka(t, 1).Brokers()
	processors := func(instance string, flags ...string) *factory {
		return opened(t, &factory{t: t, kafka: brokers, serve: append([]string{"--roles", "processors", "--instance", instance}, flags...)})
	}
	api := opened(t, &factory{t: t, kafka: brokers, serve: []string{"--roles", "api"}})
	second := opened(t, &factory{t: t, kafka: brokers, serve: []string{"--roles", "api"}})
	one := processors("one")
	var two, three *factory
	orders := 0
	for _, change := range []struct {
		name string
		do   func()
	}{
		{"nothing", func() {}},
		{"a second instance joins", func() { two = processors("two") }},
		{"a third one joins, for mixing only", func() { three = processors("three", "--stages", "mixing") }},
		{"an instance leaves", func() { two.stop() }},
		{"it comes back", func() { two.start() }},
		{"a rolling restart", func() {
			for _, f := range []*factory{one, two, three} {
				f.stop()
				f.start()
			}
		}},
		{"kill -9 and a restart", func() {
			two.kill()
			two.start()
		}},
		{"kill -9 for good", func() { three.kill() }},
	} {
		const n = 300
		done := make(chan error, 1)
		var slowest float64
		go func() {
			r, err := load.Run(t.Context(), load.Options{URL: api.url, Orders: n, Rate: 100, Watch: true, Out: io.Discard})
			if r.Shown != nil {
				slowest = r.Shown.Max
			}
			done <- err
		}()
		before := orders
		api.eventually("orders come", func() bool { return api.stations().Stations[0].Waiting > before+50 })
		began := time.Now()
		change.do()
		took := time.Since(began)
		if err := <-done; err != nil {
			t.Fatalf("%s: %v", change.name, err)
		}
		orders += n
		t.Logf("%s, done in %s: the slowest order took %.0f ms to the screen", change.name, took.Round(time.Millisecond), slowest)
	}
	// Each API instance answers everything.
	for _, f := range []*factory{api, second} {
		f.eventually("all orders wait", func() bool { return f.stations().Stations[0].Waiting == orders })
	}
	for _, f := range []*factory{one, two, api, second} {
		f.stop()
	}
	if a := auditOf(t, "--brokers", brokers); !a.clean() || a.InFlight != 0 {
		t.Errorf("verify says %s", a.said)
	}
}
