// Package migrate moves a line from the Kafka where it has run, and now stands
// still, to another one: all its topics with the order of each partition, and
// how far the stages have come.
//
// The one thing that cannot be moved as it is are offsets. The source's topics
// no longer begin at 0 once retention has taken their oldest messages, and a
// topic that is written anew does. Most readers do not care; a row does: it
// holds the offsets that its stage has applied to the order, and what comes
// below them is taken for a redelivery, answered with what the row has, and
// done. Were a row copied that says "applied up to 5000" to a topic that has
// 1000 messages, the next 4000 reports about the order would change nothing:
// each would be lost. So an offset A of the source becomes the number of
// messages that the source still has below A, which is where the target has the
// message that was at A, and that in all places where the line keeps offsets:
// in the rows, in the headers that say where a dead letter comes from, and in
// what the consumer groups of the stages have committed.
//
// A partition that has lost its beginning does so on the target as well: a
// marker is put before the first message, which all offsets above count, and
// deleted. Otherwise nobody who reads the target could tell that events are
// missing, and an audit would find rows that come from nowhere.
//
// A migration can be killed at any time and run again. How far it has got is
// what the target has: a stream partition up to its end, since nobody else
// writes there, and of a table the rows that are as they should be. Of those
// only the last one of each order is moved, as compaction would leave it; so it
// does not matter what either side has compacted when. That the target has the
// same line is checked, first by its last message and in the end by all of
// them. The offsets are committed last: where any are, everything was complete
// before, and nothing is written any more. After that the target is audited
// (package verify).
//
// The package knows the wire forms of rows and dead letters, and never what is
// decided about an order.
package migrate

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/ecupcakes/ecupcakes/kafka"
	"github.com/ecupcakes/ecupcakes/ops/verify"
	"github.com/ecupcakes/ecupcakes/order"
	"github.com/ecupcakes/ecupcakes/topology"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Options say what to move and where.
type Options struct {
	From, To kafka.Config // Nobody else may use From meanwhile, nor write to To.
	Line     topology.Line
	Progress func(doing string, done, of int64) // Called for each message that is read and each group; may be nil.
}

// Result is what a migration has moved.
type Result struct {
	Topics []Topic // In line order.
	Audit  *verify.Result
}

// Topic is what the target has of one topic.
type Topic struct {
	Name    string
	Records int64 // Messages of a stream, rows of a table.
	Written int64 // By this run; the others were there before.
}

// again is what to do when the target cannot be used as it is.
const again = "choose an empty cluster, or delete the line's topics and consumer groups on this one, and run the migration again"

// patience is how long a cluster may be silent before that is an error.
const patience = 30 * time.Second

// Run moves the line and returns when it is complete, compared and audited. An
// error leaves the target incomplete but sound: Run again goes on there, unless
// the error says that the target has something else. Only if the audit finds
// faults is the report returned with the error; all is moved then, faults
// included.
//
// Memory is needed for the keys of one partition of a table at a time, some
// 200 bytes for each.
func Run(ctx context.Context, o Options) (*Result, error) {
	m := &migration{Options: o, offsets: map[string][]*offsets{}}
	if m.Progress == nil {
		m.Progress = func(string, int64, int64) {}
	}
	for _, connect := range []func(context.Context) error{m.connectSource, m.connectTarget} {
		if err := connect(ctx); err != nil {
			m.close()
			return nil, err
		}
	}
	defer m.close()
	for topic, kind := range o.Line.Topics() { // The inputs of a stage come before its table, and all of them before the dead letters.
		if err := m.copy(ctx, topic, kind); err != nil {
			return nil, err
		}
	}
	for topic, kind := range o.Line.Topics() {
		if err := m.compare(ctx, topic, kind); err != nil {
			return nil, err
		}
	}
	if err := m.commit(ctx); err != nil {
		return nil, err
	}
	var err error
	if m.report.Audit, err = verify.Run(ctx, verify.Options{Kafka: o.To, Line: o.Line}); err != nil {
		return nil, fmt.Errorf("auditing the line on the target: %w", err)
	}
	if a := m.report.Audit; !a.OK() {
		err = fmt.Errorf("the audit of the target finds %d lost, %d doubled, %d wrong, although all that the source has is there: audit the source, too", a.Lost, a.Doubled, a.Wrong)
	}
	return &m.report, err
}

