package shard

import (
	"bytes"

	"atoll"
	"atoll/value"
)

// staged is a document on its way through a commit: how it is stored, and what
// the writes so far have made of it.
type staged struct {
	part *part
	path atoll.Path
	key  []byte // placement key

	stored version // the newest; revision 0 if there is none
	loaded bool

	live    bool
	doc     []byte       // BSON, if live
	fields  *value.Value // doc decoded, once needed
	created atoll.Time
	updated atoll.Time
	changed bool // by this commit
	deleted bool // by this commit, and not set again
	indexed *reindex
	// transforms counts the field transforms on this document.
	transforms int
}

// load reads the newest version. A version that is not older than the commit
// means that time went backwards, which the subnet rules out.
func (d *staged) load(now atoll.Time) error {
	if d.loaded {
		return nil
	}
	v, ok, err := newest(d.part.ranges, d.part.Family, d.key, atoll.MaxTime)
	if err != nil {
		return err
	}
	d.loaded = true
	if !ok {
		return nil
	}
	if v.at >= now {
		return atoll.Errorf(atoll.Internal, "%s has a version of %s; the commit at %s is not after it", d.name(), v.at, now)
	}
	d.stored = v
	if !v.tombstone {
		d.live, d.doc, d.created, d.updated = true, v.doc, v.created, v.at
	}
	return nil
}

// name returns the document's resource name.
func (d *staged) name() string { return d.part.fullName(d.path) }

// explain puts the document's name before the message of an error in it.
func (d *staged) explain(err error) error {
	e := *atoll.AsError(err)
	e.Msg = d.name() + ": " + e.Msg
	return &e
}

// checkPreconditions holds a write's preconditions against the document, with
// the kinds and words of Firestore: NotFound, AlreadyExists,
// FailedPrecondition; Invalid for an update of what this commit deleted.
func (d *staged) checkPreconditions(w *Write) error {
	if w.Exists != nil {
		switch {
		case *w.Exists && d.deleted:
			return atoll.Errorf(atoll.Invalid, "No document to update: %s; an earlier write of the same commit deletes it", d.name())
		case *w.Exists && !d.live:
			return atoll.Errorf(atoll.NotFound, "No document to update: %s", d.name())
		case !*w.Exists && d.live:
			return atoll.Errorf(atoll.AlreadyExists, "Document already exists: %s", d.name())
		}
	}
	// A missing document has the update time 0.
	if w.UpdateTime != nil && *w.UpdateTime != d.updated {
		return atoll.Errorf(atoll.FailedPrecondition, "the stored version (%d) does not match the required base version (%d): %s",
			d.updated, *w.UpdateTime, d.name())
	}
	return nil
}

// remove deletes the document, if it is there.
func (d *staged) remove() {
	if !d.live {
		return
	}
	d.live, d.doc, d.fields, d.created, d.updated = false, nil, nil, 0, 0
	d.changed, d.deleted = true, true
}

// set makes the document what the write says. If that is what it is already,
// it keeps its update time.
func (d *staged) set(e *edit, now atoll.Time) (WriteResult, error) {
	next := e.Doc
	var results [][]byte
	if e.computed() {
		if d.transforms += len(e.transforms); d.transforms > maxTransforms {
			return WriteResult{}, atoll.Errorf(atoll.Invalid, "a commit has %d transforms of this document; %d are allowed", d.transforms, maxTransforms)
		}
		fields, err := d.decoded()
		if err != nil {
			return WriteResult{}, err
		}
		if fields, results, err = e.compute(fields, now); err != nil {
			return WriteResult{}, err
		}
		if err := value.CheckDocument(d.path, fields); err != nil {
			return WriteResult{}, err
		}
		next = value.AppendDocument(nil, fields)
		d.fields = &fields
	} else {
		d.fields = &e.fields
	}
	if !d.live {
		d.live, d.deleted, d.created = true, false, now
	} else if bytes.Equal(d.doc, next) {
		return WriteResult{UpdateTime: d.updated, Results: results}, nil
	}
	d.doc, d.updated, d.changed = next, now, true
	return WriteResult{UpdateTime: now, Results: results}, nil
}

// decoded returns the fields of the document, none if it does not exist.
func (d *staged) decoded() (value.Value, error) {
	if !d.live {
		return value.Map(), nil
	}
	if d.fields == nil {
		fields, err := value.DecodeDocument(d.doc)
		if err != nil {
			return value.Value{}, damaged("document", d.doc)
		}
		d.fields = &fields
	}
	return *d.fields, nil
}

// differs reports whether the commit leaves another document than it found. A
// document that it created and deleted again was never there.
func (d *staged) differs() bool {
	wasLive := d.stored.revision > 0 && !d.stored.tombstone
	return d.changed && (d.live || wasLive)
}

// index finds out what the commit does to the document's index entries. It
// fails with Invalid if the document would have too many.
func (d *staged) index() error {
	m, err := d.part.maintenance.find(d.path.Parent().ID())
	if err != nil {
		return err
	}
	c := change{path: d.path, key: d.key}
	if d.stored.revision > 0 {
		if c.old, err = d.stored.fields(); err != nil {
			return err
		}
	}
	if d.live {
		fields, err := d.decoded()
		if err != nil {
			return err
		}
		if err := checkEntries(d.path, d.key, fields, m); err != nil {
			return err
		}
		c.new = &fields
	}
	d.indexed = c.reindex(d.part.Family, m)
	return nil
}

// put writes the new version.
func (d *staged) put(now atoll.Time) {
	v := version{tombstone: !d.live, revision: d.stored.revision + 1, created: d.created, doc: d.doc}
	d.part.ranges.Set(versionKey(d.part.Family, d.key, now), v.encode())
}
