// Package java is how tests run programs of others that are written in Java:
// their jars come from Maven, and each is a process on ports of the loopback
// that can be killed and started again.
//
// It imports nothing of eCupcakes, and no product code may import it.
package java

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gofrs/flock"
)

// ErrMissing says that Java or Maven is missing.
var ErrMissing = errors.New("this needs java and mvn (Debian: default-jre-headless, maven)")

// patience bounds a start; the CPU may be shared with all of the other tests.
const patience = 2 * time.Minute

// Jars fetches what a Maven project depends on, once for all tests, and returns
// its directory in the user's cache. The name tells people what it is.
func Jars(ctx context.Context, name string, pom []byte) (string, error) {
	for _, program := range []string{"java", "mvn"} {
		if _, err := exec.LookPath(program); err != nil {
			return "", ErrMissing
		}
	}
	return Cached(name, pom, func(dir string) error {
		project := filepath.Join(dir, "pom.xml")
		if err := os.WriteFile(project, pom, 0o644); err != nil {
			return err
		}
		cmd := exec.CommandContext(ctx, "mvn", "-B", "-q", "-f", project,
			"org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies", "-DoutputDirectory="+dir, "-DincludeScope=runtime")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("downloading %s with Maven: %w\n%s", name, err, out)
		}
		return nil
	})
}

// Release returns the path of java without symbolic links, which contains its
// version: what one release of Java has compiled, another may not load.
func Release() (string, error) {
	program, err := exec.LookPath("java")
	if err != nil {
		return "", ErrMissing
	}
	return filepath.EvalSymlinks(program)
}

// Compile compiles a Java source file against the jars of a directory, once for
// all tests, and returns the directory of its classes in the user's cache. A
// source that java runs directly is compiled at each start, which takes seconds.
func Compile(ctx context.Context, name, jars string, source []byte) (string, error) {
	program, err := Release()
	if err != nil {
		return "", err
	}
	return Cached(name+"-classes", slices.Concat([]byte(program), []byte(jars), source), func(dir string) error {
		file := filepath.Join(dir, name+".java")
		if err := os.WriteFile(file, source, 0o644); err != nil {
			return err
		}
		all, err := filepath.Glob(filepath.Join(jars, "*.jar"))
		if err != nil {
			return err
		}
		cmd := exec.CommandContext(ctx, program, "-m", "jdk.compiler/com.sun.tools.javac.Main", "-cp", strings.Join(all, ":"), "-d", dir, file)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("compiling %s.java: %w\n%s", name, err, out)
		}
		return nil
	})
}

// Cached returns a directory of the user's cache for a name and a key. fill fills
// it if no test has done so before; other processes wait meanwhile.
func Cached(name string, key []byte, fill func(dir string) error) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("looking for the user's cache directory for %s: %w", name, err)
	}
	dir := filepath.Join(cache, "ecupcakes", fmt.Sprintf("%s-%.6x", name, sha256.Sum256(key)))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	lock := flock.New(dir + ".lock")
	if err := lock.Lock(); err != nil {
		return "", fmt.Errorf("locking %s: %w", dir, err)
	}
	defer func() { _ = lock.Unlock() }()
	complete := filepath.Join(dir, "complete")
	if _, err := os.Stat(complete); err == nil {
		return dir, nil
	}
	if err := fill(dir); err != nil {
		return "", err
	}
	return dir, os.WriteFile(complete, nil, 0o644)
}

// Ports returns ports that no outgoing connection gets by chance, so that they
// are still free when a program starts there again.
func Ports(count int) (ports []int, err error) {
	given.Lock()
	defer given.Unlock()
	if given.next == 0 {
		given.next = 12_000 + os.Getpid()%6_000
	}
	for ; len(ports) < count && given.next < 20_000; given.next++ {
		l, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", given.next))
		if err != nil {
			continue
		}
		_ = l.Close()
		ports = append(ports, given.next)
	}
	if len(ports) < count {
		return nil, errors.New("no port is free from 12000 to 19999")
	}
	return ports, nil
}

var given struct {
	sync.Mutex
	next int
}

// Program is a Java program that can be killed, paused and started again.
type Program struct {
	Name string                          // For errors.
	Args []string                        // Of java: options, class and arguments.
	Env  []string                        // More of it.
	Log  string                          // File that takes what it prints.
	Up   func(ctx context.Context) error // Why it does not serve yet, nil once it does.

	mu     sync.Mutex
	cmd    *exec.Cmd
	exited chan struct{}
}

// Start starts the program and returns when it serves, or why it does not.
func (p *Program) Start(ctx context.Context) error {
	if err := p.Launch(); err != nil {
		return err
	}
	return p.Await(ctx)
}

// Await returns when a program that was launched serves, or why it does not, and
// kills it then.
func (p *Program) Await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	p.mu.Lock()
	exited := p.exited
	p.mu.Unlock()
	for {
		err := p.Up(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-exited:
			return fmt.Errorf("%s has ended:\n%s", p.Name, p.LastWords())
		case <-ctx.Done():
			p.Kill()
			return fmt.Errorf("%s does not serve: %w\n%s", p.Name, errors.Join(err, ctx.Err()), p.LastWords())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// Launch starts the program and does not wait until it serves: several that need
// one another are all launched first.
func (p *Program) Launch() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil {
		return fmt.Errorf("%s runs already", p.Name)
	}
	log, err := os.OpenFile(p.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command("java", p.Args...)
	cmd.Env = append(os.Environ(), p.Env...)
	cmd.Stdout, cmd.Stderr = log, log
	// Ctrl-C is for the test, which then kills it; a test that is killed leaves
	// nothing behind.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", p.Name, err)
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(exited)
	}()
	p.cmd, p.exited = cmd, exited
	return nil
}

// Kill is kill -9; it returns when the process is gone. A program that does not
// run stays so.
func (p *Program) Kill() { p.end(syscall.SIGKILL) }

// Stop is Kill with SIGTERM, upon which the program ends in order.
func (p *Program) Stop() { p.end(syscall.SIGTERM) }

func (p *Program) end(signal syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Signal(signal)
	select {
	case <-p.exited:
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		<-p.exited
	}
	p.cmd = nil
}

// Pause stops the process with its connections open, as a long collection of
// garbage does, until Resume.
func (p *Program) Pause() error { return p.signal(syscall.SIGSTOP) }

// Resume ends a Pause.
func (p *Program) Resume() error { return p.signal(syscall.SIGCONT) }

func (p *Program) signal(s os.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return fmt.Errorf("%s does not run", p.Name)
	}
	return p.cmd.Process.Signal(s)
}

// LastWords is the end of what the program has printed.
func (p *Program) LastWords() []byte { return tail(p.Log) }

// tail is the end of a text file; nothing of one that is not there.
func tail(file string) []byte {
	b, _ := os.ReadFile(file)
	lines := bytes.Split(b, []byte("\n"))
	return bytes.Join(lines[max(0, len(lines)-30):], []byte("\n"))
}
