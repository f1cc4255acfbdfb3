package hub

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// BenchmarkPublish announces one order to 1,000 screens over loopback connections, and waits
// until all have it. The clients read bare bytes into one buffer each, so that all allocations
// are the hub's.
func BenchmarkPublish(b *testing.B) {
	const screens = 1000
	kitchen := newKitchen()
	kitchen.pad = strings.Repeat("x", 250)
	_, server := open(b, kitchen, Options{ClientTimeout: time.Hour})
	var before, after runtime.MemStats
	var received atomic.Int64
	all := make(chan struct{}, 1)
	for range screens {
		p := watch(b, server, "mix")
		p.synced()
		go func() { // until the peer is closed
			for buffer := make([]byte, 4<<10); ; {
				n, err := p.conn.Read(buffer)
				if err != nil {
					return
				}
				for range bytes.Count(buffer[:n], []byte("]}\x1e")) {
					if received.Add(1)%screens == 0 {
						all <- struct{}{}
					}
				}
			}
		}()
		b.Cleanup(func() { _ = p.conn.Close() })
	}
	runtime.ReadMemStats(&before)
	for n := 0; b.Loop(); n++ {
		kitchen.put("mix", fmt.Sprint(n%10))
		<-all
	}
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.Mallocs-before.Mallocs)/float64(b.N)/screens, "allocs/client")
	b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/float64(b.N)/screens, "B/client")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/screens, "ns/client")
}
