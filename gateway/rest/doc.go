// Package rest is the door for those who speak Firestore's REST interface: it
// turns HTTP requests with JSON into calls of the gRPC service
// google.firestore.v1.Firestore and the answers back. It is a client of that
// service and nothing else, so that both doors have one set of rules, limits,
// counters and errors; it has no state. The service
// atoll.v1.Analytics, which sums documents up in groups, and those that
// firebase-tools administers a database by, google.firestore.admin.v1.FirestoreAdmin and
// google.longrunning.Operations, are reached in the same way.
//
// Which addresses there are follows from the annotations (google.api.http)
// that the services' own definitions carry, and how messages are written from
// the JSON form of protocol buffers; neither is repeated here. What goes beyond
// them:
//
//   - An address that fits several methods means the one whose resource fits: a
//     path of an even number of ids names a document, an odd one a collection.
//   - Methods that answer with a stream send one JSON array, each element as
//     soon as it is there.
//   - An error is {"error": {"code": 404, "message": "...", "status":
//     "NOT_FOUND"}}, in an array where the answer would be one. An error in
//     the middle of an array is its last element, and the connection is then
//     cut off, so that nobody takes a part for the whole.
//   - An error that says when to come back (429 and 503) says so in Retry-After.
//   - The parameters alt=json, prettyPrint and their forms with a dollar sign
//     are followed; key, fields, quotaUser and the like are accepted and
//     change nothing.
//   - The write "verify", which the clients for browsers send from
//     transactions and the public definition lacks, is understood.
//   - The headers Authorization and Atoll-Request-Id mean what the metadata
//     keys of these names mean in package firestore.
//
// Web pages of other sites are kept out: see Origins, and the decision in
// docs/decisions/web-pages.md.
package rest
