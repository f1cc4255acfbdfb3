package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ecupcakes/ecupcakes/hub"

	"golang.org/x/sys/unix"
)

// Fanout has the cost of showing one event on all screens of a server.
type Fanout struct {
	Server     string  `json:"server"`
	Screens    int     `json:"screens"`
	P50        float64 `json:"p50Millis"` // From the request that causes the event to a screen, over all events and screens.
	P99        float64 `json:"p99Millis"`
	Last       float64 `json:"lastMillis"`              // Time to the last screen, median of all events.
	CPU        float64 `json:"cpuMicrosPerScreen"`      // CPU time of the server for one event.
	ResidentKB float64 `json:"residentKBPerIdleScreen"` // Resident memory of the server.
	Load       string  `json:"load"`                    // Load average of the machine in the minute before.
}

const (
	hubAlone     = "the hub alone"
	philippseith = "philippseith/signalr"
)

const (
	fanoutWarmUp = 3
	fanoutEvents = 30
	// idleFor is long enough for the server to ping every screen once.
	idleFor = 20 * time.Second
	// eventTimeout bounds the time that one event may take to reach all screens.
	eventTimeout = 30 * time.Second
	// pingInterval is the interval between two pings of a screen, that of Microsoft's client.
	pingInterval = 15 * time.Second
)

// screens measures how long one event takes to reach many screens: on the built program, from POST to
// the mixers' screens; on its hub alone; and on philippseith/signalr, with the largest number of
// screens that it can serve, the same event and the same kind of request.
func (f *Figures) screens(ctx context.Context, program, dir string) error {
	if err := enoughFiles(f.Screens); err != nil {
		return err
	}
	if err := f.fanout(ctx, "ecupcakes up", f.Screens, "/ordermonitorhub?topic=orderrequests", "/api/v1/order",
		program, "up", "--listen", "127.0.0.1:0", "--kafka-listen", "127.0.0.1:0", "--data", dir, "--json"); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	other := filepath.Join(dir, "philippseith")
	build := exec.CommandContext(ctx, "go", "build", "-C", "bench/philippseith", "-o", other, ".")
	build.Env = append(os.Environ(), "GOWORK=off") // The workspace does not include its module.
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building the server to compare with: %w\n%s", err, out)
	}
	alone := func(screens int) error {
		return f.fanout(ctx, hubAlone, screens, hub.Path+"?topic=orderrequests", "/event", self, "-serve-hub")
	}
	if err := alone(f.Screens); err != nil {
		return err
	}
	for n := f.Screens; ; n /= 2 {
		err := f.fanout(ctx, philippseith, n, "/hub", "/event", other)
		if err == nil && n < f.Screens {
			return alone(n) // Measure the hub at the same size, for comparison.
		}
		if err == nil || ctx.Err() != nil || n < 100 {
			return err
		}
		fmt.Fprintf(os.Stderr, "philippseith/signalr cannot serve %d screens: %v\n", n, err)
	}
}

// enoughFiles returns an error if the hard limit of open files is too low for a process with the given
// number of screens. It raises the soft limit of this process; the server raises its own.
func enoughFiles(screens int) error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("reading the limit of open files: %w", err)
	}
	if need := uint64(screens) + 200; limit.Max < need {
		return fmt.Errorf("%d screens need %d open files in a process and %d are allowed: "+
			"raise the limit (ulimit -Hn %d, as root) or try fewer with -screens",
			screens, need, limit.Max, need)
	}
	limit.Cur = limit.Max
	return unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
}

