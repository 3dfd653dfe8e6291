package shard

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"atoll"
	"atoll/query"
	"atoll/value"
	"atoll/wire"
)

// operations returns how many operations are held against the oracle.
func operations(t *testing.T) int {
	if s := os.Getenv("ATOLL_OPERATIONS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("ATOLL_OPERATIONS=%q is no number", s)
		}
		return n
	}
	if os.Getenv("ATOLL_LONG") != "" {
		return 1_000_000
	}
	return 6_000
}

// transact commits on the condition that some queries and documents would be
// read as they were at some time, which may be over.
func (m *machine) transact(t *rapid.T) {
	var req CommitRequest
	var to []atoll.CanisterID
	for _, d := range m.ranges {
		to, req.Targets = append(to, d.Shard), append(req.Targets, d.target())
	}
	at := m.now
	if rapid.Bool().Draw(t, "stale") {
		at = atoll.Time(rapid.Int64Range(firstTime, int64(m.now)).Draw(t, "read at"))
	}
	same := true
	for range rapid.IntRange(0, 2).Draw(t, "queries") {
		q, ok := m.someQuery(t)
		if !ok {
			continue
		}
		check := m.oracle.checkOf(q, at)
		again := m.oracle.checkOf(q, m.now)
		same = same && check.Count == again.Count && check.Digest == again.Digest
		req.Queries = append(req.Queries, check)
	}
	for _, p := range rapid.SliceOfN(rapid.SampledFrom(somePaths), 0, 2).Draw(t, "documents") {
		was, is := m.oracle.at(p, at), m.oracle.at(p, m.now)
		check := DocumentCheck{Path: p}
		if was.live {
			check.Revision = was.revision
			if rapid.Bool().Draw(t, "dated") {
				check.Updated = was.at
			}
		}
		// A path whose tombstone was forgotten counts its revisions anew.
		same = same && was.live == is.live && (!was.live || was.revision == is.revision && (check.Updated == 0 || was.at == is.at))
		req.Documents = append(req.Documents, check)
	}
	p := rapid.SampledFrom(somePaths).Draw(t, "path")
	req.Writes = []Write{{Op: OpSet, Path: p, Doc: value.Encode(rapid.Custom(m.someFields).Draw(t, "fields"))}}
	before := m.latest(req.Writes)
	b, err := m.updateBoth(t, atoll.Input{Caller: "user", Method: MethodCommit, Payload: wire.Marshal(req)}, to...)
	if m.excused(err) {
		return
	}
	if !same {
		if atoll.KindOf(err) != atoll.Aborted {
			t.Fatalf("what was read at %d of %d is no longer so, and the commit ends with %v", at, m.now, err)
		}
		return
	}
	want, kind := m.oracle.commit(m.now, 0, req.Writes)
	if err != nil || kind != atoll.OK || !bytes.Equal(b, wire.Marshal(want)) {
		t.Fatalf("what was read at %d of %d is still so, and the commit ends with %v, %x", at, m.now, err, b)
	}
	m.adoptRevisions(t, before)
}

// checkOf returns what a transaction notes of a query that it ran at a time.
func (o *oracle) checkOf(q query.Query, at atoll.Time) QueryCheck {
	d := query.NewDigest()
	for _, found := range o.find(q, at) {
		d.Add(found.Path, found.Updated)
	}
	return QueryCheck{Query: q, Count: d.Count(), Digest: d.Sum()}
}

