// Package deadletters looks through the messages that a line could not use, and
// sends them once more or puts them aside. Kafka is its only store: what was
// done about a letter is a message behind it on the same topic.
//
// It never knows why a message is bad; the stage that put it away said so.
package deadletters

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"time"

	"ecupcakes/broker"
	"ecupcakes/gokaplus"
	"ecupcakes/topology"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Letter is a dead letter.
type Letter struct {
	ID        string    `json:"id"` // Its partition and offset on the topic of the dead letters: "3-17".
	Key       string    `json:"key"`
	Value     []byte    `json:"value"` // As it came; the beginning only if Truncated.
	Truncated bool      `json:"truncated,omitempty"`
	Reason    string    `json:"reason"`
	Stage     string    `json:"stage"`
	Topic     string    `json:"topic"` // Where the stage read it, with partition and offset.
	Partition int32     `json:"partition"`
	Offset    int64     `json:"offset"`
	Time      time.Time `json:"time"` // When the stage put it away.
	Resolved  string    `json:"resolved,omitempty"`
	By        string    `json:"by,omitempty"` // Who resolved it.
}

// What can be done about a letter.
const (
	Requeued = "requeued" // It was sent once more to where it came from.
	Dropped  = "dropped"  // It needs nothing.
)

// The headers of a resolution; those of a letter are the processors'.
const (
	resolutionHeader = "resolution"
	letterHeader     = "letter"
	byHeader         = "by"
)

// IsResolution says whether a message on the topic of the dead letters says
// what was done about one, and is none itself.
func IsResolution(r *kgo.Record) bool { return header(r, resolutionHeader) != "" }

// ErrUnknown says that there is no such letter: it was never there, or is older
// than the topic keeps.
var ErrUnknown = errors.New("no such dead letter")

// GoneError says that a letter holds only the beginning of its message, and
// that the topic it came from does not have the message any more.
type GoneError struct{ Letter Letter }

func (e *GoneError) Error() string {
	l := e.Letter
	return fmt.Sprintf("dead letter %s is only the beginning of its message, and %s does not have that any more (partition %d, offset %d): drop it", l.ID, l.Topic, l.Partition, l.Offset)
}

// Filter chooses letters.
type Filter struct {
	Stage string // Empty for all.
	All   bool   // Those that are resolved, too.
	Limit int    // The most that are wanted; the newest are given.
}

const (
	maxPreview = 1 << 10 // What a list has of a value, in bytes.
	maxListed  = 10_000  // How many letters a list is made of; the oldest of each partition are left out.
)

// Letters are the dead letters of a line. Its methods may be called by any
// number of goroutines.
type Letters struct {
	kafka broker.Config
	line  topology.Line
	admin *broker.Admin
}

// Open connects to the line's Kafka. It must be closed.
func Open(kafka broker.Config, line topology.Line) (*Letters, error) {
	admin, err := broker.NewAdmin(kafka)
	if err != nil {
		return nil, err
	}
	return &Letters{kafka, line, admin}, nil
}

// Close closes the connection.
func (l *Letters) Close() { l.admin.Close() }

// List returns the letters that the filter chooses, oldest first, and how many
// there are in all, 10,000 at most. Values are cut after 1 kB. It reads the whole
// topic.
func (l *Letters) List(ctx context.Context, f Filter) (found []Letter, count int, err error) {
	resolved := map[string]*kgo.Record{}
	err = l.scan(ctx, func(r *kgo.Record) {
		if IsResolution(r) {
			resolved[header(r, letterHeader)] = &kgo.Record{Headers: r.Headers}
			return
		}
		letter := parse(r)
		if f.Stage != "" && f.Stage != letter.Stage {
			return
		}
		letter.Value = bytes.Clone(letter.Value[:min(len(letter.Value), maxPreview)])
		if found = append(found, letter); len(found) >= 2*maxListed {
			found = slices.Delete(found, 0, maxListed)
		}
	})
	if err != nil {
		return nil, 0, err
	}
	for i := range found {
		found[i].resolve(resolved[found[i].ID])
	}
	if !f.All {
		found = slices.DeleteFunc(found, func(l Letter) bool { return l.Resolved != "" })
	}
	found = found[max(0, len(found)-maxListed):]
	slices.SortStableFunc(found, func(a, b Letter) int { return a.Time.Compare(b.Time) })
	return found[max(0, len(found)-f.Limit):], len(found), nil
}

