package query

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"atoll"
	"atoll/value"
)

// someKeys are often equal, differ in type alone, or cannot be told apart by an
// index.
var someKeys = []value.Value{
	value.Null(), value.Int(1), value.Double(1), value.Int(2), value.Double(0.5), value.String("a"), value.String("b"),
	value.Array(value.Int(1)), value.Array(value.Double(1)), value.Bool(true),
}

// row is a document with some of the fields a, b and n; nil is a field that it
// lacks.
type row map[string]value.Value

func (r row) document(i int) Document {
	var fields []value.Field
	for _, name := range []string{"a", "b", "n"} {
		if v, ok := r[name]; ok {
			fields = append(fields, value.Field{Name: name, Value: v})
		}
	}
	return doc(atoll.Path(fmt.Sprint("c/", i)), fields...)
}

func rows(t *rapid.T) []row {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) row {
		r := row{}
		for _, name := range []string{"a", "b", "n"} {
			if rapid.IntRange(0, 7).Draw(t, "lacks") > 0 {
				r[name] = rapid.SampledFrom(someKeys).Draw(t, name)
			}
		}
		return r
	}), 0, 14).Draw(t, "rows")
}

// naiveGroups says once more what grouping is: every document is compared with
// every other.
func naiveGroups(t *rapid.T, g Grouping, all []row) (out []Group) {
	var members [][]row
next:
	for _, r := range all {
		for _, name := range slices.Concat(g.By, []string{"n"}) {
			if _, ok := r[name]; !ok {
				continue next
			}
		}
		for i, m := range members {
			if !slices.ContainsFunc(g.By, func(name string) bool { return !value.Equal(m[0][name], r[name]) }) {
				members[i] = append(m, r)
				continue next
			}
		}
		members = append(members, []row{r})
	}
	if len(g.By) == 0 && len(members) == 0 {
		members = append(members, nil)
	}
	for _, m := range members {
		var one Group
		for _, name := range g.By {
			// An integer if there is one, and else what has the lowest bytes.
			sorted := slices.SortedFunc(slices.Values(m), func(x, y row) int {
				a, b := x[name], y[name]
				return cmp.Or(cmp.Compare(b2i(b.Kind() == value.KindInt), b2i(a.Kind() == value.KindInt)),
					strings.Compare(string(value.EncodeValue(a)), string(value.EncodeValue(b))))
			})
			one.Key = append(one.Key, sorted[0][name])
		}
		var in []value.Value
		for _, r := range m {
			in = append(in, r["n"])
		}
		one.Figures = total(t, g.Figures, in...)
		out = append(out, one)
	}
	return out
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func sameGroups(a, b []Group) bool {
	return slices.EqualFunc(a, b, func(a, b Group) bool {
		return slices.EqualFunc(a.Key, b.Key, value.Identical) && slices.EqualFunc(a.Figures, b.Figures, value.Identical)
	})
}

// TestGroups compares with the naive way, in any order of the documents and
// however they are spread.
func TestGroups(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := Grouping{By: rapid.SampledFrom([][]string{nil, {"a"}, {"a", "b"}, {"n"}, {"b", "n"}}).Draw(t, "by"),
			Figures: rapid.SliceOfN(rapid.SampledFrom(allFigures), 1, 3).Draw(t, "figures")}
		g.Figures = append(g.Figures, Aggregate{Op: Sum, Field: "n"})
		all := rows(t)
		var order []GroupOrder
		for i := range g.By {
			if rapid.Bool().Draw(t, "by key") {
				order = append(order, GroupOrder{Index: i, Desc: rapid.Bool().Draw(t, "desc")})
			}
		}
		if rapid.Bool().Draw(t, "by figure") {
			order = slices.Insert(order, 0, GroupOrder{Figure: true, Index: rapid.IntRange(0, len(g.Figures)-1).Draw(t, "figure"), Desc: rapid.Bool().Draw(t, "desc")})
		}
		limit := rapid.IntRange(0, 4).Draw(t, "limit")
		want := naiveGroups(t, g, all)
		slices.SortFunc(want, func(x, y Group) int {
			for _, o := range order {
				a, b := x.Key, y.Key
				if o.Figure {
					a, b = x.Figures, y.Figures
				}
				c := value.Compare(a[o.Index], b[o.Index])
				if o.Desc {
					c = -c
				}
				if c != 0 {
					return c
				}
			}
			return slices.CompareFunc(x.Key, y.Key, value.Compare)
		})
		if limit > 0 {
			want = want[:min(limit, len(want))]
		}

		merged := newGroups(t, g)
		shuffled := rapid.Permutation(all).Draw(t, "shuffled")
		cut := rapid.IntRange(0, len(all)).Draw(t, "cut")
		for _, part := range [][]row{shuffled[:cut], shuffled[cut:]} {
			p := newGroups(t, g)
			for i, r := range part {
				p.tellOrAdd(t, r, i)
			}
			if err := merged.Merge(p.Partial()); err != nil {
				t.Fatal(err)
			}
		}
		got, err := merged.Result(order, limit)
		if err != nil || !sameGroups(got, want) {
			t.Fatalf("%+v by %+v, limit %d: %v, %v\nwant %v", g, order, limit, got, err, want)
		}
	})
}

