package test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ecupcakes/ecupcakes/load"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestKillMinusNine kills the program twice while thousands of commands are
// under way, and then reads Kafka's topics with a client of its own: no order
// may be lost, and none may be two different orders anywhere.
func TestKillMinusNine(t *testing.T) { everyBroker(t, killMinusNine) }

func killMinusNine(t *testing.T, f *factory) {
	const orders = 2000
	type outcome struct {
		result load.Result
		err    error
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	done := make(chan outcome, 1)
	go func() {
		r, err := load.Run(ctx, load.Options{URL: f.url, Orders: orders, Rate: 300, Walk: true, Out: io.Discard})
		done <- outcome{r, err}
	}()
	for _, shipped := range []int{orders / 4, orders / 2} {
		f.eventually("enough orders are shipped to kill the program amid the others", func() bool {
			return f.stations().Finished["shipped"] >= shipped
		})
		f.kill()
		killed := time.Now()
		f.start()
		t.Logf("killed with at least %d orders shipped, ready again after %s", shipped, time.Since(killed).Round(time.Millisecond))
	}
	var o outcome
	select {
	case o = <-done:
	case <-ctx.Done():
		o = <-done
	}
	result, _ := json.Marshal(o.result) // It is made for that.
	t.Logf("load: %s", result)
	if o.err != nil {
		t.Fatal(o.err)
	}
	if o.result.Retries == 0 {
		t.Error("no retry was needed: the kills hit nothing")
	}
	if s := f.stations(); s.Finished["shipped"] != orders || s.Finished["rejected"] != 0 {
		t.Errorf("GET /stations: %+v", s)
	}

	inputs := []string{"orderrequests", "readytobake", "readytodecorate", "readytopackage", "readytoship", "shipped"}
	statuses := []string{"placed", "mixed", "baked", "decorated", "packaged", "shipped"}
	var ids map[string]order // What was asked for: the first message of each order.
	for i, topic := range inputs {
		seen, repeated := distinct(t, f.read(topic), i == 0)
		t.Logf("%s: %d orders, %d repeated messages", topic, len(seen), repeated)
		if i == 0 {
			ids = seen
		}
		if len(seen) != orders {
			t.Errorf("%s has %d orders, want %d", topic, len(seen), orders)
		}
		for id, asked := range ids {
			got, there := seen[id]
			switch {
			case !there:
				t.Errorf("%s: order %s is lost", topic, id)
			case got.Status != statuses[i] || !got.PlacedOn.Equal(asked.PlacedOn):
				t.Errorf("%s: order %s is %+v, placed as %+v", topic, id, got, asked)
			case i > 0 && !reflect.DeepEqual(got.stages(), stageNames[:i]):
				t.Errorf("%s: order %s has been through %v, want %v", topic, id, got.stages(), stageNames[:i])
			}
		}
	}
	for _, stage := range stageNames {
		last := map[string]string{}
		for _, r := range f.read(stage + "-table") {
			var row struct{ State string }
			if err := json.Unmarshal(r.Value, &row); err != nil {
				t.Fatalf("%s-table: %q: %v", stage, r.Value, err)
			}
			last[string(r.Key)] = row.State
		}
		if len(last) != orders {
			t.Errorf("%s-table has %d orders, want %d", stage, len(last), orders)
		}
		for id := range ids {
			if last[id] != "done" {
				t.Errorf("%s-table: the last row of order %s says %q, want done", stage, id, last[id])
			}
		}
	}
	for _, topic := range []string{"deadletters", "orderfailures"} {
		for _, r := range f.read(topic) {
			t.Errorf("%s has %s %s, headers %v", topic, r.Key, r.Value, r.Headers)
		}
	}
	f.stop()
	if f.data != "" {
		verified(t, orders, "--data", f.data)
	} else {
		verified(t, orders, "--brokers", f.kafka)
	}
}

// distinct returns the first message about each order. A later one must be the
// same to the byte. Only commands may differ, and only in when they were given:
// a customer who got no answer asks again.
func distinct(t *testing.T, records []*kgo.Record, commands bool) (first map[string]order, repeated int) {
	t.Helper()
	first = map[string]order{}
	values := map[string][]byte{}
	for _, r := range records {
		var o order
		if err := json.Unmarshal(r.Value, &o); err != nil {
			t.Fatalf("%s: %q is no order: %v", r.Topic, r.Value, err)
		}
		if o.ID != string(r.Key) {
			t.Errorf("%s: the key of order %s is %s", r.Topic, o.ID, r.Key)
		}
		value := r.Value
		if commands {
			value = withoutTime(t, value)
		}
		before, again := values[o.ID]
		switch {
		case !again:
			first[o.ID], values[o.ID] = o, value
		case bytes.Equal(before, value):
			repeated++
		default:
			t.Errorf("%s: order %s is both\n%s\nand\n%s", r.Topic, o.ID, before, value)
		}
	}
	return first, repeated
}

func withoutTime(t *testing.T, value []byte) []byte {
	t.Helper()
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(value, &fields); err != nil {
		t.Fatal(err)
	}
	delete(fields, "placedOn")
	b, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// read returns all messages of a topic up to its present end; those of one
// partition are in order.
func (f *factory) read(topic string) (records []*kgo.Record) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(f.kafka, ",")...), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		f.t.Fatal(err)
	}
	defer client.Close()
	ends, err := kadm.NewClient(client).ListEndOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		f.t.Fatalf("asking for the ends of %s: %v", topic, err)
	}
	left := map[int32]int64{} // The end of each partition that has not been reached.
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left[o.Partition] = o.Offset
		}
	})
	for len(left) > 0 {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			f.t.Fatalf("reading %s: %v; not reached: %v", topic, err, left)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			records = append(records, r)
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
		})
	}
	return records
}