// Find returns a letter with its whole value, or ErrUnknown.
func (l *Letters) Find(ctx context.Context, id string) (Letter, error) {
	r, resolution, err := l.find(ctx, id)
	if err != nil {
		return Letter{}, err
	}
	letter := parse(r)
	letter.resolve(resolution)
	return letter, nil
}

// find reads a letter and what was done about it, which lies behind it in the
// same partition.
func (l *Letters) find(ctx context.Context, id string) (letter, resolution *kgo.Record, err error) {
	p, offset, ok := parseID(id)
	if !ok {
		return nil, nil, fmt.Errorf("%w as %.40q: an id is a partition and an offset, like 3-17", ErrUnknown, id)
	}
	ranges, err := l.admin.Ranges(ctx, l.line.DeadLetters)
	if err != nil {
		return nil, nil, err
	}
	r, there := ranges[p]
	if !there || offset < r.Begin || offset >= r.End {
		return nil, nil, fmt.Errorf("%w as %s", ErrUnknown, id)
	}
	err = l.read(ctx, l.line.DeadLetters, p, broker.Range{Begin: offset, End: r.End}, func(m *kgo.Record) {
		switch {
		case m.Offset == offset && !IsResolution(m):
			letter = m
		case IsResolution(m) && header(m, letterHeader) == id:
			resolution = m
		}
	})
	if err == nil && letter == nil {
		err = fmt.Errorf("%w as %s", ErrUnknown, id)
	}
	return letter, resolution, err
}

// Requeue sends a letter's message once more to the topic that it came from,
// with its key, to the partition where that belongs. It says what had been done
// about the letter before, and does nothing if that is anything.
//
// The message is durable before the resolution is written. A crash between the
// two leaves the letter unresolved and the message sent, and requeueing it again
// sends it twice: the line recognises an order and a report that it has seen. A
// message that is as bad as before becomes a new letter.
func (l *Letters) Requeue(ctx context.Context, id, by string) (before string, err error) {
	return l.handle(ctx, id, Requeued, by, func(letter Letter, send func(*kgo.Record) error) error {
		if !slices.Contains(l.inputs(), letter.Topic) {
			return fmt.Errorf("dead letter %s says that it came from topic %q, which the line does not read: drop it", id, letter.Topic)
		}
		if letter.Truncated {
			whole, err := l.origin(ctx, letter)
			if err != nil {
				return err
			}
			letter.Value = whole
		}
		ends, err := l.admin.Ends(ctx, letter.Topic)
		if err != nil {
			return err
		}
		key := []byte(letter.Key)
		return send(&kgo.Record{Topic: letter.Topic, Partition: int32(gokaplus.Partition(fnv.New32a(), key, len(ends))), Key: key, Value: letter.Value})
	})
}

// Drop puts a letter aside. It says what had been done about it before, and
// does nothing if that is anything.
func (l *Letters) Drop(ctx context.Context, id, by string) (before string, err error) {
	return l.handle(ctx, id, Dropped, by, func(Letter, func(*kgo.Record) error) error { return nil })
}

