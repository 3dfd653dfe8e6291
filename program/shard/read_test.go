package shard

import (
	"testing"

	"atoll"
	"atoll/keys"
	"atoll/value"
)

// counting is a memory that counts the moves of its iterators.
type counting struct {
	*memory
	moves *int
}

func (c counting) Iter(lo, hi []byte) atoll.Iterator {
	return countedIter{c.memory.Iter(lo, hi), c.moves}
}

type countedIter struct {
	atoll.Iterator
	moves *int
}

func (c countedIter) SeekGE(key []byte) bool { *c.moves++; return c.Iterator.SeekGE(key) }
func (c countedIter) SeekLT(key []byte) bool { *c.moves++; return c.Iterator.SeekLT(key) }
func (c countedIter) Next() bool             { *c.moves++; return c.Iterator.Next() }
func (c countedIter) Prev() bool             { *c.moves++; return c.Iterator.Prev() }

func TestReadTimes(t *testing.T) {
	s := newShard(t)
	at := s.must(t, 1, set("c/a", "n", 1)).Time
	read := func(at atoll.Time) (GetReply, error) {
		return ask[GetReply](s, shardA, MethodGet, GetRequest{Target: target1, Paths: []atoll.Path{"c/a"}, At: at})
	}
	for _, when := range []atoll.Time{0, s.now} {
		reply, err := read(when)
		same(t, err, nil)
		same(t, reply.Time, s.now)
		same(t, reply.Documents[0].Updated, at)
	}
	_, err := read(s.now + 1)
	wantErr(t, err, atoll.OutOfRange, "after")
	_, err = read(-1)
	wantErr(t, err, atoll.FailedPrecondition, "too old")

	s.collect(t, CollectRequest{Versions: s.now, Limit: 10})
	reply, err := read(s.now - 1)
	same(t, err, nil)
	same(t, reply.Documents[0].Updated, at)
	_, err = read(s.now - 2)
	wantErr(t, err, atoll.FailedPrecondition, "The requested snapshot version is too old")
	_, err = ask[ListReply](s, shardA, MethodList, ListRequest{Target: target1, Collection: "c", Limit: 1, At: at - 1})
	wantErr(t, err, atoll.FailedPrecondition)
	_, err = ask[CollectionsReply](s, shardA, MethodCollections, CollectionsRequest{Target: target1, Limit: 1, At: s.now + 1})
	wantErr(t, err, atoll.OutOfRange)
}

func TestGetStopsShort(t *testing.T) {
	s := newShard(t)
	var paths []atoll.Path
	for _, p := range []atoll.Path{"c/a", "c/b", "c/c", "c/d", "c/e", "c/f"} {
		s.must(t, 0, set(p, "f", value.Bytes(make([]byte, 1_000_000))))
		paths = append(paths, p)
	}
	reply, err := ask[GetReply](s, shardA, MethodGet, GetRequest{Target: target1, Paths: paths})
	same(t, err, nil)
	same(t, len(reply.Documents), 4)
	page, err := ask[ListReply](s, shardA, MethodList, ListRequest{Target: target1, Collection: "c", Limit: 10})
	same(t, err, nil)
	same(t, page.Documents, reply.Documents)
	same(t, page.More, true)
	changes, err := ask[FeedReply](s, shardA, MethodFeed, FeedRequest{Target: target1, Limit: 10})
	same(t, err, nil)
	same(t, len(changes.Changes), 4)
	same(t, changes.More, true)
	same(t, changes.Next, changes.Changes[3].Cursor)

	_, err = ask[GetReply](s, shardA, MethodGet, GetRequest{Target: target1, Paths: make([]atoll.Path, MaxPage+1)})
	wantErr(t, err, atoll.Invalid, "1001")
	_, err = ask[GetReply](s, shardA, MethodGet, GetRequest{Target: target1, Paths: []atoll.Path{"c"}})
	wantErr(t, err, atoll.Invalid, "names no document")
}

