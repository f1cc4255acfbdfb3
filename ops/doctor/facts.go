package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/ecupcakes/ecupcakes/kafka"
	"github.com/ecupcakes/ecupcakes/kafka/embedded"
	"github.com/ecupcakes/ecupcakes/ops/connect"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// Facts is what Collect has read from a cluster. What the user may not read is absent.
type Facts struct {
	Now            time.Time
	Cluster        string // The cluster ID.
	Brokers        []Broker
	Topics         map[string]Topic                 // By name; the line's topics only.
	Groups         map[string]Group                 // By name; the groups of the line's stages only.
	Permissions    map[Resource][]kadm.ACLOperation // The operations that the user may perform.
	Disks          []Disk
	Connectors     []connect.Status // Nil without a Connect URL.
	ConnectFailure string           // Why Kafka Connect could not be read; empty if it could.
	ConnectClock   time.Duration    // How far Connect's clock is ahead of this machine's; 0 if unknown.
}

// Embedded reports whether the cluster is the broker inside `ecupcakes up`.
func (f *Facts) Embedded() bool { return f.Cluster == embedded.ClusterID }

// Broker is a broker of the cluster.
type Broker struct {
	ID      int32
	Address string // host:port, as advertised.
	Version string // Guessed from the API versions: "4.3".
	Old     bool   // The broker lacks features that the line needs.
	Failure string // Why the broker does not answer; empty if it does.
}

// Topic is the state of a topic.
type Topic struct {
	Missing    bool // The topic does not exist.
	Partitions map[int32]Partition
	Configs    map[string]string
	Newest     time.Time // The latest timestamp of all messages.
}

// Partition is the replication state of a partition.
type Partition struct {
	Leader           int32 // ID of the leader; negative without one.
	Replicas, InSync int
}

// Group is the state of a stage's consumer group.
type Group struct {
	Members    int
	Partitions []GroupProgress
	Leaderless bool // The group has no coordinator, as just after a cluster's first start.
}

// Lag returns the number of events that the group has not committed.
func (g Group) Lag() (n int64) {
	for _, p := range g.Partitions {
		n += p.Lag(p.Committed)
	}
	return n
}

// GroupProgress is the progress of a group in one partition.
type GroupProgress struct {
	Topic     string
	Partition int32
	kafka.Range
	Committed int64 // 0 if the group has committed nothing.
	Stuck     bool  // There was lag, and nothing was committed during commitWait.
}

// Resource is a topic or a group.
type Resource struct{ Kind, Name string }

// Disk is a disk with data of a broker.
type Disk struct {
	Of, Directory string // The broker, and its log directory.
	Free, Total   int64  // Bytes.
	Failure       string // Why the broker cannot use the directory; empty if it can.
}

// commitWait is how long groups with lag are watched for a commit.
const commitWait = 3 * time.Second

// Collect reads the facts about the configured cluster and, unless data is empty, about the disk
// with that directory of an embedded broker. It changes nothing. It returns an error if the cluster
// cannot be read; a broker that does not answer and a failure of Kafka Connect are facts.
func Collect(ctx context.Context, config kafka.Config, p Target, data string) (*Facts, error) {
	limits := kversion.Stable()
	limits.SetMaxKeyVersion(kmsg.DescribeGroups.Int16(), 5) // Later versions do not return the permissions on a group that does not exist yet.
	client, err := config.NewClient(kgo.RetryTimeout(10*time.Second), kgo.AlwaysRetryEOF(), kgo.MaxVersions(limits))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	e := &collector{Target: p, client: client, admin: kadm.NewClient(client), Facts: &Facts{
		Now: time.Now(), Topics: map[string]Topic{}, Groups: map[string]Group{}, Permissions: map[Resource][]kadm.ACLOperation{},
	}}
	for _, collect := range []func(context.Context) error{e.metadata, e.versions, e.configs, e.groups, e.times, e.disks} {
		if err := collect(ctx); err != nil {
			return nil, err
		}
	}
	if data != "" {
		d := Disk{Of: "the embedded broker", Directory: data}
		if d.Free, d.Total, err = space(data); err != nil {
			return nil, fmt.Errorf("reading the free space of the disk with %s: %w", data, err)
		}
		e.Disks = append(e.Disks, d)
	}
	if p.Connect != "" {
		e.connect(ctx)
	}
	return e.Facts, nil
}

