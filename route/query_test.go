package route

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"atoll"
	"atoll/keys"
	"atoll/program/shard"
	"atoll/query"
	"atoll/value"
	"atoll/wire"
)

// matching returns the whole result of a query over one range, in order.
func (w *world) matching(d *shard.Descriptor, q *query.Query, at atoll.Time) (out []shard.Found, err error) {
	p, err := query.Prepare(q)
	if err != nil {
		return nil, err
	}
	for _, path := range w.paths(d) {
		doc := w.read(d.Database, path, at)
		if doc.Doc == nil {
			continue
		}
		ok, err := p.Matches(query.Document{Path: path, Doc: doc.Doc})
		if !ok || err != nil {
			if err != nil {
				return nil, err
			}
			continue
		}
		pos, _, err := p.Position(query.Document{Path: path, Doc: doc.Doc})
		if err != nil || !p.InBounds(pos) {
			continue
		}
		f := shard.Found{Document: doc}
		for i, v := range pos {
			if q.Order[i].Desc {
				f.Key = keys.AppendValueDesc(f.Key, v)
			} else {
				f.Key = keys.AppendValue(f.Key, v)
			}
		}
		out = append(out, f)
	}
	slices.SortFunc(out, func(a, b shard.Found) int { return bytes.Compare(a.Key, b.Key) })
	return out, nil
}

func (w *world) find(to atoll.CanisterID, question atoll.Question) ([]byte, error) {
	var req shard.QueryRequest
	if err := wire.Unmarshal(question.Payload, &req); err != nil {
		return nil, err
	}
	d, err := w.target(to, req.Target, nil)
	if err != nil {
		return nil, err
	}
	reply := shard.QueryReply{Time: req.At, Stats: shard.QueryStats{Seeks: 1, Plan: "plan"}}
	if req.At == 0 {
		reply.Time = w.now + w.lead[d.Subnet]
	}
	all, err := w.matching(d, &req.Query, reply.Time)
	if err != nil {
		return nil, err
	}
	all, skip := window(all, &req.Query)
	sent := 0
	if len(req.After) > 0 {
		sent = int(binary.BigEndian.Uint32(req.After))
	} else {
		reply.Skipped = skip
	}
	n := min(len(all)-sent, req.Page, w.pageSize)
	reply.Found = all[sent : sent+n]
	if sent+n < len(all) {
		reply.Next = binary.BigEndian.AppendUint32(nil, uint32(sent+n))
	}
	return wire.Marshal(reply), nil
}

// window applies offset and limit.
func window(all []shard.Found, q *query.Query) (out []shard.Found, skipped int) {
	skipped = min(q.Offset, len(all))
	all = all[skipped:]
	if q.Limit > 0 {
		all = all[:min(len(all), q.Limit)]
	}
	return all, skipped
}

func (w *world) sumUp(to atoll.CanisterID, question atoll.Question) ([]byte, error) {
	var req shard.AggregateRequest
	if err := wire.Unmarshal(question.Payload, &req); err != nil {
		return nil, err
	}
	d, err := w.target(to, req.Target, nil)
	if err != nil {
		return nil, err
	}
	at := req.At
	if at == 0 {
		at = w.now + w.lead[d.Subnet]
	}
	all, err := w.matching(d, &req.Query, at)
	if err != nil {
		return nil, err
	}
	all, _ = window(all, &req.Query)
	from := 0
	if len(req.After) > 0 {
		from = int(binary.BigEndian.Uint32(req.After))
	}
	n := min(len(all)-from, w.pageSize)
	sum, err := query.NewAggregator(req.Aggregates)
	if err != nil {
		return nil, err
	}
	for _, f := range all[from : from+n] {
		if err := sum.Add(query.Document{Path: f.Path, Doc: f.Doc}); err != nil {
			return nil, err
		}
	}
	reply := shard.AggregateReply{Time: at, Partial: sum.Partial()}
	if from+n < len(all) {
		reply.Next = binary.BigEndian.AppendUint32(nil, uint32(from+n))
	}
	return wire.Marshal(reply), nil
}

func numbered(p atoll.Path, n int64) []shard.Write {
	return []shard.Write{{Op: shard.OpSet, Path: p, Doc: value.Encode(value.Map(value.Field{Name: "n", Value: value.Int(n)}))}}
}

