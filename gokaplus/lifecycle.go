package gokaplus

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"
)

// A Processor is a goka processor that leaves nothing open. goka itself leaves two clients for each lookup table.
type Processor struct {
	*goka.Processor
	clients *clients
	tables  *tables
}

// NewProcessor creates a processor with [ProcessorOptions] and then extra, which may override them. It has to be either
// run or closed. Like goka's, it can be run only once.
func NewProcessor(brokers []string, graph *goka.GroupGraph, o Options, extra ...goka.ProcessorOption) (*Processor, error) {
	o = o.withDefaults()
	c, t := &clients{}, &tables{}
	p, err := goka.NewProcessor(brokers, graph, append(append(o.processorOptions(t),
		goka.WithConsumerSaramaBuilder(c.consumer(t.consumer(o.tableConsumer))),
		goka.WithTopicManagerBuilder(c.topicManager(o.topicManager)),
	), extra...)...)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("creating the processor of group %s: %w", graph.Group(), err), c.Close())
	}
	return &Processor{p, c, t}, nil
}

// Run runs the processor until it fails or ctx ends, and closes it.
func (p *Processor) Run(ctx context.Context) error {
	return errors.Join(p.Processor.Run(ctx), p.clients.Close())
}

// RecoveredPercent is how much of its tables has been read, from 0 to 100, while the processor is not [goka.Processor.Recovered]. It goes
// by offsets, so the gaps of a compacted topic count as read when they are passed. Tables in a storage that was set
// with an option of goka are left out.
func (p *Processor) RecoveredPercent() int { return p.tables.recoveredPercent() }

// Close releases a processor that is not going to be run.
func (p *Processor) Close() error { return p.clients.Close() }

// A View is a goka view that leaves nothing open. goka itself leaves two clients with some 18 goroutines.
type View struct {
	*goka.View
	clients *clients
	tables  *tables
	ran     atomic.Bool
}

// NewView creates a view with [ViewOptions] and then extra, which may override them. It has to be either run or
// closed.
func NewView(brokers []string, table goka.Table, codec goka.Codec, o Options, extra ...goka.ViewOption) (*View, error) {
	o = o.withDefaults()
	c, t := &clients{}, &tables{}
	v, err := goka.NewView(brokers, table, codec, append(append(ViewOptions(o),
		goka.WithViewConsumerSaramaBuilder(c.consumer(t.consumer(o.consumer))),
		goka.WithViewTopicManagerBuilder(c.topicManager(o.topicManager)),
		goka.WithViewStorageBuilder(t.storage(o.Storage)),
	), extra...)...)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("creating the view of %s: %w", table, err), c.Close())
	}
	return &View{View: v, clients: c, tables: t}, nil
}

// Run runs the view until it fails or ctx ends, and closes it. A second Run is an error; with goka it would return nil
// at once.
func (v *View) Run(ctx context.Context) error {
	if v.ran.Swap(true) {
		return fmt.Errorf("the view of %s has been run before: create a new one", v.Topic())
	}
	ctx, cancel := context.WithCancel(ctx) // goka's observers of the partitions end with ctx only
	defer cancel()
	return errors.Join(v.View.Run(ctx), v.clients.Close())
}

// Close releases a view that is not going to be run.
func (v *View) Close() error { return v.clients.Close() }

// Recovered reports whether the view has caught up and is connected. Unlike goka's it may be called while the view is
// being closed.
func (v *View) Recovered() bool { return v.CurrentState() == goka.ViewStateRunning }

// RecoveredPercent is how much of the table has been read, from 0 to 100, see [Processor.RecoveredPercent].
func (v *View) RecoveredPercent() int { return v.tables.recoveredPercent() }

// An Emitter is a goka emitter whose Finish ends.
type Emitter struct {
	*goka.Emitter
	topic    goka.Stream
	producer goka.Producer
	timeout  time.Duration
	finished atomic.Bool
}

// NewEmitter creates an emitter with [EmitterOptions] and then extra, which may override all but the producer.
func NewEmitter(brokers []string, topic goka.Stream, codec goka.Codec, o Options, extra ...goka.EmitterOption) (*Emitter, error) {
	o = o.withDefaults()
	e := &Emitter{topic: topic, timeout: o.CloseTimeout}
	build := o.producer()
	var err error
	e.Emitter, err = goka.NewEmitter(brokers, topic, codec, append(append(EmitterOptions(o),
		goka.WithEmitterProducerBuilder(func(brokers []string, clientID string, hasher func() hash.Hash32) (goka.Producer, error) {
			var err error
			e.producer, err = build(brokers, clientID, hasher)
			return e.producer, err
		}),
	), extra...)...)
	if err != nil {
		return nil, fmt.Errorf("creating the emitter to %s: %w", topic, err)
	}
	return e, nil
}

// Finish waits for what was emitted, at most twice Options.CloseTimeout, and closes the emitter. goka's would wait for
// the brokers to come back. What was not acknowledged by then has failed, and Finish says so. Emits from now on fail;
// a second Finish does nothing.
func (e *Emitter) Finish() error {
	if e.finished.Swap(true) {
		return nil
	}
	done := make(chan error, 1)
	go func() { done <- e.Emitter.Finish() }()
	select {
	case err := <-done:
		return err
	case <-time.After(e.timeout):
	}
	if e.producer == nil { // built by an option in extra
		return fmt.Errorf("the emitter to %s did not finish within %v", e.topic, e.timeout)
	}
	return errors.Join(e.producer.Close(), <-done)
}

// clients remembers what goka has opened, to close it when goka is done.
type clients struct {
	mu   sync.Mutex
	open []io.Closer
}

func (c *clients) add(opened io.Closer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open = append(c.open, opened)
}

// Close closes what is open. goka closes some clients itself, which is no error here.
func (c *clients) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var errs []error
	for _, o := range c.open {
		if err := o.Close(); err != nil && !errors.Is(err, sarama.ErrClosedClient) {
			errs = append(errs, err)
		}
	}
	c.open = nil
	return errors.Join(errs...)
}

func (c *clients) consumer(build goka.SaramaConsumerBuilder) goka.SaramaConsumerBuilder {
	return func(brokers []string, clientID string) (sarama.Consumer, error) {
		consumer, err := build(brokers, clientID)
		if err == nil {
			c.add(consumer)
		}
		return consumer, err
	}
}

func (c *clients) topicManager(build goka.TopicManagerBuilder) goka.TopicManagerBuilder {
	return func(brokers []string) (goka.TopicManager, error) {
		tm, err := build(brokers)
		if err == nil {
			c.add(tm)
		}
		return tm, err
	}
}
