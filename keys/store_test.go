package keys

import (
	"bytes"
	"cmp"
	"testing"

	"pgregory.net/rapid"

	"atoll"
)

func TestStoreKeysComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		family, rng := rapid.Uint32().Draw(t, "family"), rapid.Uint64().Draw(t, "range")
		doc := DocKey(placements().Draw(t, "placement"), documents().Draw(t, "path"))
		at := times().Draw(t, "time")
		id := atoll.RequestID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))

		f, d, tm, err := ParseVersion(Version(family, doc, at))
		if err != nil || f != family || !bytes.Equal(d, doc) || tm != at {
			t.Fatalf("a version came back as %d %x %d, %v", f, d, tm, err)
		}
		f, r, tm, d, err := ParseFeedKey(FeedKey(family, rng, at, doc))
		if err != nil || f != family || r != rng || !bytes.Equal(d, doc) || tm != at {
			t.Fatalf("a change came back as %d %d %x %d, %v", f, r, d, tm, err)
		}
		f, d, i, err := ParseRequestKey(RequestKey(family, doc, id))
		if err != nil || f != family || !bytes.Equal(d, doc) || i != id {
			t.Fatalf("a request came back as %d %x %v, %v", f, d, i, err)
		}
	})
}

func TestVersionsStandNewestFirst(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := documents().Draw(t, "a"), documents().Draw(t, "b")
		s, u := times().Draw(t, "s"), times().Draw(t, "u")
		x, y := DocKey(Ordered, a), DocKey(Ordered, b)
		want := bytes.Compare(x, y)
		if want == 0 {
			want = cmp.Compare(u, s)
		}
		if got := bytes.Compare(Version(7, x, s), Version(7, y, u)); got != want {
			t.Fatalf("%q at %d and %q at %d compare as %d, not %d", a, s, b, u, got, want)
		}
	})
}

func TestSpans(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		small := rapid.SampledFrom([]uint32{0, 1, 1<<32 - 1})
		f, g := small.Draw(t, "f"), small.Draw(t, "g")
		doc := DocKey(Ordered, documents().Draw(t, "path"))
		at := times().Draw(t, "time")
		version := Version(f, doc, at)

		lo, hi := FamilySpan(g)
		if inside(version, lo, hi) != (f == g) {
			t.Fatalf("a version of family %d in the span of %d: %v", f, g, f != g)
		}
		lo, hi = SpaceSpan(g, Documents)
		if inside(version, lo, hi) != (f == g) || inside(FeedKey(f, 1, at, doc), lo, hi) {
			t.Fatalf("the span of family %d's documents is wrong for family %d", g, f)
		}
		start, end := DocKey(Ordered, documents().Draw(t, "start")), []byte(nil)
		if rapid.Bool().Draw(t, "ends") {
			end = DocKey(Ordered, documents().Draw(t, "end"))
		}
		want := bytes.Compare(start, doc) <= 0 && (end == nil || bytes.Compare(doc, end) < 0)
		lo, hi = RangeSpan(f, Documents, start, end)
		if inside(version, lo, hi) != want {
			t.Fatalf("%x in the range %x to %x: %v", doc, start, end, !want)
		}
		lo, hi = RangeSpan(f, Requests, start, end)
		if inside(RequestKey(f, doc, atoll.RequestID{0xFF}), lo, hi) != want {
			t.Fatalf("a request of %x in the range %x to %x: %v", doc, start, end, !want)
		}
	})
}

func TestFeedSpanBeginsBehindTheCursor(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ranges := rapid.SampledFrom([]uint64{0, 1, 1<<64 - 1})
		r, s := ranges.Draw(t, "r"), ranges.Draw(t, "s")
		cursor := rapid.Map(rapid.Int64Range(-1, 3), func(n int64) atoll.Time { return atoll.Time(n) }).Draw(t, "cursor")
		at := max(0, cursor+atoll.Time(rapid.IntRange(-1, 1).Draw(t, "later")))
		doc := DocKey(Ordered, documents().Draw(t, "path"))
		after := []byte(nil)
		if cursor >= 0 && rapid.Bool().Draw(t, "within") {
			after = DocKey(Ordered, documents().Draw(t, "after"))
		}
		want := r == s && (at > cursor || at == cursor && after != nil && bytes.Compare(doc, after) > 0)
		lo, hi := FeedSpan(3, s, cursor, after)
		if got := inside(FeedKey(3, r, at, doc), lo, hi); got != want {
			t.Fatalf("a change of range %d at %d behind %d of range %d: %v", r, at, cursor, s, got)
		}
	})
}

