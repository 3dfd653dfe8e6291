package main

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"atoll"
	"atoll/ask"
	"atoll/gateway/firestore"
	"atoll/query"
	"atoll/value"
)

const conditionHelp = `Conditions are comparisons, joined by and, or and parentheses:

  age >= 21 and (city == "Lisbon" or tags array-contains 'sea')

Operators are == != < <= > >= in not-in array-contains array-contains-any. Values
are numbers, texts in quotes of either kind, true, false, null, NaN, lists such as
[1, 2], timestamp("2026-10-05T12:00:00Z"), reference("cities/lisbon"),
bytes("aGk="), geopoint(38.7, -9.1), vector(1, 0.5), and JSON objects as "atoll get"
prints them. __name__ is compared with the id of a document, or its path. Names of
fields that are not plain words stand between backticks: ` + "`first name`.x" + `.

Several --where must all hold; each --or is an alternative to all before it.
COLLECTION is the path of a collection, such as cities or users/anna/orders; with
--group it is the id of all collections at any depth, below --parent if given, and
'**' are all collections.`

// queryFlags are the flags that say what is asked.
type queryFlags struct {
	target
	where, or                         []string
	order, fields, parent, at         string
	start, startAfter, end, endBefore string
	limit, offset                     int
	group, asJSON                     bool
}

// flags registers the flags of queries; those of the result's form belong to
// the commands that show documents.
func (f *queryFlags) flags(cmd *cobra.Command) {
	f.target.flags(cmd)
	fl := cmd.Flags()
	fl.StringArrayVar(&f.where, "where", nil, "`condition` that must hold; may be repeated")
	fl.StringArrayVar(&f.or, "or", nil, "`condition` that is an alternative; may be repeated")
	fl.StringVar(&f.order, "order", "", "`fields` to sort by, such as 'age desc, name'")
	fl.StringVar(&f.start, "start", "", "`values` of the order's fields at which the result begins")
	fl.StringVar(&f.startAfter, "start-after", "", "`values` behind which it begins")
	fl.StringVar(&f.end, "end", "", "`values` at which it ends")
	fl.StringVar(&f.endBefore, "end-before", "", "`values` before which it ends")
	fl.IntVar(&f.limit, "limit", 0, "at most this `number` of documents; 0: all")
	fl.IntVar(&f.offset, "offset", 0, "leave out this `number` of documents at the beginning, which are read all the same")
	fl.BoolVar(&f.group, "group", false, "all collections of that id, at any depth")
	fl.StringVar(&f.parent, "parent", "", "`path` of the document below which the collections are")
	fl.StringVar(&f.at, "at", "", "read as of this `time`, in RFC 3339")
}

// selectFlag registers what is returned of documents.
func (f *queryFlags) selectFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.fields, "select", "", "`fields` to return, such as 'name, address.city'; __name__ for none")
}

func queryCommand() *cobra.Command {
	var f queryFlags
	cmd := &cobra.Command{
		Use:   "query COLLECTION",
		Short: "Show the documents that a query finds",
		Long: `query shows the documents that a query finds, one line each, as they come: the
path and the fields, or with --json the document with its path and times.

` + conditionHelp + `

` + connectionHelp,
		Example: `  atoll query cities --where 'population > 500000' --order 'population desc' --limit 10
  atoll query cities --where 'country == "PT"' --or 'capital == true' --select name
  atoll query orders --group --where 'total >= 100' --json | jq .path
  atoll query cities --order name --start-after '"Lisbon"' --at 2026-10-05T12:00:00Z`,
		Args: arguments(1, "COLLECTION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := f.dial()
			if err != nil {
				return err
			}
			defer c.close()
			req, err := f.request(c, args[0])
			if err != nil {
				return err
			}
			show := c.short
			if f.asJSON {
				show = c.line
			}
			out := cmd.OutOrStdout()
			return c.runQuery(cmd.Context(), req, func(reply *firestorepb.RunQueryResponse) error {
				if reply.GetDocument() == nil {
					return nil
				}
				return show(out, reply.GetDocument())
			})
		},
	}
	f.flags(cmd)
	f.selectFlag(cmd)
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "write one line of JSON per document, with its path and times")
	return cmd
}

// request makes the request that the flags describe.
func (f *queryFlags) request(c *client, collection string) (*firestorepb.RunQueryRequest, error) {
	q, parent, err := f.structured(c.db, collection)
	if err != nil {
		return nil, err
	}
	req := &firestorepb.RunQueryRequest{
		Parent:    c.parent(parent),
		QueryType: &firestorepb.RunQueryRequest_StructuredQuery{StructuredQuery: q},
	}
	at, err := f.time()
	if at != nil {
		req.ConsistencySelector = &firestorepb.RunQueryRequest_ReadTime{ReadTime: at}
	}
	return req, err
}