// migration is one run.
type migration struct {
	Options
	source, target *cluster
	partitions     int32
	offsets        map[string][]*offsets // Of the streams, by topic and partition, once they are copied.
	sealed         bool                  // Offsets are committed on the target: everything else must be there.
	report         Result
}

func (m *migration) close() {
	for _, c := range []*cluster{m.source, m.target} {
		if c != nil {
			c.close()
		}
	}
}

func (m *migration) connectSource(ctx context.Context) (err error) {
	if m.source, err = dial("source", m.From, m.Progress); err != nil {
		return err
	}
	// The embedded broker soon forgets the offsets of groups that have not run
	// for a week: they come first.
	if err := m.source.look(ctx, m.Line); err != nil {
		return fmt.Errorf("looking at the source: %w; if it has only run with another version of the program, start and stop it once with this one", err)
	}
	m.partitions = int32(len(m.source.ranges[m.Line.Output]))
	for topic := range m.Line.Topics() {
		if n := len(m.source.ranges[topic]); n != int(m.partitions) {
			return fmt.Errorf("topic %s of the source has %d partitions and %s has %d: see `ecupcakes topics check`", topic, n, m.Line.Output, m.partitions)
		}
	}
	return nil
}

// connectTarget makes the target ready to be written to, and changes nothing
// there if it cannot be.
func (m *migration) connectTarget(ctx context.Context) (err error) {
	if m.target, err = dial("target", m.To, m.Progress); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	brokers, err := m.target.WaitForBrokers(ctx)
	if err != nil {
		return err
	}
	if err := m.idle(ctx); err != nil {
		return err
	}
	needed := kafka.RequiredTopics(m.Line, m.partitions, brokers)
	for _, t := range needed {
		t.Configs["message.timestamp.type"] = "CreateTime" // Or the target would put its own times.
	}
	findings, err := m.target.Check(ctx, needed)
	if err != nil {
		return err
	}
	var wrong []error
	for _, f := range findings {
		if !f.Missing {
			wrong = append(wrong, fmt.Errorf("topic %s of the target %s", f.Topic, f.What))
		}
	}
	if len(wrong) > 0 {
		return errors.Join(append(wrong, errors.New("nothing has been moved: "+again))...)
	}
	if err := m.target.Apply(ctx, needed); err != nil {
		return err
	}
	if err := m.target.look(ctx, m.Line); err != nil {
		return fmt.Errorf("looking at the target: %w", err)
	}
	for i, s := range m.Line.Stages {
		for _, topic := range inputs(s) {
			m.sealed = m.sealed || len(m.target.committed[i][topic]) > 0
		}
	}
	return nil
}

// idle returns an error if processors of the line run on the target.
func (m *migration) idle(ctx context.Context) error {
	for _, s := range m.Line.Stages {
		group, err := m.group(ctx, s.Group())
		if err != nil {
			return fmt.Errorf("looking whether group %s runs on the target: %w", s.Group(), err)
		}
		if n := len(group.Members); n > 0 {
			return fmt.Errorf("the consumer group %s has %d members on the target: the line runs there. Stop it, wait until its session has timed out, and %s", s.Group(), n, again)
		}
	}
	return nil
}

