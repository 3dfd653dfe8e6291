package mem

import (
	"bytes"
	"sync"

	"atoll"
	"atoll/planted"
)

// Disk is a simulated disk with the journal of one store. What is appended is
// readable at once and durable after Sync. All that goes wrong on it is told to
// it by its owner; it draws no numbers of its own.
//
// The owner of a manual disk calls Sync; that of another need not, because
// Commit.Wait does.
type Disk struct {
	volatile bool // keeps nothing: the disk of New

	mu          sync.Mutex // guards what follows; nothing is called with it
	changed     sync.Cond  // signalled when a sync, a failure or a crash decides the fate of frames
	auto        bool
	term        *term // of the store that is open, if one is
	journal     []byte
	ends        []int // of the frames in journal that are not durable
	synced      int   // bytes of journal that are durable
	seq         uint64
	stats       DiskStats
	mark        mark
	safeMark    mark // as it was at the last sync
	checkpoints map[string]*Disk
	syncErr     error // of the next sync
	writeErr    error // of all writes
}

// term is the time in which one store has the disk open. The disk's mutex
// guards it.
type term struct {
	durable uint64 // the youngest frame that was made durable in this term
	err     error  // why the store can no longer use the disk
}

type mark struct {
	height atoll.Height
	digest atoll.Hash
	ok     bool
}

// DiskStats counts what a disk holds and what was done to it.
type DiskStats struct {
	Bytes, SyncedBytes   int // of the journal
	Frames, SyncedFrames int // in the journal
	Syncs                int // that succeeded, since the disk is new
}

// NewDisk returns an empty disk on which Commit.Wait syncs.
func NewDisk() *Disk { return &Disk{auto: true} }

// NewManualDisk returns an empty disk on which only Sync makes frames durable;
// Commit.Wait blocks until it was called, so a single thread asks Commit.Done.
func NewManualDisk() *Disk { return &Disk{} }

// Sync makes all that was appended durable. After an error what was appended
// may or may not survive a crash, and the store must be opened again.
func (d *Disk) Sync() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.sync()
}

func (d *Disk) sync() error {
	if d.term != nil && d.term.err != nil {
		return d.term.err
	}
	if err := d.syncErr; err != nil {
		d.syncErr = nil
		err = asError(err, "a sync of the disk failed")
		d.end(err)
		return err
	}
	if len(d.ends) > 0 {
		d.stats.Syncs++
	}
	d.safeMark = d.mark
	d.synced, d.ends = len(d.journal), d.ends[:0]
	if d.term != nil {
		d.term.durable = d.seq
	}
	d.wake()
	return nil
}

// end tells the open store, if there is one, that it cannot go on.
func (d *Disk) end(err error) {
	if d.term != nil && d.term.err == nil {
		d.term.err = err
	}
	d.wake()
}

// wake lets the waiters look again. The condition has no lock of its own so
// that the zero Disk is usable.
func (d *Disk) wake() {
	if d.changed.L != nil {
		d.changed.Broadcast()
	}
}

// Crash cuts the power. Of the frames that are not durable a number chosen by
// pick survives, from the oldest on, and the next one may be left torn:
// truncated, or with zeros at its end. pick(n) returns a number from 0 to n-1.
// The store that is open is dead; the disk may be opened again.
func (d *Disk) Crash(pick func(n int) int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	kept := pick(len(d.ends) + 1)
	end := d.synced
	if kept > 0 {
		end = d.ends[kept-1]
	}
	var torn []byte
	if kept < len(d.ends) {
		torn = tear(d.journal[end:d.ends[kept]], pick)
	}
	d.journal = append(d.journal[:end:end], torn...)
	d.synced = end
	if pick(2) == 0 {
		d.mark = d.safeMark
	}
	d.safeMark = d.mark
	d.stats.Frames -= len(d.ends) - kept
	d.ends = nil
	d.end(atoll.Errorf(atoll.Unavailable, "the store's disk has crashed; open it again"))
	d.term = nil
}

// tear returns what a crash leaves of a frame that it interrupts.
func tear(frame []byte, pick func(n int) int) []byte {
	switch n := pick(len(frame)); pick(3) {
	case 1:
		return frame[:n]
	case 2:
		return append(bytes.Clone(frame[:n]), make([]byte, len(frame)-n)...)
	}
	return nil
}

// FailNextSync makes the next sync fail; nil withdraws it. An *atoll.Error is
// passed on as it is, another becomes Unavailable.
func (d *Disk) FailNextSync(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.syncErr = err
}

// FailWrites makes every write fail, as on a full or a read-only disk, until it
// is called with nil. Errors are passed on as by FailNextSync.
func (d *Disk) FailWrites(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.writeErr = err
}

// FlipBit turns one bit of the journal over. Bits count from 0; one behind the
// end flips nothing.
func (d *Disk) FlipBit(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n/8 < len(d.journal) {
		d.journal[n/8] ^= 1 << (n % 8)
	}
}

// Stats returns the counts.
func (d *Disk) Stats() DiskStats {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.stats
	s.Bytes, s.SyncedBytes = len(d.journal), d.synced
	s.SyncedFrames = s.Frames - len(d.ends)
	return s
}

