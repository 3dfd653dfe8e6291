package inspect

import (
	"encoding/binary"
	"fmt"

	"atoll"
	"atoll/gateway/admin/plain"
	"atoll/keys"
	"atoll/log/local"
	"atoll/value"
	"atoll/wire"
)

// Value returns the value of a key for people: documents as JSON, CBOR in its
// diagnostic notation, what is neither in hexadecimal.
func Value(key, v []byte) string {
	if len(key) > 0 && key[0] == keys.SpaceRanges {
		return rangeValue(key, v)
	}
	if len(key) > 0 && key[0] == keys.SpaceLog {
		var e local.Entry
		if wire.Unmarshal(v, &e) == nil {
			return fmt.Sprintf("height %d, digest %s, record of %d bytes", e.Height, e.Digest, len(e.Record))
		}
	}
	return Diagnose(v)
}

// Diagnose returns CBOR in its diagnostic notation, and other bytes in
// hexadecimal.
func Diagnose(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	if text, err := wire.Diagnose(b); err == nil {
		return text
	}
	return fmt.Sprintf("%x", b)
}

func rangeValue(key, v []byte) string {
	_, space, _, err := keys.CutHead(key)
	if err == nil && len(v) >= 2 && v[0] == 1 {
		switch space {
		case keys.Documents:
			return version(v)
		case keys.Feed:
			return feedEntry(v)
		case keys.Requests:
			return result(v)
		case keys.Index, keys.PastIndex:
			return standing(v)
		}
	}
	return fmt.Sprintf("%x", v)
}

// standing shows the value of an index entry: since when it stands.
func standing(v []byte) string {
	if len(v) < 10 {
		return fmt.Sprintf("%x", v)
	}
	return "since " + atoll.Time(binary.BigEndian.Uint64(v[1:])).String()
}

// The flags of stored values; package shard describes them.
const (
	flagTombstone = 1
	flagChanged   = 1
)

func version(v []byte) string {
	revision, n := binary.Uvarint(v[2:])
	if n <= 0 || len(v) < 2+n+8 {
		return fmt.Sprintf("%x", v)
	}
	if v[1]&flagTombstone != 0 {
		return fmt.Sprintf("revision %d: deleted", revision)
	}
	created := atoll.Time(binary.BigEndian.Uint64(v[2+n:]))
	return fmt.Sprintf("revision %d, created %s: %s", revision, created, Document(v[2+n+8:]))
}

func feedEntry(v []byte) string {
	text := "leads to a result only"
	if v[1]&flagChanged != 0 {
		text = "changed"
	}
	if len(v) == 2+len(atoll.RequestID{}) {
		text += " by request " + atoll.RequestID(v[2:]).String()
	}
	return text
}

func result(v []byte) string {
	if len(v) < 9 {
		return fmt.Sprintf("%x", v)
	}
	at := atoll.Time(binary.BigEndian.Uint64(v[1:]))
	caller, n := binary.Uvarint(v[9:])
	if n <= 0 || uint64(len(v)-9-n) < caller {
		return fmt.Sprintf("%x", v)
	}
	rest := v[9+n:]
	return fmt.Sprintf("at %s for %s: %s", at, atoll.Principal(rest[:caller]), Diagnose(rest[caller:]))
}

// Document returns a stored document as JSON.
func Document(stored []byte) string {
	doc, err := value.DecodeDocument(stored)
	if err != nil {
		return fmt.Sprintf("damaged (%v): %x", err, stored)
	}
	return string(plain.Document(nil, doc))
}
