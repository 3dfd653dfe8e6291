package account

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	"pgregory.net/rapid"

	"atoll"
	"atoll/program/shard"
	"atoll/query"
	"atoll/value"
)

var db = atoll.Database{Project: "demo", ID: atoll.DefaultDatabase}

// clock is a clock that the test sets.
type clock struct{ now time.Time }

func (c *clock) read() time.Time { return c.now }

func newTable(t testing.TB, o Options) (*Table, *clock) {
	t.Helper()
	c := &clock{now: time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)}
	o.Clock = c.read
	table, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return table, c
}

func normal(t testing.TB, q query.Query) query.Query {
	t.Helper()
	n, err := query.Normalize(q, db)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func encoded(v value.Value) []byte { return value.EncodeValue(v) }

func cond(op query.Op, field string, v ...value.Value) query.Filter {
	f := query.Filter{Op: op, Field: field}
	switch {
	case op == query.In || op == query.NotIn || op == query.ArrayContainsAny:
		f.Value = encoded(value.Array(v...))
	case len(v) > 0:
		f.Value = encoded(v[0])
	}
	return f
}

func all(op query.Op, parts ...query.Filter) *query.Filter {
	return &query.Filter{Op: op, Parts: parts}
}

// TestShapes shows what queries become. No value is in any of them.
func TestShapes(t *testing.T) {
	secret, other := value.String("secret"), value.String("secret2")
	for _, c := range []struct {
		q       query.Query
		figures []query.Aggregate
		want    string
	}{
		{query.Query{Collection: "cities"}, nil, "cities"},
		{query.Query{}, nil, "**"},
		{query.Query{Parent: "users/secret", Collection: "orders", Limit: 20, Offset: 3}, nil, "users/?/orders offset ? limit ?"},
		{query.Query{Parent: "users/secret", Collection: "orders", Descendants: true}, nil, "users/?/**/orders"},
		{query.Query{Collection: "c", Where: all(query.And, cond(query.Equal, "a", secret), cond(query.Greater, "b.c", value.Int(7)))}, nil, "c where a == ? and b.c > ? order by b.c"},
		{query.Query{Collection: "c", Where: all(query.And, cond(query.Equal, "a", value.Null()), cond(query.NotEqual, "b", value.Double(nan())))}, nil, "c where a == null and b != NaN order by b"},
		{query.Query{Collection: "c", Where: all(query.Or, cond(query.Equal, "a", secret), cond(query.Equal, "a", other), cond(query.Equal, "b", other))}, nil, "c where a == ? or b == ?"},
		{query.Query{Collection: "c", Where: all(query.And, cond(query.In, "a", secret, other), *all(query.Or, cond(query.ArrayContains, "b", secret), cond(query.Equal, "d", secret)))}, nil, "c where a in [?] and (b array-contains ? or d == ?)"},
		{query.Query{Collection: "c", Order: []query.Order{{Field: "a", Desc: true}}}, nil, "c order by a desc"},
		{query.Query{Collection: "c", Order: []query.Order{{Field: "a", Desc: true}, {Field: "__name__"}}}, nil, "c order by a desc, __name__"},
		{query.Query{Collection: "c", Order: []query.Order{{Field: "__name__", Desc: true}}}, nil, "c order by __name__ desc"},
		{query.Query{Collection: "c", Order: []query.Order{{Field: "a"}}, Start: &query.Cursor{Values: [][]byte{encoded(secret)}, Before: true}, End: &query.Cursor{Values: [][]byte{encoded(other)}}}, nil, "c order by a start before ? end after ?"},
		{query.Query{Collection: "c", Selects: true, Select: []string{"a", "b"}}, nil, "c select a, b"},
		{query.Query{Collection: "c"}, []query.Aggregate{{Op: query.Count}, {Op: query.Sum, Field: "n"}}, "c: count, sum(n)"},
		{query.Query{Collection: "a\u202eb\x1b[31m", Where: all(query.And, cond(query.Equal, "`x y`", secret), cond(query.Equal, "z", secret))}, nil, `"a\u202eb\x1b[31m" where "` + "`x y`" + `" == ? and z == ?`},
	} {
		var x text
		q := normal(t, c.q)
		x.query(&q, c.figures)
		if got := string(x.clip()); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}

func nan() float64 { z := 0.0; return z / z }

func TestShapesOfWrites(t *testing.T) {
	set := func(p atoll.Path) shard.Write { return shard.Write{Op: shard.OpSet, Path: p} }
	for _, c := range []struct {
		writes []shard.Write
		want   string
	}{
		{[]shard.Write{set("a/1"), set("a/2"), {Op: shard.OpDelete, Path: "a/3"}}, "set a/?, delete a/?"},
		{[]shard.Write{set("a/1/b/1"), set("a/2/b/1"), set("a/1")}, "set a/?/b/?, set a/?"},
		{[]shard.Write{set("a/1"), set("b/1"), set("c/1"), set("d/1"), set("e/1"), set("f/1")}, "set a/?, set b/?, set c/?, set d/?, …"},
		{[]shard.Write{set("aa/1"), set("a/1")}, "set aa/?, set a/?"},
	} {
		var x text
		x.writes(c.writes)
		if got := string(x.clip()); got != c.want {
			t.Errorf("got %s; want %s", got, c.want)
		}
	}
}

// TestTextIsBounded makes up queries with long and hostile names: what comes of
// them is short, printable and valid.
func TestTextIsBounded(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		name := rapid.OneOf(rapid.String(), rapid.StringN(1, 2000, 6000), rapid.SampledFrom([]string{"a", "x\ny", "\x1b]0;", "\u202e"}))
		q := query.Query{Parent: atoll.Path(name.Draw(rt, "parent")), Collection: name.Draw(rt, "collection"), Where: &query.Filter{Op: query.Or}}
		for range rapid.IntRange(0, 30).Draw(rt, "filters") {
			q.Where.Parts = append(q.Where.Parts, query.Filter{Op: query.Op(rapid.IntRange(0, 20).Draw(rt, "op")), Field: name.Draw(rt, "field")})
			q.Order = append(q.Order, query.Order{Field: name.Draw(rt, "order")})
		}
		var x text
		x.query(&q, nil)
		if len(x) > 10*MaxText {
			rt.Fatalf("the text grew to %d bytes", len(x))
		}
		got := x.clip()
		if len(got) > MaxText || !utf8.Valid(got) || strings.ContainsFunc(string(got), func(r rune) bool { return !unicode.IsPrint(r) }) {
			rt.Fatalf("%q has %d bytes", got, len(got))
		}
	})
}