func newGroups(t interface{ Fatal(...any) }, g Grouping) *Groups {
	out, err := NewGroups(g)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// tellOrAdd adds a document as an index tells of it, where that is enough.
func (g *Groups) tellOrAdd(t interface{ Fatal(...any) }, r row, i int) {
	if fields := g.Fields(); len(fields) == 1 && r[fields[0]].Kind() != value.KindArray {
		v, ok := r[fields[0]]
		if !ok {
			return // no entry of that field's index
		}
		if ok, err := g.AddTold(told(v)); ok || err != nil {
			if err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	if err := g.Add(r.document(i)); err != nil {
		t.Fatal(err)
	}
}

// TestGroupsAreLimited checks both limits, one document below and above them.
func TestGroupsAreLimited(t *testing.T) {
	g := newGroups(t, Grouping{By: []string{"a"}, Figures: []Aggregate{{Op: Count}}})
	for i := range int64(MaxGroups) {
		if err := g.Add(row{"a": value.Int(i)}.document(0)); err != nil {
			t.Fatalf("group %d: %v", i, err)
		}
	}
	if err := g.Add(row{"a": value.Int(0)}.document(0)); err != nil || g.Len() != MaxGroups {
		t.Errorf("%d groups, %v", g.Len(), err)
	}
	full := g.Partial()
	err := g.Add(row{"a": value.Int(-1)}.document(0))
	if atoll.KindOf(err) != atoll.ResourceExhausted || !strings.Contains(err.Error(), "more than 10000 groups; narrow the query") {
		t.Errorf("one more: %v", err)
	}
	other := newGroups(t, Grouping{By: []string{"a"}, Figures: []Aggregate{{Op: Count}}})
	other.Add(row{"a": value.Int(-1)}.document(0))
	if err := other.Merge(full); atoll.KindOf(err) != atoll.ResourceExhausted {
		t.Errorf("merged: %v", err)
	}

	big := newGroups(t, Grouping{By: []string{"a"}, Figures: []Aggregate{{Op: Max, Field: "n"}}})
	half := strings.Repeat("x", MaxGroupBytes/4-1000)
	for i := range 3 {
		if err := big.Add(row{"a": value.Int(int64(i)), "n": value.String(half)}.document(0)); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 { // what takes the place of something counts once
		if err := big.Add(row{"a": value.Int(0), "n": value.String(half + "y")}.document(0)); err != nil {
			t.Fatal(err)
		}
	}
	if b := big.Bytes(); b < MaxGroupBytes*3/4-3000 || b > MaxGroupBytes*3/4 {
		t.Errorf("%d bytes", b)
	}
	err = big.Add(row{"a": value.String(half + strings.Repeat("y", 4000)), "n": value.Int(1)}.document(0))
	if atoll.KindOf(err) != atoll.ResourceExhausted || !strings.Contains(err.Error(), "bytes; narrow the query") {
		t.Errorf("too many bytes: %v", err)
	}
}

func TestGroupingIsChecked(t *testing.T) {
	count := []Aggregate{{Op: Count}}
	for _, bad := range []Grouping{
		{By: []string{"a"}}, {By: []string{"a..b"}, Figures: count}, {By: []string{"__name__"}, Figures: count}, {By: []string{"a", "`a`"}, Figures: count},
		{By: []string{"a", "b", "c", "d", "e", "f"}, Figures: count}, {Figures: make([]Aggregate, 6)},
	} {
		if err := bad.Check(); atoll.KindOf(err) != atoll.Invalid {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	g := newGroups(t, Grouping{By: []string{"a"}, Figures: count})
	for _, bad := range [][]GroupOrder{{{Index: 1}}, {{Index: -1}}, {{Figure: true, Index: 1}}, make([]GroupOrder, 3)} {
		if _, err := g.Result(bad, 0); atoll.KindOf(err) != atoll.Invalid {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	if _, err := g.Result(nil, -1); atoll.KindOf(err) != atoll.Invalid {
		t.Errorf("limit -1: %v", err)
	}
	for _, bad := range [][]GroupPartial{{{}}, {{Key: [][]byte{{1}}, Sums: make([]Partial, 1)}}, {{Key: [][]byte{value.EncodeValue(value.Int(1))}}},
		{{Key: [][]byte{value.EncodeValue(value.Int(1))}, Sums: []Partial{{Count: -1}}}}} {
		if err := g.Merge(bad); atoll.KindOf(err) != atoll.Invalid {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}
