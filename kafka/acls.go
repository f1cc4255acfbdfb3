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

// Role names a set of tasks for which a Kafka user needs ACLs.
type Role string

const (
	Processors Role = "processors" // A process started with `serve --roles processors`.
	API        Role = "api"        // A process started with `serve --roles api`.
	Setup      Role = "setup"      // `topics apply`, or a first start that creates the topics.
	Auditor    Role = "auditor"    // `verify`.
)

// Roles lists every Role.
var Roles = []Role{Processors, API, Setup, Auditor}

// screenGroups is the common prefix of the names of all consumer groups of screens.
const screenGroups = "screens."

// ACL allows one operation on one resource, or on all resources with a prefix.
type ACL struct {
	Resource  string // "topic" or "group".
	Name      string // The resource's name, or a prefix if Prefix is set.
	Prefix    bool   // The ACL covers every resource of this kind whose name begins with Name.
	Operation kadm.ACLOperation
}

// String formats the ACL for a person: "Read on topic shipped".
func (a ACL) String() string {
	if a.Prefix {
		return fmt.Sprintf("%s on %ss %s*", camel(a.Operation), a.Resource, a.Name)
	}
	return fmt.Sprintf("%s on %s %s", camel(a.Operation), a.Resource, a.Name)
}

// camel returns the operation as kafka-acls spells it, such as "DescribeConfigs".
func camel(o kadm.ACLOperation) string {
	var b strings.Builder
	for word := range strings.SplitSeq(o.String(), "_") {
		b.WriteString(word[:1] + strings.ToLower(word[1:]))
	}
	return b.String()
}

// OnTopic returns one ACL on a topic for each operation.
func OnTopic(name string, operations ...kadm.ACLOperation) (all []ACL) {
	for _, o := range operations {
		all = append(all, ACL{Resource: "topic", Name: name, Operation: o})
	}
	return all
}

// OnGroup returns the ACL for an operation on a consumer group.
func OnGroup(name string, o kadm.ACLOperation) ACL {
	return ACL{Resource: "group", Name: name, Operation: o}
}

// ACLs returns the ACLs that a user with the roles needs, reduced by Least.
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
			default: // A process checks all topics before it starts anything.
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
				topic(s.Table(), kadm.OpRead, kadm.OpWrite) // A processor reads the table to recover an assigned partition.
				topic(line.NextTopic(i), kadm.OpWrite)
				group(s.Group(), kadm.OpRead)
			case API:
				topic(s.Input, kadm.OpRead, kadm.OpWrite) // The API writes orders and requeued dead letters.
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
			all = append(all, ACL{Resource: "group", Name: screenGroups, Prefix: true, Operation: kadm.OpRead})
		}
	}
	return Least(all)
}

// Least sorts the ACLs and removes duplicates and implied ones: Kafka lets a user who may read or
// write a resource describe it.
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
		return cmp.Or(
			strings.Compare(b.Resource, a.Resource),
			strings.Compare(a.Name, b.Name),
			strings.Compare(camel(a.Operation), camel(b.Operation)),
		)
	})
	return least
}

// Grant allows the same operations on several resources of one kind.
type Grant struct {
	Resource   string // "topic" or "group".
	Prefix     bool   // Names are prefixes.
	Names      []string
	Operations []string // As kafka-acls spells them.
}

// Grants merges ACLs that allow the same operations into one Grant. The ACLs must be sorted as
// Least sorts them.
func Grants(acls []ACL) (grants []Grant) {
	for resource, operations := range byResource(acls) {
		i := slices.IndexFunc(grants, func(g Grant) bool {
			return g.Resource == resource.Resource && g.Prefix == resource.Prefix && slices.Equal(g.Operations, operations)
		})
		if i < 0 {
			i, grants = len(grants), append(grants, Grant{Resource: resource.Resource, Prefix: resource.Prefix, Operations: operations})
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

// Command returns the kafka-acls command that gives the grant to a user, such as "User:line".
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
