package firestore

import (
	"context"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

type txOptions = firestorepb.TransactionOptions

func readOnly() *txOptions {
	return &txOptions{Mode: &firestorepb.TransactionOptions_ReadOnly_{ReadOnly: &firestorepb.TransactionOptions_ReadOnly{}}}
}

func beginTx(t *testing.T, c firestorepb.FirestoreClient, o *txOptions) []byte {
	t.Helper()
	reply, err := c.BeginTransaction(t.Context(), &firestorepb.BeginTransactionRequest{Database: dev.String(), Options: o})
	if err != nil {
		t.Fatal(err)
	}
	return reply.GetTransaction()
}

// getIn reads one document in a transaction; nil if it is missing.
func getIn(c firestorepb.FirestoreClient, ctx context.Context, tx []byte, id string) (*firestorepb.Document, error) {
	s, err := c.BatchGetDocuments(ctx, &firestorepb.BatchGetDocumentsRequest{Database: dev.String(), Documents: []string{devRoot + "/c/" + id},
		ConsistencySelector: &firestorepb.BatchGetDocumentsRequest_Transaction{Transaction: tx}})
	if err != nil {
		return nil, err
	}
	reply, err := s.Recv()
	return reply.GetFound(), err
}

func put(id string, v int64) *firestorepb.Write {
	return &firestorepb.Write{Operation: &firestorepb.Write_Update{Update: &firestorepb.Document{Name: devRoot + "/c/" + id, Fields: pbFields{"v": pbInt(v)}}}}
}

func commitTx(c firestorepb.FirestoreClient, ctx context.Context, tx []byte, writes ...*firestorepb.Write) error {
	_, err := c.Commit(ctx, &firestorepb.CommitRequest{Database: dev.String(), Transaction: tx, Writes: writes})
	return err
}

func TestTransactionReadsAtOneTime(t *testing.T) {
	c := client(t)
	create(t, c, "a", pbFields{"v": pbInt(1)})
	for _, o := range []*txOptions{nil, readOnly()} {
		tx := beginTx(t, c, o)
		before, err := getIn(c, t.Context(), tx, "a")
		if err != nil {
			t.Fatal(err)
		}
		if err := commitTx(c, t.Context(), nil, put("a", before.GetFields()["v"].GetIntegerValue()+1), put("b", 1)); err != nil {
			t.Fatal(err)
		}
		after, err := getIn(c, t.Context(), tx, "a")
		if err != nil || !proto.Equal(before, after) {
			t.Errorf("read %v, then %v, %v", before, after, err)
		}
		if err := commitTx(c, t.Context(), tx); err != nil {
			t.Errorf("a transaction that only reads: %v", err)
		}
	}
}

func TestTransactionAtAReadTime(t *testing.T) {
	c := client(t)
	first := create(t, c, "a", pbFields{"v": pbInt(1)})
	if err := commitTx(c, t.Context(), nil, put("a", 2)); err != nil {
		t.Fatal(err)
	}
	tx := beginTx(t, c, &txOptions{Mode: &firestorepb.TransactionOptions_ReadOnly_{ReadOnly: &firestorepb.TransactionOptions_ReadOnly{
		ConsistencySelector: &firestorepb.TransactionOptions_ReadOnly_ReadTime{ReadTime: first.GetUpdateTime()}}}})
	if got, err := getIn(c, t.Context(), tx, "a"); err != nil || got.GetFields()["v"].GetIntegerValue() != 1 {
		t.Errorf("got %v, %v", got, err)
	}
	wantCode(t, commitTx(c, t.Context(), tx, put("a", 3)), codes.InvalidArgument, "read-only transaction")
}

func TestNewTransactionComesFirst(t *testing.T) {
	c := client(t)
	s, err := c.BatchGetDocuments(t.Context(), &firestorepb.BatchGetDocumentsRequest{Database: dev.String(), Documents: []string{devRoot + "/c/a"},
		ConsistencySelector: &firestorepb.BatchGetDocumentsRequest_NewTransaction{NewTransaction: &txOptions{}}})
	if err != nil {
		t.Fatal(err)
	}
	head, err := s.Recv()
	if err != nil || len(head.GetTransaction()) != transactionIDLen || head.GetResult() != nil {
		t.Fatalf("first came %v, %v", head, err)
	}
	if reply, err := s.Recv(); err != nil || reply.GetMissing() == "" || len(reply.GetTransaction()) > 0 {
		t.Errorf("then came %v, %v", reply, err)
	}
	if _, err := s.Recv(); err != io.EOF {
		t.Error(err)
	}
	if err := commitTx(c, t.Context(), head.GetTransaction(), put("a", 1)); err != nil {
		t.Error(err)
	}
}

func TestTransactionsThatAreOver(t *testing.T) {
	c := client(t)
	ctx := t.Context()
	tx := beginTx(t, c, nil)
	if err := commitTx(c, ctx, tx, put("a", 1)); err != nil {
		t.Fatal(err)
	}
	wantCode(t, commitTx(c, ctx, tx, put("a", 2)), codes.InvalidArgument, "already been committed")
	_, err := getIn(c, ctx, tx, "a")
	wantCode(t, err, codes.InvalidArgument, "already been committed")

	tx = beginTx(t, c, nil)
	rollback := func(tx []byte) error {
		_, err := c.Rollback(ctx, &firestorepb.RollbackRequest{Database: dev.String(), Transaction: tx})
		return err
	}
	for range 2 {
		if err := rollback(tx); err != nil {
			t.Error(err)
		}
	}
	wantCode(t, commitTx(c, ctx, tx, put("a", 2)), codes.Aborted, "no longer valid")
	wantCode(t, rollback([]byte("x")), codes.InvalidArgument, "transaction id")
	wantCode(t, commitTx(c, ctx, []byte(strings.Repeat("x", transactionIDLen)), put("a", 2)), codes.Aborted, "no longer valid")

	tx = beginTx(t, c, nil)
	_, err = c.Commit(ctx, &firestorepb.CommitRequest{Database: "projects/dev/databases/other", Transaction: tx})
	wantCode(t, err, codes.InvalidArgument, "belongs to the database")
}

func TestCommitOfATransactionCanBeRepeated(t *testing.T) {
	c := client(t)
	create(t, c, "a", pbFields{"v": pbInt(1)})
	tx := beginTx(t, c, nil)
	if _, err := getIn(c, t.Context(), tx, "a"); err != nil {
		t.Fatal(err)
	}
	ctx := withID(t.Context(), strings.Repeat("7a", 16))
	req := &firestorepb.CommitRequest{Database: dev.String(), Transaction: tx, Writes: []*firestorepb.Write{put("a", 2)}}
	first, err := c.Commit(ctx, req)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := c.Commit(ctx, req); err != nil || !proto.Equal(again, first) {
		t.Errorf("again: %v, %v; first %v", again, err, first)
	}
}

func TestTransactionsExpire(t *testing.T) {
	var mu sync.Mutex
	now := time.Now()
	pass := func(d time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		now = now.Add(d)
	}
	metrics := NewMetrics(nil)
	c := client(t, func(o *Options) {
		o.Metrics = metrics
		o.Clock = func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	})
	create(t, c, "a", pbFields{"v": pbInt(1)})
	read := func(tx []byte) error { _, err := getIn(c, t.Context(), tx, "a"); return err }

	tx := beginTx(t, c, nil)
	pass(59 * time.Second)
	if err := read(tx); err != nil {
		t.Errorf("before it is idle for 60 s: %v", err)
	}
	pass(60 * time.Second)
	wantCode(t, read(tx), codes.Aborted, "expired")

	tx = beginTx(t, c, nil)
	for range 5 {
		pass(50 * time.Second)
		if err := read(tx); err != nil {
			t.Error(err)
		}
	}
	pass(20 * time.Second)
	wantCode(t, commitTx(c, t.Context(), tx, put("a", 9)), codes.Aborted, "expired")
	if n := counted(t, metrics.ended.WithLabelValues("expired")); n != 2 {
		t.Errorf("%v transactions are counted as expired; want 2", n)
	}
}

func TestLimitsOfTransactions(t *testing.T) {
	metrics := NewMetrics(nil)
	c := client(t, func(o *Options) {
		o.Metrics = metrics
		o.Limits = Limits{Transactions: 2, TransactionReads: 3, AllTransactionReads: 4}
	})
	one, two := beginTx(t, c, nil), beginTx(t, c, nil)
	_, err := c.BeginTransaction(t.Context(), &firestorepb.BeginTransactionRequest{Database: dev.String()})
	wantCode(t, err, codes.ResourceExhausted, "2 transactions are under way")
	for i := range 3 {
		if _, err := getIn(c, t.Context(), one, string(rune('a'+i))); err != nil {
			t.Fatal(err)
		}
	}
	_, err = getIn(c, t.Context(), one, "d")
	wantCode(t, err, codes.InvalidArgument, "up to 3 documents")
	if _, err = getIn(c, t.Context(), two, "a"); err != nil {
		t.Error(err)
	}
	_, err = getIn(c, t.Context(), two, "b")
	wantCode(t, err, codes.ResourceExhausted, "try again")
	if _, err := c.Rollback(t.Context(), &firestorepb.RollbackRequest{Database: dev.String(), Transaction: one}); err != nil {
		t.Fatal(err)
	}
	if _, err = getIn(c, t.Context(), two, "b"); err != nil {
		t.Errorf("after the other one has ended: %v", err)
	}
	beginTx(t, c, nil)
	for limit, want := range map[string]float64{"transactions": 1, "transaction_reads": 1, "all_transaction_reads": 1} {
		if n := counted(t, metrics.refused.WithLabelValues(limit)); n != want {
			t.Errorf("%v requests are counted as refused at %s; want %v", n, limit, want)
		}
	}
}

func TestBadTransactionOptions(t *testing.T) {
	c := client(t)
	for name, o := range map[string]*txOptions{
		"retry of nothing": {Mode: &firestorepb.TransactionOptions_ReadWrite_{ReadWrite: &firestorepb.TransactionOptions_ReadWrite{RetryTransaction: []byte("x")}}},
		"bad time": {Mode: &firestorepb.TransactionOptions_ReadOnly_{ReadOnly: &firestorepb.TransactionOptions_ReadOnly{
			ConsistencySelector: &firestorepb.TransactionOptions_ReadOnly_ReadTime{ReadTime: &timestamppb.Timestamp{Nanos: -1}}}}},
	} {
		_, err := c.BeginTransaction(t.Context(), &firestorepb.BeginTransactionRequest{Database: dev.String(), Options: o})
		if err == nil {
			t.Errorf("%s was accepted", name)
			continue
		}
		wantCode(t, err, codes.InvalidArgument, "")
	}
	if _, err := c.BeginTransaction(t.Context(), &firestorepb.BeginTransactionRequest{Database: dev.String(),
		Options: &txOptions{Mode: &firestorepb.TransactionOptions_ReadWrite_{ReadWrite: &firestorepb.TransactionOptions_ReadWrite{RetryTransaction: beginTx(t, c, nil)}}}}); err != nil {
		t.Error(err)
	}
}