// Clone returns a copy of the disk on which no store is open, with all errors
// withdrawn. What is not durable on the one is not durable on the other.
func (d *Disk) Clone() *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := &Disk{
		auto: d.auto, journal: bytes.Clone(d.journal), ends: append([]int(nil), d.ends...), synced: d.synced,
		seq: d.seq, stats: d.stats, mark: d.mark, safeMark: d.safeMark, checkpoints: map[string]*Disk{},
	}
	for dir, p := range d.checkpoints { // order does not matter: it is copied into a map
		c.checkpoints[dir] = p.Clone()
	}
	return c
}

// Checkpoint returns the disk that Store.Checkpoint has written under a name.
func (d *Disk) Checkpoint(dir string) (*Disk, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c, ok := d.checkpoints[dir]
	return c, ok
}

func (d *Disk) addCheckpoint(dir string, t *tree) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.writeErr != nil {
		return asError(d.writeErr, "a write to the disk failed")
	}
	if _, ok := d.checkpoints[dir]; ok {
		return atoll.Errorf(atoll.AlreadyExists, "the checkpoint %q exists; give it a new name", dir)
	}
	c := &Disk{auto: d.auto, mark: d.mark, safeMark: d.mark}
	c.rewrite(t)
	if d.checkpoints == nil {
		d.checkpoints = map[string]*Disk{}
	}
	d.checkpoints[dir] = c
	return nil
}

// frameBytes is about how much one frame of a rewritten journal holds.
const frameBytes = 1 << 20

// rewrite replaces the journal by the durable frames of one state.
func (d *Disk) rewrite(t *tree) {
	d.journal, d.ends, d.stats.Frames = nil, nil, 0
	b := &atoll.Batch{}
	flush := func() {
		d.seq++
		d.stats.Frames++
		d.journal = appendFrame(d.journal, d.seq, b)
		b = &atoll.Batch{}
	}
	t.Scan(func(it item) bool {
		if b.Set(it.key, it.value); b.Bytes >= frameBytes {
			flush()
		}
		return true
	})
	if len(b.Ops) > 0 {
		flush()
	}
	d.synced = len(d.journal)
}

func (d *Disk) compact(t *tree) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.volatile {
		return nil
	}
	if d.writeErr != nil {
		return asError(d.writeErr, "a write to the disk failed")
	}
	if err := d.sync(); err != nil {
		return err
	}
	d.rewrite(t)
	return nil
}

// recover opens the disk for a new store: it replays the journal, cuts off a
// torn end, makes the rest durable and begins a term.
func (d *Disk) recover(defects planted.Set) (*tree, *term, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.term != nil {
		return nil, nil, atoll.Errorf(atoll.FailedPrecondition, "a store is open on this disk; close it first")
	}
	if defects.Has(planted.TornAccepted) {
		d.journal = mend(d.journal)
	}
	t, last, whole, frames, err := replay(d.journal, d.synced)
	if err != nil {
		return nil, nil, err
	}
	if whole < len(d.journal) && d.writeErr != nil {
		return nil, nil, asError(d.writeErr, "a write to the disk failed")
	}
	d.journal, d.seq, d.stats.Frames = d.journal[:whole:whole], last, frames
	if err := d.sync(); err != nil {
		return nil, nil, err
	}
	d.term = &term{durable: last}
	return t, d.term, nil
}

// release ends a term. What is not durable stays so.
func (d *Disk) release(t *term, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.term == t {
		d.end(err)
		d.term = nil
	}
}

// check fails if a store of the term may not use the disk any more.
func (d *Disk) check(t *term) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return t.err
}

func (d *Disk) append(b *atoll.Batch) (seq uint64, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.volatile {
		return 0, nil
	}
	if d.writeErr != nil {
		return 0, asError(d.writeErr, "a write to the disk failed")
	}
	d.seq++
	d.journal = appendFrame(d.journal, d.seq, b)
	d.ends = append(d.ends, len(d.journal))
	d.stats.Frames++
	return d.seq, nil
}

func (d *Disk) setMark(t *term, m mark) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if t.err != nil {
		return t.err
	}
	if d.writeErr != nil {
		return asError(d.writeErr, "a write to the disk failed")
	}
	d.mark = m
	return nil
}

func (d *Disk) getMark() (atoll.Height, atoll.Hash, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.mark.height, d.mark.digest, d.mark.ok
}

// Commit is the promise of a batch on a Disk.
type Commit struct {
	disk *Disk
	term *term
	seq  uint64
}

// Done reports, without waiting, whether Wait would return at once: the batch
// is durable, or never known to be so.
func (c *Commit) Done() bool {
	c.disk.mu.Lock()
	defer c.disk.mu.Unlock()
	return c.seq <= c.term.durable || c.term.err != nil
}

// Wait implements atoll.Commit. On a manual disk it blocks until somebody calls
// Disk.Sync. It fails if the sync did, or if the disk crashed or was closed
// before.
func (c *Commit) Wait() error {
	d := c.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	for c.seq > c.term.durable {
		if c.term.err != nil {
			return c.term.err
		}
		if d.auto {
			if err := d.sync(); err != nil {
				return err
			}
			continue
		}
		if d.changed.L == nil {
			d.changed.L = &d.mu
		}
		d.changed.Wait()
	}
	return nil
}

func asError(err error, msg string) error {
	if e, ok := err.(*atoll.Error); ok {
		return e
	}
	return &atoll.Error{Kind: atoll.Unavailable, Msg: msg + "; the store must be opened again", Detail: err.Error()}
}
