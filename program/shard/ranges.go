package shard

import (
	"bytes"
	"encoding/binary"
	"slices"

	"atoll"
	"atoll/keys"
	"atoll/wire"
)

// Spaces of the shard's own keys, see the package comment.
const (
	stateOwner    = 1
	stateRange    = 2
	stateHorizons = 3
	stateCursor   = 4
	stateIndexes  = 5
	stateGroup    = 6
	stateJob      = 7
)

func rangeKey(id RangeID) []byte {
	return binary.BigEndian.AppendUint64([]byte{stateRange}, uint64(id))
}

// Contains reports whether the document key (package keys, without its family)
// lies in the range.
func (d *Descriptor) Contains(docKey []byte) bool {
	return bytes.Compare(docKey, d.Start) >= 0 && (len(d.End) == 0 || bytes.Compare(docKey, d.End) < 0)
}

// overlaps reports whether a document key could lie in both ranges.
func (d *Descriptor) overlaps(o *Descriptor) bool {
	return d.Family == o.Family &&
		(len(d.End) == 0 || bytes.Compare(o.Start, d.End) < 0) &&
		(len(o.End) == 0 || bytes.Compare(d.Start, o.End) < 0)
}

// covers reports whether all keys of o lie in d.
func (d *Descriptor) covers(o *Descriptor) bool {
	return d.Family == o.Family && bytes.Compare(d.Start, o.Start) <= 0 &&
		(len(d.End) == 0 || len(o.End) > 0 && bytes.Compare(o.End, d.End) <= 0)
}

// check fails with Invalid on a descriptor that no directory would write.
func (d *Descriptor) check() error {
	switch {
	case d.Range == 0 || d.Epoch == 0 || d.Family == 0:
		return atoll.Errorf(atoll.Invalid, "range %d, epoch %d and family %d are to be above 0", d.Range, d.Epoch, d.Family)
	case len(d.End) > 0 && bytes.Compare(d.Start, d.End) >= 0:
		return atoll.Errorf(atoll.Invalid, "range %d is empty: its start %x is not before its end %x", d.Range, d.Start, d.End)
	}
	seen := make(map[RangeID]bool, len(d.Lineage))
	for _, a := range d.Lineage {
		if a.Range == d.Range || seen[a.Range] {
			return atoll.Errorf(atoll.Invalid, "the lineage of range %d names range %d twice; the later time is enough", d.Range, a.Range)
		}
		seen[a.Range] = true
	}
	return d.Database.Check()
}

// fullName returns the document's resource name, as clients know it.
func (d *Descriptor) fullName(p atoll.Path) string {
	return d.Database.String() + "/documents/" + string(p)
}

// assign makes the shard own a range, or changes one that it owns. The first
// canister to call becomes the one that may call again. It fails with
// PermissionDenied for another caller, Invalid for a malformed descriptor,
// FailedPrecondition if the epoch does not grow, the range would change its
// database or family, or a key would lie in two ranges.
func assign(ctx atoll.Context, in atoll.Input) error {
	if err := checkOwner(ctx.State(), in.Caller); err != nil {
		return err
	}
	var d Descriptor
	if err := wire.Unmarshal(in.Payload, &d); err != nil {
		return err
	}
	if err := d.check(); err != nil {
		return err
	}
	if self := ctx.Turn().Self; d.Shard != self {
		return atoll.Errorf(atoll.Invalid, "range %d is described as %s's; this is shard %s", d.Range, d.Shard, self)
	}
	owned, err := descriptors(ctx.State())
	if err != nil {
		return err
	}
	for i := range owned {
		if err := checkSuccession(&owned[i], &d); err != nil {
			return err
		}
	}
	if ctx.Turn().Semantics >= setSemantics && !slices.ContainsFunc(owned, func(have Descriptor) bool { return have.covers(&d) }) {
		if err := rebuildAll(ctx.State()); err != nil {
			return err
		}
	}
	ctx.State().Set([]byte{stateOwner}, []byte(in.Caller))
	ctx.State().Set(rangeKey(d.Range), wire.Marshal(&d))
	return nil
}

// checkOwner admits the directory: the canister that assigned first.
func checkOwner(state atoll.Reader, caller atoll.Principal) error {
	owner, ok, err := state.Get([]byte{stateOwner})
	if err != nil {
		return err
	}
	if ok && caller != atoll.Principal(owner) {
		return atoll.Errorf(atoll.PermissionDenied, "%s may not assign ranges to this shard; its directory %s may", caller, atoll.Principal(owner))
	}
	if _, canister := atoll.SubnetOf(caller); !canister {
		return atoll.Errorf(atoll.PermissionDenied, "%s may not assign ranges: it is no canister, and so no directory", caller)
	}
	return nil
}

