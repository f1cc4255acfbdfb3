package hub

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"
)

// reader handles what a client sends. All fields but calls are used only by the goroutine that
// runs it, which is the one of the client's request.
type reader struct {
	client *client

	// The records that arrived within the second that began at this time, as of Hub.now.
	second  int64
	records int

	calls atomic.Int32 // the methods that run; each ends on its own goroutine
}

// run reads until the connection ends.
func (r *reader) run() {
	c := r.client
	for {
		_, data, err := c.ws.Read(context.Background())
		if err != nil {
			return
		}
		c.clock.heard.Store(c.hub.now())
		if err := r.receive(data); err != nil {
			c.close("The connection is closed because "+err.Error()+".", false)
		}
	}
}

// receive handles one WebSocket message. The connection ends with the error, which is sent to the
// client.
func (r *reader) receive(data []byte) error {
	for more := true; more; more = len(data) > 0 {
		record, rest, whole := bytes.Cut(data, []byte{separator})
		if !whole {
			return errors.New("a record is incomplete: each must end with the character 0x1e")
		}
		if err := r.count(); err != nil {
			return err
		}
		if err := r.handle(record); err != nil {
			return err
		}
		data = rest
	}
	return nil
}

// count counts a record, and returns an error if too many arrived within a second.
func (r *reader) count() error {
	hub := r.client.hub
	if now := hub.now(); now-r.second >= int64(time.Second) {
		r.second, r.records = now, 0
	}
	r.records++
	if limit := hub.options.InboundPerSecond; r.records > limit {
		return fmt.Errorf("more than %d records arrived within a second", limit)
	}
	return nil
}

func (r *reader) handle(record []byte) error {
	c := r.client
	greeted, closed := c.mail.state()
	if closed {
		return nil // The connection stays open only until the client has closed its side.
	}
	if !greeted {
		return r.greet(record)
	}
	m, err := parse(record)
	switch {
	case err != nil:
		return err
	case m.Type == typeClose:
		c.close("", false)
	case m.Type == typeInvocation:
		r.invoke(m)
	case m.Type == typeStreamInvocation && m.InvocationID != "":
		c.reply(failure(m.InvocationID, unknownMethod(m.Target)))
	}
	return nil
}

// greet answers the handshake. The answer is written together with what join decides: a SignalR
// client that is sent away in the message that answers its handshake counts the attempt as
// failed, and backs off before the next one.
func (r *reader) greet(record []byte) error {
	if err := checkHandshake(record); err != nil {
		return err
	}
	r.client.mail.greet()
	r.client.hub.join(r.client)
	return nil
}

// invoke calls a method on a goroutine of its own, since it may take long. It refuses the call if
// maxCalls of the client are running.
func (r *reader) invoke(m message) {
	c := r.client
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
	if r.calls.Add(1) > maxCalls {
		r.calls.Add(-1)
		answer(failure(m.InvocationID, fmt.Sprintf("More than %d calls at a time: wait for an answer first.", maxCalls)))
		return
	}
	c.hub.serving.Go(func() {
		defer r.calls.Add(-1)
		result, err := method(c.ctx, Caller{Topic: c.station.Topic, Person: c.person}, m.Arguments)
		if err != nil {
			answer(failure(m.InvocationID, err.Error()))
			return
		}
		answer(completion(m.InvocationID, result))
	})
}
