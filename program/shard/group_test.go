package shard

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"atoll"
	"atoll/query"
	"atoll/value"
)

// byField are figures of one field, which its index may tell.
var byField = []query.Aggregate{
	{Op: query.Count}, {Op: query.Count, UpTo: 3}, {Op: query.Sum, Field: "a"}, {Op: query.Avg, Field: "a"},
	{Op: query.Min, Field: "a"}, {Op: query.Max, Field: "a"}, {Op: query.Min, Field: "a"}, {Op: query.Max, Field: "a"},
}

var bySeveral = append(slices.Clone(byField), query.Aggregate{Op: query.Max, Field: "b"}, query.Aggregate{Op: query.Sum, Field: "m.x"})

// summed asks for all pages of all ranges, and hands over each reply.
func summed[Reply any](t *rapid.T, m *machine, method string, request func(d *Descriptor, at atoll.Time, after []byte) any, reply func(*Reply) (atoll.Time, []byte, *QueryStats)) (atoll.Time, bool) {
	at := m.someTime(t)
	if at == 0 && len(m.ranges) > 1 {
		at = m.now
	}
	for i := range m.ranges {
		var after []byte
		for more := true; more; more = len(after) > 0 {
			m.cut(t)
			answer, ok := askSome[Reply](t, m, m.ranges[i].Shard, method, request(&m.ranges[i], at, after))
			if !ok {
				return 0, false
			}
			var s *QueryStats
			at, after, s = reply(&answer)
			if s.Keys > 4*(s.Results+s.Seeks+s.Needed) {
				t.Fatalf("%s has read too much: %+v", method, *s)
			}
		}
	}
	return at, true
}

// plainly draws a query that is more often simple than not, so that the index
// can tell all.
func (m *machine) plainly(t *rapid.T) (query.Query, bool) {
	q, ok := m.someQuery(t)
	if !ok {
		return q, false
	}
	if rapid.IntRange(0, 2).Draw(t, "plain") > 0 {
		q = query.Query{Collection: "c"}
		if rapid.Bool().Draw(t, "filtered") {
			q.Where = &query.Filter{Op: rapid.SampledFrom([]query.Op{query.Equal, query.Less, query.GreaterOrEqual, query.NotEqual, query.IsNotNull}).Draw(t, "op"),
				Field: rapid.SampledFrom([]string{"a", "a", "b"}).Draw(t, "field")}
			if q.Where.Op != query.IsNotNull {
				q.Where.Value = value.EncodeValue(m.someValue(t))
			}
		}
		if rapid.IntRange(0, 3).Draw(t, "ordered") == 0 {
			q.Order = []query.Order{{Field: "a", Desc: rapid.Bool().Draw(t, "desc")}}
		}
		var err error
		if q, err = query.Normalize(q, database); err != nil {
			return q, false
		}
	}
	if len(m.ranges) > 1 {
		q.Offset, q.Limit = 0, 0
	}
	return q, true
}

// sums compares figures with those of the documents that the oracle finds.
func (m *machine) sums(t *rapid.T, q query.Query) {
	figures := rapid.SliceOfN(rapid.SampledFrom(rapid.SampledFrom([][]query.Aggregate{byField, byField, bySeveral}).Draw(t, "fields")), 1, 4).Draw(t, "figures")
	got := must(query.NewAggregator(figures))
	at, ok := summed(t, m, MethodAggregate, func(d *Descriptor, at atoll.Time, after []byte) any {
		return AggregateRequest{Target: d.target(), Query: q, Aggregates: figures, At: at, After: after}
	}, func(r *AggregateReply) (atoll.Time, []byte, *QueryStats) {
		if err := got.Merge(r.Partial); err != nil {
			t.Fatal(err)
		}
		return r.Time, r.Next, &r.Stats
	})
	if !ok {
		return
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
			t.Fatalf("%s: %+v of %+v is %s, want %s", show(q), figures[i], figures, v, w)
		}
	}
}

