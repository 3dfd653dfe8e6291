package pebble

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// fence stands between a store and its disk. A change that fails is the store's
// failure, and from then on, or once the store was closed, nothing is changed
// any more: what Pebble's goroutines still do must not meet the store that is
// opened next.
type fence struct {
	disk  vfs.FS
	dir   string
	fault *fault
	gone  chan struct{} // closed when Pebble is being torn down

	mu   sync.RWMutex // held for reading by each change, for writing to put up the fence
	shut bool
}

func newFence(disk vfs.FS, dir string, f *fault) *fence {
	return &fence{disk: disk, dir: dir, fault: f, gone: make(chan struct{})}
}

// close waits until no change is under way and lets none begin.
func (f *fence) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.shut = true
}

// inside reports whether a file is the store's own, and not of a checkpoint.
func (f *fence) inside(name string) bool { return name == f.dir || f.disk.PathDir(name) == f.dir }

// change makes one change to a file, if the fence is open.
func (f *fence) change(name, what string, fn func() error) error {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if err := f.fault.get(); err != nil {
		return err
	}
	if f.shut {
		return errClosed
	}
	if err := fn(); err != nil {
		err = &os.PathError{Op: what, Path: name, Err: err}
		if f.inside(name) {
			return f.fault.latch(err)
		}
		return err
	}
	return nil
}

// fencedFS is a file system behind the fence. The store has one for its own few
// files, that tells the truth. The one for Pebble does not: a change to the
// store's files that failed, or that the fence did not let through, seems to
// have been made. Pebble would answer an error with an end of the process that
// nobody can prevent (it panics with its locks undone), or by trying again for
// ever; so it goes on and comes to rest, while the store, which knows better,
// returns its failure from every call and acknowledges nothing.
type fencedFS struct {
	vfs.FS // the disk
	fence  *fence
	lies   bool
	marks  *marks // told of each MANIFEST that was synced; nil for none
}

// change makes a change, or seems to.
func (f *fencedFS) change(name, what string, fn func() error) error {
	err := f.fence.change(name, what, fn)
	if err != nil && f.lies && f.fence.inside(name) {
		return nil
	}
	return err
}

// open opens a file to be written. One that only seems to be there is in memory.
func (f *fencedFS) open(name, what string, fn func() (vfs.File, error)) (vfs.File, error) {
	var file vfs.File
	err := f.fence.change(name, what, func() (err error) {
		file, err = fn()
		return err
	})
	if err != nil {
		if f.lies && f.fence.inside(name) {
			return vfs.NewMem().Create("void", vfs.WriteCategoryUnspecified)
		}
		return nil, err
	}
	ff := &fencedFile{File: file, fs: f, name: name}
	if n, ok := manifestNumber(f.PathBase(name)); ok && f.marks != nil && f.fence.inside(name) {
		ff.manifest = &manifestMark{number: n}
	}
	return ff, nil
}

// lull is how long a goroutine of Pebble's is held up before each read once the
// store has failed, so that one that tries again for ever costs little. The
// calls of users are not held up.
const lull = 20 * time.Millisecond

func (f *fencedFS) beforeRead() {
	if f.fence.fault.get() == nil || !onPebblesGoroutine() {
		return
	}
	select {
	case <-time.After(lull):
	case <-f.fence.gone:
	}
}

// Unwrap implements vfs.FS.
func (f *fencedFS) Unwrap() vfs.FS { return f.FS }

// Open implements vfs.FS. Once the fence is closed nothing can be opened: the
// names are those of another store, and other tables may stand under them.
func (f *fencedFS) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	f.beforeRead()
	f.fence.mu.RLock()
	defer f.fence.mu.RUnlock()
	if f.fence.shut {
		return nil, &os.PathError{Op: "open", Path: name, Err: errClosed}
	}
	file, err := f.FS.Open(name, opts...)
	if err != nil {
		return nil, err
	}
	return &fencedFile{File: file, fs: f, name: name}, nil
}

// OpenDir implements vfs.FS. The directory can be synced, which is a change.
func (f *fencedFS) OpenDir(name string) (vfs.File, error) {
	file, err := f.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &fencedFile{File: file, fs: f, name: name}, nil
}

// Create implements vfs.FS. Pebble puts a new MANIFEST in force by creating a
// file that names it, and syncs the directory after that, for both at once. A
// disk may keep the names of files in any order, and a crash in between would
// leave the name of a MANIFEST that is not there: so the directory is synced
// before, too.
func (f *fencedFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return f.open(name, "create", func() (vfs.File, error) {
		if strings.HasPrefix(f.PathBase(name), "marker.") {
			if err := syncDir(f.FS, f.PathDir(name)); err != nil {
				return nil, err
			}
		}
		return f.FS.Create(name, c)
	})
}

// OpenReadWrite implements vfs.FS.
func (f *fencedFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return f.open(name, "open", func() (vfs.File, error) { return f.FS.OpenReadWrite(name, c, opts...) })
}

