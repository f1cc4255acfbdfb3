package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ecupcakes/ecupcakes/gokaplus"
	"github.com/ecupcakes/ecupcakes/gokaplus/diskstore"

	"github.com/lovoo/goka"
	"github.com/lovoo/goka/codec"
	"github.com/lovoo/goka/storage"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// numbered is a message of some 500 bytes that says when it was sent.
func numbered(i int) string {
	return fmt.Sprint(i, " ", time.Now().UnixNano(), " ", strings.Repeat(`{"name":"cupcake"},`, 25))
}

// arrivals notes how long messages took to come to the end of pipelines, by topic and number.
type arrivals struct {
	mu    sync.Mutex
	took  map[string]map[int]time.Duration
	extra map[string]int // came again
	last  time.Time
}

// watch follows topics until ctx ends.
func watch(ctx context.Context, k *kafka, topics ...string) (*arrivals, error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(k.addr), kgo.ConsumeTopics(topics...), kgo.MetadataMinAge(500*time.Millisecond))
	if err != nil {
		return nil, err
	}
	a := &arrivals{took: map[string]map[int]time.Duration{}, extra: map[string]int{}, last: time.Now()}
	for _, t := range topics {
		a.took[t] = map[int]time.Duration{}
	}
	go func() {
		defer cl.Close()
		for ctx.Err() == nil {
			fetched := cl.PollFetches(ctx)
			a.mu.Lock()
			a.last = time.Now()
			fetched.EachRecord(func(r *kgo.Record) {
				var i int
				var sent int64
				_, _ = fmt.Sscan(string(r.Value[:min(len(r.Value), 40)]), &i, &sent)
				if _, again := a.took[r.Topic][i]; again {
					a.extra[r.Topic]++
				} else {
					a.took[r.Topic][i] = a.last.Sub(time.Unix(0, sent))
				}
			})
			a.mu.Unlock()
		}
	}()
	return a, nil
}

func (a *arrivals) count(topic string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.took[topic])
}

// lost lets a pipeline of two stages work off a backlog, of which it has to ignore one order of ten, and kills the broker
// twice for at least four seconds.
func lost(ctx context.Context, k *kafka, s settings, f *figures) error {
	for i, v := range []string{stock, stockAcksAll, plus} {
		if err := lostBy(ctx, k, v, pipeline{fmt.Sprintf("lost-%d-%d", s.run, i), 2}, s.orders, f); err != nil {
			return fmt.Errorf("%s: %w", v, err)
		}
	}
	return nil
}

func lostBy(ctx context.Context, k *kafka, variant string, p pipeline, orders int, f *figures) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := p.create(ctx, k); err != nil {
		return err
	}
	for i := range orders {
		value := numbered(i)
		if i%10 == 9 {
			value += ignored
		}
		k.send(ctx, string(p.topic(0)), fmt.Sprint(i), value)
	}
	a, err := watch(ctx, k, p.out())
	if err = errors.Join(err, k.client.Flush(ctx)); err != nil {
		return fmt.Errorf("sending: %w", err)
	}
	m, err := p.member(k, variant, "m")
	if err != nil {
		return err
	}
	defer m.kill()
	want := orders * 9 / 10
	for _, kill := range []int{want / 4, want * 5 / 8} {
		err := until(ctx, "a part is worked off", time.Minute, func(context.Context) bool { return a.count(p.out()) >= kill })
		if err != nil {
			return err
		}
		k.Kill()
		time.Sleep(4 * time.Second)
		if err := k.Start(ctx); err != nil {
			return fmt.Errorf("starting the broker again: %w", err)
		}
	}
	err = until(ctx, "all is worked off", 5*time.Minute, func(ctx context.Context) bool {
		a.mu.Lock()
		quiet := time.Since(a.last) > 10*time.Second
		a.mu.Unlock()
		return quiet && p.workedOff(ctx, k)
	})
	restarts, _ := m.stop()
	f.add(fmt.Sprintf("lost of %d (came twice, restarts)", want), variant,
		"%d (%d, %s)", want-a.count(p.out()), a.extra[p.out()], strings.TrimSpace(restarts))
	return err
}

// pause sends 200 messages a second, of 10,000 keys, to one stage while members come and go.
func pause(ctx context.Context, k *kafka, s settings, f *figures) error {
	for i, v := range []string{stock, plus, plusStatic} {
		if err := pauseOf(ctx, k, v, pipeline{fmt.Sprintf("pause-%d-%d", s.run, i), 1}, f); err != nil {
			return fmt.Errorf("%s: %w", v, err)
		}
	}
	return nil
}

func pauseOf(ctx context.Context, k *kafka, variant string, p pipeline, f *figures) (err error) {
	var sending sync.WaitGroup
	defer sending.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := p.create(ctx, k); err != nil {
		return err
	}
	a, err := watch(ctx, k, p.out())
	if err != nil {
		return err
	}
	first, err := p.member(k, variant, "a")
	if err != nil {
		return err
	}
	defer first.kill()
	var second *child
	start := func() (err error) {
		second, err = p.member(k, variant, "b")
		return err
	}
	defer func() { second.kill() }()

	var sent atomic.Int64
	sending.Go(func() {
		for tick := time.Tick(5 * time.Millisecond); ctx.Err() == nil; <-tick {
			i := int(sent.Load())
			k.send(ctx, string(p.topic(0)), fmt.Sprint(i%10_000), numbered(i))
			sent.Add(1)
		}
	})
	for _, event := range []struct {
		name    string
		members int
		do      func() error
	}{
		{"", 1, func() error { return nil }},
		{"joins", 2, start},
		{"leaves", 1, func() error { second.stop(); return nil }},
		{"", 2, start},
		{"is killed and comes back at once", 2, func() error { second.kill(); return start() }},
		{"is killed", 1, func() error { second.kill(); return nil }},
	} {
		from := int(sent.Load())
		if err := event.do(); err != nil {
			return err
		}
		if err := k.stable(ctx, event.members, p.groups()...); err != nil {
			return err
		}
		to := int(sent.Load()) + 1000 // five seconds more
		longest, i := time.Duration(0), from
		err := until(ctx, "all messages are handled", time.Minute, func(context.Context) bool {
			a.mu.Lock()
			defer a.mu.Unlock()
			for took, ok := a.took[p.out()][i]; i < to && ok; took, ok = a.took[p.out()][i] {
				longest = max(longest, took)
				i++
			}
			return i == to
		})
		if err != nil {
			return err
		}
		if event.name != "" {
			f.add("longest pause when a member "+event.name, variant, "%.1f s", longest.Seconds())
		}
	}
	return nil
}

