package gokaplus

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/IBM/sarama"
	"github.com/ecupcakes/ecupcakes/gokaplus/franz"
	"github.com/ecupcakes/ecupcakes/gokaplus/internal/kafkatest"
	"github.com/lovoo/goka"
	"github.com/lovoo/goka/codec"
	"github.com/lovoo/goka/storage"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"
)

type runnerFunc func(context.Context) error

func (f runnerFunc) Run(ctx context.Context) error { return f(ctx) }

func untilDone(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

// lives builds a Runner for each life from a list; the last one stands for all that follow.
func lives(list ...func(context.Context) (Runner, error)) func(context.Context) (Runner, error) {
	var n int
	return func(ctx context.Context) (Runner, error) {
		n++
		return list[min(n, len(list))-1](ctx)
	}
}

func runs(f func(context.Context) error) func(context.Context) (Runner, error) {
	return func(context.Context) (Runner, error) { return runnerFunc(f), nil }
}

func TestSuperviseRestartsWhateverEndsALife(t *testing.T) {
	for name, life := range map[string]func(context.Context) (Runner, error){
		"not leader":         func(context.Context) (Runner, error) { return nil, kerr.NotLeaderForPartition },
		"panic in build":     func(context.Context) (Runner, error) { panic("panic in build") },
		"an error":           runs(func(context.Context) error { return errors.New("an error") }),
		"runtime error":      runs(func(context.Context) error { none := strings.Split("", ""); return errors.New(none[len(none)]) }),
		"not asked to stop":  runs(func(context.Context) error { return nil }),
		"context canceled":   runs(func(context.Context) error { return context.Canceled }), // its own, not ours
		"goka: a bad thing!": runs(func(context.Context) error { return fmt.Errorf("goka: %w", errors.New("a bad thing!")) }),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				h := &Health{}
				done := make(chan error)
				go func() {
					done <- Supervise(ctx, "thing", lives(life, life, runs(untilDone)), SuperviseOptions{Health: h, Logger: kafkatest.Logger(t)})
				}()
				time.Sleep(time.Minute)
				s := h.Status()
				if s.State != Running || s.Restarts != 2 || s.Reason == nil ||
					!strings.Contains(strings.ToLower(strings.ReplaceAll(s.Reason.Error(), "_", " ")), name) {
					t.Errorf("after two failed lives: %+v", s)
				}
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
				if s := h.Status(); s.State != Stopped {
					t.Errorf("at the end: %+v", s)
				}
			})
		})
	}
}

func TestSuperviseBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var starts []time.Time
		longLife := 5
		build := func(context.Context) (Runner, error) {
			starts = append(starts, time.Now())
			n := len(starts)
			return runnerFunc(func(ctx context.Context) error {
				if n == longLife {
					time.Sleep(time.Hour)
				}
				if n == 8 {
					cancel()
				}
				return errors.New("failed")
			}), nil
		}
		err := Supervise(ctx, "thing", build, SuperviseOptions{MinBackoff: time.Second, MaxBackoff: 6 * time.Second, HealthyAfter: time.Hour})
		if err != nil || len(starts) != 8 {
			t.Fatalf("%d lives, error %v", len(starts), err)
		}
		for i, longest := range []time.Duration{1, 2, 4, 6, 1, 2, 4} { // seconds
			wait := starts[i+1].Sub(starts[i])
			if i+1 == longLife {
				wait -= time.Hour
			}
			if wait < longest*time.Second/2 || wait > longest*time.Second {
				t.Errorf("wait %d: %v, want %ds less up to half", i+1, wait, longest)
			}
		}
	})
}

func TestSuperviseStopsWhileItWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		err := Supervise(ctx, "thing", lives(runs(func(context.Context) error { return errors.New("failed") })), SuperviseOptions{MinBackoff: time.Hour, MaxBackoff: time.Hour})
		if err != nil || time.Since(start) != time.Second {
			t.Fatalf("after %v: %v", time.Since(start), err)
		}
	})
}

