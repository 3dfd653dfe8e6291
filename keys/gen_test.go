package keys

import (
	"math"

	"pgregory.net/rapid"

	"atoll"
	"atoll/value"
)

// Generators draw from few and neighbouring values, so that pairs are often
// equal or differ late.

var nearInts = []int64{0, 1, -1, 1 << 53, 1<<53 + 1, 1<<53 - 1, -1 << 53, -1<<53 - 1, -1<<53 - 2, 1 << 62, 1<<62 + 1, -1<<62 - 1,
	math.MaxInt64, math.MaxInt64 - 1, math.MaxInt64 - 1023, math.MaxInt64 - 1024, math.MinInt64, math.MinInt64 + 1}

var nearFloats = []float64{0, math.Copysign(0, -1), 1, -1, 0.5, -0.5, math.NaN(), math.Inf(1), math.Inf(-1), 1 << 53, 1<<53 + 2, -1 << 53,
	-1<<53 - 2, 1 << 62, 1 << 63, -1 << 63, -1<<63 - 2048, 1<<63 - 1024, math.MaxFloat64, math.SmallestNonzeroFloat64, -math.SmallestNonzeroFloat64}

var nearStrings = []string{"", "a", "a\x00", "a\x00\x00", "a\x00\x01", "a\x01", "a\xff", "aa", "b", "\x00", "\x00\x01", "\x00\xff", "é"}

var nearReferences = []string{"projects/p/databases/d/documents/c/a", "projects/p/databases/d/documents/c/a/s/t",
	"projects/p/databases/d/documents/c/__id7__", "projects/p/databases/d/documents/c/__id10__", "projects/p/databases/d/documents/c/__id-3__",
	"projects/p/databases/d/documents/__id7__/a", "projects/p/databases/d/documents/c/!", "projects/p/databases/d/documents/c!/a",
	"projects/p/databases/(default)/documents/c/a", "projects/__id7__/databases/d/documents/c/a", "", "/", "x", "x\x00", "x/", "x//"}

func ints() *rapid.Generator[int64] {
	beside := rapid.Custom(func(t *rapid.T) int64 {
		return rapid.SampledFrom(nearInts).Draw(t, "n") + rapid.Int64Range(-3, 3).Draw(t, "d")
	})
	return rapid.OneOf(beside, rapid.Int64Range(-3, 3), rapid.Int64())
}

func floats() *rapid.Generator[float64] {
	return rapid.OneOf(rapid.SampledFrom(nearFloats), rapid.Float64(), rapid.Map(ints(), func(i int64) float64 { return float64(i) }))
}

func numbers() *rapid.Generator[value.Value] {
	return rapid.OneOf(rapid.Map(ints(), value.Int), rapid.Map(floats(), value.Double))
}

func texts() *rapid.Generator[string] {
	return rapid.OneOf(rapid.SampledFrom(nearStrings), rapid.StringOfN(rapid.SampledFrom([]rune("a\x00\x01b")), 0, 5, -1))
}

func scalars() *rapid.Generator[value.Value] {
	return rapid.OneOf(
		rapid.Just(value.Null()),
		rapid.Map(rapid.Bool(), value.Bool),
		numbers(), numbers(),
		rapid.Map(ints(), func(i int64) value.Value { return value.Timestamp(atoll.Time(i)) }),
		rapid.Map(texts(), value.String),
		rapid.Map(texts(), func(s string) value.Value { return value.Bytes([]byte(s)) }),
		rapid.Map(rapid.SampledFrom(nearReferences), value.Reference),
		rapid.Custom(func(t *rapid.T) value.Value {
			return value.GeoPoint(floats().Draw(t, "latitude"), floats().Draw(t, "longitude"))
		}),
		rapid.Map(rapid.SliceOfN(floats(), 0, 3), value.Vector),
	)
}

