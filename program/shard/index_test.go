package shard

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"atoll"
	"atoll/keys"
	"atoll/query"
	"atoll/value"
)

// parts makes the fields of an index of words: "a", "b desc", "l contains".
func parts(words ...string) (all []IndexedPart) {
	for _, w := range words {
		field, how, _ := strings.Cut(w, " ")
		all = append(all, IndexedPart{Field: field, Desc: how == "desc", Contains: how == "contains"})
	}
	return all
}

// setIndexes sets the indexes of shard A's database.
func (s *subnet) setIndexes(t testing.TB, c IndexConfig) {
	t.Helper()
	_, err := call[struct{}](s, shardA, directory, MethodIndexes, c)
	same(t, err, nil)
}

// buildAll builds to the end and returns how many messages that took.
func (s *subnet) buildAll(t testing.TB, limit int) (messages int) {
	t.Helper()
	for more := true; more; messages++ {
		reply, err := call[BuildReply](s, shardA, atoll.Management, MethodBuild, BuildRequest{Limit: limit})
		same(t, err, nil)
		more = reply.More
	}
	return messages
}

func (s *subnet) indexStatus(t testing.TB) IndexStatus {
	t.Helper()
	status, err := askAs[IndexStatus](s, shardA, directory, MethodIndexStatus, nil)
	same(t, err, nil)
	return status
}

// run asks for all documents of a query.
func (s *subnet) runQuery(q query.Query, at atoll.Time) (QueryReply, error) {
	return ask[QueryReply](s, shardA, MethodQuery, QueryRequest{Target: target1, Query: q, Page: 1000, Explain: true, At: at})
}

func equals(field string, v any) query.Filter {
	return query.Filter{Op: query.Equal, Field: field, Value: value.EncodeValue(fields("v", v).Field(0).Value)}
}

func and(parts ...query.Filter) *query.Filter { return &query.Filter{Op: query.And, Parts: parts} }

// people has 300 documents: a takes 3 values, b grows, l has two elements, s is
// below a.
func people(t testing.TB) *subnet {
	s := newShard(t)
	for i := range 300 {
		p := atoll.Path(fmt.Sprintf("c/%03d", i))
		if i%10 == 9 {
			p = atoll.Path(fmt.Sprintf("c/%03d/s/x", i))
		}
		s.must(t, uint64(i+1), set(p, "a", i%3, "b", 300-i, "l", value.Array(value.Int(int64(i%5)), value.String("x")), "rare", value.Bool(i%100 == 0)))
	}
	return s
}

func TestCompositeIndexServes(t *testing.T) {
	s := people(t)
	before := s.now
	q := query.Query{Collection: "c", Where: and(equals("a", 1)), Order: []query.Order{{Field: "b", Desc: true}}, Limit: 10}
	want, err := s.runQuery(q, 0)
	same(t, err, nil)
	s.setIndexes(t, IndexConfig{Version: 1, Composites: []CompositeIndex{
		{ID: 16, Collection: "c", Fields: parts("a", "b")},
		{ID: 17, Collection: "c", Fields: parts("l contains", "a", "b desc")},
		{ID: 18, Collection: "s", Group: true, Fields: parts("a", "b")},
	}})
	same(t, s.indexStatus(t).Composites[0].State, IndexBuilding)
	got, err := s.runQuery(q, 0)
	same(t, err, nil)
	if strings.Contains(got.Stats.Plan, "composite") {
		t.Errorf("an index that is building is used: %s", got.Stats.Plan)
	}
	if n := s.buildAll(t, 50); n < 6 {
		t.Errorf("300 documents took %d messages of 50", n)
	}
	same(t, s.indexStatus(t).Composites[0].State, IndexReady)
	got, err = s.runQuery(q, 0)
	same(t, err, nil)
	same(t, len(got.Found), len(want.Found))
	for i := range got.Found {
		same(t, got.Found[i].Path, want.Found[i].Path)
		same(t, string(got.Found[i].Key), string(want.Found[i].Key))
	}
	// Ten entries and their documents.
	same(t, got.Stats.Plan, "composite index c (a, b) backwards")
	same(t, got.Stats.Seeks, 1)
	if got.Stats.Keys > 21 || got.Stats.Needed > 1 {
		t.Errorf("the index reads too much: %+v", got.Stats)
	}
	// The past before the index was whole is read without it.
	if got, err = s.runQuery(q, before); err != nil || strings.Contains(got.Stats.Plan, "composite") {
		t.Errorf("the past is read by %s, %v", got.Stats.Plan, err)
	}
	q.Where = and(equals("a", 1), query.Filter{Op: query.ArrayContains, Field: "l", Value: value.EncodeValue(value.Int(2))})
	got, err = s.runQuery(q, 0)
	same(t, err, nil)
	same(t, got.Stats.Plan, "composite index c (l contains, a, b desc)")
	same(t, len(got.Found), 10)
	got, err = s.runQuery(query.Query{Collection: "s", Descendants: true, Where: and(equals("a", 0)), Order: []query.Order{{Field: "b"}}}, 0)
	same(t, err, nil)
	same(t, got.Stats.Plan, "composite index s group (a, b)")
	same(t, len(got.Found), 10)
}

