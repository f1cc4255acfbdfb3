// Package hub shows screens which orders wait at a station, and keeps them up to date: it speaks the server's side of
// SignalR (JSON hub protocol 1 over WebSockets), as far as a hub needs it that sends orders and takes a few calls.
//
// Screens pull: one goroutine reads the Source and appends each change, encoded once, to the bounded log of its station;
// a screen is a position in that log, and its writer takes the next records when the socket took the last ones. So no
// screen slows another, and memory is bounded by the length of the logs and one buffer for each socket that is busy.
//
// A screen that asks for positions can come back with its last one and goes on from there, as long as the log has what
// it missed. Otherwise it gets a snapshot again, and is told which of the two it is.
//
// It never knows what an order holds nor where it comes from: a Source hands it JSON.
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

// Station is one topic that screens can watch; Arrived is the hub method that announces an order there.
type Station struct{ Topic, Arrived string }

// Change is one thing that happened to one order. Topics that are no station's are passed over.
type Change struct {
	Position uint64 // strictly increasing over the whole source
	Left     string // topic of the station that the order left, or ""
	Arrived  string // topic of the station where it now waits, never Left again, or ""; an update of a waiting order has Arrived only
	ID       string // the order's id, argument of InformOrderLeft
	Order    Order  // as it is since; with Arrived
}

// Order is an order that waits at a station.
type Order struct {
	ID        string
	ClaimedBy func(now time.Time) string // who has taken it on at that time; empty when nobody
	JSON      func() json.RawMessage     // argument of the Arrived method: valid JSON
	Shown     func()                     // called whenever a screen's socket has taken it as a change, not as a part of a snapshot; nil for nobody who wants to know
}

// Source is where the hub gets its orders from. Its methods are called from several goroutines at a time.
type Source interface {
	// Waiting returns the orders that wait at the topic's station, oldest first, how many they are, and the position of
	// the source's last change: they include every change up to it and none after. The sequence is read once, perhaps
	// slowly, and does not change meanwhile. The error says why there is no answer yet.
	Waiting(topic string) (orders iter.Seq[Order], count int, position uint64, err error)
	// Changes blocks until there is at least one change after the position, and returns what is there, in order.
	// It returns ErrGap when changes after the position are no longer kept.
	Changes(ctx context.Context, after uint64) ([]Change, error)
}

// ErrGap says that a Source no longer keeps all changes after the position asked for.
var ErrGap = errors.New("changes after this position are no longer kept")

// Options are the hub's bounds. A zero field means its default.
type Options struct {
	MaxClients       int           // connections at a time; beyond it negotiate and connect answer 503; default 10,000 (about 25 KiB each)
	LogLength        int           // changes kept for each station; a client further behind is cut; default 8,192
	ReadLimit        int64         // bytes of one WebSocket message from a client; default 32 KiB
	InboundPerSecond int           // records from one client in a second; one that sends more is cut; default 50
	HandshakeTimeout time.Duration // from the upgrade to the client's handshake record; default 15 s, as in ASP.NET Core
	KeepAlive        time.Duration // a client hears something at least this often; default 15 s, half of what SignalR clients wait
	ClientTimeout    time.Duration // silence after which a client is taken for dead; default 30 s, twice a client's ping interval
	WriteTimeout     time.Duration // how long a socket may take for one message, at most 32 KiB and one record; default 10 s
	Origins          []string      // other sites whose pages may connect, each exactly scheme://host or scheme://host:port

	// Groups has the screens of a consumer group share the orders of their station, see [Hub.Shared]. nil shows all of
	// them to each.
	Groups Groups
	// Partition is where an order is on its topic; needed with Groups.
	Partition func(id string) int32

	// Freshness tells how far what the screens of a topic are shown is behind what was sent; nil says that it never is.
	Freshness func(topic string) Freshness

	// Methods are what screens can call, by name, in whatever case.
	Methods map[string]Method
}

// Freshness is how far screens are behind. Its zero value says that they are not.
type Freshness struct {
	Behind  time.Duration // everything that was sent longer ago than this is shown
	Because string        // what holds the rest up, a word for programs
	Stage   string        // where on the line
}

// Method carries out a call of a screen and returns the result, as JSON, or an error that is for the one who called. Its
// ctx ends with the connection.
type Method func(ctx context.Context, by Caller, arguments []json.RawMessage) (json.RawMessage, error)

