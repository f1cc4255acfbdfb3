// Package codecs encodes orders, reports and rows as versioned JSON, which kcat and Kafka Connect
// can read, and decodes them. Its codecs fit goka.Codec.
//
// Decoding never returns an error and never panics: bytes that cannot be decoded become an
// *Undecodable, so that a poison message is a value for the dead letters and not a crash. Encoding
// is deterministic: equal values give equal bytes. The package imports no client of Kafka.
//
// The JSON library is segmentio/encoding, the fastest of those compared in BenchmarkLibraries: it
// takes a third of the time of encoding/json.
package codecs

import (
	"bytes"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/ecupcakes/ecupcakes/order"

	"github.com/segmentio/encoding/json"
)

// Version is the value of the field "v" in everything that is written. Adding a field needs no new
// version, because readers pass unknown fields on. A change that an old reader would misunderstand
// needs one: readers reject versions above their own.
const Version = 1

// Undecodable is a value that could not be decoded.
type Undecodable struct {
	Raw []byte // Bytes of the value; nil for a tombstone.
	Why string // Reason in words, for an operator.
}

// Encoded is a value that is encoded already. The Encode method of each codec returns it unchanged,
// so that a value for the table and for a topic is encoded once.
type Encoded []byte

type (
	Order  struct{} // Codec of order.Order.
	Report struct{} // Codec of order.Report.
	Row    struct{} // Codec of order.Row.
	Raw    struct{} // Codec of bytes, which it passes through.
)

// Encode encodes an *order.Order or an Encoded. It returns an error for any other type.
func (Order) Encode(v any) ([]byte, error) {
	if o, ok := v.(*order.Order); ok {
		return EncodeOrder(o)
	}
	return encoded(v)
}

// Decode returns an *order.Order that has passed its Validate, or an *Undecodable. The error is
// always nil. The order's strings share the memory of data.
func (Order) Decode(data []byte) (any, error) {
	return decode("an order", data, decodeOrder), nil
}

// Encode encodes an *order.Report or an Encoded. It returns an error for any other type.
func (Report) Encode(v any) ([]byte, error) {
	if r, ok := v.(*order.Report); ok {
		return EncodeReport(r)
	}
	return encoded(v)
}

// Decode returns an *order.Report that has passed its Validate, or an *Undecodable. The error is
// always nil. The report's strings share the memory of data.
func (Report) Decode(data []byte) (any, error) {
	return decode("a report", data, decodeReport), nil
}

// Encode encodes an *order.Row or an Encoded. It returns an error for any other type.
func (Row) Encode(v any) ([]byte, error) {
	if r, ok := v.(*order.Row); ok {
		o, err := EncodeOrder(&r.Order)
		if err != nil {
			return nil, err
		}
		return EncodeRow(r, o)
	}
	return encoded(v)
}

// Decode returns an *order.Row or an *Undecodable. The error is always nil. The row's strings share
// the memory of data.
func (Row) Decode(data []byte) (any, error) {
	return decode("a row", data, decodeRow), nil
}

// Encode returns a []byte or an Encoded unchanged. It returns an error for any other type.
func (Raw) Encode(v any) ([]byte, error) {
	if b, ok := v.([]byte); ok {
		return b, nil
	}
	return encoded(v)
}

// Decode returns data.
func (Raw) Decode(data []byte) (any, error) { return data, nil }

func encoded(v any) ([]byte, error) {
	if e, ok := v.(Encoded); ok {
		return e, nil
	}
	return nil, fmt.Errorf("this codec cannot encode a %T", v)
}

func decode[T any](what string, data []byte, f func([]byte) (*T, error)) (v any) {
	defer func() {
		if r := recover(); r != nil {
			v = &Undecodable{Raw: data, Why: fmt.Sprintf("decoding %s panicked: %v", what, r)}
		}
	}()
	t, err := f(data)
	if err != nil {
		return &Undecodable{Raw: data, Why: fmt.Sprintf("not %s: %v", what, err)}
	}
	return t
}

// maxBrackets bounds the number of brackets in a message, and so cheaply the depth of the decoder's
// recursion: no recover catches a stack overflow. The line's own messages have at most some
// hundred.
const maxBrackets = 10_000

