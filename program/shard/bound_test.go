package shard

import (
	"errors"
	"fmt"
	"math/rand/v2"
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

// asked runs a question and returns how many keys the store has shown for it.
func (s *subnet) asked(method string, req any) (reply []byte, read int, err error) {
	t := s.turn(shardA)
	t.ranges = counting{s.ranges, &read}
	reply, err = s.program.Query(view{t}, atoll.Question{Method: method, Payload: wire.Marshal(req)})
	return reply, read, err
}

// few is how many entries the plans of these tests may look at to find out
// which way is best.
const few = 8

// necessary is how many keys a good plan reads for a query, by the documents
// alone: it knows nothing of how a shard finds them.
type necessary struct {
	results int // returned, or skipped by the offset
	seeks   int // one for each value and order to look up
	entries int // that a filter without an index drops, or that must be passed
}

// bound is the most keys that a query may read.
func (n necessary) bound() int { return 4 * (n.results + n.seeks + n.entries) }

// necessary says what a query needs at a time. Of what stands in its order it
// needs no more than up to its last result, and of what has a value no more
// than all that has the rarest of those that it asks for.
func (o *oracle) necessary(q query.Query, at, now atoll.Time) (n necessary) {
	if near := q.Nearest; near != nil {
		// All that pass the filters are measured, and the nearest read again.
		q.Nearest = nil
		n = o.necessary(q, at, now)
		n.results += near.Limit
		if q.Where == nil {
			n.entries += n.results
		}
		return n
	}
	found := o.find(q, at)
	n.results = len(found) + q.Offset
	terms := must(query.DNF(q.Where))
	for _, filters := range terms {
		n.seeks += 1 + len(q.Order) + len(filters)
		n.entries += few + o.ofTerm(&q, filters, len(terms) > 1, found, at)
	}
	if at < now {
		n.entries += o.passing(&q, at)
	}
	for _, p := range o.paths() {
		if q.Collection == "" && !o.at(p, at).live {
			n.entries += 2 // what does not exist stands among what does
		}
	}
	return n
}

// all returns the documents that pass some filters, of where a query looks.
func (o *oracle) all(q *query.Query, order []query.Order, filters []query.Filter, at atoll.Time) []Document {
	in := query.Query{Parent: q.Parent, Collection: q.Collection, Descendants: q.Descendants, Order: order}
	if len(filters) > 0 {
		in.Where = &query.Filter{Op: query.And, Parts: filters}
	}
	return o.find(must(query.Normalize(in, database)), at)
}

// ofTerm is how many entries one conjunction needs besides its results.
func (o *oracle) ofTerm(q *query.Query, filters []query.Filter, merged bool, found []Document, at atoll.Time) int {
	if q.Descendants {
		if q.Where == nil && len(q.Order) < 2 {
			return 0
		}
		return 2 * len(o.all(q, nil, nil, at)) // no index has the fields of a group
	}
	rarest, fixed, pinned, ranges := 0, 0, map[string]bool{}, false
	for _, f := range filters {
		if f.Field == value.NameField {
			continue
		}
		switch f.Op {
		default:
			ranges = true
		case query.Equal, query.IsNull, query.IsNaN, query.ArrayContains:
			pinned[f.Field] = pinned[f.Field] || f.Op != query.ArrayContains
			some := len(o.all(q, nil, []query.Filter{f}, at))
			if fixed++; fixed == 1 || some < rarest {
				rarest = some
			}
		}
	}
	n := fixed * (rarest + 1)
	lead := slices.IndexFunc(q.Order, func(k query.Order) bool { return k.Field != value.NameField && !pinned[k.Field] })
	switch {
	case lead < 0 && fixed == 0 && ranges:
		n += 2 * len(o.all(q, nil, nil, at)) // in the order of names all are looked at
	case lead >= 0:
		n += (1 + fixed) * o.passed(q, filters, lead, merged, found, at)
	}
	return n
}

// passed is how many entries stand in the order of a field from where a query
// begins to where it has all that it wants, with all that have the last value.
// Where several conjunctions are merged, each also has its next document ready.
func (o *oracle) passed(q *query.Query, filters []query.Filter, lead int, merged bool, found []Document, at atoll.Time) (n int) {
	by := q.Order[lead]
	path := must(value.ParseFieldPath(by.Field))
	var on []query.Filter
	for _, f := range filters {
		if f.Field == by.Field && f.Op != query.ArrayContains {
			on = append(on, f)
		}
	}
	of := func(d Document) value.Value {
		v, _, err := value.Doc(d.Doc).Lookup(path)
		return must(v, err)
	}
	compare := func(a, b value.Value) int {
		if by.Desc {
			a, b = b, a
		}
		return value.Compare(a, b)
	}
	whole := query.Query{Where: &query.Filter{Op: query.And, Parts: filters}}
	for _, d := range o.all(q, []query.Order{by}, on, at) {
		v := of(d)
		if begins := q.Start; lead == 0 && begins != nil && len(begins.Values) > 0 && compare(v, must(value.DecodeValue(begins.Values[0]))) < 0 {
			continue
		}
		n++
		if q.Limit == 0 || len(found) < q.Limit || compare(v, of(found[len(found)-1])) <= 0 {
			continue
		}
		whole.Collection = d.Path.Parent().ID()
		if !merged || len(filters) == 0 || must(query.Matches(must(query.Normalize(whole, database)), query.Document{Path: d.Path, Doc: d.Doc})) {
			return n
		}
	}
	return n
}

// passing is how many entries of a query's fields have begun since a time, or
// ended at any: each is looked at, and twice at most, to find out whether it
// stood then.
func (o *oracle) passing(q *query.Query, at atoll.Time) int {
	fields := map[string]bool{}
	var note func(f *query.Filter)
	note = func(f *query.Filter) {
		if f == nil {
			return
		}
		fields[f.Field] = true
		for i := range f.Parts {
			note(&f.Parts[i])
		}
	}
	note(q.Where)
	for _, k := range q.Order {
		fields[k.Field] = true
	}
	heads := [][]byte{keys.AppendIndexHead(nil, 1, keys.Index, keys.IndexMembers)}
	for f := range fields {
		if path, err := value.ParseFieldPath(f); err == nil && !path.IsName() {
			head := keys.AppendCollection(keys.AppendIndexHead(nil, 1, keys.Index, keys.IndexFields), q.Parent.Child(q.Collection))
			head = keys.AppendField(head, path, keys.ByValue)
			heads = append(heads, head[:len(head)-1])
		}
	}
	live, ended := o.index()
	different := map[string]bool{}
	for key, since := range live {
		if since > at {
			different[key] = true
		}
	}
	for key := range ended {
		entry, _, _ := keys.CutEnded([]byte(key))
		entry[len(keys.AppendHead(nil, 0, 0))-1] = byte(keys.Index)
		different[string(entry)] = true
	}
	n := 0
	for key := range different {
		if slices.ContainsFunc(heads, func(head []byte) bool { return strings.HasPrefix(key, string(head)) }) {
			n += 2
		}
	}
	return n
}

// judge tells what is wrong with what was read for a query; empty if nothing is.
func judge(n necessary, shown int) string {
	if shown <= n.bound() {
		return ""
	}
	return fmt.Sprintf("%d keys were read, and four times %+v is %d", shown, n, n.bound())
}

// shelf fills a machine with documents whose fields are rare and frequent, and
// changes some of them. It answers with one shard.
func shelf(t *rapid.T) *machine {
	m := newMachine(t)
	m.values = []value.Value{value.Int(0), value.Int(1), value.Int(2), value.Int(7), value.Null(), value.Double(1.5), value.Vector([]float64{1})}
	m.program.limits.few = few
	seed := rapid.Uint64().Draw(t, "seed")
	rng := rand.New(rand.NewPCG(seed, 1))
	some := rapid.IntRange(5, 150).Draw(t, "documents")
	path := func(i int) atoll.Path {
		if i%10 == 9 {
			return atoll.Path(fmt.Sprintf("c/a/s/%d", i))
		}
		return atoll.Path(fmt.Sprintf("c/%03d", i))
	}
	doc := func(i int) []byte {
		v := []any{"a", rng.IntN(3), "b", rng.IntN(1 + some/2)}
		if rng.IntN(8) == 0 {
			v = append(v, "l", value.Array(value.Int(int64(rng.IntN(3))), value.Int(7)))
		}
		if rng.IntN(4) > 0 {
			v = append(v, "m", fields("x", i))
		}
		return value.Encode(fields(v...))
	}
	var writes []Write
	for i := range some {
		writes = append(writes, Write{Op: OpSet, Path: path(i), Doc: doc(i)})
	}
	for len(writes) > 0 {
		n := min(len(writes), 1+rng.IntN(some))
		m.send(t, writes[:n])
		writes = writes[n:]
	}
	for range rapid.IntRange(0, 6).Draw(t, "changes") {
		i := rng.IntN(some)
		if rng.IntN(3) == 0 {
			m.send(t, []Write{{Op: OpDelete, Path: path(i)}})
		} else {
			m.send(t, []Write{{Op: OpSet, Path: path(i), Doc: doc(i)}})
		}
	}
	return m
}

// TestKeysRead holds the keys that the store shows for queries, sums, vector
// searches and the checks of transactions against what the documents say that
// these need: at most four times as many. The shard's own account is held to
// the same, and to what the store has shown.
func TestKeysRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := shelf(t)
		for range 6 {
			q, ok := m.someQuery(t)
			if !ok {
				continue
			}
			at := atoll.Time(rapid.SampledFrom([]int64{int64(m.now), int64(m.now), rapid.Int64Range(firstTime+2, int64(m.now)).Draw(t, "past")}).Draw(t, "at"))
			var stats QueryStats
			var shown int
			switch rapid.IntRange(0, 5).Draw(t, "ask for") {
			case 0:
				figures := []query.Aggregate{{Op: query.Count}, rapid.SampledFrom([]query.Aggregate{{Op: query.Count}, {Op: query.Sum, Field: "m.x"}, {Op: query.Max, Field: "b"}}).Draw(t, "figure")}
				stats, shown = m.costOf(t, MethodAggregate, AggregateRequest{Target: target1, Query: q, Aggregates: figures, At: at, Explain: true})
			case 1:
				at = m.now
				shown = m.costOfCheck(t, q)
			case 2:
				q = query.Query{Collection: "c", Nearest: &query.Nearest{Field: "b", Vector: value.EncodeValue(value.Vector([]float64{1})), Limit: 3, Measure: query.Euclidean}}
				if rapid.Bool().Draw(t, "filtered") {
					q.Where = &query.Filter{Op: query.Equal, Field: "a", Value: value.EncodeValue(value.Int(1))}
				}
				q = must(query.Normalize(q, database))
				fallthrough
			default:
				stats, shown = m.costOf(t, MethodQuery, QueryRequest{Target: target1, Query: q, At: at, Page: MaxPage, Explain: true})
			}
			n := m.oracle.necessary(q, at, m.now)
			if wrong := judge(n, shown); wrong != "" {
				t.Fatalf("%s at %d of %d: %s; %+v", show(q), at, m.now, wrong, stats)
			}
		}
	})
}

