package firestore

import (
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // registers the codec that is wrapped
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"atoll/value"
)

// The fields of a document that is written would become a map of messages of
// messages, only to be walked over once. So they are kept as they came: their
// tag is changed to one that Document does not know, which makes them a part of
// its unknown fields, and they are read from there. Tags of numbers up to 15
// take one byte, so that nothing moves.

const (
	// keptFields is the number under which a document's fields are kept, and
	// strayFields the one that takes its place where a client sends it.
	keptFields  protowire.Number = 15
	strayFields protowire.Number = 14
)

// Field numbers of google.firestore.v1.CommitRequest and BatchWriteRequest,
// and of Write.
const (
	requestWrites protowire.Number = 2
	writeUpdate   protowire.Number = 1
)

// codec is gRPC's codec of protocol buffers, but that the fields of documents
// in writes are kept as they came.
type codec struct{ encoding.CodecV2 }

func newCodec() codec { return codec{encoding.GetCodecV2("proto")} }

// Unmarshal implements encoding.CodecV2.
func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	switch m := v.(type) {
	case *firestorepb.CommitRequest, *firestorepb.BatchWriteRequest:
		b := data.Materialize()
		keepFields(b)
		return proto.Unmarshal(b, m.(proto.Message))
	}
	return c.CodecV2.Unmarshal(data, v)
}

// keepFields changes the tags of the fields of all documents in the writes of a
// request. What is malformed is left for protobuf to refuse.
func keepFields(request []byte) {
	eachMessage(request, requestWrites, func(write []byte) {
		eachMessage(write, writeUpdate, func(document []byte) {
			retag(document, keptFields, strayFields)
			retag(document, documentFields, keptFields)
		})
	})
}

// eachMessage calls do for each field of a number that holds bytes.
func eachMessage(b []byte, number protowire.Number, do func([]byte)) {
	for len(b) > 0 {
		num, _, n := protowire.ConsumeField(b)
		if n < 0 {
			return
		}
		if num == number && b[0] == tagOf(number) {
			if inner, m := protowire.ConsumeBytes(b[1:]); m >= 0 {
				do(inner)
			}
		}
		b = b[n:]
	}
}

// retag changes the number of the fields of a message that hold bytes.
func retag(b []byte, from, to protowire.Number) {
	for len(b) > 0 {
		_, _, n := protowire.ConsumeField(b)
		if n < 0 {
			return
		}
		if b[0] == tagOf(from) {
			b[0] = tagOf(to)
		}
		b = b[n:]
	}
}

// tagOf is the tag of a field of bytes, of a number up to 15.
func tagOf(number protowire.Number) byte {
	return byte(protowire.EncodeTag(number, protowire.BytesType))
}

// fieldsOf converts the fields of a document that is written.
func (c *toValue) fieldsOf(d *firestorepb.Document) (value.Value, *fieldError) {
	kept := d.ProtoReflect().GetUnknown()
	if len(kept) == 0 {
		return c.fields(d.GetFields(), 0)
	}
	if doc, ok := c.kept(kept, keptFields, 0); ok && len(d.GetFields()) == 0 {
		return doc, nil
	}
	// Something is unusual, or wrong: protobuf knows the one, and fields says
	// the other in words.
	*c = toValue{same: true}
	b := slices.Clone(kept)
	retag(b, keptFields, documentFields)
	again := firestorepb.Document{Fields: d.GetFields()}
	if err := (proto.UnmarshalOptions{Merge: true}).Unmarshal(b, &again); err != nil {
		return value.Null(), &fieldError{what: "is malformed: " + strings.TrimPrefix(err.Error(), "proto: ")}
	}
	return c.fields(again.GetFields(), 0)
}

// kept reads fields in protobuf's wire format. ok is false for what is wrong,
// and for what no client sends though it may: fields in an odd order, given
// twice, or unknown; and for vectors.
func (c *toValue) kept(b []byte, number protowire.Number, depth int) (m value.Value, ok bool) {
	few := 12
	if depth > 0 {
		few = 4
	}
	fields := make([]value.Field, 0, few)
	for len(b) > 0 {
		entry, rest, ok := keptBytes(b, number)
		if !ok {
			return m, false
		}
		b = rest
		key, entry, ok := keptBytes(entry, entryKey)
		if !ok || !utf8.Valid(key) {
			return m, false
		}
		held, entry, ok := keptBytes(entry, entryValue)
		if !ok || len(entry) > 0 {
			return m, false
		}
		f := value.Field{Name: string(key)}
		if f.Value, ok = c.keptValue(held, depth); !ok {
			return m, false
		}
		fields = append(fields, f)
	}
	slices.SortFunc(fields, func(a, b value.Field) int { return strings.Compare(a.Name, b.Name) })
	for i := range fields {
		if i > 0 && fields[i].Name == fields[i-1].Name || depth > 0 && fields[i].Name == vectorTypeField {
			return m, false
		}
	}
	return value.Map(fields...), true
}

