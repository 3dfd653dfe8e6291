package keys

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"atoll"
	"atoll/value"
)

func TestBytesSortAsValues(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := pairs(t)
		want := value.Compare(a, b)
		if got := bytes.Compare(AppendValue(nil, a), AppendValue(nil, b)); got != want {
			t.Fatalf("%v and %v compare as %d, their bytes as %d", a, b, want, got)
		}
		if got := bytes.Compare(AppendValueDesc(nil, a), AppendValueDesc(nil, b)); got != -want {
			t.Fatalf("%v and %v compare as %d, their descending bytes as %d", a, b, want, got)
		}
	})
}

// Numbers are drawn from more often than trees would, for every edge of the
// doubles counts.
func TestBytesSortAsNumbers(t *testing.T) {
	all := make([]value.Value, 0, 1000)
	for _, i := range nearInts {
		for d := int64(-1025); d <= 1025; d += 41 {
			all = append(all, value.Int(i+d), value.Double(float64(i+d)))
		}
	}
	for _, f := range nearFloats {
		all = append(all, value.Double(f), value.Double(math.Nextafter(f, 1)), value.Double(math.Nextafter(f, math.Inf(-1))))
	}
	encoded := make([][]byte, len(all))
	for i, v := range all {
		encoded[i] = AppendValue(nil, v)
		if back, rest, err := ParseValue(encoded[i]); err != nil || len(rest) > 0 || !value.Equal(v, back) {
			t.Fatalf("%v came back as %v, rest %x, %v", v, back, rest, err)
		}
	}
	for i, a := range all {
		for j, b := range all {
			if got, want := bytes.Compare(encoded[i], encoded[j]), value.Compare(a, b); got != want {
				t.Fatalf("%v and %v compare as %d, their bytes as %d", a, b, want, got)
			}
		}
	}
}

// TestCompositesSortAsTuples checks that an encoding ends itself: with anything
// behind it, it still decides first.
func TestCompositesSortAsTuples(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := pairs(t)
		c, d := pairs(t)
		want := value.Compare(a, b)
		if want == 0 {
			want = -value.Compare(c, d)
		}
		if got := bytes.Compare(AppendValueDesc(AppendValue(nil, a), c), AppendValueDesc(AppendValue(nil, b), d)); got != want {
			t.Fatalf("(%v, %v) and (%v, %v) compare as %d, their bytes as %d", a, c, b, d, want, got)
		}
	})
}

func TestValuesComeBackEqual(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := values(3).Draw(t, "v")
		tail := rapid.SliceOfN(rapid.Byte(), 0, 9).Draw(t, "tail")
		asc := append(AppendValue(nil, v), tail...)
		back, rest, err := ParseValue(asc)
		if err != nil || !value.Equal(v, back) || !bytes.Equal(rest, tail) {
			t.Fatalf("%v came back as %v, rest %x, %v", v, back, rest, err)
		}
		back, rest, err = ParseValueDesc(append(AppendValueDesc(nil, v), tail...))
		if err != nil || !value.Equal(v, back) || !bytes.Equal(rest, tail) {
			t.Fatalf("descending, %v came back as %v, rest %x, %v", v, back, rest, err)
		}
	})
}

// lengthen returns v inside and beside strings about as long as an index cuts.
func lengthen(t *rapid.T, v value.Value) value.Value {
	long := value.String(strings.Repeat("x", rapid.IntRange(MaxIndexed-12, MaxIndexed+3).Draw(t, "length")))
	switch rapid.IntRange(0, 3).Draw(t, "shape") {
	case 0:
		return value.Array(long, v)
	case 1:
		return value.Array(v, long)
	case 2:
		return value.String(long.Str() + v.Str())
	}
	return v
}

func TestIndexedValuesKeepTheOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := pairs(t)
		a, b = lengthen(t, a), lengthen(t, b)
		for _, d := range []Direction{Ascending, Descending} {
			x, wholeX := AppendIndexed(nil, a, d)
			y, wholeY := AppendIndexed(nil, b, d)
			want := value.Compare(a, b)
			if d == Descending {
				want = -want
			}
			got := bytes.Compare(x, y)
			if got != want && !(got == 0 && !wholeX && !wholeY) {
				t.Fatalf("two values compare as %d, their entries as %d", want, got)
			}
			if len(x) > MaxIndexed {
				t.Fatalf("an entry has %d bytes", len(x))
			}
			back, whole, rest, err := ParseIndexed(append(x, "tail"...), d)
			if err != nil || whole != wholeX || string(rest) != "tail" || whole && !value.Equal(back, a) {
				t.Fatalf("an entry with whole %v came back with %v, rest %q, %v", wholeX, whole, rest, err)
			}
		}
	})
}

