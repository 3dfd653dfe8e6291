package firestore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"atoll"
	"atoll/program/shard"
	"atoll/route"
)

const devRoot = "projects/dev/databases/(default)/documents"

func client(t testing.TB, edit ...func(*Options)) firestorepb.FirestoreClient {
	t.Helper()
	addr, _ := start(t, edit...)
	return firestorepb.NewFirestoreClient(dial(t, addr))
}

func withID(ctx context.Context, id string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, requestIDKey, id)
}

func create(t *testing.T, c firestorepb.FirestoreClient, id string, fields pbFields) *firestorepb.Document {
	t.Helper()
	d, err := c.CreateDocument(t.Context(), &firestorepb.CreateDocumentRequest{Parent: devRoot, CollectionId: "c", DocumentId: id, Document: &firestorepb.Document{Fields: fields}})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestCreateDocument(t *testing.T) {
	c := client(t)
	fields := pbFields{"a": pbTime(5, 1234), "b": pbString("x")}
	d := create(t, c, "", fields)
	if id := strings.TrimPrefix(d.GetName(), devRoot+"/c/"); len(id) != autoIDLen {
		t.Errorf("the name is %q", d.GetName())
	}
	got, err := c.GetDocument(t.Context(), &firestorepb.GetDocumentRequest{Name: d.GetName()})
	if err != nil || !proto.Equal(got, d) {
		t.Errorf("read %v, %v\ncreated %v", got, err, d)
	}
	if ns := d.GetFields()["a"].GetTimestampValue().GetNanos(); ns != 1000 {
		t.Errorf("the answer shows %d ns; microseconds are kept", ns)
	}
	plain := create(t, c, "plain", pbFields{"b": pbString("x")})
	if got, err := c.GetDocument(t.Context(), &firestorepb.GetDocumentRequest{Name: plain.GetName()}); err != nil || !proto.Equal(got, plain) {
		t.Errorf("read %v, %v\ncreated %v", got, err, plain)
	}
	masked, err := c.CreateDocument(t.Context(), &firestorepb.CreateDocumentRequest{Parent: devRoot + "/c/x", CollectionId: "sub", DocumentId: "y",
		Document: &firestorepb.Document{Fields: fields}, Mask: &firestorepb.DocumentMask{FieldPaths: []string{"b"}}})
	if err != nil || len(masked.GetFields()) != 1 || masked.GetFields()["b"] == nil {
		t.Errorf("with a mask: %v, %v", masked, err)
	}
	for name, req := range map[string]*firestorepb.CreateDocumentRequest{
		"slash in the id": {Parent: devRoot, CollectionId: "c", DocumentId: "a/b"},
		"no collection":   {Parent: devRoot},
		"other name":      {Parent: devRoot, CollectionId: "c", DocumentId: "z", Document: &firestorepb.Document{Name: docName}},
		"bad mask":        {Parent: devRoot, CollectionId: "c", DocumentId: "z", Mask: &firestorepb.DocumentMask{FieldPaths: []string{".."}}},
	} {
		_, err := c.CreateDocument(t.Context(), req)
		if status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: got %v; want InvalidArgument", name, err)
		}
	}
}

func TestUpdateAndDeleteDocument(t *testing.T) {
	c := client(t)
	d := create(t, c, "x", pbFields{"a": pbInt(1), "b": pbInt(2)})
	up, err := c.UpdateDocument(t.Context(), &firestorepb.UpdateDocumentRequest{
		Document: &firestorepb.Document{Name: d.GetName(), Fields: pbFields{"a": pbInt(9)}}, UpdateMask: &firestorepb.DocumentMask{FieldPaths: []string{"a"}}, CurrentDocument: exists(true)})
	want := pbFields{"a": pbInt(9), "b": pbInt(2)}
	if err != nil || !proto.Equal(pbMap(up.GetFields()), pbMap(want)) || !proto.Equal(up.GetCreateTime(), d.GetCreateTime()) || proto.Equal(up.GetUpdateTime(), d.GetUpdateTime()) {
		t.Errorf("got %v, %v", up, err)
	}
	same, err := c.UpdateDocument(t.Context(), &firestorepb.UpdateDocumentRequest{Document: &firestorepb.Document{Name: d.GetName(), Fields: want}, Mask: &firestorepb.DocumentMask{}})
	if err != nil || len(same.GetFields()) != 0 || !proto.Equal(same.GetUpdateTime(), up.GetUpdateTime()) {
		t.Errorf("a write that changes nothing: got %v, %v", same, err)
	}
	if _, err := c.DeleteDocument(t.Context(), &firestorepb.DeleteDocumentRequest{Name: d.GetName(), CurrentDocument: exists(true)}); err != nil {
		t.Error(err)
	}
	_, err = c.GetDocument(t.Context(), &firestorepb.GetDocumentRequest{Name: d.GetName()})
	wantCode(t, err, codes.NotFound, d.GetName())
	_, err = c.UpdateDocument(t.Context(), &firestorepb.UpdateDocumentRequest{Document: &firestorepb.Document{Name: d.GetName()}, CurrentDocument: exists(true)})
	wantCode(t, err, codes.NotFound, "No document to update: "+d.GetName())
}

