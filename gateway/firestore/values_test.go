package firestore

import (
	"math"
	"strings"
	"testing"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/genproto/googleapis/type/latlng"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"atoll"
	"atoll/program/shard"
	"atoll/value"
)

type (
	pbValue  = firestorepb.Value
	pbFields = map[string]*firestorepb.Value
)

var dev = atoll.Database{Project: "dev", ID: atoll.DefaultDatabase}

func pbInt(i int64) *pbValue {
	return &pbValue{ValueType: &firestorepb.Value_IntegerValue{IntegerValue: i}}
}
func pbDouble(f float64) *pbValue {
	return &pbValue{ValueType: &firestorepb.Value_DoubleValue{DoubleValue: f}}
}
func pbString(s string) *pbValue {
	return &pbValue{ValueType: &firestorepb.Value_StringValue{StringValue: s}}
}
func pbBool(b bool) *pbValue {
	return &pbValue{ValueType: &firestorepb.Value_BooleanValue{BooleanValue: b}}
}
func pbBytes(b string) *pbValue {
	return &pbValue{ValueType: &firestorepb.Value_BytesValue{BytesValue: []byte(b)}}
}
func pbRef(name string) *pbValue {
	return &pbValue{ValueType: &firestorepb.Value_ReferenceValue{ReferenceValue: name}}
}
func pbTime(s int64, ns int32) *pbValue {
	return &pbValue{ValueType: &firestorepb.Value_TimestampValue{TimestampValue: &timestamppb.Timestamp{Seconds: s, Nanos: ns}}}
}
func pbGeo(lat, lng float64) *pbValue {
	return &pbValue{ValueType: &firestorepb.Value_GeoPointValue{GeoPointValue: &latlng.LatLng{Latitude: lat, Longitude: lng}}}
}
func pbNull() *pbValue                  { return fromValue(value.Null()) }
func pbArray(list ...*pbValue) *pbValue { return arrayOf(list) }
func pbMap(m pbFields) *pbValue         { return mapOf(m) }
func pbVector(list ...*pbValue) *pbValue {
	return pbMap(pbFields{"__type__": pbString("__vector__"), "value": pbArray(list...)})
}

func nested(depth int, wrap func(*pbValue) *pbValue) *pbValue {
	v := pbInt(1)
	for range depth {
		v = wrap(v)
	}
	return v
}

func inMap(v *pbValue) *pbValue { return pbMap(pbFields{"m": v}) }

func TestEveryTypeBothWays(t *testing.T) {
	fields := pbFields{
		"null": pbNull(), "yes": pbBool(true), "no": pbBool(false),
		"int": pbInt(math.MinInt64), "big": pbInt(math.MaxInt64),
		"double": pbDouble(1.5), "nan": pbDouble(math.NaN()), "inf": pbDouble(math.Inf(-1)), "negative zero": pbDouble(math.Copysign(0, -1)),
		"time": pbTime(1_700_000_000, 123456000), "first": pbTime(-62135596800, 0), "last": pbTime(253402300799, 999999000), "before 1970": pbTime(-1, 999999000),
		"string": pbString("grüße\x00\U0001F30A"), "empty": pbString(""),
		"bytes": pbBytes("\x00\xff"), "no bytes": pbBytes(""),
		"ref": pbRef("projects/p/databases/d/documents/c/x"), "geo": pbGeo(-90, 180),
		"array": pbArray(pbInt(1), pbString("two"), pbMap(pbFields{"in": pbArray()})), "vector": pbVector(pbDouble(1), pbDouble(-2.5)), "no vector": pbVector(),
		"map": pbMap(pbFields{"": pbInt(1), "a.b": pbInt(2), "`": pbMap(nil)}), "deep": nested(19, inMap),
	}
	doc, same, err := toDocument("c/x", &firestorepb.Document{Fields: fields})
	if err != nil {
		t.Fatal(err)
	}
	if !same {
		t.Error("nothing was cut, but same is false")
	}
	stored, err := value.DecodeDocument(value.Encode(doc))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := pbMap(fromFields(stored)), pbMap(fields); !proto.Equal(got, want) {
		t.Errorf("got back %v\nwant %v", got, want)
	}
	if v, _ := doc.Get("vector"); v.Kind() != value.KindVector || v.Len() != 2 {
		t.Errorf("the vector became %v", v)
	}
}

