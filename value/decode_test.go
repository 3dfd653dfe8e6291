package value

import (
	"bytes"
	"encoding/hex"
	"math"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	"pgregory.net/rapid"

	"atoll"
)

// all holds a field of each kind.
var all = Map(
	field("array", Array(Int(1), String("x"))),
	field("bool", Bool(true)),
	field("bytes", Bytes([]byte{1, 2})),
	field("double", Double(1.5)),
	field("geo", GeoPoint(1, -2)),
	field("int", Int(-7)),
	field("map", Map(field("", Null()), field("a.b", Map()))),
	field("null", Null()),
	field("ref", ref("c/a")),
	field("string", String("é")),
	field("time", Timestamp(1)),
	field("vector", Vector([]float64{1, math.NaN()})),
)

// TestStoredBytes pins the stored form: a change of it is a change of format.
func TestStoredBytes(t *testing.T) {
	want := strings.Join([]string{
		"fa000000", // length
		"04" + "617272617900" + "19000000" + "123000" + "0100000000000000" + "023100" + "02000000" + "7800" + "00",
		"08" + "626f6f6c00" + "01",
		"05" + "627974657300" + "02000000" + "00" + "0102",
		"01" + "646f75626c6500" + "000000000000f83f",
		"05" + "67656f00" + "10000000" + "82" + "000000000000f03f" + "00000000000000c0",
		"12" + "696e7400" + "f9ffffffffffffff",
		"03" + "6d617000" + "11000000" + "0a00" + "03" + "612e6200" + "0500000000" + "00",
		"0a" + "6e756c6c00",
		"05" + "72656600" + "24000000" + "81" + hex.EncodeToString([]byte("projects/p/databases/d/documents/c/a")),
		"02" + "737472696e6700" + "03000000" + "c3a900",
		"05" + "74696d6500" + "08000000" + "80" + "0100000000000000",
		"05" + "766563746f7200" + "10000000" + "83" + "000000000000f03f" + "000000000000f87f",
		"00",
	}, "")
	if got := hex.EncodeToString(Encode(all)); got != want {
		t.Errorf("the stored form is\n%s, not\n%s", got, want)
	}
}

// marshal writes BSON as another implementation does.
func marshal(t *testing.T, fields ...bson.E) []byte {
	t.Helper()
	b, err := bson.Marshal(bson.D(fields))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestDecodeReadsOthersBSON(t *testing.T) {
	b := marshal(t, bson.E{Key: "a", Value: int64(1)}, bson.E{Key: "b", Value: bson.A{"x", nil}}, bson.E{Key: "c", Value: bson.D{{Key: "d", Value: 0.5}}})
	v, err := DecodeDocument(b)
	if want := `{a: 1, b: ["x", null], c: {d: double(0.5)}}`; err != nil || v.String() != want {
		t.Errorf("read %v, %v, not %s", v, err, want)
	}
}

func TestDecodeRefuses(t *testing.T) {
	nan := func(bits uint64) float64 { return math.Float64frombits(bits) }
	binary := func(subtype byte, n int) bson.Binary { return bson.Binary{Subtype: subtype, Data: make([]byte, n)} }
	one := func(v any) []byte { return marshal(t, bson.E{Key: "a", Value: v}) }
	deep := Null()
	for range MaxDepth + 1 {
		deep = Map(field("a", deep))
	}
	whole := Encode(all)
	unnumbered := bytes.Replace(whole, []byte("\x120\x00"), []byte("\x121\x00"), 1)
	notBool := bytes.Replace(whole, []byte("bool\x00\x01"), []byte("bool\x00\x02"), 1)
	noEnd := bytes.Replace(whole, []byte("\xc3\xa9\x00"), []byte("\xc3\xa9\x01"), 1)
	for name, b := range map[string][]byte{
		"nothing":                {},
		"a cut document":         whole[:len(whole)-1],
		"a document without end": append(bytes.Clone(whole[:len(whole)-1]), 1),
		"a document and more":    append(bytes.Clone(whole), 0),
		"fields out of order":    marshal(t, bson.E{Key: "b", Value: nil}, bson.E{Key: "a", Value: nil}),
		"a field twice":          marshal(t, bson.E{Key: "a", Value: nil}, bson.E{Key: "a", Value: nil}),
		"a 32-bit integer":       one(int32(1)),
		"a BSON date":            one(bson.DateTime(1)),
		"a BSON decimal":         one(bson.NewDecimal128(1, 2)),
		"a short timestamp":      one(binary(subtypeTimestamp, 7)),
		"a long geopoint":        one(binary(subtypeGeoPoint, 24)),
		"a vector with a part":   one(binary(subtypeVector, 9)),
		"an unknown subtype":     one(binary(0x84, 8)),
		"another NaN":            one(nan(0x7FF8000000000001)),
		"a name not in UTF-8":    Encode(Map(field("\xff", Null()))),
		"a name with NUL":        Encode(Map(field("a\x00b", Null()))),
		"a string not in UTF-8":  Encode(Map(field("a", String("\xff")))),
		"a string without end":   noEnd,
		"a ref not in UTF-8":     Encode(Map(field("a", Reference("\xff")))),
		"an unnumbered array":    unnumbered,
		"a boolean of 2":         notBool,
		"a map 21 levels down":   Encode(Map(field("a", deep))),
		"an endless vector NaN":  one(bson.Binary{Subtype: subtypeVector, Data: []byte{1, 0, 0, 0, 0, 0, 0xF8, 0x7F}}),
		"a length below minimum": {4, 0, 0, 0, 0},
		"a string of length 0":   {12, 0, 0, 0, 0x02, 'a', 0, 0, 0, 0, 0, 0},
		"a negative length":      {0xFF, 0xFF, 0xFF, 0xFF, 0},
	} {
		if v, err := DecodeDocument(b); atoll.KindOf(err) != atoll.Invalid {
			t.Errorf("%s was read as %v, %v", name, v, err)
		}
		if err := Validate(b); atoll.KindOf(err) != atoll.Invalid {
			t.Errorf("%s was found valid", name)
		}
	}
	if v, err := DecodeDocument(Encode(deep)); err != nil || !Identical(v, deep) {
		t.Errorf("%d levels: %v", MaxDepth, err)
	}
}

func TestDecodeValueRefuses(t *testing.T) {
	for _, b := range [][]byte{nil, {0x7F}, {0x12, 0}, append(EncodeValue(Int(1)), 0), {0x0A, 0}} {
		if v, err := DecodeValue(b); atoll.KindOf(err) != atoll.Invalid {
			t.Errorf("%x was read as %v, %v", b, v, err)
		}
	}
}

// TestLookupFindsWhatDecodingFinds draws paths from the document, and others.
func TestLookupFindsWhatDecodingFinds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		doc := documents().Draw(t, "doc")
		path := fieldPaths().Draw(t, "path")
		want, has := doc.Lookup(path)
		got, ok, err := Doc(Encode(doc)).Lookup(path)
		if err != nil || ok != has || ok && !Identical(got, want) {
			t.Fatalf("%v of %v is %v, %v, %v", path, doc, got, ok, err)
		}
	})
}

