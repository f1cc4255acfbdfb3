package hub

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

// chunk bounds one WebSocket message, give or take one record, and what may wait for a client beside events.
const chunk = 32 << 10

// buffers lends a buffer to each writer while it runs.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// client is one connection. Its reader is the goroutine of its request; its writer runs only while there is something to
// write.
type client struct {
	hub     *Hub
	station *station // nil: there is none of the topic that it asked for
	group   string   // its consumer group
	person  string   // who stands before it; empty when it does not say
	ctx     context.Context
	calls   atomic.Int32 // of methods, that are being carried out
	asks    bool         // for positions
	after   string       // the position that it had when it was here before; may be anything
	told    *staleness   // what it was told of its station's freshness last; set under hub.mu before there is a writer, and the writer's own then

	// With a share, guarded by hub.mu.
	mine   []*held // the orders that it shows, in the order of their arrival
	pushed uint64  // events that were put into its own log
	ws     *websocket.Conn
	conn   net.Conn // beneath ws

	// Times as of Hub.now.
	connected int64
	heard     atomic.Int64 // last message from the client
	written   atomic.Int64 // end of the last write
	writing   atomic.Int64 // start of the present write, or 0

	// The reader's own: the records of the second that began at this time.
	second  int64
	inbound int

	wakes atomic.Int64 // more than 0 while a writer runs, or ran for the last time

	mu      sync.Mutex
	greeted bool   // the handshake is answered
	shown   bool   // the snapshot is set
	closed  bool   // replies end with the last record
	replies []byte // records that wait to be written before any event

	// The snapshot and what follows: set once under mu, the writer's own from then on.
	log      *ring // guarded by hub.mu
	orders   iter.Seq[Order]
	waiting  int                  // how many they are
	position uint64               // of the last event that they include, then of the last one written
	oldest   int64                // when the first event of the message that is made up happened; 0 when it has none
	taken    []func()             // of the events of that message
	resumes  bool                 // there is no snapshot: it has not yet been told all that it missed
	next     func() (Order, bool) // pulls from orders, once it is begun
	stop     func()
}

// shares says whether it shares its station's orders with a consumer group.
func (c *client) shares() bool { return c.hub.options.Groups != nil && c.group != "" }

// read handles what the client sends until the connection ends.
func (c *client) read() {
	for {
		_, data, err := c.ws.Read(context.Background())
		if err != nil {
			return
		}
		c.heard.Store(c.hub.now())
		if err := c.receive(data); err != nil {
			c.close("The connection is closed because "+err.Error()+".", false)
		}
	}
}

// receive handles one WebSocket message. The error is for the client, whose connection it ends.
func (c *client) receive(data []byte) error {
	for more := true; more; more = len(data) > 0 {
		record, rest, whole := bytes.Cut(data, []byte{separator})
		if !whole {
			return errors.New("a record is incomplete: each must end with the character 0x1e")
		}
		if now := c.hub.now(); now-c.second >= int64(time.Second) {
			c.second, c.inbound = now, 0
		}
		if c.inbound++; c.inbound > c.hub.options.InboundPerSecond {
			return errors.New("too many records arrived within a second")
		}
		if err := c.handle(record); err != nil {
			return err
		}
		data = rest
	}
	return nil
}

func (c *client) handle(record []byte) error {
	c.mu.Lock()
	greeted, closed := c.greeted, c.closed
	c.mu.Unlock()
	if closed {
		return nil // nothing is left to do but to wait for the client's side to close
	}
	if !greeted {
		return c.greet(record)
	}
	m, err := parse(record)
	switch {
	case err != nil:
		return err
	case m.Type == typeClose:
		c.close("", false)
	case m.Type == typeInvocation:
		c.invoke(m)
	case m.Type == typeStreamInvocation && m.InvocationID != "":
		c.reply(failure(m.InvocationID, unknownMethod(m.Target)))
	}
	return nil
}

