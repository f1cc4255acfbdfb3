// Package migrate moves a stopped line from one Kafka cluster to another: all its topics, with the
// order of the messages in each partition, and the committed offsets of the stages.
//
// Offsets are the one thing that cannot be copied unchanged. The source's topics no longer begin at 0
// once retention has deleted their oldest messages, but a new topic does. Most readers do not depend
// on that. A row does: it holds the offsets that its stage has applied to the order, and a message
// below them counts as a redelivery that changes nothing. Suppose a row that has applied offsets up
// to 5000 were copied to a cluster whose topic has 1000 messages. Then the next 4000 reports about
// that order would be ignored, and so lost. Therefore an offset A of the source is mapped to the
// number of messages that the source still has below A. That is the offset on the target of the
// message that was at A. The mapping applies wherever the line stores offsets: in rows, in the
// headers with the origin of a dead letter, and in the committed offsets of the stages.
//
// A partition that has lost its beginning gets a marker before its first message on the target. The
// marker takes one offset and is deleted afterwards, so the target's partition does not begin at 0
// either. Otherwise a reader of the target could not know that events are missing, and an audit would
// report rows without events.
//
// A migration can be killed at any time and run again. Its progress is the content of the target. In
// a stream partition, that is every message up to the end, since nobody else writes there. In a
// table, it is every row that equals the source's. Only the last row of each order is moved, as
// compaction would leave it, so it does not matter what either cluster has compacted. The migration
// checks that the target has the same line: first by the last message of each partition, in the end
// by all messages. It commits the offsets last. So a target with committed offsets is complete, and
// nothing more is written to it. After that, the target is audited (package verify).
//
// The package decodes rows and the headers of dead letters. It has no rules about orders.
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

// Options configures a migration.
type Options struct {
	From, To kafka.Config // During the migration, nobody else may use From or write to To.
	Line     topology.Line
	Progress func(doing string, done, of int64) // Called for each message read and each group committed; may be nil.
}

// Result is the result of a migration.
type Result struct {
	Topics []Topic // In line order.
	Audit  *verify.Result
}

// Topic counts the messages of a topic on the target.
type Topic struct {
	Name    string
	Records int64 // Messages of a stream, or rows of a table.
	Written int64 // How many of them this run has written.
}

// again is the remedy if the target cannot be used.
const again = "choose an empty cluster, or delete the line's topics and consumer groups on this one, and run the migration again"

// targetTimeout is how long the target may take to answer for the first time, or to acknowledge the
// next message.
const targetTimeout = 30 * time.Second

// Run moves the line and returns once the target is complete, compared and audited. After an error
// the target is incomplete but consistent, and another Run resumes there, unless the error says that
// the target has foreign data. If the audit finds faults, Run returns both the result and an error;
// everything is moved then, including the faults.
//
// It needs memory for the keys of one partition of a table at a time, about 200 bytes for each.
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
	// Inputs of a stage come before its table, and the dead letters last: they need the offset mappings.
	for topic, kind := range o.Line.Topics() {
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
		err = fmt.Errorf("the audit of the target finds %d lost, %d doubled, %d wrong, "+
			"although the target equals the source: audit the source, too",
			a.Lost, a.Doubled, a.Wrong)
	}
	return &m.report, err
}

// migration is the state of one Run.
type migration struct {
	Options
	source, target *cluster
	partitions     int32
	offsets        map[string][]*offsets // Mappings of the streams that are copied, by topic and partition.
	sealed         bool                  // The target has committed offsets, so it must be complete.
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
	// Read the offsets first: an embedded broker soon deletes those of groups that have not run for a
	// week.
	if err := m.source.look(ctx, m.Line); err != nil {
		return fmt.Errorf("reading the source: %w; "+
			"if it has only run with another version of the program, start and stop it once with this one", err)
	}
	m.partitions = int32(len(m.source.ranges[m.Line.Output]))
	for topic := range m.Line.Topics() {
		if n := len(m.source.ranges[topic]); n != int(m.partitions) {
			return fmt.Errorf("topic %s of the source has %d partitions, but %s has %d: see `ecupcakes topics check`", topic, n, m.Line.Output, m.partitions)
		}
	}
	return nil
}

