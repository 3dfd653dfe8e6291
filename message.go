package atoll

// The types of this file are logged and sent. They are encoded as CBOR maps
// with small integer keys (RFC 8949, core deterministic encoding): a field may
// be added under a new number, and none is ever renumbered or reused.

// Message is a request that comes from outside the subnet's canisters: from a
// gateway for some caller. Once logged it is executed exactly once.
type Message struct {
	ID      RequestID    `cbor:"1,keyasint"`
	From    Principal    `cbor:"2,keyasint"` // verified by the gateway
	To      []CanisterID `cbor:"3,keyasint"` // one; several for a joint message
	Method  string       `cbor:"4,keyasint"`
	Payload []byte       `cbor:"5,keyasint"`
	// Expires is the last block time at which the message may be executed;
	// later it is answered with DeadlineExceeded and changes nothing. 0: never.
	Expires Time `cbor:"6,keyasint,omitempty"`
	// Claims are the verified claims of the caller's token, for the rules.
	Claims []byte `cbor:"7,keyasint,omitempty"`
}

// Size is what the message weighs in queues and blocks, in bytes.
func (m *Message) Size() int {
	return 64 + len(m.From) + 16*len(m.To) + len(m.Method) + len(m.Payload) + len(m.Claims)
}

// Outcome is the answer to a Message: a payload, or an error.
type Outcome struct {
	ID      RequestID `cbor:"1,keyasint"`
	Time    Time      `cbor:"2,keyasint"` // at which the message was executed
	Payload []byte    `cbor:"3,keyasint,omitempty"`
	Err     *Error    `cbor:"4,keyasint,omitempty"`
}

// CallID numbers the calls that one canister has made, or has been asked and
// not answered.
type CallID uint64

// Letter is a message between canisters: a request, or the reply to one. Those
// of one pair are delivered exactly once and in the order in which they were
// sent.
type Letter struct {
	From    CanisterID `cbor:"1,keyasint"`
	To      CanisterID `cbor:"2,keyasint"`
	Call    CallID     `cbor:"3,keyasint"` // the requester's number
	IsReply bool       `cbor:"4,keyasint,omitempty"`
	Method  string     `cbor:"5,keyasint,omitempty"`
	Payload []byte     `cbor:"6,keyasint,omitempty"`
	Err     *Error     `cbor:"7,keyasint,omitempty"`
	Cycles  uint64     `cbor:"8,keyasint,omitempty"` // attached to a request; refunded with a reply
}

// Slice is a run of letters from another subnet, in the order of its stream.
type Slice struct {
	From    SubnetID `cbor:"1,keyasint"`
	First   uint64   `cbor:"2,keyasint"` // the number of the first letter in the stream, from 1
	Letters []Letter `cbor:"3,keyasint,omitempty"`
	// Acked is the highest number of our stream to them that they hold
	// durably: up to it we may forget.
	Acked uint64 `cbor:"4,keyasint,omitempty"`
}

// Block is a batch of messages: what a log orders and a subnet executes. It
// holds all that execution depends on besides the state before it.
type Block struct {
	Height    Height    `cbor:"1,keyasint"`
	Time      Time      `cbor:"2,keyasint"` // of the first message; the i-th executes at Time+i
	Reserved  Time      `cbor:"3,keyasint"` // a bound above every read served before the next block or epoch
	Seed      [16]byte  `cbor:"4,keyasint"` // random
	Semantics Semantics `cbor:"5,keyasint"`
	Slices    []Slice   `cbor:"6,keyasint,omitempty"`
	Messages  []Message `cbor:"7,keyasint,omitempty"`
	// Supports is what the appending replica can execute, announced in its
	// first block: the lowest and the highest version.
	Supports [2]Semantics `cbor:"8,keyasint,omitempty"`
}

// RecordFormat is the version of the layout of Record.
const RecordFormat = 1

// Record is one entry of a log. Safety lives here and not in the engine that
// stores it: a reader checks that positions are dense, that Prev is the hash
// of the record before, that the epoch never falls, and that the bytes are the
// ones that were written (the hash is kept with the record). A record that
// does not chain is ignored by everyone alike.
type Record struct {
	Format   uint8    `cbor:"1,keyasint"`
	Epoch    Epoch    `cbor:"2,keyasint"`
	Position Position `cbor:"3,keyasint"`
	Prev     Hash     `cbor:"4,keyasint"`
	Block    []byte   `cbor:"5,keyasint"` // an encoded Block
}
