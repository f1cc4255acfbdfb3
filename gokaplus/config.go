package gokaplus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"
	"github.com/lovoo/goka/storage"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Options is what the processors, views and emitters of a program share. The zero value works with a cluster that
// needs neither TLS nor SASL.
type Options struct {
	// InstanceID is the static group membership of this process: stable over restarts, and unique among the instances
	// that run at the same time, or they throw each other out. With it a restart takes the partitions back at once;
	// without it they wait for the end of the old member's session. The price: partitions of an instance that goes away
	// for good wait for that long. One ID serves all groups of a process. Empty means dynamic membership.
	InstanceID string

	// Sarama and Kgo say how to reach the brokers (TLS, SASL) and change whatever else they like. There are two because
	// producers run on franz-go and everything else on sarama. Sarama is called on a new configuration each time.
	Sarama func(*sarama.Config)
	Kgo    []kgo.Opt

	// Storage builds the storages of tables; nil means MapStorage(). DiskStorage is for tables larger than memory.
	Storage storage.Builder

	// Logger receives what goka and franz-go log; nil discards it.
	Logger *slog.Logger

	// CommitInterval is how often finished offsets are committed; 0 means 200 ms. A crash causes the redelivery of what
	// was finished since, besides what was in flight.
	CommitInterval time.Duration

	// CloseTimeout bounds how long a producer that is closed waits for acknowledgements; 0 means 10 s. A processor closes
	// its producer only after goka has waited for them itself, up to 60 s.
	CloseTimeout time.Duration

	// Topics lets goka create the tables and loop topics of processors and says how. If nil, they must exist with as
	// many partitions as the inputs: goka's defaults (two replicas, loop topics kept for an hour, a different number of
	// partitions accepted) are rarely what a table needs.
	Topics *goka.TopicManagerConfig

	// Progress, if not nil, shows how far the inputs of processors are worked off.
	Progress *Progress
}

