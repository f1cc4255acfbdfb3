// Package inventory tracks which ingredients have run out, and so which flavours cannot be made. It
// follows the topic to which Kafka Connect writes every change of the inventory database, with a
// goka view.
//
// An ingredient of unknown state counts as in stock: without Kafka Connect, before the topic has
// been read, and after a change that cannot be decoded. An unavailable inventory therefore never
// blocks orders.
package inventory

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strconv"
	"sync"

	"github.com/ecupcakes/ecupcakes/codecs"
	"github.com/ecupcakes/ecupcakes/gokaplus"
	"github.com/ecupcakes/ecupcakes/order"

	"github.com/lovoo/goka"
	"github.com/lovoo/goka/storage"
)

// Stock is the state of the ingredients. It is safe for concurrent use.
type Stock struct {
	menu order.Menu
	log  *slog.Logger

	mu      sync.Mutex
	ready   bool              // The topic has been read to its end once.
	known   map[string]*state // States of the menu's ingredients. No others are added, so the size is bounded.
	changed chan struct{}     // Closed at the next change.
}

// state is the state of one ingredient.
type state struct {
	out    bool  // The ingredient has run out.
	offset int64 // Offset of the change that set out, or -1. Older changes, when read again, are ignored.
}

// New returns a Stock with all ingredients of the menu in stock.
func New(menu order.Menu, log *slog.Logger) *Stock {
	s := &Stock{menu: menu, log: log, known: map[string]*state{}, changed: make(chan struct{})}
	for _, ingredients := range menu.Ingredients {
		for _, i := range ingredients {
			s.known[i] = &state{offset: -1}
		}
	}
	return s
}

// Missing returns the ingredients of a flavour that have run out, in the order of the menu, or nil
// if the flavour can be made.
func (s *Stock) Missing(flavour string) (missing []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ready {
		return nil
	}
	for _, i := range s.menu.Ingredients[flavour] {
		if s.known[i].out {
			missing = append(missing, i)
		}
	}
	return missing
}

// Changed returns a channel that is closed when the result of Missing has next changed for some
// flavour.
func (s *Stock) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

// notify wakes the readers of Changed.
func (s *Stock) notify() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// View returns a new goka view of the topic. After a view has failed, the caller must build and run
// another one; the state that is known already stays.
//
// The topic must have one partition, because Kafka Connect and goka hash keys to partitions
// differently.
func (s *Stock) View(topic string, brokers []string, o gokaplus.Options) (gokaplus.Runner, error) {
	build := gokaplus.MapStorage()
	o.Storage = func(topic string, partition int32) (storage.Storage, error) {
		rows, err := build(topic, partition)
		return table{Storage: rows, recovered: s.recovered}, err
	}
	view, err := gokaplus.NewView(brokers, goka.Table(topic), codecs.Raw{}, o,
		goka.WithViewCallback(func(ctx goka.UpdateContext, _ storage.Storage, key string, value []byte) error {
			s.apply(ctx.Offset(), key, value)
			return nil
		}))
	if err != nil {
		return nil, fmt.Errorf("following %s: %w", topic, err)
	}
	return view, nil
}

// table is a storage that calls recovered when the topic has been read. It stays empty, because the
// view's callback keeps the state.
type table struct {
	storage.Storage
	recovered func()
}

// MarkRecovered implements storage.Storage. goka calls it when it has passed on every record up to
// the end of the topic at the start of the view.
func (t table) MarkRecovered() error {
	t.recovered()
	return t.Storage.MarkRecovered()
}

// recovered marks the topic as read.
func (s *Stock) recovered() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ready = true
	s.notify()
}

// apply applies a change. It ignores changes that are undecodable, about other documents, or older
// than the state.
func (s *Stock) apply(offset int64, key string, value []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.known[ingredient(key)]
	if known == nil || offset <= known.offset {
		return
	}
	out, ok, err := ranOut(value)
	if err != nil {
		s.log.Warn("ignoring an undecodable change of an ingredient", "key", key, "offset", offset, "error", err)
		return
	}
	if !ok {
		return
	}
	known.offset = offset
	if out != known.out {
		known.out = out
		if s.ready {
			s.notify()
		}
	}
}

// ingredient returns the ID in a key of Debezium, which is JSON within JSON: {"id":"\"flour\""}. It
// returns "" if the ID is not a string.
func ingredient(key string) (id string) {
	var outer struct{ ID string }
	if json.Unmarshal([]byte(key), &outer) != nil || json.Unmarshal([]byte(outer.ID), &id) != nil {
		return ""
	}
	return id
}

// ranOut reports whether the ingredient has run out after a change of Debezium. ok is false if the
// change does not say. An ingredient without a document or without the field stock is not counted
// and is taken to be in stock. Debezium looks up the state after an update later. That state can be
// one of a later change, or absent because the document has been deleted in the meantime; the later
// change or the deletion follows either way.
func ranOut(value []byte) (out, ok bool, err error) {
	if value == nil { // The tombstone after a deletion.
		return false, true, nil
	}
	var change struct {
		Op    string
		After *string
	}
	if err := json.Unmarshal(value, &change); err != nil {
		return false, false, err
	}
	if change.After == nil {
		return false, change.Op == "d", nil
	}
	var document struct{ Stock amount }
	if err := json.Unmarshal([]byte(*change.After), &document); err != nil {
		return false, false, err
	}
	return document.Stock.counted && document.Stock.number <= 0, true, nil
}

// amount is a number in MongoDB's extended JSON, such as 5 or {"$numberLong": "5"}.
type amount struct {
	number  float64
	counted bool // The document has a number.
}

// UnmarshalJSON implements json.Unmarshaler. It accepts every form of a number, and null for no
// number.
func (a *amount) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return nil
	}
	text := string(b)
	var typed map[string]string
	if json.Unmarshal(b, &typed) == nil {
		text = typed["$numberLong"] + typed["$numberInt"] + typed["$numberDouble"] + typed["$numberDecimal"]
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return fmt.Errorf("the stock %.80s is not a number", b)
	}
	a.number, a.counted = n, true
	return nil
}
