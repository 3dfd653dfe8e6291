package route

import (
	"context"
	"slices"

	"atoll"
	"atoll/program/directory"
	"atoll/program/shard"
	"atoll/wire"
)

// Administrator is the caller as whom the doors send what the installation's
// administrator asks for.
const Administrator = directory.Administrator

// IndexSet is what is set about a database's indexes, and how far it is done
// over all shards. An index is ready when it is on all of them.
type IndexSet struct {
	Version    uint64 // 0: they were never set
	Composites []shard.CompositeProgress
	Fields     []FieldProgress
	// Back are the collection groups whose fields are on their way back to what
	// they are by default: nothing is set for them any more.
	Back []shard.FieldsProgress
	// Problem tells what went wrong with a shard when the indexes were last
	// set; setting them again repeats it.
	Problem string
}

// FieldProgress is how far the index of one field is that is set otherwise than
// by default.
type FieldProgress struct {
	shard.FieldIndex
	shard.IndexProgress
}

// SetIndexes replaces what is set about a database's indexes, and returns when
// all shards maintain it, while they still build. Ids and version of spec are
// not looked at: an index that is there already keeps its id and is left alone,
// unless its build has failed, which is tried again. A new database is opened.
//
// Its errors are those of directory.SetIndexesRequest: PermissionDenied unless
// who is the Administrator.
func (r *Router) SetIndexes(ctx context.Context, db atoll.Database, spec shard.IndexConfig, who Caller) (directory.Indexes, error) {
	return r.setIndexes(ctx, db, directory.SetIndexesRequest{Config: spec}, who)
}

// ChangeIndexes is SetIndexes on the condition that nobody has set the indexes
// since a version (IndexSet.Version); if so it fails with Aborted.
func (r *Router) ChangeIndexes(ctx context.Context, db atoll.Database, version uint64, spec shard.IndexConfig, who Caller) (directory.Indexes, error) {
	return r.setIndexes(ctx, db, directory.SetIndexesRequest{Config: spec, IfVersion: &version}, who)
}

func (r *Router) setIndexes(ctx context.Context, db atoll.Database, req directory.SetIndexesRequest, who Caller) (set directory.Indexes, err error) {
	if err := req.Config.Check(); err != nil {
		return set, err
	}
	if err := db.Check(); err != nil {
		return set, err
	}
	e, err := r.find(ctx, db, who)
	if err != nil {
		return set, err
	}
	b, err := r.update(ctx, atoll.Message{
		ID: NewRequestID(), From: who.Principal, To: []atoll.CanisterID{e.Directory}, Method: directory.MethodSetIndexes,
		Payload: wire.Marshal(req), Expires: r.expires(ctx), Claims: who.Claims,
	})
	if err != nil {
		return set, err
	}
	return set, decode(b, &set, "directory")
}

// Indexes returns what is set about a database's indexes and how far it is
// done. A database that does not exist yet is opened. It fails with
// PermissionDenied unless who is the Administrator.
func (r *Router) Indexes(ctx context.Context, db atoll.Database, who Caller) (all IndexSet, err error) {
	t, err := r.table(ctx, db, who)
	if err != nil {
		return all, err
	}
	e, err := r.find(ctx, db, who)
	if err != nil {
		return all, err
	}
	b, err := r.query(ctx, e.Directory, who, directory.MethodIndexes, 0, nil)
	if err != nil {
		return all, err
	}
	var set directory.Indexes
	if err := decode(b, &set, "directory"); err != nil {
		return all, err
	}
	var shards []shard.IndexStatus
	asked := map[atoll.CanisterID]bool{}
	for i := range t.ranges {
		to := t.ranges[i].Shard
		if asked[to] {
			continue
		}
		asked[to] = true
		b, err := r.query(ctx, to, who, shard.MethodIndexStatus, 0, nil)
		if err != nil {
			return all, err
		}
		var status shard.IndexStatus
		if err := decode(b, &status, "shard"); err != nil {
			return all, err
		}
		shards = append(shards, status)
	}
	return joinStatus(&set, shards), nil
}

