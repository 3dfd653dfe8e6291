// Package kvtest is the suite that every atoll.Store passes: what it promises
// to readers and writers (Run), in any order of calls (RunModel), across
// openings (RunDurable) and across losses of power (RunCrash).
package kvtest

import (
	"bytes"
	"fmt"
	"sync"
	"testing"

	"atoll"
	"atoll/kv"
)

// Machine is what a store stands on.
type Machine interface {
	// Open opens the machine's store, with Split as its kv.SplitFunc.
	Open() (atoll.Store, error)
	// Checkpoint calls s.Checkpoint under a path made from the name, and opens
	// the copy.
	Checkpoint(s atoll.Store, name string) (atoll.Store, error)
}

// Split ends a key's prefix behind its first zero byte, and otherwise with the
// key.
func Split(key []byte) int {
	if i := bytes.IndexByte(key, 0); i >= 0 {
		return i + 1
	}
	return len(key)
}

// Run tests a store as long as it is open. start returns a machine that holds
// nothing yet.
func Run(t *testing.T, start func(t *testing.T) Machine) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, s atoll.Store)
	}{
		{"points", testPoints},
		{"batch order", testBatchOrder},
		{"arguments are copied", testCopies},
		{"invalid batches", testInvalid},
		{"iterator", testIterator},
		{"iterator bounds", testIteratorBounds},
		{"isolation", testIsolation},
		{"batches are atomic", testAtomic},
		{"waiting", testWaiting},
		{"prefix seeks", testPrefixSeeker},
		{"marks", testMarks},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t, start(t))) })
	}
	t.Run("checkpoint", func(t *testing.T) { testCheckpoint(t, start(t)) })
}

