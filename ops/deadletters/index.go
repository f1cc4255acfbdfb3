package deadletters

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ecupcakes/ecupcakes/kafka"

	"github.com/twmb/franz-go/pkg/kgo"
)

// maxListed is how many letters a list is made of, the newest; what has been
// done about is left out first.
const maxListed = 10_000

// What a summary keeps of a letter, in bytes: anybody can write anything to a
// topic.
const (
	maxPreview = 256
	maxText    = 1 << 10
)

// index is what has been read of the topic of the dead letters: summaries of the
// newest letters, 2 kB each at most and twice maxListed of them, and for each
// message of the topic four bytes. Each read goes on where the last one ended,
// so that one that ran out of time was not in vain.
type index struct {
	parts   map[int32]*part
	newest  map[place]*Letter
	leftOut bool // Letters about which nothing had been done are not in newest.
}

// part is what is known of a partition.
type part struct {
	begin, next int64    // The first message that is there, and the first that is to be read.
	behind      []uint32 // How far behind each message, from begin on, its last resolution lies; 0 for none.
}

// place is where a letter lies on its topic.
type place struct {
	partition int32
	offset    int64
}

func (at place) String() string { return fmt.Sprintf("%d-%d", at.partition, at.offset) }

func (at place) compare(b place) int {
	return cmp.Or(cmp.Compare(at.partition, b.partition), cmp.Compare(at.offset, b.offset))
}

func parsePlace(id string) (at place, ok bool) {
	before, after, found := strings.Cut(id, "-")
	p, errP := strconv.ParseInt(before, 10, 32)
	o, errO := strconv.ParseInt(after, 10, 64)
	return place{int32(p), o}, found && errP == nil && errO == nil && p >= 0 && o >= 0
}

// ValidID says whether an id can be that of a letter.
func ValidID(id string) bool {
	_, ok := parsePlace(id)
	return ok
}

// ReadingError says that time ran out before all dead letters were read. The
// next call on the same Letters goes on from there.
type ReadingError struct{ Percent int }

func (e *ReadingError) Error() string {
	return fmt.Sprintf("the dead letters are still being read, %d %% are done: try again", e.Percent)
}

// catchUp reads what is new in the ranges, which are those of partitions of the
// topic. It returns a *ReadingError when ctx ended and it had come further.
func (l *Letters) catchUp(ctx context.Context, ranges map[int32]kafka.Range) error {
	var begun, known, all int64
	for p, r := range ranges {
		k := l.index.meet(p, r)
		begun += k.next - r.Begin
	}
	for _, p := range slices.Sorted(maps.Keys(ranges)) {
		if err := l.catchUpPart(ctx, p, ranges[p].End); err != nil {
			for p, r := range ranges {
				known += l.index.parts[p].next - r.Begin
				all += r.End - r.Begin
			}
			if errors.Is(err, context.DeadlineExceeded) && known > begun {
				return &ReadingError{int(known * 100 / all)}
			}
			return err
		}
	}
	return nil
}

func (l *Letters) catchUpPart(ctx context.Context, p int32, end int64) error {
	k := l.index.parts[p]
	err := l.read(ctx, l.line.DeadLetters, p, kafka.Range{Begin: k.next, End: end}, func(r *kgo.Record) {
		l.index.take(r)
		k.reach(r.Offset + 1)
	})
	if err == nil {
		k.reach(end) // The last ones may have been control records.
	}
	return err
}

// meet makes what is known of a partition agree with what is there now.
func (x *index) meet(p int32, r kafka.Range) *part {
	k := x.parts[p]
	if k == nil || k.next > r.End || k.begin > r.Begin { // New, or not the topic that it was.
		x.forget(p, r.End)
		k = &part{begin: r.Begin, next: r.Begin}
		x.parts[p] = k
	}
	if gone := r.Begin - k.begin; gone > 0 {
		x.forget(p, r.Begin)
		k.behind = slices.Delete(k.behind, 0, int(min(gone, int64(len(k.behind)))))
		k.begin, k.next = r.Begin, max(k.next, r.Begin)
	}
	return k
}

// forget drops the summaries of a partition below an offset.
func (x *index) forget(p int32, below int64) {
	maps.DeleteFunc(x.newest, func(at place, _ *Letter) bool { return at.partition == p && at.offset < below })
}

