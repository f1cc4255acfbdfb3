// Package hub shows screens which orders wait at a station, and keeps them up to date. It
// implements the part of a SignalR server (JSON hub protocol 1 over WebSockets) that sends orders
// and takes a few calls.
//
// Screens pull. One goroutine reads the Source, encodes each change once and appends it to the
// bounded log of its station. A screen is a position in that log: its writer takes the next
// records when the socket has taken the last ones. So no screen slows another. Memory is bounded
// by the lengths of the logs, and by one buffer for each socket that is being written to.
//
// A screen that asks for positions can reconnect with its last one. It gets the changes that it
// missed if the log still has them, and a new snapshot otherwise; InformSynced tells which of the
// two it got.
//
// The package does not interpret orders: a Source gives it JSON.
package hub

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"math"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Station is a topic that screens can watch. Arrived is the method that the hub calls on a screen
// to announce an order there.
type Station struct{ Topic, Arrived string }

// Change is one change of one order. The hub ignores topics without a station.
type Change struct {
	Position uint64 // increases strictly over the whole source
	Left     string // the topic of the station that the order left, or empty
	// Arrived is the topic of the station where the order waits now, or empty. It is never the same as
	// Left. An update of a waiting order has only Arrived.
	Arrived string
	ID      string // the order's ID, the argument of InformOrderLeft
	Order   Order  // the order after the change; set if Arrived is
}

// Order is an order that waits at a station.
type Order struct {
	ID        string
	ClaimedBy func(now time.Time) string // returns who has claimed the order at that time, or an empty string
	JSON      func() json.RawMessage     // returns the argument of the Arrived method: valid JSON
	// Shown is called each time a screen's socket has taken the order as a change, but not as part of a
	// snapshot. It may be nil.
	Shown func()
}

// Source is where the hub gets its orders from. Several goroutines may call its methods at a time.
type Source interface {
	// Waiting returns the orders that wait at the topic's station, oldest first, their number, and
	// the position of the last change that they include. They include every change up to that and
	// none after it. The sequence is read at most once, perhaps slowly, and must not change
	// meanwhile. The error says, for the person in front of the screen, why the orders are not known
	// yet.
	Waiting(topic string) (orders iter.Seq[Order], count int, position uint64, err error)
	// Changes blocks until there is a change after the position, and returns the changes that are
	// known, in order. It returns ErrGap if changes after the position are no longer kept.
	Changes(ctx context.Context, after uint64) ([]Change, error)
}

// ErrGap reports that a Source no longer keeps all changes after a position.
var ErrGap = errors.New("changes after this position are no longer kept")

// Options configure a Hub. A zero bound means its default.
type Options struct {
	MaxClients       int           // the connections at a time; beyond it negotiate and connect answer 503; default 10,000 (about 25 KiB each)
	LogLength        int           // the changes kept for each station; a client further behind is cut; default 8,192
	ReadLimit        int64         // the bytes of one WebSocket message from a client; default 32 KiB
	InboundPerSecond int           // the records from one client in a second; beyond it the client is cut; default 50
	HandshakeTimeout time.Duration // the time from the upgrade to the client's handshake record; default 15 s, as in ASP.NET Core
	KeepAlive        time.Duration // the longest time without a record to a client; default 15 s, half of what SignalR clients wait
	ClientTimeout    time.Duration // the silence of a client after which it counts as dead; default 30 s, twice a client's ping interval
	WriteTimeout     time.Duration // the time that a socket may take for one message of at most 32 KiB and one record; default 10 s
	Origins          []string      // the other sites whose pages may connect, each exactly scheme://host or scheme://host:port

	// Groups makes the screens of a consumer group share the orders of their station; see
	// [Hub.Shared]. Without it every screen shows all orders.
	Groups Groups
	// Partition returns the partition of an order on its topic. It is required with Groups.
	Partition func(id string) int32

	// Freshness returns how far the orders of a topic's screens are behind. If it is nil, the screens
	// are never told.
	Freshness func(topic string) Freshness

	// Methods are the methods that screens can call, by name. Names are matched regardless of case.
	Methods map[string]Method
}

