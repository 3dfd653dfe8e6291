package killtest

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// write commits one document that belongs to nobody, and deletes it.
func write(ctx context.Context, c *connection) error {
	name := documentName("(default)", "probe/x")
	client := firestorepb.NewFirestoreClient(c)
	if _, err := client.UpdateDocument(ctx, &firestorepb.UpdateDocumentRequest{Document: &firestorepb.Document{Name: name, Fields: content(name, 1)}}); err != nil {
		return err
	}
	_, err := client.DeleteDocument(ctx, &firestorepb.DeleteDocumentRequest{Name: name})
	return err
}

// eventually repeats a probe until it returns nil, and fails after a while.
func eventually(t testing.TB, what string, probe func() error) {
	t.Helper()
	var err error
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if err = probe(); err == nil {
			return
		}
	}
	t.Fatalf("%s: %v", what, err)
}

// refused returns nil once writes are refused for want of room, with words that
// help.
func refused(ctx context.Context, c *connection) error {
	err := write(ctx, c)
	if status.Code(err) == codes.ResourceExhausted && strings.Contains(err.Error(), "MiB") && strings.Contains(err.Error(), "Reads go on") {
		return nil
	}
	return errors.Join(errors.New("writes are not refused as they should be"), err)
}

// TestFullDisk lets the room on the disk shrink below the watermark: writes are
// refused before the disk is full, reads go on, and writes work again when there
// is room.
func TestFullDisk(t *testing.T) {
	var free atomic.Uint64
	free.Store(1 << 30)
	d := disk{
		fs: vfs.NewCrashableMem(), dir: "data", min: 64 << 20,
		free: func(string) (uint64, error) { return free.Load(), nil },
	}
	ctx := within(t, time.Minute)
	s, err := startStack(ctx, d, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.stop()
	l := newLoad(1, 8)
	for range 3 {
		work(ctx, t, l, s.connection, 50*time.Millisecond, nil)
		work(ctx, t, l, s.connection, 300*time.Millisecond, func() { free.Store(10 << 20) })
		eventually(t, "below the watermark", func() error { return refused(ctx, s.connection) })
		if err := l.check(ctx, s.connection, l.all()); err != nil {
			t.Fatalf("reads do not go on: %v", err)
		}
		free.Store(1 << 30)
		eventually(t, "with room again", func() error { return write(ctx, s.connection) })
	}
	if err := l.finish(ctx, s.connection); err != nil {
		t.Error(err)
	}
	t.Log(l.stats)
}

// work has the clients work for a time, and do happens in the middle of it.
func work(ctx context.Context, t testing.TB, l *load, c *connection, d time.Duration, do func()) {
	t.Helper()
	working, stop := context.WithTimeout(ctx, d)
	defer stop()
	if do != nil {
		defer time.AfterFunc(d/2, do).Stop()
	}
	if err := l.run(working, c); err != nil {
		t.Fatal(err)
	}
}

// faulty is a disk that begins to fail at some change, and goes on failing until
// it is mended.
type faulty struct {
	err   error
	which func(errorfs.OpKind) bool
	left  atomic.Int64 // matching operations until it fails; at or below 0 it fails
}

const healthy = 1 << 40

func (f *faulty) MaybeError(op errorfs.Op) error {
	if f.which(op.Kind) && f.left.Add(-1) < 0 {
		return f.err
	}
	return nil
}

func (f *faulty) String() string { return "faulty" }

func isWrite(k errorfs.OpKind) bool { return k.ReadOrWrite() == errorfs.OpIsWrite }

func isSync(k errorfs.OpKind) bool {
	return k == errorfs.OpFileSync || k == errorfs.OpFileSyncData || k == errorfs.OpFileSyncTo
}

// testFaulty breaks a disk under load at several moments, and mends it. The
// operator must be told in so many words, and the node go on by itself when the
// disk does, with nothing lost: not even if the power fails then.
func testFaulty(t *testing.T, err error, which func(errorfs.OpKind) bool, words string) {
	rng := rand.New(rand.NewPCG(7, 7))
	f := &faulty{err: err, which: which}
	f.left.Store(healthy)
	mem := vfs.NewCrashableMem()
	ctx := within(t, 2*time.Minute)
	s, err := startStack(ctx, disk{fs: errorfs.Wrap(mem, f), dir: "data"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.stop()
	l := newLoad(2, 8)
	for range scaled(3, 30) {
		work(ctx, t, l, s.connection, 30*time.Millisecond, nil)
		f.left.Store(rng.Int64N(60))
		for f.left.Load() >= 0 && ctx.Err() == nil {
			work(ctx, t, l, s.connection, 50*time.Millisecond, nil)
		}
		soon, cancel := context.WithTimeout(ctx, time.Second)
		if err := write(soon, s.connection); !isOpen(status.Code(err)) || strings.Contains(err.Error(), "data/subnet") {
			t.Errorf("a client is told this of a failed disk: %v", err)
		}
		cancel()
		if !s.log.has(words) {
			t.Errorf("nobody is told that %q:\n%s", words, s.log)
		}
		f.left.Store(healthy)
		eventually(t, "on the mended disk", func() error { return write(ctx, s.connection) })
		if err := l.check(ctx, s.connection, l.all()); err != nil {
			t.Fatalf("on the mended disk: %v", err)
		}
	}
	if err := l.finish(ctx, s.connection); err != nil {
		t.Fatal(err)
	}
	left := mem.CrashClone(vfs.CrashCloneCfg{})
	again, err := startStack(ctx, disk{fs: left, dir: "data"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer again.stop()
	if err := l.finish(ctx, again.connection); err != nil {
		t.Errorf("after the power failed: %v", err)
	}
	t.Log(l.stats)
}

func TestNoSpace(t *testing.T) {
	testFaulty(t, syscall.ENOSPC, isWrite, "the disk is full")
}

func TestReadOnlyDisk(t *testing.T) {
	testFaulty(t, syscall.EROFS, isWrite, "the disk is read-only")
}

func TestFailingSync(t *testing.T) {
	testFaulty(t, syscall.EIO, isSync, "input/output error")
}
