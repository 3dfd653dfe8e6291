package subnet

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"math/bits"

	"atoll"
	"atoll/keys"
)

// NumSlices is the number of fixed parts into which the keys of a state fall.
const NumSlices = 16

// Slice hashes the entries of one part of the keys as a multiset: the sum,
// modulo 2^256, of the SHA-256 of each entry (Clarke et al., "Incremental
// Multiset Hash Functions and Their Application to Memory Integrity Checking",
// 2003, MSet-Add-Hash). It finds damage and divergence; it is no defence
// against somebody who can choose many entries at will.
type Slice struct {
	Sum   [4]uint64 `cbor:"1,keyasint"` // least significant first
	Count int64     `cbor:"2,keyasint"`
}

// Slices are the parts, by sliceOf.
type Slices [NumSlices]Slice

func (s *Slice) add(h *atoll.Hash) {
	var c uint64
	for i := range s.Sum {
		s.Sum[i], c = bits.Add64(s.Sum[i], binary.LittleEndian.Uint64(h[8*i:]), c)
	}
	s.Count++
}

func (s *Slice) sub(h *atoll.Hash) {
	var c uint64
	for i := range s.Sum {
		s.Sum[i], c = bits.Sub64(s.Sum[i], binary.LittleEndian.Uint64(h[8*i:]), c)
	}
	s.Count--
}

// merge adds the changes that o collected from zero.
func (s *Slices) merge(o *Slices) {
	for i := range s {
		var c uint64
		for j := range s[i].Sum {
			s[i].Sum[j], c = bits.Add64(s[i].Sum[j], o[i].Sum[j], c)
		}
		s[i].Count += o[i].Count
	}
}

// sliceOf returns the part that a key belongs to: FNV-1a of the key, folded.
func sliceOf(key []byte) int {
	h := uint32(2166136261)
	for _, c := range key {
		h = (h ^ uint32(c)) * 16777619
	}
	return int((h ^ h>>16) % NumSlices)
}

// hasher hashes entries, one after the other.
type hasher struct {
	h   hash.Hash
	buf [9]byte
	sum atoll.Hash
}

func newHasher() *hasher { return &hasher{h: sha256.New()} }

// entry returns the hash of one change or entry, valid until the next.
func (h *hasher) entry(kind atoll.OpKind, key, value []byte) *atoll.Hash {
	h.h.Reset()
	h.buf[0] = byte(kind)
	binary.BigEndian.PutUint64(h.buf[1:], uint64(len(key)))
	h.h.Write(h.buf[:])
	h.h.Write(key)
	h.h.Write(value)
	h.h.Sum(h.sum[:0])
	return &h.sum
}

// hashed reports whether a key is part of the state's digest.
func hashed(key []byte) bool {
	return len(key) > 0 && key[0] != keys.SpaceMeta && key[0] != keys.SpaceLog
}

// changes is what one lane or the kernel adds to a block's batch.
type changes struct {
	ops    []atoll.Op
	sums   []byte // the hashes of ops, one after the other
	slices Slices // sums and counts to add
	bytes  int64  // by which the stored entries grew
	err    error
}

// collect turns an overlay into changes. What changed nothing is left out.
func (c *changes) collect(o *overlay, h *hasher) {
	all := o.sorted()
	c.ops, c.sums = make([]atoll.Op, 0, len(all)), make([]byte, 0, len(all)*len(h.sum))
	for _, e := range all {
		var old []byte
		var had bool
		if !keys.WriteOnce(e.key) || e.deleted || e.again {
			if old, had, c.err = o.base.Get(e.key); c.err != nil {
				return
			}
		}
		if !had && e.deleted || had && !e.deleted && string(old) == string(e.value) {
			continue
		}
		s := &c.slices[sliceOf(e.key)]
		if had {
			s.sub(h.entry(atoll.OpSet, e.key, old))
			c.bytes -= int64(len(e.key) + len(old))
		}
		if e.deleted {
			c.ops = append(c.ops, atoll.Op{Kind: atoll.OpDelete, Key: e.key})
			c.sums = append(c.sums, h.entry(atoll.OpDelete, e.key, nil)[:]...)
			continue
		}
		c.ops = append(c.ops, atoll.Op{Kind: atoll.OpSet, Key: e.key, Value: e.value})
		sum := h.entry(atoll.OpSet, e.key, e.value)
		s.add(sum)
		c.sums = append(c.sums, sum[:]...)
		c.bytes += int64(len(e.key) + len(e.value))
	}
}

// nextDigest chains a block's changes behind the digest of the one before.
func nextDigest(prev atoll.Hash, height atoll.Height, all []*changes) atoll.Hash {
	h := sha256.New()
	h.Write(prev[:])
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(height)))
	for _, c := range all {
		h.Write(c.sums)
	}
	return atoll.Hash(h.Sum(nil))
}
