// Package gokaplus makes goka v1.1 safe to run in production. It adds what goka leaves open:
//
//   - Offsets are committed in order, so that no message is skipped after a crash: [WithInOrderCommits].
//   - A rebalance does not cost goka's fixed pause of five seconds: [WithQuickRejoin].
//   - Failed processors and views are built and started again, and report their state: [Supervise], [Health].
//   - Tables live in a fast storage in memory, [MapStorage], or on disk, package diskstore.
//   - Producers wait for the brokers in an outage instead of failing, with sarama or, better, with package franz.
//   - Input lag is measured: [Progress].
//   - Configurations have no defaults that lose messages: [SaramaConfig].
//
// [NewProcessor], [NewView] and [NewEmitter] use all of it. [ProcessorOptions], [ViewOptions] and [EmitterOptions] do
// the same for goka's own constructors. Each part also works alone. The package does not look into messages and does
// not change goka's or sarama's global configuration.
//
// This package imports goka and sarama only. Two parts with larger dependencies have packages of their own:
//
//   - gokaplus/franz is a producer on franz-go. Set it with [Options].Producer.
//   - gokaplus/diskstore is a table storage on LevelDB. Set it with [Options].Storage.
//
// # In-order commits
//
// Kafka resumes a partition at its committed offset. goka marks each message as soon as that message is finished, and
// sarama commits the highest mark. But messages do not finish in the order in which they arrive: a message that waits
// for the acknowledgement of its emits is overtaken by the next one if that emits nothing. If the process dies then, or
// if the emits fail for good, the committed offset is past a message whose effects were lost. No restart reads it again.
//
// [WithInOrderCommits] guarantees for every topic and partition: offset N is committed only after every message at or
// below N that was delivered in this session is finished. Messages below the first delivered one were committed before.
// Processing is therefore at least once, whatever fails. A message may be handled more than once, but never not at all.
//
// The guarantee follows from five facts:
//
//  1. The wrapper sits between sarama and goka. It records each message before goka can see it, in the order of the
//     partition. So the window of a partition starts with the lowest offset that is not finished.
//  2. goka calls MarkOffset(offset+1) for a message once: after its callback has returned, the functions from
//     DeferCommit have been called, and the brokers have acknowledged all its emits and table writes. If any of these
//     fails, goka does not call MarkOffset. So a mark means that this message is finished.
//  3. The wrapper forwards a mark only when the window starts with finished messages, and then marks the last of those.
//     Offsets that are not in the window, such as gaps left by compaction, hold no message that could be lost.
//  4. sarama keeps the highest mark of a partition and commits that one or an earlier one. It does not commit offsets
//     that were not marked.
//  5. Each session has windows of its own. An acknowledgement that arrives after its session has ended marks in the old
//     session, and sarama ignores it.
//
// The guarantee has three preconditions:
//
//   - The cluster keeps acknowledged records: acks=all, and min.insync.replicas of at least 2 on a replicated topic.
//   - The partition strategy is not cooperative. goka does not support a cooperative one either.
//   - A callback that returns has done its work. goka's Context.Fail returns instead of panicking once a shutdown has
//     begun, and a callback that continues after it counts as successful. Write ctx.Fail(err); panic(err).
//
// # Writing callbacks
//
// At-least-once processing means that callbacks see some messages again. On a redelivery the table may already hold the
// new row, while the emits of the first attempt were lost. So repeat SetValue and Emit on every delivery, and make them
// a function of the message alone: for example, take the time from Context.Timestamp and not from time.Now.
package gokaplus