// Freshness is how far screens are behind. The zero value means that they are not.
type Freshness struct {
	Behind  time.Duration // every event sent longer ago than this is shown
	Because string        // the cause of the delay, a word for programs
	Stage   string        // the stage that causes the delay
}

// Method carries out a call of a screen and returns its result as JSON. The text of an error is
// sent to the screen, for the person in front of it. ctx ends with the connection.
type Method func(ctx context.Context, by Caller, arguments []json.RawMessage) (json.RawMessage, error)

// Caller is the screen that calls a method: its topic, and the person in front of it.
type Caller struct{ Topic, Person string }

// Groups joins consumer groups for the hub. Set is called with the screens of a group and the
// people in front of them whenever these change, and with no screens when the last one has gone.
// If it returns an error, the screens of the group are sent away with its text.
type Groups interface {
	Set(group, topic string, screens int, people []string) error
}

func (o Options) withDefaults() Options {
	o.MaxClients = cmp.Or(o.MaxClients, 10_000)
	o.LogLength = cmp.Or(o.LogLength, 8192)
	o.ReadLimit = cmp.Or(o.ReadLimit, 32<<10)
	o.InboundPerSecond = cmp.Or(o.InboundPerSecond, 50)
	o.HandshakeTimeout = cmp.Or(o.HandshakeTimeout, 15*time.Second)
	o.KeepAlive = cmp.Or(o.KeepAlive, 15*time.Second)
	o.ClientTimeout = cmp.Or(o.ClientTimeout, 30*time.Second)
	o.WriteTimeout = cmp.Or(o.WriteTimeout, 10*time.Second)
	return o
}

// Stats are the hub's figures. Clients and Groups are current; all others count since New.
type Stats struct {
	Clients     map[string]int // the screens of each station, by topic
	Events      uint64         // the orders and departures written to clients, including snapshots
	SlowClients uint64         // the clients cut because they fell behind or their socket was stuck
	Gaps        uint64         // the times that the source no longer kept a change that the hub needed, and all clients had to reconnect
	Groups      map[string]int // the consumer groups with screens of each station, by topic
	Resumed     uint64         // the screens that got the changes after the position that they came with
	Snapshots   uint64         // the screens that got all orders of their station
	Joined      uint64         // the screens that joined a consumer group
}

// Hub is an http.Handler for Path and everything below it. It serves screens only while Run runs.
type Hub struct {
	source   Source
	options  Options
	log      *slog.Logger
	born     time.Time
	epoch    string   // distinguishes this hub's positions from those of other hubs, and of earlier processes
	topics   []string // in the order given to New
	stations map[string]*station
	methods  map[string]Method // by name in lower case
	serving  sync.WaitGroup    // each client's reader, its running methods, and its writer while there is one

	// mu guards the fields below, and the station and client fields that name it. It makes a screen's
	// snapshot and its place in the log one step: no change is recorded between the two. It is taken
	// before a client's mailbox.mu.
	mu      sync.RWMutex
	clients map[*client]struct{}
	closed  bool
	at      uint64 // the source's position up to which the logs are complete

	events, slow, gaps, resumed, snapshots, joined atomic.Uint64
	delay                                          prometheus.Histogram

	presence chan struct{} // has room for one signal: the screens or people of a group have changed
}

// retry is the pause before the source is read again after it was not ready or had a gap.
const retry = 200 * time.Millisecond

// New returns a hub for the stations. It starts no goroutine. It returns an error if there is no
// station or an origin is malformed.
func New(source Source, stations []Station, log *slog.Logger, options Options) (*Hub, error) {
	h := &Hub{
		source: source, options: options.withDefaults(), log: log, delay: newDelay(), born: time.Now(),
		stations: make(map[string]*station, len(stations)), clients: make(map[*client]struct{}), presence: make(chan struct{}, 1),
		epoch: rand.Text()[:10], methods: make(map[string]Method, len(options.Methods)),
	}
	for name, method := range options.Methods {
		h.methods[strings.ToLower(name)] = method
	}
	if len(stations) == 0 {
		return nil, errors.New("hub: no station: give at least one")
	}
	for _, s := range stations {
		h.topics = append(h.topics, s.Topic)
		h.stations[s.Topic] = newStation(s)
	}
	for _, origin := range options.Origins {
		if u, err := url.Parse(origin); err != nil || u.Host == "" || origin != strings.ToLower(u.Scheme+"://"+u.Host) {
			return nil, fmt.Errorf("hub: invalid origin %q: use lower case and the form scheme://host or scheme://host:port, without a path", origin)
		}
	}
	h.restart(math.MaxUint64)
	return h, nil
}

