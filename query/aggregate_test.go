package query

import (
	"fmt"
	"math"
	"math/big"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"atoll"
	"atoll/value"
)

func doc(p atoll.Path, fields ...value.Field) Document {
	return Document{Path: p, Doc: value.Encode(value.Map(fields...))}
}

var allFigures = []Aggregate{{Op: Sum, Field: "n"}, {Op: Avg, Field: "n"}, {Op: Min, Field: "n"}, {Op: Max, Field: "n"}, {Op: Count}}

func total(t interface{ Fatal(...any) }, figures []Aggregate, values ...value.Value) []value.Value {
	g, err := NewAggregator(figures)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range values {
		if err := g.Add(doc(atoll.Path(fmt.Sprint("c/", i)), value.Field{Name: "n", Value: v})); err != nil {
			t.Fatal(err)
		}
	}
	return g.Result()
}

func TestAggregates(t *testing.T) {
	i, d, null := value.Int, value.Double, value.Null()
	inf, nan := math.Inf(1), math.NaN()
	for _, c := range []struct {
		in       []value.Value
		sum, avg value.Value
		least    value.Value
		greatest value.Value
	}{
		{nil, i(0), null, null, null},
		{[]value.Value{i(1), i(2)}, i(3), d(1.5), i(1), i(2)},
		{[]value.Value{i(1), d(2)}, d(3), d(1.5), i(1), d(2)},
		{[]value.Value{i(math.MaxInt64), i(1)}, d(1 << 63), d(1 << 62), i(1), i(math.MaxInt64)},
		{[]value.Value{i(math.MaxInt64), i(1), i(-1)}, i(math.MaxInt64), d(math.MaxInt64 / 3.0), i(-1), i(math.MaxInt64)},
		{slices.Repeat([]value.Value{d(0.1)}, 10), d(1), d(0.1), d(0.1), d(0.1)}, // naively 0.9999999999999999
		{[]value.Value{d(math.MaxFloat64), d(math.MaxFloat64), d(-math.MaxFloat64)}, d(math.MaxFloat64), d(math.MaxFloat64 / 3), d(-math.MaxFloat64), d(math.MaxFloat64)},
		{[]value.Value{d(math.MaxFloat64), d(math.MaxFloat64)}, d(inf), d(inf), d(math.MaxFloat64), d(math.MaxFloat64)},
		{[]value.Value{d(math.SmallestNonzeroFloat64), d(-1), d(1)}, d(math.SmallestNonzeroFloat64), d(0), d(-1), d(1)},
		{[]value.Value{d(nan), i(1)}, d(nan), d(nan), d(nan), i(1)},
		{[]value.Value{d(inf), i(1)}, d(inf), d(inf), i(1), d(inf)},
		{[]value.Value{d(inf), d(-inf)}, d(nan), d(nan), d(-inf), d(inf)},
		{[]value.Value{value.String("x"), i(4), null, value.Bool(true)}, i(4), d(4), value.Bool(true), value.String("x")},
		{[]value.Value{d(1), i(1)}, d(2), d(1), i(1), i(1)},
		{[]value.Value{i(1), d(1)}, d(2), d(1), i(1), i(1)},
		{[]value.Value{d(math.Copysign(0, -1)), d(0)}, d(0), d(0), d(0), d(0)},
	} {
		got := total(t, allFigures, c.in...)
		for j, want := range []value.Value{c.sum, c.avg, c.least, c.greatest, i(int64(len(c.in)))} {
			if !value.Identical(got[j], want) {
				t.Errorf("figure %d of %v is %v; want %v", allFigures[j].Op, c.in, got[j], want)
			}
		}
	}
}

func TestDocumentsWithoutAFieldCountForNoFigure(t *testing.T) {
	g, err := NewAggregator([]Aggregate{{Op: Count}, {Op: Sum, Field: "a"}, {Op: Sum, Field: "b"}})
	if err != nil {
		t.Fatal(err)
	}
	a, b := value.Field{Name: "a", Value: value.Int(1)}, value.Field{Name: "b", Value: value.Int(10)}
	for _, d := range []Document{doc("c/1", a), doc("c/2", b), doc("c/3", a, b)} {
		if err := g.Add(d); err != nil {
			t.Fatal(err)
		}
	}
	for i, want := range []int64{1, 1, 10} {
		if got := g.Result()[i]; got.Int() != want {
			t.Errorf("figure %d is %v; want %d", i, got, want)
		}
	}
}

func TestCountStopsAtItsBound(t *testing.T) {
	g, err := NewAggregator([]Aggregate{{Op: Count, UpTo: 2}})
	if err != nil {
		t.Fatal(err)
	}
	for n := range 4 {
		if full := g.Full(); full != (n >= 2) {
			t.Errorf("after %d documents: full is %v", n, full)
		}
		g.AddTold(value.Null())
	}
	if got := g.Result()[0].Int(); got != 2 {
		t.Errorf("counted %d", got)
	}
}

