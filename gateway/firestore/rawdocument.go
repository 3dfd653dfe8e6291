package firestore

import (
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"atoll/value"
)

// storedWriter writes stored documents in protobuf's wire format, without a
// tree of values between (see rawfields.go). What lies in a map or an array is written first, and
// moved to make room for its length.
type storedWriter struct {
	b    []byte
	head []byte // scratch
}

// AppendStored appends the fields of a stored document (package value) as they
// stand in a google.firestore.v1.Document in protobuf's wire format, in the order
// of their names. ok is false for what is not a stored document; it does not
// look at all that value.DecodeDocument looks at.
func AppendStored(b, doc []byte) (with []byte, ok bool) {
	w := storedWriter{b: slices.Grow(b, len(doc)+len(doc)/4+64)}
	ok = w.fields(doc, documentFields, 0)
	return w.b, ok
}

// fields appends the entries of a map.
func (w *storedWriter) fields(m []byte, number protowire.Number, depth int) bool {
	return depth <= value.MaxDepth && value.EachStored(m, func(name []byte, v value.Stored) bool {
		if size, ok := sizeStored(v); ok {
			w.b = appendEntry(w.b, number, name, size)
			w.scalar(v)
			return true
		}
		mark := len(w.b)
		if !w.container(v, depth) {
			return false
		}
		w.head = appendEntry(w.head[:0], number, name, len(w.b)-mark)
		w.insert(mark)
		return true
	})
}

// appendEntry appends a map's entry up to the place of its value.
func appendEntry[Name []byte | string](b []byte, number protowire.Number, name Name, valueSize int) []byte {
	b = appendLength(b, number, sizeBytes(entryKey, len(name))+sizeBytes(entryValue, valueSize))
	b = append(appendLength(b, entryKey, len(name)), name...)
	return appendLength(b, entryValue, valueSize)
}

// insert puts the head before what was appended since mark.
func (w *storedWriter) insert(mark int) {
	w.b = append(w.b, w.head...)
	copy(w.b[mark+len(w.head):], w.b[mark:])
	copy(w.b[mark:], w.head)
}

// container appends the field of a Value that holds a map or an array.
func (w *storedWriter) container(v value.Stored, depth int) bool {
	mark, number := len(w.b), valueMap
	ok := false
	switch v.Kind() {
	case value.KindMap:
		ok = w.fields(v.Bytes(), mapFields, depth+1)
	case value.KindArray:
		number = valueArray
		ok = w.elems(v.Bytes(), depth+1)
	case value.KindVector:
		ok = true
		w.vector(v)
	}
	w.head = appendLength(w.head[:0], number, len(w.b)-mark)
	w.insert(mark)
	return ok
}

func (w *storedWriter) elems(array []byte, depth int) bool {
	return depth <= value.MaxDepth && value.EachStored(array, func(_ []byte, v value.Stored) bool {
		if size, ok := sizeStored(v); ok {
			w.b = appendLength(w.b, arrayValues, size)
			w.scalar(v)
			return true
		}
		mark := len(w.b)
		if !w.container(v, depth) {
			return false
		}
		w.head = appendLength(w.head[:0], arrayValues, len(w.b)-mark)
		w.insert(mark)
		return true
	})
}

// vector appends the entries of the map that stands for a vector: a marker,
// and an array of doubles.
func (w *storedWriter) vector(v value.Stored) {
	w.b = appendEntry(w.b, mapFields, vectorTypeField, sizeBytes(valueString, len(vectorType)))
	w.b = append(appendLength(w.b, valueString, len(vectorType)), vectorType...)
	n := len(v.Bytes()) / 8
	elems := n * sizeBytes(arrayValues, doubleSize)
	w.b = appendEntry(w.b, mapFields, vectorValueField, sizeBytes(valueArray, elems))
	w.b = appendLength(w.b, valueArray, elems)
	for i := range n {
		w.b = appendDouble(appendLength(w.b, arrayValues, doubleSize), valueDouble, v.Double(i))
	}
}

// sizeStored is the length of what scalar appends, for a value that holds no
// others.
func sizeStored(v value.Stored) (size int, ok bool) {
	switch v.Kind() {
	case value.KindNull:
		return protowire.SizeTag(valueNull) + 1, true
	case value.KindBool:
		return protowire.SizeTag(valueBool) + 1, true
	case value.KindInt:
		return protowire.SizeTag(valueInt) + protowire.SizeVarint(uint64(v.Int())), true
	case value.KindDouble:
		return doubleSize, true
	case value.KindTimestamp:
		return sizeBytes(valueTimestamp, sizeTime(v.Time())), true
	case value.KindString:
		return sizeBytes(valueString, len(v.Bytes())), true
	case value.KindBytes:
		return sizeBytes(valueBytes, len(v.Bytes())), true
	case value.KindReference:
		return sizeBytes(valueReference, len(v.Bytes())), true
	case value.KindGeoPoint:
		return sizeBytes(valueGeoPoint, 2*doubleSize), true
	}
	return 0, false
}

// scalar appends the one field of a Value that is set, for a value that
// sizeStored knows.
func (w *storedWriter) scalar(v value.Stored) {
	text := func(number protowire.Number) []byte {
		return protowire.AppendBytes(protowire.AppendTag(w.b, number, protowire.BytesType), v.Bytes())
	}
	switch v.Kind() {
	case value.KindBool:
		w.b = protowire.AppendVarint(protowire.AppendTag(w.b, valueBool, protowire.VarintType), protowire.EncodeBool(v.Bool()))
	case value.KindInt:
		w.b = protowire.AppendVarint(protowire.AppendTag(w.b, valueInt, protowire.VarintType), uint64(v.Int()))
	case value.KindDouble:
		w.b = appendDouble(w.b, valueDouble, v.Double(0))
	case value.KindTimestamp:
		w.b = appendTime(w.b, v.Time())
	case value.KindString:
		w.b = text(valueString)
	case value.KindBytes:
		w.b = text(valueBytes)
	case value.KindReference:
		w.b = text(valueReference)
	case value.KindGeoPoint:
		w.b = appendLength(w.b, valueGeoPoint, 2*doubleSize)
		w.b = appendDouble(appendDouble(w.b, geoLatitude, v.Double(0)), geoLongitude, v.Double(1))
	default:
		w.b = protowire.AppendVarint(protowire.AppendTag(w.b, valueNull, protowire.VarintType), 0)
	}
}
