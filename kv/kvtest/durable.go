package kvtest

import (
	"testing"

	"atoll"
	"atoll/kv"
)

// RunDurable tests what a store keeps when it is closed and opened again. start
// returns a machine that holds nothing yet.
func RunDurable(t *testing.T, start func(t *testing.T) Machine) {
	t.Run("reopen", func(t *testing.T) { testReopen(t, start(t)) })
	t.Run("open twice", func(t *testing.T) { testOpenTwice(t, start(t)) })
	t.Run("closed", func(t *testing.T) { testClosed(t, start(t)) })
}

func testReopen(t *testing.T, m Machine) {
	want := model{}
	for i := range 5 {
		s, err := m.Open()
		if err != nil {
			t.Fatalf("Open %d: %v", i, err)
		}
		if err := want.compare(s); err != nil {
			t.Fatalf("after opening %d: %v", i, err)
		}
		mk := s.(kv.Marker)
		if h, d, ok := mk.Durable(); ok != (i > 0) || ok && (h != atoll.Height(i-1) || d != atoll.Hash{byte(i)}) {
			t.Fatalf("opening %d found the mark %d, %s, %v", i, h, d, ok)
		}
		var b atoll.Batch
		b.Set([]byte{'k', byte(i)}, []byte{byte(i)})
		b.Delete([]byte{'k', byte(i - 2)})
		apply(t, s, func(to *atoll.Batch) { *to = b })
		want.apply(&b)
		if err := mk.MarkDurable(atoll.Height(i), atoll.Hash{byte(i + 1)}); err != nil {
			t.Fatalf("MarkDurable: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Fatalf("Close %d: %v", i, err)
		}
	}
}

func testOpenTwice(t *testing.T, m Machine) {
	s := open(t, m)
	load(t, s, "a")
	if other, err := m.Open(); err == nil {
		other.Close()
		t.Fatal("the store could be opened twice")
	}
	load(t, s, "b")
	wantAll(t, s, "a=A b=B")
}

// testClosed uses a store after it was closed: everything fails, nothing
// panics, and a Commit that was not waited for may still be asked.
func testClosed(t *testing.T, m Machine) {
	s, err := m.Open()
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	load(t, s, "a")
	if err := s.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	var b atoll.Batch
	b.Set([]byte("b"), nil)
	fails := func(what string, err error) {
		t.Helper()
		if atoll.KindOf(err) != atoll.Unavailable {
			t.Errorf("%s of a closed store: %v; want unavailable", what, err)
		}
	}
	_, err = s.Apply(&b)
	fails("Apply", err)
	_, _, err = s.Get([]byte("a"))
	fails("Get", err)
	it := s.Iter(nil, nil)
	if it.Next() || it.Prev() || it.SeekGE(nil) || it.SeekLT([]byte("z")) {
		t.Error("an iterator of a closed store moves")
	}
	fails("Close of an iterator", it.Close())
	snap := s.Snapshot()
	_, _, err = snap.Get([]byte("a"))
	fails("Get from a snapshot", err)
	snap.Close()
	_, _, _, err = s.(kv.PrefixSeeker).SeekPrefixGE([]byte("a"))
	fails("SeekPrefixGE", err)
	fails("MarkDurable", s.(kv.Marker).MarkDurable(1, atoll.Hash{}))
	fails("Checkpoint", s.Checkpoint("never"))
	if err := s.Close(); err != nil {
		t.Errorf("a second Close: %v", err)
	}
}