// connectTarget checks that the target can be used and creates missing topics. It changes nothing if
// a check fails.
func (m *migration) connectTarget(ctx context.Context) (err error) {
	if m.target, err = dial("target", m.To, m.Progress); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, targetTimeout)
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
		t.Configs["message.timestamp.type"] = "CreateTime" // Otherwise the target would overwrite the timestamps.
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
		return fmt.Errorf("reading the target: %w", err)
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
			return fmt.Errorf("describing group %s on the target: %w", s.Group(), err)
		}
		if n := len(group.Members); n > 0 {
			return fmt.Errorf("the consumer group %s has %d members on the target: the line runs there. "+
				"Stop it, wait until its session has timed out, and %s",
				s.Group(), n, again)
		}
	}
	return nil
}

// group describes a consumer group of the target. It retries retriable errors until ctx ends, because
// a new cluster first has to create its internal topic of offsets.
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

// inputs returns the topics whose offsets the rows of a stage hold, by their index in the row.
func inputs(s topology.Stage) [2]string {
	return [2]string{order.Arrivals: s.Input, order.Reports: s.Reports()}
}

// copy writes the messages of a topic that the target lacks.
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
	// The copying context ends with a cause when a write fails, when a message gets a wrong offset, or
	// when the target acknowledges nothing for targetTimeout.
	copying, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var waiting atomic.Int64
	silence := time.AfterFunc(targetTimeout, func() {
		if waiting.Load() > 0 {
			fail(fmt.Errorf("the target has acknowledged nothing for %s: run the migration again when it answers, to resume it", targetTimeout))
		}
	})
	defer silence.Stop()
	write := func(r *kgo.Record, at int64) {
		written++
		if waiting.Add(1) == 1 {
			silence.Reset(targetTimeout)
		}
		m.target.client.Produce(copying, r, func(r *kgo.Record, err error) {
			waiting.Add(-1)
			silence.Reset(targetTimeout)
			switch {
			case err != nil:
				fail(fmt.Errorf("writing to the target: %w; "+
					"if its topic rejects the message, change the topic's settings and run the migration again", err))
			case at >= 0 && r.Offset != at:
				fail(fmt.Errorf("the target has given offset %d to the message that must have offset %d: something else writes there; %s",
					r.Offset, at, again))
			}
		})
	}
	if kind == topology.Table {
		records, err = m.copyTable(copying, topic, p, write)
	} else {
		records, err = m.copyStream(copying, topic, p, write)
	}
	if m.target.client.Flush(copying) != nil {
		// Wait for messages in flight even though this run ends. Otherwise they could arrive after the
		// next run has read the target's end offsets.
		arriving, stop := context.WithTimeout(context.WithoutCancel(ctx), targetTimeout)
		defer stop()
		_ = m.target.client.Flush(arriving) // The cause of copying is returned instead.
	}
	if cause := context.Cause(copying); cause != nil {
		return 0, 0, cause
	}
	if err == nil && kind == topology.Stream && m.offsets[topic][p].base > 0 {
		if m.target.ranges[topic][p].End == 0 {
			written-- // The marker does not count as a record.
		}
		err = m.deleteMarker(ctx, topic, p)
	}
	return records, written, err
}

// compare returns an error if the content of a topic on the target differs from the expected one.
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

// commit commits the mapped offsets of the stages on the target.
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
					return fmt.Errorf(
						"group %s has committed offset %d of partition %d of %s on the target, not %d as on the source: "+
							"the line has run there since it was moved. "+
							"If it should continue there, nothing is left to do; otherwise %s",
						s.Group(), have, p, topic, to, again,
					)
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
