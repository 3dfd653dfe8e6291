package firestore

import (
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"atoll"
	"atoll/value"
)

// Documents are read far more often than anything else is done, and building a
// tree of protobuf messages only to have it walked twice again, for its size
// and its bytes, is most of the cost of a read above the store. So the fields
// of a document are written in protobuf's wire format at once, and given to the
// message as bytes that it keeps without looking (its unknown fields): whoever
// receives them cannot tell the difference.

// Field numbers of google.firestore.v1.Document, Value, MapValue, ArrayValue,
// google.protobuf.Timestamp and google.type.LatLng.
const (
	documentFields protowire.Number = 2

	valueNull      protowire.Number = 11
	valueBool      protowire.Number = 1
	valueInt       protowire.Number = 2
	valueDouble    protowire.Number = 3
	valueReference protowire.Number = 5
	valueMap       protowire.Number = 6
	valueGeoPoint  protowire.Number = 8
	valueArray     protowire.Number = 9
	valueTimestamp protowire.Number = 10
	valueString    protowire.Number = 17
	valueBytes     protowire.Number = 18

	entryKey, entryValue      protowire.Number = 1, 2
	mapFields, arrayValues    protowire.Number = 1, 1
	timeSeconds, timeNanos    protowire.Number = 1, 2
	geoLatitude, geoLongitude protowire.Number = 1, 2

	doubleSize = 9 // of a double with its tag
)

// appendFields appends the fields of a map, each as an entry of the protobuf
// map with the given number.
func appendFields(b []byte, num protowire.Number, m value.Value) []byte {
	for i := range m.Len() {
		f := m.Field(i)
		size := sizeValue(f.Value)
		b = appendEntry(b, num, f.Name, size)
		b = appendValue(b, f.Value)
	}
	return b
}

// appendEntry appends a map's entry up to the place of its value.
func appendEntry(b []byte, num protowire.Number, key string, valueSize int) []byte {
	b = protowire.AppendTag(b, num, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(sizeEntry(key, valueSize)))
	b = protowire.AppendTag(b, entryKey, protowire.BytesType)
	b = protowire.AppendString(b, key)
	return appendLength(b, entryValue, valueSize)
}

func sizeEntry(key string, valueSize int) int {
	return sizeBytes(entryKey, len(key)) + sizeBytes(entryValue, valueSize)
}

// sizeBytes is the size of a field of n bytes with its tag and length.
func sizeBytes(num protowire.Number, n int) int {
	return protowire.SizeTag(num) + protowire.SizeBytes(n)
}

// appendLength appends the tag and the length of a message of n bytes.
func appendLength(b []byte, num protowire.Number, n int) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.BytesType), uint64(n))
}

// sizeFields is the length of what appendFields appends.
func sizeFields(num protowire.Number, m value.Value) (n int) {
	for i := range m.Len() {
		f := m.Field(i)
		n += sizeBytes(num, sizeEntry(f.Name, sizeValue(f.Value)))
	}
	return n
}

// sizeElements is the length of an array's or vector's elements.
func sizeElements(v value.Value) (n int) {
	if v.Kind() == value.KindVector {
		return v.Len() * sizeBytes(arrayValues, doubleSize)
	}
	for i := range v.Len() {
		n += sizeBytes(arrayValues, sizeValue(v.Elem(i)))
	}
	return n
}

// The parts of a vector, which is a map of a marker and an array.
func sizeVector(v value.Value) (marker, array, whole int) {
	marker = sizeBytes(valueString, len(vectorType))
	array = sizeBytes(valueArray, sizeElements(v))
	whole = sizeBytes(mapFields, sizeEntry(vectorTypeField, marker)) + sizeBytes(mapFields, sizeEntry(vectorValueField, array))
	return marker, array, whole
}

