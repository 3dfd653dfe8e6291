package killtest

import (
	"context"
	"math/rand/v2"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// long reports whether tests run at full length.
func long() bool { return os.Getenv("ATOLL_LONG") != "" }

func scaled(ordinary, atLength int) int {
	if long() {
		return atLength
	}
	return ordinary
}

// machine is a disk in memory that forgets what was not synced when the power
// fails, once, in the middle of some change.
type machine struct {
	mem   *vfs.MemFS
	rng   *rand.Rand   // of whoever takes the image
	left  atomic.Int64 // changes until the power fails; below 0 it has
	lost  atomic.Bool
	image atomic.Pointer[vfs.MemFS] // what the failure left
}

func newMachine(mem *vfs.MemFS, rng *rand.Rand) *machine {
	m := &machine{mem: mem, rng: rand.New(rand.NewPCG(rng.Uint64(), 0))}
	m.left.Store(1 << 40)
	return m
}

// MaybeError is called before each operation of the disk. It fails none.
func (m *machine) MaybeError(op errorfs.Op) error {
	if op.Kind.ReadOrWrite() == errorfs.OpIsWrite && m.left.Add(-1) == 0 {
		m.fail()
	}
	return nil
}

func (m *machine) String() string { return "machine" }

// fail takes the image of this moment, if none is taken yet.
func (m *machine) fail() {
	if m.lost.Swap(true) {
		return
	}
	percent := []int{0, 50, 100, m.rng.IntN(100)}[m.rng.IntN(4)]
	m.image.Store(m.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: m.rng}))
}

func (m *machine) disk() disk { return disk{fs: errorfs.Wrap(m.mem, m), dir: "data"} }

// wait returns what the failure left, at the latest when d is over.
func (m *machine) wait(d time.Duration) *vfs.MemFS {
	for end := time.Now().Add(d); !m.lost.Load() && time.Now().Before(end); {
		time.Sleep(200 * time.Microsecond)
	}
	m.fail()
	for m.image.Load() == nil { // somebody else takes it
		time.Sleep(50 * time.Microsecond)
	}
	return m.image.Load()
}

// TestCrashPoints cuts the power of a node under load in the middle of changes
// to its disk, while it opens and while it works, and goes on with what each
// crash left: with the next crash, from there.
func TestCrashPoints(t *testing.T) {
	const perMachine = 20
	points, whileOpening := 0, 0
	var total stats
	for seed := uint64(1); points < scaled(60, 1000) && !t.Failed(); seed++ {
		rng := rand.New(rand.NewPCG(seed, 0))
		l := newLoad(seed, 8)
		mem := vfs.NewCrashableMem()
		for range perMachine {
			opening := rng.IntN(5) == 0
			mem = crashOnce(t, l, mem, rng, opening)
			if t.Failed() {
				t.Fatalf("seed %d, crash %d", seed, points)
			}
			points++
			if opening {
				whileOpening++
			}
		}
		s, err := startStack(t.Context(), disk{fs: mem, dir: "data"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.finish(t.Context(), s.connection); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
		s.stop()
		total.add(l.stats)
	}
	t.Logf("%d crashes, %d of them while opening: %s", points, whileOpening, total)
}

// crashOnce opens what a crash left, checks it, has the clients work, and
// returns what the next crash leaves.
func crashOnce(t *testing.T, l *load, mem *vfs.MemFS, rng *rand.Rand, opening bool) *vfs.MemFS {
	t.Helper()
	copied := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rng})
	if err := audit(disk{fs: copied, dir: "data"}); err != nil {
		t.Errorf("after a crash: %v", err)
		return mem
	}
	m := newMachine(mem, rng)
	if opening {
		m.left.Store(1 + rng.Int64N(40))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	s, err := startStack(ctx, m.disk(), m.lost.Load)
	if err != nil {
		t.Errorf("opening: %v", err)
		return mem
	}
	defer s.stop()
	if !opening {
		if err := l.check(ctx, s.connection, l.all()); err != nil {
			t.Errorf("after a crash: %v", err)
		}
		m.left.Store(1 + rng.Int64N(300))
	}
	working, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- l.run(working, s.connection) }()
	image := m.wait(time.Duration(10+rng.IntN(40)) * time.Millisecond)
	stop()
	if err := <-done; err != nil {
		t.Errorf("under load: %v", err)
	}
	return image
}
