package shard

import (
	"bytes"
	"slices"

	"atoll"
	"atoll/keys"
	"atoll/value"
)

// change is a document before and after something happened to it.
type change struct {
	path     atoll.Path
	key      []byte       // docKey
	old, new *value.Value // nil where it does not exist
}

// reindex returns what the change does to the index of a family. Fields that
// are the same before and after are passed without their entries being made.
func (c *change) reindex(f Family, m *maintained) *reindex {
	collection := c.path.Parent()
	e := &entries{docKey: c.key}
	e.follow(f, collection.ID(), m)
	e.head = keys.AppendIndexHead(make([]byte, 0, 64), uint32(f), keys.Index, keys.IndexFields)
	e.head = keys.AppendCollection(e.head, collection)
	e.own = len(e.head)
	switch {
	case c.old == nil:
		e.begun.expect(countEntries(*c.new)+1, len(e.head)+len(c.key)+entryRoom)
		e.fields(&e.begun, *c.new)
		e.begun.add(memberKey(f, collection.ID(), c.key))
	case c.new == nil:
		e.fields(&e.ended, *c.old)
		e.ended.add(memberKey(f, collection.ID(), c.key))
	default:
		e.differ(*c.old, *c.new)
	}
	if m != nil {
		for _, x := range m.composites {
			if c.old != nil {
				x.add(&e.ended, f, c.path, c.key, *c.old, 0)
			}
			if c.new != nil {
				x.add(&e.begun, f, c.path, c.key, *c.new, 0)
			}
		}
	}
	return e.result()
}

// memberKey returns the entry by which a document is found by its collection's
// id.
func memberKey(f Family, collection string, docKey []byte) []byte {
	return append(appendMembers(f, collection, len(docKey)), docKey...)
}

// appendMembers returns the beginning of all entries of documents in
// collections of an id, with room for more bytes behind it.
func appendMembers(f Family, collection string, room int) []byte {
	head := make([]byte, 0, 16+len(collection)+room)
	head = keys.AppendIndexHead(head, uint32(f), keys.Index, keys.IndexMembers)
	return keys.AppendGroup(head, collection)
}

// entries collects the entries of a document's fields.
type entries struct {
	head   []byte // of all keys, and the names of the field at hand
	docKey []byte
	ruled

	ended, begun keyList
}

// ruled is where the field at hand stands among fields with other indexes than
// the usual ones. It is zero for a collection without any.
type ruled struct {
	rule  *rule
	to    policy // of the field at hand
	group []byte // head of entries for the collection group
	own   int    // bytes of entries.head before the names
}

// follow lets the entries be those that the rules ask for.
func (e *entries) follow(f Family, collection string, m *maintained) {
	if m == nil || m.rules == nil {
		return
	}
	e.rule, e.to = &m.rules.root, m.rules.usual
	e.group = groupHead(f, collection)
}

// enter adds a name to the field at hand.
func (e *entries) enter(name string) (was ruled) {
	was = e.ruled
	e.head = keys.AppendFieldName(e.head, name)
	e.rule, e.to = e.rule.step(e.to, name)
	return was
}

// differ collects the entries in which two maps differ.
func (e *entries) differ(old, new value.Value) {
	i, j := 0, 0
	for i < old.Len() || j < new.Len() {
		switch {
		case j == new.Len() || i < old.Len() && old.Field(i).Name < new.Field(j).Name:
			e.field(&e.ended, old.Field(i))
			i++
		case i == old.Len() || new.Field(j).Name < old.Field(i).Name:
			e.field(&e.begun, new.Field(j))
			j++
		default:
			e.differField(old.Field(i), new.Field(j))
			i++
			j++
		}
	}
}

func (e *entries) differField(old, new value.Field) {
	if value.Identical(old.Value, new.Value) {
		return
	}
	if old.Value.Kind() != value.KindMap || new.Value.Kind() != value.KindMap {
		e.field(&e.ended, old)
		e.field(&e.begun, new)
		return
	}
	n := len(e.head)
	was := e.enter(old.Name)
	e.add(&e.ended, keys.ByValue, old.Value)
	e.add(&e.begun, keys.ByValue, new.Value)
	e.differ(old.Value, new.Value)
	e.head, e.ruled = e.head[:n], was
}

