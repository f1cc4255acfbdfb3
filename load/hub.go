package load

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"time"

	"github.com/coder/websocket"
)

// event is a message of the hub about a station.
type event struct {
	kind eventKind
	id   string // The ID of the order that arrived or left.
}

type eventKind int

const (
	reconnected eventKind = iota // The earlier events are void; a new snapshot follows.
	synced                       // The snapshot is complete.
	arrived
	left
)

const (
	// silence is how long to wait for the next message of the hub, which pings every 15 s.
	silence = 40 * time.Second
	// pingInterval is how often the client pings while the hub sends. The hub closes connections of
	// clients that are silent for 30 s.
	pingInterval = 10 * time.Second
	// maxFrame bounds a WebSocket message, which may hold many records, in bytes.
	maxFrame = 16 << 20
	// separator ends each record of the SignalR hub protocol.
	separator = "\x1e"
)

// watch calls see for each event of a station until ctx ends. It reconnects with exponential backoff
// after every error.
func watch(ctx context.Context, server *client, s station, see func(event)) {
	pause := firstBackoff
	for ctx.Err() == nil {
		_ = listen(ctx, server, s, func(e event) { // After any error the client reconnects.
			pause = firstBackoff
			see(e)
		})
		if ctx.Err() != nil {
			return
		}
		server.tally.retry("hub")
		sleep(ctx, pause)
		pause = min(2*pause, maxBackoff)
	}
}

// listen opens one connection and calls see for its events until the connection ends.
func listen(ctx context.Context, server *client, s station, see func(event)) error {
	address := server.url + "/ordermonitorhub?" + url.Values{"topic": {s.Topic}}.Encode()
	dial, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	ws, _, err := websocket.Dial(dial, address, nil)
	if err != nil {
		return fmt.Errorf("connecting: %w", err)
	}
	defer ws.CloseNow()
	ws.SetReadLimit(maxFrame)
	if err := ws.Write(dial, websocket.MessageText, []byte(`{"protocol":"json","version":1}`+separator)); err != nil {
		return fmt.Errorf("shaking hands: %w", err)
	}
	see(event{kind: reconnected})
	for pinged := time.Now(); ; {
		frame, err := read(ctx, ws)
		if err != nil {
			return fmt.Errorf("reading: %w", err)
		}
		if time.Since(pinged) > pingInterval { // A busy hub sends no pings that would be answered.
			pinged = time.Now()
			if err := ping(ctx, ws); err != nil {
				return err
			}
		}
		for record := range bytes.SplitSeq(frame, []byte(separator)) {
			if len(record) == 0 {
				continue
			}
			if err := take(ctx, ws, s, record, see); err != nil {
				return err
			}
		}
	}
}

func read(ctx context.Context, ws *websocket.Conn) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, silence)
	defer cancel()
	_, frame, err := ws.Read(ctx)
	return frame, err
}

func ping(ctx context.Context, ws *websocket.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, silence)
	defer cancel()
	if err := ws.Write(ctx, websocket.MessageText, []byte(`{"type":6}`+separator)); err != nil {
		return fmt.Errorf("writing a ping: %w", err)
	}
	return nil
}

// take handles one record of the SignalR hub protocol in its JSON encoding. Types 1, 6 and 7 are
// invocation, ping and close; the response to the handshake has no type.
func take(ctx context.Context, ws *websocket.Conn, s station, record []byte, see func(event)) error {
	var m struct {
		Type      int
		Target    string
		Arguments []json.RawMessage
		Error     string
	}
	if err := json.Unmarshal(record, &m); err != nil {
		return fmt.Errorf("reading a record: %w", err)
	}
	switch {
	case m.Type == 7 || m.Error != "":
		return fmt.Errorf("the server closed the connection: %s", m.Error)
	case m.Type == 6:
		return ping(ctx, ws)
	case m.Type != 1:
		return nil
	case m.Target == "InformSynced":
		see(event{kind: synced})
		return nil
	case len(m.Arguments) == 0:
		return nil
	}
	var err error
	switch m.Target {
	case s.Event:
		var o struct{ ID string }
		err = json.Unmarshal(m.Arguments[0], &o)
		see(event{arrived, o.ID})
	case "InformOrderLeft":
		var id string
		err = json.Unmarshal(m.Arguments[0], &id)
		see(event{left, id})
	}
	if err != nil {
		return fmt.Errorf("reading the argument of %s: %w", m.Target, err)
	}
	return nil
}
