package shard

import (
	"bytes"

	"atoll"
	"atoll/keys"
)

// placement is how documents of all ranges are placed, so far.
const placement = keys.Ordered

// timeLen is the length of the time at the end of a version's key.
const timeLen = 8

// afterTimes, put behind a document key, stands behind all of its versions, and
// before the documents below it.
var afterTimes = bytes.Repeat([]byte{0xff}, timeLen+1)

// behind returns the first document key behind another.
func behind(docKey []byte) []byte {
	return append(append(make([]byte, 0, len(docKey)+len(afterTimes)), docKey...), afterTimes...)
}

// bound returns the first stored key at or behind a document key.
func bound(f Family, docKey []byte) []byte {
	lo, _ := keys.RangeSpan(uint32(f), keys.Documents, docKey, nil)
	return lo
}

// versionKey returns the key of the version of t.
func versionKey(f Family, docKey []byte, t atoll.Time) []byte {
	return keys.Version(uint32(f), docKey, t)
}

// versionSpan returns the keys of a document's versions, from that of t on to
// the oldest.
func versionSpan(f Family, docKey []byte, t atoll.Time) (from, to []byte) {
	from = versionKey(f, docKey, t)
	return from, append(bytes.Clone(from[:len(from)-timeLen]), afterTimes...)
}

// readVersion reads a stored version. It fails with DataLoss; the version's
// document is a part of value.
func readVersion(key, value []byte) (version, error) {
	_, _, at, err := keys.ParseVersion(key)
	if err != nil {
		return version{}, damaged("key of a version", key)
	}
	return parseVersion(at, value)
}

// readPath returns the path of a stored document key.
func readPath(docKey []byte) (atoll.Path, error) {
	path, err := keys.ParseDocKey(docKey)
	if err != nil {
		return "", damaged("document key", docKey)
	}
	return path, nil
}

// documentKey returns a document's key. It fails with Invalid on a path that
// names no document.
func documentKey(path atoll.Path) ([]byte, error) {
	if err := path.Check(); err != nil {
		return nil, err
	}
	if !path.IsDocument() {
		return nil, atoll.Errorf(atoll.Invalid, "%q names no document: it has %d ids, and a document an even number", path, path.Len())
	}
	return keys.DocKey(placement, path), nil
}

// firstIDs returns the first n ids of a path that has as many.
func firstIDs(p atoll.Path, n int) atoll.Path {
	for i := range len(p) {
		if p[i] != '/' {
			continue
		}
		if n--; n == 0 {
			return p[:i]
		}
	}
	return p
}
