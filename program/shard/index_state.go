package shard

import (
	"bytes"
	"slices"

	"atoll"
	"atoll/wire"
)

// groupIndexes is what a shard keeps of the indexes of the collections of one
// id, in its own keys. A collection id without any is indexed as usual.
type groupIndexes struct {
	Composites []compositeState `cbor:"1,keyasint,omitempty"`
	Fields     *fieldsState     `cbor:"2,keyasint,omitempty"` // nil: as usual, always
}

// compositeState is a composite index on its way.
type compositeState struct {
	Index    CompositeIndex `cbor:"1,keyasint"`
	Progress IndexProgress  `cbor:"2,keyasint"`
	Again    bool           `cbor:"3,keyasint,omitempty"` // it is removed to be built anew
}

// maintained reports whether writes keep the index up.
func (c *compositeState) maintained() bool {
	return c.Progress.State == IndexBuilding || c.Progress.State == IndexReady
}

// fieldsState is how the fields are indexed by themselves. A change goes in two
// steps: entries that are not wanted any more are removed, then those that are
// new are built. So no entry is ever written that stands already.
type fieldsState struct {
	Want  []FieldIndex `cbor:"1,keyasint,omitempty"` // what was set
	Write []FieldIndex `cbor:"2,keyasint,omitempty"` // what writes maintain
	// Reads are allowed by Now, which is whole from Progress.Whole on; before
	// that by Past.
	Now      []FieldIndex  `cbor:"3,keyasint,omitempty"`
	Past     []FieldIndex  `cbor:"4,keyasint,omitempty"`
	Progress IndexProgress `cbor:"5,keyasint"`
}

// maxRules is how many rules changes in quick succession may pile up for one
// collection id.
const maxRules = 12 * MaxExempt

// indexHeader says whether anything was ever set about the indexes.
type indexHeader struct {
	Version uint64 `cbor:"1,keyasint"`
	Pending bool   `cbor:"2,keyasint,omitempty"` // something is to be built or removed
}

func groupKey(collection string) []byte { return append([]byte{stateGroup}, collection...) }

func loadHeader(state atoll.Reader) (h indexHeader, ok bool, err error) {
	raw, ok, err := state.Get([]byte{stateIndexes})
	if err != nil || !ok {
		return h, false, err
	}
	return h, true, decodeOwn("index header", raw, &h)
}

func saveHeader(state atoll.State, h indexHeader) { state.Set([]byte{stateIndexes}, wire.Marshal(&h)) }

// loadGroup returns the indexes of the collections of an id, nil if they have
// only the usual ones.
func loadGroup(state atoll.Reader, collection string) (*groupIndexes, error) {
	raw, ok, err := state.Get(groupKey(collection))
	if err != nil || !ok {
		return nil, err
	}
	g := new(groupIndexes)
	return g, decodeOwn("index", raw, g)
}

// saveGroup keeps the indexes of an id, or forgets them if they are the usual
// ones.
func saveGroup(state atoll.State, collection string, g *groupIndexes) {
	if len(g.Composites) == 0 && g.Fields == nil {
		state.Delete(groupKey(collection))
		return
	}
	state.Set(groupKey(collection), wire.Marshal(g))
}

// namedGroup is the indexes of one collection id.
type namedGroup struct {
	collection string
	*groupIndexes
}

// loadGroups returns the indexes of all collection ids that have any of their
// own, in order.
func loadGroups(state atoll.Reader) (all []namedGroup, err error) {
	lo := []byte{stateGroup}
	it := state.Iter(lo, []byte{stateGroup + 1})
	for ok := it.SeekGE(lo); ok; ok = it.Next() {
		g := new(groupIndexes)
		if err := decodeOwn("index", bytes.Clone(it.Value()), g); err != nil {
			return nil, closeAfter(it, err)
		}
		all = append(all, namedGroup{string(it.Key()[1:]), g})
	}
	return all, it.Close()
}

// pending reports whether something is to be built or removed.
func (g *groupIndexes) pending() bool {
	busy := func(s IndexState) bool { return s == IndexBuilding || s == IndexDeleting }
	return g.Fields != nil && busy(g.Fields.Progress.State) ||
		slices.ContainsFunc(g.Composites, func(c compositeState) bool { return busy(c.Progress.State) })
}

