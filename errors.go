package atoll

import (
	"errors"
	"fmt"
)

// Kind is the closed set of reasons for which anything fails in Atoll. The
// numbers are those of google.rpc.Code where one exists, travel on every wire,
// and are never reused.
type Kind uint8

const (
	OK                 Kind = 0
	Canceled           Kind = 1
	Unknown            Kind = 2  // the outcome cannot be known: ask again with the same request id
	Invalid            Kind = 3  // the request can never succeed
	DeadlineExceeded   Kind = 4  //
	NotFound           Kind = 5  //
	AlreadyExists      Kind = 6  //
	PermissionDenied   Kind = 7  //
	ResourceExhausted  Kind = 8  // a limit, a quota, a full queue or disk, an empty account
	FailedPrecondition Kind = 9  // the state does not allow it
	Aborted            Kind = 10 // a conflict: read again and retry
	OutOfRange         Kind = 11 //
	Unimplemented      Kind = 12 //
	Internal           Kind = 13 // a defect of Atoll's own
	Unavailable        Kind = 14 // not now, nothing was done: retry as it is
	DataLoss           Kind = 15 // stored bytes are not what was written
	Unauthenticated    Kind = 16 //

	WrongRange Kind = 32 // the shard does not own that range at that epoch: fetch the map
	Panicked   Kind = 33 // a program panicked; its message was rolled back
)

var kindNames = map[Kind]string{
	OK: "ok", Canceled: "canceled", Unknown: "unknown outcome", Invalid: "invalid argument",
	DeadlineExceeded: "deadline exceeded", NotFound: "not found", AlreadyExists: "already exists",
	PermissionDenied: "permission denied", ResourceExhausted: "resource exhausted",
	FailedPrecondition: "failed precondition", Aborted: "aborted", OutOfRange: "out of range",
	Unimplemented: "unimplemented", Internal: "internal", Unavailable: "unavailable",
	DataLoss: "data loss", Unauthenticated: "unauthenticated", WrongRange: "wrong range",
	Panicked: "panicked",
}

// String returns the kind in words.
func (k Kind) String() string {
	if s, ok := kindNames[k]; ok {
		return s
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Error is the one error type that crosses rooms and wires.
type Error struct {
	Kind   Kind   `cbor:"1,keyasint"`
	Msg    string `cbor:"2,keyasint,omitempty"` // for the person who asked: what was wrong, where, what to do
	Detail string `cbor:"3,keyasint,omitempty"` // for the operator; never sent to a stranger
	Data   []byte `cbor:"4,keyasint,omitempty"` // of the kind: the new range descriptor with WrongRange
}

// Error returns the kind, the message and the detail.
func (e *Error) Error() string {
	s := e.Kind.String() + ": " + e.Msg
	if e.Detail != "" {
		s += " (" + e.Detail + ")"
	}
	return s
}

// Is reports whether target is an Error of the same kind, so that
// errors.Is(err, &Error{Kind: NotFound}) works.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Kind == e.Kind && t.Msg == ""
}

// Errorf returns an Error of the kind with a formatted message.
func Errorf(k Kind, format string, args ...any) *Error {
	return &Error{Kind: k, Msg: fmt.Sprintf(format, args...)}
}

// KindOf returns the kind of err: OK for nil, Internal for an error that is
// not an Error.
func KindOf(err error) Kind {
	if err == nil {
		return OK
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}

// AsError returns err as an Error; one of another type becomes Internal with
// its text as the operator's detail.
func AsError(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Kind: Internal, Msg: "internal error", Detail: err.Error()}
}
