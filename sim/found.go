package sim

import (
	"slices"

	"atoll"
	"atoll/program/shard"
	"atoll/query"
	"atoll/value"
)

// find returns what a query finds among the documents of the model at a time,
// by the meaning of queries alone.
func (t *truth) find(db atoll.Database, q query.Query, at atoll.Time) ([]found, error) {
	p, err := query.Prepare(&q)
	if err != nil {
		return nil, err
	}
	type hit struct {
		found
		pos query.Position
	}
	var hits []hit
	for place := range t.docs { // order does not matter: sorted below
		v := t.newest(place, at)
		if place.db != db || !v.live {
			continue
		}
		d := query.Document{Path: place.path, Doc: v.content.encode()}
		ok, err := p.Matches(d)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		pos, _, err := p.Position(d)
		if err != nil {
			return nil, err
		}
		if p.InBounds(pos) {
			hits = append(hits, hit{found{place.path, v}, pos})
		}
	}
	slices.SortFunc(hits, func(a, b hit) int { return p.Compare(a.pos, b.pos) })
	hits = hits[min(q.Offset, len(hits)):]
	if q.Limit > 0 {
		hits = hits[:min(q.Limit, len(hits))]
	}
	all := make([]found, len(hits))
	for i := range hits {
		all[i] = hits[i].found
	}
	return all, nil
}

// checkQueries makes sure that each query found what there was at its time,
// and that each aggregation summed that up.
func (w *world) checkQueries(t *truth) {
	for _, rec := range w.seen.queries {
		want, err := t.find(rec.db, rec.q, rec.at)
		if err == nil && rec.figures != nil {
			err = checkFigures(rec.figures, want)
		} else if err == nil {
			err = t.checkFound(rec, want)
		}
		if err != nil {
			w.fail("the query %+v of %s at %s: %v", rec.q, rec.db, rec.at, err)
			return
		}
	}
}

func (t *truth) checkFound(rec *queryRecord, want []found) error {
	same := func(a, b found) bool {
		return a.path == b.path && t.agrees(place{rec.db, a.path}, a.version, b.version)
	}
	if !slices.EqualFunc(want, rec.found, same) {
		return atoll.Errorf(atoll.Internal, "found %+v, and there was %+v", rec.found, want)
	}
	return nil
}

func checkFigures(got []value.Value, docs []found) error {
	sum, err := query.NewAggregator(figuresOf)
	if err != nil {
		return err
	}
	for _, d := range docs {
		if err := sum.Add(query.Document{Path: d.path, Doc: d.version.content.encode()}); err != nil {
			return err
		}
	}
	if !slices.EqualFunc(sum.Result(), got, value.Identical) {
		return atoll.Errorf(atoll.Internal, "summed up to %v, and it is %v", got, sum.Result())
	}
	return nil
}

// holds reports whether what a transaction has read is still so just before a
// time.
func (t *truth) holds(db atoll.Database, req *shard.CommitRequest, now atoll.Time) (bool, error) {
	for _, c := range req.Documents {
		v := t.newest(place{db, c.Path}, now-1)
		if v.live != (c.Revision > 0) || v.live && c.Updated != 0 && v.at != c.Updated {
			return false, nil
		}
	}
	for _, c := range req.Queries {
		all, err := t.find(db, c.Query, now-1)
		if err != nil {
			return false, err
		}
		r := queryRecord{q: c.Query, found: all}
		if again := r.check(); again.Count != c.Count || again.Digest != c.Digest {
			return false, nil
		}
	}
	return true, nil
}
