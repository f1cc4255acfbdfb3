package views

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/ecupcakes/ecupcakes/gokaplus"
	"github.com/ecupcakes/ecupcakes/gokaplus/franz"
	"github.com/ecupcakes/ecupcakes/internal/testkit"
	"github.com/ecupcakes/ecupcakes/internal/testkit/testbroker"
	"github.com/ecupcakes/ecupcakes/kafka"
)

// A stage has caught up when all partitions of its table have been read.
func TestReadyWaitsForAllPartitions(t *testing.T) {
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
		t.Errorf("not ready after everything has been read: %v", err)
	}
}

// TestViewFollowsTheTables follows the tables of an embedded broker.
func TestViewFollowsTheTables(t *testing.T) {
	testkit.NoLeaks(t)
	ctx := testkit.Context(t)
	config, admin := testbroker.StartLine(t, line, 2)
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
		view, err := v.View(ctx, stage, config.Brokers, admin.EndOffsets, gokaplus.Options{Sarama: config.Sarama, Producer: franz.ProducerBuilder(franz.Options{Client: config.ClientOptions}), Logger: quiet})
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
	caughtUp := func() []bool {
		v.mu.Lock()
		defer v.mu.Unlock()
		return slices.Clone(v.caughtUp[:last])
	}
	testkit.Eventually(t, "all views but the last have caught up", func() bool { return !slices.Contains(caughtUp(), false) },
		func() any { return caughtUp() })
	notReady(99)
	stops[last] = start(last)
	testkit.Eventually(t, "the views are ready", func() bool { return v.Ready() == nil }, func() any { return v.Ready() })
	wantAnswers(t, v, f.answers())

	// A restarted view reads its table from the start.
	position := v.feed.position()
	for stage, stop := range stops {
		stop()
		stops[stage] = start(stage)
	}
	if err := v.Ready(); err != nil {
		t.Errorf("while the views restart: %v", err)
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
