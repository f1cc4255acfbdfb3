package test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// recipes returns the blocks of docs/kcat.md with a fence. There must be one.
func recipes(t *testing.T, fence string) []block {
	t.Helper()
	page, err := os.Open("../docs/kcat.md")
	if err != nil {
		t.Fatal(err)
	}
	defer page.Close()
	found, err := blocks(page, fence)
	if err != nil || len(found) == 0 {
		t.Fatalf("docs/kcat.md has no block with the fence %q, %v", fence, err)
	}
	return found
}

// TestKcatPage runs the recipes in one shell, as a reader would, and each must
// show what its text says.
func TestKcatPage(t *testing.T) { everyBroker(t, kcatPage) }

func kcatPage(t *testing.T, f *factory) {
	shipped, rejected := f.walk(), f.place()
	f.must(200, "POST", "/api/v1/order/reporterror", fmt.Sprintf(`{"Order":{"Id":%q},"Reason":"no eggs"}`, rejected))
	produce(t, f.kafka, []*kgo.Record{{Topic: "orderrequests", Partition: partitionOf([]byte("x")), Key: []byte("x"), Value: []byte("rubbish")}})
	f.eventually("the rubbish is a dead letter", func() bool { return len(f.read("deadletters")) == 1 })
	// In the order of the page: what each recipe has to show.
	wants := [][]string{
		{`topic "orderrequests" with 8 partitions`, `topic "mixing-table" with 8 partitions`, `topic "deadletters"`},
		{shipped, rejected, "Strawberry"},
		{shipped},
		{shipped, `"flavour":"Strawberry"`},
		{shipped, "Ana"},
		{" orderrequests {", " mixing-reports {", " readytobake {", " baking-reports {", " readytoship {", " shipped {"},
		{shipped, `"state":"done"`},
		{`1 "state":"done"`, `1 "state":"rejected"`},
		{rejected, "no eggs"},
		{"reason=", "topic=orderrequests", "rubbish"},
		{"orderrequests [0] offset ", "orderrequests [1] offset "},
		{"orderrequests[", shipped},
	}
	const mark = "docs/kcat.md:"
	var script strings.Builder
	all := recipes(t, "sh kcat")
	for _, b := range all {
		fmt.Fprintf(&script, "echo '%s%d'\n%s", mark, b.line, strings.ReplaceAll(b.text, "127.0.0.1:9092", f.kafka))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*deadline)
	defer cancel()
	out, err := shell(ctx, t, script.String()).CombinedOutput()
	if err != nil {
		t.Fatalf("%v; the last recipe is the one that failed:\n%s", err, out)
	}
	shown := strings.Split(string(out), mark)[1:]
	if len(shown) != len(all) || len(all) != len(wants) {
		t.Fatalf("%d recipes show %d things, and %d are expected:\n%s", len(all), len(shown), len(wants), out)
	}
	for i, s := range shown {
		for _, want := range wants[i] {
			if !strings.Contains(s, want) {
				t.Errorf("%q is missing in what this shows:\n%s%s", want, mark, s)
			}
		}
	}
	if way := strings.Split(strings.TrimSpace(shown[5]), "\n")[1:]; len(way) != 11 || !slices.IsSorted(way) {
		t.Errorf("the way of an order that was shipped has 11 events in their order; it is\n%s", shown[5])
	}
	f.stop()
}

// The recipes for clusters with users, and of Kafka's own tools.
func TestKcatSecured(t *testing.T) {
	t.Parallel()
	k := securedKafka(t, "line")
	k.allow("line", "topics", "acls", "--roles", "processors,api,setup")
	l := k.sasl("line", "PLAIN")
	f := k.open(l)
	id := f.walk()
	cert := k.cert("line")
	for fence, env := range map[string][]string{
		"sh secured":     append(l.env, "ENV_KAFKA_CLUSTER="+k.SASL, "ECUPCAKES_KAFKA_CA="+k.CA),
		"sh certificate": {"ENV_KAFKA_CLUSTER=" + k.MTLS, "ECUPCAKES_KAFKA_CA=" + k.CA, "ECUPCAKES_KAFKA_CERT=" + cert.flags[3], "ECUPCAKES_KAFKA_KEY=" + cert.flags[5]},
		"sh tools":       nil,
	} {
		for _, b := range recipes(t, fence) {
			ctx, cancel := context.WithTimeout(t.Context(), deadline)
			defer cancel()
			cmd := shell(ctx, t, tools(t, k.Cluster)+strings.ReplaceAll(b.text, "127.0.0.1:9092", k.Brokers()))
			cmd.Env = append(os.Environ(), env...)
			want := id
			if fence == "sh tools" {
				want = "mixing          orderrequests"
			}
			if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), want) {
				t.Errorf("docs/kcat.md:%d: %v\n%s", b.line, err, out)
			}
		}
	}
	f.stop()
}
