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
	"slices"
	"strconv"
	"time"

	"github.com/ecupcakes/ecupcakes/codecs"
	"github.com/ecupcakes/ecupcakes/gokaplus"
	"github.com/ecupcakes/ecupcakes/kafka"
	"github.com/ecupcakes/ecupcakes/topology"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Letter is a dead letter.
type Letter struct {
	ID        string    `json:"id"` // Its partition and offset on the topic of the dead letters: "3-17".
	Key       string    `json:"key"`
	Value     []byte    `json:"value"` // As it came; the beginning only if Truncated.
	Size      int       `json:"size"`  // Of the whole message's value, in bytes.
	Truncated bool      `json:"truncated,omitempty"`
	Reason    string    `json:"reason"`
	Stage     string    `json:"stage"`
	Topic     string    `json:"topic"` // Where the stage read it, with partition and offset.
	Partition int32     `json:"partition"`
	Offset    int64     `json:"offset"`
	Time      time.Time `json:"time"`            // When the stage put it away.
	Trace     string    `json:"trace,omitempty"` // The message's W3C traceparent, if it had a valid one.
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

// ErrBusy says that ctx ended while others were being served. Nothing was done.
var ErrBusy = errors.New("others are at the dead letters: try again")

// StuckError says that a letter cannot be requeued, why, and what to do.
type StuckError struct {
	Letter Letter
	Why    string
}

func (e *StuckError) Error() string {
	return fmt.Sprintf("dead letter %s cannot be requeued: %s", e.Letter.ID, e.Why)
}

func gone(l Letter) error {
	return &StuckError{l, fmt.Sprintf("it is only the beginning of its message, and %s does not have that any more (partition %d, offset %d): drop it", l.Topic, l.Partition, l.Offset)}
}

// Filter chooses letters.
type Filter struct {
	Stage  string   // Empty for all.
	All    bool     // Those that are resolved, too.
	Limit  int      // The most that are wanted; the newest are given.
	Before Position // Only older ones than the letter there; zero for all.
}

// Listing is what a filter has chosen.
type Listing struct {
	Letters []Letter // Oldest first. Values are cut after 256 bytes, texts after 1 kB.
	Count   int      // How many the filter chooses without its Limit and Before.
	More    bool     // There are older ones than these.
	LeftOut bool     // There may be even older ones about which nothing was done, neither listed nor counted.
}

// Letters are the dead letters of a line. Its methods may be called by any
// number of goroutines; one at a time is served, so that what they need of
// memory and of Kafka does not grow with their number. They end with ctx.
type Letters struct {
	kafka kafka.Config
	line  topology.Line
	admin *kafka.Admin
	turn  chan struct{} // Capacity 1; a value while somebody is served, to whom the index belongs.
	index index
}

// Open connects to the line's Kafka. It must be closed.
func Open(config kafka.Config, line topology.Line) (*Letters, error) {
	admin, err := kafka.NewAdmin(config)
	if err != nil {
		return nil, err
	}
	return &Letters{config, line, admin, make(chan struct{}, 1), index{parts: map[int32]*part{}, newest: map[place]*Letter{}}}, nil
}

// Close closes the connection.
func (l *Letters) Close() { l.admin.Close() }

// enter waits for the caller's turn, which ends with leave.
func (l *Letters) enter(ctx context.Context) (leave func(), err error) {
	select {
	case l.turn <- struct{}{}:
		return func() { <-l.turn }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", ErrBusy, ctx.Err())
	}
}

// List returns the letters that the filter chooses of the 10,000 newest. It
// reads what it has not read before, at first the whole topic. When ctx ends
// before that is done it returns a *ReadingError, and the next call goes on.
func (l *Letters) List(ctx context.Context, f Filter) (Listing, error) {
	leave, err := l.enter(ctx)
	if err != nil {
		return Listing{}, err
	}
	defer leave()
	ranges, err := l.admin.Ranges(ctx, l.line.DeadLetters)
	if err == nil {
		err = l.catchUp(ctx, ranges)
	}
	if err == nil && l.index.starved() {
		l.index.again()
		err = l.catchUp(ctx, ranges)
	}
	if err != nil {
		return Listing{}, err
	}
	return l.index.choose(f), nil
}

// Find returns a letter with its whole value, or ErrUnknown. It reads like List,
// but only the letter's partition.
func (l *Letters) Find(ctx context.Context, id string) (Letter, error) {
	leave, err := l.enter(ctx)
	if err != nil {
		return Letter{}, err
	}
	defer leave()
	_, letter, err := l.find(ctx, id)
	return letter, err
}

func (l *Letters) find(ctx context.Context, id string) (at place, letter Letter, err error) {
	at, ok := parsePlace(id)
	if !ok {
		return at, letter, fmt.Errorf("%w as %.40q: an id is a partition and an offset, like 3-17", ErrUnknown, id)
	}
	ranges, err := l.admin.Ranges(ctx, l.line.DeadLetters)
	if err != nil {
		return at, letter, err
	}
	r, there := ranges[at.partition]
	if !there || at.offset < r.Begin || at.offset >= r.End {
		return at, letter, fmt.Errorf("%w as %s", ErrUnknown, at)
	}
	if err := l.catchUp(ctx, map[int32]kafka.Range{at.partition: r}); err != nil {
		return at, letter, err
	}
	found := false
	err = l.readOne(ctx, l.line.DeadLetters, at, func(m *kgo.Record) {
		letter, found = parse(m), !IsResolution(m)
		letter.Value = bytes.Clone(m.Value)
	})
	if err == nil && !found {
		err = fmt.Errorf("%w as %s", ErrUnknown, at)
	}
	if where, resolved := l.index.resolution(at); err == nil && resolved {
		err = l.readOne(ctx, l.line.DeadLetters, where, letter.resolve)
	}
	return at, letter, err
}

// Requeue sends a letter's message once more to the topic that it came from,
// with its key and its trace, to the partition where that belongs. It returns the letter as it
// is then; if something had been done about it before, it says so and does
// nothing. What can never be sent is a *StuckError.
//
// The message is durable before the resolution is written. A crash, or the end
// of ctx, between the two leaves the letter unresolved and the message sent, and
// requeueing it again sends it twice; so do two processes that requeue it at the
// very same moment. The line recognises an order and a report that it has seen.
// A message that is as bad as before becomes a new letter.
func (l *Letters) Requeue(ctx context.Context, id, by string) (now Letter, before bool, err error) {
	return l.handle(ctx, id, Requeued, by, l.resend)
}

// resend sends the message of a letter.
func (l *Letters) resend(ctx context.Context, letter Letter, client *kgo.Client) error {
	if !slices.Contains(l.inputs(), letter.Topic) {
		return &StuckError{letter, fmt.Sprintf("it says that it came from topic %.80q, which the line does not read: drop it", letter.Topic)}
	}
	if letter.Truncated {
		whole, err := l.origin(ctx, letter)
		if err != nil {
			return err
		}
		letter.Value = whole
	}
	ends, err := l.admin.EndOffsets(ctx, letter.Topic)
	if err != nil {
		return err
	}
	key := []byte(letter.Key)
	r := &kgo.Record{Topic: letter.Topic, Partition: gokaplus.Partition(key, len(ends)), Key: key, Value: letter.Value}
	if letter.Trace != "" {
		r.Headers = []kgo.RecordHeader{{Key: codecs.TraceHeader, Value: []byte(letter.Trace)}}
	}
	err = send(ctx, client, r)
	if errors.Is(err, kerr.MessageTooLarge) {
		return &StuckError{letter, "Kafka takes no message of this size: drop it"}
	}
	return err
}

// Drop puts a letter aside. It returns the letter as it is then; if something
// had been done about it before, it says so and does nothing.
func (l *Letters) Drop(ctx context.Context, id, by string) (now Letter, before bool, err error) {
	return l.handle(ctx, id, Dropped, by, func(context.Context, Letter, *kgo.Client) error { return nil })
}

func (l *Letters) handle(ctx context.Context, id, resolution, by string, do func(context.Context, Letter, *kgo.Client) error) (now Letter, before bool, err error) {
	leave, err := l.enter(ctx)
	if err != nil {
		return now, false, err
	}
	defer leave()
	at, letter, err := l.find(ctx, id)
	if err != nil || letter.Resolved != "" {
		return letter, err == nil, err
	}
	client, err := kgo.NewClient(append(l.kafka.Client(), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		return letter, false, fmt.Errorf("making a Kafka producer: %w", err)
	}
	defer client.Close()
	if err := do(ctx, letter, client); err != nil {
		return letter, false, err
	}
	r := &kgo.Record{
		Topic: l.line.DeadLetters, Partition: at.partition, Key: []byte(letter.Key), Value: []byte{},
		Headers: []kgo.RecordHeader{{Key: resolutionHeader, Value: []byte(resolution)}, {Key: letterHeader, Value: []byte(at.String())}, {Key: byHeader, Value: []byte(by)}},
	}
	if err := send(ctx, client, r); err != nil {
		return letter, false, err
	}
	letter.resolve(r)
	return letter, false, nil
}

// send returns nil once the message is durable, and an error when that has not
// happened before ctx ended; it may still happen.
func send(ctx context.Context, client *kgo.Client, r *kgo.Record) error {
	done := make(chan error, 1)
	client.Produce(ctx, r, func(_ *kgo.Record, err error) { done <- err })
	var err error
	select {
	case err = <-done:
	case <-ctx.Done(): // A message that may have arrived is not given up by the client.
		err = ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("sending to %s: %w: %w", r.Topic, kafka.ErrUnavailable, err)
	}
	return nil
}

// origin fetches the whole message of a truncated letter; that it is gone is a
// *StuckError.
func (l *Letters) origin(ctx context.Context, letter Letter) (whole []byte, err error) {
	ranges, err := l.admin.Ranges(ctx, letter.Topic)
	if err != nil {
		return nil, err
	}
	if r := ranges[letter.Partition]; letter.Offset < r.Begin || letter.Offset >= r.End {
		return nil, gone(letter)
	}
	err = l.readOne(ctx, letter.Topic, place{letter.Partition, letter.Offset}, func(m *kgo.Record) { whole = bytes.Clone(m.Value) })
	if err == nil && whole == nil {
		err = gone(letter)
	}
	return whole, err
}

func (l *Letters) inputs() (topics []string) {
	for _, s := range l.line.Stages {
		topics = append(topics, s.Input, s.Reports())
	}
	return topics
}

func (l *Letters) readOne(ctx context.Context, topic string, at place, f func(*kgo.Record)) error {
	return l.read(ctx, topic, at.partition, kafka.Range{Begin: at.offset, End: at.offset + 1}, f)
}

func (l *Letters) read(ctx context.Context, topic string, p int32, r kafka.Range, f func(*kgo.Record)) error {
	if r.Begin >= r.End {
		return nil
	}
	client, err := kgo.NewClient(append(l.kafka.Client(), kafka.ReadOptions()...)...)
	if err != nil {
		return fmt.Errorf("making a Kafka client: %w", err)
	}
	defer client.Close()
	return kafka.Read(ctx, client, topic, p, r, func(m *kgo.Record) error { f(m); return nil })
}

// parse reads the headers that the stage gave the letter. What is missing stays
// empty.
func parse(r *kgo.Record) Letter {
	partition, _ := strconv.ParseInt(header(r, "partition"), 10, 32)
	offset, _ := strconv.ParseInt(header(r, "offset"), 10, 64)
	size, _ := strconv.Atoi(header(r, "truncated"))
	when := r.Timestamp.UTC()
	if when.Year() < 1970 || when.Year() > 9998 { // RFC 3339, and so JSON, cannot say all that a message can.
		when = time.Unix(0, 0).UTC()
	}
	return Letter{
		ID: place{r.Partition, r.Offset}.String(), Key: string(r.Key), Value: r.Value, Size: max(size, len(r.Value)), Truncated: header(r, "truncated") != "",
		Reason: header(r, "reason"), Stage: header(r, "stage"), Topic: header(r, "topic"),
		Partition: int32(partition), Offset: offset, Time: when, Trace: codecs.Trace([]byte(header(r, codecs.TraceHeader))),
	}
}

func (l *Letter) resolve(r *kgo.Record) {
	l.Resolved, l.By = header(r, resolutionHeader), header(r, byHeader)
}

func header(r *kgo.Record, key string) string {
	for _, h := range r.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}
