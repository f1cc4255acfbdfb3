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

// Retention is how long the events of the streams are kept: the longest outage
// of a processor that loses nothing.
const Retention = 7 * 24 * time.Hour

// Topic is a topic that the line needs.
type Topic struct {
	Name        string
	Partitions  int32
	Replication int16
	Configs     map[string]string
}

// TopicProblem is one difference between what is needed and what the cluster has.
type TopicProblem struct {
	Topic   string
	Missing bool   // It is not there; Apply creates it.
	What    string // For a person, with what to do.
}

// Admin looks after the topics of a cluster.
type Admin struct {
	config Config
	kgo    *kgo.Client
	client *kadm.Client // Which uses it.
}

// NewAdmin returns an administrator of the cluster. It must be closed.
func NewAdmin(c Config) (*Admin, error) {
	// Metadata must not be older than that, or topics just created are not seen.
	client, err := kgo.NewClient(append(c.Client(), kgo.RetryTimeout(10*time.Second), kgo.MetadataMinAge(100*time.Millisecond))...)
	if err != nil {
		return nil, fmt.Errorf("making a Kafka client: %w", err)
	}
	return &Admin{c, client, kadm.NewClient(client)}, nil
}

// Close closes the connection.
func (a *Admin) Close() { a.client.Close() }

// WaitForBrokers waits until the cluster answers, and returns how many brokers it has. It
// returns why not when ctx ends, or at once when all brokers refuse who we are or
// are not who they should be.
func (a *Admin) WaitForBrokers(ctx context.Context) (brokers int, err error) {
	for {
		brokers, reason, final := a.ask(ctx)
		if reason == nil {
			return brokers, nil
		}
		if final {
			return 0, reason
		}
		if ctx.Err() == nil || err == nil { // The last one may say no more than that it was cut off.
			err = reason
		}
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("no Kafka broker answers: %w; see that the addresses are right and the cluster runs", errors.Join(err, ctx.Err()))
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// RequiredTopics lists the line's topics for a cluster of so many brokers. Those that
// orders pass through all have the same number of partitions: an order's key then
// stays in the same one through all stages. The ingredients have one, because
// those who write them spread keys in another way than those who read.
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

// Retained is a topic that keeps its messages for a time, -1 for ever, on a cluster of
// so many brokers. From three brokers on, each message is on three of them and
// acknowledged by two, so that one may die.
func Retained(name string, partitions int32, brokers int, retention time.Duration) Topic {
	ms := int64(-1)
	if retention >= 0 {
		ms = retention.Milliseconds()
	}
	return durable(name, partitions, brokers, map[string]string{"cleanup.policy": "delete", "retention.ms": strconv.FormatInt(ms, 10)})
}

// Compacted is a topic that keeps the last message of each key for ever, as safely
// as Kept does.
func Compacted(name string, partitions int32, brokers int) Topic {
	return durable(name, partitions, brokers, map[string]string{
		"cleanup.policy": "compact", "segment.ms": strconv.FormatInt((6 * time.Hour).Milliseconds(), 10), // Only closed segments are compacted.
	})
}

func durable(name string, partitions int32, brokers int, configs map[string]string) Topic {
	replication := int16(1)
	configs["min.insync.replicas"] = "1"
	if brokers >= 3 {
		replication, configs["min.insync.replicas"] = 3, "2"
	}
	return Topic{name, partitions, replication, configs}
}

// DisableRetention takes the retention from topics of an embedded broker: a partition
// that retention has emptied would begin at offset 0 again after a restart, and
// new reports would be taken for repeated ones. What that costs is disk space.
func DisableRetention(topics []Topic) {
	for _, t := range topics {
		if _, stream := t.Configs["retention.ms"]; stream {
			t.Configs["retention.ms"] = "-1"
		}
	}
}

// Check compares what is needed with what is there.
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
			findings = append(findings, TopicProblem{t.Name, true, fmt.Sprintf("is missing: `topics apply` creates it with %d partitions and replication %d", t.Partitions, t.Replication)})
			continue
		case h.Err != nil:
			return nil, fmt.Errorf("looking at topic %s: %w", t.Name, unauthorized(h.Err))
		case len(h.Partitions) != int(t.Partitions):
			findings = append(findings, TopicProblem{t.Name, false, fmt.Sprintf(
				"has %d partitions, not %d: run with --partitions %d; the number cannot be changed, because an order would then be looked for in another partition; to have more, start a new line on another cluster and let this one run dry",
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
			findings = append(findings, TopicProblem{t.Name, false, fmt.Sprintf("has %s=%s, not %s: orders could be lost; set it with kafka-configs --alter", d.Key, d.Have, d.Need)})
		}
	}
	return findings, nil
}

// Difference is a setting that is not as it must be.
type Difference struct{ Key, Have, Need string }

// Diff compares the settings of a topic with those needed; what is not told
// does not differ. More retention and more replicas than needed are fine, and how
// often segments are closed costs only space.
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
			all = append(all, Difference{key, value, need})
		}
	}
	return all
}

// Apply creates the topics that are missing and waits until each of their
// partitions has a leader. Topics that are there stay as they are.
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

// Range is what a partition has: the messages from Begin up to and without End,
// save those that were compacted away.
type Range struct{ Begin, End int64 }

// Ranges tells what the partitions of a topic have now, by their number.
func (a *Admin) Ranges(ctx context.Context, topic string) (map[int32]Range, error) {
	ranges, err := a.AllRanges(ctx, topic)
	return ranges[topic], err
}

// AllRanges is Ranges of several topics at once, by their name.
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
			ranges[topic][p] = Range{begin.Offset, end}
		}
	}
	return ranges, nil
}

// Committed tells how far a consumer group has committed, by topic and
// partition; what it has not committed is absent.
func (a *Admin) Committed(ctx context.Context, group string) (map[string]map[int32]int64, error) {
	fetched, err := a.client.FetchOffsets(ctx, group)
	if err == nil {
		err = fetched.Error()
	}
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return nil, fmt.Errorf("asking how far group %s has committed: %w", group, err)
	}
	return offsets(fetched), nil
}

// Leave takes a static member out of its group at once; otherwise its partitions
// wait for the end of its session. A member that is not there is fine.
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

// EndOffsets tells where the partitions of a topic end now, by their number.
func (a *Admin) EndOffsets(ctx context.Context, topic string) (map[int32]int64, error) {
	ends, err := a.AllEndOffsets(ctx, topic)
	return ends[topic], err
}

// AllEndOffsets is Ends of several topics at once, by their name.
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

// Group is how a consumer group stands.
type Group struct {
	Members   int
	Committed map[string]map[int32]int64 // By topic and partition; what it has not committed is absent.
}

// Groups tells how consumer groups stand, by their name. One that was never
// there has no members.
func (a *Admin) Groups(ctx context.Context, groups ...string) (map[string]Group, error) {
	described, err := a.client.DescribeGroups(ctx, groups...)
	if err == nil {
		err = described.Error()
	}
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return nil, fmt.Errorf("asking who is in the groups %s: %w", strings.Join(groups, ", "), err)
	}
	fetched := a.client.FetchManyOffsets(ctx, groups...)
	stand := map[string]Group{}
	for _, group := range groups {
		f := fetched[group]
		if err := f.Err; err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
			return nil, fmt.Errorf("asking how far group %s has committed: %w", group, err)
		}
		stand[group] = Group{len(described[group].Members), offsets(f.Fetched)}
	}
	return stand, nil
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
