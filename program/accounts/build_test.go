package accounts_test

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"atoll"
	"atoll/program/directory"
	"atoll/program/shard"
	"atoll/subnet"
	"atoll/value"
)

// TestAuditsHoldWhileIndexesChange has a subnet commit documents while indexes
// are set, built, exempted and removed, several messages in one block. The sums
// over the stored keys that replicas compare must hold after each: they rely on
// it that no index entry is ever set which stands already.
func TestAuditsHoldWhileIndexesChange(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		w := newWorld(t, 1<<62, "directory", "shard")
		dir := w.database()
		var m directory.Map
		if err := w.query(dir, directory.MethodMap, directory.MapRequest{}, &m); err != nil {
			r.Fatal(err)
		}
		d := m.Ranges[0]
		message := func(to atoll.CanisterID, from atoll.Principal, method string, payload any) atoll.Message {
			x := w.message(from, method, payload)
			x.To = []atoll.CanisterID{to}
			return x
		}
		for range rapid.IntRange(4, 16).Draw(r, "blocks") {
			var block []atoll.Message
			for range rapid.IntRange(1, 4).Draw(r, "messages") {
				switch rapid.IntRange(0, 5).Draw(r, "message") {
				case 0:
					block = append(block, message(dir, directory.Administrator, directory.MethodSetIndexes, directory.SetIndexesRequest{Config: someConfig(r)}))
				case 1, 2:
					block = append(block, message(d.Shard, atoll.Management, shard.MethodBuild, shard.BuildRequest{Limit: rapid.IntRange(1, 30).Draw(r, "limit")}))
				default:
					req := shard.CommitRequest{Targets: []shard.Target{{Range: d.Range, Epoch: d.Epoch}}, Writes: []shard.Write{someWrite(r)}}
					block = append(block, message(d.Shard, atoll.Anonymous, shard.MethodCommit, req))
				}
			}
			for _, o := range w.settle(w.block(block...)) {
				if o.Err != nil && o.Err.Kind != atoll.Unavailable { // one change at a time
					r.Fatal(o.Err)
				}
			}
			a, err := subnet.NewAudit(w.store)
			if err == nil {
				_, err = a.Step(1 << 30)
			}
			if err != nil {
				r.Fatal(err)
			}
		}
	})
}

func someConfig(r *rapid.T) (c shard.IndexConfig) {
	for _, x := range []shard.CompositeIndex{index("c", "a", "b"), index("c", "b", "a")} {
		if rapid.Bool().Draw(r, "composite") {
			c.Composites = append(c.Composites, x)
		}
	}
	for _, f := range []string{"a", "b", shard.EveryField} {
		how := rapid.IntRange(0, 3).Draw(r, "override")
		if how > 0 {
			c.Exempt = append(c.Exempt, shard.FieldIndex{Collection: "c", Field: f, Off: how == 1, Group: how == 2})
		}
	}
	return c
}

func someWrite(r *rapid.T) shard.Write {
	w := shard.Write{Op: shard.OpSet, Path: atoll.Path(fmt.Sprint("c/", rapid.IntRange(0, 4).Draw(r, "document")))}
	if rapid.IntRange(0, 4).Draw(r, "delete") == 0 {
		w.Op = shard.OpDelete
		return w
	}
	var fields []value.Field
	for _, name := range []string{"a", "b"} {
		if rapid.IntRange(0, 3).Draw(r, name) > 0 {
			fields = append(fields, value.Field{Name: name, Value: value.Int(rapid.Int64Range(0, 2).Draw(r, "value"))})
		}
	}
	w.Doc = value.Encode(value.Map(fields...))
	return w
}
