package shard

import (
	"fmt"
	"os"
	"testing"

	"atoll"
	"atoll/query"
	"atoll/value"
	"atoll/wire"
)

// askKeys runs a query and returns what it read.
func (s *subnet) askKeys(t testing.TB, q query.Query) QueryStats {
	t.Helper()
	reply, err := ask[QueryReply](s, shardA, MethodQuery, QueryRequest{Target: target1, Query: q, Page: MaxPage, Explain: true})
	if err != nil {
		t.Fatal(err)
	}
	return reply.Stats
}

// hotField is a collection of which every document changes all the time. Its
// field hot always rises, as a clock or a counter does, and its field flag goes
// to and fro between two values.
type hotField struct {
	*subnet
	n         int        // updates so far
	retention atoll.Time // of versions; 0: for ever
}

const (
	hotDocs = 50
	// hotPause between two rounds over all documents makes 1,000 updates a
	// second, in microseconds.
	hotPause = hotDocs * 1000
	// hotRound and hotStep are how often, and of how many entries of the feed
	// at once, old versions are collected, as package host does it.
	hotRound = atoll.Time(1_000_000)
	hotStep  = 10_000
)

// round changes every document once.
func (h *hotField) round(t testing.TB) {
	t.Helper()
	h.now += hotPause
	req := CommitRequest{Targets: []Target{target1}}
	for i := range hotDocs {
		h.n++
		req.Writes = append(req.Writes, set(atoll.Path(fmt.Sprintf("c/%d", i)), "hot", h.n, "flag", h.n/hotDocs%2))
	}
	if _, err := h.program.Update(h.turn(shardA), atoll.Input{Caller: "user", Method: MethodCommit, Payload: wire.Marshal(req)}); err != nil {
		t.Fatal(err)
	}
	h.ranges.given = nil
	if h.retention == 0 || h.now/hotRound == (h.now-hotPause)/hotRound {
		return
	}
	for more := true; more; {
		req := CollectRequest{Versions: h.horizon(), Latest: 1, Requests: h.now, Limit: hotStep}
		b, err := h.program.Update(h.turn(shardA), atoll.Input{Caller: atoll.Management, Method: MethodCollect, Payload: wire.Marshal(req)})
		var reply CollectReply
		if err != nil || wire.Unmarshal(b, &reply) != nil {
			t.Fatal(err)
		}
		h.ranges.given, more = nil, reply.More
	}
}

func (h *hotField) horizon() atoll.Time { return max(h.now-h.retention, 1) }

// cost is what a whole query has read, over all of its pages.
type cost struct{ pages, keys, most int }

// read asks for the first 20 documents by a field at a time, 0 for now.
func (h *hotField) read(t testing.TB, field string, desc bool, at atoll.Time) (c cost) {
	t.Helper()
	q := query.Query{Collection: "c", Order: []query.Order{{Field: field, Desc: desc}}, Limit: 20}
	req := QueryRequest{Target: target1, Query: q, At: at, Page: MaxPage}
	found := 0
	for more := true; more; {
		reply, err := ask[QueryReply](h.subnet, shardA, MethodQuery, req)
		if err != nil {
			t.Fatal(err)
		}
		c.pages++
		c.keys += reply.Stats.Keys
		c.most = max(c.most, reply.Stats.Keys)
		found += len(reply.Found)
		req.After, more = reply.Next, len(reply.Next) > 0
	}
	same(t, found, 20)
	return c
}

// TestHotField reads in the order of fields that are changed 1,000 times a
// second, for an hour of simulated time if ATOLL_LONG is set, while old
// versions are collected. Reads of now do not see the churn at all. Reads of
// the past read no more than what changed while it was kept, each value of each
// document twice at most, and no page more than MaxScan.
func TestHotField(t *testing.T) {
	total, h := 40*hotRound, &hotField{subnet: newShard(t), retention: 10 * hotRound}
	if os.Getenv("ATOLL_LONG") != "" {
		total, h.retention = 3600*hotRound, 300*hotRound
	}
	h.ranges.calm = true // collection removes no more than what it has just read
	h.round(t)
	first := h.read(t, "hot", false, 0)
	if first.keys > 41 {
		t.Fatalf("20 of %d documents cost %+v", hotDocs, first)
	}
	began, looks := h.now, 10
	for part := 1; part <= looks; part++ {
		for h.now < began+total*atoll.Time(part)/atoll.Time(looks) {
			h.round(t)
		}
		for _, desc := range []bool{false, true} {
			same(t, h.read(t, "hot", desc, 0), first)
			same(t, h.read(t, "flag", desc, 0).keys <= 2*hotDocs, true)
		}
		kept := int((h.now-max(h.horizon(), began))/hotPause+2) * hotDocs
		for _, at := range []atoll.Time{max(h.horizon(), began), h.now - min(h.retention, h.now-began)/2, h.now - hotRound, h.now - 1} {
			up, down, flag := h.read(t, "hot", false, at), h.read(t, "hot", true, at), h.read(t, "flag", false, at)
			if part == looks {
				t.Logf("%d updates; %.1f s ago by hot: %+v, backwards: %+v, by flag: %+v", h.n, float64(h.now-at)/1e6, up, down, flag)
			}
			// One of the two spaces may stand on a key that is not needed yet.
			if up.keys > kept+hotDocs+2 || down.keys > kept+hotDocs+2 || max(up.most, down.most) > MaxScan+2 || flag.keys > 10*hotDocs {
				t.Fatalf("after %d updates, %d of them kept, %d us ago: by hot %+v, backwards %+v, by flag %+v", h.n, kept, h.now-at, up, down, flag)
			}
		}
	}
	t.Logf("%d updates; now by hot: %+v", h.n, first)
}

