package firestore

import (
	"context"
	"slices"
	"strconv"

	"cloud.google.com/go/firestore/apiv1/firestorepb"

	"atoll"
	"atoll/gateway/analytics"
	"atoll/program/shard"
	"atoll/query"
	"atoll/route"
	"atoll/value"
)

// questions serves atoll.v1.Analytics, which analytics.proto describes.
type questions struct {
	analytics.UnimplementedAnalyticsServer
	*Service
}

// Aggregate sums up the documents that a query finds, in groups.
func (s questions) Aggregate(ctx context.Context, req *analytics.AggregateRequest) (*analytics.AggregateResponse, error) {
	start, explain := s.clock(), req.GetExplainOptions()
	g, err := toGrouping(req)
	if err != nil {
		return nil, err
	}
	db, q, err := toQuery(req.GetParent(), req.GetStructuredQuery())
	if err != nil {
		return nil, err
	}
	if q.Nearest != nil {
		return nil, atoll.Errorf(atoll.Invalid, "a vector search cannot be aggregated")
	}
	at, err := readTime(req.GetReadTime())
	if err != nil {
		return nil, err
	}
	groups, result, err := s.group(ctx, db, &q, g, at, explain)
	if err != nil {
		return nil, err
	}
	reply := &analytics.AggregateResponse{}
	if explain == nil || explain.GetAnalyze() {
		for i := range groups {
			reply.Groups = append(reply.Groups, g.group(&groups[i]))
		}
		reply.ReadTime = timestamp(result.Time)
	}
	if explain != nil {
		reply.ExplainMetrics = metricsOf(&q.Query, explain, &result, len(reply.Groups), s.clock().Sub(start))
	}
	return reply, nil
}

// group sums up where the documents are; or not at all if the plan of the query
// alone is wanted.
func (s questions) group(ctx context.Context, db atoll.Database, q *asked, g *grouping, at atoll.Time, explain *firestorepb.ExplainOptions) ([]query.Group, route.QueryResult, error) {
	o := route.QueryOptions{At: at, Explain: explain != nil}
	switch {
	case explain != nil && !explain.GetAnalyze():
		first := q.Query
		first.Limit, first.Offset, o.NamesOnly = 1, 0, true
		result, err := s.router.Query(ctx, db, first, o, callerOf(ctx), func(atoll.Time, *shard.Found) error { return nil })
		return nil, result, err
	case q.nothing:
		none, err := query.NewGroups(g.Grouping)
		if err != nil {
			return nil, route.QueryResult{}, err
		}
		groups, err := none.Result(nil, 0)
		if err != nil {
			return nil, route.QueryResult{}, err
		}
		at, err := s.timeOf(ctx, db, at)
		return groups, route.QueryResult{Time: at}, err
	case len(g.By) == 0: // indexes tell more where there is one group
		sum, result, err := s.router.Aggregate(ctx, db, q.Query, g.Figures, o, callerOf(ctx))
		if err != nil {
			return nil, result, err
		}
		return []query.Group{{Figures: sum.Result()}}, result, nil
	}
	groups, result, err := s.router.Group(ctx, db, q.Query, g.Grouping, o, callerOf(ctx))
	if err != nil {
		return nil, result, err
	}
	list, err := groups.Result(g.order, g.limit)
	return list, result, err
}

// grouping is what a client wants summed up in groups.
type grouping struct {
	query.Grouping
	aliases []string // of the figures
	order   []query.GroupOrder
	limit   int
}

// toGrouping converts all of a request that is not the query. It fails with
// Invalid, naming what is wrong.
func toGrouping(req *analytics.AggregateRequest) (*grouping, error) {
	g := &grouping{limit: int(req.GetLimit())}
	for _, f := range req.GetGroupBy() {
		path, err := value.ParseFieldPath(f.GetFieldPath())
		if err != nil {
			return nil, atoll.Errorf(atoll.Invalid, "in group_by: %s", atoll.AsError(err).Msg)
		}
		g.By = append(g.By, path.String())
	}
	for i, a := range req.GetAggregations() {
		if i == query.MaxAggregations {
			return nil, atoll.Errorf(atoll.Invalid, "there are %d aggregations; %d are allowed", len(req.GetAggregations()), query.MaxAggregations)
		}
		if err := g.add(a); err != nil {
			return nil, err
		}
	}
	if err := g.Check(); err != nil {
		return nil, err
	}
	for _, o := range req.GetOrderBy() {
		by, err := g.orderBy(o)
		if err != nil {
			return nil, err
		}
		g.order = append(g.order, by)
	}
	return g, g.CheckOrder(g.order, g.limit)
}