func TestHistogram(t *testing.T) {
	for i := range histogramBuckets {
		end := bucketEnd(i)
		if bucketOf(end) != i || i+1 < histogramBuckets && bucketOf(end+1) != i+1 {
			t.Fatalf("bucket %d ends at %d, which is counted in %d, and the next in %d", i, end, bucketOf(end), bucketOf(end+1))
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		values := rapid.SliceOfN(rapid.Int64Range(0, 1<<histogramBits-1), 1, 200).Draw(rt, "values")
		var h histogram
		for _, v := range values {
			h.add(v)
		}
		slices.Sort(values)
		q := rapid.Float64Range(0.01, 1).Draw(rt, "q")
		want := values[min(len(values)-1, max(0, int(ceil(q*float64(len(values))))-1))]
		if got := h.quantile(q); got < want || got > want+want/histogramExact {
			rt.Fatalf("quantile %g of %v is %d; want %d", q, values, got, want)
		}
	})
	var h histogram
	h.add(1 << 60)
	if h.quantile(0.5) == 0 || new(histogram).quantile(0.5) != 0 {
		t.Error("the ends of a histogram are wrong")
	}
}

func ceil(x float64) float64 {
	if f := float64(int(x)); f < x {
		return f + 1
	}
	return x
}

// run accounts for one query of a shape.
func run(table *Table, c *clock, field string, costs Costs, took time.Duration, failed bool) {
	call := table.Begin("RunQuery", c.now)
	q := query.Query{Collection: "c", Where: &query.Filter{Op: query.Equal, Field: field}}
	call.Query(db, &q, nil)
	call.Spend(costs)
	c.now = c.now.Add(took)
	call.End(c.now, failed)
}

func TestReport(t *testing.T) {
	table, c := newTable(t, Options{})
	for i := range 100 {
		run(table, c, "a", Costs{Keys: 10, Results: 2, Bytes: 800}, time.Duration(i+1)*time.Millisecond, i < 3)
	}
	run(table, c, "b", Costs{Keys: 7}, time.Second, false)
	table.Begin("GetDocument", c.now).End(c.now, true)
	r, err := table.Report("count", "", 10)
	if err != nil {
		t.Fatal(err)
	}
	a := r.Shapes[0]
	want := Costs{Count: 100, Errors: 3, Micros: 5_050_000, Keys: 1000, Results: 200, Bytes: 80_000, Cost: 100 * (costRequest + 10 + 2)}
	if a.Costs != want || a.Text != "c where a == ?" || a.Method != "RunQuery" || a.Group != "c" || a.Database != db.String() {
		t.Errorf("got %+v\nwant %+v", a, want)
	}
	if a.MaxMicros != 100_000 || a.P50Micros < 50_000 || a.P50Micros > 56_250 || a.P99Micros < 99_000 || a.P99Micros > 100_000 {
		t.Errorf("times are %d, %d, %d", a.P50Micros, a.P99Micros, a.MaxMicros)
	}
	if r.Total.Count != 102 || r.Total.Keys != 1007 || r.Total.Errors != 4 || r.Tracked != 3 || len(r.Shapes) != 3 {
		t.Errorf("the total is %+v of %d shapes", r.Total, r.Tracked)
	}
	for by, first := range map[string]string{"keys": "a", "max": "b", "count": "a", "p50": "b"} {
		r, err := table.Report(by, db.String(), 1)
		if err != nil || len(r.Shapes) != 1 || r.Shapes[0].Text != "c where "+first+" == ?" {
			t.Errorf("by %s: %+v, %v", by, r.Shapes, err)
		}
	}
	if _, err := table.Report("size", "", 1); atoll.KindOf(err) != atoll.Invalid || !strings.Contains(err.Error(), "load, cost") {
		t.Errorf("an order that there is not: %v", err)
	}
}

