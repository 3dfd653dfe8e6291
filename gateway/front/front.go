package front

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"atoll"
)

// GRPC is what the front needs of a gRPC server; *grpc.Server is one.
type GRPC interface {
	Serve(net.Listener) error
	GracefulStop()
	Stop()
}

// Options say what a Front serves. Listener, GRPC and HTTP are required.
type Options struct {
	Listener net.Listener
	GRPC     GRPC
	HTTP     http.Handler
	// Certificate, if there, has the port speak TLS (1.2 or later) and nothing
	// else.
	Certificate *Certificate
	// GRPCOverHTTP serves those gRPC requests that reach the HTTP server, which
	// happens over TLS when a client offers both HTTP/2 and HTTP/1.1. It must
	// not be the server of GRPC, which could not be stopped then. Nil: they
	// are given to HTTP.
	GRPCOverHTTP http.Handler
	// Connections is how many may be open at once; more are closed as soon as
	// they are accepted. Default 10,000.
	Connections int
	// SniffTimeout is how long a connection may take until its first bytes, or
	// its TLS handshake, tell what it speaks, and then until an HTTP request's
	// headers are complete. Default 10 s.
	SniffTimeout time.Duration
	Log          *slog.Logger // slog.Default
}

const (
	maxHeaderBytes = 32 << 10
	idleTimeout    = 2 * time.Minute
	// streams is how many requests one connection of HTTP/2 may have under way.
	streams = 250
)

// Front accepts connections and hands each to the server for it.
type Front struct {
	opt  Options
	tls  *tls.Config // nil: plaintext
	http *http.Server
	grpc *queue // connections for the gRPC server
	web  *queue // connections for the HTTP server

	counts counts

	mu       sync.Mutex // guards what follows; nothing else is locked under it
	stopping bool
	sniffing map[net.Conn]struct{} // not yet handed on
}

type counts struct{ open, accepted, refused, silent, grpc, http atomic.Int64 }

// Counts are what happened since the front was made; Open is of now.
type Counts struct {
	Open     int64 // connections
	Accepted int64 // connections, the refused ones among them
	Refused  int64 // at the limit
	Silent   int64 // closed because they did not say what they speak, or failed at TLS
	GRPC     int64 // handed to the gRPC server
	HTTP     int64 // handed to the HTTP server
}

// New returns a front that does not accept yet.
func New(o Options) *Front {
	if o.Connections == 0 {
		o.Connections = 10_000
	}
	if o.SniffTimeout == 0 {
		o.SniffTimeout = 10 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	handler := o.HTTP
	if o.GRPCOverHTTP != nil {
		handler = withGRPC(o.GRPCOverHTTP, o.HTTP)
	}
	f := &Front{
		opt:  o,
		grpc: newQueue(o.Listener.Addr()),
		web:  newQueue(o.Listener.Addr()),
		http: &http.Server{
			Handler:           handler,
			HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: streams},
			ReadHeaderTimeout: o.SniffTimeout,
			ReadTimeout:       time.Minute, // no request has a large body
			IdleTimeout:       idleTimeout,
			MaxHeaderBytes:    maxHeaderBytes,
			ErrorLog:          slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
		},
		sniffing: map[net.Conn]struct{}{},
	}
	if o.Certificate != nil {
		f.tls = tlsConfig(o.Certificate)
	}
	return f
}

// Counts returns the counts so far.
func (f *Front) Counts() Counts {
	c := &f.counts
	return Counts{
		Open: c.open.Load(), Accepted: c.accepted.Load(), Refused: c.refused.Load(),
		Silent: c.silent.Load(), GRPC: c.grpc.Load(), HTTP: c.http.Load(),
	}
}

// Serve accepts connections until Shutdown, and then returns nil when both
// servers have ended. Otherwise it returns why the port cannot be served.
func (f *Front) Serve() error {
	ended := make(chan error, 2)
	go func() { ended <- f.opt.GRPC.Serve(f.grpc) }()
	go func() { ended <- f.http.Serve(f.web) }()
	err := f.accept()
	f.grpc.Close()
	f.web.Close()
	for range 2 {
		if e := <-ended; err == nil && !f.isStopping() {
			err = e
		}
	}
	return err
}

// accept returns when the listener is closed: nil if that is by Shutdown.
func (f *Front) accept() error {
	var pause time.Duration
	for {
		c, err := f.opt.Listener.Accept()
		if err == nil {
			pause = 0
			f.take(c)
			continue
		}
		if f.isStopping() {
			return nil
		}
		if errors.Is(err, net.ErrClosed) {
			return atoll.Errorf(atoll.Unavailable, "the port was closed from outside: %v", err)
		}
		// Too many open files, most likely: it passes.
		pause = min(max(2*pause, 5*time.Millisecond), time.Second)
		f.opt.Log.Warn("a connection could not be accepted; trying again", "error", err, "pause", pause)
		time.Sleep(pause)
	}
}

// take begins to look at a connection, if there is room for it.
func (f *Front) take(raw net.Conn) {
	f.counts.accepted.Add(1)
	if f.counts.open.Add(1) > int64(f.opt.Connections) {
		f.counts.open.Add(-1)
		f.counts.refused.Add(1)
		raw.Close()
		return
	}
	c := &conn{Conn: raw, gone: func() { f.counts.open.Add(-1) }}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stopping {
		c.Close()
		return
	}
	f.sniffing[c] = struct{}{}
	go f.hand(c)
}

// hand gives a connection to the server for it.
func (f *Front) hand(c *conn) {
	deadline := time.Now().Add(f.opt.SniffTimeout)
	var to net.Conn = c
	var isGRPC bool
	var err error
	if f.tls == nil {
		isGRPC, err = c.sniff(deadline)
	} else {
		to, isGRPC, err = f.handshake(c, deadline)
	}
	f.mu.Lock()
	delete(f.sniffing, c)
	f.mu.Unlock()
	switch {
	case err != nil:
		f.counts.silent.Add(1)
		c.Close()
	case isGRPC:
		f.counts.grpc.Add(1)
		f.grpc.put(to)
	default:
		f.counts.http.Add(1)
		f.web.put(to)
	}
}

func (f *Front) isStopping() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.stopping
}

// Shutdown stops accepting, lets requests that are under way end, and closes
// everything. When ctx ends, what is still under way is cut off and ctx's
// error returned.
func (f *Front) Shutdown(ctx context.Context) error {
	f.mu.Lock()
	f.stopping = true
	for c := range f.sniffing {
		c.Close()
	}
	f.mu.Unlock()
	f.opt.Listener.Close()

	done := make(chan struct{})
	go func() {
		f.opt.GRPC.GracefulStop()
		close(done)
	}()
	err := f.http.Shutdown(ctx)
	if err != nil {
		f.http.Close()
	}
	select {
	case <-done:
	case <-ctx.Done():
		err = ctx.Err()
		f.opt.GRPC.Stop()
		<-done
	}
	return err
}
