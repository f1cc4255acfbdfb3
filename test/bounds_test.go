package test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestBoundsAreThoseOfTheCode compares docs/bounds.md with the sources that it
// names.
func TestBoundsAreThoseOfTheCode(t *testing.T) {
	page, err := os.ReadFile("../docs/bounds.md")
	if err != nil {
		t.Fatal(err)
	}
	spaces := regexp.MustCompile(`\s+`)
	quotes := regexp.MustCompile("`([a-z/]+\\.(?:go|properties)): ([^`]+)`").FindAllStringSubmatch(string(page), -1)
	if len(quotes) < 30 {
		t.Fatalf("only %d places of the code are named", len(quotes))
	}
	for _, q := range quotes {
		source, err := os.ReadFile(filepath.Join("..", q[1]))
		if err != nil {
			t.Error(err)
		} else if !strings.Contains(spaces.ReplaceAllString(string(source), " "), q[2]) {
			t.Errorf("%s does not say %q any more", q[1], q[2])
		}
	}
}