func TestSuperviseGivesUpWaiting(t *testing.T) {
	for name, stuck := range map[string]func(release chan struct{}) func(context.Context) (Runner, error){
		"run": func(release chan struct{}) func(context.Context) (Runner, error) {
			return runs(func(context.Context) error { <-release; return nil })
		},
		"build": func(release chan struct{}) func(context.Context) (Runner, error) {
			return func(context.Context) (Runner, error) { <-release; return nil, errors.New("failed") }
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				release := make(chan struct{})
				defer close(release)
				start := time.Now()
				err := Supervise(ctx, "thing", stuck(release), SuperviseOptions{ShutdownTimeout: 7 * time.Second})
				if !errors.Is(err, ErrAbandoned) || !strings.Contains(err.Error(), "thing") || time.Since(start) != time.Hour+7*time.Second {
					t.Fatalf("after %v: %v", time.Since(start), err)
				}
			})
		})
	}
}

func TestSuperviseLogsAFailureWhileStopping(t *testing.T) {
	for text, warned := range map[string]bool{"joining: context canceled": false, "offsets not committed": true} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			var b bytes.Buffer
			err := Supervise(ctx, "thing", runs(func(ctx context.Context) error {
				cancel()
				<-ctx.Done()
				return errors.New(text)
			}), SuperviseOptions{Logger: slog.New(slog.NewTextHandler(&b, nil))})
			if err != nil || strings.Contains(b.String(), text) != warned {
				t.Errorf("%s: error %v, log %q", text, err, b.String())
			}
		})
	}
}

type closableRunner struct {
	runnerFunc
	closed atomic.Bool
}

func (c *closableRunner) Close() error { c.closed.Store(true); return nil }

func TestSuperviseClosesWhatItDoesNotRun(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r := &closableRunner{runnerFunc: func(context.Context) error { t.Error("run although ctx has ended"); return nil }}
	build := func(context.Context) (Runner, error) { cancel(); return r, nil }
	if err := Supervise(ctx, "thing", build, SuperviseOptions{}); err != nil || !r.closed.Load() {
		t.Fatalf("closed %t, error %v", r.closed.Load(), err)
	}
}

type recoveringRunner struct {
	runnerFunc
	recovered atomic.Bool
}

func (r *recoveringRunner) Recovered() bool       { return r.recovered.Load() }
func (r *recoveringRunner) RecoveredPercent() int { return 42 }

func TestHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		h, r, built, fail := &Health{}, &recoveringRunner{}, make(chan struct{}), make(chan error)
		r.runnerFunc = func(ctx context.Context) error {
			select {
			case err := <-fail:
				return err
			case <-ctx.Done():
				return nil
			}
		}
		done := make(chan error)
		go func() {
			done <- Supervise(ctx, "thing", func(context.Context) (Runner, error) { <-built; return r, nil }, SuperviseOptions{Health: h})
		}()
		var began time.Time
		expect := func(state State, restarts int, reason string) {
			t.Helper()
			synctest.Wait()
			s := h.Status()
			if s.State != state || s.Restarts != restarts || (reason == "") != (s.Reason == nil) || reason != "" && s.Reason.Error() != reason {
				t.Fatalf("got %v %+v, want %v after %d restarts for %q", s.State, s, state, restarts, reason)
			}
			if percent := map[State]int{Recovering: 42, Running: 100}[state]; s.RecoveredPercent != percent {
				t.Fatalf("%v and %d %% recovered, want %d", s.State, s.RecoveredPercent, percent)
			}
			if s.Since != began {
				t.Fatalf("%v since %v, want %v", s.State, s.Since, began)
			}
		}
		began = time.Now()
		expect(Starting, 0, "")
		time.Sleep(time.Second)
		began = time.Now()
		built <- struct{}{}
		expect(Recovering, 0, "")
		time.Sleep(time.Second)
		r.recovered.Store(true)
		expect(Running, 0, "")
		r.recovered.Store(false)
		began = time.Now()
		fail <- errors.New("out of luck")
		expect(Restarting, 1, "out of luck")
		time.Sleep(time.Minute)
		expect(Restarting, 1, "out of luck") // being built
		began = time.Now()
		built <- struct{}{}
		expect(Recovering, 1, "out of luck")
		cancel()
		<-done
		expect(Stopped, 1, "out of luck")
		for s := Starting; s <= Stopped; s++ {
			if s.String() == "" {
				t.Errorf("state %d has no name", s)
			}
		}
	})
}

