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
)

// Options configures processors, views and emitters. One Options may be shared by all of a program. The zero value works
// with a cluster that needs neither TLS nor SASL.
type Options struct {
	// InstanceID is the group.instance.id of this process (static membership, KIP-345). It must be the same after a
	// restart, and different from that of every other live instance: the broker fences an instance whose id is used a
	// second time, and its processor fails. One id serves all groups of a process.
	//
	// With an id, an instance that restarts within the session timeout of 15 s gets its partitions back at once, without
	// a rebalance. The price: the partitions of an instance that goes away for good are reassigned only after that
	// timeout. Empty means dynamic membership.
	InstanceID string

	// Sarama changes the configuration of sarama, for example to set TLS and SASL. It is called for each client that is
	// built, with a new configuration that has all of this package's settings. An error makes building that client fail.
	// Nil changes nothing.
	Sarama func(*sarama.Config) error

	// Producer builds the producers of processors and emitters. Nil means a producer on sarama with [SaramaConfig]: it is
	// idempotent and fails an emit only after looking for a leader for 30 s. The producer of package franz has no such
	// limit, needs less than half the CPU for a record, and bounds its memory. A Producer of your own should be idempotent and use acks=all.
	Producer goka.ProducerBuilder

	// Storage builds the table storages of processors and views. Nil means [MapStorage]. Package diskstore is for tables
	// that are larger than memory.
	Storage storage.Builder

	// Logger receives goka's log, see [GokaLogger]. Nil discards it.
	Logger *slog.Logger

	// CommitInterval is how often the offsets of finished messages are committed. 0 means 200 ms. After a crash, the
	// messages that were finished since the last commit are redelivered, as well as those that were in flight.
	CommitInterval time.Duration

	// CloseTimeout bounds how long a sarama producer that is being closed waits for acknowledgements, and how long
	// [Emitter.Finish] waits before it closes the producer. 0 means 10 s. When a processor stops, goka itself first waits
	// up to 60 s for its emits.
	CloseTimeout time.Duration

	// Topics lets goka create the tables and loop topics of processors, as configured there. If it is nil, these topics
	// must exist with as many partitions as the inputs, or building the processor fails. goka's default configuration is
	// rarely what a table needs: it asks for two replicas, keeps loop topics for an hour, and accepts a topic with a
	// different number of partitions.
	Topics *goka.TopicManagerConfig

	// Progress, if not nil, measures the lag of the inputs of processors.
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

// SaramaConfig returns a new sarama configuration for goka, with the InstanceID, CommitInterval and Sarama of o. Its
// settings, compared with goka's default:
//
//   - A group without commits starts at the oldest message, not at the newest.
//   - Producers are idempotent and use acks=all. They send at once and retry until they know that there is no leader.
//   - Metadata, joining a group and connecting are retried for 30 s or more.
//   - Brokers are not asked to create topics.
//   - Offsets are committed every 200 ms, heartbeats are sent every 300 ms, and a session times out after 15 s.
//   - At most 128 KiB are fetched per partition at a time.
//
// Call it once for each builder, since goka's builders modify their configuration. [ProcessorOptions], [ViewOptions]
// and [EmitterOptions] do. SaramaConfig fails only if Options.Sarama does.
func SaramaConfig(o Options) (*sarama.Config, error) {
	o = o.withDefaults()
	c := goka.DefaultConfig()
	c.Version = sarama.V2_8_0_0 // static membership needs 2.3; every broker from 2.8 to 4.3 serves it

	// Only a producer reads these: no record is lost with a broker, or written twice by a retry.
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

	// A topic that the broker creates on demand has the wrong number of partitions.
	c.Metadata.AllowAutoTopicCreation = false

	// goka's default, newest, skips messages that were sent before the first commit of a partition.
	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	c.Consumer.Offsets.AutoCommit.Interval = o.CommitInterval
	// The limit is per partition. A backlog is read compressed and unpacked in memory, for all partitions at once: with
	// sarama's 1 MB, eight partitions of ten topics take hundreds of megabytes.
	c.Consumer.Fetch.Default = 128 << 10
	c.Consumer.Return.Errors = true // without it a table partition whose offset is gone ends silently

	// A member learns of a rebalance from its next heartbeat, so the other members wait that long for it.
	c.Consumer.Group.Heartbeat.Interval = 300 * time.Millisecond
	c.Consumer.Group.Session.Timeout = 15 * time.Second
	c.Consumer.Group.InstanceId = o.InstanceID

	if o.Sarama != nil {
		if err := o.Sarama(c); err != nil {
			return nil, fmt.Errorf("configuring sarama: %w", err)
		}
	}
	return c, nil
}

// ProcessorOptions returns options for goka.NewProcessor that use all of this package. They may be passed to any number
// of processors. [NewProcessor] adds the release of clients that goka leaves open, and RecoveredPercent.
func ProcessorOptions(o Options) []goka.ProcessorOption {
	return o.withDefaults().processorOptions(&tables{})
}

func (o Options) processorOptions(t *tables) []goka.ProcessorOption {
	return []goka.ProcessorOption{
		goka.WithConsumerGroupBuilder(WithQuickRejoin(WithInOrderCommits(o.consumerGroup, o.Progress))),
		goka.WithConsumerSaramaBuilder(t.consumer(o.tableConsumer)),
		goka.WithTopicManagerBuilder(o.topicManager),
		goka.WithProducerBuilder(t.producer(o.producer())),
		goka.WithStorageBuilder(t.storage(o.Storage)),
		goka.WithBackoffBuilder(backoff),
		goka.WithPartitionChannelSize(partitionChannelSize),
		goka.WithLogger(GokaLogger(o.Logger)),
	}
}

// ViewOptions returns options for goka.NewView that use all of this package. They may be passed to any number of views.
// A view with them survives outages: it reconnects by itself, at most five seconds after the brokers are back. [NewView]
// adds the release of clients that goka leaves open, and RecoveredPercent.
func ViewOptions(o Options) []goka.ViewOption {
	o = o.withDefaults()
	return []goka.ViewOption{
		goka.WithViewConsumerSaramaBuilder(o.consumer),
		goka.WithViewTopicManagerBuilder(o.topicManager),
		goka.WithViewStorageBuilder(o.Storage),
		goka.WithViewAutoReconnect(),
		goka.WithViewBackoffBuilder(backoff),
		goka.WithViewLogger(GokaLogger(o.Logger)),
	}
}

// EmitterOptions returns options for goka.NewEmitter that use all of this package. They may be passed to any number of
// emitters. [NewEmitter] adds a Finish that ends without brokers.
func EmitterOptions(o Options) []goka.EmitterOption {
	o = o.withDefaults()
	return []goka.EmitterOption{
		goka.WithEmitterProducerBuilder(o.producer()),
		goka.WithEmitterTopicManagerBuilder(o.topicManager),
		goka.WithEmitterLogger(GokaLogger(o.Logger)),
	}
}

// partitionChannelSize is how many messages wait between sarama and a partition's goroutine. With goka's 10 the two
// wake each other for every few messages, which costs a third of the throughput.
const partitionChannelSize = 1000

// backoff paces the attempts of a table to reconnect. goka's steps are ten seconds.
func backoff() (goka.Backoff, error) { return goka.NewSimpleBackoff(time.Second, 5*time.Second), nil }

func (o Options) consumerGroup(brokers []string, group, clientID string) (sarama.ConsumerGroup, error) {
	c, err := SaramaConfig(o)
	if err != nil {
		return nil, err
	}
	// The broker answers a request to join when all members have come, at most Rebalance.Timeout later, and sarama has
	// one timeout for all requests. If that is shorter, one slow member makes the others fail.
	c.Net.ReadTimeout = max(c.Net.ReadTimeout, c.Consumer.Group.Rebalance.Timeout+5*time.Second)
	cg, err := goka.ConsumerGroupBuilderWithConfig(c)(brokers, group, clientID)
	if err != nil {
		return nil, err
	}
	return &namedMember{cg, group, c.Consumer.Group.InstanceId}, nil
}

// namedMember is a member of a group that explains why it was fenced.
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
	c, err := SaramaConfig(o)
	if err != nil {
		return nil, err
	}
	return goka.SaramaConsumerBuilderWithConfig(c)(brokers, clientID)
}

// tableConsumer builds the consumer that recovers the tables of a processor.
func (o Options) tableConsumer(brokers []string, clientID string) (sarama.Consumer, error) {
	c, err := SaramaConfig(o)
	if err != nil {
		return nil, err
	}
	// Once a table is recovered goka waits for the fetch under way, which returns nothing and so takes MaxWaitTime. At half
	// a second that would be most of a rebalance.
	c.Consumer.MaxWaitTime = min(c.Consumer.MaxWaitTime, 100*time.Millisecond)
	return goka.SaramaConsumerBuilderWithConfig(c)(brokers, clientID)
}

func (o Options) producer() goka.ProducerBuilder {
	if o.Producer != nil {
		return o.Producer
	}
	return saramaProducerBuilder(o)
}

func (o Options) topicManager(brokers []string) (goka.TopicManager, error) {
	c, err := SaramaConfig(o)
	if err != nil {
		return nil, err
	}
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
		return fmt.Errorf("topic %s has %d partitions and the inputs have %d: delete it and create it with %d",
			topic, len(partitions), want, want)
	}
	return nil
}