// Run passes the source's changes to the screens and applies timeouts until ctx ends, and then
// returns nil. An error means that the source failed. Before it returns it tells the clients to
// reconnect. Clients that connect while it does not run are sent away.
func (h *Hub) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var helpers sync.WaitGroup
	helpers.Go(func() { h.sweep(ctx) })
	helpers.Go(func() { h.reportPresence(ctx) })
	helpers.Go(func() { h.freshen(ctx) })
	defer helpers.Wait()
	defer cancel()
	defer h.restart(math.MaxUint64)
	for {
		err := h.follow(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case !errors.Is(err, ErrGap):
			return fmt.Errorf("hub: read the changes of the orders: %w", err)
		}
		h.gaps.Add(1)
		h.log.Warn("the hub fell behind its source: all screens have to reconnect")
		pause(ctx)
	}
}

// follow restarts the logs at the source's present position, and records changes until the source
// fails.
func (h *Hub) follow(ctx context.Context) error {
	_, _, position, err := h.source.Waiting(h.topics[0])
	for err != nil {
		if pause(ctx); ctx.Err() != nil {
			return ctx.Err()
		}
		_, _, position, err = h.source.Waiting(h.topics[0])
	}
	h.restart(position)
	for {
		changes, err := h.source.Changes(ctx, position)
		if err != nil {
			return err
		}
		for _, change := range changes {
			h.record(change)
			position = change.Position
		}
		h.wake()
	}
}

func pause(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(retry):
	}
}

// restart empties the logs at the source's position and tells all screens to reconnect. A
// snapshot from before the position can no longer be followed by the logs.
func (h *Hub) restart(position uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.at = position
	for _, s := range h.stations {
		s.log = ring{limit: h.options.LogLength, lost: position}
		for c := range s.all() {
			c.close("The hub lost track of the orders. Reconnect to get a new snapshot.", true)
		}
		s.forget()
	}
}

// record appends the change to the logs of the stations that it concerns.
func (h *Hub) record(change Change) {
	add := func(s *station, record []byte, shown func()) {
		s.log.add(event{position: change.Position, at: h.now(), record: record, shown: shown})
		s.grown = true
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if s := h.stations[change.Left]; s != nil {
		add(s, appendInvocation(nil, informOrderLeft, quote(change.ID)), nil)
		s.left(change)
	}
	if s := h.stations[change.Arrived]; s != nil {
		record := s.announce(change.Order)
		add(s, record, change.Order.Shown)
		s.arrived(change, record, h.options.Partition)
	}
	h.at = change.Position
}

// wake wakes the screens of the stations whose logs have grown.
func (h *Hub) wake() {
	h.mu.RLock()
	defer h.mu.RUnlock()
	for _, s := range h.stations {
		if s.grown {
			for c := range s.screens {
				c.wake()
			}
		}
		s.grown = false
	}
}

// join makes the client a screen of its station, or sends it away. A screen gets the changes that
// it missed, or else the station's orders, and then all later changes.
func (h *Hub) join(c *client) {
	s := c.station
	if s == nil {
		c.close(fmt.Sprintf("There is no station of the topic %.80q. Connect with topic= one of these: %s.",
			c.topic, strings.Join(h.topics, ", ")), false)
		return
	}
	if c.inGroup() {
		h.joinGroup(c)
		return
	}
	if h.resume(c) {
		return
	}
	orders, count, position, err := h.source.Waiting(s.Topic)
	if err != nil {
		c.close(err.Error(), true)
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if position < s.log.lost {
		c.close(starting, true)
		return
	}
	s.screens[c] = struct{}{}
	h.snapshots.Add(1)
	c.start(&feed{log: &s.log, snapshot: orders, count: count, position: position})
}

// resume makes the client a screen of its station that resumes after the position it came with. It
// reports whether the log still has every change after that.
func (h *Hub) resume(c *client) bool {
	number, ours := strings.CutPrefix(c.resume.after, h.epoch+"-")
	after, err := strconv.ParseUint(number, 10, 64)
	h.mu.Lock()
	defer h.mu.Unlock()
	s := c.station
	if !ours || err != nil || after < s.log.lost || after > h.at {
		return false
	}
	s.screens[c] = struct{}{}
	h.resumed.Add(1)
	c.start(&feed{log: &s.log, position: after, resuming: true})
	return true
}

const starting = "The hub is starting. Reconnect in a moment."

// full reports whether the hub refuses clients, because it has the most it may or has shut down.
func (h *Hub) full() bool {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.closed || len(h.clients) >= h.options.MaxClients
}

// add takes the client in. It returns false if the hub has become full meanwhile.
func (h *Hub) add(c *client) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed || len(h.clients) >= h.options.MaxClients {
		return false
	}
	h.clients[c] = struct{}{}
	if s := c.station; s != nil && s.staleness != nil && s.staleness.Behind == 0 {
		c.writer.freshness = s.staleness // A client assumes that it is not behind until it is told otherwise.
	}
	h.serving.Add(1)
	return true
}

func (h *Hub) remove(c *client) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.clients, c)
	if c.station != nil {
		delete(c.station.screens, c)
		h.leaveGroup(c)
	}
	h.serving.Done()
}

