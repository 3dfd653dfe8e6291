package pebble

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"atoll"
	"atoll/kv/kvtest"
)

// breaker fails operations on a disk.
type breaker struct {
	hits  func(errorfs.Op) bool // which operations count
	after atomic.Int64          // operations until the first failure; below 0 it has come
	once  bool                  // only one operation fails
	err   error
	off   atomic.Bool
	fired atomic.Bool
}

func (b *breaker) MaybeError(op errorfs.Op) error {
	if b.off.Load() || !b.hits(op) {
		return nil
	}
	if left := b.after.Add(-1); left >= 0 || b.once && left < -1 {
		return nil
	}
	b.fired.Store(true)
	return b.err
}

func (b *breaker) String() string { return "breaker" }

func writes(op errorfs.Op) bool {
	switch op.Kind {
	case errorfs.OpFileWrite, errorfs.OpFileWriteAt, errorfs.OpCreate, errorfs.OpReuseForWrite, errorfs.OpMkdirAll:
		return true
	}
	return false
}

func syncs(op errorfs.Op) bool {
	switch op.Kind {
	case errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo:
		return true
	}
	return false
}

func changes(op errorfs.Op) bool {
	return writes(op) || syncs(op) || op.Kind == errorfs.OpRename
}

// only counts the operations on files of one kind.
func only(part string, hits func(errorfs.Op) bool) func(errorfs.Op) bool {
	return func(op errorfs.Op) bool { return strings.Contains(op.Path, part) && hits(op) }
}

func faultBatch(seed uint64, i int64) *atoll.Batch {
	rng := rand.New(rand.NewPCG(seed, uint64(i)))
	b := &atoll.Batch{}
	for range 1 + rng.IntN(4) {
		v := make([]byte, rng.IntN(3000))
		for j := range v {
			v[j] = byte(rng.Uint32())
		}
		b.Set(fmt.Appendf(nil, "k%02d", rng.IntN(60)), v)
	}
	if rng.IntN(5) == 0 {
		b.DeleteRange(fmt.Appendf(nil, "k%02d", rng.IntN(60)), []byte("k6"))
	}
	b.Set([]byte("height"), fmt.Append(nil, i))
	return b
}

// faultRun writes to a store until its disk fails.
type faultRun struct {
	t            *testing.T
	name         string
	mem          *vfs.MemFS
	breaker      *breaker
	want         atoll.Kind
	acked, begun int64
}

const faultBatches = 60

func (r *faultRun) fail(format string, args ...any) {
	r.t.Helper()
	r.t.Errorf("%s: %s", r.name, fmt.Sprintf(format, args...))
}

// checkError tells whether an error is one that a person can act upon.
func (r *faultRun) checkError(what string, err error) {
	r.t.Helper()
	if !r.breaker.fired.Load() {
		r.fail("%s: an error without a failure: %v", what, err)
	}
	e, ok := err.(*atoll.Error)
	if !ok || e.Kind != r.want || e.Msg == "" || !strings.Contains(e.Detail, "data") {
		r.fail("%s: %T %v; want %v with a file in the detail", what, err, err, r.want)
	}
}

// write applies batches until something fails. It returns nil if the store
// could not be opened.
func (r *faultRun) write() (*Store, error) {
	s, err := Open(machine{errorfs.Wrap(r.mem, r.breaker), "data"}.options())
	if err != nil {
		return nil, err
	}
	for i := int64(1); i <= faultBatches; i++ {
		r.begun = i
		c, err := s.Apply(faultBatch(1, i))
		if err != nil {
			return s, err
		}
		if i%3 != 0 {
			continue
		}
		if err := c.Wait(); err != nil {
			return s, err
		}
		r.acked = i
		if err := s.MarkDurable(atoll.Height(i), atoll.Hash{}); err != nil {
			return s, err
		}
	}
	return s, nil
}

// afterwards checks that a failed store stays failed.
func (r *faultRun) afterwards(s *Store) {
	r.t.Helper()
	_, err := s.Apply(faultBatch(1, 1))
	r.checkError("Apply after the failure", err)
	_, _, err = s.Get([]byte("height"))
	r.checkError("Get after the failure", err)
	it := s.Iter(nil, nil)
	if it.Next() {
		r.fail("an iterator moves after the failure")
	}
	r.checkError("Iter after the failure", it.Close())
	_, err = s.Metrics()
	r.checkError("Metrics after the failure", err)
}

