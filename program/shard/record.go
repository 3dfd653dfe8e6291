package shard

import (
	"encoding/binary"
	"fmt"

	"atoll"
	"atoll/value"
)

// Formats of the stored values, see the package comment.
const (
	versionFormat  = 1
	entryFormat    = 1
	resultFormat   = 1
	standingFormat = 1
)

const (
	flagTombstone = 1 // of a version

	flagChanged = 1 // of a feed entry
	flagRequest = 2
)

// version is one state of one document.
type version struct {
	at        atoll.Time // commit time, from the key
	tombstone bool
	revision  uint64
	created   atoll.Time
	doc       []byte // BSON, a part of the stored value
}

// versionHeader is room for what stands before the document.
const versionHeader = 2 + binary.MaxVarintLen64 + 8

// encode returns the stored value of v.
func (v *version) encode() []byte {
	dst := make([]byte, 0, versionHeader+len(v.doc))
	var flags byte
	if v.tombstone {
		flags = flagTombstone
	}
	dst = append(dst, versionFormat, flags)
	dst = binary.AppendUvarint(dst, v.revision)
	dst = binary.BigEndian.AppendUint64(dst, uint64(v.created))
	return append(dst, v.doc...)
}

// parseVersion reads the stored value of the version at a time. It fails with
// DataLoss; doc stays a part of b.
func parseVersion(at atoll.Time, b []byte) (version, error) {
	if len(b) < 2 || b[0] != versionFormat {
		return version{}, damaged("version", b)
	}
	v := version{at: at, tombstone: b[1]&flagTombstone != 0}
	rest := b[2:]
	revision, n := binary.Uvarint(rest)
	if n <= 0 || len(rest) < n+8 {
		return version{}, damaged("version", b)
	}
	v.revision = revision
	v.created = atoll.Time(binary.BigEndian.Uint64(rest[n:]))
	v.doc = rest[n+8:]
	return v, nil
}

// fields returns the decoded document, nil of a tombstone. It fails with
// DataLoss.
func (v *version) fields() (*value.Value, error) {
	if v.tombstone {
		return nil, nil
	}
	fields, err := value.DecodeDocument(v.doc)
	if err != nil {
		return nil, damaged("document", v.doc)
	}
	return &fields, nil
}

// document returns v as readers see it; a tombstone has nothing but a path.
func (v *version) document(path atoll.Path) Document {
	if v.tombstone {
		return Document{Path: path}
	}
	return Document{Path: path, Doc: v.doc, Created: v.created, Updated: v.at, Revision: v.revision}
}

// entry is the stored value of one entry of the change feed.
type entry struct {
	changed bool            // the document changed
	request atoll.RequestID // whose result stands under this document; zero: none
}

func appendEntry(dst []byte, e entry) []byte {
	var flags byte
	if e.changed {
		flags |= flagChanged
	}
	if e.request == (atoll.RequestID{}) {
		return append(dst, entryFormat, flags)
	}
	dst = append(dst, entryFormat, flags|flagRequest)
	return append(dst, e.request[:]...)
}

// parseEntry fails with DataLoss.
func parseEntry(b []byte) (e entry, err error) {
	if len(b) < 2 || b[0] != entryFormat {
		return e, damaged("feed entry", b)
	}
	e.changed = b[1]&flagChanged != 0
	if b[1]&flagRequest == 0 {
		return e, nil
	}
	if len(b) != 2+len(e.request) {
		return e, damaged("feed entry", b)
	}
	copy(e.request[:], b[2:])
	return e, nil
}

// result is the stored result of a commit.
type result struct {
	at     atoll.Time
	caller atoll.Principal
	reply  []byte // an encoded CommitReply
}

func appendResult(dst []byte, r result) []byte {
	dst = append(dst, resultFormat)
	dst = binary.BigEndian.AppendUint64(dst, uint64(r.at))
	dst = binary.AppendUvarint(dst, uint64(len(r.caller)))
	dst = append(dst, r.caller...)
	return append(dst, r.reply...)
}

// parseResult fails with DataLoss.
func parseResult(b []byte) (result, error) {
	if len(b) < 9 || b[0] != resultFormat {
		return result{}, damaged("result", b)
	}
	size, n := binary.Uvarint(b[9:])
	if n <= 0 || size > uint64(len(b)-9-n) {
		return result{}, damaged("result", b)
	}
	rest := b[9+n:]
	return result{
		at:     atoll.Time(binary.BigEndian.Uint64(b[1:])),
		caller: atoll.Principal(rest[:size]),
		reply:  rest[size:],
	}, nil
}

// damaged says that a stored value is not what this package writes.
func damaged(what string, b []byte) error {
	e := atoll.Errorf(atoll.DataLoss, "a stored %s cannot be read; restore the node from a replica or a backup", what)
	e.Detail = fmt.Sprintf("the value begins with %x", b[:min(len(b), 16)])
	return e
}
