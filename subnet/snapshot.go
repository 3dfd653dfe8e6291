package subnet

import (
	"bytes"
	"encoding/binary"

	"atoll"
	"atoll/keys"
	"atoll/wire"
)

// Methods of the management canister about snapshots of one canister's own
// keys, named as in the Internet Computer interface specification. They are for
// its controllers.
const (
	MethodTakeSnapshot   = "take_canister_snapshot"   // Managed -> Snapshot
	MethodLoadSnapshot   = "load_canister_snapshot"   // SnapshotRequest; the canister's keys become those of the snapshot
	MethodListSnapshots  = "list_canister_snapshots"  // Managed -> []Snapshot, oldest first
	MethodDeleteSnapshot = "delete_canister_snapshot" // SnapshotRequest
)

// Limits of snapshots. They are taken and loaded within one message.
const (
	MaxSnapshots     = 10 // of one canister, as on the Internet Computer
	MaxSnapshotKeys  = 100_000
	MaxSnapshotBytes = 64 << 20
)

// Snapshot is a copy of a canister's own keys at one time. It counts among what
// the canister stores, and is paid for by it.
type Snapshot struct {
	Number uint64     `cbor:"1,keyasint"`
	Taken  atoll.Time `cbor:"2,keyasint"`
	Keys   int        `cbor:"3,keyasint"`
	Bytes  int        `cbor:"4,keyasint"` // of keys and values
}

// SnapshotRequest names a snapshot.
type SnapshotRequest struct {
	Canister atoll.CanisterID `cbor:"1,keyasint"`
	Number   uint64           `cbor:"2,keyasint"`
}

func snapshotKey(id atoll.CanisterID, n uint64) []byte {
	return binary.BigEndian.AppendUint64(appendID([]byte{keys.SpaceCanisters, 3}, id), n)
}

// snapshotPrefix begins the copies of a canister's keys.
func snapshotPrefix(id atoll.CanisterID, n uint64) []byte {
	return binary.BigEndian.AppendUint64(appendID([]byte{keys.SpaceSnapshots}, id), n)
}

// snapshot executes a message about snapshots. It changes nothing if it fails.
func (ln *lane) snapshot(t *turn, a *actor, in atoll.Input) ([]byte, error) {
	if a.c.entry.Ranges {
		return nil, atoll.Errorf(atoll.FailedPrecondition, "canister %s owns ranges of documents, which a snapshot of its own keys does not hold", a.c.id)
	}
	all, err := snapshots(a)
	if err != nil {
		return nil, err
	}
	var r SnapshotRequest
	if err := wire.Unmarshal(in.Payload, &r); err != nil {
		return nil, err
	}
	a.o.mark()
	switch in.Method {
	case MethodListSnapshots:
		return wire.Marshal(all), nil
	case MethodTakeSnapshot:
		return takeSnapshot(t, a, all)
	}
	for _, s := range all {
		if s.Number != r.Number {
			continue
		}
		from := snapshotPrefix(a.c.id, s.Number)
		if in.Method == MethodDeleteSnapshot {
			err = a.o.clear(from)
			a.o.Delete(snapshotKey(a.c.id, s.Number))
		} else if err = a.o.clear(ownPrefix(a.c.id)); err == nil {
			_, _, err = a.o.copyAll(from, ownPrefix(a.c.id))
		}
		return nil, a.settle(t, err)
	}
	return nil, atoll.Errorf(atoll.NotFound, "canister %s has no snapshot %d", a.c.id, r.Number)
}

func takeSnapshot(t *turn, a *actor, all []Snapshot) ([]byte, error) {
	if len(all) >= MaxSnapshots {
		return nil, atoll.Errorf(atoll.ResourceExhausted, "canister %s has %d snapshots; delete one first", a.c.id, len(all))
	}
	s := Snapshot{Number: 1, Taken: t.now}
	if len(all) > 0 {
		s.Number = all[len(all)-1].Number + 1
	}
	var err error
	s.Keys, s.Bytes, err = a.o.copyAll(ownPrefix(a.c.id), snapshotPrefix(a.c.id, s.Number))
	a.o.Set(snapshotKey(a.c.id, s.Number), wire.Marshal(s))
	return wire.Marshal(s), a.settle(t, err)
}

// settle rolls a management message back that failed, and bills it.
func (a *actor) settle(t *turn, err error) error {
	cost := a.o.used.cost()
	if err != nil {
		a.o.rollback(0)
	}
	t.burned += a.c.pay(cost)
	a.o.mark()
	return err
}

// snapshots returns the snapshots of a canister, oldest first.
func snapshots(a *actor) (all []Snapshot, err error) {
	lo := appendID([]byte{keys.SpaceCanisters, 3}, a.c.id)
	it := a.o.Iter(lo, prefixEnd(lo))
	for ok := it.SeekGE(lo); ok && err == nil; ok = it.Next() {
		var s Snapshot
		if err = wire.Unmarshal(it.Value(), &s); err == nil {
			all = append(all, s)
		}
	}
	if e := it.Close(); err == nil {
		err = e
	}
	return all, err
}

// copyAll copies every key that begins with from to one that begins with to.
func (o *overlay) copyAll(from, to []byte) (n, size int, err error) {
	it := o.Iter(from, prefixEnd(from))
	for ok := it.SeekGE(from); ok; ok = it.Next() {
		rest, v := it.Key()[len(from):], it.Value()
		n++
		size += len(rest) + len(v)
		if n > MaxSnapshotKeys || size > MaxSnapshotBytes {
			it.Close()
			return n, size, atoll.Errorf(atoll.ResourceExhausted, "a snapshot holds at most %d keys and %d bytes; the canister has more", MaxSnapshotKeys, MaxSnapshotBytes)
		}
		o.Set(append(bytes.Clone(to), rest...), bytes.Clone(v))
	}
	return n, size, it.Close()
}

// clear deletes every key that begins with a prefix.
func (o *overlay) clear(prefix []byte) error {
	it := o.Iter(prefix, prefixEnd(prefix))
	for ok := it.SeekGE(prefix); ok; ok = it.Next() {
		o.Delete(bytes.Clone(it.Key()))
	}
	return it.Close()
}
