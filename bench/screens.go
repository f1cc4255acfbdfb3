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

// Fanout is what it takes a server to show one event on all of its screens.
type Fanout struct {
	Server     string  `json:"server"`
	Screens    int     `json:"screens"`
	P50        float64 `json:"p50Millis"` // From the request that causes the event to a screen, over all events and screens.
	P99        float64 `json:"p99Millis"`
	Last       float64 `json:"lastMillis"`         // To the last screen, the median of all events.
	CPU        float64 `json:"cpuMicrosPerScreen"` // Of the server, for one event.
	ResidentKB float64 `json:"residentKBPerIdleScreen"`
	Load       string  `json:"load"` // Of the machine, in the minute before.
}

const (
	hubAlone     = "the hub alone"
	philippseith = "philippseith/signalr"
)

const (
	fanoutWarmUp = 3
	fanoutEvents = 30
	// idleFor is long enough for every screen to have been pinged once.
	idleFor = 20 * time.Second
	// fanoutPatience bounds how long one event may take to reach all screens.
	fanoutPatience = 30 * time.Second
	// pingEvery is how often the hub hears from a screen, as from Microsoft's client.
	pingEvery = 15 * time.Second
)

// screens measures one event on many screens: of the program as it is run, from
// POST to the mixers' screens; of its hub alone; and of philippseith/signalr, at
// the size that it bears, with the same event from the same kind of request.
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
	build.Env = append(os.Environ(), "GOWORK=off") // It has a module of its own.
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
			return alone(n) // To be compared with.
		}
		if err == nil || ctx.Err() != nil || n < 100 {
			return err
		}
		fmt.Fprintf(os.Stderr, "philippseith/signalr does not bear %d screens: %v\n", n, err)
	}
}

// enoughFiles checks that this process and the server can have so many sockets.
// Both raise their limit to the hard one by themselves.
func enoughFiles(screens int) error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("asking for the limit of open files: %w", err)
	}
	if need := uint64(screens) + 200; limit.Max < need {
		return fmt.Errorf("%d screens need %d open files in a process and %d are allowed: raise the limit (ulimit -Hn %d, as root) or try fewer with -screens",
			screens, need, limit.Max, need)
	}
	limit.Cur = limit.Max
	return unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
}

// fanout starts a server, puts screens before it and has events come.
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
		return fmt.Errorf("while nothing happens: %w", err)
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
	a.close() // The server waits for them when it stops.
	return p.stop()
}

// audience is many screens, which one goroutine reads.
type audience struct {
	epoll  int
	all    []*screen
	byFD   map[int32]*screen
	buffer []byte
	pinged int       // How many pings were sent.
	began  time.Time // When the first of them was due.
}

// screen is a bare WebSocket connection.
type screen struct {
	fd     int
	rest   []byte // What has been read of a frame that is not complete.
	events int
	synced bool
}