func TestCompositeIndexAndAProbe(t *testing.T) {
	s := people(t)
	s.setIndexes(t, IndexConfig{Version: 1, Composites: []CompositeIndex{{ID: 16, Collection: "c", Fields: parts("a", "b")}}})
	s.buildAll(t, 100)
	got, err := s.runQuery(query.Query{Collection: "c", Where: and(equals("a", 0), equals("rare", value.Bool(true))), Order: []query.Order{{Field: "b"}}}, 0)
	same(t, err, nil)
	same(t, got.Stats.Plan, "composite index c (a, b), those with and rare ==")
	same(t, len(got.Found), 1)
}

// TestCompositeIndexesMeet finds documents where two indexes meet, of which
// neither knows of all fields.
func TestCompositeIndexesMeet(t *testing.T) {
	s := newShard(t)
	for i := range 400 {
		s.must(t, uint64(i+1), set(atoll.Path(fmt.Sprintf("c/%03d", i)), "a", i%20, "b", i%21, "n", i/3))
	}
	config := IndexConfig{Version: 1, Exempt: []FieldIndex{{Collection: "c", Field: EveryField, Off: true}},
		Composites: []CompositeIndex{{ID: 16, Collection: "c", Fields: parts("a", "n desc")}, {ID: 17, Collection: "c", Fields: parts("b", "n desc")}}}
	s.setIndexes(t, config)
	s.buildAll(t, 1000)
	for _, desc := range []bool{false, true} {
		got, err := s.runQuery(query.Query{Collection: "c", Where: and(equals("a", 3), equals("b", 5)), Order: []query.Order{{Field: "n", Desc: desc}}}, 0)
		same(t, err, nil)
		if !strings.Contains(got.Stats.Plan, "composite index c (a, n desc)") || !strings.Contains(got.Stats.Plan, " and composite index c (b, n desc)") {
			t.Errorf("the plan is %s", got.Stats.Plan)
		}
		same(t, len(got.Found), 1)
		same(t, got.Found[0].Path, atoll.Path("c/383")) // 383 = 3 mod 20 = 5 mod 21
		if st := got.Stats; st.Keys > 4*(st.Results+st.Seeks+st.Needed) {
			t.Errorf("it has read too much: %+v", st)
		}
	}
	_, err := s.runQuery(query.Query{Collection: "c", Where: and(equals("a", 3), equals("b", 5)), Order: []query.Order{{Field: "b"}, {Field: "n"}}}, 0)
	same(t, err, nil)
	_, err = s.runQuery(query.Query{Collection: "c", Where: and(equals("a", 3), equals("b", 5)), Order: []query.Order{{Field: "z"}}}, 0)
	wantErr(t, err, atoll.FailedPrecondition, "exempt")
}