// The wire formats. The names of their fields and the order of them are a contract, which the
// golden files check.
type (
	wireOrder struct {
		V        int          `json:"v"`
		ID       string       `json:"id"`
		Flavour  string       `json:"flavour"`
		Size     string       `json:"size"`
		Quantity int          `json:"quantity"`
		Status   order.Status `json:"status"`
		PlacedOn *time.Time   `json:"placedOn,omitempty"`
		Reason   string       `json:"reason,omitempty"`
		History  []wireStep   `json:"history,omitempty"`
		RemakeOf string       `json:"remakeOf,omitempty"`
		RemadeBy string       `json:"remadeBy,omitempty"`
	}
	wireStep struct {
		Stage string    `json:"stage"`
		By    string    `json:"by"`
		On    time.Time `json:"on"`
	}
	wireReport struct {
		V       int        `json:"v"`
		ID      string     `json:"id"`
		OrderID string     `json:"orderId"`
		Kind    order.Kind `json:"kind"`
		By      string     `json:"by"`
		On      *time.Time `json:"on,omitempty"`
		Reason  string     `json:"reason,omitempty"`
		Until   *time.Time `json:"until,omitempty"`
		Digest  string     `json:"digest,omitempty"`
	}
	wireRow struct {
		V        int             `json:"v"`
		State    order.State     `json:"state"`
		Arrived  *time.Time      `json:"arrivedOn,omitempty"`
		Claim    string          `json:"claimedBy,omitempty"`
		Until    *time.Time      `json:"claimedUntil,omitempty"`
		Arrivals int64           `json:"arrivals"`
		Reports  int64           `json:"reports"`
		Outcomes []wireOutcome   `json:"outcomes,omitempty"`
		Pending  []wireReport    `json:"pending,omitempty"`
		Order    json.RawMessage `json:"order,omitempty"`
	}
	wireOutcome struct {
		ReportID string       `json:"id"`
		Result   order.Result `json:"result,omitempty"` // Omitted if accepted, as nearly all are.
		Digest   string       `json:"digest,omitempty"`
	}
)

// The pools reuse the slices of wire values. Growing new ones for each message took a third of the
// time of decoding.
var (
	wireOrders = sync.Pool{New: func() any { return new(wireOrder) }}
	wireRows   = sync.Pool{New: func() any { return new(wireRow) }}
)

func (w *wireOrder) reset() { *w = wireOrder{History: empty(w.History)} }

func (w *wireRow) reset() { *w = wireRow{Outcomes: empty(w.Outcomes), Pending: empty(w.Pending)} }

// empty returns s with length 0 and its whole capacity zeroed, because the decoder does not zero
// the elements that it reuses.
func empty[T any](s []T) []T {
	clear(s[:cap(s)])
	return s[:0]
}

// utc returns t in the form of the wire: in UTC with whole milliseconds. Outside the years 1970 to
// 9998 ok is false and u is zero: RFC 3339 cannot represent all of those times.
func utc(t time.Time) (u time.Time, ok bool) {
	u = t.UTC().Truncate(time.Millisecond)
	if u.IsZero() || u.Year() >= 1970 && u.Year() < 9999 {
		return u, true
	}
	return time.Time{}, false
}

// toWire returns nil, which omits the field, for a zero time and for one out of range. The
// timestamp of a message is whatever its producer sets, and every value that is written must be
// decodable.
func toWire(t time.Time) *time.Time {
	if t, _ = utc(t); t.IsZero() {
		return nil
	}
	return &t
}

// fromWire returns the zero time for nil, and an error for a time out of range.
func fromWire(t *time.Time) (time.Time, error) {
	if t == nil {
		return time.Time{}, nil
	}
	u, ok := utc(*t)
	if !ok {
		return u, errors.New("a time is not in the years 1970 to 9998")
	}
	return u, nil
}

