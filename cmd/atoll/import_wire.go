package main

import (
	"encoding/binary"
	"math"
	"slices"
	"sync"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/protobuf/encoding/protowire"

	"atoll/transfer"
	"atoll/value"
)

// An import sends nothing but documents, and a tree of protobuf messages for
// each, only to be walked twice for its size and its bytes, would cost more than
// reading them did. So the writes of a batch are written in protobuf's wire
// format at once. It is written from its end to its beginning: what stands
// before a message is its length, which is then known.

// Field numbers of google.firestore.v1.BatchWriteRequest, Write, Precondition,
// Document, Value, MapValue, ArrayValue, google.protobuf.Timestamp and
// google.type.LatLng, and of the entries of a map.
const (
	wireWrites protowire.Number = 2

	wireUpdate    protowire.Number = 1
	wireCondition protowire.Number = 4
	wireExists    protowire.Number = 1

	wireDocumentName   protowire.Number = 1
	wireDocumentFields protowire.Number = 2

	wireBool      protowire.Number = 1
	wireInt       protowire.Number = 2
	wireDouble    protowire.Number = 3
	wireReference protowire.Number = 5
	wireMap       protowire.Number = 6
	wireGeoPoint  protowire.Number = 8
	wireArray     protowire.Number = 9
	wireTimestamp protowire.Number = 10
	wireNull      protowire.Number = 11
	wireString    protowire.Number = 17
	wireBytes     protowire.Number = 18

	wireKey, wireValue          protowire.Number = 1, 2
	wireFields, wireElements    protowire.Number = 1, 1
	wireSeconds, wireNanos      protowire.Number = 1, 2
	wireLatitude, wireLongitude protowire.Number = 1, 2
)

// Clients send a vector as a map of two fields.
const (
	vectorMark     = "__type__"
	vectorMarkText = "__vector__"
	vectorElements = "value"
)

// wires are buffers that have been used, for the next batches.
var wires = sync.Pool{New: func() any { return new(backwards) }}

// batchRequest returns a request that writes documents, and a function to call
// when it is not needed any more. Documents to be created must not be there.
func (c *client) batchRequest(docs []transfer.Document, create bool) (req *firestorepb.BatchWriteRequest, done func()) {
	w := wires.Get().(*backwards)
	w.at = len(w.buf)
	prefix := c.name("")
	for i := range slices.Backward(docs) {
		w.write(prefix, &docs[i], create)
	}
	req = &firestorepb.BatchWriteRequest{Database: c.db.String()}
	// A message keeps fields that it does not know as they are, and sends them
	// along: the server cannot tell the difference.
	req.ProtoReflect().SetUnknown(w.buf[w.at:])
	return req, func() { wires.Put(w) }
}

// backwards is a buffer that is filled from its end. Each of its methods puts
// something before what is there.
type backwards struct {
	buf []byte
	at  int // where it begins
}

// room makes room for n bytes, and returns it.
func (w *backwards) room(n int) []byte {
	if w.at < n {
		used := w.buf[w.at:]
		grown := make([]byte, max(2*len(w.buf), len(used)+n, 64<<10))
		w.at = len(grown) - len(used)
		copy(grown[w.at:], used)
		w.buf = grown
	}
	w.at -= n
	return w.buf[w.at : w.at+n]
}

func (w *backwards) text(s string) { copy(w.room(len(s)), s) }

func (w *backwards) varint(v uint64) {
	if v < 0x80 {
		w.room(1)[0] = byte(v)
		return
	}
	var b [10]byte
	copy(w.room(protowire.SizeVarint(v)), protowire.AppendVarint(b[:0], v))
}

func (w *backwards) tag(n protowire.Number, t protowire.Type) { w.varint(protowire.EncodeTag(n, t)) }

// end is the place at which a message that is about to be written ends.
func (w *backwards) end() int { return len(w.buf) - w.at }

// begin puts tag and length before a message that has been written.
func (w *backwards) begin(n protowire.Number, end int) {
	w.varint(uint64(w.end() - end))
	w.tag(n, protowire.BytesType)
}

func (w *backwards) string(n protowire.Number, s string) {
	w.text(s)
	w.varint(uint64(len(s)))
	w.tag(n, protowire.BytesType)
}

func (w *backwards) number(n protowire.Number, v uint64) {
	w.varint(v)
	w.tag(n, protowire.VarintType)
}

func (w *backwards) double(n protowire.Number, f float64) {
	binary.LittleEndian.PutUint64(w.room(8), math.Float64bits(f))
	w.tag(n, protowire.Fixed64Type)
}

// write is one write of a request: an update, or the creation of a document.
func (w *backwards) write(prefix string, d *transfer.Document, create bool) {
	end := w.end()
	if create {
		condition := w.end()
		w.number(wireExists, 0)
		w.begin(wireCondition, condition)
	}
	document := w.end()
	w.fields(wireDocumentFields, d.Fields)
	name := w.end()
	w.text(string(d.Path))
	w.text(prefix)
	w.begin(wireDocumentName, name)
	w.begin(wireUpdate, document)
	w.begin(wireWrites, end)
}

// fields are the entries of a protobuf map.
func (w *backwards) fields(n protowire.Number, m value.Value) {
	for i := m.Len() - 1; i >= 0; i-- {
		f := m.Field(i)
		entry := w.end()
		w.value(f.Value)
		w.begin(wireValue, entry)
		w.string(wireKey, f.Name)
		w.begin(n, entry)
	}
}

// value is the one field of a Value that is set.
func (w *backwards) value(v value.Value) {
	end := w.end()
	switch v.Kind() {
	case value.KindBool:
		w.number(wireBool, protowire.EncodeBool(v.Bool()))
	case value.KindInt:
		w.number(wireInt, uint64(v.Int()))
	case value.KindDouble:
		w.double(wireDouble, v.Double())
	case value.KindTimestamp:
		t := v.Time().Std()
		w.number(wireNanos, uint64(t.Nanosecond()))
		w.number(wireSeconds, uint64(t.Unix()))
		w.begin(wireTimestamp, end)
	case value.KindString:
		w.string(wireString, v.Str())
	case value.KindBytes:
		w.string(wireBytes, v.Str())
	case value.KindReference:
		w.string(wireReference, v.Str())
	case value.KindGeoPoint:
		latitude, longitude := v.GeoPoint()
		w.double(wireLongitude, longitude)
		w.double(wireLatitude, latitude)
		w.begin(wireGeoPoint, end)
	case value.KindArray:
		w.elements(v)
	case value.KindVector:
		w.vector(v)
	case value.KindMap:
		w.fields(wireFields, v)
		w.begin(wireMap, end)
	default:
		w.number(wireNull, 0)
	}
}

func (w *backwards) elements(v value.Value) {
	array := w.end()
	for i := v.Len() - 1; i >= 0; i-- {
		end := w.end()
		if v.Kind() == value.KindVector {
			w.double(wireDouble, v.Component(i))
		} else {
			w.value(v.Elem(i))
		}
		w.begin(wireElements, end)
	}
	w.begin(wireArray, array)
}

func (w *backwards) vector(v value.Value) {
	end := w.end()
	w.elements(v)
	w.begin(wireValue, end)
	w.string(wireKey, vectorElements)
	w.begin(wireFields, end)
	mark := w.end()
	w.string(wireString, vectorMarkText)
	w.begin(wireValue, mark)
	w.string(wireKey, vectorMark)
	w.begin(wireFields, mark)
	w.begin(wireMap, end)
}
