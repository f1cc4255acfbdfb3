// Package verify audits a line from its topics alone: it folds everything that
// came into each stage with order.Next once more and compares what should have
// come of it, rows and orders passed on, with what the topics hold.
//
// It never changes anything and knows nothing of the processes that run the
// line.
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

// Result is what an audit found.
type Result struct {
	Orders      int            `json:"orders"`      // Distinct orders on the first topic.
	Places      map[string]int `json:"places"`      // Where they are: stages, the topics out of the line, or Between.
	Stages      []Stage        `json:"stages"`      // In line order.
	InFlight    int            `json:"inFlight"`    // Events that no stage has committed yet; their orders are not judged there.
	DeadLetters int            `json:"deadLetters"` // All that are kept.
	Lost        int            `json:"lost"`        // Orders that the next topic does not have, and rows that their table does not have.
	Doubled     int            `json:"doubled"`     // Orders passed on with different contents.
	Wrong       int            `json:"wrong"`       // Rows other than the fold, events without a cause, bad messages without a dead letter.
	Findings    []string       `json:"findings,omitempty"`
}

// Between is the place of an order that a stage has decided but not yet passed
// on. In a line at rest nothing is there.
const Between = "between stages"

// Stage is the audit of one stage. The first four are orders.
type Stage struct {
	Name     string `json:"name"`
	Waiting  int    `json:"waiting"`
	Done     int    `json:"done"`
	Rejected int    `json:"rejected"`
	Early    int    `json:"early"`    // Known by a report alone.
	Repeated int    `json:"repeated"` // Messages on the input about orders that were there before.
	Bad      int    `json:"bad"`      // Messages on the inputs that belong to the dead letters.
	Expired  int    `json:"expired"`  // Of those done and rejected: whose row was dropped since.
	Old      int    `json:"old"`      // Rows whose events have left the log: they cannot be judged.
}

// OK says that nothing is lost, doubled or wrong.
func (r *Result) OK() bool { return r.Lost+r.Doubled+r.Wrong == 0 }

// maxFindings bounds how many findings are kept in words; all are counted.
const maxFindings = 20

func (r *Result) find(count *int, format string, args ...any) {
	*count++
	if len(r.Findings) < maxFindings {
		r.Findings = append(r.Findings, fmt.Sprintf(format, args...))
	}
}

// Options say what to audit.
type Options struct {
	Kafka kafka.Config
	Line  topology.Line
}

// Run audits a line. It may run meanwhile: how far the stages have committed
// is noted first, and where the topics end is noted against the direction of
// the line. So what lies below the one must have had its effects, and all that
// is read has its cause in what is read.
//
// It needs memory for the orders of one partition at a time, some 2 KB for each.
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
	for i := len(topics) - 1; i >= 0; i-- { // A stage's table comes behind its inputs.
		if log.ranges[topics[i]], err = admin.Ranges(ctx, topics[i]); err != nil {
			return nil, err
		}
	}
	partitions := len(log.ranges[o.Line.Output])
	for _, topic := range topics {
		if n := len(log.ranges[topic]); n != partitions {
			return nil, fmt.Errorf("topic %s has %d partitions and %s has %d: see `ecupcakes topics check`", topic, n, o.Line.Output, partitions)
		}
	}
	log.client, err = kgo.NewClient(append(o.Kafka.Client(), kafka.ReadOptions()...)...)
	if err != nil {
		return nil, fmt.Errorf("making a Kafka client: %w", err)
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

// log is what Kafka had of the line when the audit began.
type log struct {
	client    *kgo.Client
	ranges    map[string]map[int32]kafka.Range
	committed []map[string]map[int32]int64 // By stage, topic and partition.
}

func (l *log) read(ctx context.Context, topic string, p int32, f func(*kgo.Record)) error {
	return kafka.Read(ctx, l.client, topic, p, l.ranges[topic][p], func(m *kgo.Record) error { f(m); return nil })
}

// origin is where a dead letter came from.
type origin struct {
	topic     string
	partition int32
	offset    int64
}

// deadLetters returns the origins of all dead letters, nil if the oldest ones
// have left the log: then what is missing means nothing.
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
			partition, _ := strconv.ParseInt(headers["partition"], 10, 32)
			offset, _ := strconv.ParseInt(headers["offset"], 10, 64)
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

// audit is that of one partition. An order keeps its partition through the
// whole line, and so does everything about it.
type audit struct {
	*Result
	Options
	log        *log
	p          int32
	partitions int32
	letters    map[origin]bool

	passed  map[string]*passed // By order: what the stage before must have passed on; nil before the first.
	refused map[string]*passed // By order: what must be on the failures topic.
}

// passed is an order that a stage has decided to pass on.
type passed struct {
	to       order.Output
	digest   uint64
	inFlight bool // The stage may not have done so yet.
	seen     bool
}

// state is the fold of one order at one stage.
type state struct {
	row      order.Row
	passed   *passed // Once it has been decided; it stays when the row is dropped.
	inFlight bool
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

// trimmed says whether the oldest messages of a topic are gone.
func (a *audit) trimmed(topic string) bool { return a.log.ranges[topic][a.p].Begin > 0 }

// stage folds one stage, compares its table, and notes what it must have passed
// on.
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
			count.Repeated++ // A customer who got no answer asks again.
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

// fold applies the messages of one input of a stage to the states.
func (a *audit) fold(ctx context.Context, i int, topic string, codec interface{ Decode([]byte) (any, error) }, states map[string]*state, arrived func(m *kgo.Record, first bool)) error {
	count, decides := &a.Stages[i], a.Line.DecisionStage(i)
	committed := a.log.committed[i][topic][a.p]
	return a.log.read(ctx, topic, a.p, func(m *kgo.Record) {
		inFlight := m.Offset >= committed
		if inFlight {
			a.InFlight++
		}
		var msg any
		if m.Value != nil {
			msg, _ = codec.Decode(m.Value) // It never fails.
		}
		event, _, why := processors.Event(msg, processors.Origin{Key: string(m.Key), Partition: a.p, Offset: m.Offset, Time: m.Timestamp}, a.partitions)
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
				b, _ := codecs.EncodeOrder(e.Order) // What was decoded can be encoded.
				st.passed = &passed{to: e.To, digest: digest(b)}
			}
			if why == "" {
				arrived(m, first)
			}
		}
		if why != "" {
			count.Bad++
			if a.letters != nil && !inFlight && !a.letters[origin{topic, a.p, m.Offset}] {
				a.find(&a.Wrong, "%s: offset %d of partition %d is bad (%s) and not among the dead letters", topic, m.Offset, a.p, why)
			}
		}
	})
}

