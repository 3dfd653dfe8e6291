// Package plain writes documents as JSON that people can read and type, and
// reads it back. It is how the command line and the operator's door show
// documents.
//
// What JSON has is written as JSON; a number is an integer, unless it has a
// point or an exponent, or is out of the range of 64 bits. Everything else is
// an object with one name that begins with $:
//
//	{"$double": "NaN"}                     also "Infinity" and "-Infinity"
//	{"$timestamp": "2026-10-05T12:00:00Z"} RFC 3339, cut to microseconds
//	{"$bytes": "aGk="}                     base64
//	{"$reference": "cities/lisbon"}        a document of the same database, or projects/P/databases/D/documents/...
//	{"$geopoint": [38.72, -9.14]}          latitude, longitude in degrees
//	{"$vector": [1, 0.5]}                  doubles
//	{"$map": {"$double": 1}}               a map that would be mistaken for one of these
//
// A value that was written is read back as the same value, bit for bit.
package plain