// fields collects the entries of all fields of a map.
func (e *entries) fields(to *keyList, m value.Value) {
	for i := range m.Len() {
		e.field(to, m.Field(i))
	}
}

// field collects the entries of one field: its value, the elements of its
// array, and the fields of its map.
func (e *entries) field(to *keyList, f value.Field) {
	n := len(e.head)
	was := e.enter(f.Name)
	e.add(to, keys.ByValue, f.Value)
	switch f.Value.Kind() {
	case value.KindArray:
		for i := range f.Value.Len() {
			e.add(to, keys.ByElement, f.Value.Elem(i))
		}
	case value.KindMap:
		e.fields(to, f.Value)
	}
	e.head, e.ruled = e.head[:n], was
}

// add collects one entry of the field at hand, or as many as its policy asks
// for.
func (e *entries) add(to *keyList, k keys.EntryKind, v value.Value) {
	if e.to.off {
		return
	}
	start := len(to.buf)
	b := append(to.buf, e.head...)
	b = keys.AppendFieldKind(b, k)
	b, _ = keys.AppendIndexed(b, v, keys.Ascending)
	to.buf = append(b, e.docKey...)
	to.ends = append(to.ends, len(to.buf))
	if e.to.group {
		to.buf = append(append(to.buf, e.group...), to.buf[start+e.own:]...)
		to.ends = append(to.ends, len(to.buf))
	}
}

// result returns what was collected, in order, without what both sides have.
func (e *entries) result() *reindex {
	ended, begun := e.ended.sorted(), e.begun.sorted()
	if len(ended) == 0 || len(begun) == 0 {
		return &reindex{ended, begun}
	}
	x := new(reindex)
	for len(ended) > 0 && len(begun) > 0 {
		switch bytes.Compare(ended[0], begun[0]) {
		case -1:
			x.ended = append(x.ended, ended[0])
			ended = ended[1:]
		case 1:
			x.begun = append(x.begun, begun[0])
			begun = begun[1:]
		default:
			ended, begun = ended[1:], begun[1:]
		}
	}
	x.ended, x.begun = append(x.ended, ended...), append(x.begun, begun...)
	return x
}

// keyList is a list of keys in one buffer, which is given to the store with
// them.
type keyList struct {
	buf  []byte
	ends []int
}

// entryRoom is what a field's name and a small value take of an entry.
const entryRoom = 48

// expect makes room for n keys of a size.
func (l *keyList) expect(n, size int) {
	l.buf, l.ends = make([]byte, 0, n*size), make([]int, 0, n)
}

func (l *keyList) add(key []byte) {
	l.buf = append(l.buf, key...)
	l.ends = append(l.ends, len(l.buf))
}

// sorted returns the keys in order, each once.
func (l *keyList) sorted() [][]byte {
	all := make([][]byte, len(l.ends))
	start := 0
	for i, end := range l.ends {
		all[i] = l.buf[start:end:end]
		start = end
	}
	slices.SortFunc(all, bytes.Compare)
	return slices.CompactFunc(all, bytes.Equal)
}

// checkEntries fails with Invalid on a document that would have more than
// MaxEntries. Equal elements of an array have one entry, so the entries are
// only made where counting without that is too much.
func checkEntries(path atoll.Path, key []byte, doc value.Value, m *maintained) error {
	most, err := m.checkComposites(path, key, doc)
	if err != nil {
		return err
	}
	fields := countEntries(doc)
	if m != nil && m.rules != nil {
		fields *= 2 // each may be there for the collection group too
	}
	if most+fields < MaxEntries {
		return nil
	}
	c := change{path: path, key: key, new: &doc}
	if n := len(c.reindex(0, m).begun); n > MaxEntries {
		return atoll.Errorf(atoll.Invalid, "the document has %d index entries; %d are allowed", n, MaxEntries)
	}
	return nil
}

// countEntries counts the entries of a map's fields, and equal elements of an
// array more than once.
func countEntries(m value.Value) int {
	n := m.Len()
	for i := range m.Len() {
		switch v := m.Field(i).Value; v.Kind() {
		case value.KindArray:
			n += v.Len()
		case value.KindMap:
			n += countEntries(v)
		}
	}
	return n
}
