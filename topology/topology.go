// Package topology declares the line as data: its stages, and the topics, tables, consumer groups,
// routes and hub events that derive from them. To add a stage, add its entry to Cupcakes.
//
// The package imports no client of Kafka or HTTP.
package topology

import (
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/ecupcakes/ecupcakes/order"
)

// Stage is one step of the line: a goka processor, its topics, and the people who work there.
type Stage struct {
	Name  string       // Name of the consumer group, of the table and in labels: "mixing".
	Role  string       // Role of the people who work at the stage: "mixer".
	Verb  string       // Route of the command that completes an order: "mix".
	Label string       // Text of the button: "MIX".
	Page  string       // Page of the web client: "mixer".
	Input string       // Topic of the orders that come to the stage: "orderrequests".
	Event string       // Hub event for an arrival: "InformNewOrderToMix".
	Done  order.Status // Status of an order that the stage has completed: "mixed".
	Age   Age          // Waiting times at which an order becomes urgent.
}

// Age holds the waiting times at a stage from which an order is urgent. Both are whole seconds, and
// Warn is less than Late.
type Age struct {
	Warn time.Duration // Waiting time from which an order should be hurried.
	Late time.Duration // Waiting time from which an order is late.
}

// usual holds the default times of common kitchen displays.
var usual = Age{Warn: 5 * time.Minute, Late: 8 * time.Minute}

func (a Age) valid() bool {
	return a.Warn >= time.Second && a.Warn < a.Late && a.Warn%time.Second == 0 && a.Late%time.Second == 0
}

// Reports returns the topic of the reports about the stage's orders.
func (s Stage) Reports() string { return s.Name + "-reports" }

// Group returns the consumer group of the stage's processor.
func (s Stage) Group() string { return s.Name }

// Table returns the topic of the stage's group table, its changelog. goka prescribes the name.
func (s Stage) Table() string { return s.Name + "-table" }

// By returns the name of the field for the person who completed an order: "MixedBy".
func (s Stage) By() string { return title(string(s.Done)) + "By" }

// On returns the name of the field for the time at which an order was completed: "MixedOn".
func (s Stage) On() string { return title(string(s.Done)) + "On" }

func title(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// Line is a sequence of stages. The output of a stage is the input of the next one.
type Line struct {
	Stages      []Stage
	Output      string // Output topic of the last stage.
	Failures    string // Topic of rejected orders.
	DeadLetters string // Topic of messages that cannot be decoded or do not belong on their topic.

	// Ingredients is the topic to which Kafka Connect writes the changes of the inventory, or ""
	// for a line without inventory. No order passes through it.
	Ingredients string
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

// WithAges returns a copy of the line with other ages at the named stages. An age has the form
// "WARN/LATE", as in "5m/8m".
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
			return l, fmt.Errorf("invalid age %.80q for %s: use WARN/LATE in whole seconds with WARN less than LATE, as in 5m/8m", text, name)
		}
		l.Stages[i].Age = age
	}
	return l, nil
}

// NextTopic returns the topic to which stage i passes its orders on.
func (l Line) NextTopic(i int) string {
	if i+1 < len(l.Stages) {
		return l.Stages[i+1].Input
	}
	return l.Output
}

// Expects returns the status of an order when it arrives at stage i.
func (l Line) Expects(i int) order.Status {
	if i == 0 {
		return order.StatusPlaced
	}
	return l.Stages[i-1].Done
}

// DecisionStage returns stage i in the form that order.Next takes.
func (l Line) DecisionStage(i int) order.Stage {
	return order.Stage{Name: l.Stages[i].Name, Expects: l.Expects(i), Done: l.Stages[i].Done}
}

// Statuses returns every status that an order can have: those of an order that passes the whole
// line, in that order, then order.StatusRejected.
func (l Line) Statuses() []order.Status {
	statuses := []order.Status{order.StatusPlaced}
	for _, s := range l.Stages {
		statuses = append(statuses, s.Done)
	}
	return append(statuses, order.StatusRejected)
}

// Index returns the index of the named stage, or -1 if the line has none of that name.
func (l Line) Index(name string) int {
	for i, s := range l.Stages {
		if s.Name == name {
			return i
		}
	}
	return -1
}

// StageOf returns the index of the stage whose input is the topic, or -1 if the line has none.
func (l Line) StageOf(topic string) int {
	return slices.IndexFunc(l.Stages, func(s Stage) bool { return s.Input == topic })
}

// Names returns the names of the stages, in the order of the line.
func (l Line) Names() []string {
	names := make([]string, len(l.Stages))
	for i, s := range l.Stages {
		names[i] = s.Name
	}
	return names
}

// Kind is the cleanup policy of a topic.
type Kind int

const (
	Stream Kind = iota // A topic of events, deleted after the retention time.
	Table              // The changelog of a group table, compacted and never deleted.
)

// Topics returns all topics that orders pass through with their kinds, in the order in which an
// order reaches them.
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

// OrderTopics returns the topics that hold each order as it arrived at a stage or as it was
// rejected. They are the ones to archive.
func (l Line) OrderTopics() []string {
	topics := make([]string, 0, len(l.Stages)+1)
	for _, s := range l.Stages {
		topics = append(topics, s.Input)
	}
	return append(topics, l.Failures)
}

// Validate returns an error if the line cannot run: a name is missing, used twice or reserved, or
// an age is invalid.
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
		for _, n := range [][2]string{
			{"stage", s.Name},
			{"verb", s.Verb},
			{"page", s.Page},
			{"event", s.Event},
			{"status", string(s.Done)},
			{"role", s.Role},
		} {
			if err := unique(n[0], n[1]); err != nil {
				return err
			}
		}
	}
	for _, s := range l.Stages {
		if !s.Age.valid() {
			return fmt.Errorf("the age of stage %q is %s/%s: both times must be whole seconds, and the first less than the second",
				s.Name, s.Age.Warn, s.Age.Late)
		}
	}
	for _, reserved := range []order.Status{order.StatusPlaced, order.StatusRejected} {
		if _, used := seen["status"+string(reserved)]; used {
			return fmt.Errorf("the status %q is reserved: give the stage another one", reserved)
		}
	}
	return nil
}