// collector reads facts for a target.
type collector struct {
	Target
	*Facts
	client *kgo.Client
	admin  *kadm.Client
}

// may decodes and records what the user may do with a resource.
func (e *collector) may(kind, name string, operations int32) []kadm.ACLOperation {
	may := kadm.DecodeACLOperations(operations)
	if operations != -1<<31 { // The value of a broker that does not return permissions.
		e.Permissions[Resource{kind, name}] = may
	}
	return may
}

// failed returns err, or nil if a broker that does not answer can be the cause. The facts that this
// broker would have provided stay absent.
func (e *collector) failed(err error) error {
	down := slices.ContainsFunc(e.Facts.Brokers, func(b Broker) bool { return b.Failure != "" })
	if down && unavailable(err) {
		return nil
	}
	return err
}

// unavailable reports whether a broker that is down can cause an error: a network failure, or the
// answer of another broker that a leader or coordinator is not available. The end of a context is
// not such an error, although context.DeadlineExceeded implements net.Error.
func unavailable(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return false
	}
	_, network := errors.AsType[net.Error](err)
	return network || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || kgo.IsRetryableBrokerErr(err) || kerr.IsRetriable(err)
}

// topics returns the topics that the line needs.
func (e *collector) topics() []kafka.Topic {
	return kafka.RequiredTopics(e.Line, e.Partitions, len(e.Facts.Brokers))
}

// seen returns the names of the required topics that exist and that the user may describe.
func (e *collector) seen() (names []string) {
	for _, t := range e.topics() {
		if seen, ok := e.Facts.Topics[t.Name]; ok && !seen.Missing {
			names = append(names, t.Name)
		}
	}
	return names
}

func (e *collector) metadata(ctx context.Context) error {
	request := kmsg.NewPtrMetadataRequest()
	request.IncludeTopicAuthorizedOperations = true
	for _, t := range e.topics() {
		asked := kmsg.NewMetadataRequestTopic()
		asked.Topic = kmsg.StringPtr(t.Name)
		request.Topics = append(request.Topics, asked)
	}
	answer, err := request.RequestWith(ctx, e.client)
	if err != nil {
		return fmt.Errorf("describing the topics: %w", err)
	}
	if answer.ClusterID != nil {
		e.Cluster = *answer.ClusterID
	}
	for _, b := range answer.Brokers {
		e.Facts.Brokers = append(e.Facts.Brokers, Broker{ID: b.NodeID, Address: net.JoinHostPort(b.Host, fmt.Sprint(b.Port))})
	}
	for _, t := range answer.Topics {
		name := *t.Topic
		switch err := kerr.ErrorForCode(t.ErrorCode); {
		case errors.Is(err, kerr.TopicAuthorizationFailed):
			e.Permissions[Resource{Kind: "topic", Name: name}] = nil
			continue
		case errors.Is(err, kerr.UnknownTopicOrPartition):
			e.Facts.Topics[name] = Topic{Missing: true}
			continue
		case err != nil:
			return fmt.Errorf("describing topic %s: %w", name, err)
		}
		e.may("topic", name, t.AuthorizedOperations)
		partitions := map[int32]Partition{}
		for _, p := range t.Partitions {
			partitions[p.Partition] = Partition{Leader: p.Leader, Replicas: len(p.Replicas), InSync: len(p.ISR)}
		}
		e.Facts.Topics[name] = Topic{Partitions: partitions}
	}
	return nil
}

func (e *collector) versions(ctx context.Context) error {
	for i := range e.Facts.Brokers {
		b := &e.Facts.Brokers[i]
		request := kmsg.NewPtrApiVersionsRequest()
		request.ClientSoftwareName, request.ClientSoftwareVersion = "ecupcakes", "doctor"
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		answer, err := e.client.Broker(int(b.ID)).Request(ctx, request)
		cancel()
		if err == nil {
			err = kerr.ErrorForCode(answer.(*kmsg.ApiVersionsResponse).ErrorCode)
		}
		if err != nil {
			b.Failure = err.Error()
			continue
		}
		if e.Embedded() {
			b.Version = "embedded"
			continue
		}
		v := kversion.FromApiVersionsResponse(answer.(*kmsg.ApiVersionsResponse))
		join, _ := v.LookupMaxKeyVersion(kmsg.JoinGroup.Int16())
		b.Version, b.Old = strings.TrimPrefix(v.VersionGuess(), "v"), join < 5 || !v.HasKey(kmsg.InitProducerID.Int16())
	}
	return nil
}