// reopen opens what is on a disk and compares it with the batches.
func (r *faultRun) reopen(what string, fs vfs.FS) {
	r.t.Helper()
	s, err := Open(machine{fs, "data"}.options())
	if err != nil {
		r.fail("%s: Open: %v", what, err)
		return
	}
	var n int64
	if v, ok, err := s.Get([]byte("height")); err != nil {
		r.fail("%s: Get: %v", what, err)
	} else if ok {
		fmt.Sscan(string(v), &n)
	}
	if n < r.acked || n > r.begun {
		r.fail("%s: %d batches are there; %d were acknowledged, %d begun", what, n, r.acked, r.begun)
	}
	if h, _, ok := s.Durable(); int64(h) > n || ok != (h > 0) {
		r.fail("%s: block %d is marked durable and %d are there", what, h, n)
	}
	var batches []*atoll.Batch
	for i := int64(1); i <= n; i++ {
		batches = append(batches, faultBatch(1, i))
	}
	if err := kvtest.Compare(s, batches); err != nil {
		r.fail("%s: after %d batches: %v", what, n, err)
	}
	for i := n + 1; i < n+5; i++ {
		c, err := s.Apply(faultBatch(1, i))
		if err == nil {
			err = c.Wait()
		}
		if err != nil {
			r.fail("%s: the store does not work again: %v", what, err)
		}
	}
	if err := s.Close(); err != nil {
		r.fail("%s: Close: %v", what, err)
	}
}

// run lets the disk fail at one moment, and looks at the store then and at what
// is left of it. It returns false if the disk was not used that often.
func (r *faultRun) run() bool {
	s, err := r.write()
	if err != nil {
		r.checkError("the failure", err)
		if s != nil {
			r.afterwards(s)
		}
	}
	if s != nil {
		if err := s.Close(); err != nil {
			r.checkError("Close", err)
		}
	}
	if !r.breaker.fired.Load() {
		return false
	}
	r.breaker.off.Store(true)
	power := r.mem.CrashClone(vfs.CrashCloneCfg{})
	r.reopen("after the failure", r.mem)
	r.reopen("after the failure and a loss of power", power)
	return true
}

// TestFaults lets the disk fail at its k-th operation, for every k until the
// work is done without a failure.
func TestFaults(t *testing.T) {
	for _, c := range []struct {
		name string
		hits func(errorfs.Op) bool
		once bool
		err  error
		want atoll.Kind
		step int
	}{
		{"full", writes, false, syscall.ENOSPC, atoll.ResourceExhausted, 7},
		{"full for a moment", writes, true, syscall.ENOSPC, atoll.ResourceExhausted, 11},
		{"read only", changes, false, syscall.EROFS, atoll.Unavailable, 13},
		{"sync", syncs, true, syscall.EIO, atoll.Unavailable, 3},
		{"log write", only(".log", writes), true, syscall.EIO, atoll.Unavailable, 7},
		{"table write", only(".sst", writes), false, syscall.ENOSPC, atoll.ResourceExhausted, 7},
		{"manifest", only("MANIFEST", changes), true, syscall.EIO, atoll.Unavailable, 3},
		{"marks", only("DURABLE", changes), true, syscall.EIO, atoll.Unavailable, 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			for k := 0; !t.Failed(); k += c.step {
				b := &breaker{hits: c.hits, once: c.once, err: c.err}
				b.after.Store(int64(k))
				r := &faultRun{t: t, name: fmt.Sprintf("operation %d", k), mem: vfs.NewCrashableMem(), breaker: b, want: c.want}
				if !r.run() {
					if k < 3*c.step {
						t.Errorf("only %d operations were made", k)
					}
					return
				}
			}
		})
	}
}

