package shard

import (
	"fmt"
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

// TestHotField reads in the order of a field that is changed all the time: the
// reads of now do not see the churn.
func TestHotField(t *testing.T) {
	s := newShard(t)
	const docs, updates = 50, 100_000
	n := 0
	writeAll := func() {
		s.now++
		req := CommitRequest{Targets: []Target{target1}}
		for i := range docs {
			n++
			req.Writes = append(req.Writes, set(atoll.Path(fmt.Sprintf("c/%d", i)), "hot", n))
		}
		if _, err := s.program.Update(s.turn(shardA), atoll.Input{Caller: "user", Method: MethodCommit, Payload: wire.Marshal(req)}); err != nil {
			t.Fatal(err)
		}
		s.ranges.given = nil
	}
	writeAll()
	q := query.Query{Collection: "c", Order: []query.Order{{Field: "hot"}}, Limit: 20}
	before := s.askKeys(t, q)
	same(t, before.Results, 20)
	same(t, before.Keys <= 41, true)
	for n < updates {
		writeAll()
	}
	same(t, s.askKeys(t, q), before)
	q.Order[0].Desc = true
	same(t, s.askKeys(t, q).Keys, before.Keys)
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
