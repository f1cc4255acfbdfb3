// Package test is the system test: it runs the real binary as its users do, as
// a process with a data directory and two ports, and looks at it only from
// outside, through HTTP, Kafka's protocol, signals and exit codes. It imports
// none of the program's packages save the load generator, which is a client
// itself.
package test

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ecupcakes/ecupcakes/internal/testkit"
)

// deadline bounds every wait for the program to do something.
const deadline = testkit.Deadline

// binary is the program, built once for all tests.
var binary string

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "ecupcakes-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "making a directory for the binary:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "ecupcakes")
	if out, err := exec.Command("go", "build", "-o", binary, "github.com/ecupcakes/ecupcakes/cmd/ecupcakes").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building the program: %v\n%s", err, out)
		return 1
	}
	defer killIdle()
	return m.Run()
}

// everyBroker runs a test with the embedded broker and with Apache Kafka, beside
// others.
func everyBroker(t *testing.T, test func(*testing.T, *factory)) {
	t.Parallel()
	t.Run("embedded", func(t *testing.T) { test(t, open(t)) })
	t.Run("kafka", func(t *testing.T) { test(t, openOn(t, realKafka(t, 1).Brokers())) })
}

// factory is a running `ecupcakes up`.
type factory struct {
	t       *testing.T
	program string // Another one than the binary; empty for that.
	data    string // Of the embedded broker; empty with a cluster.
	url     string
	kafka   string
	flags   []string // More of them.
	env     []string // More of it.
	serve   []string // The flags of `ecupcakes serve`, which it is then instead of up.
	cmd     *exec.Cmd
	stderr  *log
	exited  chan struct{} // Closed once the process is gone.
}

// log keeps what the program says.
type log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// open starts a factory with new data on free ports, and returns when it is
// ready.
func open(t *testing.T) *factory {
	t.Helper()
	return openWith(t)
}

// openWith starts a factory like open's with more flags.
func openWith(t *testing.T, flags ...string) *factory {
	t.Helper()
	return opened(t, &factory{t: t, data: filepath.Join(t.TempDir(), "data"), kafka: freeAddress(t), flags: flags})
}

// openOn starts a factory on a cluster.
func openOn(t *testing.T, brokers string) *factory {
	t.Helper()
	return opened(t, &factory{t: t, kafka: brokers})
}

func opened(t *testing.T, f *factory) *factory {
	t.Helper()
	f.url = "http://" + freeAddress(t)
	f.start()
	t.Cleanup(func() {
		f.kill()
		if t.Failed() {
			t.Logf("the program said:\n%s", f.stderr)
		}
	})
	return f
}

// in is the same factory, whose failures are those of a subtest.
func (f *factory) in(t *testing.T) *factory {
	sub := *f
	sub.t = t
	return &sub
}

func freeAddress(t *testing.T) string {
	t.Helper()
	address, err := free()
	if err != nil {
		t.Fatal(err)
	}
	return address
}

// free returns an address whose port no connection of this machine gets by
// chance, so that it is still free when a program starts there again.
func free() (string, error) {
	for port := 20_000 + os.Getpid()%5_000; port < 32_000; port++ {
		l, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", port))
		if err != nil {
			continue
		}
		address := l.Addr().String()
		_ = l.Close()
		if _, given := addresses.LoadOrStore(address, true); !given {
			return address, nil
		}
	}
	return "", errors.New("no port is free from 20000 to 31999")
}

var addresses sync.Map

// start starts the program, once more on the same data and the same ports.
func (f *factory) start() {
	f.t.Helper()
	if f.stderr == nil {
		f.stderr = &log{}
	}
	args := []string{"up", "--json", "--listen", strings.TrimPrefix(f.url, "http://")}
	if f.serve != nil {
		args = append([]string{"serve", "--json", "--listen", strings.TrimPrefix(f.url, "http://"), "--brokers", f.kafka}, f.serve...)
	} else if f.data != "" {
		args = append(args, "--kafka-listen", f.kafka, "--data", f.data)
	} else {
		args = append(args, "--brokers", f.kafka, "--instance", "test")
	}
	f.cmd = exec.Command(cmp.Or(f.program, binary), append(args, f.flags...)...)
	f.cmd.Stderr, f.cmd.Env = f.stderr, append(os.Environ(), f.env...)
	stdout, err := f.cmd.StdoutPipe()
	if err != nil {
		f.t.Fatal(err)
	}
	if err := f.cmd.Start(); err != nil {
		f.t.Fatalf("starting the program: %v", err)
	}
	line := make(chan []byte, 1)
	f.exited = make(chan struct{})
	go func(cmd *exec.Cmd, exited chan struct{}) {
		defer close(exited)
		r := bufio.NewReader(stdout)
		first, _ := r.ReadBytes('\n')
		line <- first
		_, _ = io.Copy(io.Discard, r)
		_ = cmd.Wait() // ProcessState tells.
	}(f.cmd, f.exited)
	select {
	case first := <-line:
		var a struct{ URL, Kafka string }
		if err := json.Unmarshal(first, &a); err != nil || (a.URL == "") != f.headless() || a.Kafka == "" {
			f.t.Fatalf("the program's first line is %q (%v), want {\"url\":…,\"kafka\":…}; stderr:\n%s", first, err, f.stderr)
		}
		if f.headless() {
			return
		}
		f.url, f.kafka = a.URL, a.Kafka
	case <-time.After(deadline):
		f.kill()
		f.t.Fatalf("the program has not said where it is after %s; stderr:\n%s", deadline, f.stderr)
	}
	f.eventually("/readyz says 200", f.ready)
}

