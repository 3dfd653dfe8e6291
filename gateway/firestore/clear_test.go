package firestore

import (
	"fmt"
	"testing"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc/codes"

	"atoll"
)

func TestClear(t *testing.T) {
	addr, s := start(t)
	c := firestorepb.NewFirestoreClient(dial(t, addr))
	other := google(t, addr, "dev", "other")
	must(t)(other.Doc("c/kept").Create(t.Context(), map[string]any{"a": 1}))
	for i := range 2*clearBatch + 1 {
		create(t, c, fmt.Sprint("d", i), pbFields{"n": pbInt(int64(i))})
	}
	if _, err := c.CreateDocument(t.Context(), &firestorepb.CreateDocumentRequest{Parent: devRoot + "/c/none", CollectionId: "sub", DocumentId: "s"}); err != nil {
		t.Fatal(err)
	}
	if err := s.Clear(t.Context(), "Basic x", dev); atoll.KindOf(err) != atoll.Unauthenticated {
		t.Errorf("for nobody known: %v; want Unauthenticated", err)
	}
	if err := s.Clear(t.Context(), "Bearer owner", atoll.Database{Project: "a/b", ID: "x"}); atoll.KindOf(err) != atoll.Invalid {
		t.Errorf("of no database: %v; want Invalid", err)
	}
	for range 2 { // the second one has nothing to do
		if err := s.Clear(t.Context(), "Bearer owner", dev); err != nil {
			t.Fatal(err)
		}
		if left := listAll(t, c, &listRequest{Parent: devRoot}, nil); len(left) > 0 {
			t.Errorf("%v are left", left)
		}
	}
	if got := data(t, other.Doc("c/kept")); got["a"] != int64(1) {
		t.Errorf("the other database has %v", got)
	}
	create(t, c, "d0", nil) // the name is free
}

// TestOnlyDevelopmentClears asks a service that is not for development, with
// what opens the others.
func TestOnlyDevelopmentClears(t *testing.T) {
	for _, auth := range []Auth{{}, {Guard: &Guard{}}} {
		s := New(Options{Auth: auth})
		for _, authorization := range []string{"", "Bearer owner"} {
			wantCode(t, statusOf(s.Clear(t.Context(), authorization, dev)).Err(), codes.PermissionDenied, "development")
		}
	}
}
