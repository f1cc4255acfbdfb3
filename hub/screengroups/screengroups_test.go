package screengroups

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ecupcakes/ecupcakes/kafka"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// deadline is how long a test waits for what must happen.
const deadline = 30 * time.Second

const partitions = 8

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(deadline); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %s: %s", deadline, what)
		}
	}
}

func newKafka(t *testing.T, topics ...string) (*kfake.Cluster, kafka.Config) {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(partitions, topics...),
		kfake.BrokerConfigs(map[string]string{"group.initial.rebalance.delay.ms": "0"}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, kafka.Config{Brokers: c.ListenAddrs()}
}

// instance is Groups with the assignments that it got last.
type instance struct {
	*Groups
	mu          sync.Mutex
	assignments map[key]Assignment
}

func start(t *testing.T, config kafka.Config) *instance {
	i := &instance{assignments: map[key]Assignment{}}
	i.Groups = New(config)
	i.Groups.Notify(func(group, topic string, a Assignment) {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.assignments[key{group, topic}] = a
	})
	t.Cleanup(i.Close)
	return i
}

func (i *instance) set(t *testing.T, group string, screens int, people ...string) {
	t.Helper()
	if err := i.Set(group, "ready", screens, people); err != nil {
		t.Fatal(err)
	}
}

func (i *instance) assignment(group string) Assignment {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.assignments[key{group, "ready"}]
}

// assigned waits until the instances have these numbers of partitions of a group, together all
// and none twice, and agree at which of them each person is. people has the index of the instance
// by name.
func assigned(t *testing.T, group string, of []*instance, counts []int, people map[string]int) {
	t.Helper()
	eventually(t, fmt.Sprintf("the partitions of %s are assigned as %v, with the people at %v", group, counts, people), func() bool {
		owners := map[int32]bool{}
		for n, i := range of {
			s := i.assignment(group)
			where := map[string]bool{}
			for p, at := range people {
				where[p] = at == n
			}
			if !s.Joined || len(s.Partitions) != counts[n] || !maps.Equal(s.People, where) {
				return false
			}
			for p := range s.Partitions {
				owners[p] = true
			}
		}
		return len(owners) == partitions
	})
}

func TestPartitionsAreAssignedInProportionToScreens(t *testing.T) {
	_, config := newKafka(t, "ready")
	a, b, c := start(t, config), start(t, config), start(t, config)
	a.set(t, "g", 1, "Ana")
	assigned(t, "g", []*instance{a}, []int{8}, map[string]int{"Ana": 0})
	b.set(t, "g", 1, "Ben", "")
	assigned(t, "g", []*instance{a, b}, []int{4, 4}, map[string]int{"Ana": 0, "Ben": 1, "": 1})
	b.set(t, "g", 3, "Ben")
	assigned(t, "g", []*instance{a, b}, []int{2, 6}, map[string]int{"Ana": 0, "Ben": 1})
	before := a.assignment("g").Partitions
	c.set(t, "g", 4, "Cem")
	assigned(t, "g", []*instance{a, b, c}, []int{1, 3, 4}, map[string]int{"Ana": 0, "Ben": 1, "Cem": 2})
	for p := range a.assignment("g").Partitions {
		if !before[p] {
			t.Errorf("partition %d has moved to an instance that had to give some up", p)
		}
	}
	c.set(t, "other", 1) // Another group has partitions of its own.
	assigned(t, "other", []*instance{c}, []int{8}, nil)
	b.set(t, "g", 0)
	assigned(t, "g", []*instance{a, c}, []int{2, 6}, map[string]int{"Ana": 0, "Cem": 1}) // 1.6 and 6.4.
	c.Close()
	assigned(t, "g", []*instance{a}, []int{8}, map[string]int{"Ana": 0})
}

// Each Set passes the assignment on, even if nothing has changed: the hub may have replaced a
// group by one of the same name, which has no assignment yet.
func TestSetPassesTheAssignmentAgain(t *testing.T) {
	_, config := newKafka(t, "ready")
	i := start(t, config)
	i.set(t, "g", 1, "Ana")
	assigned(t, "g", []*instance{i}, []int{8}, map[string]int{"Ana": 0})
	i.mu.Lock()
	clear(i.assignments)
	i.mu.Unlock()
	i.set(t, "g", 1, "Ana")
	if s := i.assignment("g"); !s.Joined || len(s.Partitions) != 8 {
		t.Errorf("after the second Set: %+v", s)
	}
}

// A person with screens at two instances is assigned to one of them, and both agree on which.
func TestPersonAtTwoInstancesIsAssignedToOne(t *testing.T) {
	_, config := newKafka(t, "ready")
	all := []*instance{start(t, config), start(t, config)}
	for _, i := range all {
		i.set(t, "g", 1, "Ana", "Ana")
	}
	eventually(t, "Ana is at one of them", func() bool {
		first, second := all[0].assignment("g"), all[1].assignment("g")
		return len(first.Partitions) == 4 && len(second.Partitions) == 4 && len(first.People) == 1 && len(second.People) == 1 &&
			first.People["Ana"] != second.People["Ana"]
	})
}

// A member that cannot reach Kafka any more gives up its partitions.
func TestLostMembershipEndsTheAssignment(t *testing.T) {
	c, config := newKafka(t, "ready")
	i := start(t, config)
	i.set(t, "g", 1)
	assigned(t, "g", []*instance{i}, []int{8}, nil)
	c.ControlKey(int16(kmsg.Heartbeat), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		return nil, errors.New("the broker is away"), true
	})
	c.ControlKey(int16(kmsg.JoinGroup), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		return nil, errors.New("the broker is away"), true
	})
	eventually(t, "it has lost its partitions", func() bool { s := i.assignment("g"); return !s.Joined && len(s.Partitions) == 0 })
}