// Caller is the screen that calls: its topic, and who stands before it.
type Caller struct{ Topic, Person string }

// Groups tells a consumer group what screens of it this hub has. Set is called again whenever that changes, and without
// screens when the last one has gone. Its error is for the screens, which are sent away.
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

// Stats counts since the hub was made, save Clients and Groups, which are how things stand.
type Stats struct {
	Clients     map[string]int // screens watching, for each station's topic
	Events      uint64         // orders and departures written to clients, snapshots included
	SlowClients uint64         // clients cut because they fell behind or their socket was stuck
	Gaps        uint64         // times that the source no longer kept what the hub needed, and all clients had to reconnect
	Groups      map[string]int // consumer groups that have screens, for each station's topic
	Resumed     uint64         // screens that went on after the position that they came with
	Snapshots   uint64         // screens that got all orders of their station
	Joined      uint64         // screens that came to a consumer group
}

// Hub is an http.Handler for Path and everything below it. It needs Run to be running.
type Hub struct {
	source   Source
	options  Options
	log      *slog.Logger
	born     time.Time
	epoch    string   // tells this hub's positions from those of others, and of itself in another life
	topics   []string // in the order given to New
	stations map[string]*station
	methods  map[string]Method // by their names in lower case
	serving  sync.WaitGroup    // each client's reader, and its writer while there is one

	mu      sync.RWMutex // guards what follows and every station's log and screens; taken before a client's mutex
	clients map[*client]struct{}
	closed  bool
	at      uint64 // position of the source up to which the logs are complete

	events, slow, gaps, resumed, snapshots, joined atomic.Uint64
	delay                                          prometheus.Histogram

	present chan struct{} // capacity 1: the groups are to be told of who is here
}

type station struct {
	Station
	arrived []byte // start of the invocation that announces an order
	log     ring
	screens map[*client]struct{} // those that get everything
	news    bool                 // the log grew since the screens were last woken; the pump's own
	stale   *staleness           // how far they are behind; nil until they first were

	shares  map[string]*share // by consumer group; those that have screens
	waiting map[string]*held  // by id, the orders that wait, while there are shares
	seq     uint64            // of the last one of them that came
	since   uint64            // the position of the source that waiting includes
}

// announce is the record that tells a screen of an order.
func (s *station) announce(o Order) []byte { return appendInvocation(nil, s.arrived, o.JSON()) }

// retry is the pause before the source is asked again after it was not ready or had a gap.
const retry = 200 * time.Millisecond

// New makes a hub for the stations; it starts nothing. It fails when there is no station or an origin is malformed.
func New(source Source, stations []Station, log *slog.Logger, options Options) (*Hub, error) {
	h := &Hub{
		source: source, options: options.withDefaults(), log: log, delay: newDelay(), born: time.Now(),
		stations: make(map[string]*station, len(stations)), clients: make(map[*client]struct{}), present: make(chan struct{}, 1),
		epoch: rand.Text()[:10], methods: make(map[string]Method, len(options.Methods)),
	}
	for name, method := range options.Methods {
		h.methods[strings.ToLower(name)] = method
	}
	if len(stations) == 0 {
		return nil, errors.New("hub: no station to watch: name at least one")
	}
	for _, s := range stations {
		h.topics = append(h.topics, s.Topic)
		h.stations[s.Topic] = &station{Station: s, arrived: invocation(s.Arrived), screens: make(map[*client]struct{}), shares: make(map[string]*share)}
	}
	for _, origin := range options.Origins {
		if u, err := url.Parse(origin); err != nil || u.Host == "" || origin != strings.ToLower(u.Scheme+"://"+u.Host) {
			return nil, fmt.Errorf("hub: origin %q: write it in lower case as scheme://host or scheme://host:port, with nothing behind", origin)
		}
	}
	h.restart(math.MaxUint64)
	return h, nil
}

// Run passes the source's changes on and watches over time-outs until ctx is done, then returns nil; an error means that
// the source failed. Clients are told to reconnect when it returns, and are turned away while it does not run.
func (h *Hub) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var helpers sync.WaitGroup
	helpers.Go(func() { h.sweep(ctx) })
	helpers.Go(func() { h.tellGroups(ctx) })
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
		h.log.Warn("hub fell behind its source: all screens have to reconnect")
		pause(ctx)
	}
}

// follow starts the logs anew where the source stands, and passes on what happens from there, until the source fails.
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

