package test

import (
	"context"
	"fmt"
	"net/http"
	"os/exec"
	"reflect"
	"strings"
	"testing"

	"github.com/ecupcakes/ecupcakes/internal/testkit"
)

var (
	stageNames = []string{"mixing", "baking", "decorating", "packaging", "shipping"}

	// steps are the commands of the stages, with who gives them.
	steps = []struct{ verb, field, by string }{
		{"mix", "MixedBy", "Ana"},
		{"bake", "BakedBy", "Ben"},
		{"decorate", "DecoratedBy", "Cleo"},
		{"box", "PackagedBy", "Dan"},
		{"ship", "ShippedBy", "Eve"},
	}
)

func TestOneOrder(t *testing.T) { everyBroker(t, oneOrder) }

func oneOrder(t *testing.T, f *factory) {
	id := f.place()
	for i, s := range steps {
		o := f.finish(s.verb, s.field, s.by, id)
		if o.ID != id || len(o.History) != i+1 || o.History[i].By != s.by || o.History[i].Stage != stageNames[i] {
			t.Errorf("after %s by %s the order is %+v", s.verb, s.by, o)
		}
	}
	var o order
	f.must(http.StatusOK, "GET", "/api/v1/order/"+id, "").decode(t, &o)
	if o.Status != "shipped" || o.State != "done" || !reflect.DeepEqual(o.stages(), stageNames) {
		t.Errorf("in the end the order is %+v", o)
	}
	for _, topic := range []string{"orderrequests", "readytobake", "shipped"} {
		t.Run(topic, func(t *testing.T) {
			if out := kcat(t, f.kafka, topic); !strings.Contains(out, id) {
				t.Errorf("the order %s is not on %s; kcat shows:\n%s", id, topic, out)
			}
		})
	}
	f.stop()
}

// kcat reads a topic to its end with a client that has nothing in common with
// ours.
func kcat(t *testing.T, brokers, topic string) string {
	t.Helper()
	path, err := exec.LookPath("kcat")
	if err != nil {
		testkit.Missing(t, fmt.Errorf("%w: install the Debian package kcat", err))
	}
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, "-b", brokers, "-C", "-t", topic, "-o", "beginning", "-e", "-q").CombinedOutput()
	if err != nil {
		t.Fatalf("kcat: %v\n%s", err, out)
	}
	return string(out)
}

func TestRestartKeepsEverything(t *testing.T) { everyBroker(t, restartKeepsEverything) }

func restartKeepsEverything(t *testing.T, f *factory) {
	waiting, mixed, rejected, shipped := f.place(), f.place(), f.place(), f.place()
	f.finish("mix", "MixedBy", "Ana", mixed)
	var r order
	f.must(http.StatusOK, "POST", "/api/v1/order/reporterror", `{"Order":{"Id":"`+rejected+`"},"Reason":"no flour","ReportedBy":"Ana"}`).decode(t, &r)
	if r.Status != "rejected" || r.Reason != "no flour" {
		t.Errorf("the rejected order is %+v", r)
	}
	for _, s := range steps {
		f.finish(s.verb, s.field, s.by, shipped)
	}
	f.eventually("the mixed order waits at the oven", func() bool { return f.stations().Stations[1].Waiting == 1 })

	paths := []string{"/api/v1/stations", "/api/v1/orders", "/api/v1/orders?status=rejected", "/api/v1/stations/mixing/orders"}
	for _, id := range []string{waiting, mixed, rejected, shipped} {
		paths = append(paths, "/api/v1/order/"+id)
	}
	before := map[string]answer{}
	for _, p := range paths {
		before[p] = f.must(http.StatusOK, "GET", p, "")
	}
	f.stop()
	f.start()
	for _, p := range paths {
		after := f.must(http.StatusOK, "GET", p, "")
		if string(after.body) != string(before[p].body) || after.Header.Get("ETag") != before[p].Header.Get("ETag") {
			t.Errorf("GET %s after the restart:\n%s %s\nbefore:\n%s %s", p, after.Header.Get("ETag"), after.body, before[p].Header.Get("ETag"), before[p].body)
		}
	}
	// Processing resumes where it stopped.
	if o := f.finish("mix", "MixedBy", "Ana", waiting); o.Status != "mixed" {
		t.Errorf("mixed after the restart, the order is %+v", o)
	}
	f.stop()
}
