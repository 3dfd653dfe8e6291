package transfer

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"atoll"
	"atoll/value"
)

// Limits of what an import sends at once.
const (
	BatchRows  = 500
	batchBytes = 2 << 20 // of documents; one batch may go beyond it by one document
)

// File is one file of an import.
type File struct {
	Name   string
	Format Format // of no account with Mapping.Pattern
	Open   func() (io.ReadCloser, error)
}

// Batch is a part of an import that is sent in one request. It holds each path
// once.
type Batch struct {
	ID        atoll.RequestID
	Documents []Document
}

// Import reads files and sends what they hold.
type Import struct {
	Files   []File
	Mapping Mapping
	// Place is where to begin, and is moved on.
	Place *Place
	// Parallel is how many batches are under way at once, at least 1.
	Parallel int
	// Send applies a batch, once however often it is sent, and tells what
	// became of each document. It is called by several goroutines.
	Send func(context.Context, Batch) ([]error, error)
	// Skip is told of each row with an error, in the order of the files; if
	// it returns nil the import goes on. nil: the first error is the last.
	Skip func(*RowError) error
	// Moved is called when Place has moved on; an error ends the import. It
	// must not be slow. Offset says how many bytes of the file at hand have
	// been read.
	Moved func(offset int64) error
}

// batch is a Batch on its way.
type batch struct {
	Batch
	file    int
	first   int64 // row behind which it begins
	last    int64 // row with which it ends
	rows    []Row // of the documents, without their texts
	bad     []*RowError
	ignored int64
	bytes   int
	offset  int64
	done    bool
	err     error
}

// Run imports what lies behind Place. When it returns, nothing is under way.
// The error is a *RowError if one row is to blame.
func (im *Import) Run(ctx context.Context) error {
	if err := im.Mapping.Check(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r := &run{im: im, flying: map[atoll.Path]bool{}, slots: make(chan struct{}, max(im.Parallel, 1))}
	r.changed = sync.NewCond(&r.mu)
	err := r.read(ctx)
	r.under.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return r.err
	}
	if err != nil {
		return err
	}
	im.Place.Done = true
	return im.moved(0)
}

func (im *Import) moved(offset int64) error {
	if im.Moved == nil {
		return nil
	}
	return im.Moved(offset)
}

// run is one run of an import.
type run struct {
	im    *Import
	slots chan struct{}
	under sync.WaitGroup

	mu      sync.Mutex // guards what follows, and the import's Place
	changed *sync.Cond // a batch is settled
	queue   []*batch   // sent and not settled, in the order of the files
	flying  map[atoll.Path]bool
	err     error // after which no batch is sent
}

