package subnet

import (
	"bytes"

	"github.com/tidwall/btree"

	"atoll"
	"atoll/keys"
)

// entry is one changed key. An entry in a tree is never changed in place:
// iterators hold copies of the tree.
type entry struct {
	key, value []byte
	deleted    bool
	again      bool // was deleted in this block before it was set
}

// overlay holds what one canister changed in one block, above the state before
// the block. Changes since the last mark can be rolled back.
type overlay struct {
	base atoll.Reader
	tree *btree.BTreeG[*entry]
	undo []undo
	used usage
	err  error // of the base: the block cannot go on

	spare []entry // room for the next entries
	// own holds what the base says of the canister's own keys, which programs
	// read again with each message of a block.
	own map[string]found
}

// found is what a look-up found.
type found struct {
	value []byte
	ok    bool
}

// maxOwn is how many of its own keys a canister has at hand in a block.
const maxOwn = 64

// undo is what stood at a key in the tree before a change; nil for nothing.
type undo struct {
	key []byte
	old *entry
}

// usage counts what a message did, for its bill.
type usage struct {
	reads, writes int // keys
	bytes         int // of keys and values written
}

func newOverlay(base atoll.Reader) *overlay {
	less := func(a, b *entry) bool { return bytes.Compare(a.key, b.key) < 0 }
	return &overlay{base: base, tree: btree.NewBTreeGOptions(less, btree.Options{NoLocks: true})}
}

// mark makes all changes so far final.
func (o *overlay) mark() { o.undo, o.used = o.undo[:0], usage{} }

// rollback undoes the changes since the last mark; keep of the oldest ones
// stay (0 but for a planted defect).
func (o *overlay) rollback(keep int) {
	for i := len(o.undo) - 1; i >= keep; i-- {
		if u := o.undo[i]; u.old != nil {
			o.tree.Set(u.old)
		} else {
			o.tree.Delete(&entry{key: u.key})
		}
	}
	o.undo = o.undo[:0]
}

func (o *overlay) put(e *entry) {
	old, _ := o.tree.Set(e)
	e.again = old != nil && (old.deleted || old.again)
	o.undo = append(o.undo, undo{e.key, old})
	o.used.writes++
	o.used.bytes += len(e.key) + len(e.value)
}

// Set, Delete, Get, Iter and SeekPrefixGE work on whole keys of the store.
func (o *overlay) Set(key, value []byte) { o.put(o.entry(entry{key: key, value: value})) }

func (o *overlay) Delete(key []byte) { o.put(o.entry(entry{key: key, deleted: true})) }

// entry returns e where the tree can keep it. Entries are made by the dozen.
func (o *overlay) entry(e entry) *entry {
	if len(o.spare) == 0 {
		o.spare = make([]entry, 64)
	}
	kept := &o.spare[0]
	o.spare = o.spare[1:]
	*kept = e
	return kept
}

func (o *overlay) Get(key []byte) ([]byte, bool, error) {
	o.used.reads++
	if e, ok := o.tree.Get(&entry{key: key}); ok {
		return e.value, !e.deleted, nil
	}
	if len(key) > 0 && key[0] == keys.SpacePrivate {
		return o.getOwn(key)
	}
	v, ok, err := o.base.Get(key)
	o.fail(err)
	return v, ok, err
}

// getOwn is Get of one of the canister's own keys, which the block has not
// changed.
func (o *overlay) getOwn(key []byte) ([]byte, bool, error) {
	if f, known := o.own[string(key)]; known {
		return f.value, f.ok, nil
	}
	v, ok, err := o.base.Get(key)
	o.fail(err)
	if err == nil && len(o.own) < maxOwn {
		if o.own == nil {
			o.own = map[string]found{}
		}
		o.own[string(key)] = found{v, ok}
	}
	return v, ok, err
}

// fail keeps the first error of the store below, which no program may take for
// an answer.
func (o *overlay) fail(err error) {
	if err != nil && o.err == nil {
		o.err = err
	}
}

func (o *overlay) Iter(lo, hi []byte) atoll.Iterator {
	base := &counted{o.base.Iter(lo, hi), o}
	if o.tree.Len() == 0 {
		return base
	}
	return &merged{base: base, tree: o.tree.Copy().Iter(), lo: lo, hi: hi}
}

