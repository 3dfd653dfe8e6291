package shard

import (
	"bytes"
	"testing"

	"atoll"
	"atoll/value"
	"atoll/wire"
)

// FuzzMethods sends arbitrary bytes to every method. None may panic, and one
// that fails may not have written anything, even before the kernel rolls it
// back.
func FuzzMethods(f *testing.F) {
	kinds := []string{
		MethodCommit, MethodAssign, MethodCollect,
		MethodGet, MethodList, MethodCollections, MethodFeed, MethodStatus, "unknown",
	}
	later := whole(1, shardA)
	later.Epoch = 2
	for method, req := range map[int]any{
		0: CommitRequest{Targets: []Target{target1}, Writes: []Write{
			ifExists(with(withMask(set("c/a", "n", 1), "n"), transformOf("n", Increment, value.Int(1))), true),
			ifUpdated(remove("c/b"), 1002),
		}},
		1: later,
		2: CollectRequest{Versions: 1003, Latest: 1003, Requests: 1003, Limit: 10},
		3: GetRequest{Target: target1, Paths: []atoll.Path{"c/a"}, At: 1002},
		4: ListRequest{Target: target1, Collection: "c", Limit: 3, Missing: true, After: "a"},
		5: CollectionsRequest{Target: target1, Parent: "c/a", Limit: 3, After: "a"},
		6: FeedRequest{Target: target1, After: FeedCursor{1002, []byte{1}}, Limit: 3},
	} {
		f.Add(byte(method), wire.Marshal(req))
	}
	f.Add(byte(7), []byte{})
	f.Fuzz(func(t *testing.T, method byte, payload []byte) {
		s := newShard(t)
		s.must(t, 1, set("c/a", "n", 1), set("c/b"), set("c/a/s/x"))
		s.must(t, 2, set("c/a", "n", 2), remove("c/b"))
		name := kinds[int(method)%len(kinds)]
		if int(method)%len(kinds) >= 3 {
			reply, err := s.program.Query(view{s.turn(shardA)}, atoll.Question{Method: name, Payload: payload})
			checkAnswer(t, reply, err)
			return
		}
		caller := []atoll.Principal{"user", directory, atoll.Management}[int(method)%len(kinds)]
		s.now++
		before, state := s.ranges.dump(), s.state(shardA).dump()
		reply, err := s.program.Update(s.turn(shardA), atoll.Input{ID: requestID(3), Caller: caller, Method: name, Payload: payload})
		checkAnswer(t, reply, err)
		if err != nil {
			unchanged(t, before, s.ranges.dump())
			unchanged(t, state, s.state(shardA).dump())
		}
		// Whatever came in, the shard goes on.
		d, _ := ask[Status](s, shardA, MethodStatus, struct{}{})
		if len(d.Ranges) == 0 {
			t.Fatal("the shard lost its ranges")
		}
	})
}

// checkAnswer demands an error of a known kind, or a well-formed reply.
func checkAnswer(t *testing.T, reply []byte, err error) {
	t.Helper()
	if k := atoll.KindOf(err); k == atoll.Internal || k == atoll.DataLoss {
		t.Fatalf("%v", err)
	}
	if err == nil && len(reply) > 0 {
		if _, err := wire.Diagnose(reply); err != nil {
			t.Fatal(err)
		}
	}
}

func unchanged(t *testing.T, before, after []pair) {
	t.Helper()
	if len(before) != len(after) {
		t.Fatalf("an error left %d keys where %d were", len(after), len(before))
	}
	for i := range before {
		if !bytes.Equal(before[i].key, after[i].key) || !bytes.Equal(before[i].value, after[i].value) {
			t.Fatalf("an error left another value under %x", before[i].key)
		}
	}
}

// FuzzRecords reads arbitrary bytes as each stored value, and writes what was
// read back.
func FuzzRecords(f *testing.F) {
	v := version{revision: 300, created: 3, doc: doc("n", 1)}
	f.Add(v.encode())
	f.Add(appendEntry(nil, entry{changed: true, request: requestID(1)}))
	f.Add(appendResult(nil, result{at: 9, caller: "who", reply: []byte("what")}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if v, err := parseVersion(1, b); err == nil {
			again, err := parseVersion(1, v.encode())
			if err != nil || again.revision != v.revision || again.created != v.created ||
				again.tombstone != v.tombstone || !bytes.Equal(again.doc, v.doc) {
				t.Fatalf("%+v became %+v: %v", v, again, err)
			}
		}
		if e, err := parseEntry(b); err == nil {
			if again, err := parseEntry(appendEntry(nil, e)); err != nil || again != e {
				t.Fatalf("%+v became %+v: %v", e, again, err)
			}
		}
		if r, err := parseResult(b); err == nil {
			again, err := parseResult(appendResult(nil, r))
			if err != nil || again.at != r.at || again.caller != r.caller || !bytes.Equal(again.reply, r.reply) {
				t.Fatalf("%+v became %+v: %v", r, again, err)
			}
		}
	})
}
