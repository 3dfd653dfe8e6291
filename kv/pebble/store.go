package pebble

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"atoll"
	"atoll/kv"
)

// Store is an atoll.Store in a directory. It is also a kv.PrefixSeeker and a
// kv.Marker.
type Store struct {
	opts  Options
	fault *fault
	fence *fence
	files vfs.FS // behind the fence
	marks *marks
	lock  io.Closer
	db    *pebble.DB
	space space

	seekers seekers

	mu     sync.RWMutex // held for reading by each call, for writing to close
	closed bool

	// held counts what keeps Pebble from being torn down: the open store, its
	// iterators and its snapshots.
	held      atomic.Int64
	iterators atomic.Int64
	snapshots atomic.Int64
}

var (
	_ kv.PrefixSeeker = (*Store)(nil)
	_ kv.PrefixSeeker = (*snapshot)(nil)
	_ kv.Marker       = (*Store)(nil)
)

const lockFile = "LOCK"

// Open opens the store in a directory, or makes one there. It fails with
// FailedPrecondition if the store is open elsewhere or has a newer format, with
// DataLoss if its files are damaged, with ResourceExhausted on a full disk and
// with Unavailable if the disk fails.
func Open(opts Options) (*Store, error) {
	if opts.Dir == "" {
		return nil, atoll.Errorf(atoll.Invalid, "a store needs a directory")
	}
	if opts.FS == nil {
		opts.FS = vfs.Default
	}
	f := newFault()
	s := &Store{opts: opts, fault: f, fence: newFence(opts.FS, opts.Dir, f)}
	s.files = &fencedFS{FS: opts.FS, fence: s.fence}
	s.space.init(&s.opts)
	s.held.Store(1)
	if err := makeDir(opts.FS, opts.Dir); err != nil {
		return nil, inDir("opening", opts.Dir, err)
	}
	var err error
	if s.lock, err = opts.FS.Lock(opts.FS.PathJoin(opts.Dir, lockFile)); err != nil {
		return nil, lockError(opts.Dir, err)
	}
	if err := s.open(); err != nil {
		s.fence.close()
		if s.marks != nil {
			s.marks.file.Close()
		}
		s.lock.Close()
		return nil, inDir("opening", opts.Dir, err)
	}
	return s, nil
}

// lockError tells a store that somebody has from a disk on which the lock's
// file cannot be made: only then does the error name that file.
func lockError(dir string, err error) error {
	if onDisk := new(os.PathError); errors.As(err, &onDisk) {
		return inDir("locking", dir, err)
	}
	return &atoll.Error{
		Kind:   atoll.FailedPrecondition,
		Msg:    "the store cannot be locked: it is open already, here or in another process",
		Detail: dir + ": " + err.Error(),
	}
}

// inDir puts what was done, and where, into the detail of an error.
func inDir(doing, dir string, err error) error {
	e := *classify(err)
	e.Detail = fmt.Sprintf("%s %s: %s", doing, dir, e.Detail)
	return &e
}

// open does what is left once the directory is locked.
func (s *Store) open() (err error) {
	if err := checkFormat(s.files, s.opts.Dir); err != nil {
		return err
	}
	if s.marks, err = openMarks(s.files, s.opts.Dir); err != nil {
		return err
	}
	if err := s.marks.checkManifest(s.files, s.opts.Dir); err != nil {
		return err
	}
	options := s.opts.pebbleOptions(
		&fencedFS{FS: s.opts.FS, fence: s.fence, lies: true, marks: s.marks},
		logger{fault: s.fault, log: s.opts.Logger})
	s.db, err = detached(s.fault, func() (*pebble.DB, error) {
		return pebble.Open(s.opts.Dir, options)
	}, s.tearDown)
	if err == nil && s.fault.get() != nil {
		go s.tearDown(s.db)
		return s.fault.get()
	}
	return err
}

// makeDir makes a directory with what is missing above it, durably.
func makeDir(fs vfs.FS, dir string) error {
	var parents []string
	for d := dir; ; d = fs.PathDir(d) {
		if _, err := fs.Stat(d); err == nil || fs.PathDir(d) == d {
			break
		}
		parents = append(parents, fs.PathDir(d))
	}
	if err := fs.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, d := range parents {
		if err := syncDir(fs, d); err != nil {
			return err
		}
	}
	return nil
}

