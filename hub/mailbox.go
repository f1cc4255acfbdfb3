package hub

import (
	"sync"
)

// mailbox holds what other goroutines leave for a client's writer. The reader, running methods, the
// sweeper and the hub put records in while the writer takes them out; mu prevents that a record is
// lost, or follows the last one.
type mailbox struct {
	mu      sync.Mutex
	greeted bool   // whether the handshake is accepted
	closed  bool   // whether replies ends with the last record
	replies []byte // the records that are written before any event
	feed    *feed  // where the events come from; nil until the client is started, and once the writer has it
}

// state reports whether the handshake is accepted, and whether the last record is in the mailbox.
func (m *mailbox) state() (greeted, closed bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.greeted, m.closed
}

// greet accepts the handshake.
func (m *mailbox) greet() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.replies, m.greeted = append(m.replies, handshakeAccepted...), true
}

// start leaves the client's feed for the writer.
func (m *mailbox) start(f *feed) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.feed = f
}

// reply adds a record, unless the last one is there already. It reports whether there was room.
func (m *mailbox) reply(record []byte) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.replies)+len(record) > chunk {
		return false
	}
	if !m.closed {
		m.replies = append(m.replies, record...)
	}
	return true
}

// close adds the last record. It reports whether it was the first call of close.
func (m *mailbox) close(text string, reconnect bool) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return false
	}
	last := message{Error: text}
	if m.greeted {
		last.Type, last.AllowReconnect = typeClose, reconnect
	}
	m.replies, m.closed = append(m.replies, encode(last)...), true
	return true
}

// take appends the replies to b and empties the mailbox. The feed is nil if the writer has it
// already.
func (m *mailbox) take(b []byte) (_ []byte, f *feed, greeted, closed bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b = append(b, m.replies...)
	m.replies = nil
	f, m.feed = m.feed, nil
	return b, f, m.greeted, m.closed
}
