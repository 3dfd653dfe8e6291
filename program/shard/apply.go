package shard

import (
	"atoll"
	"atoll/wire"
)

// apply executes each write of a request as a commit of its own, with an id of
// its own, all at one time: what a write does, and what is kept of it, is what
// a CommitRequest with it alone would do and keep, so that a repetition may
// come either way. A write that cannot be done is told of in its result and
// changes nothing. Errors: WrongRange, and Invalid for a malformed request; then
// nothing was done at all.
func (p Program) apply(ctx atoll.Context, in atoll.Input) ([]byte, error) {
	var req ApplyRequest
	if err := wire.Unmarshal(in.Payload, &req); err != nil {
		return nil, err
	}
	if err := req.check(); err != nil {
		return nil, err
	}
	all := &commitment{now: ctx.Turn().Now}
	if err := all.join([]atoll.Context{ctx}, &CommitRequest{Targets: []Target{req.Target}, Writes: req.Writes}); err != nil {
		return nil, err
	}
	reply := ApplyReply{Results: make([]Applied, len(req.Writes))}
	for i := range req.Writes {
		one := &commitment{now: all.now, parts: all.parts, planted: p.planted}
		stored, err := one.run(atoll.Input{ID: req.IDs[i], Caller: in.Caller}, &CommitRequest{Writes: req.Writes[i : i+1]})
		if err != nil {
			if !ofTheWrite(err) {
				return nil, err
			}
			reply.Results[i].Err = atoll.AsError(err)
			continue
		}
		var done CommitReply
		if err := wire.Unmarshal(stored, &done); err != nil || len(done.Results) != 1 {
			return nil, damaged("result", stored)
		}
		reply.Results[i].WriteResult = done.Results[0]
	}
	return wire.Marshal(&reply), nil
}

// ofTheWrite reports whether an error speaks of the write alone: others would
// come of it, or after it.
func ofTheWrite(err error) bool {
	switch atoll.KindOf(err) {
	case atoll.Invalid, atoll.NotFound, atoll.AlreadyExists, atoll.FailedPrecondition, atoll.PermissionDenied, atoll.ResourceExhausted:
		return true
	}
	return false
}

// check fails with Invalid on a request that no router sends.
func (r *ApplyRequest) check() error {
	if len(r.Writes) > MaxApply || len(r.IDs) != len(r.Writes) {
		return atoll.Errorf(atoll.Invalid, "%d writes have %d request ids; each needs one, and %d are allowed", len(r.Writes), len(r.IDs), MaxApply)
	}
	seen := make(map[atoll.Path]bool, len(r.Writes))
	for i := range r.Writes {
		if p := r.Writes[i].Path; seen[p] {
			return atoll.Errorf(atoll.Invalid, "%q is written twice; writes that are done each by itself have no order", p)
		} else {
			seen[p] = true
		}
	}
	return nil
}
