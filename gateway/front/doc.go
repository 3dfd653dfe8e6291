// Package front is the one port of a node. It looks at the first bytes of each
// connection: those that begin like HTTP/2 with prior knowledge (RFC 9113,
// section 3.4), as gRPC's clients do, go to the gRPC server, all others to an
// HTTP/1.1 server. Both see ordinary connections.
//
// With a certificate the port speaks TLS, and what the client offers in its
// handshake decides: HTTP/2 alone goes to the gRPC server; all others go to a
// server for HTTP/1.1 and HTTP/2, which passes on what is gRPC all the same.
//
// What a stranger can hold is bounded: the number of connections, the time
// until the first bytes and until the headers, the size of the headers, and
// the time that an idle connection is kept.
package front
