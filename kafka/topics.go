package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ecupcakes/ecupcakes/topology"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Retention is the retention time of stream topics. A processor that is down for less than that
// loses no event.
const Retention = 7 * 24 * time.Hour

// Topic is a topic with the settings that it must have.
type Topic struct {
	Name        string
	Partitions  int32
	Replication int16
	Configs     map[string]string
}

// TopicProblem is one difference between a required topic and the cluster's.
type TopicProblem struct {
	Topic   string
	Missing bool   // The topic does not exist; Apply creates it.
	What    string // The problem and its remedy, as a predicate: "is missing: …".
}

// Admin manages topics and reads offsets and consumer groups of a cluster.
type Admin struct {
	config Config
	kgo    *kgo.Client
	client *kadm.Client // Wraps kgo.
}

// NewAdmin returns an Admin for the cluster. It must be closed.
func NewAdmin(c Config) (*Admin, error) {
	// With older metadata the client would not see topics that were just created.
	client, err := c.NewClient(kgo.RetryTimeout(10*time.Second), kgo.MetadataMinAge(100*time.Millisecond))
	if err != nil {
		return nil, err
	}
	return &Admin{c, client, kadm.NewClient(client)}, nil
}

// Close closes the connection.
func (a *Admin) Close() { a.client.Close() }

