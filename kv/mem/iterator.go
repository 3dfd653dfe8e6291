package mem

import (
	"bytes"

	"github.com/tidwall/btree"
)

// place tells where an iterator stands with regard to its bounds.
type place uint8

const (
	nowhere place = iota // not moved yet: Next goes to the first key, Prev to the last
	within               // on a key
	before               // in front of the first key
	behind               // behind the last key
)

// iterator walks over lo <= key < hi of a tree that does not change.
type iterator struct {
	it     btree.IterG[item]
	lo, hi []byte // nil hi: no end
	at     place
	err    error // there is nothing to walk over; it is nil
	empty  bool  // the bounds leave nothing
}

func newIterator(t *tree, lo, hi []byte) *iterator {
	i := &iterator{lo: bytes.Clone(lo), it: t.Iter()}
	if hi != nil {
		i.hi = append([]byte{}, hi...)
		i.empty = bytes.Compare(lo, hi) >= 0
	}
	return i
}

func (i *iterator) SeekGE(key []byte) bool {
	if i.err != nil || i.empty {
		return false
	}
	if bytes.Compare(key, i.lo) < 0 {
		key = i.lo
	}
	return i.forward(i.it.Seek(item{key: key}))
}

func (i *iterator) SeekLT(key []byte) bool {
	if i.err != nil || i.empty {
		return false
	}
	if i.hi != nil && bytes.Compare(key, i.hi) > 0 {
		key = i.hi
	}
	if !i.it.Seek(item{key: key}) {
		return i.backward(i.it.Last())
	}
	return i.backward(i.it.Prev())
}

func (i *iterator) Next() bool {
	switch {
	case i.err != nil || i.empty || i.at == behind:
		return false
	case i.at == within:
		return i.forward(i.it.Next())
	}
	return i.SeekGE(i.lo)
}

func (i *iterator) Prev() bool {
	switch {
	case i.err != nil || i.empty || i.at == before:
		return false
	case i.at == within:
		return i.backward(i.it.Prev())
	case i.hi != nil:
		return i.SeekLT(i.hi)
	}
	return i.backward(i.it.Last())
}

// forward takes note of a move towards the end that found a key, or none.
func (i *iterator) forward(found bool) bool {
	i.at = behind
	if found && (i.hi == nil || bytes.Compare(i.it.Item().key, i.hi) < 0) {
		i.at = within
	}
	return i.at == within
}

// backward takes note of a move towards the beginning.
func (i *iterator) backward(found bool) bool {
	i.at = before
	if found && bytes.Compare(i.it.Item().key, i.lo) >= 0 {
		i.at = within
	}
	return i.at == within
}

func (i *iterator) Key() []byte {
	if i.at != within {
		return nil
	}
	return i.it.Item().key
}

func (i *iterator) Value() []byte {
	if i.at != within {
		return nil
	}
	return i.it.Item().value
}

func (i *iterator) Close() error {
	err := i.err
	i.it.Release()
	*i = iterator{empty: true}
	return err
}
