package query

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"atoll"
	"atoll/value"
)

var db = atoll.Database{Project: "p", ID: "d"}

func enc(v value.Value) []byte { return value.EncodeValue(v) }

func is(field string, op Op, v value.Value) Filter {
	return Filter{Op: op, Field: field, Value: enc(v)}
}

func and(parts ...Filter) *Filter { return &Filter{Op: And, Parts: parts} }

func or(parts ...Filter) *Filter { return &Filter{Op: Or, Parts: parts} }

func ptr(f Filter) *Filter { return &f }

func list(n int) value.Value {
	var out []value.Value
	for i := range n {
		out = append(out, value.Int(int64(i)))
	}
	return value.Array(out...)
}

func ref(p atoll.Path) value.Value { return value.ReferenceTo(db, p) }

func orders(q Query) string {
	var s []string
	for _, o := range q.Order {
		if o.Desc {
			s = append(s, "-"+o.Field)
		} else {
			s = append(s, o.Field)
		}
	}
	return strings.Join(s, " ")
}

func TestNormalizeWritesOutTheOrders(t *testing.T) {
	one := value.Int(1)
	for _, c := range []struct {
		where *Filter
		order []Order
		want  string
	}{
		{nil, nil, "__name__"},
		{nil, []Order{{"a", true}}, "-a -__name__"},
		{nil, []Order{{"__name__", true}}, "-__name__"},
		{ptr(is("a", Equal, one)), nil, "__name__"},
		{ptr(is("a", Greater, one)), nil, "a __name__"},
		{ptr(is("a", Greater, one)), []Order{{"a", true}}, "-a -__name__"},
		{ptr(is("a", NotEqual, value.Null())), nil, "a __name__"},
		{ptr(is("a", Equal, value.Null())), nil, "__name__"},
		{ptr(is("a", NotIn, list(2))), []Order{{"b", false}, {"c", true}}, "b -c -a -__name__"},
		{and(is("c", Greater, one), is("a.b", Less, one), is("a", Less, one), is("`a-`", Less, one)), []Order{{"b", true}}, "-b -a -a.b -`a-` -c -__name__"},
		{and(is("__name__", Greater, ref("c/x")), is("b", Less, one)), nil, "b __name__"},
		{or(is("a", Greater, one), is("b", Equal, one)), nil, "a __name__"},
	} {
		q, err := Normalize(Query{Collection: "c", Where: c.where, Order: c.order}, db)
		if err != nil || orders(q) != c.want {
			t.Errorf("%+v by %v: ordered by %q, %v; want %q", c.where, c.order, orders(q), err, c.want)
		}
		again, err := Normalize(q, db)
		if err != nil || !reflect.DeepEqual(again, q) {
			t.Errorf("normalised twice: %+v, %v; want %+v", again, err, q)
		}
	}
}

