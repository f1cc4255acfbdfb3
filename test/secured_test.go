package test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ecupcakes/ecupcakes/internal/testkit"
	"github.com/ecupcakes/ecupcakes/internal/testkit/realkafka"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
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
	testkit.NeedsJava(t)
	k, err := realkafka.StartSecured(t.Context(), filepath.Join(t.TempDir(), "kafka"), passwords)
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

// When a broker refuses a connection, the program says at once why and what to do,
// and never prints the password.
func TestConnectionRefusals(t *testing.T) {
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
		"wrong password in a file":    {plain.with([]string{"--kafka-password-file", empty}), []string{`user "line"`, "Kafka does not say which", "ENV_KAFKA_USER_PASSWORD"}},
		"wrong host name":             {plain.to(strings.Replace(k.SASL, "127.0.0.1", "localhost", 1)), []string{"certificate for another host", "localhost"}},
		"unknown authority":           {plain.with([]string{"--kafka-ca", strangeCA}), []string{"no authority in " + strangeCA + " has signed", "--kafka-ca"}},
		"authorities of the system":   {plain.with([]string{"--kafka-ca", "", "--kafka-tls"}), []string{"this machine does not trust", "--kafka-ca"}},
		"no client certificate":       {mutual.with([]string{"--kafka-cert", "", "--kafka-key", ""}), []string{"requires a client certificate", "--kafka-cert"}},
		"a stranger's certificate":    {mutual.with([]string{"--kafka-cert", strangeCert, "--kafka-key", strangeKey}), []string{"rejects the client certificate " + strangeCert, "authority that the broker trusts"}},
		"no TLS":                      {plain.with([]string{"--kafka-ca", "", "--no-kafka-tls"}), []string{"requires TLS", "--kafka-tls"}},
		"a user where none is wanted": {plain.with([]string{"--kafka-ca", "", "--no-kafka-tls"}).to(k.Brokers()), []string{"accepts no SASL user", "--kafka-user"}},
		"TLS where none is":           {plain.to(k.Brokers()), []string{"closes the connection", "--no-kafka-tls"}},
		"no user":                     {mutual.to(k.SASL), []string{"closes the connection", "requires no user"}},
		"nothing allowed":             {plain, []string{"AUTHORIZATION_FAILED", "ecupcakes topics acls"}},
	}
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		want := []string{mechanism, "Kafka does not say which", "ENV_KAFKA_USER_PASSWORD"}
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

// allow gives a user what a command of the program says. That Kafka's own tool
// understands what it prints is shown by withoutOne; it takes seconds to start.
func (k *secured) allow(user string, command ...string) {
	k.t.Helper()
	commands, err := exec.Command(binary, append(command, "--user", "User:"+user, "--brokers", k.Brokers())...).Output()
	if err != nil {
		k.t.Fatal(err)
	}
	for command := range strings.Lines(string(commands)) {
		given := map[string][]string{} // By flag.
		words := strings.Fields(command)
		for i := range len(words) - 1 {
			given[words[i]] = append(given[words[i]], strings.Trim(words[i+1], `"`))
		}
		pattern := kadm.ACLPatternLiteral
		if len(given["--resource-pattern-type"]) > 0 {
			pattern = kadm.ACLPatternPrefixed
		}
		var operations []kadm.ACLOperation
		for _, name := range given["--operation"] {
			o, err := kmsg.ParseACLOperation(name)
			if err != nil {
				k.t.Fatal(err)
			}
			operations = append(operations, o)
		}
		acl := kadm.NewACLs().MaybeTopics(given["--topic"]...).MaybeGroups(given["--group"]...).MaybeAllow(given["--allow-principal"]...)
		created, err := adminOf(k.t, k.Brokers()).CreateACLs(k.t.Context(), acl.ResourcePatternType(pattern).Operations(operations...))
		if err != nil || len(created) == 0 {
			k.t.Fatalf("%s: %v, %v", command, created, err)
		}
		for _, c := range created {
			if c.Err != nil {
				k.t.Fatalf("%s: %v", command, c.Err)
			}
		}
	}
}

// tools are Kafka's own as functions of a shell.
func tools(t *testing.T, c *realkafka.Cluster) (script string) {
	for name, class := range map[string]string{
		"kafka-acls": "org.apache.kafka.tools.AclCommand", "kafka-configs": "kafka.admin.ConfigCommand",
		"kafka-consumer-groups": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", "kafka-topics": "org.apache.kafka.tools.TopicCommand",
	} {
		script += name + "() { '" + strings.Join(c.Tool(t.Context(), class).Args, "' '") + "' \"$@\"; }\n"
	}
	return script
}

