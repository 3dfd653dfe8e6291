package shard

import (
	"bytes"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"atoll"
	"atoll/keys"
	"atoll/value"
	"atoll/wire"
)

// somePaths has neighbours, ids that begin one another, numeric ids, documents
// below documents, and below documents that are never written.
var somePaths = []atoll.Path{
	"c/a", "c/ab", "c/b", "c/__id-3__", "c/__id20__", "c/z",
	"c/a/s/x", "c/a/s/y", "c/a/t/x", "c/b/s/x", "c/ghost/s/x", "c/ghost/s/x/u/v",
	"cc/a", "e/f/g/h",
}

var someParents = []atoll.Path{"", "c/a", "c/b", "c/ghost", "c/ghost/s/x", "d/a", "e/f", "none/x"}
var someCollections = []atoll.Path{"c", "c/a/s", "c/b/s", "c/ghost/s", "d", "cc", "e", "none"}

// machine drives shards and the oracle side by side. The shards run twice: the
// readers of the second pair offer SeekPrefixGE. Whatever goes in, both answer
// with the same bytes and store the same keys.
type machine struct {
	*subnet
	twin   *subnet
	oracle *oracle
	ranges []Descriptor // they tile the key space
	next   uint64       // request id

	divided int           // ranges made since the first
	values  []value.Value // of fields; nil: a mixture

	excuse func(error) bool // tells which errors of queries may be; nil: none
}

// shards is the number of the first canister that a split may use.
const shards = 10

func newMachine(t *rapid.T) *machine {
	m := &machine{subnet: newSubnet(), twin: newSubnet(), oracle: newOracle()}
	m.twin.seeks = true
	d := whole(1, shardA)
	m.assignBoth(t, d)
	m.ranges = []Descriptor{d}
	return m
}

func (m *machine) assignBoth(t *rapid.T, d Descriptor) {
	_, err := m.updateBoth(t, atoll.Input{Caller: directory, Method: MethodAssign, Payload: wire.Marshal(d)}, d.Shard)
	if err != nil {
		t.Fatal(err)
	}
}

func (m *machine) updateBoth(t *rapid.T, in atoll.Input, to ...atoll.CanisterID) ([]byte, error) {
	a, errA := m.update(in, to...)
	b, errB := m.twin.update(in, to...)
	if !bytes.Equal(a, b) || fmt.Sprint(errA) != fmt.Sprint(errB) {
		t.Fatalf("%s answers\n%x, %v\n%x, %v", in.Method, a, errA, b, errB)
	}
	return a, errA
}

// of returns the range that holds a path.
func (m *machine) of(p atoll.Path) Descriptor {
	i := slices.IndexFunc(m.ranges, func(d Descriptor) bool { return d.Contains(keys.DocKey(placement, p)) })
	return m.ranges[i]
}

func (d *Descriptor) target() Target { return Target{d.Range, d.Epoch} }

// commit sends what drawn says to all shards that it concerns.
func (m *machine) commit(t *rapid.T) {
	id := m.next
	if old := m.oracle.repeatable(); len(old) > 0 && rapid.IntRange(0, 9).Draw(t, "repeat") == 0 {
		id = rapid.SampledFrom(old).Draw(t, "old id")
	} else if m.next++; rapid.IntRange(0, 9).Draw(t, "anonymous") == 0 {
		id = 0
	}
	some := rapid.SliceOfN(rapid.SampledFrom(somePaths), 1, 2).Draw(t, "paths")
	writes := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Write { return m.write(t, some) }), 1, 4).Draw(t, "writes")
	if r, ok := m.oracle.results[id]; ok {
		writes[0].Path = r.first // an id is looked up beside the first document
	}
	var req CommitRequest
	var to []atoll.CanisterID
	req.Writes = writes
	for _, w := range writes {
		if d := m.of(w.Path); !slices.Contains(to, d.Shard) {
			to, req.Targets = append(to, d.Shard), append(req.Targets, d.target())
		}
	}
	in := atoll.Input{Caller: "user", ID: requestID(id), Method: MethodCommit, Payload: wire.Marshal(req)}
	before := m.latest(writes)
	b, err := m.updateBoth(t, in, to...)
	want, kind := m.oracle.commit(m.now, id, writes)
	if atoll.KindOf(err) != kind {
		t.Fatalf("commit fails with %v, want %s", err, kind)
	}
	if kind != atoll.OK {
		return
	}
	if !bytes.Equal(b, wire.Marshal(want)) {
		t.Fatalf("commit answers %x, want %+v", b, want)
	}
	m.adoptRevisions(t, before)
}

