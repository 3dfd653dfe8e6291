package query

import (
	"math"
	"reflect"
	"slices"
	"sort"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"atoll"
	"atoll/value"
)

// What follows says once more what a query means, from Firestore's guide and
// reference, on plain maps and the query as the client sent it. Only the order
// of values is taken from package value.

// plain is a document for the naive query.
type plain struct {
	path   string
	fields map[string]value.Value // by path
}

func (p plain) get(field string) (value.Value, bool) {
	if field == "__name__" {
		return ref(atoll.Path(p.path)), true
	}
	v, ok := p.fields[field]
	return v, ok
}

func (p plain) document() Document {
	doc := value.Map()
	for field, v := range p.fields {
		path, _ := value.ParseFieldPath(field)
		doc = value.SetPath(doc, path, v)
	}
	return Document{Path: atoll.Path(p.path), Doc: value.Encode(doc)}
}

func isNull(v value.Value) bool { return v.Kind() == value.KindNull }

func decoded(b []byte) value.Value {
	v, err := value.DecodeValue(b)
	if err != nil {
		panic(err)
	}
	return v
}

func class(v value.Value) value.Kind {
	if v.Kind() == value.KindDouble {
		return value.KindInt
	}
	return v.Kind()
}

func naiveMatch(f *Filter, p plain) bool {
	switch f.Op {
	case And:
		for i := range f.Parts {
			if !naiveMatch(&f.Parts[i], p) {
				return false
			}
		}
		return true
	case Or:
		for i := range f.Parts {
			if naiveMatch(&f.Parts[i], p) {
				return true
			}
		}
		return false
	}
	v, ok := p.get(f.Field)
	if !ok {
		return false
	}
	switch f.Op {
	case IsNull:
		return isNull(v)
	case IsNotNull:
		return !isNull(v)
	case IsNaN:
		return v.IsNaN()
	case IsNotNaN:
		return !v.IsNaN() && !isNull(v)
	}
	w := decoded(f.Value)
	c := value.Compare(v, w)
	ranged := class(v) == class(w) && v.IsNaN() == w.IsNaN()
	switch f.Op {
	case Equal:
		return c == 0
	case NotEqual:
		return c != 0 && !isNull(v)
	case Less:
		return ranged && c < 0
	case LessOrEqual:
		return ranged && c <= 0
	case Greater:
		return ranged && c > 0
	case GreaterOrEqual:
		return ranged && c >= 0
	case In:
		return naiveIn(w, v)
	case ArrayContains:
		for i := range v.Len() {
			if v.Kind() == value.KindArray && value.Compare(v.Elem(i), w) == 0 {
				return true
			}
		}
		return false
	case ArrayContainsAny:
		for i := range v.Len() {
			if v.Kind() == value.KindArray && naiveIn(w, v.Elem(i)) {
				return true
			}
		}
		return false
	case NotIn:
		if isNull(v) {
			return false
		}
		for i := range w.Len() {
			if isNull(w.Elem(i)) || value.Compare(w.Elem(i), v) == 0 {
				return false
			}
		}
		return true
	}
	panic(f.Op)
}

// naiveIn: neither null nor NaN is in any list.
func naiveIn(list, v value.Value) bool {
	if isNull(v) || v.IsNaN() {
		return false
	}
	for i := range list.Len() {
		if value.Compare(list.Elem(i), v) == 0 {
			return true
		}
	}
	return false
}

// naiveOrders: those given; each field with an inequality, by name; the name.
func naiveOrders(q Query) []Order {
	fields := map[string]bool{}
	var walk func(f *Filter)
	walk = func(f *Filter) {
		for i := range f.Parts {
			walk(&f.Parts[i])
		}
		switch f.Op {
		case Less, LessOrEqual, Greater, GreaterOrEqual, NotEqual, NotIn, IsNotNaN, IsNotNull:
			fields[f.Field] = true
		}
	}
	if q.Where != nil {
		walk(q.Where)
	}
	out := slices.Clone(q.Order)
	desc := false
	for _, o := range out {
		desc = o.Desc
		if o.Field == "__name__" {
			return out
		}
		delete(fields, o.Field)
	}
	delete(fields, "__name__")
	var names []string
	for f := range fields {
		names = append(names, f)
	}
	sort.Strings(names) // the fields here sort alike by path and by text
	for _, f := range names {
		out = append(out, Order{f, desc})
	}
	return append(out, Order{"__name__", desc})
}