// enter begins a call. leave must be deferred if it returns nil.
func (s *Store) enter() error {
	s.mu.RLock()
	err := s.fault.get()
	if err == nil && s.closed {
		err = errClosed
	}
	if err != nil {
		s.mu.RUnlock()
	}
	return err
}

var errClosed = atoll.Errorf(atoll.Unavailable, "the store is closed")

// leave ends a call: it turns a panic of Pebble's into an error, and an error of
// Pebble's into Atoll's.
func (s *Store) leave(err *error) {
	if r := recover(); r != nil {
		*err = s.fault.caught(r)
	}
	s.mu.RUnlock()
	*err = s.explain(*err)
}

// explain turns an error of Pebble's into Atoll's. Damage is the store's failure.
func (s *Store) explain(err error) error {
	if err == nil {
		return nil
	}
	if failed := s.fault.get(); failed != nil {
		return failed // and err is what came of it
	}
	e := classify(err)
	if e.Kind == atoll.DataLoss {
		return s.fault.latch(e)
	}
	return e
}

// Close implements atoll.Store. What was applied and waited for is there at the
// next Open; on a store that has failed, too, and then it returns nil. If
// iterators or snapshots are open it fails with FailedPrecondition: the
// directory is free all the same, and all that is left for them is to be closed.
func (s *Store) Close() (err error) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()

	failed := s.fault.get() != nil
	if n := s.held.Load(); n > 1 && !failed {
		err = atoll.Errorf(atoll.FailedPrecondition, "the store was closed with %d iterators and %d snapshots open",
			s.iterators.Load(), s.snapshots.Load())
		s.fault.latch(errClosed)
	}
	if rerr := s.release(true); err == nil && !failed {
		err = rerr
	}
	if merr := s.marks.close(); err == nil && merr != nil && !failed {
		err = inDir("closing", s.opts.Dir, merr)
	}
	s.fence.close()
	if lerr := s.lock.Close(); err == nil && lerr != nil {
		err = inDir("closing", s.opts.Dir, lerr)
	}
	return err
}

// hold keeps Pebble from being torn down until release. The caller has entered.
func (s *Store) hold(kind *atomic.Int64) {
	s.held.Add(1)
	kind.Add(1)
}

// release gives up a hold. The last one tears Pebble down: if it is the one of
// Close and the store is sound, at once and with Pebble's error, otherwise in
// the background.
func (s *Store) release(closing bool) error {
	if s.held.Add(-1) > 0 {
		return nil
	}
	if !closing || s.fault.get() != nil {
		go s.tearDown(s.db)
		return nil
	}
	_, err := detached(s.fault, func() (struct{}, error) {
		err := s.seekers.changed(true)
		if cerr := s.db.Close(); err == nil {
			err = cerr
		}
		return struct{}{}, err
	}, nil)
	return s.explain(err)
}

// tearDown closes a database that nobody uses and nobody waits for any more.
func (s *Store) tearDown(db *pebble.DB) {
	defer func() { _ = recover() }() // it has failed before; there is nobody to tell
	close(s.fence.gone)
	_ = s.seekers.changed(true)
	_ = db.Close()
}

// Free returns how many bytes the store may still use on its disk.
func (s *Store) Free() (uint64, error) { return s.space.free() }

// MarkDurable implements kv.Marker.
func (s *Store) MarkDurable(height atoll.Height, digest atoll.Hash) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.mu.RUnlock()
	return s.explain(s.marks.put(blockPair, slot{number: uint64(height), body: digest}))
}

// Durable implements kv.Marker.
func (s *Store) Durable() (atoll.Height, atoll.Hash, bool) {
	b := s.marks.block()
	return atoll.Height(b.number), b.body, b.seq > 0
}

// Checkpoint implements atoll.Store. Tables are linked, not copied, if the
// directory is on the same disk. It fails with AlreadyExists if there is
// something under that name.
func (s *Store) Checkpoint(dir string) (err error) {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave(&err)
	if _, err := s.opts.FS.Stat(dir); err == nil {
		return &atoll.Error{Kind: atoll.AlreadyExists, Msg: "the checkpoint's directory exists; give it a new name", Detail: dir}
	}
	block := s.marks.block() // before the state is copied: the mark may say less, not more
	_, err = detached(s.fault, func() (struct{}, error) {
		err := s.db.Checkpoint(dir, pebble.WithFlushedWAL())
		if err == nil {
			err = writeMarks(s.files, dir, block)
		}
		if err == nil {
			err = writeFormat(s.files, dir)
		}
		return struct{}{}, err
	}, nil)
	return err
}