// open opens a machine's store and closes it with the test.
func open(t *testing.T, m Machine) atoll.Store {
	t.Helper()
	s, err := m.Open()
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

// apply applies what fill puts into a batch, and waits for it.
func apply(t *testing.T, s atoll.Store, fill func(b *atoll.Batch)) {
	t.Helper()
	var b atoll.Batch
	fill(&b)
	c, err := s.Apply(&b)
	if err != nil {
		t.Fatalf("Apply: %v", err)
	}
	if err := c.Wait(); err != nil {
		t.Fatalf("Wait: %v", err)
	}
}

// load sets each key to its own bytes in upper case.
func load(t *testing.T, s atoll.Store, keys ...string) {
	t.Helper()
	apply(t, s, func(b *atoll.Batch) {
		for _, k := range keys {
			b.Set([]byte(k), bytes.ToUpper([]byte(k)))
		}
	})
}

func wantGet(t *testing.T, r atoll.Reader, key, want string, present bool) {
	t.Helper()
	v, ok, err := r.Get([]byte(key))
	if err != nil || ok != present || string(v) != want {
		t.Fatalf("Get(%q) = %q, %v, %v; want %q, %v", key, v, ok, err, want, present)
	}
}

func testPoints(t *testing.T, s atoll.Store) {
	wantGet(t, s, "a", "", false)
	apply(t, s, func(b *atoll.Batch) {
		b.Set([]byte("a"), []byte("1"))
		b.Set([]byte("empty"), nil)
		b.Set([]byte{0}, []byte("zero"))
		b.Set([]byte{0xff, 0xff}, bytes.Repeat([]byte("x"), 1<<20))
		b.Delete([]byte("never there"))
	})
	wantGet(t, s, "a", "1", true)
	wantGet(t, s, "empty", "", true)
	wantGet(t, s, "\x00", "zero", true)
	wantGet(t, s, "\xff\xff", string(bytes.Repeat([]byte("x"), 1<<20)), true)
	wantGet(t, s, "ab", "", false)
	wantGet(t, s, "", "", false)
	apply(t, s, func(b *atoll.Batch) {
		b.Set([]byte("a"), []byte("2"))
		b.Delete([]byte("empty"))
	})
	wantGet(t, s, "a", "2", true)
	wantGet(t, s, "empty", "", false)
	apply(t, s, func(*atoll.Batch) {}) // an empty batch is durable, too
}

func testBatchOrder(t *testing.T, s atoll.Store) {
	load(t, s, "a", "b", "c", "d")
	apply(t, s, func(b *atoll.Batch) {
		b.Set([]byte("b"), []byte("lost"))
		b.DeleteRange([]byte("b"), []byte("d"))
		b.Set([]byte("c"), []byte("after"))
		b.Set([]byte("e"), []byte("first"))
		b.Delete([]byte("e"))
		b.Set([]byte("f"), []byte("first"))
		b.Set([]byte("f"), []byte("second"))
		b.DeleteRange([]byte("z"), []byte("a")) // backwards: nothing
		b.DeleteRange([]byte("d"), []byte("d")) // empty: nothing
		b.DeleteRange([]byte("d"), nil)         // up to the empty key: nothing
	})
	wantAll(t, s, "a=A c=after d=D f=second")
	apply(t, s, func(b *atoll.Batch) { b.DeleteRange(nil, []byte("d")) })
	wantAll(t, s, "d=D f=second")
}

func testCopies(t *testing.T, s atoll.Store) {
	k, v, hi := []byte("key"), []byte("value"), []byte("kez")
	apply(t, s, func(b *atoll.Batch) {
		b.DeleteRange(k, hi)
		b.Set(k, v)
	})
	copy(k, "xxx")
	copy(v, "xxxxx")
	copy(hi, "xxx")
	wantAll(t, s, "key=value")

	lo, up := []byte("a"), []byte("z")
	it := s.Iter(lo, up)
	copy(lo, "x")
	copy(up, "b")
	if !it.Next() || string(it.Key()) != "key" {
		t.Error("an iterator's bounds are not copied")
	}
	closeIter(t, it)
	got, _, _ := s.Get([]byte("key"))
	apply(t, s, func(b *atoll.Batch) { b.Set([]byte("key"), []byte("other")) })
	if string(got) != "value" {
		t.Errorf("a value that was read became %q", got)
	}
}

func testInvalid(t *testing.T, s atoll.Store) {
	load(t, s, "a")
	for name, op := range map[string]atoll.Op{
		"no kind":          {Key: []byte("b")},
		"unknown kind":     {Kind: 4, Key: []byte("b")},
		"set of no key":    {Kind: atoll.OpSet, Value: []byte("b")},
		"delete of no key": {Kind: atoll.OpDelete},
	} {
		var b atoll.Batch
		b.Set([]byte("b"), nil)
		b.Ops = append(b.Ops, op)
		if c, err := s.Apply(&b); atoll.KindOf(err) != atoll.Invalid || c != nil {
			t.Errorf("%s: Apply = %v, %v; want an Invalid error", name, c, err)
		}
	}
	wantAll(t, s, "a=A")
}

func testIsolation(t *testing.T, s atoll.Store) {
	load(t, s, "a", "b", "c")
	snap := s.Snapshot()
	before, below := s.Iter(nil, nil), snap.Iter([]byte("b"), nil)
	apply(t, s, func(b *atoll.Batch) {
		b.DeleteRange([]byte("a"), []byte("c"))
		b.Set([]byte("c"), []byte("new"))
		b.Set([]byte("d"), []byte("new"))
	})
	wantAll(t, snap, "a=A b=B c=C")
	wantGet(t, snap, "b", "B", true)
	wantGet(t, snap, "d", "", false)
	wantAll(t, s, "c=new d=new")
	if got := walk(before); got != "a=A b=B c=C" {
		t.Errorf("an iterator opened before a batch saw %q", got)
	}
	if got := walk(below); got != "b=B c=C" {
		t.Errorf("an iterator of a snapshot saw %q", got)
	}
	closeIter(t, before)
	closeIter(t, below)
	if err := snap.Close(); err != nil {
		t.Errorf("Close of a snapshot: %v", err)
	}
}

// testAtomic lets readers run beside a writer that keeps two keys equal.
func testAtomic(t *testing.T, s atoll.Store) {
	set := func(b *atoll.Batch, i int) {
		v := fmt.Append(nil, i)
		b.Set([]byte("x"), v)
		b.DeleteRange([]byte("y"), []byte("z"))
		b.Set([]byte("y"), v)
	}
	apply(t, s, func(b *atoll.Batch) { set(b, 0) })
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				it := s.Iter(nil, nil)
				var got []string
				for it.Next() {
					got = append(got, string(it.Value()))
				}
				if err := it.Close(); err != nil || len(got) != 2 || got[0] != got[1] {
					t.Errorf("a reader beside a writer saw %q, %v", got, err)
					return
				}
			}
		})
	}
	for i := range 200 {
		var b atoll.Batch
		set(&b, i)
		if _, err := s.Apply(&b); err != nil {
			t.Fatalf("Apply: %v", err)
		}
	}
	close(done)
	wg.Wait()
}