func (l *Letters) handle(ctx context.Context, id, resolution, by string, do func(Letter, func(*kgo.Record) error) error) (before string, err error) {
	r, resolved, err := l.find(ctx, id)
	if err != nil {
		return "", err
	}
	letter := parse(r)
	if letter.resolve(resolved); letter.Resolved != "" {
		return letter.Resolved, nil
	}
	client, err := kgo.NewClient(append(l.kafka.Client(), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		return "", fmt.Errorf("making a Kafka producer: %w", err)
	}
	defer client.Close()
	send := func(r *kgo.Record) error {
		if err := client.ProduceSync(ctx, r).FirstErr(); err != nil {
			return fmt.Errorf("sending to %s: %w: %w", r.Topic, broker.ErrUnavailable, err)
		}
		return nil
	}
	if err := do(letter, send); err != nil {
		return "", err
	}
	return "", send(&kgo.Record{
		Topic: l.line.DeadLetters, Partition: r.Partition, Key: r.Key, Value: []byte{},
		Headers: []kgo.RecordHeader{{Key: resolutionHeader, Value: []byte(resolution)}, {Key: letterHeader, Value: []byte(id)}, {Key: byHeader, Value: []byte(by)}},
	})
}

// origin fetches the whole message of a truncated letter, or a *GoneError.
func (l *Letters) origin(ctx context.Context, letter Letter) (whole []byte, err error) {
	ranges, err := l.admin.Ranges(ctx, letter.Topic)
	if err != nil {
		return nil, err
	}
	r := ranges[letter.Partition]
	if letter.Offset < r.Begin || letter.Offset >= r.End {
		return nil, &GoneError{letter}
	}
	err = l.read(ctx, letter.Topic, letter.Partition, broker.Range{Begin: letter.Offset, End: letter.Offset + 1}, func(m *kgo.Record) {
		whole = m.Value
	})
	if err == nil && whole == nil {
		err = &GoneError{letter}
	}
	return whole, err
}

func (l *Letters) inputs() (topics []string) {
	for _, s := range l.line.Stages {
		topics = append(topics, s.Input, s.Reports())
	}
	return topics
}

// scan reads the whole topic of the dead letters.
func (l *Letters) scan(ctx context.Context, f func(*kgo.Record)) error {
	ranges, err := l.admin.Ranges(ctx, l.line.DeadLetters)
	if err != nil {
		return err
	}
	for p := range int32(len(ranges)) {
		if err := l.read(ctx, l.line.DeadLetters, p, ranges[p], f); err != nil {
			return err
		}
	}
	return nil
}

func (l *Letters) read(ctx context.Context, topic string, p int32, r broker.Range, f func(*kgo.Record)) error {
	client, err := kgo.NewClient(append(l.kafka.Client(), broker.ReadOptions()...)...)
	if err != nil {
		return fmt.Errorf("making a Kafka client: %w", err)
	}
	defer client.Close()
	return broker.Read(ctx, client, topic, p, r, func(m *kgo.Record) error { f(m); return nil })
}

// parse reads the headers that the stage gave the letter. What is missing stays
// empty.
func parse(r *kgo.Record) Letter {
	partition, _ := strconv.ParseInt(header(r, "partition"), 10, 32)
	offset, _ := strconv.ParseInt(header(r, "offset"), 10, 64)
	return Letter{
		ID: fmt.Sprintf("%d-%d", r.Partition, r.Offset), Key: string(r.Key), Value: r.Value, Truncated: header(r, "truncated") != "",
		Reason: header(r, "reason"), Stage: header(r, "stage"), Topic: header(r, "topic"),
		Partition: int32(partition), Offset: offset, Time: r.Timestamp.UTC(),
	}
}

func (l *Letter) resolve(r *kgo.Record) {
	if r != nil {
		l.Resolved, l.By = header(r, resolutionHeader), header(r, byHeader)
	}
}

func parseID(id string) (partition int32, offset int64, ok bool) {
	before, after, found := strings.Cut(id, "-")
	p, errP := strconv.ParseInt(before, 10, 32)
	o, errO := strconv.ParseInt(after, 10, 64)
	return int32(p), o, found && errP == nil && errO == nil && p >= 0 && o >= 0
}

func header(r *kgo.Record, key string) string {
	for _, h := range r.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}
