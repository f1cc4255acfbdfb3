package hub

import (
	"context"
	"net"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

// client is one connection. Several goroutines work for it, and each of its parts has one owner:
// the goroutine or the lock named at the part. Where both locks are needed, Hub.mu is taken
// before mailbox.mu.
type client struct {
	// These fields are set before the client is known to any other goroutine, and never change.
	hub     *Hub
	topic   string   // as requested
	station *station // nil if no station has the topic
	group   string   // the consumer group; empty for none
	person  string   // the person in front of the screen; empty if unknown
	ctx     context.Context
	ws      *websocket.Conn
	conn    net.Conn // the connection beneath ws
	resume  resumption

	clock  clock      // atomic
	reader reader     // used only by the goroutine of the client's request
	writer writer     // used only by the goroutine of writer.run, of which at most one runs at a time
	mail   mailbox    // guarded by its own lock
	member membership // guarded by Hub.mu

	// wakeups counts the calls of wake that the writer has not looked at yet. It is more than 0
	// while a writer runs, and stays so after the last one. The call that makes it 1 starts the
	// writer, so that no two run at a time, and no record waits unseen when a writer ends.
	wakeups atomic.Int64
}

// resumption is the client's request to resume where its last connection ended.
type resumption struct {
	wantsPositions bool   // whether the client wants a position with each record
	after          string // the last position that it received, as it says; may be anything
}

// clock holds times for the sweeper, as of Hub.now. The reader and the writer store them without a
// lock while the sweeper loads them.
type clock struct {
	connected int64        // the time of the upgrade; immutable
	heard     atomic.Int64 // the time of the last message from the client
	written   atomic.Int64 // the end of the last write
	writing   atomic.Int64 // the start of the present write, or 0
}

// membership is a client's part as a screen of a consumer group. Changes of the source, and screens
// that come and go, move orders between the screens of a group: each happens under Hub.mu, which so
// prevents that two screens are shown the same order.
type membership struct {
	joined bool   // whether the station's dealer has the client
	log    *ring  // what the client is shown after its snapshot; nil until it gets that
	pushed uint64 // the number of events pushed to log; the position of its last event
}

func newClient(h *Hub, topic string) *client {
	c := &client{hub: h, topic: topic, station: h.stations[topic]}
	c.reader.client, c.writer.client = c, c
	return c
}

// inGroup reports whether the client shares its station's orders with a consumer group.
func (c *client) inGroup() bool { return c.hub.options.Groups != nil && c.group != "" }

// start makes the client show what the feed has.
func (c *client) start(f *feed) {
	c.mail.start(f)
	c.wake()
}

// push appends a record to the log of a group's screen. The caller holds Hub.mu, and the client has
// been started.
func (c *client) push(record []byte, shown func()) {
	m := &c.member
	m.pushed++
	m.log.add(event{position: m.pushed, at: c.hub.now(), record: record, shown: shown})
	c.wake()
}

// reply sends a record that is not an event. It cuts a client that lets too many replies pile up.
func (c *client) reply(record []byte) {
	if !c.mail.reply(record) {
		c.tooSlow()
		return
	}
	c.wake()
}

// close makes a close record the last one that the client gets, and then closes the connection.
// Before the handshake the last record is a refusal of that instead. It reports whether it was
// the first call of close; it never blocks.
func (c *client) close(text string, reconnect bool) bool {
	first := c.mail.close(text, reconnect)
	c.wake()
	return first
}

// tooSlow sends away a client that cannot keep up. It gets a new snapshot when it reconnects.
func (c *client) tooSlow() {
	if c.close("This connection is too slow for the events of its station. Reconnect to get a new snapshot.", true) {
		c.hub.slow.Add(1)
		c.hub.log.Warn("slow screen cut", "topic", c.topic, "consumergroup", c.group)
	}
}

// cut ends the connection without a farewell: all its reads and writes fail from now on. Unlike
// closing the WebSocket, it never blocks.
func (c *client) cut() {
	_ = c.conn.SetDeadline(time.Unix(1, 0)) // The error means that the connection is closed already.
}

// check applies the timeouts and keeps the connection alive.
func (c *client) check() {
	greeted, _ := c.mail.state()
	o, now, writing := c.hub.options, c.hub.now(), c.clock.writing.Load()
	since := func(then int64) time.Duration { return time.Duration(now - then) }
	switch {
	case writing != 0 && since(writing) > o.WriteTimeout:
		c.tooSlow()
		c.cut()
	case !greeted && since(c.clock.connected) > o.HandshakeTimeout:
		c.close("No handshake arrived in time.", true)
	case since(c.clock.heard.Load()) > o.ClientTimeout:
		c.close("Nothing was heard from the client for too long.", true)
	case greeted && since(c.clock.written.Load()) > o.KeepAlive*2/3:
		c.reply(ping)
	}
}

// wake starts the writer, or makes a running one look again.
func (c *client) wake() {
	if c.wakeups.Add(1) == 1 {
		c.hub.serving.Go(c.writer.run)
	}
}
