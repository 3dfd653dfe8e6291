package shard

import (
	"bytes"
	"math"

	"atoll/keys"
	"atoll/query"
	"atoll/value"
)

// span is the bytes lo <= b < hi; a nil hi means no end. Sets of values, of
// documents and of positions are lists of spans, ascending and disjoint.
type span struct{ lo, hi []byte }

// everything is the set of all bytes.
func everything() []span { return []span{{}} }

// startsWith is all that begins with a prefix.
func startsWith(prefix []byte) span { return span{prefix, keys.After(prefix)} }

// empty reports whether nothing lies in the span.
func (s span) empty() bool { return s.hi != nil && bytes.Compare(s.lo, s.hi) >= 0 }

// contains reports whether b lies in the span.
func (s span) contains(b []byte) bool {
	return bytes.Compare(s.lo, b) <= 0 && (s.hi == nil || bytes.Compare(b, s.hi) < 0)
}

// and returns what lies in both spans.
func (s span) and(o span) span {
	if bytes.Compare(s.lo, o.lo) < 0 {
		s.lo = o.lo
	}
	if s.hi == nil || o.hi != nil && bytes.Compare(o.hi, s.hi) < 0 {
		s.hi = o.hi
	}
	return s
}

// intersect returns what lies in both sets.
func intersect(a, b []span) (out []span) {
	for _, s := range a {
		for _, o := range b {
			if both := s.and(o); !both.empty() {
				out = append(out, both)
			}
		}
	}
	return out
}

// without returns a set without all that begins with a prefix.
func without(set []span, prefix []byte) []span {
	rest := []span{{nil, prefix}}
	if after := keys.After(prefix); after != nil {
		rest = append(rest, span{after, nil})
	}
	return intersect(set, rest)
}

// enter returns where to go for the first of the span at or behind a bound, in
// the way of source.place; ok is false if the span ends before.
func (s span) enter(bound []byte, back bool) (from []byte, ok bool) {
	if back {
		if bound == nil || s.hi != nil && bytes.Compare(bound, s.hi) > 0 {
			bound = s.hi
		}
		return bound, bound == nil || bytes.Compare(bound, s.lo) > 0
	}
	if bytes.Compare(bound, s.lo) < 0 {
		bound = s.lo
	}
	return bound, s.hi == nil || bytes.Compare(bound, s.hi) < 0
}

// flip returns the set of the complements, where all bytes that will be looked
// for are encodings of which none begins another.
func (s span) flip() span {
	var out span
	if s.hi != nil {
		out.lo = keys.After(keys.Complement(s.hi))
		if out.lo == nil { // of no bytes, or of zeros: nothing lies before
			return span{[]byte{}, []byte{}}
		}
	}
	out.hi = keys.After(keys.Complement(s.lo))
	return out
}

// encoded returns what sorts as the value does.
func encoded(v value.Value) []byte { return keys.AppendValue(nil, v) }

// Values that bound others in their order.
var (
	encodedNull = encoded(value.Null())
	encodedNaN  = encoded(value.Double(math.NaN()))
)

// class returns the values that a range filter compares with v: those of its
// type, NaN with itself alone.
func class(v value.Value) span {
	switch {
	case v.Kind() == value.KindBool:
		return span{encoded(value.Bool(false)), keys.After(encoded(value.Bool(true)))}
	case v.IsNaN():
		return startsWith(encodedNaN)
	}
	tag := startsWith(encoded(v)[:1])
	if v.IsNumber() {
		tag.lo = keys.After(encodedNaN)
	}
	return tag
}

// valuesOf returns which values of a field pass a filter on it, as a set of
// encodings. It is not for filters on elements or names.
func valuesOf(f *query.Filter, v value.Value) []span {
	notNull := []span{{lo: keys.After(encodedNull)}}
	switch f.Op {
	case query.IsNull:
		return []span{startsWith(encodedNull)}
	case query.IsNotNull:
		return notNull
	case query.IsNaN:
		return []span{startsWith(encodedNaN)}
	case query.IsNotNaN:
		return without(notNull, encodedNaN)
	case query.NotEqual:
		return without(notNull, encoded(v))
	case query.NotIn:
		for i := range v.Len() {
			if v.Elem(i).Kind() == value.KindNull {
				return nil
			}
			notNull = without(notNull, encoded(v.Elem(i)))
		}
		return notNull
	case query.Equal:
		return []span{startsWith(encoded(v))}
	}
	return intersect([]span{class(v)}, []span{around(f.Op, encoded(v))})
}

// around returns what compares with an encoding as an operator says.
func around(op query.Op, at []byte) span {
	switch op {
	case query.Equal:
		return startsWith(at)
	case query.Less:
		return span{nil, at}
	case query.LessOrEqual:
		return span{nil, keys.After(at)}
	case query.Greater:
		return span{keys.After(at), nil}
	}
	return span{at, nil}
}

// cutAll makes bounds of values fit for an index, in which no value is longer
// than keys.MaxIndexed. The result may hold more than the set did.
func cutAll(set []span) (out []span) {
	for _, s := range set {
		if len(s.lo) > keys.MaxIndexed {
			s.lo = s.lo[:keys.MaxIndexed]
		}
		if len(s.hi) > keys.MaxIndexed {
			s.hi = keys.After(s.hi[:keys.MaxIndexed])
		}
		if n := len(out); n > 0 && (out[n-1].hi == nil || bytes.Compare(s.lo, out[n-1].hi) <= 0) {
			out[n-1].hi = s.hi // sets ascend, and so do their ends
			continue
		}
		out = append(out, s)
	}
	return out
}