// setIndexes takes a new configuration. It is the directory's alone. An older
// one than that at hand changes nothing. It fails with ResourceExhausted if
// changes came faster than they could be carried out.
func setIndexes(ctx atoll.Context, in atoll.Input) error {
	state := ctx.State()
	if err := checkDirectory(state, in.Caller); err != nil {
		return err
	}
	var next IndexConfig
	if err := wire.Unmarshal(in.Payload, &next); err != nil {
		return err
	}
	if err := next.Check(); err != nil {
		return err
	}
	if err := next.checkIDs(); err != nil {
		return err
	}
	h, ok, err := loadHeader(state)
	if err != nil {
		return err
	}
	if ok && next.Version <= h.Version {
		return nil
	}
	past, err := loadHorizons(state)
	if err != nil {
		return err
	}
	groups, err := loadGroups(state)
	if err != nil {
		return err
	}
	j, working, err := loadJob(state)
	if err != nil {
		return err
	}
	all := next.split(groups)
	for _, g := range all {
		if g.changed, err = g.change(g.want, past.Versions); err != nil {
			return err
		}
	}
	h = indexHeader{Version: next.Version}
	for _, g := range all {
		h.Pending = h.Pending || g.pending()
		if !g.changed {
			continue
		}
		saveGroup(state, g.collection, g.groupIndexes)
		if working && j.Collection == g.collection {
			state.Delete([]byte{stateJob}) // it begins anew
		}
	}
	saveHeader(state, h)
	return nil
}

// checkDirectory admits the directory that has given the shard its ranges.
func checkDirectory(state atoll.Reader, caller atoll.Principal) error {
	owner, ok, err := state.Get([]byte{stateOwner})
	if err != nil {
		return err
	}
	if !ok || caller != atoll.Principal(owner) {
		return atoll.Errorf(atoll.PermissionDenied, "%s may not see or set the indexes of this shard; its directory may", caller)
	}
	return nil
}

// checkIDs fails with Invalid unless each composite index has an id of its own.
func (c *IndexConfig) checkIDs() error {
	seen := make(map[uint32]bool, len(c.Composites))
	for i := range c.Composites {
		x := &c.Composites[i]
		if x.ID < FirstComposite || seen[x.ID] {
			return atoll.Errorf(atoll.Invalid, "the composite index %s has the number %d, which is below %d or taken", x, x.ID, FirstComposite)
		}
		seen[x.ID] = true
	}
	return nil
}

// wantedGroup is the indexes of one collection id, and what is set for it now.
type wantedGroup struct {
	namedGroup
	want    IndexConfig
	changed bool
}

// split sorts a configuration by collection id, together with what there is.
func (c *IndexConfig) split(have []namedGroup) []*wantedGroup {
	var all []*wantedGroup
	of := map[string]*wantedGroup{}
	find := func(collection string) *wantedGroup {
		g := of[collection]
		if g == nil {
			g = &wantedGroup{namedGroup: namedGroup{collection, new(groupIndexes)}}
			all, of[collection] = append(all, g), g
		}
		return g
	}
	for _, g := range have {
		find(g.collection).groupIndexes = g.groupIndexes
	}
	for _, x := range c.Composites {
		g := find(x.Collection)
		g.want.Composites = append(g.want.Composites, x)
	}
	for _, f := range c.Exempt {
		g := find(f.Collection)
		f.TTL = false // of no concern here
		g.want.Exempt = append(g.want.Exempt, f)
	}
	for _, g := range all {
		if !slices.ContainsFunc(g.want.Exempt, func(f FieldIndex) bool { return f.Off || f.Group }) {
			g.want.Exempt = nil
		}
	}
	return all
}

