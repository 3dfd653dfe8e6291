package shard

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"atoll"
	"atoll/keys"
	"atoll/planted"
	"atoll/value"
	"atoll/wire"
)

// fields makes a document of names and values in turn.
func fields(nameThenValue ...any) value.Value {
	var all []value.Field
	for i := 0; i < len(nameThenValue); i += 2 {
		var v value.Value
		switch x := nameThenValue[i+1].(type) {
		case int:
			v = value.Int(int64(x))
		case string:
			v = value.String(x)
		case value.Value:
			v = x
		}
		all = append(all, value.Field{Name: nameThenValue[i].(string), Value: v})
	}
	return value.Map(all...)
}

func doc(nameThenValue ...any) []byte { return value.Encode(fields(nameThenValue...)) }

func set(path atoll.Path, nameThenValue ...any) Write {
	return Write{Op: OpSet, Path: path, Doc: doc(nameThenValue...)}
}

func remove(path atoll.Path) Write { return Write{Op: OpDelete, Path: path} }

// ifExists and ifUpdated add a precondition.
func ifExists(w Write, exists bool) Write {
	w.Exists = &exists
	return w
}

func ifUpdated(w Write, at atoll.Time) Write {
	w.UpdateTime = &at
	return w
}

func withMask(w Write, fields ...string) Write {
	w.HasMask, w.Mask = true, fields
	return w
}

func with(w Write, ts ...Transform) Write {
	w.Transforms = append(w.Transforms, ts...)
	return w
}

func transformOf(field string, k TransformKind, operand value.Value) Transform {
	if k == ServerTime {
		return Transform{Field: field, Kind: k}
	}
	return Transform{Field: field, Kind: k, Operand: value.EncodeValue(operand)}
}

// get reads one document of shard A now.
func (s *subnet) get(t testing.TB, path atoll.Path) Document {
	t.Helper()
	return s.getAt(t, path, 0)
}

func (s *subnet) getAt(t testing.TB, path atoll.Path, at atoll.Time) Document {
	t.Helper()
	reply, err := ask[GetReply](s, shardA, MethodGet, GetRequest{Target: target1, Paths: []atoll.Path{path}, At: at})
	if err != nil {
		t.Fatal(err)
	}
	return reply.Documents[0]
}

// must commits and returns the reply.
func (s *subnet) must(t testing.TB, id uint64, writes ...Write) CommitReply {
	t.Helper()
	reply, err := s.commit(id, writes...)
	if err != nil {
		t.Fatal(err)
	}
	return reply
}

func wantErr(t testing.TB, err error, kind atoll.Kind, parts ...string) {
	t.Helper()
	if atoll.KindOf(err) != kind {
		t.Fatalf("error %v, want kind %q", err, kind)
	}
	for _, part := range parts {
		if !strings.Contains(atoll.AsError(err).Msg, part) {
			t.Fatalf("error %v does not say %q", err, part)
		}
	}
}

func same(t testing.TB, got, want any) {
	t.Helper()
	if reflect.DeepEqual(want, got) {
		return // much faster with large documents
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Fatalf("(-want +got)\n%s", d)
	}
}

func TestCommitLifeOfADocument(t *testing.T) {
	s := newShard(t)
	created := s.must(t, 1, set("c/a", "n", 1))
	same(t, s.get(t, "c/a"), Document{Path: "c/a", Doc: doc("n", 1), Created: created.Time, Updated: created.Time, Revision: 1})
	updated := s.must(t, 2, set("c/a", "n", 2))
	same(t, s.get(t, "c/a"), Document{Path: "c/a", Doc: doc("n", 2), Created: created.Time, Updated: updated.Time, Revision: 2})
	deleted := s.must(t, 3, remove("c/a"))
	same(t, deleted.Results, []WriteResult{{}})
	same(t, s.get(t, "c/a"), Document{Path: "c/a"})
	again := s.must(t, 4, ifExists(set("c/a", "n", 3), false))
	same(t, s.get(t, "c/a"), Document{Path: "c/a", Doc: doc("n", 3), Created: again.Time, Updated: again.Time, Revision: 4})

	// The past is as it was.
	same(t, s.getAt(t, "c/a", created.Time-1), Document{Path: "c/a"})
	same(t, s.getAt(t, "c/a", updated.Time-1).Revision, uint64(1))
	same(t, s.getAt(t, "c/a", deleted.Time-1).Revision, uint64(2))
	same(t, s.getAt(t, "c/a", again.Time-1), Document{Path: "c/a"})
}