func TestListSkipsWhatIsBelow(t *testing.T) {
	s := newShard(t)
	for _, p := range []atoll.Path{"c/a", "c/b", "c/d"} {
		s.must(t, 0, set(p))
	}
	var below []Write
	for i := range 500 {
		id := string(rune('a'+i%26)) + string(rune('a'+i/26))
		below = append(below, set("c/a/s/"+atoll.Path(id)), set("c/b/s/"+atoll.Path(id)), set("c/ghost/s/"+atoll.Path(id)))
	}
	s.must(t, 0, below...)
	moves := 0
	v := turn{s: s, self: shardA, state: s.state(shardA), ranges: counting{s.ranges, &moves}}
	reply, err := list(view{v}, &ListRequest{Target: target1, Collection: "c", Limit: 10})
	same(t, err, nil)
	same(t, len(reply.Documents), 3)
	same(t, reply.More, false)
	if moves > 10 {
		t.Fatalf("a list of 3 documents took %d moves", moves)
	}
	moves = 0
	reply, err = list(view{v}, &ListRequest{Target: target1, Collection: "c", Limit: 10, Missing: true})
	same(t, err, nil)
	same(t, reply.Documents[3], Document{Path: "c/ghost"})
	if moves > 12 {
		t.Fatalf("a list of 4 documents took %d moves", moves)
	}
	moves = 0
	ids, err := collections(view{v}, &CollectionsRequest{Target: target1, Limit: 10})
	same(t, err, nil)
	same(t, ids.IDs, []string{"c"})
	if moves > 4 {
		t.Fatalf("one collection took %d moves", moves)
	}
}

func TestListShowsWhatIsMissing(t *testing.T) {
	s := newShard(t)
	s.must(t, 0, set("c/a"), set("c/a/s/x"), set("c/b/s/x/t/y"), set("c/d"), set("c/e"), set("c/e/s/x"))
	s.must(t, 0, remove("c/a"), remove("c/d"), remove("c/e"), remove("c/e/s/x"))
	s.must(t, 0, set("c/f"))
	list := func(missing bool, at atoll.Time) (paths []atoll.Path) {
		t.Helper()
		reply, err := ask[ListReply](s, shardA, MethodList, ListRequest{Target: target1, Collection: "c", Limit: 9, Missing: missing, At: at})
		same(t, err, nil)
		for _, d := range reply.Documents {
			paths = append(paths, d.Path)
		}
		return paths
	}
	same(t, list(false, 0), []atoll.Path{"c/f"})
	same(t, list(true, 0), []atoll.Path{"c/a", "c/b", "c/f"})
	same(t, list(true, s.now-2), []atoll.Path{"c/a", "c/b", "c/d", "c/e"})
	same(t, list(false, s.now-2), []atoll.Path{"c/a", "c/d", "c/e"})
	same(t, list(true, 1), []atoll.Path(nil))
}

func TestListRefuses(t *testing.T) {
	s := newShard(t)
	for _, req := range []ListRequest{
		{Collection: "c/a", Limit: 1}, {Collection: "", Limit: 1}, {Collection: "c//d", Limit: 1},
		{Collection: "c", Limit: 0}, {Collection: "c", Limit: MaxPage + 1},
		{Collection: "c", Limit: 1, After: "a/b"}, {Collection: "c", Limit: 1, After: "a/b/c"}, {Collection: "c", Limit: 1, After: ".."},
	} {
		req.Target = target1
		_, err := ask[ListReply](s, shardA, MethodList, req)
		wantErr(t, err, atoll.Invalid)
	}
	for _, req := range []CollectionsRequest{
		{Parent: "c", Limit: 1}, {Parent: "c/.", Limit: 1}, {Limit: 0}, {Limit: MaxPage + 1}, {Limit: 1, After: "a/b"},
	} {
		req.Target = target1
		_, err := ask[CollectionsReply](s, shardA, MethodCollections, req)
		wantErr(t, err, atoll.Invalid)
	}
	_, err := ask[ListReply](s, shardA, MethodList, ListRequest{Target: Target{9, 9}, Collection: "c", Limit: 1})
	wantErr(t, err, atoll.WrongRange)
	same(t, len(atoll.AsError(err).Data) > 0, true)
	_, err = ask[CollectionsReply](s, shardA, MethodCollections, CollectionsRequest{Target: Target{1, 2}, Limit: 1})
	wantErr(t, err, atoll.WrongRange)
}

