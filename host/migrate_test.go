package host_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"

	"atoll"
	"atoll/host"
	"atoll/keys"
	"atoll/kv/mem"
	"atoll/kv/pebble"
	"atoll/log/local"
	"atoll/program/shard"
	"atoll/route"
	"atoll/subnet"
	"atoll/value"
	"atoll/wire"
)

// headKey is the kernel's; see the package comment of subnet.
var headKey = append([]byte{keys.SpaceMeta}, "head"...)

// written writes documents of many shapes, with several versions and tombstones,
// into two databases, and returns all keys of the subnet.
func written(t *testing.T, documents int) []atoll.Op {
	t.Helper()
	dir := t.TempDir()
	h := start(t, host.Options{Dir: dir})
	rng := rand.New(rand.NewPCG(1, 2))
	who := route.Caller{Principal: atoll.Anonymous}
	for _, id := range []string{atoll.DefaultDatabase, "second"} {
		d := atoll.Database{Project: "p", ID: id}
		for round := range 4 {
			for from := 0; from < documents; from += 100 {
				var writes []shard.Write
				for n := from; n < min(from+100, documents); n++ {
					if round > 0 && rng.IntN(3) > 0 && n > 0 {
						continue
					}
					w := shard.Write{Op: shard.OpSet, Path: atoll.Path(fmt.Sprintf("c%d/%d", n%7, n)), Doc: value.AppendDocument(nil, shape(rng))}
					if rng.IntN(5) == 0 {
						w = shard.Write{Op: shard.OpDelete, Path: w.Path}
					}
					writes = append(writes, w)
				}
				if _, err := h.Router.Commit(context.Background(), d, writes, route.NewRequestID(), who); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	st, err := pebble.Open(pebble.Options{Dir: host.SubnetDir(dir, 0), Split: keys.Split})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	return contents(t, st)
}

// shape returns a document of few values, so that versions share some.
func shape(rng *rand.Rand) value.Value {
	var array []value.Value
	for range rng.IntN(4) {
		array = append(array, value.Int(int64(rng.IntN(5))))
	}
	return value.Map(
		value.Field{Name: "array", Value: value.Array(array...)},
		value.Field{Name: "map", Value: value.Map(
			value.Field{Name: "x", Value: value.Int(int64(rng.IntN(3)))},
			value.Field{Name: "y", Value: value.String(fmt.Sprint("text ", rng.IntN(3)))},
		)},
		value.Field{Name: "n", Value: value.Int(int64(rng.IntN(4)))},
	)
}

// contents returns all keys of a store.
func contents(t *testing.T, r atoll.Reader) (all []atoll.Op) {
	t.Helper()
	it := r.Iter(nil, nil)
	for ok := it.SeekGE(nil); ok; ok = it.Next() {
		all = append(all, atoll.Op{Kind: atoll.OpSet, Key: bytes.Clone(it.Key()), Value: bytes.Clone(it.Value())})
	}
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
	return all
}

// index reports whether a key is an index entry, and of which family.
func index(key []byte) (family uint32, ok bool) {
	family, space, _, err := keys.CutHead(key)
	return family, err == nil && (space == keys.Index || space == keys.PastIndex)
}

// bare returns what format 1 had of a state: no index, but for the given part of
// its entries, nor its bytes in the shards' records, nor its hashes in the head.
func bare(t *testing.T, all []atoll.Op, part float64) (out []atoll.Op) {
	t.Helper()
	bytesOf := map[uint32]int64{} // of entries, by family
	shards := map[string]uint32{}
	rng := rand.New(rand.NewPCG(7, 8))
	for _, op := range all {
		if family, ok := index(op.Key); ok && rng.Float64() >= part {
			bytesOf[family] += int64(len(op.Key) + len(op.Value))
			continue
		}
		if id, rest := private(op.Key); len(rest) == 9 && rest[0] == 2 { // a descriptor
			var d shard.Descriptor
			if wire.Unmarshal(op.Value, &d) == nil && d.Family > 0 {
				shards[id] = uint32(d.Family)
			}
		}
		out = append(out, op)
	}
	if len(shards) != 2 {
		t.Fatalf("there are %d shards", len(shards))
	}
	for i, op := range out {
		if op.Key[0] != keys.SpaceCanisters || op.Key[1] != 0 {
			continue
		}
		if family, ok := shards[string(op.Key[3:])]; ok {
			var record map[int]any
			if err := wire.Unmarshal(op.Value, &record); err != nil {
				t.Fatal(err)
			}
			record[5] = uint64(int64(record[5].(uint64)) - bytesOf[family])
			out[i].Value = wire.Marshal(record)
		}
	}
	for i, op := range out {
		if bytes.Equal(op.Key, headKey) {
			head := headOf(t, op.Value)
			head.Format, head.Slices = 1, slicesOf(out)
			out[i].Value = wire.Marshal(head)
		}
	}
	return out
}

// private splits a key of a canister's own.
func private(key []byte) (id string, rest []byte) {
	if key[0] != keys.SpacePrivate {
		return "", nil
	}
	n := 2 + int(key[1])
	return string(key[2:n]), key[n:]
}

func headOf(t *testing.T, raw []byte) (h subnet.Head) {
	t.Helper()
	if err := wire.Unmarshal(raw, &h); err != nil {
		t.Fatal(err)
	}
	return h
}

// slicesOf hashes a state in the plainest way; see subnet.Slice.
func slicesOf(all []atoll.Op) (out subnet.Slices) {
	for _, op := range all {
		if op.Key[0] == keys.SpaceMeta || op.Key[0] == keys.SpaceLog {
			continue
		}
		sum := sha256.Sum256(append(append(binary.BigEndian.AppendUint64([]byte{1}, uint64(len(op.Key))), op.Key...), op.Value...))
		fold := fnv.New32a()
		fold.Write(op.Key)
		at := fold.Sum32()
		s := &out[(at^at>>16)%subnet.NumSlices]
		s.Count++
		carry := uint64(0)
		for i := range s.Sum {
			s.Sum[i], carry = bits.Add64(s.Sum[i], binary.LittleEndian.Uint64(sum[8*i:]), carry)
		}
	}
	return out
}

// documents counts those of which there are versions.
func documents(all []atoll.Op) int64 {
	seen := map[string]bool{}
	for _, op := range all {
		if family, docKey, _, err := keys.ParseVersion(op.Key); err == nil {
			seen[fmt.Sprint(family, docKey)] = true
		}
	}
	return int64(len(seen))
}

// crashing is a store whose disk loses power in some Apply.
type crashing struct {
	*mem.Store
	disk *mem.Disk
	rng  *rand.Rand
	left int // batches until then
}

func (c *crashing) Apply(b *atoll.Batch) (atoll.Commit, error) {
	if c.left--; c.left >= 0 {
		return c.Store.Apply(b)
	}
	if _, err := c.Store.Apply(b); err != nil {
		return nil, err
	}
	c.disk.Crash(c.rng.IntN)
	return nil, atoll.Errorf(atoll.Unavailable, "the power is gone")
}

// holding returns a disk with a state on it.
func holding(t *testing.T, all []atoll.Op) *mem.Disk {
	t.Helper()
	disk := mem.NewDisk()
	st := open(t, disk)
	defer st.Close()
	commit, err := st.Apply(&atoll.Batch{Ops: all})
	if err == nil {
		err = commit.Wait()
	}
	if err != nil {
		t.Fatal(err)
	}
	return disk
}

func open(t *testing.T, disk *mem.Disk) *mem.Store {
	t.Helper()
	st, err := mem.Open(disk, mem.WithSplit(keys.Split))
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// TestMigrationThroughCrashes takes the index out of a state, as format 1 was,
// and cuts the power at each batch, or at one of the next two, of the migration
// that makes it anew. What each crash leaves agrees with its head and is not
// served; in the end everything is, byte for byte, what today's code had written.
func TestMigrationThroughCrashes(t *testing.T) {
	all := written(t, 500)
	before := bare(t, all, 0)
	rng := rand.New(rand.NewPCG(3, 4))
	disk := holding(t, before)
	crashes, began := 0, false
	for {
		st := open(t, disk)
		c := &crashing{Store: st, disk: disk, rng: rng, left: rng.IntN(3)}
		done, err := host.Migration{Step: 1 + rng.IntN(12<<10)}.Run(c)
		if err == nil {
			// Nothing was left to do if the last crash kept the last batch.
			if want := (host.Migrating{From: 1, To: 2, Documents: documents(all), Done: true}); done != want && done != (host.Migrating{}) {
				t.Errorf("the migration says that it did %+v", done)
			}
			break
		}
		if crashes++; crashes > 10_000 {
			t.Fatal(err)
		}
		st = open(t, disk)
		left := contents(t, st)
		head, ok := find(left, headKey)
		h := headOf(t, head)
		if !ok || h.Slices != slicesOf(left) {
			t.Fatalf("after crash %d the head does not agree with the state", crashes)
		}
		through := h.Format == 2 && h.From == 0
		if began = began || h.From == 1; began != (h.Format == 2) {
			t.Fatalf("after crash %d the head has format %d from %d", crashes, h.Format, h.From)
		}
		if _, _, err := subnet.ReadHead(st); !through && atoll.KindOf(err) != atoll.FailedPrecondition {
			t.Fatalf("after crash %d the state can be served: %v", crashes, err)
		}
		st.Close()
	}
	if crashes < 100 {
		t.Errorf("%d crashes are few", crashes)
	}
	t.Logf("%d crashes", crashes)
	sameState(t, open(t, reopened(t, disk)), all)
}

// reopened returns the disk as a new process finds it.
func reopened(t *testing.T, disk *mem.Disk) *mem.Disk {
	t.Helper()
	disk.Crash(func(int) int { return 0 })
	return disk
}

// sameState compares a migrated state with what it was before its index was
// taken out: only the log is cut.
func sameState(t *testing.T, r atoll.Reader, want []atoll.Op) {
	t.Helper()
	head, _, err := subnet.ReadHead(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := local.Check(r, head); err != nil {
		t.Error(err)
	}
	if first, last, err := local.Bounds(r); err != nil || first != head.Chain.Position || last != first {
		t.Errorf("the log has positions %d to %d, %v; only %d leads to the state", first, last, err, head.Chain.Position)
	}
	a, err := subnet.NewAudit(r)
	for done := false; err == nil && !done; {
		done, err = a.Step(1000)
	}
	if err != nil {
		t.Error(err)
	}
	noLog := func(op atoll.Op) bool { return op.Key[0] == keys.SpaceLog }
	got := slices.DeleteFunc(contents(t, r), noLog)
	want = slices.DeleteFunc(slices.Clone(want), noLog)
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || !bytes.Equal(got[i].Key, want[i].Key) || !bytes.Equal(got[i].Value, want[i].Value) {
			t.Fatalf("of %d keys, those from %d on are not the same as among %d", len(got), i, len(want))
		}
	}
}

func find(all []atoll.Op, key []byte) ([]byte, bool) {
	for _, op := range all {
		if bytes.Equal(op.Key, key) {
			return op.Value, true
		}
	}
	return nil, false
}

// TestMigrationOfAnIndexInPart meets entries that a version of Atoll between the
// two formats has written already.
func TestMigrationOfAnIndexInPart(t *testing.T) {
	all := written(t, 100)
	for _, part := range []float64{0.3, 0.9, 1} {
		st := open(t, holding(t, bare(t, all, part)))
		if _, err := (host.Migration{Step: 5000}).Run(st); err != nil {
			t.Fatal(err)
		}
		sameState(t, st, all)
	}
}

// TestMigrationEnds has room, progress and formats end a migration before it
// does anything wrong.
func TestMigrationEnds(t *testing.T) {
	all := written(t, 100)
	enough := atoll.Errorf(atoll.Canceled, "enough")
	st := open(t, holding(t, bare(t, all, 0)))
	batches := 0
	for _, g := range []host.Migration{
		{Step: 1000, Tell: func(host.Migrating) error { batches++; return enough }},
		{Step: 1000, Room: func() error { return enough }},
		{Step: 1000, Tell: func(m host.Migrating) error { batches++; return nil }, Room: func() error {
			if batches == 3 {
				return enough
			}
			return nil
		}},
	} {
		if done, err := g.Run(st); err != enough || done.From != 1 || done.To != 2 {
			t.Errorf("%+v, %v", done, err)
		}
	}
	if _, err := (host.Migration{Subnet: 1}).Run(st); atoll.KindOf(err) != atoll.FailedPrecondition {
		t.Errorf("another subnet's state: %v", err)
	}
	if done, err := (host.Migration{}).Run(st); err != nil || batches != 3 || done.Documents != documents(all) {
		t.Errorf("%d batches, then %+v, %v", batches, done, err)
	}
	if done, err := (host.Migration{Tell: func(host.Migrating) error { return enough }}).Run(st); err != nil || done != (host.Migrating{}) {
		t.Errorf("of what has today's format: %+v, %v", done, err)
	}
	sameState(t, st, all)
}

// TestMigrationRefuses meets heads that this version of Atoll cannot go on from.
func TestMigrationRefuses(t *testing.T) {
	all := bare(t, written(t, 10), 0)
	raw, _ := find(all, headKey)
	for _, c := range []struct {
		change func(*subnet.Head)
		kind   atoll.Kind
	}{
		{func(h *subnet.Head) { h.Format = subnet.HeadFormat + 1 }, atoll.FailedPrecondition},
		{func(h *subnet.Head) { h.Format, h.From = subnet.HeadFormat+1, subnet.HeadFormat }, atoll.FailedPrecondition},
		{func(h *subnet.Head) { h.Format = 0 }, atoll.DataLoss},
		{func(h *subnet.Head) { h.Format, h.From = 2, 1 }, atoll.DataLoss}, // without a place
		{func(h *subnet.Head) { h.Digest[0]++ }, atoll.DataLoss},           // the log leads elsewhere
	} {
		h := headOf(t, raw)
		c.change(&h)
		st := open(t, holding(t, append(slices.Clone(all), atoll.Op{Kind: atoll.OpSet, Key: headKey, Value: wire.Marshal(h)})))
		before := contents(t, st)
		if _, err := (host.Migration{}).Run(st); atoll.KindOf(err) != c.kind {
			t.Errorf("format %d from %d: %v, want %s", h.Format, h.From, err, c.kind)
		}
		if got := contents(t, st); len(got) != len(before) {
			t.Errorf("format %d from %d: it was changed", h.Format, h.From)
		}
	}
	empty := mem.New()
	if done, err := (host.Migration{}).Run(empty); err != nil || done != (host.Migrating{}) || len(contents(t, empty)) > 0 {
		t.Errorf("an empty store: %+v, %v", done, err)
	}
}