func TestCommitPreconditions(t *testing.T) {
	const name = "projects/demo/databases/(default)/documents/"
	s := newShard(t)
	at := s.must(t, 1, set("c/a", "n", 1)).Time
	for _, c := range []struct {
		name   string
		writes []Write
		kind   atoll.Kind
		says   string
	}{
		{"create what exists", []Write{ifExists(set("c/a"), false)}, atoll.AlreadyExists, "Document already exists: " + name + "c/a"},
		{"update what does not", []Write{ifExists(set("c/b"), true)}, atoll.NotFound, "No document to update: " + name + "c/b"},
		{"delete what does not exist", []Write{ifExists(remove("c/b"), true)}, atoll.NotFound, name + "c/b"},
		{"verify what does not exist", []Write{ifExists(Write{Op: OpVerify, Path: "c/b"}, true)}, atoll.NotFound, name + "c/b"},
		{"another update time", []Write{ifUpdated(set("c/a"), at-1)}, atoll.FailedPrecondition, "does not match the required base version"},
		{"update time of nothing", []Write{ifUpdated(set("c/b"), at)}, atoll.FailedPrecondition, "the stored version (0) does not match"},
		{"update after delete", []Write{remove("c/a"), ifExists(set("c/a"), true)}, atoll.Invalid, name + "c/a"},
		{"update time of what the commit deleted", []Write{remove("c/a"), ifUpdated(set("c/a"), at)}, atoll.FailedPrecondition, "(0)"},
		{"form before preconditions", []Write{ifExists(with(set("c/b"), transformOf("f", Increment, value.String("x"))), true)}, atoll.Invalid, "c/b"},
		{"create after create", []Write{ifExists(set("c/b"), false), ifExists(set("c/b"), false)}, atoll.AlreadyExists, name + "c/b"},
		{"the last write fails", []Write{set("c/b"), remove("c/a"), ifExists(set("c/d"), true)}, atoll.NotFound, name + "c/d"},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := s.ranges.dump()
			_, err := s.commit(2, c.writes...)
			wantErr(t, err, c.kind, c.says)
			same(t, len(s.ranges.dump()), len(before))
		})
	}
	for _, writes := range [][]Write{
		{ifUpdated(Write{Op: OpVerify, Path: "c/a"}, at)},
		{ifExists(Write{Op: OpVerify, Path: "c/b"}, false)},
		{ifExists(set("c/b", "n", 1), false), ifExists(set("c/b", "n", 2), true)},
		{remove("c/b"), ifExists(set("c/b", "n", 3), false)},
		{remove("c/b"), set("c/b"), ifExists(set("c/b", "n", 3), true)},
		{ifUpdated(remove("c/a"), at)},
		{remove("c/nothing")},
	} {
		s.must(t, 0, writes...)
	}
	same(t, s.get(t, "c/b").Revision, uint64(3))
	same(t, s.get(t, "c/b").Doc, doc("n", 3))
}

func TestCommitWritesSeeEachOther(t *testing.T) {
	s := newShard(t)
	reply := s.must(t, 1,
		set("c/a", "n", 1),
		with(withMask(set("c/a")), transformOf("n", Increment, value.Int(2))),
		with(withMask(set("c/a", "x", "y"), "x"), transformOf("t", ServerTime, value.Value{})),
		with(withMask(set("c/b")), transformOf("t", ServerTime, value.Value{})))
	now := value.Timestamp(reply.Time)
	same(t, s.get(t, "c/a"), Document{
		Path: "c/a", Doc: doc("n", 3, "x", "y", "t", now),
		Created: reply.Time, Updated: reply.Time, Revision: 1,
	})
	same(t, s.get(t, "c/b").Doc, doc("t", now))
	same(t, reply.Results, []WriteResult{
		{UpdateTime: reply.Time},
		{UpdateTime: reply.Time, Results: [][]byte{value.EncodeValue(value.Int(3))}},
		{UpdateTime: reply.Time, Results: [][]byte{value.EncodeValue(now)}},
		{UpdateTime: reply.Time, Results: [][]byte{value.EncodeValue(now)}},
	})
	same(t, s.count(keys.Documents), 2)
	same(t, s.count(keys.Feed), 2)

	// Nothing is left of a document that came and went.
	s.must(t, 0, set("c/z"), remove("c/z"))
	same(t, s.count(keys.Documents), 2)
	same(t, s.count(keys.Feed), 2)

	// Deleted and created anew is one change.
	again := s.must(t, 2, remove("c/a"), set("c/a", "n", 3, "x", "y", "t", now))
	same(t, s.get(t, "c/a"), Document{
		Path: "c/a", Doc: doc("n", 3, "x", "y", "t", now),
		Created: again.Time, Updated: again.Time, Revision: 2,
	})
}

