package shard

import (
	"bytes"
	"slices"

	"atoll"
	"atoll/keys"
	"atoll/query"
)

// maxKept is how many bytes of documents wait in memory to be returned in
// order; the others are read again.
const maxKept = MaxReplyBytes

// errBudget ends a page that has read as many keys as it may. It leaves no
// shard: the page says where to go on.
var errBudget = atoll.Errorf(atoll.ResourceExhausted, "the page has read its budget of keys")

// candidate is a document of a result.
type candidate struct {
	pos []byte
	key []byte      // docKey
	doc *foundState // nil if it was not read yet
}

// foundState is a document that was read.
type foundState struct {
	path atoll.Path
	version
}

// stream finds the documents of one term in the order of their positions. It
// goes over a source, keeps what the probes hold too, and sorts runs of equal
// values where the source alone does not have the order.
type stream struct {
	*reading
	s      *search
	names  []span
	bounds span

	primary source
	back    bool          // the direction of primary and probes
	desc    bool          // positions complement what primary holds
	valued  bool          // tails of primary are a value and a docKey, else a docKey
	parts   []indexedPart // of a composite index: the values in tails of primary
	members bool          // documents may stand deeper than the query searches
	before  []byte        // of all positions
	direct  bool          // tails are positions, but for cut values
	check   bool          // documents must be looked at
	probes  []*probe
	mates   []*mateScan // have the same tails as primary
	plan    string

	passed bool // the entry at hand was returned
	moved  bool // the stream came behind where it began
	queue  []candidate
	floor  []byte // no document that is still to come has a position below it
}

// next returns the next document. ok is false at the end. It fails with
// errBudget where floor is where to go on.
func (st *stream) next() (c candidate, ok bool, err error) {
	for len(st.queue) == 0 {
		if st.passed {
			st.passed = false
			if err := st.primary.next(); err != nil {
				return c, false, err
			}
		}
		if ok, err := st.align(); !ok || err != nil {
			return c, false, err
		}
		if !st.direct || st.cutValue() {
			if err := st.gather(); err != nil {
				return c, false, err
			}
			continue
		}
		c, ok, err := st.single()
		if ok || err != nil {
			return c, ok, err
		}
	}
	c, st.queue = st.queue[0], st.queue[1:]
	return c, true, nil
}

// value returns the part of the tail at hand before the docKey.
func (st *stream) value() []byte {
	tail := st.primary.tail()
	return tail[:len(tail)-len(st.primary.docKey())]
}

// cutValue reports whether the value at hand may have been longer.
func (st *stream) cutValue() bool { return st.valued && len(st.value()) >= keys.MaxIndexed }

// align goes on to an entry whose document the names and all probes hold; ok
// is false at the end.
func (st *stream) align() (ok bool, err error) {
	for st.primary.ok() {
		if st.stats.Keys >= st.scan && st.moved {
			st.setFloor()
			return false, errBudget
		}
		if !st.primary.stood() {
			if err := st.primary.next(); err != nil {
				return false, err
			}
			st.moved = true
			continue
		}
		bound, hold, err := st.mated()
		if err != nil || !hold && bound == nil {
			return false, err
		}
		if !hold {
			if err := st.primary.place(bound); err != nil {
				return false, err
			}
			st.moved = true
			continue
		}
		if bound, hold, err = st.agree(); hold || err != nil {
			return hold, err
		}
		if bound == nil && !st.valued {
			return false, nil
		}
		if err := st.jump(bound); err != nil {
			return false, err
		}
		st.moved = true
	}
	return false, nil
}

// agree reports whether names and probes hold the document at hand. Otherwise
// it returns the docKey's bound from which on they could, in the way of
// source.place; nil if they do not for this value.
func (st *stream) agree() (bound []byte, hold bool, err error) {
	key := st.primary.docKey()
	if bound, inside := enterAny(st.names, key, st.back); !inside {
		return bound, false, nil
	}
	if st.members {
		if n := keys.IDsLen(key, st.s.depth); n+1 < len(key) {
			ancestor := append(bytes.Clone(key[:n]), 0)
			if st.back {
				return keys.After(ancestor), false, nil
			}
			return keys.SubtreeEnd(ancestor), false, nil
		}
	}
	return st.meet(key)
}

// meet reports whether all probes hold a document. Otherwise the bound is that
// of the furthest place to which one of them leads, so that the rarest value
// leads the way, whichever probe has it.
func (st *stream) meet(key []byte) (bound []byte, hold bool, err error) {
	far := key
	for _, p := range st.probes {
		ok, err := p.find(far, st.back)
		if err != nil {
			return nil, false, err
		}
		for ; ok && !p.stood() && bytes.Equal(p.docKey(), far); ok = p.ok() {
			if err := p.next(); err != nil {
				return nil, false, err
			}
		}
		if !ok {
			return nil, false, nil
		}
		far = p.docKey()
	}
	switch {
	case bytes.Equal(far, key):
		return nil, true, nil
	case st.back:
		return keys.After(far), false, nil
	}
	return far, false, nil
}

// enterAny returns where the documents of some spans go on at or behind a
// docKey; inside is true if it is one of them.
func enterAny(spans []span, key []byte, back bool) (bound []byte, inside bool) {
	for n := range spans {
		if back {
			n = len(spans) - 1 - n
		}
		switch s := spans[n]; {
		case s.contains(key):
			return nil, true
		case !back && bytes.Compare(s.lo, key) > 0:
			return s.lo, false
		case back && s.hi != nil && bytes.Compare(s.hi, key) <= 0:
			return s.hi, false
		}
	}
	return nil, false
}

