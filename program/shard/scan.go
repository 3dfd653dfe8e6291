package shard

import (
	"bytes"
	"encoding/binary"

	"atoll"
	"atoll/keys"
)

// limits bound what one page of a query costs.
type limits struct {
	scan int // keys that it may read
	few  int // entries that are worth a look at whether their documents can be sorted, where an index in order would have to be filtered
	sort int // documents that may be sorted because no index has them in order
}

// usual are the limits outside of tests.
var usual = limits{scan: MaxScan, few: 256, sort: 20_000}

// reading is what one page of a query reads from, and what it has cost.
type reading struct {
	ranges atoll.Reader
	d      *Descriptor
	at     atoll.Time
	past   bool // entries that have ended are read too
	limits
	stats QueryStats
}

// source shows documents one after the other, each under a tail: what is
// special about its key, which ends with the docKey. It shows those too that
// did not stand there at the time of the reading, so that whoever goes over
// many of them can stop in between. Slices are valid until the next move.
type source interface {
	ok() bool       // there is one at hand
	stood() bool    // it counts
	tail() []byte   //
	docKey() []byte // the end of the tail
	next() error
	// place goes to the first tail >= bound, or backwards to the last one
	// < bound, where nil is the end of all.
	place(bound []byte) error
	close() error
}

// scan goes over the entries of an index that begin alike, in one direction,
// as they were at one time: over the live entries, and merged with them over
// the ended ones where those could have stood.
type scan struct {
	*reading
	back  bool
	sides []*side
	first *side // holds the entry at hand; nil if there is none
}

// newScan returns a scan that stands nowhere: place it first. Head is of live
// entries.
func newScan(r *reading, head []byte, spans []span, back bool) *scan {
	s := &scan{reading: r, back: back}
	s.sides = append(s.sides, newSide(r, head, spans, back, false))
	if r.past {
		ended := bytes.Clone(head)
		ended[len(keys.AppendHead(nil, 0, 0))-1] = byte(keys.PastIndex)
		s.sides = append(s.sides, newSide(r, ended, spans, back, true))
	}
	return s
}

func (s *scan) ok() bool       { return s.first != nil }
func (s *scan) stood() bool    { return s.first.stood }
func (s *scan) tail() []byte   { return s.first.tail }
func (s *scan) docKey() []byte { return s.first.tail[len(s.first.tail)-s.first.docLen:] }

func (s *scan) next() error {
	if err := s.first.step(); err != nil {
		return err
	}
	s.choose()
	return nil
}

func (s *scan) place(bound []byte) error {
	for _, side := range s.sides {
		if err := side.place(bound); err != nil {
			return err
		}
	}
	s.choose()
	return nil
}

// choose takes the side whose entry comes first.
func (s *scan) choose() {
	s.first = nil
	for _, side := range s.sides {
		if side.ok && (s.first == nil || bytes.Compare(side.tail, s.first.tail) < 0 != s.back) {
			s.first = side
		}
	}
}

func (s *scan) close() error {
	var first error
	for _, side := range s.sides {
		if err := side.it.Close(); first == nil {
			first = err
		}
	}
	return first
}

// side is one of the two spaces that a scan goes over.
type side struct {
	*reading
	it    atoll.Iterator
	head  []byte
	spans []span // of tails
	n     int    // the span at hand
	back  bool
	ended bool // the space of ended entries

	ok     bool // an entry is at hand
	stood  bool // it stood at the time of the reading
	sought bool // all entries of this tail have been looked for
	tail   []byte
	docLen int
	buf    []byte // for bounds
}

func newSide(r *reading, head []byte, spans []span, back, ended bool) *side {
	s := &side{reading: r, head: head, spans: spans, back: back, ended: ended}
	lo, hi := head, keys.After(head)
	if n := len(spans); n > 0 {
		lo = append(bytes.Clone(head), spans[0].lo...)
		if end := spans[n-1].hi; end != nil {
			hi = append(bytes.Clone(head), end...)
		}
	}
	s.it = r.ranges.Iter(lo, hi)
	return s
}