func TestExemptFields(t *testing.T) {
	s := people(t)
	entries := s.count(keys.Index)
	off := IndexConfig{Version: 1, Exempt: []FieldIndex{{Collection: "c", Field: "b", Off: true}}}
	s.setIndexes(t, off)
	byB := query.Query{Collection: "c", Order: []query.Order{{Field: "b"}}}
	_, err := s.runQuery(byB, 0)
	wantErr(t, err, atoll.FailedPrecondition, "requires an index", "field b of c")
	s.must(t, 1000, set("c/new", "b", 7))
	s.buildAll(t, 20)
	same(t, s.count(keys.Index), entries-270+1) // the new document's membership
	_, err = s.runQuery(query.Query{Collection: "c", Where: and(equals("a", 1), equals("b", 2))}, 0)
	wantErr(t, err, atoll.FailedPrecondition, "field b of c")
	// Other collections and the collection group's other fields are as before.
	if _, err := s.runQuery(query.Query{Parent: "c/009", Collection: "s", Order: []query.Order{{Field: "b"}}}, 0); err != nil {
		t.Error(err)
	}
	// A composite index that has the field serves it, once it is ready.
	q := query.Query{Collection: "c", Where: and(equals("a", 1)), Order: []query.Order{{Field: "b"}}}
	off.Version, off.Composites = 2, []CompositeIndex{{ID: 16, Collection: "c", Fields: parts("a", "b")}}
	s.setIndexes(t, off)
	_, err = s.runQuery(q, 0)
	wantErr(t, err, atoll.FailedPrecondition, "c (a, b) is not ready")
	s.buildAll(t, 100)
	got, err := s.runQuery(q, 0)
	same(t, err, nil)
	same(t, len(got.Found), 90)
	// Set back: built again, and read without the index meanwhile.
	s.setIndexes(t, IndexConfig{Version: 3})
	got, err = s.runQuery(byB, 0)
	same(t, err, nil)
	same(t, len(got.Found), 271)
	s.buildAll(t, 20)
	same(t, s.count(keys.Index), entries+2)
	got, err = s.runQuery(byB, 0)
	same(t, err, nil)
	same(t, got.Stats.Plan, "index of b")
	same(t, len(got.Found), 271)
	same(t, len(s.indexStatus(t).Composites), 0)
}

func TestGroupFields(t *testing.T) {
	s := people(t)
	s.setIndexes(t, IndexConfig{Version: 1, Exempt: []FieldIndex{{Collection: "s", Field: "b", Group: true}, {Collection: "s", Field: "a", Group: true}}})
	s.buildAll(t, 50)
	got, err := s.runQuery(query.Query{Collection: "s", Descendants: true, Order: []query.Order{{Field: "b"}}, Limit: 3}, 0)
	same(t, err, nil)
	same(t, got.Stats.Plan, "index of b")
	same(t, len(got.Found), 3)
	if got.Stats.Keys > 8 {
		t.Errorf("three of a group cost %+v", got.Stats)
	}
	got, err = s.runQuery(query.Query{Collection: "s", Descendants: true, Where: and(equals("a", 0), equals("b", 291))}, 0)
	same(t, err, nil)
	same(t, got.Stats.Plan, "documents with a == and b ==")
	same(t, len(got.Found), 1)
}

