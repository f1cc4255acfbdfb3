// Package broker is how Kafka is reached: addresses, TLS and SASL for every
// client, the topics that the line needs, a producer for what comes from
// outside, and an embedded broker for those who have no cluster.
//
// It never knows what the stages or their messages mean.
package broker

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"ecupcakes/gokaplus"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
	xdg "github.com/xdg-go/scram"
)

// Config says where the cluster is and who we are there. One configuration
// feeds both client libraries, sarama under goka and franz-go.
type Config struct {
	Brokers   []string // host:port, at least one.
	User      string   // SASL; empty for none.
	Password  string
	Mechanism string // "PLAIN", "SCRAM-SHA-256" or "SCRAM-SHA-512"; with User only.
	TLS       bool
	CAFile    string   // PEM file with the authorities to trust; empty for the system's.
	Metrics   *Metrics // Counts what fails on the way to the brokers; may be nil.
}

// dialTimeout bounds one attempt to connect.
const dialTimeout = 5 * time.Second

// Validate returns what is wrong with the configuration and what to do.
func (c Config) Validate() error {
	if len(c.Brokers) == 0 {
		return errors.New("no Kafka brokers are named: give --brokers host:port")
	}
	for _, b := range c.Brokers {
		if _, _, err := net.SplitHostPort(b); err != nil {
			return fmt.Errorf("the broker address %q is not host:port: %w", b, err)
		}
	}
	if c.User != "" && c.Password == "" {
		return errors.New("there is a Kafka user without a password: set ENV_KAFKA_USER_PASSWORD")
	}
	if _, err := c.mechanism(); err != nil {
		return err
	}
	_, err := c.tls()
	return err
}

func (c Config) tls() (*tls.Config, error) {
	if !c.TLS {
		return nil, nil
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CAFile == "" {
		return t, nil
	}
	pem, err := os.ReadFile(c.CAFile)
	if err != nil {
		return nil, fmt.Errorf("reading the certificate authorities to trust: %w", err)
	}
	t.RootCAs = x509.NewCertPool()
	if !t.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s has no certificate in PEM form", c.CAFile)
	}
	return t, nil
}

func (c Config) mechanism() (sasl.Mechanism, error) {
	if c.User == "" {
		return nil, nil
	}
	switch m := strings.ToUpper(c.Mechanism); m {
	case "PLAIN":
		return plain.Auth{User: c.User, Pass: c.Password}.AsMechanism(), nil
	case "SCRAM-SHA-256":
		return scram.Auth{User: c.User, Pass: c.Password}.AsSha256Mechanism(), nil
	case "SCRAM-SHA-512":
		return scram.Auth{User: c.User, Pass: c.Password}.AsSha512Mechanism(), nil
	default:
		return nil, fmt.Errorf("unknown SASL mechanism %q: use PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512", c.Mechanism)
	}
}

// Client returns the options for a franz-go client. The configuration must
// have passed Validate.
func (c Config) Client() []kgo.Opt {
	opts := append(gokaplus.ClientOptions(), kgo.SeedBrokers(c.Brokers...), kgo.ClientID("ecupcakes"), kgo.DialTimeout(dialTimeout))
	if t, _ := c.tls(); t != nil {
		opts = append(opts, kgo.DialTLSConfig(t))
	}
	if m, _ := c.mechanism(); m != nil {
		opts = append(opts, kgo.SASL(m))
	}
	if c.Metrics != nil {
		opts = append(opts, kgo.WithHooks(c.Metrics))
	}
	return opts
}

// Sarama sets TLS and SASL of a sarama configuration. The configuration must
// have passed Validate.
func (c Config) Sarama(s *sarama.Config) {
	s.ClientID = "ecupcakes"
	s.Net.DialTimeout = dialTimeout
	if t, _ := c.tls(); t != nil {
		s.Net.TLS.Enable, s.Net.TLS.Config = true, t
	}
	if c.Metrics != nil {
		c.Metrics.sarama(s)
	}
	if c.User == "" {
		return
	}
	s.Net.SASL.Enable = true
	s.Net.SASL.User, s.Net.SASL.Password = c.User, c.Password
	s.Net.SASL.Mechanism = sarama.SASLMechanism(strings.ToUpper(c.Mechanism))
	switch s.Net.SASL.Mechanism {
	case sarama.SASLTypeSCRAMSHA256:
		s.Net.SASL.SCRAMClientGeneratorFunc = func() sarama.SCRAMClient { return &scramClient{hash: xdg.SHA256} }
	case sarama.SASLTypeSCRAMSHA512:
		s.Net.SASL.SCRAMClientGeneratorFunc = func() sarama.SCRAMClient { return &scramClient{hash: xdg.SHA512} }
	}
}

// scramClient lends sarama a SCRAM implementation; it has none of its own.
type scramClient struct {
	hash xdg.HashGeneratorFcn
	*xdg.ClientConversation
}

func (s *scramClient) Begin(user, password, authzID string) error {
	client, err := s.hash.NewClient(user, password, authzID)
	if err != nil {
		return fmt.Errorf("preparing SCRAM: %w", err)
	}
	s.ClientConversation = client.NewConversation()
	return nil
}