// parent returns the full name of a document, or of the root.
func (c *client) parent(p atoll.Path) string { return strings.TrimSuffix(c.name(p), "/") }

// time reads --at; it is nil if the query is about now.
func (f *queryFlags) time() (*timestamppb.Timestamp, error) {
	if f.at == "" {
		return nil, nil
	}
	at, err := time.Parse(time.RFC3339Nano, f.at)
	if err != nil {
		return nil, usageError{"--at is a time such as 2026-10-05T12:00:00Z"}
	}
	return timestamppb.New(at), nil
}

// structured makes the query, and returns the document below which it asks.
func (f *queryFlags) structured(db atoll.Database, collection string) (*firestorepb.StructuredQuery, atoll.Path, error) {
	from, parent, err := f.from(collection)
	if err != nil {
		return nil, "", err
	}
	p := ask.Parser{Database: db}
	if !from.GetAllDescendants() {
		p.Collection = parent.Child(from.GetCollectionId())
	}
	q := &firestorepb.StructuredQuery{From: []*firestorepb.StructuredQuery_CollectionSelector{from}, Offset: int32(f.offset)}
	if f.limit < 0 || f.offset < 0 {
		return nil, "", usageError{"--limit and --offset must not be negative"}
	}
	if f.limit > 0 {
		q.Limit = wrapperspb.Int32(int32(f.limit))
	}
	condition, err := f.condition(p)
	if err != nil {
		return nil, "", err
	}
	if condition != nil {
		if q.Where, err = toFilter(condition); err != nil {
			return nil, "", err
		}
	}
	if err := f.form(p, q); err != nil {
		return nil, "", err
	}
	return q, parent, nil
}

// from reads which collections are asked, and the document above them.
func (f *queryFlags) from(collection string) (*firestorepb.StructuredQuery_CollectionSelector, atoll.Path, error) {
	path, parent := atoll.Path(strings.Trim(collection, "/")), atoll.Path(strings.Trim(f.parent, "/"))
	if parent != "" && !parent.IsDocument() {
		return nil, "", usageError{"--parent is the path of a document, such as users/anna"}
	}
	if parent != "" {
		path = parent + "/" + path
	}
	if path.ID() == "**" {
		return &firestorepb.StructuredQuery_CollectionSelector{AllDescendants: true}, path.Parent(), nil
	}
	if err := path.Check(); err != nil {
		return nil, "", err
	}
	if !path.IsCollection() {
		return nil, "", atoll.Errorf(atoll.Invalid, "%q is not the path of a collection; it has the form collection, or collection/id/collection", path)
	}
	return &firestorepb.StructuredQuery_CollectionSelector{CollectionId: path.ID(), AllDescendants: f.group}, path.Parent(), nil
}

// condition joins --where and --or.
func (f *queryFlags) condition(p ask.Parser) (*query.Filter, error) {
	all, any := query.Filter{Op: query.And}, query.Filter{Op: query.Or}
	for _, text := range f.where {
		c, err := p.Condition(text)
		if err != nil {
			return nil, inFlag("--where", err)
		}
		all.Parts = append(all.Parts, c)
	}
	if len(all.Parts) > 0 {
		any.Parts = append(any.Parts, all)
	}
	for _, text := range f.or {
		c, err := p.Condition(text)
		if err != nil {
			return nil, inFlag("--or", err)
		}
		any.Parts = append(any.Parts, c)
	}
	if len(any.Parts) == 0 {
		return nil, nil
	}
	return &any, nil
}

// inFlag says in which flag a text is wrong.
func inFlag(flag string, err error) error { return usageError{flag + ": " + atoll.AsError(err).Msg} }

