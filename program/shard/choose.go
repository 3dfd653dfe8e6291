package shard

import (
	"bytes"
	"slices"

	"atoll"
	"atoll/keys"
	"atoll/value"
)

// custom is what a query has to know of the indexes of its collection id, where
// they are not the usual ones.
type custom struct {
	want       *rules // what was set
	use        *rules // what is whole at the time of the reading
	composites []*composite
	building   []*composite // which are not whole
}

// customize finds out which indexes a reading may use.
func (s *search) customize(state atoll.Reader, at atoll.Time) error {
	if s.q.Collection == "" {
		return nil
	}
	if _, ok, err := state.Get([]byte{stateIndexes}); err != nil || !ok {
		return err
	}
	g, err := loadGroup(state, s.q.Collection)
	if err != nil || g == nil {
		return err
	}
	s.custom = g.usable(at)
	return nil
}

// usable returns what reads at a time may use.
func (g *groupIndexes) usable(at atoll.Time) *custom {
	c := new(custom)
	if f := g.Fields; f != nil {
		c.want = compileRules(f.Want)
		if at >= f.Progress.Whole {
			c.use = compileRules(f.Now)
		} else {
			c.use = compileRules(f.Past)
		}
	}
	for i := range g.Composites {
		switch x := &g.Composites[i]; {
		case x.Progress.State == IndexReady && at >= x.Progress.Whole:
			c.composites = append(c.composites, compileComposite(&x.Index))
		case x.Progress.State != IndexDeleting || x.Again:
			c.building = append(c.building, compileComposite(&x.Index))
		}
	}
	return c
}

// indexed reports whether a field has an index of its own that the query can
// use.
func (s *search) indexed(path value.FieldPath) bool {
	if s.custom == nil {
		return !s.q.Descendants
	}
	p := s.custom.use.of(path)
	return !p.off && (p.group || !s.q.Descendants)
}

// exempt reports whether a field is to have no index of its own.
func (c *custom) exempt(path value.FieldPath) bool { return c != nil && c.want.of(path).off }

// fit is a composite index that finds a term's documents in order: those that
// have the values of its first parts, in the order of the others.
type fit struct {
	*composite
	fixed int // parts that the term fixes
	back  bool
}

// fits reports whether an index finds a term's documents in the query's order.
// It holds documents that have all its fields alone, so the term must ask for
// all of them.
func (s *search) fits(t *term, x *shape, c *composite) (f fit, ok bool) {
	f = fit{composite: c, back: s.order.nameDesc}
	for f.fixed < len(c.parts) && t.fixes(&c.parts[f.fixed]) {
		f.fixed++
	}
	rest := c.parts[f.fixed:]
	if c.Group != s.q.Descendants || len(rest) != len(x.rest) || x.broken {
		return f, false
	}
	for i := range rest {
		if rest[i].Contains || rest[i].Field != x.rest[i].field || (rest[i].Desc != x.rest[i].desc) != f.back {
			return f, false
		}
	}
	return f, true
}

// fixes reports whether the term says what one part of an index is.
func (t *term) fixes(p *indexedPart) bool {
	if p.Contains {
		return slices.ContainsFunc(t.elements, func(e fieldElement) bool { return e.field == p.Field })
	}
	v := t.of(p.Field)
	return v != nil && v.one != nil
}

// compose returns the composite indexes that serve the term: the one that knows
// of most of its values, and others in the same order as far as they know of
// values that have no other index. ok is false if there is no such index.
func (s *search) compose(t *term, x *shape) (chosen []fit, ok bool) {
	if s.custom == nil {
		return nil, false
	}
	var all []fit
	best := 0
	for _, c := range s.custom.composites {
		f, ok := s.fits(t, x, c)
		if !ok {
			continue
		}
		if all = append(all, f); f.fixed > all[best].fixed {
			best = len(all) - 1
		}
	}
	if len(all) == 0 {
		return nil, false
	}
	chosen = []fit{all[best]}
	for i := range all {
		if all[i].alike(&chosen[0]) && s.adds(t, &all[i], chosen) {
			chosen = append(chosen, all[i])
		}
	}
	return chosen, true
}

