package pebble

import (
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"

	"atoll"
)

// fence is the file system that Pebble sees. It lets nothing be changed after
// the store has failed or was closed: what Pebble then still does, in goroutines
// that nobody can stop, must not meet the store that is opened next. It is also
// where a failure is noticed first, with the name of the file, and where the
// length of the MANIFEST is followed.
type fence struct {
	vfs.FS // the disk
	dir    string
	fault  *fault
	marks  *marks        // nil until they are open
	gone   chan struct{} // closed when Pebble is being torn down

	mu   sync.RWMutex // held for reading by each change, for writing to put up the fence
	shut bool
}

func newFence(fs vfs.FS, dir string, f *fault) *fence {
	return &fence{FS: fs, dir: dir, fault: f, gone: make(chan struct{})}
}

// close waits until no change is under way and lets none begin.
func (f *fence) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.shut = true
}

// change makes one change to a file, if the fence is open. If it fails for a
// file of the store itself, and not for one of a checkpoint, the store fails.
func (f *fence) change(name, what string, fn func() error) error {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if err := f.fault.get(); err != nil {
		return err
	}
	if f.shut {
		return atoll.Errorf(atoll.Unavailable, "the store is closed")
	}
	err := fn()
	if err != nil && (name == f.dir || f.PathDir(name) == f.dir) {
		return f.fault.latch(&os.PathError{Op: what, Path: name, Err: err})
	}
	return err
}

// Unwrap implements vfs.FS.
func (f *fence) Unwrap() vfs.FS { return f.FS }

// Create implements vfs.FS. A table waits for the end of a store that has
// failed: an error would make Pebble try again at once, for ever.
func (f *fence) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if f.fault.get() != nil && strings.HasSuffix(name, ".sst") {
		<-f.gone
	}
	return f.open(name, "create", func() (vfs.File, error) { return f.FS.Create(name, c) })
}

// OpenReadWrite implements vfs.FS.
func (f *fence) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return f.open(name, "open", func() (vfs.File, error) { return f.FS.OpenReadWrite(name, c, opts...) })
}

// ReuseForWrite implements vfs.FS.
func (f *fence) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return f.open(name, "reuse", func() (vfs.File, error) { return f.FS.ReuseForWrite(old, name, c) })
}

// OpenDir implements vfs.FS. The directory can be synced, which is a change.
func (f *fence) OpenDir(name string) (vfs.File, error) {
	file, err := f.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &fencedFile{File: file, fence: f, name: name}, nil
}

func (f *fence) open(name, what string, fn func() (vfs.File, error)) (file vfs.File, err error) {
	err = f.change(name, what, func() error {
		file, err = fn()
		return err
	})
	if err != nil {
		return nil, err
	}
	ff := &fencedFile{File: file, fence: f, name: name}
	if n, ok := manifestNumber(f.PathBase(name)); ok && f.PathDir(name) == f.dir {
		ff.manifest = &manifestMark{number: n}
	}
	return ff, nil
}

// Link implements vfs.FS.
func (f *fence) Link(old, name string) error {
	return f.change(name, "link", func() error { return f.FS.Link(old, name) })
}

// Remove implements vfs.FS. Its failure is Pebble's to report: it costs space
// and no data.
func (f *fence) Remove(name string) error {
	var err error
	if refused := f.change(name, "remove", func() error { err = f.FS.Remove(name); return nil }); refused != nil {
		return refused
	}
	return err
}

// RemoveAll implements vfs.FS, like Remove.
func (f *fence) RemoveAll(name string) error {
	var err error
	if refused := f.change(name, "remove", func() error { err = f.FS.RemoveAll(name); return nil }); refused != nil {
		return refused
	}
	return err
}

// Rename implements vfs.FS.
func (f *fence) Rename(old, name string) error {
	return f.change(name, "rename", func() error { return f.FS.Rename(old, name) })
}

// MkdirAll implements vfs.FS.
func (f *fence) MkdirAll(name string, perm os.FileMode) error {
	return f.change(name, "mkdir", func() error { return f.FS.MkdirAll(name, perm) })
}

// Lock implements vfs.FS. The store holds the lock itself, because it must
// outlive Pebble's opinion of when it is closed.
func (f *fence) Lock(string) (io.Closer, error) { return noLock{}, nil }

type noLock struct{}

func (noLock) Close() error { return nil }

// GetDiskUsage implements vfs.FS. Pebble would take its failure for one of its
// own work.
func (f *fence) GetDiskUsage(name string) (vfs.DiskUsage, error) {
	u, err := f.FS.GetDiskUsage(name)
	if err != nil {
		return vfs.DiskUsage{}, vfs.ErrUnsupported
	}
	return u, nil
}

// fencedFile is a file behind the fence.
type fencedFile struct {
	vfs.File
	fence    *fence
	name     string
	manifest *manifestMark // what was written, if it is a MANIFEST
}

func (f *fencedFile) Write(p []byte) (n int, err error) {
	if f.manifest != nil {
		f.manifest.add(p) // before the write, which may change p
	}
	err = f.fence.change(f.name, "write", func() error {
		n, err = f.File.Write(p)
		return err
	})
	return n, err
}

func (f *fencedFile) WriteAt(p []byte, off int64) (n int, err error) {
	err = f.fence.change(f.name, "write", func() error {
		n, err = f.File.WriteAt(p, off)
		return err
	})
	return n, err
}

func (f *fencedFile) Sync() error {
	return f.synced(f.fence.change(f.name, "sync", f.File.Sync))
}

func (f *fencedFile) SyncData() error {
	return f.synced(f.fence.change(f.name, "sync", f.File.SyncData))
}

func (f *fencedFile) SyncTo(length int64) (full bool, err error) {
	err = f.fence.change(f.name, "sync", func() error {
		full, err = f.File.SyncTo(length)
		return err
	})
	if err == nil && full {
		err = f.synced(nil)
	}
	return full, err
}

// synced marks a MANIFEST that is on disk.
func (f *fencedFile) synced(err error) error {
	if err != nil || f.manifest == nil || f.fence.marks == nil {
		return err
	}
	return f.fence.marks.setManifest(*f.manifest)
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