// headless says that it is a process of processors alone, without HTTP.
func (f *factory) headless() bool {
	return f.serve != nil && !strings.Contains(strings.Join(f.serve, " "), "api")
}

func (f *factory) ready() bool {
	r, err := http.Get(f.url + "/readyz")
	if err != nil {
		return false
	}
	_ = r.Body.Close()
	return r.StatusCode == http.StatusOK
}

// kill is kill -9. It returns when the process is gone.
func (f *factory) kill() {
	if f.cmd.Process != nil {
		_ = f.cmd.Process.Kill() // It may be gone already.
		<-f.exited
	}
}

// stop sends SIGTERM and requires that the program ends well.
func (f *factory) stop() {
	f.t.Helper()
	if err := f.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		f.t.Fatalf("sending SIGTERM: %v", err)
	}
	select {
	case <-f.exited:
	case <-time.After(deadline):
		f.t.Fatalf("the program still runs %s after SIGTERM", deadline)
	}
	if code := f.cmd.ProcessState.ExitCode(); code != 0 {
		f.t.Fatalf("exit code %d after SIGTERM, want 0; stderr:\n%s", code, f.stderr)
	}
}

// eventually is testkit.Eventually; the last state is the line's, as the program
// answers it.
func (f *factory) eventually(what string, condition func() bool) {
	f.t.Helper()
	testkit.Eventually(f.t, what, condition, f.state)
}

// state returns what the program answers about itself and the line, or why it
// does not answer.
func (f *factory) state() any {
	var all []string
	client := http.Client{Timeout: 2 * time.Second}
	for _, path := range []string{"/readyz", "/api/v1/stations"} {
		r, err := client.Get(f.url + path)
		if err != nil {
			all = append(all, err.Error())
			continue
		}
		body, _ := io.ReadAll(r.Body)
		_ = r.Body.Close()
		all = append(all, fmt.Sprintf("%s: %s %s", path, r.Status, body))
	}
	return strings.Join(all, "; ")
}

// answer is a response whose body has been read.
type answer struct {
	*http.Response
	body []byte
}

func (a answer) decode(t *testing.T, v any) {
	t.Helper()
	if err := json.Unmarshal(a.body, v); err != nil {
		t.Fatalf("reading %q: %v", a.body, err)
	}
}

// call sends a request; headers are pairs of name and value.
func (f *factory) call(method, path, body string, headers ...string) answer {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, f.url+path, strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		f.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		f.t.Fatalf("reading the answer to %s %s: %v", method, path, err)
	}
	return answer{response, b}
}

// must is a call that has to be answered with the status.
func (f *factory) must(status int, method, path, body string, headers ...string) answer {
	f.t.Helper()
	a := f.call(method, path, body, headers...)
	if a.StatusCode != status {
		f.t.Fatalf("%s %s %.200s is answered with %d %s, want %d", method, path, body, a.StatusCode, a.body, status)
	}
	return a
}

// order is what these tests need to know of an order, in an answer as well as
// in a message.
type order struct {
	ID       string
	Status   string
	State    string
	Reason   string
	PlacedOn time.Time
	History  []struct{ Stage, By string }
}

func (o order) stages() (stages []string) {
	for _, s := range o.History {
		stages = append(stages, s.Stage)
	}
	return stages
}

const strawberry = `{"Order":{"Flavour":"Strawberry","Quantity":1,"Size":"M"}}`

// send places an order that need not be seen yet.
func (f *factory) send() string {
	f.t.Helper()
	var placed struct{ CorrelationID string }
	f.must(http.StatusCreated, "POST", "/api/v1/order", strawberry).decode(f.t, &placed)
	return placed.CorrelationID
}

// place places an order and returns its id once the mixer has it.
func (f *factory) place() string {
	f.t.Helper()
	id := f.send()
	f.must(http.StatusOK, "GET", "/api/v1/order/"+id, "", "Prefer", "wait=30")
	return id
}

// knows reports whether the line has accepted an order.
func (f *factory) knows(id string) bool {
	f.t.Helper()
	return f.call("GET", "/api/v1/order/"+id, "").StatusCode == http.StatusOK
}

// restarts counts how often parts of the program have failed and were to be
// started again, in all its lives.
func (f *factory) restarts() int { return strings.Count(f.stderr.String(), `"msg":"restarting"`) }

// gone reports whether the process has ended.
func (f *factory) gone() bool {
	select {
	case <-f.exited:
		return true
	default:
		return false
	}
}

// finish takes an order's step and returns the order after it.
func (f *factory) finish(verb, byField, by, id string) order {
	f.t.Helper()
	var o order
	f.must(http.StatusOK, "POST", "/api/v1/order/"+verb, fmt.Sprintf(`{"Order":{"Id":%q,%q:%q}}`, id, byField, by)).decode(f.t, &o)
	return o
}

// stations is the answer of GET /stations.
type stations struct {
	Stations []struct {
		Stage                   string
		Waiting                 int
		BehindSeconds           int
		BehindBecause, BehindAt string
	}
	Finished map[string]int
}

func (f *factory) stations() (s stations) {
	f.t.Helper()
	f.must(http.StatusOK, "GET", "/api/v1/stations", "").decode(f.t, &s)
	return s
}
