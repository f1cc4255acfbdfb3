package screengroups

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// balancer assigns a topic's partitions in proportion to the members' screens. It moves only the
// partitions that a member has too many of to members that have too few. The rebalance is
// cooperative: a member gives a partition up before another one gets it. Each assignment includes
// where the people are.
type balancer struct{ member *member }

// presence is a member's screens of a group. The member sends it with its join request.
type presence struct {
	Screens int      `json:"screens"`
	People  []string `json:"people,omitempty"` // sorted, without duplicates
}

func newPresence(screens int, people []string) presence {
	people = slices.Sorted(slices.Values(people))
	return presence{Screens: screens, People: slices.Compact(people)}
}

// places says where people are. Each member gets it with its partitions.
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
	meta.UserData, _ = json.Marshal(b.member.presence()) // Strings and a number cannot fail.
	return meta.AppendTo(nil)
}

func (b balancer) ParseSyncAssignment(assignment []byte) (map[string][]int32, error) {
	var a kmsg.ConsumerMemberAssignment
	if err := a.ReadFrom(assignment); err != nil {
		return nil, err
	}
	var where places
	_ = json.Unmarshal(a.UserData, &where) // A leader of another version may send no places.
	people := map[string]bool{}
	for _, p := range where.Elsewhere {
		people[p] = false
	}
	for _, p := range where.Here {
		people[p] = true
	}
	b.member.update(func(a *Assignment) { a.People = people })
	return kgo.ParseConsumerSyncAssignment(assignment)
}

func (b balancer) MemberBalancer(members []kmsg.JoinGroupResponseMember) (kgo.GroupMemberBalancer, map[string]struct{}, error) {
	c, err := kgo.NewConsumerBalancer(b, members)
	if err != nil {
		return nil, nil, err
	}
	return c, c.MemberTopics(), nil
}

// Balance makes the plan for all members. It runs in the member that leads the group.
func (balancer) Balance(c *kgo.ConsumerBalancer, topics map[string]int32) kgo.IntoSyncAssignment {
	plan := c.NewPlan()
	var all []*candidate
	c.EachMember(func(m *kmsg.JoinGroupResponseMember, meta *kmsg.ConsumerMemberMetadata) {
		n := &candidate{member: m, owned: map[string][]int32{}}
		_ = json.Unmarshal(meta.UserData, &n.presence) // A member whose data is invalid counts as one without screens.
		for _, o := range meta.OwnedPartitions {
			n.owned[o.Topic] = o.Partitions
		}
		all = append(all, n)
	})
	for topic, partitions := range topics {
		for i, mine := range distribute(all, topic, partitions) {
			plan.AddPartitions(all[i].member, topic, mine)
		}
	}
	plan.AdjustCooperative(c)
	return planWithPlaces{plan: plan, at: locate(all)}
}

// candidate is a member that a plan assigns partitions to.
type candidate struct {
	presence
	member *kmsg.JoinGroupResponseMember
	owned  map[string][]int32
}

// distribute returns the partitions of each candidate, in proportion to its screens. A candidate
// keeps as many as possible of those that it owns.
func distribute(all []*candidate, topic string, partitions int32) [][]int32 {
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
	assigned := make([][]int32, len(all))
	var free []int32
	for p := range partitions {
		if i, owned := owner[p]; owned && len(assigned[i]) < targets[i] {
			assigned[i] = append(assigned[i], p)
		} else {
			free = append(free, p)
		}
	}
	for i := range all {
		n := targets[i] - len(assigned[i])
		assigned[i] = append(assigned[i], free[:n]...)
		free = free[n:]
	}
	return assigned
}

// targets returns how many of n partitions each candidate gets. Its part by screens is rounded so
// that the sum is n: first up for those that rounding down would cost most, then for those that
// own more.
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

// locate returns the member ID at which each person is: the first member that has the person.
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

// planWithPlaces is a plan that sends each member its places with its partitions.
type planWithPlaces struct {
	plan *kgo.BalancePlan
	at   map[string]string
}

func (p planWithPlaces) IntoSyncAssignment() []kmsg.SyncGroupRequestGroupAssignment {
	all := p.plan.IntoSyncAssignment()
	people := slices.Sorted(maps.Keys(p.at))
	for i := range all {
		var where places
		for _, person := range people {
			if p.at[person] == all[i].MemberID {
				where.Here = append(where.Here, person)
			} else {
				where.Elsewhere = append(where.Elsewhere, person)
			}
		}
		var a kmsg.ConsumerMemberAssignment
		if a.ReadFrom(all[i].MemberAssignment) != nil {
			continue // This cannot happen: the plan has just encoded it.
		}
		a.UserData, _ = json.Marshal(where) // Lists of strings can always be encoded.
		all[i].MemberAssignment = a.AppendTo(nil)
	}
	return all
}