func TestLookupReportsBadBytes(t *testing.T) {
	good := Encode(all)
	for name, c := range map[string]struct {
		doc  []byte
		path FieldPath
	}{
		"no path":    {good, nil},
		"no bytes":   {nil, FieldPath{"a"}},
		"tail":       {append(bytes.Clone(good), 0), FieldPath{"array"}},
		"cut":        {good[:len(good)-3], FieldPath{"array"}},
		"bad type":   {bytes.Replace(good, []byte("\x08bool"), []byte("\x7fbool"), 1), FieldPath{"bool"}},
		"bad value":  {bytes.Replace(good, []byte("bool\x00\x01"), []byte("bool\x00\x02"), 1), FieldPath{"bool"}},
		"inner tail": {bytes.Replace(good, []byte("\x11\x00\x00\x00"), []byte("\x10\x00\x00\x00"), 1), FieldPath{"map", "z"}},
	} {
		if v, ok, err := Doc(c.doc).Lookup(c.path); ok || atoll.KindOf(err) != atoll.Invalid {
			t.Errorf("%s: found %v, %v, %v", name, v, ok, err)
		}
	}
}

func FuzzDecodeDocument(f *testing.F) {
	f.Add(Encode(all), "map.`a.b`")
	f.Add(Encode(Map()), "a")
	f.Fuzz(func(t *testing.T, b []byte, text string) {
		path, pathErr := ParseFieldPath(text)
		if pathErr != nil {
			path = FieldPath{"a"}
		}
		found, ok, lookupErr := Doc(b).Lookup(path)
		v, err := DecodeDocument(b)
		if err != nil {
			return
		}
		if again := Encode(v); !bytes.Equal(again, b) {
			t.Fatalf("%x is also written %x", b, again)
		}
		if err := bson.Raw(b).Validate(); err != nil {
			t.Fatalf("%x is not BSON: %v", b, err)
		}
		want, has := v.Lookup(path)
		if lookupErr != nil || ok != has || ok && !Identical(found, want) {
			t.Fatalf("%v is %v, %v, %v", path, found, ok, lookupErr)
		}
	})
}

func FuzzDecodeValue(f *testing.F) {
	f.Add(EncodeValue(all))
	f.Add(EncodeValue(Vector([]float64{1, 2})))
	f.Fuzz(func(t *testing.T, b []byte) {
		if v, err := DecodeValue(b); err == nil && !bytes.Equal(EncodeValue(v), b) {
			t.Fatalf("%x is also written %x", b, EncodeValue(v))
		}
	})
}
