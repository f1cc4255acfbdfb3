package deadletters

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ecupcakes/ecupcakes/kafka"

	"github.com/twmb/franz-go/pkg/kgo"
)

// topic is one partition of dead letters, as an index reads it.
type topic struct {
	*index
	records []*kgo.Record
}

func newTopic() *topic {
	return &topic{index: &index{parts: map[int32]*part{}, newest: map[place]*Letter{}}}
}

func (x *topic) write(value string, headers ...string) {
	r := &kgo.Record{Offset: int64(len(x.records)), Value: []byte(value), Timestamp: time.UnixMilli(int64(len(x.records)))}
	for i := 0; i < len(headers); i += 2 {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: headers[i], Value: []byte(headers[i+1])})
	}
	x.records = append(x.records, r)
}

func (x *topic) writeResolution(letter int) {
	x.write("", resolutionHeader, Dropped, letterHeader, fmt.Sprint("0-", letter))
}

// read has the index read what is new, as Letters.catchUp does.
func (x *topic) read() {
	k := x.meet(0, kafka.Range{End: int64(len(x.records))})
	for _, r := range x.records[k.next:] {
		x.take(r)
		k.reach(r.Offset + 1)
	}
}

func (x *topic) oldestAndCount() (oldest string, count int) {
	list := x.choose(Filter{Limit: maxListed})
	if len(list.Letters) == 0 {
		return "", 0
	}
	return list.Letters[0].ID, list.Count
}

// The index is bounded, whatever the length of the topic. A dead letter that was left out is listed
// once enough newer ones are resolved.
func TestListShowsOlderLettersOnceNewerAreResolved(t *testing.T) {
	const letters = 3*maxListed - 1
	x := newTopic()
	for range letters {
		x.write("bad")
	}
	x.read()
	if len(x.newest) >= 2*maxListed || x.starved() {
		t.Errorf("%d summaries are kept, starved %v", len(x.newest), x.starved())
	}
	if oldest, count := x.oldestAndCount(); count != maxListed || oldest != fmt.Sprint("0-", letters-maxListed) || !x.choose(Filter{}).LeftOut {
		t.Errorf("%d are listed from %s", count, oldest)
	}
	for i := range 2 * maxListed {
		x.writeResolution(letters - 1 - i)
	}
	x.read()
	fresh := newTopic()
	fresh.records = x.records
	fresh.read()
	for name, x := range map[string]*topic{"one that follows": x, "a new one": fresh} {
		if !x.starved() {
			t.Errorf("%s misses nothing", name)
		}
		x.again()
		x.read()
		if oldest, count := x.oldestAndCount(); count != letters-2*maxListed || oldest != "0-0" || x.choose(Filter{}).LeftOut || x.starved() || len(x.newest) >= 2*maxListed {
			t.Errorf("%s: %d are listed from %s, %d are kept, starved %v", name, count, oldest, len(x.newest), x.starved())
		}
		if _, done := x.resolution(place{0, 0}); done {
			t.Errorf("%s: something was done about the first", name)
		}
		if where, done := x.resolution(place{0, letters - 1}); !done || where.offset != letters {
			t.Errorf("%s: what was done about the last is at %v", name, where)
		}
	}
}

func TestSummariesAreBounded(t *testing.T) {
	x := newTopic()
	long := strings.Repeat("ü", 100_000)
	x.write(long, "reason", long, "stage", long, "topic", long)
	x.records[0].Key, x.records[0].Timestamp = []byte(long), time.UnixMilli(1<<60)
	x.write("", resolutionHeader, long, letterHeader, "0-0", byHeader, long)
	x.read()
	l := x.choose(Filter{All: true, Limit: 1}).Letters[0]
	for _, s := range []string{string(l.Value), l.Key, l.Reason, l.Stage, l.Topic, l.Resolved, l.By} {
		if len(s) > maxText || s == "" || strings.Trim(s, "ü") != "" {
			t.Errorf("%d bytes are kept: %.40q", len(s), s)
		}
	}
	if l.Size != len(long) {
		t.Errorf("its size is %d", l.Size)
	}
	if _, err := json.Marshal(l); err != nil {
		t.Error(err)
	}
}

