package firestore

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"atoll"
	"atoll/query"
)

type listRequest = firestorepb.ListDocumentsRequest

// listAll reads all pages of a list and returns the documents' paths.
func listAll(t *testing.T, c firestorepb.FirestoreClient, req *listRequest, between func()) (paths []string) {
	t.Helper()
	for {
		page, err := c.ListDocuments(t.Context(), req, grpc.MaxCallRecvMsgSize(16<<20))
		if err != nil {
			t.Fatalf("%v: %v", req, err)
		}
		for _, d := range page.GetDocuments() {
			paths = append(paths, strings.TrimPrefix(d.GetName(), devRoot+"/"))
		}
		if req.PageToken = page.GetNextPageToken(); req.PageToken == "" {
			return paths
		}
		if between != nil {
			between()
		}
	}
}

func TestListDocumentsInAnyOrder(t *testing.T) {
	c := client(t)
	for i, n := range []int64{3, 1, 2, 1, 3} {
		create(t, c, string(rune('a'+i)), pbFields{"n": pbInt(n), "x y": pbInt(-n)})
	}
	create(t, c, "without", pbFields{"m": pbInt(1)})
	if _, err := c.CreateDocument(t.Context(), &firestorepb.CreateDocumentRequest{Parent: devRoot + "/c/a", CollectionId: "sub", DocumentId: "s"}); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ collection, order, want string }{
		{"c", "", "c/a c/b c/c c/d c/e c/without"},
		{"c", "__name__ desc", "c/without c/e c/d c/c c/b c/a"},
		{"c", "n", "c/b c/d c/c c/a c/e"},
		{"c", "n, __name__ desc", "c/d c/b c/c c/e c/a"},
		{"c", "n DESC", "c/e c/a c/c c/d c/b"},
		{"c", " `x y`  asc,n,__name__ asc ", "c/a c/e c/c c/b c/d"},
		{"c", "m desc", "c/without"},
		{"c", "asc", ""},
		{"", "", "c/a c/a/sub/s c/b c/c c/d c/e c/without"},
		{"", "__name__ desc", "c/without c/e c/d c/c c/b c/a/sub/s c/a"},
	} {
		for size := range int32(4) {
			got := strings.Join(listAll(t, c, &listRequest{Parent: devRoot, CollectionId: test.collection, OrderBy: test.order, PageSize: size}, nil), " ")
			if got != test.want {
				t.Errorf("%q by %q in pages of %d: got %s, want %s", test.collection, test.order, size, got, test.want)
			}
		}
	}
}