// again has everything read once more, with what was done about it known.
func (x *index) again() {
	clear(x.newest)
	x.leftOut = false
	for _, k := range x.parts {
		k.next = k.begin
	}
}

// starved says that older letters, which were left out, belong in the list now
// that something was done about the newer ones.
func (x *index) starved() bool {
	open := 0
	for _, l := range x.newest {
		if l.Resolved == "" {
			open++
		}
	}
	return x.leftOut && open < maxListed/2
}

func (k *part) reach(next int64) {
	k.next = max(k.next, next)
	if more := int(k.next-k.begin) - len(k.behind); more > 0 {
		k.behind = append(k.behind, make([]uint32, more)...)
	}
}

// resolution says where that of a letter lies.
func (x *index) resolution(at place) (where place, resolved bool) {
	k := x.parts[at.partition]
	i := at.offset - k.begin
	if i < 0 || i >= int64(len(k.behind)) || k.behind[i] == 0 {
		return at, false
	}
	return place{at.partition, at.offset + int64(k.behind[i])}, true
}

func (x *index) take(r *kgo.Record) {
	if IsResolution(r) {
		x.takeResolution(r)
		return
	}
	letter := parse(r)
	letter.shorten()
	x.newest[place{r.Partition, r.Offset}] = &letter
	if len(x.newest) >= 2*maxListed {
		x.trim()
	}
}

// takeResolution notes what was done about a letter, which lies before it in the
// same partition.
func (x *index) takeResolution(r *kgo.Record) {
	k := x.parts[r.Partition]
	at, ok := parsePlace(header(r, letterHeader))
	if !ok || at.partition != r.Partition || at.offset < k.begin || at.offset >= r.Offset {
		return
	}
	k.behind[at.offset-k.begin] = uint32(r.Offset - at.offset)
	if l := x.newest[at]; l != nil {
		l.resolve(r)
		l.shorten()
	}
}

// trim leaves out all but maxListed letters: first those that something was done
// about, then the oldest.
func (x *index) trim() {
	places := slices.SortedFunc(maps.Keys(x.newest), func(a, b place) int {
		_, doneA := x.resolution(a)
		_, doneB := x.resolution(b)
		if doneA != doneB {
			return map[bool]int{true: -1, false: 1}[doneA]
		}
		return cmp.Or(x.newest[a].Time.Compare(x.newest[b].Time), a.compare(b))
	})
	for _, at := range places[:len(places)-maxListed] {
		if _, done := x.resolution(at); !done {
			x.leftOut = true
		}
		delete(x.newest, at)
	}
}

// choose returns the letters that the filter chooses, oldest first.
func (x *index) choose(f Filter) Listing {
	var found []place
	for at, l := range x.newest {
		if (f.All || l.Resolved == "") && (f.Stage == "" || f.Stage == l.Stage) {
			found = append(found, at)
		}
	}
	slices.SortFunc(found, func(a, b place) int {
		return cmp.Or(x.newest[a].Time.Compare(x.newest[b].Time), a.compare(b))
	})
	leftOut := x.leftOut || len(found) > maxListed
	found = found[max(0, len(found)-maxListed):]
	count := len(found)
	if before, ok := parsePlace(f.Before.ID); ok {
		found = slices.DeleteFunc(found, func(at place) bool {
			return cmp.Or(x.newest[at].Time.Compare(f.Before.Time), at.compare(before)) >= 0
		})
	}
	list := Listing{Letters: []Letter{}, Count: count, More: len(found) > f.Limit, LeftOut: leftOut}
	for _, at := range found[max(0, len(found)-f.Limit):] {
		list.Letters = append(list.Letters, *x.newest[at])
	}
	return list
}

// Position is a letter's place in the order of a list.
type Position struct {
	Time time.Time
	ID   string
}

// shorten makes a letter a summary that keeps nothing else in memory.
func (l *Letter) shorten() {
	l.Value = slices.Clone(l.Value[:min(len(l.Value), maxPreview)])
	for _, s := range []*string{&l.Key, &l.Reason, &l.Stage, &l.Topic, &l.Resolved, &l.By} {
		if len(*s) > maxText {
			*s = strings.Clone(strings.ToValidUTF8((*s)[:maxText], ""))
		}
	}
}
