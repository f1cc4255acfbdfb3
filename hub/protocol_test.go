package hub

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

const greeting = "{\"protocol\":\"json\",\"version\":1}\x1e"

// For what a client sends, the test has all records that it gets. The connection stays open
// unless the last record is a farewell.
func TestProtocol(t *testing.T) {
	synced := `{"type":1,"target":"InformSynced","arguments":[{"waiting":0,"resumed":false}]}`
	farewell := func(text string) string {
		return `{"type":7,"error":"The connection is closed because ` + text + `."}`
	}
	handshakeError := func(text string) string { return `{"error":"The connection is closed because ` + text + `."}` }
	unknown := func(id string) string {
		return `{"type":3,"invocationId":"` + id + `","error":"Unknown hub method \"Cook\"."}`
	}
	incomplete := "a record is incomplete: each must end with the character 0x1e"
	tests := map[string]struct {
		sends []string
		gets  []string
		ends  bool
	}{
		"handshake":                             {[]string{greeting}, []string{`{}`, synced}, false},
		"handshake and more in one message":     {[]string{greeting + "{\"type\":1,\"invocationId\":\"1\",\"target\":\"Cook\",\"arguments\":[]}\x1e"}, []string{`{}`, unknown("1"), synced}, false},
		"handshake of version 2":                {[]string{"{\"protocol\":\"json\",\"version\":2}\x1e"}, []string{handshakeError("the server does not support version 2 of the json protocol: use version 1")}, true},
		"handshake without a version":           {[]string{"{\"protocol\":\"json\"}\x1e"}, []string{handshakeError("the server does not support version 0 of the json protocol: use version 1")}, true},
		"handshake of another protocol":         {[]string{"{\"protocol\":\"messagepack\",\"version\":1}\x1e"}, []string{handshakeError(`the protocol \"messagepack\" is not supported: use json`)}, true},
		"handshake that is no JSON":             {[]string{"hello\x1e"}, []string{handshakeError("the handshake is malformed: invalid character 'h' looking for beginning of value")}, true},
		"handshake without an end":              {[]string{`{"protocol":"json","version":1}`}, []string{handshakeError(incomplete)}, true},
		"invocation":                            {[]string{greeting, "{\"type\":1,\"invocationId\":\"7\",\"target\":\"Cook\",\"arguments\":[1]}\x1e"}, []string{`{}`, synced, unknown("7")}, false},
		"invocation that wants no answer":       {[]string{greeting, "{\"type\":1,\"target\":\"Cook\",\"arguments\":[1]}\x1e"}, []string{`{}`, synced}, false},
		"streaming invocation":                  {[]string{greeting, "{\"type\":4,\"invocationId\":\"8\",\"target\":\"Cook\",\"arguments\":[]}\x1e"}, []string{`{}`, synced, unknown("8")}, false},
		"stream items, cancels, acks and newer": {[]string{greeting, "{\"type\":2}\x1e{\"type\":5,\"invocationId\":\"8\"}\x1e{\"type\":8,\"sequenceId\":1}\x1e{\"type\":9}\x1e{\"type\":99,\"x\":[]}\x1e"}, []string{`{}`, synced}, false},
		"ping":                                  {[]string{greeting, "{\"type\":6}\x1e"}, []string{`{}`, synced}, false},
		"close":                                 {[]string{greeting, "{\"type\":7}\x1e"}, []string{`{}`, synced, `{"type":7}`}, true},
		"record that is no JSON":                {[]string{greeting, "{\"type\":6\x1e"}, []string{`{}`, synced, farewell("a record is malformed: unexpected end of JSON input")}, true},
		"record without a type":                 {[]string{greeting, "{}\x1e"}, []string{`{}`, synced, farewell("a record is malformed: it has no type")}, true},
		"record without an end":                 {[]string{greeting, "{\"type\":6}\x1e{\"type\":6}"}, []string{`{}`, synced, farewell(incomplete)}, true},
		"empty message":                         {[]string{greeting, ""}, []string{`{}`, synced, farewell(incomplete)}, true},
		"nothing is answered after a close":     {[]string{greeting, "{\"type\":7}\x1e{\"type\":1,\"invocationId\":\"9\",\"target\":\"Cook\"}\x1e"}, []string{`{}`, synced, `{"type":7}`}, true},
		"flood":                                 {[]string{greeting, strings.Repeat("{\"type\":6}\x1e", 200)}, []string{`{}`, synced, farewell("more than 50 records arrived within a second")}, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, server := open(t, newKitchen(), Options{})
			p := dial(t, server, "?topic=mix")
			var got []string
			for i, data := range test.sends {
				if p.send(data); i == 0 && len(test.sends) > 1 {
					for range 2 { // what follows the handshake must not overtake the snapshot
						r, _ := p.next()
						got = append(got, r.raw)
					}
				}
			}
			answered := test.ends // an open connection answers one request more
			if !test.ends {
				p.send("{\"type\":1,\"invocationId\":\"end\",\"target\":\"Cook\"}\x1e")
			}
			for test.ends || !answered || len(got) < len(test.gets) {
				r, ok := p.next()
				if !ok {
					break
				}
				if r.InvocationID == "end" {
					answered = true
					continue
				}
				got = append(got, r.raw)
			}
			// A reply overtakes the snapshot when it is asked for before that is begun.
			if len(test.sends) == 1 {
				slices.Sort(got)
				slices.Sort(test.gets)
			}
			if !slices.Equal(got, test.gets) {
				t.Errorf("got  %q\nwant %q", got, test.gets)
			}
			if ended := p.closed != nil; ended != test.ends {
				t.Errorf("the connection ended: %v (%v), want %v", ended, p.closed, test.ends)
			} else if ended && websocket.CloseStatus(p.closed) != websocket.StatusNormalClosure {
				t.Errorf("the connection was not closed in order: %v", p.closed)
			}
		})
	}
}

