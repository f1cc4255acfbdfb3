package diskstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ecupcakes/ecupcakes/gokaplus"
	"github.com/ecupcakes/ecupcakes/gokaplus/franz"
	"github.com/ecupcakes/ecupcakes/gokaplus/internal/acks"
	"github.com/ecupcakes/ecupcakes/gokaplus/internal/kafkatest"
	"github.com/ecupcakes/ecupcakes/gokaplus/internal/storagetest"
	"github.com/lovoo/goka"
	"github.com/lovoo/goka/codec"
	"github.com/lovoo/goka/storage"
	"github.com/syndtr/goleveldb/leveldb/util"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { kafkatest.Main(m) }

func TestDiskStore(t *testing.T) {
	storagetest.Run(t, func(dir string) storage.Builder {
		return diskBuilder(dir, clusterState{end: 1 << 50, tombstones: time.Hour})
	}, func(s storage.Storage, all bool) error {
		d := s.(*diskStore)
		if all {
			d.ready = len(d.queue)
		}
		return d.flush()
	}, gokaplus.ErrStorageClosed)
}

func BenchmarkStorage(b *testing.B) {
	storagetest.Benchmark(b, diskBuilder(b.TempDir(), clusterState{end: 1 << 50, tombstones: time.Hour}))
}

// diskBuilder opens storages below dir as if the brokers had answered c.
func diskBuilder(dir string, c clusterState) storage.Builder {
	return func(topic string, partition int32) (storage.Storage, error) {
		return openDisk(filepath.Join(dir, fmt.Sprint(topic, partition)), topic, c, slog.New(slog.DiscardHandler))
	}
}

