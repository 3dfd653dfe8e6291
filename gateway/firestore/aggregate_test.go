package firestore

import (
	"context"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"

	gofirestore "cloud.google.com/go/firestore"
	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

type (
	aggregation = pb.StructuredAggregationQuery_Aggregation
	aggregate   = pb.RunAggregationQueryRequest
)

func count(upTo int64) *aggregation {
	op := &pb.StructuredAggregationQuery_Aggregation_Count{}
	if upTo != 0 {
		op.UpTo = wrapperspb.Int64(upTo)
	}
	return &aggregation{Alias: "count", Operator: &pb.StructuredAggregationQuery_Aggregation_Count_{Count: op}}
}

func fieldOf(path string) *pb.StructuredQuery_FieldReference {
	return &pb.StructuredQuery_FieldReference{FieldPath: path}
}

func sum(alias, field string) *aggregation {
	return &aggregation{Alias: alias, Operator: &pb.StructuredAggregationQuery_Aggregation_Sum_{Sum: &pb.StructuredAggregationQuery_Aggregation_Sum{Field: fieldOf(field)}}}
}

func avg(alias, field string) *aggregation {
	return &aggregation{Alias: alias, Operator: &pb.StructuredAggregationQuery_Aggregation_Avg_{Avg: &pb.StructuredAggregationQuery_Aggregation_Avg{Field: fieldOf(field)}}}
}

// sumUp runs an aggregation over the collection c and returns its one response.
func sumUp(t *testing.T, c pb.FirestoreClient, req *aggregate, edit func(*pb.StructuredQuery), figures ...*aggregation) (*pb.RunAggregationQueryResponse, error) {
	t.Helper()
	sq := &pb.StructuredQuery{From: []*pb.StructuredQuery_CollectionSelector{{CollectionId: "c"}}}
	if edit != nil {
		edit(sq)
	}
	req.Parent = devRoot
	req.QueryType = &pb.RunAggregationQueryRequest_StructuredAggregationQuery{StructuredAggregationQuery: &pb.StructuredAggregationQuery{
		QueryType: &pb.StructuredAggregationQuery_StructuredQuery{StructuredQuery: sq}, Aggregations: figures}}
	s, err := c.RunAggregationQuery(t.Context(), req)
	if err != nil {
		return nil, err
	}
	reply, err := s.Recv()
	if err != nil {
		return nil, err
	}
	if _, err := s.Recv(); err != io.EOF {
		t.Errorf("behind the answer: %v", err)
	}
	return reply, nil
}

// figure writes a value in a way that tells numbers of different types apart.
func figure(v *pb.Value) string {
	switch n := v.GetValueType().(type) {
	case *pb.Value_IntegerValue:
		return fmt.Sprint(n.IntegerValue)
	case *pb.Value_DoubleValue:
		return fmt.Sprintf("%gd", n.DoubleValue)
	case *pb.Value_NullValue:
		return "null"
	}
	return fmt.Sprint("?", v)
}

// numbers fills c with 1, 2, 3.5 and two documents that have no number.
func numbers(t *testing.T) pb.FirestoreClient {
	c := client(t)
	for id, v := range map[string]*pbValue{"a": pbInt(1), "b": pbInt(2), "c": pbDouble(3.5), "d": pbString("4")} {
		create(t, c, id, pbFields{"v": v, "big": pbInt(math.MaxInt64)})
	}
	create(t, c, "e", nil)
	return c
}

func TestAggregations(t *testing.T) {
	c := numbers(t)
	where := func(op pb.StructuredQuery_FieldFilter_Operator, v *pbValue) func(*pb.StructuredQuery) {
		return func(q *pb.StructuredQuery) {
			q.Where = &pb.StructuredQuery_Filter{FilterType: &pb.StructuredQuery_Filter_FieldFilter{FieldFilter: &pb.StructuredQuery_FieldFilter{Field: fieldOf("v"), Op: op, Value: v}}}
		}
	}
	limit := func(offset, n int32) func(*pb.StructuredQuery) {
		return func(q *pb.StructuredQuery) { q.Offset, q.Limit = offset, wrapperspb.Int32(n) }
	}
	for _, test := range []struct {
		name   string
		edit   func(*pb.StructuredQuery)
		figure *aggregation
		want   string
	}{
		{"count", nil, count(0), "5"},
		{"count up to fewer", nil, count(3), "3"},
		{"count up to more", nil, count(7), "5"},
		{"count of a filter", where(pb.StructuredQuery_FieldFilter_GREATER_THAN, pbInt(1)), count(0), "2"},
		{"count of a limit", limit(0, 2), count(0), "2"},
		{"count behind an offset", limit(4, 3), count(0), "1"},
		{"count of nothing", limit(0, 0), count(0), "0"},
		{"sum of integers and a double", nil, sum("", "v"), "6.5d"},
		{"sum of integers", where(pb.StructuredQuery_FieldFilter_LESS_THAN, pbInt(3)), sum("", "v"), "3"},
		{"sum of texts", where(pb.StructuredQuery_FieldFilter_EQUAL, pbString("4")), sum("", "v"), "0"},
		{"sum of nothing", limit(0, 0), sum("", "v"), "0"},
		{"sum too large for an integer", nil, sum("", "big"), fmt.Sprintf("%gd", 4*float64(math.MaxInt64))},
		{"average", nil, avg("", "v"), fmt.Sprintf("%gd", 6.5/3)},
		{"average of nothing", limit(0, 0), avg("", "v"), "null"},
		{"average of texts", where(pb.StructuredQuery_FieldFilter_EQUAL, pbString("4")), avg("", "v"), "null"},
	} {
		test.figure.Alias = "x"
		reply, err := sumUp(t, c, &aggregate{}, test.edit, test.figure)
		if got := figure(reply.GetResult().GetAggregateFields()["x"]); err != nil || got != test.want || reply.GetReadTime() == nil {
			t.Errorf("%s: got %s, %v; want %s", test.name, got, err, test.want)
		}
	}
	named := count(0)
	named.Alias = "all"
	several, err := sumUp(t, c, &aggregate{}, nil, count(3), sum("", "v"), avg("mean", "v"), named, sum("", "v"))
	got := several.GetResult().GetAggregateFields()
	// Next to a sum only the documents that have its field are counted.
	want := map[string]string{"count": "3", "all": "4", "field_1": "6.5d", "field_2": "6.5d", "mean": fmt.Sprintf("%gd", 6.5/3)}
	for alias, w := range want {
		if err != nil || len(got) != len(want) || figure(got[alias]) != w {
			t.Errorf("several at once: %s is %s, %v; want %s", alias, figure(got[alias]), err, w)
		}
	}
}

func TestAggregationsThatAreRefused(t *testing.T) {
	c := client(t)
	many := make([]*aggregation, 6)
	for i := range many {
		many[i] = sum("", "v")
	}
	for name, figures := range map[string][]*aggregation{
		"none": {}, "too many": many, "no operator": {{Alias: "x"}}, "up to none": {count(-1)},
		"no field": {sum("", "")}, "one alias twice": {count(1), count(2)}, "a long alias": {sum(strings.Repeat("x", maxAlias+1), "v")},
	} {
		if _, err := sumUp(t, c, &aggregate{}, nil, figures...); err == nil {
			t.Errorf("%s: no error", name)
		} else {
			wantCode(t, err, codes.InvalidArgument, "")
		}
	}
}

func TestAggregationsAtATime(t *testing.T) {
	c := numbers(t)
	then := create(t, c, "f", pbFields{"v": pbInt(10)}).GetUpdateTime()
	create(t, c, "g", pbFields{"v": pbInt(100)})
	for at, want := range map[*timestamppb.Timestamp]string{then: "5 16.5d", nil: "6 116.5d"} {
		req := &aggregate{}
		if at != nil {
			req.ConsistencySelector = &pb.RunAggregationQueryRequest_ReadTime{ReadTime: at}
		}
		reply, err := sumUp(t, c, req, nil, count(0), sum("sum", "v"))
		f := reply.GetResult().GetAggregateFields()
		if got := figure(f["count"]) + " " + figure(f["sum"]); err != nil || got != want || at != nil && !reply.GetReadTime().AsTime().Equal(at.AsTime()) {
			t.Errorf("at %v: got %s at %v, %v; want %s", at, got, reply.GetReadTime(), err, want)
		}
	}
}

// TestAggregationsInTransactions commits what followed from figures: not if
// they would be others by then.
func TestAggregationsInTransactions(t *testing.T) {
	for _, conflict := range []bool{false, true} {
		c := numbers(t)
		reply, err := sumUp(t, c, &aggregate{ConsistencySelector: &pb.RunAggregationQueryRequest_NewTransaction{NewTransaction: &txOptions{}}}, nil, count(0), sum("sum", "v"))
		tx := reply.GetTransaction()
		if err != nil || len(tx) != transactionIDLen || figure(reply.GetResult().GetAggregateFields()["count"]) != "4" {
			t.Fatal(reply, err)
		}
		if conflict {
			create(t, c, "z", pbFields{"v": pbInt(1)})
		}
		again, err := sumUp(t, c, &aggregate{ConsistencySelector: &pb.RunAggregationQueryRequest_Transaction{Transaction: tx}}, nil, count(0))
		if err != nil || figure(again.GetResult().GetAggregateFields()["count"]) != "5" {
			t.Errorf("the second read: %v, %v; want that of the first", again, err)
		}
		err = commitTx(c, t.Context(), tx, &pb.Write{Operation: &pb.Write_Delete{Delete: devRoot + "/d/x"}})
		if conflict {
			wantCode(t, err, codes.Aborted, "")
		} else if err != nil {
			t.Error(err)
		}
	}
}

func TestAggregationsExplained(t *testing.T) {
	c := numbers(t)
	plan, err := sumUp(t, c, &aggregate{ExplainOptions: &pb.ExplainOptions{}}, nil, count(0))
	m := plan.GetExplainMetrics()
	if err != nil || plan.GetResult() != nil || plan.GetReadTime() != nil || len(m.GetPlanSummary().GetIndexesUsed()) == 0 || m.GetExecutionStats() != nil {
		t.Errorf("the plan alone: %v, %v", plan, err)
	}
	all, err := sumUp(t, c, &aggregate{ExplainOptions: &pb.ExplainOptions{Analyze: true}}, nil, count(0))
	m = all.GetExplainMetrics()
	if err != nil || figure(all.GetResult().GetAggregateFields()["count"]) != "5" || m.GetExecutionStats().GetResultsReturned() != 1 || m.GetExecutionStats().GetReadOperations() < 1 {
		t.Errorf("with the figures: %v, %v", all, err)
	}
}

// TestAggregationsOfGooglesClient asks as applications do.
func TestAggregationsOfGooglesClient(t *testing.T) {
	c := library(t)
	q := c.Collection("c").Where("n", ">", 3)
	got, err := q.NewAggregationQuery().WithCount("count").WithSum("n", "sum").WithAvg("n", "avg").Get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for alias, want := range map[string]string{"count": "7", "sum": "49", "avg": "7d"} {
		v, _ := got[alias].(*pb.Value)
		if figure(v) != want {
			t.Errorf("%s: got %s, want %s", alias, figure(v), want)
		}
	}
	err = c.RunTransaction(t.Context(), func(_ context.Context, tx *gofirestore.Transaction) error {
		got, err := q.NewAggregationQuery().Transaction(tx).WithCount("count").Get(t.Context())
		if v, _ := got["count"].(*pb.Value); figure(v) != "7" {
			t.Errorf("in a transaction: %v", got)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