// form reads the order, where the result begins and ends, and what is returned.
func (f *queryFlags) form(p ask.Parser, q *firestorepb.StructuredQuery) error {
	var orders []query.Order
	var err error
	if f.order != "" {
		if orders, err = p.Orders(f.order); err != nil {
			return inFlag("--order", err)
		}
	}
	for _, o := range orders {
		direction := firestorepb.StructuredQuery_ASCENDING
		if o.Desc {
			direction = firestorepb.StructuredQuery_DESCENDING
		}
		q.OrderBy = append(q.OrderBy, &firestorepb.StructuredQuery_Order{Field: fieldOf(o.Field), Direction: direction})
	}
	for _, b := range []struct {
		flag, text string
		before     bool
		to         **firestorepb.Cursor
	}{
		{"--start", f.start, true, &q.StartAt}, {"--start-after", f.startAfter, false, &q.StartAt},
		{"--end", f.end, false, &q.EndAt}, {"--end-before", f.endBefore, true, &q.EndAt},
	} {
		if b.text == "" {
			continue
		}
		if *b.to != nil {
			return usageError{"a result begins and ends once: give one of --start and --start-after, and one of --end and --end-before"}
		}
		values, err := p.Values(b.text, orders)
		if err != nil {
			return inFlag(b.flag, err)
		}
		c := &firestorepb.Cursor{Before: b.before}
		for _, v := range values {
			c.Values = append(c.Values, toProto(v))
		}
		*b.to = c
	}
	if f.fields == "" {
		return nil
	}
	fields, err := p.Fields(f.fields)
	if err != nil {
		return inFlag("--select", err)
	}
	q.Select = &firestorepb.StructuredQuery_Projection{}
	for _, field := range fields {
		q.Select.Fields = append(q.Select.Fields, fieldOf(field))
	}
	return nil
}

func fieldOf(path string) *firestorepb.StructuredQuery_FieldReference {
	return &firestorepb.StructuredQuery_FieldReference{FieldPath: path}
}

func toProto(v value.Value) *firestorepb.Value {
	return firestore.ToFields(value.Map(value.Field{Name: "v", Value: v}))["v"]
}

var filterOps = map[query.Op]firestorepb.StructuredQuery_FieldFilter_Operator{
	query.Equal: firestorepb.StructuredQuery_FieldFilter_EQUAL, query.NotEqual: firestorepb.StructuredQuery_FieldFilter_NOT_EQUAL,
	query.Less: firestorepb.StructuredQuery_FieldFilter_LESS_THAN, query.LessOrEqual: firestorepb.StructuredQuery_FieldFilter_LESS_THAN_OR_EQUAL,
	query.Greater: firestorepb.StructuredQuery_FieldFilter_GREATER_THAN, query.GreaterOrEqual: firestorepb.StructuredQuery_FieldFilter_GREATER_THAN_OR_EQUAL,
	query.In: firestorepb.StructuredQuery_FieldFilter_IN, query.NotIn: firestorepb.StructuredQuery_FieldFilter_NOT_IN,
	query.ArrayContains: firestorepb.StructuredQuery_FieldFilter_ARRAY_CONTAINS, query.ArrayContainsAny: firestorepb.StructuredQuery_FieldFilter_ARRAY_CONTAINS_ANY,
}

// toFilter converts a condition that was read.
func toFilter(f *query.Filter) (*firestorepb.StructuredQuery_Filter, error) {
	if f.Op == query.And || f.Op == query.Or {
		c := &firestorepb.StructuredQuery_CompositeFilter{Op: firestorepb.StructuredQuery_CompositeFilter_AND}
		if f.Op == query.Or {
			c.Op = firestorepb.StructuredQuery_CompositeFilter_OR
		}
		for i := range f.Parts {
			part, err := toFilter(&f.Parts[i])
			if err != nil {
				return nil, err
			}
			c.Filters = append(c.Filters, part)
		}
		return &firestorepb.StructuredQuery_Filter{FilterType: &firestorepb.StructuredQuery_Filter_CompositeFilter{CompositeFilter: c}}, nil
	}
	v, err := value.DecodeValue(f.Value)
	if err != nil {
		return nil, err
	}
	return &firestorepb.StructuredQuery_Filter{FilterType: &firestorepb.StructuredQuery_Filter_FieldFilter{
		FieldFilter: &firestorepb.StructuredQuery_FieldFilter{Field: fieldOf(f.Field), Op: filterOps[f.Op], Value: toProto(v)},
	}}, nil
}

// runQuery hands over what the node answers, as it comes. An error of each ends
// the query.
func (c *client) runQuery(ctx context.Context, req *firestorepb.RunQueryRequest, each func(*firestorepb.RunQueryResponse) error) error {
	ctx, cancel := context.WithCancel(c.stream(ctx))
	defer cancel() // ends the stream
	replies, err := c.RunQuery(ctx, req)
	if err != nil {
		return c.problem(err)
	}
	for {
		reply, err := replies.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return c.problem(err)
		}
		if err := each(reply); err != nil {
			return err
		}
	}
}