// costOf asks a question and returns what it has cost by the shard's account,
// and by the store's.
func (m *machine) costOf(t *rapid.T, method string, req any) (QueryStats, int) {
	b, shown, err := m.asked(method, req)
	var s QueryStats
	if method == MethodAggregate {
		var r AggregateReply
		err = errors.Join(err, wire.Unmarshal(b, &r))
		s = r.Stats
	} else {
		var r QueryReply
		err = errors.Join(err, wire.Unmarshal(b, &r))
		s = r.Stats
	}
	if err != nil || s.Keys > 4*(s.Results+s.Seeks+s.Needed) || shown > s.Keys+2*s.Seeks {
		t.Fatalf("%v, the store has shown %d keys for %+v", err, shown, s)
	}
	return s, shown
}

// costOfCheck repeats a query in a commit that changes nothing.
func (m *machine) costOfCheck(t *rapid.T, q query.Query) (read int) {
	turn := m.turn(shardA)
	turn.ranges = counting{m.subnet.ranges, &read}
	req := CommitRequest{Targets: []Target{target1}, Queries: []QueryCheck{m.oracle.checkOf(q, m.now)}}
	if _, err := m.program.Update(turn, atoll.Input{Caller: "user", Method: MethodCommit, Payload: wire.Marshal(req)}); err != nil {
		t.Fatal(err)
	}
	return read
}

