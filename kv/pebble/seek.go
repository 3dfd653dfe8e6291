package pebble

import (
	"bytes"
	"sync"

	"github.com/cockroachdb/pebble/v2"
)

// seekers keeps iterators over one state between look-ups: to make one costs
// as much as to look up a key. What is open here holds memtables and tables,
// so that few are kept, and none of a state that a batch has changed.
type seekers struct {
	mu    sync.Mutex
	state uint64 // counts the batches; iterators of an older one are closed
	idle  []*pebble.Iterator
	done  bool
}

// maxSeekers is how many iterators wait for the next look-up: as many as look
// up at once on a small machine.
const maxSeekers = 4

// take returns an iterator over r as it is now, and which state that is.
func (s *seekers) take(r pebble.Reader) (*pebble.Iterator, uint64, error) {
	s.mu.Lock()
	state := s.state
	if n := len(s.idle); n > 0 {
		it := s.idle[n-1]
		s.idle = s.idle[:n-1]
		s.mu.Unlock()
		return it, state, nil
	}
	s.mu.Unlock()
	it, err := r.NewIter(&pebble.IterOptions{UseL6Filters: true})
	return it, state, err
}

// put gives an iterator of a state back.
func (s *seekers) put(it *pebble.Iterator, state uint64) error {
	s.mu.Lock()
	if state == s.state && !s.done && len(s.idle) < maxSeekers && it.Error() == nil {
		s.idle = append(s.idle, it)
		s.mu.Unlock()
		return nil
	}
	s.mu.Unlock()
	return it.Close()
}

// changed closes the iterators, because there is a newer state. After end no
// more are kept.
func (s *seekers) changed(end bool) error {
	s.mu.Lock()
	idle := s.idle
	s.idle = nil
	s.state++
	s.done = s.done || end
	s.mu.Unlock()
	var err error
	for _, it := range idle {
		if cerr := it.Close(); err == nil {
			err = cerr
		}
	}
	return err
}

// seek returns copies of the first key >= key with the same prefix and of its
// value.
func (s *seekers) seek(r pebble.Reader, key []byte) (k, v []byte, ok bool, err error) {
	if len(key) == 0 {
		return nil, nil, false, nil
	}
	it, state, err := s.take(r)
	if err != nil {
		return nil, nil, false, err
	}
	if it.SeekPrefixGE(key) {
		if v, err = it.ValueAndErr(); err == nil {
			k, v, ok = bytes.Clone(it.Key()), append([]byte{}, v...), true
		}
	} else {
		err = it.Error()
	}
	if perr := s.put(it, state); err == nil {
		err = perr
	}
	if err != nil {
		return nil, nil, false, err
	}
	return k, v, ok, nil
}

// get returns a copy of the value of a key.
func (s *seekers) get(r pebble.Reader, key []byte) (v []byte, ok bool, err error) {
	if len(key) == 0 {
		return nil, false, nil
	}
	it, state, err := s.take(r)
	if err != nil {
		return nil, false, err
	}
	if it.SeekPrefixGE(key) && bytes.Equal(it.Key(), key) {
		if v, err = it.ValueAndErr(); err == nil {
			v, ok = append([]byte{}, v...), true
		}
	} else {
		err = it.Error()
	}
	if perr := s.put(it, state); err == nil {
		err = perr
	}
	if err != nil {
		return nil, false, err
	}
	return v, ok, nil
}
