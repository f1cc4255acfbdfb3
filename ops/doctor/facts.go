package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/ecupcakes/ecupcakes/kafka"
	"github.com/ecupcakes/ecupcakes/kafka/embedded"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// Facts are what was seen. What the user may not see is absent.
type Facts struct {
	Now            time.Time
	Cluster        string // Its ID.
	Brokers        []Broker
	Topics         map[string]Topic
	Groups         map[string]Group
	Permissions    map[Resource][]kadm.ACLOperation // What the user may do.
	Disks          []Disk
	Connectors     []Connector // Nil if they were not asked for.
	ConnectFailure string
	ConnectClock   time.Duration // How far it is ahead of ours; 0 if it does not tell.
}

// Embedded says whether it is the broker within `ecupcakes up`.
func (f *Facts) Embedded() bool { return f.Cluster == embedded.ClusterID }

// Broker is one that the cluster knows.
type Broker struct {
	ID      int32
	Address string
	Version string // As far as one can tell: "4.3".
	Old     bool   // It lacks what the line needs.
	Failure string // Why it does not answer; empty if it does.
}

// Topic is one of the line's.
type Topic struct {
	Missing    bool
	Partitions map[int32]Partition
	Configs    map[string]string
	Newest     time.Time // The latest time that a message has.
}

// Partition is how one is kept.
type Partition struct {
	Leader           int32 // Below 0 for none.
	Replicas, InSync int
}

// Group is the consumer group of a stage.
type Group struct {
	Members    int
	Partitions []GroupProgress
	Leaderless bool // No broker coordinates it, as just after a cluster's first start.
}

// Lag counts the events that it has not finished.
func (g Group) Lag() (n int64) {
	for _, p := range g.Partitions {
		n += max(p.End-max(p.Committed, p.Begin), 0)
	}
	return n
}

// GroupProgress is how far a group is with a partition, in offsets.
type GroupProgress struct {
	Topic                 string
	Partition             int32
	Begin, Committed, End int64
	Stuck                 bool // There is more, and nothing was finished for the patience.
}

// Resource is a topic or group.
type Resource struct{ Kind, Name string }

// Disk has data of a broker.
type Disk struct {
	Of, Directory string
	Free, Total   int64 // Bytes.
	Failure       string
}

// Connector is one of Kafka Connect's.
type Connector struct {
	Name, State, Trace string
	Tasks              []Task
}

// Task is one of a connector's.
type Task struct {
	ID           int
	State, Trace string
}

// patience is how long a group may take to finish something.
const patience = 3 * time.Second

// Collect gathers the facts about the cluster of the configuration, and the disk
// with the directory of an embedded broker's data unless it is empty. An error
// says that the cluster could not be asked.
func Collect(ctx context.Context, config kafka.Config, p Target, data string) (*Facts, error) {
	limits := kversion.Stable()
	limits.SetMaxKeyVersion(kmsg.DescribeGroups.Int16(), 5) // Later ones do not tell what one may do with a group that is not there yet.
	client, err := kgo.NewClient(append(config.Client(), kgo.RetryTimeout(10*time.Second), kgo.AlwaysRetryEOF(), kgo.MaxVersions(limits))...)
	if err != nil {
		return nil, fmt.Errorf("making a Kafka client: %w", err)
	}
	defer client.Close()
	e := &collector{Target: p, client: client, admin: kadm.NewClient(client), Facts: &Facts{
		Now: time.Now(), Topics: map[string]Topic{}, Groups: map[string]Group{}, Permissions: map[Resource][]kadm.ACLOperation{},
	}}
	for _, look := range []func(context.Context) error{e.metadata, e.versions, e.configs, e.groups, e.times, e.disks} {
		if err := look(ctx); err != nil {
			return nil, err
		}
	}
	if data != "" {
		d := Disk{Of: "the embedded broker", Directory: data}
		if d.Free, d.Total, err = space(data); err != nil {
			return nil, fmt.Errorf("looking at the disk with %s: %w", data, err)
		}
		e.Disks = append(e.Disks, d)
	}
	if p.Connect != "" {
		if err := e.connect(ctx); err != nil {
			e.ConnectFailure = err.Error()
		}
	}
	return e.Facts, nil
}

type collector struct {
	Target
	*Facts
	client *kgo.Client
	admin  *kadm.Client
}

func (e *collector) may(kind, name string, operations int32) []kadm.ACLOperation {
	may := kadm.DecodeACLOperations(operations)
	if operations != -1<<31 { // The broker does not tell.
		e.Permissions[Resource{kind, name}] = may
	}
	return may
}

// failed is the error, or nil if a broker is known to be away: what it would have
// told is absent then.
func (e *collector) failed(err error) error {
	if slices.ContainsFunc(e.Facts.Brokers, func(b Broker) bool { return b.Failure != "" }) {
		return nil
	}
	return err
}

func (e *collector) topics() []kafka.Topic {
	return kafka.RequiredTopics(e.Line, e.Partitions, len(e.Facts.Brokers))
}

