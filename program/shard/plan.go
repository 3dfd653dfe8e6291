package shard

import (
	"bytes"
	"slices"

	"atoll/keys"
	"atoll/query"
	"atoll/value"
)

// search is a query made ready to run over one range.
type search struct {
	d       *Descriptor
	q       query.Query
	p       *query.Prepared
	order   ordering
	bounds  span // positions between the cursors
	terms   []term
	lacking bool    // order no longer names all fields that documents must have
	depth   int     // ids of the documents' paths; 0: any number
	custom  *custom // nil: the usual indexes
}

// term is one conjunction of a query's filters, sorted by what an index can do
// with them. A document that passes one term is in the result.
type term struct {
	names    []span // docKeys, within the range and the query's scope
	fields   []fieldValues
	elements []fieldElement
}

// fieldValues is which values one field may have.
type fieldValues struct {
	field  string // canonical text
	path   value.FieldPath
	values []span
	one    []byte // the encoding, if it is only one
}

// fieldElement is a value that an array must hold.
type fieldElement struct {
	field string
	path  value.FieldPath
	elem  value.Value
}

// newSearch checks a query and sorts its filters. It fails with Invalid as
// query.Normalize does.
func newSearch(d *Descriptor, q query.Query) (*search, error) {
	s := &search{d: d}
	var err error
	if s.q, err = query.Normalize(q, d.Database); err != nil {
		return nil, err
	}
	if s.p, err = query.Prepare(&s.q); err != nil {
		return nil, err
	}
	if s.order, err = orderingOf(&s.q); err != nil {
		return nil, err
	}
	if s.bounds, err = s.order.between(&s.q); err != nil {
		return nil, err
	}
	scope := s.scope()
	terms, err := query.DNF(s.q.Where)
	if err != nil {
		return nil, err
	}
	for _, filters := range terms {
		t := term{names: scope}
		for i := range filters {
			if err := t.add(&s.q, &filters[i]); err != nil {
				return nil, err
			}
		}
		if !t.never() {
			s.terms = append(s.terms, t)
		}
	}
	return s, nil
}

// scope returns the docKeys of the range that the query searches.
func (s *search) scope() []span {
	at := s.q.Parent
	if !s.q.Descendants {
		at = at.Child(s.q.Collection)
		s.depth = at.Len() + 1
	}
	lo, hi := keys.CollectionSpan(placement, at)
	owned := span{lo: s.d.Start}
	if len(s.d.End) > 0 {
		owned.hi = s.d.End
	}
	return intersect([]span{{lo, hi}}, []span{owned})
}

// add narrows the term by one filter.
func (t *term) add(q *query.Query, f *query.Filter) error {
	path, err := value.ParseFieldPath(f.Field)
	if err != nil {
		return err
	}
	var v value.Value
	if len(f.Value) > 0 {
		if v, err = value.DecodeValue(f.Value); err != nil {
			return err
		}
	}
	switch {
	case path.IsName():
		t.names = intersect(t.names, namesOf(q, f.Op, v))
	case f.Op == query.ArrayContains:
		t.elements = append(t.elements, fieldElement{f.Field, path, v})
	default:
		t.narrow(f.Field, path, valuesOf(f, v))
	}
	return nil
}

// namesOf returns which docKeys pass a filter on the name.
func namesOf(q *query.Query, op query.Op, v value.Value) []span {
	switch op {
	case query.NotEqual:
		return without(everything(), nameKey(q, v))
	case query.NotIn:
		rest := everything()
		for i := range v.Len() {
			rest = without(rest, nameKey(q, v.Elem(i)))
		}
		return rest
	}
	return []span{around(op, nameKey(q, v))}
}

// narrow lets a field have only some values.
func (t *term) narrow(field string, path value.FieldPath, values []span) {
	f := t.of(field)
	if f == nil {
		t.fields = append(t.fields, fieldValues{field: field, path: path, values: everything()})
		f = &t.fields[len(t.fields)-1]
	}
	f.values = intersect(f.values, values)
	// The one value of an equality is its encoding and all behind it; no range
	// between two encodings has that form.
	if len(values) == 1 && f.one == nil && isOne(values[0]) {
		f.one = values[0].lo
	}
}

// isOne reports whether a span of values is that of a single encoding.
func isOne(s span) bool {
	return len(s.lo) > 0 && bytes.Equal(s.hi, keys.After(s.lo)) && valueLen(s.lo, false) == len(s.lo)
}

// of returns the values that a field may have, nil if the term does not say.
func (t *term) of(field string) *fieldValues {
	i := slices.IndexFunc(t.fields, func(f fieldValues) bool { return f.field == field })
	if i < 0 {
		return nil
	}
	return &t.fields[i]
}

// never reports whether no document can pass.
func (t *term) never() bool {
	return len(t.names) == 0 || slices.ContainsFunc(t.fields, func(f fieldValues) bool { return len(f.values) == 0 })
}

