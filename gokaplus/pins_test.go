package gokaplus

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestGokaStillBehavesAsThisPackageAssumes looks for lines in goka's and sarama's source on which this module relies
// without an exported name that would break the build. A line that is gone is not an error in itself: read the new code,
// adapt what relies on the line, and then the line here.
func TestGokaStillBehavesAsThisPackageAssumes(t *testing.T) {
	const goka, sarama = "github.com/lovoo/goka", "github.com/IBM/sarama"
	modules := map[string]struct{ Dir, Version string }{}
	for _, path := range []string{goka, sarama} {
		out, err := exec.Command("go", "list", "-m", "-json", path).Output()
		if err != nil {
			t.Fatalf("go list -m %s: %v", path, err)
		}
		m := modules[path]
		if err := json.Unmarshal(out, &m); err != nil || m.Dir == "" {
			t.Fatalf("go list -m %s: %v\n%s", path, err, out)
		}
		modules[path] = m
	}
	for _, pin := range []struct{ module, file, line, relies string }{
		{goka, "logger.go", `newPrefix = "[" + newPrefix + "] "`, "log.go cuts this prefix off and makes it the attribute part"},
		{goka, "partition_processor.go", "did not shutdown in time", "log.go writes this line at level warn"},
		{goka, "processor.go", `g.log.Printf("Error closing consumer group: %v"`, "log.go takes a line with the word error for a warning"},
		{goka, "processor.go", `"setup generation %d`, "TestOptionsTogether waits for this line, at level info"},
		{goka, "processor.go", "case <-time.After(5 * time.Second):", "WithQuickRejoin avoids this pause; without it in goka it is not needed"},
		{goka, "processor.go", "session.MarkOffset(msg.topic, msg.partition, msg.offset+1, metadata)", "WithInOrderCommits takes one mark for one finished message"},
		{goka, "partition_processor.go", `fmt.Errorf("panic in callback: %v`, "Supervise compares the text of a cancellation, since goka does not wrap errors of a callback"},
		{goka, "context.go", "err == nil && msg != nil && msg.Offset != 0", "package diskstore does not rely on goka's SetOffset after acknowledgements, which leaves offset 0 out"},
		{goka, "config.go", "config.Consumer.Offsets.Initial = sarama.OffsetNewest", "SaramaConfig replaces this default, and its documentation names it"},
		{sarama, "offset_manager.go", "if offset > pom.offset {", "WithInOrderCommits relies on sarama keeping the highest mark"},
	} {
		m := modules[pin.module]
		source, err := os.ReadFile(filepath.Join(m.Dir, pin.file))
		if err != nil {
			t.Errorf("%s %s has no file %s: %s. Find the code, and adapt both.", pin.module, m.Version, pin.file, pin.relies)
			continue
		}
		if !strings.Contains(string(source), pin.line) {
			t.Errorf("%s %s: %s does not contain %q any more: %s. Read the new code, adapt gokaplus, and then this test.",
				pin.module, m.Version, pin.file, pin.line, pin.relies)
		}
	}
}
