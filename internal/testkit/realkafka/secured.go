package realkafka

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/ecupcakes/ecupcakes/internal/testkit/java"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Secured is a cluster of one node that lets nobody do anything without an ACL,
// save those who come without encryption, as its own tools do.
type Secured struct {
	*Cluster
	SASL      string     // Address of the listener for SASL over TLS: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512.
	MTLS      string     // Address of the listener that knows its clients by the CN of their certificates.
	CA        string     // PEM file with the authority that has signed the certificates of all.
	authority *authority // Signs certificates.
}

// StartSecured runs a cluster with its data below dir, and users who have their
// passwords by PLAIN and SCRAM. Its certificate is good for 127.0.0.1 and for
// no other name.
func StartSecured(ctx context.Context, dir string, users map[string]string, settings ...string) (*Secured, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	ca, err := newAuthority(filepath.Join(dir, "ca.pem"))
	if err != nil {
		return nil, err
	}
	store := filepath.Join(dir, "node.pem")
	if err := ca.sign("node", store, store); err != nil {
		return nil, err
	}
	ports, err := java.Ports(2)
	if err != nil {
		return nil, err
	}
	s := &Secured{SASL: fmt.Sprint("127.0.0.1:", ports[0]), MTLS: fmt.Sprint("127.0.0.1:", ports[1]), CA: ca.file, authority: ca}
	var plain strings.Builder
	for user, password := range users {
		fmt.Fprintf(&plain, " user_%s=%q", user, password)
	}
	s.Cluster, err = start(ctx, dir, 1, directly, []listener{{"SASL_SSL", s.SASL}, {"SSL", s.MTLS}}, append([]string{
		"ssl.keystore.type=PEM", "ssl.keystore.location=" + store,
		"ssl.truststore.type=PEM", "ssl.truststore.location=" + ca.file,
		"listener.name.ssl.ssl.client.auth=required",
		"ssl.principal.mapping.rules=RULE:^CN=(.*)$/$1/",
		"sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
		"listener.name.sasl_ssl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required" + plain.String() + ";",
		"listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;",
		"listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;",
		"authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
		"super.users=User:ANONYMOUS",
	}, settings...))
	if err != nil {
		return nil, err
	}
	if err := s.addUsers(ctx, users); err != nil {
		s.Kill()
		return nil, err
	}
	return s, nil
}

func (s *Secured) addUsers(ctx context.Context, users map[string]string) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(s.Brokers()))
	if err != nil {
		return err
	}
	defer client.Close()
	for _, m := range []kadm.ScramMechanism{kadm.ScramSha256, kadm.ScramSha512} { // A user may be in a request once.
		var scrams []kadm.UpsertSCRAM
		for user, password := range users {
			scrams = append(scrams, kadm.UpsertSCRAM{User: user, Mechanism: m, Iterations: 4096, Password: password})
		}
		altered, err := kadm.NewClient(client).AlterUserSCRAMs(ctx, nil, scrams)
		if err == nil {
			err = altered.Error()
		}
		if err != nil {
			return fmt.Errorf("adding users: %w", err)
		}
	}
	return nil
}

// Client makes a certificate for a client of that name, and its key, in PEM
// files below dir.
func (s *Secured) Client(dir, name string) (certFile, keyFile string, err error) {
	certFile, keyFile = filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key")
	return certFile, keyFile, s.authority.sign(name, certFile, keyFile)
}

// Stranger is Client of an authority that nobody knows, whose own certificate
// is in caFile.
func Stranger(dir, name string) (caFile, certFile, keyFile string, err error) {
	ca, err := newAuthority(filepath.Join(dir, "stranger-ca.pem"))
	if err != nil {
		return "", "", "", err
	}
	certFile, keyFile = filepath.Join(dir, "stranger.pem"), filepath.Join(dir, "stranger.key")
	return ca.file, certFile, keyFile, ca.sign(name, certFile, keyFile)
}

// Authorized is what the authorizer has said of all requests until now: one
// line for each operation on a resource.
func (s *Secured) Authorized() (string, error) {
	b, err := os.ReadFile(filepath.Join(s.Nodes[0].dir, "authorizer.log"))
	return string(b), err
}

// Tool prepares a run of one of Kafka's own tools, by its class.
func (c *Cluster) Tool(ctx context.Context, class string, args ...string) *exec.Cmd {
	return c.Nodes[0].tool(ctx, class, args...)
}

// authority signs certificates.
type authority struct {
	file string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(file string) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := certificate("authority")
	template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &authority{file, cert, key}, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600)
}

// sign writes a certificate and its key; both may go to the same file.
func (a *authority) sign(name, certFile, keyFile string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.CreateCertificate(rand.Reader, certificate(name), a.cert, &key.PublicKey, a.key)
	if err != nil {
		return err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	secret := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
	if certFile == keyFile {
		return os.WriteFile(keyFile, append(secret, cert...), 0o600)
	}
	if err := os.WriteFile(certFile, cert, 0o600); err != nil {
		return err
	}
	return os.WriteFile(keyFile, secret, 0o600)
}

// certificate is of somebody at 127.0.0.1, good from an hour ago for a day:
// clocks differ.
func certificate(name string) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62))
	return &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage:    x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
}
