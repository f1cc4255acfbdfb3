// Package gokaplus closes what goka v1.1 leaves open: it commits offsets in order, rejoins after a rebalance without
// goka's fixed pause, keeps tables in a fast storage in memory or in one on disk that is never ahead of Kafka, restarts
// what has failed, and writes through a producer that outlasts outages. It is for any user of goka and never knows what
// the messages mean. It sets no global configuration.
//
// [NewProcessor], [NewView] and [NewEmitter] use all of it; [ProcessorOptions], [ViewOptions] and [EmitterOptions]
// do so with goka's own constructors. Each part also works alone.
//
// # In-order commits
//
// The committed offset of a partition is where reading goes on after a restart. goka marks each message as soon as
// that message is finished, and sarama commits the highest mark. Messages finish in another order than they came:
// one whose emits are not acknowledged yet is overtaken by the next one if that emits nothing. If the process dies
// then, or the emits fail for good, the committed offset is past a message whose effects were lost, and nobody reads
// it again.
//
// [Ordered] guarantees for every topic-partition: offset N is committed only after every message at or below N that
// was delivered in this session is finished. Everything below the first delivered one was committed before. Processing
// is therefore at least once, whatever fails: a message may be handled again, never not at all.
//
// The argument. (1) Between sarama and goka the wrapper notes each message before goka can see it, in the order of
// the partition, so the window of a partition starts with the lowest offset that is not finished. (2) goka calls
// MarkOffset(offset+1) for a message once, and only after its callback has returned, the functions from DeferCommit
// have been called, and the brokers have acknowledged all its emits and table writes; if any of these fail it calls
// nothing. So a mark means that this message is finished. (3) The wrapper passes a mark on only when the window starts
// with finished messages, and then marks the last of those. Offsets that are not in the window, such as gaps left by
// compaction, hold no message that could be lost. (4) sarama keeps the highest mark of a partition and commits that or,
// earlier, a lower one. It never commits what was not marked. (5) A session has windows of its own. An acknowledgement
// that arrives after its session marks in the old session, which sarama ignores.
//
// What it assumes, and cannot change: that the cluster keeps acknowledged records (acks=all, and enough in-sync
// replicas), that topics are not read with a cooperative strategy (goka cannot), and that a callback which returns
// has done its work. goka's Context.Fail returns instead of panicking once a shutdown has begun; a callback that goes
// on after it is taken as successful, so write ctx.Fail(err); panic(err).
package gokaplus