// count returns how many keys one space of family 1 has.
func (s *subnet) count(space keys.Space) int {
	lo, hi := keys.SpaceSpan(1, space)
	n := 0
	it := s.ranges.Iter(lo, hi)
	for ok := it.SeekGE(lo); ok; ok = it.Next() {
		n++
	}
	return n
}

func TestCommitTransforms(t *testing.T) {
	ints := func(is ...int64) value.Value {
		var all []value.Value
		for _, i := range is {
			all = append(all, value.Int(i))
		}
		return value.Array(all...)
	}
	null := value.Null()
	for _, c := range []struct {
		kind                       TransformKind
		old, operand, want, result value.Value
	}{
		{Increment, value.Int(1), value.Int(2), value.Int(3), value.Int(3)},
		{Increment, null, value.Double(2), value.Double(2), value.Double(2)},
		{Maximum, value.Int(1), value.Int(2), value.Int(2), value.Int(2)},
		{Minimum, value.Int(1), value.Int(2), value.Int(1), value.Int(1)},
		{ArrayUnion, ints(1, 2), ints(2, 3, 3), ints(1, 2, 3), null},
		{ArrayRemove, ints(1, 2, 1), ints(1, 5), ints(2), null},
	} {
		s := newShard(t)
		s.must(t, 1, set("c/a", "f", c.old, "g", 1))
		reply := s.must(t, 2, with(withMask(set("c/a")), transformOf("f", c.kind, c.operand)))
		same(t, s.get(t, "c/a").Doc, doc("f", c.want, "g", 1))
		same(t, reply.Results[0].Results, [][]byte{value.EncodeValue(c.result)})
	}
}

func TestCommitWithoutChange(t *testing.T) {
	s := newShard(t)
	at := s.must(t, 1, set("c/a", "n", 1)).Time
	for i, w := range []Write{
		set("c/a", "n", 1),
		withMask(set("c/a", "n", 1), "n"),
		withMask(set("c/a")),
		withMask(set("c/a"), "absent"),
		with(withMask(set("c/a")), transformOf("n", Increment, value.Int(0))),
	} {
		reply := s.must(t, uint64(2+i), w)
		same(t, reply.Results[0].UpdateTime, at)
		same(t, s.get(t, "c/a").Updated, at)
	}
	same(t, s.get(t, "c/a").Revision, uint64(1))
	same(t, s.count(keys.Documents), 1)
	changes, err := ask[FeedReply](s, shardA, MethodFeed, FeedRequest{Target: target1, Limit: MaxPage})
	same(t, err, nil)
	same(t, len(changes.Changes), 1)
}

