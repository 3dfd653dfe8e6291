package shard

import (
	"bytes"
	"cmp"

	"atoll"
	"atoll/keys"
)

// maxScan is how many feed entries one query looks at; most of them may have
// been superseded.
const maxScan = 16 * MaxPage

// feed reads one page of the changes of a range.
func feed(v atoll.View, req *FeedRequest) (*FeedReply, error) {
	if err := checkPage(req.Limit); err != nil {
		return nil, err
	}
	if err := checkFeedCursor(v, req.After); err != nil {
		return nil, err
	}
	d, err := resolve(v.State(), req.Target, "")
	if err != nil {
		return nil, err
	}
	now := v.Turn().Now
	p := feedPage{
		feedWalk: newFeedWalk(v.Ranges(), d, req.After, now),
		ranges:   v.Ranges(),
		limit:    req.Limit,
		reply:    &FeedReply{Closed: now, Next: req.After},
	}
	for n := 0; err == nil && p.next() && !p.reply.More; n++ {
		if n == maxScan {
			p.reply.More = true
			break
		}
		err = p.step()
	}
	if !p.reply.More {
		p.reply.Next = FeedCursor{Time: now}
	}
	return p.reply, p.close(err)
}

// checkFeedCursor fails with OutOfRange on a place after what is durable, and
// with FailedPrecondition on one behind which changes have been forgotten.
func checkFeedCursor(v atoll.View, after FeedCursor) error {
	if now := v.Turn().Now; after.Time > now {
		return atoll.Errorf(atoll.OutOfRange, "the feed is asked for from %s on, after %s, up to which all is durable; wait for it", after.Time, now)
	}
	h, err := loadHorizons(v.State())
	if err != nil {
		return err
	}
	first := after.Time // at which the next change may be
	if len(after.Key) == 0 {
		first++
	}
	if first < h.Latest || after.Time < 0 {
		return atoll.Errorf(atoll.FailedPrecondition, "the feed is kept from %s on, and asked for from %s on; read the documents as of now and follow the feed from there", h.Latest, after.Time)
	}
	return nil
}

// feedPage is a FeedReply on its way.
type feedPage struct {
	*feedWalk
	ranges atoll.Reader
	limit  int
	size   int // bytes in the reply
	reply  *FeedReply
}

// step puts the change at hand on the page, joined with what it made of the
// document, or notes that there was no room for it.
func (p *feedPage) step() error {
	change, ok, err := p.change()
	if err != nil {
		return err
	}
	if ok {
		n := len(p.reply.Changes)
		p.size += len(change.Cursor.Key) + len(change.Doc.Path) + len(change.Doc.Doc)
		if n == p.limit || n > 0 && p.size > MaxReplyBytes {
			p.reply.More = true
			return nil
		}
		p.reply.Changes = append(p.reply.Changes, change)
	}
	p.reply.Next = p.cursor()
	return nil
}

// change returns the change at hand. There is none if the entry is of a
// document outside of the range, leads only to a result, or has been
// superseded and its version collected.
func (p *feedPage) change() (c Change, ok bool, err error) {
	e, err := p.entry()
	if err != nil || !e.changed || !p.d.Contains(p.key) {
		return c, false, err
	}
	stored, ok, err := p.ranges.Get(versionKey(p.d.Family, p.key, p.time))
	if err != nil || !ok {
		return c, false, err
	}
	v, err := parseVersion(p.time, stored)
	if err != nil {
		return c, false, err
	}
	path, err := readPath(p.key)
	if err != nil {
		return c, false, err
	}
	return Change{Cursor: p.cursor(), Doc: v.document(path)}, true, nil
}

// feedWalk goes over the feed of a range: its own entries merged with those of
// the ranges that it descends from, in the order of (time, key). Ancestors hold
// entries of documents outside of the range as well.
type feedWalk struct {
	d       *Descriptor
	sources []feedSource
	last    *feedSource // where the entry at hand is from

	// The entry at hand; key is valid until next.
	time atoll.Time
	key  []byte
}

// feedSource is the feed that stands under one range's id.
type feedSource struct {
	it   atoll.Iterator
	from []byte // nil once the iterator was placed
	ok   bool   // the iterator stands on an entry
	time atoll.Time
	key  []byte
	err  error
}

// newFeedWalk stands before the first entry behind a place in the feed, and
// ends behind those of the time until.
func newFeedWalk(r atoll.Reader, d *Descriptor, after FeedCursor, until atoll.Time) *feedWalk {
	w := &feedWalk{d: d, sources: make([]feedSource, 0, 1+len(d.Lineage))}
	w.add(r, d.Range, after, until)
	for _, a := range d.Lineage {
		w.add(r, a.Range, after, min(a.Until, until))
	}
	return w
}

// add adds the feed under one id, unless it ends before the walk begins.
func (w *feedWalk) add(r atoll.Reader, id RangeID, after FeedCursor, until atoll.Time) {
	from, _ := keys.FeedSpan(uint32(w.d.Family), uint64(id), after.Time, after.Key)
	to, _ := keys.FeedSpan(uint32(w.d.Family), uint64(id), until, nil)
	if bytes.Compare(from, to) < 0 {
		w.sources = append(w.sources, feedSource{it: r.Iter(from, to), from: from})
	}
}

// next goes to the next entry and reports whether there is one. An error ends
// the walk; close returns it.
func (w *feedWalk) next() bool {
	var first *feedSource
	for i := range w.sources {
		s := &w.sources[i]
		if s == w.last || s.from != nil {
			s.advance()
		}
		if s.ok && (first == nil || s.before(first)) {
			first = s
		}
	}
	if w.last = first; first == nil {
		return false
	}
	w.time, w.key = first.time, first.key
	return true
}

// advance goes to the source's next entry, the first at first.
func (s *feedSource) advance() {
	if s.from != nil {
		s.ok = s.it.SeekGE(s.from)
		s.from = nil
	} else {
		s.ok = s.it.Next()
	}
	if s.ok {
		var err error
		if _, _, s.time, s.key, err = keys.ParseFeedKey(s.it.Key()); err != nil {
			s.ok, s.err = false, damaged("key of a feed entry", s.it.Key())
		}
	}
}

func (s *feedSource) before(o *feedSource) bool {
	return cmp.Or(cmp.Compare(s.time, o.time), bytes.Compare(s.key, o.key)) < 0
}

// entry reads the entry at hand.
func (w *feedWalk) entry() (entry, error) { return parseEntry(w.last.it.Value()) }

// cursor returns the place behind the entry at hand.
func (w *feedWalk) cursor() FeedCursor {
	return FeedCursor{Time: w.time, Key: bytes.Clone(w.key)}
}

// close ends the walk. It returns err, or else the first error that stopped a
// source.
func (w *feedWalk) close(err error) error {
	for i := range w.sources {
		s := &w.sources[i]
		closed := s.it.Close()
		if err == nil {
			err = s.err
		}
		if err == nil {
			err = closed
		}
	}
	return err
}