// TestOrderedPagesAreOfOneTime changes documents between the pages of a list:
// the one that the next page starts behind is gone, another one moves.
func TestOrderedPagesAreOfOneTime(t *testing.T) {
	c := client(t)
	for i := range 6 {
		create(t, c, fmt.Sprint("d", i), pbFields{"n": pbInt(int64(i))})
	}
	next := 0
	got := listAll(t, c, &listRequest{Parent: devRoot, CollectionId: "c", OrderBy: "n", PageSize: 2}, func() {
		_, err := c.DeleteDocument(t.Context(), &firestorepb.DeleteDocumentRequest{Name: fmt.Sprint(devRoot, "/c/d", next+1)})
		if err == nil {
			_, err = c.UpdateDocument(t.Context(), &firestorepb.UpdateDocumentRequest{Document: &firestorepb.Document{Name: devRoot + "/c/d5", Fields: pbFields{"n": pbInt(-1)}}})
		}
		if err != nil {
			t.Fatal(err)
		}
		next += 2
	})
	if want := []string{"c/d0", "c/d1", "c/d2", "c/d3", "c/d4", "c/d5"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestLargeDocumentsMakeShortPages lists documents in an order until their size
// ends the page.
func TestLargeDocumentsMakeShortPages(t *testing.T) {
	c := client(t)
	filler := strings.Repeat("x", 900_000)
	var want []string
	for i := range 7 {
		create(t, c, fmt.Sprint("d", i), pbFields{"n": pbInt(int64(i)), "s": pbString(filler)})
		want = append(want, fmt.Sprint("c/d", i))
	}
	pages := 1
	got := listAll(t, c, &listRequest{Parent: devRoot, CollectionId: "c", OrderBy: "n"}, func() { pages++ })
	if !slices.Equal(got, want) || pages != 2 {
		t.Errorf("got %v on %d pages; want %v on 2", got, pages, want)
	}
}

// TestListsInTransactions commits what followed from a list: not if the list
// would be another one by then.
func TestListsInTransactions(t *testing.T) {
	for _, test := range []struct {
		name, order string
		page        int32
		change      func(*testing.T, firestorepb.FirestoreClient)
		conflict    bool
	}{
		{"nothing", "", 0, nil, false},
		{"nothing in an order", "n desc", 0, nil, false},
		{"a new document", "", 0, func(t *testing.T, c firestorepb.FirestoreClient) { create(t, c, "z", pbFields{"n": pbInt(1)}) }, true},
		{"a new one behind the page", "", 2, func(t *testing.T, c firestorepb.FirestoreClient) { create(t, c, "z", pbFields{"n": pbInt(1)}) }, false},
		{"a new one on the page", "n desc", 2, func(t *testing.T, c firestorepb.FirestoreClient) { create(t, c, "z", pbFields{"n": pbInt(9)}) }, true},
		{"another collection", "n", 0, func(t *testing.T, c firestorepb.FirestoreClient) {
			if _, err := c.CreateDocument(t.Context(), &firestorepb.CreateDocumentRequest{Parent: devRoot, CollectionId: "d", DocumentId: "z"}); err != nil {
				t.Fatal(err)
			}
		}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := client(t)
			for i := range 4 {
				create(t, c, fmt.Sprint("d", i), pbFields{"n": pbInt(int64(i))})
			}
			begun, err := c.BeginTransaction(t.Context(), &firestorepb.BeginTransactionRequest{Database: dev.String()})
			if err != nil {
				t.Fatal(err)
			}
			tx := begun.GetTransaction()
			page, err := c.ListDocuments(t.Context(), &listRequest{Parent: devRoot, CollectionId: "c", OrderBy: test.order, PageSize: test.page,
				ConsistencySelector: &firestorepb.ListDocumentsRequest_Transaction{Transaction: tx}})
			if err != nil || len(page.GetDocuments()) < 2 {
				t.Fatal(page, err)
			}
			if test.change != nil {
				test.change(t, c)
			}
			err = commitTx(c, t.Context(), tx, &firestorepb.Write{Operation: &firestorepb.Write_Delete{Delete: devRoot + "/e/x"}})
			if test.conflict {
				wantCode(t, err, codes.Aborted, "")
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

// TestListsInReadOnlyTransactions reads the time of the transaction, missing
// documents included.
func TestListsInReadOnlyTransactions(t *testing.T) {
	c := client(t)
	create(t, c, "a", nil)
	if _, err := c.CreateDocument(t.Context(), &firestorepb.CreateDocumentRequest{Parent: devRoot + "/c/gone", CollectionId: "sub", DocumentId: "s"}); err != nil {
		t.Fatal(err)
	}
	begin := func(o *txOptions) *firestorepb.ListDocumentsRequest_Transaction {
		begun, err := c.BeginTransaction(t.Context(), &firestorepb.BeginTransactionRequest{Database: dev.String(), Options: o})
		if err != nil {
			t.Fatal(err)
		}
		return &firestorepb.ListDocumentsRequest_Transaction{Transaction: begun.GetTransaction()}
	}
	readOnly := begin(&txOptions{Mode: &firestorepb.TransactionOptions_ReadOnly_{ReadOnly: &firestorepb.TransactionOptions_ReadOnly{}}})
	for range 2 {
		got := listAll(t, c, &listRequest{Parent: devRoot, CollectionId: "c", ShowMissing: true, ConsistencySelector: readOnly}, nil)
		if want := []string{"c/a", "c/gone"}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		create(t, c, "", nil) // the transaction does not see it
	}
	_, err := c.ListDocuments(t.Context(), &listRequest{Parent: devRoot, CollectionId: "c", ShowMissing: true, ConsistencySelector: begin(nil)})
	wantCode(t, err, codes.InvalidArgument, "show_missing")
	_, err = c.ListDocuments(t.Context(), &listRequest{Parent: devRoot, CollectionId: "c", ConsistencySelector: &firestorepb.ListDocumentsRequest_Transaction{Transaction: []byte("unknown")}})
	wantCode(t, err, codes.InvalidArgument, "transaction")
}

func FuzzOrderBy(f *testing.F) {
	for _, text := range []string{"", "a", "a desc, `b , c` asc,__name__", "`a\\`,b` DESC", ",", "` "} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		q := query.Query{Collection: "c"}
		var err error
		if q.Order, err = toOrder(text); err == nil {
			_, err = query.Normalize(q, dev)
		}
		if err != nil && atoll.KindOf(err) != atoll.Invalid {
			t.Errorf("%q: %v is not Invalid", text, err)
		}
	})
}
