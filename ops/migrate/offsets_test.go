package migrate

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"pgregory.net/rapid"
)

// The mapping is that of counting.
func TestOffsetsMapToTarget(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := &offsets{base: rapid.Int64Range(0, 1).Draw(t, "base"), end: rapid.Int64Range(0, 50).Draw(t, "end")}
		has := map[int64]int64{}
		for source := range o.end {
			if rapid.IntRange(0, 3).Draw(t, "there") > 0 {
				has[source] = o.add(source)
			}
		}
		for source := int64(-1); source < o.end+3; source++ {
			below := o.base
			for s := range has {
				if s < source && source <= o.end {
					below++
				}
			}
			if at := o.at(source); at != below {
				t.Fatalf("offset %d is at %d, and %d messages are below it: %+v", source, at, below, o)
			}
			target, there := has[source]
			if at, found := o.of(source); found != there || there && at != target {
				t.Fatalf("message %d is at %d, %t, and it was added as %d, %t: %+v", source, at, found, target, there, o)
			}
		}
		if o.next() != o.base+int64(len(has)) {
			t.Fatalf("after %d messages the next one comes to %d", len(has), o.next())
		}
	})
}

// What was done about a dead letter is said of the same one on the target.
func TestResolutionIDIsMapped(t *testing.T) {
	o := &offsets{base: 1, end: 20}
	o.add(10) // At 1.
	o.add(11) // At 2.
	for of, want := range map[string]string{"3-11": "3-2", "3-7": "3--8", "2-11": "2-11", "rubbish": "rubbish"} {
		headers := []kgo.RecordHeader{{Key: "by", Value: []byte("Max")}, {Key: "letter", Value: []byte(of)}}
		if got := letter(headers, 3, o); string(got[1].Value) != want || string(headers[1].Value) != of {
			t.Errorf("%s became %s, want %s", of, got[1].Value, want)
		}
	}
	if got := letter(nil, 3, o); got != nil {
		t.Errorf("a message without headers got %v", got)
	}
}
