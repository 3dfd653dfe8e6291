package keys

import (
	"bytes"
	"encoding/binary"

	"atoll"
	"atoll/value"
)

// Numbers of indexes, in the spaces Index and PastIndex. See the package
// comment.
const (
	IndexFields      uint32 = 1  // every field and array element, by collection
	IndexMembers     uint32 = 2  // every document, by the id of its collection
	IndexGroupFields uint32 = 3  // chosen fields and their elements, by the collection's id
	FirstComposite   uint32 = 16 // indexes over several fields begin here
)

// EntryKind says what of a field an entry holds. Its numbers are stored.
type EntryKind byte

// The kinds.
const (
	ByValue   EntryKind = 0x01 // the field's whole value
	ByElement EntryKind = 0x02 // one element of its array
)

// markName stands in front of each name of a field path.
const markName = 0x01

// AppendIndexHead appends the beginning of all entries of one index of a
// family, live ones (Index) or ended ones (PastIndex).
func AppendIndexHead(dst []byte, family uint32, s Space, index uint32) []byte {
	return binary.BigEndian.AppendUint32(AppendHead(dst, family, s), index)
}

// AppendCollection appends the path of a collection as an index over single
// collections has it.
func AppendCollection(dst []byte, collection atoll.Path) []byte {
	return append(appendIDs(dst, collection), markEnd)
}

// AppendGroup appends the id of a collection as an index over all collections
// of that id has it.
func AppendGroup(dst []byte, id string) []byte { return appendText(dst, id) }

// AppendFieldName appends one name of a field path. A path is its names and
// AppendFieldKind behind them.
func AppendFieldName(dst []byte, name string) []byte {
	return appendText(append(dst, markName), name)
}

// AppendFieldKind ends a field path and appends what of the field is indexed.
func AppendFieldKind(dst []byte, k EntryKind) []byte { return append(dst, markEnd, byte(k)) }

// AppendField appends a whole field path and what of the field is indexed.
func AppendField(dst []byte, path value.FieldPath, k EntryKind) []byte {
	for _, name := range path {
		dst = AppendFieldName(dst, name)
	}
	return AppendFieldKind(dst, k)
}

// CutCollection splits what AppendCollection has written off the beginning of
// b, and returns the collection's last id. It fails with Invalid.
func CutCollection(b []byte) (collection, id, rest []byte, err error) {
	ids := b
	for i := 0; len(ids) > 0 && (ids[0] != markEnd || i%2 == 0); i++ {
		n := idLen(ids)
		if n == 0 || ids[0] == markNumeric && i%2 == 0 {
			break
		}
		id, ids = ids[1:n], ids[n:]
		if i%2 == 0 && len(ids) > 0 && ids[0] == markEnd {
			n := len(b) - len(ids) + 1
			return b[:n:n], unescape(nil, id), ids[1:], nil
		}
	}
	return nil, nil, nil, badKey("of an index over collections", b)
}

// CutField splits what AppendField has written off the beginning of b. It fails
// with Invalid.
func CutField(b []byte) (field []byte, path value.FieldPath, k EntryKind, rest []byte, err error) {
	names := b
	for len(names) > 0 && names[0] == markName {
		n := textLen(names[1:])
		if n == 0 {
			break
		}
		path = append(path, string(unescape(nil, names[1:1+n])))
		names = names[1+n:]
	}
	if len(path) == 0 || len(names) < 2 || names[0] != markEnd {
		return nil, nil, 0, nil, badKey("of an index over fields", b)
	}
	n := len(b) - len(names) + 2
	return b[:n:n], path, EntryKind(names[1]), names[2:], nil
}

// PastEntry returns the key under which an entry stands once it has ended at a
// time: that of the live entry, but in the space PastIndex, and the time.
func PastEntry(entry []byte, ended atoll.Time) []byte {
	key := append(make([]byte, 0, len(entry)+8), entry...)
	key[headLen-1] = byte(PastIndex)
	return binary.BigEndian.AppendUint64(key, uint64(ended))
}

// CutEnded splits the time off the key of an ended entry. It fails with Invalid
// on a key that has none.
func CutEnded(key []byte) (entry []byte, ended atoll.Time, err error) {
	n := len(key) - 8
	if n < headLen+4 {
		return nil, 0, badKey("of an ended entry", key)
	}
	return key[:n], atoll.Time(binary.BigEndian.Uint64(key[n:])), nil
}

// After returns the least key above all that begin with prefix; nil if there is
// none.
func After(prefix []byte) []byte {
	for n := len(prefix); n > 0; n-- {
		if prefix[n-1] != 0xFF {
			next := bytes.Clone(prefix[:n])
			next[n-1]++
			return next
		}
	}
	return nil
}

// Complement returns b with all bits turned over, which reverses the order of
// encodings none of which begins another.
func Complement(b []byte) []byte {
	out := bytes.Clone(b)
	complement(out)
	return out
}

// IDsLen returns the length of a docKey's placement and first n ids, without
// what follows, or 0 if it has fewer. The document they name is that of the
// docKey itself if just one byte follows.
func IDsLen(docKey []byte, n int) int {
	ids, ok := cutPlacement(docKey)
	if !ok {
		return 0
	}
	for range n {
		l := idLen(ids)
		if l == 0 {
			return 0
		}
		ids = ids[l:]
	}
	return len(docKey) - len(ids)
}
