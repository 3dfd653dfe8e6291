package ask_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"

	"atoll"
	"atoll/ask"
	"atoll/gateway/admin/plain"
	"atoll/query"
	"atoll/value"
)

var (
	db     = atoll.Database{Project: "demo", ID: atoll.DefaultDatabase}
	parser = ask.Parser{Database: db, Collection: "cities"}
)

// show writes a condition with all its parentheses.
func show(t testing.TB, f query.Filter) string {
	t.Helper()
	if f.Op == query.And || f.Op == query.Or {
		var parts []string
		for _, p := range f.Parts {
			parts = append(parts, show(t, p))
		}
		return "(" + strings.Join(parts, " "+f.Op.String()+" ") + ")"
	}
	v, err := value.DecodeValue(f.Value)
	if err != nil {
		t.Fatal(err)
	}
	return f.Field + " " + f.Op.String() + " " + string(plain.Append(nil, v))
}

func TestConditions(t *testing.T) {
	for text, want := range map[string]string{
		`age >= 21`:                             `age GREATER_THAN_OR_EQUAL 21`,
		`age=21`:                                `age EQUAL 21`,
		` a.b<-1.5 `:                            `a.b LESS_THAN -1.5`,
		"`first name` != 'it''s'":               "`first name` NOT_EQUAL \"it's\"",
		"`a\\`b`.c == \"\\u00e9\"":              "`a\\`b`.c EQUAL \"é\"",
		`größe == 1`:                            "",
		`a == 1 and b == 2 or c == 3`:           `((a EQUAL 1 AND b EQUAL 2) OR c EQUAL 3)`,
		`a == 1 AND (b == 2 Or c == 3)`:         `(a EQUAL 1 AND (b EQUAL 2 OR c EQUAL 3))`,
		`((a == 1))`:                            `a EQUAL 1`,
		`a in [1, 'x', null]`:                   `a IN [1,"x",null]`,
		`a not-in [1]`:                          `a NOT_IN [1]`,
		`a array-contains 'x'`:                  `a ARRAY_CONTAINS "x"`,
		`a array-contains-any [1,[2]]`:          `a ARRAY_CONTAINS_ANY [1,[2]]`,
		`a == NaN or a == -Infinity`:            `(a EQUAL {"$double":"NaN"} OR a EQUAL {"$double":"-Infinity"})`,
		`a == TRUE and b == false`:              `(a EQUAL true AND b EQUAL false)`,
		`a > timestamp("2026-10-05")`:           "",
		`a > timestamp('2026-10-05T12:00Z')`:    "",
		`a > timestamp('2026-10-05T12:00:00Z')`: `a GREATER_THAN {"$timestamp":"2026-10-05T12:00:00.000000Z"}`,
		`a == reference("cities/lisbon")`:       `a EQUAL {"$reference":"cities/lisbon"}`,
		`a == bytes("aGk=")`:                    `a EQUAL {"$bytes":"aGk="}`,
		`a == geopoint(38.5, -9)`:               `a EQUAL {"$geopoint":[38.5,-9.0]}`,
		`a == vector(1, 0.5)`:                   `a EQUAL {"$vector":[1.0,0.5]}`,
		`a == {"b": {"$timestamp": "2026-01-01T00:00:00Z"}, "c": "}\"{"}`: `a EQUAL {"b":{"$timestamp":"2026-01-01T00:00:00.000000Z"},"c":"}\"{"}`,
		`__name__ == "lisbon"`:              `__name__ EQUAL {"$reference":"cities/lisbon"}`,
		`__name__ in ["lisbon", "a/b/c/d"]`: `__name__ IN [{"$reference":"cities/lisbon"},{"$reference":"a/b/c/d"}]`,
		"`and` == 1 and `or` == 2":          "(and EQUAL 1 AND or EQUAL 2)",
		"and == 1":                          "and EQUAL 1",
		`order == 1`:                        `order EQUAL 1`,
	} {
		f, err := parser.Condition(text)
		if want == "" {
			if err == nil {
				t.Errorf("%s: got %s", text, show(t, f))
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := strings.ReplaceAll(show(t, f), "projects/demo/databases/(default)/documents/", ""); got != want {
			t.Errorf("%s: got %s; want %s", text, got, want)
		}
	}
}

// TestErrors shows where errors point.
func TestErrors(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{``, "the name of a field was expected, such as age or `first name`\n  \n  ^"},
		{`age ?? 21`, "an operator was expected: == != < <= > >= in not-in array-contains array-contains-any\n  age ?? 21\n      ^"},
		{`kind == func`, "a value was expected: a number, a text in quotes, true, false, null, NaN, a list, or timestamp(\"...\")\n  kind == func\n          ^"},
		{`age >=`, "a value is missing\n  age >=\n        ^"},
		{`(a == 1`, "\"and\", \"or\" or the closing parenthesis was expected\n  (a == 1\n         ^"},
		{`a == 1) or b`, "here stands more; \"and\", \"or\" or the end was expected\n  a == 1) or b\n        ^"},
		{`a in 5`, "a list is needed here, such as [1, 2]\n  a in 5\n       ^"},
		{`a in [1 2]`, "a comma or ] was expected\n  a in [1 2]\n          ^"},
		{`a == 'x`, "the text that begins here does not end\n  a == 'x\n       ^"},
		{`a == "x`, "ends too early\n  a == \"x\n       ^"},
		{`a == 1e999`, "\n  a == 1e999\n       ^"},
		{`a == timestamp(5)`, "timestamp takes one text in quotes\n  a == timestamp(5)\n       ^"},
		{`a == timestamp("now")`, "RFC 3339"},
		{"`é` == '\x1b[1m\u202e' or b..c == 1", "\n  `é` == '·[1m·' or b..c == 1\n                    ^"},
		{`a == 1 and ` + strings.Repeat("b == 1 and ", 20) + "?" + strings.Repeat("x", 50), "\n  …1 and b == 1 and b == 1 and b == 1 and b == 1 and ?xxxxxxxxxxxxxxxxxxxxxxxx…\n"},
		{strings.Repeat("(", 1000), "nested more than 50 deep"},
		{"a == " + strings.Repeat("[", 1000), "nested more than 50 deep"},
		{strings.Repeat("a == 1 or ", 100) + "a == 1", "at most 100 comparisons"},
		{`__name__ == "a/b/c"`, `"a/b/c" is not the path of a document`},
		{"a == {\"b\": \"\xff\"}", "not UTF-8"},
		{"a == '\xff'", "not UTF-8"},
	} {
		_, err := parser.Condition(c.text)
		if atoll.KindOf(err) != atoll.Invalid || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s:\n%v\nwant\n%s", c.text, err, c.want)
		}
	}
}

