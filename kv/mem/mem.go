// Package mem is a store in memory: an ordered tree that is copied on write, so
// that a snapshot costs nothing until the next batch. New keeps it nowhere;
// Open keeps it on a simulated Disk that can lose its power, its syncs and its
// bits.
//
// The same calls give the same state and the same bytes on the Disk: nothing
// here starts a goroutine, reads a clock or draws a number.
package mem

import (
	"bytes"
	"sync"

	"github.com/tidwall/btree"

	"atoll"
	"atoll/kv"
	"atoll/planted"
)

// item is one key with its value. Both are private copies that never change.
type item struct{ key, value []byte }

type tree = btree.BTreeG[item]

func newTree() *tree {
	less := func(a, b item) bool { return bytes.Compare(a.key, b.key) < 0 }
	return btree.NewBTreeGOptions(less, btree.Options{NoLocks: true})
}

// Store is an atoll.Store in memory. It is also a kv.PrefixSeeker and a
// kv.Marker.
type Store struct {
	split   kv.SplitFunc
	planted planted.Set
	disk    *Disk
	term    *term // of the disk, in which this store may use it

	mu     sync.RWMutex // guards what follows; the disk's mutex may be taken under it
	live   *tree
	frozen *tree // a copy of live that readers share; nil after each batch
	err    error // after which nothing works until the disk is opened again
}

var (
	_ kv.PrefixSeeker = (*Store)(nil)
	_ kv.PrefixSeeker = (*snapshot)(nil)
	_ kv.Marker       = (*Store)(nil)
)

// Option changes how a store is opened.
type Option func(*Store)

// WithSplit sets the SplitFunc of SeekPrefixGE. Without it every key is its own
// prefix.
func WithSplit(split kv.SplitFunc) Option { return func(s *Store) { s.split = split } }

// WithPlanted plants defects, for the simulator's own tests.
func WithPlanted(defects planted.Set) Option { return func(s *Store) { s.planted = defects } }

// New returns an empty store that is gone with the process. What is applied
// counts as durable at once.
func New(opts ...Option) *Store {
	d := &Disk{volatile: true, auto: true, term: &term{}}
	s := &Store{disk: d, term: d.term, live: newTree()}
	s.configure(opts)
	return s
}

// Open returns the store that a disk holds, after it has made durable what it
// found. It fails with FailedPrecondition if a store is open on the disk, with
// DataLoss if the journal is damaged other than by a torn end, and with the
// disk's own error if that fails.
func Open(d *Disk, opts ...Option) (*Store, error) {
	s := &Store{disk: d}
	s.configure(opts)
	var err error
	s.live, s.term, err = d.recover(s.planted)
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Store) configure(opts []Option) {
	s.split = func(key []byte) int { return len(key) }
	for _, o := range opts {
		o(s)
	}
}

// usable returns why the store may not be used, if so. s.mu is held.
func (s *Store) usable() error {
	if s.err != nil {
		return s.err
	}
	return s.disk.check(s.term)
}

// view returns a tree that never changes, with the state after the last Apply.
func (s *Store) view() (*tree, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(); err != nil {
		return nil, err
	}
	if s.frozen == nil {
		s.frozen = s.live.Copy()
	}
	return s.frozen, nil
}

// Get implements atoll.Reader. The value may be read for ever.
func (s *Store) Get(key []byte) ([]byte, bool, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.usable(); err != nil {
		return nil, false, err
	}
	it, ok := s.live.Get(item{key: key})
	return it.value, ok, nil
}

// Iter implements atoll.Reader.
func (s *Store) Iter(lo, hi []byte) atoll.Iterator {
	t, err := s.view()
	if err != nil {
		return &iterator{err: err}
	}
	return newIterator(t, lo, hi)
}

// SeekPrefixGE implements kv.PrefixSeeker.
func (s *Store) SeekPrefixGE(key []byte) (k, v []byte, ok bool, err error) {
	t, err := s.view()
	if err != nil {
		return nil, nil, false, err
	}
	k, v, ok = seekPrefix(t, s.split, key)
	return k, v, ok, nil
}