// jump goes to the docKey's bound under the value at hand, or behind the
// value.
func (st *stream) jump(bound []byte) error {
	value := bytes.Clone(st.value())
	switch {
	case bound != nil:
		return st.primary.place(append(value, bound...))
	case st.back:
		return st.primary.place(value)
	}
	return st.primary.place(keys.After(value))
}

// setFloor notes the place of the entry at hand.
func (st *stream) setFloor() {
	switch {
	case !st.valued && !st.direct:
	case st.direct && !st.cutValue():
		st.floor = st.position()
	default:
		st.floor = appendFlipped(bytes.Clone(st.before), st.run(), st.desc)
	}
}

// position returns the position that the tail at hand stands for.
func (st *stream) position() []byte {
	tail := st.primary.tail()
	pos := make([]byte, 0, len(st.before)+len(tail))
	return appendFlipped(append(pos, st.before...), tail, st.desc)
}

// single returns the document of the entry at hand, if it is in the result.
func (st *stream) single() (c candidate, ok bool, err error) {
	c = candidate{pos: st.position(), key: bytes.Clone(st.primary.docKey())}
	st.passed, st.moved = true, true
	if !st.bounds.contains(c.pos) {
		st.stats.Needed++
		return c, false, nil
	}
	if !st.check {
		return c, true, nil
	}
	assumed := c.pos
	ok, err = st.place(&c)
	if ok && !bytes.Equal(assumed, c.pos) {
		st.stats.Needed++
		return c, false, nil // in the result for another term, which has it there
	}
	return c, ok, err
}

// gather puts the documents of the run at hand in the queue, in their order: of
// all entries with one value, or of all there are if primary has no values.
// Whole runs are found at once, or none of them.
func (st *stream) gather() error {
	run := bytes.Clone(st.run())
	st.setFloor()
	start, started, kept := st.floor, st.moved, 0
	st.moved = true
	for {
		c := candidate{key: bytes.Clone(st.primary.docKey())}
		ok, err := st.place(&c)
		if err != nil {
			return err
		}
		if ok {
			if kept += len(c.doc.doc); kept > maxKept {
				c.doc = nil
			}
			st.queue = append(st.queue, c)
			st.stats.Needed++ // all are read before the first is known
		}
		if len(st.queue) > st.sort {
			return st.tooMany()
		}
		if err := st.primary.next(); err != nil {
			return err
		}
		more, err := st.align()
		if err == errBudget && (!started || !st.valued) {
			return st.tooMany()
		}
		if err != nil {
			st.queue, st.floor = nil, start
			return err
		}
		if !more || !st.sameRun(run) {
			break
		}
	}
	slices.SortFunc(st.queue, func(a, b candidate) int { return bytes.Compare(a.pos, b.pos) })
	return nil
}

// place reads a document and finds its position; ok is false if it is not in
// the result.
func (st *stream) place(c *candidate) (ok bool, err error) {
	if err := c.load(st.reading); err != nil {
		return false, err
	}
	ok, err = st.s.p.Matches(query.Document{Path: c.doc.path, Doc: c.doc.doc})
	if ok && err == nil {
		c.pos, ok, err = st.s.order.of(c.doc.doc, c.key)
	}
	if ok = ok && st.bounds.contains(c.pos); !ok {
		st.stats.Needed++
	}
	return ok, err
}

// load reads the document. One that the index has and the documents have not
// is DataLoss.
func (c *candidate) load(r *reading) error {
	if c.doc != nil {
		return nil
	}
	r.stats.Keys++
	r.stats.Documents++
	v, ok, err := newest(r.ranges, r.d.Family, c.key, r.at)
	if err != nil {
		return err
	}
	if !ok || v.tombstone {
		return damaged("index: it has a document that does not exist", c.key)
	}
	v.doc = bytes.Clone(v.doc)
	path, err := readPath(c.key)
	c.doc = &foundState{path, v}
	return err
}

func (st *stream) close(err error) error {
	for _, p := range st.probes {
		err = closeSource(p, err)
	}
	for _, m := range st.mates {
		err = closeSource(m, err)
	}
	return closeSource(st.primary, err)
}

// closeSource closes a source that is left, maybe because of err.
func closeSource(s source, err error) error {
	if closed := s.close(); err == nil {
		return closed
	}
	return err
}

// probe tells whether documents are among the entries of one value.
type probe struct {
	*scan
	from   []byte // where the scan was placed last
	placed bool
}

// find goes to the first document at or behind a docKey; ok is false if there
// is none. It moves only if it stands elsewhere.
func (p *probe) find(docKey []byte, back bool) (ok bool, err error) {
	if p.placed {
		sign := 1
		if back {
			sign = -1
		}
		behind := sign*bytes.Compare(p.from, docKey) <= 0
		if behind && (!p.ok() || sign*bytes.Compare(docKey, p.docKey()) <= 0) {
			return p.ok(), nil
		}
	}
	p.from, p.placed = append(p.from[:0], docKey...), true
	bound := docKey
	if back {
		bound = keys.After(docKey)
	}
	if err := p.place(bound); err != nil {
		return false, err
	}
	return p.ok(), nil
}
