package killtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"atoll"
)

// tree is the content of files by their names below a directory.
type tree map[string][]byte

// readTree reads all files below a directory.
func readTree(fs vfs.FS, dir string) (tree, error) {
	out := tree{}
	var walk func(below string) error
	walk = func(below string) error {
		names, err := fs.List(fs.PathJoin(dir, below))
		if err != nil {
			return err
		}
		for _, n := range names {
			rel := fs.PathJoin(below, n)
			info, err := fs.Stat(fs.PathJoin(dir, rel))
			if errors.Is(err, os.ErrNotExist) {
				continue // an old file, which the store has just removed
			}
			if err != nil {
				return err
			}
			if info.IsDir() {
				if err := walk(rel); err != nil {
					return err
				}
				continue
			}
			f, err := fs.Open(fs.PathJoin(dir, rel))
			if errors.Is(err, os.ErrNotExist) {
				continue
			}
			if err != nil {
				return err
			}
			out[rel], err = io.ReadAll(f)
			if err = errors.Join(err, f.Close()); err != nil {
				return err
			}
		}
		return nil
	}
	return out, walk("")
}

// write puts the files below a directory.
func (t tree) write(fs vfs.FS, dir string) error {
	for name, b := range t {
		path := fs.PathJoin(dir, name)
		if err := fs.MkdirAll(fs.PathDir(path), 0o755); err != nil {
			return err
		}
		f, err := fs.Create(path, vfs.WriteCategoryUnspecified)
		if err != nil {
			return err
		}
		_, err = f.Write(slices.Clone(b)) // which a write may change
		if err = errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return nil
}

// flip returns the tree with one bit of one file turned over, and says which.
// Sometimes each file is as likely as another, sometimes each bit, and sometimes
// it is at the end of the newest log, where damage looks like a crash.
func (t tree) flip(rng *rand.Rand) (flipped tree, file, where string) {
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(t)), func(n string) bool { return len(t[n]) == 0 })
	file = names[rng.IntN(len(names))]
	at := rng.IntN(len(t[file]))
	switch rng.IntN(4) {
	case 0:
		for _, n := range names {
			if strings.HasSuffix(n, ".log") {
				file = n
			}
		}
		at = len(t[file]) - 1 - rng.IntN(min(len(t[file]), 2000))
	case 1:
		all := 0
		for _, n := range names {
			all += len(t[n])
		}
		at = rng.IntN(all)
		for _, file = range names {
			if at < len(t[file]) {
				break
			}
			at -= len(t[file])
		}
	}
	bit := rng.IntN(8)
	flipped = maps.Clone(t)
	flipped[file] = slices.Clone(t[file])
	flipped[file][at] ^= 1 << bit
	return flipped, file, fmt.Sprintf("bit %d of byte %d of %d of %s", bit, at, len(t[file]), file)
}

// settled returns a data directory with some tables, made by clients of which
// every write is acknowledged: as a stop in peace leaves it, or as a kill does.
func settled(t testing.TB, seed uint64, inPeace bool) (*load, tree) {
	t.Helper()
	ctx := within(t, time.Minute)
	l := newLoad(seed, 8)
	mem := vfs.NewCrashableMem()
	d := disk{fs: mem, dir: "data"}
	var image tree
	for round := range 5 {
		s, err := startStack(ctx, d, nil)
		if err != nil {
			t.Fatal(err)
		}
		working, stop := context.WithTimeout(ctx, 60*time.Millisecond)
		err = l.run(working, s.connection)
		stop()
		if err = errors.Join(err, l.settle(ctx, s.connection)); err != nil {
			t.Fatal(err)
		}
		if last := round == 4; last && !inPeace {
			if image, err = readTree(mem, d.dir); err != nil {
				t.Fatal(err)
			}
		}
		s.stop()
	}
	if inPeace {
		var err error
		if image, err = readTree(mem, d.dir); err != nil {
			t.Fatal(err)
		}
	}
	return l, image
}