func TestTimestampsAreCutToMicroseconds(t *testing.T) {
	for _, c := range []struct{ s, ns, wantNs int64 }{{5, 123456999, 123456000}, {-5, 999, 0}, {-1, 999999999, 999999000}} {
		doc, same, err := toDocument("c/x", &firestorepb.Document{Fields: pbFields{"t": pbTime(c.s, int32(c.ns))}})
		if err != nil || same {
			t.Errorf("%d s %d ns: same is %v, %v", c.s, c.ns, same, err)
		}
		got := fromFields(doc)["t"].GetTimestampValue()
		if got.GetSeconds() != c.s || int64(got.GetNanos()) != c.wantNs {
			t.Errorf("%d s %d ns became %v", c.s, c.ns, got)
		}
	}
}

func TestValuesThatAreRefused(t *testing.T) {
	huge := strings.Repeat("x", value.MaxValueSize+1)
	for _, c := range []struct {
		name   string
		fields pbFields
		want   string // part of the message
	}{
		{"array in array", pbFields{"a": pbArray(pbInt(1), pbArray())}, "field a "},
		{"array in array below a map", pbFields{"a": inMap(pbArray(pbArray()))}, "field a.m "},
		{"reference without document", pbFields{"r": pbRef("projects/p/databases/d/documents")}, "field r "},
		{"reference to a collection", pbFields{"r": pbRef("projects/p/databases/d/documents/c")}, "field r "},
		{"reference that is none", pbFields{"r": pbRef("c/x")}, "field r "},
		{"year 0", pbFields{"t": pbTime(-62135596801, 0)}, "field t "},
		{"year 10000", pbFields{"t": inMap(pbTime(253402300800, 0))}, "field t.m "},
		{"negative nanoseconds", pbFields{"t": pbTime(0, -1)}, "field t "},
		{"too many nanoseconds", pbFields{"t": pbTime(0, 1_000_000_000)}, "field t "},
		{"latitude", pbFields{"g": pbGeo(90.1, 0)}, "field g "},
		{"longitude", pbFields{"g": pbGeo(0, -180.1)}, "field g "},
		{"NaN as latitude", pbFields{"g": pbGeo(math.NaN(), 0)}, "field g "},
		{"reserved name", pbFields{"__x__": pbInt(1)}, "__x__"},
		{"reserved name inside", pbFields{"a": pbMap(pbFields{"__x__": pbInt(1)})}, "__x__"},
		{"NUL in a name", pbFields{"a\x00b": pbInt(1)}, "NUL"},
		{"long name", pbFields{strings.Repeat("n", 1501): pbInt(1)}, "1501 bytes"},
		{"no value", pbFields{"a": {}}, "field a has no value"},
		{"no value in an array", pbFields{"a b": pbArray(pbInt(0), nil)}, "field `a b`[1] has no value"},
		{"no value in a map", pbFields{"a": inMap(&pbValue{})}, "field a.m has no value"},
		{"expression", pbFields{"a": {ValueType: &firestorepb.Value_FieldReferenceValue{FieldReferenceValue: "b"}}}, "field a holds an expression"},
		{"21 levels", pbFields{"a": nested(21, inMap)}, "field a.m"},
		{"500 levels", pbFields{"a": nested(500, inMap)}, "field a.m"},
		{"long string", pbFields{"s": pbString(huge)}, "field s "},
		{"long document", pbFields{"s": pbString(huge[:600_000]), "t": pbString(huge[:600_000])}, "1048576"},
		{"vector of integers", pbFields{"v": pbVector(pbInt(1))}, "field v "},
		{"vector with more", pbFields{"v": pbMap(pbFields{"__type__": pbString("__vector__"), "value": pbArray(), "x": pbInt(1)})}, "field v "},
		{"vector without value", pbFields{"v": pbMap(pbFields{"__type__": pbString("__vector__")})}, "field v "},
		{"vector too long", pbFields{"v": fromValue(value.Vector(make([]float64, 2049)))}, "2049"},
		{"unknown special map", pbFields{"v": pbMap(pbFields{"__type__": pbString("__other__")})}, "__type__"},
	} {
		_, _, err := toDocument("c/x", &firestorepb.Document{Fields: c.fields})
		if atoll.KindOf(err) != atoll.Invalid || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %.200v; want an Invalid error with %q", c.name, err, c.want)
		}
	}
	if _, _, err := toDocument("c/x", &firestorepb.Document{Fields: pbFields{"a": nested(20, inMap)}}); err != nil {
		t.Errorf("20 levels: %v", err)
	}
}