// prefixSeeker is a reader that finds the first key >= key with the same
// prefix (keys.Split) faster than an iterator does.
type prefixSeeker interface {
	SeekPrefixGE(key []byte) (k, v []byte, ok bool, err error)
}

// SeekPrefixGE returns the first key >= key that has its prefix.
func (o *overlay) SeekPrefixGE(key []byte) (k, v []byte, ok bool, err error) {
	o.used.reads++
	prefix := key[:keys.Split(key)]
	k, v, ok, err = SeekPrefixGE(o.base, key)
	for ok && err == nil {
		if _, changed := o.tree.Get(&entry{key: k}); !changed {
			break
		}
		k, v, ok, err = o.after(prefix, k)
	}
	if err != nil {
		o.fail(err)
		return nil, nil, false, err
	}
	o.tree.Ascend(&entry{key: key}, func(e *entry) bool {
		if !bytes.HasPrefix(e.key, prefix) || ok && bytes.Compare(e.key, k) > 0 {
			return false
		}
		if e.deleted {
			return true
		}
		k, v, ok = e.key, e.value, true
		return false
	})
	return k, v, ok, nil
}

// after returns the base's first key behind k that starts with prefix.
func (o *overlay) after(prefix, k []byte) (next, v []byte, ok bool, err error) {
	from := append(bytes.Clone(k), 0)
	it := o.base.Iter(from, prefixEnd(prefix))
	if it.SeekGE(from) {
		next, v, ok = bytes.Clone(it.Key()), bytes.Clone(it.Value()), true
	}
	return next, v, ok, it.Close()
}

// SeekPrefixGE returns the first key of r that is >= key and has its prefix
// (keys.Split), by r's own means if it has them.
func SeekPrefixGE(r atoll.Reader, key []byte) (k, v []byte, ok bool, err error) {
	if s, is := r.(prefixSeeker); is {
		return s.SeekPrefixGE(key)
	}
	it := r.Iter(key, prefixEnd(key[:keys.Split(key)]))
	if it.SeekGE(key) {
		k, v, ok = bytes.Clone(it.Key()), bytes.Clone(it.Value()), true
	}
	return k, v, ok, it.Close()
}

// prefixEnd returns the first key after all that start with prefix; nil if
// there is none.
func prefixEnd(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] != 0xff {
			end := bytes.Clone(prefix[:i+1])
			end[i]++
			return end
		}
	}
	return nil
}

// counted is an iterator whose moves are on the bill.
type counted struct {
	atoll.Iterator
	o *overlay
}

func (c *counted) SeekGE(key []byte) bool { c.o.used.reads++; return c.Iterator.SeekGE(key) }
func (c *counted) SeekLT(key []byte) bool { c.o.used.reads++; return c.Iterator.SeekLT(key) }
func (c *counted) Next() bool             { c.o.used.reads++; return c.Iterator.Next() }
func (c *counted) Prev() bool             { c.o.used.reads++; return c.Iterator.Prev() }

func (c *counted) Close() error {
	err := c.Iterator.Close()
	c.o.fail(err)
	return err
}

// merged walks over the base and the changed keys as one.
type merged struct {
	base           atoll.Iterator
	tree           btree.IterG[*entry]
	lo, hi         []byte
	baseOK, treeOK bool
	back           bool // the cursors stand for a walk backwards
	cur            *entry
}

func (m *merged) Key() []byte   { return m.cur.key }
func (m *merged) Value() []byte { return m.cur.value }
func (m *merged) Close() error  { m.tree.Release(); return m.base.Close() }

func (m *merged) SeekGE(key []byte) bool {
	if bytes.Compare(key, m.lo) < 0 {
		key = m.lo
	}
	m.back = false
	m.baseOK = m.base.SeekGE(key)
	m.treeOK = m.tree.Seek(&entry{key: key})
	return m.settle()
}

func (m *merged) SeekLT(key []byte) bool {
	if m.hi != nil && bytes.Compare(key, m.hi) > 0 {
		key = m.hi
	}
	m.back = true
	m.baseOK = m.base.SeekLT(key)
	if m.treeOK = m.tree.Seek(&entry{key: key}); m.treeOK {
		m.treeOK = m.tree.Prev()
	} else {
		m.treeOK = m.tree.Last()
	}
	return m.settle()
}

