package kafka

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/ecupcakes/ecupcakes/topology"

	"github.com/twmb/franz-go/pkg/kadm"
)

// Role is what a user of the cluster is there for.
type Role string

// The roles.
const (
	Processors Role = "processors" // `serve --roles processors`.
	API        Role = "api"        // `serve --roles api`.
	Setup      Role = "setup"      // `topics apply`, and a first start that creates the topics.
	Auditor    Role = "auditor"    // `verify`.
)

// Roles are all of them.
var Roles = []Role{Processors, API, Setup, Auditor}

// screenGroups is how the names of the consumer groups of screens begin.
const screenGroups = "screens."

// ACL is one thing that a user has to be allowed to do.
type ACL struct {
	Resource  string // "topic" or "group".
	Name      string
	Prefix    bool // All of that kind whose names begin so.
	Operation kadm.ACLOperation
}

// String is for a person: "Read on topic shipped".
func (a ACL) String() string {
	if a.Prefix {
		return fmt.Sprintf("%s on %ss %s*", camel(a.Operation), a.Resource, a.Name)
	}
	return fmt.Sprintf("%s on %s %s", camel(a.Operation), a.Resource, a.Name)
}

// camel is how kafka-acls writes an operation.
func camel(o kadm.ACLOperation) string {
	var b strings.Builder
	for word := range strings.SplitSeq(o.String(), "_") {
		b.WriteString(word[:1] + strings.ToLower(word[1:]))
	}
	return b.String()
}

// OnTopic are the ACLs for operations on a topic.
func OnTopic(name string, operations ...kadm.ACLOperation) (all []ACL) {
	for _, o := range operations {
		all = append(all, ACL{"topic", name, false, o})
	}
	return all
}

// OnGroup is the ACL for an operation on a consumer group.
func OnGroup(name string, o kadm.ACLOperation) ACL { return ACL{"group", name, false, o} }

// ACLs are what a user needs for the roles, as Least has them.
func ACLs(line topology.Line, roles ...Role) []ACL {
	var all []ACL
	topic := func(name string, operations ...kadm.ACLOperation) { all = append(all, OnTopic(name, operations...)...) }
	group := func(name string, o kadm.ACLOperation) { all = append(all, OnGroup(name, o)) }
	for _, role := range roles {
		for name := range line.Topics() {
			switch role {
			case Auditor:
				topic(name, kadm.OpRead)
			case Setup:
				topic(name, kadm.OpCreate)
				fallthrough
			default: // All topics are looked at before anything starts.
				topic(name, kadm.OpDescribe, kadm.OpDescribeConfigs)
			}
		}
		if line.Ingredients != "" && role != Auditor {
			topic(line.Ingredients, kadm.OpDescribe, kadm.OpDescribeConfigs)
			switch role {
			case Setup:
				topic(line.Ingredients, kadm.OpCreate)
			case API:
				topic(line.Ingredients, kadm.OpRead)
			}
		}
		for i, s := range line.Stages {
			switch role {
			case Processors:
				topic(s.Input, kadm.OpRead)
				topic(s.Reports(), kadm.OpRead)
				topic(s.Table(), kadm.OpRead, kadm.OpWrite) // Read when a partition moves here.
				topic(line.NextTopic(i), kadm.OpWrite)
				group(s.Group(), kadm.OpRead)
			case API:
				topic(s.Input, kadm.OpRead, kadm.OpWrite) // Orders, and dead letters that are sent again.
				topic(s.Reports(), kadm.OpRead, kadm.OpWrite)
				topic(s.Table(), kadm.OpRead)
				group(s.Group(), kadm.OpDescribe)
			case Auditor:
				group(s.Group(), kadm.OpDescribe)
			}
		}
		switch role {
		case Processors:
			topic(line.Failures, kadm.OpWrite)
			topic(line.DeadLetters, kadm.OpWrite)
		case API:
			topic(line.DeadLetters, kadm.OpRead, kadm.OpWrite)
			all = append(all, ACL{"group", screenGroups, true, kadm.OpRead})
		}
	}
	return Least(all)
}

// Least sorts ACLs and leaves out what is there twice and what another one
// implies: who may read or write may describe.
func Least(acls []ACL) []ACL {
	all := map[ACL]bool{}
	for _, a := range acls {
		all[a] = true
	}
	var least []ACL
	for a := range all {
		read, write := a, a
		read.Operation, write.Operation = kadm.OpRead, kadm.OpWrite
		if a.Operation != kadm.OpDescribe || !all[read] && !all[write] {
			least = append(least, a)
		}
	}
	slices.SortFunc(least, func(a, b ACL) int {
		return cmp.Or(strings.Compare(b.Resource, a.Resource), strings.Compare(a.Name, b.Name), strings.Compare(camel(a.Operation), camel(b.Operation)))
	})
	return least
}

// Grant is what may be done with some resources.
type Grant struct {
	Resource   string
	Prefix     bool
	Names      []string
	Operations []string // As kafka-acls writes them.
}

// Grants puts together the resources with which the same may be done. The ACLs
// are sorted.
func Grants(acls []ACL) (grants []Grant) {
	for resource, operations := range byResource(acls) {
		i := slices.IndexFunc(grants, func(g Grant) bool {
			return g.Resource == resource.Resource && g.Prefix == resource.Prefix && slices.Equal(g.Operations, operations)
		})
		if i < 0 {
			i, grants = len(grants), append(grants, Grant{resource.Resource, resource.Prefix, nil, operations})
		}
		grants[i].Names = append(grants[i].Names, resource.Name)
	}
	return grants
}

func byResource(acls []ACL) iter.Seq2[ACL, []string] {
	return func(yield func(ACL, []string) bool) {
		for len(acls) > 0 {
			same := func(a ACL) bool { a.Operation = acls[0].Operation; return a != acls[0] }
			n := slices.IndexFunc(acls, same)
			if n < 0 {
				n = len(acls)
			}
			var operations []string
			for _, a := range acls[:n] {
				operations = append(operations, camel(a.Operation))
			}
			if !yield(acls[0], operations) {
				return
			}
			acls = acls[n:]
		}
	}
}

// Command is the call of Kafka's kafka-acls that gives the grant to a user, such
// as "User:line".
func (g Grant) Command(bootstrap, user string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "kafka-acls --bootstrap-server %s --add --allow-principal %q", bootstrap, user)
	if g.Prefix {
		b.WriteString(" --resource-pattern-type prefixed")
	}
	for _, o := range g.Operations {
		b.WriteString(" --operation " + o)
	}
	for _, n := range g.Names {
		fmt.Fprintf(&b, " --%s %s", g.Resource, n)
	}
	return b.String()
}