// TestPagesOfThePast goes over what has ended in pages, none of which reads
// more than it may, and comes to the end even if it may read one key at a time.
func TestPagesOfThePast(t *testing.T) {
	h := &hotField{subnet: newShard(t)}
	h.round(t)
	at := h.now
	for range 40 {
		h.round(t)
	}
	past := h.now
	for i := range hotDocs {
		h.must(t, 0, remove(atoll.Path(fmt.Sprintf("c/%d", i))))
	}
	for _, scan := range []int{1, 7, 100} {
		h.program.limits.scan = scan
		for _, when := range []atoll.Time{at, past} {
			for _, desc := range []bool{false, true} {
				for _, field := range []string{"hot", "__name__"} {
					c := h.read(t, field, desc, when)
					// A page that may read too little to come to its first document goes on to that.
					if c.most > max(scan, 20)+6 {
						t.Errorf("by %s, %t, at %d: a page of %d read %+v", field, desc, when, scan, c)
					}
				}
			}
		}
	}
	// Documents that are gone are passed in pages too.
	h.program.limits.scan = 10
	q := query.Query{Descendants: true}
	req := QueryRequest{Target: target1, Query: q, Page: MaxPage}
	pages := 0
	for more := true; more; pages++ {
		reply, err := ask[QueryReply](h.subnet, shardA, MethodQuery, req)
		same(t, err, nil)
		same(t, len(reply.Found), 0)
		same(t, reply.Stats.Keys <= 12, true)
		req.After, more = reply.Next, len(reply.Next) > 0
	}
	same(t, pages >= 2*hotDocs/12, true)
}

// TestPlans looks at the way that is taken for some queries, and at its cost.
func TestPlans(t *testing.T) {
	s := newShard(t)
	const docs = 2000
	for i := range docs {
		w := set(atoll.Path(fmt.Sprintf("c/%04d", i)), "n", i, "even", value.Bool(i%2 == 0), "rare", i%100, "tags", value.Array(value.Int(int64(i%3))))
		s.now++
		req := CommitRequest{Targets: []Target{target1}, Writes: []Write{w}}
		if _, err := s.program.Update(s.turn(shardA), atoll.Input{Caller: "user", Method: MethodCommit, Payload: wire.Marshal(req)}); err != nil {
			t.Fatal(err)
		}
	}
	equal := func(field string, v value.Value) query.Filter {
		return query.Filter{Op: query.Equal, Field: field, Value: value.EncodeValue(v)}
	}
	for _, c := range []struct {
		name    string
		q       query.Query
		results int
		most    int // keys
		plan    string
	}{
		{"all by name", query.Query{Limit: 10}, 10, 21, "members of c"},
		{"one value", query.Query{Where: ptr(equal("rare", value.Int(7)))}, 20, 41, "documents with rare =="},
		{"two values", query.Query{Where: &query.Filter{Op: query.And, Parts: []query.Filter{equal("rare", value.Int(8)), equal("even", value.Bool(true))}}},
			20, 65, "documents with rare == and even =="},
		{"an element and a value", query.Query{Where: &query.Filter{Op: query.And, Parts: []query.Filter{equal("rare", value.Int(8)), {Op: query.ArrayContains, Field: "tags", Value: value.EncodeValue(value.Int(2))}}}},
			7, 60, "documents with rare == and tags contains"},
		{"few to sort", query.Query{Where: ptr(equal("rare", value.Int(7))), Order: []query.Order{{Field: "n"}}, Limit: 5}, 5, 70, "documents with rare ==; sort"},
		{"many in order", query.Query{Where: ptr(equal("even", value.Bool(true))), Order: []query.Order{{Field: "n", Desc: true}}, Limit: 5}, 5, 300, "index of n backwards, those with and even =="},
		{"a range", query.Query{Where: &query.Filter{Op: query.GreaterOrEqual, Field: "n", Value: value.EncodeValue(value.Int(1990))}}, 10, 20, "index of n"},
		{"skipped by the index", query.Query{Order: []query.Order{{Field: "n"}}, Offset: 500, Limit: 5}, 5, 510, "index of n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.q.Collection = "c"
			st := s.askKeys(t, c.q)
			same(t, st.Results, c.results)
			same(t, st.Plan, c.plan)
			if st.Keys > c.most {
				t.Errorf("%d keys were read, want at most %d: %+v", st.Keys, c.most, st)
			}
		})
	}
}

