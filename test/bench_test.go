package test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestBenchmarksRun runs each benchmark program with little work and checks that
// its result has every figure. It does not judge the speed.
func TestBenchmarksRun(t *testing.T) {
	t.Parallel()
	measure := func(t *testing.T, room string, args ...string) string {
		t.Helper()
		program := filepath.Join(t.TempDir(), "bench")
		if out, err := exec.Command("go", "build", "-o", program, room).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		cmd := exec.CommandContext(t.Context(), program, args...)
		cmd.Dir = ".." // As make has it.
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %v: %v\n%s", room, args, err, out)
		}
		return string(out)
	}
	t.Run("bench", func(t *testing.T) {
		result := filepath.Join(t.TempDir(), "result.json")
		printed := measure(t, "github.com/ecupcakes/ecupcakes/bench", "-binary", binary, "-out", result,
			"-steps", "idle,pipeline,up,screens", "-orders", "500", "-rate", "50", "-screens", "20")
		written, err := os.ReadFile(result)
		if err != nil {
			t.Fatal(err)
		}
		var figures map[string]any
		if err := json.Unmarshal(written, &figures); err != nil {
			t.Fatal(err)
		}
		for name, figure := range figures {
			if figure == 0. {
				t.Errorf("%s was not measured", name)
			}
		}
		fanouts, _ := figures["fanouts"].([]any)
		for _, f := range fanouts {
			if p50, _ := f.(map[string]any)["p50Millis"].(float64); p50 <= 0 {
				t.Errorf("%v has no p50Millis", f)
			}
		}
		if len(figures) < 18 || len(fanouts) != 3 || strings.Count(printed, "\n|") < 15 {
			t.Errorf("not everything is there:\n%s\n%s", written, printed)
		}
	})
	t.Run("gokaplus", func(t *testing.T) {
		printed := measure(t, "github.com/ecupcakes/ecupcakes/bench/gokaplus", "-broker", "kfake", "-runs", "1", "-rows", "throughput,recovery", "-messages", "20000", "-table", "1000")
		if strings.Count(printed, "| kfake, ") != 9 || strings.Contains(printed, "| 0 (") {
			t.Errorf("not everything was measured:\n%s", printed)
		}
	})
}