func naiveCompare(orders []Order, a, b func(i int) value.Value, n int) int {
	for i, o := range orders[:n] {
		if c := value.Compare(a(i), b(i)); c != 0 {
			if o.Desc {
				return -c
			}
			return c
		}
	}
	return 0
}

// naive returns the paths of the result, before offset and limit.
func naive(q Query, docs []plain) []string {
	orders := naiveOrders(q)
	at := func(p plain) func(int) value.Value {
		return func(i int) value.Value { v, _ := p.get(orders[i].Field); return v }
	}
	var found []plain
next:
	for _, p := range docs {
		within := strings.HasPrefix(p.path, string(q.Parent)+"/") || q.Parent == ""
		ids := strings.Split(p.path, "/")
		if q.Collection != "" {
			within = within && ids[len(ids)-2] == q.Collection
			if !q.Descendants {
				within = within && len(ids) == q.Parent.Len()+2
			}
		}
		if !within || q.Where != nil && !naiveMatch(q.Where, p) {
			continue
		}
		for _, o := range orders {
			if _, ok := p.get(o.Field); !ok {
				continue next
			}
		}
		if s := q.Start; s != nil {
			c := naiveCompare(orders, at(p), func(i int) value.Value { return decoded(s.Values[i]) }, len(s.Values))
			if c < 0 || c == 0 && !s.Before {
				continue
			}
		}
		if e := q.End; e != nil {
			c := naiveCompare(orders, at(p), func(i int) value.Value { return decoded(e.Values[i]) }, len(e.Values))
			if c > 0 || c == 0 && e.Before {
				continue
			}
		}
		found = append(found, p)
	}
	sort.Slice(found, func(i, j int) bool { return naiveCompare(orders, at(found[i]), at(found[j]), len(orders)) < 0 })
	var out []string
	for _, p := range found {
		out = append(out, p.path)
	}
	return out
}

var pool = []value.Value{value.Null(), value.Bool(false), value.Int(1), value.Double(1), value.Int(2), value.Double(1.5), value.Double(math.NaN()),
	value.String("x"), value.String("y"), value.Array(value.Int(1), value.String("x")), value.Array(value.Null(), value.Double(math.NaN())),
	value.Array(value.Int(2)), value.Map(value.Field{Name: "k", Value: value.Int(1)}), value.Vector([]float64{1, 2}), value.Timestamp(5)}

var places = []string{"c/a", "c/b", "c/__id7__", "c/__id10__", "d/a", "c/a/c/x", "c/a/d/x", "d/a/c/y"}

var fieldNames = []string{"a", "b", "m.x"}