func TestNormalizeRefuses(t *testing.T) {
	one := value.Int(1)
	in := func(n int, field string) Filter { return is(field, In, list(n)) }
	var eleven, hundred []Filter
	for i := range 100 {
		hundred = append(hundred, is(fmt.Sprint("f", i), Equal, one))
		if i < 11 {
			eleven = append(eleven, is(fmt.Sprint("f", i), Less, one))
		}
	}
	deep := is("a", Equal, one)
	for range maxDepth + 1 {
		deep = *and(deep, is("b", Equal, one))
	}
	nan := value.Double(0).Double()
	nan /= nan
	vec := func(edit func(*Nearest)) Query {
		s := &Nearest{Field: "v", Vector: enc(value.Vector([]float64{1})), Measure: Cosine, Limit: 1}
		edit(s)
		return Query{Nearest: s}
	}
	for _, c := range []struct {
		q    Query
		want string // part of the message
	}{
		{Query{Order: []Order{{"__name__", false}, {"a", false}}}, "more fields after the key"},
		{Query{Order: []Order{{"a", false}, {"a", true}}}, "duplicate fields a"},
		{Query{Order: []Order{{"a..b", false}}}, "needs `backticks`"},
		{Query{Where: and(is("a", NotEqual, one), is("b", NotEqual, one))}, "Only a single 'NOT_EQUAL'"},
		{Query{Where: and(is("a", NotEqual, one), is("b", NotIn, list(2)))}, "Only a single 'NOT_EQUAL'"},
		{Query{Where: and(is("a", NotIn, list(2)), in(2, "b"))}, "'NOT_IN' cannot be used"},
		{Query{Where: or(is("a", NotIn, list(2)), is("b", Equal, one))}, "'NOT_IN' cannot be used"},
		{Query{Where: ptr(is("a", NotIn, list(11)))}, "'NOT_IN' supports up to 10"},
		{Query{Where: ptr(in(31, "a"))}, "'IN' supports up to 30"},
		{Query{Where: ptr(in(0, "a"))}, "non-empty ArrayValue"},
		{Query{Where: ptr(is("a", In, one))}, "non-empty ArrayValue"},
		{Query{Where: and(in(6, "a"), in(6, "b"))}, "too many disjunctions"},
		{Query{Where: and(is("a", ArrayContains, one), is("b", ArrayContains, one))}, "maximum of 1 'ARRAY_CONTAINS'"},
		{Query{Where: and(is("a", ArrayContains, one), is("b", ArrayContainsAny, list(2)))}, "maximum of 1 'ARRAY_CONTAINS'"},
		{Query{Where: and(eleven...)}, "more than 10 properties"},
		{Query{Where: and(hundred...), Order: []Order{{"x", false}}}, "at most 100"},
		{Query{Where: and(is("__name__", Equal, ref("c/x")), is("b", Less, one))}, "Equality on key is not allowed"},
		{Query{Where: ptr(is("__name__", Equal, value.String("x")))}, "must be a Key"},
		{Query{Where: ptr(is("__name__", In, list(1)))}, "must be a Key"},
		{Query{Where: ptr(is("__name__", Greater, ref("x/x")))}, "not in the collection"},
		{Query{Parent: "a/b", Where: ptr(is("__name__", Greater, ref("c/x")))}, "not below the query's parent"},
		{Query{Where: ptr(is("__name__", Greater, value.ReferenceTo(atoll.Database{Project: "p", ID: "e"}, "c/x")))}, "needs a document of projects/p/databases/d"},
		{Query{Where: ptr(Filter{Op: IsNull, Field: "__name__"})}, "cannot be used on __name__"},
		{Query{Where: ptr(is("__name__", ArrayContains, ref("c/x")))}, "cannot be used on __name__"},
		{Query{Where: &deep}, "nested more than"},
		{Query{Where: &Filter{Op: And}}, "at least one filter"},
		{Query{Where: &Filter{Op: 99, Field: "a"}}, "unknown operator"},
		{Query{Where: &Filter{Op: Equal, Field: "a"}}, "cannot be read"},
		{Query{Limit: -1}, "limit is negative"},
		{Query{Offset: -1}, "offset is negative"},
		{Query{Start: &Cursor{Values: [][]byte{enc(ref("c/x")), enc(one)}}}, "too many values"},
		{Query{End: &Cursor{Values: [][]byte{enc(one)}}}, "must be a Key"},
		{Query{Parent: "a"}, "is no document"},
		{Query{Collection: "c/d"}, "has a slash"},
		{Query{Collection: "__x__"}, "reserved"},
		{Query{Select: []string{"a"}}, "selects none"},
		{vec(func(s *Nearest) { s.Limit = 1001 }), "between 1 and 1000"},
		{vec(func(s *Nearest) { s.Vector = enc(one) }), "must be a vector"},
		{vec(func(s *Nearest) { s.Measure = 0 }), "distance measure"},
		{vec(func(s *Nearest) { s.Field = "__name__" }), "not __name__"},
		{vec(func(s *Nearest) { s.Result = "__name__" }), "must not be __name__"},
		{vec(func(s *Nearest) { s.Threshold = &nan }), "no number"},
	} {
		if c.q.Collection == "" {
			c.q.Collection = "c"
		}
		_, err := Normalize(c.q, db)
		if atoll.KindOf(err) != atoll.Invalid || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got %v; want %q", c.q, err, c.want)
		}
	}
	for _, q := range []Query{{Order: []Order{{"a", false}}}, {Where: ptr(is("a", Equal, one))}} {
		if _, err := Normalize(q, db); err == nil || !strings.Contains(err.Error(), "over all collections") {
			t.Errorf("%+v over all collections: got %v", q, err)
		}
	}
}

// Google's clients for servers delete a collection and all below it by a range
// of names with NUL, which no document has.
func TestNormalizeAcceptsBoundsThatNoDocumentHas(t *testing.T) {
	q := Query{Where: and(is("__name__", GreaterOrEqual, ref("c/\x00")), is("__name__", Less, ref("c\x00/\x00")))}
	if _, err := Normalize(q, db); err != nil {
		t.Error(err)
	}
}

func TestDNF(t *testing.T) {
	one, two := value.Int(1), value.Int(2)
	a, b, c, d := is("a", Equal, one), is("b", Equal, one), is("c", Equal, one), is("d", Equal, one)
	for _, x := range []struct {
		f    *Filter
		want [][]Filter
	}{
		{nil, [][]Filter{{}}},
		{&a, [][]Filter{{a}}},
		{and(a, b, a), [][]Filter{{a, b}}},
		{or(a, b, a), [][]Filter{{a}, {b}}},
		{and(*or(a, b), *or(c, d)), [][]Filter{{a, c}, {a, d}, {b, c}, {b, d}}},
		{or(*and(a, b), a), [][]Filter{{a}}},
		{ptr(is("a", In, value.Array(one, value.Null(), two, value.Double(1)))), [][]Filter{{a}, {is("a", Equal, two)}}},
		{ptr(is("a", In, value.Array(value.Null()))), nil},
		{and(b, is("a", ArrayContainsAny, value.Array(one, two))), [][]Filter{{b, is("a", ArrayContains, one)}, {b, is("a", ArrayContains, two)}}},
	} {
		if got, err := DNF(x.f); err != nil || !reflect.DeepEqual(got, x.want) {
			t.Errorf("%+v: got %+v, %v; want %+v", x.f, got, err, x.want)
		}
	}
}