// meddler is a router that lets something happen before each Get.
type meddler struct {
	Router
	before func()
}

func (m meddler) Get(ctx context.Context, db atoll.Database, paths []atoll.Path, at atoll.Time, who route.Caller) (shard.GetReply, error) {
	m.before()
	return m.Router.Get(ctx, db, paths, at, who)
}

func TestUpdateDocumentReturnsWhatItWrote(t *testing.T) {
	c := client(t, func(o *Options) {
		real := o.Router
		o.Router = meddler{real, func() {
			w := shard.Write{Op: shard.OpDelete, Path: "c/x"}
			if _, err := real.Commit(context.Background(), dev, []shard.Write{w}, route.NewRequestID(), route.Caller{Principal: atoll.Anonymous}); err != nil {
				t.Error(err)
			}
		}}
	})
	d, err := c.UpdateDocument(t.Context(), &firestorepb.UpdateDocumentRequest{Document: &firestorepb.Document{Name: docName, Fields: pbFields{"a": pbInt(1)}}})
	if err != nil || d.GetFields()["a"].GetIntegerValue() != 1 {
		t.Errorf("got %v, %v; a later deletion must not show", d, err)
	}
}

func TestCommitForms(t *testing.T) {
	c := client(t)
	commit := func(writes ...*firestorepb.Write) (*firestorepb.CommitResponse, error) {
		return c.Commit(t.Context(), &firestorepb.CommitRequest{Database: dev.String(), Writes: writes})
	}
	none, err := commit()
	if err != nil || none.GetCommitTime() == nil {
		t.Errorf("without writes: %v, %v", none, err)
	}
	w := update(pbFields{"a": pbInt(1)})
	w.UpdateTransforms = []*fieldTransform{increment("a", pbInt(4)), requestTime("t")}
	reply, err := commit(w)
	if err != nil {
		t.Fatal(err)
	}
	r := reply.GetWriteResults()[0]
	if got := r.GetTransformResults(); len(got) != 2 || got[0].GetIntegerValue() != 5 || !proto.Equal(got[1].GetTimestampValue(), reply.GetCommitTime()) || !proto.Equal(r.GetUpdateTime(), reply.GetCommitTime()) {
		t.Errorf("got %v", reply)
	}
	legacy := &firestorepb.Write{Operation: &firestorepb.Write_Transform{Transform: &firestorepb.DocumentTransform{Document: docName, FieldTransforms: []*fieldTransform{increment("a", pbInt(1))}}}, CurrentDocument: exists(true)}
	if reply, err = commit(legacy); err != nil || reply.GetWriteResults()[0].GetTransformResults()[0].GetIntegerValue() != 6 {
		t.Errorf("the old form of a transform: %v, %v", reply, err)
	}
	verify := func(p *firestorepb.Precondition) *firestorepb.Write {
		return withVerify(&firestorepb.Write{CurrentDocument: p}, docName)
	}
	at := reply.GetWriteResults()[0].GetUpdateTime()
	if reply, err = commit(verify(&firestorepb.Precondition{ConditionType: &firestorepb.Precondition_UpdateTime{UpdateTime: at}})); err != nil || reply.GetWriteResults()[0].GetUpdateTime() != nil {
		t.Errorf("verify: %v, %v", reply, err)
	}
	_, err = commit(verify(exists(false)))
	wantCode(t, err, codes.AlreadyExists, "")
	_, err = c.Commit(t.Context(), &firestorepb.CommitRequest{Database: dev.String(), Transaction: []byte("t")})
	wantCode(t, err, codes.InvalidArgument, "transaction")
	_, err = c.Commit(t.Context(), &firestorepb.CommitRequest{Database: "dev"})
	wantCode(t, err, codes.InvalidArgument, "database")
	gone := &firestorepb.Write{Operation: &firestorepb.Write_Delete{Delete: docName}}
	if reply, err = commit(gone); err != nil || reply.GetWriteResults()[0].GetUpdateTime() != nil {
		t.Errorf("delete: %v, %v", reply, err)
	}
}