func seekPrefix(t *tree, split kv.SplitFunc, key []byte) (k, v []byte, ok bool) {
	if len(key) == 0 {
		return nil, nil, false
	}
	prefix := key[:split(key)]
	t.Ascend(item{key: key}, func(it item) bool {
		if n := split(it.key); bytes.Equal(it.key[:n], prefix) {
			k, v, ok = bytes.Clone(it.key), bytes.Clone(it.value), true
		}
		return false
	})
	return k, v, ok
}

// Snapshot implements atoll.Store. The snapshot is also a kv.PrefixSeeker.
func (s *Store) Snapshot() atoll.Snapshot {
	t, err := s.view()
	return &snapshot{t: t, split: s.split, err: err}
}

// Apply implements atoll.Store. The Commit is a *Commit.
func (s *Store) Apply(b *atoll.Batch) (atoll.Commit, error) {
	if err := kv.Check(b); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(); err != nil {
		return nil, err
	}
	seq, err := s.disk.append(b)
	if err != nil {
		s.err = err
		return nil, err
	}
	s.frozen = nil
	apply(s.live, b)
	return &Commit{disk: s.disk, term: s.term, seq: seq}, nil
}

// apply executes a checked batch. It copies what it keeps.
func apply(t *tree, b *atoll.Batch) {
	for _, op := range b.Ops {
		switch op.Kind {
		case atoll.OpSet:
			t.Set(item{bytes.Clone(op.Key), append([]byte{}, op.Value...)})
		case atoll.OpDelete:
			t.Delete(item{key: op.Key})
		case atoll.OpDeleteRange:
			deleteRange(t, op.Key, op.Value)
		}
	}
}

func deleteRange(t *tree, lo, hi []byte) {
	var doomed []item
	t.Ascend(item{key: lo}, func(it item) bool {
		if bytes.Compare(it.key, hi) >= 0 {
			return false
		}
		doomed = append(doomed, it)
		return true
	})
	for _, it := range doomed {
		t.Delete(it)
	}
}

// Checkpoint implements atoll.Store. The copy is a disk of its own, to be had
// from Disk.Checkpoint under the same name. It fails with AlreadyExists if the
// name is taken.
func (s *Store) Checkpoint(dir string) error {
	t, err := s.view()
	if err != nil {
		return err
	}
	return s.disk.addCheckpoint(dir, t)
}

// Compact rewrites the journal as the state that it leads to, so that opening
// the disk takes as long as the state is large and not as its history is. What
// was not yet durable becomes so.
func (s *Store) Compact() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(); err != nil {
		return err
	}
	return s.disk.compact(s.live)
}

// MarkDurable implements kv.Marker.
func (s *Store) MarkDurable(height atoll.Height, digest atoll.Hash) error {
	return s.disk.setMark(s.term, mark{height, digest, true})
}

// Durable implements kv.Marker.
func (s *Store) Durable() (atoll.Height, atoll.Hash, bool) { return s.disk.getMark() }

// Disk returns the disk under the store, on which Checkpoint leaves its copies.
func (s *Store) Disk() *Disk { return s.disk }

// Close implements atoll.Store. What was applied and not made durable stays so.
// It returns nil on a store that has failed or whose disk has crashed.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = atoll.Errorf(atoll.Unavailable, "the store is closed")
	}
	s.disk.release(s.term, s.err)
	return nil
}

// snapshot is one state of a Store. It outlives the store, like the memory that
// it is in; its disk has no part in it.
type snapshot struct {
	t     *tree
	split kv.SplitFunc
	err   error
}

func (s *snapshot) Get(key []byte) ([]byte, bool, error) {
	if s.err != nil {
		return nil, false, s.err
	}
	it, ok := s.t.Get(item{key: key})
	return it.value, ok, nil
}

func (s *snapshot) Iter(lo, hi []byte) atoll.Iterator {
	if s.err != nil {
		return &iterator{err: s.err}
	}
	return newIterator(s.t, lo, hi)
}

func (s *snapshot) SeekPrefixGE(key []byte) (k, v []byte, ok bool, err error) {
	if s.err != nil {
		return nil, nil, false, s.err
	}
	k, v, ok = seekPrefix(s.t, s.split, key)
	return k, v, ok, nil
}

func (s *snapshot) Close() error {
	s.t, s.err = nil, atoll.Errorf(atoll.FailedPrecondition, "the snapshot is closed")
	return nil
}
