package screengroups

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// balancer shares a topic's partitions out by how many screens each member has.
// Who has too few gets them from those that have too many, and nothing else
// moves; a partition is given up by one member before another one has it. With
// the partitions it tells everybody where the people are.
type balancer struct{ of *member }

// presence is what a member tells when it joins.
type presence struct {
	Screens int      `json:"screens"`
	People  []string `json:"people,omitempty"` // Sorted, each once.
}

func newPresence(screens int, people []string) presence {
	people = slices.Sorted(slices.Values(people))
	return presence{screens, slices.Compact(people)}
}

// places is what each member is told with its partitions.
type places struct {
	Here      []string `json:"here,omitempty"`
	Elsewhere []string `json:"elsewhere,omitempty"`
}

func (balancer) ProtocolName() string { return "screens" }
func (balancer) IsCooperative() bool  { return true }

func (b balancer) JoinGroupMetadata(topics []string, owned map[string][]int32, generation int32) []byte {
	meta := kmsg.NewConsumerMemberMetadata()
	meta.Version, meta.Topics, meta.Generation = 2, topics, generation
	for _, topic := range slices.Sorted(maps.Keys(owned)) {
		p := kmsg.NewConsumerMemberMetadataOwnedPartition()
		p.Topic, p.Partitions = topic, owned[topic]
		meta.OwnedPartitions = append(meta.OwnedPartitions, p)
	}
	meta.UserData, _ = json.Marshal(b.of.presence()) // Strings and a number cannot fail.
	return meta.AppendTo(nil)
}

func (b balancer) ParseSyncAssignment(assignment []byte) (map[string][]int32, error) {
	var a kmsg.ConsumerMemberAssignment
	if err := a.ReadFrom(assignment); err != nil {
		return nil, err
	}
	var where places
	_ = json.Unmarshal(a.UserData, &where) // A member of another version may tell nothing.
	people := map[string]bool{}
	for _, p := range where.Elsewhere {
		people[p] = false
	}
	for _, p := range where.Here {
		people[p] = true
	}
	b.of.update(func(s *Assignment) { s.People = people })
	return kgo.ParseConsumerSyncAssignment(assignment)
}

func (b balancer) MemberBalancer(members []kmsg.JoinGroupResponseMember) (kgo.GroupMemberBalancer, map[string]struct{}, error) {
	c, err := kgo.NewConsumerBalancer(b, members)
	if err != nil {
		return nil, nil, err
	}
	return c, c.MemberTopics(), nil
}

// Balance is called in the member that leads the group.
func (balancer) Balance(c *kgo.ConsumerBalancer, topics map[string]int32) kgo.IntoSyncAssignment {
	plan := c.NewPlan()
	var all []*candidate
	c.EachMember(func(m *kmsg.JoinGroupResponseMember, meta *kmsg.ConsumerMemberMetadata) {
		n := &candidate{member: m, owned: map[string][]int32{}}
		_ = json.Unmarshal(meta.UserData, &n.presence)
		for _, o := range meta.OwnedPartitions {
			n.owned[o.Topic] = o.Partitions
		}
		all = append(all, n)
	})
	for topic, partitions := range topics {
		for i, mine := range shareOut(all, topic, partitions) {
			plan.AddPartitions(all[i].member, topic, mine)
		}
	}
	plan.AdjustCooperative(c)
	return told{plan, locate(all)}
}

// candidate is a member that is to get partitions.
type candidate struct {
	presence
	member *kmsg.JoinGroupResponseMember
	owned  map[string][]int32
}

// shareOut gives each candidate partitions in proportion to its screens, as
// many as possible of those that it has.
func shareOut(all []*candidate, topic string, partitions int32) [][]int32 {
	owner, has := map[int32]int{}, make([]int, len(all))
	for i, c := range all {
		for _, p := range c.owned[topic] {
			if _, taken := owner[p]; !taken && p < partitions {
				owner[p] = i
				has[i]++
			}
		}
	}
	targets := targets(all, has, int(partitions))
	shares := make([][]int32, len(all))
	var free []int32
	for p := range partitions {
		if i, owned := owner[p]; owned && len(shares[i]) < targets[i] {
			shares[i] = append(shares[i], p)
		} else {
			free = append(free, p)
		}
	}
	for i := range all {
		n := targets[i] - len(shares[i])
		shares[i] = append(shares[i], free[:n]...)
		free = free[n:]
	}
	return shares
}

// targets is how many of n partitions each candidate gets: its share by screens,
// rounded so that they are n in all, in favour of who is cut most, then of who
// has more already.
func targets(all []*candidate, has []int, n int) []int {
	screens := 0
	for _, c := range all {
		screens += max(c.Screens, 1)
	}
	targets, rest, order := make([]int, len(all)), make([]int, len(all)), make([]int, len(all))
	left := n
	for i, c := range all {
		exact := n * max(c.Screens, 1)
		targets[i], rest[i], order[i] = exact/screens, exact%screens, i
		left -= targets[i]
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(rest[b], rest[a]), cmp.Compare(has[b], has[a]))
	})
	for _, i := range order[:left] {
		targets[i]++
	}
	return targets
}

// locate says where each person is: with the first member that has them.
func locate(all []*candidate) map[string]string {
	at := map[string]string{}
	for _, c := range all {
		for _, p := range c.People {
			if _, known := at[p]; !known {
				at[p] = c.member.MemberID
			}
		}
	}
	return at
}

// told is a plan that tells with the partitions where people are.
type told struct {
	plan *kgo.BalancePlan
	at   map[string]string
}

func (t told) IntoSyncAssignment() []kmsg.SyncGroupRequestGroupAssignment {
	all := t.plan.IntoSyncAssignment()
	people := slices.Sorted(maps.Keys(t.at))
	for i := range all {
		var where places
		for _, p := range people {
			if t.at[p] == all[i].MemberID {
				where.Here = append(where.Here, p)
			} else {
				where.Elsewhere = append(where.Elsewhere, p)
			}
		}
		var a kmsg.ConsumerMemberAssignment
		if a.ReadFrom(all[i].MemberAssignment) != nil {
			continue // It was written just now.
		}
		a.UserData, _ = json.Marshal(where)
		all[i].MemberAssignment = a.AppendTo(nil)
	}
	return all
}
