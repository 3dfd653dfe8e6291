package value

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"atoll"
)

func TestNumericTransforms(t *testing.T) {
	nan, negZero := Double(math.NaN()), Double(math.Copysign(0, -1))
	big, small := Int(math.MaxInt64), Int(math.MinInt64)
	type transform func(old, operand Value) (Value, error)
	for _, c := range []struct {
		name         string
		do           transform
		old, by, out Value
	}{
		{"increment", Increment, Int(1), Int(2), Int(3)},
		{"increment", Increment, Int(1), Double(2), Double(3)},
		{"increment", Increment, Double(1.5), Int(2), Double(3.5)},
		{"increment", Increment, Double(0.1), Double(0.2), Double(0.30000000000000004)},
		{"increment", Increment, Null(), Int(2), Int(2)},
		{"increment", Increment, String("1"), Double(2), Double(2)},
		{"increment", Increment, big, Int(1), big},
		{"increment", Increment, Int(-1), small, small},
		{"increment", Increment, small, Int(-1), small},
		{"increment", Increment, small, big, Int(-1)},
		{"increment", Increment, big, Double(1), Double(1 << 63)},
		{"increment", Increment, Double(math.Inf(1)), Double(math.Inf(-1)), nan},
		{"increment", Increment, negZero, negZero, negZero},
		{"max", Max, Int(1), Int(2), Int(2)},
		{"max", Max, Int(3), Double(3), Int(3)},
		{"max", Max, Double(3), Int(3), Double(3)},
		{"max", Max, negZero, Int(0), negZero},
		{"max", Max, Int(0), negZero, Int(0)},
		{"max", Max, Int(1<<53 + 1), Double(1 << 53), Int(1<<53 + 1)},
		{"max", Max, nan, Int(1), nan},
		{"max", Max, Int(1), nan, nan},
		{"max", Max, Null(), Int(-5), Int(-5)},
		{"max", Max, String("z"), Int(1), Int(1)},
		{"min", Min, Int(1), Double(0.5), Double(0.5)},
		{"min", Min, Double(3), Int(3), Double(3)},
		{"min", Min, nan, Int(1), nan},
		{"min", Min, Int(1), nan, nan},
		{"min", Min, Null(), nan, nan},
		{"min", Min, Null(), Int(5), Int(5)},
	} {
		if got, err := c.do(c.old, c.by); err != nil || !Identical(got, c.out) {
			t.Errorf("%s of %v and %v is %v, %v, not %v", c.name, c.old, c.by, got, err, c.out)
		}
	}
	for _, do := range []transform{Increment, Max, Min} {
		if got, err := do(Int(1), String("2")); atoll.KindOf(err) != atoll.Invalid {
			t.Errorf("a string as operand gives %v, %v", got, err)
		}
	}
}

func TestArrayTransformExamples(t *testing.T) {
	nan := Double(math.NaN())
	old := Array(Int(1), String("a"), Int(1), nan, Null())
	elems := Array(Double(1), Int(2), Double(2), nan, Null(), String("b"))
	for _, c := range []struct {
		do    func(old, elems Value) (Value, error)
		old   Value
		elems Value
		want  string
	}{
		{ArrayUnion, old, elems, `[1, "a", 1, double(NaN), null, 2, "b"]`},
		{ArrayUnion, Null(), elems, `[double(1), 2, double(NaN), null, "b"]`},
		{ArrayUnion, Int(7), Array(), `[]`},
		{ArrayRemove, old, elems, `["a"]`},
		{ArrayRemove, old, Array(), `[1, "a", 1, double(NaN), null]`},
		{ArrayRemove, String("a"), elems, `[]`},
	} {
		if got, err := c.do(c.old, c.elems); err != nil || got.String() != c.want {
			t.Errorf("%v with %v became %v, %v, not %s", c.old, c.elems, got, err, c.want)
		}
		if got, err := c.do(c.old, Int(1)); atoll.KindOf(err) != atoll.Invalid {
			t.Errorf("a number as operand gives %v, %v", got, err)
		}
	}
}

// TestArrayTransformsAgreeWithPairwiseComparison holds them to the plain
// definition, which compares all pairs.
func TestArrayTransformsAgreeWithPairwiseComparison(t *testing.T) {
	contains := func(list []Value, v Value) bool {
		for _, e := range list {
			if Equal(e, v) {
				return true
			}
		}
		return false
	}
	rapid.Check(t, func(t *rapid.T) {
		lists := rapid.SliceOfN(values(1), 0, 8)
		old, elems := lists.Draw(t, "old"), lists.Draw(t, "elems")
		var union, rest []Value
		union = append(union, old...)
		for _, e := range elems {
			if !contains(union, e) {
				union = append(union, e)
			}
		}
		for _, e := range old {
			if !contains(elems, e) {
				rest = append(rest, e)
			}
		}
		if got, err := ArrayUnion(Array(old...), Array(elems...)); err != nil || !Identical(got, Array(union...)) {
			t.Fatalf("the union of %v and %v is %v, %v", old, elems, got, err)
		}
		if got, err := ArrayRemove(Array(old...), Array(elems...)); err != nil || !Identical(got, Array(rest...)) {
			t.Fatalf("%v without %v is %v, %v", old, elems, got, err)
		}
	})
}
