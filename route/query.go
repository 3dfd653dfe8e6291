package route

import (
	"bytes"
	"context"

	"atoll"
	"atoll/keys"
	"atoll/program/shard"
	"atoll/query"
)

const (
	// firstPage is how many documents the first page of a query may have;
	// each further one may have twice as many, up to shard.MaxPage. Whoever
	// stops reading early has not caused much work.
	firstPage = 100
	// maxReplans is how often one query starts over because ranges move, plus
	// once for each range.
	maxReplans = 3
)

// QueryOptions say how a query is run.
type QueryOptions struct {
	At        atoll.Time // to read at; 0 is now: all that was acknowledged before the call
	Explain   bool       // tell the plan in the stats
	NamesOnly bool       // documents come as paths alone, without times and fields
	// Allow is asked before each page with what the pages before it cost; its
	// error ends the query and is returned. nil: all is allowed.
	Allow func(shard.QueryStats) error
}

// allow asks whether the next page may be read.
func (o *QueryOptions) allow(spent *shard.QueryStats) error {
	if o.Allow == nil {
		return nil
	}
	return o.Allow(*spent)
}

// QueryResult is what is known of a query when its last document was handed
// over. Its figures count all pages of all ranges.
type QueryResult struct {
	Time    atoll.Time // at which was read
	Skipped int        // documents left out by the query's offset
	Stats   shard.QueryStats
}

// Query runs a normalised query over all ranges that it can concern, at one
// time, and calls each for every document of the result, in order, with that
// time. An error of each ends the query and is returned. found is the
// callee's to keep.
//
// It asks for the next page only when each has returned from the last document
// of the page before, so that a slow reader holds up to one page of each range
// (shard.MaxReplyBytes) in memory and nothing else. A range that moves meanwhile makes
// the query start over at the same time behind the last document handed over.
func (r *Router) Query(ctx context.Context, db atoll.Database, q query.Query, o QueryOptions, who Caller, each func(at atoll.Time, found *shard.Found) error) (QueryResult, error) {
	run := queryRun{r: r, q: q, o: o, who: who, each: each}
	run.result.Time = o.At
	for replans := 0; ; replans++ {
		t, err := r.table(ctx, db, who)
		if err != nil {
			return run.result, err
		}
		err = run.over(ctx, t)
		if stop, ok := err.(readerError); ok {
			return run.result, stop.error
		}
		if atoll.KindOf(err) != atoll.WrongRange {
			return run.result, err
		}
		r.correct(t, err)
		if replans >= maxReplans+len(t.ranges) { // each may have to be learnt by itself
			return run.result, moved(db)
		}
	}
}

// readerError marks an error of the caller's own, which is none of a shard's.
type readerError struct{ error }

// queryRun is one query under way.
type queryRun struct {
	r         *Router
	q         query.Query
	o         QueryOptions
	who       Caller
	each      func(atoll.Time, *shard.Found) error
	result    QueryResult
	delivered int
	last      []byte // key of the last document handed over
}

// span returns the keys of the documents that a query can find: lo <= key < hi;
// nil has no bound.
func span(q *query.Query) (lo, hi []byte) {
	switch {
	case !q.Descendants:
		return keys.CollectionSpan(keys.Ordered, q.Parent.Child(q.Collection))
	case q.Parent != "":
		lo = docKey(q.Parent)
		return lo, keys.SubtreeEnd(lo)
	}
	return nil, nil
}

// within returns the first and the last range that meet lo <= key < hi.
func (t *table) within(lo, hi []byte) (first, last int) {
	first = t.at(lo)
	for last = first; t.meets(last+1, hi); last++ {
	}
	return first, last
}

// over runs the query by one map.
func (run *queryRun) over(ctx context.Context, t *table) (err error) {
	first, last := t.within(span(&run.q))
	if run.result.Time == 0 {
		if run.result.Time, err = run.r.spanning(ctx, t, first, last, run.who); err != nil {
			return err
		}
	}
	if run.last == nil {
		run.result.Skipped = 0 // starting over
	}
	if first == last && run.last == nil {
		// The only range counts offset and limit itself.
		s := &stream{run: run, d: &t.ranges[first], q: run.q, page: firstPage}
		return run.drain(ctx, s)
	}
	return run.merge(ctx, t, first, last)
}

