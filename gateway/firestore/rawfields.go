package firestore

import (
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"atoll"
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

// sizeBytes is the size of a field of n bytes with its tag and length.
func sizeBytes(num protowire.Number, n int) int {
	return protowire.SizeTag(num) + protowire.SizeBytes(n)
}

// appendLength appends the tag and the length of a message of n bytes.
func appendLength(b []byte, num protowire.Number, n int) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.BytesType), uint64(n))
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
