package pebble

import (
	"bytes"

	"github.com/cockroachdb/pebble/v2"

	"atoll"
)

// Get implements atoll.Reader. The value is a copy.
func (s *Store) Get(key []byte) (value []byte, ok bool, err error) {
	if err := s.enter(); err != nil {
		return nil, false, err
	}
	defer s.leave(&err)
	return s.seekers.get(s.db, key)
}

// lowest returns a key that is not empty and stands where key does. Pebble does
// not like to be asked for the empty key, and the lowest that can be stored is
// a zero byte.
func lowest(key []byte) []byte {
	if len(key) == 0 {
		return []byte{0}
	}
	return key
}

// SeekPrefixGE implements kv.PrefixSeeker.
func (s *Store) SeekPrefixGE(key []byte) (k, v []byte, ok bool, err error) {
	if err := s.enter(); err != nil {
		return nil, nil, false, err
	}
	defer s.leave(&err)
	return s.seekers.seek(s.db, key)
}

// Iter implements atoll.Reader.
func (s *Store) Iter(lo, hi []byte) atoll.Iterator { return s.iter(s.db, lo, hi) }

func (s *Store) iter(r pebble.Reader, lo, hi []byte) atoll.Iterator {
	if err := s.enter(); err != nil {
		return &iterator{err: err}
	}
	if hi != nil && bytes.Compare(lo, hi) >= 0 {
		s.mu.RUnlock()
		return &iterator{}
	}
	var err error
	defer s.leave(&err)
	return s.newIterator(r, lo, hi)
}

// newIterator is iter behind the boundary: a panic of Pebble's gives an
// iterator with an error.
func (s *Store) newIterator(r pebble.Reader, lo, hi []byte) (i *iterator) {
	i = &iterator{}
	defer func() {
		if p := recover(); p != nil {
			i.err = s.fault.caught(p)
		}
	}()
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: lowest(lo), UpperBound: hi})
	if err != nil {
		i.err = s.explain(err)
		return i
	}
	s.hold(&s.iterators)
	i.store, i.it = s, it
	return i
}

// iterator is one of Pebble's. It counts as a hold on the store, so that it
// may be used while the store is closed or fails.
type iterator struct {
	store  *Store
	it     *pebble.Iterator // nil if there is nothing to walk over
	placed bool             // by a move
	err    error            // the first error met
}

// move makes one move, unless the store has failed.
func (i *iterator) move(step func(*pebble.Iterator) bool) (ok bool) {
	if i.it == nil || i.err != nil {
		return false
	}
	if i.err = i.store.fault.get(); i.err != nil {
		return false
	}
	defer func() {
		if r := recover(); r != nil {
			i.err, ok = i.store.fault.caught(r), false
		}
	}()
	i.placed = true
	if step(i.it) {
		return true
	}
	i.err = i.store.explain(i.it.Error())
	return false
}

func (i *iterator) SeekGE(key []byte) bool {
	return i.move(func(it *pebble.Iterator) bool { return it.SeekGE(lowest(key)) })
}

func (i *iterator) SeekLT(key []byte) bool {
	return i.move(func(it *pebble.Iterator) bool { return it.SeekLT(lowest(key)) })
}

// Next goes to the first key from nowhere, where Pebble's stays.
func (i *iterator) Next() bool {
	if !i.placed {
		return i.move((*pebble.Iterator).First)
	}
	return i.move((*pebble.Iterator).Next)
}

// Prev goes to the last key from nowhere, where Pebble's stays.
func (i *iterator) Prev() bool {
	if !i.placed {
		return i.move((*pebble.Iterator).Last)
	}
	return i.move((*pebble.Iterator).Prev)
}

func (i *iterator) Key() []byte {
	if i.it == nil || !i.it.Valid() {
		return nil
	}
	return i.it.Key()
}

// Value returns nil if the value cannot be read; Close then tells why.
func (i *iterator) Value() (v []byte) {
	if i.it == nil || !i.it.Valid() || i.err != nil {
		return nil
	}
	defer func() {
		if r := recover(); r != nil {
			i.err, v = i.store.fault.caught(r), nil
		}
	}()
	v, err := i.it.ValueAndErr()
	i.err = i.store.explain(err)
	return v
}

func (i *iterator) Close() (err error) {
	err = i.err
	it := i.it
	i.it, i.err = nil, nil
	if it == nil {
		return err
	}
	s := i.store
	defer func() {
		if r := recover(); r != nil {
			err = s.fault.caught(r)
		}
		s.iterators.Add(-1)
		_ = s.release(false)
	}()
	if cerr := it.Close(); err == nil {
		err = s.explain(cerr)
	}
	return err
}

// Snapshot implements atoll.Store. The snapshot is also a kv.PrefixSeeker.
func (s *Store) Snapshot() atoll.Snapshot {
	if err := s.enter(); err != nil {
		return &snapshot{store: s, err: err}
	}
	var err error
	defer s.leave(&err)
	snap := &snapshot{store: s, snap: s.db.NewSnapshot()}
	s.hold(&s.snapshots)
	return snap
}

// snapshot is one of Pebble's.
type snapshot struct {
	store *Store
	snap  *pebble.Snapshot
	err   error // there is no snapshot

	seekers seekers
}

func (s *snapshot) enter() error {
	if s.err != nil {
		return s.err
	}
	return s.store.enter()
}

func (s *snapshot) Get(key []byte) (value []byte, ok bool, err error) {
	if err := s.enter(); err != nil {
		return nil, false, err
	}
	defer s.store.leave(&err)
	return s.seekers.get(s.snap, key)
}

func (s *snapshot) SeekPrefixGE(key []byte) (k, v []byte, ok bool, err error) {
	if err := s.enter(); err != nil {
		return nil, nil, false, err
	}
	defer s.store.leave(&err)
	return s.seekers.seek(s.snap, key)
}

func (s *snapshot) Iter(lo, hi []byte) atoll.Iterator {
	if s.err != nil {
		return &iterator{err: s.err}
	}
	return s.store.iter(s.snap, lo, hi)
}

func (s *snapshot) Close() (err error) {
	snap := s.snap
	if snap == nil {
		return nil
	}
	s.snap, s.err = nil, atoll.Errorf(atoll.FailedPrecondition, "the snapshot is closed")
	defer func() {
		if r := recover(); r != nil {
			err = s.store.fault.caught(r)
		}
		s.store.snapshots.Add(-1)
		_ = s.store.release(false)
	}()
	err = s.seekers.changed(true)
	if cerr := snap.Close(); err == nil {
		err = cerr
	}
	return s.store.explain(err)
}
