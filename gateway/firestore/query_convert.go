package firestore

import (
	"cloud.google.com/go/firestore/apiv1/firestorepb"

	"atoll"
	"atoll/query"
	"atoll/value"
)

// maxFilterDepth stops the conversion of filters that are nested far deeper
// than package query allows.
const maxFilterDepth = 50

// asked is the query that a client asks for, normalised.
type asked struct {
	query.Query
	nothing bool // the client limits the result to no documents
}

// toQuery converts a query below parent.
func toQuery(parent string, sq *firestorepb.StructuredQuery) (atoll.Database, asked, error) {
	db, path, err := parseParent(parent)
	if err != nil {
		return db, asked{}, err
	}
	if sq == nil {
		return db, asked{}, atoll.Errorf(atoll.Invalid, "structured_query is missing")
	}
	q := query.Query{Parent: path, Offset: int(sq.GetOffset())}
	a := asked{nothing: sq.GetLimit() != nil && sq.GetLimit().GetValue() == 0}
	q.Limit = int(sq.GetLimit().GetValue())
	switch from := sq.GetFrom(); len(from) {
	case 0:
		q.Descendants = true
	case 1:
		q.Collection, q.Descendants = from[0].GetCollectionId(), from[0].GetAllDescendants()
	default:
		return db, a, atoll.Errorf(atoll.Invalid, "structured_query.from names %d collections; a query has one", len(from))
	}
	if sq.GetWhere() != nil {
		f, err := toFilter(sq.GetWhere(), 0)
		if err != nil {
			return db, a, err
		}
		q.Where = &f
	}
	for _, o := range sq.GetOrderBy() {
		q.Order = append(q.Order, query.Order{Field: o.GetField().GetFieldPath(), Desc: o.GetDirection() == firestorepb.StructuredQuery_DESCENDING})
	}
	if q.Start, err = toCursor("start_at", sq.GetStartAt()); err != nil {
		return db, a, err
	}
	if q.End, err = toCursor("end_at", sq.GetEndAt()); err != nil {
		return db, a, err
	}
	for _, f := range sq.GetSelect().GetFields() {
		q.Selects = true
		q.Select = append(q.Select, f.GetFieldPath())
	}
	if q.Nearest, err = toNearest(sq.GetFindNearest()); err != nil {
		return db, a, err
	}
	a.Query, err = query.Normalize(q, db)
	return db, a, err
}

var fieldOps = map[firestorepb.StructuredQuery_FieldFilter_Operator]query.Op{
	firestorepb.StructuredQuery_FieldFilter_EQUAL:                 query.Equal,
	firestorepb.StructuredQuery_FieldFilter_NOT_EQUAL:             query.NotEqual,
	firestorepb.StructuredQuery_FieldFilter_LESS_THAN:             query.Less,
	firestorepb.StructuredQuery_FieldFilter_LESS_THAN_OR_EQUAL:    query.LessOrEqual,
	firestorepb.StructuredQuery_FieldFilter_GREATER_THAN:          query.Greater,
	firestorepb.StructuredQuery_FieldFilter_GREATER_THAN_OR_EQUAL: query.GreaterOrEqual,
	firestorepb.StructuredQuery_FieldFilter_IN:                    query.In,
	firestorepb.StructuredQuery_FieldFilter_NOT_IN:                query.NotIn,
	firestorepb.StructuredQuery_FieldFilter_ARRAY_CONTAINS:        query.ArrayContains,
	firestorepb.StructuredQuery_FieldFilter_ARRAY_CONTAINS_ANY:    query.ArrayContainsAny,
}

var unaryOps = map[firestorepb.StructuredQuery_UnaryFilter_Operator]query.Op{
	firestorepb.StructuredQuery_UnaryFilter_IS_NAN:      query.IsNaN,
	firestorepb.StructuredQuery_UnaryFilter_IS_NOT_NAN:  query.IsNotNaN,
	firestorepb.StructuredQuery_UnaryFilter_IS_NULL:     query.IsNull,
	firestorepb.StructuredQuery_UnaryFilter_IS_NOT_NULL: query.IsNotNull,
}

