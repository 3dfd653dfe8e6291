package kvtest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"atoll"
	"atoll/kv"
)

// CrashMachine is a Machine whose power can fail.
type CrashMachine interface {
	Machine
	// Crash returns the machine as it might be found if the power had failed
	// at this moment. The machine itself goes on. It may be called while a
	// change to the disk is under way.
	Crash(rng *rand.Rand) CrashMachine
	// During has f called in the middle of the k-th change to the disk from
	// now on, from 0, by whoever makes that change. It replaces an earlier f
	// that was not called yet.
	During(k int, f func())
}

// Crashes returns how many crashes a test should make: the environment
// variable ATOLL_CRASHES, or 100.
func Crashes() int {
	if n, err := strconv.Atoi(os.Getenv("ATOLL_CRASHES")); err == nil && n > 0 {
		return n
	}
	return 100
}

// RunCrash cuts a store's power at Crashes moments, in the middle of writing,
// syncing, flushing, compacting and recovering. Each time the machine that is
// left must open with a prefix of the batches that were applied, and with all
// whose Wait had returned. start returns a machine that holds nothing yet.
func RunCrash(t *testing.T, start func(t *testing.T) CrashMachine) {
	for seed, done := uint64(1), 0; done < Crashes() && !t.Failed(); seed++ {
		r := &crashRun{seed: seed, rng: rand.New(rand.NewPCG(seed, 0)), m: start(t)}
		r.write(t)
		for len(r.images) > 0 {
			img := r.images[0]
			r.images = r.images[1:]
			r.check(t, img)
			done++
		}
	}
}

// crashRun writes to one machine and takes images of what crashes leave of it.
type crashRun struct {
	seed uint64
	rng  *rand.Rand
	m    CrashMachine

	begun atomic.Int64 // the last batch given to Apply
	acked atomic.Int64 // the last batch whose Wait returned, with all before it

	mu     sync.Mutex // guards images
	images []image
}

// image is what a crash left.
type image struct {
	m            CrashMachine
	acked, begun int64
	what         string
	nested       bool // of the recovery from another crash
}

// heightKey holds the number of the last batch.
var heightKey = []byte("height")

// batch returns the i-th batch, from 1: some of it large enough for flushes and
// compactions to be frequent.
func (r *crashRun) batch(i int64) *atoll.Batch {
	rng := rand.New(rand.NewPCG(r.seed, uint64(i)))
	b := &atoll.Batch{}
	key := func() []byte { return fmt.Appendf(nil, "k%03d", rng.IntN(300)) }
	for range rng.IntN(6) {
		switch rng.IntN(8) {
		case 0:
			b.Delete(key())
		case 1:
			b.DeleteRange(key(), key())
		default:
			v := make([]byte, rng.IntN(2500))
			for j := range v {
				v[j] = byte(rng.Uint32())
			}
			b.Set(key(), v)
		}
	}
	b.Set(heightKey, fmt.Append(nil, i))
	return b
}

// state returns what a store holds after n batches.
func (r *crashRun) state(n int64) model {
	m := model{}
	for i := int64(1); i <= n; i++ {
		m.apply(r.batch(i))
	}
	return m
}

// take returns a function that makes an image at the moment it is called.
func (r *crashRun) take(m CrashMachine, seed uint64, what string) func() {
	return func() {
		rng := rand.New(rand.NewPCG(r.seed, seed))
		img := image{acked: r.acked.Load(), what: what}
		img.m = m.Crash(rng)
		img.begun = r.begun.Load() // after the image: it holds no more than this
		r.mu.Lock()
		defer r.mu.Unlock()
		r.images = append(r.images, img)
	}
}

// write applies batches, some waited for and some not, while the power fails
// now and then.
func (r *crashRun) write(t *testing.T) {
	r.m.During(r.rng.IntN(20), r.take(r.m, 1<<32, "while the store is made"))
	s, err := r.m.Open()
	if err != nil {
		t.Fatalf("seed %d: Open: %v", r.seed, err)
	}
	for i := int64(1); i <= int64(20+r.rng.IntN(60)); i++ {
		if r.rng.IntN(8) == 0 {
			r.m.During(r.rng.IntN(12), r.take(r.m, 1<<33+uint64(i), fmt.Sprintf("soon after batch %d", i)))
		}
		r.begun.Store(i)
		c, err := s.Apply(r.batch(i))
		if err != nil {
			t.Fatalf("seed %d: Apply %d: %v", r.seed, i, err)
		}
		if r.rng.IntN(3) > 0 {
			continue
		}
		if err := c.Wait(); err != nil {
			t.Fatalf("seed %d: Wait %d: %v", r.seed, i, err)
		}
		r.acked.Store(i)
		if err := s.(kv.Marker).MarkDurable(atoll.Height(i), atoll.Hash{byte(i)}); err != nil {
			t.Fatalf("seed %d: MarkDurable %d: %v", r.seed, i, err)
		}
	}
	r.m.During(r.rng.IntN(6), r.take(r.m, 1<<34, "while the store is closed"))
	if err := s.Close(); err != nil {
		t.Fatalf("seed %d: Close: %v", r.seed, err)
	}
	r.m.During(0, func() {})
	r.take(r.m, 1<<35, "after the store was closed")()
}

// check opens an image, looks at everything in it, and writes on. The first
// opening is itself interrupted now and then.
func (r *crashRun) check(t *testing.T, img image) {
	t.Helper()
	where := fmt.Sprintf("seed %d, crash %s", r.seed, img.what)
	if !img.nested && r.rng.IntN(4) == 0 {
		img.m.During(r.rng.IntN(25), func() {
			m := img.m.Crash(rand.New(rand.NewPCG(r.seed, 1<<36)))
			r.mu.Lock()
			defer r.mu.Unlock()
			r.images = append(r.images, image{m, img.acked, img.begun, img.what + ", then while recovering", true})
		})
	}
	s, err := img.m.Open()
	if err != nil {
		t.Fatalf("%s: Open: %v", where, err)
	}
	n := heightOf(t, s)
	if n < img.acked || n > img.begun {
		t.Errorf("%s: %d batches survived; %d were acknowledged and %d begun", where, n, img.acked, img.begun)
	}
	if err := r.state(n).compare(s); err != nil {
		t.Errorf("%s: after %d batches: %v", where, n, err)
	}
	if h, _, ok := s.(kv.Marker).Durable(); ok && int64(h) > n {
		t.Errorf("%s: block %d is marked durable, and %d batches survived", where, h, n)
	}
	img.m.During(0, func() {})
	for i := n + 1; i <= n+3; i++ {
		apply(t, s, func(b *atoll.Batch) { *b = *r.batch(i) })
	}
	if err := s.Close(); err != nil {
		t.Errorf("%s: Close: %v", where, err)
	}
	if s, err = img.m.Open(); err != nil {
		t.Fatalf("%s: the second Open: %v", where, err)
	}
	if err := r.state(n + 3).compare(s); err != nil {
		t.Errorf("%s: after writing on: %v", where, err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("%s: the second Close: %v", where, err)
	}
}

// heightOf returns the number of the last batch that a store holds.
func heightOf(t *testing.T, s atoll.Store) int64 {
	t.Helper()
	v, ok, err := s.Get(heightKey)
	if err != nil {
		t.Fatalf("Get: %v", err)
	}
	if !ok {
		return 0
	}
	n, err := strconv.ParseInt(string(v), 10, 64)
	if err != nil {
		t.Fatalf("the store's height is %q", v)
	}
	return n
}