// fanout starts a server, connects screens to it and measures events.
func (f *Figures) fanout(ctx context.Context, name string, screens int, path, trigger, program string, args ...string) error {
	fmt.Fprintf(os.Stderr, "measuring: %s, %d screens\n", name, screens)
	m := Fanout{Server: name, Screens: screens, Load: loadOfMachine()}
	p, err := start(ctx, program, args...)
	if err != nil {
		return err
	}
	defer p.kill()
	if err := p.ready(ctx); err != nil {
		return err
	}
	before, _ := p.memory()
	a, err := seat(p.URL, path, screens)
	if err != nil {
		return err
	}
	defer a.close()
	if err := a.watch(ctx, time.Now().Add(idleFor), nil); err != nil {
		return fmt.Errorf("while the screens are idle: %w", err)
	}
	idle, _ := p.memory()
	m.ResidentKB = (idle - before) * 1000 / float64(screens)

	var all, last []float64
	var busy time.Duration
	for i := range fanoutWarmUp + fanoutEvents {
		if i == fanoutWarmUp {
			busy = -p.cpu()
			all = all[:0]
			last = last[:0]
		}
		took, err := a.event(ctx, p.URL+trigger)
		if err != nil {
			return fmt.Errorf("event %d: %w", i, err)
		}
		all = append(all, took...)
		last = append(last, slices.Max(took))
		if err := a.watch(ctx, time.Now().Add(200*time.Millisecond), nil); err != nil {
			return err
		}
	}
	m.CPU = float64((busy + p.cpu()).Microseconds()) / fanoutEvents / float64(screens)
	slices.Sort(all)
	slices.Sort(last)
	m.P50, m.P99, m.Last = all[len(all)/2], all[len(all)*99/100], last[len(last)/2]
	f.Fanouts = append(f.Fanouts, m)
	a.close() // The server waits for open connections when it stops.
	return p.stop()
}

// audience is a set of screens that are read by one goroutine.
type audience struct {
	epoll  int
	all    []*screen
	byFD   map[int32]*screen
	buffer []byte
	pinged int       // Number of pings sent by all screens.
	began  time.Time // When the first ping was due.
}

// screen is a bare WebSocket connection.
type screen struct {
	fd     int
	rest   []byte // The beginning of an incomplete frame.
	events int
	synced bool
}

// seat connects screens to a server and returns once each has its snapshot, or only its handshake if
// the server sends no snapshot.
func seat(server, path string, screens int) (_ *audience, err error) {
	u, err := url.Parse(server)
	if err != nil {
		return nil, err
	}
	address, err := net.ResolveTCPAddr("tcp4", u.Host)
	if err != nil {
		return nil, err
	}
	a := &audience{byFD: map[int32]*screen{}, buffer: make([]byte, 256<<10), began: time.Now()}
	if a.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("creating an epoll instance: %w", err)
	}
	for len(a.all) < screens {
		err := a.connect(address, path)
		for began := time.Now(); err != nil && len(a.all) == 0 && time.Since(began) < eventTimeout; err = a.connect(address, path) {
			time.Sleep(20 * time.Millisecond) // The hub starts after /readyz answers.
		}
		if err == nil {
			err = a.ping() // Without pings, the server would close the first connections meanwhile.
		}
		if err != nil {
			n := len(a.all)
			a.close()
			return nil, fmt.Errorf("after %d screens: %w", n, err)
		}
	}
	return a, nil
}

func (a *audience) connect(address *net.TCPAddr, path string) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("creating a socket: %w", err)
	}
	s := &screen{fd: fd}
	if err := a.greet(s, address, path); err != nil {
		_ = unix.Close(fd)
		return err
	}
	a.all = append(a.all, s)
	a.byFD[int32(fd)] = s
	return unix.EpollCtl(a.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
}

// greet connects a screen and reads until its snapshot is complete.
func (a *audience) greet(s *screen, address *net.TCPAddr, path string) error {
	fd := s.fd
	timeout := unix.NsecToTimeval(int64(eventTimeout))
	if err := errors.Join(
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout),
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1),
		unix.Connect(fd, &unix.SockaddrInet4{Port: address.Port, Addr: [4]byte(address.IP.To4())}),
	); err != nil {
		return fmt.Errorf("connecting: %w", err)
	}
	request := "GET " + path + " HTTP/1.1\r\nHost: " + address.String() + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
	if _, err := unix.Write(fd, []byte(request)); err != nil {
		return fmt.Errorf("requesting a WebSocket: %w", err)
	}
	var answer []byte
	for !bytes.Contains(answer, []byte("\r\n\r\n")) {
		n, err := read(fd, a.buffer)
		if err != nil || n == 0 {
			return fmt.Errorf("reading the answer %.200q: %w", answer, errors.Join(err, io.ErrUnexpectedEOF))
		}
		answer = append(answer, a.buffer[:n]...)
	}
	head, frames, _ := bytes.Cut(answer, []byte("\r\n\r\n"))
	if !bytes.HasPrefix(head, []byte("HTTP/1.1 101 ")) {
		return fmt.Errorf("the server refuses the WebSocket: %.200q", head)
	}
	if err := s.send(`{"protocol":"json","version":1}`); err != nil {
		return err
	}
	for err := s.take(frames); !s.synced; {
		if err != nil {
			return err
		}
		n, failed := read(fd, a.buffer)
		if failed != nil || n == 0 {
			return fmt.Errorf("reading the snapshot: %w", errors.Join(failed, io.ErrUnexpectedEOF))
		}
		err = s.take(a.buffer[:n])
	}
	return unix.SetNonblock(fd, true)
}

