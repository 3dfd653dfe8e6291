package subnet

import (
	"encoding/binary"
	"slices"

	"atoll"
	"atoll/keys"
	"atoll/planted"
	"atoll/wire"
)

// The semantics that this version of Atoll executes. Version 1 bills messages;
// version 2 bills storage too; in version 3 shards take writes that are done each
// by itself in one message, and have indexes that are set.
const (
	MinSemantics atoll.Semantics = 1
	MaxSemantics atoll.Semantics = 3
)

// Limits of what canisters can make grow.
const (
	MaxOpenCalls    = 1000    // calls that one canister has made and that are not answered
	MaxDeferred     = 10_000  // messages that one canister was asked and has not answered
	MaxQueued       = 500     // requests that wait for one canister
	MaxStream       = 10_000  // letters on their way to one subnet; more requests are refused
	MaxCanisters    = 100_000 // on one subnet
	MaxLetterBytes  = 12 << 20
	lettersPerTurn  = 64   // taken from one queue for a block
	lettersPerBlock = 1024 // taken from all queues for a block
)

// Entry is a program as a subnet runs it.
type Entry struct {
	Program atoll.Program
	Ranges  bool // it may use the range families
}

// Config is what a machine is made of. It must be the same on all replicas,
// but for Lanes.
type Config struct {
	Subnet   atoll.SubnetID
	Programs map[string]Entry
	// Lanes calls lane(0) to lane(n-1), in any order or at once, and returns
	// when all have returned. Nil runs them one after the other.
	Lanes   func(n int, lane func(i int))
	Planted planted.Set // for the simulator's own tests
}

// Machine executes blocks. It has one owner. After an error from Execute it is
// in an unknown state and must be opened again.
type Machine struct {
	cfg       Config
	store     atoll.Reader
	head      Head
	canisters map[atoll.CanisterID]*canister
	queues    map[atoll.CanisterID]*queue
	streams   map[atoll.SubnetID]*Stream
}

// queue holds the numbers of the letters that wait for a canister, in order.
type queue struct {
	letters []queued
}

type queued struct {
	n uint64
	l atoll.Letter
}

// Stream is how far the letters to and from another subnet have come.
type Stream struct {
	Out   uint64 `cbor:"1,keyasint"` // number of the last letter for them
	Acked uint64 `cbor:"2,keyasint"` // they hold ours up to it; we have forgotten these
	In    uint64 `cbor:"3,keyasint"` // number of the last letter from them that is executed or queued
}

// Open returns a machine that goes on where the store's state stands; an empty
// store gives a machine at height 0. The store must show every batch that the
// machine returned as soon as the next block is executed.
func Open(cfg Config, store atoll.Reader) (*Machine, error) {
	m := &Machine{
		cfg: cfg, store: store,
		canisters: map[atoll.CanisterID]*canister{},
		queues:    map[atoll.CanisterID]*queue{},
		streams:   map[atoll.SubnetID]*Stream{},
	}
	head, ok, err := ReadHead(store)
	if err != nil {
		return nil, err
	}
	if !ok {
		m.head = Head{Format: HeadFormat, Subnet: cfg.Subnet, Semantics: MinSemantics}
		return m, nil
	}
	if head.Subnet != cfg.Subnet {
		return nil, atoll.Errorf(atoll.FailedPrecondition, "the state belongs to subnet %d, not to subnet %d", head.Subnet, cfg.Subnet)
	}
	if head.Semantics > MaxSemantics || head.Semantics < MinSemantics {
		return nil, atoll.Errorf(atoll.FailedPrecondition, "the state is at semantics version %d; this version of Atoll executes %d to %d", head.Semantics, MinSemantics, MaxSemantics)
	}
	m.head = head
	if err := m.loadQueues(); err != nil {
		return nil, err
	}
	m.streams, err = Streams(store)
	return m, err
}

// Head returns where the machine stands.
func (m *Machine) Head() Head { return m.head }

// Pending reports whether letters wait, so that a block without messages would
// make progress.
func (m *Machine) Pending() bool { return len(m.queues) > 0 }

func (m *Machine) loadQueues() error {
	lo := []byte{keys.SpaceQueues}
	it := m.store.Iter(lo, prefixEnd(lo))
	for ok := it.SeekGE(lo); ok; ok = it.Next() {
		k := it.Key()
		if len(k) < 10 || len(k) != 2+int(k[1])+8 {
			it.Close()
			return atoll.Errorf(atoll.DataLoss, "the key %x of a queued letter is damaged", k)
		}
		q := queued{n: binary.BigEndian.Uint64(k[len(k)-8:])}
		if err := wire.Unmarshal(it.Value(), &q.l); err != nil {
			it.Close()
			return atoll.Errorf(atoll.DataLoss, "the queued letter %d is damaged: %v", q.n, err)
		}
		m.queue(atoll.CanisterID(k[2 : len(k)-8])).add(q)
	}
	return it.Close()
}

func (q *queue) add(l queued) { q.letters = append(q.letters, l) }

func (m *Machine) queue(to atoll.CanisterID) *queue {
	q := m.queues[to]
	if q == nil {
		q = new(queue)
		m.queues[to] = q
	}
	return q
}

func (m *Machine) stream(s atoll.SubnetID) *Stream {
	st := m.streams[s]
	if st == nil {
		st = new(Stream)
		m.streams[s] = st
	}
	return st
}

// Streams returns the streams that a state holds.
func Streams(r atoll.Reader) (map[atoll.SubnetID]*Stream, error) {
	out := map[atoll.SubnetID]*Stream{}
	lo := []byte{keys.SpaceStreams, 0}
	it := r.Iter(lo, prefixEnd(lo))
	for ok := it.SeekGE(lo); ok; ok = it.Next() {
		s := new(Stream)
		if err := wire.Unmarshal(it.Value(), s); err != nil || len(it.Key()) != 6 {
			it.Close()
			return nil, atoll.Errorf(atoll.DataLoss, "the stream record %x is damaged", it.Key())
		}
		out[atoll.SubnetID(binary.BigEndian.Uint32(it.Key()[2:]))] = s
	}
	return out, it.Close()
}

// Outgoing returns the slice of letters for a subnet that a state holds, from
// number first on (those before are gone), at most max.
func Outgoing(r atoll.Reader, self, to atoll.SubnetID, first uint64, max int) (atoll.Slice, error) {
	s := atoll.Slice{From: self, First: first}
	lo := outKey(to, first)
	it := r.Iter(lo, outKey(to+1, 0))
	for ok := it.SeekGE(lo); ok && len(s.Letters) < max; ok = it.Next() {
		var l atoll.Letter
		if err := wire.Unmarshal(it.Value(), &l); err != nil {
			it.Close()
			return s, atoll.Errorf(atoll.DataLoss, "the letter %x is damaged: %v", it.Key(), err)
		}
		if n := binary.BigEndian.Uint64(it.Key()[6:]); len(s.Letters) == 0 {
			s.First = n
		}
		s.Letters = append(s.Letters, l)
	}
	return s, it.Close()
}

// canister returns the record of a canister; nil if there is none.
func (m *Machine) canister(id atoll.CanisterID) (*canister, error) {
	if c := m.canisters[id]; c != nil {
		return c, nil
	}
	c, err := readCanister(m.store, m.cfg.Programs, id)
	if c != nil {
		m.canisters[id] = c
	}
	return c, err
}

// waiting returns the canisters with letters, in the order of their ids.
func (m *Machine) waiting() []atoll.CanisterID {
	ids := make([]atoll.CanisterID, 0, len(m.queues))
	for id := range m.queues { // order does not matter: sorted below
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}
