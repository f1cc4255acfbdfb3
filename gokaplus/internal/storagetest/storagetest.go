// Package storagetest tests and measures storages of goka tables.
package storagetest

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/lovoo/goka/storage"
	"pgregory.net/rapid"
)

// Open opens the storage of partition 0 of the topic "table".
func Open(t rapid.TB, build storage.Builder) storage.Storage {
	t.Helper()
	s, err := build("table", 0)
	if err == nil {
		err = s.Open()
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// outcome is what an operation answers, in a form to compare. That a value is nil or empty makes a difference.
func outcome(v []byte, err error) string {
	if v == nil {
		return fmt.Sprintf("nil %v", err)
	}
	return fmt.Sprintf("%q %v", v, err)
}

// Run tests storages that build makes below a new directory. flush, if not nil, brings a storage's pending writes
// to where they stay, all of them or only those that are ready. closed is the error of operations after Close.
func Run(t *testing.T, build func(dir string) storage.Builder, flush func(s storage.Storage, all bool) error, closed error) {
	t.Run("answers as LevelDB", func(t *testing.T) { againstLevelDB(t, build, flush) })
	t.Run("under goka's merging iterator", func(t *testing.T) { underGokasMerge(t, build) })
	t.Run("a value that was read does not change", func(t *testing.T) { valueStays(t, build(t.TempDir())) })
	t.Run("the offset is apart from the rows", func(t *testing.T) { offsetApart(t, build(t.TempDir())) })
	t.Run("operations fail after Close", func(t *testing.T) { afterClose(t, build(t.TempDir()), closed) })
	t.Run("concurrent use", func(t *testing.T) { concurrently(t, build(t.TempDir())) })
}

// againstLevelDB does the same to a storage and to goka's LevelDB storage and compares every answer.
func againstLevelDB(t *testing.T, build func(dir string) storage.Builder, flush func(s storage.Storage, all bool) error) {
	dir, run := t.TempDir(), 0
	rapid.Check(t, func(t *rapid.T) {
		run++
		build := build(filepath.Join(dir, "ours", strconv.Itoa(run)))
		ours := Open(t, build)
		defer func() { ours.Close() }()
		model := Open(t, storage.DefaultBuilder(filepath.Join(dir, strconv.Itoa(run))))
		defer model.Close()
		key := rapid.StringOfN(rapid.SampledFrom([]rune("ab\x00é~")), 0, 3, -1)
		bound := rapid.SliceOfN(rapid.SampledFrom([]byte("ab\x00\xc3\xff~")), 0, 3)
		value := rapid.SliceOfN(rapid.Byte(), 0, 20)
		same := func(what string, answer func(s storage.Storage) string) {
			if got, want := answer(ours), answer(model); got != want {
				t.Fatalf("%s: %s, LevelDB answers %s", what, got, want)
			}
		}
		open := map[string][2]storage.Iterator{}
		t.Repeat(map[string]func(*rapid.T){
			"Set": func(t *rapid.T) {
				k, v := key.Draw(t, "key"), value.Draw(t, "value")
				given := bytes.Clone(v)
				same("Set", func(s storage.Storage) string { return fmt.Sprint(s.Set(k, given)) })
				for i := range given { // the storage must not keep what it was given
					given[i]++
				}
			},
			"SetNil": func(t *rapid.T) {
				k := key.Draw(t, "key")
				same("Set", func(s storage.Storage) string { return fmt.Sprint(s.Set(k, nil)) })
			},
			"Delete": func(t *rapid.T) {
				k := key.Draw(t, "key")
				same("Delete", func(s storage.Storage) string { return fmt.Sprint(s.Delete(k)) })
			},
			"Get": func(t *rapid.T) {
				k := key.Draw(t, "key")
				same("Get", func(s storage.Storage) string { return outcome(s.Get(k)) })
				same("Has", func(s storage.Storage) string {
					has, err := s.Has(k)
					return fmt.Sprint(has, err)
				})
			},
			"Offset": func(t *rapid.T) {
				same("GetOffset", func(s storage.Storage) string {
					o, err := s.GetOffset(-3)
					return fmt.Sprint(o, err)
				})
				// LevelDB cannot tell offset 0 from none before it is recovered.
				o := rapid.Int64Range(1, 1<<40).Draw(t, "offset")
				same("SetOffset", func(s storage.Storage) string { return fmt.Sprint(s.SetOffset(o)) })
			},
			"Flush": func(t *rapid.T) {
				if flush == nil {
					return
				}
				if err := flush(ours, rapid.Bool().Draw(t, "everything is ready")); err != nil {
					t.Fatal(err)
				}
			},
			"Reopen": func(t *rapid.T) {
				if flush != nil && len(open) == 0 { // what it holds survives Close
					o := rapid.Int64Range(1, 1<<40).Draw(t, "offset")
					same("SetOffset", func(s storage.Storage) string { return fmt.Sprint(s.SetOffset(o)) })
					if err := ours.Close(); err != nil {
						t.Fatal(err)
					}
					ours = Open(t, build)
				}
			},
			"IteratorWithRange": func(t *rapid.T) {
				start, limit := bound.Draw(t, "start"), bound.Draw(t, "limit")
				same(fmt.Sprintf("IteratorWithRange(%q, %q)", start, limit), func(s storage.Storage) string {
					it, err := s.IteratorWithRange(start, limit)
					if err != nil {
						return err.Error()
					}
					defer it.Release()
					return rest(it)
				})
			},
			"Iterator": func(t *rapid.T) { // it stays open while rows change
				var pair [2]storage.Iterator
				for i, s := range []storage.Storage{ours, model} {
					it, err := s.Iterator()
					if err != nil {
						t.Fatal(err)
					}
					pair[i] = it
				}
				open[fmt.Sprint(len(open))] = pair
			},
			"IteratorMove": func(t *rapid.T) {
				if len(open) == 0 {
					return
				}
				pair := open[fmt.Sprint(rapid.IntRange(0, len(open)-1).Draw(t, "iterator"))]
				seek, to := rapid.Bool().Draw(t, "seek"), bound.Draw(t, "to")
				var answers [2]string
				for i, it := range pair {
					moved := seek && it.Seek(to) || !seek && it.Next()
					answers[i] = fmt.Sprint(moved, outcome(it.Key(), it.Err()), outcome(it.Value()))
				}
				if answers[0] != answers[1] {
					t.Fatalf("iterator, seek %t to %q: %s, LevelDB answers %s", seek, to, answers[0], answers[1])
				}
			},
		})
		for _, pair := range open {
			for _, it := range pair {
				it.Release()
				if it.Next() {
					t.Fatal("an iterator has a row after it was released")
				}
			}
		}
		same("MarkRecovered", func(s storage.Storage) string { return fmt.Sprint(s.MarkRecovered()) })
		same("SetOffset", func(s storage.Storage) string { return fmt.Sprint(s.SetOffset(0)) })
		same("GetOffset", func(s storage.Storage) string {
			o, err := s.GetOffset(-3)
			return fmt.Sprint(o, err)
		})
	})
}

// rest lists what an iterator has left.
func rest(it storage.Iterator) string {
	var b bytes.Buffer
	for it.Next() {
		v, err := it.Value()
		fmt.Fprintf(&b, "%q=%s ", it.Key(), outcome(v, err))
	}
	fmt.Fprint(&b, it.Err())
	return b.String()
}

func underGokasMerge(t *testing.T, build func(dir string) storage.Builder) {
	var parts []storage.Iterator
	for p := range 3 {
		s := Open(t, build(t.TempDir()))
		defer s.Close()
		for i := range 4 {
			if err := s.Set(fmt.Sprint("k", i*3+p), []byte{byte(p)}); err != nil {
				t.Fatal(err)
			}
		}
		it, err := s.Iterator()
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, it)
	}
	it := storage.NewMultiIterator(parts)
	defer it.Release()
	if !it.Seek([]byte("k3")) {
		t.Fatal("nothing from k3 on")
	}
	if got, want := rest(it), `"k3"="\x00" <nil> "k4"="\x01" <nil> "k5"="\x02" <nil> "k6"="\x00" <nil> "k7"="\x01" <nil> "k8"="\x02" <nil> "k9"="\x00" <nil> <nil>`; got != want {
		t.Fatalf("got  %s\nwant %s", got, want)
	}
}

func valueStays(t *testing.T, build storage.Builder) {
	s := Open(t, build)
	defer s.Close()
	if err := s.Set("k", []byte("old")); err != nil {
		t.Fatal(err)
	}
	got, err := s.Get("k")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Set("k", []byte("new")), s.Delete("k")); err != nil {
		t.Fatal(err)
	}
	if string(got) != "old" {
		t.Fatalf("the value became %q", got)
	}
}

