// Package deadletters lists the messages that a line could not process, and requeues or drops them.
// Kafka is its only store: the resolution of a dead letter is a later message in the same partition
// of the same topic.
//
// The package does not decode the messages. The reason of a dead letter is in a header that the
// stage's processor has written.
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
	ID        string    `json:"id"` // Partition and offset on the dead-letter topic: "3-17".
	Key       string    `json:"key"`
	Value     []byte    `json:"value"` // The message's value, or its beginning if Truncated.
	Size      int       `json:"size"`  // Size of the whole value, in bytes.
	Truncated bool      `json:"truncated,omitempty"`
	Reason    string    `json:"reason"`
	Stage     string    `json:"stage"`
	Topic     string    `json:"topic"` // Topic, partition and offset from which the stage read the message.
	Partition int32     `json:"partition"`
	Offset    int64     `json:"offset"`
	Time      time.Time `json:"time"`               // When the stage wrote the dead letter.
	Trace     string    `json:"trace,omitempty"`    // The message's W3C traceparent, if it had a valid one.
	Resolved  string    `json:"resolved,omitempty"` // Requeued, Dropped, or empty.
	By        string    `json:"by,omitempty"`       // The person who resolved it.
}

// The values of Letter.Resolved.
const (
	Requeued = "requeued" // The message was sent again to the topic that it came from.
	Dropped  = "dropped"  // A person decided that the message needs no action.
)

// The headers of a resolution. Package processors defines those of a dead letter.
const (
	resolutionHeader = "resolution"
	letterHeader     = "letter"
	byHeader         = "by"
)

// IsResolution reports whether a message on the dead-letter topic is the resolution of a dead letter
// rather than a dead letter.
func IsResolution(r *kgo.Record) bool { return header(r, resolutionHeader) != "" }

// ErrUnknown reports that a dead letter does not exist: it never did, or retention has deleted it.
var ErrUnknown = errors.New("no such dead letter")

// ErrBusy reports that ctx ended while other requests were being served. Nothing was done.
var ErrBusy = errors.New("other requests for dead letters are being served: try again")

// StuckError reports that a dead letter can never be requeued. Why includes the remedy.
type StuckError struct {
	Letter Letter
	Why    string
}

func (e *StuckError) Error() string {
	return fmt.Sprintf("dead letter %s cannot be requeued: %s", e.Letter.ID, e.Why)
}

func gone(l Letter) error {
	why := fmt.Sprintf("it has only the beginning of its message, and %s has deleted the original (partition %d, offset %d): drop it",
		l.Topic, l.Partition, l.Offset)
	return &StuckError{Letter: l, Why: why}
}

// Filter selects dead letters.
type Filter struct {
	Stage  string   // Only those of this stage; empty for all.
	All    bool     // Include resolved ones.
	Limit  int      // Return at most so many, the newest.
	Before Position // Only those before this position; zero for all.
}

// Listing is the result of List.
type Listing struct {
	Letters []Letter // Oldest first. Values are cut after 256 bytes, texts after 1 kB.
	Count   int      // Number of dead letters that match the filter without its Limit and Before.
	More    bool     // Older dead letters match the filter, too.
	LeftOut bool     // There may be unresolved dead letters older than the 10,000 newest, neither listed nor counted.
}

// Letters accesses the dead letters of a line. Its methods may be called concurrently. They are
// served one at a time, so that their need of memory and Kafka connections does not grow with the
// number of callers.
type Letters struct {
	kafka kafka.Config
	line  topology.Line
	admin *kafka.Admin
	turn  chan struct{} // A mutex that can be awaited with a context; it guards index.
	index index
}

// Open connects to the line's Kafka. The result must be closed.
func Open(config kafka.Config, line topology.Line) (*Letters, error) {
	admin, err := kafka.NewAdmin(config)
	if err != nil {
		return nil, err
	}
	return &Letters{config, line, admin, make(chan struct{}, 1), index{parts: map[int32]*part{}, newest: map[place]*Letter{}}}, nil
}

// Close closes the connection.
func (l *Letters) Close() { l.admin.Close() }

// enter blocks until no other request is being served. The caller must call leave.
func (l *Letters) enter(ctx context.Context) (leave func(), err error) {
	select {
	case l.turn <- struct{}{}:
		return func() { <-l.turn }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", ErrBusy, ctx.Err())
	}
}

// List returns those of the 10,000 newest dead letters that match the filter. The first call reads
// the whole topic, later calls only the new messages. If ctx ends before that is done, List returns
// a *ReadingError, and the next call resumes reading.
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

// Find returns a dead letter with its whole value, or ErrUnknown. Like List it reads new messages
// first, but only of the dead letter's partition.
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
		return at, letter, fmt.Errorf("%w: invalid ID %.40q, use a partition and an offset such as 3-17", ErrUnknown, id)
	}
	ranges, err := l.admin.Ranges(ctx, l.line.DeadLetters)
	if err != nil {
		return at, letter, err
	}
	r, there := ranges[at.partition]
	if !there || at.offset < r.Begin || at.offset >= r.End {
		return at, letter, fmt.Errorf("%w: %s", ErrUnknown, at)
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
		err = fmt.Errorf("%w: %s", ErrUnknown, at)
	}
	if where, resolved := l.index.resolution(at); err == nil && resolved {
		err = l.readOne(ctx, l.line.DeadLetters, where, letter.resolve)
	}
	return at, letter, err
}

