package firestore

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	gofirestore "cloud.google.com/go/firestore"
	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/api/iterator"
	"google.golang.org/genproto/googleapis/type/latlng"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"atoll/host"
)

// start serves a new installation, in memory, on a loopback port.
func start(t testing.TB, edit ...func(*Options)) (addr string, s *Service) {
	t.Helper()
	h, err := host.Start(host.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	o := Options{Router: h.Router, Auth: Auth{Dev: true}}
	for _, e := range edit {
		e(&o)
	}
	return listen(t, o)
}

// listen serves on a loopback port.
func listen(t testing.TB, o Options) (addr string, s *Service) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s = New(o)
	g := s.Server()
	done := make(chan error, 1)
	go func() { done <- g.Serve(l) }()
	t.Cleanup(func() {
		g.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String(), s
}

// dial connects without Google's client.
func dial(t testing.TB, addr string, more ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	c, err := grpc.NewClient(addr, append(more, grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// google returns Google's own client.
func google(t *testing.T, addr, project, database string) *gofirestore.Client {
	t.Helper()
	t.Setenv("FIRESTORE_EMULATOR_HOST", addr)
	c, err := gofirestore.NewClientWithDatabase(context.Background(), project, database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func wantCode(t *testing.T, err error, code codes.Code, contains string) {
	t.Helper()
	if status.Code(err) != code || !strings.Contains(fmt.Sprint(err), contains) {
		t.Errorf("got %v; want %s with %q", err, code, contains)
	}
}

func must(t *testing.T) func(*gofirestore.WriteResult, error) *gofirestore.WriteResult {
	return func(r *gofirestore.WriteResult, err error) *gofirestore.WriteResult {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
}

func data(t *testing.T, d *gofirestore.DocumentRef) map[string]any {
	t.Helper()
	s, err := d.Get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s.Data()
}

func TestGooglesClientEveryType(t *testing.T) {
	addr, _ := start(t)
	c := google(t, addr, "types", "(default)")
	ref := c.Doc("c/x")
	in := map[string]any{
		"nil": nil, "bool": true, "int": int64(math.MinInt64), "double": 1.25, "inf": math.Inf(1),
		"time": time.Date(2024, 5, 6, 7, 8, 9, 123456000, time.UTC), "string": "grüße", "bytes": []byte{0, 255},
		"ref": c.Doc("c/y"), "geo": &latlng.LatLng{Latitude: 1.5, Longitude: -2.5},
		"array": []any{int64(1), "two", map[string]any{"three": 3.0}}, "vector": gofirestore.Vector64{1, 2.5},
		"map": map[string]any{"a.b": map[string]any{"": int64(1)}}, "empty": []any{}, "none": map[string]any{},
	}
	w := must(t)(ref.Create(t.Context(), in))
	got, err := ref.Get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	same := cmp.Comparer(func(a, b *gofirestore.DocumentRef) bool { return a.Path == b.Path })
	if diff := cmp.Diff(in, got.Data(), same, cmp.Comparer(func(a, b *latlng.LatLng) bool { return a.Latitude == b.Latitude && a.Longitude == b.Longitude })); diff != "" {
		t.Errorf("read back with differences (-want +got):\n%s", diff)
	}
	if !got.CreateTime.Equal(w.UpdateTime) || !got.UpdateTime.Equal(w.UpdateTime) {
		t.Errorf("created %s, updated %s; written %s", got.CreateTime, got.UpdateTime, w.UpdateTime)
	}
}

func TestGooglesClientWrites(t *testing.T) {
	addr, _ := start(t)
	c := google(t, addr, "writes", "(default)")
	ctx := t.Context()
	ref := c.Doc("c/x")

	_, err := ref.Get(ctx)
	wantCode(t, err, codes.NotFound, "")
	_, err = ref.Update(ctx, []gofirestore.Update{{Path: "a", Value: 1}})
	wantCode(t, err, codes.NotFound, "No document to update: projects/writes/databases/(default)/documents/c/x")

	first := must(t)(ref.Create(ctx, map[string]any{"a": 1, "n": map[string]any{"b": 2, "c": 3}}))
	_, err = ref.Create(ctx, map[string]any{"a": 2})
	wantCode(t, err, codes.AlreadyExists, "Document already exists: projects/writes/databases/(default)/documents/c/x")

	must(t)(ref.Update(ctx, []gofirestore.Update{{Path: "n.b", Value: gofirestore.Delete}, {FieldPath: []string{"x y"}, Value: "z"}}))
	must(t)(ref.Set(ctx, map[string]any{"m": true}, gofirestore.MergeAll))
	want := map[string]any{"a": int64(1), "n": map[string]any{"c": int64(3)}, "x y": "z", "m": true}
	if got := data(t, ref); !cmp.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	_, err = ref.Update(ctx, []gofirestore.Update{{Path: "a", Value: 5}}, gofirestore.LastUpdateTime(first.UpdateTime))
	wantCode(t, err, codes.FailedPrecondition, "")
	_, err = ref.Delete(ctx, gofirestore.LastUpdateTime(first.UpdateTime))
	wantCode(t, err, codes.FailedPrecondition, "")

	last := must(t)(ref.Set(ctx, map[string]any{"only": "this"}))
	again := must(t)(ref.Set(ctx, map[string]any{"only": "this"}))
	if !again.UpdateTime.Equal(last.UpdateTime) {
		t.Error("a write that changes nothing must keep the update time")
	}
	must(t)(ref.Delete(ctx, gofirestore.Exists))
	_, err = ref.Delete(ctx, gofirestore.Exists)
	wantCode(t, err, codes.NotFound, "")
	must(t)(ref.Delete(ctx))
	_, err = ref.Set(ctx, map[string]any{"__bad__": 1})
	wantCode(t, err, codes.InvalidArgument, "__bad__")
	_, err = ref.Set(ctx, map[string]any{"deep": map[string]any{"a": []any{[]any{1}}}})
	wantCode(t, err, codes.InvalidArgument, "deep.a")
}

func TestGooglesClientTransforms(t *testing.T) {
	addr, _ := start(t)
	c := google(t, addr, "transforms", "(default)")
	ctx := t.Context()
	ref := c.Doc("c/x")
	must(t)(ref.Create(ctx, map[string]any{"n": 5, "list": []any{1, 2, 3}, "max": 7, "min": 7}))
	w := must(t)(ref.Update(ctx, []gofirestore.Update{
		{Path: "n", Value: gofirestore.Increment(2.5)},
		{Path: "list", Value: gofirestore.ArrayUnion(3, 4)},
		{Path: "max", Value: gofirestore.FieldTransformMaximum(9)},
		{Path: "min", Value: gofirestore.FieldTransformMinimum(9)},
		{Path: "at", Value: gofirestore.ServerTimestamp},
		{Path: "new.count", Value: gofirestore.Increment(1)},
	}))
	must(t)(ref.Update(ctx, []gofirestore.Update{{Path: "list", Value: gofirestore.ArrayRemove(1)}}))
	got := data(t, ref)
	at, _ := got["at"].(time.Time)
	if !at.Equal(w.UpdateTime) {
		t.Errorf("the server's time is %v, the commit's %v", got["at"], w.UpdateTime)
	}
	delete(got, "at")
	want := map[string]any{"n": 7.5, "list": []any{int64(2), int64(3), int64(4)}, "max": int64(9), "min": int64(7), "new": map[string]any{"count": int64(1)}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("after transforms (-want +got):\n%s", diff)
	}
}

// batch returns a batch that is committed as one, without a transaction.
//
//lint:ignore SA1019 applications still use it, and nothing else commits several writes outside of a transaction
func batch(c *gofirestore.Client) *gofirestore.WriteBatch { return c.Batch() }

func TestGooglesClientBatches(t *testing.T) {
	addr, _ := start(t)
	c := google(t, addr, "batches", "other")
	ctx := t.Context()
	b := batch(c).Create(c.Doc("c/a"), map[string]any{"n": 1}).Set(c.Doc("c/b"), map[string]any{"n": 2}).Delete(c.Doc("c/none"))
	results, err := b.Commit(ctx)
	if err != nil || len(results) != 3 || !results[0].UpdateTime.Equal(results[1].UpdateTime) {
		t.Fatalf("got %v, %v", results, err)
	}
	_, err = batch(c).Set(c.Doc("c/b"), map[string]any{"n": 3}).Create(c.Doc("c/a"), map[string]any{}).Commit(ctx)
	wantCode(t, err, codes.AlreadyExists, "c/a")
	docs, err := c.GetAll(ctx, []*gofirestore.DocumentRef{c.Doc("c/b"), c.Doc("c/none"), c.Doc("c/a")})
	if err != nil || docs[0].Data()["n"] != int64(2) || docs[1].Exists() || docs[2].Data()["n"] != int64(1) {
		t.Errorf("got %v, %v; a failed batch must change nothing", docs, err)
	}

	bulk := c.BulkWriter(ctx)
	var jobs []*gofirestore.BulkWriterJob
	for i := range 50 {
		j, err := bulk.Create(c.Doc(fmt.Sprintf("bulk/%02d", i)), map[string]any{"i": i})
		if err != nil {
			t.Fatal(err)
		}
		jobs = append(jobs, j)
	}
	bulk.End()
	for i, j := range jobs {
		if _, err := j.Results(); err != nil {
			t.Errorf("bulk write %d: %v", i, err)
		}
	}
	if got := data(t, c.Doc("bulk/49")); got["i"] != int64(49) {
		t.Errorf("got %v", got)
	}
}

func TestGooglesClientLists(t *testing.T) {
	addr, _ := start(t)
	c := google(t, addr, "lists", "(default)")
	ctx := t.Context()
	b := batch(c)
	for _, p := range []string{"c/a", "c/b", "c/b/s2/x", "c/b/s1/x", "c/gone/sub/x", "d/x", "c/__id7__", "c/__id-1__"} {
		b.Set(c.Doc(p), map[string]any{"p": p})
	}
	if _, err := b.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	var got []string
	for it := c.Collection("c").DocumentRefs(ctx); ; {
		d, err := it.Next()
		if errors.Is(err, iterator.Done) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, d.ID)
	}
	if want := []string{"__id-1__", "__id7__", "a", "b", "gone"}; !slices.Equal(got, want) {
		t.Errorf("listed %v, want %v", got, want)
	}
	for parent, want := range map[string][]string{"": {"c", "d"}, "c/b": {"s1", "s2"}, "c/gone": {"sub"}, "c/a": nil} {
		it := c.Collections(ctx)
		if parent != "" {
			it = c.Doc(parent).Collections(ctx)
		}
		all, err := it.GetAll()
		var ids []string
		for _, col := range all {
			ids = append(ids, col.ID)
		}
		if err != nil || !slices.Equal(ids, want) {
			t.Errorf("collections below %q: got %v, %v; want %v", parent, ids, err, want)
		}
	}
}

func TestGooglesClientReadsThePast(t *testing.T) {
	addr, _ := start(t)
	c := google(t, addr, "past", "(default)")
	ctx := t.Context()
	ref := c.Doc("c/x")
	first := must(t)(ref.Set(ctx, map[string]any{"n": 1}))
	must(t)(ref.Set(ctx, map[string]any{"n": 2}))
	old, err := ref.WithReadOptions(gofirestore.ReadTime(first.UpdateTime)).Get(ctx)
	if err != nil || old.Data()["n"] != int64(1) {
		t.Errorf("got %v, %v; want the first version", old.Data(), err)
	}
	_, err = ref.WithReadOptions(gofirestore.ReadTime(time.Now().Add(time.Hour))).Get(ctx)
	wantCode(t, err, codes.InvalidArgument, "")
	for _, early := range []time.Time{time.Unix(0, 0), time.Unix(-5, 0)} {
		_, err = ref.WithReadOptions(gofirestore.ReadTime(early)).Get(ctx)
		wantCode(t, err, codes.FailedPrecondition, "")
	}
}

func TestDatabasesAreApart(t *testing.T) {
	addr, _ := start(t)
	a, b := google(t, addr, "one", "(default)"), google(t, addr, "two", "(default)")
	other := google(t, addr, "one", "other")
	must(t)(a.Doc("c/x").Create(t.Context(), map[string]any{"in": "one"}))
	for _, c := range []*gofirestore.Client{b, other} {
		_, err := c.Doc("c/x").Get(t.Context())
		wantCode(t, err, codes.NotFound, "")
	}
	must(t)(b.Doc("c/x").Create(t.Context(), map[string]any{"in": "two"}))
	if got := data(t, a.Doc("c/x")); got["in"] != "one" {
		t.Errorf("got %v", got)
	}
}

func TestWhatIsNotThereYetSaysSo(t *testing.T) {
	addr, _ := start(t)
	raw := firestorepb.NewFirestoreClient(dial(t, addr))
	l, err := raw.Listen(t.Context())
	if err == nil {
		_, err = l.Recv()
	}
	wantCode(t, err, codes.Unimplemented, "0.4")
	s, err := raw.ExecutePipeline(t.Context(), &firestorepb.ExecutePipelineRequest{Database: dev.String()})
	if err == nil {
		_, err = s.Recv()
	}
	wantCode(t, err, codes.Unimplemented, "pipeline")
}