// genPB draws a value that documents may hold.
func genPB(depth int, arrays bool) *rapid.Generator[*pbValue] {
	gens := []*rapid.Generator[*pbValue]{
		rapid.Just(pbNull()),
		rapid.Map(rapid.Bool(), pbBool),
		rapid.Map(rapid.Int64(), pbInt),
		rapid.Map(rapid.Float64(), pbDouble),
		rapid.Map(rapid.String(), pbString),
		rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) *pbValue { return pbBytes(string(b)) }),
		rapid.Map(rapid.Int64Range(int64(atoll.MinTime), int64(atoll.MaxTime)), func(us int64) *pbValue { return fromValue(value.Timestamp(atoll.Time(us))) }),
		rapid.Map(rapid.Float64Range(-90, 90), func(f float64) *pbValue { return pbGeo(f, 2*f) }),
		rapid.Map(rapid.StringMatching("[a-z]{1,9}"), func(s string) *pbValue { return pbRef("projects/p/databases/d/documents/c/" + s) }),
		rapid.Map(rapid.SliceOfN(rapid.Float64(), 0, 4), func(fs []float64) *pbValue { return fromValue(value.Vector(fs)) }),
	}
	if depth > 0 {
		gens = append(gens, rapid.Map(genFields(depth-1), pbMap))
		if arrays {
			gens = append(gens, rapid.Map(rapid.SliceOfN(genPB(depth-1, false), 0, 4), func(l []*pbValue) *pbValue { return pbArray(l...) }))
		}
	}
	return rapid.OneOf(gens...)
}

func genFields(depth int) *rapid.Generator[pbFields] {
	return rapid.MapOfN(rapid.StringMatching("[a-zA-Z .`\\\\é]{0,6}"), genPB(depth, true), 0, 5)
}

func TestRandomDocumentsBothWays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fields := genFields(4).Draw(t, "fields")
		doc, same, err := toDocument("c/x", &firestorepb.Document{Fields: fields})
		if err != nil {
			t.Fatal(err)
		}
		got := pbMap(fromFields(doc))
		if same != proto.Equal(got, pbMap(fields)) {
			t.Fatalf("same is %v, got back %v of %v", same, got, fields)
		}
		if !same {
			t.Fatalf("values were cut: %v", fields)
		}
		again, _, err := toDocument("c/x", &firestorepb.Document{Fields: got.GetMapValue().GetFields()})
		if err != nil || !value.Identical(doc, again) {
			t.Fatalf("%v became %v, %v", doc, again, err)
		}
	})
}