// Requeue sends a dead letter's message again to the topic that it came from, with its key and trace
// context, to the partition of its key. It returns the resolved dead letter. If the letter was
// resolved before, Requeue does nothing and before is true. A message that can never be sent is a
// *StuckError.
//
// The message is durable before the resolution is written. If the process crashes or ctx ends between
// the two, the letter stays unresolved, and requeueing it again sends the message twice. So do two
// processes that requeue it at the same moment. This is harmless, because the line ignores orders and
// reports that it has already processed. A message that still cannot be processed becomes a new dead
// letter.
func (l *Letters) Requeue(ctx context.Context, id, by string) (now Letter, before bool, err error) {
	return l.handle(ctx, id, Requeued, by, l.resend)
}

// resend sends the message of a dead letter to its topic.
func (l *Letters) resend(ctx context.Context, letter Letter, client *kgo.Client) error {
	if !slices.Contains(l.inputs(), letter.Topic) {
		why := fmt.Sprintf("its header names the topic %.80q, which the line does not read: drop it", letter.Topic)
		return &StuckError{Letter: letter, Why: why}
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
		return &StuckError{Letter: letter, Why: "Kafka rejects a message of this size: drop it"}
	}
	return err
}

// Drop resolves a dead letter without sending its message. It returns the resolved dead letter. If
// the letter was resolved before, Drop does nothing and before is true.
func (l *Letters) Drop(ctx context.Context, id, by string) (now Letter, before bool, err error) {
	return l.handle(ctx, id, Dropped, by, func(context.Context, Letter, *kgo.Client) error { return nil })
}

// handle resolves a dead letter: it calls do unless the letter is resolved, then writes the
// resolution.
func (l *Letters) handle(
	ctx context.Context, id, resolution, by string,
	do func(context.Context, Letter, *kgo.Client) error,
) (now Letter, before bool, err error) {
	leave, err := l.enter(ctx)
	if err != nil {
		return now, false, err
	}
	defer leave()
	at, letter, err := l.find(ctx, id)
	if err != nil || letter.Resolved != "" {
		return letter, err == nil, err
	}
	client, err := l.kafka.NewClient(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		return letter, false, fmt.Errorf("creating a Kafka producer: %w", err)
	}
	defer client.Close()
	if err := do(ctx, letter, client); err != nil {
		return letter, false, err
	}
	r := &kgo.Record{
		Topic: l.line.DeadLetters, Partition: at.partition, Key: []byte(letter.Key), Value: []byte{},
		Headers: []kgo.RecordHeader{
			{Key: resolutionHeader, Value: []byte(resolution)},
			{Key: letterHeader, Value: []byte(at.String())},
			{Key: byHeader, Value: []byte(by)},
		},
	}
	if err := send(ctx, client, r); err != nil {
		return letter, false, err
	}
	letter.resolve(r)
	return letter, false, nil
}

// send sends a message and blocks until it is durable. If ctx ends before that, it returns an error,
// although the message may still arrive.
func send(ctx context.Context, client *kgo.Client, r *kgo.Record) error {
	done := make(chan error, 1)
	client.Produce(ctx, r, func(_ *kgo.Record, err error) { done <- err })
	var err error
	select {
	case err = <-done:
	case <-ctx.Done(): // The client itself does not fail a message that may already have arrived.
		err = ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("sending to %s: %w: %w", r.Topic, kafka.ErrUnavailable, err)
	}
	return nil
}

// origin reads the whole value of a truncated dead letter from the topic that the message came from.
// If retention has deleted it, the error is a *StuckError.
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

// inputs returns the topics that the stages read.
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
	client, err := l.kafka.NewClient(kafka.ReadOptions()...)
	if err != nil {
		return err
	}
	defer client.Close()
	return kafka.Read(ctx, client, topic, p, r, func(m *kgo.Record) error { f(m); return nil })
}

// parse returns the dead letter in a message. Fields whose header is missing or invalid stay zero.
func parse(r *kgo.Record) Letter {
	partition, _ := strconv.ParseInt(header(r, "partition"), 10, 32) // Only a header that no processor wrote is invalid.
	offset, _ := strconv.ParseInt(header(r, "offset"), 10, 64)       // Only a header that no processor wrote is invalid.
	size, _ := strconv.Atoi(header(r, "truncated"))                  // Only a header that no processor wrote is invalid.
	when := r.Timestamp.UTC()
	if when.Year() < 1970 || when.Year() > 9998 { // JSON times (RFC 3339) cannot represent every Kafka timestamp.
		when = time.Unix(0, 0).UTC()
	}
	return Letter{
		ID: place{r.Partition, r.Offset}.String(), Key: string(r.Key), Value: r.Value,
		Size: max(size, len(r.Value)), Truncated: header(r, "truncated") != "",
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
