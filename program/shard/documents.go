package shard

import (
	"bytes"

	"atoll"
	"atoll/keys"
)

// documents is a source of the documents of some spans, of whatever
// collection, for queries that no index narrows. It finds each by two seeks,
// whatever lies between; those count that exist at the time of the reading.
type documents struct {
	*reading
	it    atoll.Iterator
	spans []span
	back  bool

	found   bool
	live    bool   // it exists
	current []byte // docKey
}

var _ source = (*documents)(nil)

func newDocuments(r *reading, spans []span, back bool) *documents {
	lo, hi := keys.SpaceSpan(uint32(r.d.Family), keys.Documents)
	return &documents{reading: r, it: r.ranges.Iter(lo, hi), spans: spans, back: back}
}

func (s *documents) ok() bool       { return s.found }
func (s *documents) stood() bool    { return s.live }
func (s *documents) tail() []byte   { return s.current }
func (s *documents) docKey() []byte { return s.current }
func (s *documents) close() error   { return s.it.Close() }

func (s *documents) next() error {
	if s.back {
		return s.place(bytes.Clone(s.current))
	}
	return s.place(behind(s.current))
}

func (s *documents) place(bound []byte) error {
	s.found = false
	for n := range s.spans {
		if s.back {
			n = len(s.spans) - 1 - n
		}
		at, ok := s.spans[n].enter(bound, s.back)
		if !ok {
			continue
		}
		if ok, err := s.seek(at); err != nil {
			return err
		} else if !ok || !s.spans[n].contains(s.current) {
			continue
		}
		v, ok, err := newest(s.ranges, s.d.Family, s.current, s.at)
		s.stats.Keys++
		if s.found, s.live = true, ok && !v.tombstone; !s.live {
			s.stats.Needed++
		}
		return err
	}
	return nil
}

// seek goes to any version of the first document at or behind a place.
func (s *documents) seek(place []byte) (bool, error) {
	s.stats.Seeks++
	to := bound(s.d.Family, place)
	if s.back && place == nil {
		_, to = keys.SpaceSpan(uint32(s.d.Family), keys.Documents)
	}
	move := s.it.SeekGE
	if s.back {
		move = s.it.SeekLT
	}
	if !move(to) {
		return false, nil
	}
	s.stats.Keys++
	_, docKey, _, err := keys.ParseVersion(s.it.Key())
	if err != nil {
		return false, damaged("key of a version", s.it.Key())
	}
	s.current = append(s.current[:0], docKey...)
	return true, nil
}
