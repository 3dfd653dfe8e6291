package shard

import (
	"bytes"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"atoll"
	"atoll/keys"
	"atoll/query"
	"atoll/value"
	"atoll/wire"
)

// pool holds values of all types that are often equal, differ in type alone,
// or in nothing that an index keeps.
var pool = []value.Value{
	value.Null(), value.Bool(false), value.Bool(true), value.Double(math.NaN()), value.Int(0), value.Double(math.Copysign(0, -1)),
	value.Int(1), value.Double(1), value.Int(2), value.Double(1.5), value.Int(3), value.Int(1<<53 + 1), value.Double(math.Inf(-1)),
	value.Timestamp(5), value.String(""), value.String("a"), value.String("a\x00"), value.String("b"), value.Bytes([]byte("a")),
	value.ReferenceTo(database, "c/a"), value.ReferenceTo(database, "c/__id20__"), value.GeoPoint(1, 2), value.Array(),
	value.Array(value.Int(1)), value.Array(value.Double(1), value.String("a")), value.Vector([]float64{1}), value.Vector([]float64{-2}), value.Map(),
	fields("x", 1), fields("x", 1, "y", "a"),
}

// hard holds the values that indexes treat in their own ways.
var hard = []value.Value{
	value.Null(), value.Double(math.NaN()), value.Double(1.5),
	value.String(strings.Repeat("x", 2*keys.MaxIndexed) + "a"), value.String(strings.Repeat("x", 2*keys.MaxIndexed) + "b"),
	value.String(strings.Repeat("x", 2*keys.MaxIndexed) + "c"),
}

func (m *machine) someValue(t *rapid.T) value.Value {
	if m.values != nil {
		return rapid.SampledFrom(m.values).Draw(t, "value")
	}
	switch rapid.IntRange(0, 9).Draw(t, "small") {
	case 0, 1:
		return rapid.SampledFrom(pool).Draw(t, "value")
	case 2, 3, 4:
		return rapid.SampledFrom(hard).Draw(t, "value")
	}
	return value.Int(rapid.Int64Range(0, 2).Draw(t, "int"))
}

func (m *machine) someList(t *rapid.T) value.Value {
	all := rapid.SliceOfN(rapid.Custom(m.someValue), 1, 4).Draw(t, "list")
	return value.Array(slices.DeleteFunc(all, func(v value.Value) bool { return v.Kind() == value.KindArray })...)
}

var someFieldNames = []string{"a", "b", "l", "m", "m.x", "none"}

func (m *machine) someFilter(depth int) *rapid.Generator[query.Filter] {
	return rapid.Custom(func(t *rapid.T) query.Filter {
		if depth > 0 && rapid.Bool().Draw(t, "composite") {
			return query.Filter{
				Op:    rapid.SampledFrom([]query.Op{query.And, query.And, query.Or}).Draw(t, "op"),
				Parts: rapid.SliceOfN(m.someFilter(depth-1), 1, 3).Draw(t, "parts"),
			}
		}
		ops := []query.Op{query.Equal, query.Equal, query.Less, query.GreaterOrEqual, query.ArrayContains, query.In}
		if rapid.Bool().Draw(t, "rare") {
			ops = []query.Op{query.NotEqual, query.LessOrEqual, query.Greater, query.NotIn, query.ArrayContainsAny, query.IsNaN, query.IsNotNaN, query.IsNull, query.IsNotNull}
		}
		f := query.Filter{Op: rapid.SampledFrom(ops).Draw(t, "op"), Field: rapid.SampledFrom(someFieldNames).Draw(t, "field")}
		switch f.Op {
		case query.IsNaN, query.IsNotNaN, query.IsNull, query.IsNotNull:
		case query.In, query.NotIn, query.ArrayContainsAny:
			f.Value = value.EncodeValue(m.someList(t))
		default:
			f.Value = value.EncodeValue(m.someValue(t))
		}
		return f
	})
}

// nameFilter compares names with that of some document.
func nameFilter(t *rapid.T, q *query.Query) query.Filter {
	ops := []query.Op{query.Equal, query.Less, query.LessOrEqual, query.Greater, query.GreaterOrEqual, query.NotEqual}
	return query.Filter{Op: rapid.SampledFrom(ops).Draw(t, "name op"), Field: value.NameField, Value: value.EncodeValue(someName(t, q))}
}

