package hub

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/coder/websocket"
)

// Path is the path of the hub's WebSocket. Requests for it and everything below it belong to the
// hub.
const Path = "/ordermonitorhub"

const (
	maxGroup  = 249 // the bytes of a consumer group's name, as in Kafka
	maxPerson = 256 // the bytes of a person's name
)

// maxCalls bounds the methods of one client that run at a time.
const maxCalls = 4

// ServeHTTP serves the negotiation and the WebSocket. Errors are problem details (RFC 9457).
func (h *Hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	method, serve := http.MethodGet, h.connect
	switch r.URL.Path {
	case Path:
	case Path + "/negotiate":
		method, serve = http.MethodPost, negotiate
	default:
		problem(w, http.StatusNotFound, "The hub is at "+Path+": connect to it with a SignalR client.")
		return
	}
	switch {
	case !h.allows(w, r):
		problem(w, http.StatusForbidden, fmt.Sprintf("Pages of the origin %q may not use this hub: "+
			"add it to the allowed origins, or use the page that this server offers.", r.Header.Get("Origin")))
	case r.Method == http.MethodOptions:
		w.WriteHeader(http.StatusNoContent)
	case r.Method != method:
		w.Header().Set("Allow", method+", OPTIONS")
		problem(w, http.StatusMethodNotAllowed, "Use "+method+" here, as a SignalR client does.")
	case h.full():
		w.Header().Set("Retry-After", "5")
		problem(w, http.StatusServiceUnavailable, "The hub takes no more clients now: it is full or shutting down. Try again in a moment.")
	default:
		serve(w, r)
	}
}

// allows reports whether the request's origin may use the hub: the host of the request, or one of
// Options.Origins, which gets CORS headers. Only browsers send an origin.
func (h *Hub) allows(w http.ResponseWriter, r *http.Request) bool {
	w.Header().Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	if slices.Contains(h.options.Origins, origin) {
		w.Header().Set("Access-Control-Allow-Origin", origin)
		w.Header().Set("Access-Control-Allow-Credentials", "true") // SignalR's JavaScript client sends credentials by default.
		if r.Method == http.MethodOptions {
			w.Header().Set("Access-Control-Allow-Methods", "POST")
			w.Header().Set("Access-Control-Allow-Headers", "authorization, content-type, x-requested-with, x-signalr-user-agent")
			w.Header().Set("Access-Control-Max-Age", "600")
		}
		return true
	}
	u, err := url.Parse(origin)
	return origin == "" || err == nil && strings.EqualFold(u.Host, r.Host)
}

// negotiate offers WebSockets. It keeps no state, so any instance may serve the connection that
// follows.
func negotiate(w http.ResponseWriter, r *http.Request) {
	answer := map[string]any{
		"negotiateVersion":    0,
		"connectionId":        rand.Text(),
		"availableTransports": []any{map[string]any{"transport": "WebSockets", "transferFormats": []string{"Text"}}},
	}
	version, _ := strconv.Atoi(r.URL.Query().Get("negotiateVersion")) // Without a version the client gets no token.
	if version >= 1 {
		answer["negotiateVersion"], answer["connectionToken"] = 1, rand.Text()
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(answer) // This fails only if the client is gone.
}

// connect serves one client from the upgrade until its connection ends.
func (h *Hub) connect(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	group := query.Get("consumergroup")
	if len(group) > maxGroup {
		problem(w, http.StatusBadRequest,
			fmt.Sprintf("The consumergroup has %d bytes, more than %d: choose a shorter one.", len(group), maxGroup))
		return
	}
	person := strings.TrimSpace(query.Get("person"))
	if len(person) > maxPerson {
		problem(w, http.StatusBadRequest, fmt.Sprintf("The person has %d bytes, more than %d: choose a shorter name.", len(person), maxPerson))
		return
	}
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		w.Header().Set("Upgrade", "websocket")
		problem(w, http.StatusUpgradeRequired, "This is a SignalR hub over WebSockets: connect to it with a SignalR client.")
		return
	}
	keep := &connKeeper{ResponseWriter: w}
	ws, err := websocket.Accept(keep, r, &websocket.AcceptOptions{InsecureSkipVerify: true}) // ServeHTTP has checked the origin.
	if err != nil {
		return // Accept has answered the request.
	}
	now := h.now()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	c := newClient(h, query.Get("topic"))
	c.group, c.person, c.ctx, c.ws, c.conn = group, person, ctx, ws, keep.conn
	c.resume = resumption{wantsPositions: query.Has("after"), after: query.Get("after")}
	c.clock.connected = now
	c.clock.heard.Store(now)
	c.clock.written.Store(now)
	ws.SetReadLimit(h.options.ReadLimit)
	if !h.add(c) {
		_ = ws.CloseNow() // The connection is refused, whatever its state.
		return
	}
	defer h.remove(c)
	defer ws.CloseNow()
	c.reader.run()
}

// connKeeper keeps the connection that is hijacked from a response. The hub needs it to cut a
// client, since a websocket.Conn cannot be cut while it closes.
type connKeeper struct {
	http.ResponseWriter
	conn net.Conn
}

func (k *connKeeper) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(k.ResponseWriter).Hijack()
	k.conn = conn
	return conn, buffered, err
}

func problem(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	answer := map[string]any{"type": "about:blank", "title": http.StatusText(status), "status": status, "detail": detail}
	_ = json.NewEncoder(w).Encode(answer) // This fails only if the client is gone.
}
