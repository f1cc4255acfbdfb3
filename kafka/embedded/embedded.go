// Package embedded runs a Kafka-compatible broker in the process, for installations without a
// cluster. It keeps its data in a directory.
package embedded

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/gofrs/flock"
	"github.com/twmb/franz-go/pkg/kfake"
)

// ClusterID is the cluster ID of every embedded broker.
const ClusterID = "ecupcakes-embedded"

// Broker is a Kafka-compatible broker in this process that any Kafka client can connect to.
// Acknowledged messages survive a kill of the process, but not a power failure: a write is
// acknowledged once the operating system has it, before it reaches the disk.
type Broker struct {
	cluster *kfake.Cluster
	lock    *flock.Flock
}

// Start starts a broker that listens on the address, host:port, where port 0 picks a free one. It
// creates and locks the data directory dir. Topics must be created explicitly and without
// retention, see kafka.DisableRetention.
func Start(dir, address string, log *slog.Logger) (*Broker, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("the address %q of the embedded broker is not host:port: %w", address, err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		return nil, fmt.Errorf("the embedded broker advertises its address to clients, so %q cannot be used: "+
			"name a host that they can reach", address)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("creating the data directory: %w", err)
	}
	lock := flock.New(filepath.Join(dir, "lock"))
	locked, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("locking the data directory: %w", err)
	}
	if !locked {
		return nil, fmt.Errorf("another program is using the data directory %s: stop it, or choose another directory with --data", dir)
	}
	cluster, err := kfake.NewCluster(
		kfake.NumBrokers(1),
		kfake.ClusterID(ClusterID),
		kfake.DataDir(filepath.Join(dir, "kafka")),
		kfake.ListenFn(func(network, _ string) (net.Listener, error) { return net.Listen(network, address) }),
		kfake.BrokerConfigs(map[string]string{
			"group.initial.rebalance.delay.ms": "0",       // The first processor of a group should not wait for others to join.
			"log.retention.ms":                 "-1",      // kfake would apply the retention to compacted topics, too.
			"offsets.retention.minutes":        "5256000", // Ten years: a factory may be closed for longer than the default week.
		}),
		kfake.WithLogger(kfakeLog{log}),
	)
	if err != nil {
		err = errors.Join(err, lock.Unlock())
		if errors.Is(err, syscall.EADDRINUSE) {
			return nil, fmt.Errorf("starting the embedded broker: %w; "+
				"choose another address with --kafka-listen, or use the broker that listens there with --brokers", err)
		}
		return nil, fmt.Errorf("starting the embedded broker: %w", err)
	}
	return &Broker{cluster: cluster, lock: lock}, nil
}

// Addr returns the address on which the broker listens, host:port.
func (b *Broker) Addr() string { return b.cluster.ListenAddrs()[0] }

// Close writes all data to the directory, stops the broker and unlocks the directory.
func (b *Broker) Close() error {
	b.cluster.Close()
	if err := b.lock.Unlock(); err != nil {
		return fmt.Errorf("unlocking the data directory: %w", err)
	}
	return nil
}

// kfakeLog logs kfake's errors and warnings, and discards its debugging output.
type kfakeLog struct{ log *slog.Logger }

func (l kfakeLog) Logf(level kfake.LogLevel, format string, args ...any) {
	if level == kfake.LogLevelError || level == kfake.LogLevelWarn {
		l.log.Warn(strings.TrimSpace(fmt.Sprintf(format, args...)), "from", "embedded broker")
	}
}
