package migrate

import (
	"context"
	"fmt"
	"math"

	"github.com/ecupcakes/ecupcakes/codecs"
	"github.com/ecupcakes/ecupcakes/order"

	"github.com/twmb/franz-go/pkg/kgo"
)

// latest is the last message of a key.
type latest struct {
	offset int64
	digest uint64 // 0 for a tombstone.
}

// rows returns the last message of each key in a table partition, with the digest of what moved makes
// of it.
func (c *cluster) rows(
	ctx context.Context, topic string, p int32,
	moved func(*kgo.Record) (*kgo.Record, error),
) (map[string]latest, error) {
	rows, has := map[string]latest{}, c.ranges[topic][p]
	err := c.read(ctx, topic, p, has.Begin, has.End, func(r *kgo.Record) error {
		if r.Key == nil {
			return nil // A compacted topic of another cluster would reject a message without a key.
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

// row returns a function that maps a message of a table partition to the target: the row's applied
// offsets are mapped. A message that cannot be decoded stays unchanged.
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
		v, _ := codecs.Row{}.Decode(r.Value) // Codecs return undecodable bytes as a value, never an error.
		row, ok := v.(*order.Row)
		if !ok {
			return moved, nil
		}
		before := row.NextOffset
		for in := range of {
			if row.NextOffset[in] > 0 { // 0 means that no offset was applied.
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

// copyTable writes the last message of each key that the target lacks or has with another content.
// Earlier messages of a key are not copied, since compaction would delete them.
func (m *migration) copyTable(ctx context.Context, topic string, p int32, write func(r *kgo.Record, at int64)) (records int64, err error) {
	unchanged := func(r *kgo.Record) (*kgo.Record, error) { return r, nil }
	there, err := m.target.rows(ctx, topic, p, unchanged)
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
			return 0, fmt.Errorf("the target has a row of order %s, but the source has none: the target has another line; %s", key, again)
		}
	}
	from, to := int64(math.MaxInt64), int64(0) // The offsets of the messages to write.
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

// compareTable compares the last message of each key.
func (m *migration) compareTable(ctx context.Context, topic string, p int32) error {
	differ := 0
	_, err := m.copyTable(ctx, topic, p, func(*kgo.Record, int64) { differ++ })
	if err == nil && differ > 0 {
		err = fmt.Errorf("%d rows of the target differ from the source's: something else has written to it; %s", differ, again)
	}
	return err
}
