// Package indexes is the door for those who configure how documents are
// indexed and when they expire: Google's google.firestore.admin.v1.FirestoreAdmin
// with google.longrunning.Operations, and the file firestore.indexes.json of
// firebase-tools (its source, src/firestore/api.ts and api-spec.ts, is what
// defines the format; the limits are those of Firestore's "Quotas and limits").
//
// It keeps no state. What it tells of an index is what the database's directory
// and shards say at that moment, and an operation is nothing but the state of
// the index or field that it is about: it is done when that is ready, on all
// shards, and can be asked for as long as that exists, from any node.
//
// Where Atoll differs from Firestore:
//
//   - A field is indexed by itself in all ways or in none. An override that
//     names some ways gets all of its scope.
//   - The field by which documents expire is indexed over its collection group
//     as well, so that expired documents are found without a search; unless it
//     is not indexed at all.
//   - Vector and search indexes, the default for all collections
//     (__default__/fields/*) and what only the Enterprise edition has are
//     refused with UNIMPLEMENTED or INVALID_ARGUMENT.
//
// Only the administrator may ask. The directory decides that too; here it is
// asked first so that a stranger's question opens no database.
package indexes