// invoke has a method carried out, aside, for it may take long. It is not begun while too many others of the client are.
func (c *client) invoke(m message) {
	answer := func(record []byte) {
		if m.InvocationID != "" {
			c.reply(record)
		}
	}
	method := c.hub.methods[strings.ToLower(m.Target)]
	if method == nil || c.station == nil {
		answer(failure(m.InvocationID, unknownMethod(m.Target)))
		return
	}
	if c.calls.Add(1) > maxCalls {
		c.calls.Add(-1)
		answer(failure(m.InvocationID, "Too much is asked for at a time: wait for an answer first."))
		return
	}
	c.hub.serving.Go(func() {
		defer c.calls.Add(-1)
		result, err := method(c.ctx, Caller{c.station.Topic, c.person}, m.Arguments)
		if err != nil {
			answer(failure(m.InvocationID, err.Error()))
			return
		}
		answer(completion(m.InvocationID, result))
	})
}

// greet answers the handshake. The answer waits for what join decides, to go out in one message with it: a client that
// is turned away in the same breath counts its attempt as failed, and backs off before the next one.
func (c *client) greet(record []byte) error {
	if err := checkHandshake(record); err != nil {
		return err
	}
	c.mu.Lock()
	c.replies, c.greeted = append(c.replies, handshakeAccepted...), true
	c.mu.Unlock()
	c.hub.join(c)
	return nil
}

// show starts with a snapshot, which the events of the log after its position follow.
func (c *client) show(log *ring, orders iter.Seq[Order], count int, position uint64) {
	c.mu.Lock()
	c.log, c.orders, c.waiting, c.position, c.shown = log, orders, count, position, true
	c.mu.Unlock()
	c.wake()
}

// resume goes on after the position.
func (c *client) resume(log *ring, position uint64) {
	c.mu.Lock()
	c.log, c.position, c.resumes, c.shown = log, position, true, true
	c.mu.Unlock()
	c.wake()
}

// reply queues a record that is not an event. A client that lets too many of them pile up is too slow.
func (c *client) reply(record []byte) {
	c.mu.Lock()
	full := len(c.replies)+len(record) > chunk
	if !full && !c.closed {
		c.replies = append(c.replies, record...)
	}
	c.mu.Unlock()
	if full {
		c.tooSlow()
		return
	}
	c.wake()
}

// close makes a close record (or a refused handshake, as long as there was none) the last one that is written, and then
// closes the connection. It says whether it was the first to do so; it never waits.
func (c *client) close(text string, reconnect bool) bool {
	c.mu.Lock()
	first := !c.closed
	if first {
		last := message{Error: text}
		if c.greeted {
			last.Type, last.AllowReconnect = typeClose, reconnect
		}
		c.replies, c.closed = append(c.replies, encode(last)...), true
	}
	c.mu.Unlock()
	c.wake()
	return first
}

// tooSlow sends away a client that cannot keep up. It finds the present state when it comes back.
func (c *client) tooSlow() {
	if c.close("This connection is too slow for the events of its station. Reconnect to get the orders anew.", true) {
		c.hub.slow.Add(1)
		c.hub.log.Warn("slow screen cut", "topic", c.station.Topic, "consumergroup", c.group)
	}
}

// cut ends the connection without a word: all reads and writes fail from now on. Unlike closing, it never waits.
func (c *client) cut() { _ = c.conn.SetDeadline(time.Unix(1, 0)) }

// check applies the time-outs and keeps the connection alive.
func (c *client) check() {
	c.mu.Lock()
	greeted := c.greeted
	c.mu.Unlock()
	o, now, writing := c.hub.options, c.hub.now(), c.writing.Load()
	since := func(then int64) time.Duration { return time.Duration(now - then) }
	switch {
	case writing != 0 && since(writing) > o.WriteTimeout:
		c.tooSlow()
		c.cut()
	case !greeted && since(c.connected) > o.HandshakeTimeout:
		c.close("No handshake arrived in time.", true)
	case since(c.heard.Load()) > o.ClientTimeout:
		c.close("Nothing was heard from the client for too long.", true)
	case greeted && since(c.written.Load()) > o.KeepAlive*2/3:
		c.reply(ping)
	}
}

// wake starts the writer, or tells the one that runs to look again.
func (c *client) wake() {
	if c.wakes.Add(1) == 1 {
		c.hub.serving.Go(c.write)
	}
}

