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

// refusal says, for a person, why the broker at an address and the configuration
// do not come together, and what to do. Final says that trying again is no use.
// An error that is neither's fault is returned as it is.
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
		return say("does not let the user %q in with this password by %s: one of them is wrong, and Kafka does not tell which; see that the user exists there with this mechanism, then set ENV_KAFKA_USER_NAME and ENV_KAFKA_USER_PASSWORD",
			c.User, strings.ToUpper(c.Mechanism)), true
	case errors.Is(err, kerr.UnsupportedSaslMechanism):
		return say("does not take %s: choose another mechanism with --kafka-sasl", strings.ToUpper(c.Mechanism)), true
	case errors.Is(err, kerr.IllegalSaslState):
		return say("takes no user on this listener: give the address of its SASL listener, or no --kafka-user"), true
	case errors.As(err, &name):
		return say("has a certificate for another host: give an address with a name that the certificate has, or have one made that has this name"), true
	case errors.As(err, &authority) && c.CAFile == "":
		return say("has a certificate of an authority that this machine does not trust: give the authority's certificate with --kafka-ca"), true
	case errors.As(err, &authority):
		return say("has a certificate that no authority in %s has signed: give the right one with --kafka-ca", c.CAFile), true
	case errors.As(err, &invalid):
		return say("has a certificate that is not valid: renew it, and see that the clock here is right"), true
	case alert(err) && c.CertFile == "":
		return say("wants a certificate of its clients: give one with --kafka-cert and --kafka-key"), true
	case alert(err):
		return say("does not accept the certificate %s: have it signed by an authority that the broker trusts, and see that it has not run out", c.CertFile), true
	case errors.As(err, &record):
		return say("does not speak TLS here: give the address of its TLS listener, or --no-kafka-tls"), true
	case !c.TLS && strings.Contains(err.Error(), "tls alert"): // franz-go has no type for it.
		return say("speaks TLS only: give --kafka-tls"), true
	case errors.As(err, &eof) && c.TLS && c.User == "": // From here on, a broker or proxy that starts does so too.
		return say("hangs up: see that this is its TLS listener, and that it wants no user"), false
	case errors.As(err, &eof) && c.TLS:
		return say("hangs up: see that this is its TLS listener, or give --no-kafka-tls"), false
	case errors.As(err, &eof):
		return say("hangs up: it may want TLS (--kafka-tls) or a user (ENV_KAFKA_USER_NAME)"), false
	default:
		return err, false
	}
}

// alert says whether the other side has ended a TLS handshake. With TLS 1.3 that
// is known only after it.
func alert(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "remote error"
}

// unauthorized adds to an error what to do if it says that the user may not.
func unauthorized(err error) error {
	for _, e := range []error{kerr.TopicAuthorizationFailed, kerr.GroupAuthorizationFailed, kerr.ClusterAuthorizationFailed} {
		if errors.Is(err, e) {
			return fmt.Errorf("%w; `ecupcakes doctor` says which ACLs are missing, and `ecupcakes topics acls` how to add them", err)
		}
	}
	return err
}

// ask asks the brokers that the configuration names until one answers, and
// returns how many there are in its cluster, or why none of them answers.
func (a *Admin) ask(ctx context.Context) (brokers int, reason error, final bool) {
	var errs []error
	final = true
	for i, seed := range a.kgo.SeedBrokers() {
		answer, err := seed.Request(ctx, kmsg.NewPtrMetadataRequest())
		if err == nil {
			if m := answer.(*kmsg.MetadataResponse); len(m.Brokers) > 0 {
				return len(m.Brokers), a.meet(ctx, m.Brokers), false
			}
			err = errors.New("it knows of no broker yet")
		}
		reason, forGood := a.config.refusal(a.config.Brokers[i], err)
		errs, final = append(errs, reason), final && forGood
	}
	return 0, errors.Join(errs...), final
}

// meet connects to one of the brokers where the cluster tells its clients to go.
func (a *Admin) meet(ctx context.Context, brokers []kmsg.MetadataResponseBroker) error {
	var errs []error
	for _, b := range brokers {
		_, err := a.kgo.Broker(int(b.NodeID)).Request(ctx, kmsg.NewPtrMetadataRequest())
		if err == nil {
			return nil
		}
		at := net.JoinHostPort(b.Host, fmt.Sprint(b.Port))
		reason, _ := a.config.refusal(at, err)
		errs = append(errs, fmt.Errorf("the cluster tells its clients to go to %s, which must be an address for here (advertised.listeners): %w", at, reason))
	}
	return errors.Join(errs...)
}
