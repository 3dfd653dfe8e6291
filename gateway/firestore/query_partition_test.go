package firestore

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"atoll"
	"atoll/host"
	"atoll/program/shard"
	"atoll/query"
	"atoll/route"
)

type (
	partitionRequest = firestorepb.PartitionQueryRequest
	partitionOf      = firestorepb.PartitionQueryRequest_StructuredQuery
)

// counting is a router that counts what each query hands over.
type counting struct {
	Router
	found []int
}

func (c *counting) Query(ctx context.Context, db atoll.Database, q query.Query, o route.QueryOptions, who route.Caller, each func(atoll.Time, *shard.Found) error) (route.QueryResult, error) {
	c.found = append(c.found, 0)
	return c.Router.Query(ctx, db, q, o, who, func(at atoll.Time, f *shard.Found) error {
		c.found[len(c.found)-1]++
		return each(at, f)
	})
}

// group serves a collection group of n documents below several parents.
func group(t *testing.T, n int, l Limits) (firestorepb.FirestoreClient, *counting, []string) {
	t.Helper()
	h, err := host.Start(host.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	router := &counting{Router: h.Router}
	addr, _ := listen(t, Options{Router: router, Auth: Auth{Dev: true}, Limits: l})
	c := firestorepb.NewFirestoreClient(dial(t, addr))
	var names []string
	var writes []*firestorepb.Write
	for i := range n {
		name := fmt.Sprintf("%s/p/%d/c/d%05d", devRoot, i*3/max(n, 1), i)
		names = append(names, name)
		writes = append(writes, &firestorepb.Write{Operation: &firestorepb.Write_Update{Update: &firestorepb.Document{Name: name}}})
	}
	if _, err := c.Commit(t.Context(), &firestorepb.CommitRequest{Database: dev.String(), Writes: writes}); err != nil {
		t.Fatal(err)
	}
	return c, router, names
}

func wholeGroup() *partitionOf {
	return &partitionOf{StructuredQuery: &firestorepb.StructuredQuery{
		From:    []*firestorepb.StructuredQuery_CollectionSelector{{CollectionId: "c", AllDescendants: true}},
		OrderBy: []*firestorepb.StructuredQuery_Order{{Field: fieldOf("__name__"), Direction: firestorepb.StructuredQuery_ASCENDING}},
	}}
}

// cutAll reads all pages of a PartitionQuery.
func cutAll(t *testing.T, c firestorepb.FirestoreClient, count int64, size int32, between func()) (cuts []string) {
	t.Helper()
	req := &partitionRequest{Parent: devRoot, PartitionCount: count, PageSize: size, QueryType: wholeGroup()}
	for {
		page, err := c.PartitionQuery(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(page.GetPartitions()); size > 0 && n > int(size) {
			t.Errorf("a page of %d partitions; %d were asked for", n, size)
		}
		for _, p := range page.GetPartitions() {
			if len(p.GetValues()) != 1 || !p.GetBefore() {
				t.Errorf("the cursor is %v", p)
			}
			cuts = append(cuts, p.GetValues()[0].GetReferenceValue())
		}
		if req.PageToken = page.GetNextPageToken(); req.PageToken == "" {
			return cuts
		}
		if between != nil {
			between()
		}
	}
}

// even fails unless cuts split names into parts whose sizes differ by at most
// one.
func even(t *testing.T, what string, names, cuts []string, parts int) {
	t.Helper()
	least, most, from := len(names), 0, 0
	for _, cut := range append(slices.Clone(cuts), "") {
		to := slices.Index(names, cut)
		if cut == "" {
			to = len(names)
		}
		if to < from {
			t.Fatalf("%s: %q is no name behind the cut before", what, cut)
		}
		least, most, from = min(least, to-from), max(most, to-from), to
	}
	if len(cuts) != parts-1 || most-least > 1 {
		t.Errorf("%s: %d cuts, parts of %d to %d names; want %d even parts", what, len(cuts), least, most, parts)
	}
}

func TestPartitionQuery(t *testing.T) {
	for _, limit := range []int{0, 1000, 999, 150, 7} {
		c, router, names := group(t, 1000, Limits{PartitionNames: limit})
		for _, test := range []struct {
			count int64
			size  int32
			parts int
		}{{1, 0, 1}, {2, 0, 2}, {3, 1, 3}, {7, 0, 7}, {7, 3, 7}, {100, 0, 8}, {1 << 40, 2, 8}} {
			router.found = nil
			cuts := cutAll(t, c, test.count, test.size, nil)
			even(t, fmt.Sprintf("%d names a page, %+v", limit, test), names, cuts, test.parts)
			if most := slices.Max(router.found); limit > 0 && most > limit {
				t.Errorf("%d names a page: one query read %d", limit, most)
			}
		}
	}
}

func TestPartitionsOfFew(t *testing.T) {
	for n, parts := range map[int]int{0: 1, 1: 1, 128: 1, 129: 2} {
		c, _, names := group(t, n, Limits{})
		even(t, fmt.Sprint(n, " documents"), names, cutAll(t, c, 10, 0, nil), parts)
	}
}

// TestPartitionsAreOfOneTime adds documents in front between the pages.
func TestPartitionsAreOfOneTime(t *testing.T) {
	c, _, names := group(t, 500, Limits{PartitionNames: 100})
	added := 0
	cuts := cutAll(t, c, 3, 0, func() {
		for range 5 {
			if _, err := c.CreateDocument(t.Context(), &firestorepb.CreateDocumentRequest{Parent: devRoot + "/a/a", CollectionId: "c"}); err != nil {
				t.Fatal(err)
			}
			added++
		}
	})
	even(t, "while documents are added", names, cuts, 3)
	if added < 40 {
		t.Errorf("%d documents were added; 500 names, and most of them again, take more pages of 100", added)
	}
}

func TestPartitionsThatAreRefused(t *testing.T) {
	c, _, _ := group(t, 300, Limits{PartitionNames: 100})
	good := &partitionRequest{Parent: devRoot, PartitionCount: 2, QueryType: wholeGroup()}
	page, err := c.PartitionQuery(t.Context(), good)
	if err != nil || page.GetNextPageToken() == "" {
		t.Fatal(page, err)
	}
	for name, edit := range map[string]func(*partitionRequest, *firestorepb.StructuredQuery){
		"none":            func(r *partitionRequest, _ *firestorepb.StructuredQuery) { r.PartitionCount = 0 },
		"a negative page": func(r *partitionRequest, _ *firestorepb.StructuredQuery) { r.PageSize = -1 },
		"one collection":  func(_ *partitionRequest, q *firestorepb.StructuredQuery) { q.From[0].AllDescendants = false },
		"a limit":         func(_ *partitionRequest, q *firestorepb.StructuredQuery) { q.Limit = wrapperspb.Int32(0) },
		"an offset":       func(_ *partitionRequest, q *firestorepb.StructuredQuery) { q.Offset = 1 },
		"another order":   func(_ *partitionRequest, q *firestorepb.StructuredQuery) { q.OrderBy[0].Field = fieldOf("a") },
		"descending":      func(_ *partitionRequest, q *firestorepb.StructuredQuery) { q.OrderBy[0].Direction = 2 },
		"another's token": func(r *partitionRequest, _ *firestorepb.StructuredQuery) {
			r.PartitionCount, r.PageToken = 3, page.GetNextPageToken()
		},
		"a damaged token":      func(r *partitionRequest, _ *firestorepb.StructuredQuery) { r.PageToken = page.GetNextPageToken() + "A" },
		"no query":             func(r *partitionRequest, _ *firestorepb.StructuredQuery) { r.QueryType = nil },
		"below a non-document": func(r *partitionRequest, _ *firestorepb.StructuredQuery) { r.Parent += "/c" },
	} {
		req := proto.Clone(good).(*partitionRequest)
		edit(req, req.GetStructuredQuery())
		if _, err := c.PartitionQuery(t.Context(), req); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: got %v; want InvalidArgument", name, err)
		}
	}
}

// FuzzPlaces reads the places in page tokens, whose hash is no secret.
func FuzzPlaces(f *testing.F) {
	for _, place := range []string{"1 c/x", "5 0 7/c/x", "5 9 0/", "-1 0 0/", "1 1 1/c", "x", "1  c/ "} {
		f.Add(place)
	}
	f.Fuzz(func(t *testing.T, place string) {
		shape := pageShape{method: "m"}
		token := shape.token(place)
		at, last, err := listPlace(&shape, token)
		if err == nil && place != "" && (at <= 0 || last.Check() != nil || !strings.HasSuffix(place, string(last))) {
			t.Errorf("%q of a list is taken for %d and %q", place, at, last)
		}
		var p partitionPlace
		bad := p.read(&shape, token)
		if bad == nil && place != "" {
			var again partitionPlace
			if err := again.read(&shape, shape.token(p.String())); err != nil || again != p {
				t.Errorf("%q is taken for %+v, and that for %+v, %v", place, p, again, err)
			}
		}
		for _, err := range []error{err, bad} {
			if err != nil && atoll.KindOf(err) != atoll.Invalid {
				t.Errorf("%q: %v is not Invalid", place, err)
			}
		}
	})
}
