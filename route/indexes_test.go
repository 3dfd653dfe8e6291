package route

import (
	"fmt"
	"testing"

	"atoll/program/directory"
	"atoll/program/shard"
)

// TestJoinStatus sums up what two shards say: an index is ready when both are.
func TestJoinStatus(t *testing.T) {
	x := func(id uint32) shard.CompositeIndex { return shard.CompositeIndex{ID: id, Collection: "c"} }
	of := func(id uint32, s shard.IndexState, documents uint64, reason string) shard.CompositeProgress {
		return shard.CompositeProgress{Index: x(id), IndexProgress: shard.IndexProgress{State: s, Documents: documents, Reason: reason}}
	}
	set := &directory.Indexes{Config: shard.IndexConfig{Version: 4, Composites: []shard.CompositeIndex{x(16), x(17), x(18), x(19)},
		Exempt: []shard.FieldIndex{{Collection: "c", Field: "a"}, {Collection: "d", Field: "a"}}}}
	first := shard.IndexStatus{Version: 4, Composites: []shard.CompositeProgress{
		of(16, shard.IndexReady, 5, ""), of(17, shard.IndexReady, 5, ""), of(18, shard.IndexFailed, 2, "too big"), of(19, shard.IndexReady, 1, ""), of(12, shard.IndexDeleting, 0, "")}}
	second := shard.IndexStatus{Version: 3, Composites: []shard.CompositeProgress{
		of(16, shard.IndexReady, 6, ""), of(17, shard.IndexBuilding, 6, ""), of(18, shard.IndexBuilding, 3, "")},
		Fields: []shard.FieldsProgress{{Collection: "d", IndexProgress: shard.IndexProgress{State: shard.IndexReady}}}}
	all := joinStatus(set, []shard.IndexStatus{first, second})
	var got []string
	for _, c := range all.Composites {
		got = append(got, fmt.Sprintf("%d %d %d %s", c.Index.ID, c.State, c.Documents, c.Reason))
	}
	// The second shard does not know of 19 yet, nor of the field of c.
	want := fmt.Sprint([]string{"16 2 11 ", "17 1 11 ", "18 3 5 too big", "19 1 1 ", "12 4 0 "})
	if s := fmt.Sprint(got); s != want {
		t.Errorf("joined are %q", got)
	}
	if all.Version != 4 || len(all.Fields) != 2 || all.Fields[0].State != shard.IndexBuilding || all.Fields[1].State != shard.IndexReady {
		t.Errorf("fields are %+v", all.Fields)
	}
}
