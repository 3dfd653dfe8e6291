package subnet

import (
	"encoding/binary"

	"atoll"
	"atoll/keys"
	"atoll/wire"
)

// HeadFormat is the version of the layout of the keys and values of a subnet's
// store, in the package comments of subnet, keys and the programs. Format 1 had
// no index entries: queries would miss its documents. A state of an earlier
// format is brought to this one by Migration.
const HeadFormat = 2

// Head is where a subnet stands after a block. It is in the same batch as the
// block's changes.
type Head struct {
	Format    int                `cbor:"1,keyasint"`
	Subnet    atoll.SubnetID     `cbor:"2,keyasint"`
	Chain     Chain              `cbor:"3,keyasint"` // the last record that was executed or ignored
	Height    atoll.Height       `cbor:"4,keyasint"`
	Time      atoll.Time         `cbor:"5,keyasint"` // of the last message; all commits so far are at or before it
	Reserved  atoll.Time         `cbor:"6,keyasint"` // no read above it was served in this epoch
	Semantics atoll.Semantics    `cbor:"7,keyasint"` // of the next block
	Supports  [2]atoll.Semantics `cbor:"8,keyasint"` // what the replicas announced
	// Digest chains the changes of all blocks: SHA-256 of the one before and
	// of the hashes of this block's changes, in order.
	Digest atoll.Hash `cbor:"9,keyasint"`
	// Slices hash the state as a multiset, each a fixed part of the keys.
	Slices Slices `cbor:"10,keyasint"`

	Canisters uint32 `cbor:"11,keyasint"` // numbers given out, 0 being the subnet itself
	Letters   uint64 `cbor:"12,keyasint"` // numbers given to queued letters
	// Cycles. Minted + Received = held + queued + Burned + Sent, at all times.
	Minted   uint64 `cbor:"13,keyasint"`
	Burned   uint64 `cbor:"14,keyasint"`
	Received uint64 `cbor:"15,keyasint"` // with letters from other subnets
	Sent     uint64 `cbor:"16,keyasint"` // with letters to other subnets

	// From is the format that the state had while it is on its way to Format; 0
	// when it has come there. An earlier version of Atoll, which knows From not,
	// refuses Format.
	From int `cbor:"17,keyasint,omitempty"`
}

// Chain is the end of a chain of records.
type Chain struct {
	Epoch    atoll.Epoch    `cbor:"1,keyasint"`
	Position atoll.Position `cbor:"2,keyasint"`
	Hash     atoll.Hash     `cbor:"3,keyasint"`
}

// Append returns the record that carries a block on, under an epoch, its
// bytes, and the chain behind it.
func (c Chain) Append(e atoll.Epoch, b *atoll.Block) (raw []byte, next Chain) {
	raw = wire.Marshal(atoll.Record{
		Format: atoll.RecordFormat, Epoch: e, Position: c.Position + 1, Prev: c.Hash, Block: wire.Marshal(b),
	})
	return raw, Chain{Epoch: e, Position: c.Position + 1, Hash: wire.Sum(raw)}
}

// Follow reads the record behind c. Chained is false if the record is to be
// ignored, in the same way by everyone: its epoch is past or it continues some
// other record. It fails with DataLoss if positions are not dense or the bytes
// are no record.
func (c Chain) Follow(raw []byte) (b *atoll.Block, next Chain, chained bool, err error) {
	var r atoll.Record
	if err := wire.Unmarshal(raw, &r); err != nil {
		return nil, c, false, atoll.Errorf(atoll.DataLoss, "the log record behind position %d is damaged: %v", c.Position, err)
	}
	if r.Format != atoll.RecordFormat {
		return nil, c, false, atoll.Errorf(atoll.Unimplemented, "the log record behind position %d has format %d; this version of Atoll reads format %d", c.Position, r.Format, atoll.RecordFormat)
	}
	if r.Position != c.Position+1 {
		return nil, c, false, atoll.Errorf(atoll.DataLoss, "the log has a gap: position %d follows %d", r.Position, c.Position)
	}
	if r.Epoch < c.Epoch || r.Prev != c.Hash {
		return nil, Chain{Epoch: c.Epoch, Position: r.Position, Hash: c.Hash}, false, nil
	}
	b = new(atoll.Block)
	if err := wire.Unmarshal(r.Block, b); err != nil {
		return nil, c, false, atoll.Errorf(atoll.DataLoss, "the block at position %d is damaged: %v", r.Position, err)
	}
	return b, Chain{Epoch: r.Epoch, Position: r.Position, Hash: wire.Sum(raw)}, true, nil
}