// TestHealthStalled lets a partition stall, progress, and stall again.
func TestHealthStalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var p Progress
		var health, other Health
		w := newWindow(64)
		run := runs(func(ctx context.Context) error {
			defer p.add("group", fakeClaim{topic: "in"}, w)()
			<-ctx.Done()
			return nil
		})
		var logged kafkatest.Buffer
		done := make(chan error, 2)
		for i, s := range []SuperviseOptions{{Health: &health, Group: "group"}, {Health: &other, Group: "other"}} {
			s.Progress, s.StalledAfter, s.Logger = &p, time.Minute, slog.New(slog.NewTextHandler(&logged, nil))
			go func() { done <- Supervise(ctx, fmt.Sprint(i), run, s) }()
		}
		start := time.Now()
		expect := func(state State, since time.Time) {
			t.Helper()
			synctest.Wait()
			s := health.Status()
			if s.State != state || s.Since.Sub(since).Abs() > 10*time.Second || (state == Stalled) != (len(s.Stalled) == 1) || s.RecoveredPercent != 100 {
				t.Fatalf("after %v: %v %+v, want %v since %v", time.Since(start), s.State, s, state, since)
			}
			if s := other.Status(); s.State != Running {
				t.Fatalf("another group is %v", s.State)
			}
		}
		time.Sleep(50 * time.Second)
		expect(Running, start)
		time.Sleep(30 * time.Second)
		expect(Stalled, start.Add(time.Minute))
		if got := health.Status().Stalled[0]; got.Topic != "in" || got.Lag() != 1000 {
			t.Fatalf("stalled is %+v", got)
		}
		time.Sleep(time.Hour)
		expect(Stalled, start.Add(time.Minute))
		for offset := range int64(1000) { // slowly, but it moves; 1,000 is the end
			w.add(offset)
			w.finish(offset)
			time.Sleep(40 * time.Second)
			expect(Running, start)
		}
		time.Sleep(time.Hour)
		expect(Running, start)
		cancel()
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if n := strings.Count(logged.String(), "stalled: "); n != 1 || !strings.Contains(logged.String(), "no longer stalled") {
			t.Errorf("logged %d stalls:\n%s", n, logged.String())
		}
	})
}

