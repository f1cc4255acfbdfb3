// Package topology is the line as data: its stages, and the topics, tables,
// groups, routes and hub events that follow from them. Everything that the
// program does for a stage derives from its entry here.
//
// It never knows how a topic is read nor how a route is served.
package topology

import (
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/ecupcakes/ecupcakes/order"
)

// Stage is one station of the line.
type Stage struct {
	Name  string       // "mixing": group, table, labels.
	Role  string       // "mixer": who works there.
	Verb  string       // "mix": the route of the command that finishes an order here.
	Label string       // "MIX": what the button says.
	Page  string       // "mixer": the page of the web client.
	Input string       // "orderrequests": the topic from which orders come.
	Event string       // "InformNewOrderToMix": the hub's event for an arrival.
	Done  order.Status // "mixed": the status of an order that is finished here.
	Age   Age          // From when on an order waits too long here.
}

// Age says how long an order may wait at a station. Warn is less than Late.
type Age struct {
	Warn time.Duration // From then on somebody should hurry.
	Late time.Duration // From then on it is late.
}

// usual is what common kitchen displays begin with.
var usual = Age{5 * time.Minute, 8 * time.Minute}

func (a Age) valid() bool {
	return a.Warn >= time.Second && a.Warn < a.Late && a.Warn%time.Second == 0 && a.Late%time.Second == 0
}

// Reports is the topic of what the stage's people report.
func (s Stage) Reports() string { return s.Name + "-reports" }

// Group is the consumer group of the stage's processor.
func (s Stage) Group() string { return s.Name }

// Table is the topic of the stage's group table: goka names it so.
func (s Stage) Table() string { return s.Name + "-table" }

// By is the name of the field that names who finished an order: "MixedBy".
func (s Stage) By() string { return title(string(s.Done)) + "By" }

// On is the name of the field that says when: "MixedOn".
func (s Stage) On() string { return title(string(s.Done)) + "On" }

