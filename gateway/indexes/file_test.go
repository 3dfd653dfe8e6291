package indexes

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"atoll"
)

// example has all that the format knows, with comments as firebase-tools
// allows them, and the older form.
const example = `{
  // The newest of a city // with an URL: http://x
  "indexes": [
    {
      "collectionGroup": "shops", "queryScope": "COLLECTION", "apiScope": "ANY_API", "density": "SPARSE_ALL", "multikey": false,
      "fields": [{"fieldPath": "city", "order": "ASCENDING"}, {"fieldPath": "opened", "order": "DESCENDING"}]
    },
    { /* the older
         form */
      "collectionId": "shops",
      "fields": [{"fieldPath": "a//b".b", "mode": "ARRAY_CONTAINS"}, {"fieldPath": "n", "mode": "DESCENDING"}, {"fieldPath": "__name__", "order": "ASCENDING"}]
    }
  ],
  "fieldOverrides": [
    {"collectionGroup": "sessions", "fieldPath": "expires", "ttl": true, "indexes": []},
    {"collectionGroup": "shops", "fieldPath": "*", "indexes": [{"order": "ASCENDING", "queryScope": "COLLECTION_GROUP"}, {"arrayConfig": "CONTAINS"}]}
  ]
}
`

func TestParse(t *testing.T) {
	text := strings.ReplaceAll(example, `"a//b".b"`, "\"`a//b`.b\"")
	got, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	want := File{
		Indexes: []Index{
			{Collection: "shops", Fields: []Field{{Path: "`a//b`.b", Contains: true}, {Path: "n", Desc: true}, {Path: "__name__"}}},
			{Collection: "shops", Fields: []Field{{Path: "city"}, {Path: "opened", Desc: true}, {Path: "__name__", Desc: true}}},
		},
		Overrides: []Override{
			{Collection: "sessions", Field: "expires", TTL: true},
			{Collection: "shops", Field: "*", Modes: []Mode{{Contains: true}, {Group: true}}},
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if again, err := Parse(got.Text()); err != nil || !reflect.DeepEqual(again, got) {
		t.Errorf("printed and read again: %+v, %v\n%s", again, err, got.Text())
	}
	if empty, err := Parse([]byte(`{"indexes": [], "fieldOverrides": null}`)); err != nil || len(empty.Indexes)+len(empty.Overrides) > 0 {
		t.Errorf("an empty file: %+v, %v", empty, err)
	}
}

// TestParseErrors checks that errors name the line, the place and what is wrong.
func TestParseErrors(t *testing.T) {
	two := `[{"fieldPath": "a", "order": "ASCENDING"}, {"fieldPath": "b", "order": "ASCENDING"}]`
	index := func(members string) string { return "{\"indexes\": [\n{" + members + "}]}" }
	override := func(members string) string { return "{\"fieldOverrides\": [\n{" + members + "}]}" }
	for text, want := range map[string][]string{
		``:                               {"line 1", "ends before its last brace"},
		"{\n\"indexes\": [\n":            {"line 3", "ends before its last brace"},
		"{\n\"indexes\": [}\n]}":         {"line 2", "not JSON"},
		"{\n}\n1":                        {"line 3", "follows the closing brace"},
		"{\n/* ":                         {"line 2", "comment that begins here has no end"},
		`[]`:                             {"line 1: must be an object", "a list"},
		"{\n\n\"indices\": []}":          {"line 3, indices: has no meaning here", "indexes, fieldOverrides"},
		`{"indexes": [], "indexes": []}`: {"indexes: is given twice"},
		`{"indexes": {}}`:                {"indexes: must be a list", "an object"},
		`{"indexes": [[]]}`:              {"line 1, indexes[0]: must be an object"},
		strings.Repeat("[", 20) + strings.Repeat("]", 20):                                                                                                                      {"deeper than 16"},
		index(`"fields": ` + two):                                                                                                                                              {"line 2, indexes[0]: ", `"collectionGroup" is missing`},
		index(`"collectionGroup": 7, "fields": ` + two):                                                                                                                        {"indexes[0].collectionGroup: must be a text in quotes, not the number 7"},
		index(`"collectionGroup": "a/b", "fields": ` + two):                                                                                                                    {"is a path; name the collection's own id"},
		index(`"collectionGroup": "__x__", "fields": ` + two):                                                                                                                  {"reserved"},
		index(`"collectionGroup": "c"`):                                                                                                                                        {`"fields" is missing`},
		index(`"collectionGroup": "c", "fields": [{"fieldPath": "a", "order": "ASCENDING"}]`):                                                                                  {"an index of the field a alone is not necessary"},
		index(`"collectionGroup": "c", "queryScope": "GROUP", "fields": ` + two):                                                                                               {"indexes[0].queryScope: must be COLLECTION or COLLECTION_GROUP, not \"GROUP\""},
		index(`"collectionGroup": "c", "density": "DENSE", "fields": ` + two):                                                                                                  {"indexes[0].density: must be SPARSE_ALL"},
		index(`"collectionGroup": "c", "unique": true, "fields": ` + two):                                                                                                      {"indexes[0].unique: ", "Enterprise"},
		index(`"collectionGroup": "c", "fields": [{"fieldPath": "a-b", "order": "ASCENDING"}, {"fieldPath": "b"}]`):                                                            {"indexes[0].fields[1]: needs either"},
		index(`"collectionGroup": "c", "fields": [{"fieldPath": "a-b", "order": "ASCENDING"}]`):                                                                                {"indexes[0]: ", "`backticks`"},
		index(`"collectionGroup": "c", "fields": [{"fieldPath": "a", "order": "ASCENDING", "arrayConfig": "CONTAINS"}]`):                                                       {"fields[0]: needs either"},
		index(`"collectionGroup": "c", "fields": [{"fieldPath": "a", "order": "UP"}]`):                                                                                         {`fields[0].order: must be ASCENDING or DESCENDING, not "UP"`},
		index(`"collectionGroup": "c", "fields": [{"fieldPath": "v", "vectorConfig": {"dimension": 3, "flat": {}}}]`):                                                          {"vectorConfig: ", "findNearest works without"},
		index(`"collectionGroup": "c", "fields": [{"fieldPath": "__name__", "order": "ASCENDING"}, {"fieldPath": "a", "order": "ASCENDING"}]`):                                 {"__name__ can only be the last field"},
		index(`"collectionGroup": "c", "fields": [{"fieldPath": "a", "order": "ASCENDING"}, {"fieldPath": "a", "order": "DESCENDING"}]`):                                       {"the field a stands twice"},
		index(`"collectionGroup": "c", "fields": [{"fieldPath": "a", "arrayConfig": "CONTAINS"}, {"fieldPath": "b", "arrayConfig": "CONTAINS"}]`):                              {"2 array fields"},
		"{\"indexes\": [\n{\"collectionGroup\": \"c\", \"fields\": " + two + "},\n{\"collectionGroup\": \"c\", \"fields\": " + two + "}]}":                                     {"line 3, indexes[1]: the same index"},
		override(`"collectionGroup": "c", "fieldPath": "a"`):                                                                                                                   {`fieldOverrides[0]: lacks "indexes"`},
		override(`"collectionGroup": "c", "indexes": []`):                                                                                                                      {`"fieldPath" is missing`},
		override(`"collectionGroup": "c", "fieldPath": "a", "ttl": "yes", "indexes": []`):                                                                                      {`fieldOverrides[0].ttl: must be true or false, not the text "yes"`},
		override(`"collectionGroup": "c", "fieldPath": "*", "ttl": true, "indexes": []`):                                                                                       {"expire by one field, not by *"},
		override(`"collectionGroup": "c", "fieldPath": "__name__", "indexes": []`):                                                                                             {"always indexed"},
		override(`"collectionGroup": "c", "fieldPath": "a", "indexes": [{"order": "UP"}]`):                                                                                     {"fieldOverrides[0].indexes[0].order"},
		`{"fieldOverrides": [{"collectionGroup": "c", "fieldPath": "a", "indexes": []}, {"collectionGroup": "c", "fieldPath": "a", "indexes": []}]}`:                           {"fieldOverrides[1]: the field a of c has an override already"},
		`{"fieldOverrides": [{"collectionGroup": "c", "fieldPath": "a", "ttl": true, "indexes": []}, {"collectionGroup": "c", "fieldPath": "b", "ttl": true, "indexes": []}]}`: {"documents of c expire by the field a already"},
	} {
		_, err := Parse([]byte(text))
		if atoll.KindOf(err) != atoll.Invalid {
			t.Errorf("%s: %v", text, err)
			continue
		}
		for _, w := range want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s:\ngot  %v\nwant %s", text, err, w)
			}
		}
	}
}

