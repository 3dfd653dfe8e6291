package sim

import (
	"atoll"
	"atoll/program/shard"
	"atoll/value"
)

// place is a document of a database.
type place struct {
	db   atoll.Database
	path atoll.Path
}

// content is what the documents of a world hold: a number and a text. A field
// that is missing counts as its zero.
type content struct {
	n int64
	s string
}

func (c content) encode() []byte {
	return value.AppendDocument(nil, value.Map(
		value.Field{Name: "n", Value: value.Int(c.n)}, value.Field{Name: "s", Value: value.String(c.s)}))
}

func decodeContent(b []byte) (c content, err error) {
	v, err := value.DecodeDocument(b)
	if n, ok := v.Get("n"); ok {
		c.n = n.Int()
	}
	if s, ok := v.Get("s"); ok {
		c.s = s.Str()
	}
	return c, err
}

// version is a state of a document; the zero version does not exist.
type version struct {
	content
	live     bool
	at       atoll.Time // of the commit that made it
	created  atoll.Time
	revision uint64
}

// versionOf returns a document as a reader got it.
func versionOf(d *shard.Document) (version, error) {
	if d.Doc == nil {
		return version{}, nil
	}
	c, err := decodeContent(d.Doc)
	return version{content: c, live: true, at: d.Updated, created: d.Created, revision: d.Revision}, err
}

// Writes, as clients make them.

func set(p atoll.Path, c content) shard.Write {
	return shard.Write{Op: shard.OpSet, Path: p, Doc: c.encode()}
}

func add(p atoll.Path, n int64) shard.Write {
	by := shard.Transform{Field: "n", Kind: shard.Increment, Operand: value.EncodeValue(value.Int(n))}
	return shard.Write{Op: shard.OpSet, Path: p, HasMask: true, Transforms: []shard.Transform{by}}
}

func remove(p atoll.Path) shard.Write { return shard.Write{Op: shard.OpDelete, Path: p} }

func onlyIf(w shard.Write, exists bool) shard.Write {
	w.Exists = &exists
	return w
}

func onlyAt(w shard.Write, t atoll.Time) shard.Write {
	w.UpdateTime = &t
	return w
}

// history is what the clients saw.
type history struct {
	tick    int64 // counts beginnings and ends of operations
	commits []*commitRecord
	ops     []operation
	reads   map[readKey]version
	lists   []*listRecord
	queries []*queryRecord
	feeds   []*segment
	times   map[atoll.Database][]atoll.Time // at which something can be read
	// duty is the first time at which somebody was known to be on duty.
	duty map[atoll.Database]atoll.Time
	// horizons bound what collections were asked to forget.
	horizons map[atoll.Database]*horizon
}

type horizon struct{ versions, latest atoll.Time }

type readKey struct {
	place
	at atoll.Time
}

// outcome is what a client knows of its commit.
type outcome uint8

const (
	open    outcome = iota // it may have been executed, or still be
	acked                  // it was executed
	refused                // nothing was done
	failed                 // a precondition, what was read, or another rule did not hold
)

type commitRecord struct {
	id      atoll.RequestID
	db      atoll.Database
	outcome outcome
	reply   shard.CommitReply
}

// listRecord is a part of a collection, read at one time.
type listRecord struct {
	db         atoll.Database
	collection atoll.Path
	at         atoll.Time
	docs       []shard.Document
	whole      bool // and there is nothing behind
}

// segment is a part of a change feed that was read without a gap.
type segment struct {
	db       atoll.Database
	from, to shard.FeedCursor
	changes  []shard.Change
	// forgotten is the horizon below which superseded versions may have been
	// gone when the last page was read.
	forgotten atoll.Time
}

func newHistory() history {
	return history{
		reads: map[readKey]version{}, times: map[atoll.Database][]atoll.Time{},
		duty: map[atoll.Database]atoll.Time{}, horizons: map[atoll.Database]*horizon{},
	}
}

func (h *history) now() int64 {
	h.tick++
	return h.tick
}

func (h *history) horizon(db atoll.Database) *horizon {
	if h.horizons[db] == nil {
		h.horizons[db] = &horizon{}
	}
	return h.horizons[db]
}

// maxTimes is how many times of a database are remembered.
const maxTimes = 64

func (h *history) learn(db atoll.Database, t atoll.Time) {
	all := append(h.times[db], t)
	h.times[db] = all[max(0, len(all)-maxTimes):]
}

// read notes a document as it was at a time. It fails the world if it was seen
// otherwise before.
func (w *world) read(db atoll.Database, at atoll.Time, d *shard.Document) version {
	v, err := versionOf(d)
	if err != nil {
		w.fail("%s of %s cannot be decoded: %v", d.Path, db, err)
	}
	key := readKey{place{db, d.Path}, at}
	if before, ok := w.seen.reads[key]; ok && before != v {
		w.fail("%s of %s at %s was read as %+v, and now as %+v", d.Path, db, at, before, v)
	}
	w.seen.reads[key] = v
	return v
}