// EncodeOrder returns o as a JSON object with its known fields followed by the unknown ones.
func EncodeOrder(o *order.Order) ([]byte, error) {
	w := wireOrders.Get().(*wireOrder)
	defer wireOrders.Put(w)
	*w = wireOrder{
		V: Version, ID: o.ID, Flavour: o.Flavour, Size: o.Size, Quantity: o.Quantity, Status: o.Status, PlacedOn: toWire(o.PlacedOn),
		Reason: o.Reason, History: w.History[:0], RemakeOf: o.RemakeOf, RemadeBy: o.RemadeBy,
	}
	for _, s := range o.History {
		s.On, _ = utc(s.On)
		w.History = append(w.History, wireStep(s))
	}
	b, err := json.Marshal(w)
	if err != nil {
		return nil, fmt.Errorf("encoding order %s: %w", o.ID, err)
	}
	if len(o.Unknown) > len("{}") {
		b = append(b[:len(b)-1], ',')
		b = append(b, o.Unknown[1:]...)
	}
	return b, nil
}

// EncodeReport returns r as JSON.
func EncodeReport(r *order.Report) ([]byte, error) {
	w := reportToWire(r)
	b, err := json.Marshal(&w)
	if err != nil {
		return nil, fmt.Errorf("encoding report %s: %w", r.ID, err)
	}
	return b, nil
}

func reportToWire(r *order.Report) wireReport {
	return wireReport{
		V: Version, ID: r.ID, OrderID: r.OrderID, Kind: r.Kind, By: r.By, On: toWire(r.On),
		Reason: r.Reason, Until: toWire(r.Until), Digest: r.Digest,
	}
}

// EncodeRow returns r as JSON. orderJSON must be the result of EncodeOrder for r.Order; it becomes
// the field "order". A StateEarly row has no order.
func EncodeRow(r *order.Row, orderJSON []byte) ([]byte, error) {
	w := wireRows.Get().(*wireRow)
	defer wireRows.Put(w)
	*w = wireRow{
		V: Version, State: r.State, Arrived: toWire(r.Arrived), Claim: r.Claim, Until: toWire(r.Until),
		Arrivals: r.NextOffset[order.Arrivals], Reports: r.NextOffset[order.Reports],
		Outcomes: w.Outcomes[:0], Pending: w.Pending[:0],
	}
	for _, o := range r.Outcomes {
		if o.Result == order.ResultAccepted {
			o.Result = ""
		}
		w.Outcomes = append(w.Outcomes, wireOutcome(o))
	}
	for i := range r.Pending {
		w.Pending = append(w.Pending, reportToWire(&r.Pending[i]))
	}
	b, err := json.Append(make([]byte, 0, len(orderJSON)+256), w, json.EscapeHTML)
	if err != nil {
		return nil, fmt.Errorf("encoding the row of order %s: %w", r.Order.ID, err)
	}
	if r.State == order.StateEarly {
		return b, nil
	}
	b = append(b[:len(b)-1], `,"order":`...)
	b = append(b, orderJSON...)
	return append(b, '}'), nil
}

// parse decodes data, which must be exactly one JSON value, into v.
func parse(data []byte, v any, flags json.ParseFlags) error {
	switch {
	case len(data) == 0:
		return errors.New("it is empty")
	case !utf8.Valid(data):
		return errors.New("it is not UTF-8")
	case bytes.Count(data, []byte{'['})+bytes.Count(data, []byte{'{'}) > maxBrackets:
		return fmt.Errorf("it has more than %d brackets", maxBrackets)
	}
	rest, err := json.Parse(data, v, flags|json.DontCopyString|json.DontCopyRawMessage)
	if err == nil && len(rest) > 0 {
		err = errors.New("there are more bytes after the JSON value")
	}
	return err
}

// checkVersion returns an error for a version that this program does not support.
func checkVersion(v int) error {
	if v < 0 || v > Version {
		return fmt.Errorf("it has version %d, but this program supports versions up to %d: upgrade the program", v, Version)
	}
	return nil
}

