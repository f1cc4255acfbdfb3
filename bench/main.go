// Command bench measures the built program: start-up, throughput through all stages, CPU, latency from
// POST to the mixer's screen, memory and size. It prints a table and writes bench/result.json.
//
// The limit next to the throughput is the throughput of franz-go alone on the same broker in the same
// run, for as many records as the line writes and reads. Machines are noisy: ratios within one run
// are more reliable than absolute figures.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"hash/fnv"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/ecupcakes/ecupcakes/codecs"
	"github.com/ecupcakes/ecupcakes/gokaplus/franz"
	"github.com/ecupcakes/ecupcakes/kafka"
	"github.com/ecupcakes/ecupcakes/kafka/embedded"
	"github.com/ecupcakes/ecupcakes/load"
	"github.com/ecupcakes/ecupcakes/order"
	"github.com/ecupcakes/ecupcakes/topology"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Figures has the measurements. The JSON names are stable.
type Figures struct {
	Machine         string  `json:"machine"`
	Orders          int     `json:"orders"`                // Number of preloaded orders.
	OrdersPerSecond float64 `json:"ordersPerSecond"`       // With the processors in one process and the broker in another.
	CPUPerOrder     float64 `json:"cpuMicrosPerOrder"`     // CPU time of the processors.
	BrokerCPU       float64 `json:"brokerMicrosPerOrder"`  // CPU time of the broker, for the same orders.
	RecordsPerOrder float64 `json:"recordsPerOrder"`       // Records that the processors write and read.
	LimitPerSecond  float64 `json:"limitOrdersPerSecond"`  // Rate of franz-go alone for the same records, converted to orders.
	UpPerSecond     float64 `json:"upOrdersPerSecond"`     // With everything in one process, including views and API.
	UpMB            float64 `json:"upResidentMB"`          // Resident memory of that process after the orders.
	UpPeakMB        float64 `json:"upPeakResidentMB"`      // Peak resident memory of that process.
	IdleMB          float64 `json:"idleResidentMB"`        // Resident memory when ready, without orders.
	ListenMS        float64 `json:"listenMillis"`          // Time from exec to the printed address, without orders.
	ReadyMS         float64 `json:"readyMillis"`           // Time from exec until /readyz answers 200, without orders.
	ReadyFullMS     float64 `json:"readyFullMillis"`       // The same with the orders.
	PostP50         float64 `json:"postToScreenP50Millis"` // At 500 orders/s.
	PostP99         float64 `json:"postToScreenP99Millis"` // At 500 orders/s.
	VerifySeconds   float64 `json:"verifySeconds"`         // Duration of an audit of the orders.
	VerifyMB        float64 `json:"verifyPeakResidentMB"`  // Peak resident memory of the audit.
	BinaryMB        float64 `json:"binaryMB"`

	Screens int      `json:"-"` // Number of screens to connect to each server.
	Fanouts []Fanout `json:"fanouts,omitempty"`
}