// WaitForBrokers blocks until the cluster answers, and returns the number of its brokers. It fails
// when ctx ends, or at once when all configured brokers reject the credentials or have untrusted
// certificates.
func (a *Admin) WaitForBrokers(ctx context.Context) (brokers int, err error) {
	for {
		brokers, reason, final := a.ask(ctx)
		if reason == nil {
			return brokers, nil
		}
		if final {
			return 0, reason
		}
		if ctx.Err() == nil || err == nil { // Once ctx has ended, keep the earlier, more specific error.
			err = reason
		}
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("no Kafka broker answers: %w; check that the addresses are right and the cluster runs", errors.Join(err, ctx.Err()))
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// RequiredTopics returns the line's topics for a cluster with the given number of brokers. All
// topics that orders pass through have the same number of partitions, so an order stays in the same
// partition through all stages. The topic of the ingredients has one partition, because its
// producer, a Kafka Connect source, partitions keys differently from goka.
func RequiredTopics(line topology.Line, partitions int32, brokers int) []Topic {
	var topics []Topic
	for name, kind := range line.Topics() {
		switch kind {
		case topology.Stream:
			topics = append(topics, Retained(name, partitions, brokers, Retention))
		case topology.Table:
			topics = append(topics, Compacted(name, partitions, brokers))
		}
	}
	if line.Ingredients != "" {
		topics = append(topics, Compacted(line.Ingredients, 1, brokers))
	}
	return topics
}

// Retained returns a topic that deletes messages after the retention time; -1 keeps them forever.
// On a cluster with three or more brokers it has three replicas and min.insync.replicas=2, so it
// stays writable when one broker fails.
func Retained(name string, partitions int32, brokers int, retention time.Duration) Topic {
	ms := int64(-1)
	if retention >= 0 {
		ms = retention.Milliseconds()
	}
	return durable(name, partitions, brokers, map[string]string{"cleanup.policy": "delete", "retention.ms": strconv.FormatInt(ms, 10)})
}

// Compacted returns a topic that keeps the last message of each key, with the same replication as
// Retained.
func Compacted(name string, partitions int32, brokers int) Topic {
	return durable(name, partitions, brokers, map[string]string{
		"cleanup.policy": "compact", "segment.ms": strconv.FormatInt((6 * time.Hour).Milliseconds(), 10), // Kafka compacts closed segments only.
	})
}

func durable(name string, partitions int32, brokers int, configs map[string]string) Topic {
	replication := int16(1)
	configs["min.insync.replicas"] = "1"
	if brokers >= 3 {
		replication, configs["min.insync.replicas"] = 3, "2"
	}
	return Topic{Name: name, Partitions: partitions, Replication: replication, Configs: configs}
}

// DisableRetention sets retention.ms=-1 on the streams of an embedded broker. After a restart, a
// partition that retention has emptied would begin at offset 0 again, and new reports would be
// taken for redeliveries. The cost is disk space.
func DisableRetention(topics []Topic) {
	for _, t := range topics {
		if _, stream := t.Configs["retention.ms"]; stream {
			t.Configs["retention.ms"] = "-1"
		}
	}
}

// Check compares the required topics with those of the cluster and returns the differences. It
// changes nothing.
func (a *Admin) Check(ctx context.Context, needed []Topic) ([]TopicProblem, error) {
	names := make([]string, len(needed))
	for i, t := range needed {
		names[i] = t.Name
	}
	have, err := a.client.ListTopics(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("listing topics: %w", unauthorized(err))
	}
	var findings []TopicProblem
	var present []string
	for _, t := range needed {
		h := have[t.Name]
		switch {
		case errors.Is(h.Err, kerr.UnknownTopicOrPartition):
			findings = append(findings, TopicProblem{
				Topic: t.Name, Missing: true,
				What: fmt.Sprintf("is missing: `topics apply` creates it with %d partitions and replication %d", t.Partitions, t.Replication),
			})
			continue
		case h.Err != nil:
			return nil, fmt.Errorf("describing topic %s: %w", t.Name, unauthorized(h.Err))
		case len(h.Partitions) != int(t.Partitions):
			findings = append(findings, TopicProblem{Topic: t.Name, What: fmt.Sprintf(
				"has %d partitions, not %d: run with --partitions %d; "+
					"the number cannot be changed, because existing orders would then be searched in the wrong partition; "+
					"to get more partitions, start a new line on another cluster and drain this one",
				len(h.Partitions), t.Partitions, len(h.Partitions))})
		}
		present = append(present, t.Name)
	}
	if len(present) == 0 {
		return findings, nil
	}
	configs, err := a.client.DescribeTopicConfigs(ctx, present...)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration of the topics: %w", unauthorized(err))
	}
	for _, t := range needed {
		if !slices.Contains(present, t.Name) {
			continue
		}
		h, err := configs.On(t.Name, nil)
		if err := errors.Join(err, h.Err); err != nil {
			return nil, fmt.Errorf("reading the configuration of topic %s: %w", t.Name, unauthorized(err))
		}
		values := map[string]string{}
		for _, c := range h.Configs {
			values[c.Key] = c.MaybeValue()
		}
		for _, d := range t.Diff(values) {
			findings = append(findings, TopicProblem{
				Topic: t.Name,
				What:  fmt.Sprintf("has %s=%s, not %s: orders could be lost; set it with kafka-configs --alter", d.Key, d.Have, d.Need),
			})
		}
	}
	return findings, nil
}

// Difference is a topic setting whose value is not the required one.
type Difference struct{ Key, Have, Need string }

// Diff returns the settings in have that differ from the required ones. A setting that is absent
// from have does not differ. Neither does a longer retention, a higher min.insync.replicas, or any
// segment.ms, which affects only disk space.
func (t Topic) Diff(have map[string]string) (all []Difference) {
	for _, key := range slices.Sorted(maps.Keys(t.Configs)) {
		value, need := have[key], t.Configs[key]
		enough := value == "" || value == need
		switch key {
		case "retention.ms", "min.insync.replicas":
			v, errV := strconv.ParseInt(value, 10, 64)
			n, errN := strconv.ParseInt(need, 10, 64)
			enough = enough || errV == nil && errN == nil && (n >= 0 && v >= n || key == "retention.ms" && v == -1)
		case "segment.ms":
			enough = true
		}
		if !enough {
			all = append(all, Difference{Key: key, Have: value, Need: need})
		}
	}
	return all
}

// Apply creates the missing topics and blocks until every partition of the required topics has a
// leader. It does not change existing topics.
func (a *Admin) Apply(ctx context.Context, needed []Topic) error {
	for _, t := range needed {
		configs := map[string]*string{}
		for k, v := range t.Configs {
			configs[k] = &v
		}
		_, err := a.client.CreateTopic(ctx, t.Partitions, t.Replication, configs, t.Name)
		if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
			return fmt.Errorf("creating topic %s: %w", t.Name, unauthorized(err))
		}
	}
	for {
		leaderless, err := a.leaderless(ctx, needed)
		if err == nil && leaderless == "" {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for a leader of topic %s: %w", leaderless, errors.Join(err, ctx.Err()))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (a *Admin) leaderless(ctx context.Context, needed []Topic) (string, error) {
	for _, t := range needed {
		have, err := a.client.ListTopics(ctx, t.Name)
		if err != nil {
			return t.Name, err
		}
		h := have[t.Name]
		if h.Err != nil || len(h.Partitions) == 0 {
			return t.Name, h.Err
		}
		for _, p := range h.Partitions {
			if p.Err != nil || p.Leader < 0 {
				return t.Name, p.Err
			}
		}
	}
	return "", nil
}

// Range is the range of offsets that a partition holds: Begin is the first offset and End the one
// after the last. Compaction may have removed messages in between.
type Range struct{ Begin, End int64 }

// Lag returns how many offsets of the range a consumer has not yet committed. An offset below Begin
// does not count, because its message is gone; a commit beyond End has no lag.
func (r Range) Lag(committed int64) int64 { return max(0, r.End-max(committed, r.Begin)) }

// Ranges returns the current range of each partition of a topic.
func (a *Admin) Ranges(ctx context.Context, topic string) (map[int32]Range, error) {
	ranges, err := a.AllRanges(ctx, topic)
	return ranges[topic], err
}

// AllRanges returns the current ranges of several topics, by topic and partition.
func (a *Admin) AllRanges(ctx context.Context, topics ...string) (map[string]map[int32]Range, error) {
	ends, err := a.AllEndOffsets(ctx, topics...)
	if err != nil {
		return nil, err
	}
	begins, err := a.client.ListStartOffsets(ctx, topics...)
	if err == nil {
		err = begins.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("listing the start offsets of %s: %w", strings.Join(topics, ", "), err)
	}
	ranges := map[string]map[int32]Range{}
	for topic, of := range ends {
		ranges[topic] = map[int32]Range{}
		for p, end := range of {
			begin, _ := begins.Lookup(topic, p)
			ranges[topic][p] = Range{Begin: begin.Offset, End: end}
		}
	}
	return ranges, nil
}

// Committed returns the offsets that a consumer group has committed, by topic and partition.
// Partitions without a commit are absent.
func (a *Admin) Committed(ctx context.Context, group string) (map[string]map[int32]int64, error) {
	fetched, err := a.client.FetchOffsets(ctx, group)
	if err == nil {
		err = fetched.Error()
	}
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return nil, fmt.Errorf("fetching the committed offsets of group %s: %w", group, err)
	}
	return offsets(fetched), nil
}

// Leave removes a static member from its group at once. Otherwise its partitions would stay
// unassigned until its session timeout. An unknown member is not an error.
func (a *Admin) Leave(ctx context.Context, group, instance string) error {
	left, err := a.client.LeaveGroup(ctx, kadm.LeaveGroup(group).Reason("planned stop").InstanceIDs(instance))
	if err == nil {
		err = left.Error()
	}
	if err != nil && !errors.Is(err, kerr.UnknownMemberID) {
		return fmt.Errorf("leaving group %s: %w", group, err)
	}
	return nil
}

// EndOffsets returns the current end offset of each partition of a topic.
func (a *Admin) EndOffsets(ctx context.Context, topic string) (map[int32]int64, error) {
	ends, err := a.AllEndOffsets(ctx, topic)
	return ends[topic], err
}

// AllEndOffsets returns the current end offsets of several topics, by topic and partition.
func (a *Admin) AllEndOffsets(ctx context.Context, topics ...string) (map[string]map[int32]int64, error) {
	listed, err := a.client.ListEndOffsets(ctx, topics...)
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("listing the end offsets of %s: %w", strings.Join(topics, ", "), err)
	}
	ends := map[string]map[int32]int64{}
	for _, topic := range topics {
		ends[topic] = map[int32]int64{}
	}
	listed.Each(func(o kadm.ListedOffset) { ends[o.Topic][o.Partition] = o.Offset })
	return ends, nil
}

