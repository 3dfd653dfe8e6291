package firestore

import (
	"google.golang.org/protobuf/encoding/protowire"

	"atoll/value"
)

// storedWriter writes stored documents in protobuf's wire format, without a
// tree of values between. What lies in a map or an array is written first, and
// moved to make room for its length.
type storedWriter struct {
	b    []byte
	head []byte // scratch
}

// fromStored returns a document's fields as appendFields appends them. ok is
// false for what it leaves to that: vectors, and what is not a stored document.
func fromStored(doc []byte) (fields []byte, ok bool) {
	w := storedWriter{b: make([]byte, 0, len(doc)+len(doc)/4+64)}
	ok = w.fields(doc, documentFields, 0)
	return w.b, ok
}

// fields appends the entries of a map.
func (w *storedWriter) fields(m []byte, number protowire.Number, depth int) bool {
	return depth <= value.MaxDepth && value.EachStored(m, func(name []byte, v value.Stored) bool {
		if size, ok := sizeStored(v); ok {
			w.b = appendStoredEntry(w.b, number, name, size)
			w.scalar(v)
			return true
		}
		mark := len(w.b)
		if !w.container(v, depth) {
			return false
		}
		w.head = appendStoredEntry(w.head[:0], number, name, len(w.b)-mark)
		w.insert(mark)
		return true
	})
}

// appendStoredEntry is appendEntry for a name that is bytes.
func appendStoredEntry(b []byte, number protowire.Number, name []byte, valueSize int) []byte {
	b = appendLength(b, number, sizeBytes(entryKey, len(name))+sizeBytes(entryValue, valueSize))
	b = protowire.AppendBytes(protowire.AppendTag(b, entryKey, protowire.BytesType), name)
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

// sizeStored is sizeValue of a value that holds no others.
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

// scalar is appendValue of a value that sizeStored knows.
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