func main() {
	orders := flag.Int("orders", 100_000, "orders to preload")
	screens := flag.Int("screens", 10_000, "screens that each event must reach")
	rate := flag.Float64("rate", 500, "orders per second in the latency measurement")
	binary := flag.String("binary", "bin/ecupcakes", "the program to measure")
	steps := flag.String("steps", "idle,pipeline,up", "comma-separated measurements: idle, pipeline, up, screens")
	out := flag.String("out", "bench/result.json", "where to write the figures")
	serve := flag.Bool("serve-hub", false, "run the server that the step screens starts; not for use by hand")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if *serve {
		err = serveHub(ctx)
	} else {
		f := &Figures{
			Machine: fmt.Sprintf("%d cores, %s, %s/%s", runtime.NumCPU(), runtime.Version(), runtime.GOOS, runtime.GOARCH),
			Orders:  *orders, Screens: *screens,
		}
		if err = measure(ctx, *binary, strings.Split(*steps, ","), f, *rate); err == nil {
			err = report(f, *out)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func measure(ctx context.Context, binary string, steps []string, f *Figures, rate float64) error {
	dir, err := os.MkdirTemp("", "ecupcakes-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	info, err := os.Stat(binary)
	if err != nil {
		return fmt.Errorf("%w: run make build", err)
	}
	f.BinaryMB = float64(info.Size()) / 1e6

	measurements := map[string]func() error{
		"idle":     func() error { return f.idle(ctx, binary, filepath.Join(dir, "idle"), rate) },
		"pipeline": func() error { return f.pipeline(ctx, binary, filepath.Join(dir, "pipeline")) },
		"up":       func() error { return f.up(ctx, binary, filepath.Join(dir, "up")) },
		"screens":  func() error { return f.screens(ctx, binary, filepath.Join(dir, "screens")) },
	}
	for _, step := range steps {
		fmt.Fprintln(os.Stderr, "measuring:", step)
		measure, ok := measurements[step]
		if !ok {
			return fmt.Errorf("unknown step %q: use idle, pipeline, up or screens", step)
		}
		if err := measure(); err != nil {
			return fmt.Errorf("%s: %w", step, err)
		}
	}
	return nil
}

// idle measures a process without orders, then the latency from POST to the mixer's screen at a
// moderate rate.
func (f *Figures) idle(ctx context.Context, binary, dir string, rate float64) error {
	p, err := start(ctx, binary, "up", "--listen", "127.0.0.1:0", "--kafka-listen", "127.0.0.1:0", "--data", dir, "--json")
	if err != nil {
		return err
	}
	defer p.kill()
	f.ListenMS = millis(time.Since(p.began))
	if err := p.ready(ctx); err != nil {
		return err
	}
	f.ReadyMS = millis(time.Since(p.began))
	f.IdleMB, _ = p.memory()
	warmUp := load.Options{URL: p.URL, Rate: rate, Orders: int(2 * rate), Watch: true, Out: io.Discard}
	if _, err := load.Run(ctx, warmUp); err != nil {
		return err
	}
	r, err := load.Run(ctx, load.Options{URL: p.URL, Rate: rate, Orders: int(20 * rate), Watch: true, Out: io.Discard})
	if err != nil {
		return err
	}
	f.PostP50, f.PostP99 = r.Shown.P50, r.Shown.P99
	return p.stop()
}

// pipeline measures the processors alone, with the broker in this process.
func (f *Figures) pipeline(ctx context.Context, binary, dir string) error {
	b, err := embedded.Start(dir, "127.0.0.1:0", slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer b.Close()
	if err := preload(ctx, b.Addr(), f.Orders); err != nil {
		return err
	}
	before := cpu(syscall.RUSAGE_SELF)
	p, err := start(ctx, binary, "serve", "--brokers", b.Addr(), "--roles", "processors", "--instance", "bench", "--json")
	if err != nil {
		return err
	}
	defer p.kill()
	if err := shipped(ctx, b.Addr(), f.Orders); err != nil {
		return err
	}
	seconds := time.Since(p.began).Seconds()
	f.BrokerCPU = (cpu(syscall.RUSAGE_SELF) - before).Seconds() * 1e6 / float64(f.Orders)
	if err := p.stop(); err != nil {
		return err
	}
	f.OrdersPerSecond = float64(f.Orders) / seconds
	f.CPUPerOrder = (p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()).Seconds() * 1e6 / float64(f.Orders)
	if err := f.verify(ctx, binary, b.Addr()); err != nil {
		return err
	}
	return f.limit(ctx, b.Addr())
}

// verify measures an audit of the processed orders.
func (f *Figures) verify(ctx context.Context, binary, addr string) error {
	cmd := exec.CommandContext(ctx, binary, "verify", "--brokers", addr)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	began := time.Now()
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("auditing the line: %w", err)
	}
	f.VerifySeconds = time.Since(began).Seconds()
	if u, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		f.VerifyMB = float64(u.Maxrss) / 1000
	}
	return nil
}

// limit measures franz-go alone, with as many records as the line writes and reads.
func (f *Figures) limit(ctx context.Context, addr string) error {
	stages := len(topology.Cupcakes.Stages)
	f.RecordsPerOrder = float64(stages * 5) // Each stage reads an order and a report, and writes two rows and an order.
	client, err := kgo.NewClient(
		kgo.SeedBrokers(addr), kgo.ConsumeTopics(topology.Cupcakes.Output),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtEnd()),
		kgo.ProducerLinger(0),
	)
	if err != nil {
		return err
	}
	defer client.Close()
	sample, err := codecs.EncodeOrder(sampleOrder("01a210bf-3ff0-714b-bb0c-5e1b7f2ff3eb", time.Now()))
	if err != nil {
		return err
	}
	written, read := f.Orders*stages*3, f.Orders*stages*2
	began := time.Now()
	for i := range written {
		client.Produce(ctx, &kgo.Record{Topic: topology.Cupcakes.DeadLetters, Key: []byte(strconv.Itoa(i)), Value: sample}, nil)
	}
	if err := client.Flush(ctx); err != nil {
		return err
	}
	reader, err := kgo.NewClient(
		kgo.SeedBrokers(addr), kgo.ConsumeTopics(topology.Cupcakes.DeadLetters),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
	)
	if err != nil {
		return err
	}
	defer reader.Close()
	for n := 0; n < read; {
		fetches := reader.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			return err
		}
		n += fetches.NumRecords()
	}
	f.LimitPerSecond = float64(f.Orders) / time.Since(began).Seconds()
	return nil
}

// up measures everything in one process that processes the preloaded orders.
func (f *Figures) up(ctx context.Context, binary, dir string) error {
	b, err := embedded.Start(dir, "127.0.0.1:0", slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	if err := preload(ctx, b.Addr(), f.Orders); err != nil {
		return err
	}
	if err := b.Close(); err != nil {
		return err
	}
	args := []string{"up", "--listen", "127.0.0.1:0", "--kafka-listen", "127.0.0.1:0", "--data", dir, "--json"}
	p, err := start(ctx, binary, args...)
	if err != nil {
		return err
	}
	defer p.kill()
	if err := shipped(ctx, p.Kafka, f.Orders); err != nil {
		return err
	}
	f.UpPerSecond = float64(f.Orders) / time.Since(p.began).Seconds()
	if err := p.ready(ctx); err != nil {
		return err
	}
	f.UpMB, f.UpPeakMB = p.memory()
	if err := p.stop(); err != nil {
		return err
	}
	again, err := start(ctx, binary, args...)
	if err != nil {
		return err
	}
	defer again.kill()
	if err := again.ready(ctx); err != nil {
		return err
	}
	f.ReadyFullMS = millis(time.Since(again.began))
	return again.stop()
}

func sampleOrder(id string, placed time.Time) *order.Order {
	return &order.Order{
		ID: id, Flavour: "Strawberry", Size: "M", Quantity: 12,
		Status: order.StatusPlaced, PlacedOn: placed.UTC().Truncate(time.Millisecond),
	}
}

// preload creates the topics and writes the orders and the reports of all stages about them.
func preload(ctx context.Context, addr string, orders int) error {
	config := kafka.Config{Brokers: []string{addr}}
	admin, err := kafka.NewAdmin(config)
	if err != nil {
		return err
	}
	defer admin.Close()
	topics := kafka.RequiredTopics(topology.Cupcakes, 8, 1)
	kafka.DisableRetention(topics) // `up` does the same.
	if err := admin.Apply(ctx, topics); err != nil {
		return err
	}
	client, err := config.NewClient(kgo.RecordPartitioner(franz.Partitioner(fnv.New32a)))
	if err != nil {
		return err
	}
	defer client.Close()
	now := time.Now()
	send := func(topic, key string, value []byte, err error) error {
		if err == nil {
			client.Produce(ctx, &kgo.Record{Topic: topic, Key: []byte(key), Value: value}, nil)
		}
		return err
	}
	for range orders {
		id := order.NewID()
		o, err := codecs.EncodeOrder(sampleOrder(id, now))
		if err := send(topology.Cupcakes.Stages[0].Input, id, o, err); err != nil {
			return err
		}
		for _, s := range topology.Cupcakes.Stages {
			r, err := codecs.EncodeReport(&order.Report{ID: order.NewID(), OrderID: id, Kind: order.KindComplete, By: "Ana", On: now})
			if err := send(s.Reports(), id, r, err); err != nil {
				return err
			}
		}
	}
	return client.Flush(ctx)
}

// shipped blocks until the given number of orders is shipped.
func shipped(ctx context.Context, addr string, orders int) error {
	admin, err := kafka.NewAdmin(kafka.Config{Brokers: []string{addr}})
	if err != nil {
		return err
	}
	defer admin.Close()
	ctx, cancel := context.WithTimeout(ctx, 15*time.Minute)
	defer cancel()
	for {
		ends, err := admin.EndOffsets(ctx, topology.Cupcakes.Output) // An error counts as no progress: a busy broker may fail to answer once.
		var n int64
		for _, end := range ends {
			n += end
		}
		if n >= int64(orders) {
			return nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("%d of %d orders were shipped: %w", n, orders, errors.Join(err, ctx.Err()))
		}
	}
}

// process is a running program.
type process struct {
	URL   string `json:"url"`
	Kafka string `json:"kafka"`
	cmd   *exec.Cmd
	began time.Time
}

func start(ctx context.Context, binary string, args ...string) (*process, error) {
	p := &process{cmd: exec.CommandContext(ctx, binary, args...), began: time.Now()}
	p.cmd.Stderr = os.Stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, p)
	}
	if err != nil {
		p.kill()
		return nil, fmt.Errorf("%s %s did not start: %w", binary, args[0], err)
	}
	return p, nil
}