// TestStalledWriter has a writer wait for a compaction that then fails: it gets
// the failure, and does not wait for ever.
func TestStalledWriter(t *testing.T) {
	stalled := make(chan struct{})
	b := &breaker{err: syscall.EIO, hits: func(op errorfs.Op) bool {
		if op.Kind != errorfs.OpFileReadAt || !strings.HasSuffix(op.Path, ".sst") {
			return false
		}
		<-stalled
		return true
	}}
	o := machine{errorfs.Wrap(vfs.NewMem(), b), "data"}.options()
	o.tune = func(p *pebble.Options) {
		small(p)
		p.L0StopWritesThreshold = 3
		p.EventListener.WriteStallBegin = func(pebble.WriteStallBeginInfo) { close(stalled) }
	}
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	for i := int64(0); ; i++ {
		if _, err = s.Apply(faultBatch(2, i)); err != nil {
			break
		}
	}
	if atoll.KindOf(err) != atoll.Unavailable {
		t.Errorf("Apply: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// TestFatalOfACaller has Pebble end the process on a goroutine of ours: the
// process lives, and the store is failed.
func TestFatalOfACaller(t *testing.T) {
	f := newFault()
	l := logger{fault: f}
	if onPebblesGoroutine() {
		t.Fatal("a test is taken for Pebble")
	}
	_, err := detached(f, func() (int, error) {
		l.Fatalf("pebble: fatal commit error: %v", syscall.ENOSPC)
		return 1, nil
	}, nil)
	if atoll.KindOf(err) != atoll.ResourceExhausted || f.get() == nil {
		t.Errorf("the failure is %v", err)
	}
}

// TestReadersOfAFailedStore has an iterator and a snapshot open while the store
// fails and is closed; they end with its error, and then its memory is freed.
func TestReadersOfAFailedStore(t *testing.T) {
	b := &breaker{hits: syncs, err: syscall.EIO}
	b.after.Store(1 << 40)
	s, err := Open(machine{errorfs.Wrap(vfs.NewMem(), b), "data"}.options())
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.Apply(faultBatch(3, 1))
	if err != nil || c.Wait() != nil {
		t.Fatal(err)
	}
	it, snap := s.Iter(nil, nil), s.Snapshot()
	if !it.Next() {
		t.Fatal("the store is empty")
	}
	b.after.Store(0)
	if c, err = s.Apply(faultBatch(3, 2)); err == nil {
		err = c.Wait()
	}
	if atoll.KindOf(err) != atoll.Unavailable {
		t.Fatalf("a failing sync: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if it.Next() || atoll.KindOf(it.Close()) != atoll.Unavailable {
		t.Error("the iterator goes on")
	}
	if _, _, err := snap.Get([]byte("height")); atoll.KindOf(err) != atoll.Unavailable {
		t.Errorf("the snapshot goes on: %v", err)
	}
	if err := snap.Close(); err != nil {
		t.Errorf("Close of the snapshot: %v", err)
	}
	<-s.fence.gone
}

// TestCloseWithReaders closes a store too early: it says so, frees the
// directory, and the reader ends.
func TestCloseWithReaders(t *testing.T) {
	m := machine{vfs.NewMem(), "data"}
	s, err := Open(m.options())
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.Apply(faultBatch(3, 1))
	if err != nil || c.Wait() != nil {
		t.Fatal(err)
	}
	it := s.Iter(nil, nil)
	if err := s.Close(); atoll.KindOf(err) != atoll.FailedPrecondition {
		t.Errorf("Close: %v", err)
	}
	again, err := m.Open()
	if err != nil {
		t.Fatal(err)
	}
	if it.Next() || atoll.KindOf(it.Close()) != atoll.Unavailable {
		t.Error("the iterator goes on")
	}
	<-s.fence.gone
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}

func TestMinFree(t *testing.T) {
	free := uint64(10 << 20)
	o := machine{vfs.NewMem(), "data"}.options()
	o.MinFree = 5 << 20
	o.DiskFree = func(string) (uint64, error) { return free, nil }
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	put := func() error {
		var b atoll.Batch
		b.Set([]byte("k"), make([]byte, 3<<20))
		_, err := s.Apply(&b)
		return err
	}
	if err := put(); err != nil {
		t.Fatal(err)
	}
	free = 6 << 20
	for range 2 {
		if err = put(); err != nil {
			break
		}
	}
	if atoll.KindOf(err) != atoll.ResourceExhausted {
		t.Errorf("Apply on a nearly full disk: %v", err)
	}
	if _, ok, err := s.Get([]byte("k")); !ok || err != nil {
		t.Errorf("Get on a nearly full disk: %v, %v", ok, err)
	}
	free = 10 << 20
	if err := put(); err != nil {
		t.Errorf("Apply when there is room again: %v", err)
	}
	if n, err := s.Free(); n != free || err != nil {
		t.Errorf("Free = %d, %v", n, err)
	}
}