// values generates trees of at most the given depth.
func values(depth int) *rapid.Generator[value.Value] {
	if depth == 0 {
		return scalars()
	}
	below := rapid.Deferred(func() *rapid.Generator[value.Value] { return values(depth - 1) })
	maps := rapid.Custom(func(t *rapid.T) value.Value {
		var fields []value.Field
		for range rapid.IntRange(0, 3).Draw(t, "n") {
			fields = append(fields, value.Field{Name: texts().Draw(t, "name"), Value: below.Draw(t, "value")})
		}
		return value.Map(fields...)
	})
	return rapid.OneOf(scalars(), rapid.Map(rapid.SliceOfN(below, 0, 3), func(e []value.Value) value.Value { return value.Array(e...) }), maps)
}

// neighbour returns a value that differs from v in little or nothing.
func neighbour(t *rapid.T, v value.Value) value.Value {
	switch v.Kind() {
	case value.KindInt:
		return rapid.SampledFrom([]value.Value{value.Int(v.Int() + 1), value.Double(float64(v.Int())),
			value.Double(math.Nextafter(float64(v.Int()), math.Inf(1)))}).Draw(t, "number")
	case value.KindDouble:
		return rapid.SampledFrom([]value.Value{value.Double(math.Nextafter(v.Double(), math.Inf(1))), value.Double(-v.Double())}).Draw(t, "number")
	case value.KindString:
		return value.String(v.Str() + texts().Draw(t, "more"))
	case value.KindArray:
		elems := make([]value.Value, v.Len())
		for i := range elems {
			elems[i] = v.Elem(i)
		}
		if len(elems) == 0 || rapid.Bool().Draw(t, "longer") {
			return value.Array(append(elems, scalars().Draw(t, "more"))...)
		}
		last := len(elems) - 1
		elems[last] = neighbour(t, elems[last])
		return value.Array(elems...)
	case value.KindMap:
		fields := make([]value.Field, v.Len())
		for i := range fields {
			fields[i] = v.Field(i)
		}
		if len(fields) == 0 || rapid.Bool().Draw(t, "longer") {
			return value.Map(append(fields, value.Field{Name: texts().Draw(t, "name"), Value: scalars().Draw(t, "more")})...)
		}
		last := len(fields) - 1
		fields[last].Value = neighbour(t, fields[last].Value)
		return value.Map(fields...)
	}
	return scalars().Draw(t, "other")
}

// pairs generates two values, often alike.
func pairs(t *rapid.T) (a, b value.Value) {
	a = values(2).Draw(t, "a")
	if rapid.Bool().Draw(t, "alike") {
		return a, neighbour(t, a)
	}
	return a, values(2).Draw(t, "b")
}

var nearIDs = []string{"a", "aa", "b", "!", "a!", "é", "__id7__", "__id10__", "__id-7__", "__id9223372036854775807__", "__id-9223372036854775808__", "__id", "0"}

// paths generates paths with from min to max ids, all of which Path.Check
// accepts.
func paths(min, max int) *rapid.Generator[atoll.Path] {
	return rapid.Custom(func(t *rapid.T) atoll.Path {
		var p atoll.Path
		for i := range rapid.IntRange(min, max).Draw(t, "ids") {
			id := rapid.SampledFrom(nearIDs).Draw(t, "id")
			if _, numeric := atoll.NumericID(id); numeric && i%2 == 0 {
				id = "c"
			}
			p = p.Child(id)
		}
		return p
	})
}

// documents generates paths of documents.
func documents() *rapid.Generator[atoll.Path] {
	return rapid.Map(paths(2, 7), func(p atoll.Path) atoll.Path {
		if p.IsCollection() {
			return p.Parent()
		}
		return p
	})
}

func placements() *rapid.Generator[Placement] {
	return rapid.SampledFrom([]Placement{Ordered, Spread})
}

func times() *rapid.Generator[atoll.Time] {
	return rapid.Custom(func(t *rapid.T) atoll.Time {
		return atoll.Time(rapid.OneOf(rapid.Int64Range(0, 3), rapid.Int64Range(0, math.MaxInt64)).Draw(t, "time"))
	})
}
