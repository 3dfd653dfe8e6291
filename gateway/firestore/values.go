package firestore

import (
	"slices"
	"strconv"
	"strings"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/genproto/googleapis/type/latlng"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"atoll"
	"atoll/value"
)

// Firestore's clients send a vector as a map of two fields.
const (
	vectorTypeField  = "__type__"
	vectorType       = "__vector__"
	vectorValueField = "value"
)

// maxNesting stops the conversion of values that are nested far deeper than
// any document may be, before package value tells the exact limit.
const maxNesting = 2 * value.MaxDepth

// fieldError is what is wrong with a value of a request, and the way to it,
// innermost name first. It costs nothing while nothing is wrong.
type fieldError struct {
	what string
	path []string
}

func (e *fieldError) in(name string) *fieldError {
	e.path = append(e.path, name)
	return e
}

// invalid returns the error for the client, naming the field.
func (e *fieldError) invalid() error {
	if len(e.path) == 0 {
		return atoll.Errorf(atoll.Invalid, "the value %s", e.what)
	}
	var b strings.Builder
	for i := len(e.path) - 1; i >= 0; i-- {
		name := e.path[i]
		if !strings.HasPrefix(name, "[") && i < len(e.path)-1 {
			b.WriteByte('.')
		}
		b.WriteString(name)
	}
	return atoll.Errorf(atoll.Invalid, "the field %s %s", b.String(), e.what)
}

// fieldName is a name as it stands in a field path.
func fieldName(name string) string { return value.FieldPath{name[:min(len(name), 100)]}.String() }

// toDocument converts a document's fields. same tells that converting the
// result back gives just these fields.
func toDocument(path atoll.Path, d *firestorepb.Document) (doc value.Value, same bool, err error) {
	c := toValue{same: true}
	doc, bad := c.fieldsOf(d)
	if bad != nil {
		return doc, false, bad.invalid()
	}
	return doc, c.same, value.CheckDocument(path, doc)
}

// ToFields converts a document to the form in which clients send it.
func ToFields(doc value.Value) map[string]*firestorepb.Value { return fromFields(doc) }

// FromFields converts the fields of a document that a server sent. It fails with
// Invalid, naming the field, on what no document can hold.
func FromFields(fields map[string]*firestorepb.Value) (value.Value, error) {
	c := toValue{}
	doc, bad := c.fields(fields, 0)
	if bad != nil {
		return doc, bad.invalid()
	}
	return doc, nil
}

// toOperand converts a value that is no document's field yet.
func toOperand(v *firestorepb.Value) (value.Value, error) {
	c := toValue{}
	out, bad := c.value(v, 0)
	if bad != nil {
		return out, bad.invalid()
	}
	return out, value.CheckValue(out)
}

// toValue converts values of requests. What can be said of a converted value
// is left to package value.
type toValue struct {
	same bool // nothing was cut
}

func (c *toValue) value(v *firestorepb.Value, depth int) (value.Value, *fieldError) {
	if depth > maxNesting {
		return value.Null(), &fieldError{what: "lies in more than " + strconv.Itoa(value.MaxDepth) + " arrays and maps"}
	}
	switch t := v.GetValueType().(type) {
	case *firestorepb.Value_NullValue:
		return value.Null(), nil
	case *firestorepb.Value_BooleanValue:
		return value.Bool(t.BooleanValue), nil
	case *firestorepb.Value_IntegerValue:
		return value.Int(t.IntegerValue), nil
	case *firestorepb.Value_DoubleValue:
		return value.Double(t.DoubleValue), nil
	case *firestorepb.Value_TimestampValue:
		at, err := toTime(t.TimestampValue)
		if err != nil {
			return value.Null(), &fieldError{what: "holds " + atoll.AsError(err).Msg}
		}
		c.same = c.same && t.TimestampValue.GetNanos()%1000 == 0
		return value.Timestamp(at), nil
	case *firestorepb.Value_StringValue:
		return value.String(t.StringValue), nil
	case *firestorepb.Value_BytesValue:
		return value.Bytes(t.BytesValue), nil
	case *firestorepb.Value_ReferenceValue:
		return value.Reference(t.ReferenceValue), nil
	case *firestorepb.Value_GeoPointValue:
		return value.GeoPoint(t.GeoPointValue.GetLatitude(), t.GeoPointValue.GetLongitude()), nil
	case *firestorepb.Value_ArrayValue:
		return c.array(t.ArrayValue, depth)
	case *firestorepb.Value_MapValue:
		fields := t.MapValue.GetFields()
		if mark, ok := fields[vectorTypeField]; ok && mark.GetStringValue() == vectorType {
			return toVector(fields)
		}
		return c.fields(fields, depth+1)
	case nil:
		return value.Null(), &fieldError{what: "has no value; null is a value of its own"}
	}
	return value.Null(), &fieldError{what: "holds an expression of a pipeline, which no document can hold"}
}

func (c *toValue) array(a *firestorepb.ArrayValue, depth int) (value.Value, *fieldError) {
	elems := make([]value.Value, len(a.GetValues()))
	for i, e := range a.GetValues() {
		v, bad := c.value(e, depth+1)
		if bad != nil {
			return value.Null(), bad.in("[" + strconv.Itoa(i) + "]")
		}
		elems[i] = v
	}
	return value.Array(elems...), nil
}

