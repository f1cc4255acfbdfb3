//go:build unix

package main

import (
	"os/signal"
	"syscall"
)

// A file that may not grow, by ulimit -f or a quota, is an error of the write,
// which clients of the embedded broker then repeat, and not the end of the
// process.
func init() { signal.Ignore(syscall.SIGXFSZ) }
