package value

import (
	"encoding/binary"

	"go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore"
)

// This file walks over BSON without giving it a meaning.

// span is a part of a buffer: lo <= i < hi.
type span struct{ lo, hi int }

// element is one entry of a BSON document or array.
type element struct {
	typ  bsoncore.Type
	name span
	body span // BSON's value
}

// container returns where the elements of the document or array lie that
// begins at from and must end at or before end; next is the first byte behind
// it. ok is false if there is none.
func container(b []byte, from, end int) (elems span, next int, ok bool) {
	if end-from < 5 {
		return span{}, 0, false
	}
	n := int(int32(binary.LittleEndian.Uint32(b[from:])))
	if n < 5 || n > end-from || b[from+n-1] != 0 {
		return span{}, 0, false
	}
	return span{from + 4, from + n - 1}, from + n, true
}

// nextElement reads the element that begins at from in the elements of a
// container. ok is false if it is cut short or its type is not used.
func nextElement(b []byte, from, end int) (e element, ok bool) {
	e.typ = bsoncore.Type(b[from])
	e.name.lo = from + 1
	i := e.name.lo
	for ; i < end && b[i] != 0; i++ {
	}
	if i == end {
		return e, false
	}
	e.name.hi = i
	e.body.lo = i + 1
	n, ok := bodySize(e.typ, b, e.body.lo, end)
	e.body.hi = e.body.lo + n
	return e, ok
}

// bodySize returns the length of the BSON value of a type that begins at from
// and must end at or before end.
func bodySize(t bsoncore.Type, b []byte, from, end int) (n int, ok bool) {
	head, least := 0, 0 // what the length leaves out; the least it may be
	switch t {
	case bsoncore.TypeNull:
		return 0, true
	case bsoncore.TypeBoolean:
		return 1, end-from >= 1
	case bsoncore.TypeInt64, bsoncore.TypeDouble:
		return 8, end-from >= 8
	case bsoncore.TypeString:
		head, least = 4, 1
	case bsoncore.TypeBinary:
		head, least = 5, 0
	case bsoncore.TypeEmbeddedDocument, bsoncore.TypeArray:
		head, least = 0, 5
	default:
		return 0, false
	}
	if end-from < max(head, 4) {
		return 0, false
	}
	n = int(int32(binary.LittleEndian.Uint32(b[from:])))
	if n < least || n > end-from-head {
		return 0, false
	}
	return head + n, true
}
