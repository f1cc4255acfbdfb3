package gokaplus

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestForeignModuleImportsTheCore builds a program outside of this repository that imports this package alone. It must
// compile neither franz-go nor the project that gokaplus comes from. goka itself imports LevelDB, so only gokaplus' own
// imports can be without it.
func TestForeignModuleImportsTheCore(t *testing.T) {
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	sums, err := os.ReadFile("go.sum")
	if err != nil {
		t.Fatal(err)
	}
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	const self = "github.com/ecupcakes/ecupcakes/gokaplus"
	_, requirements, _ := strings.Cut(string(mod), "\ngo ") // the same versions, so that nothing is downloaded
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod": "module example.com/foreign\n\ngo " + requirements + "\nrequire " + self + " v0.1.0\n\nreplace " + self + " => " + here + "\n",
		"go.sum": string(sums),
		"main.go": `package main

import (
	"fmt"

	"` + self + `"
)

func main() { fmt.Println(gokaplus.Partition([]byte("goka"), 8)) }
`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func(name string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %v: %v\n%s", name, args, err, out)
		}
		return string(out)
	}
	run("go", "build", "-o", "foreign", ".")
	if out := strings.TrimSpace(run("./foreign")); len(out) != 1 || out < "0" || out > "7" {
		t.Errorf("the program printed %q", out)
	}
	for _, dep := range strings.Fields(run("go", "list", "-deps", ".")) {
		if strings.HasPrefix(dep, "github.com/twmb/franz-go") {
			t.Errorf("the core depends on %s", dep)
		}
		if strings.HasPrefix(dep, "github.com/ecupcakes/") && dep != self && !strings.HasPrefix(dep, self+"/internal/") {
			t.Errorf("the core depends on %s", dep)
		}
	}
	for _, imported := range strings.Fields(run("go", "list", "-f", `{{join .Imports "\n"}}`, self)) {
		if strings.Contains(imported, "goleveldb") {
			t.Errorf("the core imports %s", imported)
		}
	}
}
