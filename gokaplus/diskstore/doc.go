// Package diskstore is a goka table storage on LevelDB, for tables that are larger than memory or take too long to read
// from Kafka at each start.
//
//	o := gokaplus.Options{}
//	o.Storage = diskstore.Builder("/var/lib/orders", brokers, o)
//
// goka has a LevelDB storage of its own. That one can hold rows that Kafka never received, and keeps the rows of another
// cluster, of a deleted topic, and those that LevelDB finds corrupt. This one cannot and does not.
//
// # When rows are kept
//
// Each partition of a table has a directory, named by the cluster, the topic and the partition. Rows survive restarts and
// rebalances. The directory is wiped, the reason is logged, and goka reads the table from Kafka if
//   - the topic was deleted and created again, which its id shows;
//   - the topic ends before the stored offset;
//   - LevelDB finds the directory corrupt, now or when it was last used;
//   - there are newer records, and the directory was last written longer ago than the topic keeps tombstones
//     (delete.retention.ms): it could miss the deletion of a row.
//
// The directory may be deleted at any time while it is not in use.
//
// # Crashes
//
// Whenever the process is killed, the disk holds the table as the topic has it at one offset, the stored one:
//
//  1. A row is written only after Kafka has acknowledged its record, or after it was read from there. Until then it is in
//     memory, where Get and iterators see it. goka's own LevelDB storage writes the row at once. After a crash or a failed
//     emit it may hold a row that Kafka never received and no other instance has.
//  2. Rows and the offset of the last one are written in one batch, which LevelDB applies wholly or not at all.
//  3. The stored offset advances only while the records of this processor follow each other. Another producer may write a
//     record in between, which goka does not read while it runs. Then the offset stays in front of that record, and the
//     next start reads from there.
//  4. Batches are not synchronised with the disk. Killing the process loses none of them. Losing power loses the last ones
//     or leaves a hole in the journal. LevelDB's checksums and strict mode detect a hole, and the directory is wiped.
//
// A batch is written with the first write after 1,000 rows, 1 MiB, or a minute, and at the end. After a crash, later rows
// are read from Kafka.
//
// The acknowledgements come from the producer of gokaplus.NewProcessor or gokaplus.ProcessorOptions. With goka's own
// options a row can reach the disk before its record is acknowledged, as with goka's own storage.
//
// # Memory
//
// LevelDB takes up to 16 MB a partition. Rows that are not acknowledged are kept in memory as well; their number is
// bounded by the producer. Rows may have any key, including "__offset".
package diskstore
