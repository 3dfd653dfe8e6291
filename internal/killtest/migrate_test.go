package killtest

import (
	"bytes"
	"errors"
	"log/slog"
	"math/rand/v2"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"atoll"
	"atoll/host"
	"atoll/keys"
	"atoll/subnet"
)

// small makes batches of one version of a document or two, so that the earlier
// format's few documents take dozens.
const small = 200

// earlier returns a disk in memory with the data directory of the earlier format.
func earlier(t testing.TB) *vfs.MemFS {
	t.Helper()
	files, err := readTree(vfs.Default, earlierDir)
	if err != nil {
		t.Fatal(err)
	}
	mem := vfs.NewCrashableMem()
	if err := files.write(mem, "data"); err != nil {
		t.Fatal(err)
	}
	return mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(0, 0))}) // all is on the disk
}

// migrate opens a disk's store and brings it to today's format. opened, if not
// nil, is called before the first batch.
func migrate(d disk, opened func()) (done host.Migrating, err error) {
	st, err := d.store(slog.New(slog.DiscardHandler))
	if err != nil {
		return done, err
	}
	if opened != nil {
		opened()
	}
	done, err = host.Migration{Step: small}.Run(st)
	if e := st.Close(); err == nil {
		err = e
	}
	return done, err
}

// stateOf returns a disk's state, but for the log and its head: two that were
// migrated differ in nothing.
func stateOf(t testing.TB, d disk) []byte {
	t.Helper()
	if err := audit(d); err != nil {
		t.Fatal(err)
	}
	st, err := d.store(slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	var out bytes.Buffer
	it := st.Iter([]byte{keys.SpaceMeta}, nil)
	for ok := it.SeekGE([]byte{keys.SpaceMeta}); ok; ok = it.Next() {
		out.Write(it.Key())
		out.Write(it.Value())
	}
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestMigrationCrashPoints cuts the power in the middle of changes to the disk,
// while a state of the earlier format is opened and migrated, and again and again
// while that goes on from there. What comes of it is what an undisturbed migration
// makes.
func TestMigrationCrashPoints(t *testing.T) {
	undisturbed := disk{fs: earlier(t), dir: "data"}
	if done, err := migrate(undisturbed, nil); err != nil || done.Documents == 0 || !done.Done {
		t.Fatalf("%+v, %v", done, err)
	}
	want := stateOf(t, undisturbed)
	rng := rand.New(rand.NewPCG(5, 0))
	points, halfway := 0, 0
	for points < scaled(60, 1000) {
		mem := earlier(t)
		for {
			m := newMachine(mem, rng)
			m.left.Store(1 + rng.Int64N(120))
			_, err := migrate(m.disk(), nil)
			if err != nil {
				t.Fatalf("point %d: %v", points, err)
			}
			if !m.lost.Load() {
				break // it came to its end before
			}
			points++
			mem = m.image.Load()
			copied := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rng})
			if !servable(t, disk{fs: copied, dir: "data"}) {
				halfway++
			}
		}
		if got := stateOf(t, disk{fs: mem, dir: "data"}); !bytes.Equal(got, want) {
			t.Fatalf("after crash point %d another state came out", points)
		}
	}
	t.Logf("%d crashes, %d of them before the end", points, halfway)
}

