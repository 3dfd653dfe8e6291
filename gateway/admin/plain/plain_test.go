package plain_test

import (
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"atoll"
	"atoll/gateway/admin/plain"
	"atoll/value"
)

var db = atoll.Database{Project: "demo", ID: atoll.DefaultDatabase}

func TestParse(t *testing.T) {
	for _, c := range []struct {
		text string
		want value.Value
	}{
		{`null`, value.Null()},
		{`true`, value.Bool(true)},
		{`9223372036854775807`, value.Int(math.MaxInt64)},
		{`-0`, value.Int(0)},
		{`9223372036854775808`, value.Double(1 << 63)},
		{`1.0`, value.Double(1)},
		{`1e3`, value.Double(1000)},
		{`{"$double": 5}`, value.Double(5)},
		{`{"$double": "NaN"}`, value.Double(math.NaN())},
		{`{"$double": "-Infinity"}`, value.Double(math.Inf(-1))},
		{`"a\u00e9<"`, value.String("aé<")},
		{`{"$timestamp": "2026-10-05T14:00:00.1234567+02:00"}`, value.Timestamp(1_791_201_600_123_456)},
		{`{"$timestamp": "1969-12-31T23:59:59Z"}`, value.Timestamp(-1_000_000)},
		{`{"$bytes": "aGk="}`, value.Bytes([]byte("hi"))},
		{`{"$reference": "cities/lisbon"}`, value.ReferenceTo(db, "cities/lisbon")},
		{`{"$reference": "projects/p/databases/d/documents/a/b"}`, value.Reference("projects/p/databases/d/documents/a/b")},
		{`{"$reference": "projects/p"}`, value.ReferenceTo(db, "projects/p")},
		{`{"$geopoint": [38.72, -9]}`, value.GeoPoint(38.72, -9)},
		{`{"$vector": [1, 0.5, {"$double": "NaN"}]}`, value.Vector([]float64{1, 0.5, math.NaN()})},
		{`{"$map": {"$bytes": "x"}}`, value.Map(value.Field{Name: "$bytes", Value: value.String("x")})},
		{`{"$map": {"$map": 1}}`, value.Map(value.Field{Name: "$map", Value: value.Int(1)})},
		{`{"$bytes": "x", "b": 1}`, value.Map(value.Field{Name: "$bytes", Value: value.String("x")}, value.Field{Name: "b", Value: value.Int(1)})},
		{`[1, [true], {}]`, value.Array(value.Int(1), value.Array(value.Bool(true)), value.Map())},
	} {
		got, err := plain.ParseValue(db, []byte(c.text))
		if err != nil || !value.Identical(got, c.want) {
			t.Errorf("%s: got %v, %v; want %v", c.text, got, err, c.want)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for text, want := range map[string]string{
		``:                           "ends too early",
		`{`:                          "ends too early",
		`{"a": {"b": [1,]}}`:         "at byte 15",
		`{"a": {"b": {"$x": 1}}}`:    "field a.b: there is no type $x",
		`{"a": 1} x`:                 "more text",
		`{"a": 1, "a": 2}`:           `a stands there twice`,
		`[1]`:                        "a document is a JSON object",
		`{"a": {"$when": 1}}`:        "no type $when",
		`{"a": {"$timestamp": 5}}`:   "RFC 3339",
		`{"a": {"$timestamp": ""}}`:  "RFC 3339",
		`{"a": {"$bytes": "?"}}`:     "base64",
		`{"a": {"$bytes": 1}}`:       "base64",
		`{"a": {"$geopoint": [1]}}`:  "latitude",
		`{"a": {"$vector": ["x"]}}`:  "list of numbers",
		`{"a": {"$double": "x"}}`:    "NaN",
		`{"a": {"$map": 1}}`:         "takes an object",
		`{"a": {"$reference": "c"}}`: "not the path of a document",
		`{"a": 1e999}`:               "too large",
		"{\"a\": \"\xff\"}":          "not UTF-8",
		`{"__a__": 1}`:               "__a__",
		`{"a": ` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`: "at most 20",
	} {
		_, err := plain.Parse(db, "c/d", []byte(text))
		if atoll.KindOf(err) != atoll.Invalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v; want Invalid with %q", text, err, want)
		}
	}
}

func values() *rapid.Generator[value.Value] {
	names := rapid.OneOf(rapid.SampledFrom([]string{"$map", "$double", "$bytes", "a", "ü", "<&>", "\u2028"}), rapid.StringN(1, 4, -1))
	scalar := rapid.OneOf(
		rapid.Just(value.Null()),
		rapid.Map(rapid.Bool(), value.Bool),
		rapid.Map(rapid.Int64(), value.Int),
		rapid.Map(rapid.Float64(), value.Double),
		rapid.Map(rapid.SampledFrom([]float64{math.NaN(), math.Inf(1), math.Inf(-1), math.Copysign(0, -1), 5e-324, 1e21}), value.Double),
		rapid.Map(rapid.Int64Range(int64(atoll.MinTime), int64(atoll.MaxTime)), func(i int64) value.Value { return value.Timestamp(atoll.Time(i)) }),
		rapid.Map(rapid.String(), value.String),
		rapid.Map(rapid.SliceOf(rapid.Byte()), value.Bytes),
		rapid.Just(value.ReferenceTo(db, "c/d")),
		rapid.Custom(func(t *rapid.T) value.Value {
			return value.GeoPoint(rapid.Float64Range(-90, 90).Draw(t, "lat"), rapid.Float64Range(-180, 180).Draw(t, "lng"))
		}),
		rapid.Map(rapid.SliceOf(rapid.Float64()), value.Vector),
	)
	var at func(depth int) *rapid.Generator[value.Value]
	at = func(depth int) *rapid.Generator[value.Value] {
		if depth == 0 {
			return scalar
		}
		return rapid.OneOf(scalar,
			rapid.Map(rapid.SliceOfN(at(depth-1), 0, 3), func(l []value.Value) value.Value { return value.Array(l...) }),
			rapid.Map(rapid.MapOfN(names, at(depth-1), 0, 3), func(m map[string]value.Value) value.Value {
				var fields []value.Field
				for n, v := range m {
					fields = append(fields, value.Field{Name: n, Value: v})
				}
				return value.Map(fields...)
			}))
	}
	return at(3)
}

// TestRoundTrip writes any value and reads it back, by itself and as the only
// field of a document.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := values().Draw(t, "v")
		text := plain.Append(nil, v)
		got, err := plain.ParseValue(db, text)
		if err != nil || !value.Identical(got, v) {
			t.Fatalf("%s: got %v, %v; want %v", text, got, err, v)
		}
		doc := value.Map(value.Field{Name: rapid.SampledFrom([]string{"$map", "$bytes", "a"}).Draw(t, "name"), Value: v})
		if value.CheckDocument("c/d", doc) != nil {
			return
		}
		text = plain.Document(nil, doc)
		got, err = plain.Parse(db, "c/d", text)
		if err != nil || !value.Identical(got, doc) {
			t.Fatalf("%s: got %v, %v; want %v", text, got, err, doc)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{`{"a": {"$geopoint": [1, 2.5]}}`, `{"$map": {"$map": {"$map": 1}}}`, `{"a": [{"$vector": []}, -0.0, 1e400]}`, `{"a": {"$reference": "c/d"}, "b": {"$timestamp": "2026-01-01T00:00:00Z"}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		doc, err := plain.Parse(db, "c/d", text)
		if err != nil {
			if atoll.KindOf(err) != atoll.Invalid {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		again, err := plain.Parse(db, "c/d", plain.Document(nil, doc))
		if err != nil || !value.Identical(again, doc) {
			t.Fatalf("%q: %v became %v, %v", text, doc, again, err)
		}
	})
}