func TestCommitRefuses(t *testing.T) {
	deep := value.Int(1)
	for range value.MaxDepth + 1 {
		deep = fields("f", deep)
	}
	big := value.Bytes(make([]byte, value.MaxValueSize))
	many := make([]Transform, 501)
	for i := range many {
		many[i] = transformOf("n", Increment, value.Int(1))
	}
	for _, c := range []struct {
		name   string
		writes []Write
		says   string
	}{
		{"collection", []Write{set("c")}, "names no document"},
		{"root", []Write{set("")}, "names no document"},
		{"reserved id", []Write{set("c/__x__")}, "reserved"},
		{"no operation", []Write{{Path: "c/a"}}, "unknown operation 0"},
		{"operation", []Write{{Path: "c/a", Op: 9}}, "unknown operation 9"},
		{"delete with fields", []Write{{Op: OpDelete, Path: "c/a", Doc: doc()}}, "no fields"},
		{"not BSON", []Write{{Op: OpSet, Path: "c/a", Doc: []byte("{}")}}, "c/a"},
		{"bad mask", []Write{withMask(set("c/a"), "a..b")}, "a..b"},
		{"name in mask", []Write{withMask(set("c/a"), "__name__")}, "__name__"},
		{"transform of the name", []Write{with(set("c/a"), transformOf("__name__", ServerTime, value.Null()))}, "__name__"},
		{"unknown transform", []Write{with(set("c/a"), transformOf("f", 9, value.Null()))}, "unknown transform 9"},
		{"operand", []Write{with(set("c/a"), transformOf("f", Increment, value.String("x")))}, "c/a"},
		{"operand bytes", []Write{with(set("c/a"), Transform{Field: "f", Kind: Maximum, Operand: []byte{1, 2}})}, "c/a"},
		{"operand to remove", []Write{with(set("c/a"), transformOf("f", ArrayRemove, value.Array(value.Array())))}, "c/a"},
		{"union with no array", []Write{with(set("c/a"), transformOf("f", ArrayUnion, value.Int(1)))}, "c/a"},
		{"too deep", []Write{set("c/a", "f", deep)}, "c/a"},
		{"too deep by a mask", []Write{withMask(set("c/a", "f", deep), "f")}, "c/a"},
		{"nested arrays", []Write{set("c/a", "list", value.Array(value.Array()))}, "list"},
		{"too large", []Write{set("c/a", "f", big, "g", strings.Repeat("x", 40))}, "c/a"},
		{"too large together", []Write{set("c/a", "f", value.Bytes(make([]byte, 1<<19))), withMask(set("c/a", "g", value.Bytes(make([]byte, 1<<19))), "g")}, "c/a"},
		{"reserved field", []Write{set("c/a", "__x__", 1)}, "__x__"},
		{"transforms", []Write{with(set("c/a"), many...)}, "500"},
		{"transforms together", []Write{with(set("c/a"), many[:300]...), with(set("c/a"), many[:201]...)}, "500"},
		{"writes", make([]Write, MaxWrites+1), "10000"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newShard(t)
			_, err := s.commit(1, c.writes...)
			wantErr(t, err, atoll.Invalid, c.says)
			same(t, len(s.ranges.dump()), 0)
		})
	}
	t.Run("targets", func(t *testing.T) {
		s := newShard(t)
		_, err := s.commitTo([]atoll.CanisterID{shardA}, 1, CommitRequest{Writes: []Write{set("c/a")}})
		wantErr(t, err, atoll.Invalid, "0 targets")
	})
	t.Run("as many as allowed", func(t *testing.T) {
		s := newShard(t)
		s.must(t, 1, with(set("c/a"), many[:500]...))
		s.must(t, 2, set("c/b", "f", value.Bytes(make([]byte, value.MaxValueSize))))
	})
}

func TestCommitOfNothing(t *testing.T) {
	s := newShard(t)
	reply := s.must(t, 1)
	same(t, reply, CommitReply{Time: s.now, Results: []WriteResult{}})
	same(t, len(s.ranges.dump()), 0)
}

func TestCommitRepeated(t *testing.T) {
	s := newShard(t)
	in := atoll.Input{Caller: "user", ID: requestID(7), Method: MethodCommit, Payload: wire.Marshal(CommitRequest{
		Targets: []Target{target1},
		Writes:  []Write{with(set("c/a", "n", 1), transformOf("t", ServerTime, value.Null())), set("c/b")},
	})}
	first, err := s.update(in, shardA)
	same(t, err, nil)
	s.must(t, 8, set("c/a", "n", 2))
	before := s.ranges.dump()
	second, err := s.update(in, shardA)
	same(t, err, nil)
	same(t, second, first)
	if len(before) != len(s.ranges.dump()) {
		t.Fatal("a repeated request changed something")
	}
	same(t, s.get(t, "c/a").Doc, doc("n", 2))

	// A commit that changed nothing is remembered too.
	in = atoll.Input{Caller: "user", ID: requestID(9), Method: MethodCommit, Payload: wire.Marshal(CommitRequest{
		Targets: []Target{target1}, Writes: []Write{ifExists(remove("c/none"), false)},
	})}
	first, err = s.update(in, shardA)
	same(t, err, nil)
	s.must(t, 10, set("c/none"))
	second, err = s.update(in, shardA)
	same(t, err, nil)
	same(t, second, first)
	same(t, s.get(t, "c/none").Revision, uint64(1))

	in.Caller = "somebody else"
	_, err = s.update(in, shardA)
	wantErr(t, err, atoll.PermissionDenied, "request id")
}

