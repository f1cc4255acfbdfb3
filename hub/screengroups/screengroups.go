// Package screengroups makes this instance a member of Kafka consumer groups, one
// for each consumer group and topic that its screens name. The partitions that
// Kafka assigns to the member are the orders that its screens share. It reads
// and commits nothing: the views have the orders.
//
// It never knows an order or a screen.
package screengroups

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/ecupcakes/ecupcakes/kafka"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Assignment is what a group leaves to this instance.
type Assignment struct {
	// Partitions are those whose orders belong to the screens here. Between the members of a group no partition is
	// shared by two.
	Partitions map[int32]bool
	// People are those who stand before a screen of the group, and whether here. Who does at several instances is at
	// one of them, the same for all.
	People map[string]bool
	// Joined is false until the group has let the member in, and again when it has lost it: then nobody knows whose
	// the orders are.
	Joined bool
}

// ErrFull says that there are maxGroups already.
var ErrFull = errors.New("there are too many consumer groups")

const (
	// maxGroups bounds the groups that one instance is a member of. Each has
	// connections of its own.
	maxGroups = 64
	// settle is how long changes of who is here are gathered before the group
	// is told, which makes all members meet.
	settle       = 50 * time.Millisecond
	leaveTimeout = time.Second
	// A member that has died is missed after that long; no broker takes less.
	sessionTimeout = 6 * time.Second
	heartbeat      = 300 * time.Millisecond // Members learn of a change with the next one.
)

// Groups are the memberships of one instance. Its methods may be called by any
// number of goroutines.
type Groups struct {
	kafka   kafka.Config
	changed func(group, topic string, s Assignment)

	mu      sync.Mutex
	members map[key]*member
	leaving sync.WaitGroup
}

type key struct{ group, topic string }

// ID is the name of the consumer group on Kafka.
func ID(group, topic string) string { return "screens." + topic + "." + group }

// New returns no memberships. changed is told of each change of a share, one
// after the other for each group, and must not call Set.
func New(kafka kafka.Config, changed func(group, topic string, s Assignment)) *Groups {
	return &Groups{kafka: kafka, changed: changed, members: map[key]*member{}}
}

// Set says how many screens of a group there are here, and of whom. The first
// makes this instance a member; without any it leaves. A member's share is told
// again. It returns ErrFull, or why the client could not be made, and then is no
// member.
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
		m.update(func(*Assignment) {}) // Whoever sets may be new and know nothing yet.
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

// Close leaves all groups and waits for it, about a second at most.
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

	mu    sync.Mutex // Held while changed is called.
	here  presence
	timer *time.Timer // Runs out when the group is to be told of here.
	share Assignment
	gone  bool
}

func (g *Groups) join(k key, screens int, people []string) (*member, error) {
	m := &member{
		changed: func(s Assignment) { g.changed(k.group, k.topic, s) },
		here:    newPresence(screens, people), share: Assignment{Partitions: map[int32]bool{}},
	}
	of := func(assigned map[string][]int32) []int32 { return assigned[k.topic] }
	client, err := kgo.NewClient(append(g.kafka.Client(),
		kgo.ConsumerGroup(ID(k.group, k.topic)), kgo.ConsumeTopics(k.topic), kgo.Balancers(balancer{m}),
		kgo.DisableAutoCommit(), kgo.ConsumeResetOffset(kgo.NewOffset().AtEnd()),
		kgo.SessionTimeout(sessionTimeout), kgo.HeartbeatInterval(heartbeat), kgo.RebalanceTimeout(sessionTimeout),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, p map[string][]int32) {
			m.update(func(s *Assignment) { s.take(of(p)); s.Joined = true })
		}),
		kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, p map[string][]int32) {
			m.update(func(s *Assignment) { s.give(of(p)) })
		}),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, p map[string][]int32) {
			m.update(func(s *Assignment) { s.give(of(p)); s.Joined = false })
		}),
	)...)
	if err != nil {
		return nil, fmt.Errorf("joining the consumer group %s: %w", ID(k.group, k.topic), err)
	}
	client.PauseFetchTopics(k.topic)
	m.mu.Lock()
	m.client = client
	m.mu.Unlock()
	return m, nil
}

func (s *Assignment) take(partitions []int32) {
	for _, p := range partitions {
		s.Partitions[p] = true
	}
}

func (s *Assignment) give(partitions []int32) {
	for _, p := range partitions {
		delete(s.Partitions, p)
	}
}

// update changes the share and passes a copy of it on.
func (m *member) update(change func(*Assignment)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change(&m.share)
	if !m.gone {
		m.changed(Assignment{maps.Clone(m.share.Partitions), maps.Clone(m.share.People), m.share.Joined})
	}
}

func (m *member) set(screens int, people []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := newPresence(screens, people)
	if p.Screens == m.here.Screens && slices.Equal(p.People, m.here.People) {
		return
	}
	m.here = p
	if m.timer == nil {
		m.timer = time.AfterFunc(settle, m.client.ForceRebalance)
		return
	}
	m.timer.Reset(settle)
}

func (m *member) presence() presence {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.here
}

func (m *member) leave() {
	m.mu.Lock()
	m.gone = true
	if m.timer != nil {
		m.timer.Stop()
	}
	m.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	_ = m.client.LeaveGroupContext(ctx) // Or it is missed soon.
	m.client.Close()
}
