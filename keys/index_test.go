package keys

import (
	"bytes"
	"testing"

	"atoll"
	"atoll/value"
)

func TestCutIndexKeys(t *testing.T) {
	for _, c := range []struct {
		path atoll.Path
		id   string
	}{{"c", "c"}, {"c/a/s", "s"}, {"c/__id7__/s", "s"}, {"a\x01/__id-3__/b/c/d", "d"}} {
		written := AppendCollection(nil, c.path)
		collection, id, rest, err := CutCollection(append(bytes.Clone(written), 1, 2))
		if err != nil || !bytes.Equal(collection, written) || string(id) != c.id || !bytes.Equal(rest, []byte{1, 2}) {
			t.Errorf("%s: %x, %q, %x, %v", c.path, collection, id, rest, err)
		}
	}
	for _, path := range []value.FieldPath{{"a"}, {"a", "b.c"}, {"\x00", "x"}} {
		for _, k := range []EntryKind{ByValue, ByElement} {
			written := AppendField(nil, path, k)
			field, got, kind, rest, err := CutField(append(bytes.Clone(written), 0, 7))
			if err != nil || !bytes.Equal(field, written) || got.Compare(path) != 0 || kind != k || !bytes.Equal(rest, []byte{0, 7}) {
				t.Errorf("%s: %x, %v, %d, %x, %v", path, field, got, kind, rest, err)
			}
		}
	}
}

// FuzzCutIndexKeys cuts the beginnings of index entries. What can be cut is
// written again as it was.
func FuzzCutIndexKeys(f *testing.F) {
	f.Add(AppendField(AppendCollection(nil, "c/__id7__/s"), value.FieldPath{"a", "b"}, ByValue))
	f.Add(AppendField(nil, value.FieldPath{"a\x00"}, ByElement))
	f.Fuzz(func(t *testing.T, b []byte) {
		if collection, id, rest, err := CutCollection(b); err == nil {
			if len(collection)+len(rest) != len(b) || !bytes.HasSuffix(collection, append(AppendGroup([]byte{markText}, string(id)), markEnd)) {
				t.Fatalf("%x is cut to %x, %q and %x", b, collection, id, rest)
			}
		}
		if field, path, k, rest, err := CutField(b); err == nil {
			if !bytes.Equal(append(AppendField(nil, path, k), rest...), b) || len(field)+len(rest) != len(b) {
				t.Fatalf("%x is cut to %x, %v, %d and %x", b, field, path, k, rest)
			}
		}
	})
}
