package franz

import (
	"bytes"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"hash/fnv"
	"log/slog"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/ecupcakes/ecupcakes/gokaplus/internal/kafkatest"
	"github.com/lovoo/goka"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"
)

func options(opts ...kgo.Opt) func() ([]kgo.Opt, error) {
	return func() ([]kgo.Opt, error) { return opts, nil }
}

func TestPartitionerIsThatOfGoka(t *testing.T) {
	for name, hasher := range map[string]func() hash.Hash32{"default": goka.DefaultHasher(), "fnv1": fnv.New32, "crc32": crc32.NewIEEE} {
		theirs, ours := sarama.NewCustomHashPartitioner(hasher)("topic"), Partitioner(hasher).ForTopic("topic")
		same := func(t rapid.TB, key string, n int32) {
			want, err := theirs.Partition(&sarama.ProducerMessage{Key: sarama.StringEncoder(key)}, n)
			if err != nil {
				t.Fatal(err)
			}
			if got := ours.Partition(&kgo.Record{Key: []byte(key)}, int(n)); int32(got) != want {
				t.Fatalf("%s: key %q of %d partitions: %d, goka %d", name, key, n, got, want)
			}
		}
		for _, n := range []int32{1, 3, 8, 10, 1000} {
			same(t, "", n)
			same(t, "ybqvwmba", n) // its FNV-1a hash is the one negative number that has no positive
			for i := range 2000 {
				same(t, fmt.Sprint("order-", i), n)
			}
		}
		rapid.Check(t, func(t *rapid.T) {
			same(t, rapid.String().Draw(t, "key"), rapid.Int32Range(1, 1<<20).Draw(t, "partitions"))
		})
	}
}

func TestMain(m *testing.M) { kafkatest.Main(m) }

func newTestProducer(t testing.TB, k *kafkatest.Kafka, closeTimeout time.Duration, opts ...kgo.Opt) goka.Producer {
	t.Helper()
	p, err := ProducerBuilder(Options{Client: options(opts...), CloseTimeout: closeTimeout})(k.ListenAddrs(), "test", goka.DefaultHasher())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestProducerThroughOutages(t *testing.T) {
	k := kafkatest.Start(t, 4, "out")
	p := newTestProducer(t, k, kafkatest.Deadline)
	const emits = 3000
	results := make(chan error, emits)
	emit := func(from, to int) {
		for i := from; i < to; i++ {
			p.EmitWithHeaders("out", fmt.Sprint("key", i%50), []byte(strconv.Itoa(i)), goka.Headers{"h": []byte("v")}).Then(func(err error) { results <- err })
		}
	}
	k.Down() // before the first look at the metadata
	emit(0, 1000)
	k.Outage(t, 2)
	// Answers get lost, though the records are written: only idempotence prevents duplicates.
	k.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.RequestTimedOut, Count: 6})
	k.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotLeaderForPartition, Count: 2})
	emit(1000, 2000)
	k.Outage(t, 3)
	emit(2000, emits)
	for range emits {
		if err := kafkatest.Within(t, "every emit is acknowledged", results); err != nil {
			t.Fatalf("an emit failed: %v", err)
		}
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	last, n := map[int32]int{}, 0
	for _, r := range k.Records(t, "out") {
		i, err := strconv.Atoi(string(r.Value))
		if err != nil || string(r.Key) != fmt.Sprint("key", i%50) || len(r.Headers) != 1 {
			t.Fatalf("unexpected record %q=%q, headers %v", r.Key, r.Value, r.Headers)
		}
		if prev, ok := last[r.Partition]; ok && i <= prev {
			t.Fatalf("partition %d: %d after %d", r.Partition, i, prev)
		}
		last[r.Partition] = i
		n++
	}
	if n != emits {
		t.Fatalf("%d records, want %d", n, emits)
	}
}