// read reads all files from the place on.
func (r *run) read(ctx context.Context) error {
	p := r.im.Place
	for i := p.File; i < len(r.im.Files) && !p.Done; i++ {
		if err := r.file(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) file(ctx context.Context, i int) error {
	f := &r.im.Files[i]
	in, err := f.Open()
	if err != nil {
		return err
	}
	defer in.Close()
	src, err := r.im.open(f, in)
	if err != nil {
		return err
	}
	c := cutter{run: r, file: i, rows: src, source: source{file: stem(f.Name), quick: &quick{db: r.im.Mapping.Database}}}
	if t, ok := src.(*tableRows); ok {
		c.source.names = t.names
	}
	r.mu.Lock()
	if r.im.Place.File == i {
		c.skip = r.im.Place.Row
	}
	r.mu.Unlock()
	return c.cut(ctx)
}

// stem is the name of a file without directory and extension.
func stem(name string) string {
	base := filepath.Base(name)
	return strings.TrimSuffix(base, filepath.Ext(base))
}

func (im *Import) open(f *File, in io.Reader) (rows, error) {
	switch {
	case im.Mapping.Pattern != nil || f.Format == JSONL:
		return newLineRows(f.Name, in), nil
	case f.Format == JSON:
		return newArrayRows(f.Name, in), nil
	case f.Format == CSV:
		return newTableRows(f.Name, in)
	}
	return nil, atoll.Errorf(atoll.Invalid, "there is no format %q", f.Format)
}

// cutter cuts a file into batches. Where it cuts follows from the rows alone,
// save that the first batch begins behind those that are to be skipped: where
// another batch ended.
type cutter struct {
	run    *run
	file   int
	rows   rows
	source source
	skip   int64
	now    *batch
	paths  map[atoll.Path]bool // of the batch at hand
}

func (c *cutter) cut(ctx context.Context) error {
	c.begin(c.skip)
	for {
		row, err := c.rows.next()
		var bad *RowError
		switch {
		case errors.Is(err, io.EOF):
			return c.send(ctx, c.now.last)
		case err != nil && !errors.As(err, &bad):
			if e := c.send(ctx, c.now.last); e != nil {
				return e
			}
			return err
		case row.Number <= c.skip:
			continue
		}
		if err := c.add(ctx, &row, bad); err != nil {
			return err
		}
	}
}

func (c *cutter) begin(behind int64) {
	c.now = &batch{file: c.file, first: behind, last: behind}
	c.paths = make(map[atoll.Path]bool, BatchRows)
}

// add puts a row into the batch at hand, and sends what is full.
func (c *cutter) add(ctx context.Context, row *Row, bad *RowError) error {
	var d Document
	used := true
	if bad == nil {
		c.source.row = row
		var err error
		if d, used, err = c.run.im.Mapping.document(c.source); err != nil {
			bad = rowError(c.run.im.Files[c.file].Name, row, err)
			bad.Path = d.Path
		}
	}
	if bad == nil && used && c.paths[d.Path] { // a batch holds each path once
		if err := c.send(ctx, row.Number-1); err != nil {
			return err
		}
	}
	c.now.last = row.Number
	switch {
	case bad != nil:
		c.now.bad = append(c.now.bad, bad)
	case !used:
		c.now.ignored++
	default:
		c.paths[d.Path] = true
		c.now.Documents = append(c.now.Documents, d)
		c.now.rows = append(c.now.rows, Row{Number: row.Number, Line: row.Line, Column: row.Column})
		c.now.bytes += value.DocumentSize(d.Path, d.Fields)
	}
	if c.now.last-c.now.first >= BatchRows || c.now.bytes >= batchBytes {
		return c.send(ctx, row.Number)
	}
	return nil
}

// send sends the batch at hand and begins the next.
func (c *cutter) send(ctx context.Context, last int64) error {
	b := c.now
	c.begin(last)
	if b.last == b.first {
		return nil
	}
	b.offset = c.rows.offset()
	b.ID = c.run.im.Place.requestID(b)
	return c.run.start(ctx, b)
}

// requestID derives the id of a batch.
func (p *Place) requestID(b *batch) (id atoll.RequestID) {
	h := sha256.New()
	h.Write([]byte("atoll import\x00" + p.Run))
	var n [24]byte
	binary.BigEndian.PutUint64(n[:], uint64(b.file))
	binary.BigEndian.PutUint64(n[8:], uint64(b.first))
	binary.BigEndian.PutUint64(n[16:], uint64(b.last))
	h.Write(n[:])
	copy(id[:], h.Sum(nil))
	return id
}

// start sends a batch when there is room, and when none that is under way
// writes one of its documents: the last row of a document is to win.
func (r *run) start(ctx context.Context, b *batch) error {
	select {
	case r.slots <- struct{}{}:
	case <-ctx.Done():
		return ended(ctx)
	}
	r.mu.Lock()
	for r.err == nil && r.meets(b) {
		r.changed.Wait()
	}
	err := r.err
	if err == nil {
		r.queue = append(r.queue, b)
		for i := range b.Documents {
			r.flying[b.Documents[i].Path] = true
		}
	}
	r.mu.Unlock()
	if err != nil {
		<-r.slots
		return err
	}
	r.under.Go(func() {
		defer func() { <-r.slots }()
		var errs []error
		var err error
		if len(b.Documents) > 0 {
			errs, err = r.im.Send(ctx, b.Batch)
		}
		r.settle(b, errs, err)
	})
	return nil
}

func ended(ctx context.Context) error {
	return atoll.Errorf(atoll.Canceled, "interrupted: %v", context.Cause(ctx))
}

// meets reports whether a batch under way writes a document of b. r.mu is held.
func (r *run) meets(b *batch) bool {
	for i := range b.Documents {
		if r.flying[b.Documents[i].Path] {
			return true
		}
	}
	return false
}

// settle notes what became of a batch, and moves the place behind all batches
// that are settled with no other before them.
func (r *run) settle(b *batch, errs []error, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.changed.Broadcast()
	for i := range b.Documents {
		delete(r.flying, b.Documents[i].Path)
	}
	if err == nil && len(errs) != len(b.Documents) {
		err = atoll.Errorf(atoll.Internal, "%d documents were sent, and %d answers came", len(b.Documents), len(errs))
	}
	b.done, b.err = true, err
	for i, e := range errs {
		if err == nil && e != nil {
			bad := rowError(r.im.Files[b.file].Name, &b.rows[i], e)
			bad.Path = b.Documents[i].Path
			b.bad = append(b.bad, bad)
		}
	}
	for len(r.queue) > 0 && r.queue[0].done && r.err == nil {
		r.err = r.pass(r.queue[0])
		r.queue = r.queue[1:]
	}
}

// pass moves the place behind a batch. r.mu is held.
func (r *run) pass(b *batch) error {
	if b.err != nil {
		return b.err
	}
	sortRows(b.bad)
	for _, bad := range b.bad {
		if r.im.Skip == nil {
			return bad
		}
		if err := r.im.Skip(bad); err != nil {
			return err
		}
	}
	p := r.im.Place
	p.File, p.Row = b.file, b.last
	p.Summary.Rows += b.last - b.first
	p.Summary.Skipped += int64(len(b.bad))
	p.Summary.Ignored += b.ignored
	p.Summary.Documents += b.last - b.first - int64(len(b.bad)) - b.ignored
	return r.im.moved(b.offset)
}

// Retry calls do until it succeeds, fails for good, or has failed for a time.
// What is worth another try is what was not done, or may not have been; do
// repeats it under the id that it had.
func Retry(ctx context.Context, limit time.Duration, do func() error) error {
	end := time.Now().Add(limit)
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, 2*time.Second) {
		err := do()
		if !WorthRetry(err) || time.Now().Add(pause).After(end) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}

// WorthRetry reports whether an error says that something was not done, or that
// nobody knows.
func WorthRetry(err error) bool {
	switch atoll.KindOf(err) {
	case atoll.Unknown, atoll.DeadlineExceeded, atoll.ResourceExhausted, atoll.Aborted, atoll.Unavailable:
		return true
	}
	return false
}
