package testkit

import (
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// recorder is a test that keeps the message with which it fails.
type recorder struct {
	testing.TB
	message string
}

func (r *recorder) Helper() {}

func (r *recorder) Fatal(args ...any) {
	r.message = fmt.Sprint(args...)
	runtime.Goexit()
}

// failure returns the message with which f fails a test, or "".
func failure(t *testing.T, f func(testing.TB)) string {
	t.Helper()
	r := &recorder{TB: t}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f(r)
	}()
	<-ended
	return r.message
}

func TestEventuallyReturnsOnceTheConditionHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var done atomic.Bool
		time.AfterFunc(30*time.Second, func() { done.Store(true) })
		Eventually(t, "the timer fires", done.Load)
		if waited := time.Since(began); waited < 30*time.Second || waited > 30*time.Second+lastPause {
			t.Errorf("waited %s for what happens after 30s", waited)
		}
	})
}

func TestEventuallySaysWhatWasAwaitedAndTheLastState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		checks := 0
		got := failure(t, func(t testing.TB) {
			Eventually(t, "pigs fly", func() bool { checks++; return false },
				func() any { return struct{ Altitude int }{0} }, func() any { return "no wind" })
		})
		if want := "timed out after 2m0s waiting until pigs fly; last state: {Altitude:0}, no wind"; got != want {
			t.Errorf("it fails with %q, want %q", got, want)
		}
		if checks > int(Deadline/lastPause)+10 {
			t.Errorf("the condition was checked %d times", checks)
		}
	})
}

func TestReceiveIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full := make(chan int, 1)
		full <- 7
		if got := Receive(t, "a number", full); got != 7 {
			t.Errorf("received %d, want 7", got)
		}
		if got := failure(t, func(t testing.TB) { Receive(t, "a number comes", full) }); !strings.Contains(got, "a number comes") {
			t.Errorf("it fails with %q", got)
		}
	})
}

func TestJavaNeedsTheVariable(t *testing.T) {
	t.Setenv("ECUPCAKES_TEST_ALL", "")
	t.Run("skipped", func(t *testing.T) {
		NeedsJava(t)
		t.Error("it goes on without ECUPCAKES_TEST_ALL")
	})
	t.Setenv("ECUPCAKES_TEST_ALL", "1")
	NeedsJava(t)
}