func ptr[T any](v T) *T { return &v }

// TestTooManyToSort names the index that would help.
func TestTooManyToSort(t *testing.T) {
	s := newShard(t)
	s.program.limits.sort = 3
	for i := range 5 {
		s.must(t, uint64(i+1), set(atoll.Path(fmt.Sprintf("c/%d", i)), "a", 1, "b", i))
	}
	q := query.Query{Collection: "c", Order: []query.Order{{Field: "a"}, {Field: "b", Desc: true}}}
	_, err := ask[QueryReply](s, shardA, MethodQuery, QueryRequest{Target: target1, Query: q, Page: 9})
	wantErr(t, err, atoll.ResourceExhausted, "c (a, b desc, __name__ desc)")
}

// TestTermsOfOneDocument finds a document of a collection group once, though it
// passes the filters of a term in whose order it does not stand.
func TestTermsOfOneDocument(t *testing.T) {
	s := newShard(t)
	s.must(t, 1, set("c/a", "n", 1), set("c/b", "n", value.Double(1.5)))
	q := query.Query{Collection: "c", Descendants: true, Where: &query.Filter{Op: query.Or, Parts: []query.Filter{
		{Op: query.IsNaN, Field: "n"}, {Op: query.IsNotNaN, Field: "n"}}}}
	same(t, s.askKeys(t, q).Results, 2)
}

func FuzzQueryToken(f *testing.F) {
	s := newShard(f)
	for i := range 5 {
		if _, err := s.commit(uint64(i+1), set(atoll.Path(fmt.Sprintf("c/%d", i)), "a", i%2, "b", i)); err != nil {
			f.Fatal(err)
		}
	}
	q := query.Query{Collection: "c", Order: []query.Order{{Field: "a"}, {Field: "b", Desc: true}}}
	reply, err := ask[QueryReply](s, shardA, MethodQuery, QueryRequest{Target: target1, Query: q, Page: 2})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(reply.Next, uint8(0))
	f.Add(reply.Next, uint8(1))
	f.Add(pageToken{At: s.now, Floor: []byte{0xcf, 0, 1}}.from([]byte{0x30}), uint8(2))
	f.Fuzz(func(t *testing.T, after []byte, shape uint8) {
		q := q
		switch shape % 4 {
		case 1:
			q.Order = q.Order[1:]
		case 2:
			q.Order = nil
		case 3:
			q.Order = []query.Order{{Field: "__name__", Desc: true}}
		}
		reply, err := ask[QueryReply](s, shardA, MethodQuery, QueryRequest{Target: target1, Query: q, Page: 9, After: after})
		if err != nil && atoll.KindOf(err) != atoll.Invalid && atoll.KindOf(err) != atoll.FailedPrecondition && atoll.KindOf(err) != atoll.OutOfRange {
			t.Fatal(err)
		}
		if len(reply.Found) > 5 {
			t.Fatalf("%d documents of 5", len(reply.Found))
		}
	})
}

func BenchmarkQuery20(b *testing.B) {
	s := newShard(b)
	s.seeks = true
	for i := range 2000 {
		s.run(b, uint64(i+1), commitPayload(i, Write{Op: OpSet, Doc: tenFields()}))
	}
	for _, order := range []string{"__name__", "likes"} {
		b.Run(order, func(b *testing.B) {
			q := query.Query{Collection: "posts", Order: []query.Order{{Field: order}}, Limit: 20}
			payload := wire.Marshal(QueryRequest{Target: target1, Query: q, Page: MaxPage})
			v := view{s.turn(shardA)}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.program.Query(v, atoll.Question{Method: MethodQuery, Payload: payload}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