// TestProducerWithoutOneBroker has the leader of the partition out of reach, behind something that takes connections and
// closes them, while the other brokers say that it is the leader.
func TestProducerWithoutOneBroker(t *testing.T) {
	k := kafkatest.StartWith(t, 1, []string{"out"}, kfake.NumBrokers(2))
	k.Only = k.ListenAddrs()[k.LeaderFor("out", 0)]
	k.Down()
	p := newTestProducer(t, k, kafkatest.Deadline)
	acked := make(chan error, 1)
	p.Emit("out", "k", []byte("v")).Then(func(err error) { acked <- err })
	k.Outage(t, 20)
	if err := kafkatest.Within(t, "the emit is acknowledged", acked); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestProducerCloseDuringAnOutage(t *testing.T) {
	k := kafkatest.Start(t, 1, "out")
	p := newTestProducer(t, k, 50*time.Millisecond, kgo.MaxBufferedRecords(10))
	acked := make(chan error, 1)
	p.Emit("out", "k", []byte("v")).Then(func(err error) { acked <- err })
	if err := kafkatest.Within(t, "the first emit is acknowledged", acked); err != nil {
		t.Fatal(err)
	}
	k.Down()
	const emits = 25
	var returned atomic.Int32
	results := make(chan error, emits)
	for range emits { // one each, as the partitions of a processor do
		go func() {
			promise := p.Emit("out", "k", []byte("v"))
			returned.Add(1)
			promise.Then(func(err error) { results <- err })
		}()
	}
	kafkatest.Eventually(t, "the buffer is full", func() bool { return returned.Load() == 10 })
	closed := make(chan error, 1)
	go func() { closed <- p.Close() }()
	if err := kafkatest.Within(t, "Close returns", closed); err == nil {
		t.Error("Close does not tell that emits failed")
	}
	for range emits {
		if err := kafkatest.Within(t, "every emit is finished", results); err == nil {
			t.Error("an emit succeeded without a broker")
		}
	}
	p.Emit("out", "k", nil).Then(func(err error) { results <- err })
	if err := kafkatest.Within(t, "an emit after Close is finished", results); !errors.Is(err, kgo.ErrClientClosed) {
		t.Errorf("an emit after Close: %v", err)
	}
	if err := p.Close(); err == nil {
		t.Error("a second Close forgot the error of the first")
	}
}

func TestProducerIsBoundedInBytes(t *testing.T) {
	k := kafkatest.Start(t, 1, "out")
	k.Down()
	p := newTestProducer(t, k, time.Millisecond)
	var returned atomic.Int32
	emitter := make(chan struct{})
	value := bytes.Repeat([]byte("x"), 1<<19)
	go func() {
		defer close(emitter)
		for range MaxBufferedBytes/len(value) + 1 { // the last one is too much
			p.Emit("out", "k", value)
			returned.Add(1)
		}
	}()
	const fit = MaxBufferedBytes/(1<<19) - 1 // keys count too
	kafkatest.Eventually(t, "the buffer is full", func() bool { return returned.Load() == fit })
	select {
	case <-emitter:
		t.Fatal("no emit was blocked")
	default:
	}
	if err := p.Close(); err == nil {
		t.Error("Close does not tell that emits failed")
	}
	kafkatest.Within(t, "the blocked emits return", emitter)
}

func TestProducerReportsWhatTheBrokerRefuses(t *testing.T) {
	k := kafkatest.Start(t, 1, "out")
	p := newTestProducer(t, k, kafkatest.Deadline, kgo.MetadataMinAge(10*time.Millisecond), kgo.RetryBackoffFn(func(int) time.Duration { return time.Millisecond }))
	defer p.Close()
	for topic, value := range map[string][]byte{"out": bytes.Repeat([]byte("random? no"), 1<<20), "missing": nil} {
		result := make(chan error, 1)
		p.Emit(topic, "k", value).Then(func(err error) { result <- err })
		var refused *kerr.Error
		if err := kafkatest.Within(t, "the emit fails", result); !errors.As(err, &refused) {
			t.Errorf("to %s: %v", topic, err)
		}
	}
}

func TestProducerBuilderRefusesWrongOptions(t *testing.T) {
	unreadable := errors.New("no such file")
	broken := Options{Client: func() ([]kgo.Opt, error) { return nil, unreadable }}
	if _, err := ProducerBuilder(broken)(nil, "test", goka.DefaultHasher()); !errors.Is(err, unreadable) {
		t.Errorf("options that cannot be had gave %v", err)
	}
	if _, err := ProducerBuilder(Options{Client: options(kgo.MaxBufferedRecords(-1))})(nil, "test", goka.DefaultHasher()); err == nil {
		t.Fatal("a negative buffer was accepted")
	}
}

func TestLoggerKeepsWarningsAndErrors(t *testing.T) {
	var b bytes.Buffer
	l := Logger(slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})))
	if l.Level() != kgo.LogLevelWarn {
		t.Errorf("the level is %v", l.Level())
	}
	l.Log(kgo.LogLevelWarn, "d", "broker", 4)
	l.Log(kgo.LogLevelError, "e")
	if want := "level=WARN msg=d broker=4\nlevel=ERROR msg=e\n"; b.String() != want {
		t.Fatalf("got %q, want %q", b.String(), want)
	}
}
