package shard

import (
	"encoding/binary"

	"atoll"
	"atoll/keys"
)

// MaxEntries is the most index entries that one document may have, as in
// Firestore's "Quotas and limits".
const MaxEntries = 40_000

// standing is the stored value of an index entry: since when it stands, and
// how long the docKey at the end of its key is.
type standing struct {
	since  atoll.Time
	docLen int
}

func (s standing) encode() []byte {
	b := append(make([]byte, 0, 9+binary.MaxVarintLen32), standingFormat)
	b = binary.BigEndian.AppendUint64(b, uint64(s.since))
	return binary.AppendUvarint(b, uint64(s.docLen))
}

// parseStanding reads the value of an entry. It fails with DataLoss.
func parseStanding(b []byte) (standing, error) {
	if len(b) < 10 || b[0] != standingFormat {
		return standing{}, damaged("index entry", b)
	}
	n, size := binary.Uvarint(b[9:])
	if size <= 0 || n == 0 || n > 1<<16 {
		return standing{}, damaged("index entry", b)
	}
	return standing{atoll.Time(binary.BigEndian.Uint64(b[1:])), int(n)}, nil
}

// reindex is what a change of a document does to the index: entries that end
// and entries that begin, in the order of their keys.
type reindex struct{ ended, begun [][]byte }

// write ends and begins the entries of a document at a time.
func (x *reindex) write(ranges atoll.State, docKey []byte, at atoll.Time) error {
	for _, key := range x.ended {
		stored, ok, err := ranges.Get(key)
		if err != nil {
			return err
		}
		if !ok {
			continue // of a document from before there were indexes
		}
		ranges.Set(keys.PastEntry(key, at), stored)
		ranges.Delete(key)
	}
	now := standing{at, len(docKey)}.encode()
	for _, key := range x.begun {
		ranges.Set(key, now)
	}
	return nil
}
