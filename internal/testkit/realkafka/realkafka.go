// Package realkafka runs Apache Kafka for tests, as Java processes from Maven's
// jars, on the loopback only: one node, or three that replicate, each of which
// can be killed, paused and started again.
//
// It imports nothing of eCupcakes, and no product code may import it.
package realkafka

import (
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/ecupcakes/ecupcakes/internal/testkit/java"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

//go:embed pom.xml
var pom []byte

// Cluster is a running cluster.
type Cluster struct {
	Nodes []*Node
}

// Node is one broker, which is a controller as well.
type Node struct {
	java.Program
	Address string // host:port for clients.
	listen  string // Where it listens: there, unless something stands between.
	dir     string
	jars    string

	prepared string // See prepare; empty for the node that it runs itself.
}

// Start runs a cluster of one or three nodes with their data below dir, and
// returns when all of them serve. Settings are further lines of the nodes'
// server.properties, "key=value".
func Start(ctx context.Context, dir string, nodes int, settings ...string) (*Cluster, error) {
	return StartBehind(ctx, dir, nodes, directly, settings...)
}

func directly(listen string) (string, error) { return listen, nil }

// StartBehind is Start with something between the nodes and everybody who talks
// to them, each other included: front gets the address where a node is going to
// listen, and returns the one that it is to be known by.
func StartBehind(
	ctx context.Context, dir string, nodes int,
	front func(listen string) (string, error), settings ...string,
) (*Cluster, error) {
	return start(ctx, dir, nodes, front, nil, settings)
}

// listener is where a node serves besides, with the security protocol whose
// name it has.
type listener struct{ protocol, address string }

func start(
	ctx context.Context, dir string, nodes int,
	front func(listen string) (string, error),
	besides []listener, settings []string,
) (*Cluster, error) {
	jars, err := java.Jars(ctx, "kafka", pom)
	if err != nil {
		return nil, err
	}
	ready, err := prepare(ctx, jars)
	if err != nil {
		return nil, err
	}
	ports, err := java.Ports(2 * nodes)
	if err != nil {
		return nil, err
	}
	var voters []string
	for i := range nodes {
		voters = append(voters, fmt.Sprintf("%d@127.0.0.1:%d", i+1, ports[2*i+1]))
	}
	c := &Cluster{}
	for i := range nodes {
		n := &Node{listen: fmt.Sprintf("127.0.0.1:%d", ports[2*i]), dir: filepath.Join(dir, fmt.Sprint("node", i+1)), jars: jars, prepared: ready}
		if n.Address, err = front(n.listen); err != nil {
			return nil, err
		}
		if err := n.format(ctx, i+1, nodes, ports[2*i+1], strings.Join(voters, ","), besides, settings); err != nil {
			return nil, err
		}
		c.Nodes = append(c.Nodes, n)
	}
	for _, n := range c.Nodes {
		if err := n.Launch(); err != nil {
			c.Kill()
			return nil, err
		}
	}
	for _, n := range c.Nodes {
		if err := n.Await(ctx); err != nil {
			c.Kill()
			return nil, err
		}
	}
	return c, nil
}

// Brokers is the bootstrap list: host:port,host:port.
func (c *Cluster) Brokers() string {
	var all []string
	for _, n := range c.Nodes {
		all = append(all, n.Address)
	}
	return strings.Join(all, ",")
}

// Kill kills all nodes.
func (c *Cluster) Kill() {
	for _, n := range c.Nodes {
		n.Kill()
	}
}

func (n *Node) format(ctx context.Context, id, nodes, controller int, voters string, besides []listener, settings []string) error {
	if err := os.MkdirAll(n.dir, 0o700); err != nil {
		return err
	}
	replicas, insync := 1, 1
	if nodes >= 3 {
		replicas, insync = 3, 2
	}
	listeners, advertised, protocols := "PLAINTEXT://"+n.listen, "PLAINTEXT://"+n.Address, "PLAINTEXT:PLAINTEXT"
	for _, l := range besides {
		at := "," + l.protocol + "://" + l.address
		listeners, advertised, protocols = listeners+at, advertised+at, protocols+","+l.protocol+":"+l.protocol
	}
	properties := []string{
		"process.roles=broker,controller",
		fmt.Sprint("node.id=", id),
		"controller.quorum.voters=" + voters,
		"controller.listener.names=CONTROLLER",
		fmt.Sprintf("listeners=%s,CONTROLLER://127.0.0.1:%d", listeners, controller),
		"advertised.listeners=" + advertised,
		"listener.security.protocol.map=" + protocols + ",CONTROLLER:PLAINTEXT",
		"log.dirs=" + n.data(),
		"auto.create.topics.enable=false",
		fmt.Sprint("default.replication.factor=", replicas),
		fmt.Sprint("offsets.topic.replication.factor=", replicas),
		fmt.Sprint("min.insync.replicas=", insync),
		"offsets.topic.num.partitions=4",
		"group.initial.rebalance.delay.ms=0",
		"num.network.threads=2", // Two cores have to bear three nodes.
		"num.io.threads=4",
		"log.cleaner.dedupe.buffer.size=16777216",
	}
	logging := []string{
		"status = error",
		"appender.f.type = File",
		"appender.f.name = F",
		"appender.f.fileName = " + n.log(),
		"appender.f.layout.type = PatternLayout",
		"appender.f.layout.pattern = [%d] %p %m (%c)%n",
		"rootLogger.level = INFO",
		"rootLogger.appenderRef.f.ref = F",
		"appender.a.type = File",
		"appender.a.name = A",
		"appender.a.fileName = " + filepath.Join(n.dir, "authorizer.log"),
		"appender.a.layout.type = PatternLayout",
		"appender.a.layout.pattern = %m%n",
		"logger.a.name = kafka.authorizer.logger",
		"logger.a.level = DEBUG", // Without an authorizer it says nothing.
		"logger.a.additivity = false",
		"logger.a.appenderRef.a.ref = A",
	}
	for file, lines := range map[string][]string{
		n.properties(): append(properties, settings...),
		filepath.Join(n.dir, "log4j2.properties"): logging,
	} {
		if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
			return err
		}
	}
	if err := n.formatStorage(ctx, id); err != nil {
		return err
	}
	n.Program.Name = "the Kafka node " + n.Address
	n.Program.Args = append(
		n.java("-Xms384m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true"),
		"kafka.Kafka", n.properties(),
	)
	n.Program.Log = n.log() // Both append to it.
	n.Program.Up = n.up
	return nil
}