// arrives compares a message with what the stage before must have passed on.
func (a *audit) arrives(topic string, m *kgo.Record, expected map[string]*passed, repeated *int, causesGone bool) {
	e := expected[string(m.Key)]
	switch {
	case e == nil && causesGone:
	case e == nil:
		a.find(&a.Wrong, "%s: order %s is there (offset %d of partition %d), and no stage has passed it on", topic, m.Key, m.Offset, a.p)
	case e.digest != digest(m.Value):
		a.find(&a.Doubled, "%s: order %s is there (offset %d of partition %d) with other contents than it was passed on with", topic, m.Key, m.Offset, a.p)
	case e.seen:
		*repeated++
	default:
		e.seen = true
	}
}

// missing tells which orders have not come where they were passed on to.
func (a *audit) missing(topic string, expected map[string]*passed) {
	for id, e := range expected {
		switch {
		case e.seen:
		case e.inFlight:
			a.Places[Between]++
		default:
			a.find(&a.Lost, "%s: order %s is lost: the stage before has finished with it", topic, id)
		}
	}
}

// table compares a stage's table with the fold.
func (a *audit) table(ctx context.Context, i int, states map[string]*state) error {
	s, count := a.Line.Stages[i], &a.Stages[i]
	last := map[string]uint64{} // The digest of each row.
	err := a.log.read(ctx, s.Table(), a.p, func(m *kgo.Record) {
		if m.Value == nil {
			delete(last, string(m.Key))
			return
		}
		v, _ := codecs.Row{}.Decode(m.Value) // It never fails.
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
		case trimmed && st.row.State == order.StateEarly: // The order itself came before the log begins.
			count.Old++
		case there && d != rowDigest(&st.row):
			a.find(&a.Wrong, "%s: the row of order %s is not what its events give (%s)", s.Table(), id, st.row.State)
		case !there:
			a.find(&a.Lost, "%s: the row of order %s (%s) is missing", s.Table(), id, st.row.State)
		}
	}
	for id := range last {
		if trimmed {
			count.Old++
		} else {
			a.find(&a.Wrong, "%s: there is a row of order %s, and no event about it", s.Table(), id)
		}
	}
	return nil
}

func rowDigest(r *order.Row) uint64 {
	b, err := codecs.Row{}.Encode(r)
	if err != nil { // Only values that cannot be decoded cannot be encoded.
		return 0
	}
	return digest(b)
}

var seed = maphash.MakeSeed()

// digest stands for the bytes of a message: with 64 bits, the chance that two
// of ten million differ unnoticed is one to a million million.
func digest(b []byte) uint64 { return maphash.Bytes(seed, b) }