// joinStatus sums up what the directory and the shards say.
func joinStatus(set *directory.Indexes, shards []shard.IndexStatus) IndexSet {
	all := IndexSet{Version: set.Config.Version, Problem: set.Problem}
	for _, x := range set.Config.Composites {
		c := shard.CompositeProgress{Index: x}
		for i := range shards {
			c.IndexProgress = join(c.IndexProgress, compositeOf(&shards[i], x.ID), i)
		}
		all.Composites = append(all.Composites, c)
	}
	// Those that are going are known to the shards alone.
	place := map[uint32]int{}
	for i := range shards {
		for _, c := range shards[i].Composites {
			if c.State != shard.IndexDeleting {
				continue
			}
			n, known := place[c.Index.ID]
			if !known {
				place[c.Index.ID] = len(all.Composites)
				all.Composites = append(all.Composites, c)
				continue
			}
			all.Composites[n].IndexProgress = join(all.Composites[n].IndexProgress, c.IndexProgress, 1)
		}
	}
	for _, f := range set.Config.Exempt {
		p := FieldProgress{FieldIndex: f}
		for i := range shards {
			p.IndexProgress = join(p.IndexProgress, fieldsOf(&shards[i], set.Config.Version, f.Collection), i)
		}
		all.Fields = append(all.Fields, p)
	}
	all.Back = back(set.Config.Exempt, shards)
	return all
}

// back joins what shards say of collection groups for which nothing is set.
func back(exempt []shard.FieldIndex, shards []shard.IndexStatus) (out []shard.FieldsProgress) {
	for i := range shards {
		for _, f := range shards[i].Fields {
			if slices.ContainsFunc(exempt, func(e shard.FieldIndex) bool { return e.Collection == f.Collection }) {
				continue
			}
			n := slices.IndexFunc(out, func(o shard.FieldsProgress) bool { return o.Collection == f.Collection })
			if n < 0 {
				out = append(out, f)
				continue
			}
			out[n].IndexProgress = join(out[n].IndexProgress, f.IndexProgress, 1)
		}
	}
	return out
}

// join adds what the n-th shard, from 0, says of an index to what the ones
// before have said.
func join(a, b shard.IndexProgress, n int) shard.IndexProgress {
	if n == 0 {
		return b
	}
	rank := func(s shard.IndexState) int {
		switch s {
		case shard.IndexFailed:
			return 3
		case shard.IndexBuilding:
			return 2
		case shard.IndexDeleting:
			return 1
		}
		return 0
	}
	if rank(b.State) > rank(a.State) {
		a.State = b.State
	}
	if a.Reason == "" {
		a.Reason = b.Reason
	}
	a.Documents += b.Documents
	a.Estimate += b.Estimate
	a.Entries += b.Entries
	a.Whole = max(a.Whole, b.Whole)
	return a
}

// compositeOf returns what a shard says of an index; one that it does not know
// yet has still to be built.
func compositeOf(s *shard.IndexStatus, id uint32) shard.IndexProgress {
	for i := range s.Composites {
		if s.Composites[i].Index.ID == id {
			return s.Composites[i].IndexProgress
		}
	}
	return shard.IndexProgress{State: shard.IndexBuilding}
}

// fieldsOf returns what a shard says of the fields of a collection. With
// nothing under way the fields of a version that it follows are as set.
func fieldsOf(s *shard.IndexStatus, version uint64, collection string) shard.IndexProgress {
	for i := range s.Fields {
		if s.Fields[i].Collection == collection {
			return s.Fields[i].IndexProgress
		}
	}
	if s.Version < version {
		return shard.IndexProgress{State: shard.IndexBuilding}
	}
	return shard.IndexProgress{State: shard.IndexReady}
}
