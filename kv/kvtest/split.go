package kvtest

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"atoll/kv"
)

// CheckSplit tests that split is one that stores can work with: it accepts any
// bytes, keeps the order of keys, and a prefix is its own prefix. keys draws
// keys of the kind that are stored; arbitrary bytes are tried besides.
func CheckSplit(t *testing.T, split kv.SplitFunc, keys func(t *rapid.T) []byte) {
	draw := func(t *rapid.T, label string) []byte {
		if rapid.Bool().Draw(t, label+" is a key") {
			return keys(t)
		}
		return rapid.SliceOf(rapid.SampledFrom([]byte{0, 1, 'a', 0x7f, 0xfe, 0xff})).Draw(t, label)
	}
	t.Run("split", rapid.MakeCheck(func(t *rapid.T) {
		a, b := draw(t, "a"), draw(t, "b")
		if bytes.Compare(a, b) > 0 {
			a, b = b, a
		}
		na, nb := split(a), split(b)
		if na < 0 || na > len(a) || nb < 0 || nb > len(b) {
			t.Fatalf("split(%q) = %d, split(%q) = %d: outside of the key", a, na, b, nb)
		}
		if bytes.Compare(a[:na], b[:nb]) > 0 {
			t.Fatalf("%q <= %q, but their prefixes %q and %q are the other way round", a, b, a[:na], b[:nb])
		}
		if n := split(a[:na]); n != na {
			t.Fatalf("the prefix %q of %q has itself the prefix %q", a[:na], a, a[:n])
		}
	}))
}
