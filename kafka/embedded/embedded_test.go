package embedded_test

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ecupcakes/ecupcakes/internal/testkit"
	"github.com/ecupcakes/ecupcakes/kafka"
	"github.com/ecupcakes/ecupcakes/kafka/embedded"
	"github.com/ecupcakes/ecupcakes/topology"

	"github.com/twmb/franz-go/pkg/kgo"
)

func start(t *testing.T, dir string) *embedded.Broker {
	t.Helper()
	e, err := embedded.Start(dir, "127.0.0.1:0", testkit.Quiet)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func closed(t *testing.T, c io.Closer) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

func newAdmin(t *testing.T, c kafka.Config) *kafka.Admin {
	t.Helper()
	a, err := kafka.NewAdmin(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	return a
}

func newProducer(t *testing.T, c kafka.Config) *kafka.Producer {
	t.Helper()
	p, err := kafka.NewProducer(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// read returns the first n records of a topic.
func read(t *testing.T, c kafka.Config, topic string, n int) (records []*kgo.Record) {
	t.Helper()
	client, err := c.NewClient(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx := testkit.Context(t)
	for len(records) < n {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			t.Fatalf("after %d of %d records of %s: %v", len(records), n, topic, err)
		}
		records = append(records, fetches.Records()...)
	}
	return records
}

func TestBrokerKeepsDataAcrossRestart(t *testing.T) {
	dir := t.TempDir()
	topic := []kafka.Topic{{Name: "t", Partitions: 4, Replication: 1}}
	e := start(t, dir)
	c := kafka.Config{Brokers: []string{e.Addr()}}
	if err := newAdmin(t, c).Apply(testkit.Context(t), topic); err != nil {
		t.Fatal(err)
	}
	if err := newProducer(t, c).Send(testkit.Context(t), "t", "k", []byte("kept")); err != nil {
		t.Fatal(err)
	}
	closed(t, e)

	e = start(t, dir)
	defer closed(t, e)
	c = kafka.Config{Brokers: []string{e.Addr()}}
	if findings, err := newAdmin(t, c).Check(testkit.Context(t), topic); err != nil || len(findings) > 0 {
		t.Errorf("after a restart: %v, %v", findings, err)
	}
	if r := read(t, c, "t", 1)[0]; string(r.Key) != "k" || string(r.Value) != "kept" {
		t.Errorf("after a restart the topic has %s: %s", r.Key, r.Value)
	}
}

func TestStartRejectsUnusableDirectoryOrAddress(t *testing.T) {
	dir := t.TempDir()
	e := start(t, dir)
	defer closed(t, e)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, dir, address, want string }{
		{"directory in use", dir, "127.0.0.1:0", "another program is using the data directory " + dir + ": stop it, or choose another directory with --data"},
		{"port in use", t.TempDir(), e.Addr(), "choose another address with --kafka-listen"},
		{"unspecified IPv4 address", t.TempDir(), "0.0.0.0:0", "name a host that they can reach"},
		{"unspecified IPv6 address", t.TempDir(), "[::]:0", "name a host that they can reach"},
		{"no host", t.TempDir(), ":9092", "name a host that they can reach"},
		{"no port", t.TempDir(), "localhost", "is not host:port"},
		{"a file in place of the directory", file, "127.0.0.1:0", "creating the data directory"},
	} {
		t.Run(c.name, func(t *testing.T) {
			refused, err := embedded.Start(c.dir, c.address, testkit.Quiet)
			if err == nil {
				closed(t, refused)
				t.Fatal("the broker started")
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %q, want %q in it", err, c.want)
			}
		})
	}
	t.Run("a failed start unlocks the directory", func(t *testing.T) {
		other := t.TempDir()
		if _, err := embedded.Start(other, e.Addr(), testkit.Quiet); err == nil {
			t.Fatal("the broker started on a port in use")
		}
		closed(t, start(t, other))
	})
}

// An embedded broker deletes neither old rows nor old events.
func TestBrokerKeepsOldMessages(t *testing.T) {
	e, err := embedded.Start(t.TempDir(), "127.0.0.1:0", testkit.Quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	config := kafka.Config{Brokers: []string{e.Addr()}}
	admin, err := kafka.NewAdmin(config)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	needed := kafka.RequiredTopics(topology.Cupcakes, 1, 1)
	kafka.DisableRetention(needed)
	if err := admin.Apply(t.Context(), needed); err != nil {
		t.Fatal(err)
	}
	if findings, err := admin.Check(t.Context(), kafka.RequiredTopics(topology.Cupcakes, 1, 1)); err != nil || len(findings) > 0 {
		t.Errorf("%v, %v", findings, err)
	}
	client, err := config.NewClient()
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for topic := range topology.Cupcakes.Topics() {
		old := &kgo.Record{Topic: topic, Key: []byte("k"), Value: []byte("v"), Timestamp: time.Now().Add(-400 * 24 * time.Hour)}
		if err := client.ProduceSync(t.Context(), old).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	e.ApplyRetention()
	for topic := range topology.Cupcakes.Topics() {
		ranges, err := admin.Ranges(t.Context(), topic)
		if want := (kafka.Range{Begin: 0, End: 1}); err != nil || ranges[0] != want {
			t.Errorf("%s has %v, %v, want %v", topic, ranges[0], err, want)
		}
	}
}
