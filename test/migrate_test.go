package test

import (
	"context"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/ecupcakes/ecupcakes/load"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestMigrate moves a factory amid its work from the embedded broker to Apache
// Kafka, with its oldest messages gone and a kill on the way, and has it finish
// its orders there.
func TestMigrate(t *testing.T) {
	t.Parallel()
	cluster := realKafka(t, 1)
	f := open(t)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	const gone, walked, orders = 40, 150, 200
	if _, err := load.Run(ctx, load.Options{URL: f.url, Orders: gone, Walk: true, Out: io.Discard}); err != nil {
		t.Fatal(err)
	}
	old := f.place() // Waits since before all that the topics still have.
	trim(t, f.kafka)

	// The kitchen goes home while orders are everywhere, and more are placed.
	walking, home := context.WithCancel(ctx)
	defer home()
	done := make(chan load.Result, 1)
	go func() {
		r, _ := load.Run(walking, load.Options{URL: f.url, Orders: walked, Walk: true, Out: io.Discard}) // It ends early, which is an error.
		done <- r
	}()
	f.eventually("all orders are placed and some are shipped", func() bool {
		s := f.stations()
		placed := s.Finished["shipped"]
		for _, st := range s.Stations {
			placed += st.Waiting
		}
		return s.Finished["shipped"] > gone && placed == gone+walked+1
	})
	home()
	if r := <-done; r.Placed != walked {
		t.Fatalf("%d orders are placed, want %d", r.Placed, walked)
	}
	if _, err := load.Run(ctx, load.Options{URL: f.url, Orders: orders - walked, Out: io.Discard}); err != nil {
		t.Fatal(err)
	}
	shipped := f.stations().Finished["shipped"]
	f.stop()

	killed := exec.Command(binary, "migrate", "--from", f.data, "--to", cluster.Brokers())
	killed.Stderr = f.stderr
	if err := killed.Start(); err != nil {
		t.Fatal(err)
	}
	f.eventually("some messages are on the cluster", func() bool { return ends(t, cluster.Brokers(), "mixing-reports") > 0 })
	_ = killed.Process.Kill() // It may have ended already.
	_ = killed.Wait()
	out, err := exec.CommandContext(ctx, binary, "migrate", "--from", f.data, "--to", cluster.Brokers()).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "The line has been moved") {
		t.Fatalf("migrate: %v\n%s", err, out)
	}
	t.Logf("migrate says\n%s", out)

	moved := openOn(t, cluster.Brokers())
	if s := moved.stations(); s.Finished["shipped"] < shipped {
		t.Errorf("after the move %d orders are shipped, and %d were before", s.Finished["shipped"], shipped)
	}
	ids, _ := distinct(t, moved.read("orderrequests"), true)
	if len(ids) != orders {
		t.Fatalf("after the move the cluster knows %d orders, want %d", len(ids), orders)
	}
	ids[old] = order{}
	for id := range ids {
		var o order
		moved.must(http.StatusOK, "GET", "/api/v1/order/"+id, "").decode(t, &o)
		for _, s := range steps[len(o.History):] {
			if o = moved.finish(s.verb, s.field, s.by, id); o.History[len(o.History)-1].By != s.by {
				t.Errorf("after %s by %s the order is %+v", s.verb, s.by, o)
			}
		}
	}
	if s := moved.stations(); s.Finished["shipped"] != gone+orders+1 {
		t.Errorf("in the end %d orders are shipped, want %d", s.Finished["shipped"], gone+orders+1)
	}
	moved.stop()
	a := auditOf(t, "--brokers", cluster.Brokers())
	if a.Orders != orders || a.Places["shipped"] != orders+1 || a.InFlight != 0 || !a.clean() {
		t.Errorf("verify says %s", a.said)
	}
}

// trim deletes all that the streams have, as retention does in the end.
func trim(t *testing.T, brokers string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	listed, err := admin.ListEndOffsets(ctx, append(inputs(), "shipped")...)
	if err != nil {
		t.Fatal(err)
	}
	deleted, err := admin.DeleteRecords(ctx, listed.Offsets())
	if err == nil {
		err = deleted.Error()
	}
	if err != nil {
		t.Fatalf("deleting the oldest messages: %v", err)
	}
}

// ends is how many messages a topic has ever had, 0 if it is not there.
func ends(t *testing.T, brokers, topic string) (sum int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(brokers, ",")...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	listed, err := kadm.NewClient(client).ListEndOffsets(ctx, topic)
	if err != nil {
		t.Fatal(err)
	}
	listed.Each(func(o kadm.ListedOffset) {
		if o.Err == nil {
			sum += o.Offset
		}
	})
	return sum
}
