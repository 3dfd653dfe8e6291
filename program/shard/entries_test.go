package shard

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"atoll"
	"atoll/keys"
	"atoll/value"
)

// entriesOf lists the keys of all entries of a document, in the plainest way.
func entriesOf(p atoll.Path, doc value.Value) []string {
	docKey := keys.DocKey(placement, p)
	head := keys.AppendIndexHead(nil, 1, keys.Index, keys.IndexMembers)
	all := []string{string(append(keys.AppendGroup(head, p.Parent().ID()), docKey...))}
	add := func(f value.FieldPath, k keys.EntryKind, v value.Value) {
		key := keys.AppendCollection(keys.AppendIndexHead(nil, 1, keys.Index, keys.IndexFields), p.Parent())
		key, _ = keys.AppendIndexed(keys.AppendField(key, f, k), v, keys.Ascending)
		all = append(all, string(append(key, docKey...)))
	}
	var below func(value.FieldPath, value.Value)
	below = func(f value.FieldPath, v value.Value) {
		for i := range v.Len() {
			switch v.Kind() {
			case value.KindMap:
				f := append(slices.Clone(f), v.Field(i).Name)
				add(f, keys.ByValue, v.Field(i).Value)
				below(f, v.Field(i).Value)
			case value.KindArray:
				if len(f) > 0 {
					add(f, keys.ByElement, v.Elem(i))
				}
			}
		}
	}
	below(nil, doc)
	slices.Sort(all)
	return slices.Compact(all)
}

// index returns the keys and values that the index must have by all that ever
// happened: live entries, and ended ones.
func (o *oracle) index() (live, ended map[string]atoll.Time) {
	live, ended = map[string]atoll.Time{}, map[string]atoll.Time{}
	for _, p := range o.paths() {
		var before []string
		for _, s := range o.docs[p] {
			var now []string
			if s.live {
				now = entriesOf(p, s.fields)
			}
			for _, key := range before {
				if !slices.Contains(now, key) {
					ended[string(keys.PastEntry([]byte(key), s.at))] = live[key]
					delete(live, key)
				}
			}
			for _, key := range now {
				if _, stands := live[key]; !stands {
					live[key] = s.at
				}
			}
			before = now
		}
	}
	return live, ended
}

// checkIndex holds the stored index against what it must be. Ended entries
// that no read can ask for may be gone, and are after a whole collection.
func (m *machine) checkIndex(t *rapid.T, collected bool) {
	live, ended := m.oracle.index()
	for _, p := range m.subnet.ranges.dump() {
		_, space, _, err := keys.CutHead(p.key)
		if err != nil || space != keys.Index && space != keys.PastIndex {
			continue
		}
		want := live
		if space == keys.PastIndex {
			want = ended
			if _, at, _ := keys.CutEnded(p.key); collected && at <= m.oracle.horizon.Versions {
				t.Fatalf("the entry %x is kept, the horizon is %d", p.key, m.oracle.horizon.Versions)
			}
		}
		since, ok := want[string(p.key)]
		if got := must(parseStanding(p.value)); !ok || got.since != since {
			t.Fatalf("entry %x stands since %d, want %d, %t", p.key, got.since, since, ok)
		}
		delete(want, string(p.key))
	}
	for key := range live {
		t.Fatalf("the entry %x is missing", key)
	}
	for key := range ended {
		if _, at, _ := keys.CutEnded([]byte(key)); at > m.oracle.horizon.Versions {
			t.Fatalf("the ended entry %x is missing", key)
		}
	}
}

func TestEntriesOfOneDocument(t *testing.T) {
	s := newShard(t)
	s.must(t, 1, set("c/a", "n", 1, "l", value.Array(value.Int(1), value.Double(1), value.String("x")), "m", fields("x", 2)))
	// n, l, two elements of l, m, m.x, and the document itself.
	same(t, s.count(keys.Index), 7)
	same(t, s.count(keys.PastIndex), 0)
	// The same number as a double is the same entry.
	s.must(t, 2, set("c/a", "n", value.Double(1), "l", value.Array(value.Int(1), value.Double(1), value.String("x")), "m", fields("x", 2)))
	same(t, s.count(keys.PastIndex), 0)
	s.must(t, 3, set("c/a", "n", 2, "m", fields("x", 2, "y", 1)))
	same(t, s.count(keys.Index), 5)
	same(t, s.count(keys.PastIndex), 5) // n, l and its elements, m
	s.must(t, 4, remove("c/a"))
	same(t, s.count(keys.Index), 0)
	same(t, s.count(keys.PastIndex), 10)
}

func TestTooManyEntries(t *testing.T) {
	s := newShard(t)
	elems := func(n int) value.Value {
		all := make([]value.Value, n)
		for i := range all {
			all[i] = value.Int(int64(i))
		}
		return value.Array(all...)
	}
	// The field, its elements, and the document.
	_, err := s.commit(1, set("c/a", "l", elems(MaxEntries-2)))
	same(t, err, nil)
	_, err = s.commit(2, set("c/a", "l", elems(MaxEntries-1)))
	wantErr(t, err, atoll.Invalid, "c/a", fmt.Sprint(MaxEntries+1))
	equal := make([]value.Value, MaxEntries)
	_, err = s.commit(3, set("c/a", "l", value.Array(equal...)))
	same(t, err, nil)
}

func TestStanding(t *testing.T) {
	want := standing{since: 1_700_000_000_000_000, docLen: 300}
	got, err := parseStanding(want.encode())
	same(t, err, nil)
	same(t, got == want, true)
	for _, b := range [][]byte{nil, {2}, bytes.Repeat([]byte{1}, 9), append(bytes.Repeat([]byte{1}, 9), 0), append(bytes.Repeat([]byte{1}, 9), 0xff, 0xff, 0xff, 1)} {
		_, err := parseStanding(b)
		wantErr(t, err, atoll.DataLoss)
	}
}
