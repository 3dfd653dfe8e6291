package directory

import (
	"math"
	"slices"

	"atoll"
	"atoll/program/shard"
	"atoll/wire"
)

// Keys of the canister's state: "indexes" -> indexes. A database whose indexes
// were never set has none.
var indexesKey = []byte("indexes")

// indexes is what a directory keeps of the indexes.
type indexes struct {
	Indexes
	NextID  uint32          `cbor:"10,keyasint"`           // of the next new composite index
	Failure atoll.Kind      `cbor:"14,keyasint,omitempty"` // of Problem
	Last    atoll.RequestID `cbor:"11,keyasint"`           // of the last change, in case it is repeated
	Open    int             `cbor:"12,keyasint,omitempty"` // shards that were told and have not answered
	Waiting []atoll.CallID  `cbor:"13,keyasint,omitempty"` // who is told when they have
}

// maxWaiting is how many may wait for one change of the indexes.
const maxWaiting = 100

// stepIndexes is the tag of the call by which a shard is told of the indexes.
const stepIndexes = "indexes"

// administers fails with PermissionDenied if a caller may not see or change how
// the database is set up.
func (r *record) administers(caller atoll.Principal) error {
	if caller == atoll.Management || caller == Administrator || caller == r.Owner {
		return nil
	}
	return atoll.Errorf(atoll.PermissionDenied, "%s may not administer %s; its administrator may", caller, r.Map.Ranges[0].Database)
}

// administered returns the record of a database that is ready, to who may
// change it.
func administered(s atoll.Reader, caller atoll.Principal) (r record, x indexes, err error) {
	r, ok, err := load(s)
	if err != nil {
		return r, x, err
	}
	if !ok || !r.Ready {
		return r, x, atoll.Errorf(atoll.Unavailable, "the directory is not initialised yet")
	}
	if err := r.administers(caller); err != nil {
		return r, x, err
	}
	x, err = loadIndexes(s)
	return r, x, err
}

func loadIndexes(s atoll.Reader) (x indexes, err error) {
	x.NextID = shard.FirstComposite
	raw, ok, err := s.Get(indexesKey)
	if err != nil || !ok {
		return x, err
	}
	return x, wire.Unmarshal(raw, &x)
}

// setIndexes changes the indexes and tells the shards.
func setIndexes(ctx atoll.Context, in atoll.Input) ([]byte, error) {
	r, x, err := administered(ctx.State(), in.Caller)
	if err != nil {
		return nil, err
	}
	if in.ID != (atoll.RequestID{}) && in.ID == x.Last {
		return again(ctx, in, &x)
	}
	var req SetIndexesRequest
	if err := wire.Unmarshal(in.Payload, &req); err != nil {
		return nil, err
	}
	if x.Open > 0 {
		return nil, atoll.Errorf(atoll.Unavailable, "version %d of the indexes is on its way to the shards; try again in a moment", x.Config.Version)
	}
	if v := req.IfVersion; v != nil && *v != x.Config.Version {
		return nil, atoll.Errorf(atoll.Aborted, "the indexes are at version %d and the change was made from version %d; look at them again", x.Config.Version, *v)
	}
	if err := x.change(req.Config); err != nil {
		return nil, err
	}
	x.Last, x.Pending, x.Problem = in.ID, true, ""
	x.Waiting = []atoll.CallID{in.Call}
	var told []atoll.CanisterID
	for i := range r.Map.Ranges {
		to := r.Map.Ranges[i].Shard
		if slices.Contains(told, to) {
			continue
		}
		told = append(told, to)
		if _, err := ctx.Call(to, shard.MethodIndexes, wire.Marshal(x.Config), 0, []byte(stepIndexes)); err != nil {
			return nil, err
		}
	}
	x.Open = len(told)
	ctx.State().Set(indexesKey, wire.Marshal(x))
	return nil, atoll.ErrDeferred
}

// again answers a change that has come before.
func again(ctx atoll.Context, in atoll.Input, x *indexes) ([]byte, error) {
	if x.Open == 0 {
		return x.reply()
	}
	if len(x.Waiting) >= maxWaiting {
		return nil, atoll.Errorf(atoll.ResourceExhausted, "%d requests wait for this change of the indexes already", len(x.Waiting))
	}
	x.Waiting = append(x.Waiting, in.Call)
	ctx.State().Set(indexesKey, wire.Marshal(x))
	return nil, atoll.ErrDeferred
}

// change makes next the configuration, with ids.
func (x *indexes) change(next shard.IndexConfig) error {
	if err := next.Check(); err != nil {
		return err
	}
	for i := range next.Composites {
		c := &next.Composites[i]
		if j := slices.IndexFunc(x.Config.Composites, func(old shard.CompositeIndex) bool { return old.Same(c) }); j >= 0 {
			c.ID = x.Config.Composites[j].ID
			continue
		}
		if x.NextID == math.MaxUint32 {
			return atoll.Errorf(atoll.ResourceExhausted, "this database has used up all numbers of indexes")
		}
		c.ID = x.NextID
		x.NextID++
	}
	next.Version = x.Config.Version + 1
	x.Config = next
	return nil
}

// onIndexes notes that a shard has the indexes, or why not, and tells who waits
// once all have answered.
func onIndexes(ctx atoll.Context, in atoll.Input) error {
	x, err := loadIndexes(ctx.State())
	if err != nil {
		return err
	}
	if in.Err != nil && x.Problem == "" {
		x.Problem = in.Err.Msg
		x.Failure = in.Err.Kind
	}
	if x.Open--; x.Open == 0 {
		x.Pending = false
		reply, failure := x.reply()
		for _, call := range x.Waiting {
			if err := ctx.Reply(call, reply, atoll.AsError(failure)); err != nil {
				return err
			}
		}
		x.Waiting = nil
	}
	ctx.State().Set(indexesKey, wire.Marshal(x))
	return nil
}

// reply is the answer to a change that all shards were told of.
func (x *indexes) reply() ([]byte, error) {
	if x.Problem != "" {
		return nil, atoll.Errorf(x.Failure, "version %d of the indexes is set, but a shard could not take it: %s", x.Config.Version, x.Problem)
	}
	return wire.Marshal(x.Indexes), nil
}

// listIndexes answers MethodIndexes.
func listIndexes(v atoll.View, q atoll.Question) ([]byte, error) {
	_, x, err := administered(v.State(), q.Caller)
	if err != nil {
		return nil, err
	}
	return wire.Marshal(x.Indexes), nil
}
