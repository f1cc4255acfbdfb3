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
					done <- Supervise(ctx, "thing", lives(life, life, runs(untilDone)), Supervision{Health: h, Logger: testLogger(t)})
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
		err := Supervise(ctx, "thing", build, Supervision{MinBackoff: time.Second, MaxBackoff: 6 * time.Second, HealthyAfter: time.Hour})
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
		err := Supervise(ctx, "thing", lives(runs(func(context.Context) error { return errors.New("failed") })), Supervision{MinBackoff: time.Hour, MaxBackoff: time.Hour})
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
				err := Supervise(ctx, "thing", stuck(release), Supervision{ShutdownTimeout: 7 * time.Second})
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
			}), Supervision{Logger: slog.New(slog.NewTextHandler(&b, nil))})
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
	if err := Supervise(ctx, "thing", build, Supervision{}); err != nil || !r.closed.Load() {
		t.Fatalf("closed %t, error %v", r.closed.Load(), err)
	}
}

type recoveringRunner struct {
	runnerFunc
	recovered atomic.Bool
}

func (r *recoveringRunner) Recovered() bool { return r.recovered.Load() }

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
			done <- Supervise(ctx, "thing", func(context.Context) (Runner, error) { <-built; return r, nil }, Supervision{Health: h})
		}()
		var began time.Time
		expect := func(state State, restarts int, reason string) {
			t.Helper()
			synctest.Wait()
			s := h.Status()
			if s.State != state || s.Restarts != restarts || (reason == "") != (s.Reason == nil) || reason != "" && s.Reason.Error() != reason {
				t.Fatalf("got %v %+v, want %v after %d restarts for %q", s.State, s, state, restarts, reason)
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

// brokerSide are the goroutines of the embedded broker for connections that the test holds itself.
var brokerSide = goleak.IgnoreAnyFunction("github.com/twmb/franz-go/pkg/kfake.(*clientConn).read.func1")

// TestSupervisedProcessorAndView takes a real processor and a real view through failures and checks that their former
// lives leave no goroutine.
func TestSupervisedProcessorAndView(t *testing.T) {
	k := startKafka(t, 2, "in", "lookup-table", "group-table")
	cl := k.client(t, kgo.RecordPartitioner(Partitioner(goka.DefaultHasher())))
	send(t, cl, &kgo.Record{Topic: "lookup-table", Key: []byte("k"), Value: []byte("looked up")})
	others := goleak.IgnoreCurrent()

	// As on a real cluster when the topics have just been created.
	noLeader := k.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.ListOffsets}, Topic: "group-table", Err: kerr.NotLeaderForPartition, Count: -1})
	o := Options{Logger: testLogger(t)}
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
			done <- Supervise(ctx, fmt.Sprint("life ", i), build, Supervision{
				Logger: o.Logger, Health: &health[i], MinBackoff: 10 * time.Millisecond, MaxBackoff: 10 * time.Millisecond,
			})
		}()
	}
	eventually(t, "the processor fails for want of leaders", func() bool { return health[0].Status().Restarts > 0 })
	noLeader.Remove()
	send(t, cl, &kgo.Record{Topic: "in", Key: []byte("k"), Value: []byte("handled and")})
	eventually(t, "the view shows the row", func() bool {
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
		if err := within(t, "both stop", done); err != nil {
			t.Error(err)
		}
	}
	if err := view.Load().Run(t.Context()); err == nil {
		t.Error("a view was run twice")
	}
	if err := goleak.Find(others, brokerSide, goleak.IgnoreAnyFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick")); err != nil {
		t.Error(err)
	}
}

func TestSuperviseGivesUpOnAProcessorDuringAnOutage(t *testing.T) {
	k := startKafka(t, 1, "in", "out")
	handled, ended := make(chan struct{}), make(chan error, 1)
	build := func(context.Context) (Runner, error) {
		p, err := NewProcessor(k.ListenAddrs(), goka.DefineGroup("group",
			goka.Input("in", new(codec.String), func(ctx goka.Context, m any) {
				k.down()
				ctx.Emit("out", "k", m)
				close(handled)
			}),
			goka.Output("out", new(codec.String)),
		), Options{})
		return runnerFunc(func(ctx context.Context) error {
			err := p.Run(ctx)
			ended <- err
			return err
		}), err
	}
	send(t, k.client(t), &kgo.Record{Topic: "in", Value: []byte("v")})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Supervise(ctx, "thing", build, Supervision{ShutdownTimeout: 100 * time.Millisecond}) }()
	within(t, "the message is handled", handled)
	cancel()
	if err := within(t, "Supervise returns", done); !errors.Is(err, ErrAbandoned) {
		t.Errorf("got %v", err)
	}
	k.up() // a process would have exited; here goka may finish, with or without an error about lost connections
	within(t, "the processor ends", ended)
	if n := len(k.records(t, "out")); n != 1 {
		t.Errorf("%d records emitted, want 1", n)
	}
}
