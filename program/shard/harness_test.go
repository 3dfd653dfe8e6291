package shard

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"github.com/tidwall/btree"

	"atoll"
	"atoll/keys"
	"atoll/wire"
)

// pair is one stored key.
type pair struct{ key, value []byte }

// memory is an ordered store in memory: an atoll.State. It notes what it is
// given, because others keep it without a copy.
type memory struct {
	tree  *btree.BTreeG[pair]
	given []pair // each slice with a copy of it
	calm  bool   // nothing is written that an open iterator must not see, so it needs no state of its own
}

func newMemory() *memory {
	less := func(a, b pair) bool { return bytes.Compare(a.key, b.key) < 0 }
	return &memory{tree: btree.NewBTreeGOptions(less, btree.Options{NoLocks: true})}
}

func (m *memory) Get(key []byte) ([]byte, bool, error) {
	p, ok := m.tree.Get(pair{key: key})
	return p.value, ok, nil
}

func (m *memory) Set(key, value []byte) {
	p := pair{bytes.Clone(key), bytes.Clone(value)}
	m.given = append(m.given, pair{key, p.key}, pair{value, p.value})
	m.tree.Set(p)
}

func (m *memory) Delete(key []byte) {
	m.given = append(m.given, pair{key, bytes.Clone(key)})
	m.tree.Delete(pair{key: key})
}

// checkGiven panics if the program has overwritten what it gave away.
func (m *memory) checkGiven() {
	for _, p := range m.given {
		if !bytes.Equal(p.key, p.value) {
			panic(fmt.Sprintf("what was given to the store has become %x; it was %x", p.key, p.value))
		}
	}
	m.given = nil
}

func (m *memory) Iter(lo, hi []byte) atoll.Iterator {
	if m.calm {
		return &memoryIter{tree: m.tree, lo: lo, hi: hi}
	}
	return &memoryIter{tree: m.tree.Copy(), lo: lo, hi: hi}
}

// copy returns the state as it is now.
func (m *memory) copy() *memory { return &memory{tree: m.tree.Copy()} }

// dump returns all keys and values, in order.
func (m *memory) dump() []pair { return m.tree.Items() }

// memoryIter moves by looking its place up again; its slices are overwritten
// with each move and at the end, to catch whoever keeps them.
type memoryIter struct {
	tree   *btree.BTreeG[pair]
	lo, hi []byte
	at     pair
	ok     bool
}

func (it *memoryIter) stand(p pair, ok bool) bool {
	for _, b := range [][]byte{it.at.key, it.at.value} {
		for i := range b {
			b[i] = 0xee
		}
	}
	ok = ok && bytes.Compare(p.key, it.lo) >= 0 && (it.hi == nil || bytes.Compare(p.key, it.hi) < 0)
	it.ok, it.at = ok, pair{}
	if ok {
		it.at = pair{bytes.Clone(p.key), bytes.Clone(p.value)}
	}
	return ok
}

func (it *memoryIter) SeekGE(key []byte) bool {
	if bytes.Compare(key, it.lo) < 0 {
		key = it.lo
	}
	var found pair
	ok := false
	it.tree.Ascend(pair{key: key}, func(p pair) bool { found, ok = p, true; return false })
	return it.stand(found, ok)
}

func (it *memoryIter) SeekLT(key []byte) bool {
	if it.hi != nil && bytes.Compare(key, it.hi) > 0 {
		key = it.hi
	}
	var found pair
	ok := false
	it.tree.Descend(pair{key: key}, func(p pair) bool {
		if bytes.Equal(p.key, key) {
			return true
		}
		found, ok = p, true
		return false
	})
	return it.stand(found, ok)
}

func (it *memoryIter) Next() bool    { return it.ok && it.SeekGE(append(bytes.Clone(it.at.key), 0)) }
func (it *memoryIter) Prev() bool    { return it.ok && it.SeekLT(bytes.Clone(it.at.key)) }
func (it *memoryIter) Key() []byte   { return it.at.key }
func (it *memoryIter) Value() []byte { return it.at.value }
func (it *memoryIter) Close() error  { it.stand(pair{}, false); return nil }

// seeker is a memory that offers SeekPrefixGE, as stores with bloom filters do.
type seeker struct{ *memory }

func (s seeker) SeekPrefixGE(key []byte) (k, v []byte, ok bool, err error) {
	s.tree.Ascend(pair{key: key}, func(p pair) bool {
		k, v, ok = p.key, p.value, bytes.HasPrefix(p.key, key[:keys.Split(key)])
		return false
	})
	return k, v, ok, nil
}

// subnet carries shards over one shared key space, without a log.
type subnet struct {
	program Program
	now     atoll.Time
	ranges  *memory
	private map[atoll.CanisterID]*memory
	seeks   bool // readers offer SeekPrefixGE

	semantics atoll.Semantics
}

// firstTime is before that of the first message.
const firstTime = 1000

