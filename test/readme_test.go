package test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// block is a fenced code block of a Markdown page.
type block struct {
	page string // The page's path, relative to the root.
	line int    // The line of its first command.
	text string
}

// blocks returns a Markdown page's blocks with the fence, such as "sh demo".
func blocks(r io.Reader, fence string) (found []block, err error) {
	inside := false
	s := bufio.NewScanner(r)
	for n := 1; s.Scan(); n++ {
		line := s.Text()
		switch {
		case !inside && line == "```"+fence:
			inside = true
			found = append(found, block{line: n + 1})
		case inside && line == "```":
			inside = false
		case inside:
			found[len(found)-1].text += line + "\n"
		}
	}
	return found, s.Err()
}

// page returns a page's blocks with the fence. There must be one.
func page(t *testing.T, path, fence string) []block {
	t.Helper()
	file, err := os.Open(filepath.Join("..", path))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	found, err := blocks(file, fence)
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		t.Fatalf("%s has no block with the fence %q", path, fence)
	}
	for i := range found {
		found[i].page = path
	}
	return found
}

// pages returns the blocks of several pages, one page after the other.
func pages(t *testing.T, fence string, paths ...string) (found []block) {
	t.Helper()
	for _, path := range paths {
		found = append(found, page(t, path, fence)...)
	}
	return found
}

func TestBlocks(t *testing.T) {
	page := "# A\n```sh demo\na\nb\n```\n```sh\nc\n```\n\n```\nd\n```\n```sh demo\ne\n```\n"
	got, err := blocks(strings.NewReader(page), "sh demo")
	if want := []block{{line: 3, text: "a\nb\n"}, {line: 14, text: "e\n"}}; err != nil || !slices.Equal(got, want) {
		t.Errorf("blocks %v, %v; want %v", got, err, want)
	}
}

// shell prepares bash to run a script as a reader of the README would, in a
// directory with bin/ecupcakes.
func shell(ctx context.Context, t *testing.T, script string) *exec.Cmd {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "bin"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(binary, filepath.Join(dir, "bin", "ecupcakes")); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, "bash", "-c", "set -euo pipefail\n"+script)
	cmd.Dir = dir
	return cmd
}

// TestReadmeDemo runs the commands that a reader may try on a running factory:
// those of README.md, the tutorial and the API's page, in one shell. Only the
// addresses differ, so that the test needs no fixed port.
func TestReadmeDemo(t *testing.T) { everyBroker(t, readmeDemo) }

func readmeDemo(t *testing.T, f *factory) {
	demo := pages(t, "sh demo", "README.md", "docs/tutorial.md", "docs/api.md")
	addresses := strings.NewReplacer("127.0.0.1:8080", strings.TrimPrefix(f.url, "http://"), "127.0.0.1:9092", f.kafka)
	var script strings.Builder
	for _, b := range demo {
		fmt.Fprintf(&script, "echo '# %s:%d'\n%s", b.page, b.line, addresses.Replace(b.text))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*deadline)
	defer cancel()
	cmd := shell(ctx, t, script.String())
	cmd.Env = append(os.Environ(), "ECUPCAKES_URL="+f.url) // Where load finds the factory.
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v; the last block is the one that failed:\n%s", err, out)
	}
	for _, want := range []string{"shipped  200 of 200", `"status":"mixed"`, "lost 0, doubled 0, wrong 0", `"claimedBy":"Ben"`, "urn:ecupcakes:problem:taken"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%q is missing in what the demo says:\n%s", want, out)
		}
	}
	f.stop()
}

// TestReadmeCluster runs the commands of docs/operations.md; the embedded broker
// of a running factory counts as a cluster. Commands that keep running must
// print their addresses and exit with status 0 after SIGTERM.
func TestReadmeCluster(t *testing.T) { everyBroker(t, readmeCluster) }

func readmeCluster(t *testing.T, f *factory) {
	cluster := page(t, "docs/operations.md", "sh cluster")
	addresses := strings.NewReplacer("127.0.0.1:9092", f.kafka, "127.0.0.1:8081", freeAddress(t))
	for _, b := range cluster {
		for command := range strings.Lines(addresses.Replace(b.text)) {
			ctx, cancel := context.WithTimeout(t.Context(), deadline)
			defer cancel()
			cmd := shell(ctx, t, "exec "+command)
			var stderr log
			cmd.Stderr = &stderr
			stdout, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			r := bufio.NewReader(stdout)
			first, _ := r.ReadString('\n')
			if strings.Contains(command, " serve ") {
				_ = cmd.Process.Signal(syscall.SIGTERM) // It may have failed already: Wait tells.
			}
			_, _ = io.Copy(io.Discard, r)
			if err := cmd.Wait(); err != nil || first == "" {
				t.Errorf("%s: %v, first line %q, stderr:\n%s", strings.TrimSpace(command), err, first, &stderr)
			}
		}
	}
	f.stop()
}

// TestReadmeDiagram compares the diagram of the topics with what the program
// draws.
func TestReadmeDiagram(t *testing.T) {
	out, err := exec.Command(binary, "topology", "mermaid").Output()
	if err != nil {
		t.Fatal(err)
	}
	drawn := page(t, "docs/architecture.md", "mermaid")
	if !slices.ContainsFunc(drawn, func(b block) bool { return b.text == string(out) }) {
		t.Errorf("docs/architecture.md has no diagram like the one that `ecupcakes topology mermaid` prints:\n%s", out)
	}
}

// TestReadmeRun does what the README asks for first. Only the addresses and the
// data directory are other ones.
func TestReadmeRun(t *testing.T) {
	t.Parallel()
	var commands []string
	for _, b := range page(t, "README.md", "sh") {
		commands = append(commands, strings.TrimSpace(b.text))
	}
	if want := []string{"make run", "make test"}; !slices.Equal(commands, want) { // The one that runs this test is tested by running.
		t.Fatalf("README.md says %q, and %q is tested", commands, want)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*deadline) // It may have to build all.
	defer cancel()
	cmd := exec.CommandContext(ctx, "make", "--no-print-directory", "-C", "..", "run")
	cmd.Env = append(os.Environ(), "ECUPCAKES_LISTEN="+freeAddress(t), "ECUPCAKES_KAFKA_LISTEN="+freeAddress(t), "ECUPCAKES_DATA="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	var out log
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()

	address := strings.TrimPrefix(cmd.Env[len(cmd.Env)-3], "ECUPCAKES_LISTEN=")
	for {
		answer, err := http.Get("http://" + address)
		if err == nil {
			page, _ := io.ReadAll(answer.Body)
			answer.Body.Close()
			if answer.StatusCode != http.StatusOK || !strings.Contains(string(page), `id="root"`) {
				t.Errorf("the page is %s\n%s", answer.Status, page)
			}
			break
		}
		select {
		case err := <-done:
			t.Fatalf("it ended: %v\n%s", err, &out)
		case <-time.After(20 * time.Millisecond):
		}
	}
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) // What Ctrl-C on a terminal does.
	if err := <-done; ctx.Err() != nil {               // make says that it was interrupted, which is no error here.
		t.Errorf("it is still there long after Ctrl-C: %v\n%s", err, &out)
	}
	if !strings.Contains(out.String(), address) {
		t.Errorf("it does not say where the page is:\n%s", &out)
	}
}
