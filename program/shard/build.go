package shard

import (
	"bytes"

	"atoll"
	"atoll/keys"
	"atoll/wire"
)

// buildKeys is how many index entries one message of a build may look at before
// it ends behind the document at hand.
const buildKeys = 20_000

// jobCost is what a job costs besides what it looks at.
const jobCost = 8

// step is what a job does to the indexes of one collection id. The numbers are
// stored.
type step uint8

const (
	stepFields    step = 1 // remove entries of fields that have no such index any more
	stepComposite step = 2 // remove a composite index
	stepBuild     step = 3 // add all entries that are missing
)

// job is how far the work on one collection id came: it is kept between
// messages, and begins anew when the indexes of the collection id change.
type job struct {
	Collection string  `cbor:"1,keyasint"`
	Step       step    `cbor:"2,keyasint"`
	Index      uint32  `cbor:"3,keyasint,omitempty"` // of stepComposite
	Stage      int     `cbor:"4,keyasint,omitempty"` // which of the step's key spaces, or which range
	Range      RangeID `cbor:"5,keyasint,omitempty"` // of stepBuild
	// From is the first key that is still to be looked at.
	From []byte `cbor:"6,keyasint,omitempty"`
}

// builder is the work of one BuildRequest.
type builder struct {
	ctx    atoll.Context
	ranges atoll.State
	owned  []Descriptor
	budget int // documents and entries that may still be looked at
	keys   int // of those, entries of documents
	reply  BuildReply

	group *groupIndexes
	job   job
}

// build goes on with what is to be built and removed. It is the housekeeper's
// alone.
func build(ctx atoll.Context, in atoll.Input) ([]byte, error) {
	if in.Caller != atoll.Management {
		return nil, atoll.Errorf(atoll.PermissionDenied, "%s may not build indexes; the subnet's housekeeper may", in.Caller)
	}
	var req BuildRequest
	if err := wire.Unmarshal(in.Payload, &req); err != nil {
		return nil, err
	}
	if req.Limit < 1 || req.Limit > MaxBuild {
		return nil, atoll.Errorf(atoll.Invalid, "the limit %d is not between 1 and %d", req.Limit, MaxBuild)
	}
	owned, err := descriptors(ctx.State())
	if err != nil {
		return nil, err
	}
	b := &builder{ctx: ctx, ranges: ctx.Ranges(), owned: owned, budget: req.Limit, keys: buildKeys}
	if err := b.run(); err != nil {
		return nil, err
	}
	return wire.Marshal(&b.reply), nil
}

// run works until the budget is spent or nothing is left to do.
func (b *builder) run() error {
	state := b.ctx.State()
	h, ok, err := loadHeader(state)
	if err != nil || !ok || !h.Pending {
		return err
	}
	for b.budget > 0 {
		found, err := b.find()
		if err != nil {
			return err
		}
		if !found {
			h.Pending = false
			saveHeader(state, h)
			return nil
		}
		done, err := b.work()
		if err != nil {
			return err
		}
		if done {
			b.job.From = nil
			state.Delete([]byte{stateJob})
		} else {
			state.Set([]byte{stateJob}, wire.Marshal(&b.job))
		}
		saveGroup(state, b.job.Collection, b.group)
		b.budget -= jobCost
	}
	b.reply.More = true
	return nil
}

// find loads the job at hand, or begins the next one.
func (b *builder) find() (found bool, err error) {
	state := b.ctx.State()
	j, ok, err := loadJob(state)
	if err != nil {
		return false, err
	}
	if ok {
		b.job = j
		b.group, err = loadGroup(state, j.Collection)
		if err == nil && b.group == nil {
			err = damaged("index job", []byte(j.Collection))
		}
		return true, err
	}
	groups, err := loadGroups(state)
	if err != nil {
		return false, err
	}
	for _, g := range groups {
		if g.pending() {
			b.group, b.job = g.groupIndexes, g.next(g.collection)
			return true, nil
		}
	}
	return false, nil
}

// next returns the job that is to be done first. Fields are set free before
// anything is built, since their new policy begins after that.
func (g *groupIndexes) next(collection string) job {
	if g.Fields != nil && g.Fields.Progress.State == IndexDeleting {
		return job{Collection: collection, Step: stepFields}
	}
	for i := range g.Composites {
		if c := &g.Composites[i]; c.Progress.State == IndexDeleting {
			return job{Collection: collection, Step: stepComposite, Index: c.Index.ID}
		}
	}
	return job{Collection: collection, Step: stepBuild}
}

// loadJob returns the job at hand, if there is one.
func loadJob(state atoll.Reader) (j job, ok bool, err error) {
	raw, ok, err := state.Get([]byte{stateJob})
	if err != nil || !ok {
		return j, false, err
	}
	return j, true, decodeOwn("index job", raw, &j)
}

// work goes on with the job; done is true if it has come to its end.
func (b *builder) work() (done bool, err error) {
	switch b.job.Step {
	case stepFields:
		return b.removeFields()
	case stepComposite:
		return b.removeComposite()
	}
	return b.buildAll()
}