func TestIndexConfigIsTheDirectorys(t *testing.T) {
	s := newShard(t)
	for _, who := range []atoll.Principal{"user", atoll.Anonymous, shardB, Administrator, atoll.Management} {
		_, err := call[struct{}](s, shardA, who, MethodIndexes, IndexConfig{Version: 1})
		wantErr(t, err, atoll.PermissionDenied)
	}
	for _, who := range []atoll.Principal{"user", atoll.Anonymous, directory, Administrator} {
		_, err := call[BuildReply](s, shardA, who, MethodBuild, BuildRequest{Limit: 1})
		wantErr(t, err, atoll.PermissionDenied)
	}
	for who, kind := range map[atoll.Principal]atoll.Kind{
		"user": atoll.PermissionDenied, atoll.Anonymous: atoll.PermissionDenied, shardB: atoll.PermissionDenied,
		directory: atoll.OK, Administrator: atoll.OK, atoll.Management: atoll.OK,
	} {
		_, err := askAs[IndexStatus](s, shardA, who, MethodIndexStatus, nil)
		same(t, atoll.KindOf(err), kind)
	}
	for _, limit := range []int{0, -1, MaxBuild + 1} {
		_, err := call[BuildReply](s, shardA, atoll.Management, MethodBuild, BuildRequest{Limit: limit})
		wantErr(t, err, atoll.Invalid, "limit")
	}
	// An older configuration changes nothing.
	s.setIndexes(t, IndexConfig{Version: 2, Composites: []CompositeIndex{{ID: 16, Collection: "c", Fields: parts("a", "b")}}})
	s.setIndexes(t, IndexConfig{Version: 1})
	same(t, len(s.indexStatus(t).Composites), 1)
}

func TestIndexConfigLimits(t *testing.T) {
	many := func(n int) (all []CompositeIndex) {
		for i := range n {
			all = append(all, CompositeIndex{Collection: fmt.Sprint("c", i), Fields: parts("a", "b")})
		}
		return all
	}
	exempt := func(n int) (all []FieldIndex) {
		for i := range n {
			all = append(all, FieldIndex{Collection: "c", Field: fmt.Sprint("f", i), Off: true})
		}
		return all
	}
	wide := func(n int) []CompositeIndex {
		x := CompositeIndex{Collection: "c"}
		for i := range n {
			x.Fields = append(x.Fields, IndexedPart{Field: fmt.Sprint("f", i)})
		}
		return []CompositeIndex{x}
	}
	one := func(words ...string) IndexConfig {
		return IndexConfig{Composites: []CompositeIndex{{Collection: "c", Fields: parts(words...)}}}
	}
	for _, c := range []struct {
		what   string
		config IndexConfig
		ok     bool
	}{
		{"at the limits", IndexConfig{Composites: many(MaxComposites), Exempt: exempt(MaxExempt)}, true},
		{"one composite too many", IndexConfig{Composites: many(MaxComposites + 1)}, false},
		{"one field too many", IndexConfig{Exempt: exempt(MaxExempt + 1)}, false},
		{"a wide index", IndexConfig{Composites: wide(MaxIndexParts)}, true},
		{"an index that is too wide", IndexConfig{Composites: wide(MaxIndexParts + 1)}, false},
		{"names", one("a", "b", "__name__ desc"), true},
		{"one field", one("a"), false},
		{"one field and the name", one("a", "__name__"), false},
		{"the name first", one("__name__", "a"), false},
		{"a field twice", one("a", "b", "a desc"), false},
		{"two arrays", one("a contains", "b contains"), false},
		{"not canonical", one("a", "`b`"), false},
		{"no path", one("a", "b..c"), false},
		{"twice", IndexConfig{Composites: append(one("a", "b").Composites, one("a", "b", "__name__").Composites...)}, false},
		{"no collection", IndexConfig{Composites: []CompositeIndex{{Collection: "c/d", Fields: parts("a", "b")}}}, false},
		{"overridden twice", IndexConfig{Exempt: []FieldIndex{{Collection: "c", Field: "a"}, {Collection: "c", Field: "a", Off: true}}}, false},
		{"every field", IndexConfig{Exempt: []FieldIndex{{Collection: "c", Field: EveryField, Off: true}}}, true},
		{"every field expires", IndexConfig{Exempt: []FieldIndex{{Collection: "c", Field: EveryField, TTL: true}}}, false},
		{"off and group", IndexConfig{Exempt: []FieldIndex{{Collection: "c", Field: "a", Off: true, Group: true}}}, false},
		{"reserved collection", IndexConfig{Exempt: []FieldIndex{{Collection: "__x__", Field: "a"}}}, false},
	} {
		if err := c.config.Check(); (err == nil) != c.ok || err != nil && atoll.KindOf(err) != atoll.Invalid {
			t.Errorf("%s: %v", c.what, err)
		}
	}
}

