package host

import (
	"fmt"
	"testing"
	"time"

	"atoll"
	"atoll/program/shard"
	"atoll/query"
	"atoll/route"
	"atoll/value"
)

// TestExpiryKeepsWhatChanged changes documents between the moment when they
// were found and the one when they are deleted: they stay, and the rest goes.
func TestExpiryKeepsWhatChanged(t *testing.T) {
	h, err := Start(Options{Expiry: Expiry{Every: time.Hour}})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	db := atoll.Database{Project: "p", ID: atoll.DefaultDatabase}
	set := func(i int, at time.Duration) {
		doc := value.AppendDocument(nil, value.Map(value.Field{Name: "until", Value: value.Timestamp(atoll.TimeOf(time.Now().Add(at)))}))
		w := shard.Write{Op: shard.OpSet, Path: atoll.Path(fmt.Sprintf("c/%d", i)), Doc: doc}
		if _, err := h.Router.Commit(t.Context(), db, []shard.Write{w}, route.NewRequestID(), administrator); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 10 {
		set(i, -time.Second)
	}
	due, err := h.sweeper.find(t.Context(), db, shard.FieldIndex{Collection: "c", Field: "until"}, atoll.TimeOf(time.Now()), query.Query{}, func(*shard.Found) {})
	if err != nil || len(due) != 10 {
		t.Fatalf("found %v, %v", due, err)
	}
	set(3, time.Hour)
	gone := shard.Write{Op: shard.OpDelete, Path: "c/4"}
	if _, err := h.Router.Commit(t.Context(), db, []shard.Write{gone}, route.NewRequestID(), administrator); err != nil {
		t.Fatal(err)
	}
	if n, err := h.sweeper.delete(t.Context(), db, due); n != 8 || err != nil {
		t.Errorf("%d were deleted of 8, %v", n, err)
	}
	if got := h.Expired(); got.Deleted != 8 || got.Kept != 2 {
		t.Errorf("counted %+v", got)
	}
	reply, err := h.Router.Get(t.Context(), db, []atoll.Path{"c/3"}, 0, administrator)
	if err != nil || reply.Documents[0].Doc == nil {
		t.Errorf("the document whose time was moved is gone: %v", err)
	}
}
