package gokaplus

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kgo"
)

// gokaLogger passes on what goka logs. goka has no levels: what it calls an error or a warning is a warning, since it
// goes on or Run returns it, and the rest, a few lines for each rebalance, is at level info.
type gokaLogger struct{ log *slog.Logger }

func (l gokaLogger) Print(args ...any)                 { l.write(fmt.Sprint(args...)) }
func (l gokaLogger) Println(args ...any)               { l.write(fmt.Sprintln(args...)) }
func (l gokaLogger) Printf(format string, args ...any) { l.write(fmt.Sprintf(format, args...)) }

func (l gokaLogger) write(text string) {
	text = strings.TrimSpace(text)
	var attrs []any
	if inside, rest, ok := strings.Cut(strings.TrimPrefix(text, "["), "] "); ok && text[0] == '[' { // "[Processor mixing] …"
		attrs, text = []any{"part", inside}, rest
	}
	level := slog.LevelInfo
	if lower := strings.ToLower(text); strings.Contains(lower, "error") || strings.Contains(lower, "warning") || strings.Contains(lower, "did not shutdown") {
		level = slog.LevelWarn
	}
	l.log.Log(context.Background(), level, text, attrs...)
}

// SaramaLogger passes on what sarama logs, at level debug: it tells every connection and every retry, and returns what
// fails in the end. sarama has one logger for the whole program: set sarama.Logger before any client is made.
func SaramaLogger(log *slog.Logger) sarama.StdLogger { return saramaLogger{log.With("from", "sarama")} }

type saramaLogger struct{ log *slog.Logger }

func (l saramaLogger) Print(args ...any)   { l.log.Debug(strings.TrimSpace(fmt.Sprint(args...))) }
func (l saramaLogger) Println(args ...any) { l.log.Debug(strings.TrimSpace(fmt.Sprintln(args...))) }
func (l saramaLogger) Printf(format string, args ...any) {
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		l.log.Debug(strings.TrimSpace(fmt.Sprintf(format, args...)))
	}
}

// kgoLogger passes on warnings and errors of franz-go.
type kgoLogger struct{ log *slog.Logger }

func (l kgoLogger) Level() kgo.LogLevel { return kgo.LogLevelWarn }

func (l kgoLogger) Log(level kgo.LogLevel, msg string, keyvals ...any) {
	to := slog.LevelWarn
	if level == kgo.LogLevelError {
		to = slog.LevelError
	}
	l.log.Log(context.Background(), to, msg, keyvals...)
}
