package shard

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"atoll"
	"atoll/keys"
)

// withoutIndex returns documents, feed and results: what format 1 had.
func (m *memory) withoutIndex() *memory {
	bare := newMemory()
	for _, p := range m.dump() {
		if _, space, _, err := keys.CutHead(p.key); err != nil || space != keys.Index && space != keys.PastIndex {
			bare.Set(p.key, p.value)
		}
	}
	bare.given = nil
	return bare
}

// migrateAll has the owner of each range make its entries, in steps of a drawn
// limit, each on what the one before has left. It returns how many documents
// were done.
func (m *machine) migrateAll(t *rapid.T, ranges *memory) (documents int) {
	limit := rapid.SampledFrom([]int{1, 300, 1000, 1 << 20}).Draw(t, "limit")
	for _, d := range m.ranges {
		var cursor []byte
		for steps := 0; ; steps++ {
			next, n, err := m.program.Migrate(m.state(d.Shard), ranges, 1, cursor, limit)
			ranges.checkGiven()
			if err != nil || steps > 1000 {
				t.Fatalf("step %d of shard %s: %v", steps, d.Shard, err)
			}
			if documents += n; next == nil {
				break
			}
			cursor = next
		}
	}
	return documents
}

// TestMigratedIndex takes the index away from shards after any history, and has
// it made again: it is what it was. Only the time since which an entry stands may
// be later, if the version that began it is forgotten: then no read can tell.
func TestMigratedIndex(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newMachine(t)
		t.Repeat(map[string]func(*rapid.T){
			"commit": m.commit, "commit2": m.commit, "commit3": m.commit, "commit4": m.commit,
			"collect": m.collect, "divide": m.divide,
		})
		bare := m.subnet.ranges.withoutIndex()
		documents := map[string]bool{}
		for _, p := range bare.dump() {
			if _, docKey, _, err := keys.ParseVersion(p.key); err == nil {
				documents[string(docKey)] = true
			}
		}
		if n := m.migrateAll(t, bare); n != len(documents) {
			t.Fatalf("%d documents of %d are counted", n, len(documents))
		}
		got, want := bare.dump(), m.subnet.ranges.dump()
		for i := range max(len(got), len(want)) {
			if i >= len(got) || i >= len(want) || !bytes.Equal(got[i].key, want[i].key) {
				t.Fatalf("the keys differ at %d: %d keys in place of %d", i, len(got), len(want))
			}
			if bytes.Equal(got[i].value, want[i].value) {
				continue
			}
			now, before := must(parseStanding(got[i].value)), must(parseStanding(want[i].value))
			if now.docLen != before.docLen || now.since < before.since || now.since > m.oracle.horizon.Versions {
				t.Fatalf("entry %x stands since %d in place of %d; the horizon is %d", got[i].key, now.since, before.since, m.oracle.horizon.Versions)
			}
		}
	})
}

func TestMigrateRefuses(t *testing.T) {
	s := newShard(t)
	for _, from := range []int{0, 2, 3} {
		_, _, err := s.program.Migrate(s.state(shardA), s.ranges, from, nil, 1)
		wantErr(t, err, atoll.Unimplemented, "format")
	}
	_, _, err := s.program.Migrate(s.state(shardA), s.ranges, 1, []byte{0xff}, 1)
	wantErr(t, err, atoll.DataLoss, "migration")
}

// TestMigrateDamaged meets stored bytes that nobody wrote.
func TestMigrateDamaged(t *testing.T) {
	s := newShard(t)
	at := s.must(t, 1, set("c/a", "n", 1)).Time
	key := keys.Version(1, keys.DocKey(placement, "c/a"), at)
	for _, bad := range [][]byte{nil, {9}, {versionFormat, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 5}} {
		ranges := s.ranges.withoutIndex()
		ranges.Set(key, bad)
		_, _, err := s.program.Migrate(s.state(shardA), ranges, 1, nil, 1<<20)
		wantErr(t, err, atoll.DataLoss)
	}
}
