package keys

import (
	"encoding/binary"
	"math"
	"math/bits"
	"strings"

	"atoll/value"
)

// Tags in front of values, in Firestore's order of types. 0x00 and 0x01 are
// below all of them: the end of an array or map, and a map's next field.
const (
	tagEnd       = 0x00
	tagField     = 0x01
	tagNull      = 0x10
	tagFalse     = 0x20
	tagTrue      = 0x21
	tagNumber    = 0x30
	tagTimestamp = 0x40
	tagString    = 0x50
	tagBytes     = 0x58
	tagReference = 0x60
	tagGeoPoint  = 0x68
	tagArray     = 0x70
	tagVector    = 0x78
	tagMap       = 0x80
)

// MaxIndexed is the most bytes that AppendIndexed writes.
const MaxIndexed = 1500

// Direction is the order in which an index holds values.
type Direction byte

// The directions. Their numbers are not stored.
const (
	Ascending Direction = iota
	Descending
)

// AppendValue appends the encoding of v, which sorts as v does. See the package
// comment.
func AppendValue(dst []byte, v value.Value) []byte {
	switch v.Kind() {
	case value.KindBool:
		if v.Bool() {
			return append(dst, tagTrue)
		}
		return append(dst, tagFalse)
	case value.KindInt:
		return appendWhole(append(dst, tagNumber), v.Int())
	case value.KindDouble:
		return appendDouble(append(dst, tagNumber), v.Double())
	case value.KindTimestamp:
		return appendInt(append(dst, tagTimestamp), int64(v.Time()))
	case value.KindString:
		return appendText(append(dst, tagString), v.Str())
	case value.KindBytes:
		return appendText(append(dst, tagBytes), v.Str())
	case value.KindReference:
		return appendReference(append(dst, tagReference), v.Str())
	case value.KindGeoPoint:
		latitude, longitude := v.GeoPoint()
		return appendOrdered(appendOrdered(append(dst, tagGeoPoint), latitude), longitude)
	case value.KindArray:
		dst = append(dst, tagArray)
		for i := range v.Len() {
			dst = AppendValue(dst, v.Elem(i))
		}
		return append(dst, tagEnd)
	case value.KindVector:
		dst = binary.BigEndian.AppendUint32(append(dst, tagVector), uint32(v.Len()))
		for i := range v.Len() {
			dst = appendOrdered(dst, v.Component(i))
		}
		return dst
	case value.KindMap:
		dst = append(dst, tagMap)
		for i := range v.Len() {
			f := v.Field(i)
			dst = AppendValue(appendText(append(dst, tagField), f.Name), f.Value)
		}
		return append(dst, tagEnd)
	}
	return append(dst, tagNull)
}

// AppendValueDesc appends the encoding of v in descending order.
func AppendValueDesc(dst []byte, v value.Value) []byte {
	start := len(dst)
	dst = AppendValue(dst, v)
	complement(dst[start:])
	return dst
}

func complement(b []byte) {
	for i := range b {
		b[i] = ^b[i]
	}
}

// AppendIndexed appends the encoding of v in the given direction, or its first
// MaxIndexed bytes if it is longer; whole tells which.
func AppendIndexed(dst []byte, v value.Value, d Direction) (out []byte, whole bool) {
	start := len(dst)
	dst = AppendValue(dst, shorten(v))
	whole = len(dst)-start <= MaxIndexed
	if !whole {
		dst = dst[:start+MaxIndexed]
	}
	if d == Descending {
		complement(dst[start:])
	}
	return dst, whole
}

// shorten cuts what will not be indexed off a long string or bytes.
func shorten(v value.Value) value.Value {
	s := v.Str()
	switch {
	case len(s) <= MaxIndexed:
	case v.Kind() == value.KindString:
		return value.String(s[:MaxIndexed])
	case v.Kind() == value.KindBytes:
		return value.Bytes([]byte(s[:MaxIndexed]))
	}
	return v
}

// appendReference appends the segments of a reference's name.
func appendReference(dst []byte, name string) []byte {
	for i := 0; ; i++ {
		segment, rest, more := strings.Cut(name, "/")
		dst = appendID(dst, segment, value.IsDocumentSegment(i))
		if !more {
			return append(dst, markEnd)
		}
		name = rest
	}
}

// hasRest reports whether a number whose ordered double is f has two more
// bytes: doubles lie apart there, and integers between them.
func hasRest(f float64) bool {
	return -1<<63 <= f && f < 1<<63 && (f >= 1<<53 || f <= -1<<53)
}

// floor returns the greatest integer <= i that is a double.
func floor(i int64) int64 {
	magnitude := uint64(i)
	if i < 0 {
		magnitude = -magnitude
	}
	if spare := bits.Len64(magnitude) - 53; spare > 0 {
		return i &^ (1<<spare - 1)
	}
	return i
}

// appendWhole appends an integer as a number.
func appendWhole(dst []byte, i int64) []byte {
	below := floor(i)
	f := float64(below)
	dst = appendOrdered(dst, f)
	if hasRest(f) {
		dst = binary.BigEndian.AppendUint16(dst, uint16(i-below))
	}
	return dst
}

// appendDouble appends a double as a number.
func appendDouble(dst []byte, f float64) []byte {
	dst = appendOrdered(dst, f)
	if hasRest(f) {
		dst = append(dst, 0, 0)
	}
	return dst
}

// appendOrdered appends 8 bytes that compare as doubles do, NaN first.
func appendOrdered(dst []byte, f float64) []byte {
	return binary.BigEndian.AppendUint64(dst, orderedBits(f))
}

func orderedBits(f float64) uint64 {
	b := math.Float64bits(f)
	switch {
	case math.IsNaN(f):
		return 0
	case f == 0:
		return 1 << 63
	case b>>63 == 1:
		return ^b
	}
	return b | 1<<63
}

// fromOrdered undoes orderedBits; ok is false for bits that it never returns.
func fromOrdered(u uint64) (f float64, ok bool) {
	switch {
	case u == 0:
		return math.NaN(), true
	case u>>63 == 1:
		f = math.Float64frombits(u &^ (1 << 63))
	default:
		f = math.Float64frombits(^u)
	}
	return f, orderedBits(f) == u
}
