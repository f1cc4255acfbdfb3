package test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ecupcakes/ecupcakes/internal/testkit"
	"github.com/ecupcakes/ecupcakes/internal/testkit/mongo"
	"github.com/ecupcakes/ecupcakes/internal/testkit/realconnect"
	"github.com/ecupcakes/ecupcakes/load"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.mongodb.org/mongo-driver/v2/bson"
)

var connectOrders = flag.Int("connect.orders", 400, "how many orders TestConnect copies to MongoDB")

// records are the topics whose orders go to collections of the same names.
var records = []string{"orderrequests", "readytobake", "readytodecorate", "readytopackage", "readytoship", "orderfailures"}

// warehouse is what stands beside a factory: MongoDB, and Kafka Connect with the
// files of deploy/connect.
type warehouse struct {
	*factory
	mongo  *mongo.Server
	worker *realconnect.Worker
}

// besides starts a warehouse for a factory, without connectors.
func besides(t *testing.T, f *factory) *warehouse {
	t.Helper()
	return besidesWith(t, f, deployed(t, "worker.properties"), "ECUPCAKES_BROKERS="+f.kafka)
}

// deployed is a file of deploy/connect.
func deployed(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("../deploy/connect", file))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// besidesWith is besides with other properties of the worker and environment.
func besidesWith(t *testing.T, f *factory, properties string, env ...string) *warehouse {
	t.Helper()
	testkit.NeedsJava(t)
	w := &warehouse{factory: f}
	var err error
	if w.mongo, err = mongo.Start(t.Context(), t.TempDir(), "inventory"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = w.mongo.Disconnect(context.Background())
		w.mongo.Kill()
	})
	if out := w.connect("topics", "--brokers", f.kafka); !strings.Contains(out, "4 of 4 topics created") {
		t.Fatalf("`connect topics` says %s", out)
	}
	w.worker, err = realconnect.Start(t.Context(), t.TempDir(), properties, append(env, "ECUPCAKES_MONGODB_URI="+w.mongo.URI)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		w.worker.Kill()
		if t.Failed() {
			t.Logf("the worker said:\n%s", w.worker.LastWords())
		}
	})
	return w
}

// connect is `ecupcakes connect` with these arguments, which has to end well.
func (w *warehouse) connect(args ...string) string {
	w.t.Helper()
	out, err := w.tryConnect(args...)
	if err != nil {
		w.t.Fatalf("connect %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func (w *warehouse) tryConnect(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(w.t.Context(), 3*deadline)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, append([]string{"connect"}, args...)...)
	if w.worker != nil {
		cmd.Env = append(os.Environ(), "ECUPCAKES_CONNECT_URL="+w.worker.URL)
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// watch runs `ecupcakes connect watch` until the test ends, and returns the
// address of its metrics.
func (w *warehouse) watch() string {
	w.t.Helper()
	cmd := exec.Command(binary, "connect", "watch", "--connect-url", w.worker.URL, "--listen", "127.0.0.1:0", "--every", "1s", "--max-backoff", "2s")
	var stderr log
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		if err := cmd.Wait(); err != nil {
			w.t.Errorf("the watch ended with %v", err)
		}
		if w.t.Failed() {
			w.t.Logf("the watch said:\n%s", &stderr)
		}
	})
	var url string
	if _, err := fmt.Fscanf(stdout, "watching the connectors, metrics at %s\n", &url); err != nil {
		w.t.Fatalf("the watch does not say where it is: %v; %s", err, &stderr)
	}
	go func() { _, _ = io.Copy(io.Discard, stdout) }()
	return url
}

// metric is whether the metrics have a line.
func metric(t *testing.T, url, line string) bool {
	t.Helper()
	answer, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return regexp.MustCompile("(?m)^" + line + "$").Match(b)
}

// rest asks the worker for something with its own interface.
func (w *warehouse) rest(method, path string) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.worker.URL+path, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer answer.Body.Close()
	if b, _ := io.ReadAll(answer.Body); answer.StatusCode >= 300 {
		w.t.Fatalf("%s %s is answered with %d %s", method, path, answer.StatusCode, b)
	}
}

// sent returns what a topic has for each order: the status in its last message.
func (w *warehouse) sent(topic string) map[string]string {
	w.t.Helper()
	all := map[string]string{}
	for _, r := range w.read(topic) {
		var o struct{ ID, Status string }
		if json.Unmarshal(r.Value, &o) == nil && o.ID != "" {
			all[o.ID] = o.Status
		}
	}
	return all
}

// read returns what a topic has now.
func (w *warehouse) read(topic string) (all []*kgo.Record) {
	w.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(w.kafka), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.AlwaysRetryEOF())
	if err != nil {
		w.t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(w.t.Context(), deadline)
	defer cancel()
	ends, err := kadm.NewClient(client).ListEndOffsets(ctx, topic)
	if err != nil {
		w.t.Fatal(err)
	}
	left := 0
	ends.Each(func(o kadm.ListedOffset) { left += int(o.Offset) })
	for len(all) < left {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			w.t.Fatalf("reading %s: %v", topic, err)
		}
		all = append(all, fetches.Records()...)
	}
	return all
}

