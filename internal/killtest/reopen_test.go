package killtest

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// countingFS counts the bytes that are read from it, but for compactions.
type countingFS struct {
	vfs.FS
	read *atomic.Int64
}

func (c countingFS) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	f, err := c.FS.Open(name, opts...)
	if err != nil {
		return nil, err
	}
	return countingFile{f, c.read}, nil
}

func (c countingFS) Unwrap() vfs.FS { return c.FS }

type countingFile struct {
	vfs.File
	read *atomic.Int64
}

func (f countingFile) Read(p []byte) (int, error) {
	n, err := f.File.Read(p)
	f.read.Add(int64(n))
	return n, err
}

func (f countingFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.File.ReadAt(p, off)
	if !compacting() {
		f.read.Add(int64(n))
	}
	return n, err
}

// compacting reports whether the caller puts Pebble's tables in order, in the
// background, when the store has long been open.
func compacting() bool {
	pcs := make([]uintptr, 64)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs)])
	for more := true; more; {
		var f runtime.Frame
		if f, more = frames.Next(); strings.Contains(f.Function, "runCompaction") {
			return true
		}
	}
	return false
}

// cost is what one opening cost.
type cost struct {
	took time.Duration
	read int64 // bytes
	data int64 // bytes of the files
}

// TestReopenTime measures that opening reads the end of the log and not the
// data: with many times the documents, and the same number of writes since the
// last tables, it reads about the same.
func TestReopenTime(t *testing.T) {
	few := reopen(t, 1_000)
	many := reopen(t, scaled(20_000, 100_000))
	if many.data < 10*few.data {
		t.Fatalf("the directories have %d and %d bytes: too alike to compare", few.data, many.data)
	}
	if limit := few.read + few.read/2 + 256<<10; many.read > limit {
		t.Errorf("opening read %d bytes, and %d with few documents: at most %d would be about the same", many.read, few.read, limit)
	}
}

// reopen writes so many documents, brings them into tables, writes a few more,
// and opens what that leaves.
func reopen(t *testing.T, documents int) cost {
	t.Helper()
	const batch, tail = 500, 200
	ctx := within(t, 5*time.Minute)
	d := disk{fs: vfs.Default, dir: t.TempDir()}
	put := func(from, n, size int) {
		s, err := startStack(ctx, d, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer s.stop()
		for i := from; i < from+n; i += size {
			if err := writeMany(ctx, s.connection, i, size); err != nil {
				t.Fatal(err)
			}
		}
	}
	put(0, documents, batch)
	put(documents, tail, 1) // opening it made tables of what was before

	var o cost
	var read atomic.Int64
	began := time.Now()
	s, err := startStack(ctx, disk{fs: countingFS{vfs.Default, &read}, dir: d.dir}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.stop()
	if err := write(ctx, s.connection); err != nil {
		t.Fatal(err)
	}
	o.took, o.read = time.Since(began), read.Load()
	files, err := readTree(vfs.Default, d.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range files {
		o.data += int64(len(b))
	}
	t.Logf("%d documents, %.1f MB: it took a write after %s, having read %.1f kB", documents, float64(o.data)/1e6, o.took.Round(time.Millisecond), float64(o.read)/1e3)
	return o
}

// random returns n bytes that no compression makes fewer.
func random(seed uint64, n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte(binary.LittleEndian.AppendUint64(make([]byte, 24), seed))).Read(b)
	return b
}

// writeMany commits n documents at once.
func writeMany(ctx context.Context, c *connection, from, n int) error {
	req := &firestorepb.CommitRequest{Database: databaseName("(default)")}
	for i := from; i < from+n; i++ {
		name := documentName("(default)", fmt.Sprintf("many/%d", i))
		req.Writes = append(req.Writes, &firestorepb.Write{Operation: &firestorepb.Write_Update{
			Update: &firestorepb.Document{Name: name, Fields: map[string]*firestorepb.Value{
				"i": {ValueType: &firestorepb.Value_IntegerValue{IntegerValue: int64(i)}},
				"b": {ValueType: &firestorepb.Value_BytesValue{BytesValue: random(uint64(i), 120)}},
			}},
		}})
	}
	_, err := firestorepb.NewFirestoreClient(c).Commit(ctx, req)
	return err
}