// open starts a factory at the cluster with the login.
func (k *secured) open(l login, serve ...string) *factory {
	k.t.Helper()
	return opened(k.t, &factory{t: k.t, kafka: l.at, flags: l.flags, env: l.env, serve: serve})
}

// walk has an order go all the way, and returns its id.
func (f *factory) walk() (id string) {
	f.t.Helper()
	id = f.place()
	var o order
	for _, step := range steps {
		o = f.finish(step.verb, step.field, step.by, id)
	}
	if o.Status != "shipped" {
		f.t.Errorf("in the end the order is %+v", o)
	}
	return id
}

// An order goes all the way with each way to get in, with the ACLs that the
// program asks for, and every one of them is used.
func TestACLs(t *testing.T) {
	t.Parallel()
	k := securedKafka(t, "line", "kitchen", "front", "builder", "auditor")
	roles := map[string]string{"line": "processors,api", "builder": "setup", "kitchen": "processors", "front": "api", "auditor": "auditor"}
	for user, role := range roles {
		k.allow(user, "topics", "acls", "--roles", role)
	}
	if said, code := k.sasl("builder", "PLAIN").run(t, "topics", "apply"); code != 0 {
		t.Fatalf("topics apply: %s", said)
	}
	for _, l := range []login{k.sasl("line", "PLAIN"), k.sasl("line", "SCRAM-SHA-256"), k.sasl("line", "SCRAM-SHA-512"), k.cert("line")} {
		f := k.open(l.with([]string{"--log-level", "debug"}))
		f.walk()
		f.stop()
		if said := f.stderr.String(); said == "" || strings.Contains(said, password) {
			t.Errorf("it logs nothing, or its password, in\n%s", said)
		}
	}

	k.withoutOne(k.sasl("line", "PLAIN"))
	kitchen := k.open(k.sasl("kitchen", "SCRAM-SHA-256"), "--roles", "processors")
	front := k.open(k.cert("front"), "--roles", "api")
	front.walk()
	front.must(200, "POST", "/api/v1/order/reporterror", fmt.Sprintf(`{"Order":{"Id":%q},"Reason":"no eggs"}`, front.place()))
	screen := front.screen("mixers", "Ana")
	order := front.place()
	testkit.Eventually(t, "a screen of a group shows the order", func() bool { return screen.shown()[order] },
		func() any { return screen.shown() })
	screen.close()
	k.requeue(front)
	front.stop()
	kitchen.stop()
	if said, code := k.sasl("auditor", "PLAIN").run(t, "verify"); code != 0 {
		t.Errorf("verify: %s", said)
	}
	delete(roles, "line") // Which was denied what withoutOne had taken.
	for user, role := range roles {
		if denied := k.exactly(user, "topics", "acls", "--roles", role); len(denied) > 0 {
			t.Errorf("%s was denied %q", user, denied)
		}
	}
}

// withoutOne takes ACLs away from the user of a login, one at a time, and has the
// doctor say so and the command that it names give it back.
func (k *secured) withoutOne(line login) {
	k.t.Helper()
	admin := adminOf(k.t, k.Brokers())
	missing := func() []finding {
		return slices.DeleteFunc(examine(k.t, line), func(f finding) bool { return f.Check != "acls" })
	}
	for what, acl := range map[string]*kadm.ACLBuilder{
		"Write on topic readytobake":            kadm.NewACLs().Topics("readytobake").Operations(kadm.OpWrite),
		"Read on topic mixing-reports":          kadm.NewACLs().Topics("mixing-reports").Operations(kadm.OpRead),
		"DescribeConfigs on topic mixing-table": kadm.NewACLs().Topics("mixing-table").Operations(kadm.OpDescribeConfigs),
		"Read on group baking":                  kadm.NewACLs().Groups("baking").Operations(kadm.OpRead),
		"Read on group screens.":                kadm.NewACLs().Groups("screens.").Operations(kadm.OpRead).ResourcePatternType(kadm.ACLPatternPrefixed),
	} {
		if found := missing(); len(found) > 0 {
			k.t.Fatalf("with all ACLs the doctor finds %+v", found)
		}
		deleted, err := admin.DeleteACLs(k.t.Context(), acl.Allow("User:line").AllowHosts())
		if err != nil || len(deleted) != 1 || len(deleted[0].Deleted) != 1 {
			k.t.Fatalf("taking away %s: %+v, %v", what, deleted, err)
		}
		found := missing()
		if len(found) != 1 || !strings.Contains(found[0].What, "User:line lacks the ACLs "+what) {
			k.t.Fatalf("without %s the doctor finds %+v", what, found)
		}
		if !strings.Contains(what, "screens.") && !strings.Contains(what, "readytobake") {
			if _, err := admin.CreateACLs(k.t.Context(), acl); err != nil {
				k.t.Fatal(err)
			}
			continue
		}
		fix := strings.Replace(found[0].Fix, k.SASL, k.Brokers(), 1) // On the listener that allows everything.
		if out, err := shell(k.t.Context(), k.t, tools(k.t, k.Cluster)+fix).CombinedOutput(); err != nil {
			k.t.Fatalf("%s: %v\n%s", fix, err, out)
		}
	}
	if found := missing(); len(found) > 0 {
		k.t.Errorf("in the end the doctor finds %+v", found)
	}
}

