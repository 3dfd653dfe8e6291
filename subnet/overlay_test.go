package subnet

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"atoll"
	"atoll/keys"
	"atoll/kv/mem"
)

// model is what an overlay should show: the base with the changes on it.
type model map[string]string

func (m model) sorted() []string {
	var all []string
	for k := range m { // order does not matter: sorted below
		all = append(all, k)
	}
	slices.Sort(all)
	return all
}

func (m model) clone() model {
	c := model{}
	for k, v := range m { // order does not matter
		c[k] = v
	}
	return c
}

// overlayKey draws a key of few: versions of three documents, and others.
func overlayKey(t *rapid.T) []byte {
	if rapid.Bool().Draw(t, "private") {
		return append(ownPrefix("x"), byte(rapid.IntRange(0, 5).Draw(t, "n")))
	}
	doc := keys.DocKey(keys.Ordered, atoll.Path(fmt.Sprintf("c/%d", rapid.IntRange(0, 2).Draw(t, "doc"))))
	return keys.Version(1, doc, atoll.Time(rapid.IntRange(1, 4).Draw(t, "time")))
}

// TestOverlay compares an overlay with a map under random changes, rollbacks,
// look-ups and walks, and in the end what it hands on with the difference.
func TestOverlay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		store := mem.New(mem.WithSplit(keys.Split))
		var start atoll.Batch
		before := model{}
		for range rapid.IntRange(0, 6).Draw(t, "stored") {
			k := overlayKey(t)
			start.Set(k, []byte{1})
			before[string(k)] = "\x01"
		}
		if c, err := store.Apply(&start); err != nil || c.Wait() != nil {
			t.Fatal(err)
		}
		o := newOverlay(store, 0)
		now, marked := before.clone(), before.clone()
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			k := overlayKey(t)
			switch rapid.IntRange(0, 7).Draw(t, "step") {
			case 0, 1:
				if _, there := now[string(k)]; there && keys.WriteOnce(k) {
					continue // which nobody does
				}
				v := []byte{byte(rapid.IntRange(1, 3).Draw(t, "value"))}
				o.Set(k, v)
				now[string(k)] = string(v)
			case 2:
				o.Delete(k)
				delete(now, string(k))
			case 3:
				o.mark()
				marked = now.clone()
			case 4:
				o.rollback(0)
				now = marked.clone()
			case 5:
				checkGet(t, o, now, k)
			case 6:
				checkSeek(t, o, now, k)
			case 7:
				checkWalk(t, o, now)
			}
		}
		checkWalk(t, o, now)
		var c changes
		if c.collect(o, newHasher()); c.err != nil {
			t.Fatal(c.err)
		}
		sums := sumOf(before)
		sums.merge(&c.slices)
		if sums != sumOf(now) {
			t.Fatal("the hashes of the changes do not lead to those of the state")
		}
		for i, op := range c.ops {
			if i > 0 && bytes.Compare(c.ops[i-1].Key, op.Key) >= 0 {
				t.Fatalf("%x comes behind %x", op.Key, c.ops[i-1].Key)
			}
			if op.Kind == atoll.OpDelete {
				delete(before, string(op.Key))
			} else {
				before[string(op.Key)] = string(op.Value)
			}
		}
		if fmt.Sprint(before) != fmt.Sprint(now) {
			t.Fatalf("the changes lead to %x, not to %x", before, now)
		}
	})
}

// sumOf returns the hashes of a state's slices.
func sumOf(m model) (s Slices) {
	h := newHasher()
	for _, k := range m.sorted() {
		s[sliceOf([]byte(k))].add(h.entry(atoll.OpSet, []byte(k), []byte(m[k])))
	}
	return s
}

func checkGet(t *rapid.T, o *overlay, now model, k []byte) {
	got, ok, err := o.Get(k)
	if want, there := now[string(k)]; err != nil || ok != there || ok && string(got) != want {
		t.Fatalf("%x is %x, %v, %v; want %x, %v", k, got, ok, err, want, there)
	}
}

// checkSeek looks for the next version of the same document.
func checkSeek(t *rapid.T, o *overlay, now model, k []byte) {
	want := ""
	for _, c := range now.sorted() {
		if c >= string(k) && keys.Split([]byte(c)) == keys.Split(k) && c[:keys.Split(k)] == string(k[:keys.Split(k)]) {
			want = c
			break
		}
	}
	got, v, ok, err := o.SeekPrefixGE(k)
	if err != nil || ok != (want != "") || string(got) != want || ok && string(v) != now[want] {
		t.Fatalf("behind %x stands %x = %x, %v, %v; want %x", k, got, v, ok, err, want)
	}
}

// checkWalk goes forwards through one walk and backwards through another.
func checkWalk(t *rapid.T, o *overlay, now model) {
	lo, want := []byte{keys.SpacePrivate}, now.sorted()
	it := o.Iter(lo, nil)
	defer it.Close()
	for i, ok := 0, it.SeekGE(lo); i < len(want) || ok; i, ok = i+1, it.Next() {
		if !ok || i >= len(want) || string(it.Key()) != want[i] || string(it.Value()) != now[want[i]] {
			t.Fatalf("place %d is %x, %v; want %x", i, it.Key(), ok, want)
		}
	}
	for i, ok := len(want)-1, it.SeekLT([]byte{0xff}); i >= 0 || ok; i, ok = i-1, it.Prev() {
		if !ok || i < 0 || string(it.Key()) != want[i] {
			t.Fatalf("place %d is %x, %v, from behind; want %x", i, it.Key(), ok, want)
		}
	}
}
