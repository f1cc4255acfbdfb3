package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// withClock builds the program, once, with a clock that can jump: its standard
// library's time.Now is so much off, for some time after the start, as the
// environment says. The monotonic clock goes on as it does.
var withClock = sync.OnceValues(func() (program string, err error) {
	dir := filepath.Join(filepath.Dir(binary), "clock") // Which goes with the binary's.
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("asking where the standard library is: %w", err)
	}
	return overlaid(dir, filepath.Join(strings.TrimSpace(string(root)), "src", "time", "time.go"),
		"\nimport (\n", "\nimport (\n\t\"syscall\"\n",
		"\tsec, nsec, mono := runtimeNow()\n\tif mono == 0 {", `	sec, nsec, mono := runtimeNow()
	if at := mono - startNano; at > jump.from && at < jump.to {
		sec += jump.seconds
	}
	if mono == 0 {`,
		"\n// UTC returns t with the location set to UTC.", `
var jump = func() (j struct{ from, to, seconds int64 }) {
	s, _ := syscall.Getenv("JUMP")
	at := 0
	number := func() (n int64) {
		sign := int64(1)
		for ; at < len(s) && s[at] != ' '; at++ {
			if s[at] == '-' {
				sign = -1
			} else {
				n = n*10 + int64(s[at]-'0')
			}
		}
		at++
		return sign * n
	}
	j.from, j.to, j.seconds = number(), number(), number()
	return j
}()

// UTC returns t with the location set to UTC.`)
})

// jumps has a factory start with a clock that is off by so much between two
// times after its start.
func (f *factory) jumps(by, from, to time.Duration) {
	f.t.Helper()
	var err error
	if f.program, err = withClock(); err != nil {
		f.t.Fatal(err)
	}
	f.env = []string{fmt.Sprintf("JUMP=%d %d %d", from, to, int64(by/time.Second))}
}

// TestClockJump checks the tests' own means: a program with a shifted clock stamps
// its orders with it.
func TestClockJump(t *testing.T) {
	t.Parallel()
	f := &factory{t: t, data: filepath.Join(t.TempDir(), "data"), kafka: freeAddress(t)}
	f.jumps(-5*time.Hour, 0, time.Hour)
	opened(t, f)
	var o order
	f.must(200, "GET", "/api/v1/order/"+f.place(), "").decode(t, &o)
	if off := time.Until(o.PlacedOn); off > -4*time.Hour || off < -6*time.Hour {
		t.Errorf("the order was placed %s from now, want about -5h", off)
	}
}