const (
	clusterID  = "cupcakesTestCluster000"
	checkpoint = "bootstrap.checkpoint" // The metadata version, which a formatted storage begins with.
	archive    = "kafka.jsa"
)

// prepare returns a directory of the user's cache with what takes seconds of CPU
// at each start of Kafka: an archive of its classes for the JVM, which halves the
// CPU of a start, and the file with which a storage begins. It is made once for
// all tests, by a node that is formatted, started and stopped.
func prepare(ctx context.Context, jars string) (string, error) {
	release, err := java.Release()
	if err != nil {
		return "", err
	}
	return java.Cached("kafka-prepared", slices.Concat([]byte(release), []byte(jars)), func(dir string) error {
		ports, err := java.Ports(2)
		if err != nil {
			return err
		}
		n := &Node{listen: fmt.Sprint("127.0.0.1:", ports[0]), dir: filepath.Join(dir, "node"), jars: jars}
		n.Address = n.listen
		if err := n.format(ctx, 1, 1, ports[1], fmt.Sprintf("1@127.0.0.1:%d", ports[1]), nil, nil); err != nil {
			return err
		}
		begins, err := os.ReadFile(filepath.Join(n.data(), checkpoint))
		if err != nil {
			return err
		}
		// A JVM that cannot write the archive says so in the node's log, and the nodes start without it.
		n.Args = slices.Insert(n.Args, 0, "-XX:ArchiveClassesAtExit="+filepath.Join(dir, archive))
		if err := n.Start(ctx); err != nil {
			return err
		}
		n.Stop()
		return errors.Join(os.WriteFile(filepath.Join(dir, checkpoint), begins, 0o600), os.RemoveAll(n.dir))
	})
}

// formatStorage does what kafka-storage.sh format does, with the prepared file
// if there is one.
func (n *Node) formatStorage(ctx context.Context, id int) error {
	if n.prepared == "" {
		format := n.tool(ctx, "kafka.tools.StorageTool", "format", "-t", clusterID, "-c", n.properties())
		if out, err := format.CombinedOutput(); err != nil {
			return fmt.Errorf("formatting the storage of Kafka node %d: %w\n%s", id, err, out)
		}
		return nil
	}
	begins, err := os.ReadFile(filepath.Join(n.prepared, checkpoint))
	if err != nil {
		return err
	}
	var directory [16]byte
	_, _ = rand.Read(directory[:]) // It never fails.
	meta := fmt.Sprintf("node.id=%d\ndirectory.id=%s\nversion=1\ncluster.id=%s\n",
		id, base64.RawURLEncoding.EncodeToString(directory[:]), clusterID)
	return errors.Join(os.MkdirAll(n.data(), 0o700),
		os.WriteFile(filepath.Join(n.data(), "meta.properties"), []byte(meta), 0o600),
		os.WriteFile(filepath.Join(n.data(), checkpoint), begins, 0o600))
}

func (n *Node) data() string { return filepath.Join(n.dir, "data") }

func (n *Node) properties() string { return filepath.Join(n.dir, "server.properties") }

func (n *Node) log() string { return filepath.Join(n.dir, "server.log") }

// java are the arguments of java up to the class.
func (n *Node) java(options ...string) []string {
	if n.prepared != "" { // Without the file, or with other classes, the JVM starts as usual.
		options = append(options, "-XX:SharedArchiveFile="+filepath.Join(n.prepared, archive), "-Xshare:auto", "-Xlog:cds=off", "-Xlog:cds+dynamic=off")
	}
	return append(options, "-Dlog4j2.configurationFile="+filepath.Join(n.dir, "log4j2.properties"), "-cp", filepath.Join(n.jars, "*"))
}

// tool prepares a run of one of Kafka's own tools, by its class.
func (n *Node) tool(ctx context.Context, class string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "java", append(append(n.java("-Xmx128m", "-XX:TieredStopAtLevel=1"), class), args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for the test, which then kills it.
	return cmd
}

// up says why the node does not serve yet: one that starts answers before it is
// a part of the cluster.
func (n *Node) up(ctx context.Context) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(n.Address), kgo.RetryTimeout(time.Second))
	if err != nil {
		return err
	}
	defer client.Close()
	m, err := kadm.NewClient(client).BrokerMetadata(ctx)
	if err != nil {
		return err
	}
	for _, b := range m.Brokers {
		if net.JoinHostPort(b.Host, fmt.Sprint(b.Port)) == n.Address {
			return nil
		}
	}
	return errors.New("it is not a part of the cluster yet")
}
