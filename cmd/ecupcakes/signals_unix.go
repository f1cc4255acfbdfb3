//go:build unix

package main

import (
	"os/signal"
	"syscall"
)

// SIGXFSZ would kill the process when a file reaches the limit of ulimit -f or a quota. Without the
// signal, the write fails instead, and clients of the embedded broker retry.
func init() { signal.Ignore(syscall.SIGXFSZ) }