// someName draws the name of a document that the query could find.
func someName(t *rapid.T, q *query.Query) value.Value {
	var near []atoll.Path
	for _, p := range somePaths {
		if strings.HasPrefix(string(p), string(q.Parent)) && (q.Descendants || p.Parent() == q.Parent.Child(q.Collection)) {
			near = append(near, p)
		}
	}
	if len(near) == 0 {
		near = append(near, q.Parent.Child("c").Child("zz"))
	}
	return value.ReferenceTo(database, rapid.SampledFrom(near).Draw(t, "name"))
}

// m.someQuery draws a query that keeps Firestore's rules.
func (m *machine) someQuery(t *rapid.T) (q query.Query, ok bool) {
	switch rapid.IntRange(0, 7).Draw(t, "scope") {
	case 0:
		q.Descendants = true
	case 1:
		q.Collection, q.Descendants = rapid.SampledFrom([]string{"c", "s"}).Draw(t, "group"), true
		q.Parent = rapid.SampledFrom([]atoll.Path{"", "", "c/a"}).Draw(t, "parent")
	case 2:
		q.Parent, q.Collection = rapid.SampledFrom([]atoll.Path{"c/a", "c/b"}).Draw(t, "parent"), "s"
	default:
		q.Collection = "c"
	}
	if q.Collection != "" && rapid.IntRange(0, 3).Draw(t, "filtered") > 0 {
		f := m.someFilter(2).Draw(t, "where")
		q.Where = &f
	}
	if rapid.IntRange(0, 5).Draw(t, "named") == 0 {
		f := nameFilter(t, &q)
		if q.Where != nil {
			f = query.Filter{Op: query.And, Parts: []query.Filter{*q.Where, f}}
		}
		q.Where = &f
	}
	orders := someFieldNames[:5]
	if q.Collection == "" {
		orders = nil
	}
	for _, field := range rapid.SliceOfNDistinct(rapid.SampledFrom(append(slices.Clone(orders), value.NameField)), 0, 3, rapid.ID).Draw(t, "order") {
		q.Order = append(q.Order, query.Order{Field: field, Desc: rapid.Bool().Draw(t, "desc")})
		if field == value.NameField {
			break
		}
	}
	q.Start, q.End = m.someCursor(t, &q), m.someCursor(t, &q)
	q.Limit = rapid.SampledFrom([]int{0, 0, 1, 2, 5}).Draw(t, "limit")
	q.Offset = rapid.SampledFrom([]int{0, 0, 1, 2}).Draw(t, "offset")
	if q.Selects = rapid.IntRange(0, 5).Draw(t, "selects") == 0; q.Selects {
		q.Select = rapid.SampledFrom([][]string{nil, {"a"}, {"a", "m.x"}}).Draw(t, "select")
	}
	n, err := query.Normalize(q, database)
	return n, err == nil
}

// m.someCursor draws values for the first of a query's orders.
func (m *machine) someCursor(t *rapid.T, q *query.Query) *query.Cursor {
	if rapid.IntRange(0, 3).Draw(t, "cursor") > 0 {
		return nil
	}
	n, err := query.Normalize(*q, database)
	if err != nil {
		return nil
	}
	c := &query.Cursor{Before: rapid.Bool().Draw(t, "before")}
	for _, o := range n.Order[:rapid.IntRange(0, len(n.Order)).Draw(t, "values")] {
		v := m.someValue(t)
		if o.Field == value.NameField {
			v = someName(t, q)
		}
		c.Values = append(c.Values, value.EncodeValue(v))
	}
	return c
}