func FuzzToDocument(f *testing.F) {
	for _, fields := range []pbFields{
		{"a": pbInt(1), "b": pbArray(pbString("x"), pbMap(pbFields{"t": pbTime(1, 2)}))},
		{"v": pbVector(pbDouble(1)), "g": pbGeo(1, 2), "r": pbRef("projects/p/databases/d/documents/c/x"), "y": pbBytes("z")},
		{"n": nested(25, inMap)},
	} {
		b, err := proto.Marshal(&firestorepb.Document{Name: "n", Fields: fields})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var in firestorepb.Document
		if proto.Unmarshal(b, &in) != nil {
			return
		}
		doc, _, err := toDocument("c/x", &firestorepb.Document{Fields: in.GetFields()})
		if err != nil {
			if atoll.KindOf(err) != atoll.Invalid {
				t.Fatalf("%v is not Invalid", err)
			}
			return
		}
		stored, err := value.DecodeDocument(value.Encode(doc))
		if err != nil || !value.Identical(stored, doc) {
			t.Fatalf("%v is stored as %v, %v", doc, stored, err)
		}
		again, same, err := toDocument("c/x", &firestorepb.Document{Fields: fromFields(stored)})
		if err != nil || !same || !value.Identical(again, doc) {
			t.Fatalf("%v came back as %v, %v", doc, again, err)
		}
	})
}

// tenFields is an ordinary document.
func tenFields() pbFields {
	return pbFields{
		"title": pbString("A walk along the reef"), "body": pbString(strings.Repeat("lorem ipsum ", 17)), "n": pbInt(42),
		"score": pbDouble(0.75), "draft": pbBool(false), "created": pbTime(1_700_000_000, 123456000), "author": pbRef("projects/p/databases/(default)/documents/users/alice"),
		"tags": pbArray(pbString("sea"), pbString("atoll"), pbString("walk")), "place": pbGeo(-17.5, -149.8),
		"meta": pbMap(pbFields{"lang": pbString("en"), "words": pbInt(34)}),
	}
}

func BenchmarkToBSON(b *testing.B) {
	fields := tenFields()
	b.ReportAllocs()
	for b.Loop() {
		doc, _, err := toDocument("posts/abcdefghij", &firestorepb.Document{Fields: fields})
		if err != nil {
			b.Fatal(err)
		}
		value.Encode(doc)
	}
}

func BenchmarkFromBSON(b *testing.B) {
	doc, _, err := toDocument("posts/abcdefghij", &firestorepb.Document{Fields: tenFields()})
	if err != nil {
		b.Fatal(err)
	}
	stored := value.Encode(doc)
	view := reading{names: namesOf(dev)}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := view.document(&shard.Document{Path: "posts/abcdefghij", Doc: stored}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkUnmarshalRequest(b *testing.B) {
	req, err := proto.Marshal(&firestorepb.Document{Name: "projects/p/databases/(default)/documents/posts/abcdefghij", Fields: tenFields()})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		var d firestorepb.Document
		if err := proto.Unmarshal(req, &d); err != nil {
			b.Fatal(err)
		}
	}
}

// TestRawFieldsAreFields compares documents in wire format with the messages
// that they stand for.
func TestRawFieldsAreFields(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		v, _, err := toDocument("c/x", &firestorepb.Document{Fields: genFields(4).Draw(rt, "fields")})
		if err != nil {
			rt.Fatal(err)
		}
		r := reading{names: namesOf(dev)}
		doc, err := r.document(&shard.Document{Path: "c/x", Doc: value.Encode(v), Created: 5, Updated: 7})
		if err != nil {
			rt.Fatal(err)
		}
		raw, err := proto.Marshal(doc)
		if err != nil {
			rt.Fatal(err)
		}
		var got firestorepb.Document
		if err := proto.Unmarshal(raw, &got); err != nil {
			rt.Fatal(err)
		}
		want := &firestorepb.Document{Name: doc.Name, CreateTime: doc.CreateTime, UpdateTime: doc.UpdateTime, Fields: fromFields(v)}
		if !proto.Equal(&got, want) || len(got.ProtoReflect().GetUnknown()) != 0 {
			rt.Fatalf("got %v\nwant %v", &got, want)
		}
	})
}