func TestFeedPagesAndPlaces(t *testing.T) {
	s := newShard(t)
	first := s.must(t, 1, set("c/a", "n", 1), set("c/b"), set("c/d"))
	second := s.must(t, 2, remove("c/b"), set("c/a", "n", 1))
	follow := func(after FeedCursor, limit int) FeedReply {
		t.Helper()
		reply, err := ask[FeedReply](s, shardA, MethodFeed, FeedRequest{Target: target1, After: after, Limit: limit})
		same(t, err, nil)
		return reply
	}
	key := func(p atoll.Path) []byte { return keys.DocKey(placement, p) }
	all := follow(FeedCursor{}, 10)
	same(t, all, FeedReply{
		Changes: []Change{
			{FeedCursor{first.Time, key("c/a")}, Document{"c/a", doc("n", 1), first.Time, first.Time, 1}},
			{FeedCursor{first.Time, key("c/b")}, Document{"c/b", doc(), first.Time, first.Time, 1}},
			{FeedCursor{first.Time, key("c/d")}, Document{"c/d", doc(), first.Time, first.Time, 1}},
			{FeedCursor{second.Time, key("c/b")}, Document{Path: "c/b"}},
		},
		Closed: s.now, Next: FeedCursor{Time: s.now},
	})
	page := follow(FeedCursor{}, 2)
	same(t, page.Changes, all.Changes[:2])
	same(t, page.More, true)
	same(t, follow(page.Next, 2).Changes, all.Changes[2:])
	same(t, follow(page.Next, 2).More, false)
	same(t, follow(FeedCursor{Time: first.Time}, 9).Changes, all.Changes[3:])
	same(t, len(follow(FeedCursor{Time: s.now}, 9).Changes), 0)

	for _, c := range []struct {
		req  FeedRequest
		kind atoll.Kind
	}{
		{FeedRequest{After: FeedCursor{Time: s.now + 1}, Limit: 1}, atoll.OutOfRange},
		{FeedRequest{After: FeedCursor{Time: -1}, Limit: 1}, atoll.FailedPrecondition},
		{FeedRequest{Limit: 0}, atoll.Invalid},
		{FeedRequest{Limit: MaxPage + 1}, atoll.Invalid},
		{FeedRequest{Target: Target{2, 1}, Limit: 1}, atoll.WrongRange},
	} {
		if c.req.Target == (Target{}) {
			c.req.Target = target1
		}
		_, err := ask[FeedReply](s, shardA, MethodFeed, c.req)
		wantErr(t, err, c.kind)
	}
}

// A page ends after maxScan entries, though none of them is a change any more.
func TestFeedScansNoFurtherThanItMay(t *testing.T) {
	s := newShard(t)
	last := s.must(t, 1, set("c/z", "n", 1)).Time
	for i := range maxScan {
		at := last + 1 + atoll.Time(i)
		s.ranges.Set(keys.FeedKey(1, 1, at, keys.DocKey(placement, "c/a")), appendEntry(nil, entry{changed: true}))
		s.now = at
	}
	s.must(t, 2, set("c/y", "n", 1))
	var got []atoll.Path
	var at FeedCursor
	pages := 0
	for more := true; more; pages++ {
		reply, err := ask[FeedReply](s, shardA, MethodFeed, FeedRequest{Target: target1, After: at, Limit: MaxPage})
		same(t, err, nil)
		for _, c := range reply.Changes {
			got = append(got, c.Doc.Path)
		}
		at, more = reply.Next, reply.More
	}
	same(t, got, []atoll.Path{"c/z", "c/y"})
	same(t, pages, 2)
}