// read is unix.Read that retries after a signal, such as those of Go's runtime.
func read(fd int, b []byte) (n int, err error) {
	for {
		if n, err = unix.Read(fd, b); !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}

// send writes one record in a frame whose mask is zero.
func (s *screen) send(record string) error {
	frame := append([]byte{0x81, 0x80 | byte(len(record)+1), 0, 0, 0, 0}, record...)
	if _, err := unix.Write(s.fd, append(frame, 0x1e)); err != nil {
		return fmt.Errorf("writing to the server: %w", err)
	}
	return nil
}

// take counts the events in the complete frames of data and keeps the rest.
func (s *screen) take(data []byte) error {
	data = append(s.rest, data...)
	for len(data) >= 2 {
		head, length := 2, int(data[1])
		switch {
		case length == 126 && len(data) >= 4:
			head, length = 4, int(binary.BigEndian.Uint16(data[2:]))
		case length == 127 && len(data) >= 10:
			head, length = 10, int(binary.BigEndian.Uint64(data[2:]))
		case length >= 126:
			head, length = 10, 0
		}
		if len(data) < head+length {
			break
		}
		payload := data[head : head+length]
		if data[0]&0xf == 8 || bytes.Contains(payload, []byte(`"type":7`)) {
			return fmt.Errorf("the server ends the connection: %.200q", payload)
		}
		s.events += bytes.Count(payload, []byte(`"InformNewOrderToMix"`))
		s.synced = s.synced || bytes.Contains(payload, []byte("InformSynced")) || string(payload) == "{}\x1e"
		data = data[head+length:]
	}
	s.rest = append(s.rest[:0], data...)
	return nil
}

// ping sends the pings that are due. The screens ping in turn, each one every pingInterval.
func (a *audience) ping() error {
	for due := int(time.Since(a.began) * time.Duration(len(a.all)) / pingInterval); a.pinged < due; a.pinged++ {
		if err := a.all[a.pinged%len(a.all)].send(`{"type":6}`); err != nil {
			return err
		}
	}
	return nil
}

// watch reads from all screens until the given time or until see returns true. It calls see after each
// screen that has received an event.
func (a *audience) watch(ctx context.Context, until time.Time, see func() (enough bool)) error {
	events := make([]unix.EpollEvent, 1024)
	for time.Now().Before(until) {
		if err := errors.Join(ctx.Err(), a.ping()); err != nil {
			return err
		}
		n, err := unix.EpollWait(a.epoll, events, 5)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("waiting for the server: %w", err)
		}
		for _, e := range events[:max(n, 0)] {
			s := a.byFD[e.Fd]
			n, err := read(s.fd, a.buffer)
			if errors.Is(err, unix.EAGAIN) {
				continue
			}
			if err != nil || n == 0 {
				return fmt.Errorf("a screen has lost its connection: %w", errors.Join(err, io.EOF))
			}
			had := s.events
			if err := s.take(a.buffer[:n]); err != nil {
				return err
			}
			if s.events > had && see != nil && see() {
				return nil
			}
		}
	}
	return nil
}

// event causes one event and returns the times that it took to reach each screen, in ms.
func (a *audience) event(ctx context.Context, trigger string) (took []float64, err error) {
	began := time.Now()
	asked := make(chan error, 1)
	go func() { asked <- post(ctx, trigger) }()
	err = a.watch(ctx, began.Add(eventTimeout), func() bool {
		took = append(took, millis(time.Since(began)))
		return len(took) == len(a.all)
	})
	if err == nil && len(took) < len(a.all) {
		err = fmt.Errorf("only %d of %d screens have the event after %s", len(took), len(a.all), eventTimeout)
	}
	return took, errors.Join(err, <-asked)
}