// ReuseForWrite implements vfs.FS.
func (f *fencedFS) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return f.open(name, "reuse", func() (vfs.File, error) { return f.FS.ReuseForWrite(old, name, c) })
}

// Link implements vfs.FS.
func (f *fencedFS) Link(old, name string) error {
	return f.change(name, "link", func() error { return f.FS.Link(old, name) })
}

// Remove implements vfs.FS. Its failure costs space and no data: it is Pebble's
// to report.
func (f *fencedFS) Remove(name string) (err error) {
	refused := f.change(name, "remove", func() error {
		err = f.FS.Remove(name)
		return nil
	})
	return errors.Join(err, refused)
}

// RemoveAll implements vfs.FS, like Remove.
func (f *fencedFS) RemoveAll(name string) (err error) {
	refused := f.change(name, "remove", func() error {
		err = f.FS.RemoveAll(name)
		return nil
	})
	return errors.Join(err, refused)
}

// Rename implements vfs.FS.
func (f *fencedFS) Rename(old, name string) error {
	return f.change(name, "rename", func() error { return f.FS.Rename(old, name) })
}

// MkdirAll implements vfs.FS.
func (f *fencedFS) MkdirAll(name string, perm os.FileMode) error {
	return f.change(name, "mkdir", func() error { return f.FS.MkdirAll(name, perm) })
}

// Lock implements vfs.FS. The store holds the lock itself, because it must
// outlive Pebble's opinion of when it is closed.
func (f *fencedFS) Lock(string) (io.Closer, error) { return io.NopCloser(nil), nil }

// GetDiskUsage implements vfs.FS. Pebble would take its failure for one of its
// own work.
func (f *fencedFS) GetDiskUsage(name string) (vfs.DiskUsage, error) {
	u, err := f.FS.GetDiskUsage(name)
	if err != nil {
		return vfs.DiskUsage{}, vfs.ErrUnsupported
	}
	return u, nil
}

// fencedFile is a file behind the fence.
type fencedFile struct {
	vfs.File
	fs       *fencedFS
	name     string
	manifest *manifestMark // what was written, if it is a MANIFEST
}

func (f *fencedFile) ReadAt(p []byte, off int64) (int, error) {
	f.fs.beforeRead()
	return f.File.ReadAt(p, off)
}

func (f *fencedFile) Write(p []byte) (int, error) {
	if f.manifest != nil {
		f.manifest.add(p) // before the write, which may change p
	}
	return f.write(p, func() (int, error) { return f.File.Write(p) })
}

func (f *fencedFile) WriteAt(p []byte, off int64) (int, error) {
	return f.write(p, func() (int, error) { return f.File.WriteAt(p, off) })
}

func (f *fencedFile) write(p []byte, fn func() (int, error)) (n int, err error) {
	n = len(p) // unless we know better
	err = f.fs.change(f.name, "write", func() error {
		n, err = fn()
		return err
	})
	if err == nil {
		n = len(p)
	}
	return n, err
}

func (f *fencedFile) Sync() error     { return f.sync(f.File.Sync) }
func (f *fencedFile) SyncData() error { return f.sync(f.File.SyncData) }

// SyncTo implements vfs.File. It is used for tables and logs, never for a
// MANIFEST.
func (f *fencedFile) SyncTo(length int64) (full bool, err error) {
	err = f.fs.change(f.name, "sync", func() error {
		full, err = f.File.SyncTo(length)
		return err
	})
	return full, err
}

// sync syncs the file, and marks a MANIFEST that is on disk then.
func (f *fencedFile) sync(fn func() error) error {
	done := false
	err := f.fs.change(f.name, "sync", func() error {
		err := fn()
		done = err == nil
		return err
	})
	if done && f.manifest != nil {
		_ = f.fs.marks.setManifest(*f.manifest) // if it fails, the store has
	}
	return err
}

// Close closes the file on the disk in any case.
func (f *fencedFile) Close() error {
	err := f.File.Close()
	if err != nil && f.fs.fence.inside(f.name) {
		err = f.fs.fence.fault.latch(&os.PathError{Op: "close", Path: f.name, Err: err})
		if f.fs.lies {
			return nil
		}
	}
	return err
}

// manifestMark says what is on disk of a MANIFEST.
type manifestMark struct {
	number uint64
	length uint64
	crc    uint32 // CRC-32C of length bytes
}

func (m *manifestMark) add(p []byte) {
	m.length += uint64(len(p))
	m.crc = crc32.Update(m.crc, castagnoli, p)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func manifestFileName(n uint64) string { return fmt.Sprintf("MANIFEST-%06d", n) }

// manifestNumber returns n for the name MANIFEST-n.
func manifestNumber(name string) (n uint64, ok bool) {
	digits, ok := strings.CutPrefix(name, "MANIFEST-")
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	return n, err == nil
}