func TestParseValueRefuses(t *testing.T) {
	deep := bytes.Repeat([]byte{tagArray}, value.MaxDepth+1)
	for name, b := range map[string][]byte{
		"nothing":                    {},
		"an unknown tag":             {0x7F},
		"a cut number":               {tagNumber, 0x80},
		"minus zero":                 {tagNumber, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF},
		"another NaN":                {tagNumber, 0, 0, 0, 0, 0, 0, 0, 1},
		"a rest on a whole number":   {tagNumber, 0xC3, 0x40, 0, 0, 0, 0, 0, 0, 0, 2},
		"a string without an end":    {tagString, 'a'},
		"a wrong escape":             {tagString, 0, 2},
		"a reference without ids":    {tagReference, markEnd},
		"a slash in an id":           {tagReference, markText, '/', 0, terminator, markEnd},
		"a number where none stands": {tagReference, markNumeric, 0x80, 0, 0, 0, 0, 0, 0, 0, markEnd},
		"a vector cut short":         {tagVector, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0},
		"an array without an end":    {tagArray, tagNull},
		"fields out of order":        {tagMap, tagField, 'b', 0, 1, tagNull, tagField, 'a', 0, 1, tagNull, tagEnd},
		"a field twice":              {tagMap, tagField, 'b', 0, 1, tagNull, tagField, 'b', 0, 1, tagNull, tagEnd},
		"too many levels":            append(deep, bytes.Repeat([]byte{tagEnd}, len(deep))...),
	} {
		v, _, err := ParseValue(b)
		if atoll.KindOf(err) != atoll.Invalid {
			t.Errorf("%s was read as %v, %v", name, v, err)
		}
		complement(b)
		v, _, err = ParseValueDesc(b)
		if atoll.KindOf(err) != atoll.Invalid {
			t.Errorf("descending, %s was read as %v, %v", name, v, err)
		}
	}
}

func TestParseIndexedRefuses(t *testing.T) {
	long := bytes.Repeat([]byte{0x7F}, 2*MaxIndexed)
	for name, b := range map[string][]byte{
		"an unknown tag":              long,
		"a string that ends too soon": append([]byte{tagString}, long[:MaxIndexed-2]...),
	} {
		if v, whole, _, err := ParseIndexed(b, Ascending); atoll.KindOf(err) != atoll.Invalid {
			t.Errorf("%s was read as %v, %v, %v", name, v, whole, err)
		}
	}
}

func FuzzParseValue(f *testing.F) {
	for _, v := range []value.Value{value.Null(), value.Int(1<<53 + 1), value.Double(-0.5), value.String("a\x00b"),
		value.Reference("projects/p/databases/d/documents/c/__id7__"), value.Vector([]float64{1, 2}),
		value.Map(value.Field{Name: "a", Value: value.Array(value.Bool(true), value.GeoPoint(1, 2))})} {
		f.Add(AppendValue(nil, v))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, rest, err := ParseValue(b)
		if err != nil {
			return
		}
		if again := append(AppendValue(nil, v), rest...); !bytes.Equal(again, b) {
			t.Fatalf("%x is also written %x (%v)", b, again, v)
		}
	})
}

func FuzzParseValueDesc(f *testing.F) {
	f.Add(AppendValueDesc(nil, value.Array(value.Int(1), value.String("a\x00"))))
	f.Fuzz(func(t *testing.T, b []byte) {
		v, rest, err := ParseValueDesc(b)
		if err != nil {
			return
		}
		if again := append(AppendValueDesc(nil, v), rest...); !bytes.Equal(again, b) {
			t.Fatalf("%x is also written %x (%v)", b, again, v)
		}
	})
}

func FuzzParseIndexed(f *testing.F) {
	entry, _ := AppendIndexed(nil, value.String(strings.Repeat("x", 2*MaxIndexed)), Ascending)
	f.Add(entry, false)
	f.Add(AppendValueDesc(nil, value.Int(7)), true)
	f.Fuzz(func(t *testing.T, b []byte, desc bool) {
		d := Ascending
		if desc {
			d = Descending
		}
		v, whole, rest, err := ParseIndexed(b, d)
		if err != nil {
			return
		}
		if !whole {
			if len(b)-len(rest) != MaxIndexed {
				t.Fatalf("a cut entry has %d bytes", len(b)-len(rest))
			}
			return
		}
		again, _ := AppendIndexed(nil, v, d)
		if again = append(again, rest...); !bytes.Equal(again, b) {
			t.Fatalf("%x is also written %x (%v)", b, again, v)
		}
	})
}
