package gokaplus

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

func TestLogs(t *testing.T) {
	var b bytes.Buffer
	log := slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
	for want, write := range map[string]func(){
		`level=INFO msg="setup generation 1" part="Processor mixing"`: func() { GokaLogger(log).Printf("[Processor mixing] setup generation %d", 1) },
		`level=WARN msg="Error closing consumer group: gone"`:         func() { GokaLogger(log).Println("Error closing consumer group:", "gone") },
		`level=WARN msg="partition processor did not shutdown in time. Will stop waiting" part="PartTable > 3"`: func() {
			GokaLogger(log).Printf("[PartTable > 3] partition processor did not shutdown in time. Will stop waiting")
		},
		`level=INFO msg="joined 1 group"`:                   func() { GokaLogger(log).Print("joined ", 1, " group") },
		`level=DEBUG msg="Connected to broker" from=sarama`: func() { SaramaLogger(log).Printf("Connected to %s\n", "broker") },
	} {
		b.Reset()
		write()
		if got := strings.TrimSpace(b.String()); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
