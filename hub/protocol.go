package hub

import (
	"encoding/json"
	"errors"
	"fmt"
)

// separator ends each record of the SignalR hub protocol in its JSON encoding, version 1. A
// WebSocket message holds one or more records. Each is a JSON object, which never contains the
// separator.
// https://github.com/dotnet/aspnetcore/blob/main/src/SignalR/docs/specs/HubProtocol.md
const separator = 0x1e

// The types of records that the hub handles or sends. It ignores all others.
const (
	typeInvocation       = 1
	typeCompletion       = 3
	typeStreamInvocation = 4
	typePing             = 6
	typeClose            = 7
)

var (
	handshakeAccepted = []byte("{}\x1e")
	ping              = encode(message{Type: typePing})
	informOrderLeft   = invocation("InformOrderLeft")
	informSynced      = invocation("InformSynced")
	informFreshness   = invocation("InformFreshness")
)

// message has the fields of all records that the hub handles or sends. The answer to a handshake
// has no type.
type message struct {
	Type           int    `json:"type,omitempty"`
	InvocationID   string `json:"invocationId,omitempty"`
	Target         string `json:"target,omitempty"`
	Error          string `json:"error,omitempty"`
	AllowReconnect bool   `json:"allowReconnect,omitempty"`

	Arguments []json.RawMessage `json:"arguments,omitempty"`
	Result    json.RawMessage   `json:"result,omitempty"`
}

func encode(m message) []byte {
	b, _ := json.Marshal(m) // Strings, numbers, booleans and valid JSON cannot fail.
	return append(b, separator)
}

func quote(s string) json.RawMessage {
	b, _ := json.Marshal(s) // A string can always be encoded.
	return b
}

// invocation returns the start of a record that calls a client's method. appendInvocation
// completes it.
func invocation(target string) []byte {
	return fmt.Appendf(nil, `{"type":%d,"target":%s,"arguments":[`, typeInvocation, quote(target))
}

func appendInvocation(b, start []byte, argument json.RawMessage) []byte {
	b = append(b, start...)
	b = append(b, argument...)
	return append(b, invocationEnd...)
}

// invocationEnd is the end of a record that calls a client's method.
const invocationEnd = "]}\x1e"

// completion returns the record that answers an invocation with a result.
func completion(invocationID string, result json.RawMessage) []byte {
	return encode(message{Type: typeCompletion, InvocationID: invocationID, Result: result})
}

// failure returns the record that answers an invocation with an error.
func failure(invocationID, why string) []byte {
	return encode(message{Type: typeCompletion, InvocationID: invocationID, Error: why})
}

func unknownMethod(target string) string { return fmt.Sprintf("Unknown hub method %.80q.", target) }

// parse decodes a record that follows the handshake.
func parse(record []byte) (message, error) {
	var m message
	if err := json.Unmarshal(record, &m); err != nil {
		return message{}, fmt.Errorf("a record is malformed: %w", err)
	}
	if m.Type <= 0 {
		return message{}, errors.New("a record is malformed: it has no type")
	}
	return m, nil
}

// checkHandshake returns an error for the client if its first record is not a handshake of the
// JSON protocol, version 1. Version 2 only adds stateful reconnect, which negotiate never grants:
// clients that ask for it there fall back to version 1.
func checkHandshake(record []byte) error {
	var request struct {
		Protocol string
		Version  int
	}
	if err := json.Unmarshal(record, &request); err != nil {
		return fmt.Errorf("the handshake is malformed: %w", err)
	}
	if request.Protocol != "json" {
		return fmt.Errorf("the protocol %q is not supported: use json", request.Protocol)
	}
	if request.Version != 1 {
		return fmt.Errorf("the server does not support version %d of the json protocol: use version 1", request.Version)
	}
	return nil
}