// TestTooManyCompositeEntries holds documents at the limit of entries with a
// composite index, and shows what becomes of an index that a document cannot
// have.
func TestTooManyCompositeEntries(t *testing.T) {
	s := newShard(t)
	elems := func(n int) value.Value {
		all := make([]value.Value, n)
		for i := range all {
			all[i] = value.Int(int64(i))
		}
		return value.Array(all...)
	}
	composite := IndexConfig{Version: 1, Composites: []CompositeIndex{{ID: 16, Collection: "c", Fields: parts("a", "l contains")}}}
	s.setIndexes(t, composite)
	s.buildAll(t, 1)
	// a, l, each element by itself and in the index, and the document.
	s.must(t, 1, set("c/a", "a", 1, "l", elems((MaxEntries-3)/2)))
	_, err := s.commit(2, set("c/a", "a", 1, "l", elems((MaxEntries-3)/2+1)))
	wantErr(t, err, atoll.Invalid, "index entries", fmt.Sprint(MaxEntries))
	// Bytes are limited too.
	long := strings.Repeat("x", keys.MaxIndexed)
	n := MaxCompositeBytes/(keys.MaxIndexed+45) - 10
	s.must(t, 3, set("c/a", "a", long, "l", elems(n)))
	_, err = s.commit(4, set("c/a", "a", long, "l", elems(n+500)))
	wantErr(t, err, atoll.Invalid, "bytes of entries in composite indexes")
	// A build that meets a document with too many fails, and writes go on.
	s.setIndexes(t, IndexConfig{Version: 2})
	s.buildAll(t, MaxBuild)
	s.must(t, 5, set("c/big", "a", 1, "l", elems(MaxEntries/2)), set("c/a", "a", 1, "l", elems(1)), set("c/b", "a", 1))
	composite.Version, composite.Composites[0].ID = 3, 17
	s.setIndexes(t, composite)
	s.buildAll(t, 1)
	status := s.indexStatus(t).Composites[0]
	same(t, status.State, IndexFailed)
	if !strings.Contains(status.Reason, "c/big") {
		t.Errorf("the reason is %q", status.Reason)
	}
	s.must(t, 6, set("c/big", "a", 2, "l", elems(MaxEntries/2)))
	s.must(t, 7, set("c/big", "a", 1, "l", elems(3)))
	composite.Version = 4
	s.setIndexes(t, composite)
	s.buildAll(t, 1)
	same(t, s.indexStatus(t).Composites[0].State, IndexReady)
	same(t, s.countIndex(17), 1+3)
	same(t, s.countIndex(16), 0)
}

// countIndex counts the live entries of an index.
func (s *subnet) countIndex(id uint32) (n int) {
	head := keys.AppendIndexHead(nil, 1, keys.Index, id)
	for _, p := range s.ranges.dump() {
		if strings.HasPrefix(string(p.key), string(head)) {
			n++
		}
	}
	return n
}

