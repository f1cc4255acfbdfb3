package deadletters

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/ecupcakes/ecupcakes/gokaplus"
	"github.com/ecupcakes/ecupcakes/internal/testkit"
	"github.com/ecupcakes/ecupcakes/internal/testkit/testbroker"
	"github.com/ecupcakes/ecupcakes/topology"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

var line = topology.Cupcakes

const partitions = 2

// desk is a line's Kafka with its dead letters opened.
type desk struct {
	*Letters
	t      *testing.T
	ctx    context.Context
	client *kgo.Client
}

func open(t *testing.T) *desk {
	t.Helper()
	ctx := testkit.Context(t)
	config, _ := testbroker.StartLine(t, line, partitions)
	letters, err := Open(config, line)
	fatal(t, err)
	t.Cleanup(letters.Close)
	client, err := config.NewClient(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	fatal(t, err)
	t.Cleanup(client.Close)
	return &desk{letters, t, ctx, client}
}

func fatal(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// send writes a message to the partition of its key, and says where it is.
func (d *desk) send(topic, key, value string, headers ...string) (partition int32, offset int64) {
	d.t.Helper()
	r := &kgo.Record{Topic: topic, Key: []byte(key), Value: []byte(value), Partition: gokaplus.Partition([]byte(key), partitions)}
	for i := 0; i < len(headers); i += 2 {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: headers[i], Value: []byte(headers[i+1])})
	}
	fatal(d.t, d.client.ProduceSync(d.ctx, r).FirstErr())
	return r.Partition, r.Offset
}

// putAway writes a message to an input of the mixer and a dead letter of it, as
// the mixing stage does, and returns the letter's id.
func (d *desk) putAway(key, value string, headers ...string) string {
	d.t.Helper()
	p, o := d.send("orderrequests", key, value)
	kept := value
	if len(headers) > 0 {
		kept = value[:3]
	}
	p, o = d.send(line.DeadLetters, key, kept, append(headers,
		"reason", "it is bad", "stage", "mixing", "topic", "orderrequests", "partition", fmt.Sprint(p), "offset", fmt.Sprint(o))...)
	return fmt.Sprintf("%d-%d", p, o)
}

// has is what a topic has, as keys and values.
func (d *desk) has(topic string) (all []string) {
	d.t.Helper()
	ranges, err := d.admin.Ranges(d.ctx, topic)
	fatal(d.t, err)
	for p := range int32(partitions) {
		fatal(d.t, d.read(d.ctx, topic, p, ranges[p], func(r *kgo.Record) {
			all = append(all, string(r.Key)+"="+string(r.Value))
		}))
	}
	slices.Sort(all)
	return all
}

func (d *desk) list(f Filter) (ids []string) {
	d.t.Helper()
	list, err := d.List(d.ctx, f)
	fatal(d.t, err)
	for _, l := range list.Letters {
		ids = append(ids, l.ID+l.Resolved)
	}
	slices.Sort(ids)
	return ids
}