func decodeOrder(data []byte) (*order.Order, error) {
	w := wireOrders.Get().(*wireOrder)
	defer wireOrders.Put(w)
	w.reset()
	var unknown []byte
	if err := parse(data, w, json.DisallowUnknownFields); err != nil {
		w.reset()
		if err := parse(data, w, 0); err != nil {
			return nil, err
		}
		if unknown, err = unknownFields(data); err != nil {
			return nil, err
		}
	}
	if err := checkVersion(w.V); err != nil {
		return nil, err
	}
	placed, err := fromWire(w.PlacedOn)
	if err != nil {
		return nil, err
	}
	o := &order.Order{
		ID: w.ID, Flavour: w.Flavour, Size: w.Size, Quantity: w.Quantity,
		PlacedOn: placed, Status: w.Status, Reason: w.Reason, RemakeOf: w.RemakeOf, RemadeBy: w.RemadeBy, Unknown: unknown,
	}
	if o.Status == "" { // A new order written by hand, for example with kcat.
		o.Status = order.StatusPlaced
	}
	if len(w.History) > 0 {
		o.History = make([]order.Step, len(w.History))
		for i, s := range w.History {
			if s.On, err = fromWire(&s.On); err != nil {
				return nil, err
			}
			o.History[i] = order.Step(s)
		}
	}
	return o, o.Validate()
}

// unknownFields returns those fields of the JSON object data that wireOrder lacks, as an object
// with sorted keys, or nil if there are none.
func unknownFields(data []byte) ([]byte, error) {
	var all map[string]stdjson.RawMessage
	if err := stdjson.Unmarshal(data, &all); err != nil {
		return nil, err
	}
	for k := range all {
		if slices.ContainsFunc(knownFields, func(known string) bool { return strings.EqualFold(known, k) }) {
			delete(all, k)
		}
	}
	if len(all) == 0 {
		return nil, nil
	}
	return stdjson.Marshal(all)
}

var knownFields = []string{"v", "id", "flavour", "size", "quantity", "status", "placedOn", "reason", "history", "remakeOf", "remadeBy"}

func decodeReport(data []byte) (*order.Report, error) {
	var w wireReport
	if err := parse(data, &w, 0); err != nil {
		return nil, err
	}
	r, err := reportFromWire(&w)
	return &r, err
}

func reportFromWire(w *wireReport) (r order.Report, err error) {
	if err := checkVersion(w.V); err != nil {
		return r, err
	}
	on, err := fromWire(w.On)
	if err != nil {
		return r, err
	}
	until, err := fromWire(w.Until)
	if err != nil {
		return r, err
	}
	r = order.Report{ID: w.ID, OrderID: w.OrderID, Kind: w.Kind, By: w.By, On: on, Reason: w.Reason, Until: until, Digest: w.Digest}
	return r, r.Validate()
}

func decodeRow(data []byte) (*order.Row, error) {
	w := wireRows.Get().(*wireRow)
	defer wireRows.Put(w)
	w.reset()
	if err := parse(data, w, 0); err != nil {
		return nil, err
	}
	if err := checkVersion(w.V); err != nil {
		return nil, err
	}
	arrived, err := fromWire(w.Arrived)
	if err != nil {
		return nil, err
	}
	until, err := fromWire(w.Until)
	if err != nil {
		return nil, err
	}
	r := &order.Row{State: w.State, Arrived: arrived, Claim: w.Claim, Until: until, NextOffset: [2]int64{w.Arrivals, w.Reports}}
	if len(w.Outcomes) > 0 {
		r.Outcomes = make([]order.Outcome, len(w.Outcomes))
		for i, o := range w.Outcomes {
			if o.Result == "" {
				o.Result = order.ResultAccepted
			}
			r.Outcomes[i] = order.Outcome(o)
		}
	}
	for i := range w.Pending {
		p, err := reportFromWire(&w.Pending[i])
		if err != nil {
			return nil, fmt.Errorf("pending report: %w", err)
		}
		r.Pending = append(r.Pending, p)
	}
	switch r.State {
	case order.StateEarly:
		return r, nil
	case order.StateWaiting, order.StateCompleted, order.StateRejected:
	default:
		return nil, fmt.Errorf("unknown state %.80q", r.State)
	}
	o, err := decodeOrder(w.Order)
	if err != nil {
		return nil, fmt.Errorf("its order: %w", err)
	}
	r.Order = *o
	return r, nil
}
