package hub

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for a condition; it is far longer than any takes.
const patience = 20 * time.Second

var line = []Station{{"mix", "InformNewOrderToMix"}, {"bake", "InformNewOrderToBake"}}

// tightListener gives connections small buffers, so that a client that does not read is soon felt.
type tightListener struct{ net.Listener }

func (l tightListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		err = conn.(*net.TCPConn).SetWriteBuffer(64 << 10)
	}
	return conn, err
}

// open starts a hub behind a server of its own, and stops both at the end of the test.
func open(t testing.TB, source Source, options Options) (*Hub, *httptest.Server) {
	t.Helper()
	h, err := New(source, line, slog.New(slog.DiscardHandler), options)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(h)
	server.Listener = tightListener{server.Listener}
	server.Start()
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- h.Run(ctx) }()
	t.Cleanup(func() {
		ctx, timeout := context.WithTimeout(context.Background(), patience)
		defer timeout()
		if err := h.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		cancel()
		if err := <-ran; err != nil {
			t.Error(err)
		}
		server.Close()
	})
	follows(t, h)
	return h, server
}

// follows waits until the hub serves screens.
func follows(t testing.TB, h *Hub) {
	t.Helper()
	eventually(t, "the hub follows its source", func() bool {
		h.mu.RLock()
		defer h.mu.RUnlock()
		return h.stations["mix"].log.lost < math.MaxUint64
	})
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for start := time.Now(); !ok(); time.Sleep(time.Millisecond) {
		if time.Since(start) > patience {
			t.Fatalf("timed out waiting until %s", what)
		}
	}
}

// record is a record from the hub.
type record struct {
	Type           int
	Target         string
	Arguments      []json.RawMessage
	InvocationID   string
	Error          string
	AllowReconnect bool
	raw            string
}

func (r record) argument() string {
	if len(r.Arguments) != 1 {
		return ""
	}
	return string(r.Arguments[0])
}

// peer is a client that sends nothing by itself.
type peer struct {
	t      testing.TB
	ws     *websocket.Conn
	conn   net.Conn
	rest   []byte
	closed error // what ended the connection
}

func dial(t testing.TB, server *httptest.Server, query string) *peer {
	t.Helper()
	p := &peer{t: t}
	dialer := &net.Dialer{}
	transport := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dialer.DialContext(ctx, network, address)
		if err == nil {
			err = conn.(*net.TCPConn).SetReadBuffer(64 << 10)
		}
		p.conn = conn
		return conn, err
	}}
	ws, _, err := websocket.Dial(t.Context(), server.URL+Path+query, &websocket.DialOptions{HTTPClient: &http.Client{Transport: transport}})
	if err != nil {
		t.Fatal(err)
	}
	ws.SetReadLimit(-1)
	p.ws = ws
	t.Cleanup(func() { _ = ws.CloseNow() })
	return p
}

// watch connects and shakes hands.
func watch(t testing.TB, server *httptest.Server, topic string) *peer {
	t.Helper()
	p := dial(t, server, "?consumergroup=g&topic="+topic)
	p.send("{\"protocol\":\"json\",\"version\":1}\x1e")
	if r, ok := p.next(); !ok || r.raw != "{}" {
		t.Fatalf("handshake answered by %q, %v", r.raw, p.closed)
	}
	return p
}

func (p *peer) send(data string) {
	p.t.Helper()
	if err := p.ws.Write(p.t.Context(), websocket.MessageText, []byte(data)); err != nil {
		p.t.Fatal(err)
	}
}

// next returns the next record; it fails when the connection has ended.
func (p *peer) next() (record, bool) {
	p.t.Helper()
	if len(p.rest) == 0 {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_, data, err := p.ws.Read(ctx)
		if ctx.Err() != nil {
			p.t.Error("nothing arrives")
		}
		if err != nil {
			p.closed = err
			return record{}, false
		}
		p.rest = data
	}
	raw, rest, whole := bytes.Cut(p.rest, []byte{separator})
	var r record
	if err := json.Unmarshal(raw, &r); err != nil || !whole {
		p.t.Errorf("the hub sent the bad record %q: %v", raw, err)
	}
	p.rest, r.raw = rest, string(raw)
	return r, true
}

// synced reads the snapshot to its end and returns its orders.
func (p *peer) synced() (orders []string) {
	p.t.Helper()
	for {
		r, ok := p.next()
		switch {
		case !ok:
			p.t.Fatalf("the connection ended within the snapshot: %v", p.closed)
		case r.Target == "InformSynced":
			return orders
		case !strings.HasPrefix(r.Target, "InformNewOrder"):
			p.t.Fatalf("within the snapshot: %s", r.raw)
		}
		orders = append(orders, r.argument())
	}
}

// last reads on until the connection ends and returns the record before.
func (p *peer) last() (last record) {
	p.t.Helper()
	for {
		r, ok := p.next()
		if !ok {
			return last
		}
		last = r
	}
}
