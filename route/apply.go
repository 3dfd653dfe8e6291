package route

import (
	"context"
	"slices"

	"atoll"
	"atoll/program/shard"
	"atoll/wire"
)

// Apply does writes to different documents each by itself, in no order, and
// tells what became of each: exactly what as many Commits would do, under the
// ids of the same places, with one message for each range. A result whose
// error's kind is Unknown, DeadlineExceeded or Canceled may or may not have been
// done; that write may be sent again with its id, here or by Commit. Apply
// itself fails only if nothing was done, with Unimplemented if a subnet runs a
// semantics version that does not know it: then Commit does.
func (r *Router) Apply(ctx context.Context, db atoll.Database, writes []shard.Write, ids []atoll.RequestID, who Caller) ([]shard.Applied, error) {
	if len(ids) != len(writes) {
		return nil, atoll.Errorf(atoll.Invalid, "%d writes have %d request ids; each needs one", len(writes), len(ids))
	}
	paths := make([]atoll.Path, len(writes))
	pending := make([]int, len(writes))
	for i := range writes {
		paths[i], pending[i] = writes[i].Path, i
	}
	out := make([]shard.Applied, len(writes))
	for len(pending) > 0 {
		var page, rest []int
		var results []shard.Applied
		err := r.attempt(ctx, db, who, func(t *table) (err error) {
			var d *shard.Descriptor
			d, page, rest = t.page(paths, pending)
			if len(page) > shard.MaxApply {
				page, rest = page[:shard.MaxApply], slices.Concat(page[shard.MaxApply:], rest)
			}
			results, err = r.applyTo(ctx, d, writes, ids, page, who)
			return err
		})
		if nothing := len(pending) == len(writes); nothing && (page == nil || atoll.KindOf(err) == atoll.Unimplemented) {
			return nil, err
		}
		if page == nil { // there is no map any more
			page, rest = pending, nil
		}
		for n, i := range page {
			if err != nil {
				out[i].Err = atoll.AsError(err)
			} else {
				out[i] = results[n]
			}
		}
		pending = rest
	}
	return out, nil
}

// applyTo sends the writes of some places to the owner of their range.
func (r *Router) applyTo(ctx context.Context, d *shard.Descriptor, writes []shard.Write, ids []atoll.RequestID, page []int, who Caller) ([]shard.Applied, error) {
	req := shard.ApplyRequest{Target: target(d), Writes: make([]shard.Write, len(page)), IDs: make([]atoll.RequestID, len(page))}
	named := make([]byte, 0, len(page)*len(atoll.RequestID{}))
	for n, i := range page {
		req.Writes[n], req.IDs[n] = writes[i], ids[i]
		named = append(named, ids[i][:]...)
	}
	m := atoll.Message{
		From: who.Principal, To: []atoll.CanisterID{d.Shard}, Method: shard.MethodApply,
		Payload: wire.Marshal(req), Claims: who.Claims, Expires: r.expires(ctx),
	}
	// The message's own id is for its way only: the shard keeps those of the
	// writes.
	sum := wire.Sum(named)
	copy(m.ID[:], sum[:])
	b, err := r.update(ctx, m)
	if err != nil {
		return nil, err
	}
	var reply shard.ApplyReply
	if err := decode(b, &reply, "shard"); err != nil {
		return nil, err
	}
	if len(reply.Results) != len(page) {
		return nil, &atoll.Error{Kind: atoll.Internal, Msg: "the shard answered another number of writes than were sent"}
	}
	return reply.Results, nil
}
