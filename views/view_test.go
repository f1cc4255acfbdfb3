package views

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/ecupcakes/ecupcakes/gokaplus"
	"github.com/ecupcakes/ecupcakes/kafka"
	"github.com/ecupcakes/ecupcakes/kafka/embedded"

	"go.uber.org/goleak"
)

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(deadline); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after %s it is still not so: %s", deadline, what)
		}
	}
}

// A stage has caught up when all partitions of its table have been read.
func TestReady(t *testing.T) {
	v := New(line, quiet)
	for stage := range line.Stages {
		for number := range int32(2) {
			v.progress[partition{stage, number}] = &progress{end: 1}
		}
	}
	for stage := range line.Stages {
		for number := range int32(2) {
			if v.Ready() == nil {
				t.Fatalf("ready before partition %d of stage %d has been read", number, stage)
			}
			v.recovered(stage, number)
		}
	}
	if err := v.Ready(); err != nil {
		t.Errorf("all has been read: %v", err)
	}
}

// TestView follows the tables of a real broker.
func TestView(t *testing.T) {
	// The side of the embedded broker ends when it notices that its client has
	// gone, and a library of sarama's never ends its clock.
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent(),
		goleak.IgnoreAnyFunction("github.com/twmb/franz-go/pkg/kfake.(*clientConn).read.func1"),
		goleak.IgnoreAnyFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"))

	ctx, cancel := context.WithTimeout(context.Background(), 2*deadline)
	defer cancel()
	embedded, err := embedded.Start(t.TempDir(), "127.0.0.1:0", quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := embedded.Close(); err != nil {
			t.Error(err)
		}
	}()
	config := kafka.Config{Brokers: []string{embedded.Addr()}}
	admin, err := kafka.NewAdmin(config)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	if err := admin.Apply(ctx, kafka.RequiredTopics(line, 2, 1)); err != nil {
		t.Fatal(err)
	}
	producer, err := kafka.NewProducer(config)
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	send := func(rows ...row) {
		t.Helper()
		for _, r := range rows {
			if err := producer.Send(ctx, line.Stages[r.stage].Table(), r.id, r.value); err != nil {
				t.Fatal(err)
			}
		}
	}

	v := New(line, quiet)
	start := func(stage int) (stop func()) {
		t.Helper()
		view, err := v.View(ctx, stage, config.Brokers, admin.EndOffsets, gokaplus.Options{Sarama: config.Sarama, Kgo: config.Client(), Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(ctx)
		done := make(chan error, 1)
		go func() { done <- view.Run(ctx) }()
		return func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("the view of stage %d ended with %v", stage, err)
			}
		}
	}

	f := newFactory()
	f.place("o1")
	f.place("o2")
	f.done("o1", 0)
	send(f.all()...)
	send(row{stage: 2, id: "o3", value: []byte("no row")})

	notReady := func(percent int) {
		t.Helper()
		var e *NotReadyError
		if err := v.Ready(); !errors.As(err, &e) || e.Percent != percent {
			t.Errorf("the views are %v, want %d %%", err, percent)
		}
	}
	notReady(0)
	last := len(line.Stages) - 1
	stops := make([]func(), len(line.Stages))
	for stage := range last {
		stops[stage] = start(stage)
	}
	eventually(t, "all but the last view have caught up", func() bool {
		v.mu.Lock()
		defer v.mu.Unlock()
		for _, caughtUp := range v.caughtUp[:last] {
			if !caughtUp {
				return false
			}
		}
		return true
	})
	notReady(99)
	stops[last] = start(last)
	eventually(t, "the views are ready", func() bool { return v.Ready() == nil })
	wantAnswers(t, v, f.answers())

	// A view that starts again reads its table from the start.
	position := v.feed.position()
	for stage, stop := range stops {
		stop()
		stops[stage] = start(stage)
	}
	if err := v.Ready(); err != nil {
		t.Errorf("while views start again: %v", err)
	}
	wantAnswers(t, v, f.answers())
	sent := make([]int, len(f.written))
	for stage, rows := range f.written {
		sent[stage] = len(rows)
	}
	f.done("o1", 1)
	for stage, rows := range f.written {
		send(rows[sent[stage]:]...)
	}
	if _, err := v.Await(ctx, "o1", func(o Order) bool { return o.At == 2 }); err != nil {
		t.Errorf("after the restart: %v", err)
	}
	wantAnswers(t, v, f.answers())
	if changes, err := v.Changes(ctx, position); err != nil || len(changes) > 2 {
		t.Errorf("the changes since the restart are %+v, %v", changes, err)
	}
	for _, stop := range stops {
		stop()
	}
}
