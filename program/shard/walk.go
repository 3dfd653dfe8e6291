package shard

import (
	"bytes"

	"atoll"
	"atoll/keys"
)

// walk goes over the documents of one range in the order of their keys, and
// shows each as it was at one time.
type walk struct {
	it     atoll.Iterator
	family Family
	at     atoll.Time

	ok      bool   // there is a document at hand
	key     []byte // its key
	stored  []byte // the stored key of its newest version; key is a part of it
	newest  atoll.Time
	ahead   bool // looking for a version led behind the document at hand
	damaged error
}

// newWalk stands on the first of the documents lo <= key < hi of the range; an
// empty hi means no end.
func newWalk(r atoll.Reader, d *Descriptor, lo, hi []byte, at atoll.Time) *walk {
	if bytes.Compare(lo, d.Start) < 0 {
		lo = d.Start
	}
	if len(hi) == 0 || len(d.End) > 0 && bytes.Compare(d.End, hi) < 0 {
		hi = d.End
	}
	from, to := keys.RangeSpan(uint32(d.Family), keys.Documents, lo, hi)
	w := &walk{it: r.Iter(from, to), family: d.Family, at: at}
	w.land(w.it.SeekGE(from))
	return w
}

// land notes where the iterator stands, if it stands.
func (w *walk) land(ok bool) {
	w.ahead = false
	if w.ok = ok; !ok {
		return
	}
	w.stored = append(w.stored[:0], w.it.Key()...)
	_, docKey, t, err := keys.ParseVersion(w.stored)
	if err != nil {
		w.ok, w.damaged = false, damaged("key of a version", w.stored)
		return
	}
	w.key, w.newest = docKey, t
}

// live returns the document at hand as it was at the walk's time; ok is false
// if it did not exist. Its bytes are valid until the next move. It is asked
// for once, then the document is passed.
func (w *walk) live() (v version, ok bool, err error) {
	if w.newest > w.at {
		if !w.it.SeekGE(versionKey(w.family, w.key, w.at)) {
			w.ok = false
			return v, false, nil
		}
		prefix := w.stored[:len(w.stored)-timeLen]
		if w.ahead = !bytes.HasPrefix(w.it.Key(), prefix); w.ahead {
			return v, false, nil
		}
	}
	v, err = readVersion(w.it.Key(), w.it.Value())
	return v, err == nil && !v.tombstone, err
}

// pass goes to the first document at or behind end, if it is not there yet.
// Most documents have one version and nothing below them, so a step is tried
// before a seek.
func (w *walk) pass(end []byte) {
	if !w.ok || bytes.Compare(w.key, end) >= 0 {
		return
	}
	ok := w.ahead || w.it.Next()
	if to := bound(w.family, end); ok && bytes.Compare(w.it.Key(), to) < 0 {
		ok = w.it.SeekGE(to)
	}
	w.land(ok)
}

// findLive goes to the first document before end that exists and reports
// whether there is one. Otherwise it stands at or behind end.
func (w *walk) findLive(end []byte) (bool, error) {
	for w.ok && bytes.Compare(w.key, end) < 0 {
		if _, ok, err := w.live(); err != nil || ok {
			return ok, err
		}
		w.pass(behind(w.key))
	}
	return false, nil
}

// close ends the walk. It returns err, or else what stopped the walk early.
func (w *walk) close(err error) error {
	closed := w.it.Close()
	switch {
	case err != nil:
		return err
	case w.damaged != nil:
		return w.damaged
	}
	return closed
}
