package shard

import (
	"bytes"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"atoll/keys"
	"atoll/query"
	"atoll/value"
)

// TestValuesOf holds the sets of encodings that filters stand for against what
// the filters say of each value.
func TestValuesOf(t *testing.T) {
	values := slices.Concat(pool, hard)
	for op := query.Equal; op <= query.IsNotNull; op++ {
		if op == query.In || op == query.ArrayContains || op == query.ArrayContainsAny {
			continue // these are not for ranges of values
		}
		for _, v := range values {
			f := query.Filter{Op: op, Field: "f", Value: value.EncodeValue(v)}
			switch op {
			case query.NotIn:
				v = value.Array(v, value.Int(2))
				f.Value = value.EncodeValue(v)
			case query.IsNull, query.IsNotNull, query.IsNaN, query.IsNotNaN:
				f.Value = nil
			}
			q, err := query.Normalize(query.Query{Collection: "c", Where: &f}, database)
			if err != nil {
				continue
			}
			set := valuesOf(q.Where, v)
			for _, x := range values {
				want, err := query.Matches(q, query.Document{Path: "c/d", Doc: value.Encode(fields("f", x))})
				same(t, err, nil)
				got := slices.ContainsFunc(set, func(s span) bool { return s.contains(encoded(x)) })
				if got != want {
					t.Errorf("%s %s contains %s: %t, want %t", op, v, x, got, want)
				}
			}
		}
	}
}

// TestSpans holds the sets of spans against membership.
func TestSpans(t *testing.T) {
	some := rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 2, 0xfe, 0xff}), 1, 3)
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) span {
			s := span{lo: some.Draw(t, name+" lo"), hi: some.Draw(t, name+" hi")}
			if rapid.Bool().Draw(t, name+" open") {
				s.hi = nil
			}
			return s
		}
		a, b, x := draw("a"), draw("b"), some.Draw(t, "x")
		in := func(set []span) bool { return slices.ContainsFunc(set, func(s span) bool { return s.contains(x) }) }
		if got, want := in(intersect([]span{a}, []span{b})), a.contains(x) && b.contains(x); got != want {
			t.Fatalf("%x in both %x and %x: %t, want %t", x, a, b, got, want)
		}
		if got, want := in(without([]span{a}, b.lo)), a.contains(x) && !bytes.HasPrefix(x, b.lo); got != want {
			t.Fatalf("%x in %x without %x: %t, want %t", x, a, b.lo, got, want)
		}
	})
}

// TestFlip turns spans of encodings over.
func TestFlip(t *testing.T) {
	var encodings [][]byte
	for _, v := range pool {
		encodings = append(encodings, encoded(v))
	}
	bounds := [][]byte{nil}
	for _, e := range encodings {
		bounds = append(bounds, e, keys.After(e))
	}
	for _, lo := range bounds {
		for _, hi := range bounds {
			s := span{lo, hi}
			for _, e := range encodings {
				if s.contains(e) != s.flip().contains(keys.Complement(e)) {
					t.Fatalf("%x in %x, but not turned over", e, s)
				}
			}
		}
	}
}