// sweep applies the timeouts of all clients, and ends expired claims. It replaces a timer for each
// connection, so a timeout is applied late by up to a third of the shortest one.
func (h *Hub) sweep(ctx context.Context) {
	o := h.options
	ticker := time.NewTicker(min(o.HandshakeTimeout, o.KeepAlive, o.ClientTimeout, o.WriteTimeout) / 3)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		h.mu.RLock()
		for c := range h.clients {
			c.check()
		}
		h.mu.RUnlock()
		h.expireClaims()
	}
}

// now returns the nanoseconds since New. Steps of the wall clock do not affect it.
func (h *Hub) now() int64 { return int64(time.Since(h.born)) }

// Shutdown refuses new clients, tells all others to reconnect, and waits until they are gone. If
// ctx ends first, it cuts the remaining ones and returns an error that wraps ctx's.
func (h *Hub) Shutdown(ctx context.Context) error {
	h.mu.Lock()
	h.closed = true
	for c := range h.clients {
		c.close("The server is shutting down. Reconnect in a moment.", true)
	}
	h.mu.Unlock()
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		h.serving.Wait()
	}()
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
	}
	h.mu.RLock()
	for c := range h.clients {
		c.cut()
	}
	h.mu.RUnlock()
	<-gone // Every read and write of theirs fails now, so this does not take long.
	return fmt.Errorf("hub: wait for the clients to leave: %w", ctx.Err())
}

// Present reports whether a person has a screen at the station of the topic.
func (h *Hub) Present(topic, person string) bool {
	h.mu.RLock()
	defer h.mu.RUnlock()
	s := h.stations[topic]
	if s == nil || person == "" {
		return false
	}
	for c := range s.all() {
		if c.person == person {
			return true
		}
	}
	return false
}

// Stats returns the hub's figures.
func (h *Hub) Stats() Stats {
	h.mu.RLock()
	defer h.mu.RUnlock()
	clients, groups := make(map[string]int, len(h.stations)), make(map[string]int, len(h.stations))
	for topic, s := range h.stations {
		clients[topic], groups[topic] = len(s.screens), s.dealer.GroupCount()
		for group := range s.dealer.Groups() {
			clients[topic] += s.dealer.ScreenCount(group)
		}
	}
	return Stats{
		Clients: clients, Groups: groups, Events: h.events.Load(), SlowClients: h.slow.Load(), Gaps: h.gaps.Load(),
		Resumed: h.resumed.Load(), Snapshots: h.snapshots.Load(), Joined: h.joined.Load(),
	}
}
