package rest

import (
	"context"
	"math"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"atoll"
)

// window is how many bytes of one call, or of all, may be under way between the
// two ends of a Local: it is memory, not a network.
const window = 1 << 20

// LocalOptions are what a server needs besides its own options to serve a
// Local: all requests share one connection, and who takes them bounds them.
func LocalOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.MaxConcurrentStreams(math.MaxUint32),
		grpc.InitialWindowSize(window), grpc.InitialConnWindowSize(window),
	}
}

// Local is a gRPC server and a connection to it within the process.
type Local struct {
	*grpc.ClientConn
	server *grpc.Server
	served chan error
}

// NewLocal serves g, which nobody else must serve or stop, until Close.
func NewLocal(g *grpc.Server) (*Local, error) {
	pipe := bufconn.Listen(window)
	c, err := grpc.NewClient("passthrough:///local",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return pipe.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDisableServiceConfig(), grpc.WithDisableRetry(), grpc.WithIdleTimeout(0),
		grpc.WithInitialWindowSize(window), grpc.WithInitialConnWindowSize(window),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32), grpc.MaxCallSendMsgSize(math.MaxInt32)))
	if err != nil {
		return nil, atoll.Errorf(atoll.Internal, "cannot connect within the process: %v", err)
	}
	l := &Local{c, g, make(chan error, 1)}
	go func() { l.served <- g.Serve(pipe) }()
	return l, nil
}

// Close cuts off what is under way and ends both.
func (l *Local) Close() error {
	err := l.ClientConn.Close()
	l.server.Stop()
	if e := <-l.served; err == nil {
		err = e
	}
	return err
}
