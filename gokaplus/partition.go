package gokaplus

import (
	"github.com/lovoo/goka"

	"github.com/ecupcakes/ecupcakes/gokaplus/internal/hashing"
)

// Partition returns the partition to which goka assigns key in a topic with that many partitions. It uses
// goka.DefaultHasher, so it holds for every processor, view and emitter that was not given another hasher.
//
// goka reads the hash as a signed number, takes it modulo partitions, and drops the sign. This is not the assignment of
// Kafka's Java clients. A producer of another kind that writes to an input of goka must assign keys the same way;
// package franz has a partitioner for franz-go. Partition panics if partitions is 0.
func Partition(key []byte, partitions int) int32 {
	return hashing.Partition(goka.DefaultHasher()(), key, partitions)
}