// alike reports whether entries of two indexes have the same tails.
func (f *fit) alike(o *fit) bool {
	return slices.EqualFunc(f.parts[f.fixed:], o.parts[o.fixed:], func(a, b indexedPart) bool { return a.IndexedPart == b.IndexedPart })
}

// adds reports whether an index knows of a value that neither others nor the
// index of its field do.
func (s *search) adds(t *term, f *fit, others []fit) bool {
	return slices.ContainsFunc(f.parts[:f.fixed], func(p indexedPart) bool {
		return !covered(others, p.Field, p.Contains) && !s.indexed(p.path)
	})
}

// covered reports whether one of some indexes knows of a field's value or
// elements.
func covered(by []fit, field string, contains bool) bool {
	return slices.ContainsFunc(by, func(f fit) bool {
		return slices.ContainsFunc(f.parts, func(p indexedPart) bool { return p.Field == field && p.Contains == contains })
	})
}

// permit fails with FailedPrecondition if the term asks for a field that is to
// have no index, and that none of some composite indexes has either.
func (s *search) permit(t *term, used []fit) error {
	if s.custom == nil {
		return nil
	}
	lacks := func(field string, path value.FieldPath, contains bool) bool {
		return s.custom.exempt(path) && !covered(used, field, contains)
	}
	for i := range t.fields {
		if f := &t.fields[i]; lacks(f.field, f.path, false) {
			return s.exempted(f.field)
		}
	}
	for i := range t.elements {
		if e := &t.elements[i]; lacks(e.field, e.path, true) {
			return s.exempted(e.field)
		}
	}
	for _, k := range s.order.keys {
		if lacks(k.field, k.path, false) {
			return s.exempted(k.field)
		}
	}
	return nil
}

// exempted says which field has no index.
func (s *search) exempted(field string) error {
	hint := ""
	for _, c := range s.custom.building {
		if slices.ContainsFunc(c.parts, func(p indexedPart) bool { return p.Field == field }) {
			hint = "; the index " + c.String() + " is not ready yet"
			break
		}
	}
	return atoll.Errorf(atoll.FailedPrecondition, "The query requires an index: the field %s of %s is exempt from indexing, and no composite index has what the query asks for%s",
		field, s.q.Collection, hint)
}

// followComposites lets the stream go over the first of some composite indexes
// and keep what the others hold too.
func (s *search) followComposites(st *stream, t *term, used []fit, x *shape, within span, others []lookup) error {
	f := used[0]
	rest := f.parts[f.fixed:]
	st.parts, st.valued, st.direct = rest, len(rest) > 0, true
	st.desc, st.back = f.back, f.back
	var tails []span
	if st.valued {
		tails = []span{within.indexedBy(x.rest, f.back)}
		if v := t.of(rest[0].Field); v != nil {
			tails = intersect(flipAll(cutAll(v.values), rest[0].Desc), tails)
		}
	} else {
		names := within
		if f.back {
			names = within.flip()
		}
		tails = intersect(t.names, []span{names})
	}
	st.primary = newScan(st.reading, s.compositeHead(st, t, f), tails, st.back)
	st.plan = f.describe()
	for _, mate := range used[1:] {
		st.mates = append(st.mates, &mateScan{scan: newScan(st.reading, s.compositeHead(st, t, mate), tails, st.back)})
		st.plan += " and " + mate.describe()
	}
	if len(others) > 0 {
		st.plan += ", those with"
		st.probe(others, t.names)
	}
	for i := range t.fields {
		v := &t.fields[i]
		led := st.valued && v.field == rest[0].Field
		st.check = st.check || v.one == nil && !led
	}
	if st.check = st.check || s.lacking; st.check {
		st.plan += ", filtered"
	}
	return st.begin()
}

// describe tells people which index it is.
func (f *fit) describe() string {
	if f.back != f.nameDesc() {
		return "composite index " + f.String() + " backwards"
	}
	return "composite index " + f.String()
}