// place is one part of the index spaces that a removal goes over: entries that
// begin with a head.
type place struct {
	head  []byte
	ended bool
}

// places returns the live and the ended entries of an index, once for each
// family in which the shard owns ranges, of which there is one so far.
func (b *builder) places(index uint32, behind []byte) (all []place) {
	var last Family
	for i := range b.owned {
		f := b.owned[i].Family
		if f == last {
			continue
		}
		last = f
		for _, s := range []keys.Space{keys.Index, keys.PastIndex} {
			head := append(keys.AppendIndexHead(nil, uint32(f), s, index), behind...)
			all = append(all, place{head, s == keys.PastIndex})
		}
	}
	return all
}

// removal looks at entries one by one: it says whether the one at hand goes, or
// from where on it wants to see more; nil is the next one.
type removal func(rest []byte) (remove bool, skip []byte, err error)

// remove goes over places, from where the job stopped.
func (b *builder) remove(all []place, judge removal, removed *uint64) (done bool, err error) {
	for ; b.job.Stage < len(all); b.job.Stage++ {
		done, err := b.removeIn(all[b.job.Stage], judge, removed)
		if !done || err != nil {
			return false, err
		}
		b.job.From = nil
	}
	return true, nil
}

func (b *builder) removeIn(p place, judge removal, removed *uint64) (done bool, err error) {
	lo, hi := p.head, keys.After(p.head)
	if len(b.job.From) > 0 {
		lo = b.job.From
	}
	it := b.ranges.Iter(lo, hi)
	ok := it.SeekGE(lo)
	for ; ok && b.budget > 0; b.budget-- {
		key := bytes.Clone(it.Key())
		remove, skip, err := judge(key[len(p.head):])
		if err == nil && remove {
			remove, err = b.owns(p, key, it.Value())
		}
		if err != nil {
			return false, closeAfter(it, err)
		}
		if remove {
			b.ranges.Delete(key)
			b.reply.Changed++
			*removed++
		}
		if skip == nil {
			ok = it.Next()
			continue
		}
		to := keys.After(append(bytes.Clone(p.head), skip...))
		ok = to != nil && it.SeekGE(to)
	}
	if ok {
		b.job.From = bytes.Clone(it.Key())
	}
	return !ok, it.Close()
}

// owns reports whether an entry is one of a document in the shard's ranges:
// other shards have theirs between them.
func (b *builder) owns(p place, key, stored []byte) (bool, error) {
	st, err := parseStanding(stored)
	if err != nil {
		return false, err
	}
	n := len(key)
	if p.ended {
		n -= timeLen
	}
	if n < len(p.head)+st.docLen {
		return false, damaged("index key", key)
	}
	docKey := key[n-st.docLen : n]
	for i := range b.owned {
		if b.owned[i].Contains(docKey) {
			return true, nil
		}
	}
	return false, nil
}

// removeComposite removes all entries of an index, and then forgets it.
func (b *builder) removeComposite() (done bool, err error) {
	at := -1
	for i := range b.group.Composites {
		if b.group.Composites[i].Index.ID == b.job.Index {
			at = i
		}
	}
	if at < 0 {
		return true, nil
	}
	all := func([]byte) (bool, []byte, error) { return true, nil, nil }
	done, err = b.remove(b.places(b.job.Index, nil), all, &b.group.Composites[at].Progress.Entries)
	if !done || err != nil {
		return false, err
	}
	if c := &b.group.Composites[at]; c.Again {
		c.Progress, c.Again = IndexProgress{State: IndexBuilding}, false
		return true, nil
	}
	b.group.Composites = append(b.group.Composites[:at:at], b.group.Composites[at+1:]...)
	return true, nil
}

// removeFields removes the entries that writes do not maintain any more. Then
// they begin to maintain what is wanted, which is to be built.
func (b *builder) removeFields() (done bool, err error) {
	f := b.group.Fields
	r := compileRules(f.Write)
	judge := func(rest []byte) (bool, []byte, error) {
		collection, id, behind, err := keys.CutCollection(rest)
		if err != nil {
			return false, nil, damaged("index key", rest)
		}
		if string(id) != b.job.Collection {
			return false, collection, nil
		}
		remove, skip, err := judgeField(behind, func(p policy) bool { return p.off }, r)
		if skip != nil {
			skip = rest[:len(collection)+len(skip)]
		}
		return remove, skip, err
	}
	judgeGroup := func(rest []byte) (bool, []byte, error) {
		return judgeField(rest, func(p policy) bool { return p.off || !p.group }, r)
	}
	single := b.places(keys.IndexFields, nil)
	stages := len(single)
	if b.job.Stage < stages {
		if done, err = b.remove(single, judge, &f.Progress.Entries); !done || err != nil {
			return false, err
		}
	}
	b.job.Stage -= stages
	done, err = b.remove(b.places(keys.IndexGroupFields, keys.AppendGroup(nil, b.job.Collection)), judgeGroup, &f.Progress.Entries)
	b.job.Stage += stages
	if done && err == nil {
		f.Write = f.Want
		f.Progress = IndexProgress{State: IndexBuilding, Whole: f.Progress.Whole}
	}
	return done, err
}

