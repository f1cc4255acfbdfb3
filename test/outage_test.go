package test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ecupcakes/ecupcakes/load"
)

// The bounds that are promised for a time without brokers.
const (
	outage       = 15 * time.Second
	stopBound    = 15 * time.Second
	commandBound = 15 * time.Second // Twice its time-out of 5 s, and some for the machine.
	memoryBound  = 400 << 20        // Bytes.
)

// TestOutage takes Kafka away from under the load. What was accepted is not
// lost, commands are refused within their time-out, memory stays bounded, a
// process can be stopped, and processing resumes by itself when Kafka is back.
func TestOutage(t *testing.T) {
	t.Parallel()
	cluster := realKafka(t, 1)
	p := cluster.proxies[0]
	f := openOn(t, cluster.Brokers())
	other := opened(t, &factory{t: t, kafka: cluster.Brokers(), serve: []string{"--roles", "processors,api", "--instance", "other"}})

	const orders = 2000
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := load.Run(ctx, load.Options{URL: f.url, Orders: orders, Rate: 100, Walk: true, Out: io.Discard})
		done <- err
	}()
	f.eventually("orders are shipped", func() bool { return f.stations().Finished["shipped"] > 100 })

	p.set(true, 0)
	back := time.After(outage)
	for refused := 0; refused < 3; {
		began := time.Now()
		a := f.call("POST", "/api/v1/order", strawberry)
		if took := time.Since(began); took > commandBound {
			t.Errorf("a POST took %s", took)
		}
		if a.StatusCode == http.StatusServiceUnavailable {
			refused++
			if a.Header.Get("Retry-After") == "" || !strings.Contains(a.Header.Get("Content-Type"), "problem+json") {
				t.Errorf("refused with %v %s", a.Header, a.body)
			}
		}
	}
	f.eventually("it says that it is not ready", func() bool { return !f.ready() })
	began := time.Now()
	if err := other.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-other.exited:
		t.Logf("stopped without brokers in %s", time.Since(began).Round(time.Millisecond))
	case <-time.After(2 * stopBound):
	}
	if took := time.Since(began); took > stopBound {
		t.Errorf("stopping without brokers took more than %s: %s", stopBound, took)
	}
	<-back
	if resident := residentBytes(t, f.cmd.Process.Pid); resident > memoryBound {
		t.Errorf("%d MB are resident after %s without brokers", resident>>20, outage)
	} else {
		t.Logf("%d MB are resident after %s without brokers", resident>>20, outage)
	}

	p.set(false, 0)
	returned := time.Now()
	f.eventually("it is ready again", f.ready)
	t.Logf("ready again %s after the brokers", time.Since(returned).Round(time.Millisecond))
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	f.stop()
	if a := auditOf(t, "--brokers", cluster.Brokers()); !a.clean() || a.InFlight != 0 {
		t.Errorf("verify says %s", a.said)
	}
}

// residentBytes is how much memory a process has now.
func residentBytes(t *testing.T, pid int) int {
	t.Helper()
	statm, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	var size, resident int
	if err == nil {
		_, err = fmt.Sscan(string(statm), &size, &resident)
	}
	if err != nil {
		t.Fatal(err)
	}
	return resident * os.Getpagesize()
}