// find returns what a query finds among all documents, by the rules alone.
func (o *oracle) find(q query.Query, at atoll.Time) []Document {
	p := must(query.Prepare(&q))
	type hit struct {
		pos query.Position
		doc Document
	}
	var hits []hit
	for _, path := range o.paths() {
		s := o.at(path, at)
		if !s.live {
			continue
		}
		d := query.Document{Path: path, Doc: value.Encode(s.fields)}
		if !must(p.Matches(d)) {
			continue
		}
		pos, _, err := p.Position(d)
		if err == nil && p.InBounds(pos) {
			hits = append(hits, hit{pos, s.document(path)})
		}
	}
	slices.SortFunc(hits, func(a, b hit) int { return p.Compare(a.pos, b.pos) })
	hits = hits[min(q.Offset, len(hits)):]
	if q.Limit > 0 {
		hits = hits[:min(q.Limit, len(hits))]
	}
	var out []Document
	for _, h := range hits {
		if q.Selects {
			h.doc.Doc = must(project(h.doc.Doc, must(selected(&q))))
		}
		out = append(out, h.doc)
	}
	return out
}

// query asks every range for a query in pages, now and then with writes
// between them.
func (m *machine) query(t *rapid.T) {
	q, ok := m.someQuery(t)
	if !ok {
		return
	}
	asked := q
	if len(m.ranges) > 1 {
		asked.Offset = 0
		if q.Limit > 0 {
			asked.Limit = q.Offset + q.Limit
		}
	}
	at := m.someTime(t)
	if at == 0 && len(m.ranges) > 1 {
		at = m.now
	}
	names := rapid.IntRange(0, 5).Draw(t, "names") == 0
	var got []Found
	for _, d := range m.ranges {
		req := QueryRequest{Target: d.target(), Query: asked, At: at, NamesOnly: names, Explain: true}
		for more := true; more; {
			req.Page = rapid.IntRange(1, 4).Draw(t, "page")
			m.cut(t)
			reply, ok := askSome[QueryReply](t, m, d.Shard, MethodQuery, req)
			if !ok {
				return
			}
			s := reply.Stats
			if s.Keys > 4*(s.Results+s.Seeks+s.Needed) || s.Results != len(reply.Found) {
				t.Fatalf("%s has read too much: %+v", show(q), s)
			}
			if len(reply.Found) > req.Page {
				t.Fatalf("a page of %d has %d", req.Page, len(reply.Found))
			}
			got = append(got, reply.Found...)
			at, req.At, req.After, more = reply.Time, reply.Time, reply.Next, len(reply.Next) > 0
			if more && len(m.ranges) == 1 && rapid.IntRange(0, 3).Draw(t, "write") == 0 {
				m.commit(t)
			}
		}
	}
	if len(m.ranges) > 1 {
		slices.SortFunc(got, func(a, b Found) int { return bytes.Compare(a.Key, b.Key) })
		got = got[min(q.Offset, len(got)):]
		if q.Limit > 0 {
			got = got[:min(q.Limit, len(got))]
		}
	}
	var docs []Document
	for i, f := range got {
		if i > 0 && bytes.Compare(got[i-1].Key, f.Key) >= 0 {
			t.Fatalf("%s: positions do not grow: %x, %x", show(q), got[i-1].Key, f.Key)
		}
		docs = append(docs, f.Document)
	}
	want := m.oracle.find(q, at)
	for i := range want {
		if names {
			want[i] = Document{Path: want[i].Path}
		}
	}
	if d := diff(want, docs); d != "" {
		t.Fatalf("%s at %d of %d (-want +got)\n%s", show(q), at, m.now, d)
	}
}

// cut lets the next page of a query end early, now and then.
func (m *machine) cut(t *rapid.T) {
	m.program.limits = limits{
		scan: rapid.SampledFrom([]int{MaxScan, MaxScan, 1, 3, 10, 30}).Draw(t, "scan"),
		few:  rapid.SampledFrom([]int{usual.few, 0, 2, 5}).Draw(t, "few"),
		sort: rapid.SampledFrom([]int{usual.sort, usual.sort, usual.sort, 2}).Draw(t, "sort"),
	}
	m.twin.program.limits = m.program.limits
}

// excused reports whether an error may be.
func (m *machine) excused(err error) bool { return err != nil && m.excuse != nil && m.excuse(err) }

// askSome asks both subnets; ok is false if they may not sort so much.
func askSome[Reply any](t *rapid.T, m *machine, to atoll.CanisterID, method string, req any) (reply Reply, ok bool) {
	_, err := ask[Reply](m.subnet, to, method, req)
	if atoll.KindOf(err) == atoll.ResourceExhausted && m.program.limits != usual || m.excused(err) {
		return reply, false
	}
	return askBoth[Reply](t, m, to, method, req), true
}

