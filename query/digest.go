package query

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"

	"atoll"
)

// Digest sums up a query's result as a transaction has seen it: the documents'
// names and update times, in order. Two results with equal digests are the
// same. The form is what a transaction's commit carries: for each document the
// length of its path (4 bytes, big-endian), the path, and the update time (8
// bytes, big-endian), hashed with SHA-256.
type Digest struct {
	h     hash.Hash
	count int
}

// NewDigest returns the digest of a result without documents.
func NewDigest() *Digest { return &Digest{h: sha256.New()} }

// Add notes the next document of the result.
func (d *Digest) Add(path atoll.Path, updated atoll.Time) {
	b := binary.BigEndian.AppendUint32(make([]byte, 0, 12+len(path)), uint32(len(path)))
	b = append(b, path...)
	d.h.Write(binary.BigEndian.AppendUint64(b, uint64(updated)))
	d.count++
}

// Count returns how many documents were noted.
func (d *Digest) Count() int { return d.count }

// Sum returns the digest of the documents noted so far.
func (d *Digest) Sum() (sum atoll.Hash) {
	d.h.Sum(sum[:0])
	return sum
}
