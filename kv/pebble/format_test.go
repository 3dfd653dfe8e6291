package pebble

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"pgregory.net/rapid"

	"atoll"
	"atoll/kv/kvtest"
)

func TestFormat(t *testing.T) {
	fs := vfs.NewMem()
	m := machine{fs, "data"}
	reopen := func() error {
		s, err := m.Open()
		if err == nil {
			err = s.Close()
		}
		return err
	}
	if err := reopen(); err != nil {
		t.Fatal(err)
	}
	line, err := readFile(fs, "data/FORMAT", maxFormatFile)
	if err != nil || !strings.HasPrefix(string(line), "atoll store format 1, read by atoll 0.1 and newer, crc ") {
		t.Fatalf("FORMAT holds %q, %v", line, err)
	}

	if err := writeFile(fs, "data", formatFile, formatLine(7, "3.2")); err != nil {
		t.Fatal(err)
	}
	if err := reopen(); atoll.KindOf(err) != atoll.FailedPrecondition || !strings.Contains(err.Error(), "use atoll 3.2 or newer") {
		t.Errorf("a newer format: %v", err)
	}
	if err := writeFile(fs, "data", formatFile, nil); err != nil {
		t.Fatal(err)
	}
	if err := reopen(); atoll.KindOf(err) != atoll.DataLoss {
		t.Errorf("an empty FORMAT: %v", err)
	}
	if err := fs.Remove("data/FORMAT"); err != nil {
		t.Fatal(err)
	}
	if err := reopen(); atoll.KindOf(err) != atoll.DataLoss || !strings.Contains(err.Error(), "no file FORMAT") {
		t.Errorf("no FORMAT: %v", err)
	}
	if err := writeFormat(fs, "data"); err != nil {
		t.Fatal(err)
	}
	if err := reopen(); err != nil {
		t.Errorf("FORMAT as it was: %v", err)
	}
}

func FuzzParseFormat(f *testing.F) {
	f.Add(formatLine(1, "0.1"))
	f.Add(formatLine(1<<31, "12.34 and newer, crc 00000000"))
	f.Add([]byte("atoll store format 1, read by atoll 0.1 and newer, crc 00000000\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		n, since, err := parseFormat(b)
		if err != nil {
			if atoll.KindOf(err) != atoll.DataLoss {
				t.Fatalf("the error is %v", err)
			}
			return
		}
		if again := formatLine(n, since); !bytes.Equal(again, b) {
			t.Fatalf("%q was read as %q", b, again)
		}
	})
}

// FuzzMarks reads any slots: what it takes for a mark was written as one.
func FuzzMarks(f *testing.F) {
	one := slot{seq: 1, number: 7, body: [32]byte{1, 2, 3}}
	two := slot{seq: 2, number: 8}
	f.Add(one.encode(blockPair), two.encode(blockPair))
	f.Add(make([]byte, slotSize), one.encode(manifestPair))
	f.Add(bytes.Repeat([]byte{1}, slotSize), make([]byte, slotSize))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		content := make([]byte, marksSize)
		copy(content[:slotSize], a)
		copy(content[slotSpace:slotSpace+slotSize], b)
		var m marks
		err := m.decode(content)
		for i, s := range m.pairs[blockPair] {
			at := i * slotSpace
			if s.seq > 0 && !bytes.Equal(s.encode(blockPair), content[at:at+slotSize]) {
				t.Fatalf("slot %d is read as %+v", i, s)
			}
		}
		if newest := m.newest(blockPair); err == nil && newest.seq == 0 && !allZero(content) {
			t.Fatal("damage is taken for nothing")
		}
	})
}

// TestMarksTorn tears each byte off the write of a mark: the one before stands.
func TestMarksTorn(t *testing.T) {
	fs := vfs.NewMem()
	if err := fs.MkdirAll("data", 0o755); err != nil {
		t.Fatal(err)
	}
	m, err := openMarks(fs, "data")
	if err != nil {
		t.Fatal(err)
	}
	for h := range uint64(3) {
		if err := m.put(blockPair, slot{number: h}); err != nil {
			t.Fatal(err)
		}
	}
	before, err := readFile(fs, "data/DURABLE", marksSize)
	if err != nil {
		t.Fatal(err)
	}
	next := slot{seq: 4, number: 3, body: [32]byte{9}}.encode(blockPair)
	at := slotSpace // of the older slot
	for n := range slotSize {
		torn := bytes.Clone(before)
		copy(torn[at:], next[:n])
		var m marks
		if err := m.decode(torn); err != nil {
			t.Fatalf("%d bytes: %v", n, err)
		}
		if got := m.newest(blockPair); got.number != 2 {
			t.Errorf("%d bytes of the mark 3 leave the mark %d", n, got.number)
		}
	}
}

