// Package kv holds what the stores of Atoll have in common beyond the contract
// atoll.Store: the abilities that only some readers have, and the check that
// every store makes of a batch before it touches anything.
//
// The stores are kv/pebble, on a disk, and kv/mem, in memory or on a simulated
// disk. Both pass the same suite, kv/kvtest.
package kv

import "atoll"

// MaxBatchBytes is the most that the keys and values of one batch may weigh.
const MaxBatchBytes = 1 << 30

// SplitFunc returns the length of the part of a key that names something (a
// document, an index entry); what follows tells versions of it apart. It must
// accept any bytes, and keep the order: if a <= b as bytes, then
// a[:split(a)] <= b[:split(b)]. It belongs to the format of a store: one that
// was written with one SplitFunc must not be opened with another.
type SplitFunc func(key []byte) int

// PrefixSeeker is the ability of a store, or of its snapshots, to find the
// newest version of something faster than an iterator would.
type PrefixSeeker interface {
	// SeekPrefixGE returns the first key >= key whose split prefix (see
	// SplitFunc) equals that of key, with its value. Absence is ok == false,
	// and is the answer to an empty key. The slices belong to the caller.
	SeekPrefixGE(key []byte) (k, v []byte, ok bool, err error)
}

// Marker is the ability of a store to remember, outside of its own log, how far
// it is known to be durable. A damaged end of a log cannot be told from one
// that a crash tore; the mark can tell, for it says what must be there.
type Marker interface {
	// MarkDurable records that the block of this height, with this digest,
	// is on disk: its Commit.Wait has returned nil. It takes about a
	// microsecond, because it is not synced itself: after a crash of the
	// machine an older mark may be found, never one that says too much.
	MarkDurable(height atoll.Height, digest atoll.Hash) error
	// Durable returns the newest mark; ok is false if there is none.
	Durable() (height atoll.Height, digest atoll.Hash, ok bool)
}

// Check fails with Invalid if a batch holds an operation that no store
// executes: an unknown kind, an empty key to set or delete, or more bytes than
// MaxBatchBytes.
func Check(b *atoll.Batch) error {
	bytes := 0
	for i, op := range b.Ops {
		switch {
		case op.Kind < atoll.OpSet || op.Kind > atoll.OpDeleteRange:
			return atoll.Errorf(atoll.Invalid, "operation %d of the batch has the unknown kind %d", i, op.Kind)
		case len(op.Key) == 0 && op.Kind != atoll.OpDeleteRange:
			return atoll.Errorf(atoll.Invalid, "operation %d of the batch has an empty key", i)
		}
		bytes += len(op.Key) + len(op.Value)
	}
	if bytes > MaxBatchBytes {
		return atoll.Errorf(atoll.Invalid, "the batch holds %d bytes; %d are allowed", bytes, MaxBatchBytes)
	}
	return nil
}
