package shard

import (
	"atoll"
	"atoll/planted"
	"atoll/wire"
)

// Program is the shard program. It holds no state; one value serves every
// shard.
type Program struct {
	planted planted.Set
	limits  limits
}

var _ atoll.JointProgram = Program{}

// New returns the shard program.
func New() Program { return Program{limits: usual} }

// NewPlanted returns the shard program with defects in it, for the simulator's
// own tests. It knows SkipFeedEntry, ReadWrongTime, RequestForgotten,
// HistoryTooShort and all defects of queries.
func NewPlanted(defects planted.Set) Program { return Program{planted: defects, limits: usual} }

// WithScan returns the program with another limit of the keys that a page of a
// query may read than MaxScan, for the simulator, whose databases are small.
func (p Program) WithScan(keys int) Program {
	p.limits.scan = keys
	return p
}

// Update executes commit, apply, assign, collect, indexes and build. Its errors: Unimplemented for
// another method, Invalid for a malformed request, those of the method else.
func (p Program) Update(ctx atoll.Context, in atoll.Input) ([]byte, error) {
	if in.IsReply {
		return nil, atoll.Errorf(atoll.Invalid, "a shard makes no calls, so it takes no replies")
	}
	if ctx.Turn().Semantics < since(in.Method) {
		return nil, noMethod("update", in.Method)
	}
	switch in.Method {
	case MethodCommit:
		return p.commit([]atoll.Context{ctx}, in)
	case MethodApply:
		return p.apply(ctx, in)
	case MethodAssign:
		return nil, assign(ctx, in)
	case MethodCollect:
		return p.collect(ctx, in)
	case MethodIndexes:
		return nil, setIndexes(ctx, in)
	case MethodBuild:
		return build(ctx, in)
	}
	return nil, noMethod("update", in.Method)
}

// setSemantics is the version from which on indexes can be set, so that writes
// look whether any are.
const setSemantics atoll.Semantics = 3

// since returns the semantics version from which on a shard has an update.
func since(method string) atoll.Semantics {
	switch method {
	case MethodApply:
		return 3
	case MethodIndexes, MethodBuild:
		return setSemantics
	}
	return 1
}

// UpdateJoint executes a commit over several shards: with one commit time, all
// of it or nothing.
func (p Program) UpdateJoint(ctxs []atoll.Context, in atoll.Input) ([]byte, error) {
	if in.Method != MethodCommit {
		return nil, noMethod("joint update", in.Method)
	}
	return p.commit(ctxs, in)
}

// Query answers get, list, collections, feed, query, aggregate and status. Its errors:
// Unimplemented for another method, Invalid for a malformed request,
// WrongRange for a range that is not the shard's, FailedPrecondition for a
// time before the horizon, OutOfRange for one after what is durable.
func (p Program) Query(v atoll.View, q atoll.Question) ([]byte, error) {
	switch q.Method {
	case MethodGet:
		return answer(v, q, p.get)
	case MethodList:
		return answer(v, q, list)
	case MethodCollections:
		return answer(v, q, collections)
	case MethodFeed:
		return answer(v, q, feed)
	case MethodQuery:
		return answer(v, q, p.find)
	case MethodAggregate:
		return answer(v, q, p.aggregate)
	case MethodGroup:
		return answer(v, q, p.group)
	case MethodIndexStatus:
		if err := mayAdminister(v.State(), q.Caller); err != nil {
			return nil, err
		}
		s, err := indexStatus(v.State())
		if err != nil {
			return nil, err
		}
		return wire.Marshal(s), nil
	case MethodStatus:
		s, err := status(v.State())
		if err != nil {
			return nil, err
		}
		return wire.Marshal(s), nil
	}
	return nil, noMethod("query", q.Method)
}

// answer decodes a question, asks f and encodes its reply.
func answer[Request, Reply any](v atoll.View, q atoll.Question, f func(atoll.View, *Request) (*Reply, error)) ([]byte, error) {
	var req Request
	if err := wire.Unmarshal(q.Payload, &req); err != nil {
		return nil, err
	}
	reply, err := f(v, &req)
	if err != nil {
		return nil, err
	}
	return wire.Marshal(reply), nil
}

func noMethod(kind, method string) error {
	return atoll.Errorf(atoll.Unimplemented, "a shard has no %s %.40q", kind, method)
}
