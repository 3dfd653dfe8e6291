package value

import (
	"math"

	"pgregory.net/rapid"

	"atoll"
)

// Generators are biased to values that lie next to each other in the order.

var nearInts = []int64{0, 1, -1, 1 << 53, 1<<53 + 1, 1<<53 - 1, -1 << 53, -1<<53 - 1, 1 << 62, math.MaxInt64, math.MaxInt64 - 1, math.MinInt64, math.MinInt64 + 1}

var nearFloats = []float64{0, math.Copysign(0, -1), 1, -1, 0.5, -0.5, math.NaN(), math.Inf(1), math.Inf(-1), 1 << 53, 1<<53 + 2, -1 << 53, 1 << 62, 1 << 63, -1 << 63, -1<<63 - 2048, 1<<63 - 1024, math.MaxFloat64, math.SmallestNonzeroFloat64}

var nearStrings = []string{"", "a", "a\x00", "a\x01", "aa", "b", "\x00", "\x00\x01", "é", "\uffff", "\U00010000", "z"}

var nearReferences = []string{"projects/p/databases/d/documents/c/a", "projects/p/databases/d/documents/c/a/s/t",
	"projects/p/databases/d/documents/c/__id7__", "projects/p/databases/d/documents/c/__id10__", "projects/p/databases/d/documents/c/__id-3__",
	"projects/p/databases/d/documents/c/__id", "projects/p/databases/d/documents/c/!", "projects/p/databases/d/documents/c!/a",
	"projects/p/databases/(default)/documents/c/a", "projects/__id7__/databases/d/documents/c/a", "", "/", "x"}

func ints() *rapid.Generator[int64] {
	return rapid.OneOf(rapid.SampledFrom(nearInts), rapid.Int64Range(-3, 3), rapid.Int64())
}

func floats() *rapid.Generator[float64] {
	return rapid.OneOf(rapid.SampledFrom(nearFloats), rapid.Float64Range(-3, 3), rapid.Float64(),
		rapid.Map(ints(), func(i int64) float64 { return float64(i) }))
}

func names() *rapid.Generator[string] {
	return rapid.OneOf(rapid.SampledFrom([]string{"", "a", "aa", "b", "a.b", "$x", "`", "é"}), rapid.StringMatching(`[a-c]{1,3}`))
}

func scalars() *rapid.Generator[Value] {
	return rapid.OneOf(
		rapid.Just(Null()),
		rapid.Map(rapid.Bool(), Bool),
		rapid.Map(ints(), Int), rapid.Map(floats(), Double), rapid.Map(ints(), Int), rapid.Map(floats(), Double),
		rapid.Map(rapid.Int64Range(int64(atoll.MinTime), int64(atoll.MaxTime)), func(i int64) Value { return Timestamp(atoll.Time(i)) }),
		rapid.Map(rapid.OneOf(rapid.SampledFrom(nearStrings), rapid.String()), String),
		rapid.Map(rapid.OneOf(rapid.SampledFrom(nearStrings), rapid.String()), func(s string) Value { return Bytes([]byte(s)) }),
		rapid.Map(rapid.SampledFrom(nearReferences), Reference),
		rapid.Custom(func(t *rapid.T) Value {
			return GeoPoint(rapid.Float64Range(-1, 1).Draw(t, "lat"), rapid.Float64Range(-1, 1).Draw(t, "lng"))
		}),
		rapid.Map(rapid.SliceOfN(floats(), 0, 3), Vector),
	)
}

// values generates trees of at most the given depth.
func values(depth int) *rapid.Generator[Value] {
	if depth == 0 {
		return scalars()
	}
	below := rapid.Deferred(func() *rapid.Generator[Value] { return values(depth - 1) })
	return rapid.OneOf(scalars(), scalars(),
		rapid.Map(rapid.SliceOfN(below, 0, 3), func(e []Value) Value { return Array(e...) }),
		maps(below))
}

func maps(below *rapid.Generator[Value]) *rapid.Generator[Value] {
	return rapid.Custom(func(t *rapid.T) Value {
		var fields []Field
		for range rapid.IntRange(0, 4).Draw(t, "n") {
			fields = append(fields, Field{names().Draw(t, "name"), below.Draw(t, "value")})
		}
		return Map(fields...)
	})
}

func documents() *rapid.Generator[Value] { return maps(values(2)) }