func post(ctx context.Context, address string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(`{"Order":{"Flavour":"Strawberry","Quantity":1,"Size":"M"}}`))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("%s is answered with %s", address, answer.Status)
	}
	_, err = io.Copy(io.Discard, answer.Body)
	return err
}

func (a *audience) close() {
	for _, s := range a.all {
		_ = unix.Close(s.fd)
	}
	_ = unix.Close(a.epoll)
	a.all, a.epoll = nil, -1
}

// cpu returns the CPU time that the process has used.
func (p *process) cpu() time.Duration {
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	_, after, _ := strings.Cut(string(stat), ") ") // The process name before it may contain spaces.
	fields := strings.Fields(after)
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond // Linux counts in hundredths of a second.
}

// loadOfMachine returns the load average of the last minute.
func loadOfMachine() string {
	b, _ := os.ReadFile("/proc/loadavg")
	load, _, _ := strings.Cut(string(b), " ")
	return load
}

// reportFanouts prints a table. Its last rows have the ratios of the hub to philippseith/signalr at the
// same number of screens.
func reportFanouts(w io.Writer, all []Fanout) {
	if len(all) == 0 {
		return
	}
	fmt.Fprint(w, "\n| one event on all screens\t| screens\t| ms: p50, p99, last\t| CPU µs a screen\t"+
		"| resident kB an idle screen\t| load\t|\n"+
		"|---\t|---\t|---\t|---\t|---\t|---\t|\n")
	for _, m := range all {
		fmt.Fprintf(w, "| %s\t| %d\t| %.0f, %.0f, %.0f\t| %.1f\t| %.1f\t| %s\t|\n",
			m.Server, m.Screens, m.P50, m.P99, m.Last, m.CPU, m.ResidentKB, m.Load)
	}
	for _, hub := range all {
		for _, other := range all {
			if hub.Server == hubAlone && other.Server == philippseith && hub.Screens == other.Screens {
				fmt.Fprintf(w, "| ratio of the hub alone to %s\t| %d\t| %.2f, %.2f, %.2f\t| %.2f\t| %.2f\t| \t|\n", other.Server, hub.Screens,
					hub.P50/other.P50, hub.P99/other.P99, hub.Last/other.Last, hub.CPU/other.CPU, hub.ResidentKB/other.ResidentKB)
			}
		}
	}
}

// serveHub runs a server with the hub alone. It has no orders; a POST to /event sends one to all
// screens.
func serveHub(ctx context.Context) error {
	s := make(announcements)
	h, err := hub.New(s, []hub.Station{{Topic: "orderrequests", Arrived: "InformNewOrderToMix"}}, slog.New(slog.DiscardHandler), hub.Options{})
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle(hub.Path, h)
	mux.HandleFunc("GET /readyz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("POST /event", func(http.ResponseWriter, *http.Request) { s <- struct{}{} })
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	go func() {
		_ = h.Run(ctx)
		_ = server.Close()
	}()
	address, _ := json.Marshal(map[string]string{"url": "http://" + listener.Addr().String()}) // Encoding strings cannot fail.
	fmt.Println(string(address))
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// announcements is a source without waiting orders. Each value in the channel is an order that arrives.
type announcements chan struct{}

func (announcements) Waiting(string) (iter.Seq[hub.Order], int, uint64, error) {
	return func(func(hub.Order) bool) {}, 0, 0, nil
}

func (a announcements) Changes(ctx context.Context, after uint64) ([]hub.Change, error) {
	select {
	case <-a:
		o := hub.Order{
			ID:        "01a210bf-3ff0-714b-bb0c-5e1b7f2ff3eb",
			ClaimedBy: func(time.Time) string { return "" },
			JSON:      func() json.RawMessage { return eventOrder },
		}
		return []hub.Change{{Position: after + 1, Arrived: "orderrequests", ID: o.ID, Order: o}}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// eventOrder is an order in the program's JSON. bench/philippseith sends the same bytes.
var eventOrder = json.RawMessage(`{"id":"01a210bf-3ff0-714b-bb0c-5e1b7f2ff3eb","flavour":"Strawberry","size":"M","quantity":1,"status":"placed","placedOn":"2026-11-26T08:00:00.000Z","stage":"mixing","state":"waiting","history":[]}`)
