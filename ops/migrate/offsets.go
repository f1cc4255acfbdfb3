package migrate

import (
	"cmp"
	"slices"
)

// offsets says where the messages of a stream partition of the source are on
// the target. The zero value is that of a partition without any message.
type offsets struct {
	base int64 // 1 if the target has a marker in the place of a beginning that is gone.
	n    int64 // How many messages were added.
	end  int64 // Of the source.
	runs []run
}

// run is a part of the source without holes. There is one, as a rule; the end
// of a transaction makes a hole.
type run struct{ source, target, n int64 }

// add adds the message at an offset of the source, which must be higher than
// all before, and returns its offset on the target.
func (o *offsets) add(source int64) (target int64) {
	target = o.next()
	o.n++
	if last := len(o.runs) - 1; last >= 0 && source == o.runs[last].source+o.runs[last].n {
		o.runs[last].n++
	} else {
		o.runs = append(o.runs, run{source, target, 1})
	}
	return target
}

// next is where the target ends.
func (o *offsets) next() int64 { return o.base + o.n }

// at returns the offset on the target of the first message that is not below an
// offset of the source.
//
// An offset beyond the source's end speaks of a log that has been lost, and
// nothing of the present one is below it. Going on at the beginning repeats
// what has been done, which does no harm.
func (o *offsets) at(source int64) int64 {
	r, found := o.run(source)
	if !found || source > o.end {
		return o.base
	}
	return r.target + min(source-r.source, r.n)
}

// of returns where the message at an offset of the source is, if it is there at
// all.
func (o *offsets) of(source int64) (target int64, there bool) {
	r, found := o.run(source)
	return r.target + source - r.source, found && source < r.source+r.n
}

// run returns the last one that does not begin above an offset.
func (o *offsets) run(source int64) (run, bool) {
	i, exact := slices.BinarySearchFunc(o.runs, source, func(r run, source int64) int { return cmp.Compare(r.source, source) })
	if !exact {
		i--
	}
	if i < 0 {
		return run{}, false
	}
	return o.runs[i], true
}
