package test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ecupcakes/ecupcakes/internal/testkit"
	"github.com/ecupcakes/ecupcakes/internal/testkit/realkafka"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// cluster is Apache Kafka with a proxy in front of each node.
type cluster struct {
	*realkafka.Cluster
	proxies []*proxy
}

// idle are the clusters that no test has at the moment. A start takes ten
// seconds and more, so they are handed on.
var idle struct {
	sync.Mutex
	clusters []*cluster
	started  int
}

// realKafka lends a test a cluster of one or three nodes without topics and
// groups.
func realKafka(t *testing.T, nodes int) *cluster {
	t.Helper()
	testkit.NeedsJava(t)
	c, err := lent(t.Context(), nodes)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for i := range c.proxies {
			c.proxies[i].set(false, 0)
		}
		if t.Failed() { // Who knows what is wrong with it.
			c.kill()
			return
		}
		idle.Lock()
		defer idle.Unlock()
		idle.clusters = append(idle.clusters, c)
	})
	return c
}

// lent returns an idle cluster, cleaned, or a new one.
func lent(ctx context.Context, nodes int) (*cluster, error) {
	idle.Lock()
	at := slices.IndexFunc(idle.clusters, func(c *cluster) bool { return len(c.Nodes) == nodes })
	if at < 0 {
		idle.started++
		dir := filepath.Join(filepath.Dir(binary), fmt.Sprint("kafka", idle.started)) // Which goes with the binary's.
		idle.Unlock()
		return newCluster(ctx, dir, nodes)
	}
	c := idle.clusters[at]
	idle.clusters = slices.Delete(idle.clusters, at, at+1)
	idle.Unlock()
	if err := c.clean(ctx); err != nil {
		c.kill()
		return nil, fmt.Errorf("cleaning a cluster for the next test: %w", err)
	}
	return c, nil
}

func newCluster(ctx context.Context, dir string, nodes int) (*cluster, error) {
	c := &cluster{}
	var err error
	c.Cluster, err = realkafka.StartBehind(ctx, dir, nodes, func(listen string) (string, error) {
		p, err := newProxy(listen)
		if err != nil {
			return "", err
		}
		c.proxies = append(c.proxies, p)
		return p.listener.Addr().String(), nil
	})
	if err != nil {
		c.kill()
		return nil, err
	}
	return c, nil
}

func (c *cluster) kill() {
	if c.Cluster != nil {
		c.Kill()
	}
	for _, p := range c.proxies {
		p.close()
	}
}

// killIdle kills what is left when all tests have ended.
func killIdle() {
	idle.Lock()
	defer idle.Unlock()
	for _, c := range idle.clusters {
		c.kill()
	}
}

// clean deletes all groups, with members that were killed and are not missed
// yet, and all topics.
func (c *cluster) clean(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(c.Brokers(), ",")...), kgo.MetadataMinAge(100*time.Millisecond), kgo.AlwaysRetryEOF())
	if err != nil {
		return err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	groups, err := admin.DescribeGroups(ctx)
	if err == nil {
		err = groups.Error()
	}
	if err != nil {
		return err
	}
	for _, g := range groups.Sorted() {
		leave := kmsg.NewPtrLeaveGroupRequest()
		leave.Group = g.Group
		for _, m := range g.Members {
			member := kmsg.NewLeaveGroupRequestMember()
			member.MemberID, member.InstanceID = m.MemberID, m.InstanceID
			leave.Members = append(leave.Members, member)
		}
		if len(leave.Members) > 0 {
			if _, err := leave.RequestWith(ctx, client); err != nil {
				return err
			}
		}
	}
	topics, err := admin.ListTopics(ctx)
	if err != nil {
		return err
	}
	_, groupsErr := admin.DeleteGroups(ctx, groups.Names()...)
	_, topicsErr := admin.DeleteTopics(ctx, topics.Names()...)
	if err := errors.Join(groupsErr, topicsErr); err != nil {
		return err
	}
	for poll := time.Tick(20 * time.Millisecond); ; <-poll {
		groups, groupsErr := admin.ListGroups(ctx)
		topics, topicsErr := admin.ListTopics(ctx)
		if err := errors.Join(groupsErr, topicsErr, ctx.Err()); err != nil {
			return fmt.Errorf("there still are the groups %v and the topics %v: %w", groups.Groups(), topics.Names(), err)
		}
		if len(groups) == 0 && len(topics) == 0 {
			return nil
		}
	}
}