// place goes to the first entry at or behind a bound, as source.place does.
func (s *side) place(bound []byte) (err error) {
	s.n, s.ok = 0, false
	if s.back {
		s.n = len(s.spans) - 1
	}
	for ; s.n >= 0 && s.n < len(s.spans); s.turn() {
		from, ok := s.spans[s.n].enter(bound, s.back)
		if !ok {
			continue
		}
		s.ok, err = s.settle(s.seek(from))
		if s.ok || err != nil {
			return err
		}
	}
	return nil
}

// turn goes to the next span.
func (s *side) turn() {
	if s.back {
		s.n--
	} else {
		s.n++
	}
}

// seek moves the iterator to the first key at or behind a bound.
func (s *side) seek(bound []byte) bool {
	s.stats.Seeks++
	if s.back && bound == nil {
		return s.it.SeekLT(keys.After(s.head))
	}
	s.buf = append(append(s.buf[:0], s.head...), bound...)
	if s.back {
		return s.it.SeekLT(s.buf)
	}
	return s.it.SeekGE(s.buf)
}

// step goes to the next entry.
func (s *side) step() (err error) {
	if s.ok, err = s.settle(s.move()); s.ok || err != nil {
		return err
	}
	// The next span lies wholly behind this one.
	s.turn()
	if s.n < 0 || s.n >= len(s.spans) {
		return nil
	}
	if s.back {
		return s.place(s.spans[s.n].hi)
	}
	return s.place(s.spans[s.n].lo)
}

func (s *side) move() bool {
	if s.back {
		return s.it.Prev()
	}
	return s.it.Next()
}

// settle takes the entry that the iterator stands on; ok is false if it is not
// in the span at hand. Of ended entries that differ in nothing but their times
// it takes two at most, however many there are: the first it comes to, and the
// one that can have stood.
func (s *side) settle(moved bool) (ok bool, err error) {
	for ; moved; moved = s.skip() {
		tail := s.it.Key()
		if len(tail) < len(s.head) {
			return false, damaged("index key", tail)
		}
		tail = tail[len(s.head):]
		if at := s.spans[s.n]; s.back && bytes.Compare(tail, at.lo) < 0 || !s.back && at.hi != nil && bytes.Compare(tail, at.hi) >= 0 {
			return false, nil
		}
		if !s.ok || !s.again(tail) {
			s.tail, s.sought = append(s.tail[:0], tail...), false
			return true, s.look()
		}
		if s.stood || s.sought {
			continue
		}
		s.sought = true
		if s.seekEnd(s.at+1) && s.again(s.it.Key()[len(s.head):]) {
			s.tail = append(s.tail[:0], s.it.Key()[len(s.head):]...)
			return true, s.look()
		}
	}
	return false, nil
}

// again reports whether an ended entry differs from the one at hand in nothing
// but its times.
func (s *side) again(tail []byte) bool {
	return s.ended && len(tail) == len(s.tail)+timeLen && bytes.HasPrefix(tail, s.tail)
}

// seekEnd moves the iterator to the first entry of the tail at hand that ended
// at or after a time: entries of one tail never overlap, so the first that
// ended after the time of the reading is the only one that can have stood then.
func (s *side) seekEnd(at atoll.Time) bool {
	s.stats.Seeks++
	s.buf = append(append(s.buf[:0], s.head...), s.tail...)
	s.buf = binary.BigEndian.AppendUint64(s.buf, uint64(at))
	return s.it.SeekGE(s.buf)
}

// skip moves the iterator behind all entries of the tail at hand.
func (s *side) skip() bool {
	s.stats.Seeks++
	s.buf = append(append(s.buf[:0], s.head...), s.tail...)
	if s.back {
		return s.it.SeekLT(s.buf)
	}
	s.buf = append(s.buf, afterTimes...)
	return s.it.SeekGE(s.buf)
}

// look reads the entry under the iterator, whose tail was taken.
func (s *side) look() error {
	s.stats.Keys++
	st, err := parseStanding(s.it.Value())
	if err != nil {
		return err
	}
	to := atoll.MaxTime
	if n := len(s.tail) - timeLen; s.ended && n >= 0 {
		to = atoll.Time(binary.BigEndian.Uint64(s.tail[n:]))
		s.tail = s.tail[:n]
	}
	if s.docLen = st.docLen; s.docLen > len(s.tail) {
		return damaged("index key", s.it.Key())
	}
	if s.stood = st.since <= s.at && s.at < to; !s.stood {
		s.stats.Needed++
	}
	return nil
}