// Close does not wait for a broker that is down.
func TestCloseWhileTheBrokerIsDown(t *testing.T) {
	c, config := newKafka(t, "ready")
	i := start(t, config)
	for _, g := range []string{"g", "h", "i"} {
		i.set(t, g, 1)
		assigned(t, g, []*instance{i}, []int{8}, nil)
	}
	c.Close()
	closed := make(chan struct{})
	go func() { defer close(closed); i.Close() }()
	select {
	case <-closed:
	case <-time.After(deadline):
		t.Fatalf("Close still blocks after %s", deadline)
	}
}

func TestSetRefusesMoreThanMaxGroups(t *testing.T) {
	_, config := newKafka(t, "ready")
	i := start(t, config)
	for n := range maxGroups {
		i.set(t, fmt.Sprint("g", n), 1)
	}
	if err := i.Set("one more", "ready", 1, nil); !errors.Is(err, ErrFull) {
		t.Errorf("one more: %v", err)
	}
	i.set(t, "g0", 0)
	i.set(t, "one more", 1)
}

func TestDistribute(t *testing.T) {
	for _, c := range []struct {
		screens []int
		owned   [][]int32
		want    [][]int32
	}{
		{[]int{1}, nil, [][]int32{{0, 1, 2, 3, 4, 5, 6, 7}}},
		{[]int{1, 1}, [][]int32{{4, 5, 6, 7}, {0, 1, 2, 3}}, [][]int32{{4, 5, 6, 7}, {0, 1, 2, 3}}},
		{[]int{1, 1, 1}, [][]int32{{4, 5, 6, 7}, {0, 1, 2, 3}}, [][]int32{{4, 5, 6}, {0, 1, 2}, {3, 7}}},
		{[]int{1, 1}, [][]int32{{0, 1, 2, 3, 4}, {0, 5, 6}}, [][]int32{{0, 1, 2, 3}, {5, 6, 4, 7}}}, // A partition is owned twice.
		{[]int{1, 1}, [][]int32{{0, 1, 8, 9}}, [][]int32{{0, 1, 2, 3}, {4, 5, 6, 7}}},               // Partitions that do not exist are owned.
		{[]int{0, 3}, nil, [][]int32{{0, 1}, {2, 3, 4, 5, 6, 7}}},
		{[]int{1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, [][]int32{nil, nil, {7}}, [][]int32{{0}, {1}, {7}, {2}, {3}, {4}, {5}, {6}, nil, nil}},
	} {
		var all []*candidate
		for i, n := range c.screens {
			a := &candidate{presence: presence{Screens: n}, owned: map[string][]int32{}}
			if i < len(c.owned) {
				a.owned["t"] = c.owned[i]
			}
			all = append(all, a)
		}
		if got := distribute(all, "t", partitions); !slices.EqualFunc(got, c.want, slices.Equal[[]int32]) {
			t.Errorf("%v screens, owned %v: %v, want %v", c.screens, c.owned, got, c.want)
		}
	}
}