// change makes the indexes on their way to what is wanted, and reports whether
// they were not before. Nothing is read before the horizon.
func (g *groupIndexes) change(want IndexConfig, horizon atoll.Time) (changed bool, err error) {
	for i := range g.Composites {
		c := &g.Composites[i]
		wanted := slices.ContainsFunc(want.Composites, func(x CompositeIndex) bool { return x.ID == c.Index.ID })
		switch {
		case !wanted && (c.Again || c.Progress.State != IndexDeleting):
			c.Progress, c.Again, changed = IndexProgress{State: IndexDeleting}, false, true
		case wanted && c.Progress.State == IndexFailed:
			c.Progress, c.Again, changed = IndexProgress{State: IndexDeleting}, true, true
		}
	}
	for _, x := range want.Composites {
		if !slices.ContainsFunc(g.Composites, func(c compositeState) bool { return c.Index.ID == x.ID }) {
			g.Composites = append(g.Composites, compositeState{Index: x, Progress: IndexProgress{State: IndexBuilding}})
			changed = true
		}
	}
	fieldsChanged, err := g.changeFields(want.Exempt, horizon)
	return changed || fieldsChanged, err
}

func (g *groupIndexes) changeFields(want []FieldIndex, horizon atoll.Time) (changed bool, err error) {
	f := g.Fields
	if f == nil && len(want) == 0 {
		return false, nil
	}
	if f == nil {
		f = &fieldsState{Progress: IndexProgress{State: IndexReady}}
	}
	if slices.Equal(f.Want, want) && f.Progress.State != IndexFailed {
		if len(want) == 0 && f.Progress.State == IndexReady && f.Progress.Whole <= horizon {
			g.Fields = nil // the usual indexes, at all times that can be read
			return true, nil
		}
		return false, nil
	}
	if f.Progress.Whole <= horizon {
		f.Past = f.Now
	}
	g.Fields = f
	f.Want = want
	f.Write, f.Now, f.Past = both(f.Write, want), both(f.Now, want), both(f.Past, want)
	if len(f.Write)+len(f.Now)+len(f.Past) > maxRules {
		return false, atoll.Errorf(atoll.ResourceExhausted, "the indexes of fields have changed faster than they can be built; wait until they are ready")
	}
	whole := f.Progress.Whole
	f.Progress = IndexProgress{State: IndexDeleting, Whole: whole}
	return true, nil
}

// rebuild lets all indexes be built again, for documents that came from
// elsewhere; no entry is counted on meanwhile.
func (g *groupIndexes) rebuild() {
	for i := range g.Composites {
		if c := &g.Composites[i]; c.maintained() {
			c.Progress = IndexProgress{State: IndexBuilding}
		}
	}
	if f := g.Fields; f != nil {
		f.Now = []FieldIndex{{Field: EveryField, Off: true}}
		f.Past = f.Now
		f.Write = both(f.Write, f.Want)
		f.Progress = IndexProgress{State: IndexDeleting}
	}
}

// rebuildAll is rebuild for the indexes of all collections.
func rebuildAll(state atoll.State) error {
	h, ok, err := loadHeader(state)
	if err != nil || !ok {
		return err
	}
	groups, err := loadGroups(state)
	if err != nil {
		return err
	}
	for _, g := range groups {
		g.rebuild()
		h.Pending = h.Pending || g.pending()
		saveGroup(state, g.collection, g.groupIndexes)
	}
	state.Delete([]byte{stateJob})
	saveHeader(state, h)
	return nil
}

// mayAdminister admits the node, the directory and the administrator.
func mayAdminister(state atoll.Reader, caller atoll.Principal) error {
	if caller == atoll.Management || caller == Administrator {
		return nil
	}
	return checkDirectory(state, caller)
}

// indexStatus answers MethodIndexStatus.
func indexStatus(state atoll.Reader) (*IndexStatus, error) {
	h, ok, err := loadHeader(state)
	if err != nil || !ok {
		return new(IndexStatus), err
	}
	groups, err := loadGroups(state)
	if err != nil {
		return nil, err
	}
	s := &IndexStatus{Version: h.Version, Pending: h.Pending}
	for _, g := range groups {
		for _, c := range g.Composites {
			p := c.Progress
			if c.Again {
				p.State = IndexBuilding
			}
			s.Composites = append(s.Composites, CompositeProgress{c.Index, p})
		}
		if f := g.Fields; f != nil && (len(f.Want) > 0 || f.Progress.State != IndexReady) {
			s.Fields = append(s.Fields, FieldsProgress{g.collection, f.Progress})
		}
	}
	return s, nil
}
