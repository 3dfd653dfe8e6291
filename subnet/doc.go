// Package subnet is the kernel: the deterministic machine that executes the
// blocks of one log on the state of the canisters that the subnet carries. The
// same blocks on the same state give the same state, bit for bit, on one lane
// or on many, on memory or on disk. It uses no clock, randomness or goroutine;
// what runs lanes in parallel is given to it.
//
// # Execution of a block
//
// Letters from other subnets join the queues of their canisters. Letters from
// the queues, and then the block's own messages, get consecutive commit times.
// Canisters that meet in one message (a joint message, or one to the
// management canister about another) form a group; groups run as lanes, each
// group its messages in order. Every canister writes to an overlay of its own;
// a message that fails is rolled back alone. When all lanes are done, what
// they sent is put in order of (message, sequence), and all changes become one
// batch with the new head.
//
// # Keys
//
//	0x01 "head"                        Head: where the subnet stands
//	0x01 "migration"                   how far a migration from an earlier format came
//	0x02 position                      a log record (package log/local)
//	0x03 0x00 id                       canister: its record
//	0x03 0x01 id call                  a call that it made and that is open
//	0x03 0x02 id call                  a call that it was asked and has deferred
//	0x03 0x03 id number                a snapshot of its own keys: Snapshot
//	0x04 id number                     a letter that waits for it
//	0x05 0x00 subnet                   Stream: the ends of the stream to and from a subnet
//	0x05 0x01 subnet number            a letter on its way to a subnet
//	0x06 id key                        the canister's own keys
//	0x07 id number key                 a snapshot's copy of them
//	0x10 ...                           range families (package keys)
//
// An id is one byte of length and its bytes; numbers are big-endian, 8 bytes,
// subnets 4. Values are CBOR (package wire). Everything but 0x01 and 0x02 is
// part of the state's digest.
package subnet
