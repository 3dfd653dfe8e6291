package value

import (
	"math"
	"slices"

	"atoll"
)

// The functions of this file are Firestore's field transforms
// (google.firestore.v1.DocumentTransform.FieldTransform). old is the field's
// value, or null if there is none: to a transform they are the same.

// Increment returns old plus a number. Two integers make an integer, which
// stays at the largest or smallest int64 instead of overflowing; otherwise the
// sum is a double. If old is no number, the result is the operand. It fails
// with Invalid if the operand is no number.
func Increment(old, by Value) (Value, error) {
	if err := needNumber("increment", by); err != nil {
		return Value{}, err
	}
	switch {
	case !old.IsNumber():
		return by, nil
	case old.kind == KindInt && by.kind == KindInt:
		return Int(addSaturating(old.Int(), by.Int())), nil
	}
	return Double(asDouble(old) + asDouble(by)), nil
}

// Max returns the larger of old and a number, with its type. If they are equal
// (3 and 3.0, 0 and -0), old stays; if either is NaN, the result is. If old is
// no number, the result is the operand. It fails with Invalid if the operand
// is no number.
func Max(old, operand Value) (Value, error) {
	return choose("maximum", old, operand, 1)
}

// Min returns the smaller of old and a number, otherwise like Max.
func Min(old, operand Value) (Value, error) {
	return choose("minimum", old, operand, -1)
}

// choose returns the operand if it lies on the wanted side of old.
func choose(name string, old, operand Value, side int) (Value, error) {
	if err := needNumber(name, operand); err != nil {
		return Value{}, err
	}
	switch {
	case !old.IsNumber():
		return operand, nil
	case old.IsNaN() || operand.IsNaN():
		return Double(math.NaN()), nil
	case Compare(operand, old) == side:
		return operand, nil
	}
	return old, nil
}

// ArrayUnion returns old with those of elems appended, in order, that it does
// not hold yet by Equal; of equal ones among elems only the first. If old is no
// array, it is taken to be empty. It fails with Invalid if elems is no array.
func ArrayUnion(old, elems Value) (Value, error) {
	if err := needArray("appendMissingElements", elems); err != nil {
		return Value{}, err
	}
	set := newIndex(elems.elems())
	missing := make([]bool, elems.Len()) // the first of each equal ones
	for _, i := range set.order {
		missing[i] = true
	}
	for _, e := range old.elems() {
		if i, ok := set.find(e); ok {
			missing[i] = false
		}
	}
	out := slices.Clone(old.elems())
	for i, e := range elems.elems() {
		if missing[i] {
			out = append(out, e)
		}
	}
	return Array(out...), nil
}

// ArrayRemove returns old without the elements that are Equal to one of elems.
// If old is no array, the result is the empty array. It fails with Invalid if
// elems is no array.
func ArrayRemove(old, elems Value) (Value, error) {
	if err := needArray("removeAllFromArray", elems); err != nil {
		return Value{}, err
	}
	set := newIndex(elems.elems())
	out := make([]Value, 0, old.Len())
	for _, e := range old.elems() {
		if _, ok := set.find(e); !ok {
			out = append(out, e)
		}
	}
	return Array(out...), nil
}

// index finds values in a list. It keeps two lists of n and m values from
// taking n*m comparisons.
type index struct {
	values []Value
	order  []int // into values, ascending, the first of each equal ones
}

func newIndex(values []Value) index {
	x := index{values, make([]int, len(values))}
	for i := range x.order {
		x.order[i] = i
	}
	slices.SortStableFunc(x.order, func(i, j int) int { return Compare(values[i], values[j]) })
	x.order = slices.CompactFunc(x.order, func(i, j int) bool { return Equal(values[i], values[j]) })
	return x
}

// find returns the place of the first value that is Equal to v.
func (x index) find(v Value) (i int, ok bool) {
	at, ok := slices.BinarySearchFunc(x.order, v, func(i int, v Value) int { return Compare(x.values[i], v) })
	if !ok {
		return 0, false
	}
	return x.order[at], true
}

func needNumber(transform string, v Value) error {
	if !v.IsNumber() {
		return atoll.Errorf(atoll.Invalid, "the transform %s needs an integer or a double, not a %s", transform, v.kind)
	}
	return nil
}

func needArray(transform string, v Value) error {
	if v.kind != KindArray {
		return atoll.Errorf(atoll.Invalid, "the transform %s needs an array, not a %s", transform, v.kind)
	}
	return nil
}

func asDouble(v Value) float64 {
	if v.kind == KindInt {
		return float64(v.Int())
	}
	return v.Double()
}

func addSaturating(a, b int64) int64 {
	switch {
	case b > 0 && a > math.MaxInt64-b:
		return math.MaxInt64
	case b < 0 && a < math.MinInt64-b:
		return math.MinInt64
	}
	return a + b
}