func TestIndexFollowsRetentionAndRecreatedTopic(t *testing.T) {
	x := newTopic()
	for range 10 {
		x.write("bad")
	}
	x.writeResolution(8)
	x.read()
	for _, c := range []struct {
		name  string
		now   kafka.Range
		next  int64
		left  int
		known bool // What was done about 0-8.
	}{
		{"nothing new", kafka.Range{End: 11}, 11, 10, true},
		{"some are gone", kafka.Range{Begin: 7, End: 11}, 11, 3, true},
		{"all are gone", kafka.Range{Begin: 20, End: 21}, 20, 0, false},
		{"another topic", kafka.Range{End: 3}, 0, 0, false},
	} {
		k := x.meet(0, c.now)
		_, known := x.resolution(place{0, 8})
		if k.begin != c.now.Begin || k.next != c.next || len(x.newest) != c.left || known != c.known {
			t.Errorf("%s: from %d, next %d, %d letters, known %v", c.name, k.begin, k.next, len(x.newest), known)
		}
	}
}

// A resolution of a dead letter that does not exist, or follows it, has no effect.
func TestInvalidResolutionsAreIgnored(t *testing.T) {
	x := newTopic()
	x.write("bad")
	for _, letter := range []string{"0-1", "0-99", "1-0", "0--1", "x", ""} {
		x.write("", resolutionHeader, Dropped, letterHeader, letter)
	}
	x.read()
	if _, count := x.oldestAndCount(); count != 1 {
		t.Errorf("%d letters are left", count)
	}
}

// A call that times out keeps what it has read for the next one.
func TestReadingResumesAfterTimeout(t *testing.T) {
	d := open(t)
	for range 2 * partitions {
		d.putAway("a", "bad")
		d.putAway("b", "bad")
	}
	ranges, err := d.admin.Ranges(d.ctx, line.DeadLetters)
	fatal(t, err)
	fatal(t, d.catchUp(d.ctx, map[int32]kafka.Range{0: ranges[0]})) // All that there was time for.
	over, cancel := context.WithDeadline(d.ctx, time.Now())
	defer cancel()
	var e *ReadingError
	if err := d.catchUp(over, ranges); err == nil || errors.As(err, &e) {
		t.Errorf("without time: %v", err)
	}
	list, err := d.List(d.ctx, Filter{Limit: 100})
	if err != nil || list.Count != 4*partitions {
		t.Errorf("%+v, %v", list, err)
	}
}

// Calls are served one at a time; a call whose deadline passes while it waits fails with ErrBusy.
func TestWaitingCallFailsWithErrBusy(t *testing.T) {
	d := open(t)
	id := d.putAway("a", "bad")
	leave, err := d.enter(d.ctx)
	fatal(t, err)
	ctx, cancel := context.WithTimeout(d.ctx, 10*time.Millisecond)
	defer cancel()
	if _, err := d.List(ctx, Filter{Limit: 1}); !errors.Is(err, ErrBusy) {
		t.Errorf("list: %v", err)
	}
	if _, _, err := d.Requeue(ctx, id, "Max"); !errors.Is(err, ErrBusy) {
		t.Errorf("requeue: %v", err)
	}
	leave()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if now, _, err := d.Requeue(d.ctx, id, "Max"); err != nil || now.Resolved != Requeued {
				t.Errorf("%+v, %v", now, err)
			}
		})
	}
	wg.Wait()
	d.want("the input", d.has("orderrequests"), []string{"a=bad", "a=bad"})
}

// A hundred thousand dead letters of a kilobyte each do not stay in memory.
func TestListOfManyLettersIsBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("it writes 100 MB")
	}
	const letters = 100_000
	d := open(t)
	value := []byte(strings.Repeat("bad ", 256))
	for i := range letters {
		d.client.Produce(d.ctx, &kgo.Record{Topic: line.DeadLetters, Partition: int32(i % partitions), Value: value}, nil)
	}
	fatal(t, d.client.Flush(d.ctx))
	before := heap()
	list, err := d.List(d.ctx, Filter{Limit: 100})
	if err != nil || len(list.Letters) != 100 || list.Count != maxListed || !list.More {
		t.Errorf("%d of %d, more %v, %v", len(list.Letters), list.Count, list.More, err)
	}
	if grown := heap() - before; grown > 32<<20 {
		t.Errorf("the heap has grown by %d bytes", grown)
	}
	runtime.KeepAlive(d)
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
