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

// Broker is a Kafka-compatible broker in this process, with its data in a
// directory and a port that any Kafka client can use. What it has acknowledged
// survives the kill of the process, though not the loss of power: writes reach
// the operating system, not the disk, before they are acknowledged.
type Broker struct {
	cluster *kfake.Cluster
	lock    *flock.Flock
}

// Start starts a broker on the address, host:port with 0 for a free
// port, with its data in dir, which it locks for itself. Topics must be created
// explicitly, and none with a retention, see kafka.DisableRetention.
func Start(dir, address string, log *slog.Logger) (*Broker, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("the address %q of the embedded broker is not host:port: %w", address, err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		return nil, fmt.Errorf("the embedded broker tells its clients its address, so %q cannot be used: name a host that they can reach", address)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the data directory: %w", err)
	}
	lock := flock.New(filepath.Join(dir, "lock"))
	locked, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("locking the data directory: %w", err)
	}
	if !locked {
		return nil, fmt.Errorf("another program is using the data directory %s: stop it, or choose another one with --data", dir)
	}
	cluster, err := kfake.NewCluster(
		kfake.NumBrokers(1),
		kfake.ClusterID(ClusterID),
		kfake.DataDir(filepath.Join(dir, "kafka")),
		kfake.ListenFn(func(network, _ string) (net.Listener, error) { return net.Listen(network, address) }),
		kfake.BrokerConfigs(map[string]string{
			"group.initial.rebalance.delay.ms": "0",       // The first processor of a group need not wait for others to join.
			"log.retention.ms":                 "-1",      // kfake would delete old rows of compacted topics, too.
			"offsets.retention.minutes":        "5256000", // Ten years: a factory may rest for longer than a week.
		}),
		kfake.WithLogger(kfakeLog{log}),
	)
	if err != nil {
		_ = lock.Unlock()
		if errors.Is(err, syscall.EADDRINUSE) {
			return nil, fmt.Errorf("starting the embedded broker: %w; choose another address with --kafka-listen, or use the broker that is there with --brokers", err)
		}
		return nil, fmt.Errorf("starting the embedded broker: %w", err)
	}
	return &Broker{cluster, lock}, nil
}

// Addr is the address on which the broker listens.
func (e *Broker) Addr() string { return e.cluster.ListenAddrs()[0] }

// Close stops the broker after it has written everything to the directory, and
// gives the directory free.
func (e *Broker) Close() error {
	e.cluster.Close()
	if err := e.lock.Unlock(); err != nil {
		return fmt.Errorf("unlocking the data directory: %w", err)
	}
	return nil
}

// kfakeLog passes on what matters to a person; the broker's own debugging
// output does not.
type kfakeLog struct{ log *slog.Logger }

func (l kfakeLog) Logf(level kfake.LogLevel, format string, args ...any) {
	if level == kfake.LogLevelError || level == kfake.LogLevelWarn {
		l.log.Warn(strings.TrimSpace(fmt.Sprintf(format, args...)), "from", "embedded broker")
	}
}
