// Package keys is the layout of a subnet's store: what every key means, and
// the encodings that make the order of bytes the order of documents and values.
//
// # Spaces
//
// The first byte of a key names a space:
//
//	0x01  meta: heights, digests, format version            (package subnet)
//	0x02  log records                                       (package subnet)
//	0x03  canister records                                  (package subnet)
//	0x04  queues of letters between canisters               (package subnet)
//	0x05  streams of letters to other subnets               (package subnet)
//	0x06  the canisters' private state                      (package subnet)
//	0x07  snapshots of canisters                            (package subnet)
//	0x10  range families: documents and all that moves with them
//
// Only the last is laid out here. This is version 1 of the layout; numbers are
// never reused.
//
// # Range families
//
// A family is the key space of one database's documents under one placement.
// Keys name the family, never the shard or canister that owns them, so that a
// change of owner within a subnet rewrites nothing:
//
//	0x10 | family uint32 | space byte | rest
//
//	0x01 documents     docKey | ^time uint64                       newest version first
//	0x02 change feed   range uint64 | time uint64 | docKey
//	0x03 requests      docKey of the first write | request id, 16 bytes
//	0x04 transactions  reserved
//	0x05 index         index uint32 | entry                live entries
//	0x06 past index    index uint32 | entry | end uint64   ended entries
//
// Integers are big-endian. Times are commit times: microseconds since the Unix
// epoch, not negative. Bounds of ranges are docKeys, so that documents and
// requests are split and moved by their bytes.
//
// # Index entries
//
// Entries are of version 1. Each ends with the docKey of its document, whose
// length stands in the stored value, so that what lies before it need not be
// decoded:
//
//	1   every field         collection, end | field | kind | value | docKey
//	2   every document      collection's id as escaped bytes | docKey
//	3   chosen fields       collection's id as escaped bytes | field | kind | value | docKey
//	16  and on: composites  collection, end | values | docKey
//	                        values | docKey, if it is for the collection group
//
// A collection is its ids as in a docKey and 0x00. A field is each of its
// names as 0x01 and escaped bytes, then 0x00. The kind is 0x01 for the field's
// value, 0x02 for one element of its array. The value is what AppendIndexed
// writes. So what a query over one collection finds by one value is contiguous
// and in the order of names, and what it finds by a range of values is in the
// order of values.
//
// The values of a composite index are what AppendIndexed writes for each of its
// fields, one after the other, descending ones by the direction Descending; of
// an array by element, each element has an entry. Documents with equal values
// always ascend: an index in which they are to descend is stored with all its
// directions turned over, and read backwards. A composite index holds the
// documents that have all of its fields.
//
// An ended entry has the time at which it ended in its key, and the time from
// which on it stood in its value: entries of one document and value never
// overlap, so the first that ends after a time is the only one that can have
// stood at that time.
//
// # Document keys
//
// A docKey is a placement, the ids of the document's path, and an end:
//
//	0x01                   ordered: neighbours stay together
//	0x02 | hash, 4 bytes   spread: Hash of the path, so that no range heats
//
//	0x02 | int64, sign flipped   a document's numeric id, __idN__
//	0x03 | escaped bytes         any other id
//
//	0x00                   end
//
// Escaped bytes are the bytes with 0x00 written as 0x00 0xFF, ended by
// 0x00 0x01. Under ordered, docKeys compare as Firestore orders __name__; a
// document stands directly before everything below it, so that the subtree of
// a document and that of a collection are contiguous. Under spread, what lies
// below a document has hashes of its own and is not near it.
//
// # Values
//
// AppendValue writes a value so that bytes.Compare of two encodings has the
// sign of value.Compare of the values. An encoding ends itself and none is the
// beginning of another, so encodings may be joined to composites. Values that
// are Equal have the same encoding: what is read back is Equal to what was
// written, with whole numbers as integers where they fit.
//
//	0x10 null
//	0x20 false       0x21 true
//	0x30 number      see below
//	0x40 timestamp   int64, sign flipped
//	0x50 string      escaped bytes
//	0x58 bytes       escaped bytes
//	0x60 reference   ids as in a docKey (numeric only where a document's id stands), end 0x00
//	0x68 geopoint    latitude, longitude as ordered doubles
//	0x70 array       elements, end 0x00
//	0x78 vector      dimension uint32, components as ordered doubles
//	0x80 map         for each field 0x01, its name as escaped bytes, its value; end 0x00
//
// An ordered double has 8 bytes: its bits with the sign flipped, or all bits if
// it is negative; -0 is written as 0, and NaN as zeros, which is before -Inf.
//
// A number x is the ordered double nearest to x from below, F. Where doubles
// lie further apart than 1 and integers reach (2^53 <= |F|, -2^63 <= F < 2^63),
// two bytes x-F follow, 0 to 1023. So 1 and 1.0 are the same, and 2^53+1 lies
// between 2^53 and the next double.
//
// The Desc variants write the complement of every byte, which reverses the
// order.
//
// # Long values
//
// Firestore cuts indexed values at 1,500 bytes. So does AppendIndexed, on the
// encoding: an entry is the whole encoding if that has at most MaxIndexed
// bytes, otherwise its first MaxIndexed bytes. Because no encoding is the
// beginning of another, a cut entry differs from all whole ones, its length is
// known, and the order is kept save that values with the same first MaxIndexed
// bytes are not told apart: a reader that meets a cut entry looks at the
// document.
//
// The package is deterministic: it reads no clock, draws no randomness, and
// computes with no floats.
package keys