func receive(t *testing.T, s firestorepb.Firestore_BatchGetDocumentsClient, err error) (found, missing []string, at *timestamppb.Timestamp) {
	t.Helper()
	for err == nil {
		var r *firestorepb.BatchGetDocumentsResponse
		if r, err = s.Recv(); err == nil {
			if d := r.GetFound(); d != nil {
				found = append(found, strings.TrimPrefix(d.GetName(), devRoot+"/"))
			} else {
				missing = append(missing, strings.TrimPrefix(r.GetMissing(), devRoot+"/"))
			}
			at = r.GetReadTime()
		}
	}
	if !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	return found, missing, at
}

func TestBatchGetDocuments(t *testing.T) {
	c := client(t)
	a := create(t, c, "a", pbFields{"n": pbInt(1)})
	b := create(t, c, "b", nil)
	req := &firestorepb.BatchGetDocumentsRequest{Database: dev.String(), Documents: []string{b.GetName(), docName, a.GetName(), b.GetName()}}
	s, err := c.BatchGetDocuments(t.Context(), req)
	found, missing, _ := receive(t, s, err)
	if !slices.Equal(found, []string{"c/b", "c/a"}) || !slices.Equal(missing, []string{"c/x"}) {
		t.Errorf("found %v, missing %v", found, missing)
	}
	req.ConsistencySelector = &firestorepb.BatchGetDocumentsRequest_ReadTime{ReadTime: a.GetUpdateTime()}
	s, err = c.BatchGetDocuments(t.Context(), req)
	found, missing, at := receive(t, s, err)
	if !slices.Equal(found, []string{"c/a"}) || len(missing) != 2 || !proto.Equal(at, a.GetUpdateTime()) {
		t.Errorf("in the past: found %v, missing %v at %v", found, missing, at)
	}
}

// TestAnswersLargerThanAShardsPage reads documents that do not fit in one
// answer of a shard.
func TestAnswersLargerThanAShardsPage(t *testing.T) {
	c := client(t)
	filler := strings.Repeat("x", 900_000)
	req := &firestorepb.BatchGetDocumentsRequest{Database: dev.String()}
	for i := range 10 {
		req.Documents = append(req.Documents, create(t, c, fmt.Sprintf("d%d", i), pbFields{"s": pbString(filler)}).GetName())
	}
	s, err := c.BatchGetDocuments(t.Context(), req)
	if found, missing, _ := receive(t, s, err); len(found) != 10 || len(missing) != 0 {
		t.Errorf("found %v, missing %v", found, missing)
	}
	list := &firestorepb.ListDocumentsRequest{Parent: devRoot, CollectionId: "c"}
	var got, pages int
	for {
		page, err := c.ListDocuments(t.Context(), list, grpc.MaxCallRecvMsgSize(16<<20))
		if err != nil {
			t.Fatal(err)
		}
		got, pages = got+len(page.GetDocuments()), pages+1
		if list.PageToken = page.GetNextPageToken(); list.PageToken == "" {
			break
		}
	}
	if got != 10 || pages < 3 {
		t.Errorf("listed %d documents on %d pages; want 10 on several", got, pages)
	}
}

