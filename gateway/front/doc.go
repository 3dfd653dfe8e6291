// Package front is the one port of a node. It looks at the first bytes of each
// connection: those that begin like HTTP/2 with prior knowledge (RFC 9113,
// section 3.4), as gRPC's clients do, go to the gRPC server, all others to an
// HTTP/1.1 server. Both see ordinary connections.
//
// What a stranger can hold is bounded: the number of connections, the time
// until the first bytes and until the headers, the size of the headers, and
// the time that an idle connection is kept.
package front