func newSubnet() *subnet {
	return &subnet{program: New(), semantics: since(MethodApply), now: firstTime, ranges: newMemory(), private: map[atoll.CanisterID]*memory{}}
}

// The cast of most tests.
var (
	directory = atoll.NewCanisterID(0, 2)
	shardA    = atoll.NewCanisterID(0, 3)
	shardB    = atoll.NewCanisterID(0, 4)
	database  = atoll.Database{Project: "demo", ID: atoll.DefaultDatabase}
)

func (s *subnet) state(id atoll.CanisterID) *memory {
	if s.private[id] == nil {
		s.private[id] = newMemory()
	}
	return s.private[id]
}

// turn is what a program holds for one message or query.
type turn struct {
	s      *subnet
	self   atoll.CanisterID
	ranges atoll.State
	state  atoll.State
}

func (s *subnet) turn(id atoll.CanisterID) turn {
	t := turn{s: s, self: id, ranges: s.ranges, state: s.state(id)}
	if s.seeks {
		t.ranges = seeker{s.ranges}
	}
	return t
}

func (t turn) Turn() atoll.Turn {
	return atoll.Turn{Self: t.self, Now: t.s.now, Semantics: t.s.semantics}
}
func (t turn) State() atoll.State  { return t.state }
func (t turn) Ranges() atoll.State { return t.ranges }

func (t turn) Call(atoll.CanisterID, string, []byte, uint64, []byte) (atoll.CallID, error) {
	return 0, errors.New("a shard makes no calls")
}

func (t turn) Reply(atoll.CallID, []byte, *atoll.Error) error {
	return errors.New("a shard defers no replies")
}

// view is a turn for a query.
type view struct{ turn }

func (v view) State() atoll.Reader  { return v.state }
func (v view) Ranges() atoll.Reader { return v.ranges }

// update executes a message at the next time, and rolls back if it fails.
func (s *subnet) update(in atoll.Input, to ...atoll.CanisterID) ([]byte, error) {
	s.now++
	ranges, private := s.ranges.copy(), map[atoll.CanisterID]*memory{}
	ctxs := make([]atoll.Context, len(to))
	for i, id := range to {
		private[id] = s.state(id).copy()
		ctxs[i] = s.turn(id)
	}
	var reply []byte
	var err error
	if len(to) == 1 {
		reply, err = s.program.Update(ctxs[0], in)
	} else {
		reply, err = s.program.UpdateJoint(ctxs, in)
	}
	s.ranges.checkGiven()
	if err != nil {
		s.ranges = ranges
		for id, state := range private {
			s.private[id] = state
		}
	}
	return reply, err
}

// call executes a method of one shard and decodes its reply.
func call[Reply any](s *subnet, to atoll.CanisterID, from atoll.Principal, method string, req any) (Reply, error) {
	var reply Reply
	b, err := s.update(atoll.Input{Caller: from, Method: method, Payload: wire.Marshal(req)}, to)
	if err == nil && len(b) > 0 {
		err = wire.Unmarshal(b, &reply)
	}
	return reply, err
}

// ask asks one shard and decodes its reply.
func ask[Reply any](s *subnet, to atoll.CanisterID, method string, req any) (Reply, error) {
	var reply Reply
	b, err := s.program.Query(view{s.turn(to)}, atoll.Question{Method: method, Payload: wire.Marshal(req)})
	if err == nil {
		err = wire.Unmarshal(b, &reply)
	}
	return reply, err
}

// whole is a range over all documents.
func whole(id RangeID, owner atoll.CanisterID) Descriptor {
	return Descriptor{Range: id, Epoch: 1, Database: database, Family: 1, Shard: owner}
}

// assign hands ranges to their shards.
func (s *subnet) assign(t testing.TB, ds ...Descriptor) {
	t.Helper()
	for _, d := range ds {
		if _, err := call[struct{}](s, d.Shard, directory, MethodAssign, d); err != nil {
			t.Fatal(err)
		}
	}
}

// newShard returns a subnet whose shard A owns everything as range 1, epoch 1.
func newShard(t testing.TB) *subnet {
	s := newSubnet()
	s.assign(t, whole(1, shardA))
	return s
}

var target1 = Target{Range: 1, Epoch: 1}

// requestID returns a request id made of a number.
func requestID(n uint64) (id atoll.RequestID) {
	binary.BigEndian.PutUint64(id[:], n)
	return id
}

// commit sends writes to shard A's range 1.
func (s *subnet) commit(id uint64, writes ...Write) (CommitReply, error) {
	return s.commitTo([]atoll.CanisterID{shardA}, id, CommitRequest{Targets: []Target{target1}, Writes: writes})
}

func (s *subnet) commitTo(to []atoll.CanisterID, id uint64, req CommitRequest) (CommitReply, error) {
	var reply CommitReply
	in := atoll.Input{Caller: "user", ID: requestID(id), Method: MethodCommit, Payload: wire.Marshal(req)}
	b, err := s.update(in, to...)
	if err == nil {
		err = wire.Unmarshal(b, &reply)
	}
	return reply, err
}