// TestPastOfAnIndex reads the past on both sides of the time from which an
// index is whole, of documents that changed while it was built.
func TestPastOfAnIndex(t *testing.T) {
	s := newShard(t)
	for i := range 40 {
		s.must(t, uint64(i+1), set(atoll.Path(fmt.Sprintf("c/%02d", i)), "a", 1, "b", i))
	}
	s.setIndexes(t, IndexConfig{Version: 1, Composites: []CompositeIndex{{ID: 16, Collection: "c", Fields: parts("a", "b")}}})
	// Changed before the build comes to it: the index never gets the old state.
	s.must(t, 100, set("c/39", "a", 1, "b", 100))
	changed := s.now
	q := query.Query{Collection: "c", Where: and(equals("a", 1)), Order: []query.Order{{Field: "b", Desc: true}}, Limit: 1}
	for messages := 0; s.indexStatus(t).Composites[0].State != IndexReady; messages++ {
		if messages > 100 {
			t.Fatal("the build has no end")
		}
		_, err := call[BuildReply](s, shardA, atoll.Management, MethodBuild, BuildRequest{Limit: 10})
		same(t, err, nil)
	}
	whole := s.indexStatus(t).Composites[0].Whole
	s.must(t, 101, set("c/39", "a", 1, "b", 0))
	for _, c := range []struct {
		at        atoll.Time
		first     atoll.Path
		composite bool
	}{
		{changed - 1, "c/39", false}, {changed, "c/39", false}, {whole - 1, "c/39", false}, {whole, "c/39", true}, {s.now, "c/38", true},
	} {
		got, err := s.runQuery(q, c.at)
		same(t, err, nil)
		if len(got.Found) != 1 || got.Found[0].Path != c.first || strings.Contains(got.Stats.Plan, "composite") != c.composite {
			t.Errorf("at %d of %d: %v by %s", c.at, whole, got.Found, got.Stats.Plan)
		}
	}
}

// TestLongValuesInComposites orders by values that the index has cut, between
// cursors in the middle of what it cannot tell apart.
func TestLongValuesInComposites(t *testing.T) {
	s := newShard(t)
	long := func(end string) string { return strings.Repeat("x", 2*keys.MaxIndexed) + end }
	ends := []string{"a", "b", "c", "d"}
	for i, end := range ends {
		for j := range 3 {
			s.must(t, uint64(10*i+j+1), set(atoll.Path(fmt.Sprintf("c/%s%d", end, j)), "n", 1, "s", long(end), "b", j))
		}
	}
	s.setIndexes(t, IndexConfig{Version: 1,
		Composites: []CompositeIndex{{ID: 16, Collection: "c", Fields: parts("n", "s", "b desc")}},
		Exempt:     []FieldIndex{{Collection: "c", Field: "s", Off: true}}})
	s.buildAll(t, 100)
	for _, back := range []bool{false, true} {
		for first := range ends {
			for last := first; last < len(ends); last++ {
				q := query.Query{Collection: "c", Where: and(equals("n", 1)), Order: []query.Order{{Field: "s", Desc: back}, {Field: "b", Desc: !back}}}
				lo, hi := ends[first], ends[last]
				if back {
					lo, hi = hi, lo
				}
				q.Start = &query.Cursor{Before: true, Values: [][]byte{value.EncodeValue(value.String(long(lo)))}}
				q.End = &query.Cursor{Values: [][]byte{value.EncodeValue(value.String(long(hi)))}}
				got, err := s.runQuery(q, 0)
				same(t, err, nil)
				var names []string
				for _, f := range got.Found {
					names = append(names, f.Path.ID())
				}
				var want []string
				for i := first; i <= last; i++ {
					want = append(want, ends[i]+"2", ends[i]+"1", ends[i]+"0")
				}
				if back {
					slices.Reverse(want)
				}
				same(t, names, want)
				q.End.Before = true
				got, err = s.runQuery(q, 0)
				same(t, err, nil)
				same(t, len(got.Found), 3*(last-first))
			}
		}
	}
}

