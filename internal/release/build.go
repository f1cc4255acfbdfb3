package main

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// build is the program compiled for one platform.
type build struct {
	goos, goarch string
	path         string // Path of the binary, in a directory of its own.
	version      string // The module's version, which includes the commit.
	commit       string
	at           time.Time // Time of the commit.
	info         *buildinfo.BuildInfo
}

// compile builds the program for a platform, os/arch. It returns an error if the checkout has
// uncommitted changes or the binary is larger than maxBinary.
func compile(ctx context.Context, platform string) (b build, err error) {
	goos, goarch, _ := strings.Cut(platform, "/")
	dir, err := os.MkdirTemp("", "ecupcakes-release-")
	if err != nil {
		return build{}, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	b = build{goos: goos, goarch: goarch, path: filepath.Join(dir, "ecupcakes")}
	if goos == "windows" {
		b.path += ".exe"
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=true", "-ldflags=-s -w -buildid=", "-o", b.path, "./cmd/ecupcakes")
	cmd.Env = append(os.Environ(), "GOOS="+goos, "GOARCH="+goarch, "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return build{}, fmt.Errorf("building for %s: %w", platform, err)
	}
	if b.info, err = buildinfo.ReadFile(b.path); err != nil {
		return build{}, err
	}
	b.version = b.info.Main.Version
	for _, s := range b.info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.commit = s.Value
		case "vcs.time":
			if b.at, err = time.Parse(time.RFC3339, s.Value); err != nil {
				return build{}, fmt.Errorf("parsing the time of the commit: %w", err)
			}
		case "vcs.modified":
			if s.Value == "true" {
				return build{}, errors.New("the checkout has uncommitted changes: commit them, so that the version identifies the sources")
			}
		}
	}
	if b.commit == "" {
		return build{}, errors.New("the sources are not a git checkout, so the version cannot name a commit: run the release in a clone")
	}
	file, err := os.Stat(b.path)
	if err != nil {
		return build{}, err
	}
	if file.Size() > maxBinary {
		return build{}, fmt.Errorf("the binary for %s has %d bytes, more than the limit of %d: find the dependency that was added",
			platform, file.Size(), maxBinary)
	}
	return b, nil
}

// archive writes an archive with the binary, the licences and the README: a zip for Windows, a .tar.gz
// for other platforms.
func archive(out string, b build, notices string) (err error) {
	base := fmt.Sprintf("%s_%s_%s", name(b.version), b.goos, b.goarch)
	pack, ending := tarOf, ".tar.gz"
	if b.goos == "windows" {
		pack, ending = zipOf, ".zip"
	}
	f, err := os.Create(filepath.Join(out, base+ending))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	entries := []entry{
		{filepath.Base(b.path), 0o755, nil},
		{"LICENSE", 0o644, nil},
		{"README.md", 0o644, nil},
		{"THIRD_PARTY_LICENSES.txt", 0o644, []byte(notices)},
	}
	for i, from := range []string{b.path, "LICENSE", "README.md"} {
		if entries[i].content, err = os.ReadFile(from); err != nil {
			return err
		}
	}
	return pack(f, base, b.at, entries)
}

type entry struct {
	name    string
	mode    int64
	content []byte
}

func tarOf(w io.Writer, dir string, at time.Time, entries []entry) error {
	z, err := gzip.NewWriterLevel(w, gzip.BestCompression)
	if err != nil {
		return err
	}
	t := tar.NewWriter(z)
	for _, e := range entries {
		h := &tar.Header{Name: dir + "/" + e.name, Mode: e.mode, Size: int64(len(e.content)), ModTime: at, Format: tar.FormatPAX}
		if err := t.WriteHeader(h); err != nil {
			return err
		}
		if _, err := t.Write(e.content); err != nil {
			return err
		}
	}
	return errors.Join(t.Close(), z.Close())
}

func zipOf(w io.Writer, dir string, at time.Time, entries []entry) error {
	z := zip.NewWriter(w)
	for _, e := range entries {
		h := &zip.FileHeader{Name: dir + "/" + e.name, Method: zip.Deflate, Modified: at.UTC()}
		h.SetMode(os.FileMode(e.mode))
		f, err := z.CreateHeader(h)
		if err != nil {
			return err
		}
		if _, err := f.Write(e.content); err != nil {
			return err
		}
	}
	return z.Close()
}