// sizeValue is the length of what appendValue appends.
func sizeValue(v value.Value) int {
	switch v.Kind() {
	case value.KindBool:
		return protowire.SizeTag(valueBool) + 1
	case value.KindInt:
		return protowire.SizeTag(valueInt) + protowire.SizeVarint(uint64(v.Int()))
	case value.KindDouble:
		return doubleSize
	case value.KindTimestamp:
		return sizeBytes(valueTimestamp, sizeTime(v.Time()))
	case value.KindString:
		return sizeBytes(valueString, len(v.Str()))
	case value.KindBytes:
		return sizeBytes(valueBytes, len(v.Bytes()))
	case value.KindReference:
		return sizeBytes(valueReference, len(v.Str()))
	case value.KindGeoPoint:
		return sizeBytes(valueGeoPoint, 2*doubleSize)
	case value.KindArray:
		return sizeBytes(valueArray, sizeElements(v))
	case value.KindVector:
		_, _, whole := sizeVector(v)
		return sizeBytes(valueMap, whole)
	case value.KindMap:
		return sizeBytes(valueMap, sizeFields(mapFields, v))
	}
	return protowire.SizeTag(valueNull) + 1
}

// appendValue appends the one field of a Value that is set.
func appendValue(b []byte, v value.Value) []byte {
	switch v.Kind() {
	case value.KindBool:
		return protowire.AppendVarint(protowire.AppendTag(b, valueBool, protowire.VarintType), protowire.EncodeBool(v.Bool()))
	case value.KindInt:
		return protowire.AppendVarint(protowire.AppendTag(b, valueInt, protowire.VarintType), uint64(v.Int()))
	case value.KindDouble:
		return appendDouble(b, valueDouble, v.Double())
	case value.KindTimestamp:
		return appendTime(b, v.Time())
	case value.KindString:
		return protowire.AppendString(protowire.AppendTag(b, valueString, protowire.BytesType), v.Str())
	case value.KindBytes:
		return protowire.AppendBytes(protowire.AppendTag(b, valueBytes, protowire.BytesType), v.Bytes())
	case value.KindReference:
		return protowire.AppendString(protowire.AppendTag(b, valueReference, protowire.BytesType), v.Str())
	case value.KindGeoPoint:
		lat, lng := v.GeoPoint()
		b = appendLength(b, valueGeoPoint, 2*doubleSize)
		return appendDouble(appendDouble(b, geoLatitude, lat), geoLongitude, lng)
	case value.KindArray:
		return appendElements(b, v)
	case value.KindVector:
		marker, array, whole := sizeVector(v)
		b = appendLength(b, valueMap, whole)
		b = appendEntry(b, mapFields, vectorTypeField, marker)
		b = protowire.AppendString(protowire.AppendTag(b, valueString, protowire.BytesType), vectorType)
		b = appendEntry(b, mapFields, vectorValueField, array)
		return appendElements(b, v)
	case value.KindMap:
		b = appendLength(b, valueMap, sizeFields(mapFields, v))
		return appendFields(b, mapFields, v)
	}
	return protowire.AppendVarint(protowire.AppendTag(b, valueNull, protowire.VarintType), 0)
}

// appendElements appends an array, or a vector as an array of doubles.
func appendElements(b []byte, v value.Value) []byte {
	b = appendLength(b, valueArray, sizeElements(v))
	for i := range v.Len() {
		if v.Kind() == value.KindVector {
			b = appendLength(b, arrayValues, doubleSize)
			b = appendDouble(b, valueDouble, v.Component(i))
			continue
		}
		e := v.Elem(i)
		b = appendLength(b, arrayValues, sizeValue(e))
		b = appendValue(b, e)
	}
	return b
}

func appendDouble(b []byte, num protowire.Number, f float64) []byte {
	return protowire.AppendFixed64(protowire.AppendTag(b, num, protowire.Fixed64Type), math.Float64bits(f))
}

func sizeTime(t atoll.Time) int {
	ts := timestamp(t)
	return protowire.SizeTag(timeSeconds) + protowire.SizeVarint(uint64(ts.Seconds)) +
		protowire.SizeTag(timeNanos) + protowire.SizeVarint(uint64(ts.Nanos))
}

func appendTime(b []byte, t atoll.Time) []byte {
	ts := timestamp(t)
	b = appendLength(b, valueTimestamp, sizeTime(t))
	b = protowire.AppendVarint(protowire.AppendTag(b, timeSeconds, protowire.VarintType), uint64(ts.Seconds))
	return protowire.AppendVarint(protowire.AppendTag(b, timeNanos, protowire.VarintType), uint64(ts.Nanos))
}
