package gokaplus

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"
)

// GokaLogger returns a logger for goka.WithLogger, goka.WithViewLogger and goka.WithEmitterLogger that writes to log.
//
// goka's log has no levels. A line that contains the word error or warning, or reports that a partition did not shut
// down in time, is written at level warn: goka either carries on, or Run returns the error. All other lines, a few for
// each rebalance, are written at level info. The prefix in brackets that goka puts before its lines, such as
// "[Processor orders]", becomes the attribute "part".
func GokaLogger(log *slog.Logger) goka.Logger { return gokaLogger{log} }

type gokaLogger struct{ log *slog.Logger }

func (l gokaLogger) Print(args ...any)                 { l.write(fmt.Sprint(args...)) }
func (l gokaLogger) Println(args ...any)               { l.write(fmt.Sprintln(args...)) }
func (l gokaLogger) Printf(format string, args ...any) { l.write(fmt.Sprintf(format, args...)) }

func (l gokaLogger) write(text string) {
	text = strings.TrimSpace(text)
	var attrs []any
	if inside, rest, ok := strings.Cut(strings.TrimPrefix(text, "["), "] "); ok && text[0] == '[' {
		attrs, text = []any{"part", inside}, rest
	}
	level := slog.LevelInfo
	lower := strings.ToLower(text)
	if strings.Contains(lower, "error") || strings.Contains(lower, "warning") || strings.Contains(lower, "did not shutdown") {
		level = slog.LevelWarn
	}
	l.log.Log(context.Background(), level, text, attrs...)
}

// SaramaLogger returns a logger for sarama.Logger that writes to log at level debug, with the attribute from=sarama.
// Debug is enough, because sarama logs every connection and every retry and returns the errors that matter. sarama has
// one logger for the whole program: set it before the first client is created.
func SaramaLogger(log *slog.Logger) sarama.StdLogger { return saramaLogger{log.With("from", "sarama")} }

type saramaLogger struct{ log *slog.Logger }

func (l saramaLogger) Print(args ...any)   { l.log.Debug(strings.TrimSpace(fmt.Sprint(args...))) }
func (l saramaLogger) Println(args ...any) { l.log.Debug(strings.TrimSpace(fmt.Sprintln(args...))) }
func (l saramaLogger) Printf(format string, args ...any) {
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		l.log.Debug(strings.TrimSpace(fmt.Sprintf(format, args...)))
	}
}
