package pebble

import (
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"atoll"
	"atoll/kv/kvtest"
)

// crashMachine is a directory in a memory that forgets what was not synced.
type crashMachine struct {
	mem    *vfs.MemFS
	during *hook
}

// hook is called in the middle of one change.
type hook struct {
	left atomic.Int64 // changes until the call; below 0 there is none
	f    atomic.Pointer[func()]
}

func (h *hook) set(k int, f func()) {
	h.left.Store(-1)
	h.f.Store(&f)
	h.left.Store(int64(k))
}

// MaybeError is called by errorfs before each operation. It fails none.
func (h *hook) MaybeError(op errorfs.Op) error {
	if op.Kind.ReadOrWrite() == errorfs.OpIsWrite && h.left.Load() >= 0 && h.left.Add(-1) == -1 {
		(*h.f.Load())()
	}
	return nil
}

func (h *hook) String() string { return "crash" }

func newCrashMachine(mem *vfs.MemFS) crashMachine {
	m := crashMachine{mem: mem, during: &hook{}}
	m.during.left.Store(-1)
	return m
}

func (m crashMachine) disk() machine { return machine{errorfs.Wrap(m.mem, m.during), "data"} }

func (m crashMachine) Open() (atoll.Store, error) { return m.disk().Open() }

func (m crashMachine) Checkpoint(s atoll.Store, name string) (atoll.Store, error) {
	return m.disk().Checkpoint(s, name)
}

func (m crashMachine) Crash(rng *rand.Rand) kvtest.CrashMachine {
	percent := []int{0, 50, 100, rng.IntN(100)}[rng.IntN(4)]
	return newCrashMachine(m.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng}))
}

func (m crashMachine) During(k int, f func()) { m.during.set(k, f) }

func TestCrash(t *testing.T) {
	kvtest.RunCrash(t, func(*testing.T) kvtest.CrashMachine { return newCrashMachine(vfs.NewCrashableMem()) })
}

// TestCrashWhileOpening cuts the power in the middle of an opening, on a disk
// that keeps the names of files in any order.
func TestCrashWhileOpening(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 0))
		m := newCrashMachine(vfs.NewCrashableMem())
		write := func(m crashMachine) {
			s, err := m.Open()
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			b := &atoll.Batch{}
			b.Set([]byte("k"), []byte("v"))
			c, err := s.Apply(b)
			if err == nil {
				err = c.Wait()
			}
			if cerr := s.Close(); err != nil || cerr != nil {
				t.Fatal(err, cerr)
			}
		}
		write(m)
		write(m)
		var left atomic.Pointer[vfs.MemFS]
		m.during.set(rng.IntN(30), func() {
			left.Store(m.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rng}))
		})
		write(m)
		if mem := left.Load(); mem != nil {
			write(newCrashMachine(mem))
		}
	}
}
