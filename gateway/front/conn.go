package front

import (
	"net"
	"sync"
	"time"
)

// preface is how a connection of HTTP/2 with prior knowledge begins; no method
// of HTTP/1.1 begins so.
const preface = "PRI"

// conn is a connection whose first bytes were looked at.
type conn struct {
	net.Conn
	seen []byte // read, and not yet given to the server
	once sync.Once
	gone func() // called once, when it is closed

	onlyHTTP2 bool // its client offers TLS's HTTP/2 and no HTTP/1.1
}

// sniff reads until it is clear whether the connection speaks gRPC.
func (c *conn) sniff(deadline time.Time) (isGRPC bool, err error) {
	if err := c.Conn.SetReadDeadline(deadline); err != nil {
		return false, err
	}
	var first [len(preface)]byte
	n := 0
	for n < len(first) && string(first[:n]) == preface[:n] {
		m, err := c.Conn.Read(first[n:])
		if n += m; err != nil && n < len(first) {
			return false, err
		}
	}
	c.seen = first[:n]
	return string(first[:n]) == preface, c.Conn.SetReadDeadline(time.Time{})
}

// Read gives the first bytes again, and then what follows.
func (c *conn) Read(b []byte) (int, error) {
	if len(c.seen) > 0 {
		n := copy(b, c.seen)
		c.seen = c.seen[n:]
		return n, nil
	}
	return c.Conn.Read(b)
}

// CloseWrite lets the HTTP server finish an answer before it hangs up.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// Close closes the connection and makes room for another.
func (c *conn) Close() error {
	c.once.Do(c.gone)
	return c.Conn.Close()
}

// queue is a net.Listener whose connections were accepted elsewhere.
type queue struct {
	addr  net.Addr
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func newQueue(addr net.Addr) *queue {
	return &queue{addr: addr, conns: make(chan net.Conn), done: make(chan struct{})}
}

// put hands over a connection, or closes it if nobody accepts any more.
func (q *queue) put(c net.Conn) {
	select {
	case q.conns <- c:
	case <-q.done:
		c.Close()
	}
}

// Accept implements net.Listener.
func (q *queue) Accept() (net.Conn, error) {
	select {
	case c := <-q.conns:
		return c, nil
	case <-q.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (q *queue) Close() error {
	q.once.Do(func() { close(q.done) })
	return nil
}

// Addr implements net.Listener.
func (q *queue) Addr() net.Addr { return q.addr }
