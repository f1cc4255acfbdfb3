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

// Processor is a goka processor that closes every client it has opened. goka leaves two clients open for each lookup
// table. It implements [Runner].
type Processor struct {
	*goka.Processor
	clients *clients
	tables  *tables
}

// NewProcessor creates a processor with [ProcessorOptions] and then extra, which may override them. It connects to the
// brokers, and fails if they cannot be reached within about 30 seconds, or if an input, table or loop topic is missing or has
// the wrong number of partitions. Either Run or Close must be called. Like goka's, a processor can run only once; let
// [Supervise] build a new one for each run.
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

// Run processes messages until an error occurs or ctx ends, and then closes the processor. It returns nil after ctx has
// ended if the processor stopped without an error. When ctx ends, goka waits up to 60 seconds for unacknowledged emits.
func (p *Processor) Run(ctx context.Context) error {
	return errors.Join(p.Processor.Run(ctx), p.clients.Close())
}

// RecoveredPercent returns how much of the processor's tables has been read, from 0 to 100. It is meant for the time
// until [goka.Processor.Recovered] reports true. It is measured in offsets, so the gaps of a compacted topic count as if
// they held records. Tables whose storage was set with an option of goka are left out.
func (p *Processor) RecoveredPercent() int { return p.tables.recoveredPercent() }

// Close releases a processor that is not going to run.
func (p *Processor) Close() error { return p.clients.Close() }

// View is a goka view that closes every client it has opened. goka leaves two clients with some 18 goroutines open. It
// implements [Runner].
type View struct {
	*goka.View
	clients *clients
	tables  *tables
	ran     atomic.Bool
}

// NewView creates a view of table with [ViewOptions] and then extra, which may override them. It connects to the
// brokers, and fails if they cannot be reached within about 30 seconds or if the table does not exist. Either Run or Close
// must be called.
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

// Run keeps the view up to date until an error occurs or ctx ends, and then closes it. A second Run returns an error;
// goka's would return nil at once.
func (v *View) Run(ctx context.Context) error {
	if v.ran.Swap(true) {
		return fmt.Errorf("the view of %s has run before: create a new one", v.Topic())
	}
	ctx, cancel := context.WithCancel(ctx) // goka's observers of the partitions end with ctx only
	defer cancel()
	return errors.Join(v.View.Run(ctx), v.clients.Close())
}

// Close releases a view that is not going to run.
func (v *View) Close() error { return v.clients.Close() }

// Recovered reports whether the view has caught up with its table and is connected. Before that, Get returns nil for a
// row that has not been read yet. Unlike goka's method, it may be called while the view is being closed.
func (v *View) Recovered() bool { return v.CurrentState() == goka.ViewStateRunning }

// RecoveredPercent returns how much of the table has been read, from 0 to 100. See [Processor.RecoveredPercent].
func (v *View) RecoveredPercent() int { return v.tables.recoveredPercent() }

// Emitter is a goka emitter whose Finish returns even if the brokers do not come back.
type Emitter struct {
	*goka.Emitter
	topic    goka.Stream
	producer goka.Producer
	timeout  time.Duration
	finished atomic.Bool
}

// NewEmitter creates an emitter to topic with [EmitterOptions] and then extra, which may override them. Finish must be
// called. With the default producer NewEmitter connects to the brokers, and fails if they cannot be reached within about 30
// seconds.
//
// An emit that was reported as failed, for example because its time was up, may have been written nevertheless. If an
// emit must not wait for the brokers as long as Options.Producer does, configure that producer: for package franz with
// kgo.RecordDeliveryTimeout.
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

// Finish waits up to Options.CloseTimeout for the acknowledgement of all emits, and closes the emitter. goka's Finish
// waits until the brokers are back. If acknowledgements are missing after that time, Finish closes the producer, which
// may take as long again. The emits that are left then fail, and Finish returns an error. Later emits fail with
// goka.ErrEmitterAlreadyClosed. A second Finish does nothing and returns nil.
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
	err := e.producer.Close()
	select {
	case again := <-done:
		return errors.Join(err, again)
	case <-time.After(e.timeout):
		return errors.Join(err, fmt.Errorf("the emitter to %s still has emits that are not finished", e.topic))
	}
}

// clients collects the clients that goka has opened, to close them after goka is done.
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
