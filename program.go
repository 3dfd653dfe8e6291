package atoll

// Program is the deterministic state machine of a canister. It reads no clock,
// draws no randomness and starts nothing: all it depends on is in its
// arguments. One value serves all canisters of its kind, several at once, and
// so holds no state.
type Program interface {
	// Update executes one message and returns the reply. What it changed is
	// kept only if it returns nil or ErrDeferred; on another error, or a
	// panic, everything is rolled back and the error is the reply.
	Update(ctx Context, in Input) (reply []byte, err error)
	// Query answers from durable state and changes nothing. It may run at
	// any time, many at once.
	Query(v View, q Question) (reply []byte, err error)
}

// JointProgram is a Program that can execute one message over several of its
// canisters on one subnet at once. ctxs are in the order of Message.To.
type JointProgram interface {
	Program
	UpdateJoint(ctxs []Context, in Input) (reply []byte, err error)
}

// ErrDeferred is returned by Update to say that the reply to this message will
// be given later, with Context.Reply.
var ErrDeferred = Errorf(OK, "the reply is deferred")

// Input is one message as its receiver sees it.
type Input struct {
	Call    CallID    // to Reply to, after ErrDeferred; for a reply, the call that it answers
	IsReply bool      // the answer to a call of this canister's own
	ID      RequestID // of an ingress message; zero between canisters
	Caller  Principal
	Claims  []byte
	Method  string
	Payload []byte
	Cycles  uint64 // that came with it, already credited
	Err     *Error // of a reply: the call failed
	Tag     []byte // of a reply: what Context.Call was given
}

// Turn is what surrounds the execution of one message.
type Turn struct {
	Self      CanisterID
	Subnet    SubnetID
	Now       Time // the commit time of an update; for a query the time up to which all is durable
	Height    Height
	Semantics Semantics
	Seed      [16]byte // of the block, mixed with the message's place in it; zero for a query
}

// Context is what a program may do while it executes an update.
type Context interface {
	Turn() Turn
	// State holds the canister's own keys, those of no other.
	State() State
	// Ranges holds the documents' key space of the subnet, in which a shard
	// keeps to the ranges it owns; nil for other programs.
	Ranges() State
	// Call sends a request to a canister, anywhere. The reply comes as an
	// Input with IsReply and this tag; it always comes, if only as an error.
	// It fails with ResourceExhausted if too many calls are open or the
	// cycles are not there.
	Call(to CanisterID, method string, payload []byte, cycles uint64, tag []byte) (CallID, error)
	// Reply answers a deferred call. Answering twice is Invalid.
	Reply(id CallID, payload []byte, err *Error) error
}

// State is a reader that can be written to. Writes are read back at once.
type State interface {
	Reader
	Set(key, value []byte)
	Delete(key []byte)
}

// View is what a query may read.
type View interface {
	Turn() Turn
	State() Reader
	Ranges() Reader // nil if Context.Ranges is
}

// Question is a query as its receiver sees it.
type Question struct {
	Caller  Principal
	Claims  []byte
	Method  string
	Payload []byte
}
