package subnet

import (
	"atoll"
	"atoll/wire"
)

// canister is the kernel's record of a canister.
type canister struct {
	Program     string            `cbor:"1,keyasint"`
	Controllers []atoll.Principal `cbor:"2,keyasint,omitempty"`
	Cycles      uint64            `cbor:"3,keyasint"`
	Created     atoll.Time        `cbor:"4,keyasint"`
	Bytes       int64             `cbor:"5,keyasint"` // of keys and values that it stores
	Billed      atoll.Time        `cbor:"6,keyasint"` // until when storage is paid for
	Made        atoll.CallID      `cbor:"7,keyasint"` // calls made so far
	Asked       atoll.CallID      `cbor:"8,keyasint"` // messages received so far
	Open        int               `cbor:"9,keyasint"` // calls made and not answered
	Deferred    int               `cbor:"10,keyasint"`
	Queued      int               `cbor:"11,keyasint"` // requests that wait for it
	Executed    uint64            `cbor:"12,keyasint"` // messages

	id    atoll.CanisterID
	entry Entry
}

// madeCall is the memory of a call that is open.
type madeCall struct {
	To  atoll.CanisterID `cbor:"1,keyasint"`
	Tag []byte           `cbor:"2,keyasint,omitempty"`
}

// askedCall is the memory of a message whose reply is deferred: where the
// reply goes.
type askedCall struct {
	From    atoll.Principal `cbor:"1,keyasint"`
	Call    atoll.CallID    `cbor:"2,keyasint,omitempty"` // of the canister that asks
	Ingress bool            `cbor:"3,keyasint,omitempty"`
	ID      atoll.RequestID `cbor:"4,keyasint,omitempty"` // of the ingress message
}

// Info is what anybody may know of a canister.
type Info struct {
	ID          atoll.CanisterID  `cbor:"1,keyasint"`
	Program     string            `cbor:"2,keyasint"`
	Controllers []atoll.Principal `cbor:"3,keyasint,omitempty"`
	Cycles      uint64            `cbor:"4,keyasint"`
	Created     atoll.Time        `cbor:"5,keyasint"`
	Bytes       int64             `cbor:"6,keyasint"`
	Open        int               `cbor:"7,keyasint"`
	Deferred    int               `cbor:"8,keyasint"`
	Queued      int               `cbor:"9,keyasint"`
	Executed    uint64            `cbor:"10,keyasint"`
}

func (c *canister) info() Info {
	return Info{c.id, c.Program, c.Controllers, c.Cycles, c.Created, c.Bytes, c.Open, c.Deferred, c.Queued, c.Executed}
}

// readCanister loads a record; nil if there is no such canister.
func readCanister(r atoll.Reader, programs map[string]Entry, id atoll.CanisterID) (*canister, error) {
	raw, ok, err := r.Get(canisterKey(id))
	if err != nil || !ok {
		return nil, err
	}
	c := &canister{id: id}
	if err := wire.Unmarshal(raw, c); err != nil {
		return nil, atoll.Errorf(atoll.DataLoss, "the record of canister %s is damaged: %v", id, err)
	}
	if c.entry, ok = programs[c.Program]; !ok {
		return nil, unknownProgram(id, c.Program)
	}
	return c, nil
}

// programOf reads of a canister's record only which program it runs.
func programOf(r atoll.Reader, programs map[string]Entry, id atoll.CanisterID) (e Entry, ok bool, err error) {
	raw, ok, err := r.Get(canisterKey(id))
	if err != nil || !ok {
		return e, false, err
	}
	var c struct {
		Program string `cbor:"1,keyasint"`
	}
	if err := wire.Unmarshal(raw, &c); err != nil {
		return e, false, atoll.Errorf(atoll.DataLoss, "the record of canister %s is damaged: %v", id, err)
	}
	if e, ok = programs[c.Program]; !ok {
		return e, false, unknownProgram(id, c.Program)
	}
	return e, true, nil
}

func unknownProgram(id atoll.CanisterID, program string) error {
	return atoll.Errorf(atoll.Unimplemented, "canister %s runs program %q, which this version of Atoll does not have", id, program)
}

// Canisters returns a page of the canisters that a state holds, in the order
// of their ids, behind after (empty: from the first).
func Canisters(r atoll.Reader, after atoll.CanisterID, limit int) ([]Info, error) {
	var out []Info
	lo := canisterKey("")
	if after != "" {
		lo = append(canisterKey(after), 0)
	}
	it := r.Iter(lo, prefixEnd(lo[:2]))
	for ok := it.SeekGE(lo); ok && len(out) < limit; ok = it.Next() {
		c := canister{id: atoll.CanisterID(it.Key()[3:])}
		if err := wire.Unmarshal(it.Value(), &c); err != nil {
			it.Close()
			return nil, atoll.Errorf(atoll.DataLoss, "the record of canister %s is damaged: %v", c.id, err)
		}
		out = append(out, c.info())
	}
	return out, it.Close()
}
