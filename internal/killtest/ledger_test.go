package killtest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"sync"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
)

// ledger knows what clients asked for, what they were told and what they saw.
// All of it is about versions of cells: a document, or a few that are written
// together.
type ledger struct {
	mu     sync.Mutex // guards the cells and what follows
	cells  []cell
	stats  stats
	broken error // the first breach of a promise
}

// stats count what the clients did.
type stats struct {
	acked   int // writes that were acknowledged
	unknown int // answers that left the outcome open
	again   int // writes that were acknowledged after an open outcome
	reads   int
}

// cell is something whose versions only grow. Its methods are called under the
// ledger's lock.
type cell interface {
	// names returns the full names of its documents.
	names() []string
	// bounds returns what is known of its version.
	bounds() *bounds
	// version reads it from the documents; nil stands for one that does not
	// exist. The version is taken to be least or more where the documents
	// leave it open. It fails if they are not what was written.
	version(docs []*firestorepb.Document, least int) (int, error)
}

// bounds are the versions that a cell can have.
type bounds struct {
	acked int // acknowledged: no reader finds less
	seen  int // a reader found it: none finds less
	tried int // sent: none finds more
}

func (b *bounds) least() int { return max(b.acked, b.seen) }

// least returns the version that a read which begins now must find.
func (l *ledger) least(c cell) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return c.bounds().least()
}

// saw checks what a reader found that began when the version was at least
// least, and remembers it.
func (l *ledger) saw(c cell, least int, docs []*firestorepb.Document) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stats.reads++
	b := c.bounds()
	v, err := c.version(docs, least)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", c.names()[0], err)
	case v < least:
		return fmt.Errorf("%s is at version %d; version %d was acknowledged and %d was seen", c.names()[0], v, b.acked, b.seen)
	case v > b.tried:
		return fmt.Errorf("%s is at version %d, but only %d were sent", c.names()[0], v, b.tried)
	}
	b.seen = max(b.seen, v)
	return nil
}

// breach keeps the first breach of a promise.
func (l *ledger) breach(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken == nil {
		l.broken = err
	}
}

func (l *ledger) breached() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.broken
}

func (l *ledger) add(c cell) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cells = append(l.cells, c)
}

// all returns the cells there are now.
func (l *ledger) all() []cell {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cells[:len(l.cells):len(l.cells)]
}

// some returns a cell, preferring the youngest.
func (l *ledger) some(rng *rand.Rand) cell {
	cells := l.all()
	if n := len(cells); n > 64 && rng.IntN(2) == 0 {
		return cells[n-1-rng.IntN(64)]
	}
	return cells[rng.IntN(len(cells))]
}

// counter is a document that many clients increment. Its version is its value.
type counter struct {
	name string
	b    bounds
	told map[int64]bool // the values that increments were answered with
}

func (c *counter) names() []string { return []string{c.name} }
func (c *counter) bounds() *bounds { return &c.b }

func (c *counter) version(docs []*firestorepb.Document, _ int) (int, error) {
	if docs[0] == nil {
		return 0, nil
	}
	f := docs[0].Fields
	if _, ok := f["n"].GetValueType().(*firestorepb.Value_IntegerValue); !ok || len(f) != 1 {
		return 0, fmt.Errorf("the counter holds %v", f)
	}
	return int(f["n"].GetIntegerValue()), nil
}

// counted notes an acknowledged increment and the value that it was answered
// with; 0 if the client does not tell.
func (l *ledger) counted(c *counter, value int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.b.acked++
	if value == 0 {
		return nil
	}
	if c.told[value] || value < 0 || value > int64(c.b.tried) {
		return fmt.Errorf("%s: an increment was answered with %d; there were %d, and the answer was given before: %t", c.name, value, c.b.tried, c.told[value])
	}
	c.told[value] = true
	return nil
}

// register is a cell that one client writes, always all documents in one
// commit. Version 0 is that none of them exists.
type register struct {
	docs    []string
	deletes bool // even versions delete
	b       bounds
}

func (r *register) names() []string { return r.docs }
func (r *register) bounds() *bounds { return &r.b }

// gone reports whether the documents do not exist at a version.
func (r *register) gone(version int) bool { return version == 0 || r.deletes && version%2 == 0 }

func (r *register) version(docs []*firestorepb.Document, least int) (int, error) {
	v := -1
	for i, d := range docs {
		one := r.absent(least)
		if d != nil {
			one = int(d.Fields["v"].GetIntegerValue())
			if want := content(r.docs[i], one); len(d.Fields) != 2 || !bytes.Equal(d.Fields["pad"].GetBytesValue(), want["pad"].GetBytesValue()) {
				return 0, fmt.Errorf("%s is not what was written as version %d: fields %d, pad %d bytes", r.docs[i], one, len(d.Fields), len(d.Fields["pad"].GetBytesValue()))
			}
		}
		if v >= 0 && one != v {
			return 0, fmt.Errorf("half a commit: %s is at version %d, %s at %d", r.docs[0], v, r.docs[i], one)
		}
		v = one
	}
	return v, nil
}

// absent returns the first version from least on at which the documents do not
// exist; 0 if there is none.
func (r *register) absent(least int) int {
	if r.deletes {
		return least + least%2
	}
	return 0
}

// content returns the fields of a document at a version. Now and then a
// document is so big that it takes several pages of the log.
func content(name string, version int) map[string]*firestorepb.Value {
	h := fnv.New64a()
	h.Write([]byte(name))
	rng := rand.New(rand.NewPCG(h.Sum64(), uint64(version)))
	n := 10 + rng.IntN(200)
	if rng.IntN(25) == 0 {
		n = 20_000 + rng.IntN(20_000)
	}
	pad := make([]byte, 0, n+8)
	for len(pad) < n {
		pad = binary.LittleEndian.AppendUint64(pad, rng.Uint64())
	}
	pad = pad[:n]
	return map[string]*firestorepb.Value{
		"v":   {ValueType: &firestorepb.Value_IntegerValue{IntegerValue: int64(version)}},
		"pad": {ValueType: &firestorepb.Value_BytesValue{BytesValue: pad}},
	}
}

func (s *stats) add(o stats) {
	s.acked += o.acked
	s.unknown += o.unknown
	s.again += o.again
	s.reads += o.reads
}

func (s stats) String() string {
	return fmt.Sprintf("%d writes acknowledged, %d of them after an open outcome; %d open outcomes; %d reads", s.acked, s.again, s.unknown, s.reads)
}
