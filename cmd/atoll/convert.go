package main

import (
	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/genproto/googleapis/type/latlng"
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

// toFields converts a document for a request.
func toFields(doc value.Value) map[string]*firestorepb.Value {
	m := make(map[string]*firestorepb.Value, doc.Len())
	for i := range doc.Len() {
		f := doc.Field(i)
		m[f.Name] = toProto(f.Value)
	}
	return m
}

func toProto(v value.Value) *firestorepb.Value {
	switch v.Kind() {
	case value.KindBool:
		return &firestorepb.Value{ValueType: &firestorepb.Value_BooleanValue{BooleanValue: v.Bool()}}
	case value.KindInt:
		return &firestorepb.Value{ValueType: &firestorepb.Value_IntegerValue{IntegerValue: v.Int()}}
	case value.KindDouble:
		return doubleProto(v.Double())
	case value.KindTimestamp:
		return &firestorepb.Value{ValueType: &firestorepb.Value_TimestampValue{TimestampValue: timestamppb.New(v.Time().Std())}}
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
		list := &firestorepb.ArrayValue{}
		for i := range v.Len() {
			list.Values = append(list.Values, toProto(v.Elem(i)))
		}
		return &firestorepb.Value{ValueType: &firestorepb.Value_ArrayValue{ArrayValue: list}}
	case value.KindVector:
		list := &firestorepb.ArrayValue{}
		for _, f := range v.Vector() {
			list.Values = append(list.Values, doubleProto(f))
		}
		return mapProto(map[string]*firestorepb.Value{
			vectorTypeField:  {ValueType: &firestorepb.Value_StringValue{StringValue: vectorType}},
			vectorValueField: {ValueType: &firestorepb.Value_ArrayValue{ArrayValue: list}},
		})
	case value.KindMap:
		return mapProto(toFields(v))
	}
	return &firestorepb.Value{ValueType: &firestorepb.Value_NullValue{}}
}

func doubleProto(f float64) *firestorepb.Value {
	return &firestorepb.Value{ValueType: &firestorepb.Value_DoubleValue{DoubleValue: f}}
}

func mapProto(fields map[string]*firestorepb.Value) *firestorepb.Value {
	return &firestorepb.Value{ValueType: &firestorepb.Value_MapValue{MapValue: &firestorepb.MapValue{Fields: fields}}}
}

// fromFields converts a document of an answer. It trusts the node: what it does
// not know becomes null.
func fromFields(m map[string]*firestorepb.Value) value.Value {
	fields := make([]value.Field, 0, len(m))
	for name, v := range m {
		fields = append(fields, value.Field{Name: name, Value: fromProto(v)})
	}
	return value.Map(fields...)
}

func fromProto(v *firestorepb.Value) value.Value {
	switch t := v.GetValueType().(type) {
	case *firestorepb.Value_BooleanValue:
		return value.Bool(t.BooleanValue)
	case *firestorepb.Value_IntegerValue:
		return value.Int(t.IntegerValue)
	case *firestorepb.Value_DoubleValue:
		return value.Double(t.DoubleValue)
	case *firestorepb.Value_TimestampValue:
		return value.Timestamp(atoll.TimeOf(t.TimestampValue.AsTime()))
	case *firestorepb.Value_StringValue:
		return value.String(t.StringValue)
	case *firestorepb.Value_BytesValue:
		return value.Bytes(t.BytesValue)
	case *firestorepb.Value_ReferenceValue:
		return value.Reference(t.ReferenceValue)
	case *firestorepb.Value_GeoPointValue:
		return value.GeoPoint(t.GeoPointValue.GetLatitude(), t.GeoPointValue.GetLongitude())
	case *firestorepb.Value_ArrayValue:
		var elems []value.Value
		for _, e := range t.ArrayValue.GetValues() {
			elems = append(elems, fromProto(e))
		}
		return value.Array(elems...)
	case *firestorepb.Value_MapValue:
		return fromMap(t.MapValue.GetFields())
	}
	return value.Null()
}

// fromMap converts a map, or the vector that it stands for.
func fromMap(m map[string]*firestorepb.Value) value.Value {
	if m[vectorTypeField].GetStringValue() != vectorType {
		return fromFields(m)
	}
	var list []float64
	for _, e := range m[vectorValueField].GetArrayValue().GetValues() {
		list = append(list, e.GetDoubleValue())
	}
	return value.Vector(list)
}