func TestComparer(t *testing.T) {
	key := rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 'a', 'b', 0xfe, 0xff}), 1, 6)
	kvtest.CheckSplit(t, kvtest.Split, func(t *rapid.T) []byte { return key.Draw(t, "key") })
	c := newComparer(kvtest.Split)
	t.Run("order", rapid.MakeCheck(func(t *rapid.T) {
		a, b := key.Draw(t, "a"), key.Draw(t, "b")
		order := bytes.Compare(a, b)
		if c.Compare(a, b) != order || c.Equal(a, b) != (order == 0) {
			t.Fatalf("Compare(%q, %q) = %d", a, b, c.Compare(a, b))
		}
		if x, y := c.AbbreviatedKey(a), c.AbbreviatedKey(b); x < y && order >= 0 || x > y && order <= 0 {
			t.Fatalf("the abbreviations of %q and %q are %x and %x", a, b, x, y)
		}
		if s := c.Successor(nil, a); bytes.Compare(s, a) < 0 {
			t.Fatalf("Successor(%q) = %q", a, s)
		}
		if order < 0 {
			if s := c.Separator(nil, a, b); bytes.Compare(a, s) > 0 || bytes.Compare(s, b) >= 0 {
				t.Fatalf("Separator(%q, %q) = %q", a, b, s)
			}
		}
	}))
}

// TestSplitIsPartOfTheFormat opens a store with no split that was written with
// one: its filters would hide keys.
func TestSplitIsPartOfTheFormat(t *testing.T) {
	m := machine{vfs.NewMem(), "data"}
	s, err := m.Open()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	o := m.options()
	o.Split = nil
	if _, err := Open(o); err == nil || !strings.Contains(err.Error(), "atoll.v1.whole") {
		t.Errorf("Open with another split: %v", err)
	}
}

// TestOpenReadsTheTail counts what an open reads of the log: it follows what was
// written since the last flush, whatever there is in tables.
func TestOpenReadsTheTail(t *testing.T) {
	cost := func(flushed, tail int) int64 {
		mem := vfs.NewMem()
		o := Options{Dir: "data", FS: mem, Split: kvtest.Split}
		s, err := Open(o)
		if err != nil {
			t.Fatal(err)
		}
		write := func(n int) {
			for range n {
				var b atoll.Batch
				b.Set(binary.BigEndian.AppendUint64(nil, uint64(n)), make([]byte, 30_000))
				if c, err := s.Apply(&b); err != nil || c.Wait() != nil {
					t.Fatal(err)
				}
			}
		}
		write(flushed)
		if err := s.db.Flush(); err != nil {
			t.Fatal(err)
		}
		write(tail)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		var reads atomic.Int64
		o.FS = errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind == errorfs.OpFileRead && strings.HasSuffix(op.Path, ".log") {
				reads.Add(1)
			}
			return nil
		}))
		if s, err = Open(o); err != nil {
			t.Fatal(err)
		}
		n := reads.Load()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		return n
	}
	small, large, tail := cost(50, 10), cost(500, 10), cost(50, 100)
	if large > small+3 || tail < 5*small {
		t.Errorf("an open reads %d blocks of the log; with 10 times the tables %d, with 10 times the tail %d", small, large, tail)
	}
}

func TestMetrics(t *testing.T) {
	s, err := Open(machine{vfs.NewMem(), "data"}.options())
	if err != nil {
		t.Fatal(err)
	}
	for i := range int64(50) {
		if _, err := s.Apply(faultBatch(1, i)); err != nil {
			t.Fatal(err)
		}
	}
	it, snap := s.Iter(nil, nil), s.Snapshot()
	m, err := s.Metrics()
	if err != nil {
		t.Fatal(err)
	}
	if m.DiskBytes == 0 || m.WALBytes == 0 || m.MemtableBytes == 0 || m.Flushes == 0 || m.Iterators != 1 || m.Snapshots != 1 {
		t.Errorf("%+v", m)
	}
	if err := it.Close(); err != nil {
		t.Error(err)
	}
	if err := snap.Close(); err != nil {
		t.Error(err)
	}
	if m, err = s.Metrics(); err != nil || m.Iterators != 0 || m.Snapshots != 0 {
		t.Errorf("%+v, %v", m, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestLogger sees a failure told to the operator.
func TestLogger(t *testing.T) {
	var told []string
	l := logger{fault: newFault(), log: func(format string, args ...any) { told = append(told, fmt.Sprintf(format, args...)) }}
	l.listener().BackgroundError(fmt.Errorf("broken"))
	if len(told) != 1 || !strings.Contains(told[0], "broken") || l.fault.get() == nil {
		t.Errorf("told %q, and the failure is %v", told, l.fault.get())
	}
}
