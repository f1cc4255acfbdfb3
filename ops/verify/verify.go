// Package verify audits a line from its topics alone. It replays the input of each stage through
// order.Next and compares the expected rows and outputs with those on the topics.
//
// It writes nothing, and does not communicate with the processes that run the line.
package verify

import (
	"context"
	"fmt"
	"hash/maphash"
	"strconv"

	"github.com/ecupcakes/ecupcakes/codecs"
	"github.com/ecupcakes/ecupcakes/kafka"
	"github.com/ecupcakes/ecupcakes/ops/deadletters"
	"github.com/ecupcakes/ecupcakes/order"
	"github.com/ecupcakes/ecupcakes/processors"
	"github.com/ecupcakes/ecupcakes/topology"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Result is the result of an audit.
type Result struct {
	Orders      int            `json:"orders"`             // Distinct orders on the first topic.
	Places      map[string]int `json:"places"`             // Number of orders by place: a stage, an output topic of the line, or Between.
	Stages      []Stage        `json:"stages"`             // In line order.
	InFlight    int            `json:"inFlight"`           // Events that their stage has not committed yet; it is not judged for their orders.
	DeadLetters int            `json:"deadLetters"`        // Dead letters on the topic, resolved or not.
	Lost        int            `json:"lost"`               // Orders missing on the next topic, and rows missing in their table.
	Doubled     int            `json:"doubled"`            // Orders passed on with different contents.
	Wrong       int            `json:"wrong"`              // Rows that differ from the replay, events without a cause, bad messages without a dead letter.
	Findings    []string       `json:"findings,omitempty"` // Descriptions of the first 20 faults.
}

// Between is the place of an order that a stage has decided but not yet passed on. An idle line has
// no such order.
const Between = "between stages"

// Stage is the audit of one stage.
type Stage struct {
	Name     string `json:"name"`
	Waiting  int    `json:"waiting"`  // Orders that wait.
	Done     int    `json:"done"`     // Completed orders.
	Rejected int    `json:"rejected"` // Rejected orders.
	Early    int    `json:"early"`    // Orders with a report that came before the order itself.
	Repeated int    `json:"repeated"` // Messages on the input about orders that had already arrived.
	Bad      int    `json:"bad"`      // Messages on the inputs that belong to the dead letters.
	Expired  int    `json:"expired"`  // Completed or rejected orders whose row has expired.
	Old      int    `json:"old"`      // Rows that cannot be judged, because retention has deleted their events.
}

// OK reports whether nothing is lost, doubled or wrong.
func (r *Result) OK() bool { return r.Lost+r.Doubled+r.Wrong == 0 }

// maxFindings bounds the faults that are described. All faults are counted.
const maxFindings = 20

func (r *Result) find(count *int, format string, args ...any) {
	*count++
	if len(r.Findings) < maxFindings {
		r.Findings = append(r.Findings, fmt.Sprintf(format, args...))
	}
}

// Options names the line to audit.
type Options struct {
	Kafka kafka.Config
	Line  topology.Line
}

// Run audits a line, which may keep running. Run reads the committed offsets of the stages first and
// the end offsets of the topics afterwards, from the last topic of the line to the first. So every
// event below a committed offset must have had its effects, and the cause of every event that is read
// is read, too.
//
// It needs memory for the orders of one partition at a time, about 2 KB for each.
func Run(ctx context.Context, o Options) (*Result, error) {
	admin, err := kafka.NewAdmin(o.Kafka)
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	log := &log{ranges: map[string]map[int32]kafka.Range{}}
	for _, s := range o.Line.Stages {
		committed, err := admin.Committed(ctx, s.Group())
		if err != nil {
			return nil, err
		}
		log.committed = append(log.committed, committed)
	}
	var topics []string
	for topic := range o.Line.Topics() {
		topics = append(topics, topic)
	}
	for i := len(topics) - 1; i >= 0; i-- { // Topics lists a stage's table after its inputs.
		if log.ranges[topics[i]], err = admin.Ranges(ctx, topics[i]); err != nil {
			return nil, err
		}
	}
	partitions := len(log.ranges[o.Line.Output])
	for _, topic := range topics {
		if n := len(log.ranges[topic]); n != partitions {
			return nil, fmt.Errorf("topic %s has %d partitions, but %s has %d: see `ecupcakes topics check`", topic, n, o.Line.Output, partitions)
		}
	}
	log.client, err = o.Kafka.NewClient(kafka.ReadOptions()...)
	if err != nil {
		return nil, err
	}
	defer log.client.Close()

	r := &Result{Places: map[string]int{}, Stages: make([]Stage, len(o.Line.Stages))}
	for i, s := range o.Line.Stages {
		r.Stages[i].Name = s.Name
	}
	letters, err := r.deadLetters(ctx, log, o.Line.DeadLetters, int32(partitions))
	if err != nil {
		return nil, err
	}
	for p := range int32(partitions) {
		a := &audit{Result: r, Options: o, log: log, p: p, partitions: int32(partitions), letters: letters, refused: map[string]*passed{}}
		if err := a.run(ctx); err != nil {
			return nil, fmt.Errorf("auditing partition %d: %w", p, err)
		}
	}
	return r, nil
}

// log is the state of the line's topics and groups when the audit began.
type log struct {
	client    *kgo.Client
	ranges    map[string]map[int32]kafka.Range
	committed []map[string]map[int32]int64 // By stage, topic and partition.
}

func (l *log) read(ctx context.Context, topic string, p int32, f func(*kgo.Record)) error {
	return kafka.Read(ctx, l.client, topic, p, l.ranges[topic][p], func(m *kgo.Record) error { f(m); return nil })
}

// origin is the position of the message that became a dead letter.
type origin struct {
	topic     string
	partition int32
	offset    int64
}

// deadLetters returns the origins of all dead letters. It returns nil if retention has deleted the
// oldest ones, because then a missing dead letter is no fault.
func (r *Result) deadLetters(ctx context.Context, log *log, topic string, partitions int32) (map[origin]bool, error) {
	letters := map[origin]bool{}
	for p := range partitions {
		if log.ranges[topic][p].Begin > 0 {
			letters = nil
		}
		err := log.read(ctx, topic, p, func(m *kgo.Record) {
			if deadletters.IsResolution(m) {
				return
			}
			r.DeadLetters++
			headers := map[string]string{}
			for _, h := range m.Headers {
				headers[h.Key] = string(h.Value)
			}
			partition, _ := strconv.ParseInt(headers["partition"], 10, 32) // Only a header that no processor wrote is invalid.
			offset, _ := strconv.ParseInt(headers["offset"], 10, 64)       // Only a header that no processor wrote is invalid.
			if letters != nil {
				letters[origin{headers["topic"], int32(partition), offset}] = true
			}
		})
		if err != nil {
			return nil, err
		}
	}
	return letters, nil
}

// audit audits one partition. All messages about an order are in the same partition of their topics.
type audit struct {
	*Result
	Options
	log        *log
	p          int32
	partitions int32
	letters    map[origin]bool

	passed  map[string]*passed // The expected output of the previous stage, by order; nil at the first stage.
	refused map[string]*passed // The expected orders on the failures topic, by order.
}

// passed is the output that a stage must write for an order that it has decided.
type passed struct {
	to       order.Output
	digest   uint64
	inFlight bool // The stage may not have written it yet.
	seen     bool // It is on the topic.
}

// state is the replayed state of one order at one stage.
type state struct {
	row      order.Row
	passed   *passed // The output once the stage has decided; kept after the row has expired.
	inFlight bool    // Some of the order's events are not committed.
}

func (a *audit) run(ctx context.Context) error {
	for i, s := range a.Line.Stages {
		if err := a.stage(ctx, i); err != nil {
			return fmt.Errorf("stage %s: %w", s.Name, err)
		}
	}
	var repeated int
	check := func(topic string, expected map[string]*passed, cause string) error {
		err := a.log.read(ctx, topic, a.p, func(m *kgo.Record) { a.arrives(topic, m, expected, &repeated, a.trimmed(cause)) })
		a.missing(topic, expected)
		for _, e := range expected {
			if e.seen {
				a.Places[topic]++
			}
		}
		return err
	}
	if err := check(a.Line.Output, a.passed, a.Line.Stages[len(a.Line.Stages)-1].Input); err != nil {
		return err
	}
	return check(a.Line.Failures, a.refused, a.Line.Stages[0].Input)
}

// trimmed reports whether the oldest messages of a topic have been deleted.
func (a *audit) trimmed(topic string) bool { return a.log.ranges[topic][a.p].Begin > 0 }

// stage replays one stage, compares its table, and sets the output that it must have written.
func (a *audit) stage(ctx context.Context, i int) error {
	s, count := a.Line.Stages[i], &a.Stages[i]
	states := map[string]*state{}
	arrivals := func(m *kgo.Record, first bool) {
		switch {
		case i > 0:
			a.arrives(s.Input, m, a.passed, &count.Repeated, a.trimmed(a.Line.Stages[i-1].Input))
		case first:
			a.Orders++
		default:
			count.Repeated++ // A client that got no answer has retried.
		}
	}
	if err := a.fold(ctx, i, s.Input, codecs.Order{}, states, arrivals); err != nil {
		return err
	}
	if i > 0 {
		a.missing(s.Input, a.passed)
	}
	if err := a.fold(ctx, i, s.Reports(), codecs.Report{}, states, func(*kgo.Record, bool) {}); err != nil {
		return err
	}
	if err := a.table(ctx, i, states); err != nil {
		return err
	}
	a.passed = map[string]*passed{}
	for id, st := range states {
		switch {
		case st.row.State == order.StateEarly:
			count.Early++
		case st.row.State == order.StateWaiting:
			count.Waiting++
			a.Places[s.Name]++
		case st.passed != nil && st.passed.to == order.Onward:
			count.Done++
			a.passed[id] = st.passed
		case st.passed != nil:
			count.Rejected++
			a.refused[id] = st.passed
		}
		if st.passed != nil {
			st.passed.inFlight = st.inFlight
			if st.row.State == order.StateNone {
				count.Expired++
			}
		}
	}
	return nil
}

// fold replays the messages of one input of a stage on the states.
func (a *audit) fold(
	ctx context.Context, i int, topic string, codec interface{ Decode([]byte) (any, error) },
	states map[string]*state,
	arrived func(m *kgo.Record, first bool),
) error {
	count, decides := &a.Stages[i], a.Line.DecisionStage(i)
	committed := a.log.committed[i][topic][a.p]
	return a.log.read(ctx, topic, a.p, func(m *kgo.Record) {
		inFlight := m.Offset >= committed
		if inFlight {
			a.InFlight++
		}
		var msg any
		if m.Value != nil {
			msg, _ = codec.Decode(m.Value) // Codecs return undecodable bytes as a value, never an error.
		}
		from := processors.Origin{Key: string(m.Key), Partition: a.p, Offset: m.Offset, Time: m.Timestamp}
		event, _, why := processors.Event(msg, from, a.partitions)
		st := states[string(m.Key)]
		if why == "" {
			if st == nil {
				st = &state{}
				states[string(m.Key)] = st
			}
			st.inFlight = st.inFlight || inFlight
			first := st.row.State == order.StateNone || st.row.State == order.StateEarly
			d := processors.Decide(decides, st.row, event)
			st.row, why = d.Row, d.Why
			for _, e := range d.Emissions {
				b, _ := codecs.EncodeOrder(e.Order) // An order that was decoded can be encoded.
				st.passed = &passed{to: e.To, digest: digest(b)}
			}
			if why == "" {
				arrived(m, first)
			}
		}
		if why != "" {
			count.Bad++
			if a.letters != nil && !inFlight && !a.letters[origin{topic, a.p, m.Offset}] {
				a.find(&a.Wrong, "%s: the message at offset %d of partition %d is bad (%s) and not among the dead letters", topic, m.Offset, a.p, why)
			}
		}
	})
}

// arrives compares a message with the expected output of the previous stage.
func (a *audit) arrives(topic string, m *kgo.Record, expected map[string]*passed, repeated *int, causesGone bool) {
	e := expected[string(m.Key)]
	switch {
	case e == nil && causesGone:
	case e == nil:
		a.find(&a.Wrong, "%s: order %s at offset %d of partition %d was passed on by no stage", topic, m.Key, m.Offset, a.p)
	case e.digest != digest(m.Value):
		a.find(&a.Doubled, "%s: order %s at offset %d of partition %d differs from the order that was passed on", topic, m.Key, m.Offset, a.p)
	case e.seen:
		*repeated++
	default:
		e.seen = true
	}
}

// missing counts the expected orders that are not on a topic: as between stages if they may still be
// in flight, else as lost.
func (a *audit) missing(topic string, expected map[string]*passed) {
	for id, e := range expected {
		switch {
		case e.seen:
		case e.inFlight:
			a.Places[Between]++
		default:
			a.find(&a.Lost, "%s: order %s is lost: the previous stage has decided it and committed", topic, id)
		}
	}
}

// table compares a stage's table with the replay.
func (a *audit) table(ctx context.Context, i int, states map[string]*state) error {
	s, count := a.Line.Stages[i], &a.Stages[i]
	last := map[string]uint64{} // The digest of each row.
	err := a.log.read(ctx, s.Table(), a.p, func(m *kgo.Record) {
		if m.Value == nil {
			delete(last, string(m.Key))
			return
		}
		v, _ := codecs.Row{}.Decode(m.Value) // Codecs return undecodable bytes as a value, never an error.
		row, ok := v.(*order.Row)
		if !ok {
			last[string(m.Key)] = digest(m.Value)
			return
		}
		last[string(m.Key)] = rowDigest(row)
	})
	if err != nil {
		return err
	}
	trimmed := a.trimmed(s.Input) || a.trimmed(s.Reports())
	for id, st := range states {
		d, there := last[id]
		delete(last, id)
		switch {
		case st.inFlight || st.row.State == order.StateNone:
		case trimmed && st.row.State == order.StateEarly: // Retention has deleted the order's first event.
			count.Old++
		case there && d != rowDigest(&st.row):
			a.find(&a.Wrong, "%s: the row of order %s differs from the replay of its events (%s)", s.Table(), id, st.row.State)
		case !there:
			a.find(&a.Lost, "%s: the row of order %s (%s) is missing", s.Table(), id, st.row.State)
		}
	}
	for id := range last {
		if trimmed {
			count.Old++
		} else {
			a.find(&a.Wrong, "%s: the row of order %s has no event", s.Table(), id)
		}
	}
	return nil
}

func rowDigest(r *order.Row) uint64 {
	b, err := codecs.Row{}.Encode(r)
	if err != nil { // A row that was decoded can be encoded.
		return 0
	}
	return digest(b)
}

var seed = maphash.MakeSeed()

// digest returns a 64-bit hash that is compared in place of a message's bytes. The chance that one of
// ten million different messages goes unnoticed is one in 10^12.
func digest(b []byte) uint64 { return maphash.Bytes(seed, b) }