// group describes a consumer group. A new cluster that has never had one needs
// a while to do so.
func (m *migration) group(ctx context.Context, name string) (kadm.DescribedGroup, error) {
	for {
		described, err := m.target.admin.DescribeGroups(ctx, name)
		if err == nil {
			err = described[name].Err
		}
		switch {
		case errors.Is(err, kerr.GroupIDNotFound):
			return kadm.DescribedGroup{}, nil
		case !kerr.IsRetriable(err):
			return described[name], err
		}
		select {
		case <-ctx.Done():
			return kadm.DescribedGroup{}, errors.Join(err, ctx.Err())
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// inputs are the topics whose offsets a stage keeps.
func inputs(s topology.Stage) [2]string {
	return [2]string{order.Arrivals: s.Input, order.Reports: s.Reports()}
}

// copy writes what the target lacks of a topic.
func (m *migration) copy(ctx context.Context, topic string, kind topology.Kind) error {
	t := Topic{Name: topic}
	for p := range m.partitions {
		records, written, err := m.copyPartition(ctx, topic, kind, p)
		if err != nil {
			return fmt.Errorf("copying partition %d of %s: %w", p, topic, err)
		}
		t.Records += records
		t.Written += written
	}
	m.report.Topics = append(m.report.Topics, t)
	return nil
}

func (m *migration) copyPartition(ctx context.Context, topic string, kind topology.Kind, p int32) (records, written int64, err error) {
	// The first write that fails, or does not come to lie where it must, ends
	// the copying and is the reason for it, and so does a target that is silent.
	copying, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var waiting atomic.Int64
	silence := time.AfterFunc(patience, func() {
		if waiting.Load() > 0 {
			fail(fmt.Errorf("the target has acknowledged nothing for %s; run the migration again when it answers, and it goes on where it was", patience))
		}
	})
	defer silence.Stop()
	write := func(r *kgo.Record, at int64) {
		written++
		if waiting.Add(1) == 1 {
			silence.Reset(patience)
		}
		m.target.client.Produce(copying, r, func(r *kgo.Record, err error) {
			waiting.Add(-1)
			silence.Reset(patience)
			switch {
			case err != nil:
				fail(fmt.Errorf("writing to the target: %w; if its topic refuses the message, change the topic's settings and run the migration again", err))
			case at >= 0 && r.Offset != at:
				fail(fmt.Errorf("what belongs to offset %d has come to %d on the target: something else writes there; %s", at, r.Offset, again))
			}
		})
	}
	if kind == topology.Table {
		records, err = m.copyTable(copying, topic, p, write)
	} else {
		records, err = m.copyStream(copying, topic, p, write)
	}
	if m.target.client.Flush(copying) != nil {
		// What is on its way must have arrived before anybody looks again how far
		// the target has come, even if this run ends here.
		arriving, stop := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer stop()
		_ = m.target.client.Flush(arriving) // The cause is told.
	}
	if cause := context.Cause(copying); cause != nil {
		return 0, 0, cause
	}
	if err == nil && kind == topology.Stream && m.offsets[topic][p].base > 0 {
		if m.target.ranges[topic][p].End == 0 {
			written-- // The marker is no record.
		}
		err = m.deleteMarker(ctx, topic, p)
	}
	return records, written, err
}

// compare returns an error unless the target has what it must have of a topic.
func (m *migration) compare(ctx context.Context, topic string, kind topology.Kind) (err error) {
	if m.target.ranges[topic], err = m.target.Ranges(ctx, topic); err != nil {
		return err
	}
	compare := m.compareStream
	if kind == topology.Table {
		compare = m.compareTable
	}
	for p := range m.partitions {
		if err := compare(ctx, topic, p); err != nil {
			return fmt.Errorf("comparing partition %d of %s: %w", p, topic, err)
		}
	}
	return nil
}

// commit says to the target how far the stages have come.
func (m *migration) commit(ctx context.Context) error {
	commits := make([]kadm.Offsets, len(m.Line.Stages))
	for i, s := range m.Line.Stages {
		for _, topic := range inputs(s) {
			for p := range m.partitions {
				at, moved := m.source.committed[i][topic][p]
				to := m.offsets[topic][p].at(at)
				have, there := m.target.committed[i][topic][p]
				switch {
				case there && (!moved || have != to):
					return fmt.Errorf("group %s has come to offset %d of partition %d of %s on the target, and not to %d as on the source: the line has run there since it was moved. If it is to go on there, nothing is left to do; otherwise %s", s.Group(), have, p, topic, to, again)
				case moved && !there:
					commits[i].AddOffset(topic, p, to, -1)
				}
			}
		}
	}
	for i, s := range m.Line.Stages {
		if len(commits[i]) > 0 {
			if err := m.target.admin.CommitAllOffsets(ctx, s.Group(), commits[i]); err != nil {
				return fmt.Errorf("committing the offsets of group %s on the target: %w", s.Group(), err)
			}
		}
		m.Progress("committing offsets", int64(i+1), int64(len(commits)))
	}
	return nil
}
