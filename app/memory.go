package app

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// comfortable is what the process may use, in bytes, without the collector
// being hurried.
const comfortable = 540 << 20

// tuneMemory lets the heap grow to five times of what is alive as long as the
// process stays within 540 MB, and above that to 1.3 times. With Go's default a
// small heap is collected so often that it takes a third of the CPU under load,
// and a large one doubles; with a fixed limit, a live heap that nears it has
// half of the CPU spent on collecting. GOGC or GOMEMLIMIT in the environment
// turn it off.
func tuneMemory() {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	debug.SetGCPercent(400)
	(&tuner{}).tune()
}

// tuner sets the memory limit anew after each collection.
type tuner struct{ limit int64 }

// tune has the next collection call it again: a finalizer runs once its object
// has become unreachable, and setting it anew keeps the object for one more.
func (t *tuner) tune() {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	if limit := limit(int64(live[0].Value.Uint64())); limit != t.limit { // Setting it stops the world for a moment.
		t.limit = limit
		debug.SetMemoryLimit(limit)
	}
	runtime.SetFinalizer(t, (*tuner).tune)
}

// limit is that of a process with so many live bytes, in steps of 16 MB.
func limit(live int64) int64 {
	const step = 16 << 20
	return max(comfortable, live*13/10/step*step)
}
