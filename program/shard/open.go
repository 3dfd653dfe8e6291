package shard

import (
	"strings"

	"atoll"
	"atoll/keys"
)

// open returns the stream of one term's documents within a span of positions;
// nil if there can be none. It chooses the way:
//
//   - A composite index that has the order of all documents that the term can
//     find, if there is one; or several, and a document is found where all of
//     them meet, if one does not know of fields that have no other index.
//   - The order is that of names, but for fields that the term fixes: the
//     entries of the fixed values are in that order, and a document is found
//     where all of them meet. Without any, the membership of the collection is.
//   - Otherwise the first field of the order leads, by its own index, and the
//     fixed values are looked up beside it. If few documents have the fixed
//     values, these are sorted instead.
//   - All collections of an id have an index by field only where one was asked
//     for, and a field that is not built has none yet: then the members are
//     looked at, and sorted if need be.
//
// It fails with FailedPrecondition if the term asks for a field that is to have
// no index.
func (s *search) open(r *reading, t *term, within span) (*stream, error) {
	x := s.shapeOf(t)
	composites, composed := s.compose(t, &x)
	if err := s.permit(t, composites); err != nil {
		return nil, err
	}
	st := &stream{reading: r, s: s, names: t.names, bounds: within, floor: within.lo, before: x.before}
	rest, ok := behindPrefix(within, x.before)
	if !ok {
		return nil, nil
	}
	fixed, whole := s.lookupsBeside(t, composites)
	st.check = !whole
	switch {
	case composed:
		return st, s.followComposites(st, t, composites, &x, rest, fixed)
	case len(x.rest) > 0 && s.indexed(x.rest[0].path):
		if len(fixed) == 0 {
			return st, s.lead(st, t, &x, rest, nil)
		}
		sortable, err := s.isFew(r, t, fixed)
		if err != nil {
			return nil, err
		}
		if !sortable {
			return st, s.lead(st, t, &x, rest, fixed)
		}
		s.meet(st, t, fixed, t.names)
		st.plan += "; sort"
	case len(x.rest) > 0 && len(fixed) > 0:
		s.meet(st, t, fixed, t.names)
		st.plan += "; sort. An index would help: " + s.wanted()
	case len(x.rest) > 0:
		s.browse(st, t, t.names)
		st.plan += "; sort. An index of the collection group would help: " + s.wanted()
	default:
		st.direct, st.desc, st.back = true, s.order.nameDesc, s.order.nameDesc
		names := rest
		if st.desc {
			names = rest.flip()
		}
		if len(fixed) > 0 {
			s.meet(st, t, fixed, intersect(t.names, []span{names}))
		} else {
			s.browse(st, t, intersect(t.names, []span{names}))
		}
	}
	return st, st.begin()
}

// meet lets the stream follow the entries of the first of some values, and
// look up the others.
func (s *search) meet(st *stream, t *term, fixed []lookup, names []span) {
	st.primary = newScan(st.reading, fixed[0].head, names, st.back)
	st.plan = "documents with " + fixed[0].what
	st.probe(fixed[1:], names)
	st.check = st.check || fixed[0].cut
	st.filter(t, "")
}

// filter has the documents looked at if the term asks for values of a field
// that no entry tells of.
func (st *stream) filter(t *term, led string) {
	st.check = st.check || st.s.lacking
	for i := range t.fields {
		if f := &t.fields[i]; f.one == nil && f.field != led {
			st.check = true
		}
	}
	if st.check {
		st.plan += ", filtered"
	}
}

// probe lets the stream look up values.
func (st *stream) probe(fixed []lookup, names []span) {
	for _, l := range fixed {
		st.probes = append(st.probes, &probe{scan: newScan(st.reading, l.head, names, st.back)})
		st.check = st.check || l.cut
		st.plan += " and " + l.what
	}
}

// lead lets the stream follow the index of the first field that orders.
func (s *search) lead(st *stream, t *term, x *shape, within span, fixed []lookup) error {
	first := x.rest[0]
	st.valued, st.direct, st.desc, st.back = true, x.direct, first.desc, first.desc
	values := everything()
	if f := t.of(first.field); f != nil {
		values = f.values
	}
	tails := intersect(cutAll(values), []span{indexed(within, first.desc, !x.direct)})
	st.primary = newScan(st.reading, s.fieldHead(first.path, keys.ByValue, 0), tails, st.back)
	st.plan = "index of " + first.field
	if first.desc {
		st.plan += " backwards"
	}
	if len(fixed) > 0 {
		st.plan += ", those with"
		st.probe(fixed, t.names)
	}
	st.filter(t, first.field)
	if !x.direct {
		st.plan += "; sort equal values. A composite index would help: " + s.wanted()
	}
	return st.begin()
}

// browse lets the stream look at all documents of the scope.
func (s *search) browse(st *stream, t *term, names []span) {
	st.check = t.filters()
	if s.q.Collection == "" {
		st.primary = newDocuments(st.reading, names, st.back)
		st.plan = "all documents"
	} else {
		st.members = s.depth > 0
		st.primary = newScan(st.reading, appendMembers(s.d.Family, s.q.Collection, 0), names, st.back)
		st.plan = "members of " + s.q.Collection
	}
	st.filter(t, "")
}

// begin goes to the first entry.
func (st *stream) begin() error {
	if st.back {
		return st.primary.place(nil)
	}
	return st.primary.place([]byte{})
}

// isFew reports whether so few documents have the fixed values of a term that
// it is best to read them all.
func (s *search) isFew(r *reading, t *term, fixed []lookup) (bool, error) {
	st := &stream{reading: r, s: s, names: t.names}
	s.meet(st, t, fixed, t.names)
	scan := r.scan
	defer func() { r.scan = scan }()
	r.scan = r.stats.Keys + r.few
	err := st.begin()
	for err == nil && r.stats.Keys < r.scan {
		var ok bool
		if ok, err = st.align(); err == errBudget {
			return false, st.close(nil)
		}
		if !ok || err != nil {
			return true, st.close(err)
		}
		r.stats.Needed++
		err = st.primary.next()
	}
	return false, st.close(err)
}

// wanted describes the index that would have the order at hand.
func (s *search) wanted() string {
	var b strings.Builder
	b.WriteString(s.q.Collection + " (")
	for i, o := range s.q.Order {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(o.Field)
		if o.Desc {
			b.WriteString(" desc")
		}
	}
	b.WriteString(")")
	return b.String()
}

// tooMany says that the documents cannot be sorted.
func (st *stream) tooMany() error {
	return atoll.Errorf(atoll.ResourceExhausted, "the query needs an index: without one, more documents must be sorted than the %d that may; the index that helps is %s", st.sort, st.s.wanted())
}
