package value

import (
	"encoding/binary"
	"math"
	"strconv"
	"strings"

	"go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore"
)

// Subtypes of BSON binaries in the stored form; 0x80 and up are BSON's
// user-defined ones. A number is never reused.
const (
	subtypeBytes     = 0x00
	subtypeTimestamp = 0x80
	subtypeReference = 0x81
	subtypeGeoPoint  = 0x82
	subtypeVector    = 0x83
)

// bsonTypes maps kinds to BSON's types.
var bsonTypes = [...]bsoncore.Type{
	KindNull:      bsoncore.TypeNull,
	KindBool:      bsoncore.TypeBoolean,
	KindInt:       bsoncore.TypeInt64,
	KindDouble:    bsoncore.TypeDouble,
	KindTimestamp: bsoncore.TypeBinary,
	KindString:    bsoncore.TypeString,
	KindBytes:     bsoncore.TypeBinary,
	KindReference: bsoncore.TypeBinary,
	KindGeoPoint:  bsoncore.TypeBinary,
	KindArray:     bsoncore.TypeArray,
	KindVector:    bsoncore.TypeBinary,
	KindMap:       bsoncore.TypeEmbeddedDocument,
}

// Encode returns the stored form of a document. See AppendDocument.
func Encode(doc Value) []byte {
	return AppendDocument(make([]byte, 0, containerLen(doc)), doc)
}

// AppendDocument appends the stored form of a document to dst. doc is a map
// that passed CheckDocument; if it is no map, the document has no fields.
func AppendDocument(dst []byte, doc Value) []byte {
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	for _, f := range doc.fields() {
		dst = append(dst, byte(bsonTypes[f.Value.kind]))
		dst = appendName(dst, f.Name)
		dst = appendBody(dst, f.Value)
	}
	return endContainer(dst, start)
}

// EncodeValue returns the stored form of a single value: BSON's type byte and
// BSON's value.
func EncodeValue(v Value) []byte {
	return AppendEncoded(make([]byte, 0, 1+bodyLen(v)), v)
}

// AppendEncoded appends what EncodeValue returns to dst.
func AppendEncoded(dst []byte, v Value) []byte {
	return appendBody(append(dst, byte(bsonTypes[v.kind])), v)
}

// appendName writes a field's name. BSON ends names with NUL; one inside
// becomes 0xFF, which no UTF-8 holds, so that the decoder refuses the name.
func appendName(dst []byte, name string) []byte {
	if strings.IndexByte(name, 0) >= 0 {
		name = strings.ReplaceAll(name, "\x00", "\xFF")
	}
	return append(append(dst, name...), 0)
}

// appendBody writes BSON's value, without type and name.
func appendBody(dst []byte, v Value) []byte {
	le := binary.LittleEndian
	switch v.kind {
	case KindBool:
		return append(dst, byte(v.num))
	case KindInt, KindDouble:
		return le.AppendUint64(dst, v.num)
	case KindTimestamp:
		return le.AppendUint64(appendBinaryHeader(dst, 8, subtypeTimestamp), v.num)
	case KindString:
		dst = le.AppendUint32(dst, uint32(len(v.str)+1))
		return append(append(dst, v.str...), 0)
	case KindBytes:
		return append(appendBinaryHeader(dst, len(v.str), subtypeBytes), v.str...)
	case KindReference:
		return append(appendBinaryHeader(dst, len(v.str), subtypeReference), v.str...)
	case KindGeoPoint:
		return appendFloats(dst, subtypeGeoPoint, v.floats())
	case KindVector:
		return appendFloats(dst, subtypeVector, v.floats())
	case KindArray:
		return appendArray(dst, v.elems())
	case KindMap:
		return AppendDocument(dst, v)
	}
	return dst
}

func appendBinaryHeader(dst []byte, n int, subtype byte) []byte {
	return append(binary.LittleEndian.AppendUint32(dst, uint32(n)), subtype)
}

func appendFloats(dst []byte, subtype byte, floats []float64) []byte {
	dst = appendBinaryHeader(dst, 8*len(floats), subtype)
	for _, f := range floats {
		dst = binary.LittleEndian.AppendUint64(dst, floatBits(f))
	}
	return dst
}

func appendArray(dst []byte, elems []Value) []byte {
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	for i, e := range elems {
		dst = append(dst, byte(bsonTypes[e.kind]))
		dst = append(strconv.AppendInt(dst, int64(i), 10), 0)
		dst = appendBody(dst, e)
	}
	return endContainer(dst, start)
}

// endContainer ends the document or array that begins at start, and writes its
// length there.
func endContainer(dst []byte, start int) []byte {
	dst = append(dst, 0)
	binary.LittleEndian.PutUint32(dst[start:], uint32(len(dst)-start))
	return dst
}

// bodyLen is how many bytes appendBody writes.
func bodyLen(v Value) int {
	switch v.kind {
	case KindNull:
		return 0
	case KindBool:
		return 1
	case KindInt, KindDouble:
		return 8
	case KindTimestamp:
		return 5 + 8
	case KindString, KindBytes, KindReference:
		return 5 + len(v.str)
	case KindGeoPoint, KindVector:
		return 5 + 8*len(v.floats())
	}
	return containerLen(v)
}

func containerLen(v Value) int {
	n := 5
	for _, f := range v.fields() {
		n += 2 + len(f.Name) + bodyLen(f.Value)
	}
	for i, e := range v.elems() {
		n += 2 + digits(i) + bodyLen(e)
	}
	return n
}

// digits is the length of i >= 0 in decimal.
func digits(i int) int {
	n := 1
	for ; i >= 10; i /= 10 {
		n++
	}
	return n
}

// fromBits returns the double with these bits; ok is false for a NaN other
// than the canonical one.
func fromBits(bits uint64) (f float64, ok bool) {
	f = math.Float64frombits(bits)
	return f, !math.IsNaN(f) || bits == canonicalNaN
}
