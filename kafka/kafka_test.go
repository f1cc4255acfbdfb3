package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ecupcakes/ecupcakes/internal/testkit"
	"github.com/ecupcakes/ecupcakes/kafka/embedded"
	"github.com/ecupcakes/ecupcakes/topology"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

func startEmbedded(t *testing.T, dir string) *embedded.Broker {
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

func newAdmin(t *testing.T, c Config) *Admin {
	t.Helper()
	a, err := NewAdmin(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	return a
}

func newProducer(t *testing.T, c Config) *Producer {
	t.Helper()
	p, err := NewProducer(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// read returns the first n records of a topic.
func read(t *testing.T, c Config, topic string, n int) (records []*kgo.Record) {
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

func TestRequiredTopics(t *testing.T) {
	for brokers, want := range map[int]string{1: "1/1", 2: "1/1", 3: "3/2", 5: "3/2"} {
		var names []string
		for _, topic := range RequiredTopics(topology.Cupcakes, 8, brokers) {
			names = append(names, topic.Name)
			partitions := int32(8)
			if topic.Name == topology.Cupcakes.Ingredients {
				partitions = 1
			}
			if got := fmt.Sprint(topic.Replication, "/", topic.Configs["min.insync.replicas"]); got != want || topic.Partitions != partitions {
				t.Errorf("with %d brokers %s has %d partitions, replicas and in sync %s, want %s", brokers, topic.Name, topic.Partitions, got, want)
			}
			policy, retention := "delete", "604800000"
			if strings.HasSuffix(topic.Name, "-table") || topic.Name == topology.Cupcakes.Ingredients {
				policy, retention = "compact", ""
			}
			if topic.Configs["cleanup.policy"] != policy || topic.Configs["retention.ms"] != retention {
				t.Errorf("%s has the configuration %v", topic.Name, topic.Configs)
			}
		}
		for topic := range topology.Cupcakes.Topics() {
			if !slices.Contains(names, topic) {
				t.Errorf("topic %s is not needed", topic)
			}
		}
	}
}

func TestApplyCreatesWhatCheckFindsMissing(t *testing.T) {
	e := startEmbedded(t, t.TempDir())
	defer closed(t, e)
	admin, ctx := newAdmin(t, Config{Brokers: []string{e.Addr()}}), testkit.Context(t)
	if n, err := admin.WaitForBrokers(ctx); n != 1 || err != nil {
		t.Fatalf("reached %d brokers, %v", n, err)
	}
	needed := RequiredTopics(topology.Cupcakes, 4, 1)
	findings, err := admin.Check(ctx, needed)
	if err != nil || len(findings) != len(needed) {
		t.Fatalf("of %d topics that are not there %v are found, %v", len(needed), findings, err)
	}
	for i, f := range findings {
		if f.Topic != needed[i].Name || !f.Missing || !strings.Contains(f.What, fmt.Sprintf("%d partitions and replication 1", needed[i].Partitions)) {
			t.Errorf("a missing topic is found as %+v", f)
		}
	}

	// Some topics exist already, and some of those have wrong settings.
	byName := func(topics []Topic, name string) *Topic {
		return &topics[slices.IndexFunc(topics, func(t Topic) bool { return t.Name == name })]
	}
	odd := RequiredTopics(topology.Cupcakes, 4, 1)
	byName(odd, "readytobake").Partitions = 3
	byName(odd, "mixing-table").Configs["cleanup.policy"] = "delete"
	byName(odd, "orderfailures").Configs["retention.ms"] = "60000"
	byName(odd, "readytoship").Configs["retention.ms"] = "-1"
	byName(odd, "shipped").Configs["retention.ms"] = "1209600000"
	byName(odd, "baking-table").Configs["segment.ms"] = "86400000"
	var there []Topic
	for _, name := range []string{"readytobake", "mixing-table", "orderfailures", "readytoship", "shipped", "baking-table"} {
		there = append(there, *byName(odd, name))
	}
	if err := admin.Apply(ctx, there); err != nil {
		t.Fatal(err)
	}
	for range 2 { // The second call finds every topic in place.
		if err := admin.Apply(ctx, needed); err != nil {
			t.Fatal(err)
		}
	}
	findings, err = admin.Check(ctx, needed)
	if err != nil {
		t.Fatal(err)
	}
	want := []TopicProblem{
		{Topic: "readytobake", What: "has 3 partitions, not 4: run with --partitions 3"},
		{Topic: "mixing-table", What: "has cleanup.policy=delete, not compact"},
		{Topic: "orderfailures", What: "has retention.ms=60000, not 604800000"},
	}
	for _, w := range want {
		if !slices.ContainsFunc(findings, func(f TopicProblem) bool {
			return f.Topic == w.Topic && !f.Missing && strings.HasPrefix(f.What, w.What)
		}) {
			t.Errorf("%s %q is not among the findings %v", w.Topic, w.What, findings)
		}
	}
	if len(findings) != len(want) {
		t.Errorf("the findings are %v, want %d", findings, len(want))
	}
}

func TestEndOffsets(t *testing.T) {
	e := startEmbedded(t, t.TempDir())
	defer closed(t, e)
	c := Config{Brokers: []string{e.Addr()}}
	admin, producer, ctx := newAdmin(t, c), newProducer(t, c), testkit.Context(t)
	if err := admin.Apply(ctx, []Topic{{Name: "t", Partitions: 2, Replication: 1}}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := producer.Send(ctx, "t", "k", nil); err != nil {
			t.Fatal(err)
		}
	}
	ends, err := admin.EndOffsets(ctx, "t")
	if err != nil || len(ends) != 2 || ends[0]+ends[1] != 3 || ends[0]*ends[1] != 0 {
		t.Errorf("three messages with one key end at %v, %v", ends, err)
	}
	if ends, err := admin.EndOffsets(ctx, "none"); err == nil {
		t.Errorf("a topic that is not there ends at %v", ends)
	}
}

// Offsets that retention has deleted count neither as lag nor against it.
func TestGroupLag(t *testing.T) {
	g := Group{Committed: map[string]map[int32]int64{"t": {0: 5, 1: 5, 2: 30}, "other": {0: 1}}}
	for want, ranges := range map[int64]map[int32]Range{
		0: {},
		4: {0: {Begin: 2, End: 9}},                         // Committed within the range.
		3: {1: {Begin: 7, End: 10}},                        // Committed before Begin.
		6: {3: {Begin: 4, End: 10}},                        // Nothing committed.
		7: {0: {End: 12}, 2: {End: 10}},                    // Partition 2 is committed beyond its end.
		9: {0: {Begin: 2, End: 9}, 1: {Begin: 5, End: 10}}, // Summed over partitions.
	} {
		if got := g.Lag("t", ranges); got != want {
			t.Errorf("with %v the lag is %d, want %d", ranges, got, want)
		}
	}
}

func TestWaitForBrokersEndsWithContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := newAdmin(t, Config{Brokers: []string{unusedAddress(t)}}).WaitForBrokers(ctx)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "no Kafka broker answers") {
		t.Errorf("without a broker: %v", err)
	}
}

// unusedAddress returns an address on which nothing listens.
func unusedAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer closed(t, l)
	return l.Addr().String()
}

// A key must get the partition that goka's own producer would give it. Otherwise the views would
// look for an order in the wrong partition.
func TestSendUsesGokaPartitions(t *testing.T) {
	const partitions, keys = 8, 200
	e := startEmbedded(t, t.TempDir())
	defer closed(t, e)
	c := Config{Brokers: []string{e.Addr()}}
	producer, ctx := newProducer(t, c), testkit.Context(t)
	if err := newAdmin(t, c).Apply(ctx, []Topic{{Name: "t", Partitions: partitions, Replication: 1}}); err != nil {
		t.Fatal(err)
	}
	for i := range keys {
		if err := producer.Send(ctx, "t", fmt.Sprint("order-", i), fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
	}
	gokas := sarama.NewCustomHashPartitioner(goka.DefaultHasher())("t")
	seen := map[string]bool{}
	for _, r := range read(t, c, "t", keys) {
		want, err := gokas.Partition(&sarama.ProducerMessage{Key: sarama.StringEncoder(r.Key)}, partitions)
		if err != nil || r.Partition != want {
			t.Errorf("%s is in partition %d, goka's is %d, %v", r.Key, r.Partition, want, err)
		}
		seen[string(r.Key)] = true
	}
	if len(seen) != keys {
		t.Errorf("%d of %d keys arrived", len(seen), keys)
	}
}

func TestSendFailsWithoutBroker(t *testing.T) {
	e := startEmbedded(t, t.TempDir())
	c := Config{Brokers: []string{e.Addr()}}
	producer := newProducer(t, c)
	if err := newAdmin(t, c).Apply(testkit.Context(t), []Topic{{Name: "t", Partitions: 1, Replication: 1}}); err != nil {
		t.Fatal(err)
	}
	if err := producer.Send(testkit.Context(t), "t", "k", []byte("v")); err != nil {
		t.Fatal(err)
	}
	closed(t, e)
	for name, p := range map[string]*Producer{"that has stopped": producer, "that never ran": newProducer(t, Config{Brokers: []string{unusedAddress(t)}})} {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		if err := p.Send(ctx, "t", "k", []byte("v")); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "sending to t") {
			t.Errorf("without the broker %s: %v", name, err)
		}
		cancel()
	}
	producer.Close()
	if err := producer.Send(testkit.Context(t), "t", "k", []byte("v")); !errors.Is(err, ErrUnavailable) {
		t.Errorf("with a closed producer: %v", err)
	}
}

func TestConfigValidate(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	const password = "s3cret"
	secret := filepath.Join(dir, "password")
	if err := os.WriteFile(secret, []byte(password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	one := []string{"localhost:9092"}
	for name, c := range map[string]struct {
		Config
		want string // Part of the error; empty for no error.
	}{
		"one broker":               {Config{Brokers: one}, ""},
		"IPv6":                     {Config{Brokers: []string{"[::1]:9092", "b:1"}}, ""},
		"PLAIN":                    {Config{Brokers: one, User: "u", Password: password, Mechanism: "PLAIN"}, ""},
		"SCRAM in lower case":      {Config{Brokers: one, User: "u", Password: password, Mechanism: "scram-sha-256"}, ""},
		"SCRAM-SHA-512 with TLS":   {Config{Brokers: one, User: "u", Password: password, Mechanism: "SCRAM-SHA-512", TLS: true}, ""},
		"no brokers":               {Config{}, "--brokers"},
		"no port":                  {Config{Brokers: []string{"localhost"}}, `"localhost" is not host:port`},
		"no password":              {Config{Brokers: one, User: "u", Mechanism: "PLAIN"}, "ENV_KAFKA_USER_PASSWORD"},
		"no mechanism":             {Config{Brokers: one, User: "u", Password: password}, "use PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"},
		"unknown mechanism":        {Config{Brokers: one, User: "u", Password: password, Mechanism: "GSSAPI"}, `"GSSAPI"`},
		"no CA file":               {Config{Brokers: one, User: "u", Password: password, Mechanism: "PLAIN", TLS: true, CAFile: filepath.Join(dir, "none")}, "reading the certificate authorities"},
		"empty CA file":            {Config{Brokers: one, User: "u", Password: password, Mechanism: "PLAIN", TLS: true, CAFile: empty}, "no certificate in PEM form"},
		"password without brokers": {Config{User: "u", Password: password, Mechanism: "PLAIN"}, "--brokers"},
		"CA file without TLS":      {Config{Brokers: one, CAFile: empty}, "not encrypted"},
		"certificate, no key":      {Config{Brokers: one, TLS: true, CertFile: empty}, "--kafka-key"},
		"key, no certificate":      {Config{Brokers: one, TLS: true, KeyFile: empty}, "--kafka-cert"},
		"empty certificate":        {Config{Brokers: one, TLS: true, CertFile: empty, KeyFile: empty}, "reading the certificate " + empty},
		"password in a file":       {Config{Brokers: one, User: "u", PasswordFile: secret, Mechanism: "PLAIN"}, ""},
		"empty password file":      {Config{Brokers: one, User: "u", Password: password, PasswordFile: empty, Mechanism: "PLAIN"}, "--kafka-password-file"},
		"no password file":         {Config{Brokers: one, User: "u", PasswordFile: filepath.Join(dir, "none"), Mechanism: "PLAIN"}, "reading the Kafka password"},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.Validate()
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %v, want %q", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), password) {
				t.Errorf("the error contains the password: %v", err)
			}
		})
	}
}

// A file that becomes unreadable after the start fails the next client. The client must not connect
// without TLS, or offer the password in clear text.
func TestUnreadableCredentialsFailClients(t *testing.T) {
	dir := t.TempDir()
	gone := filepath.Join(dir, "gone")
	one := []string{"localhost:9092"}
	for name, c := range map[string]Config{
		"CA file":             {Brokers: one, TLS: true, CAFile: gone},
		"CA file, with user":  {Brokers: one, TLS: true, CAFile: gone, User: "u", Password: "s3cret", Mechanism: "PLAIN"},
		"client certificate":  {Brokers: one, TLS: true, CertFile: gone, KeyFile: gone},
		"password file":       {Brokers: one, User: "u", PasswordFile: gone, Mechanism: "PLAIN"},
		"password file, TLS":  {Brokers: one, TLS: true, User: "u", PasswordFile: gone, Mechanism: "SCRAM-SHA-512"},
		"no password at all":  {Brokers: one, User: "u", Mechanism: "SCRAM-SHA-256"},
		"a directory as file": {Brokers: one, TLS: true, CAFile: dir},
	} {
		t.Run(name, func(t *testing.T) {
			if opts, err := c.ClientOptions(); err == nil {
				t.Errorf("franz-go gets %d options", len(opts))
			}
			if _, err := c.NewClient(); err == nil {
				t.Error("a franz-go client was created")
			}
			if _, err := NewAdmin(c); err == nil {
				t.Error("an admin client was created")
			}
			if _, err := NewProducer(c); err == nil {
				t.Error("a producer was created")
			}
			if err := c.Sarama(sarama.NewConfig()); err == nil {
				t.Error("sarama is configured")
			}
		})
	}
}

// Both client libraries authenticate with each mechanism, and only with the right password.
func TestSASLNeedsTheRightPassword(t *testing.T) {
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		t.Run(mechanism, func(t *testing.T) {
			const password = "s3cret"
			cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.EnableSASL(), kfake.Superuser(mechanism, "ana", password))
			if err != nil {
				t.Fatal(err)
			}
			defer cluster.Close()
			right := Config{Brokers: cluster.ListenAddrs(), User: "ana", Password: password, Mechanism: strings.ToLower(mechanism)}
			wrong := right
			wrong.Password = "wrong-one"
			for c, ok := range map[*Config]bool{&right: true, &wrong: false, {Brokers: right.Brokers}: false} {
				if err := c.Validate(); err != nil {
					t.Fatal(err)
				}
				for library, err := range map[string]error{"franz-go": pingKgo(t, *c), "sarama": pingSarama(t, *c)} {
					if (err == nil) != ok {
						t.Errorf("%s with user %q and password %q: %v", library, c.User, c.Password, err)
					}
					if err != nil && c.Password != "" && strings.Contains(err.Error(), c.Password) {
						t.Errorf("the error of %s contains the password: %v", library, err)
					}
				}
			}
		})
	}
}

func pingKgo(t *testing.T, c Config) error {
	client, err := c.NewClient()
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	return client.Ping(testkit.Context(t))
}

func pingSarama(t *testing.T, c Config) error {
	config := sarama.NewConfig()
	config.Metadata.Retry.Max = 0
	if err := c.Sarama(config); err != nil {
		return err
	}
	client, err := sarama.NewClient(c.Brokers, config)
	if err != nil {
		return err
	}
	closed(t, client)
	return nil
}