func normal(t interface{ Fatal(...any) }, q query.Query) query.Query {
	n, err := query.Normalize(q, app)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestQueryIsOneQuery compares queries over random layouts with the whole
// result, sorted and cut.
func TestQueryIsOneQuery(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld()
		w.layout(app, cut{"", 1, 0})
		r := New(Options{Node: w, Root: root})
		type entry struct {
			id string
			n  int64
		}
		var docs []entry
		for c := 'a'; c <= 'p'; c++ {
			if n := rapid.Int64Range(-1, 4).Draw(rt, "n"); n >= 0 {
				docs = append(docs, entry{string(c), n})
				if _, err := r.Commit(t.Context(), app, numbered(atoll.Path("c/"+string(c)), n), NewRequestID(), user); err != nil {
					rt.Fatal(err)
				}
			}
		}
		cuts := []cut{{"", 1, 0}}
		for i, before := range []atoll.Path{"c/d", "c/h", "c/m"} {
			if rapid.Bool().Draw(rt, "cut") {
				cuts = append(cuts, cut{before, uint32(i + 2), atoll.SubnetID(rapid.IntRange(0, 2).Draw(rt, "subnet"))})
			}
		}
		w.layout(app, cuts...)
		w.pageSize = rapid.IntRange(1, 5).Draw(rt, "page")
		desc := rapid.Bool().Draw(rt, "desc")
		q := normal(rt, query.Query{Collection: "c", Order: []query.Order{{Field: "n", Desc: desc}},
			Offset: rapid.IntRange(0, 4).Draw(rt, "offset"), Limit: rapid.IntRange(0, 6).Draw(rt, "limit")})
		slices.SortFunc(docs, func(a, b entry) int {
			c := int(a.n - b.n)
			if c == 0 {
				c = bytes.Compare([]byte(a.id), []byte(b.id))
			}
			if desc {
				return -c
			}
			return c
		})
		skipped := min(q.Offset, len(docs))
		docs = docs[skipped:]
		if q.Limit > 0 {
			docs = docs[:min(q.Limit, len(docs))]
		}
		// Somewhere in the middle all ranges move, once or not at all.
		move := rapid.IntRange(0, 12).Draw(rt, "move")
		var want, got []string
		var sum int64
		for _, d := range docs {
			want = append(want, d.id)
			sum += d.n
		}
		var at atoll.Time
		result, err := r.Query(t.Context(), app, q, QueryOptions{Explain: true}, user, func(now atoll.Time, f *shard.Found) error {
			if at == 0 {
				at = now
			}
			if now != at {
				rt.Fatalf("read at %v and at %v", at, now)
			}
			if got = append(got, f.Path.ID()); len(got) == move {
				w.layout(app, cuts...)
			}
			return nil
		})
		if err != nil || !slices.Equal(got, want) {
			rt.Fatalf("found %v, %v; want %v", got, err, want)
		}
		if result.Skipped != skipped || result.Stats.Plan != "plan" || result.Stats.Seeks == 0 {
			rt.Fatalf("the result is %+v; want %d skipped", result, skipped)
		}
		figures, _, err := r.Aggregate(t.Context(), app, q, []query.Aggregate{{Op: query.Count}, {Op: query.Sum, Field: "n"}}, QueryOptions{}, user)
		if err != nil {
			rt.Fatal(err)
		}
		if figures.Result()[0].Int() != int64(len(docs)) || figures.Result()[1].Int() != sum {
			rt.Fatalf("summed up to %v, %v; want %d documents and %d", figures.Result(), err, len(docs), sum)
		}
	})
}

func TestQueryStopsAtAnErrorOfTheReader(t *testing.T) {
	w := newWorld()
	three(w)
	r := newRouter(t, w)
	for i, id := range []string{"a", "i", "q"} {
		if _, err := r.Commit(t.Context(), app, numbered(atoll.Path("c/"+id), int64(i)), NewRequestID(), user); err != nil {
			t.Fatal(err)
		}
	}
	// Even one that looks like a shard's.
	for _, stop := range []error{errors.New("enough"), atoll.Errorf(atoll.WrongRange, "mine")} {
		n := 0
		_, err := r.Query(t.Context(), app, normal(t, query.Query{Collection: "c"}), QueryOptions{}, user, func(atoll.Time, *shard.Found) error { n++; return stop })
		if err != stop || n != 1 {
			t.Errorf("got %v after %d documents", err, n)
		}
	}
}

func TestQueryAsksNoRangeThatCannotHoldAResult(t *testing.T) {
	w := newWorld()
	w.layout(app, cut{"", 1, 0}, cut{"b/a", 2, 0}, cut{"m/a", 3, 0})
	r := newRouter(t, w)
	if _, err := r.Commit(t.Context(), app, numbered("c/x", 1), NewRequestID(), user); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		q    query.Query
		want []uint32
	}{
		{query.Query{Collection: "c"}, []uint32{102}},
		{query.Query{Parent: "c/x", Descendants: true}, []uint32{102}},
		{query.Query{Collection: "c", Descendants: true}, []uint32{101, 102, 103}},
		{query.Query{}, []uint32{101, 102, 103}},
	} {
		w.asked = nil
		if _, err := r.Query(t.Context(), app, normal(t, c.q), QueryOptions{}, user, func(atoll.Time, *shard.Found) error { return nil }); err != nil {
			t.Fatal(err)
		}
		var want []atoll.CanisterID
		for _, n := range c.want {
			want = append(want, atoll.NewCanisterID(0, n))
		}
		if !slices.Equal(w.asked, want) {
			t.Errorf("%+v asks %v; want %v", c.q, w.asked, want)
		}
	}
}

func TestCommitCarriesWhatWasRead(t *testing.T) {
	w := newWorld()
	three(w)
	r := newRouter(t, w)
	reads := Reads{Documents: []shard.DocumentCheck{{Path: "c/i", Revision: 7}}, Queries: []shard.QueryCheck{{Query: normal(t, query.Query{Parent: "c/q", Collection: "s"}), Count: 2}}}
	if _, err := r.CommitIf(t.Context(), app, set("c/a"), reads, NewRequestID(), user); err != nil {
		t.Fatal(err)
	}
	m := w.sent[len(w.sent)-1]
	var req shard.CommitRequest
	if err := wire.Unmarshal(m.Payload, &req); err != nil {
		t.Fatal(err)
	}
	if len(m.To) != 3 || len(req.Documents) != 1 || req.Documents[0] != reads.Documents[0] || len(req.Queries) != 1 || fmt.Sprint(req.Queries) != fmt.Sprint(reads.Queries) {
		t.Errorf("sent to %v: %+v", m.To, req)
	}
	reads = Reads{Queries: []shard.QueryCheck{{Query: normal(t, query.Query{Collection: "c"})}}}
	if _, err := r.CommitIf(t.Context(), app, set("c/a"), reads, NewRequestID(), user); err != nil {
		t.Fatal(err)
	}
	if m := w.sent[len(w.sent)-1]; len(m.To) != 3 {
		t.Errorf("a query over three ranges is checked by %v", m.To)
	}
}
