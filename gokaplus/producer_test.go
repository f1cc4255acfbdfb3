package gokaplus

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/lovoo/goka"
	"github.com/lovoo/goka/codec"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ecupcakes/ecupcakes/gokaplus/franz"
	"github.com/ecupcakes/ecupcakes/gokaplus/internal/kafkatest"
)

func TestPartitionIsThatOfBothProducers(t *testing.T) {
	const partitions = 7
	k := kafkatest.Start(t, partitions, "out")
	for name, producer := range producers(0) {
		p, err := Options{Producer: producer}.producer()(k.ListenAddrs(), "test", goka.DefaultHasher())
		if err != nil {
			t.Fatal(err)
		}
		for i := range 100 {
			p.Emit("out", fmt.Sprint(name, i), nil)
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
	}
	all := k.Records(t, "out")
	for _, r := range all {
		if want := Partition(r.Key, partitions); r.Partition != want || r.Value != nil {
			t.Errorf("%s is in partition %d with value %q, want partition %d and nil", r.Key, r.Partition, r.Value, want)
		}
	}
	if len(all) != 200 {
		t.Errorf("%d records, want 200", len(all))
	}
}

// TestSaramaProducerThroughOutages loses connections and acknowledgements. Every record must be written once, in order.
func TestSaramaProducerThroughOutages(t *testing.T) {
	k := kafkatest.Start(t, 2, "out")
	p, err := Options{CloseTimeout: kafkatest.Deadline}.producer()(k.ListenAddrs(), "test", goka.DefaultHasher())
	if err != nil {
		t.Fatal(err)
	}
	const emits = 1000
	results := make(chan error, emits)
	emit := func(from, to int) {
		for i := from; i < to; i++ {
			p.EmitWithHeaders("out", strconv.Itoa(i%20), []byte(strconv.Itoa(i)), goka.Headers{"h": []byte("v")}).Then(func(err error) { results <- err })
		}
	}
	emit(0, 500)
	k.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.RequestTimedOut, Count: 3}) // written, but not acknowledged
	k.Outage(t, 2)
	emit(500, emits)
	for range emits {
		if err := kafkatest.Within(t, "every emit is acknowledged", results); err != nil {
			t.Fatalf("an emit failed: %v", err)
		}
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	last := map[int32]int{}
	all := k.Records(t, "out")
	for _, r := range all {
		i, err := strconv.Atoi(string(r.Value))
		if err != nil || len(r.Headers) != 1 {
			t.Fatalf("unexpected record %q=%q, headers %v", r.Key, r.Value, r.Headers)
		}
		if prev, ok := last[r.Partition]; ok && i <= prev {
			t.Fatalf("partition %d: %d after %d", r.Partition, i, prev)
		}
		last[r.Partition] = i
	}
	if len(all) != emits {
		t.Fatalf("%d records, want %d", len(all), emits)
	}
}

func TestSaramaProducerCloseDuringAnOutage(t *testing.T) {
	k := kafkatest.Start(t, 1, "out")
	p, err := Options{CloseTimeout: 50 * time.Millisecond}.producer()(k.ListenAddrs(), "test", goka.DefaultHasher())
	if err != nil {
		t.Fatal(err)
	}
	const emits = 5000 // more than sarama's channels hold
	results := make(chan error, emits+1)
	acked := make(chan error, 1)
	p.Emit("out", "k", []byte("v")).Then(func(err error) { acked <- err })
	if err := kafkatest.Within(t, "the first emit is acknowledged", acked); err != nil {
		t.Fatal(err)
	}
	k.Down()
	for range emits {
		go func() { p.Emit("out", "k", []byte("v")).Then(func(err error) { results <- err }) }()
	}
	if err := p.Close(); err == nil {
		t.Error("Close does not report that emits failed")
	}
	for range emits {
		if err := kafkatest.Within(t, "every emit is finished", results); err == nil {
			t.Error("an emit succeeded without a broker")
		}
	}
	p.Emit("out", "k", nil).Then(func(err error) { results <- err })
	if err := kafkatest.Within(t, "an emit after Close is finished", results); !errors.Is(err, ErrProducerClosed) {
		t.Errorf("an emit after Close: %v", err)
	}
	if err := p.Close(); err == nil {
		t.Error("a second Close forgot the error of the first")
	}
}

// producers are the builders of producers that an Options may have.
func producers(closeTimeout time.Duration) map[string]goka.ProducerBuilder {
	return map[string]goka.ProducerBuilder{
		"sarama":   nil,
		"franz-go": franz.ProducerBuilder(franz.Options{CloseTimeout: closeTimeout}),
	}
}

func TestEmitterFinishesDuringAnOutage(t *testing.T) {
	const closeTimeout = 50 * time.Millisecond
	for name, producer := range producers(closeTimeout) {
		t.Run(name, func(t *testing.T) { finishDuringAnOutage(t, Options{CloseTimeout: closeTimeout, Producer: producer}) })
	}
}

func finishDuringAnOutage(t *testing.T, o Options) {
	k := kafkatest.Start(t, 1, "out")
	e, err := NewEmitter(k.ListenAddrs(), "out", new(codec.String), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.EmitSync("k", "v"); err != nil {
		t.Fatal(err)
	}
	k.Down()
	promise, err := e.Emit("k", "v")
	if err != nil {
		t.Fatal(err)
	}
	result := make(chan error, 1)
	promise.Then(func(err error) { result <- err })
	finished := make(chan error, 1)
	go func() { finished <- e.Finish() }()
	if err := kafkatest.Within(t, "Finish returns", finished); err == nil {
		t.Error("Finish does not tell that an emit failed")
	}
	if err := kafkatest.Within(t, "the emit is finished", result); err == nil {
		t.Error("the emit succeeded without a broker")
	}
	if err := e.Finish(); err != nil {
		t.Errorf("a second Finish: %v", err)
	}
}

// BenchmarkProducer emits records of 500 bytes to an embedded broker; one operation is one acknowledged record.
func BenchmarkProducer(b *testing.B) {
	value := bytes.Repeat([]byte(`{"id":"0199a4e2"}`), 500/17)
	for name, build := range map[string]goka.ProducerBuilder{
		"franz-go": franz.ProducerBuilder(franz.Options{}),
		"sarama":   Options{}.producer(),
	} {
		b.Run(name, func(b *testing.B) {
			k := kafkatest.Start(b, 8, "out")
			p, err := build(k.ListenAddrs(), "bench", goka.DefaultHasher())
			if err != nil {
				b.Fatal(err)
			}
			acked := make(chan error, 1024)
			b.ReportAllocs()
			b.ResetTimer()
			go func() {
				for i := range b.N {
					p.Emit("out", strconv.Itoa(i), value).Then(func(err error) { acked <- err })
				}
			}()
			for range b.N {
				if err := <-acked; err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			if err := p.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}