func TestListDocumentsByPages(t *testing.T) {
	c := client(t)
	for _, id := range []string{"a", "b", "c", "d", "e"} {
		create(t, c, id, pbFields{"id": pbString(id), "x": pbInt(1)})
	}
	req := &firestorepb.ListDocumentsRequest{Parent: devRoot, CollectionId: "c", PageSize: 2, OrderBy: "__name__ asc", Mask: &firestorepb.DocumentMask{FieldPaths: []string{"id"}}}
	var got []string
	for {
		page, err := c.ListDocuments(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range page.GetDocuments() {
			got = append(got, d.GetFields()["id"].GetStringValue())
			if len(d.GetFields()) != 1 || d.GetUpdateTime() == nil {
				t.Errorf("got %v", d)
			}
		}
		if req.PageToken = page.GetNextPageToken(); req.PageToken == "" {
			break
		}
		other := proto.Clone(req).(*firestorepb.ListDocumentsRequest)
		other.CollectionId = "d"
		_, err = c.ListDocuments(t.Context(), other)
		wantCode(t, err, codes.InvalidArgument, "page_token")
	}
	if want := []string{"a", "b", "c", "d", "e"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for name, c2 := range map[string]struct {
		edit func(*firestorepb.ListDocumentsRequest)
		code codes.Code
	}{
		"no direction":     {func(r *firestorepb.ListDocumentsRequest) { r.OrderBy = "x up" }, codes.InvalidArgument},
		"no field":         {func(r *firestorepb.ListDocumentsRequest) { r.OrderBy = "x," }, codes.InvalidArgument},
		"behind the name":  {func(r *firestorepb.ListDocumentsRequest) { r.OrderBy = "__name__, x" }, codes.InvalidArgument},
		"many fields":      {func(r *firestorepb.ListDocumentsRequest) { r.OrderBy = strings.Repeat("x,", 200) + "x" }, codes.InvalidArgument},
		"missing in order": {func(r *firestorepb.ListDocumentsRequest) { r.ShowMissing = true }, codes.InvalidArgument},
		"missing anywhere": {func(r *firestorepb.ListDocumentsRequest) { r.OrderBy, r.CollectionId, r.ShowMissing = "", "", true }, codes.InvalidArgument},
		"negative page":    {func(r *firestorepb.ListDocumentsRequest) { r.PageSize = -1 }, codes.InvalidArgument},
		"a collection":     {func(r *firestorepb.ListDocumentsRequest) { r.Parent += "/c" }, codes.InvalidArgument},
		"bad mask":         {func(r *firestorepb.ListDocumentsRequest) { r.Mask.FieldPaths[0] = "`" }, codes.InvalidArgument},
	} {
		r := proto.Clone(req).(*firestorepb.ListDocumentsRequest)
		c2.edit(r)
		if _, err := c.ListDocuments(t.Context(), r); status.Code(err) != c2.code {
			t.Errorf("%s: got %v; want %s", name, err, c2.code)
		}
	}
}

func TestListCollectionIdsByPages(t *testing.T) {
	c := client(t)
	for i := range 5 {
		if _, err := c.CreateDocument(t.Context(), &firestorepb.CreateDocumentRequest{Parent: devRoot, CollectionId: fmt.Sprintf("c%d", i), DocumentId: "x"}); err != nil {
			t.Fatal(err)
		}
	}
	req := &firestorepb.ListCollectionIdsRequest{Parent: devRoot, PageSize: 2}
	var got []string
	for {
		page, err := c.ListCollectionIds(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, page.GetCollectionIds()...)
		if req.PageToken = page.GetNextPageToken(); req.PageToken == "" {
			break
		}
	}
	if want := []string{"c0", "c1", "c2", "c3", "c4"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	req.PageToken = "x"
	_, err := c.ListCollectionIds(t.Context(), req)
	wantCode(t, err, codes.InvalidArgument, "page_token")
}

func TestBatchWriteTellsOfEachWrite(t *testing.T) {
	c := client(t)
	create(t, c, "there", nil)
	named := func(id string, p *firestorepb.Precondition) *firestorepb.Write {
		return &firestorepb.Write{Operation: &firestorepb.Write_Update{Update: &firestorepb.Document{Name: devRoot + "/c/" + id}}, CurrentDocument: p}
	}
	reply, err := c.BatchWrite(t.Context(), &firestorepb.BatchWriteRequest{Database: dev.String(), Labels: map[string]string{"a": "b"}, Writes: []*firestorepb.Write{
		named("new", nil), named("there", exists(false)), named("none", exists(true)),
	}})
	if err != nil {
		t.Fatal(err)
	}
	var got []codes.Code
	for i, s := range reply.GetStatus() {
		got = append(got, codes.Code(s.GetCode()))
		if (reply.GetWriteResults()[i].GetUpdateTime() != nil) != (s.GetCode() == 0) {
			t.Errorf("write %d: result %v with status %v", i, reply.GetWriteResults()[i], s)
		}
	}
	if want := []codes.Code{codes.OK, codes.AlreadyExists, codes.NotFound}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	_, err = c.BatchWrite(t.Context(), &firestorepb.BatchWriteRequest{Database: dev.String(), Writes: []*firestorepb.Write{named("a", nil), named("a", nil)}})
	wantCode(t, err, codes.InvalidArgument, "twice")
	for _, malformed := range []*firestorepb.Write{{}, named("__doc__", nil)} {
		_, err = c.BatchWrite(t.Context(), &firestorepb.BatchWriteRequest{Database: dev.String(), Writes: []*firestorepb.Write{named("untouched", nil), malformed}})
		wantCode(t, err, codes.InvalidArgument, "write 2")
	}
	_, err = c.GetDocument(t.Context(), &firestorepb.GetDocumentRequest{Name: devRoot + "/c/untouched"})
	wantCode(t, err, codes.NotFound, "")
}

func TestARequestIDIsAppliedOnce(t *testing.T) {
	c := client(t)
	count := func() *firestorepb.Write {
		w := update(nil)
		w.UpdateMask = &firestorepb.DocumentMask{}
		w.UpdateTransforms = []*fieldTransform{increment("n", pbInt(1))}
		return w
	}
	ctx := withID(t.Context(), strings.Repeat("ab", 16))
	var first *firestorepb.CommitResponse
	for range 3 {
		reply, err := c.Commit(ctx, &firestorepb.CommitRequest{Database: dev.String(), Writes: []*firestorepb.Write{count()}})
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = reply
		}
		if !proto.Equal(first, reply) {
			t.Errorf("a repetition was answered with %v, the first with %v", reply, first)
		}
	}
	ctx = withID(t.Context(), strings.Repeat("cd", 16))
	for range 2 {
		reply, err := c.BatchWrite(ctx, &firestorepb.BatchWriteRequest{Database: dev.String(), Writes: []*firestorepb.Write{count()}})
		if err != nil || reply.GetStatus()[0].GetCode() != 0 {
			t.Fatal(reply, err)
		}
	}
	d, err := c.GetDocument(t.Context(), &firestorepb.GetDocumentRequest{Name: docName})
	if err != nil || d.GetFields()["n"].GetIntegerValue() != 2 {
		t.Errorf("got %v, %v; two requests, repeated, make 2", d, err)
	}
	req := &firestorepb.CreateDocumentRequest{Parent: devRoot, CollectionId: "auto"}
	one, err := c.CreateDocument(ctx, req)
	if err != nil {
		t.Fatal(err)
	}
	if two, err := c.CreateDocument(ctx, req); err != nil || !proto.Equal(one, two) {
		t.Errorf("created %v, then %v, %v", one, two, err)
	}
	for _, bad := range []string{"", "ab", strings.Repeat("zz", 16), strings.Repeat("ab", 17)} {
		_, err := c.Commit(withID(t.Context(), bad), &firestorepb.CommitRequest{Database: dev.String()})
		wantCode(t, err, codes.InvalidArgument, requestIDKey)
	}
	_, err = c.DeleteDocument(withID(withID(t.Context(), strings.Repeat("ab", 16)), strings.Repeat("ab", 16)), &firestorepb.DeleteDocumentRequest{Name: docName})
	wantCode(t, err, codes.InvalidArgument, requestIDKey)
}

func TestAuthorization(t *testing.T) {
	c := client(t)
	as := func(header string) error {
		_, err := c.ListDocuments(metadata.AppendToOutgoingContext(t.Context(), "authorization", header), &firestorepb.ListDocumentsRequest{Parent: devRoot, CollectionId: "c"})
		return err
	}
	for _, header := range []string{"Bearer owner", "Bearer " + jwt(unsigned, `{"sub":"a"}`, "")} {
		if err := as(header); err != nil {
			t.Errorf("%q: %v", header, err)
		}
	}
	wantCode(t, as("Bearer junk"), codes.Unauthenticated, "malformed token")

	addr, _ := start(t, func(o *Options) { o.Auth.Dev = false })
	conn := dial(t, addr)
	for _, header := range []string{"", "Bearer owner"} {
		ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", header)
		_, err := firestorepb.NewFirestoreClient(conn).GetDocument(ctx, &firestorepb.GetDocumentRequest{Name: docName})
		wantCode(t, err, codes.Unauthenticated, "")
		s, err := firestorepb.NewFirestoreClient(conn).BatchGetDocuments(ctx, &firestorepb.BatchGetDocumentsRequest{Database: dev.String()})
		if err == nil {
			_, err = s.Recv()
		}
		wantCode(t, err, codes.Unauthenticated, "")
	}
	if r, err := grpc_health_v1.NewHealthClient(conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{}); err != nil || r.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
		t.Errorf("health: %v, %v", r, err)
	}
}

// strange is a router whose answers are scripted by functions, for what a real
// one does only when something is broken.
type strange struct {
	Router
	commit func(ctx context.Context, writes []shard.Write, id atoll.RequestID) (shard.CommitReply, error)
}

// Apply is what a subnet of an old semantics version answers.
func (s strange) Apply(context.Context, atoll.Database, []shard.Write, []atoll.RequestID, route.Caller) ([]shard.Applied, error) {
	return nil, atoll.Errorf(atoll.Unimplemented, "no such method")
}

func (s strange) Commit(ctx context.Context, _ atoll.Database, writes []shard.Write, id atoll.RequestID, _ route.Caller) (shard.CommitReply, error) {
	return s.commit(ctx, writes, id)
}

// counted returns what a counter has counted.
func counted(t *testing.T, c prometheus.Counter) float64 {
	t.Helper()
	var m dto.Metric
	if err := c.Write(&m); err != nil {
		t.Fatal(err)
	}
	return m.GetCounter().GetValue()
}

func TestAPanicIsAnError(t *testing.T) {
	reg := prometheus.NewRegistry()
	metrics := NewMetrics(reg)
	var told atomic.Int64
	addr, _ := listen(t, Options{Auth: Auth{Dev: true}, Metrics: metrics,
		Router:   strange{commit: func(context.Context, []shard.Write, atoll.RequestID) (shard.CommitReply, error) { panic("planted") }},
		Panicked: func(string, any, []byte) { told.Add(1) }})
	c := firestorepb.NewFirestoreClient(dial(t, addr))
	_, err := c.Commit(t.Context(), &firestorepb.CommitRequest{Database: dev.String(), Writes: []*firestorepb.Write{update(nil)}})
	wantCode(t, err, codes.Internal, "internal error")
	reply, err := c.BatchWrite(t.Context(), &firestorepb.BatchWriteRequest{Database: dev.String(), Writes: []*firestorepb.Write{update(nil)}})
	if err != nil || codes.Code(reply.GetStatus()[0].GetCode()) != codes.Internal {
		t.Errorf("in a batch: %v, %v", reply, err)
	}
	s, err := c.BatchGetDocuments(t.Context(), &firestorepb.BatchGetDocumentsRequest{Database: dev.String(), Documents: []string{docName}})
	if err == nil {
		_, err = s.Recv() // the router has no Each: a nil method
	}
	wantCode(t, err, codes.Internal, "internal error")
	if n := counted(t, metrics.panics); n != 3 || told.Load() != 3 {
		t.Errorf("%v panics counted, %d told; want 3", n, told.Load())
	}
}

func TestMetrics(t *testing.T) {
	reg := prometheus.NewRegistry()
	metrics := NewMetrics(reg)
	c := client(t, func(o *Options) { o.Metrics = metrics })
	create(t, c, "a", nil)
	_, err := c.GetDocument(t.Context(), &firestorepb.GetDocumentRequest{Name: docName})
	wantCode(t, err, codes.NotFound, "")
	if _, err := c.ListDocuments(t.Context(), &firestorepb.ListDocumentsRequest{Parent: devRoot, CollectionId: "c"}); err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string]float64{
		"creates":   counted(t, metrics.requests.WithLabelValues("CreateDocument", "OK")),
		"not found": counted(t, metrics.requests.WithLabelValues("GetDocument", "NotFound")),
		"writes":    counted(t, metrics.writes),
		"reads":     counted(t, metrics.reads),
	} {
		if got != 1 {
			t.Errorf("%s: counted %v, want 1", name, got)
		}
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "atoll_firestore_request_seconds" && len(f.GetMetric()) != 3 {
			t.Errorf("%d methods are timed; want 3", len(f.GetMetric()))
		}
	}
}