// TestPastOfAnExemptField reads times at which a field was not indexed, after
// it is again.
func TestPastOfAnExemptField(t *testing.T) {
	s := newShard(t)
	for i := range 40 {
		s.must(t, uint64(i+1), set(atoll.Path(fmt.Sprintf("c/%02d", i)), "b", i))
	}
	s.setIndexes(t, IndexConfig{Version: 1, Exempt: []FieldIndex{{Collection: "c", Field: "b", Off: true}}})
	s.buildAll(t, 10)
	s.must(t, 100, set("c/39", "b", 100))
	changed := s.now
	s.must(t, 101, set("c/39", "b", 0))
	s.setIndexes(t, IndexConfig{Version: 2})
	s.buildAll(t, 10)
	whole := s.now
	s.must(t, 102, set("c/38", "b", 0))
	for _, c := range []struct {
		at      atoll.Time
		first   atoll.Path
		indexed bool
	}{{changed, "c/39", false}, {changed + 1, "c/38", false}, {whole, "c/38", true}, {s.now, "c/37", true}} {
		got, err := s.runQuery(query.Query{Collection: "c", Order: []query.Order{{Field: "b", Desc: true}}, Limit: 1}, c.at)
		same(t, err, nil)
		if len(got.Found) != 1 || got.Found[0].Path != c.first || strings.HasPrefix(got.Stats.Plan, "index of b") != c.indexed {
			t.Errorf("at %d: %v by %s", c.at, got.Found, got.Stats.Plan)
		}
	}
	// What cannot be read any more is forgotten of the indexes too.
	s.collect(t, CollectRequest{Versions: s.now, Limit: MaxCollect})
	s.setIndexes(t, IndexConfig{Version: 3})
	if g, err := loadGroup(s.state(shardA), "c"); g != nil || err != nil {
		t.Errorf("the usual indexes are kept as %+v, %v", g, err)
	}
}

// TestChecksUseIndexes repeats a transaction's query that only a composite
// index can answer.
func TestChecksUseIndexes(t *testing.T) {
	s := people(t)
	s.setIndexes(t, IndexConfig{Version: 1,
		Composites: []CompositeIndex{{ID: 16, Collection: "c", Fields: parts("a", "b")}},
		Exempt:     []FieldIndex{{Collection: "c", Field: "b", Off: true}}})
	s.buildAll(t, 100)
	q := query.Query{Collection: "c", Where: and(equals("a", 1)), Order: []query.Order{{Field: "b"}}, Limit: 3}
	check := s.resultOf(t, q)
	_, err := s.commitTo([]atoll.CanisterID{shardA}, 900, CommitRequest{Targets: []Target{target1}, Writes: []Write{set("c/x", "b", 0)}, Queries: []QueryCheck{check}})
	same(t, err, nil)
	s.must(t, 901, set("c/000", "a", 1, "b", -1))
	_, err = s.commitTo([]atoll.CanisterID{shardA}, 902, CommitRequest{Targets: []Target{target1}, Writes: []Write{set("c/x", "b", 0)}, Queries: []QueryCheck{check}})
	wantErr(t, err, atoll.Aborted)
}

// TestPolicies finds out which fields are indexed, as they inherit it.
func TestPolicies(t *testing.T) {
	off, group := policy{off: true}, policy{group: true}
	some := []FieldIndex{{Field: "m", Off: true}, {Field: "m.x"}, {Field: "m.x.y", Group: true}, {Field: "`a.b`", Off: true}}
	every := append(slices.Clone(some), FieldIndex{Field: EveryField, Group: true})
	for _, c := range []struct {
		of    []FieldIndex
		field string
		want  policy
	}{
		{nil, "a", policy{}}, {some, "a", policy{}}, {every, "a", group}, {every, "a.b", group}, {some, "`a.b`", off},
		{some, "m", off}, {some, "m.z", off}, {some, "m.z.y", off}, {some, "m.x", policy{}}, {some, "m.x.z", policy{}}, {some, "m.x.y", group}, {some, "m.x.y.z", group},
	} {
		if got := compileRules(c.of).of(must(value.ParseFieldPath(c.field))); got != c.want {
			t.Errorf("%s of %v: %+v, want %+v", c.field, c.of, got, c.want)
		}
	}
	for _, f := range []string{"a", "m", "m.x", "m.x.y", "m.z"} {
		path := must(value.ParseFieldPath(f))
		a, b := compileRules(some).of(path), compileRules(every).of(path)
		if got := compileRules(both(some, every)).of(path); got.off != (a.off || b.off) || got.group != (a.group && b.group) {
			t.Errorf("both of %s: %+v of %+v and %+v", f, got, a, b)
		}
	}
}