// testWaiting waits for batches in another order, more than once, and from
// several goroutines.
func testWaiting(t *testing.T, s atoll.Store) {
	var commits []atoll.Commit
	for i := range 50 {
		var b atoll.Batch
		b.Set(fmt.Appendf(nil, "%02d", i), nil)
		c, err := s.Apply(&b)
		if err != nil {
			t.Fatalf("Apply: %v", err)
		}
		wantGet(t, s, fmt.Sprintf("%02d", i), "", true)
		commits = append(commits, c)
	}
	var wg sync.WaitGroup
	for i := range commits {
		for range 2 {
			wg.Go(func() {
				if err := commits[len(commits)-1-i].Wait(); err != nil {
					t.Errorf("Wait: %v", err)
				}
			})
		}
	}
	wg.Wait()
	if err := commits[7].Wait(); err != nil {
		t.Errorf("Wait for the third time: %v", err)
	}
}

func testPrefixSeeker(t *testing.T, s atoll.Store) {
	load(t, s, "a", "a\x00\x05", "a\x00\x07", "b\x00", "c\x00\x01")
	apply(t, s, func(b *atoll.Batch) {
		b.Set([]byte("d\x00\x01"), nil)
		b.Set([]byte("d\x00\x02"), nil)
		b.Delete([]byte("d\x00\x01"))
		b.Set([]byte("e\x00\x01"), nil)
		b.DeleteRange([]byte("e"), []byte("f"))
	})
	snap := s.Snapshot()
	defer snap.Close()
	for i, r := range []any{s, snap} {
		p, ok := r.(kv.PrefixSeeker)
		if !ok {
			t.Fatalf("%T is no kv.PrefixSeeker", r)
		}
		for _, c := range []struct{ seek, want string }{
			{"a", "a"},
			{"a\x00", "a\x00\x05"},
			{"a\x00\x05", "a\x00\x05"},
			{"a\x00\x06", "a\x00\x07"},
			{"a\x00\x08", ""},
			{"b", ""},
			{"b\x00", "b\x00"},
			{"b\x00\x00", ""},
			{"c\x00", "c\x00\x01"},
			{"d\x00", "d\x00\x02"},
			{"e\x00", ""},
			{"f", ""},
			{"", ""},
		} {
			k, v, ok, err := p.SeekPrefixGE([]byte(c.seek))
			if err != nil || string(k) != c.want || ok != (c.want != "") {
				t.Errorf("reader %d: SeekPrefixGE(%q) = %q, %v, %v; want %q", i, c.seek, k, ok, err, c.want)
			}
			if ok && c.want < "d" && !bytes.Equal(v, bytes.ToUpper(k)) {
				t.Errorf("reader %d: SeekPrefixGE(%q) has the value %q", i, c.seek, v)
			}
		}
	}
}

func testMarks(t *testing.T, s atoll.Store) {
	m, ok := s.(kv.Marker)
	if !ok {
		t.Fatalf("%T is no kv.Marker", s)
	}
	if h, d, ok := m.Durable(); ok {
		t.Fatalf("a new store has the mark %d, %s", h, d)
	}
	for i := range atoll.Height(10) {
		if err := m.MarkDurable(i, atoll.Hash{byte(i)}); err != nil {
			t.Fatalf("MarkDurable: %v", err)
		}
		if h, d, ok := m.Durable(); h != i || d != (atoll.Hash{byte(i)}) || !ok {
			t.Fatalf("Durable = %d, %s, %v; want %d", h, d, ok, i)
		}
	}
}

func testCheckpoint(t *testing.T, m Machine) {
	s := open(t, m)
	load(t, s, "a", "b")
	var b atoll.Batch
	b.Delete([]byte("a"))
	b.Set([]byte("c"), []byte("C"))
	if _, err := s.Apply(&b); err != nil { // and no Wait: a checkpoint is durable by itself
		t.Fatalf("Apply: %v", err)
	}
	c, err := m.Checkpoint(s, "one")
	if err != nil {
		t.Fatalf("Checkpoint: %v", err)
	}
	defer func() {
		if err := c.Close(); err != nil {
			t.Errorf("Close of the copy: %v", err)
		}
	}()
	load(t, s, "later")
	wantAll(t, c, "b=B c=C")
	load(t, c, "own")
	wantAll(t, c, "b=B c=C own=OWN")
	wantAll(t, s, "b=B c=C later=LATER")
	if _, err := m.Checkpoint(s, "one"); err == nil {
		t.Error("a second checkpoint under the same name did not fail")
	}
}
