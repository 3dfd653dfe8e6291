package atoll

import (
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"strings"
)

// Principal identifies whoever can send or receive a message: a canister, a
// user, or the anonymous caller. It holds the raw bytes (at most 29) of a
// principal of the Internet Computer interface specification, section
// "Principals", so that ids are the same on both sides.
type Principal string

// CanisterID is the principal of a canister: the 8-byte big-endian sequence
// number followed by the bytes 1, 1 (the specification's "opaque ids"). The
// upper 32 bits of the number name the subnet that created the canister.
type CanisterID = Principal

const (
	// MaxPrincipalLen is the longest a principal may be, in bytes.
	MaxPrincipalLen = 29
	// Management is the virtual canister that creates and configures others
	// on the subnet where it is called; aaaaa-aa in text.
	Management CanisterID = ""
	// Anonymous is the caller that has not signed in.
	Anonymous Principal = "\x04"
)

// NewCanisterID returns the id of the n-th canister created on a subnet.
func NewCanisterID(s SubnetID, n uint32) CanisterID {
	b := binary.BigEndian.AppendUint64(nil, uint64(s)<<32|uint64(n))
	return CanisterID(append(b, 1, 1))
}

// SubnetOf returns the subnet that created the canister; ok is false for a
// principal that is no canister id.
func SubnetOf(id CanisterID) (s SubnetID, ok bool) {
	if len(id) != 10 || id[8] != 1 || id[9] != 1 {
		return 0, false
	}
	return SubnetID(binary.BigEndian.Uint32([]byte(id[:4]))), true
}

var textEncoding = base32.StdEncoding.WithPadding(base32.NoPadding)

// String returns the principal's textual form: the base32 of its CRC-32 and
// its bytes, in groups of five joined by dashes.
func (p Principal) String() string {
	b := binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE([]byte(p)))
	s := strings.ToLower(textEncoding.EncodeToString(append(b, p...)))
	var out strings.Builder
	for len(s) > 5 {
		out.WriteString(s[:5])
		out.WriteByte('-')
		s = s[5:]
	}
	out.WriteString(s)
	return out.String()
}

// ParsePrincipal reads the textual form. It fails with Invalid on a bad
// checksum, a bad character, or more than MaxPrincipalLen bytes.
func ParsePrincipal(s string) (Principal, error) {
	b, err := textEncoding.DecodeString(strings.ToUpper(strings.ReplaceAll(s, "-", "")))
	if err != nil || len(b) < 4 || len(b) > MaxPrincipalLen+4 {
		return "", Errorf(Invalid, "principal %q is not base32 of 4 to 33 bytes", s)
	}
	p := Principal(b[4:])
	if binary.BigEndian.Uint32(b) != crc32.ChecksumIEEE(b[4:]) {
		return "", Errorf(Invalid, "principal %q has a wrong checksum", s)
	}
	if p.String() != s {
		return "", Errorf(Invalid, "principal %q is not in its canonical form %q", s, p)
	}
	return p, nil
}

// MarshalBinary returns the raw bytes, so that a principal is a byte string
// wherever it is encoded: its bytes are no text.
func (p Principal) MarshalBinary() ([]byte, error) { return []byte(p), nil }

// UnmarshalBinary reads raw bytes. It fails with Invalid on more than
// MaxPrincipalLen of them.
func (p *Principal) UnmarshalBinary(b []byte) error {
	if len(b) > MaxPrincipalLen {
		return Errorf(Invalid, "a principal has at most %d bytes, not %d", MaxPrincipalLen, len(b))
	}
	*p = Principal(b)
	return nil
}

// SubnetID numbers a subnet within one installation, from 0.
type SubnetID uint32

// RequestID names one request of one caller, so that a repeated request gets
// the result of the first. It is chosen at random by whoever sends first.
type RequestID [16]byte

// String returns the id in hexadecimal.
func (id RequestID) String() string { return hex.EncodeToString(id[:]) }

// Hash is a SHA-256 digest.
type Hash [32]byte

// String returns the digest in hexadecimal.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }
