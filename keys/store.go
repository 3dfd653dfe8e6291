package keys

import (
	"encoding/binary"

	"atoll"
)

// First bytes of a subnet's keys. See the package comment.
const (
	SpaceMeta      = 0x01
	SpaceLog       = 0x02
	SpaceCanisters = 0x03
	SpaceQueues    = 0x04
	SpaceStreams   = 0x05
	SpacePrivate   = 0x06
	SpaceSnapshots = 0x07
	SpaceRanges    = 0x10
)

// Space is the part of a family that a key belongs to. Its numbers are stored.
type Space byte

// The spaces of a family.
const (
	Documents    Space = 0x01
	Feed         Space = 0x02
	Requests     Space = 0x03
	Transactions Space = 0x04 // reserved
	Index        Space = 0x05
	PastIndex    Space = 0x06
)

// headLen is the length of what AppendHead writes.
const headLen = 6

// AppendHead appends the beginning of all keys in one space of a family.
func AppendHead(dst []byte, family uint32, s Space) []byte {
	return append(binary.BigEndian.AppendUint32(append(dst, SpaceRanges), family), byte(s))
}

// newKey returns the head of a key with room for n bytes more.
func newKey(family uint32, s Space, n int) []byte {
	return AppendHead(make([]byte, 0, headLen+n), family, s)
}

// CutHead splits a key of a family. It fails with Invalid on any other key.
func CutHead(key []byte) (family uint32, s Space, rest []byte, err error) {
	if len(key) < headLen || key[0] != SpaceRanges {
		return 0, 0, nil, badKey("of a family", key)
	}
	return binary.BigEndian.Uint32(key[1:]), Space(key[5]), key[headLen:], nil
}

func badKey(what string, key []byte) error {
	return atoll.Errorf(atoll.Invalid, "%x is no key %s", key[:min(len(key), 64)], what)
}

// cutSpace splits a key of one space, at least n bytes long behind its head.
func cutSpace(key []byte, want Space, n int, what string) (family uint32, rest []byte, err error) {
	family, s, rest, err := CutHead(key)
	if err != nil || s != want || len(rest) < n {
		return 0, nil, badKey(what, key)
	}
	return family, rest, nil
}

// Version returns the key of the version of a document that was committed at
// t. Versions stand newest first: the first key at or behind Version(f, k, t)
// is the version that a read at t sees, if it is one of k.
func Version(family uint32, docKey []byte, t atoll.Time) []byte {
	key := append(newKey(family, Documents, len(docKey)+8), docKey...)
	return binary.BigEndian.AppendUint64(key, ^uint64(t))
}

// ParseVersion splits the key of a version. docKey is a part of key. It fails
// with Invalid on any other key.
func ParseVersion(key []byte) (family uint32, docKey []byte, t atoll.Time, err error) {
	family, rest, err := cutSpace(key, Documents, 8, "of a version")
	if err != nil {
		return 0, nil, 0, err
	}
	n := len(rest) - 8
	t = atoll.Time(^binary.BigEndian.Uint64(rest[n:]))
	if n == 0 || DocKeyLen(rest) != n || t < 0 {
		return 0, nil, 0, badKey("of a version", key)
	}
	return family, rest[:n:n], t, nil
}

// FeedKey returns the key of the change of a document that was committed at t
// while range rng held it.
func FeedKey(family uint32, rng uint64, t atoll.Time, docKey []byte) []byte {
	key := binary.BigEndian.AppendUint64(newKey(family, Feed, 16+len(docKey)), rng)
	return append(binary.BigEndian.AppendUint64(key, uint64(t)), docKey...)
}

// ParseFeedKey splits the key of a change. docKey is a part of key. It fails
// with Invalid on any other key.
func ParseFeedKey(key []byte) (family uint32, rng uint64, t atoll.Time, docKey []byte, err error) {
	family, rest, err := cutSpace(key, Feed, 16, "of a change")
	if err != nil {
		return 0, 0, 0, nil, err
	}
	t = atoll.Time(binary.BigEndian.Uint64(rest[8:]))
	docKey = rest[16:]
	if len(docKey) == 0 || DocKeyLen(docKey) != len(docKey) || t < 0 {
		return 0, 0, 0, nil, badKey("of a change", key)
	}
	return family, binary.BigEndian.Uint64(rest), t, docKey, nil
}

