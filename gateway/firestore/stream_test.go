package firestore

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"atoll"
	"atoll/host"
	"atoll/program/shard"
	"atoll/query"
	"atoll/route"
)

// followed is a router that tells how far a query has come.
type followed struct {
	Router
	delivered atomic.Int64
	ended     chan error
}

func (w *followed) Query(ctx context.Context, db atoll.Database, q query.Query, o route.QueryOptions, who route.Caller, each func(atoll.Time, *shard.Found) error) (route.QueryResult, error) {
	result, err := w.Router.Query(ctx, db, q, o, who, func(at atoll.Time, f *shard.Found) error {
		w.delivered.Add(1)
		return each(at, f)
	})
	w.ended <- err
	return result, err
}

// TestAClientThatDoesNotRead asks for 60 MB and reads one document of them. The
// query waits with a page in memory, others are served, and when the request's
// time is over it ends though the client is still there.
func TestAClientThatDoesNotRead(t *testing.T) {
	h, err := host.Start(host.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	const documents, size = 60, 1_000_000
	w := &followed{Router: h.Router, ended: make(chan error, 1)}
	addr, _ := listen(t, Options{Router: w, Auth: Auth{Dev: true}, Limits: Limits{Deadline: 3 * time.Second}})
	c := firestorepb.NewFirestoreClient(dial(t, addr, grpc.WithInitialWindowSize(64<<10), grpc.WithInitialConnWindowSize(64<<10)))
	filler := pbFields{"s": pbString(strings.Repeat("x", size))}
	for i := range documents {
		create(t, c, fmt.Sprintf("d%02d", i), filler)
	}
	before := liveBytes()
	s, err := c.RunQuery(t.Context(), &firestorepb.RunQueryRequest{Parent: devRoot, QueryType: &firestorepb.RunQueryRequest_StructuredQuery{
		StructuredQuery: &firestorepb.StructuredQuery{From: []*firestorepb.StructuredQuery_CollectionSelector{{CollectionId: "c"}}}}})
	if err == nil {
		_, err = s.Recv()
	}
	if err != nil {
		t.Fatal(err)
	}
	create(t, c, "other", nil) // on the same connection
	if grown := liveBytes() - before; grown > 4*shard.MaxReplyBytes {
		t.Errorf("%d MB are held for a client that does not read", grown>>20)
	}
	select {
	case err := <-w.ended:
		if err == nil {
			t.Error("the query went on to its end")
		}
	case <-time.After(time.Minute):
		t.Fatal("the query waits for ever")
	}
	if n := w.delivered.Load(); n > 10 {
		t.Errorf("%d documents were sent to a client that reads one", n)
	}
	for err == nil { // what was on its way, and then the reason
		_, err = s.Recv()
	}
	wantCode(t, err, codes.DeadlineExceeded, "")
}

// liveBytes is what is reachable in memory.
func liveBytes() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestASlowClientGetsAll reads a large answer with pauses.
func TestASlowClientGetsAll(t *testing.T) {
	c := client(t)
	filler := pbFields{"s": pbString(strings.Repeat("x", 100_000))}
	for i := range 30 {
		create(t, c, fmt.Sprintf("d%02d", i), filler)
	}
	s, err := c.RunQuery(t.Context(), &firestorepb.RunQueryRequest{Parent: devRoot, QueryType: &firestorepb.RunQueryRequest_StructuredQuery{
		StructuredQuery: &firestorepb.StructuredQuery{From: []*firestorepb.StructuredQuery_CollectionSelector{{CollectionId: "c"}}}}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 30 {
		reply, err := s.Recv()
		if want := fmt.Sprintf("%s/c/d%02d", devRoot, i); err != nil || reply.GetDocument().GetName() != want {
			t.Fatalf("got %s, %v; want %s", reply.GetDocument().GetName(), err, want)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
