package shard

import (
	"testing"

	"atoll"
	"atoll/keys"
)

// collect sends one collection to shard A.
func (s *subnet) collect(t testing.TB, req CollectRequest) CollectReply {
	t.Helper()
	reply, err := call[CollectReply](s, shardA, atoll.Management, MethodCollect, req)
	if err != nil {
		t.Fatal(err)
	}
	return reply
}

// kept returns how many versions, feed entries and results there are.
func (s *subnet) kept() [3]int {
	return [3]int{s.count(keys.Documents), s.count(keys.Feed), s.count(keys.Requests)}
}

func TestCollectIsTheHousekeepers(t *testing.T) {
	s := newShard(t)
	for _, caller := range []atoll.Principal{atoll.Anonymous, directory, "user", shardA} {
		_, err := call[CollectReply](s, shardA, caller, MethodCollect, CollectRequest{Limit: 1})
		wantErr(t, err, atoll.PermissionDenied, "housekeeper")
	}
	for _, limit := range []int{0, -1, MaxCollect + 1} {
		_, err := call[CollectReply](s, shardA, atoll.Management, MethodCollect, CollectRequest{Limit: limit})
		wantErr(t, err, atoll.Invalid, "limit")
	}
}

func TestCollectStepByStep(t *testing.T) {
	s := newShard(t)
	t1 := s.must(t, 1, set("c/a", "n", 1)).Time
	t2 := s.must(t, 2, set("c/a", "n", 2)).Time
	t3 := s.must(t, 3, remove("c/a"), set("c/b")).Time
	s.must(t, 4, ifExists(Write{Op: OpVerify, Path: "c/b"}, true))
	same(t, s.kept(), [3]int{4, 5, 4})

	// At the horizon t2 the first version cannot be read; its feed entry stays
	// for the result. The index entry that ended with it goes.
	same(t, s.collect(t, CollectRequest{Versions: t2, Limit: 100}), CollectReply{Removed: 2})
	same(t, s.kept(), [3]int{3, 5, 4})
	same(t, s.getAt(t, "c/a", t2).Revision, uint64(2))
	changes, err := ask[FeedReply](s, shardA, MethodFeed, FeedRequest{Target: target1, Limit: 9})
	same(t, err, nil)
	same(t, len(changes.Changes), 3)

	// Results go by their own time, with the entries that led to them alone.
	same(t, s.collect(t, CollectRequest{Requests: t2, Limit: 100}), CollectReply{Removed: 2})
	same(t, s.kept(), [3]int{3, 4, 3})
	same(t, s.collect(t, CollectRequest{Requests: s.now, Limit: 100}), CollectReply{Removed: 4})
	same(t, s.kept(), [3]int{3, 3, 0})

	// A lower horizon than before changes nothing.
	same(t, s.collect(t, CollectRequest{Versions: t1, Limit: 100}), CollectReply{})
	st, err := ask[Status](s, shardA, MethodStatus, struct{}{})
	same(t, err, nil)
	same(t, []atoll.Time{st.Horizon, st.Feed}, []atoll.Time{t2, 0})

	// The tombstone is the latest change of c/a: it stays, and goes last. Two
	// index entries ended with it.
	same(t, s.collect(t, CollectRequest{Versions: t3, Limit: 100}), CollectReply{Removed: 4})
	same(t, s.kept(), [3]int{2, 2, 0})
	same(t, s.collect(t, CollectRequest{Latest: t3, Limit: 100}), CollectReply{})
	same(t, s.collect(t, CollectRequest{Versions: t3 + 1, Latest: s.now, Limit: 100}), CollectReply{Removed: 3})
	same(t, s.kept(), [3]int{1, 0, 0})
	same(t, s.get(t, "c/b").Revision, uint64(1))
	st, err = ask[Status](s, shardA, MethodStatus, struct{}{})
	same(t, err, nil)
	same(t, []atoll.Time{st.Horizon, st.Feed}, []atoll.Time{t3 + 1, t3 + 1})

	// From before, the feed cannot be followed; from there on it can.
	for _, c := range []struct {
		after FeedCursor
		kind  atoll.Kind
	}{
		{FeedCursor{}, atoll.FailedPrecondition},
		{FeedCursor{Time: t3 - 1}, atoll.FailedPrecondition},
		{FeedCursor{Time: t3, Key: []byte{1}}, atoll.FailedPrecondition},
		{FeedCursor{Time: t3}, atoll.OK},
		{FeedCursor{Time: t3 + 1, Key: []byte{1}}, atoll.OK},
	} {
		_, err := ask[FeedReply](s, shardA, MethodFeed, FeedRequest{Target: target1, After: c.after, Limit: 9})
		wantErr(t, err, c.kind)
	}
	// Nothing is known of c/a any more, so it begins anew.
	s.must(t, 9, set("c/a"))
	same(t, s.get(t, "c/a").Revision, uint64(1))
}

