package mem

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"atoll"
)

func TestFrame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := &atoll.Batch{}
		for range rapid.IntRange(0, 5).Draw(t, "ops") {
			k := rapid.SliceOfN(rapid.Byte(), 1, 200).Draw(t, "key")
			v := rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "value")
			switch rapid.IntRange(0, 2).Draw(t, "kind") {
			case 0:
				b.Set(k, v)
			case 1:
				b.Delete(k)
			case 2:
				b.DeleteRange(k, v)
			}
		}
		seq := rapid.Uint64().Draw(t, "seq")
		frame := appendFrame(nil, seq, b)
		gotSeq, got, size, ok := readFrame(append(frame, "rest"...))
		if !ok || gotSeq != seq || size != len(frame) || got.Bytes != b.Bytes || len(got.Ops) != len(b.Ops) {
			t.Fatalf("wrote %d %+v, read %d %+v, %v", seq, b, gotSeq, got, ok)
		}
		for i, op := range b.Ops {
			if o := got.Ops[i]; o.Kind != op.Kind || !bytes.Equal(o.Key, op.Key) || !bytes.Equal(o.Value, op.Value) {
				t.Fatalf("operation %d: wrote %+v, read %+v", i, op, o)
			}
		}
		cut := rapid.IntRange(0, len(frame)-1).Draw(t, "cut")
		if _, _, _, ok := readFrame(frame[:cut]); ok {
			t.Fatalf("a frame of %d bytes was read from %d", len(frame), cut)
		}
	})
}

// FuzzReadOps feeds any bytes to the innermost decoder, which a checksum guards
// from most of them: what it accepts it encodes again to as many operations.
func FuzzReadOps(f *testing.F) {
	b := &atoll.Batch{}
	b.Set([]byte("key"), []byte("value"))
	b.Delete([]byte("key"))
	f.Add(appendFrame(nil, 1, b)[frameHead:])
	f.Fuzz(func(t *testing.T, ops []byte) {
		b, ok := readOps(ops)
		if !ok {
			return
		}
		if again, ok := readOps(appendFrame(nil, 1, b)[frameHead:]); !ok || len(again.Ops) != len(b.Ops) || again.Bytes != b.Bytes {
			t.Fatalf("%+v became %+v", b, again)
		}
		apply(newTree(), b)
	})
}

// FuzzReplay feeds any bytes to the recovery: it must not panic, and what it
// accepts as whole must read the same again.
func FuzzReplay(f *testing.F) {
	b := &atoll.Batch{}
	b.Set([]byte("key"), []byte("value"))
	b.DeleteRange([]byte("a"), []byte("b"))
	one := appendFrame(nil, 1, b)
	f.Add([]byte{}, 0)
	f.Add(one, len(one))
	f.Add(appendFrame(one, 2, b), 0)
	f.Add(append(bytes.Clone(one), one[:20]...), len(one))
	f.Fuzz(func(t *testing.T, journal []byte, synced int) {
		state, last, whole, frames, err := replay(journal, synced)
		if err != nil {
			if atoll.KindOf(err) != atoll.DataLoss {
				t.Fatalf("the error is %v", err)
			}
			return
		}
		if whole > len(journal) || whole < synced {
			t.Fatalf("%d of %d bytes are whole, %d were synced", whole, len(journal), synced)
		}
		again, last2, whole2, frames2, err := replay(journal[:whole], whole)
		if err != nil || last2 != last || whole2 != whole || frames2 != frames || again.Len() != state.Len() {
			t.Fatalf("read again: %d %d %d, %v; first %d %d %d", last2, whole2, frames2, err, last, whole, frames)
		}
	})
}

// TestDeterministic does the same twice and compares the bytes on the disk.
func TestDeterministic(t *testing.T) {
	run := func() *Disk {
		rng := rand.New(rand.NewPCG(7, 0))
		d := NewManualDisk()
		for range 20 {
			s, err := Open(d)
			if err != nil {
				t.Fatal(err)
			}
			for range rng.IntN(20) {
				var b atoll.Batch
				b.Set([]byte{byte(rng.IntN(50))}, fmt.Append(nil, rng.IntN(1000)))
				b.DeleteRange([]byte{byte(rng.IntN(50))}, []byte{byte(rng.IntN(50))})
				if _, err := s.Apply(&b); err != nil {
					t.Fatal(err)
				}
				if rng.IntN(4) == 0 {
					if err := d.Sync(); err != nil {
						t.Fatal(err)
					}
				}
				if rng.IntN(40) == 0 {
					if err := s.Compact(); err != nil {
						t.Fatal(err)
					}
				}
			}
			d.Crash(rng.IntN)
		}
		return d
	}
	a, b := run(), run()
	if a.Stats() != b.Stats() || !bytes.Equal(a.journal, b.journal) || len(a.journal) == 0 {
		t.Errorf("the same calls gave %+v and %+v", a.Stats(), b.Stats())
	}
}
