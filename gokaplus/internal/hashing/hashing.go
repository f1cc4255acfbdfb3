// Package hashing assigns keys to partitions as goka does.
package hashing

import "hash"

// Partition returns the partition of key: its hash, read as a signed number, modulo partitions, without the sign.
func Partition(h hash.Hash32, key []byte, partitions int) int32 {
	h.Reset()
	h.Write(key)
	p := int32(h.Sum32()) % int32(partitions)
	return max(p, -p)
}
