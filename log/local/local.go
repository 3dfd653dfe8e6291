// Package local is the log of a subnet on one machine. Its records stand in
// the subnet's own store, in the same batch as the state that they lead to: a
// block is durable with one sync, and no crash can part the two.
//
// Keys: 0x02, then the position as 8 bytes, big-endian. Values: an Entry as
// CBOR. Old entries are dropped once they are not needed for a replay.
package local

import (
	"encoding/binary"
	"iter"
	"sort"

	"atoll"
	"atoll/keys"
	"atoll/subnet"
	"atoll/wire"
)

// Entry is one place of the log.
type Entry struct {
	Record []byte       `cbor:"1,keyasint"` // an encoded atoll.Record
	Height atoll.Height `cbor:"2,keyasint"` // of the state after it
	Digest atoll.Hash   `cbor:"3,keyasint"` // of the state after it
	// Total is the size of all records so far, this one included, in bytes,
	// also of those that are forgotten: the difference of two is the size of
	// what lies between.
	Total uint64 `cbor:"4,keyasint"`
}

func key(p atoll.Position) []byte {
	return binary.BigEndian.AppendUint64([]byte{keys.SpaceLog}, uint64(p))
}

// Append adds the record at a position to the batch that holds its state.
// before is the Total of the entry before; it returns the one of this.
func Append(b *atoll.Batch, record []byte, h subnet.Head, before uint64) (total uint64) {
	total = before + uint64(len(record))
	b.Set(key(h.Chain.Position), wire.Marshal(Entry{Record: record, Height: h.Height, Digest: h.Digest, Total: total}))
	return total
}

// Get returns the entry at a position. It fails with NotFound.
func Get(r atoll.Reader, p atoll.Position) (Entry, error) {
	raw, ok, err := r.Get(key(p))
	if err != nil {
		return Entry{}, err
	}
	if !ok {
		return Entry{}, atoll.Errorf(atoll.NotFound, "the log has no position %d", p)
	}
	e, _, err := decode(key(p), raw)
	return e, err
}

// Cut returns the position before which the log is to be forgotten so that at
// most the given number of entries and bytes of records is left; 0 if it has no
// more than that.
func Cut(r atoll.Reader, entries int, bytes uint64) (atoll.Position, error) {
	first, last, err := Bounds(r)
	if err != nil || first == 0 {
		return 0, err
	}
	end, err := Get(r, last)
	if err != nil {
		return 0, err
	}
	// The first position that may stay: totals grow with positions.
	n := sort.Search(int(last-first), func(i int) bool {
		p := first + atoll.Position(i)
		if last-p >= atoll.Position(entries) {
			return false
		}
		e, getErr := Get(r, p)
		if getErr != nil {
			err = getErr
			return true
		}
		return end.Total-e.Total+uint64(len(e.Record)) <= bytes
	})
	if err != nil || n == 0 {
		return 0, err
	}
	return first + atoll.Position(n), nil
}

// Truncate adds to a batch that the entries before a position are forgotten.
func Truncate(b *atoll.Batch, before atoll.Position) {
	b.DeleteRange(key(0), key(before))
}

// Tail yields the entries from a position on, in order, each checked to be
// whole and to follow the one before. It ends behind the last one, or with an
// error: NotFound if the log no longer reaches back to from, DataLoss if it is
// damaged.
func Tail(r atoll.Reader, from atoll.Position) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		it := r.Iter(key(from), []byte{keys.SpaceLog + 1})
		next, prev := from, atoll.Hash{}
		for ok := it.SeekGE(key(from)); ok; ok = it.Next() {
			e, err := follow(it.Key(), it.Value(), from, next, prev)
			if !yield(e, err) || err != nil {
				it.Close()
				return
			}
			next, prev = next+1, wire.Sum(e.Record)
		}
		if err := it.Close(); err != nil {
			yield(Entry{}, err)
		}
	}
}