// throughput works off a backlog with two stages in one process.
func throughput(ctx context.Context, k *kafka, s settings, f *figures) error {
	for i, v := range []string{stock, plus, plusDisk} {
		p := pipeline{fmt.Sprintf("throughput-%d-%d", s.run, i), 2}
		if err := p.create(ctx, k); err != nil {
			return err
		}
		for i := range s.messages {
			k.send(ctx, string(p.topic(0)), fmt.Sprint(i), numbered(i))
		}
		if err := k.client.Flush(ctx); err != nil {
			return fmt.Errorf("sending: %w", err)
		}
		m, err := p.member(k, v, "m")
		if err != nil {
			return err
		}
		var began time.Time
		var first, end int64
		err = until(ctx, "all are handled", 5*time.Minute, func(context.Context) bool {
			ends, _ := k.admin.ListEndOffsets(ctx, p.out())
			end = 0
			ends.Each(func(o kadm.ListedOffset) { end += o.Offset })
			if first == 0 {
				first, began = end, time.Now()
			}
			return end >= int64(s.messages)
		})
		if err != nil {
			return err
		}
		rate := float64(end-first) / time.Since(began).Seconds()
		_, cpu := m.stop()
		f.add("messages/s (CPU a message)", v, "%.0f (%.0f µs)", rate, float64(cpu.Microseconds())/float64(s.messages))
	}
	return nil
}

// recovery reads a table with views in this process.
func recovery(ctx context.Context, k *kafka, s settings, f *figures) error {
	p := pipeline{fmt.Sprint("recovery-", s.run), 1}
	if err := p.create(ctx, k); err != nil {
		return err
	}
	table := goka.GroupTable(p.group(0))
	for i := range s.rows {
		k.send(ctx, string(table), fmt.Sprint("key-", i), numbered(i))
	}
	if err := k.client.Flush(ctx); err != nil {
		return fmt.Errorf("writing the table: %w", err)
	}
	type build func(storage.Builder) (gokaplus.Runner, error)
	stockView := func(b storage.Builder) (gokaplus.Runner, error) {
		return goka.NewView([]string{k.addr}, table, new(codec.Bytes),
			goka.WithViewStorageBuilder(b), goka.WithViewLogger(log.New(io.Discard, "", 0)))
	}
	plusView := func(b storage.Builder) (gokaplus.Runner, error) {
		return gokaplus.NewView([]string{k.addr}, table, new(codec.Bytes), gokaplus.Options{Storage: b})
	}
	at := filepath.Join(k.dir, p.prefix)
	disk := diskstore.Builder(filepath.Join(at, "disk"), []string{k.addr}, gokaplus.Options{})
	for _, v := range []struct {
		name  string
		build build
		store storage.Builder
	}{
		{"goka, LevelDB, empty", stockView, storage.DefaultBuilder(filepath.Join(at, "leveldb"))},
		{"goka, LevelDB, started again", stockView, storage.DefaultBuilder(filepath.Join(at, "leveldb"))},
		{"goka, MemoryBuilder", stockView, storage.MemoryBuilder()},
		{"gokaplus, MapStorage", plusView, gokaplus.MapStorage()},
		{"gokaplus, DiskStorage, empty", plusView, disk},
		{"gokaplus, DiskStorage, started again", plusView, disk},
	} {
		took, err := recoveryOf(ctx, v.build, v.store)
		if err != nil {
			return fmt.Errorf("%s: %w", v.name, err)
		}
		f.add(fmt.Sprintf("recovery of %d rows", s.rows), v.name, "%.2f s", took.Seconds())
	}
	return nil
}

// recoveryOf returns how long it takes until all partitions are recovered. It does not ask the view, which looks only at
// the partitions that have begun.
func recoveryOf(ctx context.Context, build func(storage.Builder) (gokaplus.Runner, error), store storage.Builder) (time.Duration, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	recovered, ended := make(chan struct{}, partitions), make(chan error, 1)
	r, err := build(func(topic string, partition int32) (storage.Storage, error) {
		s, err := store(topic, partition)
		return announced{s, recovered}, err
	})
	if err != nil {
		return 0, err
	}
	began := time.Now()
	go func() { ended <- r.Run(ctx) }()
	for range partitions {
		select {
		case <-recovered:
		case err := <-ended:
			return 0, fmt.Errorf("the view has ended: %w", err)
		}
	}
	took := time.Since(began)
	cancel()
	return took, <-ended
}

type announced struct {
	storage.Storage
	recovered chan struct{}
}

func (a announced) MarkRecovered() error {
	defer func() { a.recovered <- struct{}{} }()
	return a.Storage.MarkRecovered()
}