func TestLimitOfAMessage(t *testing.T) {
	c := client(t)
	sized := func(total int) *firestorepb.CommitRequest {
		req := &firestorepb.CommitRequest{Database: dev.String()}
		filler := strings.Repeat("x", 1_000_000)
		for i := 0; proto.Size(req) < total; i++ {
			w := &firestorepb.Write{Operation: &firestorepb.Write_Update{Update: &firestorepb.Document{
				Name: fmt.Sprintf("%s/c/%d", devRoot, i), Fields: pbFields{"s": pbString(filler)}}}}
			req.Writes = append(req.Writes, w)
		}
		s := req.Writes[len(req.Writes)-1].GetUpdate().GetFields()["s"]
		s.ValueType = &firestorepb.Value_StringValue{StringValue: filler[:len(filler)-(proto.Size(req)-total)]}
		for n := proto.Size(req); n != total; n = proto.Size(req) { // lengths of lengths
			s.ValueType = &firestorepb.Value_StringValue{StringValue: s.GetStringValue()[:len(s.GetStringValue())-(n-total)]}
		}
		return req
	}
	if _, err := c.Commit(t.Context(), sized(10<<20)); err != nil {
		t.Errorf("10 MiB: %v", err)
	}
	_, err := c.Commit(t.Context(), sized(10<<20+1))
	wantCode(t, err, codes.InvalidArgument, "10485761 bytes")
	_, err = c.Commit(t.Context(), sized(11<<20))
	wantCode(t, err, codes.InvalidArgument, "11534336 bytes")
	_, err = c.Commit(t.Context(), sized(11<<20+1))
	wantCode(t, err, codes.ResourceExhausted, "larger than max")
}

