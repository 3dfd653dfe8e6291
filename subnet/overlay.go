package subnet

import (
	"bytes"
	"slices"

	"github.com/tidwall/btree"

	"atoll"
	"atoll/keys"
)

// entry is one change of a key. It is never changed in place: undo and
// iterators hold entries.
type entry struct {
	key, value []byte
	deleted    bool
	again      bool // was deleted in this block before it was set
}

// slot is where the newest change of a key stands.
type slot struct {
	key  []byte
	now  *entry // nil if all changes were rolled back
	next *slot  // of another key with the same prefix (keys.Split)
}

// overlay holds what one canister changed in one block, above the state before
// the block. Changes since the last mark can be rolled back.
//
// A block changes thousands of keys and few messages walk over them, so changes
// are found by their keys' prefixes, and put in order once, at the end. Only if
// somebody walks is a tree kept from then on, too.
type overlay struct {
	base  atoll.Reader
	slots map[string]*slot // by prefix
	all   []*slot          // in the order of their first changes
	tree  *btree.BTreeG[*entry]
	undo  []undo
	used  usage
	err   error // of the base: the block cannot go on

	spare      []entry // room for the next entries and slots
	spareSlots []slot
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

// arena is how many entries or slots are made at once.
const arena = 64

// undo is what stood in a slot before a change; nil for nothing.
type undo struct {
	at  *slot
	old *entry
}

// usage counts what a message did, for its bill.
type usage struct {
	reads, writes int // keys
	bytes         int // of keys and values written
}

// newOverlay returns an overlay with room for some changes.
func newOverlay(base atoll.Reader, room int) *overlay {
	return &overlay{base: base, slots: make(map[string]*slot, room), all: make([]*slot, 0, room)}
}

// find returns the slot of a key; nil if it was never changed.
func (o *overlay) find(key []byte) *slot {
	for s := o.slots[string(key[:keys.Split(key)])]; s != nil; s = s.next {
		if bytes.Equal(s.key, key) {
			return s
		}
	}
	return nil
}

// changed returns the newest change of a key; nil if there is none.
func (o *overlay) changed(key []byte) *entry {
	if s := o.find(key); s != nil {
		return s.now
	}
	return nil
}

// slot returns the slot of a key, a new one if need be.
func (o *overlay) slot(key []byte) *slot {
	prefix := key[:keys.Split(key)]
	first := o.slots[string(prefix)]
	for s := first; s != nil; s = s.next {
		if bytes.Equal(s.key, key) {
			return s
		}
	}
	if len(o.spareSlots) == 0 {
		o.spareSlots = make([]slot, arena)
	}
	s := &o.spareSlots[0]
	o.spareSlots = o.spareSlots[1:]
	s.key = key
	if first == nil {
		o.slots[string(prefix)] = s
	} else {
		s.next, first.next = first.next, s
	}
	o.all = append(o.all, s)
	return s
}

// sorted returns the newest changes in the order of their keys.
func (o *overlay) sorted() []*entry {
	all := make([]*entry, 0, len(o.all))
	for _, s := range o.all {
		if s.now != nil {
			all = append(all, s.now)
		}
	}
	slices.SortFunc(all, func(a, b *entry) int { return bytes.Compare(a.key, b.key) })
	return all
}

// ordered returns the tree of all changes, which is kept from now on.
func (o *overlay) ordered() *btree.BTreeG[*entry] {
	if o.tree == nil {
		less := func(a, b *entry) bool { return bytes.Compare(a.key, b.key) < 0 }
		o.tree = btree.NewBTreeGOptions(less, btree.Options{NoLocks: true})
		for _, e := range o.sorted() {
			o.tree.Load(e)
		}
	}
	return o.tree
}

// mark makes all changes so far final.
func (o *overlay) mark() { o.undo, o.used = o.undo[:0], usage{} }

// rollback undoes the changes since the last mark; keep of the oldest ones
// stay (0 but for a planted defect).
func (o *overlay) rollback(keep int) {
	for i := len(o.undo) - 1; i >= keep; i-- {
		u := o.undo[i]
		o.place(u.at, u.old)
	}
	o.undo = o.undo[:0]
}

// place makes e the newest change in a slot; nil for none.
func (o *overlay) place(s *slot, e *entry) {
	s.now = e
	switch {
	case o.tree == nil:
	case e == nil:
		o.tree.Delete(&entry{key: s.key})
	default:
		o.tree.Set(e)
	}
}

func (o *overlay) put(key, value []byte, deleted bool) {
	s := o.slot(key)
	if len(o.spare) == 0 {
		o.spare = make([]entry, arena)
	}
	e := &o.spare[0]
	o.spare = o.spare[1:]
	*e = entry{key: key, value: value, deleted: deleted, again: s.now != nil && (s.now.deleted || s.now.again)}
	o.undo = append(o.undo, undo{s, s.now})
	o.place(s, e)
	o.used.writes++
	o.used.bytes += len(key) + len(value)
}

// Set, Delete, Get, Iter and SeekPrefixGE work on whole keys of the store.
func (o *overlay) Set(key, value []byte) { o.put(key, value, false) }

func (o *overlay) Delete(key []byte) { o.put(key, nil, true) }

func (o *overlay) Get(key []byte) ([]byte, bool, error) {
	o.used.reads++
	if e := o.changed(key); e != nil {
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
	if len(o.all) == 0 {
		return base
	}
	return &merged{base: base, tree: o.ordered().Copy().Iter(), lo: lo, hi: hi}
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
		if o.changed(k) == nil {
			break
		}
		k, v, ok, err = o.after(prefix, k)
	}
	if err != nil {
		o.fail(err)
		return nil, nil, false, err
	}
	for at := o.slots[string(prefix)]; at != nil; at = at.next {
		if e := at.now; e != nil && !e.deleted && bytes.Compare(e.key, key) >= 0 && (!ok || bytes.Compare(e.key, k) < 0) {
			k, v, ok = e.key, e.value, true
		}
	}
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