// TestWasteIsSeen makes sure that TestKeysRead could fail: it has queries
// answered in ways that waste, and judges what these read by what the query
// needs.
func TestWasteIsSeen(t *testing.T) {
	s, o := newShard(t), newOracle()
	for i := range 300 {
		w := set(atoll.Path(fmt.Sprintf("c/%03d", i)), "n", i, "rare", i%100, "even", i%2, "odd", (i+1)%2, "all", 1)
		s.must(t, 0, w)
		o.commit(s.now, 0, []Write{w})
	}
	equal := func(field string, n int64) *query.Filter {
		return &query.Filter{Op: query.Equal, Field: field, Value: value.EncodeValue(value.Int(n))}
	}
	read := func(q query.Query) int {
		_, shown, err := s.asked(MethodQuery, QueryRequest{Target: target1, Query: q, Page: MaxPage})
		same(t, err, nil)
		return shown
	}
	byN := []query.Order{{Field: "n"}}
	and := func(parts ...*query.Filter) *query.Filter {
		f := &query.Filter{Op: query.And}
		for _, p := range parts {
			f.Parts = append(f.Parts, *p)
		}
		return f
	}
	for _, c := range []struct {
		what         string
		good, wasted query.Query
	}{
		{"goes on behind the limit", query.Query{Collection: "c", Order: byN, Limit: 5}, query.Query{Collection: "c", Order: byN}},
		{"looks at all documents for a value", query.Query{Collection: "c", Where: equal("rare", 7)}, query.Query{Collection: "c", Descendants: true, Where: equal("rare", 7)}},
		{"follows the frequent one of two values", query.Query{Collection: "c", Where: and(equal("rare", 7), equal("even", 1))}, query.Query{Collection: "c", Where: equal("even", 1)}},
		{"goes step by step to where a rare value is", query.Query{Collection: "c", Where: and(equal("all", 1), equal("rare", 7))}, query.Query{Collection: "c", Where: equal("all", 1)}},
		{"looks for two frequent values before it looks for a rare one", query.Query{Collection: "c", Where: and(equal("even", 1), equal("odd", 1), equal("rare", 7))},
			query.Query{Collection: "c", Where: and(equal("even", 1), equal("odd", 0))}},
		{"begins at the beginning instead of at the cursor",
			query.Query{Collection: "c", Order: byN, Start: &query.Cursor{Values: [][]byte{value.EncodeValue(value.Int(290))}, Before: true}}, query.Query{Collection: "c", Order: byN}},
	} {
		good, wasted := must(query.Normalize(c.good, database)), must(query.Normalize(c.wasted, database))
		n := o.necessary(good, s.now, s.now)
		if wrong := judge(n, read(good)); wrong != "" {
			t.Errorf("a plan that does not waste: %s", wrong)
		}
		if judge(n, read(wasted)) == "" {
			t.Errorf("a plan that %s reads %d keys, and passes: %+v", c.what, read(wasted), n)
		}
	}
}