// storeKeys generates keys of all spaces, whole and cut, and bytes like them.
func storeKeys() *rapid.Generator[[]byte] {
	return rapid.Custom(func(t *rapid.T) []byte {
		doc := DocKey(placements().Draw(t, "placement"), documents().Draw(t, "path"))
		key := Version(1, doc, times().Draw(t, "time"))
		switch rapid.IntRange(0, 5).Draw(t, "shape") {
		case 0:
			key = FeedKey(1, 2, 3, doc)
		case 1:
			key = append([]byte{rapid.Byte().Draw(t, "space")}, doc...)
		case 2:
			key = append(key, rapid.SliceOfN(rapid.Byte(), 0, 9).Draw(t, "tail")...)
		case 3:
			key[rapid.IntRange(0, len(key)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
		}
		return key[:rapid.IntRange(0, len(key)).Draw(t, "cut")]
	})
}

// checkSplit holds Split to what Pebble demands of a comparer: a prefix is its
// own prefix, and prefixes order keys before what follows them.
func checkSplit(t interface{ Fatalf(string, ...any) }, a, b []byte) {
	n, m := Split(a), Split(b)
	if n < 0 || n > len(a) || Split(a[:n]) != n {
		t.Fatalf("Split(%x) is %d, of the prefix %d", a, n, Split(a[:n]))
	}
	prefixes, keys := bytes.Compare(a[:n], b[:m]), bytes.Compare(a, b)
	if keys <= 0 && prefixes > 0 || prefixes < 0 && keys >= 0 {
		t.Fatalf("%x and %x compare as %d, their prefixes as %d", a, b, keys, prefixes)
	}
	if prefixes == 0 && bytes.Compare(a[n:], b[m:]) != keys {
		t.Fatalf("%x and %x compare otherwise than what follows their prefix", a, b)
	}
}

func TestSplitKeepsTheOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := storeKeys().Draw(t, "a")
		b := storeKeys().Draw(t, "b")
		if rapid.Bool().Draw(t, "alike") {
			b = append(a[:rapid.IntRange(0, len(a)).Draw(t, "common"):len(a)], rapid.SliceOfN(rapid.Byte(), 0, 3).Draw(t, "tail")...)
			b = bytes.Clone(b)
		}
		checkSplit(t, a, b)
		checkSplit(t, b, a)
	})
}

func TestSplitCutsTheTime(t *testing.T) {
	doc := DocKey(Ordered, "c/a")
	version := Version(1, doc, 5)
	if n := Split(version); n != len(version)-8 {
		t.Errorf("Split of a version of %d bytes is %d", len(version), n)
	}
	for _, key := range [][]byte{FeedKey(1, 2, 3, doc), RequestKey(1, doc, atoll.RequestID{}), {SpaceLog, 0, 1}, {}} {
		if n := Split(key); n != len(key) {
			t.Errorf("Split(%x) is %d", key, n)
		}
	}
}

func TestWriteOnce(t *testing.T) {
	doc := DocKey(Ordered, "c/a")
	if !WriteOnce(Version(1, doc, 5)) || !WriteOnce(FeedKey(1, 2, 5, doc)) || !WriteOnce(RequestKey(1, doc, atoll.RequestID{})) {
		t.Error("a version, change or result may be set twice")
	}
	if !WriteOnce(append(AppendIndexHead(nil, 1, Index, 1), doc...)) || !WriteOnce(PastEntry(append(AppendIndexHead(nil, 1, Index, 1), doc...), 5)) {
		t.Error("an index entry may be set twice")
	}
	if WriteOnce(AppendHead(nil, 1, Transactions)) || WriteOnce([]byte{SpacePrivate, 1, 2, 3, 4, 1, 7}) || WriteOnce(nil) {
		t.Error("a transaction record or a canister's own key may be set once alone")
	}
}

func FuzzSplit(f *testing.F) {
	key := Version(1, DocKey(Ordered, "c/a"), 5)
	f.Add(key, key[:len(key)-3])
	f.Add(Version(1, DocKey(Spread, "c/__id7__"), 5), key)
	f.Fuzz(func(t *testing.T, a, b []byte) {
		checkSplit(t, a, b)
		checkSplit(t, b, a)
	})
}

func FuzzParseStoreKeys(f *testing.F) {
	doc := DocKey(Ordered, "c/a")
	f.Add(Version(1, doc, 5))
	f.Add(FeedKey(1, 2, 5, doc))
	f.Add(RequestKey(1, doc, atoll.RequestID{1}))
	f.Fuzz(func(t *testing.T, key []byte) {
		if family, d, at, err := ParseVersion(key); err == nil && !bytes.Equal(Version(family, d, at), key) {
			t.Fatalf("%x is another version too", key)
		}
		if family, r, at, d, err := ParseFeedKey(key); err == nil && !bytes.Equal(FeedKey(family, r, at, d), key) {
			t.Fatalf("%x is another change too", key)
		}
		if family, d, id, err := ParseRequestKey(key); err == nil && !bytes.Equal(RequestKey(family, d, id), key) {
			t.Fatalf("%x is another request too", key)
		}
	})
}
