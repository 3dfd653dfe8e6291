package firestore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"atoll"
	"atoll/gateway/account"
	"atoll/program/shard"
	"atoll/query"
	"atoll/route"
)

// app is the database of devRoot.
var app = atoll.Database{Project: "dev", ID: atoll.DefaultDatabase}

// accounting returns a client of a service that keeps accounts, with 250
// documents in the collection c.
func accounting(t *testing.T, b account.Budgets, edit ...func(*Options)) (firestorepb.FirestoreClient, *account.Table) {
	t.Helper()
	table, err := account.New(account.Options{Budgets: b})
	if err != nil {
		t.Fatal(err)
	}
	addr, _ := start(t, append(edit, func(o *Options) { o.Accounts = table })...)
	c := firestorepb.NewFirestoreClient(dial(t, addr))
	req := &firestorepb.CommitRequest{Database: app.String()}
	for i := range 250 {
		req.Writes = append(req.Writes, &firestorepb.Write{Operation: &firestorepb.Write_Update{
			Update: &firestorepb.Document{Name: fmt.Sprintf("%s/c/%03d", devRoot, i), Fields: pbFields{"v": pbInt(int64(i))}}}})
	}
	if _, err := c.Commit(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	return c, table
}

// accountOfMethod returns what was accounted for under a method and text.
func accountOfMethod(t *testing.T, table *account.Table, method, text string) account.Shape {
	t.Helper()
	r, err := table.Report("count", app.String(), 1000)
	if err != nil {
		t.Fatal(err)
	}
	var have []string
	for _, s := range r.Shapes {
		if s.Method == method && s.Text == text {
			return s
		}
		have = append(have, s.Method+" "+s.Text)
	}
	t.Fatalf("nothing is accounted for as %s %s; there are %s", method, text, strings.Join(have, "; "))
	return account.Shape{}
}

// TestAccounts does a thing of each kind and finds it in the accounts, with
// what it cost.
func TestAccounts(t *testing.T) {
	c, table := accounting(t, account.DefaultBudgets)
	filter := func(v int64) func(*firestorepb.StructuredQuery) {
		return func(q *firestorepb.StructuredQuery) {
			q.Where = &firestorepb.StructuredQuery_Filter{FilterType: &firestorepb.StructuredQuery_Filter_FieldFilter{FieldFilter: &firestorepb.StructuredQuery_FieldFilter{
				Field: &firestorepb.StructuredQuery_FieldReference{FieldPath: "v"}, Op: firestorepb.StructuredQuery_FieldFilter_GREATER_THAN_OR_EQUAL, Value: pbInt(v)}}}
		}
	}
	for _, v := range []int64{240, 245} {
		if _, err := ask(t, c, &firestorepb.RunQueryRequest{}, filter(v)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"/c/001", "/c/002", "/c/none"} {
		if _, err := c.GetDocument(t.Context(), &firestorepb.GetDocumentRequest{Name: devRoot + name}); err != nil && status.Code(err) != codes.NotFound {
			t.Fatal(err)
		}
	}
	if _, err := c.ListDocuments(t.Context(), &firestorepb.ListDocumentsRequest{Parent: devRoot, CollectionId: "c", PageSize: 7}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.ListCollectionIds(t.Context(), &firestorepb.ListCollectionIdsRequest{Parent: devRoot}); err != nil {
		t.Fatal(err)
	}
	if err := countAll(t, c); err != nil {
		t.Fatal(err)
	}
	got, err := c.BatchGetDocuments(t.Context(), &firestorepb.BatchGetDocumentsRequest{Database: app.String(), Documents: []string{devRoot + "/c/001", devRoot + "/c/none"}})
	for err == nil {
		_, err = got.Recv()
	}
	if !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	bad := &firestorepb.CommitRequest{Database: app.String(), Writes: []*firestorepb.Write{{Operation: &firestorepb.Write_Delete{Delete: "no name"}}}}
	if _, err := c.Commit(t.Context(), bad); status.Code(err) != codes.InvalidArgument {
		t.Fatal(err)
	}
	for _, want := range []struct {
		method, text string
		account.Costs
	}{
		{"Commit", "set c/?", account.Costs{Count: 1, DocumentsWritten: 250}},
		{"RunQuery", "c where v >= ? order by v", account.Costs{Count: 2, Seeks: 2, Keys: 15, DocumentsRead: 15, Results: 15}},
		{"GetDocument", "c/?", account.Costs{Count: 3, Errors: 1, Keys: 3, DocumentsRead: 3, Results: 2}},
		{"ListDocuments", "c", account.Costs{Count: 1, Keys: 7, DocumentsRead: 7, Results: 7}},
		{"ListCollectionIds", "", account.Costs{Count: 1, Seeks: 1, Keys: 1, Results: 1}},
		{"RunAggregationQuery", "c: count", account.Costs{Count: 1, Keys: 1, Results: 1}},
		{"BatchGetDocuments", "c/?", account.Costs{Count: 1, Keys: 2, DocumentsRead: 2, Results: 1}},
	} {
		s := accountOfMethod(t, table, want.method, want.text)
		if s.Count != want.Count || s.Errors != want.Errors || s.Results != want.Results || s.DocumentsWritten != want.DocumentsWritten ||
			s.Keys < want.Keys ||
			want.DocumentsRead > 0 && s.Keys > 2*want.Keys+2 || s.DocumentsRead < want.DocumentsRead || s.Micros == 0 || s.Cost == 0 {
			t.Errorf("%s %s: %+v; want %+v", want.method, want.text, s.Costs, want.Costs)
		}
		if want.Results > 1 && s.Bytes == 0 {
			t.Errorf("%s %s has no bytes", want.method, want.text)
		}
	}
	r, err := table.Report("load", "", 100)
	if err != nil || r.Total.Errors != 2 || r.Total.Count != 11 {
		t.Errorf("in all %+v, %v", r.Total, err)
	}
}

// countAll counts the documents of the collection c.
func countAll(t *testing.T, c firestorepb.FirestoreClient) error {
	t.Helper()
	s, err := c.RunAggregationQuery(t.Context(), &firestorepb.RunAggregationQueryRequest{Parent: devRoot, QueryType: &firestorepb.RunAggregationQueryRequest_StructuredAggregationQuery{
		StructuredAggregationQuery: &firestorepb.StructuredAggregationQuery{
			QueryType: &firestorepb.StructuredAggregationQuery_StructuredQuery{StructuredQuery: &firestorepb.StructuredQuery{From: []*firestorepb.StructuredQuery_CollectionSelector{{CollectionId: "c"}}}},
			Aggregations: []*firestorepb.StructuredAggregationQuery_Aggregation{
				{Operator: &firestorepb.StructuredAggregationQuery_Aggregation_Count_{Count: &firestorepb.StructuredAggregationQuery_Aggregation_Count{}}}},
		}}})
	if err != nil {
		return err
	}
	// The account is made up before the stream's end is told.
	for err == nil {
		_, err = s.Recv()
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// TestQueryBudgets asks for 250 documents, which come in pages of 100 and more.
func TestQueryBudgets(t *testing.T) {
	for _, x := range []struct {
		budgets account.Budgets
		want    string
	}{
		{account.Budgets{}, ""},
		{account.Budgets{Keys: 10_000, Documents: 10_000, Time: time.Minute}, ""},
		{account.Budgets{Keys: 90}, "--query-keys). The query is c; narrow it"},
		{account.Budgets{Documents: 90}, "--query-documents). The query is c;"},
		{account.Budgets{Time: time.Nanosecond}, "--query-time). The query is c;"},
	} {
		c, table := accounting(t, x.budgets)
		found, err := ask(t, c, &firestorepb.RunQueryRequest{}, nil)
		if x.want == "" {
			if err != nil || len(found) != 250 {
				t.Errorf("%+v: %d documents, %v", x.budgets, len(found), err)
			}
			continue
		}
		wantCode(t, err, codes.ResourceExhausted, x.want)
		if len(found) > 100 {
			t.Errorf("%+v: %d documents came all the same", x.budgets, len(found))
		}
		s := accountOfMethod(t, table, "RunQuery", "c")
		if s.Errors != 1 || x.budgets.Time == 0 && s.Keys < 90 {
			t.Errorf("%+v: accounted for %+v", x.budgets, s.Costs)
		}
		r, err := table.Report("load", "", 0)
		if err != nil || r.OverBudget["keys"]+r.OverBudget["documents"]+r.OverBudget["time"] != 1 {
			t.Errorf("%+v: counted %v, %v", x.budgets, r.OverBudget, err)
		}
	}
}

// TestQueryTimeBehindDeadline has a budget that is as long as any request may
// take: the error names the budget.
func TestQueryTimeBehindDeadline(t *testing.T) {
	c, _ := accounting(t, account.Budgets{Time: 50 * time.Millisecond}, func(o *Options) { o.Limits.Deadline = 50 * time.Millisecond; o.Router = &slow{Router: o.Router} })
	_, err := ask(t, c, &firestorepb.RunQueryRequest{}, nil)
	wantCode(t, err, codes.ResourceExhausted, "--query-time")
}

// slow is a Router whose queries find nothing until they are given up.
type slow struct{ Router }

func (*slow) Query(ctx context.Context, _ atoll.Database, _ query.Query, _ route.QueryOptions, _ route.Caller, _ func(atoll.Time, *shard.Found) error) (route.QueryResult, error) {
	<-ctx.Done()
	return route.QueryResult{}, ctx.Err()
}

// TestCallerKeys gives each caller 100 keys a minute, and finds them apart.
func TestCallerKeys(t *testing.T) {
	now := time.Now()
	var mu sync.Mutex
	clock := func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return now
	}
	c, table := accounting(t, account.Budgets{CallerKeys: 100}, func(o *Options) { o.Clock = clock })
	get := func(who string) error {
		ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+who)
		_, err := c.GetDocument(ctx, &firestorepb.GetDocumentRequest{Name: devRoot + "/c/001"})
		return err
	}
	for i := range 101 { // the last one overdraws
		if err := get("owner"); err != nil {
			t.Fatalf("read %d: %v", i, err)
		}
	}
	err := get("owner")
	wantCode(t, err, codes.ResourceExhausted, "your budget of 100 keys read in a minute (--caller-keys), now with c/?; try again in 600ms")
	if d := status.Convert(err).Details(); len(d) != 1 || d[0].(*errdetails.RetryInfo).GetRetryDelay().AsDuration() != 600*time.Millisecond {
		t.Errorf("the details are %v", d)
	}
	// Another caller has asked for nothing yet: a first page is let through, and
	// none behind it.
	_, err = ask(t, c, &firestorepb.RunQueryRequest{}, nil)
	wantCode(t, err, codes.ResourceExhausted, "--caller-keys), now with c; try again in")
	mu.Lock()
	now = now.Add(10 * time.Minute)
	mu.Unlock()
	if err := get("owner"); err != nil {
		t.Errorf("ten minutes later: %v", err)
	}
	r, err := table.Report("load", "", 0)
	if err != nil || r.OverBudget["caller-keys"] < 2 {
		t.Errorf("counted %v, %v", r.OverBudget, err)
	}
}
