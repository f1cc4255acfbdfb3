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

// maxListed is the number of dead letters that can be listed: the newest ones, unresolved ones before
// resolved ones.
const maxListed = 10_000

// Limits of a summary, in bytes. They bound memory, because any producer can write any headers to the
// topic.
const (
	maxPreview = 256     // Of the value.
	maxText    = 1 << 10 // Of each text.
)

// index holds what has been read of the dead-letter topic: up to 2*maxListed summaries of the newest
// dead letters, each of at most 2 kB, and four bytes for each message of the topic. Each read resumes
// where the last one ended, so a read that runs into its timeout is not wasted.
type index struct {
	parts   map[int32]*part
	newest  map[place]*Letter
	leftOut bool // Some unresolved dead letters are not in newest.
}

// part is the index of a partition.
type part struct {
	begin, next int64    // The first offset of the partition, and the next offset to read.
	behind      []uint32 // For each offset from begin on, the distance to its last resolution; 0 for none.
}

// place is the position of a dead letter on the topic.
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

// ValidID reports whether id has the form of a dead letter's ID.
func ValidID(id string) bool {
	_, ok := parsePlace(id)
	return ok
}

// ReadingError reports that the deadline passed before all dead letters were read. The next call on
// the same Letters resumes reading.
type ReadingError struct{ Percent int }

func (e *ReadingError) Error() string {
	return fmt.Sprintf("the dead letters are still being read, %d %% are done: try again", e.Percent)
}

// catchUp reads the new messages of the partitions up to the ends of their ranges. It returns a
// *ReadingError if the deadline of ctx passed and at least some messages were read.
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
		k.reach(end) // The last records may be control records, which are not passed to take.
	}
	return err
}

// meet adapts the index of a partition to the partition's current range.
func (x *index) meet(p int32, r kafka.Range) *part {
	k := x.parts[p]
	if k == nil || k.next > r.End || k.begin > r.Begin { // The partition is new, or the topic was recreated.
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

// forget deletes the summaries of a partition below an offset.
func (x *index) forget(p int32, below int64) {
	maps.DeleteFunc(x.newest, func(at place, _ *Letter) bool { return at.partition == p && at.offset < below })
}

// again restarts reading from the beginning, but keeps the known resolutions.
func (x *index) again() {
	clear(x.newest)
	x.leftOut = false
	for _, k := range x.parts {
		k.next = k.begin
	}
}

// starved reports whether the topic must be read again: unresolved dead letters were left out, and
// since then so many newer ones were resolved that the older ones now belong in the list.
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

// resolution returns the position of a dead letter's last resolution.
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

// takeResolution records the resolution of a dead letter, which must precede it in the partition.
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

// trim reduces the summaries to maxListed. It deletes resolved dead letters first, then the oldest.
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

// choose returns the dead letters that match the filter.
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

// Position is the position of a dead letter in a Listing, which is ordered by time, then ID.
type Position struct {
	Time time.Time
	ID   string
}

// shorten cuts a dead letter to a summary. It copies what it keeps, so that the message can be freed.
func (l *Letter) shorten() {
	l.Value = slices.Clone(l.Value[:min(len(l.Value), maxPreview)])
	for _, s := range []*string{&l.Key, &l.Reason, &l.Stage, &l.Topic, &l.Resolved, &l.By} {
		if len(*s) > maxText {
			*s = strings.Clone(strings.ToValidUTF8((*s)[:maxText], ""))
		}
	}
}