func (p *process) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.URL+"/readyz", nil)
		if err != nil {
			return err
		}
		if response, err := http.DefaultClient.Do(request); err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-time.After(2 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s to be ready: %w", p.URL, ctx.Err())
		}
	}
}

// memory returns the current and the peak resident memory, in MB.
func (p *process) memory() (now, peak float64) {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	for line := range strings.Lines(string(status)) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		kb, _ := strconv.ParseFloat(fields[1], 64)
		switch fields[0] {
		case "VmRSS:":
			now = kb / 1000
		case "VmHWM:":
			peak = kb / 1000
		}
	}
	return now, peak
}

func (p *process) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	if err := p.cmd.Wait(); err != nil {
		return fmt.Errorf("stopping the process: %w", err)
	}
	return nil
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

func cpu(who int) time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(who, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func report(f *Figures, out string) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	row := func(measured float64, what, format string, args ...any) {
		if measured > 0 {
			fmt.Fprintf(w, "| %s\t| "+format+"\t|\n", append([]any{what}, args...)...)
		}
	}
	fmt.Fprintf(w, "| %s, %d orders\t| measured\t|\n|---\t|---\t|\n", f.Machine, f.Orders)
	row(f.OrdersPerSecond, "orders/s through all stages, processors in a process of their own", "%.0f", f.OrdersPerSecond)
	row(f.LimitPerSecond, "… as part of what franz-go alone can write and read", "%.2f of %.0f",
		f.OrdersPerSecond/max(1, f.LimitPerSecond), f.LimitPerSecond)
	row(f.CPUPerOrder, "CPU µs per order: processors, broker", "%.0f, %.0f", f.CPUPerOrder, f.BrokerCPU)
	row(f.UpPerSecond, "orders/s through all stages, everything in one process", "%.0f", f.UpPerSecond)
	row(f.PostP50, "POST to the mixer's screen at 500 orders/s, ms: p50, p99", "%.1f, %.1f", f.PostP50, f.PostP99)
	row(f.ListenMS, "start to listening, to ready, ms", "%.0f, %.0f", f.ListenMS, f.ReadyMS)
	row(f.ReadyFullMS, "start to ready with those orders, ms", "%.0f", f.ReadyFullMS)
	row(f.IdleMB+f.UpMB, "resident MB: idle, after those orders, at most", "%.0f, %.0f, %.0f", f.IdleMB, f.UpMB, f.UpPeakMB)
	row(f.VerifySeconds, "auditing those orders: s, resident MB at most", "%.0f, %.0f", f.VerifySeconds, f.VerifyMB)
	row(f.BinaryMB, "binary MB", "%.0f", f.BinaryMB)
	reportFanouts(w, f.Fanouts)
	if err := w.Flush(); err != nil {
		return err
	}
	b, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(out, append(b, '\n'), 0o644)
}
