// Package screengroups makes this instance a member of Kafka consumer groups: one for each topic
// and consumer group that its screens name. The partitions that Kafka assigns to the member are
// those whose orders its screens show. The members read and commit nothing, since the views have
// the orders.
//
// The package handles neither orders nor screens: it gets counts and names, and returns
// assignments.
package screengroups

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/ecupcakes/ecupcakes/kafka"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Assignment is the part of a group's orders that belongs to this instance.
type Assignment struct {
	// Partitions are the partitions whose orders belong here. No two members of a group have the same
	// partition.
	Partitions map[int32]bool
	// People are the people with a screen of the group; true for those whose screen is here. A
	// person with screens at several instances is here at exactly one of them, and all members agree
	// on which.
	People map[string]bool
	// Joined is false until the member has joined the group, and again after it has lost its
	// membership. Meanwhile other members may own any of the orders.
	Joined bool
}

// ErrFull reports that this instance is a member of maxGroups groups already.
var ErrFull = fmt.Errorf("this server has %d consumer groups of screens already, which is the limit: use one of them", maxGroups)

const (
	// maxGroups bounds the groups that one instance is a member of. Each needs connections of its own.
	maxGroups = 64
	// presenceDelay is how long changes of the screens and people are collected before the group
	// rebalances, which needs all members.
	presenceDelay = 50 * time.Millisecond
	leaveTimeout  = time.Second
	// sessionTimeout is when a dead member's partitions are reassigned. Brokers refuse less by
	// default.
	sessionTimeout = 6 * time.Second
	heartbeat      = 300 * time.Millisecond // A member learns of a rebalance with its next heartbeat.
)

// Groups are the memberships of one instance. Its methods may be called by several goroutines at
// a time.
type Groups struct {
	kafka   kafka.Config
	changed func(group, topic string, a Assignment)

	mu      sync.Mutex // guards members, so that two calls of Set do not join the same group twice
	members map[key]*member
	leaving sync.WaitGroup
}

type key struct{ group, topic string }

// ID returns the name of the consumer group on Kafka.
func ID(group, topic string) string { return "screens." + topic + "." + group }

// New returns Groups without a membership.
func New(kafka kafka.Config) *Groups {
	return &Groups{kafka: kafka, members: map[key]*member{}}
}

// Notify has changed called with each change of an assignment, for each group by one goroutine at a
// time. It must not call Set. Notify must be called once, before the first Set: the Groups are made
// before the hub that gets their assignments.
func (g *Groups) Notify(changed func(group, topic string, a Assignment)) { g.changed = changed }

// Set sets the number of screens of a group here, and the people in front of them. The first
// screen makes this instance a member; without screens it leaves. Set of a member passes its
// assignment to changed again. Set returns ErrFull, or an error if the Kafka client cannot be
// made; the instance is no member then.
func (g *Groups) Set(group, topic string, screens int, people []string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	k := key{group, topic}
	m := g.members[k]
	switch {
	case screens == 0 && m == nil:
	case screens == 0:
		delete(g.members, k)
		g.leaving.Go(m.leave)
	case m != nil:
		m.set(screens, people)
		m.update(func(*Assignment) {}) // The caller may have a new group of the same name, without an assignment.
	case len(g.members) >= maxGroups:
		return ErrFull
	default:
		m, err := g.join(k, screens, people)
		if err != nil {
			return err
		}
		g.members[k] = m
	}
	return nil
}

// Close leaves all groups. It blocks until that is done, for about leaveTimeout at most.
func (g *Groups) Close() {
	g.mu.Lock()
	for k, m := range g.members {
		delete(g.members, k)
		g.leaving.Go(m.leave)
	}
	g.mu.Unlock()
	g.leaving.Wait()
}

// member is the membership in one group.
type member struct {
	client  *kgo.Client
	changed func(Assignment)

	// mu guards the fields below, which the Kafka client's goroutines and the callers of Set use. It
	// is held while changed is called, so that assignments arrive in their order.
	mu         sync.Mutex
	present    presence
	timer      *time.Timer // starts a rebalance with the new presence; nil until it first changes
	assignment Assignment
	left       bool // changed must not be called any more
}

func (g *Groups) join(k key, screens int, people []string) (*member, error) {
	m := &member{
		changed: func(a Assignment) { g.changed(k.group, k.topic, a) },
		present: newPresence(screens, people), assignment: Assignment{Partitions: map[int32]bool{}},
	}
	of := func(assigned map[string][]int32) []int32 { return assigned[k.topic] }
	client, err := g.kafka.NewClient(
		kgo.ConsumerGroup(ID(k.group, k.topic)), kgo.ConsumeTopics(k.topic), kgo.Balancers(balancer{m}),
		kgo.DisableAutoCommit(), kgo.ConsumeResetOffset(kgo.NewOffset().AtEnd()),
		kgo.SessionTimeout(sessionTimeout), kgo.HeartbeatInterval(heartbeat), kgo.RebalanceTimeout(sessionTimeout),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, p map[string][]int32) {
			m.update(func(a *Assignment) { a.add(of(p)); a.Joined = true })
		}),
		kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, p map[string][]int32) {
			m.update(func(a *Assignment) { a.remove(of(p)) })
		}),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, p map[string][]int32) {
			m.update(func(a *Assignment) { a.remove(of(p)); a.Joined = false })
		}),
	)
	if err != nil {
		return nil, fmt.Errorf("join the consumer group %s: %w", ID(k.group, k.topic), err)
	}
	client.PauseFetchTopics(k.topic)
	m.mu.Lock() // The client's goroutines may use the member already.
	m.client = client
	m.mu.Unlock()
	return m, nil
}

func (a *Assignment) add(partitions []int32) {
	for _, p := range partitions {
		a.Partitions[p] = true
	}
}

func (a *Assignment) remove(partitions []int32) {
	for _, p := range partitions {
		delete(a.Partitions, p)
	}
}

// update changes the assignment and passes a copy of it to changed.
func (m *member) update(change func(*Assignment)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	a := &m.assignment
	change(a)
	if !m.left {
		m.changed(Assignment{Partitions: maps.Clone(a.Partitions), People: maps.Clone(a.People), Joined: a.Joined})
	}
}

// set changes the presence, and starts a rebalance after presenceDelay if that is a change.
func (m *member) set(screens int, people []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := newPresence(screens, people)
	if p.Screens == m.present.Screens && slices.Equal(p.People, m.present.People) {
		return
	}
	m.present = p
	if m.timer == nil {
		m.timer = time.AfterFunc(presenceDelay, m.client.ForceRebalance)
		return
	}
	m.timer.Reset(presenceDelay)
}

func (m *member) presence() presence {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.present
}

func (m *member) leave() {
	m.mu.Lock()
	m.left = true
	if m.timer != nil {
		m.timer.Stop()
	}
	m.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	_ = m.client.LeaveGroupContext(ctx) // If this fails, the partitions are reassigned after sessionTimeout.
	m.client.Close()
}
