package topology

import (
	"flag"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ecupcakes/ecupcakes/order"
)

func TestValidateFindsInvalidLines(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Line)
		want   string // Part of the error; empty if no error is expected.
	}{
		{"the factory's line", func(*Line) {}, ""},
		{"one stage", func(l *Line) { l.Stages = l.Stages[:1] }, ""},
		{"one more stage", func(l *Line) {
			l.Stages = append(l.Stages, Stage{
				Name: "eating", Role: "eater", Verb: "eat", Label: "EAT", Page: "eater", Input: "readytoeat",
				Event: "InformNewOrderToEat", Done: "eaten", Age: usual,
			})
		}, ""},
		{"no stage", func(l *Line) { l.Stages = nil }, "no stage"},
		{"no name", func(l *Line) { l.Stages[1].Name = "" }, "no stage"},
		{"no role", func(l *Line) { l.Stages[1].Role = "" }, "no role"},
		{"no verb", func(l *Line) { l.Stages[1].Verb = "" }, "no verb"},
		{"no page", func(l *Line) { l.Stages[1].Page = "" }, "no page"},
		{"no input", func(l *Line) { l.Stages[1].Input = "" }, "no topic"},
		{"no event", func(l *Line) { l.Stages[1].Event = "" }, "no event"},
		{"no status", func(l *Line) { l.Stages[1].Done = "" }, "no status"},
		{"no ages", func(l *Line) { l.Stages[1].Age = Age{} }, "is 0s/0s"},
		{"no output", func(l *Line) { l.Output = "" }, "no topic"},
		{"no failures", func(l *Line) { l.Failures = "" }, "no topic"},
		{"no dead letters", func(l *Line) { l.DeadLetters = "" }, "no topic"},
		{"a name twice", func(l *Line) { l.Stages[1].Name = "mixing" }, `"mixing-reports" twice`},
		{"a role twice", func(l *Line) { l.Stages[1].Role = "mixer" }, `role "mixer" twice`},
		{"a verb twice", func(l *Line) { l.Stages[1].Verb = "mix" }, `verb "mix" twice`},
		{"a page twice", func(l *Line) { l.Stages[1].Page = "mixer" }, `page "mixer" twice`},
		{"an input twice", func(l *Line) { l.Stages[1].Input = "orderrequests" }, `topic "orderrequests" twice`},
		{"an event twice", func(l *Line) { l.Stages[1].Event = "InformNewOrderToMix" }, `event "InformNewOrderToMix" twice`},
		{"a status twice", func(l *Line) { l.Stages[1].Done = "mixed" }, `status "mixed" twice`},
		{"a loop", func(l *Line) { l.Output = "orderrequests" }, `topic "orderrequests" twice`},
		{"an input that is a table", func(l *Line) { l.Stages[1].Input = "mixing-table" }, `topic "mixing-table" twice`},
		{"failures to the output", func(l *Line) { l.Failures = l.Output }, "twice"},
		{"placed by a stage", func(l *Line) { l.Stages[1].Done = order.StatusPlaced }, `"placed" is reserved`},
		{"rejected by a stage", func(l *Line) { l.Stages[1].Done = order.StatusRejected }, `"rejected" is reserved`},
	} {
		line := Cupcakes
		line.Stages = slices.Clone(line.Stages)
		c.change(&line)
		err := line.Validate()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", c.name, err, c.want)
		}
	}
}

// Clients, dashboards and consumers of the topics rely on these names.
func TestStagesKeepTheirNames(t *testing.T) {
	for i, want := range []struct {
		name, input, reports, group, table, next, by, on string
		expects                                          order.Status
	}{
		{"mixing", "orderrequests", "mixing-reports", "mixing", "mixing-table", "readytobake", "MixedBy", "MixedOn", "placed"},
		{"baking", "readytobake", "baking-reports", "baking", "baking-table", "readytodecorate", "BakedBy", "BakedOn", "mixed"},
		{"decorating", "readytodecorate", "decorating-reports", "decorating", "decorating-table", "readytopackage", "DecoratedBy", "DecoratedOn", "baked"},
		{"packaging", "readytopackage", "packaging-reports", "packaging", "packaging-table", "readytoship", "PackagedBy", "PackagedOn", "decorated"},
		{"shipping", "readytoship", "shipping-reports", "shipping", "shipping-table", "shipped", "ShippedBy", "ShippedOn", "packaged"},
	} {
		s, got := Cupcakes.Stages[i], want
		got.name, got.input, got.reports, got.group, got.table = s.Name, s.Input, s.Reports(), s.Group(), s.Table()
		got.next, got.by, got.on, got.expects = Cupcakes.NextTopic(i), s.By(), s.On(), Cupcakes.Expects(i)
		if got != want {
			t.Errorf("stage %d has %+v, want %+v", i, got, want)
		}
		if Cupcakes.Index(want.name) != i || Cupcakes.Names()[i] != want.name {
			t.Errorf("%s is stage %d, want %d of %q", want.name, Cupcakes.Index(want.name), i, Cupcakes.Names())
		}
	}
	if i := Cupcakes.Index("eating"); i != -1 {
		t.Errorf("an unknown stage has the index %d", i)
	}
}

