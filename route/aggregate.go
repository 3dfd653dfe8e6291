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
	result := QueryResult{Time: o.At}
	for replans := 0; ; replans++ {
		t, err := r.table(ctx, db, who)
		if err != nil {
			return nil, result, err
		}
		first, last := t.within(span(&q))
		if first < last && (q.Offset > 0 || q.Limit > 0 || q.Nearest != nil) {
			return r.aggregateHere(ctx, db, q, figures, o, who)
		}
		sum, err := query.NewAggregator(figures)
		if err != nil {
			return nil, result, err
		}
		if result.Time == 0 {
			result.Time, err = r.spanning(ctx, t, first, last, who)
		}
		for i := first; i <= last && err == nil && !sum.Full(); i++ {
			err = r.aggregateRange(ctx, &t.ranges[i], q, figures, o, who, sum, &result)
		}
		if atoll.KindOf(err) != atoll.WrongRange {
			return sum, result, err
		}
		r.correct(t, err)
		if replans >= maxReplans+len(t.ranges) { // each may have to be learnt by itself
			return nil, result, moved(db)
		}
	}
}

// aggregateRange adds the documents of one range.
func (r *Router) aggregateRange(ctx context.Context, d *shard.Descriptor, q query.Query, figures []query.Aggregate, o QueryOptions, who Caller, sum *query.Aggregator, result *QueryResult) error {
	req := shard.AggregateRequest{Target: target(d), Query: q, Aggregates: figures}
	for {
		if err := o.allow(&result.Stats); err != nil {
			return err
		}
		req.At = result.Time
		var reply shard.AggregateReply
		if err := r.answer(ctx, d, who, shard.MethodAggregate, req.At, req, &reply); err != nil {
			return err
		}
		result.Time = reply.Time
		addStats(&result.Stats, &reply.Stats)
		if err := sum.Merge(reply.Partial); err != nil {
			return &atoll.Error{Kind: atoll.Internal, Msg: "the shard gave an answer that cannot be read", Detail: err.Error()}
		}
		if req.After = reply.Next; len(req.After) == 0 || sum.Full() {
			return nil
		}
	}
}

// aggregateHere sums the documents up as they come, where offset and limit go
// over several ranges and no range knows which of its documents count.
func (r *Router) aggregateHere(ctx context.Context, db atoll.Database, q query.Query, figures []query.Aggregate, o QueryOptions, who Caller) (*query.Aggregator, QueryResult, error) {
	sum, err := query.NewAggregator(figures)
	if err != nil {
		return nil, QueryResult{}, err
	}
	o.NamesOnly = !sum.Reads()
	result, err := r.Query(ctx, db, q, o, who, func(_ atoll.Time, f *shard.Found) error {
		return sum.Add(query.Document{Path: f.Path, Doc: f.Doc})
	})
	return sum, result, err
}
