package value

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"atoll"
)

func ref(path string) Value { return Reference("projects/p/databases/d/documents/" + path) }

func field(name string, v Value) Field { return Field{name, v} }

// ascending lists values in Firestore's order; those of one row are equal.
var ascending = [][]Value{
	{Null(), {}},
	{Bool(false)},
	{Bool(true)},
	{Double(math.NaN()), Double(math.Float64frombits(0xFFF8000000000123))},
	{Double(math.Inf(-1))},
	{Double(-1<<63 - 2048)},
	{Int(math.MinInt64), Double(-1 << 63)},
	{Int(math.MinInt64 + 1)},
	{Int(-1<<53 - 1)},
	{Int(-1 << 53), Double(-1 << 53)},
	{Int(-1), Double(-1)},
	{Double(-0.5)},
	{Double(-math.SmallestNonzeroFloat64)},
	{Int(0), Double(0), Double(math.Copysign(0, -1))},
	{Double(math.SmallestNonzeroFloat64)},
	{Double(0.5)},
	{Int(1), Double(1)},
	{Int(1 << 53), Double(1 << 53)},
	{Int(1<<53 + 1)},
	{Int(1<<53 + 2), Double(1<<53 + 2)},
	{Int(math.MaxInt64)},
	{Double(1 << 63)},
	{Double(math.Inf(1))},
	{Timestamp(atoll.MinTime)},
	{Timestamp(0)},
	{Timestamp(1)},
	{String("")},
	{String("a")},
	{String("a\x00")},
	{String("b")},
	{String("\uffff")}, // by UTF-8: behind it comes what UTF-16 puts before it
	{String("\U00010000")},
	{Bytes(nil)},
	{Bytes([]byte{0})},
	{Bytes([]byte{0xFF})},
	{Reference("projects/__id10__/databases/d/documents/c/a")}, // no document's id, so text
	{Reference("projects/__id7__/databases/d/documents/c/a")},
	{ref("__id10__/a")},
	{ref("__id7__/a")},
	{ref("c/__id-3__")},
	{ref("c/__id7__")},
	{ref("c/__id10__")},
	{ref("c/!")},
	{ref("c/!/s/x")},
	{ref("c/__id")},
	{ref("c/a")},
	{ref("c!/a")},
	{GeoPoint(-1, 5)},
	{GeoPoint(0, -1)},
	{GeoPoint(0, 0), GeoPoint(math.Copysign(0, -1), 0)},
	{Array()},
	{Array(Null())},
	{Array(Int(1)), Array(Double(1))},
	{Array(Int(1), Null())},
	{Array(Int(2))},
	{Vector(nil)},
	{Vector([]float64{9})},
	{Vector([]float64{1, 2})},
	{Vector([]float64{1, 3})},
	{Map()},
	{Map(field("a", Int(1))), Map(field("a", Double(1)))},
	{Map(field("a", Int(1)), field("b", Null()))},
	{Map(field("a", Int(2)))},
	{Map(field("aa", Int(0)))},
	{Map(field("b", Null()))},
}

func TestCompareKnowsFirestoresOrder(t *testing.T) {
	for i, row := range ascending {
		for j, other := range ascending {
			for _, a := range row {
				for _, b := range other {
					want := 0
					if i != j {
						want = 2*btoi(i > j) - 1
					}
					if got := Compare(a, b); got != want {
						t.Errorf("%v and %v compare as %d, not %d", a, b, got, want)
					}
				}
			}
		}
	}
}

func TestCompareIsATotalOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := values(2)
		a, b, c := g.Draw(t, "a"), g.Draw(t, "b"), g.Draw(t, "c")
		if Compare(a, a) != 0 || Compare(a, b) != -Compare(b, a) {
			t.Fatalf("%v and %v compare as %d and %d", a, b, Compare(a, b), Compare(b, a))
		}
		if Compare(a, b) <= 0 && Compare(b, c) <= 0 && Compare(a, c) > 0 {
			t.Fatalf("%v <= %v <= %v, but the first is above the last", a, b, c)
		}
		if Compare(a, b) == 0 && Compare(a, c) != Compare(b, c) {
			t.Fatalf("%v and %v are equal, but not to %v", a, b, c)
		}
	})
}

// TestIdenticalMeansTheSameBytes holds Identical to the stored form.
func TestIdenticalMeansTheSameBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := values(2).Draw(t, "a"), values(2).Draw(t, "b")
		same := string(EncodeValue(a)) == string(EncodeValue(b))
		if Identical(a, b) != same {
			t.Fatalf("%v and %v: identical %v, same bytes %v", a, b, !same, same)
		}
		if same && !Equal(a, b) {
			t.Fatalf("%v and %v are identical and not equal", a, b)
		}
	})
	for _, c := range []struct {
		a, b Value
		want bool
	}{
		{Int(1), Double(1), false},
		{Double(0), Double(math.Copysign(0, -1)), false},
		{Double(math.NaN()), Double(-math.NaN()), true},
		{Vector([]float64{math.NaN()}), Vector([]float64{math.NaN()}), true},
		{String("a"), Bytes([]byte("a")), false},
		{Array(Int(1)), Array(Int(1)), true},
		{Map(field("a", Int(1))), Map(field("a", Double(1))), false},
	} {
		if Identical(c.a, c.b) != c.want {
			t.Errorf("%v and %v identical: %v", c.a, c.b, !c.want)
		}
	}
}

func TestMapSortsAndKeepsTheLast(t *testing.T) {
	m := Map(field("b", Int(1)), field("a", Int(2)), field("b", Int(3)))
	if got := m.String(); got != "{a: 2, b: 3}" {
		t.Errorf("the map is %s", got)
	}
}

// TestAccessorsOfOtherKinds: reading a value as what it is not gives zeros.
func TestAccessorsOfOtherKinds(t *testing.T) {
	for _, row := range ascending {
		v := row[0]
		k := v.Kind()
		lat, lng := v.GeoPoint()
		_, got := v.Get("a")
		for what, bad := range map[string]bool{
			"Bool":      k != KindBool && v.Bool(),
			"Int":       k != KindInt && v.Int() != 0,
			"Double":    k != KindDouble && v.Double() != 0,
			"Time":      k != KindTimestamp && v.Time() != 0,
			"Bytes":     k != KindBytes && v.Bytes() != nil,
			"GeoPoint":  k != KindGeoPoint && (lat != 0 || lng != 0),
			"Vector":    k != KindVector && v.Vector() != nil,
			"Get":       k != KindMap && got,
			"IsNumber":  v.IsNumber() != (k == KindInt || k == KindDouble),
			"Len":       k != KindArray && k != KindVector && k != KindMap && v.Len() != 0,
			"Kind name": k.String() == "unknown kind",
		} {
			if bad {
				t.Errorf("%s of %v is not zero", what, v)
			}
		}
	}
}