// Keys of the kernel.

var headKey = []byte{keys.SpaceMeta, 'h', 'e', 'a', 'd'}

func appendID(b []byte, id atoll.CanisterID) []byte {
	return append(append(b, byte(len(id))), id...)
}

func canisterKey(id atoll.CanisterID) []byte {
	return appendID([]byte{keys.SpaceCanisters, 0}, id)
}

func madeKey(id atoll.CanisterID, call atoll.CallID) []byte {
	return binary.BigEndian.AppendUint64(appendID([]byte{keys.SpaceCanisters, 1}, id), uint64(call))
}

func askedKey(id atoll.CanisterID, call atoll.CallID) []byte {
	return binary.BigEndian.AppendUint64(appendID([]byte{keys.SpaceCanisters, 2}, id), uint64(call))
}

func letterKey(to atoll.CanisterID, n uint64) []byte {
	return binary.BigEndian.AppendUint64(appendID([]byte{keys.SpaceQueues}, to), n)
}

func streamKey(s atoll.SubnetID) []byte {
	return binary.BigEndian.AppendUint32([]byte{keys.SpaceStreams, 0}, uint32(s))
}

func outKey(s atoll.SubnetID, n uint64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32([]byte{keys.SpaceStreams, 1}, uint32(s)), n)
}

func ownPrefix(id atoll.CanisterID) []byte { return appendID([]byte{keys.SpacePrivate}, id) }

// ReadHead returns the head that r holds; ok is false for an empty store. It
// fails with FailedPrecondition on a state of another format than HeadFormat, or
// one whose migration to it has not come to its end.
func ReadHead(r atoll.Reader) (h Head, ok bool, err error) {
	h, ok, err = readAnyHead(r)
	switch {
	case err != nil || !ok:
		return Head{}, false, err
	case h.Format > HeadFormat:
		return Head{}, false, laterFormat(h.Format)
	case h.From != 0:
		return Head{}, false, atoll.Errorf(atoll.FailedPrecondition, "the state is on its way from format %d to format %d. Start a node on it, with this version of Atoll, which goes on where it was interrupted", h.From, h.Format)
	case h.Format < HeadFormat:
		return Head{}, false, atoll.Errorf(atoll.FailedPrecondition, "the state has format %d, of an earlier version of Atoll, and this version reads format %d. Start a node on it, which brings it to that format", h.Format, HeadFormat)
	}
	return h, true, nil
}

// readAnyHead is ReadHead for a state of any format. Of a later one only the
// format is read.
func readAnyHead(r atoll.Reader) (h Head, ok bool, err error) {
	raw, ok, err := r.Get(headKey)
	if err != nil || !ok {
		return Head{}, false, err
	}
	// The format is looked at first: a later one may not decode.
	var f struct {
		Format int `cbor:"1,keyasint"`
	}
	if err := wire.Unmarshal(raw, &f); err != nil {
		return Head{}, false, atoll.Errorf(atoll.DataLoss, "the head of the subnet's state is damaged: %v", err)
	}
	if f.Format > HeadFormat {
		return Head{Format: f.Format}, true, nil
	}
	if err := wire.Unmarshal(raw, &h); err != nil {
		return Head{}, false, atoll.Errorf(atoll.DataLoss, "the head of the subnet's state is damaged: %v", err)
	}
	return h, true, nil
}

func laterFormat(format int) error {
	return atoll.Errorf(atoll.FailedPrecondition, "the state has format %d, and this version of Atoll reads format %d; use the newer version that wrote it", format, HeadFormat)
}
