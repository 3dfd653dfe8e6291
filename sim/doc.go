// Package sim runs whole installations in one goroutine, on simulated clocks,
// disks and networks, and looks for a promise that is broken. The code that is
// run is the production code: node.Replica, subnet, log/local, kv/mem, the
// programs and the router. What drives it is drawn from a seed, so that a seed
// which finds something finds it again.
//
// # A run
//
// A world has one to three subnets. Each is a disk with one process on it, or
// two where processes share the disk and take over from each other. Clients are
// coroutines that talk to the processes through the production router; they
// write, read now and in the past, list, query, sum up, commit on the condition
// that what a transaction has read is still so, follow the change feed, open
// databases, and have canisters write letters to each other. A scheduler picks
// one small step after the other: a client goes on, a process cuts a block, a
// disk syncs, a block settles, letters travel (or are lost, repeated,
// overtaken), or something breaks: power, a process, a sync, a full disk, a
// pause, a clock.
//
// After the last step everything is healed and comes to rest. Then the power is
// cut once more, the disks are opened, and what was seen is held against what
// is there.
//
// # What is checked
//
//   - Every answer that a client got agrees with a model of documents, replayed
//     from the durable log alone: reads at any time, lists, feeds, results of
//     commits. What was acknowledged is in the log; what was refused is not; a
//     repeated request was executed once.
//   - Each query, and each sum over a query, shows what the model holds at one
//     time, which lies between its beginning and its end. A transaction was
//     committed if and only if all that it had read was still so at its commit.
//   - Registers and counters are linearizable (porcupine), with unknown outcomes
//     left open; a strong read shows what was acknowledged before it began.
//   - Executing the log again gives the digest of every height.
//   - The multiset hash and the account of cycles agree with the state, along
//     the way and at the end; cycles sent between subnets have arrived.
//   - Letters of one pair of canisters came once each and in order, and every
//     call was answered once.
//   - A block that was durable is so for ever; a bit that is turned over on a
//     disk is noticed when the disk is opened.
//   - Every database has one directory, and every key one owner.
//
// The simulator is tested itself: each defect of package planted, planted into
// the production code, must be found.
package sim