func TestCheckAggregates(t *testing.T) {
	for _, bad := range [][]Aggregate{nil, make([]Aggregate, 6), {{Op: 9}}, {{Op: Sum}}, {{Op: Sum, Field: "a..b"}},
		{{Op: Sum, Field: "__name__"}}, {{Op: Count, Field: "a"}}, {{Op: Count, UpTo: -1}}, {{Op: Sum, Field: "a", UpTo: 1}}} {
		if err := CheckAggregates(bad); atoll.KindOf(err) != atoll.Invalid {
			t.Errorf("%+v: got %v", bad, err)
		}
	}
}

func numbers() *rapid.Generator[value.Value] {
	near := []float64{0, 1, -1, 0.1, 1e308, -1e308, math.MaxFloat64, -math.MaxFloat64, math.SmallestNonzeroFloat64, 1 << 53, 1 << 63, 2.2250738585072014e-308, math.Copysign(0, -1)}
	return rapid.OneOf(
		rapid.Map(rapid.Int64(), value.Int),
		rapid.Map(rapid.SampledFrom([]int64{0, 1, -1, math.MaxInt64, math.MinInt64}), value.Int),
		rapid.Map(rapid.Float64(), value.Double),
		rapid.Map(rapid.SampledFrom(near), value.Double))
}

// TestSumIsTheNearestDouble compares with rational numbers, and wants the same
// bits in any order and however the documents are spread.
func TestSumIsTheNearestDouble(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.SliceOfN(numbers(), 1, 12).Draw(t, "values")
		sum, whole := new(big.Rat), true
		for _, v := range in {
			if v.Kind() == value.KindInt {
				sum.Add(sum, new(big.Rat).SetInt64(v.Int()))
			} else {
				sum.Add(sum, new(big.Rat).SetFloat64(v.Double()))
				whole = false
			}
		}
		want, _ := sum.Float64()
		got := total(t, allFigures, in...)
		if got[0].Kind() == value.KindInt {
			if !whole || !sum.IsInt() || !sum.Num().IsInt64() || sum.Num().Int64() != got[0].Int() {
				t.Fatalf("the sum is %v; want %v", got[0], sum)
			}
		} else if got[0].Double() != want || whole && sum.Num().IsInt64() {
			t.Fatalf("the sum is %v; want %v", got[0], want)
		}
		avg := want / float64(len(in))
		if got[1].Double() != avg {
			t.Fatalf("the average is %v; want %v", got[1], avg)
		}
		shuffled := rapid.Permutation(in).Draw(t, "shuffled")
		cut := rapid.IntRange(0, len(in)).Draw(t, "cut")
		merged, err := NewAggregator(allFigures)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range [][]value.Value{shuffled[:cut], shuffled[cut:]} {
			g, _ := NewAggregator(allFigures)
			for _, v := range part {
				if err := g.Add(doc("c/x", value.Field{Name: "n", Value: v})); err != nil {
					t.Fatal(err)
				}
			}
			if err := merged.Merge(g.Partial()); err != nil {
				t.Fatal(err)
			}
		}
		for i, v := range merged.Result() {
			if !value.Identical(v, got[i]) {
				t.Fatalf("figure %d is %v of parts and %v of the whole", i, v, got[i])
			}
		}
	})
}

// told is what an index tells of a value: whole numbers as integers.
func told(v value.Value) value.Value {
	if v.Kind() == value.KindDouble && whole(v.Double()) {
		return value.Int(int64(v.Double()))
	}
	return v
}

// TestTold checks that what an index tells adds up to the same bits, and that
// documents are looked at only where it does not tell enough.
func TestTold(t *testing.T) {
	values := rapid.OneOf(numbers(), rapid.SampledFrom([]value.Value{value.Null(), value.String("x"), value.Bool(true), value.Double(math.NaN()), value.Double(1), value.Int(1), value.Int(2)}))
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.SliceOfN(values, 1, 12).Draw(t, "values")
		figures := rapid.SliceOfN(rapid.SampledFrom(allFigures), 1, 3).Draw(t, "figures")
		g, err := NewAggregator(figures)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range in {
			if g.AddTold(told(v)) {
				continue
			}
			if v.Kind() != value.KindInt && v.Kind() != value.KindDouble {
				t.Fatalf("%v must be looked at", v)
			}
			if err := g.Add(doc("c/x", value.Field{Name: "n", Value: v})); err != nil {
				t.Fatal(err)
			}
		}
		for i, want := range total(t, figures, in...) {
			if got := g.Result()[i]; !value.Identical(got, want) {
				t.Fatalf("figure %+v of %v is %v; want %v", figures[i], in, got, want)
			}
		}
	})
}

func FuzzExact(f *testing.F) {
	for _, v := range []float64{0, 1, -1, math.Inf(1), math.NaN(), math.MaxFloat64, math.SmallestNonzeroFloat64} {
		var x exact
		x.addDouble(v)
		f.Add(x.bytes())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var x exact
		if x.parse(b) != nil {
			return
		}
		if got := x.bytes(); string(got) != string(b) {
			t.Fatalf("%x is written again as %x", b, got)
		}
		x.double()
	})
}