// keptBytes reads a field of bytes that has to be the next.
func keptBytes(b []byte, number protowire.Number) (held, rest []byte, ok bool) {
	if len(b) == 0 || b[0] != tagOf(number) {
		return nil, nil, false
	}
	held, n := protowire.ConsumeBytes(b[1:])
	if n < 0 {
		return nil, nil, false
	}
	return held, b[1+n:], true
}

// keptValue reads a Value with one field.
func (c *toValue) keptValue(b []byte, depth int) (v value.Value, ok bool) {
	num, typ, n := protowire.ConsumeTag(b)
	if n < 0 || depth > maxNesting {
		return v, false
	}
	b = b[n:]
	switch typ {
	case protowire.VarintType:
		x, n := protowire.ConsumeVarint(b)
		if n != len(b) {
			return v, false
		}
		switch num {
		case valueNull:
			return value.Null(), true
		case valueBool:
			return value.Bool(protowire.DecodeBool(x)), true
		case valueInt:
			return value.Int(int64(x)), true
		}
	case protowire.Fixed64Type:
		x, n := protowire.ConsumeFixed64(b)
		if n == len(b) && num == valueDouble {
			return value.Double(math.Float64frombits(x)), true
		}
	case protowire.BytesType:
		held, n := protowire.ConsumeBytes(b)
		if n == len(b) {
			return c.keptLong(num, held, depth)
		}
	}
	return v, false
}

// keptLong reads the contents of a Value's field that holds bytes.
func (c *toValue) keptLong(num protowire.Number, b []byte, depth int) (v value.Value, ok bool) {
	switch num {
	case valueString:
		return value.String(string(b)), utf8.Valid(b)
	case valueReference:
		return value.Reference(string(b)), utf8.Valid(b)
	case valueBytes:
		return value.Bytes(b), true
	case valueTimestamp:
		return c.keptTime(b)
	case valueGeoPoint:
		return keptGeoPoint(b)
	case valueMap:
		return c.kept(b, mapFields, depth+1)
	case valueArray:
		var elems []value.Value
		for len(b) > 0 {
			held, rest, ok := keptBytes(b, arrayValues)
			if !ok {
				return v, false
			}
			e, ok := c.keptValue(held, depth+1)
			if !ok {
				return v, false
			}
			elems, b = append(elems, e), rest
		}
		return value.Array(elems...), true
	}
	return v, false
}

// keptGeoPoint reads a LatLng with both of its fields in their order, as it is
// if none of them is 0.
func keptGeoPoint(b []byte) (v value.Value, ok bool) {
	tag := func(number protowire.Number) byte { return byte(protowire.EncodeTag(number, protowire.Fixed64Type)) }
	if len(b) != 2*doubleSize || b[0] != tag(geoLatitude) || b[doubleSize] != tag(geoLongitude) {
		return v, false
	}
	latitude, _ := protowire.ConsumeFixed64(b[1:])
	longitude, _ := protowire.ConsumeFixed64(b[doubleSize+1:])
	return value.GeoPoint(math.Float64frombits(latitude), math.Float64frombits(longitude)), true
}

// keptTime reads a Timestamp whose fields stand in their order.
func (c *toValue) keptTime(b []byte) (v value.Value, ok bool) {
	var t timestamppb.Timestamp
	for last := protowire.Number(0); len(b) > 0; {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 || typ != protowire.VarintType || num <= last {
			return v, false
		}
		x, m := protowire.ConsumeVarint(b[n:])
		if m < 0 {
			return v, false
		}
		switch num {
		case timeSeconds:
			t.Seconds = int64(x)
		case timeNanos:
			t.Nanos = int32(x)
		default:
			return v, false
		}
		last, b = num, b[n+m:]
	}
	at, err := toTime(&t)
	c.same = c.same && t.Nanos%1000 == 0
	return value.Timestamp(at), err == nil
}