// seen are the topics that are there and that the user may see.
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
		return fmt.Errorf("asking for the topics: %w", err)
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
			e.Permissions[Resource{"topic", name}] = nil
			continue
		case errors.Is(err, kerr.UnknownTopicOrPartition):
			e.Facts.Topics[name] = Topic{Missing: true}
			continue
		case err != nil:
			return fmt.Errorf("asking for topic %s: %w", name, err)
		}
		e.may("topic", name, t.AuthorizedOperations)
		partitions := map[int32]Partition{}
		for _, p := range t.Partitions {
			partitions[p.Partition] = Partition{p.Leader, len(p.Replicas), len(p.ISR)}
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
		may, told := e.Permissions[Resource{"topic", name}]
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
	stuck := false
	for _, shard := range e.client.RequestSharded(ctx, request) {
		if errors.Is(shard.Err, kerr.GroupAuthorizationFailed) {
			for _, name := range shard.Req.(*kmsg.DescribeGroupsRequest).Groups {
				e.Permissions[Resource{"group", name}] = nil
			}
			continue
		}
		if errors.Is(shard.Err, kerr.CoordinatorNotAvailable) {
			for _, name := range shard.Req.(*kmsg.DescribeGroupsRequest).Groups {
				if e.Line.Index(name) >= 0 {
					e.Facts.Groups[name] = Group{Leaderless: true}
				}
			}
			continue
		}
		if shard.Err != nil {
			if err := e.failed(shard.Err); err != nil {
				return fmt.Errorf("asking for the groups: %w", err)
			}
			continue
		}
		for _, g := range shard.Resp.(*kmsg.DescribeGroupsResponse).Groups {
			switch err := kerr.ErrorForCode(g.ErrorCode); {
			case errors.Is(err, kerr.GroupAuthorizationFailed):
				e.Permissions[Resource{"group", g.Group}] = nil
				continue
			case err != nil && e.failed(err) == nil:
				continue
			case err != nil:
				return fmt.Errorf("asking for group %s: %w", g.Group, err)
			}
			e.may("group", g.Group, g.AuthorizedOperations)
			if e.Line.Index(g.Group) < 0 {
				continue // Those of screens are none of the line's.
			}
			progress, err := e.progress(ctx, g.Group)
			if err != nil {
				return err
			}
			for _, p := range progress {
				stuck = stuck || p.Committed < p.End
			}
			e.Facts.Groups[g.Group] = Group{Members: len(g.Members), Partitions: progress}
		}
	}
	if stuck {
		return e.wait(ctx)
	}
	return nil
}

// wait looks for what is finished within the patience.
func (e *collector) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(patience):
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

// progress is how far a stage's group is with the topics that the user may see.
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
		return nil, fmt.Errorf("asking how far group %s is: %w", group, err)
	}
	begins, errB := e.admin.ListStartOffsets(ctx, inputs...)
	ends, errE := e.admin.ListEndOffsets(ctx, inputs...)
	if err := e.failed(errors.Join(errB, errE)); err != nil {
		return nil, fmt.Errorf("asking what is in %s: %w", strings.Join(inputs, " and "), err)
	}
	for _, end := range ends.Offsets().Sorted() {
		begin, ok := begins.Lookup(end.Topic, end.Partition)
		if !ok || begin.Err != nil || end.At < 0 {
			continue // Without a leader.
		}
		p := GroupProgress{Topic: end.Topic, Partition: end.Partition, Begin: begin.Offset, End: end.At}
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
		return fmt.Errorf("asking for the newest messages: %w", err)
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
		return nil // It knows of none.
	}
	all, _ := e.admin.DescribeAllLogDirs(ctx, nil) // Few users may.
	for _, of := range all {
		for _, d := range of {
			switch {
			case d.Err != nil && !errors.Is(d.Err, kerr.ClusterAuthorizationFailed):
				e.Facts.Disks = append(e.Facts.Disks, Disk{Of: fmt.Sprint("broker ", d.Broker), Directory: d.Dir, Failure: d.Err.Error()})
			case d.Err == nil && d.TotalBytes > 0:
				e.Facts.Disks = append(e.Facts.Disks, Disk{Of: fmt.Sprint("broker ", d.Broker), Directory: d.Dir, Free: d.UsableBytes, Total: d.TotalBytes})
			}
		}
	}
	return nil
}

// connect asks Kafka Connect how its connectors are.
func (e *collector) connect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(e.Connect, "/")+"/connectors?expand=status", nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s says %s", r.URL.Redacted(), answer.Status)
	}
	var all map[string]struct {
		Status struct {
			Name      string
			Connector struct{ State, Trace string }
			Tasks     []Task
		}
	}
	if err := json.NewDecoder(io.LimitReader(answer.Body, 16<<20)).Decode(&all); err != nil {
		return fmt.Errorf("%s does not answer as Kafka Connect: %w", r.URL.Redacted(), err)
	}
	if date, err := http.ParseTime(answer.Header.Get("Date")); err == nil {
		e.ConnectClock = time.Until(date)
	}
	e.Connectors = []Connector{}
	for name, c := range all {
		s := Connector{name, c.Status.Connector.State, first(c.Status.Connector.Trace), c.Status.Tasks}
		for i := range s.Tasks {
			s.Tasks[i].Trace = first(s.Tasks[i].Trace)
		}
		e.Connectors = append(e.Connectors, s)
	}
	slices.SortFunc(e.Connectors, func(a, b Connector) int { return strings.Compare(a.Name, b.Name) })
	return nil
}

// first is the first line of a trace.
func first(trace string) string {
	line, _, _ := strings.Cut(trace, "\n")
	return line
}