func (o Options) withDefaults() Options {
	if o.Storage == nil {
		o.Storage = MapStorage()
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.CommitInterval = cmp.Or(o.CommitInterval, 200*time.Millisecond)
	o.CloseTimeout = cmp.Or(o.CloseTimeout, 10*time.Second)
	return o
}

// Config returns a new sarama configuration for goka. Pass it to goka's builders explicitly, one for each, since they
// modify it; goka's global configuration may then stay as it is. [ProcessorOptions], [ViewOptions] and
// [EmitterOptions] do that.
func Config(o Options) *sarama.Config {
	o = o.withDefaults()
	c := goka.DefaultConfig()
	c.Version = sarama.V2_8_0_0 // static membership needs 2.3; every broker from 2.8 to 4.3 serves it

	// Only used when a producer is built from this: no record is lost with a broker, or written twice by a retry.
	c.Producer.RequiredAcks = sarama.WaitForAll
	c.Producer.Idempotent = true
	c.Net.MaxOpenRequests = 1                                 // required by Idempotent
	c.Producer.Flush.Frequency, c.Producer.Flush.Bytes = 0, 0 // send at once; goka waits 100 ms

	// Ride out an outage instead of failing in it. Looking for a leader is not covered by the producer's retries, so
	// Metadata is the key: 60 × 500 ms. Retry.Max allocates a slot each for every partition and must not be huge.
	c.Producer.Retry.Max = 1000
	c.Metadata.Retry.Max = 60
	c.Metadata.Retry.Backoff = 500 * time.Millisecond
	c.Consumer.Group.Rebalance.Retry.Max = 60
	c.Net.DialTimeout, c.Net.ReadTimeout, c.Net.WriteTimeout = 5*time.Second, 10*time.Second, 10*time.Second

	// A topic that appears because someone asked for it has the wrong number of partitions.
	c.Metadata.AllowAutoTopicCreation = false

	// goka's default, newest, skips what was sent before the first commit of a partition.
	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	c.Consumer.Offsets.AutoCommit.Interval = o.CommitInterval
	// Of each partition at a time. A backlog is read compressed and unpacked in memory, for all partitions at once: with
	// sarama's 1 MB, eight partitions of ten topics take hundreds of megabytes.
	c.Consumer.Fetch.Default = 128 << 10
	c.Consumer.Return.Errors = true // without it a table partition whose offset is gone ends silently

	// A member learns of a rebalance with its next heartbeat, so that is how long the others wait for it.
	c.Consumer.Group.Heartbeat.Interval = 300 * time.Millisecond
	c.Consumer.Group.Session.Timeout = 15 * time.Second
	c.Consumer.Group.InstanceId = o.InstanceID

	if o.Sarama != nil {
		o.Sarama(c)
	}
	return c
}

// ProcessorOptions returns the options for goka.NewProcessor and [NewProcessor] that use all of this package. They
// may be used for any number of processors.
func ProcessorOptions(o Options) []goka.ProcessorOption {
	return o.withDefaults().processorOptions(&tables{})
}

func (o Options) processorOptions(t *tables) []goka.ProcessorOption {
	return []goka.ProcessorOption{
		goka.WithConsumerGroupBuilder(Rejoin(Ordered(o.consumerGroup, o.Progress))),
		goka.WithConsumerSaramaBuilder(t.consumer(o.tableConsumer)),
		goka.WithTopicManagerBuilder(o.topicManager),
		goka.WithProducerBuilder(t.producer(o.producer())),
		goka.WithStorageBuilder(t.storage(o.Storage)),
		goka.WithBackoffBuilder(backoff),
		goka.WithPartitionChannelSize(partitionChannelSize),
		goka.WithLogger(gokaLogger{o.Logger}),
	}
}

// ViewOptions returns the options for goka.NewView and [NewView] that use all of this package. They may be used for any
// number of views. A view with them outlives outages: it reconnects by itself, after five seconds at the latest once
// the brokers are back.
func ViewOptions(o Options) []goka.ViewOption {
	o = o.withDefaults()
	return []goka.ViewOption{
		goka.WithViewConsumerSaramaBuilder(o.consumer),
		goka.WithViewTopicManagerBuilder(o.topicManager),
		goka.WithViewStorageBuilder(o.Storage),
		goka.WithViewAutoReconnect(),
		goka.WithViewBackoffBuilder(backoff),
		goka.WithViewLogger(gokaLogger{o.Logger}),
	}
}

// EmitterOptions returns the options for goka.NewEmitter and [NewEmitter] that use all of this package. They may be
// used for any number of emitters.
//
// An emit waits for the brokers as long as it takes. Where someone waits for its outcome, add
// kgo.RecordDeliveryTimeout to Kgo, and expect a record that was reported as timed out to be written nevertheless.
func EmitterOptions(o Options) []goka.EmitterOption {
	o = o.withDefaults()
	return []goka.EmitterOption{
		goka.WithEmitterProducerBuilder(o.producer()),
		goka.WithEmitterTopicManagerBuilder(o.topicManager),
		goka.WithEmitterLogger(gokaLogger{o.Logger}),
	}
}

// partitionChannelSize is how many messages wait between sarama and a partition's goroutine. With goka's 10 the two
// wake each other for every few messages, which costs a third of the throughput.
const partitionChannelSize = 1000

// backoff between the attempts of a table to reconnect; goka's steps are ten seconds.
func backoff() (goka.Backoff, error) { return goka.NewSimpleBackoff(time.Second, 5*time.Second), nil }

func (o Options) consumerGroup(brokers []string, group, clientID string) (sarama.ConsumerGroup, error) {
	c := Config(o)
	// The broker answers a request to join when all members have come, at most Rebalance.Timeout later, and sarama knows
	// only one timeout for all requests. If it is shorter, one slow member makes the others fail.
	c.Net.ReadTimeout = max(c.Net.ReadTimeout, c.Consumer.Group.Rebalance.Timeout+5*time.Second)
	cg, err := goka.ConsumerGroupBuilderWithConfig(c)(brokers, group, clientID)
	if err != nil {
		return nil, err
	}
	return &namedMember{cg, group, c.Consumer.Group.InstanceId}, nil
}

// namedMember is a member of a group that says so when another one has taken its name.
type namedMember struct {
	sarama.ConsumerGroup
	group, instance string
}

func (m *namedMember) Consume(ctx context.Context, topics []string, h sarama.ConsumerGroupHandler) error {
	err := m.ConsumerGroup.Consume(ctx, topics, h)
	if errors.Is(err, sarama.ErrFencedInstancedId) {
		return fmt.Errorf("another live instance uses the instance id %q in group %s: give each its own (Options.InstanceID): %w",
			m.instance, m.group, err)
	}
	return err
}

func (o Options) consumer(brokers []string, clientID string) (sarama.Consumer, error) {
	return goka.SaramaConsumerBuilderWithConfig(Config(o))(brokers, clientID)
}

// tableConsumer recovers the tables of a processor.
func (o Options) tableConsumer(brokers []string, clientID string) (sarama.Consumer, error) {
	c := Config(o)
	// Once a table is recovered goka waits for the fetch under way, which brings nothing and so takes MaxWaitTime. At half
	// a second that would be most of a rebalance.
	c.Consumer.MaxWaitTime = min(c.Consumer.MaxWaitTime, 100*time.Millisecond)
	return goka.SaramaConsumerBuilderWithConfig(c)(brokers, clientID)
}

func (o Options) producer() goka.ProducerBuilder {
	return Producer(o.CloseTimeout, append([]kgo.Opt{kgo.WithLogger(kgoLogger{o.Logger})}, o.Kgo...)...)
}

func (o Options) topicManager(brokers []string) (goka.TopicManager, error) {
	c := Config(o)
	c.ClientID = "goka-topic-manager"
	if o.Topics != nil {
		return goka.NewTopicManager(brokers, c, o.Topics)
	}
	client, err := sarama.NewClient(brokers, c)
	if err != nil {
		return nil, fmt.Errorf("asking the brokers for topics: %w", err)
	}
	return existingTopics{client}, nil
}

// existingTopics checks tables and loop topics where goka would create them. goka's own manager also insists on a
// connection to one broker, taken at random, and so fails while one of three is away, and leaves its client open.
type existingTopics struct{ client sarama.Client }

// Partitions asks for all topics: a broker may create one that is asked for.
func (t existingTopics) Partitions(topic string) ([]int32, error) {
	if err := t.client.RefreshMetadata(); err != nil {
		return nil, fmt.Errorf("asking the brokers for topics: %w", err)
	}
	topics, err := t.client.Topics()
	if err != nil {
		return nil, err
	}
	if !slices.Contains(topics, topic) {
		return nil, fmt.Errorf("topic %s: %w", topic, sarama.ErrUnknownTopicOrPartition)
	}
	return t.client.Partitions(topic)
}

func (t existingTopics) GetOffset(topic string, partition int32, time int64) (int64, error) {
	return t.client.GetOffset(topic, partition, time)
}

func (t existingTopics) Close() error { return t.client.Close() }

func (t existingTopics) EnsureTopicExists(topic string, partitions, _ int, _ map[string]string) error {
	return t.check(topic, partitions)
}

func (t existingTopics) EnsureTableExists(topic string, partitions int) error {
	return t.check(topic, partitions)
}

func (t existingTopics) EnsureStreamExists(topic string, partitions int) error {
	return t.check(topic, partitions)
}

func (t existingTopics) check(topic string, want int) error {
	partitions, err := t.Partitions(topic)
	if err != nil {
		return fmt.Errorf("topic %s must exist before the processor is created, with %d partitions: %w", topic, want, err)
	}
	if len(partitions) != want {
		return fmt.Errorf("topic %s has %d partitions and the inputs have %d: create it anew with as many", topic, len(partitions), want)
	}
	return nil
}