// judgeField says whether the entry of a field goes; if not, all alike are
// skipped.
func judgeField(rest []byte, gone func(policy) bool, r *rules) (remove bool, skip []byte, err error) {
	field, path, _, _, err := keys.CutField(rest)
	if err != nil {
		return false, nil, damaged("index key", rest)
	}
	if gone(r.of(path)) {
		return true, nil, nil
	}
	return false, field, nil
}

// buildAll goes over the documents of the collection id, in all ranges, and
// adds the entries that they lack. When it is through, all indexes that were
// building are whole: from this message on.
func (b *builder) buildAll() (done bool, err error) {
	m := b.group.maintains()
	for i := range b.owned {
		d := &b.owned[i]
		if d.Range < b.job.Range {
			continue
		}
		b.job.Range = d.Range
		through, err := b.buildRange(d, m)
		if err != nil || !through {
			return b.group.pendingBuild() == 0, err
		}
		b.job.From = nil
	}
	b.group.ready(b.ctx.Turn().Now)
	return true, nil
}

// buildRange goes over one range's documents.
func (b *builder) buildRange(d *Descriptor, m *maintained) (through bool, err error) {
	head := appendMembers(d.Family, b.job.Collection, 0)
	lo := append(bytes.Clone(head), d.Start...)
	hi := keys.After(head)
	if len(d.End) > 0 {
		hi = append(bytes.Clone(head), d.End...)
	}
	if len(b.job.From) > 0 {
		lo = b.job.From
	}
	it := b.ranges.Iter(lo, hi)
	ok := it.SeekGE(lo)
	for ; ok && b.budget > 0 && b.keys > 0 && b.group.pendingBuild() > 0; ok = it.Next() {
		b.budget--
		docKey := bytes.Clone(it.Key()[len(head):])
		if err := b.buildDocument(d, m, docKey); err != nil {
			return false, closeAfter(it, err)
		}
	}
	if ok {
		b.job.From = bytes.Clone(it.Key())
		if b.keys <= 0 {
			b.budget = 0
		}
	}
	return !ok, it.Close()
}

// buildDocument adds the entries that one document lacks. They stand since its
// last change, at the latest.
func (b *builder) buildDocument(d *Descriptor, m *maintained, docKey []byte) error {
	path, err := readPath(docKey)
	if err != nil {
		return err
	}
	v, ok, err := newest(b.ranges, d.Family, docKey, atoll.MaxTime)
	if err != nil {
		return err
	}
	if !ok || v.tombstone {
		return damaged("index: it has a document that does not exist", docKey)
	}
	doc, err := v.fields()
	if err != nil {
		return err
	}
	if err := checkEntries(path, docKey, *doc, m); err != nil {
		b.group.fail(d.fullName(path) + ": " + atoll.AsError(err).Msg)
		return nil
	}
	c := change{path: path, key: docKey, new: doc}
	written := uint64(0)
	now := standing{v.at, len(docKey)}.encode()
	for _, key := range c.reindex(d.Family, m).begun {
		b.keys--
		_, ok, err := b.ranges.Get(key)
		if err != nil {
			return err
		}
		if !ok {
			b.ranges.Set(key, now)
			b.reply.Changed++
			written++
		}
	}
	b.group.count(written)
	return nil
}

// building returns the progress of all indexes that are being built.
func (g *groupIndexes) building() (all []*IndexProgress) {
	for i := range g.Composites {
		if p := &g.Composites[i].Progress; p.State == IndexBuilding {
			all = append(all, p)
		}
	}
	if g.Fields != nil && g.Fields.Progress.State == IndexBuilding {
		all = append(all, &g.Fields.Progress)
	}
	return all
}

// pendingBuild returns how many indexes are being built.
func (g *groupIndexes) pendingBuild() int { return len(g.building()) }

// count notes that one more document was looked at.
func (g *groupIndexes) count(written uint64) {
	for _, p := range g.building() {
		p.Documents++
		p.Entries += written
	}
}

// fail gives up all that is being built: a document cannot have its entries.
// Writes do not maintain them any more, so that they do not fail of it; setting
// the indexes again removes what is there and begins anew.
func (g *groupIndexes) fail(reason string) {
	for _, p := range g.building() {
		p.State, p.Reason = IndexFailed, reason
	}
	if f := g.Fields; f != nil && f.Progress.State == IndexFailed {
		f.Write = f.Now
	}
}

// ready lets queries use what was built, for reads from a time on.
func (g *groupIndexes) ready(whole atoll.Time) {
	for i := range g.Composites {
		if p := &g.Composites[i].Progress; p.State == IndexBuilding {
			p.State, p.Whole = IndexReady, whole
		}
	}
	if f := g.Fields; f != nil && f.Progress.State == IndexBuilding {
		f.Past, f.Now = both(f.Now, f.Past), f.Want
		f.Progress.State, f.Progress.Whole = IndexReady, whole
	}
}
