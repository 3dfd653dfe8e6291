package shard

import (
	"strings"

	"atoll"
	"atoll/keys"
	"atoll/query"
	"atoll/value"
)

// A position is a document's place in the order of a query as one byte string:
// the encodings of the values that it is ordered by, complemented where the
// order descends, and the docKey. Positions compare as the documents come, a
// cursor's values are the beginning of the positions that they name, and where
// a page ends is a position too.

// sortKey is one field that a query orders by; the name is not among them.
type sortKey struct {
	field string // canonical text
	path  value.FieldPath
	desc  bool
}

// ordering is the whole order of a query.
type ordering struct {
	keys     []sortKey
	nameDesc bool
}

func orderingOf(q *query.Query) (ordering, error) {
	var o ordering
	for _, k := range q.Order {
		path, err := value.ParseFieldPath(k.Field)
		if err != nil {
			return o, err
		}
		if path.IsName() {
			o.nameDesc = k.Desc
			continue
		}
		o.keys = append(o.keys, sortKey{k.Field, path, k.Desc})
	}
	return o, nil
}

// appendFlipped appends bytes, complemented if desc.
func appendFlipped(dst, b []byte, desc bool) []byte {
	start := len(dst)
	dst = append(dst, b...)
	if desc {
		for i := range dst[start:] {
			dst[start+i] ^= 0xFF
		}
	}
	return dst
}

// appendSorted appends a value as positions have it.
func appendSorted(dst []byte, v value.Value, desc bool) []byte {
	if desc {
		return keys.AppendValueDesc(dst, v)
	}
	return keys.AppendValue(dst, v)
}

// of returns the position of a document; ok is false if it lacks one of the
// fields.
func (o *ordering) of(doc value.Doc, docKey []byte) (pos []byte, ok bool, err error) {
	pos = make([]byte, 0, 32+len(docKey))
	for _, k := range o.keys {
		v, ok, err := doc.Lookup(k.path)
		if err != nil {
			return nil, false, damaged("document", doc)
		}
		if !ok {
			return nil, false, nil
		}
		pos = appendSorted(pos, v, k.desc)
	}
	return appendFlipped(pos, docKey, o.nameDesc), true, nil
}

// between returns the positions between a query's cursors.
func (o *ordering) between(q *query.Query) (span, error) {
	var s span
	if q.Start != nil {
		at, err := o.cursor(q, q.Start)
		if err != nil {
			return s, err
		}
		s.lo = at
		if !q.Start.Before {
			if s.lo = keys.After(at); s.lo == nil {
				return span{[]byte{}, []byte{}}, nil
			}
		}
	}
	if q.End != nil {
		at, err := o.cursor(q, q.End)
		if err != nil {
			return s, err
		}
		s.hi = at
		if !q.End.Before {
			s.hi = keys.After(at)
		}
	}
	return s, nil
}

// cursor returns the beginning of the positions that a cursor names.
func (o *ordering) cursor(q *query.Query, c *query.Cursor) ([]byte, error) {
	at := []byte{}
	for i, b := range c.Values {
		v, err := value.DecodeValue(b)
		if err != nil {
			return nil, err
		}
		if i < len(o.keys) {
			at = appendSorted(at, v, o.keys[i].desc)
		} else {
			at = appendFlipped(at, nameKey(q, v), o.nameDesc)
		}
	}
	return at, nil
}

// nameKey returns the docKey of a document that a query names by reference.
func nameKey(q *query.Query, v value.Value) []byte {
	path := strings.TrimPrefix(v.Str(), q.Database.String()+"/documents/")
	return keys.DocKey(placement, atoll.Path(path))
}

// valueLen returns the length of the value with which a part of a position
// begins, 0 if it begins with none: then it is a bound behind one.
func valueLen(pos []byte, desc bool) int {
	parse := keys.ParseValue
	if desc {
		parse = keys.ParseValueDesc
	}
	_, rest, err := parse(pos)
	if err != nil {
		return 0
	}
	return len(pos) - len(rest)
}
