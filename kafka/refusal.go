package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// refusal explains an error of the broker at an address: why the broker rejects this configuration
// and how to fix it. Final reports whether retrying is useless. An error without a known cause is
// returned unchanged.
func (c Config) refusal(at string, err error) (reason error, final bool) {
	var (
		name      x509.HostnameError
		authority x509.UnknownAuthorityError
		invalid   x509.CertificateInvalidError
		eof       *kgo.ErrFirstReadEOF
		record    tls.RecordHeaderError
	)
	say := func(format string, args ...any) error {
		return fmt.Errorf("the broker %s %s (%w)", at, fmt.Sprintf(format, args...), err)
	}
	switch {
	case errors.Is(err, kerr.SaslAuthenticationFailed):
		return say(
			"does not let the user %q in with this password by %s: one of them is wrong, and Kafka does not say which; "+
				"check that the user exists there with this mechanism, then set ENV_KAFKA_USER_NAME and ENV_KAFKA_USER_PASSWORD",
			c.User, strings.ToUpper(c.Mechanism),
		), true
	case errors.Is(err, kerr.UnsupportedSaslMechanism):
		return say("does not support %s: choose another mechanism with --kafka-sasl", strings.ToUpper(c.Mechanism)), true
	case errors.Is(err, kerr.IllegalSaslState):
		return say("accepts no SASL user on this listener: use the address of its SASL listener, or remove --kafka-user"), true
	case errors.As(err, &name):
		return say("has a certificate for another host: " +
			"use an address whose name is in the certificate, or issue a certificate for this name"), true
	case errors.As(err, &authority) && c.CAFile == "":
		return say("has a certificate from an authority that this machine does not trust: give the authority's certificate with --kafka-ca"), true
	case errors.As(err, &authority):
		return say("has a certificate that no authority in %s has signed: give the right authority with --kafka-ca", c.CAFile), true
	case errors.As(err, &invalid):
		return say("has an invalid certificate: renew it, and check that the clock of this machine is right"), true
	case alert(err) && c.CertFile == "":
		return say("requires a client certificate: give one with --kafka-cert and --kafka-key"), true
	case alert(err):
		return say("rejects the client certificate %s: have it signed by an authority that the broker trusts, and check that it has not expired",
			c.CertFile), true
	case errors.As(err, &record):
		return say("does not use TLS on this listener: use the address of its TLS listener, or --no-kafka-tls"), true
	case !c.TLS && strings.Contains(err.Error(), "tls alert"): // franz-go has no type for this error.
		return say("requires TLS: use --kafka-tls"), true
	case errors.As(err, &eof) && c.TLS && c.User == "": // Not final: a starting broker or proxy also closes the connection.
		return say("closes the connection: check that this is its TLS listener and that it requires no user"), false
	case errors.As(err, &eof) && c.TLS:
		return say("closes the connection: check that this is its TLS listener, or use --no-kafka-tls"), false
	case errors.As(err, &eof):
		return say("closes the connection: it may require TLS (--kafka-tls) or a user (ENV_KAFKA_USER_NAME)"), false
	default:
		return err, false
	}
}

// alert reports whether the peer has sent a TLS alert. With TLS 1.3 the alert about a missing client
// certificate arrives only after the handshake.
func alert(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "remote error"
}

// unauthorized adds the remedy to an authorization error and returns other errors unchanged.
func unauthorized(err error) error {
	for _, e := range []error{kerr.TopicAuthorizationFailed, kerr.GroupAuthorizationFailed, kerr.ClusterAuthorizationFailed} {
		if errors.Is(err, e) {
			return fmt.Errorf("%w; `ecupcakes doctor` lists the missing ACLs, `ecupcakes topics acls` prints the commands that add them", err)
		}
	}
	return err
}

// ask queries the configured brokers in turn until one answers, and returns the number of brokers
// in its cluster. Otherwise reason says why none of them can be used, and final reports whether
// retrying is useless.
func (a *Admin) ask(ctx context.Context) (brokers int, reason error, final bool) {
	var errs []error
	final = true
	for i, seed := range a.kgo.SeedBrokers() {
		answer, err := seed.Request(ctx, kmsg.NewPtrMetadataRequest())
		if err == nil {
			if m := answer.(*kmsg.MetadataResponse); len(m.Brokers) > 0 {
				return len(m.Brokers), a.meet(ctx, m.Brokers), false
			}
			err = errors.New("its cluster has no broker yet")
		}
		reason, forGood := a.config.refusal(a.config.Brokers[i], err)
		errs, final = append(errs, reason), final && forGood
	}
	return 0, errors.Join(errs...), final
}

// meet checks that at least one of the cluster's advertised brokers can be reached.
func (a *Admin) meet(ctx context.Context, brokers []kmsg.MetadataResponseBroker) error {
	var errs []error
	for _, b := range brokers {
		_, err := a.kgo.Broker(int(b.NodeID)).Request(ctx, kmsg.NewPtrMetadataRequest())
		if err == nil {
			return nil
		}
		at := net.JoinHostPort(b.Host, fmt.Sprint(b.Port))
		reason, _ := a.config.refusal(at, err)
		errs = append(errs, fmt.Errorf("the cluster advertises %s, which must be reachable from here (see the broker's advertised.listeners): %w",
			at, reason))
	}
	return errors.Join(errs...)
}