// latest returns the last states of the documents that writes concern.
func (m *machine) latest(writes []Write) map[atoll.Path]state {
	all := map[atoll.Path]state{}
	for _, w := range writes {
		all[w.Path] = m.oracle.at(w.Path, atoll.MaxTime)
	}
	return all
}

// adoptRevisions lets a document begin at revision 1 again where its tombstone
// was allowed to be forgotten.
func (m *machine) adoptRevisions(t *rapid.T, before map[atoll.Path]state) {
	for p, s := range before {
		if s.at == 0 || s.live || s.at >= m.oracle.horizon.Latest {
			continue
		}
		states := m.oracle.docs[p]
		if last := len(states) - 1; states[last].at > s.at && m.read(t, p, 0).Revision == 1 {
			states[last].revision = 1
			states[last-1].forgotten = true
		}
	}
}

// write draws a write to one of some documents.
func (m *machine) write(t *rapid.T, some []atoll.Path) Write {
	w := Write{Path: rapid.SampledFrom(some).Draw(t, "path")}
	w.Op = rapid.SampledFrom([]Op{OpSet, OpSet, OpSet, OpDelete, OpDelete, OpVerify}).Draw(t, "op")
	switch rapid.IntRange(0, 9).Draw(t, "precondition") {
	case 0, 1:
		exists := rapid.Bool().Draw(t, "exists")
		w.Exists = &exists
	case 2:
		at := m.oracle.at(w.Path, atoll.MaxTime).at - rapid.SampledFrom([]atoll.Time{0, 0, 1}).Draw(t, "stale")
		w.UpdateTime = &at
	}
	if w.Op != OpSet {
		return w
	}
	w.Doc = value.Encode(rapid.Custom(m.someFields).Draw(t, "fields"))
	if w.HasMask = rapid.Bool().Draw(t, "masked"); w.HasMask {
		w.Mask = rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "m", "m.x", "m.y"}), 0, 3, rapid.ID).Draw(t, "mask")
	}
	for range rapid.SampledFrom([]int{0, 0, 0, 1, 2}).Draw(t, "transforms") {
		w.Transforms = append(w.Transforms, rapid.Custom(someTransform).Draw(t, "transform"))
	}
	return w
}

func (m *machine) someFields(t *rapid.T) value.Value {
	var all []any
	for _, name := range []string{"a", "b"} {
		if rapid.IntRange(0, 5).Draw(t, name) > 0 {
			all = append(all, name, m.someValue(t))
		}
	}
	switch rapid.IntRange(0, 3).Draw(t, "m") {
	case 0:
		all = append(all, "m", fields("x", 1))
	case 1:
		all = append(all, "m", fields("x", "1", "y", 2))
	}
	if rapid.Bool().Draw(t, "l") {
		all = append(all, "l", m.someList(t))
	}
	return fields(all...)
}

func someTransform(t *rapid.T) Transform {
	field := rapid.SampledFrom([]string{"a", "b", "m.x", "m"}).Draw(t, "field")
	n := value.Int(rapid.Int64Range(0, 3).Draw(t, "operand"))
	kind := rapid.SampledFrom([]TransformKind{ServerTime, Increment, Maximum, ArrayUnion}).Draw(t, "kind")
	if kind == ArrayUnion {
		n = value.Array(n)
	}
	return transformOf(field, kind, n)
}

