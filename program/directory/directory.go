package directory

import (
	"bytes"

	"atoll"
	"atoll/program/shard"
	"atoll/subnet"
	"atoll/wire"
)

// Keys of the canister's state: "map" -> record.
var mapKey = []byte("map")

// record is all that a directory keeps.
type record struct {
	Map   Map             `cbor:"1,keyasint"`
	Owner atoll.Principal `cbor:"2,keyasint"`           // who initialised it
	Asked atoll.CallID    `cbor:"3,keyasint,omitempty"` // the init call, while it is under way
	Ready bool            `cbor:"4,keyasint,omitempty"`
}

// RouteLease is how long, in microseconds, a client may use a descriptor
// without asking again.
const RouteLease atoll.Time = 10_000_000

// Steps of an init, as tags of the calls that it makes.
const (
	stepCreate = "create"
	stepAssign = "assign"
)

// Program is the directory program.
type Program struct{}

var _ atoll.Program = Program{}

// Update implements atoll.Program.
func (Program) Update(ctx atoll.Context, in atoll.Input) ([]byte, error) {
	switch {
	case in.IsReply && string(in.Tag) == stepIndexes:
		return nil, onIndexes(ctx, in)
	case in.IsReply:
		return nil, onReply(ctx, in)
	case in.Method == MethodSetIndexes:
		return setIndexes(ctx, in)
	case in.Method == MethodInit:
		return nil, initialize(ctx, in)
	}
	return nil, atoll.Errorf(atoll.Unimplemented, "a directory has no update %q", in.Method)
}

// initialize begins to make the first shard; the reply comes when it is ready.
func initialize(ctx atoll.Context, in atoll.Input) error {
	if in.ID != (atoll.RequestID{}) {
		return atoll.Errorf(atoll.PermissionDenied, "a directory is initialised by the canister that created it")
	}
	var req InitRequest
	if err := wire.Unmarshal(in.Payload, &req); err != nil {
		return err
	}
	if err := req.Database.Check(); err != nil {
		return err
	}
	if _, ok, err := load(ctx.State()); err != nil || ok {
		if err == nil {
			err = atoll.Errorf(atoll.FailedPrecondition, "the directory is initialised already")
		}
		return err
	}
	t := ctx.Turn()
	r := record{Owner: in.Caller, Asked: in.Call, Map: Map{
		Incarnation: t.Seed,
		Ranges: []shard.Descriptor{{
			Range: 1, Epoch: 1, Database: req.Database, Family: req.Family, Subnet: req.Subnet, Lease: RouteLease,
		}},
	}}
	_, err := ctx.Call(subnet.ManagementOf(req.Subnet), subnet.MethodCreate,
		wire.Marshal(subnet.CreateRequest{Program: "shard"}), req.Cycles, []byte(stepCreate))
	if err != nil {
		return err
	}
	save(ctx.State(), r)
	return atoll.ErrDeferred
}

// onReply takes the next step of an init.
func onReply(ctx atoll.Context, in atoll.Input) error {
	r, ok, err := load(ctx.State())
	if err != nil || !ok {
		return err
	}
	if in.Err != nil {
		ctx.State().Delete(mapKey)
		return ctx.Reply(r.Asked, nil, in.Err)
	}
	d := &r.Map.Ranges[0]
	switch string(in.Tag) {
	case stepCreate:
		var made subnet.CreateReply
		if err := wire.Unmarshal(in.Payload, &made); err != nil {
			return err
		}
		d.Shard = made.Canister
		if _, err := ctx.Call(d.Shard, shard.MethodAssign, wire.Marshal(*d), 0, []byte(stepAssign)); err != nil {
			ctx.State().Delete(mapKey)
			return ctx.Reply(r.Asked, nil, atoll.AsError(err))
		}
	case stepAssign:
		r.Ready, r.Map.Version = true, 1
		if err := ctx.Reply(r.Asked, wire.Marshal(r.Map), nil); err != nil {
			return err
		}
		r.Asked = 0
	}
	save(ctx.State(), r)
	return nil
}

// Query implements atoll.Program.
func (Program) Query(v atoll.View, q atoll.Question) ([]byte, error) {
	switch q.Method {
	case MethodMap:
		return ranges(v, q)
	case MethodIndexes:
		return listIndexes(v, q)
	}
	return nil, atoll.Errorf(atoll.Unimplemented, "a directory has no query %q", q.Method)
}

// ranges answers MethodMap.
func ranges(v atoll.View, q atoll.Question) ([]byte, error) {
	var req MapRequest
	if err := wire.Unmarshal(q.Payload, &req); err != nil {
		return nil, err
	}
	r, ok, err := load(v.State())
	if err != nil {
		return nil, err
	}
	if !ok || !r.Ready {
		return nil, atoll.Errorf(atoll.Unavailable, "the directory is not initialised yet")
	}
	m := r.Map
	m.Ranges = nil
	for _, d := range r.Map.Ranges {
		if (req.Family == 0 || d.Family == req.Family) && meets(d, req.Start, req.End) {
			m.Ranges = append(m.Ranges, d)
		}
	}
	return wire.Marshal(m), nil
}

// meets reports whether a range has keys in start <= key < end; an empty bound
// is none.
func meets(d shard.Descriptor, start, end []byte) bool {
	return (len(end) == 0 || bytes.Compare(d.Start, end) < 0) && (len(d.End) == 0 || bytes.Compare(start, d.End) < 0)
}

func load(s atoll.Reader) (r record, ok bool, err error) {
	raw, ok, err := s.Get(mapKey)
	if err != nil || !ok {
		return r, false, err
	}
	return r, true, wire.Unmarshal(raw, &r)
}

func save(s atoll.State, r record) { s.Set(mapKey, wire.Marshal(r)) }