func TestEachStageConsumesTheOutputOfTheOneBefore(t *testing.T) {
	l := Cupcakes
	for i, s := range l.Stages {
		d := l.DecisionStage(i)
		if want := (order.Stage{Name: s.Name, Expects: l.Expects(i), Done: s.Done}); d != want {
			t.Errorf("the decision stage of %s is %+v, want %+v", s.Name, d, want)
		}
		if i+1 == len(l.Stages) {
			if l.NextTopic(i) != l.Output {
				t.Errorf("the last stage passes on to %s, the line's output is %s", l.NextTopic(i), l.Output)
			}
			continue
		}
		if next := l.Stages[i+1]; l.NextTopic(i) != next.Input || l.DecisionStage(i+1).Expects != s.Done {
			t.Errorf("%s passes %s orders on to %s; %s expects %s orders from %s",
				s.Name, s.Done, l.NextTopic(i), next.Name, l.DecisionStage(i+1).Expects, next.Input)
		}
	}
}

func TestTopicsAreThoseOfTheGraph(t *testing.T) {
	topics := maps.Collect(Cupcakes.Topics())
	if want := 3*len(Cupcakes.Stages) + 3; len(topics) != want {
		t.Errorf("the line has %d topics, want %d", len(topics), want)
	}
	nodes := map[string]bool{}
	for _, e := range Cupcakes.edges() {
		nodes[e.from], nodes[e.to] = true, true
	}
	legal := regexp.MustCompile(`^[a-z0-9-]{1,249}$`)
	for topic, kind := range topics {
		if !legal.MatchString(topic) {
			t.Errorf("%q is not a legal topic name", topic)
		}
		if !nodes[topic] {
			t.Errorf("nothing reads or writes %s", topic)
		}
		if isTable := strings.HasSuffix(topic, "-table"); isTable != (kind == Table) {
			t.Errorf("%s has the kind %d", topic, kind)
		}
	}
	for node := range nodes {
		if _, isTopic := topics[node]; !isTopic && Cupcakes.Index(node) < 0 {
			t.Errorf("the graph has %s, which is neither a topic nor a group", node)
		}
	}
	for first := range Cupcakes.Topics() { // Breaking off the iteration must be possible.
		if first != "orderrequests" {
			t.Errorf("the first topic is %s", first)
		}
		break
	}
}

func TestDOTHasEveryTopicAndArrow(t *testing.T) {
	dot := Cupcakes.DOT()
	for topic := range Cupcakes.Topics() {
		if !strings.Contains(dot, `"`+topic+`" [shape=`) {
			t.Errorf("the graph does not declare %s", topic)
		}
	}
	for _, e := range Cupcakes.edges() {
		if !strings.Contains(dot, `"`+e.from+`" -> "`+e.to+`";`) {
			t.Errorf("the graph has no arrow from %s to %s", e.from, e.to)
		}
	}
}

var update = flag.Bool("update", false, "write the golden files")

func TestGraphsMatchGoldenFiles(t *testing.T) {
	for name, got := range map[string]string{"line.txt": Cupcakes.Text(), "line.mmd": Cupcakes.Mermaid(), "line.dot": Cupcakes.DOT()} {
		path := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s is\n%s\nwant\n%s\nIf the change is intended, run: go test ./topology -update", name, got, want)
		}
	}
}

func TestWithAgesParsesWarnAndLate(t *testing.T) {
	for text, want := range map[string]Age{
		"5m/8m": {5 * time.Minute, 8 * time.Minute}, "1s/1h30m": {time.Second, 90 * time.Minute},
		"": {}, "5m": {}, "5m/": {}, "/8m": {}, "8m/5m": {}, "5m/5m": {}, "0s/1s": {}, "-1s/1s": {}, "1.5s/2s": {}, "1s/1500ms": {}, "5/8": {}, "5m/8m/9m": {}, "5m 8m": {},
	} {
		l, err := Cupcakes.WithAges(map[string]string{"baking": text})
		if want == (Age{}) {
			if err == nil || !strings.Contains(err.Error(), "5m/8m") {
				t.Errorf("the age %q gives %v, %v", text, l.Stages[1].Age, err)
			}
			continue
		}
		if err != nil || l.Stages[1].Age != want || l.Stages[0].Age != usual || Cupcakes.Stages[1].Age != usual {
			t.Errorf("with the age %q the line is %+v, %v", text, l.Stages, err)
		}
	}
	if _, err := Cupcakes.WithAges(map[string]string{"backing": "5m/8m"}); err == nil || !strings.Contains(err.Error(), "mixing, baking") {
		t.Errorf("an age for an unknown stage: error %v", err)
	}
}