// repeatable returns the ids whose results are certainly kept.
func (o *oracle) repeatable() []uint64 {
	var ids []uint64
	for id, r := range o.results {
		if r.at >= o.results0 {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// someTime returns a time that can be read at, or 0.
func (m *machine) someTime(t *rapid.T) atoll.Time {
	return atoll.Time(rapid.SampledFrom([]int64{0, int64(m.now), int64(m.oracle.horizon.Versions),
		rapid.Int64Range(max(firstTime, int64(m.oracle.horizon.Versions)), int64(m.now)).Draw(t, "past")}).Draw(t, "time"))
}

// askBoth asks both subnets.
func askBoth[Reply any](t *rapid.T, m *machine, to atoll.CanisterID, method string, req any) (reply Reply) {
	q := atoll.Question{Method: method, Payload: wire.Marshal(req)}
	a, err := m.program.Query(view{m.turn(to)}, q)
	if err == nil {
		err = wire.Unmarshal(a, &reply)
	}
	if err != nil {
		t.Fatalf("%s %+v: %v", method, req, err)
	}
	if b, err := m.twin.program.Query(view{m.twin.turn(to)}, q); err != nil || !bytes.Equal(a, b) {
		t.Fatalf("with SeekPrefixGE %s answers\n%x\n%x, %v", method, a, b, err)
	}
	return reply
}

// diff is cmp.Diff, but quick where there is no difference.
func diff(want, got any) string {
	if reflect.DeepEqual(want, got) {
		return ""
	}
	return cmp.Diff(want, got)
}

func (m *machine) read(t *rapid.T, p atoll.Path, at atoll.Time) Document {
	d := m.of(p)
	return askBoth[GetReply](t, m, d.Shard, MethodGet, GetRequest{Target: d.target(), Paths: []atoll.Path{p}, At: at}).Documents[0]
}

func (m *machine) get(t *rapid.T) {
	at := m.someTime(t)
	for _, p := range somePaths {
		seen := at
		if at == 0 {
			seen = m.now
		}
		if d := diff(m.oracle.at(p, seen).document(p), m.read(t, p, at)); d != "" {
			t.Fatalf("%s at %d (-want +got)\n%s", p, at, d)
		}
	}
}

func (m *machine) getTooOld(t *rapid.T) {
	if m.oracle.horizon.Versions < 2 {
		t.Skip("nothing is too old")
	}
	_, err := ask[GetReply](m.subnet, m.ranges[0].Shard, MethodGet, GetRequest{Target: m.ranges[0].target(), At: m.oracle.horizon.Versions - 1})
	if atoll.KindOf(err) != atoll.FailedPrecondition {
		t.Fatalf("a read below the horizon gives %v", err)
	}
}

func (m *machine) list(t *rapid.T) {
	req := ListRequest{
		Collection: rapid.SampledFrom(someCollections).Draw(t, "collection"),
		Limit:      rapid.IntRange(1, 4).Draw(t, "limit"),
		At:         m.someTime(t),
		Missing:    rapid.Bool().Draw(t, "missing"),
	}
	var got []Document
	for _, d := range m.ranges {
		req.Target, req.After = d.target(), ""
		for more := true; more; {
			reply := askBoth[ListReply](t, m, d.Shard, MethodList, req)
			if len(reply.Documents) > req.Limit || len(reply.Documents) == 0 && (reply.More || req.After != "") {
				t.Fatalf("a page of %d with the limit %d behind %q, more: %t", len(reply.Documents), req.Limit, req.After, reply.More)
			}
			for _, d := range reply.Documents {
				// A document may stand before a bound and what is below behind it.
				if n := len(got); n == 0 || got[n-1].Path != d.Path {
					got = append(got, d)
				}
				req.After = d.Path.ID()
			}
			more = reply.More
		}
	}
	at := req.At
	if at == 0 {
		at = m.now
	}
	if d := diff(m.oracle.list(req.Collection, at, req.Missing), got); d != "" {
		t.Fatalf("%+v (-want +got)\n%s", req, d)
	}
}

func (m *machine) collections(t *rapid.T) {
	req := CollectionsRequest{
		Parent: rapid.SampledFrom(someParents).Draw(t, "parent"),
		Limit:  rapid.IntRange(1, 3).Draw(t, "limit"),
		At:     m.someTime(t),
	}
	var got []string
	for _, d := range m.ranges {
		req.Target, req.After = d.target(), ""
		for more := true; more; {
			reply := askBoth[CollectionsReply](t, m, d.Shard, MethodCollections, req)
			if len(reply.IDs) > req.Limit || len(reply.IDs) == 0 && (reply.More || req.After != "") {
				t.Fatalf("a page of %d with the limit %d behind %q, more: %t", len(reply.IDs), req.Limit, req.After, reply.More)
			}
			for _, id := range reply.IDs {
				if !slices.Contains(got, id) {
					got = append(got, id)
				}
				req.After = id
			}
			more = reply.More
		}
	}
	at := req.At
	if at == 0 {
		at = m.now
	}
	if d := diff(m.oracle.collections(req.Parent, at), got); d != "" {
		t.Fatalf("%+v (-want +got)\n%s", req, d)
	}
}

// feed follows the feed of every range from one time on.
func (m *machine) feed(t *rapid.T) {
	from := FeedCursor{Time: max(0, m.oracle.horizon.Latest-1)}
	if rapid.Bool().Draw(t, "later") {
		from.Time = atoll.Time(rapid.Int64Range(int64(from.Time), int64(m.now)).Draw(t, "from"))
	}
	limit := rapid.IntRange(1, 5).Draw(t, "limit")
	for _, d := range m.ranges {
		var got []Change
		at := from
		for more := true; more; {
			reply := askBoth[FeedReply](t, m, d.Shard, MethodFeed, FeedRequest{Target: d.target(), After: at, Limit: limit})
			if len(reply.Changes) > limit {
				t.Fatalf("%d changes with the limit %d", len(reply.Changes), limit)
			}
			got, at, more = append(got, reply.Changes...), reply.Next, reply.More
		}
		if at.Time != m.now || len(at.Key) > 0 {
			t.Fatalf("the feed ends at %+v, not now (%d)", at, m.now)
		}
		for _, want := range m.oracle.feed() {
			if want.Cursor.Time <= from.Time || !d.Contains(want.Cursor.Key) {
				continue
			}
			if len(got) > 0 && reflect.DeepEqual(got[0], want.Change) {
				got = got[1:]
			} else if !want.forgettable {
				t.Fatalf("range %d has not the change %+v, but %+v", d.Range, want.Change, got)
			}
		}
		if len(got) > 0 {
			t.Fatalf("range %d has the change %+v", d.Range, got[0])
		}
	}
}

// rebuild replays the whole feed, if it is whole, into the current state.
func (m *machine) rebuild(t *rapid.T) {
	if m.oracle.horizon.Latest > 0 {
		t.Skip("the feed has been cut")
	}
	got := map[atoll.Path]Document{}
	for _, d := range m.ranges {
		reply := askBoth[FeedReply](t, m, d.Shard, MethodFeed, FeedRequest{Target: d.target(), Limit: MaxPage})
		for _, c := range reply.Changes {
			got[c.Doc.Path] = c.Doc
		}
	}
	for _, p := range m.oracle.paths() {
		if d := diff(m.oracle.at(p, m.now).document(p), got[p]); d != "" {
			t.Fatalf("%s from the feed (-want +got)\n%s", p, d)
		}
	}
}

// collect sends every shard a collection, to its end or one piece of it.
func (m *machine) collect(t *rapid.T) {
	some := func(what string) atoll.Time {
		return atoll.Time(rapid.Int64Range(firstTime-1, int64(m.now)).Draw(t, what))
	}
	req := CollectRequest{Versions: some("versions"), Latest: some("latest"), Requests: some("requests"), Limit: rapid.IntRange(1, 10).Draw(t, "limit")}
	h := &m.oracle.horizon
	h.Versions = max(h.Versions, req.Versions)
	h.Latest = max(h.Latest, min(req.Latest, h.Versions))
	m.oracle.results0 = max(m.oracle.results0, req.Requests)
	whole := rapid.Bool().Draw(t, "whole")
	for _, d := range m.ranges {
		m.collectOne(t, d, req, whole)
	}
	if whole {
		m.checkKept(t)
		m.checkIndex(t, true)
	}
}

func (m *machine) collectOne(t *rapid.T, d Descriptor, req CollectRequest, whole bool) {
	req.Requests = m.oracle.results0
	for more := true; more; {
		b, err := m.updateBoth(t, atoll.Input{Caller: atoll.Management, Method: MethodCollect, Payload: wire.Marshal(req)}, d.Shard)
		if err != nil {
			t.Fatal(err)
		}
		var reply CollectReply
		if err := wire.Unmarshal(b, &reply); err != nil {
			t.Fatal(err)
		}
		more = whole && reply.More
	}
}

// checkKept counts the keys: what nobody can read must be gone.
func (m *machine) checkKept(t *rapid.T) {
	versions, entries, results := m.oracle.kept()
	want := []int{versions, entries, results}
	got := []int{m.count(keys.Documents), m.count(keys.Feed), m.count(keys.Requests)}
	if !slices.Equal(got, want) {
		t.Fatalf("versions, entries and results kept: %v, want %v; horizon %+v", got, want, m.oracle.horizon)
	}
}

// divide splits a range in two, or merges two in one. The new owner is told the
// horizons at once.
func (m *machine) divide(t *rapid.T) {
	n := rapid.IntRange(0, len(m.ranges)-1).Draw(t, "range")
	m.divided++
	id := RangeID(m.divided + 1)
	fresh := whole(id, atoll.NewCanisterID(0, uint32(shards+m.divided)))
	d := m.ranges[n]
	if n+1 < len(m.ranges) && (len(m.ranges) > 3 || rapid.Bool().Draw(t, "merge")) {
		right := m.ranges[n+1]
		fresh.Start, fresh.End = d.Start, right.End
		until := map[RangeID]atoll.Time{d.Range: m.now, right.Range: m.now}
		for _, a := range append(slices.Clone(d.Lineage), right.Lineage...) {
			until[a.Range] = max(until[a.Range], a.Until)
		}
		for _, id := range slices.Sorted(maps.Keys(until)) {
			fresh.Lineage = append(fresh.Lineage, Ancestor{id, until[id]})
		}
		m.ranges = slices.Replace(m.ranges, n, n+2, fresh)
	} else {
		at := keys.DocKey(placement, rapid.SampledFrom(somePaths).Draw(t, "at"))
		if !d.Contains(at) || bytes.Equal(d.Start, at) {
			t.Skip("no split of this range")
		}
		fresh.Start, fresh.End = at, d.End
		fresh.Lineage = append(slices.Clone(d.Lineage), Ancestor{d.Range, m.now})
		d.End = at
		d.Epoch++
		m.assignBoth(t, d)
		m.ranges = slices.Replace(m.ranges, n, n+1, d, fresh)
	}
	m.assignBoth(t, fresh)
	m.collectOne(t, fresh, CollectRequest{Versions: m.oracle.horizon.Versions, Latest: m.oracle.horizon.Latest, Limit: 1}, false)
}

// check compares all keys of the two subnets, and the index with the documents.
func (m *machine) check(t *rapid.T) {
	a, b := m.subnet.ranges.dump(), m.twin.ranges.dump()
	equal := func(p, q pair) bool { return bytes.Equal(p.key, q.key) && bytes.Equal(p.value, q.value) }
	if !slices.EqualFunc(a, b, equal) {
		t.Fatal("the same messages left other keys")
	}
	for id := range m.private {
		if !slices.EqualFunc(m.state(id).dump(), m.twin.state(id).dump(), equal) {
			t.Fatalf("the same messages left shard %s another state", id)
		}
	}
	m.checkIndex(t, false)
}

// TestAgainstOracle holds commits, reads of now and of the past, pages, feeds
// and collections, over ranges that split and merge, against the oracle.
func TestAgainstOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newMachine(t)
		t.Repeat(map[string]func(*rapid.T){
			"commit": m.commit, "commit2": m.commit, "commit3": m.commit, "commit4": m.commit,
			"get": m.get, "getTooOld": m.getTooOld, "list": m.list, "collections": m.collections,
			"query": m.query, "query2": m.query, "query3": m.query, "query4": m.query, "aggregate": m.aggregate, "nearest": m.nearest, "feed": m.feed, "rebuild": m.rebuild, "collect": m.collect, "divide": m.divide,
			"": m.check,
		})
	})
}