// TestLoad has a steady load, and then none: the average finds both.
func TestLoad(t *testing.T) {
	table, c := newTable(t, Options{})
	loadOf := func() float64 {
		r, err := table.Report("load", "", 1)
		if err != nil {
			t.Fatal(err)
		}
		return r.Shapes[0].Load
	}
	for range 20 * 60 { // 20 half-lives, ten requests a second
		for range 10 {
			run(table, c, "a", Costs{Keys: 70}, 100*time.Millisecond, false)
		}
	}
	if got, want := loadOf(), 10.0*(costRequest+70); got < 0.97*want || got > 1.03*want {
		t.Errorf("the load is %g; want %g", got, want)
	}
	before := loadOf()
	c.now = c.now.Add(HalfLife)
	if got := loadOf(); got < 0.49*before || got > 0.51*before {
		t.Errorf("a half-life later the load is %g; it was %g", got, before)
	}
	c.now = c.now.Add(24 * time.Hour) // weights are brought down
	if got := loadOf(); got > 1e-9 {
		t.Errorf("a day later the load is %g", got)
	}
	run(table, c, "a", Costs{}, 0, false)
	if got := loadOf(); got <= 0 || got > costRequest {
		t.Errorf("after one more request the load is %g", got)
	}
}

// TestLimit floods a table with shapes that occur once, a million in all, while
// a few go on: those stay with all their figures, and the table does not grow.
func TestLimit(t *testing.T) {
	flood := 1_000_000
	if testing.Short() {
		flood = 100_000
	}
	reg := prometheus.NewPedanticRegistry()
	table, c := newTable(t, Options{Limit: 100, Registry: reg})
	rnd := rand.New(rand.NewPCG(1, 2))
	heavy := 0
	for i := range flood {
		run(table, c, fmt.Sprintf("x%d", rnd.Uint64()), Costs{Keys: 2}, time.Microsecond, false)
		if i%100 == 0 { // each of five is half a percent of the cost
			heavy++
			for _, name := range []string{"a", "b", "d", "e", "f"} {
				run(table, c, name, Costs{Keys: 50}, 0, false)
			}
		}
	}
	r, err := table.Report("count", "", 5)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range r.Shapes {
		if s.Count != uint64(heavy) || strings.Contains(s.Text, "x") {
			t.Errorf("%s was counted %d times; want %d of a heavy one", s.Text, s.Count, heavy)
		}
	}
	if len(table.light) != 100 || len(table.byKey) != 100 || r.Tracked != 100 || r.Limit != 100 {
		t.Errorf("%d shapes are kept", len(table.byKey))
	}
	if r.Evicted < uint64(flood)-200 || r.Total.Count != uint64(flood+5*heavy) {
		t.Errorf("%d of %d were forgotten", r.Evicted, r.Total.Count)
	}
	if got := gathered(t, reg); got["atoll_account_shapes"] != 100 || got["atoll_account_evicted_total"] != float64(r.Evicted) || got["atoll_account_keys_total"] != float64(r.Total.Keys) {
		t.Errorf("the metrics are %v", got)
	}
}

// gathered returns the metrics of a registry that have no labels.
func gathered(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		m := f.GetMetric()[0]
		out[f.GetName()] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
	}
	return out
}

func TestSessions(t *testing.T) {
	table, now := newTable(t, Options{})
	s := table.BeginSession("Write", now.now)
	for range 3 {
		part, ends := s.Part()
		part.Commit(db, []shard.Write{{Op: shard.OpSet, Path: "a/1"}})
		if !ends || part == s {
			t.Fatal("a message is no call of its own")
		}
		part.End(now.now, false)
	}
	s.End(now.now, false)
	one := table.Begin("Commit", now.now)
	if part, ends := one.Part(); part != one || ends {
		t.Error("a request has parts")
	}
	if r, _ := table.Report("count", "", 9); len(r.Shapes) != 1 || r.Shapes[0].Count != 3 {
		t.Errorf("got %+v", r.Shapes)
	}
}

