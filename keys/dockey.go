package keys

import (
	"bytes"
	"encoding/binary"
	"strconv"
	"strings"

	"atoll"
)

// Placement says how a document's path becomes a key. Its numbers are stored.
type Placement byte

const (
	// Ordered keeps Firestore's order of names.
	Ordered Placement = 0x01
	// Spread puts a hash before the path, so that documents that are created
	// with rising ids land in all ranges.
	Spread Placement = 0x02
)

// Marks in front of an id, and the end behind the last.
const (
	markEnd     = 0x00
	markNumeric = 0x02
	markText    = 0x03
	markPast    = 0x04 // above all marks
)

// Escapes of the zero byte.
const (
	escaped    = 0xFF // 0x00 0xFF is a zero byte
	terminator = 0x01 // 0x00 0x01 is the end
)

// DocKey returns the key of the document at path, which passed Path.Check.
func DocKey(p Placement, path atoll.Path) []byte {
	return AppendDocKey(make([]byte, 0, docKeyLen(path)), p, path)
}

// docKeyLen is enough for the key of a path without zero bytes.
func docKeyLen(path atoll.Path) int { return len(path) + 3*path.Len() + 16 }

// AppendDocKey appends what DocKey returns to dst.
func AppendDocKey(dst []byte, p Placement, path atoll.Path) []byte {
	return append(appendPath(dst, p, path), markEnd)
}

// appendPath appends the key of a path without its end.
func appendPath(dst []byte, p Placement, path atoll.Path) []byte {
	dst = append(dst, byte(p))
	if p == Spread {
		dst = binary.BigEndian.AppendUint32(dst, Hash(path))
	}
	return appendIDs(dst, path)
}

// appendIDs appends the ids of a path.
func appendIDs(dst []byte, path atoll.Path) []byte {
	for i, rest := 0, string(path); rest != ""; i++ {
		var id string
		var more bool
		id, rest, more = strings.Cut(rest, "/")
		dst = appendID(dst, id, i%2 == 1)
		if more && rest == "" {
			dst = appendID(dst, "", i%2 == 0)
		}
	}
	return dst
}

// appendID appends one id of a path; only a document's may be numeric.
func appendID(dst []byte, id string, document bool) []byte {
	if document {
		if n, ok := atoll.NumericID(id); ok {
			return appendInt(append(dst, markNumeric), n)
		}
	}
	return appendText(append(dst, markText), id)
}

// appendInt appends n so that bytes compare as numbers do.
func appendInt(dst []byte, n int64) []byte {
	return binary.BigEndian.AppendUint64(dst, uint64(n)^1<<63)
}

// appendText appends s, escaped and ended.
func appendText(dst []byte, s string) []byte {
	for {
		i := strings.IndexByte(s, 0)
		if i < 0 {
			break
		}
		dst = append(append(dst, s[:i]...), 0, escaped)
		s = s[i+1:]
	}
	return append(append(dst, s...), 0, terminator)
}

// Hash spreads paths evenly: FNV-1a with 32 bits (Fowler, Noll, Vo), whose bits are
// then mixed by MurmurHash3's finalizer, for paths that differ in their last
// bytes alone differ in FNV's low bits alone.
func Hash(path atoll.Path) uint32 {
	h := uint32(2166136261)
	for i := range len(path) {
		h = (h ^ uint32(path[i])) * 16777619
	}
	h = (h ^ h>>16) * 0x85EBCA6B
	h = (h ^ h>>13) * 0xC2B2AE35
	return h ^ h>>16
}

// ParseDocKey returns the path of a docKey. It fails with Invalid unless DocKey
// writes just these bytes for the path; the ids are not checked otherwise.
func ParseDocKey(docKey []byte) (atoll.Path, error) {
	path, rest, err := CutDocKey(docKey)
	if err == nil && len(rest) > 0 {
		err = badDocKey(docKey)
	}
	if err != nil {
		return "", err
	}
	return path, nil
}

// CutDocKey is ParseDocKey for a docKey with something behind it, which it
// returns.
func CutDocKey(b []byte) (path atoll.Path, rest []byte, err error) {
	ids, ok := cutPlacement(b)
	if !ok {
		return "", nil, badDocKey(b)
	}
	var buf [128]byte
	out := buf[:0]
	for i := 0; ; i++ {
		if len(ids) > 0 && ids[0] == markEnd && i > 0 && i%2 == 0 {
			break
		}
		if i > 0 {
			out = append(out, '/')
		}
		if out, ids, ok = readID(out, ids, i%2 == 1); !ok {
			return "", nil, badDocKey(b)
		}
	}
	path = atoll.Path(out)
	if Placement(b[0]) == Spread && binary.BigEndian.Uint32(b[1:]) != Hash(path) {
		return "", nil, badDocKey(b)
	}
	return path, ids[1:], nil
}

