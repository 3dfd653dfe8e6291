package pebble

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"atoll"
	"atoll/kv/kvtest"
)

// flips returns how many bits TestFlips turns over: the environment variable
// ATOLL_FLIPS, or 200.
func flips() int {
	if n, err := strconv.Atoi(os.Getenv("ATOLL_FLIPS")); err == nil && n > 0 {
		return n
	}
	return 200
}

// TestFlips turns over one bit of one file of a store that is at rest, and opens
// it. Either something says that the store is damaged (Open, a read, or a mark
// of a block that is missing), or everything is there as it was written.
func TestFlips(t *testing.T) {
	for _, c := range []struct {
		name   string
		closed bool // the store was closed; otherwise the process was killed
		tune   func(*pebble.Options)
	}{
		{"closed", true, small},
		{"killed", false, small},
		// Nothing but flushes: each line of the MANIFEST stands alone, and none
		// is missed when it is gone.
		{"flushed", true, func(o *pebble.Options) {
			small(o)
			o.DisableAutomaticCompactions = true
			o.L0StopWritesThreshold = 1000
			o.MaxManifestFileSize = 1 << 20
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			mem, batches := flipStore(t, c.closed, c.tune)
			told, unharmed := map[string]int{}, map[string]int{}
			for seed := range flips() / 3 {
				rng := rand.New(rand.NewPCG(uint64(seed), 0))
				hurt := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rng})
				sort, where := flip(t, hurt, rng)
				switch err := openHurt(hurt, batches); {
				case err == nil:
					unharmed[sort]++
				case atoll.KindOf(err) == atoll.DataLoss:
					told[sort]++
				case atoll.KindOf(err) == atoll.Internal:
					t.Errorf("seed %d: a flip in %s: %v", seed, where, err)
				default:
					told[sort]++
					t.Logf("seed %d: a flip in %s is told as %v", seed, where, err)
				}
			}
			t.Logf("told: %v; without consequence: %v", told, unharmed)
			for _, sort := range []string{".log", ".sst", "MANIFEST", "FORMAT", "DURABLE"} {
				if told[sort]+unharmed[sort] == 0 {
					t.Errorf("no bit of a file %s was flipped", sort)
				}
			}
		})
	}
}

// flipStore writes a store with tables and a log, every batch acknowledged.
func flipStore(t *testing.T, closed bool, tune func(*pebble.Options)) (*vfs.MemFS, []*atoll.Batch) {
	mem := vfs.NewCrashableMem()
	o := machine{mem, "data"}.options()
	o.tune = tune
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	var batches []*atoll.Batch
	for i := int64(1); i <= 100; i++ {
		b := faultBatch(5, i)
		batches = append(batches, b)
		c, err := s.Apply(b)
		if err == nil {
			err = c.Wait()
		}
		if err == nil {
			err = s.MarkDurable(atoll.Height(i), atoll.Hash{})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	image := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(0, 0))})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if closed {
		return mem, batches
	}
	return image, batches
}

// sortOf returns what a file is for, by its name.
func sortOf(name string) string {
	if i := strings.IndexByte(name, '.'); i >= 0 && !strings.HasPrefix(name, "marker") {
		return name[i:]
	}
	sort, _, _ := strings.Cut(name, "-")
	return sort
}

// flip turns over a bit of a file; every sort of files is as likely.
func flip(t *testing.T, mem *vfs.MemFS, rng *rand.Rand) (sort, where string) {
	names, err := mem.List("data")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	files := map[string][]string{}
	var sorts []string
	for _, n := range names {
		info, err := mem.Stat("data/" + n)
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() == 0 {
			continue
		}
		sort := sortOf(n)
		if files[sort] == nil {
			sorts = append(sorts, sort)
		}
		files[sort] = append(files[sort], n)
	}
	sort = sorts[rng.IntN(len(sorts))]
	name := files[sort][rng.IntN(len(files[sort]))]
	b, err := mem.UnsafeGetFileDataBuffer("data/" + name)
	if err != nil {
		t.Fatal(err)
	}
	bit := rng.IntN(8 * len(b))
	if name == marksFile { // which is mostly empty space
		bit = 8*slotSpace*rng.IntN(4) + rng.IntN(8*slotSize)
	}
	b[bit/8] ^= 1 << (bit % 8)
	return sort, fmt.Sprintf("byte %d of %d of %s", bit/8, len(b), name)
}

// openHurt opens a store and reads all of it. It returns what the store says, a
// DataLoss of its own if the marks say that blocks are missing, and an Internal
// error if there is something wrong that nobody has told.
func openHurt(mem *vfs.MemFS, batches []*atoll.Batch) error {
	s, err := Open(machine{mem, "data"}.options())
	if err != nil {
		return err
	}
	defer s.Close()
	v, ok, err := s.Get([]byte("height"))
	if err != nil {
		return err
	}
	n := int64(0)
	if ok {
		fmt.Sscan(string(v), &n)
	}
	if h, _, ok := s.Durable(); ok && int64(h) > n {
		return atoll.Errorf(atoll.DataLoss, "block %d is missing", h)
	}
	if err := kvtest.Compare(s, batches); err != nil {
		if atoll.KindOf(err) != atoll.Internal {
			return err
		}
		return fmt.Errorf("%d of %d batches, and nobody says so: %w", n, len(batches), err)
	}
	return nil
}