func TestLimitsOfCounts(t *testing.T) {
	reg := prometheus.NewRegistry()
	metrics := NewMetrics(reg)
	c := client(t, func(o *Options) { o.Metrics = metrics })
	deletes := func(n int) (out []*firestorepb.Write) {
		for i := range n {
			out = append(out, &firestorepb.Write{Operation: &firestorepb.Write_Delete{Delete: fmt.Sprintf("%s/c/%d", devRoot, i)}})
		}
		return out
	}
	commit := func(n int) error {
		_, err := c.Commit(t.Context(), &firestorepb.CommitRequest{Database: dev.String(), Writes: deletes(n)})
		return err
	}
	if err := commit(10_000); err != nil {
		t.Errorf("10,000 writes: %v", err)
	}
	wantCode(t, commit(10_001), codes.InvalidArgument, "10001 writes")
	_, err := c.BatchWrite(t.Context(), &firestorepb.BatchWriteRequest{Database: dev.String(), Writes: deletes(10_001)})
	wantCode(t, err, codes.InvalidArgument, "10001 writes")
	get := func(n int) (int, error) {
		req := &firestorepb.BatchGetDocumentsRequest{Database: dev.String()}
		for _, w := range deletes(n) {
			req.Documents = append(req.Documents, w.GetDelete())
		}
		s, err := c.BatchGetDocuments(t.Context(), req)
		got := 0
		for ; err == nil; got++ {
			_, err = s.Recv()
		}
		if errors.Is(err, io.EOF) {
			return got - 1, nil
		}
		return got - 1, err
	}
	if n, err := get(10_000); err != nil || n != 10_000 {
		t.Errorf("10,000 documents: got %d, %v", n, err)
	}
	_, err = get(10_001)
	wantCode(t, err, codes.InvalidArgument, "10001 documents")
	if w, d := counted(t, metrics.refused.WithLabelValues("writes")), counted(t, metrics.refused.WithLabelValues("documents")); w != 2 || d != 1 {
		t.Errorf("counted %v and %v refusals", w, d)
	}
}