// drain hands over all that one range returns.
func (run *queryRun) drain(ctx context.Context, s *stream) error {
	for {
		f, err := s.head(ctx)
		if err != nil || f == nil {
			return err
		}
		if err := run.deliver(f); err != nil {
			return err
		}
		s.found = s.found[1:]
	}
}

func (run *queryRun) deliver(f *shard.Found) error {
	run.delivered++
	run.last = f.Key
	if err := run.each(run.result.Time, f); err != nil {
		return readerError{err}
	}
	return nil
}

// merge hands over what several ranges return, in one order. Of each range it
// wants as many documents as the whole result can have, since all of them may
// lie there; offset and limit are counted here.
func (run *queryRun) merge(ctx context.Context, t *table, first, last int) error {
	q := run.q
	q.Offset = 0
	if q.Limit > 0 {
		q.Limit += run.q.Offset
	}
	most := q.Limit // documents of the merged result, skipped ones included
	if n := q.Nearest; n != nil && (most == 0 || n.Limit < most) {
		most = n.Limit
	}
	streams := make([]*stream, 0, last-first+1)
	for i := first; i <= last; i++ {
		streams = append(streams, &stream{run: run, d: &t.ranges[i], q: q, page: max(firstPage/(last-first+1), 1)})
	}
	begun := run.last
	for seen := 0; most == 0 || seen < most; seen++ {
		s, err := least(ctx, streams)
		if err != nil || s == nil {
			return err
		}
		f := s.found[0]
		s.found = s.found[1:]
		switch {
		case begun != nil && bytes.Compare(f.Key, begun) <= 0: // by the map before
		case begun == nil && run.result.Skipped < run.q.Offset:
			run.result.Skipped++
		default:
			if err := run.deliver(&f); err != nil {
				return err
			}
		}
	}
	return nil
}

// least returns the stream whose next document comes first, nil if none has any.
func least(ctx context.Context, streams []*stream) (first *stream, err error) {
	for _, s := range streams {
		f, err := s.head(ctx)
		if err != nil {
			return nil, err
		}
		if f != nil && (first == nil || bytes.Compare(f.Key, first.found[0].Key) < 0) {
			first = s
		}
	}
	return first, nil
}

// stream reads a query's result from one range, page by page.
type stream struct {
	run   *queryRun
	d     *shard.Descriptor
	q     query.Query
	page  int
	found []shard.Found // of the last page, not handed over yet
	next  []byte
	asked bool
}

// head returns the next document, nil at the end.
func (s *stream) head(ctx context.Context) (*shard.Found, error) {
	for len(s.found) == 0 {
		if s.asked && len(s.next) == 0 {
			return nil, nil
		}
		run := s.run
		if err := run.o.allow(&run.result.Stats); err != nil {
			return nil, err
		}
		req := shard.QueryRequest{Target: target(s.d), Query: s.q, At: run.result.Time, After: s.next, Page: s.page,
			Explain: run.o.Explain && !s.asked, NamesOnly: run.o.NamesOnly}
		var reply shard.QueryReply
		if err := run.r.answer(ctx, s.d, run.who, shard.MethodQuery, run.result.Time, req, &reply); err != nil {
			return nil, err
		}
		run.result.Time = reply.Time
		run.result.Skipped += reply.Skipped
		addStats(&run.result.Stats, &reply.Stats)
		s.asked, s.next, s.found = true, reply.Next, reply.Found
		s.page = min(2*s.page, shard.MaxPage)
	}
	return &s.found[0], nil
}

// addStats sums the costs of pages; the first plan stands for all.
func addStats(sum, page *shard.QueryStats) {
	sum.Seeks += page.Seeks
	sum.Keys += page.Keys
	sum.Documents += page.Documents
	sum.Results += page.Results
	sum.Needed += page.Needed
	if sum.Plan == "" {
		sum.Plan = page.Plan
	}
}