func offsetApart(t *testing.T, build storage.Builder) {
	s := Open(t, build)
	defer s.Close()
	if err := errors.Join(s.Set("__offset", []byte("a row")), s.SetOffset(7)); err != nil {
		t.Fatal(err)
	}
	v, err := s.Get("__offset")
	if err != nil {
		t.Fatal(err)
	}
	o, err := s.GetOffset(0)
	if err != nil {
		t.Fatal(err)
	}
	if string(v) != "a row" || o != 7 {
		t.Fatalf("row %q, offset %d", v, o)
	}
}

func afterClose(t *testing.T, build storage.Builder, closed error) {
	s := Open(t, build)
	if err := errors.Join(s.Set("k", []byte("v")), s.Close(), s.Close(), s.SetOffset(1)); err != nil {
		t.Fatal(err)
	}
	_, errGet := s.Get("k")
	_, errHas := s.Has("k")
	_, errIterator := s.Iterator()
	for i, err := range []error{errGet, errHas, errIterator, s.Set("k", nil), s.Delete("k")} {
		if !errors.Is(err, closed) {
			t.Errorf("operation %d: %v", i, err)
		}
	}
}

func concurrently(t *testing.T, build storage.Builder) {
	s := Open(t, build)
	defer s.Close()
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for i := range 500 {
				k := strconv.Itoa(i % 50)
				v := bytes.Repeat([]byte{byte(g)}, 10)
				if err := errors.Join(s.Set(k, v), s.SetOffset(int64(i))); err != nil {
					t.Error(err)
				}
				if got, err := s.Get(k); err != nil || got != nil && len(bytes.TrimLeft(got, string(got[:1]))) > 0 {
					t.Errorf("torn value %v, error %v", got, err)
				}
				if i%100 == 0 {
					it, err := s.Iterator()
					if err != nil {
						t.Error(err)
						return
					}
					for it.Next() {
						_ = it.Key()
					}
					it.Release()
				}
				if i%7 == 0 {
					if err := s.Delete(k); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	all.Wait()
}

// Benchmark measures rows of 500 bytes in a storage that holds 100,000 of them.
func Benchmark(b *testing.B, build storage.Builder) {
	const rows = 100_000
	keys := make([]string, rows)
	for i := range keys {
		keys[i] = fmt.Sprintf("0199a4e2-%012d-7c3f-9d61", i*7919%rows)
	}
	value := bytes.Repeat([]byte(`{"id":"0199"}`), 500/13)
	s := Open(b, build)
	defer s.Close()
	for i, k := range keys {
		if err := errors.Join(s.Set(k, value), s.SetOffset(int64(i))); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.MarkRecovered(); err != nil {
		b.Fatal(err)
	}
	b.Run("set", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if err := errors.Join(s.Set(keys[i*31%rows], value), s.SetOffset(int64(i))); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("get", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if v, err := s.Get(keys[i*31%rows]); err != nil || v == nil {
				b.Fatal(v, err)
			}
		}
	})
	b.Run("iterator", func(b *testing.B) {
		for b.Loop() {
			it, err := s.Iterator()
			if err != nil {
				b.Fatal(err)
			}
			for it.Next() {
				if _, err := it.Value(); err != nil {
					b.Fatal(err)
				}
			}
			it.Release()
		}
	})
}