// rows is what a storage holds.
func rows(t rapid.TB, s storage.Storage) map[string]string {
	t.Helper()
	it, err := s.Iterator()
	if err != nil {
		t.Fatal(err)
	}
	defer it.Release()
	all := map[string]string{}
	for it.Next() {
		v, err := it.Value()
		if err != nil {
			t.Fatal(err)
		}
		all[string(it.Key())] = string(v)
	}
	if err := it.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// image copies a directory as a killed process would leave it.
func image(t rapid.TB, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

// TestDiskStoreAfterACrash is a processor that writes rows, gets acknowledgements, and is killed. What is on the disk
// must be the table as it was at the stored offset, and reading on from there must lead to what the topic holds.
func TestDiskStoreAfterACrash(t *testing.T) {
	dir, run := t.TempDir(), 0
	rapid.Check(t, func(t *rapid.T) {
		run++
		type record struct {
			key, value string // no value deletes
		}
		var topic []record
		table := func(from, to int, rows map[string]string) map[string]string {
			for _, r := range topic[from:to] {
				if rows[r.key] = r.value; r.value == "" {
					delete(rows, r.key)
				}
			}
			return rows
		}
		at := filepath.Join(dir, fmt.Sprint(run))
		var tracker *acks.Tracker
		open := func(path string) *diskStore {
			tracker = &acks.Tracker{}
			s, err := openDisk(path, "table", clusterState{end: int64(len(topic)), tombstones: time.Hour}, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			tracker.Register(s)
			return s
		}
		key := rapid.SampledFrom([]string{"a", "b", "c", "__offset"})
		var s *diskStore
		var local map[string]string // what goka reads
		var queue []func()          // the acknowledgements to come, in order
		unread := -1                // the first record that somebody else has written since the start, -1 for none
		deaths := 0
		start := func() {
			s, queue = open(at), nil
			next, err := s.GetOffset(-1)
			if err != nil {
				t.Fatal(err)
			}
			if unread < 0 {
				if got, want := fmt.Sprint(rows(t, s)), fmt.Sprint(table(0, int(next)+1, map[string]string{})); got != want {
					t.Fatalf("at offset %d the disk has %s, the topic had %s", next, got, want)
				}
			} else if int(next) >= unread {
				t.Fatalf("the stored offset is %d, and nobody has read %d", next, unread)
			}
			for i := int(next) + 1; i < len(topic); i++ { // recovery
				r := topic[i]
				err := s.Set(r.key, []byte(r.value))
				if r.value == "" {
					err = s.Delete(r.key)
				}
				if err = errors.Join(err, s.SetOffset(int64(i))); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.MarkRecovered(); err != nil {
				t.Fatal(err)
			}
			unread, local = -1, table(0, len(topic), map[string]string{})
			if got, want := fmt.Sprint(rows(t, s)), fmt.Sprint(local); got != want {
				t.Fatalf("recovered %s, the topic holds %s", got, want)
			}
		}
		start()
		t.Repeat(map[string]func(*rapid.T){
			"write": func(t *rapid.T) {
				k, v := key.Draw(t, "key"), rapid.SampledFrom([]string{"", "1", "2", "3"}).Draw(t, "value")
				err := s.Set(k, []byte(v))
				if v == "" {
					err = s.Delete(k)
				}
				if err != nil {
					t.Fatal(err)
				}
				if local[k] = v; v == "" {
					delete(local, k)
				}
				if got, err := s.Get(k); err != nil || string(got) != v {
					t.Fatalf("Get after writing %q: %q, %v", v, got, err)
				}
				written, w, ok := tracker.Emitted("table", k)
				if !ok {
					t.Fatal("the producer would not know this write")
				}
				written.Emitting()
				queue = append(queue, func() {
					topic = append(topic, record{k, v})
					written.Acknowledged(w, int64(len(topic)-1))
					if len(topic) > 1 && v != "" { // as goka does
						if err := s.SetOffset(int64(len(topic) - 1)); err != nil {
							t.Fatal(err)
						}
					}
				})
			},
			"acknowledge": func(t *rapid.T) {
				if len(queue) > 0 {
					queue[0]()
					queue = queue[1:]
				}
			},
			"fail": func(t *rapid.T) {
				if len(queue) > 0 && rapid.IntRange(0, 4).Draw(t, "dice") == 0 {
					queue = queue[1:]
				}
			},
			"somebody else writes": func(t *rapid.T) {
				if rapid.IntRange(0, 9).Draw(t, "dice") == 0 {
					topic = append(topic, record{key.Draw(t, "key"), "of somebody else"})
					if unread < 0 {
						unread = len(topic) - 1
					}
				}
			},
			"flush": func(t *rapid.T) {
				if err := s.flush(); err != nil {
					t.Fatal(err)
				}
				if got, want := fmt.Sprint(rows(t, s)), fmt.Sprint(local); got != want {
					t.Fatalf("goka reads %s, and has written %s", got, want)
				}
			},
			"stop or be killed": func(t *rapid.T) {
				if rapid.IntRange(0, 2).Draw(t, "dice") > 0 {
					return
				}
				killed := filepath.Join(dir, fmt.Sprint(run, "-", len(topic), "-", deaths))
				deaths++
				kill := rapid.Bool().Draw(t, "kill")
				if kill {
					if err := s.db.CompactRange(util.Range{}); err != nil { // or LevelDB may do so while it is copied
						t.Fatal(err)
					}
					image(t, at, killed)
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				if kill {
					at = killed
				}
				start()
			},
		})
		_ = s.Close()
	})
}

func TestDiskStoreIsWipedWhereItDoesNotFit(t *testing.T) {
	dir := t.TempDir()
	fits := clusterState{cluster: "cluster", topic: "id", end: 11, tombstones: time.Hour}
	s := storagetest.Open(t, diskBuilder(dir, fits))
	if err := errors.Join(s.Set("k", []byte("v")), s.SetOffset(7), s.MarkRecovered(), s.Close()); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "table0", "*"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	garble := func(pattern string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			t.Helper()
			found, err := filepath.Glob(filepath.Join(dir, pattern))
			if err != nil || len(found) == 0 {
				t.Fatalf("no file %s, error %v", pattern, err)
			}
			for _, f := range found {
				b, err := os.ReadFile(f)
				if err != nil {
					t.Fatal(err)
				}
				if len(b) > 20 {
					b[len(b)/2] ^= 0xff
				}
				if err := os.WriteFile(f, b, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	truncate := func(t *testing.T, dir string) {
		found, _ := filepath.Glob(filepath.Join(dir, "*.log"))
		for _, f := range found {
			info, err := os.Stat(f)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(f, max(0, info.Size()-3)); err != nil {
				t.Fatal(err)
			}
		}
	}
	with := func(change func(*clusterState)) clusterState {
		c := fits
		change(&c)
		return c
	}
	for name, tc := range map[string]struct {
		cluster clusterState
		damage  func(t *testing.T, dir string)
		kept    bool
	}{
		"it fits":                    {cluster: fits, kept: true},
		"other cluster":              {cluster: with(func(c *clusterState) { c.cluster = "other" })},
		"re-created topic":           {cluster: with(func(c *clusterState) { c.topic = "other" })},
		"offset at the end":          {cluster: with(func(c *clusterState) { c.end = 7 })},
		"last record stored":         {cluster: with(func(c *clusterState) { c.end = 8; c.tombstones = 0 }), kept: true},
		"tombstones gone":            {cluster: with(func(c *clusterState) { c.tombstones = 0 })},
		"garbled journal":            {cluster: fits, damage: garble("*.log")},
		"torn journal":               {cluster: fits, damage: truncate},
		"garbled manifest":           {cluster: fits, damage: garble("MANIFEST-*")},
		"manifest missing":           {cluster: fits, damage: func(t *testing.T, dir string) { remove(t, dir, "MANIFEST-*") }},
		"manifest's name is missing": {cluster: fits, damage: func(t *testing.T, dir string) { remove(t, dir, "CURRENT") }},
	} {
		t.Run(name, func(t *testing.T) {
			again := t.TempDir()
			image(t, dir, again)
			if tc.damage != nil {
				tc.damage(t, filepath.Join(again, "table0"))
			}
			s := storagetest.Open(t, diskBuilder(again, tc.cluster))
			defer s.Close()
			v, err := s.Get("k")
			offset, errOffset := s.GetOffset(-3)
			if err := errors.Join(err, errOffset); err != nil {
				t.Fatal(err)
			}
			if tc.kept && (string(v) != "v" || offset != 7) || !tc.kept && (v != nil || offset != -3) {
				t.Fatalf("row %q, offset %d", v, offset)
			}
		})
	}
}

func remove(t *testing.T, dir, pattern string) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(found) == 0 {
		t.Fatalf("no file %s, error %v", pattern, err)
	}
	for _, f := range found {
		if err := os.Remove(f); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDiskStoreIsWipedWhenItTurnsOutCorrupt(t *testing.T) {
	dir := t.TempDir()
	build := diskBuilder(dir, clusterState{end: 1 << 40, tombstones: time.Hour})
	s := storagetest.Open(t, build)
	value := bytes.Repeat([]byte("compressible "), 1000)
	for i := range 2000 { // more than LevelDB keeps in memory
		if err := errors.Join(s.Set(fmt.Sprint("key", i), fmt.Append(value, i)), s.SetOffset(int64(i))); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	tables, err := filepath.Glob(filepath.Join(dir, "table0", "*.ldb"))
	if err != nil || len(tables) == 0 {
		t.Fatalf("LevelDB has written no table, error %v", err)
	}
	for _, f := range tables {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		copy(b[len(b)/2:], "damage") // a block of rows; the state is in the first one
		if err := os.WriteFile(f, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s = storagetest.Open(t, build)
	it, err := s.Iterator()
	if err != nil {
		t.Fatal(err)
	}
	for it.Next() {
	}
	if err := it.Err(); err == nil {
		t.Fatal("the damage was not noticed")
	}
	it.Release()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = storagetest.Open(t, build)
	defer s.Close()
	if n := len(rows(t, s)); n != 0 {
		t.Fatalf("%d rows are left of a corrupt storage", n)
	}
}

func TestDiskStoreHasOneUser(t *testing.T) {
	build := diskBuilder(t.TempDir(), clusterState{end: 1})
	s := storagetest.Open(t, build)
	defer s.Close()
	if _, err := build("table", 0); err == nil || !strings.Contains(err.Error(), "a directory of its own") {
		t.Fatalf("a second user got %v", err)
	}
}

// TestDiskStoreUnderGoka takes a processor, a join and a view through restarts, a row that Kafka refuses, and a topic
// that is created again.
func TestDiskStoreUnderGoka(t *testing.T) {
	k := kafkatest.Start(t, 2, "in", "group-table", "joined-table")
	cl := k.Client(t, kgo.RecordPartitioner(franz.Partitioner(goka.DefaultHasher())))
	dir := t.TempDir()
	var recovered atomic.Int64 // records read from tables by the processor
	run := func(dir string) (stop func() error) {
		o := gokaplus.Options{Logger: kafkatest.Logger(t)}
		o.Storage = Builder(dir, k.ListenAddrs(), o)
		p, err := gokaplus.NewProcessor(k.ListenAddrs(), goka.DefineGroup("group",
			goka.Input("in", new(codec.String), func(ctx goka.Context, m any) {
				if m == "delete" {
					ctx.Delete()
					return
				}
				joined, _ := ctx.Join("joined-table").(string)
				value := m.(string) + joined
				if m == "too large" {
					value = strings.Repeat("random? no ", 1<<20)
				}
				ctx.SetValue(value)
			}),
			goka.Join("joined-table", new(codec.String)),
			goka.Persist(new(codec.String)),
		), o, goka.WithUpdateCallback(func(ctx goka.UpdateContext, s storage.Storage, key string, value []byte) error {
			recovered.Add(1)
			return goka.DefaultUpdate(ctx, s, key, value)
		}))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- p.Run(ctx) }()
		return func() error {
			cancel()
			return kafkatest.Within(t, "the processor stops", ended)
		}
	}
	table := func() map[string]string {
		all := map[string]string{}
		for _, r := range k.Records(t, "group-table") {
			if all[string(r.Key)] = string(r.Value); r.Value == nil {
				delete(all, string(r.Key))
			}
		}
		return all
	}
	holds := func(dir string, want map[string]string) {
		t.Helper()
		found := map[string]string{}
		for p := range int32(2) {
			s, err := Builder(dir, k.ListenAddrs(), gokaplus.Options{})("group-table", p)
			if err != nil {
				t.Fatal(err)
			}
			for key, v := range rows(t, s) {
				found[key] = v
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if fmt.Sprint(found) != fmt.Sprint(want) {
			t.Fatalf("on the disk is %v, want %v", found, want)
		}
	}

	kafkatest.Send(t, cl, &kgo.Record{Topic: "joined-table", Key: []byte("0"), Value: []byte(" joined")})
	stop := run(dir)
	for i := range 20 {
		kafkatest.Send(t, cl, &kgo.Record{Topic: "in", Key: fmt.Append(nil, i), Value: []byte("row")})
	}
	kafkatest.Send(t, cl, &kgo.Record{Topic: "in", Key: []byte("7"), Value: []byte("delete")})
	kafkatest.Eventually(t, "all rows are in the table", func() bool {
		all := table()
		return len(all) == 19 && all["0"] == "row joined"
	})
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	want := table()
	holds(dir, want)

	recovered.Store(0)
	stop = run(dir) // warm
	kafkatest.Send(t, cl, &kgo.Record{Topic: "in", Key: []byte("7"), Value: []byte("row again")})
	kafkatest.Eventually(t, "the next row is in the table", func() bool { return len(table()) == 20 })
	if n := recovered.Load(); n != 0 {
		t.Errorf("%d records were read again although they were on the disk", n)
	}
	kafkatest.Send(t, cl, &kgo.Record{Topic: "in", Key: []byte("3"), Value: []byte("too large")})
	ended := func() bool { return k.GroupInfo("group") == nil || len(k.GroupInfo("group").Members) == 0 }
	kafkatest.Eventually(t, "the processor fails", ended)
	if err := stop(); err == nil {
		t.Error("a row that Kafka refused was no error")
	}
	want = table()
	holds(dir, want) // without the refused row
	if want["3"] != "row" {
		t.Fatalf("row 3 became %.20q...", want["3"])
	}

	view := t.TempDir()
	o := gokaplus.Options{Logger: kafkatest.Logger(t)}
	o.Storage = Builder(view, k.ListenAddrs(), o)
	v, err := gokaplus.NewView(k.ListenAddrs(), "group-table", new(codec.String), o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	viewEnded := make(chan error, 1)
	go func() { viewEnded <- v.Run(ctx) }()
	kafkatest.Eventually(t, "the view is recovered", v.Recovered)
	kafkatest.Send(t, cl, &kgo.Record{Topic: "group-table", Key: []byte("7"), Value: []byte("followed")})
	kafkatest.Eventually(t, "the view follows", func() bool {
		row, err := v.Get("7")
		return err == nil && row == "followed"
	})
	cancel()
	if err := kafkatest.Within(t, "the view stops", viewEnded); err != nil {
		t.Fatal(err)
	}
	holds(view, table())

	adm := kadm.NewClient(cl)
	if _, err := adm.DeleteTopic(t.Context(), "group-table"); err != nil {
		t.Fatal(err)
	}
	cl = k.Client(t) // the other one knows the old topic
	kafkatest.CreateTopic(t, cl, "group-table", 2)
	for i := range 100 { // so that it does not end before the stored offset
		kafkatest.Send(t, cl, &kgo.Record{Topic: "group-table", Key: fmt.Append(nil, "new", i), Value: []byte("row")})
	}
	holds(dir, nil)
	holds(view, nil)
}

func TestDiskStoreKeepsClustersApart(t *testing.T) {
	dir := t.TempDir()
	for i, cluster := range []string{"one", "two/../..", "one"} {
		k := kafkatest.StartWith(t, 1, []string{"table"}, kfake.ClusterID(cluster))
		kafkatest.Send(t, k.Client(t), &kgo.Record{Topic: "table", Value: []byte("v")})
		s, err := Builder(dir, k.ListenAddrs(), gokaplus.Options{})("table", 0)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(rows(t, s)); n != 0 { // the third is another topic of the same name
			t.Errorf("storage %d begins with %d rows", i, n)
		}
		if err := errors.Join(s.Set("k", []byte(cluster)), s.SetOffset(0), s.Close()); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Fatalf("%v, error %v", entries, err)
	}
}

func TestDiskStoreNeedsTheBrokers(t *testing.T) {
	k := kafkatest.Start(t, 1, "table")
	build := Builder(t.TempDir(), k.ListenAddrs(), gokaplus.Options{})
	for topic, partition := range map[string]int32{"missing": 0, "table": 1} {
		if _, err := build(topic, partition); err == nil {
			t.Errorf("%s/%d was opened", topic, partition)
		}
	}
}
