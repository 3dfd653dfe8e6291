package shard

import (
	"bytes"

	"atoll"
	"atoll/keys"
	"atoll/value"
	"atoll/wire"
)

// reached is how far a migration has come in a shard: the ranges before are
// done, the documents before in the range, and the document itself. It is stored
// between steps.
type reached struct {
	Range RangeID    `cbor:"1,keyasint"`
	Key   []byte     `cbor:"2,keyasint,omitempty"` // docKey; empty: the range has just begun
	Time  atoll.Time `cbor:"3,keyasint,omitempty"` // only the versions up to it; 0: all
}

// migration makes the index entries of the documents that a shard kept in
// format 1, without any.
type migration struct {
	ranges    atoll.State
	left      int // bytes that may still be read and written
	documents int
	at        reached
}

// versionCost is what a version costs besides its bytes.
const versionCost = 64

// Migrate implements subnet.Migrator. Format 1 had documents and no index: each
// version of a document, from the oldest to the newest, is given what a commit
// does to the index today, with the time of that version. So current and ended
// entries become what they would be, but that an entry counts from the oldest
// version that is kept; nothing older can be read. Format 1 had no IndexConfig
// either.
func (p Program) Migrate(state atoll.Reader, ranges atoll.State, from int, cursor []byte, limit int) (next []byte, documents int, err error) {
	if from != 1 {
		return nil, 0, atoll.Errorf(atoll.Unimplemented, "a shard has no way from format %d", from)
	}
	m := &migration{ranges: ranges, left: limit}
	if len(cursor) > 0 {
		if err := decodeOwn("migration", cursor, &m.at); err != nil {
			return nil, 0, err
		}
	}
	owned, err := descriptors(state)
	if err != nil {
		return nil, 0, err
	}
	for i := range owned {
		d := &owned[i]
		if d.Range < m.at.Range {
			continue
		}
		if d.Range > m.at.Range {
			m.at = reached{Range: d.Range}
		}
		through, err := m.migrateRange(d)
		if err != nil {
			return nil, 0, err
		}
		if !through {
			return wire.Marshal(&m.at), m.documents, nil
		}
	}
	return nil, m.documents, nil
}

// migrateRange goes over the documents of a range, from where it came, until
// nothing is left to spend.
func (m *migration) migrateRange(d *Descriptor) (through bool, err error) {
	lo, hi := keys.RangeSpan(uint32(d.Family), keys.Documents, d.Start, d.End)
	it := m.ranges.Iter(lo, hi)
	switch {
	case len(m.at.Key) == 0:
	case m.at.Time != 0:
		lo = bound(d.Family, m.at.Key)
	default:
		lo = bound(d.Family, behind(m.at.Key))
	}
	ok := it.SeekGE(lo)
	for ; ok && m.left > 0; ok = it.SeekGE(bound(d.Family, behind(m.at.Key))) {
		_, docKey, _, err := keys.ParseVersion(it.Key())
		if err != nil {
			return false, closeAfter(it, damaged("key of a version", it.Key()))
		}
		whole, err := m.migrateDocument(d, it, bytes.Clone(docKey))
		if err != nil {
			return false, closeAfter(it, err)
		}
		if !whole {
			return false, it.Close()
		}
		m.at.Time = 0
		m.documents++
	}
	return !ok, it.Close()
}

// migrateDocument goes over the versions of a document, from the oldest or from
// where it came, until nothing is left to spend. It moves the iterator.
func (m *migration) migrateDocument(d *Descriptor, it atoll.Iterator, docKey []byte) (whole bool, err error) {
	path, err := readPath(docKey)
	if err != nil {
		return false, err
	}
	c := change{path: path, key: docKey}
	newestKey, oldest := versionSpan(d.Family, docKey, atoll.MaxTime)
	if m.at.Time != 0 && bytes.Equal(docKey, m.at.Key) {
		oldest = versionKey(d.Family, docKey, m.at.Time)
		if c.old, err = m.done(oldest); err != nil {
			return false, err
		}
	}
	ok := it.SeekLT(oldest)
	for ; ok && m.left > 0 && bytes.Compare(it.Key(), newestKey) >= 0; ok = it.Prev() {
		v, err := cloneVersion(it)
		if err != nil {
			return false, err
		}
		if c.new, err = v.fields(); err != nil {
			return false, err
		}
		m.left -= versionCost + len(docKey) + len(v.doc)
		if c.old != nil || c.new != nil { // a tombstone may be all that is left
			x := c.reindex(d.Family, nil)
			if err := x.write(m.ranges, docKey, v.at); err != nil {
				return false, err
			}
			m.left -= x.weight()
		}
		m.at = reached{d.Range, docKey, v.at}
		c.old = c.new
	}
	return !ok || bytes.Compare(it.Key(), newestKey) < 0, nil
}

// done returns the fields of the version up to which a document is done.
func (m *migration) done(key []byte) (*value.Value, error) {
	stored, ok, err := m.ranges.Get(key)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, damaged("migration: its version is gone", key)
	}
	v, err := readVersion(key, bytes.Clone(stored))
	if err != nil {
		return nil, err
	}
	return v.fields()
}

// weight returns the bytes of keys and values that are written, about.
func (x *reindex) weight() (n int) {
	for _, key := range x.ended {
		n += 2 * (len(key) + versionHeader)
	}
	for _, key := range x.begun {
		n += len(key) + versionHeader
	}
	return n
}
