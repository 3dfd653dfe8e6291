package value

import (
	"encoding/binary"
	"math"

	"go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore"

	"atoll"
)

// Stored is a value as it lies in a stored document, for who passes documents
// on without looking into them. Its bytes are the document's.
type Stored struct {
	kind Kind
	body []byte
}

// EachStored calls each for the fields of a stored document, or of a map or
// the elements of an array in it, in their order, until one call returns false.
// It returns false if one did, or if b is not what AppendDocument writes; it
// does not look at all that DecodeDocument looks at.
func EachStored(b []byte, each func(name []byte, v Stored) bool) bool {
	elems, next, ok := container(b, 0, len(b))
	if !ok || next != len(b) {
		return false
	}
	for at := elems.lo; at < elems.hi; {
		e, ok := nextElement(b, at, elems.hi)
		if !ok {
			return false
		}
		v, ok := storedValue(e.typ, b[e.body.lo:e.body.hi])
		if !ok || !each(b[e.name.lo:e.name.hi], v) {
			return false
		}
		at = e.body.hi
	}
	return true
}

// storedValue tells the kind of a BSON value.
func storedValue(t bsoncore.Type, body []byte) (Stored, bool) {
	switch t {
	case bsoncore.TypeNull:
		return Stored{KindNull, body}, true
	case bsoncore.TypeBoolean:
		return Stored{KindBool, body}, body[0] <= 1
	case bsoncore.TypeInt64:
		return Stored{KindInt, body}, true
	case bsoncore.TypeDouble:
		return Stored{KindDouble, body}, true
	case bsoncore.TypeString:
		return Stored{KindString, body[4 : len(body)-1]}, true
	case bsoncore.TypeEmbeddedDocument:
		return Stored{KindMap, body}, true
	case bsoncore.TypeArray:
		return Stored{KindArray, body}, true
	}
	data := body[5:]
	switch body[4] {
	case subtypeBytes:
		return Stored{KindBytes, data}, true
	case subtypeReference:
		return Stored{KindReference, data}, true
	case subtypeTimestamp:
		return Stored{KindTimestamp, data}, len(data) == 8
	case subtypeGeoPoint:
		return Stored{KindGeoPoint, data}, len(data) == 16
	case subtypeVector:
		return Stored{KindVector, data}, len(data)%8 == 0
	}
	return Stored{}, false
}

// Kind returns what kind of value it is.
func (s Stored) Kind() Kind { return s.kind }

// Bytes returns the text of a string or reference, the bytes of bytes, and of a
// map or an array what EachStored walks over.
func (s Stored) Bytes() []byte { return s.body }

// Bool returns a boolean.
func (s Stored) Bool() bool { return s.body[0] == 1 }

// Int returns an integer.
func (s Stored) Int() int64 { return int64(binary.LittleEndian.Uint64(s.body)) }

// Double returns a double, or component i of a geopoint (latitude, longitude)
// or a vector.
func (s Stored) Double(i int) float64 {
	return math.Float64frombits(binary.LittleEndian.Uint64(s.body[8*i:]))
}

// Time returns a timestamp.
func (s Stored) Time() atoll.Time { return atoll.Time(binary.LittleEndian.Uint64(s.body)) }