// TestParseLimits holds a file to the limits of a database: at them, and one
// above.
func TestParseLimits(t *testing.T) {
	fields := func(n int) (out []Field) {
		for i := range n {
			out = append(out, Field{Path: fmt.Sprintf("f%d", i)})
		}
		return append(out, Field{Path: "__name__"})
	}
	many := func(n int) (out []Index) {
		for i := range n {
			out = append(out, Index{Collection: fmt.Sprintf("c%03d", i), Fields: fields(2)})
		}
		return out
	}
	overrides := func(n int) (out []Override) {
		for i := range n {
			out = append(out, Override{Collection: "c", Field: fmt.Sprintf("f%03d", i)})
		}
		return out
	}
	for what, f := range map[string]struct{ fits, over File }{
		"indexes":   {File{Indexes: many(MaxIndexes)}, File{Indexes: many(MaxIndexes + 1)}},
		"overrides": {File{Overrides: overrides(MaxOverrides)}, File{Overrides: overrides(MaxOverrides + 1)}},
		"fields":    {File{Indexes: []Index{{Collection: "c", Fields: fields(MaxFields - 1)}}}, File{Indexes: []Index{{Collection: "c", Fields: fields(MaxFields)}}}},
	} {
		got, err := Parse(f.fits.Text())
		if err != nil || len(got.Indexes) != len(f.fits.Indexes) || len(got.Overrides) != len(f.fits.Overrides) {
			t.Errorf("%s at the limit: %v", what, err)
		}
		if c := got.Config(); c.Check() != nil {
			t.Errorf("%s at the limit are refused by the directory: %v", what, c.Check())
		}
		if _, err := Parse(f.over.Text()); atoll.KindOf(err) != atoll.Invalid {
			t.Errorf("%s over the limit: %v", what, err)
		}
	}
	if _, err := Parse(slices.Repeat([]byte(" "), MaxFile+1)); atoll.KindOf(err) != atoll.Invalid {
		t.Errorf("a file over the limit: %v", err)
	}
}