func TestLimitOfParallelWritesInABatch(t *testing.T) {
	var now, most atomic.Int64
	var ids sync.Map
	addr, _ := listen(t, Options{Auth: Auth{Dev: true}, Limits: Limits{Parallel: 3}, Router: strange{commit: func(_ context.Context, _ []shard.Write, id atoll.RequestID) (shard.CommitReply, error) {
		if _, twice := ids.LoadOrStore(id, true); twice {
			t.Error("two writes have one request id")
		}
		n := now.Add(1)
		defer now.Add(-1)
		for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
		}
		time.Sleep(time.Millisecond)
		return shard.CommitReply{Results: make([]shard.WriteResult, 1)}, nil
	}}})
	req := &firestorepb.BatchWriteRequest{Database: dev.String()}
	for i := range 20 {
		req.Writes = append(req.Writes, &firestorepb.Write{Operation: &firestorepb.Write_Delete{Delete: fmt.Sprintf("%s/c/%d", devRoot, i)}})
	}
	reply, err := firestorepb.NewFirestoreClient(dial(t, addr)).BatchWrite(t.Context(), req)
	if err != nil || len(reply.GetStatus()) != 20 {
		t.Fatal(reply, err)
	}
	if most.Load() != 3 {
		t.Errorf("%d writes were under way at once; the limit is 3", most.Load())
	}
}

