package shard

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"atoll"
	"atoll/keys"
	"atoll/query"
	"atoll/value"
	"atoll/wire"
)

// indexMachine is a machine whose indexes are set, built and removed while
// everything else goes on.
type indexMachine struct {
	*machine
	config IndexConfig
	ids    uint32
}

// newIndexMachine begins with one shard, or with two that share the key space.
func newIndexMachine(t *rapid.T) *indexMachine {
	m := &indexMachine{machine: newMachine(t)}
	m.values = rapid.SliceOfN(rapid.SampledFrom(slices.Concat(pool, hard)), 3, 6).Draw(t, "values")
	if rapid.Bool().Draw(t, "two shards") {
		m.ranges[0].End, m.ranges[0].Epoch = keys.DocKey(placement, "c/ab"), 2
		right := whole(2, shardB)
		right.Start = m.ranges[0].End
		m.assignBoth(t, m.ranges[0])
		m.assignBoth(t, right)
		m.ranges = append(m.ranges, right)
	}
	return m
}

// someComposite draws an index of which queries make use.
func someComposite(t *rapid.T) CompositeIndex {
	x := CompositeIndex{Collection: rapid.SampledFrom([]string{"c", "c", "s"}).Draw(t, "collection"), Group: rapid.IntRange(0, 2).Draw(t, "group") == 0}
	for _, f := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "l", "m", "m.x"}), 2, 3, rapid.ID).Draw(t, "fields") {
		p := IndexedPart{Field: f, Desc: rapid.Bool().Draw(t, "desc")}
		if f == "l" && rapid.Bool().Draw(t, "contains") {
			p.Contains, p.Desc = true, false
		}
		x.Fields = append(x.Fields, p)
	}
	if rapid.IntRange(0, 2).Draw(t, "named") == 0 {
		x.Fields = append(x.Fields, IndexedPart{Field: value.NameField, Desc: rapid.Bool().Draw(t, "name desc")})
	}
	return x
}

func someOverride(t *rapid.T) FieldIndex {
	f := FieldIndex{
		Collection: rapid.SampledFrom([]string{"c", "c", "s"}).Draw(t, "collection"),
		Field:      rapid.SampledFrom([]string{"a", "b", "l", "m", "m.x", EveryField}).Draw(t, "field"),
	}
	switch rapid.IntRange(0, 4).Draw(t, "how") {
	case 0, 1:
		f.Off = true
	case 2, 3:
		f.Group = true
	}
	return f
}

// configure sets the indexes anew, keeping some.
func (m *indexMachine) configure(t *rapid.T) {
	next := IndexConfig{Version: m.config.Version + 1}
	for _, x := range m.config.Composites {
		if rapid.Bool().Draw(t, "keep") {
			next.Composites = append(next.Composites, x)
		}
	}
	for _, x := range rapid.SliceOfN(rapid.Custom(someComposite), 0, 3).Draw(t, "composites") {
		if !slices.ContainsFunc(next.Composites, func(o CompositeIndex) bool { return o.Same(&x) }) {
			x.ID = FirstComposite + m.ids
			m.ids++
			next.Composites = append(next.Composites, x)
		}
	}
	for _, f := range append(slices.Clone(m.config.Exempt), rapid.SliceOfN(rapid.Custom(someOverride), 0, 3).Draw(t, "overrides")...) {
		twice := slices.ContainsFunc(next.Exempt, func(o FieldIndex) bool { return o.Collection == f.Collection && o.Field == f.Field })
		if !twice && rapid.Bool().Draw(t, "keep") {
			next.Exempt = append(next.Exempt, f)
		}
	}
	m.config = next
	for _, d := range m.ranges {
		if _, err := m.updateBoth(t, atoll.Input{Caller: directory, Method: MethodIndexes, Payload: wire.Marshal(next)}, d.Shard); err != nil {
			t.Fatal(err)
		}
	}
}

// build sends one message of a build, of any size.
func (m *indexMachine) build(t *rapid.T) {
	d := rapid.SampledFrom(m.ranges).Draw(t, "range")
	m.buildOne(t, d.Shard, rapid.SampledFrom([]int{1, 2, 5, 20, MaxBuild}).Draw(t, "limit"))
}

func (m *indexMachine) buildOne(t *rapid.T, to atoll.CanisterID, limit int) (more bool) {
	b, err := m.updateBoth(t, atoll.Input{Caller: atoll.Management, Method: MethodBuild, Payload: wire.Marshal(BuildRequest{Limit: limit})}, to)
	if err != nil {
		t.Fatal(err)
	}
	var reply BuildReply
	if err := wire.Unmarshal(b, &reply); err != nil {
		t.Fatal(err)
	}
	return reply.More
}