func TestLists(t *testing.T) {
	orders, err := parser.Orders("age desc, name ASC,`b c`")
	if want := []query.Order{{Field: "age", Desc: true}, {Field: "name"}, {Field: "`b c`"}}; err != nil || !slices.Equal(orders, want) {
		t.Errorf("got %v, %v", orders, err)
	}
	fields, err := parser.Fields("a, b.c")
	if err != nil || !slices.Equal(fields, []string{"a", "b.c"}) {
		t.Errorf("got %v, %v", fields, err)
	}
	values, err := parser.Values(`5, "lisbon"`, orders[:1])
	if err != nil || len(values) != 2 || values[0].Int() != 5 || values[1].Kind() != value.KindReference {
		t.Errorf("got %v, %v", values, err)
	}
	for _, text := range []string{"", "a,", "a up", "a desc b", ",", "a..b"} {
		if _, err := parser.Orders(text); atoll.KindOf(err) != atoll.Invalid {
			t.Errorf("orders %q: %v", text, err)
		}
		if _, err := parser.Fields(text); atoll.KindOf(err) != atoll.Invalid {
			t.Errorf("fields %q: %v", text, err)
		}
		if _, err := parser.Values(text, nil); atoll.KindOf(err) != atoll.Invalid {
			t.Errorf("values %q: %v", text, err)
		}
	}
}

// TestValues writes any simple value as package plain does, and reads it back.
func TestValues(t *testing.T) {
	scalar := rapid.OneOf(
		rapid.Map(rapid.Int64(), value.Int), rapid.Map(rapid.Float64(), value.Double), rapid.Map(rapid.String(), value.String),
		rapid.Map(rapid.Bool(), value.Bool), rapid.Map(rapid.SliceOf(rapid.Byte()), value.Bytes), rapid.Just(value.Null()),
		rapid.Map(rapid.Int64Range(0, int64(atoll.MaxTime)), func(i int64) value.Value { return value.Timestamp(atoll.Time(i)) }),
	)
	rapid.Check(t, func(rt *rapid.T) {
		v := rapid.OneOf(scalar, rapid.Map(rapid.SliceOf(scalar), func(l []value.Value) value.Value { return value.Array(l...) })).Draw(rt, "v")
		f, err := parser.Condition("a == " + string(plain.Append(nil, v)))
		if err != nil {
			rt.Fatal(err)
		}
		if got, err := value.DecodeValue(f.Value); err != nil || !value.Identical(got, v) {
			rt.Fatalf("%v became %v, %v", v, got, err)
		}
		if v.Kind() != value.KindString || strings.ContainsFunc(v.Str(), func(r rune) bool { return r == utf8.RuneError }) {
			return
		}
		single := "'" + strings.ReplaceAll(v.Str(), "'", "''") + "'"
		if f, err = parser.Condition("a == " + single); err != nil {
			rt.Fatalf("%s: %v", strconv.Quote(single), err)
		}
		if got, err := value.DecodeValue(f.Value); err != nil || got.Str() != v.Str() {
			rt.Fatalf("%s became %v, %v", single, got, err)
		}
	})
}

func FuzzCondition(f *testing.F) {
	for _, text := range []string{`age >= 21 and (b in [1, 'x'] or c == null)`, "`a b`.c array-contains-any [timestamp(\"2026-01-01T00:00:00Z\")]",
		`a == {"$geopoint": [1, 2]}`, `__name__ == "x"`, `a not-in [NaN, -Infinity]`, `a == vector(1,2)`, "é \x00"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parser.Condition(text)
		if err != nil {
			msg := atoll.AsError(err).Msg
			if atoll.KindOf(err) != atoll.Invalid || strings.Count(msg, "\n") < 2 || strings.ContainsFunc(msg, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }) {
				t.Fatalf("%q: %q", text, err)
			}
			return
		}
		if _, err := query.Normalize(query.Query{Collection: "c", Where: &c}, db); err != nil && atoll.KindOf(err) != atoll.Invalid {
			t.Fatalf("%q became %+v, which is %v", text, c, err)
		}
	})
}