func queries(t *rapid.T) Query {
	pick := func(label string) value.Value { return rapid.SampledFrom(pool).Draw(t, label) }
	name := func() value.Value { return ref(atoll.Path(rapid.SampledFrom(places).Draw(t, "name"))) }
	operand := func(field string) value.Value {
		if field == "__name__" {
			return name()
		}
		return pick("operand")
	}
	fields := append([]string{"__name__"}, fieldNames...)
	var filter func(depth int) Filter
	filter = func(depth int) Filter {
		op := Op(rapid.IntRange(1, 16).Draw(t, "op"))
		if depth == 0 && op <= Or {
			op += 2
		}
		if op <= Or {
			f := Filter{Op: op}
			for range rapid.IntRange(1, 3).Draw(t, "parts") {
				f.Parts = append(f.Parts, filter(depth-1))
			}
			return f
		}
		f := Filter{Op: op, Field: rapid.SampledFrom(append(fields, fieldNames...)).Draw(t, "field")}
		switch {
		case op.unary():
		case op == In || op == NotIn || op == ArrayContainsAny:
			var vs []value.Value
			for range rapid.IntRange(1, 3).Draw(t, "n") {
				vs = append(vs, operand(f.Field))
			}
			for i, v := range vs {
				if v.Kind() == value.KindArray { // a list in a list cannot be sent
					vs[i] = value.Int(1)
				}
			}
			f.Value = enc(value.Array(vs...))
		default:
			f.Value = enc(operand(f.Field))
		}
		return f
	}
	q := Query{Collection: "c", Descendants: rapid.Bool().Draw(t, "group")}
	switch rapid.IntRange(0, 5).Draw(t, "scope") {
	case 0:
		q.Parent = "c/a"
	case 1:
		q.Collection, q.Descendants = "", true
	}
	if rapid.IntRange(0, 4).Draw(t, "filtered") > 0 {
		f := filter(2)
		q.Where = &f
	}
	for range rapid.IntRange(0, 2).Draw(t, "orders") {
		q.Order = append(q.Order, Order{rapid.SampledFrom(fields).Draw(t, "by"), rapid.Bool().Draw(t, "desc")})
	}
	orders := naiveOrders(q)
	cursor := func() *Cursor {
		if rapid.Bool().Draw(t, "no cursor") {
			return nil
		}
		c := &Cursor{Before: rapid.Bool().Draw(t, "before")}
		for i := range rapid.IntRange(0, len(orders)).Draw(t, "values") {
			c.Values = append(c.Values, enc(operand(orders[i].Field)))
		}
		return c
	}
	q.Start, q.End = cursor(), cursor()
	return q
}

// TestAgainstTheNaiveQuery runs random queries over random documents.
func TestAgainstTheNaiveQuery(t *testing.T) {
	valid, results := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		var docs []plain
		for _, path := range places {
			p := plain{path, map[string]value.Value{}}
			for _, f := range fieldNames {
				if rapid.IntRange(0, 3).Draw(t, "has") > 0 {
					p.fields[f] = rapid.SampledFrom(pool).Draw(t, "value")
				}
			}
			docs = append(docs, p)
		}
		given := queries(t)
		q, err := Normalize(given, db)
		if err != nil {
			if atoll.KindOf(err) != atoll.Invalid {
				t.Fatal(err)
			}
			return
		}
		valid++
		want := naive(given, docs)
		results += len(want)
		got := run(t, q, docs)
		if !slices.Equal(got, want) {
			t.Fatalf("found %v; want %v\nasked %+v\nnormalised %+v", got, want, given, q)
		}
	})
	if valid == 0 || results == 0 {
		t.Errorf("%d queries were valid, with %d results in all: the test says nothing", valid, results)
	}
}

// run answers a normalised query by the package, and compares its filter with
// the disjunctive form.
func run(t *rapid.T, q Query, docs []plain) (paths []string) {
	p, err := Prepare(&q)
	if err != nil {
		t.Fatal(err)
	}
	terms, err := DNF(q.Where)
	if err != nil {
		t.Fatal(err)
	}
	var at []Position
	for _, d := range docs {
		doc := d.document()
		matches, err := p.Matches(doc)
		if err != nil {
			t.Fatal(err)
		}
		if some := slices.ContainsFunc(terms, func(term []Filter) bool {
			return naiveMatch(&Filter{Op: And, Parts: term}, d)
		}); q.Where != nil && some != naiveMatch(q.Where, d) {
			t.Fatalf("%+v has the disjunctive form %+v, which says %v of %v", q.Where, terms, some, d)
		}
		pos, ok, err := p.Position(doc)
		if err != nil || matches && !ok {
			t.Fatal(ok, err)
		}
		if matches && p.InBounds(pos) {
			at = append(at, pos)
		}
	}
	slices.SortFunc(at, p.Compare)
	for _, pos := range at {
		name := pos[len(pos)-1]
		if len(q.Order) != len(pos) {
			t.Fatalf("a position of %d values for %d orders", len(pos), len(q.Order))
		}
		_, path, _ := value.ParseReference(name.Str())
		paths = append(paths, string(path))
	}
	return paths
}

