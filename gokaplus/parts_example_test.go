package gokaplus_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"
	"github.com/lovoo/goka/codec"

	"github.com/ecupcakes/ecupcakes/gokaplus"
)

// plain logs without the time, so that the output is the same in each run.
func plain() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		Level: slog.LevelDebug,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))
}

func ExamplePartition() {
	p := gokaplus.Partition([]byte("order-1"), 8)
	fmt.Println(p >= 0 && p < 8)
	// Output: true
}

func ExampleGokaLogger() {
	gokaplus.GokaLogger(plain()).Printf("[Processor orders] setup generation %d", 1)
	// Output: level=INFO msg="setup generation 1" part="Processor orders"
}

func ExampleSaramaLogger() {
	gokaplus.SaramaLogger(plain()).Printf("Connected to %s", "broker-1") // usually sarama.Logger = gokaplus.SaramaLogger(log)
	// Output: level=DEBUG msg="Connected to broker-1" from=sarama
}

func ExampleMapStorage() {
	s, err := gokaplus.MapStorage()("orders-table", 0)
	if err != nil {
		panic(err)
	}
	_ = s.Set("order-1", []byte("paid"))
	row, _ := s.Get("order-1")
	fmt.Printf("%s\n", row)
	_ = s.Close()
	_, err = s.Get("order-1")
	fmt.Println(errors.Is(err, gokaplus.ErrStorageClosed))
	// Output:
	// paid
	// true
}

func ExampleSaramaConfig() {
	c, err := gokaplus.SaramaConfig(gokaplus.Options{InstanceID: "counter-0"})
	fmt.Println(c.Consumer.Group.InstanceId, c.Consumer.Offsets.Initial == sarama.OffsetOldest, err)
	// Output: counter-0 true <nil>
}

// flaky is a Runner that fails once.
type flaky struct {
	fails bool
	stop  context.CancelFunc
}

func (f flaky) Run(context.Context) error {
	if f.fails {
		return errors.New("the broker went away")
	}
	f.stop()
	return nil
}

func ExampleSupervise() {
	ctx, stop := context.WithCancel(context.Background())
	var health gokaplus.Health
	runs := 0
	err := gokaplus.Supervise(ctx, "counter", func(context.Context) (gokaplus.Runner, error) {
		runs++
		return flaky{fails: runs == 1, stop: stop}, nil
	}, gokaplus.SuperviseOptions{Health: &health, MinBackoff: 1})
	s := health.Status()
	fmt.Println(s.State, s.Restarts, s.Reason, err)
	// Output: stopped 1 the broker went away <nil>
}

// In-order commits and the quick rejoin work without the rest of this package.
func ExampleWithInOrderCommits() {
	var progress gokaplus.Progress
	group := goka.WithConsumerGroupBuilder(
		gokaplus.WithQuickRejoin(gokaplus.WithInOrderCommits(goka.DefaultConsumerGroupBuilder, &progress)))
	graph := goka.DefineGroup("orders", goka.Input("requests", new(codec.String), func(goka.Context, any) {}))
	_ = func(brokers []string) (*goka.Processor, error) { return goka.NewProcessor(brokers, graph, group) }
	fmt.Println(len(progress.Partitions()), "partitions are consumed before Run")
	// Output: 0 partitions are consumed before Run
}
