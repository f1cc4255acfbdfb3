// Package kafkatest runs tests against an embedded broker that can go away and come back.
package kafkatest

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"
)

// Deadline is how long a test waits for what must happen.
const Deadline = 30 * time.Second

// Main runs the tests of a package. It fails if the tests together leave a goroutine, and so also if they leave a client,
// each of which has some.
func Main(m *testing.M) { goleak.VerifyTestMain(m, MetricsTick, drain, breaker) }

// drain ends a second after a LevelDB was closed. A LevelDB that was not closed leaves other goroutines.
var drain = goleak.IgnoreAnyFunction("github.com/syndtr/goleveldb/leveldb.(*DB).mpoolDrain")

// breaker ends ten seconds after sarama has looked for a leader in vain, even if its client was closed.
var breaker = goleak.IgnoreAnyFunction("github.com/eapache/go-resiliency/breaker.(*Breaker).timer")

// MetricsTick is one goroutine of the process.
var MetricsTick = goleak.IgnoreAnyFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick")

// Kafka is an embedded broker that can go away and come back.
type Kafka struct {
	*kfake.Cluster
	*Gate
}

// Start starts a broker with topics, each with that many partitions. It ends with the test.
func Start(t testing.TB, partitions int32, topics ...string) *Kafka {
	t.Helper()
	return StartWith(t, partitions, topics)
}

// StartWith is Start with options of kfake.
func StartWith(t testing.TB, partitions int32, topics []string, opts ...kfake.Opt) *Kafka {
	t.Helper()
	g := &Gate{}
	c, err := kfake.NewCluster(append([]kfake.Opt{
		kfake.NumBrokers(1),
		kfake.SeedTopics(partitions, topics...),
		kfake.BrokerConfigs(map[string]string{"group.initial.rebalance.delay.ms": "0"}),
		kfake.ListenFn(g.listen),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return &Kafka{c, g}
}

// Gate cuts the connections to its listeners.
type Gate struct {
	mu      sync.Mutex
	shut    bool
	Only    string // the address of the one listener to cut; empty for all
	conns   []net.Conn
	refused int // connections since it was last shut
}

func (g *Gate) listen(network, address string) (net.Listener, error) {
	l, err := net.Listen(network, address)
	return &GatedListener{l, g}, err
}

// Down closes the connections, and those to come, until Up is called.
func (g *Gate) Down() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut, g.refused = true, 0
	for _, c := range g.conns {
		if g.meant(c) {
			_ = c.Close() // The connection is cut, whatever its state.
		}
	}
}

func (g *Gate) meant(c net.Conn) bool { return g.Only == "" || g.Only == c.LocalAddr().String() }

// Up accepts connections again.
func (g *Gate) Up() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = false
}

// Outage takes the broker away until clients have tried n times to connect.
func (g *Gate) Outage(t testing.TB, n int) {
	t.Helper()
	g.Down()
	Eventually(t, "clients try to reconnect", func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		return g.refused >= n
	})
	g.Up()
}

type GatedListener struct {
	net.Listener
	gate *Gate
}

func (l *GatedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.gate.mu.Lock()
	defer l.gate.mu.Unlock()
	if l.gate.shut && l.gate.meant(c) {
		// With what it was sent unread, the client would see a reset instead of an end.
		_ = c.SetReadDeadline(time.Now().Add(100 * time.Millisecond)) // An error means that the client has closed the connection.
		_, _ = c.Read(make([]byte, 1<<10))                            // The client's bytes are only discarded.
		_ = c.Close()                                                 // The connection is refused, whatever its state.
		l.gate.refused++
	} else {
		l.gate.conns = append(l.gate.conns, c)
	}
	return c, nil
}

// Client returns a client that partitions as goka does.
func (k *Kafka) Client(t testing.TB, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(k.ListenAddrs()...), kgo.ProducerLinger(0), kgo.DisableClientMetrics(),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

// Send writes records and returns when they are acknowledged.
func Send(t testing.TB, cl *kgo.Client, records ...*kgo.Record) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Deadline)
	defer cancel()
	if err := cl.ProduceSync(ctx, records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// Records returns the records of a topic, in order within each partition.
func (k *Kafka) Records(t testing.TB, topic string) []*kgo.Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Deadline)
	defer cancel()
	cl := k.Client(t, kgo.ConsumeTopics(topic), kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()))
	defer cl.Close()
	ends, err := kadm.NewClient(cl).ListEndOffsets(ctx, topic)
	if err != nil {
		t.Fatal(err)
	}
	var want int64
	ends.Each(func(o kadm.ListedOffset) { want += o.Offset })
	var all []*kgo.Record
	for int64(len(all)) < want {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			t.Fatalf("%d of %d records of %s: %v", len(all), want, topic, err)
		}
		all = append(all, fetches.Records()...)
	}
	return all
}

// Committed returns the offset committed by a group, -1 if there is none.
func (k *Kafka) Committed(group, topic string, partition int32) int64 {
	if g := k.GroupInfo(group); g != nil {
		if c, ok := g.Commits[topic][partition]; ok {
			return c.Offset
		}
	}
	return -1
}

// Eventually waits for a condition that does not tell when it changes.
func Eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	end := time.Now().Add(Deadline)
	for !cond() {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", Deadline, what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// Within waits for a channel to deliver or close.
func Within[T any](t testing.TB, what string, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(Deadline):
		t.Fatalf("not within %v: %s", Deadline, what)
	}
	return v
}

// Logger writes to the log of the test, until the test ends.
func Logger(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// CreateTopic creates a topic with one replica.
func CreateTopic(t testing.TB, cl *kgo.Client, topic string, partitions int32) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Deadline)
	defer cancel()
	if _, err := kadm.NewClient(cl).CreateTopic(ctx, partitions, 1, nil, topic); err != nil {
		t.Fatal(err)
	}
}

// Buffer is a buffer that goroutines may share.
type Buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
