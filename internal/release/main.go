// Command release builds release archives, checksums and the SBOM. The archive of each platform has
// the program, with the web client embedded, and the licences of all its components.
//
// Releases are reproducible: the same commit gives the same bytes with the same versions of Go and
// Node, because paths are trimmed and all times are that of the commit.
package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
)

const (
	platforms = "linux/amd64,linux/arm64,darwin/amd64,darwin/arm64,windows/amd64,windows/arm64"
	maxBinary = 40 << 20 // bytes
)

func main() {
	out := flag.String("out", "dist", "output directory, which is emptied first")
	which := flag.String("for", platforms, "comma-separated platforms, each os/arch")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := release(ctx, *out, strings.Split(*which, ",")); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// release builds everything into the directory out, from the checkout in the working directory. The
// web client must have been built.
func release(ctx context.Context, out string, platforms []string) error {
	if _, err := os.Stat("web/dist/index.html"); err != nil {
		return fmt.Errorf("the web client is not built: %w; run make build first", err)
	}
	if err := os.RemoveAll(out); err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	var builds []build
	defer func() {
		for _, b := range builds {
			_ = os.RemoveAll(filepath.Dir(b.path)) // What is left is in the system's temporary directory.
		}
	}()
	for _, platform := range platforms {
		b, err := compile(ctx, platform)
		if err != nil {
			return err
		}
		builds = append(builds, b)
	}
	parts, err := components(ctx, builds)
	if err != nil {
		return err
	}
	first := builds[0]
	notices := text(parts)
	for _, b := range builds {
		if err := archive(out, b, notices); err != nil {
			return err
		}
	}
	if err := writeBill(filepath.Join(out, name(first.version)+".cdx.json"), first, parts); err != nil {
		return err
	}
	return checksums(out)
}

func name(version string) string { return "ecupcakes_" + strings.TrimPrefix(version, "v") }

// checksums writes SHA256SUMS in the format of sha256sum -c.
func checksums(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var lines []string
	for _, e := range entries {
		sum, err := sha256Of(filepath.Join(dir, e.Name()))
		if err != nil {
			return err
		}
		lines = append(lines, fmt.Sprintf("%x  %s\n", sum, e.Name()))
	}
	slices.Sort(lines)
	return os.WriteFile(filepath.Join(dir, "SHA256SUMS"), []byte(strings.Join(lines, "")), 0o644)
}

func sha256Of(path string) (sum []byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	h := sha256.New()
	_, err = io.Copy(h, f)
	return h.Sum(nil), err
}