// aggregate sums up what a query finds.
func (m *machine) aggregate(t *rapid.T) {
	q, ok := m.someQuery(t)
	if !ok {
		return
	}
	if len(m.ranges) > 1 {
		q.Offset, q.Limit = 0, 0
	}
	figures := rapid.SliceOfN(rapid.SampledFrom([]query.Aggregate{
		{Op: query.Count}, {Op: query.Count, UpTo: 2}, {Op: query.Sum, Field: "a"}, {Op: query.Avg, Field: "m.x"}, {Op: query.Min, Field: "b"}, {Op: query.Max, Field: "a"},
	}), 1, 3).Draw(t, "figures")
	at := m.someTime(t)
	if at == 0 && len(m.ranges) > 1 {
		at = m.now
	}
	got := must(query.NewAggregator(figures))
	for _, d := range m.ranges {
		req := AggregateRequest{Target: d.target(), Query: q, Aggregates: figures, At: at}
		for more := true; more; {
			m.cut(t)
			reply, ok := askSome[AggregateReply](t, m, d.Shard, MethodAggregate, req)
			if !ok {
				return
			}
			if s := reply.Stats; s.Keys > 4*(s.Results+s.Seeks+s.Needed) {
				t.Fatalf("%s has read too much: %+v", show(q), s)
			}
			if err := got.Merge(reply.Partial); err != nil {
				t.Fatal(err)
			}
			at, req.At, req.After, more = reply.Time, reply.Time, reply.Next, len(reply.Next) > 0
		}
	}
	want := must(query.NewAggregator(figures))
	q.Selects = false
	for _, d := range m.oracle.find(q, at) {
		if err := want.Add(query.Document{Path: d.Path, Doc: d.Doc}); err != nil {
			t.Fatal(err)
		}
	}
	for i, v := range got.Result() {
		if w := want.Result()[i]; !value.Identical(v, w) {
			t.Fatalf("%s: %+v is %s, want %s", show(q), figures[i], v, w)
		}
	}
}

// nearest searches by a vector, over all ranges.
func (m *machine) nearest(t *rapid.T) {
	q := query.Query{Collection: "c"}
	if rapid.Bool().Draw(t, "filtered") {
		q.Where = &query.Filter{Op: query.Equal, Field: "a", Value: value.EncodeValue(m.someValue(t))}
	}
	q.Nearest = &query.Nearest{
		Field: "b", Vector: value.EncodeValue(value.Vector([]float64{1})), Limit: rapid.IntRange(1, 3).Draw(t, "limit"),
		Measure: rapid.SampledFrom([]query.Measure{query.Euclidean, query.Cosine, query.DotProduct}).Draw(t, "measure"),
	}
	q = must(query.Normalize(q, database))
	at := m.now
	var got []Found
	for _, d := range m.ranges {
		req := QueryRequest{Target: d.target(), Query: q, At: at, Page: 1}
		for more := true; more; {
			m.cut(t)
			reply, ok := askSome[QueryReply](t, m, d.Shard, MethodQuery, req)
			if !ok {
				return
			}
			got, req.After, more = append(got, reply.Found...), reply.Next, len(reply.Next) > 0
		}
	}
	slices.SortFunc(got, func(a, b Found) int { return bytes.Compare(a.Key, b.Key) })
	got = got[:min(len(got), q.Nearest.Limit)]
	want := m.oracle.find(q, at)
	want = want[:min(len(want), q.Nearest.Limit)]
	var docs []Document
	for _, f := range got {
		docs = append(docs, f.Document)
	}
	if d := diff(want, docs); d != "" {
		t.Fatalf("nearest (-want +got)\n%s", d)
	}
}

