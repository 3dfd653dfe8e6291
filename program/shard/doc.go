// Package shard is the program of a canister that owns ranges of documents: it
// commits writes, and reads documents, collections and the change feed at any
// time since its horizon.
//
// It is deterministic: no clock, randomness, goroutine or map order. Time is
// that of the message; everything else is in the keys.
//
// # What is stored
//
// Documents stand in the key space that the shards of a subnet share
// (Context.Ranges; package keys has the layout), so that a range changes its
// owner without a document being rewritten. Each value begins with the number
// of its format, which is never reused.
//
//	version of a document (keys.Version; the commit time is in the key, the
//	newest version comes first):
//	    1 | flags | revision uvarint | create time 8 bytes | BSON document
//	    flags: 1 tombstone; then the create time is 0 and there is no BSON
//	entry of the change feed (keys.FeedKey, under the range that owned the
//	document when it was written):
//	    1 | flags | request id 16 bytes, if flag 2
//	    flags: 1 this document changed; 2 this is the first document of a
//	    commit, whose result stands under the id
//	entry of the index, live or ended (package keys):
//	    1 | time since which it stands 8 bytes | length of the docKey uvarint
//	result of a commit (keys.RequestKey of the first write's document):
//	    1 | commit time 8 bytes | length of the caller uvarint | caller | CommitReply
//
// Versions, entries of the feed and entries of the index are written once and
// never changed, only removed. An entry of the feed with flag 2 alone is not a change: it only leads the collection of old
// results, which goes by time while the results are ordered by document, to the
// result of a commit that did not change its first document. Nor is an entry a
// change whose version is gone.
//
// A change of a document touches only the index entries in which its states
// differ: those that the new one lacks end, which moves them to the space of
// ended entries under the commit time, and those that the old one lacked begin.
// So reads of now look at live entries alone, whatever the churn; reads of the
// past merge both. The version that ends an entry takes it along when it makes
// the older version forgotten.
//
// The shard's own keys (Context.State), their values in CBOR, but for the first:
//
//	1                      the principal of the directory
//	2 | range 8 bytes      Descriptor of an owned range
//	3                      the horizons
//	4 | range 8 bytes | p  FeedCursor: how far pass p of the collection came;
//	                       0 results, 1 versions, 2 latest changes
//	5                      the version of the IndexConfig, whether work is left
//	6 | collection id      its indexes, where they are not the usual ones
//	7                      how far the work on the indexes of one id came
//
// The last three are there from the first IndexConfig on: without one, a shard
// stores what it would if there were none.
//
// All integers in keys and values are big-endian.
//
// # How queries are answered
//
// A query becomes terms, each a conjunction of filters; a stream finds the
// documents of each in the query's order, and the streams are merged. A stream
// follows one span of index entries and looks the term's other values up beside
// it, so that it reads what all of them hold (open.go says which span). Every
// document has a position, one byte string that compares as the order does: a
// cursor is a bound of positions, a page ends at one, and ranges are merged by
// them. All pages of a query read at the time of the first.
//
// Where no index has the order, runs of equal values are read and sorted, up to
// a bound, behind which the query fails with ResourceExhausted and names the
// index that it lacks. Values that the index has cut are told apart by the
// documents.
//
// # How indexes are built
//
// A new configuration (MethodIndexes) takes effect on the next write. Messages
// of the housekeeper (MethodBuild) do the rest in bounded steps, from a cursor
// that is kept: they first remove the entries of what is not wanted any more,
// live and ended ones, and then go over the documents of the collection id and
// add the entries that are missing. A document that changes meanwhile brings its
// new entries itself; what it was before, the index never gets. So an index is
// whole from the message on that finds nothing left, and reads of earlier times
// do without it.
//
// Fields that are exempt, and then are not, take both steps one after the other,
// so that no entry is ever set that stands already (keys.WriteOnce). Three lists
// tell what writes maintain, what reads may use, and what reads of the time
// before the last change may use.
//
// A query may use a composite index if the index holds just the fields that the
// query fixes, then those that it orders by: documents that lack a field of the
// index are not in it. A query for an exempt field fails unless such an index
// serves it; all others are answered as without configuration.
//
// # What time means
//
// A read at T sees for each document the newest version at or before T. A
// commit at T writes one version for each document that it changed, however
// many of its writes touched it. Revisions count the changes of a path from 1
// and go on over tombstones for as long as those are kept.
//
// Collection (MethodCollect) first raises the horizons, then removes what no
// allowed read can see, in passes over the change feed that continue where
// the last message left off.
package shard
