package route

import (
	"context"

	"atoll"
	"atoll/program/shard"
	"atoll/query"
)

// Aggregate sums the documents of a normalised query up, over all ranges, at
// one time. Its results are those of an aggregator that has seen every
// document once (query.Aggregator).
func (r *Router) Aggregate(ctx context.Context, db atoll.Database, q query.Query, figures []query.Aggregate, o QueryOptions, who Caller) (*query.Aggregator, QueryResult, error) {
	s := sumRun{r: r, q: q, o: o, who: who}
	var sum *query.Aggregator
	s.begin = func() (err error) {
		sum, err = query.NewAggregator(figures)
		return err
	}
	s.page = func(ctx context.Context, d *shard.Descriptor, p page) (page, error) {
		req := shard.AggregateRequest{Target: target(d), Query: q, Aggregates: figures, At: p.at, After: p.next, Explain: o.Explain}
		var reply shard.AggregateReply
		if err := r.answer(ctx, d, who, shard.MethodAggregate, p.at, req, &reply); err != nil {
			return p, err
		}
		return page{reply.Time, reply.Next, reply.Stats}, unreadable(sum.Merge(reply.Partial))
	}
	s.add = func(d query.Document) error { return sum.Add(d) }
	s.full = func() bool { return sum.Full() }
	s.fields = func() []string { return sum.Fields() }
	err := s.run(ctx, db)
	return sum, s.result, err
}

// Group sums the documents of a normalised query up in groups, over all ranges,
// at one time. Its results are those of groups that have seen every document
// once (query.Groups). It fails with ResourceExhausted if there are too many.
func (r *Router) Group(ctx context.Context, db atoll.Database, q query.Query, grouping query.Grouping, o QueryOptions, who Caller) (*query.Groups, QueryResult, error) {
	s := sumRun{r: r, q: q, o: o, who: who}
	var groups *query.Groups
	s.begin = func() (err error) {
		groups, err = query.NewGroups(grouping)
		return err
	}
	s.page = func(ctx context.Context, d *shard.Descriptor, p page) (page, error) {
		req := shard.GroupRequest{Target: target(d), Query: q, Grouping: grouping, At: p.at, After: p.next, Explain: o.Explain}
		var reply shard.GroupReply
		if err := r.answer(ctx, d, who, shard.MethodGroup, p.at, req, &reply); err != nil {
			return p, err
		}
		return page{reply.Time, reply.Next, reply.Stats}, unreadable(groups.Merge(reply.Groups))
	}
	s.add = func(d query.Document) error { return groups.Add(d) }
	s.full = func() bool { return false }
	s.fields = func() []string { return groups.Fields() }
	err := s.run(ctx, db)
	return groups, s.result, err
}

// unreadable turns the error of what a shard has sent into one of ours. A limit
// is the caller's to keep.
func unreadable(err error) error {
	if atoll.KindOf(err) != atoll.Invalid {
		return err
	}
	return &atoll.Error{Kind: atoll.Internal, Msg: "the shard gave an answer that cannot be read", Detail: err.Error()}
}

// sumRun is documents on their way into a sum.
type sumRun struct {
	r      *Router
	q      query.Query
	o      QueryOptions
	who    Caller
	result QueryResult

	begin  func() error                                                        // with an empty sum
	page   func(context.Context, *shard.Descriptor, page) (next page, _ error) // adds a page of a range
	add    func(query.Document) error
	full   func() bool     // more documents do not matter
	fields func() []string // that matter of a document
}

// page is a page of a sum: when it is read and where it begins, or where the
// next one begins and what it has cost.
type page struct {
	at    atoll.Time
	next  []byte
	stats shard.QueryStats
}

// run sums up where the documents are, and anew if ranges move meanwhile.
func (s *sumRun) run(ctx context.Context, db atoll.Database) error {
	s.result.Time = s.o.At
	for replans := 0; ; replans++ {
		t, err := s.r.table(ctx, db, s.who)
		if err != nil {
			return err
		}
		if err := s.begin(); err != nil {
			return err
		}
		first, last := t.within(span(&s.q))
		if first < last && (s.q.Offset > 0 || s.q.Limit > 0 || s.q.Nearest != nil) {
			return s.here(ctx, db)
		}
		if s.result.Time == 0 {
			s.result.Time, err = s.r.spanning(ctx, t, first, last, s.who)
		}
		for i := first; i <= last && err == nil && !s.full(); i++ {
			err = s.over(ctx, &t.ranges[i])
		}
		if atoll.KindOf(err) != atoll.WrongRange {
			return err
		}
		s.r.correct(t, err)
		if replans >= maxReplans+len(t.ranges) { // each may have to be learnt by itself
			return moved(db)
		}
	}
}

// over adds the documents of one range.
func (s *sumRun) over(ctx context.Context, d *shard.Descriptor) error {
	for p := (page{}); ; {
		if err := s.o.allow(&s.result.Stats); err != nil {
			return err
		}
		var err error
		p.at = s.result.Time
		if p, err = s.page(ctx, d, p); err != nil {
			return err
		}
		s.result.Time = p.at
		addStats(&s.result.Stats, &p.stats)
		if len(p.next) == 0 || s.full() {
			return nil
		}
	}
}

// here sums the documents up as they come, where offset and limit go over
// several ranges and no range knows which of its documents count.
func (s *sumRun) here(ctx context.Context, db atoll.Database) (err error) {
	o := s.o
	o.NamesOnly = len(s.fields()) == 0
	s.result, err = s.r.Query(ctx, db, s.q, o, s.who, func(_ atoll.Time, f *shard.Found) error {
		return s.add(query.Document{Path: f.Path, Doc: f.Doc})
	})
	return err
}