// finish builds to the end, and holds the entries against what they must be.
func (m *indexMachine) finish(t *rapid.T) {
	for _, d := range m.ranges {
		for limit := rapid.SampledFrom([]int{5, 100}).Draw(t, "limit"); m.buildOne(t, d.Shard, limit); {
		}
		s, err := askAs[IndexStatus](m.subnet, d.Shard, atoll.Management, MethodIndexStatus, nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(s.Composites) != len(m.config.Composites) || s.Version != m.config.Version {
			t.Fatalf("after the build the shard has %+v, want %+v", s, m.config)
		}
		for _, c := range s.Composites {
			if c.State != IndexReady {
				t.Fatalf("after the build %s is in state %d: %s", &c.Index, c.State, c.Reason)
			}
		}
		for _, f := range s.Fields {
			if f.State != IndexReady {
				t.Fatalf("after the build the fields of %s are in state %d: %s", f.Collection, f.State, f.Reason)
			}
		}
	}
	m.checkEntries(t)
}

// askAs asks a question in somebody's name.
func askAs[Reply any](s *subnet, to atoll.CanisterID, who atoll.Principal, method string, req any) (reply Reply, err error) {
	q := atoll.Question{Caller: who, Method: method}
	if req != nil {
		q.Payload = wire.Marshal(req)
	}
	b, err := s.program.Query(view{s.turn(to)}, q)
	if err == nil {
		err = wire.Unmarshal(b, &reply)
	}
	return reply, err
}

// policyOf finds the policy of a field in the plainest way.
func (c *IndexConfig) policyOf(collection string, field value.FieldPath) (off, group bool) {
	longest := -1
	for _, f := range c.Exempt {
		if f.Collection != collection {
			continue
		}
		var path value.FieldPath
		if f.Field != EveryField {
			path = must(value.ParseFieldPath(f.Field))
		}
		if len(path) > longest && len(path) <= len(field) && slices.Equal(path, field[:len(path)]) {
			longest, off, group = len(path), f.Off, f.Group
		}
	}
	return off, group
}

// entriesOf lists the keys of all live entries of a document, in the plainest
// way.
func (c *IndexConfig) entriesOf(p atoll.Path, doc value.Value) []string {
	docKey, id := string(keys.DocKey(placement, p)), p.Parent().ID()
	head := func(n uint32) string { return string(keys.AppendIndexHead(nil, 1, keys.Index, n)) }
	all := []string{head(keys.IndexMembers) + string(keys.AppendGroup(nil, id)) + docKey}
	add := func(f value.FieldPath, k keys.EntryKind, v value.Value) {
		tail, _ := keys.AppendIndexed(keys.AppendField(nil, f, k), v, keys.Ascending)
		off, group := c.policyOf(id, f)
		if !off {
			all = append(all, head(keys.IndexFields)+string(keys.AppendCollection(nil, p.Parent()))+string(tail)+docKey)
		}
		if group {
			all = append(all, head(keys.IndexGroupFields)+string(keys.AppendGroup(nil, id))+string(tail)+docKey)
		}
	}
	var below func(value.FieldPath, value.Value)
	below = func(f value.FieldPath, v value.Value) {
		for i := range v.Len() {
			switch v.Kind() {
			case value.KindMap:
				f := append(slices.Clone(f), v.Field(i).Name)
				add(f, keys.ByValue, v.Field(i).Value)
				below(f, v.Field(i).Value)
			case value.KindArray:
				if len(f) > 0 {
					add(f, keys.ByElement, v.Elem(i))
				}
			}
		}
	}
	below(nil, doc)
	for _, x := range c.Composites {
		if x.Collection != id {
			continue
		}
		scope := head(x.ID)
		if !x.Group {
			scope += string(keys.AppendCollection(nil, p.Parent()))
		}
		for _, values := range x.plainly(doc) {
			all = append(all, scope+values+docKey)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// plainly lists what stands between the scope and the docKey of a document's
// entries.
func (x *CompositeIndex) plainly(doc value.Value) []string {
	tails := []string{""}
	last := x.Fields[len(x.Fields)-1]
	for _, p := range x.Fields {
		if p.Field == value.NameField {
			break
		}
		v, ok := doc.Lookup(must(value.ParseFieldPath(p.Field)))
		if !ok || p.Contains && v.Kind() != value.KindArray {
			return nil
		}
		each := []value.Value{v}
		if p.Contains {
			each = nil
			for i := range v.Len() {
				each = append(each, v.Elem(i))
			}
		}
		dir := keys.Ascending
		if p.Desc != last.Desc && !p.Contains {
			dir = keys.Descending
		}
		var longer []string
		for _, tail := range tails {
			for _, v := range each {
				b, _ := keys.AppendIndexed([]byte(tail), v, dir)
				longer = append(longer, string(b))
			}
		}
		tails = longer
	}
	return tails
}

// checkEntries holds the live entries against the documents.
func (m *indexMachine) checkEntries(t *rapid.T) {
	want := map[string]bool{}
	for _, p := range m.oracle.paths() {
		if s := m.oracle.at(p, m.now); s.live {
			for _, key := range m.config.entriesOf(p, s.fields) {
				want[key] = true
			}
		}
	}
	for _, p := range m.live() {
		if !want[string(p.key)] {
			t.Fatalf("the entry %q is left over", p.key)
		}
		delete(want, string(p.key))
	}
	for key := range want {
		t.Fatalf("the entry %q is missing", key)
	}
}

// live returns all live entries.
func (m *indexMachine) live() (all []pair) {
	for _, p := range m.subnet.ranges.dump() {
		if _, space, _, err := keys.CutHead(p.key); err == nil && space == keys.Index {
			all = append(all, p)
		}
	}
	return all
}

// exempt reports whether a query asks for a field that is to have no index.
func (m *indexMachine) exempt(q *query.Query) bool {
	off := func(field string) bool {
		off, _ := m.config.policyOf(q.Collection, must(value.ParseFieldPath(field)))
		return off && field != value.NameField
	}
	var any func(f *query.Filter) bool
	any = func(f *query.Filter) bool {
		return f != nil && (f.Field != "" && off(f.Field) || slices.ContainsFunc(f.Parts, func(p query.Filter) bool { return any(&p) }))
	}
	return q.Collection != "" && (any(q.Where) || slices.ContainsFunc(q.Order, func(o query.Order) bool { return off(o.Field) }))
}

// composedQuery draws a query that a composite index serves, or nearly.
func (m *indexMachine) composedQuery(t *rapid.T) (q query.Query, ok bool) {
	x := rapid.SampledFrom(m.config.Composites).Draw(t, "index")
	q.Collection, q.Descendants = x.Collection, x.Group
	if x.Collection == "s" && !x.Group {
		q.Parent = "c/a"
	}
	fields := x.Parts()
	fixed := rapid.IntRange(0, len(fields)).Draw(t, "fixed")
	and := query.Filter{Op: query.And}
	back := rapid.Bool().Draw(t, "back")
	add := func(field string, op query.Op) {
		and.Parts = append(and.Parts, query.Filter{Op: op, Field: field, Value: value.EncodeValue(m.someValue(t))})
	}
	for i, p := range fields {
		switch {
		case p.Contains:
			add(p.Field, query.ArrayContains)
		case i < fixed:
			add(p.Field, query.Equal)
		default:
			if rapid.IntRange(0, 2).Draw(t, "bounded") == 0 {
				add(p.Field, rapid.SampledFrom([]query.Op{query.Greater, query.LessOrEqual, query.NotEqual}).Draw(t, "bound"))
			}
			q.Order = append(q.Order, query.Order{Field: p.Field, Desc: p.Desc != back})
		}
	}
	if rapid.IntRange(0, 4).Draw(t, "more") == 0 {
		f := m.someFilter(1).Draw(t, "where")
		and.Parts = append(and.Parts, f)
	}
	if len(and.Parts) > 0 {
		q.Where = &and
	}
	if last := x.Fields[len(x.Fields)-1]; last.Field == value.NameField || rapid.Bool().Draw(t, "named") {
		q.Order = append(q.Order, query.Order{Field: value.NameField, Desc: last.Desc != back})
	}
	q.Start, q.End = m.someCursor(t, &q), m.someCursor(t, &q)
	q.Limit = rapid.SampledFrom([]int{0, 0, 1, 3}).Draw(t, "limit")
	n, err := query.Normalize(q, database)
	return n, err == nil
}

// query compares a query's pages with the oracle, with builds, writes and
// changes of the indexes between them.
func (m *indexMachine) query(t *rapid.T) {
	q, ok := m.someQuery(t)
	if len(m.config.Composites) > 0 && rapid.IntRange(0, 2).Draw(t, "composed") > 0 {
		q, ok = m.composedQuery(t)
	}
	if !ok {
		return
	}
	q.Selects, q.Select = false, nil
	asked := q
	asked.Offset = 0
	if q.Limit > 0 {
		asked.Limit = q.Offset + q.Limit
	}
	at := m.someTime(t)
	if at == 0 {
		at = m.now
	}
	var got []Found
	for _, d := range m.ranges {
		req := QueryRequest{Target: d.target(), Query: asked, At: at, Explain: true, Page: rapid.IntRange(1, 6).Draw(t, "page")}
		for more := true; more; {
			m.cut(t)
			_, err := ask[QueryReply](m.subnet, d.Shard, MethodQuery, req)
			if atoll.KindOf(err) == atoll.FailedPrecondition && m.exempt(&q) && strings.Contains(err.Error(), "is exempt") {
				return
			}
			reply, ok := askSome[QueryReply](t, m.machine, d.Shard, MethodQuery, req)
			if !ok {
				return
			}
			if s := reply.Stats; s.Keys > 4*(s.Results+s.Seeks+s.Needed) {
				t.Fatalf("%s has read too much: %+v", show(q), s)
			}
			got = append(got, reply.Found...)
			req.After, more = reply.Next, len(reply.Next) > 0
			switch rapid.IntRange(0, 9).Draw(t, "between") {
			case 0:
				m.configure(t)
			case 1, 2:
				m.build(t)
			case 3:
				m.commit(t)
			}
		}
	}
	slices.SortFunc(got, func(a, b Found) int { return bytes.Compare(a.Key, b.Key) })
	got = got[min(q.Offset, len(got)):]
	if q.Limit > 0 {
		got = got[:min(q.Limit, len(got))]
	}
	var docs []Document
	for i, f := range got {
		if i > 0 && bytes.Equal(got[i-1].Key, f.Key) {
			t.Fatalf("%s finds %s twice", show(q), f.Path)
		}
		docs = append(docs, f.Document)
	}
	if d := cmp.Diff(m.oracle.find(q, at), docs); d != "" {
		t.Fatalf("%s at %d of %d (-want +got)\n%s", show(q), at, m.now, d)
	}
}

// forgotten collects to the end: then no ended entry is left below the horizon.
func (m *indexMachine) forgotten(t *rapid.T) {
	h := &m.oracle.horizon
	h.Versions = max(h.Versions, m.now-atoll.Time(rapid.Int64Range(0, 5).Draw(t, "kept")))
	req := CollectRequest{Versions: h.Versions, Limit: 100}
	for _, d := range m.ranges {
		m.collectOne(t, d, req, true)
	}
	for _, p := range m.subnet.ranges.dump() {
		if _, space, _, err := keys.CutHead(p.key); err != nil || space != keys.PastIndex {
			continue
		}
		if key, at, _ := keys.CutEnded(p.key); at <= h.Versions && !m.pending() {
			t.Fatalf("the ended entry %x of %d is kept", key, at)
		}
	}
}

// pending reports whether a shard has something to build or to remove.
func (m *indexMachine) pending() bool {
	for _, d := range m.ranges {
		h, _, err := loadHeader(m.state(d.Shard))
		if err != nil || h.Pending {
			return true
		}
	}
	return false
}

// TestIndexesAgainstOracle holds queries and the stored entries against a naive
// scan while indexes are set, built, exempted and removed.
func TestIndexesAgainstOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newIndexMachine(t)
		t.Repeat(map[string]func(*rapid.T){
			"commit": m.commit, "commit2": m.commit, "commit3": m.commit,
			"configure": m.configure, "build": m.build, "build2": m.build, "finish": m.finish,
			"query": m.query, "query2": m.query, "query3": m.query, "query4": m.query, "forget": m.forgotten,
			"": m.same,
		})
	})
}

// same compares all keys of the two subnets.
func (m *indexMachine) same(t *rapid.T) {
	a, b := m.subnet.ranges.dump(), m.twin.ranges.dump()
	equal := func(p, q pair) bool { return bytes.Equal(p.key, q.key) && bytes.Equal(p.value, q.value) }
	if !slices.EqualFunc(a, b, equal) {
		t.Fatal("the same messages left other keys")
	}
}

// TestIndexedQueriesDensely asks many queries of many documents with few values
// by indexes that are ready.
func TestIndexedQueriesDensely(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newIndexMachine(t)
		write := func(p atoll.Path) {
			w := []Write{{Op: OpSet, Path: p, Doc: value.Encode(m.someFields(t))}}
			d := m.of(p)
			in := atoll.Input{Caller: "user", Method: MethodCommit, Payload: wire.Marshal(CommitRequest{Targets: []Target{d.target()}, Writes: w})}
			if _, err := m.updateBoth(t, in, d.Shard); err != nil {
				t.Fatal(err)
			}
			m.oracle.commit(m.now, 0, w)
		}
		for i := range 12 {
			write(atoll.Path("c/" + string(rune('a'+i%8))))
		}
		m.configure(t)
		write("c/a")
		m.finish(t)
		for i := range 4 {
			write(atoll.Path("c/" + string(rune('d'+i))))
		}
		for range 8 {
			m.query(t)
		}
	})
}
