package app

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// comfortable is the memory that the process may use, in bytes, before the garbage
// collector runs more often.
const comfortable = 540 << 20

// tuneMemory lets the heap grow to five times the live bytes while the process
// stays within 540 MB, and to 1.3 times above that. With Go's default, collecting
// a small heap takes a third of the CPU under load, and a large heap doubles.
// With a fixed limit, collecting takes half of the CPU once the live heap comes
// near it. GOGC or GOMEMLIMIT in the environment turn this tuning off.
func tuneMemory() {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	debug.SetGCPercent(400)
	(&tuner{}).tune()
}

// tuner adjusts the memory limit after each collection.
type tuner struct{ limit int64 }

// tune adjusts the limit and sets the finalizer of its object again: a finalizer
// runs once, when its object has become unreachable.
func (t *tuner) tune() {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	if limit := limit(int64(live[0].Value.Uint64())); limit != t.limit { // Setting it stops the world for a moment.
		t.limit = limit
		debug.SetMemoryLimit(limit)
	}
	runtime.SetFinalizer(t, (*tuner).tune)
}

// limit returns the memory limit for so many live bytes, in steps of 16 MB.
func limit(live int64) int64 {
	const step = 16 << 20
	return max(comfortable, live*13/10/step*step)
}
