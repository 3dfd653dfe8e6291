// Package firestore is the door for Firestore's clients: it serves the gRPC
// service google.firestore.v1.Firestore, turns each request into messages to
// and questions of the shards that hold the documents (package route), and the
// answers back into Firestore's. What a client sees is what the shards have on
// disk. The only state here are the transactions under way: what they have read
// is noted in memory, within limits, until their commit has it checked.
//
// It follows the public reference of google.firestore.v1 and, where that is
// silent, what Google's clients expect: texts of errors, the encoding of
// vectors, the verify write that the clients for browsers and phones send.
//
// A client may send the metadata key "atoll-request-id" (32 hexadecimal
// digits) with a request that writes. A request with an id is applied once,
// however often it is sent, so that it can be repeated when its outcome is not
// known.
package firestore
