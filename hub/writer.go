package hub

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// chunk is the size of a WebSocket message, in bytes, beyond which no record is added to it. It
// also bounds the replies that wait for a client.
const chunk = 32 << 10

// buffers lends a buffer to each writer while it runs.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// writer writes what a client gets. It runs only while there is something to write. Its fields
// are used only by the goroutine of run; client.wake ensures that at most one runs at a time.
type writer struct {
	client    *client
	feed      *feed      // nil until the client is started
	freshness *staleness // what the client was last told; Hub.add sets it before there is a writer

	// What is in the message that is being made up.
	oldest int64    // the time of its oldest event, as of Hub.now; 0 if it has none
	shown  []func() // see Order.Shown
}

// feed is where a writer gets the events of its client from: a snapshot, and the log after it.
// Once it is handed to the writer, only the writer uses it, except for the log's content.
type feed struct {
	log      *ring           // its content is guarded by Hub.mu
	snapshot iter.Seq[Order] // nil once it is begun
	count    int             // the number of orders in the snapshot
	position uint64          // the last event that the snapshot includes; later the last one written
	resuming bool            // there is no snapshot, and the client has not yet got all events that it missed

	// Both are set while the snapshot is being read.
	next func() (Order, bool)
	stop func()
}

// run writes until there is nothing left. After the end of the connection it leaves wakeups above
// 0, so that no other writer is started.
func (w *writer) run() {
	c := w.client
	buffer := buffers.Get().(*[]byte)
	defer buffers.Put(buffer)
	for wakeups := c.wakeups.Load(); wakeups > 0; wakeups = c.wakeups.Add(-wakeups) {
		for {
			data, last := w.collect((*buffer)[:0])
			*buffer = data
			if len(data) == 0 {
				break
			}
			sent := w.send(data)
			w.observe()
			if !sent || last {
				if w.feed != nil && w.feed.stop != nil {
					w.feed.stop()
				}
				_ = c.ws.Close(websocket.StatusNormalClosure, "") // It waits at most 10 s for the client to do the same.
				return
			}
		}
	}
}

// send writes one WebSocket message and reports whether that succeeded. client.check applies the
// timeout.
func (w *writer) send(data []byte) bool {
	c := w.client
	c.clock.writing.Store(c.hub.now())
	err := c.ws.Write(context.Background(), websocket.MessageText, data)
	c.clock.writing.Store(0)
	c.clock.written.Store(c.hub.now())
	if err != nil {
		c.cut()
	}
	return err == nil
}

// observe records the delay of the message that was sent, and reports its orders as shown.
func (w *writer) observe() {
	if w.oldest != 0 {
		w.client.hub.delay.Observe(time.Duration(w.client.hub.now() - w.oldest).Seconds())
		w.oldest = 0
	}
	for _, shown := range w.shown {
		shown()
	}
	w.shown = w.shown[:0]
}

// collect appends the records to write next: replies, then the freshness, then the snapshot, then
// the events after it. last reports that no record may follow these, which are then at least one.
func (w *writer) collect(b []byte) (_ []byte, last bool) {
	b, f, greeted, closed := w.client.mail.take(b)
	if f != nil {
		w.feed = f
	}
	if greeted && !closed {
		b = w.appendFreshness(b)
	}
	if w.feed != nil && !closed {
		b = w.appendEvents(w.appendSnapshot(b))
	}
	return b, closed
}

func (w *writer) appendFreshness(b []byte) []byte {
	c := w.client
	if c.station == nil {
		return b
	}
	c.hub.mu.RLock()
	defer c.hub.mu.RUnlock()
	if now := c.station.staleness; now != w.freshness {
		w.freshness = now
		b = append(b, now.record...)
	}
	return b
}

func (w *writer) appendSnapshot(b []byte) []byte {
	f := w.feed
	if f.snapshot != nil {
		f.next, f.stop = iter.Pull(f.snapshot)
		f.snapshot = nil
	}
	for f.next != nil && len(b) < chunk {
		order, more := f.next()
		if !more {
			f.next, f.stop = nil, nil // This releases the snapshot's memory.
			synced := fmt.Appendf(nil, `{"waiting":%d,"resumed":false}`, f.count)
			return w.appendPosition(appendInvocation(b, informSynced, synced))
		}
		b = appendInvocation(b, w.client.station.announcement, order.JSON())
		w.client.hub.events.Add(1)
	}
	return b
}

// appendEvents appends the events after the client's position. While the snapshot is being read,
// b is full, and none is appended.
func (w *writer) appendEvents(b []byte) []byte {
	c, f := w.client, w.feed
	c.hub.mu.RLock()
	lost := f.position < f.log.lost
	for i := f.log.after(f.position); !lost && len(b) < chunk; i++ {
		if i == f.log.len() {
			if f.resuming {
				f.resuming = false
				b = w.appendPosition(appendInvocation(b, informSynced, []byte(`{"resumed":true}`)))
			}
			break
		}
		e := f.log.at(i)
		f.position = e.position
		if e.shown != nil {
			w.shown = append(w.shown, e.shown)
		}
		if w.oldest == 0 && !f.resuming {
			w.oldest = e.at // Events that the screen missed while it was away do not count as delayed.
		}
		b = w.appendPosition(append(b, e.record...))
		c.hub.events.Add(1)
	}
	c.hub.mu.RUnlock()
	if lost {
		c.tooSlow()
	}
	return b
}

// appendPosition adds the client's position, as one more argument, to the record at the end of b. A
// screen of a group gets none: when it goes, its orders move to other screens, so it cannot resume.
func (w *writer) appendPosition(b []byte) []byte {
	c := w.client
	if !c.resume.wantsPositions || c.inGroup() {
		return b
	}
	return fmt.Appendf(b[:len(b)-len(invocationEnd)], `,"%s-%d"%s`, c.hub.epoch, w.feed.position, invocationEnd)
}
