package shard

import (
	"testing"

	"atoll"
	"atoll/query"
)

// resultOf returns the check that a query still finds what it finds now.
func (s *subnet) resultOf(t *testing.T, q query.Query) QueryCheck {
	t.Helper()
	reply, err := ask[QueryReply](s, shardA, MethodQuery, QueryRequest{Target: target1, Query: q, Page: MaxPage})
	same(t, err, nil)
	d := query.NewDigest()
	for _, f := range reply.Found {
		d.Add(f.Path, f.Updated)
	}
	return QueryCheck{Query: q, Count: d.Count(), Digest: d.Sum()}
}

func TestChecksOfDocuments(t *testing.T) {
	s := newShard(t)
	first := s.must(t, 1, set("c/a", "n", 1)).Time
	try := func(kind atoll.Kind, check DocumentCheck) {
		t.Helper()
		_, err := s.commitTo([]atoll.CanisterID{shardA}, 0, CommitRequest{
			Targets: []Target{target1}, Writes: []Write{set("c/z", "at", int(s.now))}, Documents: []DocumentCheck{check},
		})
		wantErr(t, err, kind)
		same(t, s.get(t, "c/z").Doc != nil && s.get(t, "c/z").Updated == s.now, kind == atoll.OK)
	}
	try(atoll.OK, DocumentCheck{Path: "c/a", Revision: 1, Updated: first})
	try(atoll.OK, DocumentCheck{Path: "c/a", Revision: 1})
	try(atoll.Aborted, DocumentCheck{Path: "c/a", Revision: 1, Updated: first - 1})
	try(atoll.Aborted, DocumentCheck{Path: "c/a"})
	try(atoll.OK, DocumentCheck{Path: "c/b"})
	try(atoll.Aborted, DocumentCheck{Path: "c/b", Revision: 1})
	s.must(t, 2, set("c/a", "n", 2))
	try(atoll.Aborted, DocumentCheck{Path: "c/a", Revision: 1, Updated: first})
	s.must(t, 3, remove("c/a"))
	try(atoll.OK, DocumentCheck{Path: "c/a"})
	try(atoll.Aborted, DocumentCheck{Path: "c/a", Revision: 3})
	try(atoll.Invalid, DocumentCheck{Path: "c"})
}

func TestChecksOfQueries(t *testing.T) {
	s := newShard(t)
	s.must(t, 1, set("c/a", "n", 1), set("c/b", "n", 2), set("c/d", "n", 3))
	q := query.Query{Collection: "c", Order: []query.Order{{Field: "n"}}, Offset: 1, Limit: 1}
	check := s.resultOf(t, q)
	same(t, check.Count, 1)
	commit := func() error {
		_, err := s.commitTo([]atoll.CanisterID{shardA}, 0, CommitRequest{Targets: []Target{target1}, Queries: []QueryCheck{check}})
		return err
	}
	same(t, commit(), nil)
	s.must(t, 2, set("c/d", "n", 4)) // behind the limit
	same(t, commit(), nil)
	s.must(t, 3, set("c/b", "n", 2, "other", 1))
	wantErr(t, commit(), atoll.Aborted, "conflict")
	check = s.resultOf(t, q)
	same(t, commit(), nil)
	s.must(t, 4, remove("c/a")) // moves the window
	wantErr(t, commit(), atoll.Aborted, "conflict")
	check.Query.Limit = -1
	wantErr(t, commit(), atoll.Invalid, "limit")
}

// TestChecksOverTwoShards repeats a query whose result lies in two ranges.
func TestChecksOverTwoShards(t *testing.T) {
	s := newSubnet()
	left, right := whole(1, shardA), whole(2, shardB)
	left.End = must(documentKey("c/m"))
	right.Start = left.End
	s.assign(t, left, right)
	both := CommitRequest{Targets: []Target{target1, {2, 1}}, Writes: []Write{set("c/a", "n", 2), set("c/x", "n", 1)}}
	reply, err := s.commitTo([]atoll.CanisterID{shardA, shardB}, 0, both)
	same(t, err, nil)
	d := query.NewDigest()
	d.Add("c/x", reply.Time)
	d.Add("c/a", reply.Time)
	both.Queries = []QueryCheck{{Query: query.Query{Collection: "c", Order: []query.Order{{Field: "n"}}}, Count: 2, Digest: d.Sum()}}
	both.Writes = []Write{set("c/a", "n", 3)}
	_, err = s.commitTo([]atoll.CanisterID{shardA, shardB}, 0, both)
	same(t, err, nil)
	_, err = s.commitTo([]atoll.CanisterID{shardA, shardB}, 0, both)
	wantErr(t, err, atoll.Aborted)
}
