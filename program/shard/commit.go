package shard

import (
	"bytes"

	"atoll"
	"atoll/keys"
	"atoll/planted"
	"atoll/wire"
)

// commitment is the work of one CommitRequest, over one shard or several.
type commitment struct {
	now   atoll.Time
	parts []part
	edits []edit
	docs  []*staged // in the order in which the writes first name them

	planted planted.Set
}

// part is the range of one shard that a commit may write to.
type part struct {
	ranges atoll.State
	*Descriptor
	maintenance maintenance
}

// commit applies all writes of a request or none, and returns its encoded
// CommitReply. Everything is decided before the first key is written, so that
// an error leaves nothing behind. Errors: WrongRange; Invalid for what can
// never succeed; NotFound, AlreadyExists and FailedPrecondition for the
// preconditions; Aborted if what the transaction has read is not so any longer;
// PermissionDenied for somebody else's request id.
func (p Program) commit(ctxs []atoll.Context, in atoll.Input) ([]byte, error) {
	var req CommitRequest
	if err := wire.Unmarshal(in.Payload, &req); err != nil {
		return nil, err
	}
	c := &commitment{now: ctxs[0].Turn().Now, planted: p.planted}
	if err := c.join(ctxs, &req); err != nil {
		return nil, err
	}
	return c.run(in, &req)
}

// run is commit in the ranges that c has joined.
func (c *commitment) run(in atoll.Input, req *CommitRequest) ([]byte, error) {
	if err := c.place(req); err != nil {
		return nil, err
	}
	if stored, ok, err := c.repeated(in); err != nil || ok {
		return stored, err
	}
	if err := c.check(req); err != nil {
		return nil, err
	}
	if err := c.parse(); err != nil {
		return nil, err
	}
	reply := CommitReply{Time: c.now, Results: make([]WriteResult, len(c.edits))}
	for i := range c.edits {
		result, err := c.apply(&c.edits[i])
		if err != nil {
			return nil, err
		}
		reply.Results[i] = result
	}
	if err := c.index(); err != nil {
		return nil, err
	}
	encoded := wire.Marshal(&reply)
	return encoded, c.store(in, encoded)
}

// join finds the range that each target names.
func (c *commitment) join(ctxs []atoll.Context, req *CommitRequest) error {
	if len(req.Targets) != len(ctxs) {
		return atoll.Errorf(atoll.Invalid, "a commit to %d shards has %d targets; it needs one for each shard", len(ctxs), len(req.Targets))
	}
	if len(req.Writes) > MaxWrites {
		return atoll.Errorf(atoll.Invalid, "a commit has %d writes; %d are allowed", len(req.Writes), MaxWrites)
	}
	var near atoll.Path
	if len(req.Writes) > 0 {
		near = req.Writes[0].Path
	}
	c.parts = make([]part, len(ctxs))
	for i, ctx := range ctxs {
		d, err := resolve(ctx.State(), req.Targets[i], near)
		if err != nil {
			return err
		}
		c.parts[i] = part{ctx.Ranges(), d, newMaintenance(ctx)}
		if first := c.parts[0]; d.Database != first.Database || d.Family != first.Family {
			return atoll.Errorf(atoll.Invalid, "ranges %d and %d are of different databases or families; a commit is to one", first.Range, d.Range)
		}
	}
	return nil
}

// place finds the document and the range of each write. Writes to one document
// share what is staged of it.
func (c *commitment) place(req *CommitRequest) error {
	c.edits = make([]edit, len(req.Writes))
	c.docs = make([]*staged, 0, len(req.Writes))
	var known map[atoll.Path]*staged
	if len(req.Writes) > 1 {
		known = make(map[atoll.Path]*staged, len(req.Writes))
	}
	for i := range req.Writes {
		w := &req.Writes[i]
		d := known[w.Path]
		if d == nil {
			var err error
			if d, err = c.stage(w.Path); err != nil {
				return err
			}
			c.docs = append(c.docs, d)
			if known != nil {
				known[w.Path] = d
			}
		}
		c.edits[i] = edit{Write: w, doc: d}
	}
	return nil
}

// stage begins to work on a document, without reading it.
func (c *commitment) stage(path atoll.Path) (*staged, error) {
	key, err := documentKey(path)
	if err != nil {
		return nil, err
	}
	for i := range c.parts {
		if c.parts[i].Contains(key) {
			return &staged{part: &c.parts[i], path: path, key: key}, nil
		}
	}
	return nil, outside(c.parts[0].Descriptor, path)
}

// repeated returns the stored reply if this request was executed before.
func (c *commitment) repeated(in atoll.Input) ([]byte, bool, error) {
	if in.ID == (atoll.RequestID{}) || len(c.docs) == 0 || c.planted.Has(planted.RequestForgotten) {
		return nil, false, nil
	}
	stored, ok, err := c.docs[0].part.ranges.Get(c.resultKey(in.ID))
	if err != nil || !ok {
		return nil, false, err
	}
	r, err := parseResult(stored)
	if err != nil {
		return nil, false, err
	}
	if r.caller != in.Caller {
		return nil, false, atoll.Errorf(atoll.PermissionDenied, "the request id %s belongs to another caller; draw a new one", in.ID)
	}
	return bytes.Clone(r.reply), true, nil
}

func (c *commitment) resultKey(id atoll.RequestID) []byte {
	first := c.docs[0]
	return keys.RequestKey(uint32(first.part.Family), first.key, id)
}

// parse checks the form of all writes before any precondition is looked at.
func (c *commitment) parse() error {
	for i := range c.edits {
		if err := c.edits[i].parse(); err != nil {
			return c.edits[i].doc.explain(err)
		}
	}
	return nil
}

// apply decides one write on what the earlier ones left.
func (c *commitment) apply(e *edit) (WriteResult, error) {
	d := e.doc
	if err := d.load(c.now); err != nil {
		return WriteResult{}, err
	}
	if err := d.checkPreconditions(e.Write); err != nil {
		return WriteResult{}, err
	}
	switch e.Op {
	case OpDelete:
		d.remove()
		return WriteResult{}, nil
	case OpSet:
		result, err := d.set(e, c.now)
		if err != nil {
			return WriteResult{}, d.explain(err)
		}
		return result, nil
	}
	return WriteResult{}, nil
}

// index finds out what the changes do to the index.
func (c *commitment) index() error {
	for _, d := range c.docs {
		if !d.differs() {
			continue
		}
		if err := d.index(); err != nil {
			return d.explain(err)
		}
		if x := d.indexed; c.planted.Has(planted.EntryNotEnded) && c.now%8 == 0 && len(x.begun) > 0 {
			x.ended = nil
		}
	}
	return nil
}

// store writes the new versions, the index, the feed and the result.
func (c *commitment) store(in atoll.Input, reply []byte) error {
	for i, d := range c.docs {
		e := entry{changed: d.differs()}
		if e.changed {
			d.put(c.now)
			if err := d.indexed.write(d.part.ranges, d.key, c.now); err != nil {
				return err
			}
		}
		if i == 0 && in.ID != (atoll.RequestID{}) {
			e.request = in.ID
			d.part.ranges.Set(c.resultKey(in.ID), appendResult(nil, result{at: c.now, caller: in.Caller, reply: reply}))
		}
		if c.planted.Has(planted.SkipFeedEntry) && c.now%16 == 0 {
			continue
		}
		if e != (entry{}) {
			key := keys.FeedKey(uint32(d.part.Family), uint64(d.part.Range), c.now, d.key)
			d.part.ranges.Set(key, appendEntry(nil, e))
		}
	}
	return nil
}
