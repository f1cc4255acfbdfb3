package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/CycloneDX/cyclonedx-go"
)

// Two checkouts of the same commit in different folders give the same bytes, and
// what is in them runs and says which commit it is.
func TestReleaseIsReproducible(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "node_modules")); err != nil {
		t.Fatalf("run npm ci first: %v", err)
	}
	first, second := make(chan string, 1), make(chan string, 1)
	for i, result := range []chan string{first, second} {
		checkout := filepath.Join(t.TempDir(), strings.Repeat("deeper/", i), "ecupcakes")
		go func() {
			defer close(result)
			result <- releaseOf(t, root, checkout)
		}()
	}
	one, other := <-first, <-second
	if t.Failed() {
		return
	}
	sums := read(t, filepath.Join(one, "SHA256SUMS"))
	if again := read(t, filepath.Join(other, "SHA256SUMS")); again != sums {
		t.Errorf("the same commit gives\n%sand\n%s", sums, again)
	}
	check := exec.Command("sha256sum", "--check", "SHA256SUMS")
	check.Dir = one
	if output, err := check.CombinedOutput(); err != nil {
		t.Errorf("sha256sum: %v\n%s", err, output)
	}

	commit := strings.TrimSpace(run(t, root, "git", "rev-parse", "HEAD"))
	archives, err := filepath.Glob(filepath.Join(one, "*.tar.gz"))
	if err != nil || len(archives) != 1 {
		t.Fatalf("archives %v, %v", archives, err)
	}
	files := unpack(t, archives[0])
	program := filepath.Join(t.TempDir(), "ecupcakes")
	if err := os.WriteFile(program, files["ecupcakes"], 0o755); err != nil {
		t.Fatal(err)
	}
	if version := run(t, root, program, "version"); !strings.Contains(version, commit[:12]) || !strings.Contains(version, runtime.GOOS+"/"+runtime.GOARCH) {
		t.Errorf("it says that it is %s, want %s for %s/%s", version, commit, runtime.GOOS, runtime.GOARCH)
	}
	if len(files["README.md"]) == 0 || len(files["LICENSE"]) == 0 {
		t.Error("README or LICENSE is missing")
	}
	for _, part := range []string{"\nstd 1.", "github.com/lovoo/goka v", "\nwouter ", "\n@microsoft/signalr ", "Permission is hereby granted"} {
		if !bytes.Contains(files["THIRD_PARTY_LICENSES.txt"], []byte(part)) {
			t.Errorf("the licences do not mention %q", part)
		}
	}

	bills, _ := filepath.Glob(filepath.Join(one, "*.cdx.json"))
	if len(bills) != 1 {
		t.Fatalf("bills of materials: %v", bills)
	}
	var bill cyclonedx.BOM
	if err := cyclonedx.NewBOMDecoder(strings.NewReader(read(t, bills[0])), cyclonedx.BOMFileFormatJSON).Decode(&bill); err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(*bill.Components, func(c cyclonedx.Component) bool { return c.Name == "github.com/lovoo/goka" }) {
		t.Error("goka is not in the bill of materials")
	}
}

// releaseOf clones the project's commit, builds its client and releases it for
// this platform.
func releaseOf(t *testing.T, root, checkout string) string {
	for _, c := range [][]string{
		{root, "git", "clone", "--quiet", "--no-hardlinks", root, checkout},
		{root, "cp", "-a", "--link", filepath.Join(root, "node_modules"), checkout},
		{checkout, "npm", "run", "--silent", "build", "-w", "web"},
		{checkout, "go", "run", "./internal/release", "-for", runtime.GOOS + "/" + runtime.GOARCH},
	} {
		cmd := exec.Command(c[1], c[2:]...)
		cmd.Dir = c[0]
		if output, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v: %v\n%s", c, err, output)
			return ""
		}
	}
	return filepath.Join(checkout, "dist")
}

func TestReleaseRejectsUncommittedChanges(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	checkout := filepath.Join(t.TempDir(), "ecupcakes")
	run(t, root, "git", "clone", "--quiet", root, checkout)
	for name, text := range map[string]string{"web/dist/index.html": "built", "README.md": "changed"} {
		if err := os.WriteFile(filepath.Join(checkout, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(checkout)
	if err := release(t.Context(), "dist", []string{runtime.GOOS + "/" + runtime.GOARCH}); err == nil || !strings.Contains(err.Error(), "commit them") {
		t.Errorf("release said %v", err)
	}
}

func TestLicenceInRecognisesLicences(t *testing.T) {
	mit := read(t, filepath.Join("../..", "node_modules", "react", "LICENSE"))
	apache := read(t, filepath.Join("../..", "LICENSE"))
	for name, c := range map[string]struct {
		files   map[string]string
		licence string
		texts   int
	}{
		"well known":      {map[string]string{"LICENSE": mit}, "MIT", 1},
		"with a notice":   {map[string]string{"LICENSE.txt": apache, "NOTICE": "by me"}, "Apache-2.0", 2},
		"nobody knows it": {map[string]string{"LICENSE": "You may not read this."}, "", 1},
		"none":            {map[string]string{"main.go": "package main"}, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, text := range c.files {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			licence, text, err := licenceIn(dir)
			if err != nil || licence != c.licence {
				t.Errorf("licence %q, %v, want %q", licence, err, c.licence)
			}
			if parts := strings.Count(text, "\n\n"); (text != "") != (c.texts > 0) || c.texts == 2 && parts == 0 {
				t.Errorf("texts: %q", text)
			}
		})
	}
}

func TestArchivesAreReproducible(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	entries := []entry{{"ecupcakes", 0o755, []byte("program")}, {"LICENSE", 0o644, []byte("text")}}
	for name, pack := range map[string]func(io.Writer, string, time.Time, []entry) error{"tar": tarOf, "zip": zipOf} {
		var one, other bytes.Buffer
		if err := errors.Join(pack(&one, "dir", at, entries), pack(&other, "dir", at.In(time.FixedZone("", 3600)), entries)); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(one.Bytes(), other.Bytes()) {
			t.Errorf("%s differs by time zone", name)
		}
	}
}

func unpack(t *testing.T, path string) map[string][]byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if files[filepath.Base(h.Name)], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
		if program := filepath.Base(h.Name) == "ecupcakes"; program != (h.FileInfo().Mode()&fs.FileMode(0o100) != 0) {
			t.Errorf("%s has the mode %v", h.Name, h.FileInfo().Mode())
		}
	}
}

func run(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	output, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, output)
	}
	return string(output)
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
