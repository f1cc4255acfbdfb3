package test

import (
	"context"
	"encoding/json"
	"os/exec"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// TestDeadLetters goes through dead letters on the command line, as an operator
// does while the line runs.
func TestDeadLetters(t *testing.T) { everyBroker(t, deadLetters) }

func deadLetters(t *testing.T, f *factory) {
	run := func(args ...string) []byte {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), deadline)
		defer cancel()
		args = append([]string{"deadletters", args[0], "--brokers", f.kafka}, args[1:]...)
		out, err := exec.CommandContext(ctx, binary, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
		return out
	}
	type letter struct{ ID, Key, Reason, Stage, Topic, Resolved string }
	list := func(flags ...string) []letter {
		var all struct{ Letters []letter }
		if err := json.Unmarshal(run(append([]string{"list", "--json"}, flags...)...), &all); err != nil {
			t.Fatal(err)
		}
		return all.Letters
	}
	id := f.place()
	s := &scene{t: t, brokers: f.kafka}
	s.produce([]*kgo.Record{{Topic: "orderrequests", Partition: partitionOf([]byte(id)), Key: []byte(id), Value: []byte("rubbish")}})
	f.eventually("the rubbish is a dead letter", func() bool { return len(list()) == 1 })
	first := list()[0]
	if first.Key != id || first.Stage != "mixing" || first.Topic != "orderrequests" || first.Reason == "" {
		t.Errorf("%+v", first)
	}
	run("requeue", first.ID, "--by", "Max")
	run("requeue", first.ID, "--by", "Max")
	f.eventually("it is as bad as before", func() bool { return len(list()) == 1 && list()[0].ID != first.ID })
	run("show", list()[0].ID)
	run("drop", "--all-of-stage", "mixing")
	if left, all := list(), list("--all"); len(left) != 0 || len(all) != 2 || all[0].Resolved != "requeued" || all[1].Resolved != "dropped" {
		t.Errorf("%+v is left of %+v", left, all)
	}
	f.finish("mix", "MixedBy", "Ana", id)
	f.stop()
}
