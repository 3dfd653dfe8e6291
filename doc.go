// Package atoll holds the nouns of Atoll: identifiers, paths, time, messages,
// blocks, errors, and the contracts between the rooms of the house. It imports
// nothing of its own; a stranger who has read it knows the system.
//
// A canister is a program whose state is the deterministic result of its
// message log. A subnet is one ordered log with the canisters that it carries.
// A block is a batch of messages with a height and a time. Everything that has
// state is a canister (a shard of documents, the directory of a database, the
// registry of databases); everything else (gateways, console, executors) has
// none, and may be killed at any moment.
//
// The two promises that every type here serves:
//
//   - Acknowledged means durable. A reply leaves the node after the block that
//     holds its message is on disk.
//   - Visible means durable. Queries, outgoing messages and the change feed
//     read only blocks that are on disk.
package atoll