func (m *merged) Next() bool {
	if m.cur == nil {
		return false
	}
	if m.back {
		return m.SeekGE(append(bytes.Clone(m.cur.key), 0))
	}
	m.step(m.cur.key)
	return m.settle()
}

func (m *merged) Prev() bool {
	if m.cur == nil {
		return false
	}
	if !m.back {
		return m.SeekLT(bytes.Clone(m.cur.key))
	}
	m.step(m.cur.key)
	return m.settle()
}

// step moves the cursors that stand at key.
func (m *merged) step(key []byte) {
	if m.treeOK && bytes.Equal(m.tree.Item().key, key) {
		if m.back {
			m.treeOK = m.tree.Prev()
		} else {
			m.treeOK = m.tree.Next()
		}
	}
	if m.baseOK && bytes.Equal(m.base.Key(), key) {
		if m.back {
			m.baseOK = m.base.Prev()
		} else {
			m.baseOK = m.base.Next()
		}
	}
}

// settle makes the nearest key that is not deleted the current one.
func (m *merged) settle() bool {
	for {
		if m.treeOK && !m.inside(m.tree.Item().key) {
			m.treeOK = false
		}
		switch {
		case !m.treeOK && !m.baseOK:
			m.cur = nil
			return false
		case !m.treeOK || m.baseOK && m.before(m.base.Key(), m.tree.Item().key):
			m.cur = &entry{key: bytes.Clone(m.base.Key()), value: bytes.Clone(m.base.Value())}
			return true
		}
		if e := m.tree.Item(); !e.deleted {
			m.cur = e
			return true
		}
		m.step(m.tree.Item().key)
	}
}

func (m *merged) inside(key []byte) bool {
	return bytes.Compare(key, m.lo) >= 0 && (m.hi == nil || bytes.Compare(key, m.hi) < 0)
}

// before reports whether a comes strictly before b in the direction of the walk.
func (m *merged) before(a, b []byte) bool {
	if m.back {
		return bytes.Compare(a, b) > 0
	}
	return bytes.Compare(a, b) < 0
}

// window is a canister's view of its overlay: the keys under a prefix, without
// it. The window on the range families has their space as bound in place of a
// prefix.
type window struct {
	r      reader
	prefix []byte
	space  byte // if not 0, whole keys that begin with it
}

// reader is what a window needs below it: an overlay, or a snapshot.
type reader = atoll.Reader

func (w window) full(key []byte) []byte {
	if w.space != 0 {
		if len(key) == 0 || key[0] != w.space {
			panic("key outside of the range families")
		}
		return key
	}
	return append(append(make([]byte, 0, len(w.prefix)+len(key)), w.prefix...), key...)
}

func (w window) Get(key []byte) ([]byte, bool, error) { return w.r.Get(w.full(key)) }
func (w window) Set(key, value []byte)                { w.r.(*overlay).Set(w.full(key), value) }
func (w window) Delete(key []byte)                    { w.r.(*overlay).Delete(w.full(key)) }

func (w window) Iter(lo, hi []byte) atoll.Iterator {
	if w.space != 0 {
		if len(lo) == 0 {
			lo = []byte{w.space}
		}
		if hi == nil {
			hi = []byte{w.space + 1}
		}
		return w.r.Iter(w.full(lo), hi)
	}
	end := prefixEnd(w.prefix)
	if hi != nil {
		end = w.full(hi)
	}
	return stripped{w.r.Iter(w.full(lo), end), w}
}

// SeekPrefixGE serves the range families only; a canister's own keys have no
// versions.
func (w window) SeekPrefixGE(key []byte) (k, v []byte, ok bool, err error) {
	return SeekPrefixGE(w.r, w.full(key))
}

// stripped takes the prefix off an iterator's keys.
type stripped struct {
	atoll.Iterator
	w window
}

func (s stripped) Key() []byte            { return s.Iterator.Key()[len(s.w.prefix):] }
func (s stripped) SeekGE(key []byte) bool { return s.Iterator.SeekGE(s.w.full(key)) }
func (s stripped) SeekLT(key []byte) bool { return s.Iterator.SeekLT(s.w.full(key)) }