// groups compares groups with those of the documents that the oracle finds.
func (m *machine) groups(t *rapid.T, q query.Query) {
	g := query.Grouping{By: rapid.SampledFrom([][]string{{"a"}, {"a"}, {"b"}, {"a", "b"}, nil}).Draw(t, "by"),
		Figures: rapid.SliceOfN(rapid.SampledFrom(byField), 1, 3).Draw(t, "figures")}
	got := must(query.NewGroups(g))
	at, ok := summed(t, m, MethodGroup, func(d *Descriptor, at atoll.Time, after []byte) any {
		return GroupRequest{Target: d.target(), Query: q, Grouping: g, At: at, After: after}
	}, func(r *GroupReply) (atoll.Time, []byte, *QueryStats) {
		if err := got.Merge(r.Groups); err != nil {
			t.Fatal(err)
		}
		return r.Time, r.Next, &r.Stats
	})
	if !ok {
		return
	}
	want := must(query.NewGroups(g))
	q.Selects = false
	for _, d := range m.oracle.find(q, at) {
		if err := want.Add(query.Document{Path: d.Path, Doc: d.Doc}); err != nil {
			t.Fatal(err)
		}
	}
	if a, b := must(got.Result(nil, 0)), must(want.Result(nil, 0)); fmt.Sprint(a) != fmt.Sprint(b) || !slices.EqualFunc(a, b, func(a, b query.Group) bool {
		return slices.EqualFunc(a.Key, b.Key, value.Identical) && slices.EqualFunc(a.Figures, b.Figures, value.Identical)
	}) {
		t.Fatalf("%s by %v: %v, want %v", show(q), g, a, b)
	}
}

// TestSumsAgainstOracle checks that figures and groups are those of the
// documents, bit for bit, whatever way the index has shortened.
func TestSumsAgainstOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newMachine(t)
		m.values = rapid.SliceOfN(rapid.SampledFrom(slices.Concat(pool, hard)), 2, 5).Draw(t, "values")
		for i := range 14 {
			m.send(t, []Write{{Op: OpSet, Path: atoll.Path("c/" + string(rune('a'+i))), Doc: value.Encode(m.someFields(t))}})
		}
		m.send(t, []Write{{Op: OpDelete, Path: atoll.Path("c/" + string(rune('a'+rapid.IntRange(0, 13).Draw(t, "gone"))))}})
		for range 12 {
			if q, ok := m.plainly(t); ok && rapid.Bool().Draw(t, "grouped") {
				m.groups(t, q)
			} else if ok {
				m.sums(t, q)
			}
		}
	})
}

// stocked is a shard with 1,000 documents.
func stocked(t *testing.T) *subnet {
	s := newShard(t)
	for i := 0; i < 1000; i += 100 {
		var writes []Write
		for j := i; j < i+100; j++ {
			// n ascends, half is not whole, kind repeats, some lacks and is null.
			w := set(atoll.Path(fmt.Sprintf("c/%03d", j)), "n", j, "half", value.Double(float64(j)+0.5), "kind", fmt.Sprintf("k%d", j%7), "parity", j%2)
			if j%10 == 0 {
				w = set(atoll.Path(fmt.Sprintf("c/%03d", j)), "n", j, "half", value.Double(float64(j)+0.5), "kind", fmt.Sprintf("k%d", j%7), "parity", j%2, "some", nil)
			}
			writes = append(writes, w)
		}
		s.must(t, uint64(i+1), writes...)
	}
	return s
}