func (e *collector) configs(ctx context.Context) error {
	names := slices.DeleteFunc(e.seen(), func(name string) bool {
		may, told := e.Permissions[Resource{Kind: "topic", Name: name}]
		return told && !slices.Contains(may, kadm.OpDescribeConfigs)
	})
	if len(names) == 0 {
		return nil
	}
	all, err := e.admin.DescribeTopicConfigs(ctx, names...)
	if err := e.failed(err); err != nil {
		return fmt.Errorf("reading the configuration of the topics: %w", err)
	}
	for _, of := range all {
		if of.Err != nil {
			return fmt.Errorf("reading the configuration of topic %s: %w", of.Name, of.Err)
		}
		t := e.Facts.Topics[of.Name]
		t.Configs = map[string]string{}
		for _, c := range of.Configs {
			t.Configs[c.Key] = c.MaybeValue()
		}
		e.Facts.Topics[of.Name] = t
	}
	return nil
}

func (e *collector) groups(ctx context.Context) error {
	request := kmsg.NewPtrDescribeGroupsRequest()
	request.IncludeAuthorizedOperations = true
	for _, a := range kafka.ACLs(e.Line, e.Roles...) {
		if a.Resource == "group" && !slices.Contains(request.Groups, a.Name) {
			request.Groups = append(request.Groups, a.Name)
		}
	}
	if len(request.Groups) == 0 {
		return nil
	}
	for _, shard := range e.client.RequestSharded(ctx, request) {
		described, err := e.described(shard)
		if err != nil {
			return err
		}
		for _, g := range described {
			e.may("group", g.Group, g.AuthorizedOperations)
			if e.Line.Index(g.Group) < 0 {
				continue // Groups of screens do not belong to a stage.
			}
			progress, err := e.progress(ctx, g.Group)
			if err != nil {
				return err
			}
			e.Facts.Groups[g.Group] = Group{Members: len(g.Members), Partitions: progress}
		}
	}
	return e.watch(ctx)
}

// described returns the groups of one coordinator's answer that could be described. For the others
// it records that the user may not describe them or that they have no coordinator.
func (e *collector) described(shard kgo.ResponseShard) (groups []kmsg.DescribeGroupsResponseGroup, err error) {
	switch {
	case errors.Is(shard.Err, kerr.GroupAuthorizationFailed):
		for _, name := range shard.Req.(*kmsg.DescribeGroupsRequest).Groups {
			e.Permissions[Resource{Kind: "group", Name: name}] = nil
		}
		return nil, nil
	case errors.Is(shard.Err, kerr.CoordinatorNotAvailable):
		for _, name := range shard.Req.(*kmsg.DescribeGroupsRequest).Groups {
			if e.Line.Index(name) >= 0 {
				e.Facts.Groups[name] = Group{Leaderless: true}
			}
		}
		return nil, nil
	case shard.Err != nil:
		if err := e.failed(shard.Err); err != nil {
			return nil, fmt.Errorf("describing the groups: %w", err)
		}
		return nil, nil
	}
	for _, g := range shard.Resp.(*kmsg.DescribeGroupsResponse).Groups {
		err := kerr.ErrorForCode(g.ErrorCode)
		switch {
		case err == nil:
			groups = append(groups, g)
		case errors.Is(err, kerr.GroupAuthorizationFailed):
			e.Permissions[Resource{Kind: "group", Name: g.Group}] = nil
		case e.failed(err) != nil:
			return nil, fmt.Errorf("describing group %s: %w", g.Group, err)
		}
	}
	return groups, nil
}