// fields converts fields in the order of their names: names are cheaper to
// sort than fields, and of several bad fields it is always the same one that
// the client is told of.
func (c *toValue) fields(m map[string]*firestorepb.Value, depth int) (value.Value, *fieldError) {
	var few [16]string // on the stack
	names := few[:0]
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	fields := make([]value.Field, len(names))
	for i, name := range names {
		v, bad := c.value(m[name], depth)
		if bad != nil {
			return value.Null(), bad.in(fieldName(name))
		}
		fields[i] = value.Field{Name: name, Value: v}
	}
	return value.Map(fields...), nil
}

// toVector reads the map that stands for a vector.
func toVector(fields map[string]*firestorepb.Value) (value.Value, *fieldError) {
	list, ok := fields[vectorValueField].GetValueType().(*firestorepb.Value_ArrayValue)
	if !ok || len(fields) != 2 {
		return value.Null(), &fieldError{what: "is marked as a vector, and so must hold the fields __type__ and value, an array of doubles, and no other"}
	}
	components := make([]float64, len(list.ArrayValue.GetValues()))
	for i, e := range list.ArrayValue.GetValues() {
		d, ok := e.GetValueType().(*firestorepb.Value_DoubleValue)
		if !ok {
			return value.Null(), &fieldError{what: "is a vector whose component " + strconv.Itoa(i) + " is not a double"}
		}
		components[i] = d.DoubleValue
	}
	return value.Vector(components), nil
}

// toTime cuts a timestamp to microseconds. It fails with Invalid outside of
// the years 1 to 9999; the message reads well after "holds".
func toTime(t *timestamppb.Timestamp) (atoll.Time, error) {
	const second = 1_000_000
	s, ns := t.GetSeconds(), t.GetNanos()
	if s < int64(atoll.MinTime/second) || s > int64(atoll.MaxTime/second) || ns < 0 || ns > 999_999_999 {
		return 0, atoll.Errorf(atoll.Invalid, "the timestamp %d s %d ns; the years 1 to 9999 with 0 to 999,999,999 ns are allowed", s, ns)
	}
	return atoll.Time(s*second + int64(ns)/1000), nil
}

// fromTime is the inverse of toTime; the zero time, which means that there is
// none, becomes nil.
func fromTime(t atoll.Time) *timestamppb.Timestamp {
	if t == 0 {
		return nil
	}
	return timestamp(t)
}

func timestamp(t atoll.Time) *timestamppb.Timestamp {
	const second = 1_000_000
	s, us := t/second, t%second
	if us < 0 {
		s, us = s-1, us+second
	}
	return &timestamppb.Timestamp{Seconds: int64(s), Nanos: int32(us) * 1000}
}

// fromFields converts the fields of a document, or of a map.
func fromFields(v value.Value) map[string]*firestorepb.Value {
	m := make(map[string]*firestorepb.Value, v.Len())
	for i := range v.Len() {
		f := v.Field(i)
		m[f.Name] = fromValue(f.Value)
	}
	return m
}

// fromValue converts any value.
func fromValue(v value.Value) *firestorepb.Value {
	switch v.Kind() {
	case value.KindBool:
		return &firestorepb.Value{ValueType: &firestorepb.Value_BooleanValue{BooleanValue: v.Bool()}}
	case value.KindInt:
		return &firestorepb.Value{ValueType: &firestorepb.Value_IntegerValue{IntegerValue: v.Int()}}
	case value.KindDouble:
		return &firestorepb.Value{ValueType: &firestorepb.Value_DoubleValue{DoubleValue: v.Double()}}
	case value.KindTimestamp:
		return &firestorepb.Value{ValueType: &firestorepb.Value_TimestampValue{TimestampValue: timestamp(v.Time())}}
	case value.KindString:
		return &firestorepb.Value{ValueType: &firestorepb.Value_StringValue{StringValue: v.Str()}}
	case value.KindBytes:
		return &firestorepb.Value{ValueType: &firestorepb.Value_BytesValue{BytesValue: v.Bytes()}}
	case value.KindReference:
		return &firestorepb.Value{ValueType: &firestorepb.Value_ReferenceValue{ReferenceValue: v.Str()}}
	case value.KindGeoPoint:
		lat, lng := v.GeoPoint()
		return &firestorepb.Value{ValueType: &firestorepb.Value_GeoPointValue{GeoPointValue: &latlng.LatLng{Latitude: lat, Longitude: lng}}}
	case value.KindArray:
		list := make([]*firestorepb.Value, v.Len())
		for i := range list {
			list[i] = fromValue(v.Elem(i))
		}
		return arrayOf(list)
	case value.KindVector:
		list := make([]*firestorepb.Value, v.Len())
		for i := range list {
			list[i] = &firestorepb.Value{ValueType: &firestorepb.Value_DoubleValue{DoubleValue: v.Component(i)}}
		}
		return mapOf(map[string]*firestorepb.Value{
			vectorTypeField:  {ValueType: &firestorepb.Value_StringValue{StringValue: vectorType}},
			vectorValueField: arrayOf(list),
		})
	case value.KindMap:
		return mapOf(fromFields(v))
	}
	return &firestorepb.Value{ValueType: &firestorepb.Value_NullValue{NullValue: structpb.NullValue_NULL_VALUE}}
}

func arrayOf(list []*firestorepb.Value) *firestorepb.Value {
	return &firestorepb.Value{ValueType: &firestorepb.Value_ArrayValue{ArrayValue: &firestorepb.ArrayValue{Values: list}}}
}

func mapOf(m map[string]*firestorepb.Value) *firestorepb.Value {
	return &firestorepb.Value{ValueType: &firestorepb.Value_MapValue{MapValue: &firestorepb.MapValue{Fields: m}}}
}