// write writes until there is nothing left. When the connection is at its end it leaves wakes as it is, so that no other
// writer ever starts.
func (c *client) write() {
	buffer := buffers.Get().(*[]byte)
	defer buffers.Put(buffer)
	for wakes := c.wakes.Load(); wakes > 0; wakes = c.wakes.Add(-wakes) {
		for {
			data, last := c.collect((*buffer)[:0])
			*buffer = data
			if len(data) == 0 {
				break
			}
			sent := c.send(data)
			if c.oldest != 0 {
				c.hub.delay.Observe(time.Duration(c.hub.now() - c.oldest).Seconds())
				c.oldest = 0
			}
			for _, shown := range c.taken {
				shown()
			}
			c.taken = c.taken[:0]
			if !sent || last {
				if c.stop != nil {
					c.stop()
				}
				_ = c.ws.Close(websocket.StatusNormalClosure, "") // waits at most 10 s for the client to do the same
				return
			}
		}
	}
}

// send writes one WebSocket message. Its time-out is check's business.
func (c *client) send(data []byte) bool {
	c.writing.Store(c.hub.now())
	err := c.ws.Write(context.Background(), websocket.MessageText, data)
	c.writing.Store(0)
	c.written.Store(c.hub.now())
	if err != nil {
		c.cut()
	}
	return err == nil
}

// collect appends what is to be written next: replies, then how fresh all is, then the snapshot, then the events after
// it. Nothing may follow the last, which is never empty.
func (c *client) collect(b []byte) (_ []byte, last bool) {
	c.mu.Lock()
	b = append(b, c.replies...)
	c.replies = nil
	greeted, shown, closed := c.greeted, c.shown, c.closed
	c.mu.Unlock()
	if greeted && !closed {
		b = c.appendFreshness(b)
	}
	if shown && !closed {
		b = c.appendEvents(c.appendSnapshot(b))
	}
	return b, closed
}

func (c *client) appendFreshness(b []byte) []byte {
	if c.station == nil {
		return b
	}
	c.hub.mu.RLock()
	defer c.hub.mu.RUnlock()
	if is := c.station.stale; is != c.told {
		c.told = is
		b = append(b, is.record...)
	}
	return b
}

func (c *client) appendSnapshot(b []byte) []byte {
	if c.orders != nil {
		c.next, c.stop = iter.Pull(c.orders)
		c.orders = nil
	}
	for c.next != nil && len(b) < chunk {
		order, more := c.next()
		if !more {
			c.next, c.stop = nil, nil // lets go of the snapshot
			return c.appendPosition(appendInvocation(b, informSynced, fmt.Appendf(nil, `{"waiting":%d,"resumed":false}`, c.waiting)))
		}
		b = appendInvocation(b, c.station.arrived, order.JSON())
		c.hub.events.Add(1)
	}
	return b
}

// appendEvents appends the events after the client's position. Before the snapshot is at its end there is no room for any.
func (c *client) appendEvents(b []byte) []byte {
	log := c.log
	c.hub.mu.RLock()
	lost := c.position < log.lost
	for i := log.after(c.position); !lost && len(b) < chunk; i++ {
		if i == log.len() {
			if c.resumes {
				c.resumes = false
				b = c.appendPosition(appendInvocation(b, informSynced, []byte(`{"resumed":true}`)))
			}
			break
		}
		e := log.at(i)
		c.position = e.position
		if e.shown != nil {
			c.taken = append(c.taken, e.shown)
		}
		if c.oldest == 0 && !c.resumes {
			c.oldest = e.at // What a screen missed while it was away does not count.
		}
		b = c.appendPosition(append(b, e.record...))
		c.hub.events.Add(1)
	}
	c.hub.mu.RUnlock()
	if lost {
		c.tooSlow()
	}
	return b
}

// appendPosition adds the client's position, as one more argument, to the record at the end of b.
func (c *client) appendPosition(b []byte) []byte {
	if !c.asks || c.shares() { // What a group's screen had is others' once it goes, so it cannot go on from anywhere.
		return b
	}
	return fmt.Appendf(b[:len(b)-len(invocationEnd)], `,"%s-%d"%s`, c.hub.epoch, c.position, invocationEnd)
}
