package topology

import (
	"fmt"
	"strings"
)

// edge is an arrow of the line's graph. Its ends are topics and consumer groups.
type edge struct{ from, to string }

func (l Line) edges() (edges []edge) {
	for i, s := range l.Stages {
		edges = append(edges, edge{s.Input, s.Group()}, edge{s.Reports(), s.Group()}, edge{s.Group(), s.Table()},
			edge{s.Group(), l.NextTopic(i)}, edge{s.Group(), l.Failures}, edge{s.Group(), l.DeadLetters})
	}
	return edges
}

// Text returns the line as text for a terminal, one stage per line.
func (l Line) Text() string {
	var b strings.Builder
	for i, s := range l.Stages {
		fmt.Fprintf(&b, "%-11s %-16s → %-16s table %-17s reports %-19s POST /order/%-9s %s\n",
			s.Name, s.Input, l.NextTopic(i), s.Table(), s.Reports(), s.Verb, s.Event)
	}
	fmt.Fprintf(&b, "rejected orders: %s   dead letters: %s\n", l.Failures, l.DeadLetters)
	return b.String()
}

// Mermaid returns the line as a Mermaid flow chart for Markdown pages. It omits the dead letters,
// because every stage has them.
func (l Line) Mermaid() string {
	var b strings.Builder
	b.WriteString("flowchart LR\n")
	for i, s := range l.Stages {
		fmt.Fprintf(&b, "  %s([%s]) --> %s[%s] --> %s([%s])\n", s.Input, s.Input, s.Group(), s.Role, l.NextTopic(i), l.NextTopic(i))
		fmt.Fprintf(&b, "  %s([%s]) -.-> %s\n", s.Reports(), s.Reports(), s.Group())
		fmt.Fprintf(&b, "  %s --- %s[(%s)]\n", s.Group(), s.Table(), s.Table())
		fmt.Fprintf(&b, "  %s -- REJECT --> %s([%s])\n", s.Group(), l.Failures, l.Failures)
	}
	return b.String()
}

// DOT returns the line as a Graphviz graph with every topic.
func (l Line) DOT() string {
	var b strings.Builder
	b.WriteString("digraph line {\n  rankdir=LR;\n")
	for topic, kind := range l.Topics() {
		shape := "box"
		if kind == Table {
			shape = "cylinder"
		}
		fmt.Fprintf(&b, "  %q [shape=%s];\n", topic, shape)
	}
	for _, s := range l.Stages {
		fmt.Fprintf(&b, "  %q [shape=ellipse, label=%q];\n", s.Group(), s.Role)
	}
	for _, e := range l.edges() {
		fmt.Fprintf(&b, "  %q -> %q;\n", e.from, e.to)
	}
	b.WriteString("}\n")
	return b.String()
}