// restart empties the logs, so that only snapshots which include the position can be continued, and sends all screens
// away to fetch such a one.
func (h *Hub) restart(position uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.at = position
	for _, s := range h.stations {
		s.log = ring{limit: h.options.LogLength, lost: position}
		for c := range s.screens {
			c.close("The hub lost track of the orders. Reconnect to get them anew.", true)
		}
		for _, sh := range s.shares {
			sh.sendAway("The hub lost track of the orders. Reconnect to get them anew.")
		}
		s.waiting = nil
	}
}

// record appends the change to the logs of the stations that it concerns.
func (h *Hub) record(change Change) {
	add := func(s *station, record []byte, shown func()) {
		s.log.add(event{change.Position, h.now(), record, shown})
		s.news = true
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if s := h.stations[change.Left]; s != nil {
		add(s, appendInvocation(nil, informOrderLeft, quote(change.ID)), nil)
		h.left(s, change)
	}
	if s := h.stations[change.Arrived]; s != nil {
		record := s.announce(change.Order)
		add(s, record, change.Order.Shown)
		h.arrived(s, change, record)
	}
	h.at = change.Position
}

// wake wakes the screens of the stations that have news.
func (h *Hub) wake() {
	h.mu.RLock()
	defer h.mu.RUnlock()
	for _, s := range h.stations {
		if s.news {
			for c := range s.screens {
				c.wake()
			}
		}
		s.news = false
	}
}

// join makes the client a screen of its station: what it missed, or else the station's orders, and all changes after
// that follow. Or it sends it away.
func (h *Hub) join(c *client) {
	s := c.station
	if s == nil {
		c.close("There is no station of that topic. Connect with topic= one of these: "+strings.Join(h.topics, ", ")+".", false)
		return
	}
	if c.shares() {
		h.joinShare(c)
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
	c.show(&s.log, orders, count, position)
}

// resume has a client go on after the position that it comes with, and says whether that is possible.
func (h *Hub) resume(c *client) bool {
	number, ours := strings.CutPrefix(c.after, h.epoch+"-")
	after, err := strconv.ParseUint(number, 10, 64)
	h.mu.Lock()
	defer h.mu.Unlock()
	log := &c.station.log
	if !ours || err != nil || after < log.lost || after > h.at {
		return false
	}
	c.station.screens[c] = struct{}{}
	h.resumed.Add(1)
	c.resume(log, after)
	return true
}

const starting = "The hub is starting. Reconnect in a moment."

// full says whether there is no room for one more client, or the hub has shut down.
func (h *Hub) full() bool {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.closed || len(h.clients) >= h.options.MaxClients
}

// add takes in a client, unless the hub became full since it was asked.
func (h *Hub) add(c *client) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed || len(h.clients) >= h.options.MaxClients {
		return false
	}
	h.clients[c] = struct{}{}
	if s := c.station; s != nil && s.stale != nil && s.stale.Behind == 0 {
		c.told = s.stale // It is what a client takes for granted.
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
		h.leaveShare(c)
	}
	h.serving.Done()
}

// sweep is the only clock: it checks every client's time-outs, each up to a third of the shortest one late.
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
		h.lapse()
	}
}

// now is the time since the hub was made, which no change of the wall clock disturbs.
func (h *Hub) now() int64 { return int64(time.Since(h.born)) }

// Shutdown refuses new clients, tells all others to reconnect, and waits until they are gone. When ctx is done first,
// it cuts those that are left and returns ctx's error.
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
	<-gone // at once: every read and write of theirs fails now
	return fmt.Errorf("hub: wait for the clients to leave: %w", ctx.Err())
}

// Present says whether a person has a screen at the station of the topic.
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

// Stats reads the counters.
func (h *Hub) Stats() Stats {
	h.mu.RLock()
	defer h.mu.RUnlock()
	clients, groups := make(map[string]int, len(h.stations)), make(map[string]int, len(h.stations))
	for topic, s := range h.stations {
		clients[topic], groups[topic] = len(s.screens), len(s.shares)
		for _, sh := range s.shares {
			clients[topic] += len(sh.screens)
		}
	}
	return Stats{
		Clients: clients, Groups: groups, Events: h.events.Load(), SlowClients: h.slow.Load(), Gaps: h.gaps.Load(),
		Resumed: h.resumed.Load(), Snapshots: h.snapshots.Load(), Joined: h.joined.Load(),
	}
}