func TestRecoveredPercent(t *testing.T) {
	k := kafkatest.Start(t, 1, "in", "group-table")
	cl := k.Client(t)
	for i := range 200 {
		kafkatest.Send(t, cl, &kgo.Record{Topic: "group-table", Key: fmt.Append(nil, i), Value: []byte("row")})
	}
	callback := func(reached, release chan struct{}) goka.UpdateCallback {
		return func(ctx goka.UpdateContext, s storage.Storage, key string, value []byte) error {
			if ctx.Offset() == 50 {
				close(reached)
				<-release
			}
			return goka.DefaultUpdate(ctx, s, key, value)
		}
	}
	graph := goka.DefineGroup("group", goka.Input("in", new(codec.String), func(goka.Context, any) {}), goka.Persist(new(codec.String)))
	for name, build := range map[string]func(goka.UpdateCallback) (Runner, error){
		"processor": func(update goka.UpdateCallback) (Runner, error) {
			return NewProcessor(k.ListenAddrs(), graph, Options{}, goka.WithUpdateCallback(update))
		},
		"view": func(update goka.UpdateCallback) (Runner, error) {
			return NewView(k.ListenAddrs(), "group-table", new(codec.String), Options{}, goka.WithViewCallback(update))
		},
	} {
		t.Run(name, func(t *testing.T) {
			reached, release := make(chan struct{}), make(chan struct{})
			ctx, cancel := context.WithCancel(t.Context())
			var health Health
			done := make(chan error, 1)
			go func() {
				done <- Supervise(ctx, name, func(context.Context) (Runner, error) { return build(callback(reached, release)) },
					SuperviseOptions{Health: &health, Logger: kafkatest.Logger(t)})
			}()
			kafkatest.Within(t, "a quarter is read", reached)
			if s := health.Status(); s.State != Recovering || s.RecoveredPercent != 25 {
				t.Errorf("%v, %d %%, want recovering, 25 %%", s.State, s.RecoveredPercent)
			}
			close(release)
			kafkatest.Eventually(t, "all is read", func() bool {
				s := health.Status()
				return s.State == Running && s.RecoveredPercent == 100
			})
			cancel()
			if err := kafkatest.Within(t, "it stops", done); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestTwoInstancesWithTheSameID(t *testing.T) {
	k := kafkatest.Start(t, 1, "in")
	graph := goka.DefineGroup("group", goka.Input("in", new(codec.String), func(goka.Context, any) {}))
	ctx, cancel := context.WithCancel(t.Context())
	var health [2]Health
	var logged kafkatest.Buffer
	done := make(chan error, 2)
	for i := range health {
		go func() {
			done <- Supervise(ctx, "twin", func(context.Context) (Runner, error) {
				return NewProcessor(k.ListenAddrs(), graph, Options{InstanceID: "one-for-all"})
			}, SuperviseOptions{Health: &health[i], Logger: slog.New(slog.NewTextHandler(&logged, nil)), MinBackoff: time.Second, MaxBackoff: time.Second})
		}()
		kafkatest.Eventually(t, "it has joined", func() bool { return health[i].Status().State == Running })
	}
	kafkatest.Eventually(t, "one has thrown the other out", func() bool {
		return health[0].Status().Reason != nil || health[1].Status().Reason != nil
	})
	for _, h := range []*Health{&health[0], &health[1]} {
		err := h.Status().Reason
		if err != nil && (!errors.Is(err, sarama.ErrFencedInstancedId) ||
			!strings.Contains(err.Error(), `another live instance uses the instance id "one-for-all" in group group: give each its own`)) {
			t.Errorf("the reason is %v", err)
		}
	}
	if !strings.Contains(logged.String(), "another live instance") {
		t.Errorf("the log does not say why:\n%s", logged.String())
	}
	cancel()
	for range 2 {
		if err := kafkatest.Within(t, "both stop", done); err != nil {
			t.Error(err)
		}
	}
}

// brokerSide are the goroutines of the embedded broker for connections that the test holds itself.
var brokerSide = goleak.IgnoreAnyFunction("github.com/twmb/franz-go/pkg/kfake.(*clientConn).read.func1")

// TestSupervisedProcessorAndView takes a real processor and a real view through failures and checks that their former
// lives leave no goroutine.
func TestSupervisedProcessorAndView(t *testing.T) {
	k := kafkatest.Start(t, 2, "in", "lookup-table", "group-table")
	cl := k.Client(t, kgo.RecordPartitioner(franz.Partitioner(goka.DefaultHasher())))
	kafkatest.Send(t, cl, &kgo.Record{Topic: "lookup-table", Key: []byte("k"), Value: []byte("looked up")})
	others := goleak.IgnoreCurrent()

	// As on a real cluster when the topics have just been created.
	noLeader := k.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.ListOffsets}, Topic: "group-table", Err: kerr.NotLeaderForPartition, Count: -1})
	o := Options{Logger: kafkatest.Logger(t)}
	o.Producer = franz.ProducerBuilder(franz.Options{Logger: o.Logger})
	var panicked, refused atomic.Bool
	buildProcessor := func(context.Context) (Runner, error) {
		return NewProcessor(k.ListenAddrs(), goka.DefineGroup("group",
			goka.Input("in", new(codec.String), func(ctx goka.Context, m any) {
				if !panicked.Swap(true) {
					panic("a bug")
				}
				ctx.SetValue(m.(string) + " " + ctx.Lookup("lookup-table", "k").(string))
			}),
			goka.Lookup("lookup-table", new(codec.String)),
			goka.Persist(new(codec.String)),
		), o)
	}
	var view atomic.Pointer[View]
	buildView := func(context.Context) (Runner, error) {
		v, err := NewView(k.ListenAddrs(), "group-table", new(codec.String), o,
			goka.WithViewStorageBuilder(func(topic string, p int32) (storage.Storage, error) {
				if !refused.Swap(true) {
					return nil, errors.New("no storage today")
				}
				return MapStorage()(topic, p)
			}))
		if err == nil {
			view.Store(v)
		}
		return v, err
	}
	ctx, cancel := context.WithCancel(t.Context())
	var health [2]Health
	done := make(chan error, 2)
	for i, build := range []func(context.Context) (Runner, error){buildProcessor, buildView} {
		go func() {
			done <- Supervise(ctx, fmt.Sprint("life ", i), build, SuperviseOptions{
				Logger: o.Logger, Health: &health[i], MinBackoff: 10 * time.Millisecond, MaxBackoff: 10 * time.Millisecond,
			})
		}()
	}
	kafkatest.Eventually(t, "the processor fails for want of leaders", func() bool { return health[0].Status().Restarts > 0 })
	noLeader.Remove()
	kafkatest.Send(t, cl, &kgo.Record{Topic: "in", Key: []byte("k"), Value: []byte("handled and")})
	kafkatest.Eventually(t, "the view shows the row", func() bool {
		v := view.Load()
		if v == nil || health[1].Status().State != Running {
			return false
		}
		row, err := v.Get("k")
		return err == nil && row == "handled and looked up"
	})
	for i := range health {
		if s := health[i].Status(); s.State != Running || s.Restarts < 2-i { // a processor without leaders and with a bug, a view without storage
			t.Errorf("life %d: %+v", i, s)
		}
	}
	cancel()
	for range 2 {
		if err := kafkatest.Within(t, "both stop", done); err != nil {
			t.Error(err)
		}
	}
	if err := view.Load().Run(t.Context()); err == nil {
		t.Error("a view was run twice")
	}
	if err := goleak.Find(others, brokerSide, kafkatest.MetricsTick); err != nil {
		t.Error(err)
	}
}

func TestSuperviseGivesUpOnAProcessorDuringAnOutage(t *testing.T) {
	k := kafkatest.Start(t, 1, "in", "out")
	handled, ended := make(chan struct{}), make(chan error, 1)
	build := func(context.Context) (Runner, error) {
		p, err := NewProcessor(k.ListenAddrs(), goka.DefineGroup("group",
			goka.Input("in", new(codec.String), func(ctx goka.Context, m any) {
				k.Down()
				ctx.Emit("out", "k", m)
				close(handled)
			}),
			goka.Output("out", new(codec.String)),
		), Options{Producer: franz.ProducerBuilder(franz.Options{})})
		return runnerFunc(func(ctx context.Context) error {
			err := p.Run(ctx)
			ended <- err
			return err
		}), err
	}
	kafkatest.Send(t, k.Client(t), &kgo.Record{Topic: "in", Value: []byte("v")})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- Supervise(ctx, "thing", build, SuperviseOptions{ShutdownTimeout: 100 * time.Millisecond})
	}()
	kafkatest.Within(t, "the message is handled", handled)
	cancel()
	if err := kafkatest.Within(t, "Supervise returns", done); !errors.Is(err, ErrAbandoned) {
		t.Errorf("got %v", err)
	}
	k.Up() // a process would have exited; here goka may finish, with or without an error about lost connections
	kafkatest.Within(t, "the processor ends", ended)
	if n := len(k.Records(t, "out")); n != 1 {
		t.Errorf("%d records emitted, want 1", n)
	}
}
