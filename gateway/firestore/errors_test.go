package firestore

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"atoll"
)

func TestStatuses(t *testing.T) {
	for _, c := range []struct {
		err  error
		code codes.Code
		msg  string
	}{
		{nil, codes.OK, ""},
		{atoll.Errorf(atoll.NotFound, "No document to update: %s", docName), codes.NotFound, "No document to update: " + docName},
		{atoll.Errorf(atoll.AlreadyExists, "Document already exists: x"), codes.AlreadyExists, "Document already exists: x"},
		{atoll.Errorf(atoll.Invalid, "trailing \n"), codes.InvalidArgument, "trailing"},
		{atoll.Errorf(atoll.Aborted, " "), codes.Aborted, "aborted"},
		{fmt.Errorf("around: %w", atoll.Errorf(atoll.Unknown, "lost")), codes.Unknown, "lost"},
		{&atoll.Error{Kind: atoll.Internal, Msg: "internal error", Detail: "secret"}, codes.Internal, "internal error"},
		{atoll.Errorf(atoll.WrongRange, "moved"), codes.Unavailable, "moved"},
		{atoll.Errorf(atoll.Panicked, "the program failed"), codes.Internal, "the program failed"},
		{atoll.Errorf(atoll.Kind(200), "what"), codes.Internal, "what"},
		{atoll.Errorf(atoll.Unauthenticated, "who"), codes.Unauthenticated, "who"},
		{atoll.Errorf(atoll.Unavailable, "later"), codes.Unavailable, "later"},
		{errors.New("secret"), codes.Internal, "internal error"},
		{context.DeadlineExceeded, codes.DeadlineExceeded, "the deadline passed before the answer came"},
		{fmt.Errorf("x: %w", context.Canceled), codes.Canceled, "the request was cancelled"},
		{status.Error(codes.ResourceExhausted, "flow"), codes.ResourceExhausted, "flow"},
	} {
		s := statusOf(c.err)
		if s.Code() != c.code || s.Message() != c.msg {
			t.Errorf("%v: got %s %q, want %s %q", c.err, s.Code(), s.Message(), c.code, c.msg)
		}
	}
}
