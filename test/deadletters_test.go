package test

import (
	"context"
	"encoding/json"
	"os/exec"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// TestDeadLetters goes through dead letters on the command line and over HTTP,
// as an operator and a manager do while the line runs.
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
	produce(t, f.kafka, []*kgo.Record{{Topic: "orderrequests", Partition: partitionOf([]byte(id)), Key: []byte(id), Value: []byte("rubbish")}})
	f.eventually("the rubbish is a dead letter", func() bool { return len(list()) == 1 })
	first := list()[0]
	if first.Key != id || first.Stage != "mixing" || first.Topic != "orderrequests" || first.Reason == "" {
		t.Errorf("%+v", first)
	}
	run("requeue", first.ID, "--by", "Max")
	run("requeue", first.ID, "--by", "Max")
	f.eventually("it is as bad as before", func() bool { return len(list()) == 1 && list()[0].ID != first.ID })
	second := list()[0]
	run("show", second.ID)

	byHTTP := func(query string) []letter {
		t.Helper()
		var all struct{ DeadLetters []letter }
		f.must(200, "GET", "/api/v1/deadletters"+query, "").decode(t, &all)
		return all.DeadLetters
	}
	if left := byHTTP(""); len(left) != 1 || left[0] != second {
		t.Errorf("over HTTP %+v is left, want %+v", left, second)
	}
	var shown struct{ Value, Encoding string }
	path := "/api/v1/deadletters/" + second.ID
	if f.must(200, "GET", path, "").decode(t, &shown); shown.Value != "rubbish" || shown.Encoding != "text" {
		t.Errorf("over HTTP it is %+v", shown)
	}
	for _, before := range []bool{false, true} {
		var done struct {
			DeadLetter letter
			Before     bool
		}
		f.must(200, "POST", path+"/requeue", `{"by":"Eva"}`).decode(t, &done)
		if done.Before != before || done.DeadLetter.Resolved != "requeued" {
			t.Errorf("over HTTP it is requeued: %+v", done)
		}
	}
	f.eventually("it is as bad as ever", func() bool { return len(byHTTP("")) == 1 && byHTTP("")[0].ID != second.ID })
	f.must(409, "POST", path+"/drop", "")
	f.must(404, "POST", "/api/v1/deadletters/0-99999/requeue", "")

	run("drop", "--all-of-stage", "mixing")
	for _, all := range [][]letter{list("--all"), byHTTP("?all=true")} {
		if len(all) != 3 || all[0].Resolved != "requeued" || all[1].Resolved != "requeued" || all[2].Resolved != "dropped" {
			t.Errorf("all are %+v", all)
		}
	}
	if left := append(list(), byHTTP("")...); len(left) > 0 {
		t.Errorf("%+v is left", left)
	}
	f.finish("mix", "MixedBy", "Ana", id)
	f.stop()
}
