package main

import (
	"fmt"
	"testing"

	"atoll"
	"atoll/route"
	"atoll/transfer"
	"atoll/value"
)

// TestImportNamesMalformedDocuments sends a batch of which the node refuses some
// documents as malformed, and with them the whole request. The others must be
// there, once, and those be named.
func TestImportNamesMalformedDocuments(t *testing.T) {
	addr, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	node(t, t.TempDir(), addr)
	to := target{connection: connection{addr: addr}, project: "demo", database: atoll.DefaultDatabase}
	c, err := to.dial()
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	b := transfer.Batch{ID: route.NewRequestID()}
	for i := range 11 {
		name := "n"
		if i == 3 || i == 10 {
			name = "__n__" // reserved: package transfer lets none pass
		}
		doc := value.Map(value.Field{Name: name, Value: value.Int(int64(i))})
		b.Documents = append(b.Documents, transfer.Document{Path: atoll.Path(fmt.Sprint("c/", i)), Fields: doc})
	}
	for range 2 { // the second time changes nothing: it has the same ids
		errs, err := c.apply(t.Context(), b, true)
		if err != nil || len(errs) != len(b.Documents) {
			t.Fatal(errs, err)
		}
		for i, err := range errs {
			want := atoll.OK
			if i == 3 || i == 10 {
				want = atoll.Invalid
			}
			if atoll.KindOf(err) != want {
				t.Errorf("document %d: %v", i, err)
			}
		}
	}
}