// kept returns what a collection has: each order's status.
func (w *warehouse) kept(collection string) map[string]string {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), deadline)
	defer cancel()
	found, err := w.mongo.Database("ecupcakes").Collection(collection).Find(ctx, bson.D{})
	if err != nil {
		w.t.Fatal(err)
	}
	var documents []struct {
		Key    string `bson:"_id"`
		ID     string `bson:"id"`
		Status string `bson:"status"`
	}
	if err := found.All(ctx, &documents); err != nil {
		w.t.Fatal(err)
	}
	all := map[string]string{}
	for _, d := range documents {
		if _, twice := all[d.ID]; twice || d.Key != d.ID {
			w.t.Fatalf("%s has the document %+v, which is a second one or has a foreign id", collection, d)
		}
		all[d.ID] = d.Status
	}
	return all
}

// complete waits until every order of every topic is a document, once.
func (w *warehouse) complete() {
	w.t.Helper()
	for _, topic := range records {
		want := w.sent(topic)
		if len(want) == 0 {
			w.t.Fatalf("no order has come to %s", topic)
		}
		var got map[string]string
		testkit.EventuallyWithin(w.t, 2*deadline, "MongoDB has every order of "+topic, func() bool {
			got = w.kept(topic)
			return maps.Equal(got, want)
		}, func() any {
			out, _ := w.tryConnect("status")
			return fmt.Sprintf("%d documents for %d orders; status:\n%s", len(got), len(want), out)
		})
	}
}

// caughtUp reports whether the sink has committed everything.
func (w *warehouse) caughtUp() bool {
	w.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(w.kafka))
	if err != nil {
		w.t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(w.t.Context(), deadline)
	defer cancel()
	admin := kadm.NewClient(client)
	committed, err := admin.FetchOffsets(ctx, "connect-orders-to-mongodb")
	if errors.Is(err, kerr.GroupIDNotFound) {
		return false
	}
	if err != nil {
		w.t.Fatal(err)
	}
	ends, err := admin.ListEndOffsets(ctx, records...)
	if err != nil {
		w.t.Fatal(err)
	}
	done := true
	ends.Each(func(end kadm.ListedOffset) {
		c, ok := committed.Lookup(end.Topic, end.Partition)
		done = done && (end.Offset == 0 || ok && c.At == end.Offset)
	})
	return done
}

// walk has orders placed and walked through the whole line.
func (w *warehouse) walk(orders int) <-chan error {
	done := make(chan error, 1)
	go func() {
		_, err := load.Run(w.t.Context(), load.Options{URL: w.url, Orders: orders, Rate: float64(max(100, orders/20)), Walk: true, Out: io.Discard})
		done <- err
	}()
	return done
}

// TestConnect copies orders to MongoDB while the worker is killed and MongoDB is
// away, and once more from the beginning: each order is one document.
func TestConnect(t *testing.T) { everyBroker(t, testConnect) }

