package gokaplus

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/ecupcakes/ecupcakes/gokaplus/franz"
	"github.com/ecupcakes/ecupcakes/gokaplus/internal/kafkatest"
	"github.com/lovoo/goka"
	"github.com/lovoo/goka/codec"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
)

func config(t *testing.T, o Options) *sarama.Config {
	t.Helper()
	c, err := SaramaConfig(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSaramaConfig(t *testing.T) {
	o := Options{InstanceID: "instance", CommitInterval: time.Second, Sarama: func(c *sarama.Config) error { c.Net.DialTimeout = 42 * time.Second; return nil }}
	a, b := config(t, o), config(t, o)
	if err := a.Validate(); err != nil {
		t.Fatal(err)
	}
	if a == b {
		t.Fatal("two builders share a configuration")
	}
	if a.Net.DialTimeout != 42*time.Second || a.Consumer.Group.InstanceId != "instance" || a.Consumer.Offsets.AutoCommit.Interval != time.Second {
		t.Fatalf("an option is missing: %+v", a)
	}
	if err := config(t, Options{}).Validate(); err != nil {
		t.Fatal(err)
	}
}

func TestAnErrorOfSaramaOptionsFailsEachBuilder(t *testing.T) {
	k := kafkatest.Start(t, 1, "in")
	unreadable := errors.New("the certificate cannot be read")
	o := Options{Sarama: func(*sarama.Config) error { return unreadable }}
	graph := goka.DefineGroup("group", goka.Input("in", new(codec.String), func(goka.Context, any) {}))
	_, errProcessor := NewProcessor(k.ListenAddrs(), graph, o)
	_, errView := NewView(k.ListenAddrs(), "in", new(codec.String), o)
	_, errEmitter := NewEmitter(k.ListenAddrs(), "in", new(codec.String), o)
	for what, err := range map[string]error{"processor": errProcessor, "view": errView, "emitter": errEmitter} {
		if err == nil || !strings.Contains(err.Error(), unreadable.Error()) { // goka does not wrap it
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestConsumerGroupWaitsForASlowMember(t *testing.T) {
	k := kafkatest.Start(t, 1, "in")
	var used *sarama.Config
	o := Options{Sarama: func(c *sarama.Config) error { used = c; return nil }}
	g, err := o.withDefaults().consumerGroup(k.ListenAddrs(), "group", "client")
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if used.Net.ReadTimeout <= used.Consumer.Group.Rebalance.Timeout {
		t.Fatalf("a request to join is given up after %v, the broker may answer it after %v", used.Net.ReadTimeout, used.Consumer.Group.Rebalance.Timeout)
	}
}

func TestTablesMustExist(t *testing.T) {
	k := kafkatest.Start(t, 4, "in", "fits-table")
	cl := k.Client(t)
	kafkatest.CreateTopic(t, cl, "short-table", 2)
	for group, want := range map[goka.Group]string{"missing": "missing-table must exist", "short": "short-table has 2 partitions and the inputs have 4", "fits": ""} {
		graph := goka.DefineGroup(group, goka.Input("in", new(codec.String), func(goka.Context, any) {}), goka.Persist(new(codec.String)))
		p, err := NewProcessor(k.ListenAddrs(), graph, Options{})
		if want == "" {
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Close(); err != nil {
				t.Fatal(err)
			}
		} else if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("group %s: %v, want %q", group, err, want)
		}
	}

	tm := goka.NewTopicManagerConfig()
	tm.Table.Replication = 1
	graph := goka.DefineGroup("missing", goka.Input("in", new(codec.String), func(goka.Context, any) {}), goka.Persist(new(codec.String)))
	p, err := NewProcessor(k.ListenAddrs(), graph, Options{Topics: tm})
	if err != nil {
		t.Fatalf("goka may create the table: %v", err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestOptionsTogether takes messages through an emitter, a processor with a table, and a view.
func TestOptionsTogether(t *testing.T) {
	server := httptest.NewTLSServer(nil) // for its certificate, which is valid for 127.0.0.1
	defer server.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	secure := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}

	saslOverTLS := []kfake.Opt{
		kfake.TLS(&tls.Config{Certificates: server.TLS.Certificates, MinVersion: tls.VersionTLS12}),
		kfake.EnableSASL(), kfake.Superuser("PLAIN", "user", "secret"),
	}
	logIn := func(c *sarama.Config) error {
		c.Net.TLS.Enable, c.Net.TLS.Config = true, secure
		c.Net.SASL.Enable, c.Net.SASL.User, c.Net.SASL.Password = true, "user", "secret"
		return nil
	}
	for _, tc := range []struct {
		name   string
		broker []kfake.Opt
		o      Options
	}{
		{"plaintext, sarama", nil, Options{}},
		{"plaintext, franz-go", nil, Options{Producer: franz.ProducerBuilder(franz.Options{})}},
		{"TLS and SASL, sarama", saslOverTLS, Options{InstanceID: "instance", Sarama: logIn}},
		{"TLS and SASL, franz-go", saslOverTLS, Options{InstanceID: "instance", Sarama: logIn, Producer: franz.ProducerBuilder(franz.Options{
			Client: func() ([]kgo.Opt, error) {
				return []kgo.Opt{kgo.DialTLSConfig(secure), kgo.SASL(plain.Auth{User: "user", Pass: "secret"}.AsMechanism())}, nil
			},
		})}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			k := kafkatest.StartWith(t, 4, []string{"in", "group-table"}, tc.broker...)
			var logged kafkatest.Buffer
			tc.o.Logger = slog.New(slog.NewTextHandler(&logged, nil))
			tc.o.Progress = &Progress{}
			p, err := NewProcessor(k.ListenAddrs(), goka.DefineGroup("group",
				goka.Input("in", new(codec.Int64), func(ctx goka.Context, m any) {
					sum, _ := ctx.Value().(int64)
					ctx.SetValue(sum + m.(int64))
				}),
				goka.Persist(new(codec.Int64)),
			), tc.o)
			if err != nil {
				t.Fatal(err)
			}
			v, err := NewView(k.ListenAddrs(), "group-table", new(codec.Int64), tc.o)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 2)
			go func() { ended <- p.Run(ctx) }()
			go func() { ended <- v.Run(ctx) }()

			e, err := NewEmitter(k.ListenAddrs(), "in", new(codec.Int64), tc.o)
			if err != nil {
				t.Fatal(err)
			}
			for i := range int64(100) {
				if _, err := e.Emit(fmt.Sprint("key", i%10), i); err != nil {
					t.Fatal(err)
				}
			}
			if err := e.Finish(); err != nil {
				t.Fatal(err)
			}
			kafkatest.Eventually(t, "the view shows the sums", func() bool {
				for i := range int64(10) {
					if sum, err := v.Get(fmt.Sprint("key", i)); err != nil || sum != 10*i+450 {
						return false
					}
				}
				return true
			})
			if !v.Recovered() {
				t.Error("the view is not recovered")
			}
			kafkatest.Eventually(t, "all is worked off", func() bool {
				var done int64
				for _, pp := range tc.o.Progress.Partitions() {
					if pp.Lag() > 0 || pp.InFlight > 0 {
						return false
					}
					done += pp.Next
				}
				return done == 100
			})
			cancel()
			for range 2 {
				if err := kafkatest.Within(t, "processor and view stop", ended); err != nil {
					t.Error(err)
				}
			}
			if said := logged.String(); !strings.Contains(said, "setup generation 1") || !strings.Contains(said, `part="Processor group"`) {
				t.Errorf("goka's log did not arrive: %q", logged.String())
			}
		})
	}
}
