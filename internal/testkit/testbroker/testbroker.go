// Package testbroker starts embedded brokers for tests.
package testbroker

import (
	"testing"

	"github.com/ecupcakes/ecupcakes/internal/testkit"
	"github.com/ecupcakes/ecupcakes/kafka"
	"github.com/ecupcakes/ecupcakes/kafka/embedded"
	"github.com/ecupcakes/ecupcakes/topology"
)

// Start starts an embedded broker without topics on a free port, which is closed
// when the test ends, and returns how to reach it.
func Start(t testing.TB) kafka.Config {
	t.Helper()
	b, err := embedded.Start(t.TempDir(), "127.0.0.1:0", testkit.Quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return kafka.Config{Brokers: []string{b.Addr()}}
}

// StartLine starts an embedded broker with the topics of a line, and returns how
// to reach it and an admin client, both of which are closed when the test ends.
func StartLine(t testing.TB, line topology.Line, partitions int32) (kafka.Config, *kafka.Admin) {
	t.Helper()
	config := Start(t)
	admin, err := kafka.NewAdmin(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(admin.Close)
	if err := admin.Apply(testkit.Context(t), kafka.RequiredTopics(line, partitions, 1)); err != nil {
		t.Fatal(err)
	}
	return config, admin
}