func testConnect(t *testing.T, f *factory) {
	began := time.Now()
	took := func(what string) { t.Logf("after %5.1f s: %s", time.Since(began).Seconds(), what) }
	w := besides(t, f)
	took("MongoDB and the worker run")
	w.seed()
	for _, want := range []string{"created, running", "unchanged, running"} {
		if out := w.connect("apply"); strings.Count(out, want) != 2 {
			t.Fatalf("`connect apply` says %s, want %q", out, want)
		}
	}
	took("the connectors are applied, twice")
	w.runsOut()
	took("ingredients have run out and are back")
	metrics := w.watch()
	w.eventually("the watch sees both tasks of the sink", func() bool {
		return metric(t, metrics, `ecupcakes_connect_task_state\{connector="orders-to-mongodb",state="RUNNING",task="1"\} 1`)
	})
	f.must(http.StatusOK, "POST", "/api/v1/order/reporterror", fmt.Sprintf(`{"Order":{"Id":%q},"Reason":"no oven"}`, f.place()))

	bad := map[string]bool{`{"id": nope`: true, `[1,2]`: true, `{"flavour":"Coffee"}`: true}
	w.produceBad(bad)

	first := w.walk(*connectOrders / 2)
	w.eventually("documents come", func() bool { return len(w.kept("readytobake")) > *connectOrders/8 })
	w.worker.Kill()
	if err := w.worker.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-first; err != nil {
		t.Fatal(err)
	}

	took("the worker was killed, and orders have come")
	w.mongo.Stop()
	second := w.walk(*connectOrders - *connectOrders/2)
	w.eventually("the watch has restarted a task that had failed", func() bool {
		return metric(t, metrics, `ecupcakes_connect_restarts_total\{connector="orders-to-mongodb"\} [1-9]\d*`)
	})
	if err := <-second; err != nil {
		t.Fatal(err)
	}
	if err := w.mongo.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	took("MongoDB was away")
	w.complete()
	took(fmt.Sprint(*connectOrders, " orders are complete"))
	if got := w.kept("readytoship"); len(got) != *connectOrders {
		t.Errorf("%d orders have come to the end of the line, want %d", len(got), *connectOrders)
	}
	letters := w.deadLetters(bad)
	if len(letters) < len(bad) {
		t.Errorf("only %d of %d bad records are dead letters", len(letters), len(bad))
	}

	// All of it once more, over what is there and into what is gone.
	if _, err := w.mongo.Database("ecupcakes").Collection("readytobake").DeleteMany(t.Context(), bson.D{}); err != nil {
		t.Fatal(err)
	}
	w.eventually("the sink has committed everything", w.caughtUp)
	w.rest("PUT", "/connectors/orders-to-mongodb/stop")
	w.eventually("the sink has stopped", func() bool {
		out, _ := w.tryConnect("status")
		return strings.Contains(out, "STOPPED")
	})
	w.rest("DELETE", "/connectors/orders-to-mongodb/offsets")
	if w.caughtUp() {
		t.Fatal("the offsets of the sink are still there")
	}
	w.connect("apply") // Which has it go on.
	w.eventually("everything is committed again", w.caughtUp)
	w.complete()
	w.deadLetters(bad)
	took("all is copied again")
	w.guide()
	took("the guide is done")
	f.stop()
}

// Kafka Connect has its own user at a cluster with users and ACLs, and needs just
// the ACLs that the program says.
func TestConnectACLs(t *testing.T) {
	t.Parallel()
	k := securedKafka(t, "connect")
	f := openOn(t, k.Brokers()) // Where all is allowed.
	k.allow("connect", "connect", "acls")
	properties := deployed(t, "worker.properties") + deployed(t, "sasl.properties")
	for _, client := range []string{"", "producer.", "consumer.", "admin."} {
		properties += fmt.Sprintf("%[1]sssl.truststore.type=PEM\n%[1]sssl.truststore.location=%[2]s\n", client, k.CA)
	}
	w := besidesWith(t, f, properties, "ECUPCAKES_BROKERS="+k.SASL, "ECUPCAKES_KAFKA_USER=connect", "ECUPCAKES_KAFKA_PASSWORD="+password)
	w.seed()
	w.connect("apply")
	w.eventually("the inventory has come", func() bool { return len(w.read("rawmaterial.inventory.ingredients")) > 0 })
	f.must(http.StatusOK, "POST", "/api/v1/order/reporterror", fmt.Sprintf(`{"Order":{"Id":%q},"Reason":"no oven"}`, f.place()))
	f.walk()
	bad := map[string]bool{`[1,2]`: true}
	w.produceBad(bad)
	w.complete()
	w.eventually("what is bad is a dead letter", func() bool { return len(w.deadLetters(bad)) == 1 })
	w.eventually("the sink has committed everything", w.caughtUp)
	// A worker tries to create its topics before it looks whether they are there.
	want := []string{"topic connect-configs create", "topic connect-offsets create", "topic connect-status create"}
	if denied := k.exactly("connect", "connect", "acls"); !slices.Equal(slices.Sorted(slices.Values(denied)), want) {
		t.Errorf("the worker was denied %q, want %q", denied, want)
	}
}