// requeue has rubbish come to all inputs that is longer than what a dead letter
// keeps, and sends it there once more.
func (k *secured) requeue(f *factory) {
	k.t.Helper()
	var records []*kgo.Record
	for _, topic := range inputs() {
		records = append(records, &kgo.Record{Topic: topic, Partition: partitionOf([]byte("x")), Key: []byte("x"), Value: make([]byte, 300<<10)})
	}
	produce(k.t, k.Brokers(), records)
	letters := func() (all []string) {
		var list struct{ DeadLetters []struct{ ID string } }
		f.must(200, "GET", "/api/v1/deadletters", "").decode(k.t, &list)
		for _, l := range list.DeadLetters {
			all = append(all, l.ID)
		}
		return all
	}
	count := func() any { return fmt.Sprintf("%d of %d", len(letters()), len(records)) }
	testkit.Eventually(k.t, "every bad message is a dead letter", func() bool { return len(letters()) == len(records) }, count)
	for _, id := range letters() {
		f.must(200, "POST", "/api/v1/deadletters/"+id+"/requeue", `{"by":"Eva"}`)
	}
	testkit.Eventually(k.t, "every bad message is a dead letter again", func() bool { return len(letters()) == len(records) }, count)
}

// exactly compares what the authorizer has had to allow a user with what a
// command of the program says, and returns what it did not allow.
func (k *secured) exactly(user string, command ...string) (denied []string) {
	k.t.Helper()
	said, err := k.Authorized()
	if err != nil {
		k.t.Fatal(err)
	}
	used := map[string]bool{}
	for _, m := range authorized.FindAllStringSubmatch(said, -1) {
		if m[1] != user {
			continue
		}
		what := strings.ToLower(m[4]) + " " + m[5] + " " + strings.ReplaceAll(strings.ToLower(m[3]), "_", "")
		if m[2] == "Denied" && !used[what] {
			denied = append(denied, what)
		}
		used[what] = true
	}
	table, err := exec.Command(binary, append(command, "--table")...).Output()
	if err != nil {
		k.t.Fatal(err)
	}
	for line := range strings.Lines(string(table)) {
		columns := regexp.MustCompile(" {2,}").Split(strings.TrimSpace(line), -1)
		for operation := range strings.SplitSeq(columns[2], ", ") {
			want := columns[0] + " " + strings.Replace(columns[1], "screens.*", "screens.orderrequests.mixers", 1) + " " + strings.ToLower(operation)
			if !used[want] {
				k.t.Errorf("%s never needed %s", user, want)
			}
		}
	}
	return denied
}

// docs/acls.md shows what the program prints.
func TestACLsPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/acls.md")
	if err != nil {
		t.Fatal(err)
	}
	commands, err := blocks(bytes.NewReader(page), "sh")
	if err != nil {
		t.Fatal(err)
	}
	outputs, err := blocks(bytes.NewReader(page), "text")
	if err != nil {
		t.Fatal(err)
	}
	if len(commands) != len(outputs) || len(commands) == 0 {
		t.Fatalf("docs/acls.md has %d commands and %d outputs", len(commands), len(outputs))
	}
	for i, c := range commands {
		if out, err := shell(t.Context(), t, c.text).CombinedOutput(); err != nil || string(out) != outputs[i].text {
			t.Errorf("docs/acls.md:%d prints, %v\n%s", c.line, err, out)
		}
	}
}

// authorized is what the authorizer writes, such as "Principal = User:front is
// Allowed operation = READ from host = 127.0.0.1 on resource =
// Topic:LITERAL:shipped for request = …".
var authorized = regexp.MustCompile(`Principal = User:(\w+) is (Allowed|Denied) operation = (\w+) from host = \S+ on resource = (\w+):LITERAL:(\S+) `)
