package gokaplus

import (
	"testing"

	"github.com/lovoo/goka/storage"

	"github.com/ecupcakes/ecupcakes/gokaplus/internal/kafkatest"
	"github.com/ecupcakes/ecupcakes/gokaplus/internal/storagetest"
)

func TestMain(m *testing.M) { kafkatest.Main(m) }

func TestMapStorage(t *testing.T) {
	storagetest.Run(t, func(string) storage.Builder { return MapStorage() }, nil, ErrStorageClosed)
}

func BenchmarkStorage(b *testing.B) {
	b.Run("map", func(b *testing.B) { storagetest.Benchmark(b, MapStorage()) })
	b.Run("leveldb", func(b *testing.B) { storagetest.Benchmark(b, storage.DefaultBuilder(b.TempDir())) })
}
