// Package inventory knows which ingredients have run out, and so which flavours
// cannot be made. It follows the topic on which Kafka Connect tells of every
// change of the inventory's database, with a goka view.
//
// What it does not know is in stock: without Kafka Connect, before the topic has
// been read, and when a change cannot be read. It never refuses an order itself.
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

// Stock is what is known. Its methods may be called by any number of goroutines.
type Stock struct {
	menu order.Menu
	log  *slog.Logger

	mu      sync.Mutex
	ready   bool              // The topic has been read once.
	known   map[string]*state // The menu's ingredients and no others, so that its size is bounded.
	changed chan struct{}     // Closed at the next change.
}

type state struct {
	out    bool
	offset int64 // Of the change that said so; -1 for none. One that is read again changes nothing.
}

// New returns a stock that has everything.
func New(menu order.Menu, log *slog.Logger) *Stock {
	s := &Stock{menu: menu, log: log, known: map[string]*state{}, changed: make(chan struct{})}
	for _, ingredients := range menu.Ingredients {
		for _, i := range ingredients {
			s.known[i] = &state{offset: -1}
		}
	}
	return s
}

// Missing are the ingredients of a flavour that have run out, in the order of the
// menu; nil if it can be made.
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

// Changed is closed when something of what Missing says has changed since the
// call.
func (s *Stock) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

func (s *Stock) tell() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// View makes a view of the topic, to be run. Each call gives a new one, as a
// restart needs it; what is known already stays.
//
// The topic has one partition: Kafka Connect spreads keys over several in another
// way than goka looks for them.
func (s *Stock) View(topic string, brokers []string, o gokaplus.Options) (gokaplus.Runner, error) {
	build := gokaplus.MapStorage()
	o.Storage = func(topic string, partition int32) (storage.Storage, error) {
		rows, err := build(topic, partition)
		return table{rows, s.read}, err
	}
	view, err := gokaplus.NewView(brokers, goka.Table(topic), codecs.Raw{}, o,
		goka.WithViewCallback(func(ctx goka.UpdateContext, _ storage.Storage, key string, value []byte) error {
			s.take(ctx.Offset(), key, value)
			return nil
		}))
	if err != nil {
		return nil, fmt.Errorf("following %s: %w", topic, err)
	}
	return view, nil
}

// table says when all that the topic had at the start of a view has been read.
// It stays empty: the callback keeps what matters.
type table struct {
	storage.Storage
	read func()
}

// MarkRecovered is called by goka then.
func (t table) MarkRecovered() error {
	t.read()
	return t.Storage.MarkRecovered()
}

func (s *Stock) read() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ready = true
	s.tell()
}

// take takes in a change. One that means nothing changes nothing.
func (s *Stock) take(offset int64, key string, value []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.known[ingredient(key)]
	if known == nil || offset <= known.offset {
		return
	}
	out, told, err := ranOut(value)
	if err != nil {
		s.log.Warn("a change of an ingredient cannot be read; it stays as it was", "key", key, "offset", offset, "error", err)
		return
	}
	if !told {
		return
	}
	known.offset = offset
	if out != known.out {
		known.out = out
		if s.ready {
			s.tell()
		}
	}
}

// ingredient is the id in a key of Debezium's, which is JSON within JSON:
// {"id":"\"flour\""}. It is empty if that is no string.
func ingredient(key string) (id string) {
	var outer struct{ ID string }
	if json.Unmarshal([]byte(key), &outer) != nil || json.Unmarshal([]byte(outer.ID), &id) != nil {
		return ""
	}
	return id
}

// ranOut says whether a change of Debezium's tells of an ingredient that has run
// out, and whether it tells anything. A document that is gone is not kept count
// of, like one without stock, and is taken to be there. The state after an update
// is looked up later: it may be that of a later change, which comes too, or absent
// because the document has been deleted meanwhile, which comes as well.
func ranOut(value []byte) (out, told bool, err error) {
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

// amount is a number in MongoDB's extended JSON: 5, or {"$numberLong": "5"} and the
// like.
type amount struct {
	number  float64
	counted bool // False if the document has none.
}

// UnmarshalJSON reads a number in any of the forms; null is none.
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
		return fmt.Errorf("the stock %.80s is no number", b)
	}
	a.number, a.counted = n, true
	return nil
}