func TestCommitTimeMustGrow(t *testing.T) {
	s := newShard(t)
	s.must(t, 1, set("c/a", "n", 1))
	s.now--
	_, err := s.commit(2, set("c/a", "n", 2))
	wantErr(t, err, atoll.Internal, "c/a")
}

func TestCommitWrongRange(t *testing.T) {
	s := newSubnet()
	half := whole(1, shardA)
	half.Epoch, half.End = 5, keys.DocKey(placement, "m/m")
	s.assign(t, half)
	for _, c := range []struct {
		name   string
		target Target
		paths  []atoll.Path
	}{
		{"older epoch", Target{1, 4}, []atoll.Path{"c/a"}},
		{"newer epoch", Target{1, 6}, []atoll.Path{"c/a"}},
		{"another range", Target{2, 5}, []atoll.Path{"c/a"}},
		{"key outside", Target{1, 5}, []atoll.Path{"c/a", "m/m"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			req := CommitRequest{Targets: []Target{c.target}}
			for _, p := range c.paths {
				req.Writes = append(req.Writes, set(p))
			}
			_, err := s.commitTo([]atoll.CanisterID{shardA}, 1, req)
			wantErr(t, err, atoll.WrongRange)
			var have Descriptor
			same(t, wire.Unmarshal(atoll.AsError(err).Data, &have), nil)
			same(t, have, half)
			_, err = ask[GetReply](s, shardA, MethodGet, GetRequest{Target: c.target, Paths: c.paths})
			wantErr(t, err, atoll.WrongRange)
			same(t, atoll.AsError(err).Data, wire.Marshal(half))
		})
	}
	_, err := s.commitTo([]atoll.CanisterID{shardA}, 1, CommitRequest{Targets: []Target{{2, 5}}, Writes: []Write{set("z/z")}})
	wantErr(t, err, atoll.WrongRange)
	same(t, len(atoll.AsError(err).Data), 0)
}

func TestCommitJoint(t *testing.T) {
	s := newSubnet()
	left, right := whole(1, shardA), whole(2, shardB)
	left.End = keys.DocKey(placement, "m/m")
	right.Start = left.End
	s.assign(t, left, right)
	both := []atoll.CanisterID{shardA, shardB}
	req := CommitRequest{Targets: []Target{{1, 1}, {2, 1}}, Writes: []Write{
		with(set("z/z"), transformOf("t", ServerTime, value.Null())), set("a/a", "n", 1),
	}}
	reply, err := s.commitTo(both, 1, req)
	same(t, err, nil)
	for i, want := range []Document{
		{Path: "z/z", Doc: doc("t", value.Timestamp(reply.Time)), Created: reply.Time, Updated: reply.Time, Revision: 1},
		{Path: "a/a", Doc: doc("n", 1), Created: reply.Time, Updated: reply.Time, Revision: 1},
	} {
		got, err := ask[GetReply](s, []atoll.CanisterID{shardB, shardA}[i], MethodGet,
			GetRequest{Target: []Target{{2, 1}, {1, 1}}[i], Paths: []atoll.Path{want.Path}})
		same(t, err, nil)
		same(t, got.Documents, []Document{want})
	}
	// Each range has its own change in its feed, and the result stands with
	// the first write.
	for id, d := range map[atoll.CanisterID]Descriptor{shardA: left, shardB: right} {
		got, err := ask[FeedReply](s, id, MethodFeed, FeedRequest{Target: Target{d.Range, 1}, Limit: 10})
		same(t, err, nil)
		same(t, len(got.Changes), 1)
	}
	if _, ok, _ := s.ranges.Get(keys.RequestKey(1, keys.DocKey(placement, "z/z"), requestID(1))); !ok {
		t.Fatal("no result under the first write")
	}
	again, err := s.commitTo(both, 1, req)
	same(t, err, nil)
	same(t, again, reply)

	before := len(s.ranges.dump())
	req.Writes = []Write{set("a/a", "n", 2), ifExists(set("z/y"), true)}
	_, err = s.commitTo(both, 2, req)
	wantErr(t, err, atoll.NotFound, "z/y")
	same(t, len(s.ranges.dump()), before)

	other := whole(3, shardB)
	other.Family, other.Database.ID = 2, "other"
	s.assign(t, other)
	_, err = s.commitTo(both, 3, CommitRequest{Targets: []Target{{1, 1}, {3, 1}}, Writes: []Write{set("a/a")}})
	wantErr(t, err, atoll.Invalid, "different databases")
	_, err = s.update(atoll.Input{Method: MethodCollect, Caller: atoll.Management}, both...)
	wantErr(t, err, atoll.Unimplemented)
}

