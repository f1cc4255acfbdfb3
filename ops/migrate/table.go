package migrate

import (
	"context"
	"fmt"
	"math"

	"github.com/ecupcakes/ecupcakes/codecs"
	"github.com/ecupcakes/ecupcakes/order"

	"github.com/twmb/franz-go/pkg/kgo"
)

// latest is the last message about a key: where it is, and its digest, 0 for a
// tombstone.
type latest struct {
	offset int64
	digest uint64
}

// rows returns the last message about each key of a table partition.
func (c *cluster) rows(ctx context.Context, topic string, p int32, moved func(*kgo.Record) (*kgo.Record, error)) (map[string]latest, error) {
	rows, has := map[string]latest{}, c.ranges[topic][p]
	err := c.read(ctx, topic, p, has.Begin, has.End, func(r *kgo.Record) error {
		if r.Key == nil {
			return nil // Compaction deletes it, and no cluster takes it.
		}
		row := latest{offset: r.Offset}
		if r.Value != nil {
			as, err := moved(r)
			if err != nil {
				return err
			}
			row.digest = digest(as)
		}
		rows[string(r.Key)] = row
		return nil
	})
	return rows, err
}

// row returns a message of a table as it must be on the target: the offsets
// that the row has applied are mapped. One that nobody can read stays as it is.
func (m *migration) row(topic string, p int32) func(*kgo.Record) (*kgo.Record, error) {
	var of [2]*offsets
	for _, s := range m.Line.Stages {
		if s.Table() == topic {
			for in, input := range inputs(s) {
				of[in] = m.offsets[input][p]
			}
		}
	}
	return func(r *kgo.Record) (*kgo.Record, error) {
		moved := &kgo.Record{Topic: topic, Partition: p, Key: r.Key, Value: r.Value, Headers: r.Headers, Timestamp: r.Timestamp}
		v, _ := codecs.Row{}.Decode(r.Value) // It never fails.
		row, ok := v.(*order.Row)
		if !ok {
			return moved, nil
		}
		before := row.NextOffset
		for in := range of {
			if row.NextOffset[in] > 0 { // 0 is not an offset.
				row.NextOffset[in] = of[in].at(row.NextOffset[in])
			}
		}
		if row.NextOffset == before {
			return moved, nil
		}
		var err error
		moved.Value, err = codecs.Row{}.Encode(row)
		return moved, err
	}
}

// copyTable writes the rows that the target lacks or has otherwise, each as the
// source has it last: what was before would only be compacted away, and was, as
// far as it was read from a compacted topic.
func (m *migration) copyTable(ctx context.Context, topic string, p int32, write func(r *kgo.Record, at int64)) (records int64, err error) {
	asItIs := func(r *kgo.Record) (*kgo.Record, error) { return r, nil }
	there, err := m.target.rows(ctx, topic, p, asItIs)
	if err != nil {
		return 0, err
	}
	moved := m.row(topic, p)
	rows, err := m.source.rows(ctx, topic, p, moved)
	if err != nil {
		return 0, err
	}
	for key, row := range there {
		if _, known := rows[key]; !known && row.digest != 0 {
			return 0, fmt.Errorf("the target has a row of order %s, and the source has none: it is another line's; %s", key, again)
		}
	}
	from, to := int64(math.MaxInt64), int64(0) // What is to be written lies there.
	for key, row := range rows {
		if row.digest != 0 {
			records++
		}
		if row.digest == there[key].digest {
			delete(rows, key)
			continue
		}
		from, to = min(from, row.offset), max(to, row.offset+1)
	}
	if len(rows) > 0 && m.sealed {
		return 0, m.ran()
	}
	return records, m.source.read(ctx, topic, p, from, to, func(r *kgo.Record) error {
		if row, lacks := rows[string(r.Key)]; !lacks || row.offset != r.Offset {
			return nil
		}
		as, err := moved(r)
		if err == nil {
			write(as, -1)
		}
		return err
	})
}

// compareTable compares the last message about each key.
func (m *migration) compareTable(ctx context.Context, topic string, p int32) error {
	differ := 0
	_, err := m.copyTable(ctx, topic, p, func(*kgo.Record, int64) { differ++ })
	if err == nil && differ > 0 {
		err = fmt.Errorf("%d rows of the target are not those of the source: something else has written to it; %s", differ, again)
	}
	return err
}
