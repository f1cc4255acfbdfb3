package codecs

import (
	"strings"
	"testing"
)

func TestTraceAcceptsOnlyValidTraceparents(t *testing.T) {
	const good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	if got := Trace([]byte(good)); got != good {
		t.Errorf("%q", got)
	}
	for _, bad := range []string{
		"", "00", good + "\n", good + "-00", " " + good, strings.ToUpper(good), "01" + good[2:], good[:len(good)-1],
		strings.Replace(good, "4b", "xx", 1), strings.ReplaceAll(good, "-", "_"), strings.Repeat("0", 1<<20),
	} {
		if got := Trace([]byte(bad)); got != "" {
			t.Errorf("%.80q gives %q", bad, got)
		}
	}
}