// checkSuccession tells whether d may stand beside, or take the place of, a
// range that is owned already.
func checkSuccession(have, d *Descriptor) error {
	switch {
	case have.Range != d.Range:
		if have.overlaps(d) {
			return atoll.Errorf(atoll.FailedPrecondition, "range %d has keys in common with range %d at epoch %d; shrink that one first", d.Range, have.Range, have.Epoch)
		}
	case d.Epoch <= have.Epoch:
		return atoll.Errorf(atoll.FailedPrecondition, "range %d is at epoch %d; epoch %d is not after it", d.Range, have.Epoch, d.Epoch)
	case d.Database != have.Database || d.Family != have.Family:
		return atoll.Errorf(atoll.FailedPrecondition, "range %d is family %d of %s; it cannot become family %d of %s", d.Range, have.Family, have.Database, d.Family, d.Database)
	}
	return nil
}

// descriptors returns the owned ranges by id.
func descriptors(state atoll.Reader) ([]Descriptor, error) {
	var all []Descriptor
	it := state.Iter([]byte{stateRange}, []byte{stateRange + 1})
	for ok := it.SeekGE([]byte{stateRange}); ok; ok = it.Next() {
		var d Descriptor
		if err := decodeOwn("range descriptor", it.Value(), &d); err != nil {
			return nil, closeAfter(it, err)
		}
		all = append(all, d)
	}
	return all, it.Close()
}

// resolve returns the owned range that a request is meant for. It fails with
// WrongRange, whose data is the range's descriptor as the shard has it. If the
// shard has none, it is that of the range which holds the path near, if any.
func resolve(state atoll.Reader, t Target, near atoll.Path) (*Descriptor, error) {
	stored, ok, err := state.Get(rangeKey(t.Range))
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, notOwned(state, t, near)
	}
	d := new(Descriptor)
	if err := decodeOwn("range descriptor", stored, d); err != nil {
		return nil, err
	}
	if d.Epoch != t.Epoch {
		return nil, wrongRange(d, "range %d is at epoch %d here, not %d; fetch the map", d.Range, d.Epoch, t.Epoch)
	}
	return d, nil
}

func notOwned(state atoll.Reader, t Target, near atoll.Path) error {
	all, err := descriptors(state)
	if err != nil {
		return err
	}
	key := keys.DocKey(placement, near)
	i := slices.IndexFunc(all, func(d Descriptor) bool { return d.Contains(key) })
	if i < 0 {
		return atoll.Errorf(atoll.WrongRange, "this shard does not own range %d; fetch the map", t.Range)
	}
	return wrongRange(&all[i], "this shard does not own range %d, but range %d at epoch %d; fetch the map", t.Range, all[i].Range, all[i].Epoch)
}

// wrongRange carries the descriptor that the sender should have used.
func wrongRange(d *Descriptor, format string, args ...any) error {
	e := atoll.Errorf(atoll.WrongRange, format, args...)
	e.Data = wire.Marshal(d)
	return e
}

// outside says that a path does not lie in the range that the request names.
func outside(d *Descriptor, p atoll.Path) error {
	return wrongRange(d, "%q is outside of range %d at epoch %d; fetch the map", p, d.Range, d.Epoch)
}

// horizons are the times below which things are forgotten. They never fall.
type horizons struct {
	Versions atoll.Time `cbor:"1,keyasint"` // reads before it are refused
	Latest   atoll.Time `cbor:"2,keyasint"` // the feed before it is not whole
}

func loadHorizons(state atoll.Reader) (h horizons, err error) {
	stored, ok, err := state.Get([]byte{stateHorizons})
	if err != nil || !ok {
		return h, err
	}
	return h, decodeOwn("horizon", stored, &h)
}

// status tells what the shard owns and how far back it can be read.
func status(state atoll.Reader) (*Status, error) {
	ranges, err := descriptors(state)
	if err != nil {
		return nil, err
	}
	h, err := loadHorizons(state)
	if err != nil {
		return nil, err
	}
	return &Status{Ranges: ranges, Horizon: h.Versions, Feed: h.Latest}, nil
}

// decodeOwn reads what this package wrote; it fails with DataLoss.
func decodeOwn(what string, b []byte, v any) error {
	if err := wire.Unmarshal(b, v); err != nil {
		return damaged(what, b)
	}
	return nil
}

// closeAfter closes an iterator that is left because of err.
func closeAfter(it atoll.Iterator, err error) error {
	if closed := it.Close(); closed != nil {
		return closed
	}
	return err
}