func TestOversizedMessageEndsTheConnection(t *testing.T) {
	_, server := open(t, newKitchen(), Options{ReadLimit: 1 << 10})
	p := watch(t, server, "mix")
	p.send(strings.Repeat(" ", 2<<10) + "{\"type\":6}\x1e")
	if p.last(); websocket.CloseStatus(p.closed) != websocket.StatusMessageTooBig {
		t.Errorf("ended by %v", p.closed)
	}
}

func TestUnknownTopic(t *testing.T) {
	_, server := open(t, newKitchen(), Options{})
	for query, topic := range map[string]string{"": "", "?topic=": "", "?topic=frying": "frying", "?consumergroup=mix": ""} {
		p := dial(t, server, query)
		p.send(greeting)
		if r, _ := p.next(); r.raw != "{}" {
			t.Errorf("%s: handshake answered by %s", query, r.raw)
		}
		want := `There is no station of the topic "` + topic + `". Connect with topic= one of these: mix, bake.`
		if r := p.last(); r.Type != typeClose || r.Error != want || r.AllowReconnect {
			t.Errorf("%s: sent away with %s", query, r.raw)
		}
	}
}

// A client is sent away in the message that answers its handshake: SignalR clients back off only
// then.
func TestScreensAreSentAwayUntilTheSourceIsReady(t *testing.T) {
	kitchen := newKitchen()
	h, server := open(t, kitchen, Options{})
	kitchen.setClosed(errors.New("the orders are 40 % read: try again in a moment"))
	p := watch(t, server, "mix")
	if len(p.rest) == 0 {
		t.Error("the farewell is not in the message of the handshake")
	}
	if r := p.last(); r.Type != typeClose || r.Error != "the orders are 40 % read: try again in a moment" || !r.AllowReconnect {
		t.Errorf("sent away with %s", r.raw)
	}
	kitchen.setClosed(nil)
	kitchen.put("mix", "a")
	p = watch(t, server, "mix")
	if orders := p.synced(); len(orders) != 1 {
		t.Errorf("orders: %s", orders)
	}
	if got := h.Stats().Clients["mix"]; got != 1 {
		t.Errorf("%d screens watch", got)
	}
}

func TestTimeouts(t *testing.T) {
	const soon = 30 * time.Millisecond
	t.Run("no handshake", func(t *testing.T) {
		_, server := open(t, newKitchen(), Options{HandshakeTimeout: soon})
		p := dial(t, server, "?topic=mix")
		if r := p.last(); r.raw != `{"error":"No handshake arrived in time."}` {
			t.Errorf("got %s", r.raw)
		}
	})
	t.Run("silent client", func(t *testing.T) {
		_, server := open(t, newKitchen(), Options{ClientTimeout: soon})
		p := watch(t, server, "mix")
		if r := p.last(); r.raw != `{"type":7,"error":"Nothing was heard from the client for too long.","allowReconnect":true}` {
			t.Errorf("got %s", r.raw)
		}
	})
	t.Run("keep-alive", func(t *testing.T) {
		_, server := open(t, newKitchen(), Options{KeepAlive: soon})
		p := watch(t, server, "mix")
		p.synced()
		for range 3 {
			if r, _ := p.next(); r.raw != `{"type":6}` {
				t.Errorf("got %s", r.raw)
			}
		}
	})
}

// Every record from a client is parsed or refused with a reason, and the replies are whole records.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`{"type":6}`, `{"type":1,"invocationId":"1","target":"T","arguments":[{}]}`, `{"type":7,"error":"e","allowReconnect":true}`,
		`{"protocol":"json","version":1}`, `{}`, `null`, `[]`, `{"type":-1}`, `{"type":1e3}`, "", "\x1e", `{"type":4,"invocationId":"\u001e","target":"\ud800"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := checkHandshake(data); err == nil && !strings.Contains(strings.ToLower(string(data)), "protocol") {
			t.Error("a handshake without a protocol is accepted")
		}
		m, err := parse(data)
		if err != nil {
			if !reflect.DeepEqual(m, message{}) {
				t.Errorf("an error and %+v", m)
			}
			return
		}
		if m.Type <= 0 || !json.Valid(data) {
			t.Errorf("%q is taken for %+v", data, m)
		}
		reply := failure(m.InvocationID, unknownMethod(m.Target))
		body, ended := strings.CutSuffix(string(reply), "\x1e")
		var back message
		if err := json.Unmarshal([]byte(body), &back); err != nil || !ended || strings.Contains(body, "\x1e") {
			t.Errorf("the reply %q is no record: %v", reply, err)
		}
		if back.Type != typeCompletion || back.InvocationID != m.InvocationID || back.Error == "" {
			t.Errorf("%q is answered by %q", data, reply)
		}
	})
}
