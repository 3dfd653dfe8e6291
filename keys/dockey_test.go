package keys

import (
	"bytes"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"atoll"
	"atoll/value"
)

func TestDocKeysComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		path := documents().Draw(t, "path")
		place := placements().Draw(t, "placement")
		if err := path.Check(); err != nil {
			t.Fatal(err)
		}
		key := DocKey(place, path)
		if n := DocKeyLen(append(key[:len(key):len(key)], "tail"...)); n != len(key) {
			t.Fatalf("the length of %x is %d, not %d", key, n, len(key))
		}
		back, err := ParseDocKey(key)
		if err != nil || back != path {
			t.Fatalf("%q came back as %q, %v", path, back, err)
		}
		back, rest, err := CutDocKey(append(key, "tail"...))
		if err != nil || back != path || string(rest) != "tail" {
			t.Fatalf("%q came back as %q, %q, %v", path, back, rest, err)
		}
	})
}

// TestDocKeysSortAsNames holds docKeys to the order of references, which is
// Firestore's order of __name__.
func TestDocKeysSortAsNames(t *testing.T) {
	db := atoll.Database{Project: "p", ID: "d"}
	rapid.Check(t, func(t *rapid.T) {
		a, b := documents().Draw(t, "a"), documents().Draw(t, "b")
		want := value.Compare(value.ReferenceTo(db, a), value.ReferenceTo(db, b))
		if got := bytes.Compare(DocKey(Ordered, a), DocKey(Ordered, b)); got != want {
			t.Fatalf("%q and %q compare as %d, their keys as %d", a, b, want, got)
		}
		if x, y := DocKey(Spread, a), DocKey(Spread, b); (a == b) != bytes.Equal(x, y) {
			t.Fatalf("%q and %q have the keys %x and %x", a, b, x, y)
		}
	})
}

// under reports whether p lies below the path above.
func under(p, above atoll.Path) bool {
	return above == "" || strings.HasPrefix(string(p), string(above)+"/")
}

func TestSubtreesAreContiguous(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		above, p := paths(0, 5).Draw(t, "above"), documents().Draw(t, "path")
		if below := paths(1, 4).Draw(t, "below"); rapid.Bool().Draw(t, "is below") {
			p = above
			for _, id := range below.Segments() {
				p = p.Child(id)
			}
			if !p.IsDocument() {
				p = p.Child("x")
			}
			if p.Check() != nil {
				return
			}
		}
		key := DocKey(Ordered, p)
		lo, hi := CollectionSpan(Ordered, above)
		if in := inside(key, lo, hi); in != under(p, above) {
			t.Fatalf("%q in the span of %q: %v", p, above, in)
		}
		if !above.IsDocument() {
			return
		}
		top := DocKey(Ordered, above)
		if in := inside(key, top, SubtreeEnd(top)); in != (p == above || under(p, above)) {
			t.Fatalf("%q in the subtree of %q: %v", p, above, in)
		}
	})
}

func inside(key, lo, hi []byte) bool {
	return bytes.Compare(lo, key) <= 0 && bytes.Compare(key, hi) < 0
}

func TestSpreadSpanHoldsEverything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lo, hi := CollectionSpan(Spread, paths(0, 3).Draw(t, "above"))
		if key := DocKey(Spread, documents().Draw(t, "path")); !inside(key, lo, hi) {
			t.Fatalf("%x is not in %x to %x", key, lo, hi)
		}
	})
}

// TestDocKeyBytes pins the layout: a change of it is a change of the format.
func TestDocKeyBytes(t *testing.T) {
	for _, c := range []struct {
		place Placement
		path  atoll.Path
		want  string
	}{
		{Ordered, "c/a", "\x01\x03c\x00\x01\x03a\x00\x01\x00"},
		{Ordered, "c/__id7__", "\x01\x03c\x00\x01\x02\x80\x00\x00\x00\x00\x00\x00\x07\x00"},
		{Ordered, "__id7__/a", "\x01\x03__id7__\x00\x01\x03a\x00\x01\x00"},
		{Ordered, "c/a\x00b", "\x01\x03c\x00\x01\x03a\x00\xffb\x00\x01\x00"},
		{Ordered, "c/", "\x01\x03c\x00\x01\x03\x00\x01\x00"},
		{Spread, "c/a", "\x02\xc0\xa3\x72\xd5\x03c\x00\x01\x03a\x00\x01\x00"},
	} {
		if got := string(DocKey(c.place, c.path)); got != c.want {
			t.Errorf("%q has the key %x, not %x", c.path, got, c.want)
		}
		if back, err := ParseDocKey([]byte(c.want)); back != c.path {
			t.Errorf("%q came back as %q, %v", c.path, back, err)
		}
	}
}

func TestParseDocKeyRefuses(t *testing.T) {
	for name, key := range map[string]string{
		"nothing":                  "",
		"an unknown placement":     "\x03\x03c\x00\x01\x03a\x00\x01\x00",
		"the root":                 "\x01\x00",
		"a collection":             "\x01\x03c\x00\x01\x00",
		"no end":                   "\x01\x03c\x00\x01\x03a\x00\x01",
		"something behind the end": "\x01\x03c\x00\x01\x03a\x00\x01\x00\x00",
		"a wrong hash":             "\x02\x00\x00\x00\x00\x03c\x00\x01\x03a\x00\x01\x00",
		"a numeric collection":     "\x01\x02\x80\x00\x00\x00\x00\x00\x00\x07\x03a\x00\x01\x00",
		"a numeric id as text":     "\x01\x03c\x00\x01\x03__id7__\x00\x01\x00",
		"a slash in an id":         "\x01\x03c\x00\x01\x03a/b\x00\x01\x00",
		"a wrong escape":           "\x01\x03c\x00\x02\x00\x01\x03a\x00\x01\x00",
		"an unknown mark":          "\x01\x04c\x00\x01\x03a\x00\x01\x00",
	} {
		if path, err := ParseDocKey([]byte(key)); atoll.KindOf(err) != atoll.Invalid {
			t.Errorf("%s was read as %q, %v", name, path, err)
		}
	}
	for _, key := range []string{"\x01\x00", "\x01\x03c\x00\x01\x00", "\x01\x03c\x00\x02\x00\x01\x03a\x00\x01\x00", "\x02\x00\x00"} {
		if n := DocKeyLen([]byte(key)); n != 0 {
			t.Errorf("%x has the length %d", key, n)
		}
	}
}

// TestHashSpreads counts where rising ids land: no sixteenth of the hashes may
// get twice its share.
func TestHashSpreads(t *testing.T) {
	const n = 16000
	var slices [16]int
	for i := range n {
		id := "logs/" + atoll.Time(i).String()
		slices[Hash(atoll.Path(id))>>28]++
	}
	for i, got := range slices {
		if got < n/32 || got > n/8 {
			t.Errorf("slice %d of 16 has %d of %d documents", i, got, n)
		}
	}
}

func FuzzParseDocKey(f *testing.F) {
	f.Add(DocKey(Ordered, "users/u/posts/__id7__"))
	f.Add(DocKey(Spread, "users/u"))
	f.Fuzz(func(t *testing.T, b []byte) {
		path, rest, err := CutDocKey(b)
		if err != nil {
			return
		}
		n := len(b) - len(rest)
		if again := DocKey(Placement(b[0]), path); !bytes.Equal(again, b[:n]) {
			t.Fatalf("%x is also written %x (%q)", b[:n], again, path)
		}
		if DocKeyLen(b) != n {
			t.Fatalf("the length of %x is %d, not %d", b, DocKeyLen(b), n)
		}
	})
}
