package main

import (
	"context"
	"fmt"
	"io"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"atoll"
	"atoll/ask"
	"atoll/gateway/admin/plain"
	"atoll/gateway/firestore"
	"atoll/value"
)

// countFlags are the flags of "atoll count".
type countFlags struct {
	queryFlags
	sums, averages []string
	upTo           int64
}

func countCommand() *cobra.Command {
	var f countFlags
	cmd := &cobra.Command{
		Use:   "count COLLECTION",
		Short: "Count the documents that a query finds, or sum them up",
		Long: `count counts the documents that a query finds, without fetching them. With --sum
and --avg it adds up a field of theirs; documents that lack one of these fields then
count for nothing.

` + conditionHelp + `

` + connectionHelp,
		Example: `  atoll count cities
  atoll count cities --where 'country == "PT"' --sum population --avg population
  atoll count orders --group --up-to 1000 --json`,
		Args: arguments(1, "COLLECTION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := f.dial()
			if err != nil {
				return err
			}
			defer c.close()
			req, names, err := f.aggregation(c, args[0])
			if err != nil {
				return err
			}
			reply, err := c.runAggregation(cmd.Context(), req)
			if err != nil {
				return err
			}
			return f.show(cmd.OutOrStdout(), reply, names)
		},
	}
	f.flags(cmd)
	f.figureFlags(cmd)
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "answer with JSON")
	return cmd
}

// figureFlags registers what is summed up.
func (f *countFlags) figureFlags(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringArrayVar(&f.sums, "sum", nil, "`field` to add up; may be repeated")
	fl.StringArrayVar(&f.averages, "avg", nil, "`field` to take the average of; may be repeated")
	fl.Int64Var(&f.upTo, "up-to", 0, "stop to count at this `number`; 0: never")
}

// aggregation makes the request that the flags describe, and returns the names
// of its figures in their order.
func (f *countFlags) aggregation(c *client, collection string) (*firestorepb.RunAggregationQueryRequest, []string, error) {
	q, parent, err := f.structured(c.db, collection)
	if err != nil {
		return nil, nil, err
	}
	names := []string{"count"}
	count := &firestorepb.StructuredAggregationQuery_Aggregation_Count{}
	if f.upTo < 0 {
		return nil, nil, usageError{"--up-to must not be negative"}
	}
	if f.upTo > 0 {
		count.UpTo = wrapperspb.Int64(f.upTo)
	}
	figures := []*firestorepb.StructuredAggregationQuery_Aggregation{{Operator: &firestorepb.StructuredAggregationQuery_Aggregation_Count_{Count: count}}}
	p := ask.Parser{Database: c.db}
	for _, text := range f.sums {
		fields, err := p.Fields(text)
		if err != nil {
			return nil, nil, inFlag("--sum", err)
		}
		for _, field := range fields {
			names = append(names, "sum("+field+")")
			figures = append(figures, &firestorepb.StructuredAggregationQuery_Aggregation{Operator: &firestorepb.StructuredAggregationQuery_Aggregation_Sum_{
				Sum: &firestorepb.StructuredAggregationQuery_Aggregation_Sum{Field: fieldOf(field)}}})
		}
	}
	for _, text := range f.averages {
		fields, err := p.Fields(text)
		if err != nil {
			return nil, nil, inFlag("--avg", err)
		}
		for _, field := range fields {
			names = append(names, "avg("+field+")")
			figures = append(figures, &firestorepb.StructuredAggregationQuery_Aggregation{Operator: &firestorepb.StructuredAggregationQuery_Aggregation_Avg_{
				Avg: &firestorepb.StructuredAggregationQuery_Aggregation_Avg{Field: fieldOf(field)}}})
		}
	}
	for i, a := range figures {
		a.Alias = alias(i)
	}
	req := &firestorepb.RunAggregationQueryRequest{Parent: c.parent(parent), QueryType: &firestorepb.RunAggregationQueryRequest_StructuredAggregationQuery{
		StructuredAggregationQuery: &firestorepb.StructuredAggregationQuery{
			QueryType: &firestorepb.StructuredAggregationQuery_StructuredQuery{StructuredQuery: q}, Aggregations: figures}}}
	at, err := f.time()
	if at != nil {
		req.ConsistencySelector = &firestorepb.RunAggregationQueryRequest_ReadTime{ReadTime: at}
	}
	return req, names, err
}

// alias names the i-th figure on the wire.
func alias(i int) string { return fmt.Sprintf("figure_%d", i) }

// runAggregation returns the one answer that there is.
func (c *client) runAggregation(ctx context.Context, req *firestorepb.RunAggregationQueryRequest) (*firestorepb.RunAggregationQueryResponse, error) {
	ctx, cancel := context.WithCancel(c.stream(ctx))
	defer cancel()
	replies, err := c.RunAggregationQuery(ctx, req)
	if err != nil {
		return nil, c.problem(err)
	}
	reply, err := replies.Recv()
	return reply, c.problem(err)
}

// show writes the figures: the count alone as a number, several one a line.
func (f *countFlags) show(out io.Writer, reply *firestorepb.RunAggregationQueryResponse, names []string) error {
	result, err := firestore.FromFields(reply.GetResult().GetAggregateFields())
	if err != nil {
		return err
	}
	var fields []value.Field
	for i, name := range names {
		v, ok := result.Get(alias(i))
		if !ok {
			return atoll.Errorf(atoll.Internal, "the node's answer lacks %s", name)
		}
		fields = append(fields, value.Field{Name: name, Value: v})
	}
	switch {
	case f.asJSON:
		fields = append(fields, value.Field{Name: "time", Value: value.String(atoll.TimeOf(reply.GetReadTime().AsTime()).String())})
		_, err = fmt.Fprintf(out, "%s\n", plain.Document(nil, value.Map(fields...)))
	case len(fields) == 1:
		_, err = fmt.Fprintf(out, "%s\n", plain.Append(nil, fields[0].Value))
	default:
		for _, field := range fields {
			if _, err = fmt.Fprintf(out, "%s\t%s\n", field.Name, plain.Append(nil, field.Value)); err != nil {
				break
			}
		}
	}
	return err
}