// show writes a query for people.
func show(q query.Query) string {
	var b strings.Builder
	b.WriteString("query " + string(q.Parent.Child(q.Collection)))
	if q.Descendants {
		b.WriteString(" and below")
	}
	if q.Where != nil {
		b.WriteString(" where " + showFilter(*q.Where))
	}
	for _, o := range q.Order {
		b.WriteString(" by " + o.Field)
		if o.Desc {
			b.WriteString(" desc")
		}
	}
	for i, c := range []*query.Cursor{q.Start, q.End} {
		if c == nil {
			continue
		}
		b.WriteString([]string{" from", " to"}[i])
		for _, v := range c.Values {
			b.WriteString(" " + must(value.DecodeValue(v)).String())
		}
		if c.Before {
			b.WriteString(" before")
		}
	}
	return b.String()
}

func showFilter(f query.Filter) string {
	if f.Op == query.And || f.Op == query.Or {
		var parts []string
		for _, p := range f.Parts {
			parts = append(parts, showFilter(p))
		}
		return "(" + strings.Join(parts, " "+f.Op.String()+" ") + ")"
	}
	s := f.Field + " " + f.Op.String()
	if len(f.Value) > 0 {
		s += " " + must(value.DecodeValue(f.Value)).String()
	}
	return s
}

// TestQueriesDensely asks many queries of many documents with few different
// values, so that most of them meet what is special about indexes.
func TestQueriesDensely(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newMachine(t)
		m.values = rapid.SliceOfN(rapid.SampledFrom(slices.Concat(pool, hard, hard)), 2, 5).Draw(t, "values")
		for i := range 14 {
			w := Write{Op: OpSet, Path: atoll.Path("c/" + string(rune('a'+i))), Doc: value.Encode(m.someFields(t))}
			m.send(t, []Write{w})
		}
		// Some values come and go often.
		for range rapid.IntRange(0, 20).Draw(t, "changes") {
			m.send(t, []Write{{Op: OpSet, Path: atoll.Path("c/" + string(rune('a'+rapid.IntRange(0, 2).Draw(t, "which")))), Doc: value.Encode(m.someFields(t))}})
		}
		for range 2 {
			m.send(t, []Write{{Op: OpDelete, Path: atoll.Path("c/" + string(rune('a'+rapid.IntRange(0, 13).Draw(t, "gone"))))}})
		}
		for range 20 {
			if rapid.IntRange(0, 5).Draw(t, "aggregate") == 0 {
				m.aggregate(t)
			} else {
				m.query(t)
			}
		}
	})
}

// send commits writes that nothing speaks against.
func (m *machine) send(t *rapid.T, writes []Write) {
	in := atoll.Input{Caller: "user", Method: MethodCommit, Payload: wire.Marshal(CommitRequest{Targets: []Target{target1}, Writes: writes})}
	if _, err := m.updateBoth(t, in, shardA); err != nil {
		t.Fatal(err)
	}
	m.oracle.commit(m.now, 0, writes)
}

func TestQueryTokens(t *testing.T) {
	s := newShard(t)
	for i := range 5 {
		s.must(t, uint64(i+1), set(atoll.Path("c/"+string(rune('a'+i))), "n", i))
	}
	q := query.Query{Collection: "c", Order: []query.Order{{Field: "n", Desc: true}}, Limit: 4, Offset: 1}
	reply, err := ask[QueryReply](s, shardA, MethodQuery, QueryRequest{Target: target1, Query: q, Page: 2})
	same(t, err, nil)
	same(t, len(reply.Found), 2)
	same(t, reply.Skipped, 1)
	s.must(t, 9, remove("c/b"))
	reply, err = ask[QueryReply](s, shardA, MethodQuery, QueryRequest{Target: target1, Query: q, Page: 9, After: reply.Next})
	same(t, err, nil)
	same(t, len(reply.Found), 2)
	same(t, reply.Found[0].Path, atoll.Path("c/b"))
	same(t, len(reply.Next), 0)
	for _, after := range [][]byte{{0}, {0xff}, bytes.Repeat([]byte{1}, MaxToken+1)} {
		_, err := ask[QueryReply](s, shardA, MethodQuery, QueryRequest{Target: target1, Query: q, Page: 9, After: after})
		wantErr(t, err, atoll.Invalid)
	}
	_, err = ask[QueryReply](s, shardA, MethodQuery, QueryRequest{Target: target1, Query: q, Page: 0})
	wantErr(t, err, atoll.Invalid, "page size")
}