func toFilter(f *firestorepb.StructuredQuery_Filter, depth int) (query.Filter, error) {
	if depth > maxFilterDepth {
		return query.Filter{}, atoll.Errorf(atoll.Invalid, "filters are nested more than %d deep", maxFilterDepth)
	}
	switch t := f.GetFilterType().(type) {
	case *firestorepb.StructuredQuery_Filter_CompositeFilter:
		return toComposite(t.CompositeFilter, depth)
	case *firestorepb.StructuredQuery_Filter_FieldFilter:
		field := t.FieldFilter.GetField().GetFieldPath()
		op, ok := fieldOps[t.FieldFilter.GetOp()]
		if !ok {
			return query.Filter{}, atoll.Errorf(atoll.Invalid, "the filter on %.100q has no known operator: %v", field, t.FieldFilter.GetOp())
		}
		v, err := toComparand(t.FieldFilter.GetValue())
		if err != nil {
			return query.Filter{}, atoll.Errorf(atoll.Invalid, "in the %s filter on %.100q: %s", op, field, atoll.AsError(err).Msg)
		}
		return query.Filter{Op: op, Field: field, Value: v}, nil
	case *firestorepb.StructuredQuery_Filter_UnaryFilter:
		field := t.UnaryFilter.GetField().GetFieldPath()
		op, ok := unaryOps[t.UnaryFilter.GetOp()]
		if !ok {
			return query.Filter{}, atoll.Errorf(atoll.Invalid, "the filter on %.100q has no known operator: %v", field, t.UnaryFilter.GetOp())
		}
		return query.Filter{Op: op, Field: field}, nil
	}
	return query.Filter{}, atoll.Errorf(atoll.Invalid, "a filter is neither composite nor one on a field")
}

func toComposite(c *firestorepb.StructuredQuery_CompositeFilter, depth int) (query.Filter, error) {
	out := query.Filter{Op: query.And}
	switch c.GetOp() {
	case firestorepb.StructuredQuery_CompositeFilter_AND:
	case firestorepb.StructuredQuery_CompositeFilter_OR:
		out.Op = query.Or
	default:
		return out, atoll.Errorf(atoll.Invalid, "a composite filter has no known operator: %v", c.GetOp())
	}
	if n := len(c.GetFilters()); n > query.MaxFilters {
		return out, atoll.Errorf(atoll.Invalid, "a composite filter has %d filters; %d are allowed", n, query.MaxFilters)
	}
	for _, part := range c.GetFilters() {
		p, err := toFilter(part, depth+1)
		if err != nil {
			return out, err
		}
		out.Parts = append(out.Parts, p)
	}
	return out, nil
}

// toComparand converts a value that is compared with; package query checks it.
func toComparand(v *firestorepb.Value) ([]byte, error) {
	c := toValue{}
	out, bad := c.value(v, 0)
	if bad != nil {
		return nil, bad.invalid()
	}
	return value.EncodeValue(out), nil
}

func toCursor(what string, c *firestorepb.Cursor) (*query.Cursor, error) {
	if c == nil {
		return nil, nil
	}
	out := &query.Cursor{Before: c.GetBefore()}
	for i, v := range c.GetValues() {
		b, err := toComparand(v)
		if err != nil {
			return nil, atoll.Errorf(atoll.Invalid, "in value %d of %s: %s", i+1, what, atoll.AsError(err).Msg)
		}
		out.Values = append(out.Values, b)
	}
	return out, nil
}

var measures = map[firestorepb.StructuredQuery_FindNearest_DistanceMeasure]query.Measure{
	firestorepb.StructuredQuery_FindNearest_EUCLIDEAN:   query.Euclidean,
	firestorepb.StructuredQuery_FindNearest_COSINE:      query.Cosine,
	firestorepb.StructuredQuery_FindNearest_DOT_PRODUCT: query.DotProduct,
}

func toNearest(n *firestorepb.StructuredQuery_FindNearest) (*query.Nearest, error) {
	if n == nil {
		return nil, nil
	}
	v, err := toComparand(n.GetQueryVector())
	if err != nil {
		return nil, atoll.Errorf(atoll.Invalid, "in the query_vector of find_nearest: %s", atoll.AsError(err).Msg)
	}
	out := &query.Nearest{Field: n.GetVectorField().GetFieldPath(), Vector: v, Measure: measures[n.GetDistanceMeasure()],
		Limit: int(n.GetLimit().GetValue()), Result: n.GetDistanceResultField()}
	if t := n.GetDistanceThreshold(); t != nil {
		threshold := t.GetValue()
		out.Threshold = &threshold
	}
	return out, nil
}
