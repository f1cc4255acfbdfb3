package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ecupcakes/ecupcakes/gokaplus"
	"github.com/ecupcakes/ecupcakes/gokaplus/diskstore"
	"github.com/ecupcakes/ecupcakes/gokaplus/franz"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"
	"github.com/lovoo/goka/codec"
	"github.com/lovoo/goka/storage"
)

// The variants: goka as it comes, which is LevelDB and acks=1, with one setting changed, and gokaplus.
const (
	stock        = "goka"
	stockAcksAll = "goka, acks=all"
	plus         = "gokaplus"
	plusStatic   = "gokaplus, InstanceID"
	plusDisk     = "gokaplus, DiskStorage"
)

var partitioner = franz.Partitioner(goka.DefaultHasher())

const (
	partitions = 4   // of every topic
	ignored    = "-" // ends messages for which there is nothing to do
)

// pipeline is the topics and groups of one run of one variant. Each stage keeps what it gets in its table and passes it
// on, unless it is to be ignored.
type pipeline struct {
	prefix string
	stages int
}

func (p pipeline) group(stage int) goka.Group {
	return goka.Group(fmt.Sprintf("%s-%d", p.prefix, stage))
}

func (p pipeline) topic(stage int) goka.Stream {
	return goka.Stream(fmt.Sprintf("%s-in-%d", p.prefix, stage))
}
func (p pipeline) out() string { return string(p.topic(p.stages)) }

func (p pipeline) groups() (all []string) {
	for i := range p.stages {
		all = append(all, string(p.group(i)))
	}
	return all
}

// create creates the topics and waits until the broker serves them.
func (p pipeline) create(ctx context.Context, k *kafka) error {
	compact := "compact"
	var topics []string
	for i := range p.stages + 1 {
		topics = append(topics, string(p.topic(i)))
		_, err := k.admin.CreateTopic(ctx, partitions, 1, nil, string(p.topic(i)))
		if table := string(goka.GroupTable(p.group(i))); err == nil && i < p.stages {
			topics = append(topics, table)
			_, err = k.admin.CreateTopic(ctx, partitions, 1, map[string]*string{"cleanup.policy": &compact}, table)
		}
		if err != nil {
			return fmt.Errorf("creating the topics of stage %d: %w", i, err)
		}
	}
	return until(ctx, "the topics are served", time.Minute, func(ctx context.Context) bool {
		ends, err := k.admin.ListEndOffsets(ctx, topics...)
		return err == nil && ends.Error() == nil && len(ends) == len(topics)
	})
}

// workedOff reports whether every stage has committed all of its input. It is false while the broker does not tell.
func (p pipeline) workedOff(ctx context.Context, k *kafka) bool {
	for i := range p.stages {
		topic := string(p.topic(i))
		ends, err := k.admin.ListEndOffsets(ctx, topic)
		if err != nil || ends.Error() != nil || len(ends[topic]) != partitions {
			return false
		}
		commits, err := k.admin.FetchOffsets(ctx, string(p.group(i)))
		if err != nil || commits.Error() != nil {
			return false
		}
		for partition, end := range ends[topic] {
			if c, ok := commits.Lookup(topic, partition); end.Offset > 0 && (!ok || c.At != end.Offset) {
				return false
			}
		}
	}
	return true
}

func (p pipeline) graph(stage int) *goka.GroupGraph {
	return goka.DefineGroup(p.group(stage),
		goka.Input(p.topic(stage), new(codec.Bytes), func(ctx goka.Context, m any) {
			if strings.HasSuffix(string(m.([]byte)), ignored) {
				return
			}
			ctx.SetValue(m)
			ctx.Emit(p.topic(stage+1), ctx.Key(), m)
		}),
		goka.Persist(new(codec.Bytes)),
		goka.Output(p.topic(stage+1), new(codec.Bytes)),
	)
}

// member starts a process that runs all stages. name tells members of a group apart.
func (p pipeline) member(k *kafka, variant, name string) (*child, error) {
	return startChild("member", k.addr, p.prefix, strconv.Itoa(p.stages), variant, name, filepath.Join(k.dir, p.prefix, name))
}

// runMember is that process. At its end it prints how often processors were restarted.
func runMember(ctx context.Context) error {
	args := os.Args[2:]
	stages, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	brokers, p, variant, name, dir := args[:1], pipeline{args[1], stages}, args[3], args[4], args[5]
	health, errs := make([]gokaplus.Health, p.stages), make([]error, p.stages)
	var all sync.WaitGroup
	for i := range p.stages {
		all.Go(func() {
			graph := p.graph(i)
			// Stock goka also needs a supervisor that builds it again after a failure.
			errs[i] = gokaplus.Supervise(ctx, variant, func(context.Context) (gokaplus.Runner, error) {
				o := gokaplus.Options{Producer: franz.ProducerBuilder(franz.Options{})}
				switch variant {
				case stock, stockAcksAll:
					return goka.NewProcessor(brokers, graph, stockOptions(variant, dir)...)
				case plusStatic:
					o.InstanceID = name
				case plusDisk:
					o.Storage = diskstore.Builder(dir, brokers, o)
				}
				return gokaplus.NewProcessor(brokers, graph, o)
			}, gokaplus.SuperviseOptions{Health: &health[i], MaxBackoff: 2 * time.Second, ShutdownTimeout: time.Minute})
		})
	}
	all.Wait()
	restarts := 0
	for i := range health {
		restarts += health[i].Status().Restarts
	}
	fmt.Println(restarts)
	return errors.Join(errs...)
}

// stockOptions are goka's defaults, but for the place of the storage and for OffsetOldest: with OffsetNewest it would
// skip what was sent before it began.
func stockOptions(variant, dir string) []goka.ProcessorOption {
	config := func() *sarama.Config {
		c := goka.DefaultConfig()
		c.Consumer.Offsets.Initial = sarama.OffsetOldest
		if variant == stockAcksAll {
			c.Producer.RequiredAcks = sarama.WaitForAll
		}
		return c
	}
	return []goka.ProcessorOption{
		goka.WithConsumerGroupBuilder(goka.ConsumerGroupBuilderWithConfig(config())),
		goka.WithConsumerSaramaBuilder(goka.SaramaConsumerBuilderWithConfig(config())),
		goka.WithProducerBuilder(goka.ProducerBuilderWithConfig(config())),
		goka.WithStorageBuilder(storage.DefaultBuilder(dir)),
		goka.WithLogger(log.New(io.Discard, "", 0)),
	}
}
