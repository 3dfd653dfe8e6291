package value

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"atoll"
)

// Compare returns -1, 0 or 1 as a comes before, with or after b in Firestore's
// total order of values:
//
//	null < boolean < number < timestamp < string < bytes < reference <
//	geopoint < array < vector < map
//
// Integers and doubles are compared exactly, without rounding; NaN equals
// itself and comes first, and -0 equals 0. Strings and bytes compare by their
// bytes. References compare id by id, numeric ids (__id7__) first and as
// numbers. Arrays compare element by element, vectors by dimension and then by
// component, maps by their first different field: its name, then its value.
func Compare(a, b Value) int {
	if a.kind != b.kind {
		if a.IsNumber() && b.IsNumber() {
			if a.kind == KindInt {
				return compareIntDouble(a.Int(), b.Double())
			}
			return -compareIntDouble(b.Int(), a.Double())
		}
		return cmp.Compare(a.kind, b.kind)
	}
	switch a.kind {
	case KindBool:
		return cmp.Compare(a.num, b.num)
	case KindInt, KindTimestamp:
		return cmp.Compare(int64(a.num), int64(b.num))
	case KindDouble:
		return cmp.Compare(a.Double(), b.Double()) // cmp.Compare has NaN first and -0 == 0
	case KindString, KindBytes:
		return strings.Compare(a.str, b.str)
	case KindReference:
		return compareReferences(a.str, b.str)
	case KindGeoPoint:
		return slices.Compare(a.floats(), b.floats())
	case KindArray:
		return slices.CompareFunc(a.elems(), b.elems(), Compare)
	case KindVector:
		if c := cmp.Compare(a.Len(), b.Len()); c != 0 {
			return c
		}
		return slices.Compare(a.floats(), b.floats())
	case KindMap:
		return slices.CompareFunc(a.fields(), b.fields(), compareFields)
	}
	return 0
}

func compareFields(a, b Field) int {
	if c := strings.Compare(a.Name, b.Name); c != 0 {
		return c
	}
	return Compare(a.Value, b.Value)
}

// Equal reports whether a and b are the same to a Firestore query: 1 and 1.0
// are, 0 and -0 are, and NaN and NaN are.
func Equal(a, b Value) bool { return Compare(a, b) == 0 }

// Identical reports whether a and b are the same in type and bits, so that
// replacing one by the other changes nothing. Identical values, and no others,
// have the same stored form.
func Identical(a, b Value) bool {
	if a.kind != b.kind || a.num != b.num || a.str != b.str {
		return false
	}
	if a.tree == b.tree {
		return true
	}
	return slices.EqualFunc(a.floats(), b.floats(), func(x, y float64) bool { return floatBits(x) == floatBits(y) }) &&
		slices.EqualFunc(a.elems(), b.elems(), Identical) &&
		slices.EqualFunc(a.fields(), b.fields(), func(x, y Field) bool { return x.Name == y.Name && Identical(x.Value, y.Value) })
}

// compareIntDouble compares without rounding: an int64 may have no double.
func compareIntDouble(i int64, f float64) int {
	switch {
	case math.IsNaN(f):
		return 1
	case f >= 1<<63:
		return -1
	case f < -1<<63:
		return 1
	}
	whole := int64(f) // towards zero; exact, for f is in range
	if c := cmp.Compare(i, whole); c != 0 {
		return c
	}
	return cmp.Compare(float64(whole), f) // a fraction is left only where whole has a double
}

// The ids of a reference's path begin behind projects/P/databases/D/documents;
// of them the 2nd, 4th, ... are ids of documents.
const firstPathSegment = 5

// IsDocumentSegment reports whether the i-th segment of a reference's name,
// from 0, is the id of a document; only those may be numeric.
func IsDocumentSegment(i int) bool { return i >= firstPathSegment && (i-firstPathSegment)%2 == 1 }

func compareReferences(a, b string) int {
	for i := 0; ; i++ {
		x, restA, moreA := strings.Cut(a, "/")
		y, restB, moreB := strings.Cut(b, "/")
		if x != y {
			return compareIDs(x, y, IsDocumentSegment(i))
		}
		if !moreA || !moreB {
			return cmp.Compare(btoi(moreA), btoi(moreB))
		}
		a, b = restA, restB
	}
}

// compareIDs compares two segments, numerically where they may be numbers.
func compareIDs(a, b string, numeric bool) int {
	if numeric {
		m, okA := atoll.NumericID(a)
		n, okB := atoll.NumericID(b)
		if okA && okB {
			return cmp.Compare(m, n)
		}
		if okA != okB {
			return cmp.Compare(btoi(okB), btoi(okA))
		}
	}
	return strings.Compare(a, b)
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
