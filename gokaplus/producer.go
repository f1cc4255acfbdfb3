package gokaplus

import (
	"errors"
	"fmt"
	"hash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"
)

// ErrProducerClosed is the error of an emit to a sarama producer that has been closed, or that is closed while the emit
// waits for room in its buffer. The record is not written.
var ErrProducerClosed = errors.New("gokaplus: the producer is closed")

// saramaProducerBuilder builds producers on sarama. They differ from goka's own, which waits for the brokers up to a
// minute when it is closed, reports no error then, and panics on an emit after that.
func saramaProducerBuilder(o Options) goka.ProducerBuilder {
	return func(brokers []string, clientID string, hasher func() hash.Hash32) (goka.Producer, error) {
		c, err := SaramaConfig(o)
		if err != nil {
			return nil, err
		}
		c.ClientID = clientID
		c.Producer.Partitioner = sarama.NewCustomHashPartitioner(hasher)
		c.Producer.Return.Successes, c.Producer.Return.Errors = true, true
		abandoned := &atomic.Bool{}
		c.Metadata.Retry.BackoffFunc = unless(abandoned, c.Metadata.Retry.BackoffFunc, c.Metadata.Retry.Backoff)
		c.Producer.Retry.BackoffFunc = unless(abandoned, c.Producer.Retry.BackoffFunc, c.Producer.Retry.Backoff)
		client, err := sarama.NewClient(brokers, c)
		if err != nil {
			return nil, fmt.Errorf("creating the producer: %w", err)
		}
		async, err := sarama.NewAsyncProducerFromClient(client)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("creating the producer: %w", err), client.Close())
		}
		return newSaramaProducer(client, async, o.withDefaults().CloseTimeout, abandoned), nil
	}
}

// unless returns the back-off of f, or d if f is nil, and 0 once the producer is abandoned.
func unless(
	abandoned *atomic.Bool,
	f func(retries, maxRetries int) time.Duration,
	d time.Duration,
) func(retries, maxRetries int) time.Duration {
	return func(retries, maxRetries int) time.Duration {
		switch {
		case abandoned.Load():
			return 0
		case f != nil:
			return f(retries, maxRetries)
		}
		return d
	}
}

type saramaProducer struct {
	client  sarama.Client
	async   sarama.AsyncProducer
	timeout time.Duration
	close   func() error

	closing   chan struct{} // closed by Close
	abandoned *atomic.Bool  // Close has waited long enough: sarama must not pause between retries any more
	drained   chan struct{} // closed after Close, when every emit is finished
	senders   sync.RWMutex  // sarama's input must not be closed while a goroutine sends to it
}

func newSaramaProducer(client sarama.Client, async sarama.AsyncProducer, timeout time.Duration, abandoned *atomic.Bool) *saramaProducer {
	p := &saramaProducer{
		client: client, async: async, timeout: timeout, abandoned: abandoned,
		closing: make(chan struct{}), drained: make(chan struct{}),
	}
	p.close = sync.OnceValue(p.shutDown)
	var results sync.WaitGroup
	results.Go(func() {
		for m := range async.Successes() {
			m.Metadata.(goka.PromiseFinisher)(m, nil)
		}
	})
	results.Go(func() {
		for e := range async.Errors() {
			e.Msg.Metadata.(goka.PromiseFinisher)(nil, e)
		}
	})
	go func() {
		results.Wait()
		close(p.drained)
	}()
	return p
}

func (p *saramaProducer) Emit(topic, key string, value []byte) *goka.Promise {
	return p.EmitWithHeaders(topic, key, value, nil)
}

// EmitWithHeaders takes over value; it must not be modified before the promise is finished.
func (p *saramaProducer) EmitWithHeaders(topic, key string, value []byte, headers goka.Headers) *goka.Promise {
	promise, finish := goka.NewPromiseWithFinisher()
	m := &sarama.ProducerMessage{
		Topic: topic, Key: sarama.StringEncoder(key), Value: sarama.ByteEncoder(value), Headers: headers.ToSarama(), Metadata: finish,
	}
	p.senders.RLock()
	defer p.senders.RUnlock()
	select {
	case <-p.closing:
		return finish(nil, ErrProducerClosed)
	default:
	}
	select {
	case p.async.Input() <- m:
	case <-p.closing:
		finish(nil, ErrProducerClosed)
	}
	return promise
}

// Close waits up to the timeout for acknowledgements, and then fails the emits that are left.
func (p *saramaProducer) Close() error { return p.close() }

func (p *saramaProducer) shutDown() error {
	close(p.closing)
	p.senders.Lock() // every sender has returned, and none will come
	p.async.AsyncClose()
	p.senders.Unlock()
	select {
	case <-p.drained:
		return p.client.Close()
	case <-time.After(p.timeout):
	}
	// Without its client sarama finds no leader, and gives up after its retries.
	p.abandoned.Store(true)
	err := errors.Join(fmt.Errorf("not everything emitted was acknowledged within %v, the rest has failed", p.timeout), p.client.Close())
	select {
	case <-p.drained:
	case <-time.After(p.timeout):
		err = errors.Join(err, fmt.Errorf("the producer has not stopped within another %v", p.timeout))
	}
	return err
}