func (d *desk) want(what string, got, want []string) {
	d.t.Helper()
	slices.Sort(want)
	if !slices.Equal(got, want) {
		d.t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func TestRequeueOnceAndDrop(t *testing.T) {
	d := open(t)
	a, b, c := d.putAway("a", "bad a"), d.putAway("b", "bad b"), d.putAway("c", "bad c")
	d.want("at first", d.list(Filter{Limit: 10}), []string{a, b, c})
	if l, err := d.Find(d.ctx, b); err != nil || l.Key != "b" || string(l.Value) != "bad b" || l.Reason != "it is bad" || l.Stage != "mixing" || l.Topic != "orderrequests" {
		t.Errorf("%+v, %v", l, err)
	}
	for i, by := range []string{"Max", "Eva"} {
		if now, before, err := d.Requeue(d.ctx, a, by); err != nil || before != (i > 0) || now.Resolved != Requeued || now.By != "Max" {
			t.Errorf("requeue %d: %+v, %v, %v", i, now, before, err)
		}
	}
	if now, before, err := d.Drop(d.ctx, a, "Eva"); err != nil || !before || now.Resolved != Requeued || now.By != "Max" {
		t.Errorf("dropped after it was requeued: %+v, %v, %v", now, before, err)
	}
	if now, before, err := d.Drop(d.ctx, b, "Max"); err != nil || before || now.Resolved != Dropped || now.By != "Max" {
		t.Errorf("dropped: %+v, %v, %v", now, before, err)
	}
	d.want("what is left", d.list(Filter{Limit: 10}), []string{c})
	d.want("all", d.list(Filter{Limit: 10, All: true}), []string{a + Requeued, b + Dropped, c})
	d.want("another stage's", d.list(Filter{Limit: 10, Stage: "baking", All: true}), nil)
	d.want("the input", d.has("orderrequests"), []string{"a=bad a", "a=bad a", "b=bad b", "c=bad c"})
	if l, err := d.Find(d.ctx, a); err != nil || l.Resolved != Requeued || l.By != "Max" {
		t.Errorf("%+v, %v", l, err)
	}
}

// A crash between the message and the resolution leaves the dead letter unresolved.
func TestRequeueAfterCrashSendsAgain(t *testing.T) {
	d := open(t)
	id := d.putAway("a", "bad")
	d.send("orderrequests", "a", "bad") // The crashed process has written this message only.
	if _, before, err := d.Requeue(d.ctx, id, "Max"); err != nil || before {
		t.Errorf("%v, %v", before, err)
	}
	d.want("the input", d.has("orderrequests"), []string{"a=bad", "a=bad", "a=bad"})
	d.want("what is left", d.list(Filter{Limit: 10}), nil)
}

// A requeued message has the trace context of the original.
func TestRequeueKeepsTrace(t *testing.T) {
	d := open(t)
	const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	for sent, want := range map[string]string{trace: trace, "rubbish": ""} {
		p, o := d.send(line.DeadLetters, "a", "bad", "topic", "orderrequests", "traceparent", sent)
		if now, _, err := d.Requeue(d.ctx, fmt.Sprintf("%d-%d", p, o), "Max"); err != nil || now.Trace != want {
			t.Errorf("%q is %q, %v", sent, now.Trace, err)
		}
		ranges, err := d.admin.Ranges(d.ctx, "orderrequests")
		fatal(t, err)
		fatal(t, d.readOne(d.ctx, "orderrequests", place{p, ranges[p].End - 1}, func(r *kgo.Record) {
			if got := header(r, "traceparent"); got != want {
				t.Errorf("%q is sent as %q", sent, got)
			}
		}))
	}
}

func TestRequeueOfTruncatedLetterSendsOriginal(t *testing.T) {
	d := open(t)
	id, gone := d.putAway("a", "a long message", "truncated", "14"), d.putAway("b", "another long message", "truncated", "20")
	if _, _, err := d.Requeue(d.ctx, id, "Max"); err != nil {
		t.Error(err)
	}
	d.want("the input", d.has("orderrequests"), []string{"a=a long message", "a=a long message", "b=another long message"})

	ends, err := kadm.NewClient(d.client).ListEndOffsets(d.ctx, "orderrequests")
	fatal(t, err)
	_, err = kadm.NewClient(d.client).DeleteRecords(d.ctx, ends.Offsets())
	fatal(t, err)
	var e *StuckError
	if _, _, err := d.Requeue(d.ctx, gone, "Max"); !errors.As(err, &e) {
		t.Errorf("the message is gone: %v", err)
	}
	d.want("what is left", d.list(Filter{Limit: 10}), []string{gone})
}

func TestRequeueRejectsUnsendableLetters(t *testing.T) {
	d := open(t)
	id := d.putAway("a", "bad")
	if _, _, err := d.Drop(d.ctx, id, "Max"); err != nil {
		t.Fatal(err)
	}
	p, o := d.send(line.DeadLetters, "a", "bad", "reason", "r", "topic", "somewhere-else")
	var e *StuckError
	if _, _, err := d.Requeue(d.ctx, fmt.Sprintf("%d-%d", p, o), "Max"); !errors.As(err, &e) {
		t.Errorf("a letter from elsewhere is sent there: %v", err)
	}
	resolution := fmt.Sprintf("%d-%d", p, o-1)
	for _, id := range []string{"", "1", "x-1", "-1-1", "0-99", "9-0", "99999999999-0", resolution} {
		if _, err := d.Find(d.ctx, id); !errors.Is(err, ErrUnknown) {
			t.Errorf("%q: %v", id, err)
		}
	}
}

// A limited list has the newest dead letters.
func TestListLimit(t *testing.T) {
	d := open(t)
	var ids []string
	for i := range 5 {
		ids = append(ids, d.putAway("a", fmt.Sprint(i)))
	}
	var older Position
	for _, want := range [][]string{ids[3:], ids[1:3], ids[:1]} {
		list, err := d.List(d.ctx, Filter{Limit: 2, Before: older})
		var got []string
		for _, l := range list.Letters {
			got = append(got, l.ID)
		}
		if err != nil || list.Count != 5 || !slices.Equal(got, want) || list.More != (want[0] != ids[0]) {
			t.Fatalf("%+v, %v, want %q", list, err, want)
		}
		older = Position{list.Letters[0].Time, list.Letters[0].ID}
	}
}