func TestCollectInPieces(t *testing.T) {
	build := func() *subnet {
		s := newShard(t)
		for i := range 40 {
			s.must(t, uint64(i+1), set("c/a", "n", i), set("c/b", "n", i/2))
		}
		s.must(t, 90, remove("c/b"))
		return s
	}
	whole, pieces := build(), build()
	req := CollectRequest{Versions: whole.now, Latest: whole.now + 1, Requests: whole.now, Limit: MaxCollect}
	once := whole.collect(t, req)
	same(t, once.More, false)
	req.Limit = 3
	removed, messages := 0, 0
	for more := true; more; messages++ {
		reply := pieces.collect(t, req)
		removed, more = removed+reply.Removed, reply.More
	}
	same(t, removed, once.Removed)
	same(t, pieces.kept(), whole.kept())
	same(t, whole.kept(), [3]int{2, 1, 1})
	if messages < 30 {
		t.Fatalf("%d messages were enough for a limit of 3", messages)
	}
}

func TestCollectStopsAtNow(t *testing.T) {
	s := newShard(t)
	s.must(t, 1, set("c/a", "n", 1))
	s.collect(t, CollectRequest{Versions: s.now + 100, Latest: s.now + 100, Requests: s.now + 100, Limit: 9})
	st, err := ask[Status](s, shardA, MethodStatus, struct{}{})
	same(t, err, nil)
	same(t, []atoll.Time{st.Horizon, st.Feed}, []atoll.Time{s.now, s.now})
	same(t, s.getAt(t, "c/a", s.now).Revision, uint64(1))
}

// After a split the feed before it is shared: each side forgets its own
// documents alone.
func TestCollectKeepsToItsRange(t *testing.T) {
	s := newShard(t)
	for n := range 3 {
		s.must(t, uint64(n+1), set("c/a", "n", n), set("z/z", "n", n))
	}
	left, right := whole(1, shardA), whole(2, shardB)
	left.Epoch, left.End = 2, keys.DocKey(placement, "m/m")
	right.Start, right.Lineage = left.End, []Ancestor{{1, s.now}}
	past := s.now - 1
	s.assign(t, left, right)
	s.collect(t, CollectRequest{Versions: s.now, Latest: s.now, Requests: s.now, Limit: 99})
	reply, err := ask[GetReply](s, shardB, MethodGet, GetRequest{Target: Target{2, 1}, Paths: []atoll.Path{"z/z"}, At: past})
	same(t, err, nil)
	same(t, reply.Documents[0].Revision, uint64(2))
	changes, err := ask[FeedReply](s, shardB, MethodFeed, FeedRequest{Target: Target{2, 1}, Limit: 9})
	same(t, err, nil)
	same(t, len(changes.Changes), 3)
	same(t, s.kept(), [3]int{4, 3, 0})
}

// An entry that one range kept for its result is removed by the range that
// was split off before the result was forgotten.
func TestCollectWhatAnAncestorLeft(t *testing.T) {
	s := newShard(t)
	s.must(t, 1, set("z/z", "n", 1))
	s.must(t, 0, set("z/z", "n", 2))
	s.collect(t, CollectRequest{Versions: s.now, Limit: 99})
	same(t, s.kept(), [3]int{1, 2, 1})
	left, right := whole(1, shardA), whole(2, shardB)
	left.Epoch, left.End = 2, keys.DocKey(placement, "m/m")
	right.Start, right.Lineage = left.End, []Ancestor{{1, s.now}}
	s.assign(t, left, right)
	req := CollectRequest{Versions: s.now, Requests: s.now, Limit: 99}
	reply, err := call[CollectReply](s, shardB, atoll.Management, MethodCollect, req)
	same(t, err, nil)
	same(t, reply, CollectReply{Removed: 2})
	same(t, s.kept(), [3]int{1, 1, 0})
}