// TestSumsReadTheIndex checks what is read for figures that the index tells.
func TestSumsReadTheIndex(t *testing.T) {
	s := stocked(t)
	odd := &query.Filter{Op: query.Equal, Field: "parity", Value: value.EncodeValue(value.Int(1))}
	late := &query.Filter{Op: query.GreaterOrEqual, Field: "half", Value: value.EncodeValue(value.Int(900))}
	of := func(op query.AggregateOp, field string) query.Aggregate { return query.Aggregate{Op: op, Field: field} }
	for _, c := range []struct {
		what            string
		where           *query.Filter
		figures         []query.Aggregate
		want            string
		keys, documents int // at most
	}{
		{"count", nil, []query.Aggregate{of(query.Count, "")}, "[1000]", 1000, 0},
		{"count of few", late, []query.Aggregate{of(query.Count, "")}, "[100]", 101, 0},
		{"bounded count", nil, []query.Aggregate{{Op: query.Count, UpTo: 10}}, "[10]", 11, 0},
		{"average", nil, []query.Aggregate{of(query.Avg, "n"), of(query.Count, "")}, "[double(499.5) 1000]", 1000, 0},
		{"sum of halves", late, []query.Aggregate{of(query.Sum, "half")}, "[double(95000)]", 101, 0},
		{"sum of integers", nil, []query.Aggregate{of(query.Sum, "parity")}, "[500]", 2000, 1000},
		{"least", nil, []query.Aggregate{of(query.Min, "half")}, "[double(0.5)]", 1, 0},
		{"greatest", nil, []query.Aggregate{of(query.Max, "half")}, "[double(999.5)]", 1, 0},
		{"both ends", nil, []query.Aggregate{of(query.Min, "half"), of(query.Max, "half")}, "[double(0.5) double(999.5)]", 2, 0},
		{"ends of integers", nil, []query.Aggregate{of(query.Min, "n"), of(query.Max, "n")}, "[0 999]", 6, 2},
		{"ends of equal integers", nil, []query.Aggregate{of(query.Min, "parity"), of(query.Max, "parity")}, "[0 1]", 6, 2},
		{"ends of texts", nil, []query.Aggregate{of(query.Max, "kind")}, `["k6"]`, 1, 0},
		{"ends beside nulls", nil, []query.Aggregate{of(query.Min, "some")}, "[null]", 1, 0},
		{"the end of a range", late, []query.Aggregate{of(query.Min, "half")}, "[double(900.5)]", 1, 0},
		{"average and ends", nil, []query.Aggregate{of(query.Max, "half"), of(query.Avg, "half"), of(query.Min, "half")}, "[double(999.5) double(500) double(0.5)]", 1001, 0},
		{"the end of some", odd, []query.Aggregate{of(query.Max, "half")}, "[double(999.5)]", 2*usual.few + 10, 0},
	} {
		q := must(query.Normalize(query.Query{Collection: "c", Where: c.where}, database))
		reply, err := ask[AggregateReply](s, shardA, MethodAggregate, AggregateRequest{Target: target1, Query: q, Aggregates: c.figures, Explain: true})
		if err != nil {
			t.Errorf("%s: %v", c.what, err)
			continue
		}
		sum := must(query.NewAggregator(c.figures))
		if err := sum.Merge(reply.Partial); err != nil {
			t.Fatal(err)
		}
		st := reply.Stats
		if got := fmt.Sprint(sum.Result()); got != c.want || st.Keys > c.keys || st.Documents > c.documents || reply.Next != nil || st.Plan == "" {
			t.Errorf("%s: %s, %+v; want %s of %d keys and %d documents", c.what, got, st, c.want, c.keys, c.documents)
		}
	}
}

func TestGroupsReadTheIndex(t *testing.T) {
	s := stocked(t)
	for _, c := range []struct {
		by        []string
		figure    query.Aggregate
		documents int
		want      string
	}{
		{[]string{"kind"}, query.Aggregate{Op: query.Count}, 0, "k0 143, k1 143, k2 143, k3 143, k4 143, k5 143, k6 142"},
		{[]string{"parity"}, query.Aggregate{Op: query.Count}, 2, "0 500, 1 500"},
		{[]string{"parity"}, query.Aggregate{Op: query.Max, Field: "n"}, 1000, "0 998, 1 999"},
		{nil, query.Aggregate{Op: query.Avg, Field: "n"}, 0, "double(499.5)"},
		{[]string{"some"}, query.Aggregate{Op: query.Count}, 0, "null 100"},
	} {
		g := query.Grouping{By: c.by, Figures: []query.Aggregate{c.figure}}
		q := must(query.Normalize(query.Query{Collection: "c"}, database))
		reply, err := ask[GroupReply](s, shardA, MethodGroup, GroupRequest{Target: target1, Query: q, Grouping: g})
		if err != nil {
			t.Fatal(err)
		}
		sum := must(query.NewGroups(g))
		if err := sum.Merge(reply.Groups); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, one := range must(sum.Result(nil, 0)) {
			got = append(got, strings.Trim(strings.ReplaceAll(fmt.Sprint(slices.Concat(one.Key, one.Figures)), `"`, ""), "[]"))
		}
		if strings.Join(got, ", ") != c.want || reply.Stats.Documents != c.documents {
			t.Errorf("by %v: %q, %+v", c.by, strings.Join(got, ", "), reply.Stats)
		}
	}
}

