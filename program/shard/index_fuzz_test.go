package shard

import (
	"testing"

	"atoll"
	"atoll/wire"
)

// FuzzIndexMethods sends arbitrary bytes to the methods of indexes, on a shard
// that is in the middle of building some. None may panic, one that fails may
// not have written anything, and whatever came in the build comes to its end.
func FuzzIndexMethods(f *testing.F) {
	config := IndexConfig{Version: 2,
		Composites: []CompositeIndex{{ID: 17, Collection: "c", Fields: parts("n", "l contains", "m.x desc", "__name__")}, {ID: 18, Collection: "s", Group: true, Fields: parts("n", "b")}},
		Exempt:     []FieldIndex{{Collection: "c", Field: "n", Off: true}, {Collection: "c", Field: "m", Group: true}, {Collection: "s", Field: EveryField, Off: true, TTL: false}}}
	f.Add(byte(0), wire.Marshal(config))
	f.Add(byte(0), wire.Marshal(IndexConfig{Version: 1 << 63}))
	f.Add(byte(1), wire.Marshal(BuildRequest{Limit: 3}))
	f.Add(byte(2), []byte{})
	f.Fuzz(func(t *testing.T, method byte, payload []byte) {
		s := newShard(t)
		s.must(t, 1, set("c/a", "n", 1, "m", fields("x", 1)), set("c/b", "n", 1, "b", 2), set("c/a/s/x", "n", 1, "b", 1))
		s.setIndexes(t, IndexConfig{Version: 1, Composites: []CompositeIndex{{ID: 16, Collection: "c", Fields: parts("n", "b")}},
			Exempt: []FieldIndex{{Collection: "c", Field: EveryField, Off: true}}})
		if _, err := call[BuildReply](s, shardA, atoll.Management, MethodBuild, BuildRequest{Limit: 2}); err != nil {
			t.Fatal(err)
		}
		if method%3 == 2 {
			reply, err := s.program.Query(view{s.turn(shardA)}, atoll.Question{Caller: atoll.Management, Method: MethodIndexStatus, Payload: payload})
			checkAnswer(t, reply, err)
			return
		}
		who, name := directory, MethodIndexes
		if method%3 == 1 {
			who, name = atoll.Management, MethodBuild
		}
		s.now++
		before, state := s.ranges.dump(), s.state(shardA).dump()
		reply, err := s.program.Update(s.turn(shardA), atoll.Input{ID: requestID(3), Caller: who, Method: name, Payload: payload})
		checkAnswer(t, reply, err)
		if err != nil {
			unchanged(t, before, s.ranges.dump())
			unchanged(t, state, s.state(shardA).dump())
		}
		s.must(t, 4, set("c/a", "n", 2), set("c/new", "n", 1, "b", 2))
		if n := s.buildAll(t, 5); n > 1000 {
			t.Fatalf("the build took %d messages", n)
		}
		if s.indexStatus(t).Pending {
			t.Fatal("the build has no end")
		}
	})
}
