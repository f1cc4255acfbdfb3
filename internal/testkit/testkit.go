// Package testkit holds what the tests of several packages share: waiting for a
// condition, contexts with a deadline, a logger that discards, and the decision
// whether tests run that need programs of others.
//
// Only tests may import it.
package testkit

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// Deadline bounds every wait of a test for something that must happen. It is far
// above what any of them needs, since all tests may share two cores.
const Deadline = 2 * time.Minute

// Quiet discards what is logged.
var Quiet = slog.New(slog.DiscardHandler)

// Pauses between two checks of a condition. They grow, so that what happens at
// once is seen at once, and a long wait leaves the CPU to what it waits for.
const (
	firstPause = time.Millisecond
	lastPause  = 50 * time.Millisecond
)

// Eventually blocks until condition holds, which it checks in the test's own
// goroutine. After Deadline the test fails with what was awaited and the values
// that the state functions return then.
//
// In a synctest bubble, the pauses and Deadline are of the bubble's time.
func Eventually(t testing.TB, what string, condition func() bool, state ...func() any) {
	t.Helper()
	EventuallyWithin(t, Deadline, what, condition, state...)
}

// EventuallyWithin is Eventually with a deadline of its own.
func EventuallyWithin(t testing.TB, deadline time.Duration, what string, condition func() bool, state ...func() any) {
	t.Helper()
	if !Happens(deadline, condition) {
		t.Fatal(overdue(deadline, what, state))
	}
}

// Happens reports whether condition holds within the duration, and returns as
// soon as it does. It is for what must not happen: unlike Eventually, it waits
// for the whole duration where all is well.
func Happens(within time.Duration, condition func() bool) bool {
	end, pause := time.Now().Add(within), firstPause
	for !condition() {
		if !time.Now().Before(end) {
			return false
		}
		time.Sleep(pause)
		pause = min(2*pause, lastPause)
	}
	return true
}

func overdue(deadline time.Duration, what string, state []func() any) string {
	message := fmt.Sprintf("timed out after %s waiting until %s", deadline, what)
	for i, s := range state {
		separator := ", "
		if i == 0 {
			separator = "; last state: "
		}
		message += fmt.Sprintf("%s%+v", separator, s())
	}
	return message
}

// Context returns a context that ends with the test, or after Deadline.
func Context(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Deadline)
	t.Cleanup(cancel)
	return ctx
}

// Receive returns the next value of a channel. The test fails if none comes
// within Deadline; what says what was awaited.
func Receive[T any](t testing.TB, what string, from <-chan T) (value T) {
	t.Helper()
	timeout := time.NewTimer(Deadline)
	defer timeout.Stop()
	select {
	case value = <-from:
	case <-timeout.C:
		t.Fatal(overdue(Deadline, what, nil))
	}
	return value
}

// NoLeaks fails the test if a goroutine that it has started still runs once the
// cleanups that were registered after the call have run.
func NoLeaks(t testing.TB) {
	others := goleak.IgnoreCurrent()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		goleak.VerifyNone(t, others,
			// A connection of the embedded broker ends once it notices that its client is gone.
			goleak.IgnoreAnyFunction("github.com/twmb/franz-go/pkg/kfake.(*clientConn).read.func1"),
			// The clock of a library of sarama's never stops.
			goleak.IgnoreAnyFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"))
	})
}

// All reports whether everything has to run: `make test` sets
// ECUPCAKES_TEST_ALL=1. Without it, tests that need Java are skipped, and long
// ones are shorter.
func All() bool { return os.Getenv("ECUPCAKES_TEST_ALL") != "" }

// NeedsJava skips a test that starts Java programs, such as Apache Kafka, unless
// everything has to run. It does so even where Java is installed, because such a
// program needs seconds to start and hundreds of megabytes.
func NeedsJava(t testing.TB) {
	t.Helper()
	if !All() {
		t.Skip("this test starts Java programs: set ECUPCAKES_TEST_ALL=1, or run `make test`")
	}
}

// Missing ends a test that needs a program which is not installed: it fails if
// everything has to run, and is skipped otherwise. The error should say how to
// install the program.
func Missing(t testing.TB, err error) {
	t.Helper()
	if All() {
		t.Fatal(err)
	}
	t.Skip(err)
}