// TestGroupPages checks that a page ends where it has as many groups as it may.
func TestGroupPages(t *testing.T) {
	s := newShard(t)
	const n = 2*maxPageGroups + 100
	for i := 0; i < n; i += 300 {
		var writes []Write
		for j := i; j < i+300; j++ {
			writes = append(writes, set(atoll.Path(fmt.Sprintf("c/%05d", j)), "n", j))
		}
		s.must(t, uint64(i+1), writes...)
	}
	g := query.Grouping{By: []string{"n"}, Figures: []query.Aggregate{{Op: query.Count}}}
	req := GroupRequest{Target: target1, Query: must(query.Normalize(query.Query{Collection: "c"}, database)), Grouping: g}
	sum := must(query.NewGroups(g))
	pages := 0
	for more := true; more; more = len(req.After) > 0 {
		reply, err := ask[GroupReply](s, shardA, MethodGroup, req)
		if err != nil {
			t.Fatal(err)
		}
		if len(reply.Groups) > maxPageGroups {
			t.Errorf("a page of %d groups", len(reply.Groups))
		}
		if err := sum.Merge(reply.Groups); err != nil {
			t.Fatal(err)
		}
		req.After = reply.Next
		pages++
	}
	if want := (n + 299) / 300 * 300; sum.Len() != want || pages != 3 {
		t.Errorf("%d groups of %d in %d pages", sum.Len(), want, pages)
	}
}

func TestGroupRefuses(t *testing.T) {
	s := newShard(t)
	ok := GroupRequest{Target: target1, Query: must(query.Normalize(query.Query{Collection: "c"}, database)),
		Grouping: query.Grouping{By: []string{"a"}, Figures: []query.Aggregate{{Op: query.Count}}}}
	for what, edit := range map[string]func(*GroupRequest){
		"no figures":  func(r *GroupRequest) { r.Grouping.Figures = nil },
		"by a name":   func(r *GroupRequest) { r.Grouping.By = []string{value.NameField} },
		"a bad token": func(r *GroupRequest) { r.After = []byte{1} },
		"another way": func(r *GroupRequest) { r.After = (&pageToken{At: s.now, Way: 1}).from(nil) },
		"a vector search": func(r *GroupRequest) {
			r.Query.Nearest = &query.Nearest{Field: "v", Vector: value.EncodeValue(value.Vector([]float64{1})), Measure: query.Euclidean, Limit: 1}
		},
	} {
		req := ok
		edit(&req)
		if _, err := ask[GroupReply](s, shardA, MethodGroup, req); atoll.KindOf(err) != atoll.Invalid {
			t.Errorf("%s: %v", what, err)
		}
	}
	after := (&pageToken{At: s.now, Way: 2}).from(nil)
	_, err := ask[AggregateReply](s, shardA, MethodAggregate, AggregateRequest{Target: target1, Query: ok.Query, Aggregates: byField[:1], After: after})
	wantErr(t, err, atoll.Invalid)
	if _, err := ask[GroupReply](s, shardA, MethodGroup, ok); err != nil {
		t.Error(err)
	}
}

// TestEqualEnds checks that the value at an end of an index is the one that
// documents give, where equal ones are of two types: the integer, which here
// comes second from either end.
func TestEqualEnds(t *testing.T) {
	s := newShard(t)
	for i, v := range []value.Value{value.Double(1), value.Int(1), value.Double(1), value.Int(9), value.Double(9), value.Array(value.Int(10)), value.Array(value.Double(10))} {
		s.must(t, uint64(i+1), set(atoll.Path(fmt.Sprintf("c/%d", i)), "n", v, "numbers", value.Bool(i < 5)))
	}
	numbers := &query.Filter{Op: query.Equal, Field: "numbers", Value: value.EncodeValue(value.Bool(true))}
	ends := []query.Aggregate{{Op: query.Min, Field: "n"}, {Op: query.Max, Field: "n"}}
	for _, c := range []struct {
		where *query.Filter
		want  []value.Value
	}{
		{numbers, []value.Value{value.Int(1), value.Int(9)}},
		{nil, []value.Value{value.Int(1), value.Array(value.Double(10))}},
	} {
		s.program.limits.few = 0 // so that the index leads
		q := must(query.Normalize(query.Query{Collection: "c", Where: c.where}, database))
		reply, err := ask[AggregateReply](s, shardA, MethodAggregate, AggregateRequest{Target: target1, Query: q, Aggregates: ends})
		if err != nil {
			t.Fatal(err)
		}
		sum := must(query.NewAggregator(ends))
		if err := sum.Merge(reply.Partial); err != nil {
			t.Fatal(err)
		}
		if got := sum.Result(); !slices.EqualFunc(got, c.want, value.Identical) || reply.Stats.Documents > 4 {
			t.Errorf("%v, %+v; want %v", got, reply.Stats, c.want)
		}
	}
}