// guide does what docs/connect.md says, in one shell, with other addresses.
func (w *warehouse) guide() {
	w.t.Helper()
	addresses := strings.NewReplacer("127.0.0.1:9092", w.kafka, "http://127.0.0.1:8083", w.worker.URL, "http://127.0.0.1:8080", w.url, "127.0.0.1:9404", freeAddress(w.t))
	script := "trap 'kill $(jobs -p)' EXIT\n"
	for _, b := range page(w.t, "docs/connect.md", "sh connect") {
		script += fmt.Sprintf("echo '# docs/connect.md:%d'\n%s", b.line, b.text)
	}
	ctx, cancel := context.WithTimeout(w.t.Context(), 2*deadline)
	defer cancel()
	cmd := shell(ctx, w.t, addresses.Replace(script))
	cmd.Env = append(os.Environ(), "ECUPCAKES_CONNECT_URL="+w.worker.URL, "ECUPCAKES_WATCH_LISTEN="+addresses.Replace("127.0.0.1:9404"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.t.Fatalf("%v; the last block is the one that failed:\n%s", err, out)
	}
	for _, want := range []string{
		"0 of 4 topics created", "orders-to-mongodb: unchanged, running", "task 1 RUNNING", "ecupcakes_connect_up 1", `{"flavour":"Coffee"}`, "__connect.errors.exception.message",
		`"soldOut":false`, "ingredients-from-mongodb: deleted",
	} {
		if !strings.Contains(string(out), want) {
			w.t.Errorf("%q is missing in what the guide's commands say:\n%s", want, out)
		}
	}
}

// flavours is which flavours are sold out, and why.
func (w *warehouse) flavours() map[string][]string {
	w.t.Helper()
	var menu struct {
		Flavours []struct {
			Name    string
			SoldOut bool
			Missing []string
		}
	}
	w.must(http.StatusOK, "GET", "/api/v1/menu", "").decode(w.t, &menu)
	out := map[string][]string{}
	for _, f := range menu.Flavours {
		if f.SoldOut {
			out[f.Name] = f.Missing
		}
	}
	return out
}

// runsOut has ingredients run out and come back in the database, the source being
// stopped for a while, and the menu following.
func (w *warehouse) runsOut() {
	w.t.Helper()
	ctx := w.t.Context()
	ingredients := w.mongo.Database("inventory").Collection("ingredients")
	set := func(id string, stock int) {
		w.t.Helper()
		done, err := ingredients.UpdateOne(ctx, bson.D{{Key: "_id", Value: id}}, bson.D{{Key: "$set", Value: bson.D{{Key: "stock", Value: stock}}}})
		if err != nil || done.MatchedCount != 1 {
			w.t.Fatalf("setting the stock of %s: %+v, %v", id, done, err)
		}
	}
	menu := func(want map[string][]string) {
		w.t.Helper()
		w.eventually(fmt.Sprint("sold out is ", want), func() bool { return reflect.DeepEqual(w.flavours(), want) })
	}
	order := func(status int) answer {
		w.t.Helper()
		return w.must(status, "POST", "/api/v1/order", `{"Order":{"Flavour":"Chocolate","Quantity":1,"Size":"M"}}`)
	}
	set("cocoa", 0)
	menu(map[string][]string{"Chocolate": {"cocoa"}})
	if a := order(http.StatusConflict); a.Header.Get("Content-Type") != "application/problem+json" || !strings.Contains(string(a.body), "Chocolate is sold out: there is no cocoa.") {
		w.t.Errorf("an order for what is sold out is answered with %s", a.body)
	}
	set("cocoa", 25)
	menu(map[string][]string{})
	order(http.StatusCreated)

	// What happens while nobody listens is told later. A document that is gone is not
	// counted any more.
	w.rest("PUT", "/connectors/ingredients-from-mongodb/stop")
	set("strawberries", 0)
	set("coffee", 0)
	set("coffee", 4)
	set("vanilla", 0)
	if _, err := ingredients.DeleteOne(ctx, bson.D{{Key: "_id", Value: "vanilla"}}); err != nil {
		w.t.Fatal(err)
	}
	w.connect("apply")
	menu(map[string][]string{"Strawberry": {"strawberries"}})
	set("strawberries", 9)
	menu(map[string][]string{})
}

// seed fills the inventory with what is shipped.
func (w *warehouse) seed() {
	w.t.Helper()
	b, err := os.ReadFile("../deploy/mongo/ingredients.json")
	if err != nil {
		w.t.Fatal(err)
	}
	var documents []bson.D
	if err := bson.UnmarshalExtJSON(b, false, &documents); err != nil {
		w.t.Fatal(err)
	}
	for _, d := range documents {
		if _, err := w.mongo.Database("inventory").Collection("ingredients").InsertOne(w.t.Context(), d); err != nil {
			w.t.Fatal(err)
		}
	}
}

// produceBad puts records among the orders that no collection can have, and a
// tombstone, which is nothing at all.
func (w *warehouse) produceBad(bad map[string]bool) {
	w.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(w.kafka))
	if err != nil {
		w.t.Fatal(err)
	}
	defer client.Close()
	all := []*kgo.Record{{Topic: "orderrequests", Key: []byte("tombstone")}}
	for _, value := range slices.Sorted(maps.Keys(bad)) {
		all = append(all, &kgo.Record{Topic: "orderrequests", Key: []byte("bad"), Value: []byte(value)})
	}
	if err := client.ProduceSync(w.t.Context(), all...).FirstErr(); err != nil {
		w.t.Fatal(err)
	}
}

// deadLetters returns the dead letters of the sink, none of which may be a good
// record.
func (w *warehouse) deadLetters(bad map[string]bool) map[string]bool {
	w.t.Helper()
	found := map[string]bool{}
	for _, r := range w.read("connect-deadletters") {
		if !bad[string(r.Value)] {
			w.t.Errorf("a good record has become a dead letter: %s %v", r.Value, r.Headers)
		}
		found[string(r.Value)] = true
	}
	return found
}