// watch waits for commitWait if a group has lag, and marks the partitions without a commit as stuck.
func (e *collector) watch(ctx context.Context) error {
	lags := false
	for _, g := range e.Facts.Groups {
		lags = lags || slices.ContainsFunc(g.Partitions, func(p GroupProgress) bool { return p.Committed < p.End })
	}
	if !lags {
		return nil
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(commitWait):
	}
	for name, g := range e.Facts.Groups {
		later, err := e.progress(ctx, name)
		if err != nil {
			return err
		}
		for i, p := range g.Partitions {
			at := slices.IndexFunc(later, func(l GroupProgress) bool { return l.Topic == p.Topic && l.Partition == p.Partition })
			g.Partitions[i].Stuck = p.Committed < p.End && at >= 0 && later[at].Committed == p.Committed
		}
	}
	return nil
}

// progress returns the progress of a stage's group in the topics that the user may describe.
func (e *collector) progress(ctx context.Context, group string) (all []GroupProgress, err error) {
	s := e.Line.Stages[e.Line.Index(group)]
	inputs := slices.DeleteFunc([]string{s.Input, s.Reports()}, func(t string) bool { return !slices.Contains(e.seen(), t) })
	if len(inputs) == 0 {
		return nil, nil
	}
	committed, err := e.admin.FetchOffsetsForTopics(ctx, group, inputs...)
	if err != nil && e.failed(err) == nil {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("fetching the committed offsets of group %s: %w", group, err)
	}
	begins, errB := e.admin.ListStartOffsets(ctx, inputs...)
	ends, errE := e.admin.ListEndOffsets(ctx, inputs...)
	if err := errors.Join(e.failed(errB), e.failed(errE)); err != nil {
		return nil, fmt.Errorf("listing the offsets of %s: %w", strings.Join(inputs, " and "), err)
	}
	for _, end := range ends.Offsets().Sorted() {
		begin, ok := begins.Lookup(end.Topic, end.Partition)
		if !ok || begin.Err != nil || end.At < 0 {
			continue // The partition has no leader.
		}
		p := GroupProgress{Topic: end.Topic, Partition: end.Partition, Range: kafka.Range{Begin: begin.Offset, End: end.At}}
		if c, ok := committed.Lookup(end.Topic, end.Partition); ok {
			p.Committed = max(c.At, 0)
		}
		all = append(all, p)
	}
	return all, nil
}

func (e *collector) times(ctx context.Context) error {
	names := e.seen()
	if len(names) == 0 {
		return nil
	}
	newest, err := e.admin.ListMaxTimestampOffsets(ctx, names...)
	if err := e.failed(err); err != nil {
		return fmt.Errorf("listing the newest messages: %w", err)
	}
	newest.Each(func(o kadm.ListedOffset) {
		if t := e.Facts.Topics[o.Topic]; o.Err == nil && o.Timestamp > 0 && time.UnixMilli(o.Timestamp).After(t.Newest) {
			t.Newest = time.UnixMilli(o.Timestamp)
			e.Facts.Topics[o.Topic] = t
		}
	})
	return nil
}

func (e *collector) disks(ctx context.Context) error {
	if e.Embedded() {
		return nil // It does not report its directories.
	}
	all, _ := e.admin.DescribeAllLogDirs(ctx, nil) // Few users have the ACL, so an error is no finding.
	for _, of := range all {
		for _, d := range of {
			switch {
			case d.Err != nil && !errors.Is(d.Err, kerr.ClusterAuthorizationFailed):
				e.Facts.Disks = append(e.Facts.Disks, Disk{Of: fmt.Sprint("broker ", d.Broker), Directory: d.Dir, Failure: d.Err.Error()})
			case d.Err == nil && d.TotalBytes > 0:
				e.Facts.Disks = append(e.Facts.Disks, Disk{
					Of: fmt.Sprint("broker ", d.Broker), Directory: d.Dir,
					Free: d.UsableBytes, Total: d.TotalBytes,
				})
			}
		}
	}
	return nil
}

// connect reads the state of the connectors, or records why it cannot be read.
func (e *collector) connect(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	client, err := connect.New(e.Connect)
	if err == nil {
		var o connect.Overview
		o, err = client.Overview(ctx)
		e.Connectors, e.ConnectClock = o.Connectors, o.ClockAhead
	}
	if err != nil {
		e.ConnectFailure = err.Error()
	}
}