// seat connects screens to a server and returns when each has its snapshot, or
// its handshake where there is none.
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
		return nil, fmt.Errorf("making an epoll: %w", err)
	}
	for len(a.all) < screens {
		err := a.connect(address, path)
		for began := time.Now(); err != nil && len(a.all) == 0 && time.Since(began) < fanoutPatience; err = a.connect(address, path) {
			time.Sleep(20 * time.Millisecond) // The hub starts last.
		}
		if err == nil {
			err = a.ping() // The first ones would be silent for too long.
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
		return fmt.Errorf("making a socket: %w", err)
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

// greet connects a screen and reads until it shows what is there.
func (a *audience) greet(s *screen, address *net.TCPAddr, path string) error {
	fd := s.fd
	patience := unix.NsecToTimeval(int64(fanoutPatience))
	if err := errors.Join(
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &patience),
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1),
		unix.Connect(fd, &unix.SockaddrInet4{Port: address.Port, Addr: [4]byte(address.IP.To4())}),
	); err != nil {
		return fmt.Errorf("connecting: %w", err)
	}
	request := "GET " + path + " HTTP/1.1\r\nHost: " + address.String() + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
	if _, err := unix.Write(fd, []byte(request)); err != nil {
		return fmt.Errorf("asking for a WebSocket: %w", err)
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
		return fmt.Errorf("it is answered %.200q", head)
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

// read goes on when a signal has interrupted it; Go's runtime sends some.
func read(fd int, b []byte) (n int, err error) {
	for {
		if n, err = unix.Read(fd, b); !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}

// send writes one record in a frame that is masked with zeros.
func (s *screen) send(record string) error {
	frame := append([]byte{0x81, 0x80 | byte(len(record)+1), 0, 0, 0, 0}, record...)
	if _, err := unix.Write(s.fd, append(frame, 0x1e)); err != nil {
		return fmt.Errorf("writing to the server: %w", err)
	}
	return nil
}

// take counts the events in what has been read.
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

// ping has the screens ping the server in turn, each one every pingEvery.
func (a *audience) ping() error {
	for due := int(time.Since(a.began) * time.Duration(len(a.all)) / pingEvery); a.pinged < due; a.pinged++ {
		if err := a.all[a.pinged%len(a.all)].send(`{"type":6}`); err != nil {
			return err
		}
	}
	return nil
}

// watch reads what comes, and calls see for each screen that has got an event,
// until then or until see says that it has seen enough.
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

// event causes one event and returns how long it took to each screen, in ms.
func (a *audience) event(ctx context.Context, trigger string) (took []float64, err error) {
	began := time.Now()
	asked := make(chan error, 1)
	go func() { asked <- post(ctx, trigger) }()
	err = a.watch(ctx, began.Add(fanoutPatience), func() bool {
		took = append(took, millis(time.Since(began)))
		return len(took) == len(a.all)
	})
	if err == nil && len(took) < len(a.all) {
		err = fmt.Errorf("%d of %d screens have it after %s", len(took), len(a.all), fanoutPatience)
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

// cpu is what the process has used so far.
func (p *process) cpu() time.Duration {
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	_, after, _ := strings.Cut(string(stat), ") ") // The name before it may have spaces.
	fields := strings.Fields(after)
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond // Linux counts in hundredths of a second.
}

// loadOfMachine is the load average of the last minute.
func loadOfMachine() string {
	b, _ := os.ReadFile("/proc/loadavg")
	load, _, _ := strings.Cut(string(b), " ")
	return load
}

// reportFanouts prints a table, in which what is compared is the hub as a part
// of the other at the same size.
func reportFanouts(w io.Writer, all []Fanout) {
	if len(all) == 0 {
		return
	}
	fmt.Fprint(w, "\n| one event on all screens\t| screens\t| ms: p50, p99, last\t| CPU µs a screen\t| resident kB an idle screen\t| load\t|\n|---\t|---\t|---\t|---\t|---\t|---\t|\n")
	for _, m := range all {
		fmt.Fprintf(w, "| %s\t| %d\t| %.0f, %.0f, %.0f\t| %.1f\t| %.1f\t| %s\t|\n", m.Server, m.Screens, m.P50, m.P99, m.Last, m.CPU, m.ResidentKB, m.Load)
	}
	for _, hub := range all {
		for _, other := range all {
			if hub.Server == hubAlone && other.Server == philippseith && hub.Screens == other.Screens {
				fmt.Fprintf(w, "| the hub alone as a part of %s\t| %d\t| %.2f, %.2f, %.2f\t| %.2f\t| %.2f\t| \t|\n", other.Server, hub.Screens,
					hub.P50/other.P50, hub.P99/other.P99, hub.Last/other.Last, hub.CPU/other.CPU, hub.ResidentKB/other.ResidentKB)
			}
		}
	}
}

// serveHub is the server of the hub alone: it has no orders, and a POST to
// /event tells all screens of one.
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
	address, _ := json.Marshal(map[string]string{"url": "http://" + listener.Addr().String()}) // Strings cannot fail.
	fmt.Println(string(address))
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// announcements is a source without orders; each value is one that arrives.
type announcements chan struct{}

func (announcements) Waiting(string) (iter.Seq[hub.Order], int, uint64, error) {
	return func(func(hub.Order) bool) {}, 0, 0, nil
}

func (a announcements) Changes(ctx context.Context, after uint64) ([]hub.Change, error) {
	select {
	case <-a:
		o := hub.Order{ID: "01a210bf-3ff0-714b-bb0c-5e1b7f2ff3eb", ClaimedBy: func(time.Time) string { return "" }, JSON: func() json.RawMessage { return eventOrder }}
		return []hub.Change{{Position: after + 1, Arrived: "orderrequests", ID: o.ID, Order: o}}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// eventOrder is an order as the program shows it; bench/philippseith sends the same.
var eventOrder = json.RawMessage(`{"id":"01a210bf-3ff0-714b-bb0c-5e1b7f2ff3eb","flavour":"Strawberry","size":"M","quantity":1,"status":"placed","placedOn":"2026-11-26T08:00:00.000Z","stage":"mixing","state":"waiting","history":[]}`)
