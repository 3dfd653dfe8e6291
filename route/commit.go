package route

import (
	"context"
	"slices"

	"atoll"
	"atoll/program/shard"
	"atoll/wire"
)

// Commit changes documents, all or none, and returns when that is durable. A
// message with an unknown outcome is sent again under the same id a few times
// within ctx; if the outcome is still not known the error's kind is Unknown,
// DeadlineExceeded or Canceled, and the caller may commit the same writes with
// the same id again. Every other error means that nothing was changed. Writes
// to ranges of several subnets are refused with Unimplemented.
func (r *Router) Commit(ctx context.Context, db atoll.Database, writes []shard.Write, id atoll.RequestID, who Caller) (shard.CommitReply, error) {
	return r.CommitIf(ctx, db, writes, Reads{}, id, who)
}

// Reads are what a transaction has read, for its commit to check.
type Reads struct {
	Documents []shard.DocumentCheck
	Queries   []shard.QueryCheck // normalised
}

// CommitIf is Commit on the condition that all of reads would still be read as
// they were; if not, it fails with Aborted and changes nothing. It goes to all
// ranges where something was read or could have been found, which must lie
// where one commit can write.
func (r *Router) CommitIf(ctx context.Context, db atoll.Database, writes []shard.Write, reads Reads, id atoll.RequestID, who Caller) (shard.CommitReply, error) {
	var reply shard.CommitReply
	if len(writes) == 0 {
		return reply, atoll.Errorf(atoll.Invalid, "a commit needs at least one write")
	}
	m := atoll.Message{ID: id, From: who.Principal, Method: shard.MethodCommit, Claims: who.Claims, Expires: r.expires(ctx)}
	for corrected := false; ; corrected = true {
		t, err := r.table(ctx, db, who)
		if err != nil {
			return reply, err
		}
		if m.To, m.Payload, err = t.address(writes, reads); err != nil {
			return reply, err
		}
		b, err := r.update(ctx, m)
		if atoll.KindOf(err) == atoll.WrongRange {
			r.correct(t, err)
			if !corrected {
				continue
			}
			return reply, moved(db)
		}
		if err != nil {
			return reply, err
		}
		if err := decode(b, &reply, "shard"); err != nil {
			return reply, err
		}
		if len(reply.Results) != len(writes) {
			return reply, &atoll.Error{Kind: atoll.Internal, Msg: "the shard answered another number of writes than were sent"}
		}
		return reply, nil
	}
}

// moved is the answer if the corrected map was wrong as well: ranges move
// faster than the map is read, so nothing was done and it is time to wait.
func moved(db atoll.Database) error {
	return atoll.Errorf(atoll.Unavailable, "ranges of %s are moving; try again", db)
}

// address says to which shards a commit goes, and what it says to them.
func (t *table) address(writes []shard.Write, reads Reads) ([]atoll.CanisterID, []byte, error) {
	used := make([]bool, len(t.ranges))
	for i := range writes {
		used[t.of(writes[i].Path)] = true
	}
	for i := range reads.Documents {
		used[t.of(reads.Documents[i].Path)] = true
	}
	for i := range reads.Queries {
		first, last := t.within(span(&reads.Queries[i].Query))
		for n := first; n <= last; n++ {
			used[n] = true
		}
	}
	var to []atoll.CanisterID
	req := shard.CommitRequest{Writes: writes, Documents: reads.Documents, Queries: reads.Queries}
	var subnet atoll.SubnetID
	for i := range t.ranges {
		if !used[i] {
			continue
		}
		d := &t.ranges[i]
		if len(to) > 0 && d.Subnet != subnet {
			return nil, nil, atoll.Errorf(atoll.Unimplemented,
				"the writes lie on several subnets (%d and %d); commits across subnets are not supported yet: commit them separately", subnet, d.Subnet)
		}
		if slices.Contains(to, d.Shard) {
			return nil, nil, atoll.Errorf(atoll.Unimplemented,
				"the writes lie in several ranges of one shard, which one commit cannot name yet: commit them separately")
		}
		subnet = d.Subnet
		to = append(to, d.Shard)
		req.Targets = append(req.Targets, target(d))
	}
	return to, wire.Marshal(req), nil
}
