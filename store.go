package atoll

// Reader reads ordered keys. Keys compare as bytes. Returned slices may be
// read until the reader is closed, and must not be written to.
type Reader interface {
	// Get returns the value of a key. Absence is ok == false, not an error;
	// an error means that the store cannot be trusted (DataLoss) or reached.
	Get(key []byte) (value []byte, ok bool, err error)
	// Iter returns an iterator over lo <= key < hi, placed nowhere; nil hi
	// means no end. It sees one state of the store, that of the call.
	Iter(lo, hi []byte) Iterator
}

// Iterator walks over ordered keys. A method that moves returns false at the
// end or on an error; Close tells which.
type Iterator interface {
	SeekGE(key []byte) bool // first key >= key
	SeekLT(key []byte) bool // last key < key
	Next() bool
	Prev() bool
	Key() []byte   // valid until the next move
	Value() []byte // valid until the next move
	Close() error  // the first error met, once; the iterator is gone
}

// Snapshot is one state of a store, held until closed.
type Snapshot interface {
	Reader
	Close() error
}

// Store keeps ordered keys on one disk or in one memory. It is used by one
// writer and any number of readers.
type Store interface {
	Reader
	// Snapshot returns the state after the last Apply that returned.
	Snapshot() Snapshot
	// Apply makes the whole batch readable, or none of it. What it wrote
	// survives a crash once Wait returned nil, in the order of the calls: a
	// batch that survives has all earlier ones beneath it.
	Apply(b *Batch) (Commit, error)
	// Checkpoint writes a durable copy of the state after the last Apply
	// into a new directory.
	Checkpoint(dir string) error
	Close() error
}

// Commit is the promise of one applied batch.
type Commit interface {
	// Wait returns when the batch is durable. After an error the store is
	// in an unknown state: throw it away and open it again.
	Wait() error
}

// Batch is a list of changes that are applied as one, in order. It does not
// copy what it is given.
type Batch struct {
	Ops   []Op
	Bytes int // of keys and values
}

// Op is one change: a set, a deletion of one key, or a deletion of Key <= k < Value.
type Op struct {
	Kind  OpKind
	Key   []byte
	Value []byte
}

// OpKind tells what an Op does. The numbers are part of block digests.
type OpKind uint8

const (
	OpSet         OpKind = 1
	OpDelete      OpKind = 2
	OpDeleteRange OpKind = 3
)

// Set stores value under key.
func (b *Batch) Set(key, value []byte) { b.add(Op{OpSet, key, value}) }

// Delete removes key, if present.
func (b *Batch) Delete(key []byte) { b.add(Op{OpDelete, key, nil}) }

// DeleteRange removes lo <= key < hi.
func (b *Batch) DeleteRange(lo, hi []byte) { b.add(Op{OpDeleteRange, lo, hi}) }

func (b *Batch) add(op Op) {
	b.Ops = append(b.Ops, op)
	b.Bytes += len(op.Key) + len(op.Value)
}
