package shard

import (
	"atoll"
	"atoll/keys"
	"atoll/value"
)

// MaxCompositeBytes is how many bytes the keys of a document's entries in
// composite indexes may have, as Firestore's "Quotas and limits" has it for the
// sum of index entries.
const MaxCompositeBytes = 8 << 20

// maintained is what writes keep up for the documents of one collection id
// besides the usual indexes. Nil is nothing.
type maintained struct {
	rules      *rules
	composites []*composite
}

// composite is a composite index made ready for use: documents with equal
// values ascend.
type composite struct {
	*CompositeIndex
	parts []indexedPart
}

type indexedPart struct {
	IndexedPart
	path value.FieldPath
}

// compileComposite turns all directions over if documents with equal values are
// to descend: the same index read backwards.
func compileComposite(x *CompositeIndex) *composite {
	c := &composite{CompositeIndex: x}
	for _, p := range x.Parts() {
		path, err := value.ParseFieldPath(p.Field)
		if err != nil {
			continue // was checked
		}
		p.Desc = p.Desc != x.nameDesc() && !p.Contains
		c.parts = append(c.parts, indexedPart{p, path})
	}
	return c
}

// maintains returns what writes keep up.
func (g *groupIndexes) maintains() *maintained {
	if g == nil {
		return nil
	}
	m := new(maintained)
	if g.Fields != nil {
		m.rules = compileRules(g.Fields.Write)
	}
	for i := range g.Composites {
		if g.Composites[i].maintained() {
			m.composites = append(m.composites, compileComposite(&g.Composites[i].Index))
		}
	}
	if m.rules == nil && len(m.composites) == 0 {
		return nil
	}
	return m
}

// maintenance finds out what a shard's writes keep up, once for each collection
// id.
type maintenance struct {
	state atoll.Reader
	asked bool // whether anything was ever set
	any   bool
	of    map[string]*maintained
}

// newMaintenance looks at nothing before indexes can be set: what a write reads
// is on its bill, and so a part of what old blocks lead to.
func newMaintenance(ctx atoll.Context) maintenance {
	return maintenance{state: ctx.State(), asked: ctx.Turn().Semantics < setSemantics}
}

func (m *maintenance) find(collection string) (*maintained, error) {
	if !m.asked {
		_, ok, err := m.state.Get([]byte{stateIndexes})
		if err != nil {
			return nil, err
		}
		m.asked, m.any = true, ok
	}
	if !m.any {
		return nil, nil
	}
	if found, ok := m.of[collection]; ok {
		return found, nil
	}
	g, err := loadGroup(m.state, collection)
	if err != nil {
		return nil, err
	}
	if m.of == nil {
		m.of = map[string]*maintained{}
	}
	found := g.maintains()
	m.of[collection] = found
	return found, nil
}

// groupHead returns the beginning of all entries of fields for queries over the
// collection group of an id.
func groupHead(f Family, collection string) []byte {
	head := keys.AppendIndexHead(make([]byte, 0, 64), uint32(f), keys.Index, keys.IndexGroupFields)
	return keys.AppendGroup(head, collection)
}

// head returns the beginning of all entries of an index that a query over one
// collection, or over its group, can look at.
func (x *composite) head(f Family, collection atoll.Path) []byte {
	head := keys.AppendIndexHead(make([]byte, 0, 64), uint32(f), keys.Index, x.ID)
	if x.Group {
		return head
	}
	return keys.AppendCollection(head, collection)
}

func (p *indexedPart) direction() keys.Direction {
	if p.Desc {
		return keys.Descending
	}
	return keys.Ascending
}

// values returns those under which a document has entries, of each part
// one, or as many as the array has elements; ok is false if it has no entries.
func (x *composite) values(doc value.Value) (of [][]value.Value, ok bool) {
	of = make([][]value.Value, len(x.parts))
	for i := range x.parts {
		p := &x.parts[i]
		v, ok := doc.Lookup(p.path)
		switch {
		case !ok || p.Contains && (v.Kind() != value.KindArray || v.Len() == 0):
			return nil, false
		case !p.Contains:
			of[i] = []value.Value{v}
			continue
		}
		for j := range v.Len() {
			of[i] = append(of[i], v.Elem(j))
		}
	}
	return of, true
}

// add collects the entries of a document, of which there may be equal ones. It
// stops when the list has more than limit bytes; 0 is no limit.
func (x *composite) add(to *keyList, f Family, path atoll.Path, docKey []byte, doc value.Value, limit int) {
	of, ok := x.values(doc)
	if !ok {
		return
	}
	head := x.head(f, path.Parent())
	most := 1
	for i := range of {
		most = max(most, len(of[i]))
	}
	for n := range most {
		if limit > 0 && len(to.buf) > limit {
			return
		}
		b := append(to.buf, head...)
		for i := range of {
			b, _ = keys.AppendIndexed(b, of[i][min(n, len(of[i])-1)], x.parts[i].direction())
		}
		to.buf = append(b, docKey...)
		to.ends = append(to.ends, len(to.buf))
	}
}

// most returns how many entries of a document there can be, and a bound of
// their bytes.
func (x *composite) most(path atoll.Path, docKey []byte, doc value.Value) (n, bytes int) {
	of, ok := x.values(doc)
	if !ok {
		return 0, 0
	}
	n, each := 1, 32+len(docKey)+2*len(path)
	for i := range of {
		n = max(n, len(of[i]))
		for _, v := range of[i][:1] {
			switch v.Kind() {
			case value.KindNull, value.KindBool, value.KindInt, value.KindDouble, value.KindTimestamp, value.KindGeoPoint:
				each += 20
			default:
				each += keys.MaxIndexed
			}
		}
		if len(of[i]) > 1 {
			each += keys.MaxIndexed
		}
	}
	return n, n * each
}

// checkComposites fails with Invalid on a document with too many entries, or
// too many bytes of them, in composite indexes. It returns how many there are
// at most.
func (m *maintained) checkComposites(path atoll.Path, docKey []byte, doc value.Value) (int, error) {
	if m == nil {
		return 0, nil
	}
	count, size := 0, 0
	for _, x := range m.composites {
		n, bytes := x.most(path, docKey, doc)
		count, size = count+n, size+bytes
	}
	if size <= MaxCompositeBytes {
		return count, nil
	}
	var all keyList
	for _, x := range m.composites {
		x.add(&all, 0, path, docKey, doc, MaxCompositeBytes)
		if len(all.buf) > MaxCompositeBytes {
			return 0, atoll.Errorf(atoll.Invalid, "the document has more than %d bytes of entries in composite indexes, with %s", MaxCompositeBytes, x)
		}
	}
	return count, nil
}
