package firestore

import (
	"context"
	"math"
	"strconv"

	"cloud.google.com/go/firestore/apiv1/firestorepb"

	"atoll"
	"atoll/program/shard"
	"atoll/query"
	"atoll/route"
)

// maxAlias is how long an alias may be, in bytes, as for a field's name.
const maxAlias = 1500

// toAggregates converts what a client wants summed up. A figure without an
// alias gets field_1, field_2, ...
func toAggregates(list []*firestorepb.StructuredAggregationQuery_Aggregation) (figures []query.Aggregate, aliases []string, err error) {
	seen := make(map[string]bool, len(list))
	unnamed := 0
	for i, a := range list {
		if i == query.MaxAggregations {
			break // CheckAggregates refuses them
		}
		alias := a.GetAlias()
		if alias == "" {
			unnamed++
			alias = "field_" + strconv.Itoa(unnamed)
		}
		if seen[alias] || len(alias) > maxAlias {
			return nil, nil, atoll.Errorf(atoll.Invalid, "the alias %.100q is used twice, or longer than %d bytes", alias, maxAlias)
		}
		seen[alias] = true
		aliases = append(aliases, alias)
		var f query.Aggregate
		switch op := a.GetOperator().(type) {
		case *firestorepb.StructuredAggregationQuery_Aggregation_Count_:
			f.Op = query.Count
			if n := op.Count.GetUpTo(); n != nil {
				if n.GetValue() <= 0 {
					return nil, nil, atoll.Errorf(atoll.Invalid, "up_to is %d; it must be greater than zero", n.GetValue())
				}
				f.UpTo = int(min(n.GetValue(), math.MaxInt))
			}
		case *firestorepb.StructuredAggregationQuery_Aggregation_Sum_:
			f = query.Aggregate{Op: query.Sum, Field: op.Sum.GetField().GetFieldPath()}
		case *firestorepb.StructuredAggregationQuery_Aggregation_Avg_:
			f = query.Aggregate{Op: query.Avg, Field: op.Avg.GetField().GetFieldPath()}
		default:
			return nil, nil, atoll.Errorf(atoll.Invalid, "the aggregation %.100q has no known operator", alias)
		}
		figures = append(figures, f)
	}
	if n := len(list); n > query.MaxAggregations {
		return nil, nil, atoll.Errorf(atoll.Invalid, "maximum number of aggregations allowed in an aggregation query is %d; there are %d", query.MaxAggregations, n)
	}
	return figures, aliases, query.CheckAggregates(figures)
}

// RunAggregationQuery sums up the documents that a query finds, without
// returning them.
func (s *Service) RunAggregationQuery(req *firestorepb.RunAggregationQueryRequest, out firestorepb.Firestore_RunAggregationQueryServer) error {
	ctx, start := out.Context(), s.clock()
	sq := req.GetStructuredAggregationQuery()
	figures, aliases, err := toAggregates(sq.GetAggregations())
	if err != nil {
		return err
	}
	db, q, err := toQuery(req.GetParent(), sq.GetStructuredQuery())
	if err != nil {
		return err
	}
	view, err := s.begin(ctx, db, req.GetTransaction(), req.GetNewTransaction(), req.GetReadTime())
	if err != nil {
		return err
	}
	defer view.end()
	explain := req.GetExplainOptions()
	reply := &firestorepb.RunAggregationQueryResponse{Transaction: view.newID}
	sum, result, err := s.aggregate(ctx, db, &q, figures, view, explain)
	if err != nil {
		return err
	}
	if explain != nil {
		reply.ExplainMetrics = metricsOf(&q.Query, explain, &result, 1, s.clock().Sub(start))
	}
	if explain == nil || explain.GetAnalyze() {
		fields := make(map[string]*firestorepb.Value, len(aliases))
		for i, v := range sum.Result() {
			fields[aliases[i]] = fromValue(v)
		}
		reply.Result = &firestorepb.AggregationResult{AggregateFields: fields}
		reply.ReadTime = timestamp(result.Time)
	}
	return out.Send(reply)
}

// aggregate sums up where the documents are; in a transaction here, for every
// document is noted; and not at all if the plan alone is wanted.
func (s *Service) aggregate(ctx context.Context, db atoll.Database, q *asked, figures []query.Aggregate, view *view, explain *firestorepb.ExplainOptions) (*query.Aggregator, route.QueryResult, error) {
	o := route.QueryOptions{At: view.at, Explain: explain != nil}
	sum, err := query.NewAggregator(figures)
	if err != nil {
		return nil, route.QueryResult{}, err
	}
	plan := explain != nil && !explain.GetAnalyze()
	switch {
	case q.nothing:
		at, err := s.timeOf(ctx, db, view.at)
		return sum, route.QueryResult{Time: at}, err
	case plan:
		first := q.Query
		first.Limit, first.Offset, o.NamesOnly = 1, 0, true
		result, err := s.router.Query(ctx, db, first, o, callerOf(ctx), func(atoll.Time, *shard.Found) error { return nil })
		return sum, result, err
	case !view.notes():
		return s.router.Aggregate(ctx, db, q.Query, figures, o, callerOf(ctx))
	}
	record := view.recordQuery(&q.Query)
	result, err := s.router.Query(ctx, db, q.Query, o, callerOf(ctx), func(_ atoll.Time, f *shard.Found) error {
		record.add(f)
		return sum.Add(query.Document{Path: f.Path, Doc: f.Doc})
	})
	return sum, result, record.done(err)
}
