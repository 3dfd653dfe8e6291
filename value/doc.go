// Package value holds Firestore's data model as pure functions: the values of
// a document's fields, their total order, their stored form, the paths that
// name fields, the limits, and what masks and transforms do.
//
// A Value is an immutable tree. A document is a Value of KindMap. The order
// and the equality of values are those of Firestore's standard edition
// ("Supported data types", section "Value type ordering").
//
// # Stored form, version 1
//
// A document is stored as BSON (bsonspec.org, version 1.1) with its fields in
// ascending order of their names' bytes, so that values with the same bits
// have the same bytes and a reader may stop early. Types where BSON has the
// same one use it; the others are binaries with a user-defined subtype:
//
//	null        0x0A
//	boolean     0x08
//	integer     0x12  int64; BSON's int32 is never written
//	double      0x01  the only NaN is 0x7FF8000000000000; -0 is kept
//	timestamp   0x05  subtype 0x80: int64 LE, microseconds since the Unix epoch
//	string      0x02  UTF-8; may hold NUL
//	bytes       0x05  subtype 0x00
//	reference   0x05  subtype 0x81: the full resource name in UTF-8
//	geopoint    0x05  subtype 0x82: latitude, longitude as doubles, degrees
//	array       0x04  elements under "0", "1", ...
//	vector      0x05  subtype 0x83: its components as doubles
//	map         0x03
//
// Subtypes are never reused: a new meaning takes a new number. A single value
// outside a document, such as the operand of a transform, is stored as BSON's
// type byte followed by BSON's value.
//
// A field's name may hold anything that is UTF-8 except NUL, which ends a name
// in BSON: CheckDocument refuses it, and a name that was never checked is
// written so that reading it back fails.
//
// # Determinism
//
// The package is deterministic: it reads no clock, draws no randomness, and
// its results have the same bits on every architecture. The only arithmetic on
// floats is the addition in Increment.
package value
