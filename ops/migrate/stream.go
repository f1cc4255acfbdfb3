package migrate

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// expected calls f for each message that a stream partition must have on the target, with its offset
// there, and returns the mapping of the offsets.
func (m *migration) expected(ctx context.Context, topic string, p int32, f func(at int64, r *kgo.Record) error) (*offsets, error) {
	has := m.source.ranges[topic][p]
	o := &offsets{end: has.End}
	mark := func() error {
		o.base = 1
		return f(0, &kgo.Record{
			Topic: topic, Partition: p,
			Value:     []byte("the beginning of this partition was gone before it was moved"),
			Timestamp: time.UnixMilli(0),
		})
	}
	if has.Begin > 0 || m.lost(topic, p) {
		if err := mark(); err != nil {
			return nil, err
		}
	}
	err := m.source.read(ctx, topic, p, has.Begin, has.End, func(r *kgo.Record) error {
		at := o.add(r.Offset)
		moved := &kgo.Record{Topic: topic, Partition: p, Key: r.Key, Value: r.Value, Headers: r.Headers, Timestamp: r.Timestamp}
		if topic == m.Line.DeadLetters {
			moved.Headers = letter(m.origin(r.Headers), p, o)
		}
		return f(at, moved)
	})
	return o, err
}

// lost reports whether a stage has committed an offset beyond the end of the partition. An embedded
// broker whose retention has deleted everything begins at offset 0 again after a restart.
func (m *migration) lost(topic string, p int32) bool {
	return slices.ContainsFunc(m.source.committed, func(group map[string]map[int32]int64) bool {
		return group[topic][p] > m.source.ranges[topic][p].End
	})
}

// origin maps the headers with the origin of a dead letter. If the origin was deleted, its offset A
// becomes -1-A, which no message has; the target may have another message at A.
func (m *migration) origin(headers []kgo.RecordHeader) []kgo.RecordHeader {
	value := func(key string) string {
		i := slices.IndexFunc(headers, func(h kgo.RecordHeader) bool { return h.Key == key })
		if i < 0 {
			return ""
		}
		return string(headers[i].Value)
	}
	p, errP := strconv.Atoi(value("partition"))
	offset, errO := strconv.ParseInt(value("offset"), 10, 64)
	partitions := m.offsets[value("topic")]
	if errP != nil || errO != nil || p < 0 || p >= len(partitions) {
		return headers
	}
	at, there := partitions[p].of(offset)
	if !there {
		at = -1 - offset
	}
	headers = slices.Clone(headers)
	for i := range headers {
		if headers[i].Key == "offset" {
			headers[i].Value = strconv.AppendInt(nil, at, 10)
		}
	}
	return headers
}

// letter maps the header of a resolution with the ID of its dead letter, an earlier message of the
// same partition, in the way of origin.
func letter(headers []kgo.RecordHeader, p int32, o *offsets) []kgo.RecordHeader {
	i := slices.IndexFunc(headers, func(h kgo.RecordHeader) bool { return h.Key == "letter" })
	if i < 0 {
		return headers
	}
	var of int32
	var offset int64
	if n, err := fmt.Sscanf(string(headers[i].Value), "%d-%d", &of, &offset); n != 2 || err != nil || of != p {
		return headers
	}
	at, there := o.of(offset)
	if !there {
		at = -1 - offset
	}
	headers = slices.Clone(headers)
	headers[i].Value = fmt.Appendf(nil, "%d-%d", p, at)
	return headers
}

// copyStream writes the messages of a stream partition that the target lacks.
func (m *migration) copyStream(ctx context.Context, topic string, p int32, write func(r *kgo.Record, at int64)) (records int64, err error) {
	there := m.target.ranges[topic][p]
	var last uint64 // The digest of the target's last message; 0 if retention has deleted it.
	if there.Begin < there.End {
		err := m.target.read(ctx, topic, p, there.End-1, there.End, func(r *kgo.Record) error {
			last = digest(r)
			return nil
		})
		if err != nil {
			return 0, err
		}
	}
	o, err := m.expected(ctx, topic, p, func(at int64, r *kgo.Record) error {
		switch {
		case at < there.End-1:
		case at == there.End-1:
			if last != 0 && last != digest(r) {
				return fmt.Errorf("the target's last message, at offset %d, differs from the source's: "+
					"the target has another line, or the source has deleted its oldest messages since the migration began; %s",
					at, again)
			}
		case m.sealed:
			return m.ran()
		default:
			write(r, at)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	if there.End > o.next() {
		return 0, fmt.Errorf("the target has %d messages where the source has %d: "+
			"the line has run there, or something else has written. "+
			"If the line was moved before and should continue there, nothing is left to do; otherwise %s",
			there.End, o.next(), again)
	}
	m.offsets[topic] = append(m.offsets[topic], o)
	return o.n, nil
}

// ran returns the error for a target that has committed offsets but lacks messages of the source.
func (m *migration) ran() error {
	return fmt.Errorf("the target has committed offsets but lacks messages of the source: "+
		"the line has run on one of the clusters after it was moved, or was never moved to this target. "+
		"If it should continue on the target, nothing is left to do; otherwise %s",
		again)
}

// deleteMarker deletes the marker in place of a lost beginning.
func (m *migration) deleteMarker(ctx context.Context, topic string, p int32) error {
	base := m.offsets[topic][p].base
	if m.target.ranges[topic][p].Begin >= base {
		return nil
	}
	var marker kadm.Offsets
	marker.AddOffset(topic, p, base, -1)
	deleted, err := m.target.admin.DeleteRecords(ctx, marker)
	if err := errors.Join(err, deleted.Error()); err != nil {
		return fmt.Errorf("deleting the marker at the beginning: %w; the user needs the ACL Delete on topic %s", err, topic)
	}
	return nil
}

// compareStream compares the messages that the target still has. The target's own retention may have
// deleted messages that were old on the source.
func (m *migration) compareStream(ctx context.Context, topic string, p int32) error {
	has, o := m.target.ranges[topic][p], m.offsets[topic][p]
	if has.End != o.next() || has.Begin < o.base {
		return fmt.Errorf("the target has offsets %d to %d, not %d to %d: something else has written to it; %s",
			has.Begin, has.End, o.base, o.next(), again)
	}
	var got, want maphash.Hash
	got.SetSeed(seed)
	want.SetSeed(seed)
	err := m.target.read(ctx, topic, p, has.Begin, has.End, func(r *kgo.Record) error {
		maphash.WriteComparable(&got, digest(r))
		return nil
	})
	if err != nil {
		return err
	}
	if _, err := m.expected(ctx, topic, p, func(at int64, r *kgo.Record) error {
		if at >= has.Begin {
			maphash.WriteComparable(&want, digest(r))
		}
		return nil
	}); err != nil {
		return err
	}
	if got.Sum64() != want.Sum64() {
		return fmt.Errorf("the messages of the target differ from the source's: %s", again)
	}
	return nil
}