// follow decodes the entry at a key and checks that it is the next one of a
// walk that began at from and whose last record has the hash prev.
func follow(k, v []byte, from, next atoll.Position, prev atoll.Hash) (Entry, error) {
	e, rec, err := decode(k, v)
	switch p := position(k); {
	case err != nil:
		return e, err
	case p != next && next == from:
		return e, atoll.Errorf(atoll.NotFound, "the log begins at position %d; %d is gone", p, from)
	case p != next:
		return e, atoll.Errorf(atoll.DataLoss, "the log has a gap: position %d follows %d", p, next-1)
	case rec.Position != p || p != from && rec.Prev != prev:
		return e, atoll.Errorf(atoll.DataLoss, "the log record at position %d does not follow the one before", p)
	}
	return e, nil
}

func position(k []byte) atoll.Position {
	if len(k) != 9 {
		return 0
	}
	return atoll.Position(binary.BigEndian.Uint64(k[1:]))
}

func decode(k, v []byte) (e Entry, rec atoll.Record, err error) {
	if err := wire.Unmarshal(v, &e); err != nil {
		return e, rec, atoll.Errorf(atoll.DataLoss, "the log entry at position %d is damaged: %v", position(k), err)
	}
	if err := wire.Unmarshal(e.Record, &rec); err != nil {
		return e, rec, atoll.Errorf(atoll.DataLoss, "the log record at position %d is damaged: %v", position(k), err)
	}
	return e, rec, nil
}

// Bounds returns the first and the last position that r holds; 0, 0 if none.
func Bounds(r atoll.Reader) (first, last atoll.Position, err error) {
	it := r.Iter(key(0), []byte{keys.SpaceLog + 1})
	if it.SeekGE(key(0)) {
		first = position(it.Key())
	}
	if it.SeekLT([]byte{keys.SpaceLog + 1}) {
		last = position(it.Key())
	}
	return first, last, it.Close()
}

// checkedTail is how many of the last records are checked when a log is opened.
const checkedTail = 64

// Check reads the end of the log and makes sure that it leads to the head. It
// fails with DataLoss.
func Check(r atoll.Reader, h subnet.Head) error {
	first, last, err := Bounds(r)
	if err != nil {
		return err
	}
	if last != h.Chain.Position {
		return atoll.Errorf(atoll.DataLoss, "the log ends at position %d, the state at %d", last, h.Chain.Position)
	}
	if last == 0 {
		return nil
	}
	from := first
	if last-first >= checkedTail {
		from = last - checkedTail + 1
	}
	var e Entry
	for e, err = range Tail(r, from) {
		if err != nil {
			return err
		}
	}
	if wire.Sum(e.Record) != h.Chain.Hash || e.Digest != h.Digest || e.Height != h.Height {
		return atoll.Errorf(atoll.DataLoss, "the last log record, at position %d, does not lead to the state", last)
	}
	return nil
}

// Replay executes on m the entries that r holds behind m's own position, and
// applies each to store. It fails with DataLoss at the first height whose
// digest is not the one that was logged. progress is told each height.
func Replay(r atoll.Reader, m *subnet.Machine, store atoll.Store, progress func(atoll.Height)) error {
	for e, err := range Tail(r, m.Head().Chain.Position+1) {
		if err != nil {
			return err
		}
		b, chain, chained, err := m.Head().Chain.Follow(e.Record)
		if err != nil {
			return err
		}
		if !chained {
			return atoll.Errorf(atoll.DataLoss, "the log record at position %d is of an epoch that is over", chain.Position)
		}
		res, err := m.Execute(b, chain)
		if err != nil {
			return err
		}
		if res.Head.Digest != e.Digest {
			return atoll.Errorf(atoll.DataLoss, "executing block %d again gave digest %s; it was %s", e.Height, res.Head.Digest, e.Digest)
		}
		Append(res.Batch, e.Record, res.Head, e.Total-uint64(len(e.Record)))
		if _, err := store.Apply(res.Batch); err != nil {
			return err
		}
		if progress != nil {
			progress(e.Height)
		}
	}
	return nil
}
