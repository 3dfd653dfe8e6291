package route

import (
	"fmt"
	"testing"

	"atoll"
	"atoll/program/shard"
	"atoll/wire"
)

func newIDs(n int) []atoll.RequestID {
	ids := make([]atoll.RequestID, n)
	for i := range ids {
		ids[i] = NewRequestID()
	}
	return ids
}

// TestApplyOverRanges sends writes to the owners of their ranges, though one
// has moved and one outcome is lost, and puts the results into their places.
func TestApplyOverRanges(t *testing.T) {
	w := newWorld()
	three(w)
	r := newRouter(t, w)
	mustCommit(t, r, "c/a")
	w.layout(app, cut{"", 1, 0}, cut{"c/h", 9, 0}, cut{"c/p", 3, 0})
	w.applied = map[atoll.RequestID]int{}
	w.lose = 1
	w.sent = nil
	writes := set("c/z", "c/a", "c/i", "c/q")
	writes[3].Op = shard.OpDelete // which this world refuses
	ids := newIDs(4)
	results, err := r.Apply(t.Context(), app, writes, ids, user)
	if err != nil || len(results) != 4 {
		t.Fatal(results, err)
	}
	for i, got := range results {
		if want := i < 3; (got.Err == nil && got.UpdateTime > 0) != want || want && w.applied[ids[i]] != 1 {
			t.Errorf("%s: %+v, done %d times", writes[i].Path, got, w.applied[ids[i]])
		}
	}
	if atoll.KindOf(results[3].Err) != atoll.NotFound {
		t.Errorf("the refused write: %v", results[3].Err)
	}
	for _, m := range w.sent {
		var req shard.ApplyRequest
		if err := wire.Unmarshal(m.Payload, &req); err != nil || len(m.To) != 1 || m.From != user.Principal || m.Expires == 0 {
			t.Errorf("sent %+v, %v", m, err)
		}
	}
	if w.sent[0].ID != w.sent[1].ID {
		t.Error("what was lost was sent again under another id")
	}
}

func TestApplyInMessagesOfBoundedSize(t *testing.T) {
	w := newWorld()
	r := newRouter(t, w)
	var paths []atoll.Path
	for i := range shard.MaxApply + 1 {
		paths = append(paths, atoll.Path(fmt.Sprintf("c/%d", i)))
	}
	mustCommit(t, r, "c/a")
	w.sent = nil
	results, err := r.Apply(t.Context(), app, set(paths...), newIDs(len(paths)), user)
	if err != nil || len(w.sent) != 2 || results[shard.MaxApply].UpdateTime == 0 {
		t.Errorf("%d messages, %d results, %v", len(w.sent), len(results), err)
	}
	if _, err := r.Apply(t.Context(), app, set("c/a"), nil, user); atoll.KindOf(err) != atoll.Invalid {
		t.Errorf("without an id: %v", err)
	}
}
