package gokaplus

import (
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

// deadline is how long a test waits for what must happen.
const deadline = 30 * time.Second

// TestMain fails if the tests together leave a goroutine, and so also if they leave a client, each of which has some.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, metricsTick, drain)
}

// drain ends a second after a LevelDB was closed; of one that was not, other goroutines are left.
var drain = goleak.IgnoreAnyFunction("github.com/syndtr/goleveldb/leveldb.(*DB).mpoolDrain")

// metricsTick is one goroutine of the process.
var metricsTick = goleak.IgnoreAnyFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick")

// kafka is an embedded broker that can go away and come back.
type kafka struct {
	*kfake.Cluster
	*gate
}

func startKafka(t testing.TB, partitions int32, topics ...string) *kafka {
	t.Helper()
	return startKafkaWith(t, partitions, topics)
}

func startKafkaWith(t testing.TB, partitions int32, topics []string, opts ...kfake.Opt) *kafka {
	t.Helper()
	g := &gate{}
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
	return &kafka{c, g}
}

// gate cuts the connections to a listener.
type gate struct {
	mu      sync.Mutex
	shut    bool
	only    string // the address of the one listener that is meant; empty for all
	conns   []net.Conn
	refused int // connections since it was last shut
}

func (g *gate) listen(network, address string) (net.Listener, error) {
	l, err := net.Listen(network, address)
	return &gatedListener{l, g}, err
}

func (g *gate) down() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut, g.refused = true, 0
	for _, c := range g.conns {
		if g.meant(c) {
			c.Close()
		}
	}
}

func (g *gate) meant(c net.Conn) bool { return g.only == "" || g.only == c.LocalAddr().String() }

func (g *gate) up() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = false
}

// outage takes the broker away until clients have tried n times to connect.
func (g *gate) outage(t testing.TB, n int) {
	t.Helper()
	g.down()
	eventually(t, "clients try to reconnect", func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		return g.refused >= n
	})
	g.up()
}

type gatedListener struct {
	net.Listener
	gate *gate
}

func (l *gatedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.gate.mu.Lock()
	defer l.gate.mu.Unlock()
	if l.gate.shut && l.gate.meant(c) {
		// With what it was sent unread, the client would see a reset instead of an end.
		_ = c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		_, _ = c.Read(make([]byte, 1<<10))
		c.Close()
		l.gate.refused++
	} else {
		l.gate.conns = append(l.gate.conns, c)
	}
	return c, nil
}

// client returns a client that partitions as goka does.
func (k *kafka) client(t testing.TB, opts ...kgo.Opt) *kgo.Client {
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

// send writes records and returns when they are acknowledged.
func send(t testing.TB, cl *kgo.Client, records ...*kgo.Record) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	if err := cl.ProduceSync(ctx, records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// records returns what a topic holds now, in order within each partition.
func (k *kafka) records(t testing.TB, topic string) []*kgo.Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	cl := k.client(t, kgo.ConsumeTopics(topic), kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()))
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

// committed returns the offset committed by a group, -1 if there is none.
func (k *kafka) committed(group, topic string, partition int32) int64 {
	if g := k.GroupInfo(group); g != nil {
		if c, ok := g.Commits[topic][partition]; ok {
			return c.Offset
		}
	}
	return -1
}

// eventually waits for a condition that does not tell when it changes.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	end := time.Now().Add(deadline)
	for !cond() {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", deadline, what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// within waits for a channel to deliver or close.
func within[T any](t testing.TB, what string, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(deadline):
		t.Fatalf("not within %v: %s", deadline, what)
	}
	return v
}

// testLogger writes to the log of the test, until the test ends.
func testLogger(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
}

func createTopic(t testing.TB, cl *kgo.Client, topic string, partitions int32) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	if _, err := kadm.NewClient(cl).CreateTopic(ctx, partitions, 1, nil, topic); err != nil {
		t.Fatal(err)
	}
}
