package firestore

import (
	"io"
	"testing"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// ask runs a query over the collection c and returns its responses.
func ask(t *testing.T, c firestorepb.FirestoreClient, req *firestorepb.RunQueryRequest, edit func(*firestorepb.StructuredQuery)) (out []*firestorepb.RunQueryResponse, err error) {
	t.Helper()
	sq := &firestorepb.StructuredQuery{From: []*firestorepb.StructuredQuery_CollectionSelector{{CollectionId: "c"}}}
	if edit != nil {
		edit(sq)
	}
	req.Parent, req.QueryType = devRoot, &firestorepb.RunQueryRequest_StructuredQuery{StructuredQuery: sq}
	s, err := c.RunQuery(t.Context(), req)
	if err != nil {
		return nil, err
	}
	for {
		reply, err := s.Recv()
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		out = append(out, reply)
	}
}

func TestRunQuery(t *testing.T) {
	c := client(t)
	empty, err := ask(t, c, &firestorepb.RunQueryRequest{}, nil)
	if err != nil || len(empty) != 1 || empty[0].GetDocument() != nil || empty[0].GetReadTime() == nil {
		t.Errorf("of nothing: %v, %v; want the read time alone", empty, err)
	}
	create(t, c, "a", pbFields{"v": pbInt(1), "w": pbInt(9)})
	create(t, c, "b", pbFields{"v": pbInt(2), "w": pbInt(9)})
	names, err := ask(t, c, &firestorepb.RunQueryRequest{}, func(q *firestorepb.StructuredQuery) {
		q.Select = &firestorepb.StructuredQuery_Projection{Fields: []*firestorepb.StructuredQuery_FieldReference{{FieldPath: "__name__"}}}
	})
	if err != nil || len(names) != 2 || len(names[0].GetDocument().GetFields()) != 0 || names[0].GetDocument().GetUpdateTime() == nil {
		t.Errorf("names: %v, %v", names, err)
	}
	skipped, err := ask(t, c, &firestorepb.RunQueryRequest{ExplainOptions: &firestorepb.ExplainOptions{Analyze: true}}, func(q *firestorepb.StructuredQuery) { q.Offset = 1 })
	if last := len(skipped) - 1; err != nil || last != 0 || skipped[last].GetDocument() == nil || skipped[last].GetSkippedResults() != 1 || skipped[last].GetExplainMetrics().GetExecutionStats().GetResultsReturned() != 1 {
		t.Errorf("with an offset: %v, %v", skipped, err)
	}
	plan, err := ask(t, c, &firestorepb.RunQueryRequest{ExplainOptions: &firestorepb.ExplainOptions{}}, nil)
	if err != nil || len(plan) != 1 || plan[0].GetDocument() != nil || plan[0].GetReadTime() != nil || plan[0].GetExplainMetrics().GetPlanSummary() == nil || plan[0].GetExplainMetrics().GetExecutionStats() != nil {
		t.Errorf("the plan alone: %v, %v", plan, err)
	}
	both, err := ask(t, c, &firestorepb.RunQueryRequest{ExplainOptions: &firestorepb.ExplainOptions{Analyze: true}}, nil)
	if err != nil || len(both) != 2 || both[0].GetDocument() == nil || both[1].GetDocument() == nil || both[0].GetExplainMetrics() != nil || both[1].GetExplainMetrics().GetExecutionStats().GetResultsReturned() != 2 {
		t.Errorf("the figures must come with the last document: %v, %v", both, err)
	}
	unmatched, err := ask(t, c, &firestorepb.RunQueryRequest{ExplainOptions: &firestorepb.ExplainOptions{Analyze: true}}, func(q *firestorepb.StructuredQuery) { q.From[0].CollectionId = "none" })
	if err != nil || len(unmatched) != 1 || unmatched[0].GetReadTime() == nil || unmatched[0].GetExplainMetrics().GetExecutionStats().GetReadOperations() != 1 {
		t.Errorf("the figures of nothing: %v, %v", unmatched, err)
	}
	none, err := ask(t, c, &firestorepb.RunQueryRequest{}, func(q *firestorepb.StructuredQuery) { q.Limit = wrapperspb.Int32(0) })
	if err != nil || len(none) != 1 || none[0].GetDocument() != nil {
		t.Errorf("limited to none: %v, %v", none, err)
	}
	_, err = ask(t, c, &firestorepb.RunQueryRequest{}, func(q *firestorepb.StructuredQuery) { q.Offset = -1 })
	wantCode(t, err, codes.InvalidArgument, "offset is negative")
}

func TestTransactionNotesQueries(t *testing.T) {
	c := client(t)
	create(t, c, "a", pbFields{"v": pbInt(1)})
	for _, conflict := range []bool{false, true} {
		replies, err := ask(t, c, &firestorepb.RunQueryRequest{ConsistencySelector: &firestorepb.RunQueryRequest_NewTransaction{NewTransaction: &txOptions{}}}, nil)
		if err != nil || len(replies[0].GetTransaction()) != transactionIDLen {
			t.Fatal(replies, err)
		}
		if conflict {
			create(t, c, "z", pbFields{"v": pbInt(1)})
		}
		err = commitTx(c, t.Context(), replies[0].GetTransaction(), &firestorepb.Write{Operation: &firestorepb.Write_Delete{Delete: devRoot + "/d/x"}})
		if conflict {
			wantCode(t, err, codes.Aborted, "")
		} else if err != nil {
			t.Error(err)
		}
	}
}
