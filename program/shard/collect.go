package shard

import (
	"bytes"
	"encoding/binary"

	"atoll"
	"atoll/keys"
	"atoll/planted"
	"atoll/wire"
)

// pass is one of the ways in which a range's feed is walked for collection.
// The numbers are part of stored keys.
type pass byte

const (
	passResults  pass = 0 // forgets results of commits
	passVersions pass = 1 // forgets versions that a later one has superseded
	passLatest   pass = 2 // forgets feed entries, and the tombstones that they led to
	passes       pass = 3
)

// collect forgets what lies below the horizons. It is the housekeeper's alone.
// The horizons are raised first: what is removed later, in this message or the
// next, no read can ask for any more.
func (p Program) collect(ctx atoll.Context, in atoll.Input) ([]byte, error) {
	if in.Caller != atoll.Management {
		return nil, atoll.Errorf(atoll.PermissionDenied, "%s may not collect; the subnet's housekeeper may", in.Caller)
	}
	var req CollectRequest
	if err := wire.Unmarshal(in.Payload, &req); err != nil {
		return nil, err
	}
	if req.Limit < 1 || req.Limit > MaxCollect {
		return nil, atoll.Errorf(atoll.Invalid, "the limit %d is not between 1 and %d", req.Limit, MaxCollect)
	}
	owned, err := descriptors(ctx.State())
	if err != nil {
		return nil, err
	}
	h, err := raiseHorizons(ctx, &req)
	if err != nil {
		return nil, err
	}
	reply := new(CollectReply)
	m := newMaintenance(ctx)
	budget := req.Limit
	for i := range owned {
		if p.planted.Has(planted.HistoryTooShort) {
			h.Versions = ctx.Turn().Now
		}
		c := collection{ctx: ctx, ranges: ctx.Ranges(), d: &owned[i], budget: &budget, reply: reply, maintenance: &m}
		if err := c.run(h, min(req.Requests, ctx.Turn().Now)); err != nil {
			return nil, err
		}
	}
	return wire.Marshal(reply), nil
}

// raiseHorizons stores the horizons that the request asks for, where they are
// above those before. None lies after now, and the feed is kept for at least as
// long as the versions: it is read together with them.
func raiseHorizons(ctx atoll.Context, req *CollectRequest) (horizons, error) {
	h, err := loadHorizons(ctx.State())
	if err != nil {
		return h, err
	}
	before := h
	h.Versions = max(h.Versions, min(req.Versions, ctx.Turn().Now))
	h.Latest = max(h.Latest, min(req.Latest, h.Versions))
	if h != before {
		ctx.State().Set([]byte{stateHorizons}, wire.Marshal(&h))
	}
	return h, nil
}

// collection is the work of one CollectRequest on one range.
type collection struct {
	ctx    atoll.Context
	ranges atoll.State
	d      *Descriptor
	budget *int // feed entries that may still be looked at
	reply  *CollectReply
	*maintenance

	came [passes]FeedCursor // how far each pass came
}

// run walks the feed once for each pass, from where it stopped. A pass begins
// when the one before it has come to its end: the last one relies on it that no
// superseded version is left below the horizon.
func (c *collection) run(h horizons, results atoll.Time) error {
	for p := range passes {
		stored, ok, err := c.ctx.State().Get(c.cursorKey(p))
		if ok {
			err = decodeOwn("cursor", stored, &c.came[p])
		}
		if err != nil {
			return err
		}
	}
	if err := c.walk(passResults, results-1, c.forgetResult); err != nil {
		return err
	}
	// A version is superseded for all reads at or after the horizon if the
	// later one stands at or before it.
	if err := c.walk(passVersions, h.Versions, c.forgetOlder); err != nil {
		return err
	}
	return c.walk(passLatest, h.Latest-1, c.forgetLatest)
}

// walk shows f the feed's entries up to a time, until the budget is spent.
func (c *collection) walk(p pass, until atoll.Time, f func(FeedCursor, entry) error) (err error) {
	if c.reply.More || c.came[p].Time > until {
		return nil
	}
	w := newFeedWalk(c.ranges, c.d, c.came[p], until)
	looked := 0
	for err == nil && w.next() {
		if *c.budget == 0 {
			c.reply.More = true
			break
		}
		*c.budget--
		looked++
		c.came[p] = w.cursor()
		var e entry
		if e, err = w.entry(); err == nil && c.d.Contains(w.key) {
			err = f(c.came[p], e)
		}
	}
	if looked > 0 {
		c.ctx.State().Set(c.cursorKey(p), wire.Marshal(&c.came[p]))
	}
	return w.close(err)
}

func (c *collection) cursorKey(p pass) []byte {
	key := binary.BigEndian.AppendUint64([]byte{stateCursor}, uint64(c.d.Range))
	return append(key, byte(p))
}