// anyFile draws a file in canonical form.
func anyFile(t *rapid.T) File {
	var f File
	name := rapid.StringMatching("[a-z]{1,2}|`[a/.* \"]{1,3}`|[a-c]\\.[a-c]")
	collection := rapid.SampledFrom([]string{"a", "b", "ü b"})
	for range rapid.IntRange(0, 4).Draw(t, "indexes") {
		x := Index{Collection: collection.Draw(t, "collection"), Group: rapid.Bool().Draw(t, "group")}
		for range rapid.IntRange(2, 4).Draw(t, "fields") {
			x.Fields = append(x.Fields, Field{name.Draw(t, "field"), rapid.Bool().Draw(t, "desc"), false})
		}
		if rapid.Bool().Draw(t, "array") {
			x.Fields[0].Desc, x.Fields[0].Contains = false, true
		}
		if rapid.Bool().Draw(t, "named") {
			x.Fields = append(x.Fields, Field{Path: "__name__", Desc: rapid.Bool().Draw(t, "name desc")})
		}
		if x, err := x.Checked(); err == nil && !slices.ContainsFunc(f.Indexes, x.equal) {
			f.Indexes = append(f.Indexes, x)
		}
	}
	for range rapid.IntRange(0, 4).Draw(t, "overrides") {
		o := Override{Collection: collection.Draw(t, "collection"), Field: name.Draw(t, "field"), TTL: rapid.Bool().Draw(t, "ttl")}
		if rapid.Bool().Draw(t, "every") {
			o.Field, o.TTL = EveryField, false
		}
		o.Modes = rapid.SliceOfN(rapid.SampledFrom(allModes), 0, 6).Draw(t, "modes")
		if o, err := o.Checked(); err == nil && f.clashes(o) == nil {
			f.Overrides = append(f.Overrides, o)
		}
	}
	f.sort()
	return f
}

// TestTextIsParsed prints files and reads them again, and has the directory's
// own check look at what becomes of them.
func TestTextIsParsed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := anyFile(t)
		got, err := Parse(f.Text())
		if err != nil {
			t.Fatalf("%v in\n%s", err, f.Text())
		}
		if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", f) {
			t.Fatalf("got  %+v\nwant %+v", got, f)
		}
		c := f.Config()
		if err := c.Check(); err != nil {
			t.Fatalf("the directory refuses it: %v\n%s", err, f.Text())
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(strings.ReplaceAll(example, `"a//b".b"`, "\"`a//b`.b\"")))
	f.Add([]byte(`{"indexes": [{"collectionGroup": "c", "fields": [{"fieldPath": "a.b", "order": "ASCENDING"}, {"fieldPath": "c", "order": "DESCENDING"}, {"fieldPath": "__name__", "order": "DESCENDING"}]}]}`))
	f.Add([]byte("{\"fieldOverrides\": [{\"collectionGroup\": \"c\", \"fieldPath\": \"`\\\\\\\\`\", \"indexes\": [{\"order\": \"DESCENDING\"}]}]} // \xff"))
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := Parse(text)
		if err != nil {
			if atoll.KindOf(err) != atoll.Invalid {
				t.Fatal(err)
			}
			return
		}
		again, err := Parse(got.Text())
		if err != nil || fmt.Sprintf("%+v", again) != fmt.Sprintf("%+v", got) {
			t.Fatalf("%v\n%+v\n%+v", err, got, again)
		}
		c := got.Config()
		if err := c.Check(); err != nil {
			t.Fatal(err)
		}
	})
}
