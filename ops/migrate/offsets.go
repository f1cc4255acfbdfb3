package migrate

import (
	"cmp"
	"slices"
)

// offsets maps the offsets of a stream partition from the source to the target. The zero value is the
// mapping of a partition without messages.
type offsets struct {
	base int64 // 1 if the target has a marker in place of the lost beginning, else 0.
	n    int64 // Number of messages added.
	end  int64 // End offset of the source.
	runs []run
}

// run is a sequence of n consecutive offsets. Usually a partition has one run; the control record at
// the end of a transaction leaves a gap and begins another.
type run struct{ source, target, n int64 }

// add adds the message at an offset of the source, which must be higher than all added before, and
// returns its offset on the target.
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

// next returns the end offset of the target.
func (o *offsets) next() int64 { return o.base + o.n }

// at returns the offset on the target of the first message at or above an offset of the source.
//
// An offset beyond the source's end refers to a log that was lost, so it is mapped to the beginning.
// The stage then processes the present messages again, which is harmless.
func (o *offsets) at(source int64) int64 {
	r, found := o.run(source)
	if !found || source > o.end {
		return o.base
	}
	return r.target + min(source-r.source, r.n)
}

// of returns the offset on the target of the message at an offset of the source, if it exists.
func (o *offsets) of(source int64) (target int64, there bool) {
	r, found := o.run(source)
	return r.target + source - r.source, found && source < r.source+r.n
}

// run returns the last run that begins at or below an offset.
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