func badDocKey(b []byte) error {
	return atoll.Errorf(atoll.Invalid, "%x is not a document's key", b[:min(len(b), 64)])
}

// cutPlacement returns the key behind the placement and its hash.
func cutPlacement(b []byte) (ids []byte, ok bool) {
	switch {
	case len(b) >= 1 && Placement(b[0]) == Ordered:
		return b[1:], true
	case len(b) >= 5 && Placement(b[0]) == Spread:
		return b[5:], true
	}
	return nil, false
}

// readID appends the id at the beginning of b to dst. It refuses an id that
// appendID would write otherwise.
func readID(dst, b []byte, document bool) (out, rest []byte, ok bool) {
	n := idLen(b)
	if n == 0 {
		return dst, b, false
	}
	start := len(dst)
	if b[0] == markNumeric {
		return appendNumericID(dst, int64(binary.BigEndian.Uint64(b[1:])^1<<63)), b[n:], document
	}
	dst = unescape(dst, b[1:n])
	id := dst[start:]
	if bytes.IndexByte(id, '/') >= 0 {
		return dst, b, false
	}
	if document && len(id) > 4 && id[0] == '_' {
		if _, numeric := atoll.NumericID(string(id)); numeric {
			return dst, b, false
		}
	}
	return dst, b[n:], true
}

func appendNumericID(dst []byte, n int64) []byte {
	return append(strconv.AppendInt(append(dst, "__id"...), n, 10), "__"...)
}

// idLen returns the length of the marked id at the beginning of b, 0 if there
// is none.
func idLen(b []byte) int {
	switch {
	case len(b) >= 9 && b[0] == markNumeric:
		return 9
	case len(b) >= 1 && b[0] == markText:
		if n := textLen(b[1:]); n > 0 {
			return 1 + n
		}
	}
	return 0
}

// textLen returns the length of the escaped bytes at the beginning of b with
// their end, 0 if they have none.
func textLen(b []byte) int {
	for at := 0; ; {
		i := bytes.IndexByte(b[at:], 0)
		at += i + 1
		switch {
		case i < 0 || at == len(b):
			return 0
		case b[at] == terminator:
			return at + 1
		case b[at] != escaped:
			return 0
		}
		at++
	}
}

// unescape appends what was escaped to b, which textLen measured.
func unescape(dst, b []byte) []byte {
	for {
		i := bytes.IndexByte(b, 0)
		dst = append(dst, b[:i]...)
		if b[i+1] == terminator {
			return dst
		}
		dst = append(dst, 0)
		b = b[i+2:]
	}
}

// DocKeyLen returns the length of the docKey at the beginning of b, 0 if there
// is none. It looks at the marks and ends alone, and so only at bytes of the
// docKey itself: whatever begins with the same docKey has the same length.
func DocKeyLen(b []byte) int {
	ids, ok := cutPlacement(b)
	if !ok {
		return 0
	}
	for i := 0; ; i++ {
		if len(ids) > 0 && ids[0] == markEnd {
			if i == 0 || i%2 == 1 {
				return 0
			}
			return len(b) - len(ids) + 1
		}
		n := idLen(ids)
		if n == 0 {
			return 0
		}
		ids = ids[n:]
	}
}

// CollectionSpan returns the docKeys lo <= k < hi of the documents of a
// collection and of everything below them. Given the path of a document it is
// the span of what lies below, without the document; given the root, that of
// all documents. Under Spread they may be anywhere, so the span is that of the
// whole placement.
func CollectionSpan(p Placement, collection atoll.Path) (lo, hi []byte) {
	if p == Spread || collection == "" {
		return []byte{byte(p)}, []byte{byte(p) + 1}
	}
	prefix := appendPath(make([]byte, 0, docKeyLen(collection)), p, collection)
	return append(bytes.Clone(prefix), markNumeric), append(prefix, markPast)
}

// SubtreeEnd returns the least key above a document and everything whose docKey
// goes on from its ids: under Ordered, all that lies below it.
func SubtreeEnd(docKey []byte) []byte {
	end := bytes.Clone(docKey)
	end[len(end)-1] = markPast
	return end
}
