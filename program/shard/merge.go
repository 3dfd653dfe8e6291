package shard

import (
	"bytes"

	"atoll/keys"
)

// results merges the streams of a query's terms, in the order of positions. A
// document that several of them find comes once.
type results struct {
	*reading
	streams []*stream
	heads   []candidate // beside streams; one without a position is to be found
	last    []byte      // behind the last document that came, or where the page began
}

// newResults begins to search within a span of positions.
func newResults(s *search, r *reading, within span) (*results, error) {
	within = within.and(s.bounds)
	all := &results{reading: r, last: within.lo}
	if within.empty() {
		return all, nil
	}
	for i := range s.terms {
		st, err := s.open(r, &s.terms[i], within)
		if st != nil {
			all.streams = append(all.streams, st)
		}
		if err != nil {
			return nil, all.close(err)
		}
	}
	all.heads = make([]candidate, len(all.streams))
	return all, nil
}

// next returns the next document; ok is false at the end. It fails with
// errBudget where the page is to end.
func (a *results) next() (c candidate, ok bool, err error) {
	for i := 0; i < len(a.streams); {
		if a.heads[i].pos != nil {
			i++
			continue
		}
		if a.heads[i], ok, err = a.streams[i].next(); err != nil {
			a.heads[i] = candidate{}
			return c, false, err
		}
		if ok {
			i++
		} else if err := a.drop(i); err != nil {
			return c, false, err
		}
	}
	if len(a.streams) == 0 {
		return c, false, nil
	}
	first := 0
	for i := range a.heads {
		if bytes.Compare(a.heads[i].pos, a.heads[first].pos) < 0 {
			first = i
		}
	}
	c = a.heads[first]
	for i := range a.heads {
		if !bytes.Equal(a.heads[i].pos, c.pos) {
			continue
		}
		if i != first {
			a.stats.Needed++
		}
		if c.doc == nil {
			c.doc = a.heads[i].doc
		}
		a.heads[i] = candidate{}
	}
	a.last = keys.After(c.pos)
	return c, true, nil
}

// drop removes a stream that has come to its end.
func (a *results) drop(i int) error {
	st := a.streams[i]
	a.streams = append(a.streams[:i], a.streams[i+1:]...)
	a.heads = append(a.heads[:i], a.heads[i+1:]...)
	return st.close(nil)
}

// floor returns the position below which nothing is to come any more, after
// errBudget or where the page ends.
func (a *results) floor() []byte {
	var least []byte
	for i, st := range a.streams {
		at := a.heads[i].pos
		if at == nil {
			at = st.floor
		}
		if i == 0 || bytes.Compare(at, least) < 0 {
			least = at
		}
	}
	if bytes.Compare(least, a.last) < 0 {
		return a.last
	}
	return least
}

func (a *results) close(err error) error {
	for _, st := range a.streams {
		err = st.close(err)
	}
	return err
}