// FuzzNormalize feeds queries of any bytes; one that is accepted must be
// accepted again as it is, and be of use.
func FuzzNormalize(f *testing.F) {
	f.Add("c", "a", byte(Equal), enc(value.Int(1)), "b", "v", 0)
	f.Add("", "__name__", byte(In), enc(value.Array(ref("c/x"))), "__name__", "", 3)
	f.Add("c", "`a.b`", byte(IsNull), []byte(nil), "a.b", "x", -1)
	f.Fuzz(func(t *testing.T, collection, field string, op byte, operand []byte, by, sel string, limit int) {
		leaf := Filter{Op: Op(op), Field: field, Value: operand}
		q := Query{Collection: collection, Where: and(leaf, *or(leaf, is("z", Equal, value.Int(1)))), Order: []Order{{by, true}}, Limit: limit,
			Selects: true, Select: []string{sel}, Start: &Cursor{Values: [][]byte{operand}}}
		got, err := Normalize(q, db)
		if err != nil {
			if atoll.KindOf(err) != atoll.Invalid {
				t.Fatal(err)
			}
			return
		}
		again, err := Normalize(got, db)
		if err != nil || !reflect.DeepEqual(again, got) {
			t.Fatalf("%+v normalises to %+v, %v", got, again, err)
		}
		if _, err := Matches(got, doc("c/x")); err != nil {
			t.Fatal(err)
		}
		if _, err := DNF(got.Where); err != nil {
			t.Fatal(err)
		}
	})
}

func TestDistance(t *testing.T) {
	a, b := []float64{3, 4}, []float64{0, 0}
	for _, c := range []struct {
		m    Measure
		a, b []float64
		want float64
	}{
		{Euclidean, a, b, 5}, {Euclidean, a, a, 0}, {DotProduct, a, a, 25}, {Cosine, a, a, 0},
		{Cosine, []float64{1, 0}, []float64{0, 1}, 1}, {Cosine, []float64{1, 0}, []float64{-1, 0}, 2},
		{Cosine, a, b, math.NaN()},
	} {
		if got := Distance(c.m, c.a, c.b); got != c.want && !(math.IsNaN(got) && math.IsNaN(c.want)) {
			t.Errorf("measure %d of %v and %v is %v; want %v", c.m, c.a, c.b, got, c.want)
		}
	}
}

func TestVectorSearch(t *testing.T) {
	one := func(x float64) value.Field { return value.Field{Name: "v", Value: value.Vector([]float64{x})} }
	docs := []Document{doc("c/a", one(1)), doc("c/b", one(3)), doc("c/c", one(2)), doc("c/d", value.Field{Name: "v", Value: value.Vector([]float64{1, 1})}), doc("c/e"), doc("c/f", one(1))}
	two := 2.0
	for _, c := range []struct {
		s    Nearest
		want string
	}{
		{Nearest{Measure: Euclidean}, "a f c b"},
		{Nearest{Measure: Euclidean, Threshold: &two}, "a f c"},
		{Nearest{Measure: DotProduct}, "b c a f"},
		{Nearest{Measure: DotProduct, Threshold: &two}, "b c"},
	} {
		c.s.Field, c.s.Limit, c.s.Vector = "v", 10, enc(value.Vector([]float64{1}))
		if c.s.Measure == Euclidean {
			c.s.Vector = enc(value.Vector([]float64{0}))
		}
		q, err := Normalize(Query{Collection: "c", Nearest: &c.s}, db)
		if err != nil {
			t.Fatal(err)
		}
		var found []Document
		for _, d := range docs {
			if ok, err := Matches(q, d); err != nil {
				t.Fatal(err)
			} else if ok {
				found = append(found, d)
			}
		}
		slices.SortFunc(found, func(a, b Document) int { n, _ := Compare(q, a, b); return n })
		var ids []string
		for _, d := range found {
			ids = append(ids, d.Path.ID())
		}
		if got := strings.Join(ids, " "); got != c.want {
			t.Errorf("%+v finds %q; want %q", c.s, got, c.want)
		}
	}
}