// RequestKey returns the key of the result of a request whose first write went
// to the document with this docKey, with which it moves.
func RequestKey(family uint32, docKey []byte, id atoll.RequestID) []byte {
	key := append(newKey(family, Requests, len(docKey)+len(id)), docKey...)
	return append(key, id[:]...)
}

// ParseRequestKey splits the key of a result. docKey is a part of key. It fails
// with Invalid on any other key.
func ParseRequestKey(key []byte) (family uint32, docKey []byte, id atoll.RequestID, err error) {
	family, rest, err := cutSpace(key, Requests, len(id), "of a request")
	if err != nil {
		return 0, nil, id, err
	}
	n := len(rest) - len(id)
	if n == 0 || DocKeyLen(rest) != n {
		return 0, nil, id, badKey("of a request", key)
	}
	copy(id[:], rest[n:])
	return family, rest[:n:n], id, nil
}

// FamilySpan returns the keys lo <= k < hi of a family.
func FamilySpan(family uint32) (lo, hi []byte) {
	lo = binary.BigEndian.AppendUint32([]byte{SpaceRanges}, family)
	if family == 1<<32-1 {
		return lo, []byte{SpaceRanges + 1}
	}
	return lo, binary.BigEndian.AppendUint32([]byte{SpaceRanges}, family+1)
}

// SpaceSpan returns the keys lo <= k < hi of one space of a family.
func SpaceSpan(family uint32, s Space) (lo, hi []byte) {
	return AppendHead(nil, family, s), AppendHead(nil, family, s+1)
}

// RangeSpan returns the keys lo <= k < hi that begin with docKeys from start
// to before end in the space Documents or Requests. An empty end means no end.
func RangeSpan(family uint32, s Space, start, end []byte) (lo, hi []byte) {
	lo = append(newKey(family, s, len(start)), start...)
	if len(end) == 0 {
		return lo, AppendHead(nil, family, s+1)
	}
	return lo, append(newKey(family, s, len(end)), end...)
}

// FeedSpan returns the keys lo <= k < hi of a range's change feed, behind the
// change of docKey at t, or behind all of t if docKey is empty. The whole feed
// lies behind time -1.
func FeedSpan(family uint32, rng uint64, t atoll.Time, docKey []byte) (lo, hi []byte) {
	if len(docKey) > 0 {
		lo = append(FeedKey(family, rng, t, docKey), 0)
	} else {
		lo = FeedKey(family, rng, t+1, nil)
	}
	if rng == 1<<64-1 {
		return lo, AppendHead(nil, family, Feed+1)
	}
	return lo, binary.BigEndian.AppendUint64(AppendHead(nil, family, Feed), rng+1)
}

// WriteOnce reports whether a key is only ever set while it is absent, so that
// whoever sets it need not look for an older value: versions and changes carry
// the commit time in their keys, and no two commits of a document share one;
// the result of a request is stored after a look that found none; a live index
// entry is set when the document comes to have it, and an ended one holds its
// end in the key.
func WriteOnce(key []byte) bool {
	if len(key) <= headLen || key[0] != SpaceRanges {
		return false
	}
	s := Space(key[5])
	return s <= Requests || s == Index || s == PastIndex
}

// Split returns the length of a key without the time of a version: the part
// that all versions of a document share. Every other key is its own prefix.
//
// It is total, also on cut keys that serve as bounds, and keeps the order: a
// key that begins with a docKey in the space of documents is split behind it,
// whatever follows, and no docKey is the beginning of another.
func Split(key []byte) int {
	if len(key) <= headLen || key[0] != SpaceRanges || Space(key[5]) != Documents {
		return len(key)
	}
	n := DocKeyLen(key[headLen:])
	if n == 0 {
		return len(key)
	}
	return headLen + n
}