// servable reports whether a disk's state has today's format.
func servable(t testing.TB, d disk) bool {
	t.Helper()
	st, err := d.store(slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	_, _, err = subnet.ReadHead(st)
	if err != nil && atoll.KindOf(err) != atoll.FailedPrecondition {
		t.Fatal(err)
	}
	return err == nil
}

// TestMigrationOnAFailingDisk has the disk fail at some change in the middle of
// a migration: the error says how, and on the mended disk it goes on.
func TestMigrationOnAFailingDisk(t *testing.T) {
	undisturbed := disk{fs: earlier(t), dir: "data"}
	if _, err := migrate(undisturbed, nil); err != nil {
		t.Fatal(err)
	}
	want := stateOf(t, undisturbed)
	rng := rand.New(rand.NewPCG(6, 0))
	for _, c := range []struct {
		err   error
		which func(errorfs.OpKind) bool
		words string
	}{
		{syscall.ENOSPC, isWrite, "the disk is full"},
		{syscall.EROFS, isWrite, "the disk is read-only"},
		{syscall.EIO, isSync, "input/output error"},
	} {
		failed := 0
		for range scaled(10, 200) {
			mem := earlier(t)
			f := &faulty{err: c.err, which: c.which}
			f.left.Store(healthy)
			fail := func() { f.left.Store(rng.Int64N(80)) }
			if _, err := migrate(disk{fs: errorfs.Wrap(mem, f), dir: "data"}, fail); err != nil {
				failed++
				if e := atoll.AsError(err); !strings.Contains(e.Msg+e.Detail, c.words) {
					t.Errorf("of a disk that fails with %v it is said: %v", c.err, err)
				}
			}
			if _, err := migrate(disk{fs: mem, dir: "data"}, nil); err != nil {
				t.Fatalf("on the mended disk: %v", err)
			}
			if got := stateOf(t, disk{fs: mem, dir: "data"}); !bytes.Equal(got, want) {
				t.Fatalf("on a disk that failed with %v another state came out", c.err)
			}
		}
		if failed == 0 {
			t.Errorf("no migration met %v", c.err)
		}
	}
}

// TestMigrationIsToldAbout starts a node on the earlier format without room for
// it, and with somebody who stops it: both are told that nothing is lost, and
// nothing is. Then it starts, and starts again without a migration.
func TestMigrationIsToldAbout(t *testing.T) {
	dir := copyFormat(t, earlierDir)
	stop := atoll.Errorf(atoll.Canceled, "stopped")
	for _, c := range []struct {
		opt  host.Options
		kind atoll.Kind
	}{
		{host.Options{MinFree: 1 << 62}, atoll.ResourceExhausted},
		{host.Options{Migrating: func(host.Migrating) error { return stop }}, atoll.Canceled},
	} {
		c.opt.Dir = dir
		h, err := host.Start(c.opt)
		if err == nil {
			h.Close()
		}
		if atoll.KindOf(err) != c.kind || !strings.Contains(err.Error(), "nothing is lost") || !strings.Contains(err.Error(), "from format 1 to 2") {
			t.Errorf("%v, want %s and that nothing is lost", err, c.kind)
		}
	}
	for n := range 2 {
		book, told := &logBook{}, 0
		h, err := host.Start(host.Options{Dir: dir, Log: slog.New(slog.NewTextHandler(book, nil)), Migrating: func(host.Migrating) error { told++; return nil }})
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Close(); err != nil {
			t.Fatal(err)
		}
		if first := n == 0; book.has("was brought to a new format") != first || told > 0 != first {
			t.Errorf("start %d told %d times, and logged %s", n, told, book)
		}
	}
	verify(t, dir)
}

// TestMigrationOfADamagedDirectory takes the end of the log away: nothing is
// migrated, and the directory is left for a restore to judge.
func TestMigrationOfADamagedDirectory(t *testing.T) {
	dir := copyFormat(t, earlierDir)
	names, err := os.ReadDir(host.SubnetDir(dir, 0))
	if err != nil {
		t.Fatal(err)
	}
	cut := errors.New("there is no log")
	for _, n := range names {
		if strings.HasSuffix(n.Name(), ".log") {
			name := host.SubnetDir(dir, 0) + "/" + n.Name()
			info, err := n.Info()
			if err != nil {
				t.Fatal(err)
			}
			cut = os.Truncate(name, info.Size()/2)
		}
	}
	if cut != nil {
		t.Fatal(cut)
	}
	endsSaying(t, dir, "was acknowledged")
}
