package kafka

import (
	"slices"
	"strings"
	"testing"

	"github.com/ecupcakes/ecupcakes/topology"

	"github.com/twmb/franz-go/pkg/kadm"
)

// short returns a line with one stage.
func short() topology.Line {
	l := topology.Cupcakes
	l.Stages = l.Stages[:1]
	return l
}

func TestACLsOfEachRole(t *testing.T) {
	for _, c := range []struct {
		roles []Role
		want  string
	}{
		{[]Role{Processors}, `
			DescribeConfigs on topic deadletters
			Write on topic deadletters
			DescribeConfigs on topic mixing-reports
			Read on topic mixing-reports
			DescribeConfigs on topic mixing-table
			Read on topic mixing-table
			Write on topic mixing-table
			DescribeConfigs on topic orderfailures
			Write on topic orderfailures
			DescribeConfigs on topic orderrequests
			Read on topic orderrequests
			Describe on topic rawmaterial.inventory.ingredients
			DescribeConfigs on topic rawmaterial.inventory.ingredients
			DescribeConfigs on topic shipped
			Write on topic shipped
			Read on group mixing`},
		{[]Role{API}, `
			DescribeConfigs on topic deadletters
			Read on topic deadletters
			Write on topic deadletters
			DescribeConfigs on topic mixing-reports
			Read on topic mixing-reports
			Write on topic mixing-reports
			DescribeConfigs on topic mixing-table
			Read on topic mixing-table
			Describe on topic orderfailures
			DescribeConfigs on topic orderfailures
			DescribeConfigs on topic orderrequests
			Read on topic orderrequests
			Write on topic orderrequests
			DescribeConfigs on topic rawmaterial.inventory.ingredients
			Read on topic rawmaterial.inventory.ingredients
			Describe on topic shipped
			DescribeConfigs on topic shipped
			Describe on group mixing
			Read on groups screens.*`},
		{nil, ""},
	} {
		var got []string
		for _, a := range ACLs(short(), c.roles...) {
			got = append(got, a.String())
		}
		if want := slices.DeleteFunc(strings.Split(strings.ReplaceAll(c.want, "\t", ""), "\n"), func(s string) bool { return s == "" }); !slices.Equal(got, want) {
			t.Errorf("%v needs\n%s\nwant\n%s", c.roles, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	both := ACLs(short(), Processors, API)
	for a, want := range map[ACL]bool{
		OnGroup("mixing", kadm.OpRead): true, OnGroup("mixing", kadm.OpDescribe): false,
		OnTopic("shipped", kadm.OpWrite)[0]: true, OnTopic("shipped", kadm.OpDescribe)[0]: false,
	} {
		if got := slices.Contains(both, a); got != want {
			t.Errorf("for both roles %s is there: %t", a, got)
		}
	}
}

func TestGrantCommands(t *testing.T) {
	var got []string
	for _, g := range Grants(ACLs(short(), API)) {
		got = append(got, g.Command("b:1", "User:u"))
	}
	head := `kafka-acls --bootstrap-server b:1 --add --allow-principal "User:u" `
	want := []string{
		head + "--operation DescribeConfigs --operation Read --operation Write --topic deadletters --topic mixing-reports --topic orderrequests",
		head + "--operation DescribeConfigs --operation Read --topic mixing-table --topic rawmaterial.inventory.ingredients",
		head + "--operation Describe --operation DescribeConfigs --topic orderfailures --topic shipped",
		head + "--operation Describe --group mixing",
		head + "--resource-pattern-type prefixed --operation Read --group screens.",
	}
	if !slices.Equal(got, want) {
		t.Errorf("the commands are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