func title(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// Line is a whole line. The output of a stage is the input of the next one.
type Line struct {
	Stages      []Stage
	Output      string // The topic of the last stage's output.
	Failures    string // The topic of rejected orders.
	DeadLetters string // The topic of messages that mean nothing to the line.
	Ingredients string // The topic on which Kafka Connect tells of the inventory; no order passes through it. Empty for none.
}

// Cupcakes is the factory's line.
var Cupcakes = Line{
	Stages: []Stage{
		{
			Name:  "mixing",
			Role:  "mixer",
			Verb:  "mix",
			Label: "MIX",
			Page:  "mixer",
			Input: "orderrequests",
			Event: "InformNewOrderToMix",
			Done:  "mixed",
			Age:   usual,
		},
		{
			Name:  "baking",
			Role:  "baker",
			Verb:  "bake",
			Label: "BAKE",
			Page:  "baker",
			Input: "readytobake",
			Event: "InformNewOrderToBake",
			Done:  "baked",
			Age:   usual,
		},
		{
			Name:  "decorating",
			Role:  "decorator",
			Verb:  "decorate",
			Label: "DECORATE",
			Page:  "decorator",
			Input: "readytodecorate",
			Event: "InformNewOrderToDecorate",
			Done:  "decorated",
			Age:   usual,
		},
		{
			Name:  "packaging",
			Role:  "packer",
			Verb:  "box",
			Label: "PACKAGE",
			Page:  "packaging",
			Input: "readytopackage",
			Event: "InformNewOrderToPackage",
			Done:  "packaged",
			Age:   usual,
		},
		{
			Name:  "shipping",
			Role:  "shipper",
			Verb:  "ship",
			Label: "SHIP",
			Page:  "shipping",
			Input: "readytoship",
			Event: "InformNewOrderToShip",
			Done:  "shipped",
			Age:   usual,
		},
	},
	Output:      "shipped",
	Failures:    "orderfailures",
	DeadLetters: "deadletters",
	Ingredients: "rawmaterial.inventory.ingredients",
}

// WithAges is the line with other ages at the named stages. An age is written
// as "5m/8m": when to warn and when an order is late.
func (l Line) WithAges(ages map[string]string) (Line, error) {
	l.Stages = slices.Clone(l.Stages)
	for name, text := range ages {
		i := l.Index(name)
		if i < 0 {
			return l, fmt.Errorf("there is no stage %.80q: the line has %s", name, strings.Join(l.Names(), ", "))
		}
		warn, late, _ := strings.Cut(text, "/")
		age, errs := Age{}, [2]error{}
		age.Warn, errs[0] = time.ParseDuration(warn)
		age.Late, errs[1] = time.ParseDuration(late)
		if errs[0] != nil || errs[1] != nil || !age.valid() {
			return l, fmt.Errorf("%.80q is no age for %s: give from when on to warn and from when on it is late, in whole seconds, the first less than the second, as in 5m/8m", text, name)
		}
		l.Stages[i].Age = age
	}
	return l, nil
}

// NextTopic is the topic to which stage i passes its orders on.
func (l Line) NextTopic(i int) string {
	if i+1 < len(l.Stages) {
		return l.Stages[i+1].Input
	}
	return l.Output
}

// Expects is the status of an order that arrives at stage i.
func (l Line) Expects(i int) order.Status {
	if i == 0 {
		return order.StatusPlaced
	}
	return l.Stages[i-1].Done
}

// DecisionStage is what order.Next needs to know of stage i.
func (l Line) DecisionStage(i int) order.Stage {
	return order.Stage{Name: l.Stages[i].Name, Expects: l.Expects(i), Done: l.Stages[i].Done}
}

// Statuses are all that an order can have, in the order in which it comes to
// them, and Rejected.
func (l Line) Statuses() []order.Status {
	statuses := []order.Status{order.StatusPlaced}
	for _, s := range l.Stages {
		statuses = append(statuses, s.Done)
	}
	return append(statuses, order.StatusRejected)
}

// Index is the place of the named stage in the line, -1 if there is none.
func (l Line) Index(name string) int {
	for i, s := range l.Stages {
		if s.Name == name {
			return i
		}
	}
	return -1
}

// StageOf is the index of the stage whose input is the topic, -1 if there is none.
func (l Line) StageOf(topic string) int {
	return slices.IndexFunc(l.Stages, func(s Stage) bool { return s.Input == topic })
}

// Names are the names of the stages, in the order of the line.
func (l Line) Names() []string {
	names := make([]string, len(l.Stages))
	for i, s := range l.Stages {
		names[i] = s.Name
	}
	return names
}

// Kind says how a topic is kept.
type Kind int

// The kinds of topics.
const (
	Stream Kind = iota // Events, kept for a time.
	Table              // The changelog of a group table: compacted, kept for ever.
)

// Topics are all topics that orders pass through, in the order in which an order meets them,
// with their kind.
func (l Line) Topics() iter.Seq2[string, Kind] {
	return func(yield func(string, Kind) bool) {
		for _, s := range l.Stages {
			if !yield(s.Input, Stream) || !yield(s.Reports(), Stream) || !yield(s.Table(), Table) {
				return
			}
		}
		_ = yield(l.Output, Stream) && yield(l.Failures, Stream) && yield(l.DeadLetters, Stream)
	}
}

// OrderTopics are the topics that have each order as it came to a stage, or as it was
// rejected: what is copied to where people keep their records.
func (l Line) OrderTopics() []string {
	topics := make([]string, 0, len(l.Stages)+1)
	for _, s := range l.Stages {
		topics = append(topics, s.Input)
	}
	return append(topics, l.Failures)
}

// Validate returns why the line cannot run: a name that is missing or stands
// for two things.
func (l Line) Validate() error {
	if len(l.Stages) == 0 {
		return fmt.Errorf("the line has no stage")
	}
	seen := map[string]string{}
	unique := func(what, name string) error {
		if name == "" {
			return fmt.Errorf("a stage of the line has no %s", what)
		}
		if _, twice := seen[what+name]; twice {
			return fmt.Errorf("the line has the %s %q twice", what, name)
		}
		seen[what+name] = name
		return nil
	}
	for topic := range l.Topics() {
		if err := unique("topic", topic); err != nil {
			return err
		}
	}
	if l.Ingredients != "" {
		if err := unique("topic", l.Ingredients); err != nil {
			return err
		}
	}
	for _, s := range l.Stages {
		for _, n := range [][2]string{{"stage", s.Name}, {"verb", s.Verb}, {"page", s.Page}, {"event", s.Event}, {"status", string(s.Done)}, {"role", s.Role}} {
			if err := unique(n[0], n[1]); err != nil {
				return err
			}
		}
	}
	for _, s := range l.Stages {
		if !s.Age.valid() {
			return fmt.Errorf("at the stage %q orders warn after %s and are late after %s: both must be whole seconds, and the first less than the second", s.Name, s.Age.Warn, s.Age.Late)
		}
	}
	for _, reserved := range []order.Status{order.StatusPlaced, order.StatusRejected} {
		if _, used := seen["status"+string(reserved)]; used {
			return fmt.Errorf("the status %q belongs to no stage", reserved)
		}
	}
	return nil
}
