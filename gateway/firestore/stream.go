package firestore

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// freely is how many bytes of a stream are sent without a look at the clock:
// less than what grpc takes, for any stream, before it makes the sender wait
// until the client reads (64 KiB).
const freely = 32 << 10

// serverStream is a stream with a context that knows the caller. Whoever sends
// on it waits for a client that does not read, with one answer of a shard in
// memory (shard.MaxReplyBytes) for each range, and until the request's time is
// over: grpc by itself would wait for as long as the client keeps its
// connection.
type serverStream struct {
	grpc.ServerStream
	ctx  context.Context
	sent int // bytes, up to freely
}

// Context returns the context of the request.
func (s *serverStream) Context() context.Context { return s.ctx }

// SendMsg sends a message. When the request's time is over, a message that is
// stuck is left to grpc, which drops it with the stream as soon as the request
// has been answered.
func (s *serverStream) SendMsg(m any) error {
	if s.sent < freely {
		if p, ok := m.(proto.Message); ok {
			s.sent += proto.Size(p)
		}
		return s.ServerStream.SendMsg(m)
	}
	done := make(chan error, 1)
	go func() { done <- s.ServerStream.SendMsg(m) }()
	select {
	case err := <-done:
		return err
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
}
