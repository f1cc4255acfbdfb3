// Package examples runs the example programs against an embedded broker.
package examples

import (
	"context"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/ecupcakes/ecupcakes/gokaplus/internal/kafkatest"
)

func TestExamplesRun(t *testing.T) {
	for name, tc := range map[string]struct {
		topics []string
		prints string
	}{
		"wordcount":      {[]string{"words", "count-table"}, "rose: 3\n"},
		"join":           {[]string{"orders", "customers-table", "named"}, "one cupcake for Ana\n"},
		"deferredcommit": {[]string{"jobs"}, "job 2 is finished: resume at 0\njob 1 is finished: resume at 0\njob 0 is finished: resume at 3\n"},
		"diskstore":      {[]string{"prices-table"}, "run 1: a cupcake costs 3\nrun 2: a cupcake costs 3\n"},
	} {
		t.Run(name, func(t *testing.T) {
			program := filepath.Join(t.TempDir(), name)
			if out, err := exec.Command("go", "build", "-o", program, "./"+name).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			k := kafkatest.Start(t, 1, tc.topics...)
			ctx, cancel := context.WithTimeout(t.Context(), kafkatest.Deadline)
			defer cancel()
			cmd := exec.CommandContext(ctx, program, "-brokers", k.ListenAddrs()[0])
			out, err := cmd.Output()
			if err != nil || string(out) != tc.prints {
				t.Errorf("%v, printed %q, want %q", err, out, tc.prints)
			}
		})
	}
}