func TestCommitWithPrefixSeeker(t *testing.T) {
	s := newShard(t)
	s.seeks = true
	s.must(t, 1, set("c/a", "n", 1))
	s.must(t, 2, set("c/ab", "n", 2))
	s.must(t, 3, set("c/a", "n", 3))
	same(t, s.get(t, "c/a").Revision, uint64(2))
	same(t, s.getAt(t, "c/a", s.now-1).Doc, doc("n", 1))
	same(t, s.get(t, "c/aa"), Document{Path: "c/aa"})
}

// The simulator relies on it that each planted defect shows.
func TestPlantedDefects(t *testing.T) {
	history := func(defect planted.Set) (read, followed, again Document) {
		s := newShard(t)
		s.program = NewPlanted(defect)
		s.now += 16 - s.now%16 - 1
		at := s.must(t, 1, set("c/a", "n", 1)).Time
		s.must(t, 2, set("c/a", "n", 2))
		s.collect(t, CollectRequest{Limit: 9})
		read = s.getAt(t, "c/a", at)
		changes, err := ask[FeedReply](s, shardA, MethodFeed, FeedRequest{Target: target1, Limit: 9})
		same(t, err, nil)
		followed = changes.Changes[0].Doc
		s.must(t, 2, set("c/a", "n", 3))
		return read, followed, s.get(t, "c/a")
	}
	read, followed, again := history(0)
	same(t, []uint64{read.Revision, followed.Revision, again.Revision}, []uint64{1, 1, 2})
	for defect, want := range map[planted.Set][]uint64{
		planted.ReadWrongTime:    {2, 1, 2},
		planted.SkipFeedEntry:    {1, 2, 2},
		planted.RequestForgotten: {1, 1, 3},
		planted.HistoryTooShort:  {0, 2, 2},
	} {
		read, followed, again := history(defect)
		same(t, []uint64{read.Revision, followed.Revision, again.Revision}, want)
	}
}

func TestRecordsSurviveRoundTrips(t *testing.T) {
	v := version{at: 5, revision: 300, created: 3, doc: doc("n", 1)}
	got, err := parseVersion(5, v.encode())
	same(t, err, nil)
	if fmt.Sprint(got) != fmt.Sprint(v) {
		t.Fatalf("%v became %v", v, got)
	}
	r := result{at: 9, caller: "who", reply: []byte("what")}
	back, err := parseResult(appendResult(nil, r))
	same(t, err, nil)
	if fmt.Sprint(back) != fmt.Sprint(r) {
		t.Fatalf("%v became %v", r, back)
	}
	for _, e := range []entry{{}, {changed: true}, {request: requestID(1)}, {changed: true, request: requestID(1)}} {
		got, err := parseEntry(appendEntry(nil, e))
		same(t, err, nil)
		if got != e {
			t.Fatalf("%v became %v", e, got)
		}
	}
	long := binary.AppendUvarint(append([]byte{resultFormat}, make([]byte, 8)...), 1<<60)
	for _, bad := range [][]byte{nil, {1}, {2, 0}, bytes.Repeat([]byte{0xff}, 30)} {
		_, err := parseVersion(1, append(bytes.Clone(bad), 0x80))
		wantErr(t, err, atoll.DataLoss)
		_, err = parseResult(bad)
		wantErr(t, err, atoll.DataLoss)
		_, err = parseEntry(bad)
		wantErr(t, err, atoll.DataLoss)
	}
	_, err = parseResult(long)
	wantErr(t, err, atoll.DataLoss)
}
