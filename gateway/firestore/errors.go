package firestore

import (
	"context"
	"errors"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"atoll"
)

// codeOf maps a kind to the code that makes Google's clients do the right
// thing: they repeat Unavailable, ResourceExhausted and Internal by
// themselves, and Aborted within transactions, so that an unknown outcome must
// be none of these.
func codeOf(k atoll.Kind) codes.Code {
	switch k {
	case atoll.WrongRange:
		return codes.Unavailable
	case atoll.Panicked:
		return codes.Internal
	}
	if k <= atoll.Unauthenticated {
		return codes.Code(k) // the numbers of google.rpc.Code
	}
	return codes.Internal
}

// statusOf turns any error into the status that a client gets. The operator's
// detail stays here.
func statusOf(err error) *status.Status {
	switch {
	case err == nil:
		return status.New(codes.OK, "")
	case errors.Is(err, context.DeadlineExceeded):
		return status.New(codes.DeadlineExceeded, "the deadline passed before the answer came")
	case errors.Is(err, context.Canceled):
		return status.New(codes.Canceled, "the request was cancelled")
	}
	var e *atoll.Error
	if !errors.As(err, &e) {
		if s, ok := status.FromError(err); ok { // of the transport
			return s
		}
	}
	e = atoll.AsError(err)
	// A message that ends in a space is lost on its way: HTTP/2 header values
	// are trimmed, and Node's client then shows none at all.
	msg := strings.TrimSpace(e.Msg)
	if msg == "" {
		msg = e.Kind.String()
	}
	return status.New(codeOf(e.Kind), msg)
}

// unsupported is the answer of the methods that a later release brings.
func unsupported(what, release string) error {
	return atoll.Errorf(atoll.Unimplemented, "%s is not supported yet; it comes with Atoll %s", what, release)
}