// Group is the state of a consumer group.
type Group struct {
	Members   int
	Committed map[string]map[int32]int64 // By topic and partition; partitions without a commit are absent.
}

// Lag returns the sum of the group's lags in the partitions of a topic, see Range.Lag.
func (g Group) Lag(topic string, partitions map[int32]Range) (n int64) {
	for p, r := range partitions {
		n += r.Lag(g.Committed[topic][p])
	}
	return n
}

// Groups returns the state of consumer groups, by name. A group that does not exist has no members
// and no commits.
func (a *Admin) Groups(ctx context.Context, groups ...string) (map[string]Group, error) {
	described, err := a.client.DescribeGroups(ctx, groups...)
	if err == nil {
		err = described.Error()
	}
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return nil, fmt.Errorf("describing the groups %s: %w", strings.Join(groups, ", "), err)
	}
	fetched := a.client.FetchManyOffsets(ctx, groups...)
	states := map[string]Group{}
	for _, group := range groups {
		f := fetched[group]
		if err := f.Err; err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
			return nil, fmt.Errorf("fetching the committed offsets of group %s: %w", group, err)
		}
		states[group] = Group{Members: len(described[group].Members), Committed: offsets(f.Fetched)}
	}
	return states, nil
}

func offsets(fetched kadm.OffsetResponses) map[string]map[int32]int64 {
	committed := map[string]map[int32]int64{}
	for topic, of := range fetched {
		committed[topic] = map[int32]int64{}
		for p, o := range of {
			committed[topic][p] = o.At
		}
	}
	return committed
}
