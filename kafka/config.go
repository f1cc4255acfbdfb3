// Package kafka configures Kafka clients (addresses, TLS, SASL), manages the topics and ACLs that
// the line needs, and produces the messages that enter the line from outside. Package
// kafka/embedded has a broker for installations without a cluster.
//
// The package does not decode messages and has no rules about stages.
package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/ecupcakes/ecupcakes/gokaplus/franz"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
	xdg "github.com/xdg-go/scram"
)

// Config has the address of a cluster and the credentials for it. The same configuration sets up
// both client libraries: sarama, which goka uses, and franz-go. Certificate and password files are
// read again whenever they are used, so they can be replaced while the program runs.
type Config struct {
	Brokers      []string // host:port, at least one.
	User         string   // SASL user; empty disables SASL.
	Password     string
	PasswordFile string // File with the password, used instead of Password; trailing newlines are ignored.
	Mechanism    string // "PLAIN", "SCRAM-SHA-256" or "SCRAM-SHA-512"; required with User.
	TLS          bool
	CAFile       string   // PEM file with the certificate authorities to trust; empty for the system's.
	CertFile     string   // PEM file with the client certificate; empty for none.
	KeyFile      string   // PEM file with the key of CertFile.
	Metrics      *Metrics // Counts network failures and times sends; may be nil.
}

// dialTimeout bounds one connection attempt.
const dialTimeout = 5 * time.Second

// Validate returns an error that names the first problem of the configuration and its remedy.
func (c Config) Validate() error {
	if len(c.Brokers) == 0 {
		return errors.New("no Kafka brokers given: use --brokers host:port")
	}
	for _, b := range c.Brokers {
		if _, _, err := net.SplitHostPort(b); err != nil {
			return fmt.Errorf("the broker address %q is not host:port: %w", b, err)
		}
	}
	if !c.TLS && (c.CAFile != "" || c.CertFile != "" || c.KeyFile != "") {
		return errors.New("certificates are given, but the connection is not encrypted: remove --no-kafka-tls or the certificate flags")
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
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("reading the certificate authorities to trust: %w", err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s has no certificate in PEM form", c.CAFile)
		}
	}
	if c.CertFile == "" && c.KeyFile == "" {
		return t, nil
	}
	if c.CertFile == "" || c.KeyFile == "" {
		return nil, errors.New("a client certificate needs its key and vice versa: give both --kafka-cert and --kafka-key")
	}
	if _, err := c.certificate(); err != nil {
		return nil, err
	}
	t.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return c.certificate() }
	return t, nil
}

func (c Config) certificate() (*tls.Certificate, error) {
	cert, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("reading the certificate %s and its key %s: %w", c.CertFile, c.KeyFile, err)
	}
	return &cert, nil
}

// Principal returns the name under which Kafka authorizes the user: "User:" and the SASL user, or
// the subject of the client certificate. Brokers with principal mapping rules may derive another
// name from the subject.
func (c Config) Principal() string {
	if c.User != "" {
		return "User:" + c.User
	}
	if c.CertFile != "" {
		if cert, err := c.certificate(); err == nil {
			return "User:" + cert.Leaf.Subject.String()
		}
	}
	return "User:ANONYMOUS"
}

func (c Config) password() (string, error) {
	password := c.Password
	if c.PasswordFile != "" {
		b, err := os.ReadFile(c.PasswordFile)
		if err != nil {
			return "", fmt.Errorf("reading the Kafka password: %w", err)
		}
		password = strings.TrimRight(string(b), "\r\n")
	}
	if password == "" {
		return "", errors.New("a Kafka user is given without a password: " +
			"set ENV_KAFKA_USER_PASSWORD, or name a file that contains it with --kafka-password-file")
	}
	return password, nil
}

func (c Config) mechanism() (sasl.Mechanism, error) {
	if c.User == "" {
		return nil, nil
	}
	if _, err := c.password(); err != nil {
		return nil, err
	}
	scrams := func(context.Context) (scram.Auth, error) {
		password, err := c.password()
		return scram.Auth{User: c.User, Pass: password}, err
	}
	switch m := strings.ToUpper(c.Mechanism); m {
	case sarama.SASLTypePlaintext:
		return plain.Plain(func(context.Context) (plain.Auth, error) {
			password, err := c.password()
			return plain.Auth{User: c.User, Pass: password}, err
		}), nil
	case sarama.SASLTypeSCRAMSHA256:
		return scram.Sha256(scrams), nil
	case sarama.SASLTypeSCRAMSHA512:
		return scram.Sha512(scrams), nil
	default:
		return nil, fmt.Errorf("unknown SASL mechanism %q: use PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512", c.Mechanism)
	}
}

// NewClient returns a franz-go client of the cluster, with more options for its use. It fails as
// ClientOptions does.
func (c Config) NewClient(more ...kgo.Opt) (*kgo.Client, error) {
	opts, err := c.ClientOptions()
	if err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(append(opts, more...)...)
	if err != nil {
		return nil, fmt.Errorf("creating a Kafka client: %w", err)
	}
	return client, nil
}

// ClientOptions returns the options of every franz-go client of the cluster. It reads the files of
// certificates and of the password, and fails if it cannot: a client without them would talk to
// brokers in clear text.
func (c Config) ClientOptions() ([]kgo.Opt, error) {
	opts := append(franz.ClientOptions(), kgo.SeedBrokers(c.Brokers...), kgo.ClientID("ecupcakes"), kgo.DialTimeout(dialTimeout))
	t, err := c.tls()
	if err != nil {
		return nil, err
	}
	if t != nil {
		opts = append(opts, kgo.DialTLSConfig(t))
	}
	m, err := c.mechanism()
	if err != nil {
		return nil, err
	}
	if m != nil {
		opts = append(opts, kgo.SASL(m))
	}
	if c.Metrics != nil {
		opts = append(opts, kgo.WithHooks(c.Metrics))
	}
	return opts, nil
}

// Sarama sets the client ID, timeouts, TLS and SASL of a sarama configuration. It reads the files of certificates and of the password,
// and fails if it cannot: a client without them would talk to brokers in clear text. The configuration must have passed
// Validate.
func (c Config) Sarama(s *sarama.Config) error {
	s.ClientID = "ecupcakes"
	s.Net.DialTimeout = dialTimeout
	t, err := c.tls()
	if err != nil {
		return err
	}
	if t != nil {
		s.Net.TLS.Enable, s.Net.TLS.Config = true, t
	}
	if c.Metrics != nil {
		c.Metrics.sarama(s)
	}
	if c.User == "" {
		return nil
	}
	s.Net.SASL.Enable = true
	s.Net.SASL.User = c.User
	if s.Net.SASL.Password, err = c.password(); err != nil {
		return err
	}
	s.Net.SASL.Mechanism = sarama.SASLMechanism(strings.ToUpper(c.Mechanism))
	switch s.Net.SASL.Mechanism {
	case sarama.SASLTypeSCRAMSHA256:
		s.Net.SASL.SCRAMClientGeneratorFunc = func() sarama.SCRAMClient { return &scramClient{hash: xdg.SHA256} }
	case sarama.SASLTypeSCRAMSHA512:
		s.Net.SASL.SCRAMClientGeneratorFunc = func() sarama.SCRAMClient { return &scramClient{hash: xdg.SHA512} }
	}
	return nil
}

// scramClient implements SCRAM for sarama, which has no implementation of its own.
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