// add converts one figure.
func (g *grouping) add(a *analytics.Aggregation) error {
	alias := a.GetAlias()
	for n := 1; alias == ""; n++ {
		if next := "field_" + strconv.Itoa(n); !slices.Contains(g.aliases, next) {
			alias = next
		}
	}
	if slices.Contains(g.aliases, alias) || len(alias) > maxAlias {
		return atoll.Errorf(atoll.Invalid, "the alias %.100q is used twice, or longer than %d bytes", alias, maxAlias)
	}
	var f query.Aggregate
	switch op := a.GetOperator().(type) {
	case *analytics.Aggregation_Count_:
		f.Op = query.Count
		if f.UpTo = int(op.Count.GetUpTo()); f.UpTo < 0 {
			return atoll.Errorf(atoll.Invalid, "up_to is %d; it must not be negative", op.Count.GetUpTo())
		}
	case *analytics.Aggregation_Sum:
		f = query.Aggregate{Op: query.Sum, Field: op.Sum.GetField().GetFieldPath()}
	case *analytics.Aggregation_Avg:
		f = query.Aggregate{Op: query.Avg, Field: op.Avg.GetField().GetFieldPath()}
	case *analytics.Aggregation_Min:
		f = query.Aggregate{Op: query.Min, Field: op.Min.GetField().GetFieldPath()}
	case *analytics.Aggregation_Max:
		f = query.Aggregate{Op: query.Max, Field: op.Max.GetField().GetFieldPath()}
	default:
		return atoll.Errorf(atoll.Invalid, "the aggregation %.100q has no operator: count, sum, avg, min or max", alias)
	}
	g.aliases, g.Figures = append(g.aliases, alias), append(g.Figures, f)
	return nil
}

// orderBy converts one sort key.
func (g *grouping) orderBy(o *analytics.Order) (by query.GroupOrder, err error) {
	switch d := o.GetDirection(); d {
	case firestorepb.StructuredQuery_DIRECTION_UNSPECIFIED, firestorepb.StructuredQuery_ASCENDING:
	case firestorepb.StructuredQuery_DESCENDING:
		by.Desc = true
	default:
		return by, atoll.Errorf(atoll.Invalid, "an order has no known direction: %v", d)
	}
	switch t := o.GetBy().(type) {
	case *analytics.Order_Alias:
		by.Figure, by.Index = true, slices.Index(g.aliases, t.Alias)
		if by.Index < 0 {
			return by, atoll.Errorf(atoll.Invalid, "the groups are ordered by the alias %.100q, which no aggregation has", t.Alias)
		}
	case *analytics.Order_Field:
		path, err := value.ParseFieldPath(t.Field.GetFieldPath())
		if err != nil {
			return by, atoll.Errorf(atoll.Invalid, "in order_by: %s", atoll.AsError(err).Msg)
		}
		if by.Index = slices.Index(g.By, path.String()); by.Index < 0 {
			return by, atoll.Errorf(atoll.Invalid, "the groups are ordered by the field %.100q, which is not one of group_by; of others only aggregations can be ordered by", t.Field.GetFieldPath())
		}
	default:
		return by, atoll.Errorf(atoll.Invalid, "an order names neither the alias of an aggregation nor a field of group_by")
	}
	return by, nil
}

// group converts one group.
func (g *grouping) group(from *query.Group) *analytics.Group {
	to := &analytics.Group{Aggregates: make(map[string]*firestorepb.Value, len(g.aliases))}
	for i, v := range from.Figures {
		to.Aggregates[g.aliases[i]] = fromValue(v)
	}
	for i, v := range from.Key {
		if to.Key == nil {
			to.Key = make(map[string]*firestorepb.Value, len(g.By))
		}
		to.Key[g.By[i]] = fromValue(v)
	}
	return to
}
