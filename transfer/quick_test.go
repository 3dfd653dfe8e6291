package transfer

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"atoll"
	"atoll/gateway/admin/plain"
	"atoll/value"
)

var quickDB = atoll.Database{Project: "p", ID: "d"}

// slowly makes the document of a row as package plain reads it.
func slowly(m *Mapping, s source) (d Document, err error) {
	if m.Into == "" {
		d, err = m.exported(s.row.text)
	} else {
		d.Fields, err = plain.Parse(m.Database, m.Into.Child("x"), s.row.text)
	}
	if err == nil {
		err = m.finish(s, &d)
	}
	return d, err
}

// compare reads a text as a row in all ways, which must not differ. It reports
// whether the quick one had something to say.
func compare(t interface{ Fatalf(string, ...any) }, text string) (quickly bool) {
	q := &quick{db: quickDB}
	for _, m := range []Mapping{{Database: quickDB}, {Database: quickDB, Into: "c"}} {
		s := source{file: "f", row: &Row{Number: 1, Line: 1, text: []byte(text)}, quick: q}
		want, wantErr := slowly(&m, s)
		got, _, err := m.document(s)
		if fmt.Sprint(err) != fmt.Sprint(wantErr) {
			t.Fatalf("%q: %v, want %v", text, err, wantErr)
		}
		if err == nil && (got.Path != want.Path || !value.Identical(got.Fields, want.Fields)) {
			t.Fatalf("%q: %s %v, want %s %v", text, got.Path, got.Fields, want.Path, want.Fields)
		}
	}
	v, ok := q.value(text)
	if !ok {
		return false
	}
	want, err := plain.ParseValue(quickDB, []byte(text))
	if err != nil || !value.Identical(v, want) {
		t.Fatalf("%q: %v, want %v, %v", text, v, want, err)
	}
	return true
}

var quickTexts = []string{
	``, ` `, `{`, `}`, `{}`, ` { } `, `[]`, `{"a":1}`, `{"a":1,}`, `{"a":1}x`, `{"a":1} `, `{"a":1,"a":2}`, `{a:1}`, `{"a" : 1 , "b" : [ 1 , 2 ] }`,
	`{"a":-0,"b":0,"c":00,"d":1}`, `{"a":01}`, `{"a":-}`, `{"a":1.}`, `{"a":.1}`, `{"a":1e}`, `{"a":1E+5,"b":1e-5,"c":-1.50}`, `{"a":1e999}`,
	`{"a":9223372036854775807,"b":-9223372036854775808,"c":9223372036854775808}`, `{"a":tru}`, `{"a":true,"b":false,"c":null}`, `{"a":nul}`, `{"a":truex}`,
	`{"a":"\u00e9\n\t\"\\\/\b\f\r"}`, `{"a":"\ud83d\ude00"}`, `{"a":"\ud83d"}`, `{"a":"\u12"}`, `{"a":"\x"}`, `{"a":"\`, "{\"a\":\"\n\"}", "{\"a\":\"\\n\n\"}", "{\"a\":\"\xff\"}", "{\"a\":\"\\n\xff\"}", "{\"\xff\":1}",
	`{"a":{"$timestamp":"2026-01-01T00:00:00Z"}}`, `{"a":{"$map":{"$map":{"$double":1}}}}`, `{"$map":1}`, `{"a":{"$x":1}}`, `{"a":[{"$bytes":"aGk="}]}`, `{"a":{"$reference":"c/d"}}`,
	`{"a":{"$geopoint":[91,0]}}`, `{"":1}`, `{"__a__":1}`, `{"a":{"b":{"":1}}}`, "\ufeff{}", `{"a":1` + "\x00" + `}`,
	`{"path":"c/d","document":{"a":1}}`, `{"document":{"a":1},"path":"c/d"}`, `{"path":"c/d","document":{}}`, `{"path":"c/d","document":null}`, `{"path":"c","document":{}}`, `{"path":"","document":{}}`,
	`{"path":"c/d","document":{},"x":1}`, `{"path":"c/d","path":"c/e","document":{}}`, `{"path":"c/d","document":{},"document":{"a":1}}`, `{"Path":"c/d","document":{}}`, `{"path":"c/d"}`, `{"path":1,"document":{}}`, `{"path":"c/d","document":{"$bytes":"x"}}`,
	`{"path":"c/d","document":{"a":1}}}`, `{"path":"c/\ud83d","document":{}}`,
	strings.Repeat(`{"a":`, 19) + `1` + strings.Repeat(`}`, 19), strings.Repeat(`{"a":`, 20) + `1` + strings.Repeat(`}`, 20), strings.Repeat(`{"a":`, 21) + `1` + strings.Repeat(`}`, 21), strings.Repeat(`{"a":`, 22) + `1` + strings.Repeat(`}`, 22),
	`{"a":` + strings.Repeat(`[`, 25) + strings.Repeat(`]`, 25) + `}`, `{"a":` + strings.Repeat(`{"$map":`, 30) + `{}` + strings.Repeat(`}`, 30) + `}`,
	`"x"`, `5`, `true`, `{"path":"c/d","document":{"a":"` + strings.Repeat("x", value.MaxValueSize+1) + `"}}`,
}

func TestQuickReadsAsPlainDoes(t *testing.T) {
	for _, text := range quickTexts {
		compare(t, text)
	}
}

// TestQuickReadsWhatIsWritten makes sure that what exports hold is not left to
// the slow way.
func TestQuickReadsWhatIsWritten(t *testing.T) {
	scalar := rapid.OneOf(rapid.Map(rapid.Int64(), value.Int), rapid.Map(rapid.String(), value.String), rapid.Map(rapid.Float64(), value.Double),
		rapid.Map(rapid.Bool(), value.Bool), rapid.Just(value.Null()), rapid.Map(rapid.SliceOf(rapid.Byte()), value.Bytes), rapid.Just(value.GeoPoint(1, 2)))
	list := rapid.Map(rapid.SliceOf(scalar), func(l []value.Value) value.Value { return value.Array(l...) })
	rapid.Check(t, func(t *rapid.T) {
		var fields []value.Field
		for i, v := range rapid.SliceOf(rapid.OneOf(scalar, list)).Draw(t, "values") {
			fields = append(fields, value.Field{Name: fmt.Sprint("f", i), Value: v})
		}
		text := string(plain.Document(nil, value.Map(fields...)))
		if !compare(t, text) {
			t.Fatalf("%q is read slowly", text)
		}
	})
}

func FuzzQuick(f *testing.F) {
	for _, text := range quickTexts {
		if len(text) < 1000 {
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, text string) { compare(t, text) })
}