// TestNobody does everything without a table.
func TestNobody(t *testing.T) {
	var table *Table
	c := table.Begin("RunQuery", time.Time{})
	c.Query(db, &query.Query{}, nil)
	c.Spend(Costs{Keys: 1})
	part, ends := c.Part()
	if err := c.Allow(shard.QueryStats{Keys: 1 << 40}); err != nil || c != nil || part != nil || ends || Of(With(t.Context(), c)) != nil || c.Text() != "" {
		t.Errorf("got %v, %v", c, err)
	}
	c.End(time.Time{}, false)
}

func TestBudgets(t *testing.T) {
	table, c := newTable(t, Options{Budgets: Budgets{Keys: 100, Documents: 10, Time: time.Second}})
	for _, x := range []struct {
		spent shard.QueryStats
		took  time.Duration
		want  string
	}{
		{shard.QueryStats{Seeks: 1, Keys: 99, Documents: 9}, 999 * time.Millisecond, ""},
		{shard.QueryStats{Keys: 100}, 0, "it has read 100 keys, and 100 are allowed (--query-keys). The query is c where a == ?"},
		{shard.QueryStats{Documents: 12}, 0, "it has read 12 documents, and 10 are allowed (--query-documents)"},
		{shard.QueryStats{Seeks: 1}, time.Second, "it has taken 1s, and 1s are allowed (--query-time)"},
	} {
		call := table.Begin("RunQuery", c.now)
		call.Query(db, &query.Query{Collection: "c", Where: &query.Filter{Op: query.Equal, Field: "a"}}, nil)
		c.now = c.now.Add(x.took)
		err := call.Allow(x.spent)
		if x.want == "" && err != nil || x.want != "" && (atoll.KindOf(err) != atoll.ResourceExhausted || !strings.Contains(err.Error(), x.want)) {
			t.Errorf("%+v after %s: %v; want %q", x.spent, x.took, err, x.want)
		}
	}
	r, err := table.Report("load", "", 1)
	if err != nil || r.OverBudget["keys"] != 1 || r.OverBudget["documents"] != 1 || r.OverBudget["time"] != 1 || r.Budgets.Keys != 100 {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := New(Options{Budgets: Budgets{Keys: -1}}); atoll.KindOf(err) != atoll.Invalid {
		t.Errorf("a negative budget: %v", err)
	}
	if _, err := New(Options{Limit: -1}); atoll.KindOf(err) != atoll.Invalid {
		t.Errorf("a negative limit: %v", err)
	}
}

func BenchmarkQuery(b *testing.B) {
	table, err := New(Options{Budgets: DefaultBudgets})
	if err != nil {
		b.Fatal(err)
	}
	q := normal(b, query.Query{Collection: "cities", Where: all(query.And, cond(query.Equal, "country", value.String("PT")), cond(query.Greater, "population", value.Int(1))),
		Order: []query.Order{{Field: "population", Desc: true}}, Limit: 20})
	now := time.Now()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			c := table.Begin("RunQuery", now)
			c.Query(db, &q, nil)
			if err := c.Allow(shard.QueryStats{Keys: 20}); err != nil {
				b.Error(err)
			}
			c.Spend(Costs{Keys: 20, Results: 20})
			c.End(now, false)
		}
	})
}

// BenchmarkEvict has every request bring a new shape.
func BenchmarkEvict(b *testing.B) {
	table, err := New(Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	now := time.Now()
	for i := range b.N {
		c := table.Begin("GetDocument", now)
		c.Documents(db, []atoll.Path{atoll.Path(fmt.Sprintf("c%d/x", i))})
		c.End(now, false)
	}
}

// TestInherited has a light shape take the place of a heavy one: it is as hard
// to displace, and its own load is told all the same.
func TestInherited(t *testing.T) {
	table, c := newTable(t, Options{Limit: 1})
	run(table, c, "a", Costs{Keys: 1_000_000}, 0, false)
	run(table, c, "b", Costs{}, 0, false)
	r, err := table.Report("load", "", 9)
	if err != nil {
		t.Fatal(err)
	}
	if s := r.Shapes; len(s) != 1 || s[0].Text != "c where b == ?" || s[0].Count != 1 || s[0].Load > 1 || s[0].Load <= 0 || r.Load < 10_000 || r.Evicted != 1 {
		t.Errorf("got %+v", r)
	}
	if e := table.light[0]; e.weight < 1_000_000 {
		t.Errorf("it weighs %g", e.weight)
	}
}
