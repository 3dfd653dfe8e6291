// Package pebble is the store on a disk: Pebble (github.com/cockroachdb/pebble)
// behind the contract atoll.Store, with what a node needs besides.
//
// # Files
//
// A directory belongs to one store. Beside Pebble's own files it holds
//
//	FORMAT   the number of the layout, and the first atoll that reads it
//	DURABLE  what is known to be on disk: the newest block (kv.Marker), and the
//	         length and checksum of Pebble's MANIFEST
//
// The keys are the caller's; the store owns none. Keys compare as bytes, under
// the comparer "atoll.v1".
//
// # Why DURABLE
//
// Pebble takes a damaged record at the end of its log, and anywhere in its
// MANIFEST, for the place where a crash interrupted it, and opens with what
// comes before. That is right after a crash and wrong after a flipped bit: then
// acknowledged data would be missing without a word. DURABLE tells the one from
// the other. It is written without a sync, after the sync of what it speaks of;
// so after a loss of power it may say less than is true, never more.
//
// # Failure
//
// A disk that is full, turns read-only, or fails to sync leaves Pebble in states
// from which it would end the process, panic, wait or try again for ever. Here
// the first such failure is the last thing that happens to the disk: the store
// remembers it, nothing is written any more, and every call returns it, until
// Close and a new Open. Kinds are DataLoss for damaged bytes, ResourceExhausted
// for a full disk, Unavailable for the rest; the Detail names the file. What was
// acknowledged before is there after the new Open. What Pebble still held in
// memory is given up in the background, and leaks if it hangs in the middle of
// something: a failure costs at most a few memtables and the cache.
package pebble