// TestBitFlips turns over one bit of one file of a stopped or killed node. It
// must refuse to serve, with an error that says what is damaged, or have every
// document exactly as it was written.
func TestBitFlips(t *testing.T) {
	testFlips(t, scaled(60, 500), func(ctx context.Context, image tree) (opened, *vfs.MemFS, error) {
		mem := vfs.NewMem()
		if err := image.write(mem, "data"); err != nil {
			t.Fatal(err)
		}
		s, err := startStack(ctx, disk{fs: mem, dir: "data"}, nil)
		if err != nil {
			return opened{}, mem, err
		}
		return opened{s.connection, s.log, s.stop}, mem, nil
	})
}

// TestBitFlipsOfCommand does the same to the command, fewer times.
func TestBitFlipsOfCommand(t *testing.T) {
	addr := freeAddress(t)
	testFlips(t, scaled(4, 40), func(ctx context.Context, image tree) (opened, *vfs.MemFS, error) {
		dir := t.TempDir()
		if err := image.write(vfs.Default, dir); err != nil {
			t.Fatal(err)
		}
		p, err := start(ctx, t, dir, addr)
		if err != nil {
			return opened{}, nil, err
		}
		return opened{p.connection, p.log, p.kill}, nil, nil
	})
}

// opened is an installation that opened in spite of a flipped bit.
type opened struct {
	*connection
	log  *logBook
	stop func()
}

// testFlips flips so many bits, each in a directory of its own. open returns
// also the disk, if it is in memory.
func testFlips(t *testing.T, flips int, open func(context.Context, tree) (opened, *vfs.MemFS, error)) {
	type base struct {
		load *load
		tree tree
	}
	var bases []base
	for i := range uint64(2) {
		l, image := settled(t, 100+i, i == 0)
		bases = append(bases, base{l, image})
	}
	counts := map[string]int{}
	for seed := range uint64(flips) {
		b := bases[seed%2]
		image, file, where := b.tree.flip(rand.New(rand.NewPCG(seed, 1)))
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		o, mem, err := open(ctx, image)
		what := ""
		if err != nil {
			what, err = told(err, err.Error(), file, "refused to open")
		} else {
			what, err = judge(ctx, b.load, o, mem, file)
		}
		cancel()
		if err != nil {
			t.Errorf("seed %d, %s: %v", seed, where, err)
		}
		counts[what]++
	}
	t.Logf("of %d flipped bits: %v", flips, counts)
}

// judge reads everything of an installation with a flipped bit, and returns what
// came of it. It fails if wrong data was served, or an error tells too little.
func judge(ctx context.Context, l *load, o opened, mem *vfs.MemFS, file string) (string, error) {
	l.broken = nil
	err := l.finish(ctx, o.connection)
	o.stop()
	var answer interface{ GRPCStatus() *status.Status }
	switch {
	case err == nil && strings.HasSuffix(file, ".sst") && mem != nil:
		// The clients read the newest versions alone; the scrub reads all.
		if err := audit(disk{fs: mem, dir: "data"}); err != nil {
			return told(err, err.Error(), file, "found by the scrub")
		}
		return "everything was right, in a table", nil
	case err == nil:
		return "everything was right", nil
	case !errors.As(err, &answer):
		return "WRONG DATA", err
	case status.Code(err) != codes.DataLoss && status.Code(err) != codes.Unavailable:
		return "UNCLEAR", err
	}
	return told(err, o.log.String(), file, "stopped serving")
}

// told sorts a refusal by what it says.
func told(err error, text, file, what string) (string, error) {
	base := file[strings.LastIndexByte(file, '/')+1:]
	switch k := atoll.KindOf(err); {
	case strings.Contains(text, base):
		return what + ", naming the file", nil
	case k == atoll.DataLoss || strings.Contains(text, "data loss"):
		return what + ", saying what is damaged", nil
	case strings.Contains(text, "subnet-0: pebble:") && strings.Contains(text, "from file"):
		return what + ", saying what differs", nil // a damaged line of Pebble's OPTIONS
	default:
		return "UNCLEAR", fmt.Errorf("the error does not say that %s is damaged: %w\n%s", base, err, text)
	}
}