// filters reports whether the term asks for more than names.
func (t *term) filters() bool { return len(t.fields) > 0 || len(t.elements) > 0 }

// shape is how positions of a term's documents are made of what the index
// holds.
type shape struct {
	before []byte    // encodings of leading fields that the term fixes
	rest   []sortKey // the fields that it does not fix
	broken bool      // some that it fixes stand behind some that it does not
	direct bool      // nothing but the first of rest and the name is left, in one direction
}

func (s *search) shapeOf(t *term) shape {
	x := shape{direct: true}
	for _, k := range s.order.keys {
		f := t.of(k.field)
		switch {
		case f == nil || f.one == nil:
			x.rest = append(x.rest, k)
		case len(x.rest) == 0:
			x.before = appendFlipped(x.before, f.one, k.desc)
		default:
			x.direct, x.broken = false, true
		}
	}
	switch len(x.rest) {
	case 0:
	case 1:
		x.direct = x.direct && x.rest[0].desc == s.order.nameDesc
	default:
		x.direct = false
	}
	return x
}

// lookup is the beginning of the keys of all entries with one value: what
// remains of them are docKeys, in order.
type lookup struct {
	what string // for people
	head []byte
	cut  bool // entries of other values begin alike
}

// lookupsBeside returns where the documents are found that have the values
// which the term fixes, but for those that composite indexes know of. whole is
// false if some of the values have no index that can be used.
func (s *search) lookupsBeside(t *term, known []fit) (all []lookup, whole bool) {
	whole = true
	for i := range t.fields {
		f := &t.fields[i]
		if f.one == nil || covered(known, f.field, false) {
			continue
		}
		if !s.indexed(f.path) {
			whole = false
			continue
		}
		head := s.fieldHead(f.path, keys.ByValue, min(len(f.one), keys.MaxIndexed))
		all = append(all, lookup{f.field + " ==", append(head, f.one[:min(len(f.one), keys.MaxIndexed)]...), len(f.one) >= keys.MaxIndexed})
	}
	var met []string // an index knows of one element of an array
	for i := range t.elements {
		f := &t.elements[i]
		if covered(known, f.field, true) && !slices.Contains(met, f.field) {
			met = append(met, f.field)
			continue
		}
		if !s.indexed(f.path) {
			whole = false
			continue
		}
		head := s.fieldHead(f.path, keys.ByElement, 32)
		n := len(head)
		head, _ = keys.AppendIndexed(head, f.elem, keys.Ascending)
		all = append(all, lookup{f.field + " contains", head, len(head)-n >= keys.MaxIndexed})
	}
	return all, whole
}

// fieldHead returns the beginning of the keys of all entries of a field in the
// query's collection, or in its group, with room for more.
func (s *search) fieldHead(path value.FieldPath, k keys.EntryKind, room int) []byte {
	if s.q.Descendants {
		return keys.AppendField(groupHead(s.d.Family, s.q.Collection), path, k)
	}
	head := make([]byte, 0, 64+room)
	head = keys.AppendIndexHead(head, uint32(s.d.Family), keys.Index, keys.IndexFields)
	head = keys.AppendCollection(head, s.q.Parent.Child(s.q.Collection))
	return keys.AppendField(head, path, k)
}

// behindPrefix returns the part of a span of positions that begins with a
// prefix, without the prefix; ok is false if there is none.
func behindPrefix(s span, prefix []byte) (rest span, ok bool) {
	switch {
	case bytes.HasPrefix(s.lo, prefix):
		rest.lo = s.lo[len(prefix):]
	case bytes.Compare(s.lo, prefix) > 0:
		return rest, false
	}
	switch {
	case s.hi == nil:
	case bytes.HasPrefix(s.hi, prefix):
		rest.hi = s.hi[len(prefix):]
	case bytes.Compare(s.hi, prefix) < 0:
		return rest, false
	}
	return rest, !rest.empty()
}

// indexed turns a span of positions, from the first field that is not fixed
// on, into one of an index's tails. It may hold more: whole runs of equal
// values if whole is true, and values that the index cannot tell apart.
func indexed(s span, desc, whole bool) span {
	if len(s.lo) > 0 {
		s.lo, _ = loosen(s.lo, desc, whole)
	}
	if s.hi != nil {
		if at, exact := loosen(s.hi, desc, whole); !exact {
			s.hi = keys.After(at)
		}
	}
	if desc {
		return s.flip()
	}
	return s
}

// loosen cuts a position to what an index can tell.
func loosen(pos []byte, desc, whole bool) (at []byte, exact bool) {
	n := valueLen(pos, desc)
	if n > 0 && n <= keys.MaxIndexed && !whole {
		return pos, true
	}
	if n > 0 {
		pos = pos[:n]
	}
	return pos[:min(len(pos), keys.MaxIndexed)], false
}