// mateScan tells whether another composite index has the same entries.
type mateScan struct {
	*scan
	placed bool
}

// find goes to the first entry at or behind a tail; ok is false if there is
// none.
func (m *mateScan) find(tail []byte) (ok bool, err error) {
	if m.placed && (!m.ok() || bytes.Compare(m.tail(), tail) >= 0 != m.back || bytes.Equal(m.tail(), tail)) {
		return m.ok(), nil
	}
	m.placed = true
	if m.back {
		tail = keys.After(tail)
	}
	err = m.place(tail)
	return m.ok(), err
}

// mated reports whether all mates have the entry at hand. Otherwise it returns
// the bound from which on they could, in the way of source.place; nil if there
// is none.
func (st *stream) mated() (bound []byte, hold bool, err error) {
	tail := st.primary.tail()
	for _, m := range st.mates {
		ok, err := m.find(tail)
		if err != nil || !ok {
			return nil, false, err
		}
		if found := m.tail(); !bytes.Equal(found, tail) {
			if st.back {
				return keys.After(found), false, nil
			}
			return bytes.Clone(found), false, nil
		}
	}
	return nil, true, nil
}

// compositeHead returns the beginning of all entries with the values that a
// term fixes.
func (s *search) compositeHead(st *stream, t *term, f fit) []byte {
	head := f.head(s.d.Family, s.q.Parent.Child(s.q.Collection))
	for i := range f.parts[:f.fixed] {
		p := &f.parts[i]
		if p.Contains {
			at := slices.IndexFunc(t.elements, func(e fieldElement) bool { return e.field == p.Field })
			n := len(head)
			head, _ = keys.AppendIndexed(head, t.elements[at].elem, keys.Ascending)
			st.check = st.check || len(head)-n >= keys.MaxIndexed
			continue
		}
		one := t.of(p.Field).one
		st.check = st.check || len(one) >= keys.MaxIndexed
		head = appendFlipped(head, one[:min(len(one), keys.MaxIndexed)], p.Desc)
	}
	return head
}

// flipAll returns the complements of a set of encodings, if flip is true.
func flipAll(set []span, flip bool) []span {
	if !flip {
		return set
	}
	out := make([]span, len(set))
	for i, s := range set {
		out[len(set)-1-i] = s.flip()
	}
	return out
}

// indexedBy turns a span of positions that begin with some fields into one of
// the tails of a composite index that has them. It may hold more, where the
// index cannot tell values apart.
func (s span) indexedBy(order []sortKey, flip bool) span {
	if len(s.lo) > 0 {
		s.lo, _ = loosenAll(s.lo, order)
	}
	if s.hi != nil {
		if at, exact := loosenAll(s.hi, order); !exact {
			s.hi = keys.After(at)
		}
	}
	if flip {
		return s.flip()
	}
	return s
}

// loosenAll cuts a position to what a composite index can tell.
func loosenAll(pos []byte, order []sortKey) (at []byte, exact bool) {
	done := 0
	for _, k := range order {
		n := valueLen(pos[done:], k.desc)
		if n == 0 || n > keys.MaxIndexed {
			return pos[:min(len(pos), done+keys.MaxIndexed)], false
		}
		done += n
	}
	return pos, true
}

// run returns the part of the tail at hand up to which the index has the order:
// the first value that it has cut, or all values.
func (st *stream) run() []byte {
	all := st.value()
	if len(st.parts) == 0 || !st.direct {
		return all
	}
	done := 0
	for i := range st.parts {
		n := valueLen(all[done:], st.parts[i].Desc)
		if n == 0 || n > keys.MaxIndexed {
			n = keys.MaxIndexed
		}
		done = min(done+n, len(all))
		if n == keys.MaxIndexed {
			return all[:done]
		}
	}
	return all
}

// sameRun reports whether the tail at hand lies in a run.
func (st *stream) sameRun(run []byte) bool {
	if len(st.parts) > 0 {
		return bytes.HasPrefix(st.value(), run)
	}
	return bytes.Equal(st.value(), run)
}
