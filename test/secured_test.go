package test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"ecupcakes/test/realkafka"
)

// password is that of all users.
const password = "line-s3cret"

// secured is Apache Kafka with TLS, users and ACLs.
type secured struct {
	*realkafka.Secured
	t   *testing.T
	dir string // For certificates and the like.
}

func securedKafka(t *testing.T, users ...string) *secured {
	t.Helper()
	passwords := map[string]string{}
	for _, u := range users {
		passwords[u] = password
	}
	k, err := realkafka.StartSecured(t.Context(), filepath.Join(t.TempDir(), "kafka"), passwords)
	if errors.Is(err, realkafka.ErrNoJava) {
		missing(t, err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Kill)
	return &secured{k, t, t.TempDir()}
}

// login is how somebody connects: where, with which flags and environment.
type login struct {
	at         string
	flags, env []string
}

// sasl is the login of a user by a mechanism.
func (k *secured) sasl(user, mechanism string) login {
	return login{
		k.SASL,
		[]string{"--kafka-sasl", mechanism, "--kafka-ca", k.CA},
		[]string{"ENV_KAFKA_USER_NAME=" + user, "ENV_KAFKA_USER_PASSWORD=" + password},
	}
}

// cert is the login of a user by a certificate.
func (k *secured) cert(user string) login {
	k.t.Helper()
	cert, key, err := k.Client(k.dir, user)
	if err != nil {
		k.t.Fatal(err)
	}
	return login{k.MTLS, []string{"--kafka-ca", k.CA, "--kafka-cert", cert, "--kafka-key", key}, nil}
}

// with is the login with more flags and environment, which are stronger.
func (l login) with(flags []string, env ...string) login {
	return login{l.at, append(l.flags[:len(l.flags):len(l.flags)], flags...), append(l.env[:len(l.env):len(l.env)], env...)}
}

func (l login) to(at string) login { l.at = at; return l }

// run runs a command of the program with the login, and returns what it says
// and its exit code.
func (l login) run(t *testing.T, args ...string) (said string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, append(append(args, "--brokers", l.at), l.flags...)...)
	cmd.Env = append(os.Environ(), l.env...)
	out, err := cmd.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && (!ok || !exit.Exited()) {
		t.Fatalf("%q: %v\n%s", args, err, out)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// Who does not come together with a broker is told why and what to do, at once,
// and never the password.
func TestRefusals(t *testing.T) {
	t.Parallel()
	k := securedKafka(t, "line")
	strangeCA, strangeCert, strangeKey, err := realkafka.Stranger(k.dir, "line")
	if err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(k.dir, "password")
	if err := os.WriteFile(empty, []byte("wr0ng\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	plain, mutual := k.sasl("line", "PLAIN"), k.cert("line")
	type refusal struct {
		login
		want []string
	}
	cases := map[string]refusal{
		"wrong password in a file":    {plain.with([]string{"--kafka-password-file", empty}), []string{`user "line"`, "Kafka does not tell which", "ENV_KAFKA_USER_PASSWORD"}},
		"wrong host name":             {plain.to(strings.Replace(k.SASL, "127.0.0.1", "localhost", 1)), []string{"certificate for another host", "localhost"}},
		"unknown authority":           {plain.with([]string{"--kafka-ca", strangeCA}), []string{"no authority in " + strangeCA + " has signed", "--kafka-ca"}},
		"authorities of the system":   {plain.with([]string{"--kafka-ca", "", "--kafka-tls"}), []string{"this machine does not trust", "--kafka-ca"}},
		"no client certificate":       {mutual.with([]string{"--kafka-cert", "", "--kafka-key", ""}), []string{"wants a certificate of its clients", "--kafka-cert"}},
		"a stranger's certificate":    {mutual.with([]string{"--kafka-cert", strangeCert, "--kafka-key", strangeKey}), []string{"does not accept the certificate " + strangeCert, "authority that the broker trusts"}},
		"no TLS":                      {plain.with([]string{"--kafka-ca", "", "--no-kafka-tls"}), []string{"speaks TLS only", "--kafka-tls"}},
		"a user where none is wanted": {plain.with([]string{"--kafka-ca", "", "--no-kafka-tls"}).to(k.Brokers()), []string{"takes no user", "--kafka-user"}},
		"TLS where none is":           {plain.to(k.Brokers()), []string{"hangs up", "--no-kafka-tls"}},
		"no user":                     {mutual.to(k.SASL), []string{"hangs up", "wants no user"}},
		"nothing allowed":             {plain, []string{"AUTHORIZATION_FAILED", "ecupcakes topics acls"}},
	}
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		want := []string{mechanism, "Kafka does not tell which", "ENV_KAFKA_USER_PASSWORD"}
		cases["wrong password by "+mechanism] = refusal{k.sasl("line", mechanism).with(nil, "ENV_KAFKA_USER_PASSWORD=wr0ng"), append(want, `user "line"`)}
		cases["unknown user by "+mechanism] = refusal{k.sasl("nobody", mechanism), append(want, `user "nobody"`)}
	}
	var all sync.WaitGroup
	for name, c := range cases {
		all.Go(func() {
			said, code := c.run(t, "topics", "check", "--log-level", "debug")
			if code != 1 {
				t.Errorf("%s: the exit code is %d", name, code)
			}
			for _, want := range c.want {
				if !strings.Contains(said, want) {
					t.Errorf("%s: %q is missing in\n%s", name, want, said)
				}
			}
			if strings.Contains(said, password) || strings.Contains(said, "wr0ng") {
				t.Errorf("%s: the password is in\n%s", name, said)
			}
			if strings.Count(said, "\n") > 2 {
				t.Errorf("%s: too many words:\n%s", name, said)
			}
		})
	}
	all.Wait()
}