// last asks for the last documents of a query, as the doors do it: for the
// first of the query turned over.
func (m *machine) last(t *rapid.T) {
	q, ok := m.someQuery(t)
	if !ok || len(m.ranges) > 1 {
		return
	}
	q.Offset, q.Limit = 0, 0
	at := m.now
	want := m.oracle.find(q, at)
	turned := q
	turned.Order = slices.Clone(q.Order)
	for i := range turned.Order {
		turned.Order[i].Desc = !turned.Order[i].Desc
	}
	over := func(c *query.Cursor) *query.Cursor {
		if c == nil {
			return nil
		}
		return &query.Cursor{Values: c.Values, Before: !c.Before}
	}
	turned.Start, turned.End = over(q.End), over(q.Start)
	turned.Limit = rapid.IntRange(1, 4).Draw(t, "last")
	want = want[max(0, len(want)-turned.Limit):]
	slices.Reverse(want)
	req := QueryRequest{Target: m.ranges[0].target(), Query: turned, At: at, Page: MaxPage}
	m.program.limits, m.twin.program.limits = usual, usual
	reply, ok := askSome[QueryReply](t, m, m.ranges[0].Shard, MethodQuery, req)
	if !ok {
		return
	}
	var docs []Document
	for _, f := range reply.Found {
		docs = append(docs, f.Document)
	}
	if d := diff(want, docs); d != "" {
		t.Fatalf("the last of %s (-want +got)\n%s", show(q), d)
	}
}

// plainSums and plainGroups sum up what simple queries find.
func (m *machine) plainSums(t *rapid.T) {
	if q, ok := m.plainly(t); ok {
		m.sums(t, q)
	}
}

func (m *machine) plainGroups(t *rapid.T) {
	if q, ok := m.plainly(t); ok {
		m.groups(t, q)
	}
}

// deed is one kind of operation, and how often it comes beside the others.
type deed struct {
	weight int
	do     func(*rapid.T)
}

// asking are the operations that both kinds of worlds have.
func (m *machine) asking() []deed {
	return []deed{
		{10, m.commit}, {3, m.transact}, {2, m.get}, {1, m.list}, {1, m.collections}, {1, m.feed},
		{2, m.aggregate}, {2, m.nearest}, {2, m.last}, {1, m.plainSums}, {1, m.plainGroups},
	}
}

// ranged is a world whose ranges split and merge.
func ranged(t *rapid.T) (all []deed, check func(*rapid.T)) {
	m := newMachine(t)
	return append(m.asking(), deed{10, m.query}, deed{1, m.rebuild}, deed{2, m.collect}, deed{1, m.divide}), m.check
}

// indexing is a world whose indexes are set, built and removed.
func indexing(t *rapid.T) (all []deed, check func(*rapid.T)) {
	m := newIndexMachine(t)
	m.excuse = func(err error) bool {
		return atoll.KindOf(err) == atoll.FailedPrecondition && strings.Contains(err.Error(), "is exempt")
	}
	return append(m.asking(), deed{10, m.query}, deed{1, m.configure}, deed{4, m.build}, deed{1, m.finish}, deed{2, m.forgotten}), m.same
}

// perCheck is after how many operations the whole state of a world is looked at.
const perCheck = 6

// TestOperationsAgainstOracle holds operations of every kind against the
// oracle: a few thousand, a million if ATOLL_LONG is set, or ATOLL_OPERATIONS.
func TestOperationsAgainstOracle(t *testing.T) {
	total, done, told, began := operations(t), 0, 0, time.Now()
	for done < total && !t.Failed() {
		rapid.Check(t, func(t *rapid.T) {
			world := rapid.SampledFrom([]func(*rapid.T) ([]deed, func(*rapid.T)){ranged, indexing}).Draw(t, "world")
			deeds, check := world(t)
			steps := 0
			actions := map[string]func(*rapid.T){"": func(t *rapid.T) {
				if steps++; steps%perCheck == 0 {
					check(t)
				}
			}}
			for i, d := range deeds {
				for n := range d.weight {
					actions[fmt.Sprintf("%d.%d", i, n)] = func(t *rapid.T) {
						d.do(t)
						done++
					}
				}
			}
			t.Repeat(actions)
		})
		if done >= told+50_000 || done >= total {
			told = done
			t.Logf("%d operations, %.0f a second", done, float64(done)/time.Since(began).Seconds())
		}
	}
}
