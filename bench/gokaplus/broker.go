package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/ecupcakes/ecupcakes/internal/testkit/realkafka"
	"github.com/ecupcakes/ecupcakes/kafka/embedded"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// process is a broker's, which can be killed (kill -9) and started again on its data.
type process interface {
	Kill()
	Start(ctx context.Context) error
}

// kafka is one broker with the client of the measurement, whose records are written durably.
type kafka struct {
	process
	addr   string
	dir    string // for members
	client *kgo.Client
	admin  *kadm.Client
}

func startKafka(ctx context.Context, kind, dir string) (*kafka, error) {
	k := &kafka{dir: filepath.Join(dir, "members")}
	switch data := filepath.Join(dir, "broker"); kind {
	case "kafka":
		c, err := realkafka.Start(ctx, data, 1)
		if err != nil {
			return nil, err
		}
		k.process, k.addr = c.Nodes[0], c.Brokers()
	case "kfake":
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		k.addr = l.Addr().String()
		k.process = &inChild{dir: data, addr: k.addr}
		if err := errors.Join(l.Close(), k.Start(ctx)); err != nil {
			return nil, err
		}
	default:
		return nil, errors.New("choose kafka or kfake")
	}
	var err error
	k.client, err = kgo.NewClient(kgo.SeedBrokers(k.addr), kgo.RecordPartitioner(partitioner), kgo.MaxBufferedRecords(200_000))
	k.admin = kadm.NewClient(k.client)
	return k, err
}

func (k *kafka) send(ctx context.Context, topic, key, value string) {
	k.client.Produce(ctx, &kgo.Record{Topic: topic, Key: []byte(key), Value: []byte(value)}, nil)
}

// stable waits until groups have so many members and all have their partitions.
func (k *kafka) stable(ctx context.Context, members int, groups ...string) error {
	return until(ctx, fmt.Sprint(groups, " are stable"), time.Minute, func(ctx context.Context) bool {
		described, err := k.admin.DescribeGroups(ctx, groups...)
		for _, g := range described {
			if g.State != "Stable" || len(g.Members) != members {
				return false
			}
		}
		return err == nil && len(described) == len(groups)
	})
}

// until polls a condition that does not tell when it changes.
func until(ctx context.Context, what string, most time.Duration, cond func(context.Context) bool) error {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	for !cond(ctx) {
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting until %s: %w", what, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}

// inChild is the embedded broker in a process of its own.
type inChild struct {
	dir, addr string
	*child
}

func (b *inChild) Start(context.Context) (err error) {
	if b.child, err = startChild("broker", b.dir, b.addr); err == nil {
		_, err = b.stdout.ReadString('\n')
	}
	return err
}

func (b *inChild) Kill() { b.kill() }

// runBroker is the child process of inChild.
func runBroker(ctx context.Context) error {
	b, err := embedded.Start(os.Args[2], os.Args[3], slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	fmt.Println("ready")
	<-ctx.Done()
	return b.Close()
}

// child is this program in another role. It ends with its parent.
type child struct {
	cmd    *exec.Cmd
	stdout *bufio.Reader
}

func startChild(args ...string) (*child, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(exe, args...)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	return &child{cmd, bufio.NewReader(out)}, cmd.Start()
}

// kill is kill -9. A child that has ended stays so.
func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
}

// stop asks the child to end, and kills it after two minutes: goka waits up to one for acknowledgements. It returns what
// it printed and the CPU time it has used.
func (c *child) stop() (last string, cpu time.Duration) {
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	defer time.AfterFunc(2*time.Minute, func() { _ = c.cmd.Process.Kill() }).Stop()
	last, _ = c.stdout.ReadString('\n')
	_ = c.cmd.Wait()
	return last, c.cmd.ProcessState.UserTime() + c.cmd.ProcessState.SystemTime()
}