// passed reports whether a pass has seen an entry.
func (c *collection) passed(p pass, at FeedCursor) bool {
	came := c.came[p]
	return at.Time < came.Time || at.Time == came.Time && bytes.Compare(at.Key, came.Key) <= 0
}

// forgetResult removes the result that an entry leads to, and the entry if it
// was kept for nothing else.
func (c *collection) forgetResult(at FeedCursor, e entry) error {
	if e.request != (atoll.RequestID{}) {
		c.remove(keys.RequestKey(uint32(c.d.Family), at.Key, e.request))
	}
	if !e.changed || c.passed(passLatest, at) {
		return c.removeEntry(at)
	}
	if !c.passed(passVersions, at) {
		return nil
	}
	_, ok, err := c.ranges.Get(versionKey(c.d.Family, at.Key, at.Time))
	if err != nil || ok {
		return err
	}
	return c.removeEntry(at)
}

// forgetOlder removes the versions that the change at hand has superseded. If
// its own version is gone, the entry was left for a result that another range
// has forgotten since, from which this one was split.
func (c *collection) forgetOlder(at FeedCursor, e entry) error {
	if !e.changed {
		return nil
	}
	from, to := versionSpan(c.d.Family, at.Key, at.Time)
	it := c.ranges.Iter(from, to)
	ok := it.SeekGE(from)
	var newer version
	var err error
	if ok && bytes.Equal(it.Key(), from) {
		newer, err = cloneVersion(it)
		ok = err == nil && it.Next()
	} else {
		err = c.removeEntry(at)
	}
	for ; ok && err == nil; ok = it.Next() {
		key := bytes.Clone(it.Key())
		var older version
		if older, err = cloneVersion(it); err != nil {
			break
		}
		if err = c.forgetEntries(at.Key, &older, &newer); err != nil {
			break
		}
		c.remove(key)
		err = c.removeEntry(FeedCursor{older.at, at.Key})
		newer = older
	}
	if err != nil {
		return closeAfter(it, err)
	}
	return it.Close()
}

// cloneVersion reads the version that an iterator stands on.
func cloneVersion(it atoll.Iterator) (version, error) {
	return readVersion(it.Key(), bytes.Clone(it.Value()))
}

// forgetEntries removes the index entries that ended when the newer of two
// successive versions took the place of the older. Without a newer one, it has
// been forgotten itself, and what ended before it with it.
func (c *collection) forgetEntries(docKey []byte, older, newer *version) error {
	if older.tombstone || newer.revision == 0 {
		return nil
	}
	path, err := readPath(docKey)
	if err != nil {
		return err
	}
	m, err := c.maintenance.find(path.Parent().ID())
	if err != nil {
		return err
	}
	change := change{path: path, key: docKey}
	if change.old, err = older.fields(); err != nil {
		return err
	}
	if change.new, err = newer.fields(); err != nil {
		return err
	}
	for _, key := range change.reindex(c.d.Family, m).ended {
		c.remove(keys.PastEntry(key, newer.at))
	}
	return nil
}

// forgetLatest removes an entry, and the last trace of a document that it
// deleted.
func (c *collection) forgetLatest(at FeedCursor, e entry) error {
	if !e.changed {
		return nil
	}
	v, ok, err := newest(c.ranges, c.d.Family, at.Key, atoll.MaxTime)
	if err != nil {
		return err
	}
	if ok && v.tombstone && v.at == at.Time {
		c.remove(versionKey(c.d.Family, at.Key, at.Time))
	}
	return c.removeEntry(at)
}

// removeEntry removes a feed entry, from under whichever id it stands. An entry
// that leads to a result which is still kept stays for that; without a version
// it is no change any more.
func (c *collection) removeEntry(at FeedCursor) error {
	if err := c.removeEntryOf(c.d.Range, at); err != nil {
		return err
	}
	for _, a := range c.d.Lineage {
		if at.Time > a.Until {
			continue
		}
		if err := c.removeEntryOf(a.Range, at); err != nil {
			return err
		}
	}
	return nil
}

func (c *collection) removeEntryOf(id RangeID, at FeedCursor) error {
	key := keys.FeedKey(uint32(c.d.Family), uint64(id), at.Time, at.Key)
	stored, ok, err := c.ranges.Get(key)
	if err != nil || !ok {
		return err
	}
	e, err := parseEntry(stored)
	if err != nil {
		return err
	}
	if e.request == (atoll.RequestID{}) || c.passed(passResults, at) {
		c.remove(key)
	}
	return nil
}

func (c *collection) remove(key []byte) {
	c.ranges.Delete(key)
	c.reply.Removed++
}