func TestLimitOfStreamsOnAConnection(t *testing.T) {
	entered, leave := make(chan struct{}, 10), make(chan struct{})
	addr, _ := listen(t, Options{Auth: Auth{Dev: true}, Limits: Limits{Streams: 2}, Router: strange{commit: func(context.Context, []shard.Write, atoll.RequestID) (shard.CommitReply, error) {
		entered <- struct{}{}
		<-leave
		return shard.CommitReply{Results: make([]shard.WriteResult, 1)}, nil
	}}})
	c := firestorepb.NewFirestoreClient(dial(t, addr))
	var all sync.WaitGroup
	call := func() {
		if _, err := c.Commit(t.Context(), &firestorepb.CommitRequest{Database: dev.String(), Writes: []*firestorepb.Write{update(nil)}}); err != nil {
			t.Error(err)
		}
	}
	all.Go(call) // the client learns the limit with the first answer of the server
	<-entered
	for range 3 {
		all.Go(call)
	}
	<-entered
	select {
	case <-entered:
		t.Error("three requests of one connection are under way; the limit is 2")
	case <-time.After(50 * time.Millisecond):
	}
	close(leave)
	all.Wait()
}

func TestDeadlines(t *testing.T) {
	left := make(chan time.Duration, 1)
	addr, _ := listen(t, Options{Auth: Auth{Dev: true}, Limits: Limits{Deadline: 200 * time.Millisecond}, Router: strange{commit: func(ctx context.Context, _ []shard.Write, _ atoll.RequestID) (shard.CommitReply, error) {
		end, _ := ctx.Deadline()
		left <- time.Until(end)
		<-ctx.Done()
		return shard.CommitReply{}, ctx.Err()
	}}})
	c := firestorepb.NewFirestoreClient(dial(t, addr))
	_, err := c.Commit(t.Context(), &firestorepb.CommitRequest{Database: dev.String(), Writes: []*firestorepb.Write{update(nil)}})
	wantCode(t, err, codes.DeadlineExceeded, "deadline")
	if d := <-left; d > 200*time.Millisecond {
		t.Errorf("a request without deadline has %s", d)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err = c.Commit(ctx, &firestorepb.CommitRequest{Database: dev.String(), Writes: []*firestorepb.Write{update(nil)}})
	wantCode(t, err, codes.DeadlineExceeded, "")
	if d := <-left; d > 100*time.Millisecond {
		t.Errorf("a request with a deadline of 100 ms has %s", d)
	}
}

func TestAnUnknownOutcomeIsNotRepeatedByClients(t *testing.T) {
	addr, _ := listen(t, Options{Auth: Auth{Dev: true}, Router: strange{commit: func(context.Context, []shard.Write, atoll.RequestID) (shard.CommitReply, error) {
		return shard.CommitReply{}, atoll.Errorf(atoll.Unknown, "the outcome is not known")
	}}})
	_, err := google(t, addr, "dev", "(default)").Doc("c/x").Set(t.Context(), map[string]any{"a": 1})
	wantCode(t, err, codes.Unknown, "not known")
}
