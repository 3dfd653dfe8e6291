// Package ask is how people write the parts of a query as text: conditions,
// orders, and lists of values and of fields. "atoll query" reads them.
//
// # Grammar
//
//	condition  = and { "or" and } .
//	and        = term { "and" term } .
//	term       = "(" condition ")" | field operator value .
//	operator   = "==" | "=" | "!=" | "<" | "<=" | ">" | ">="
//	           | "in" | "not-in" | "array-contains" | "array-contains-any" .
//	value      = number | text | "true" | "false" | "null" | "NaN" | "Infinity" | "-Infinity"
//	           | "[" [ value { "," value } ] "]" | object | call .
//	text       = JSON string | "'" { any character, "''" for "'" } "'" .
//	call       = ( "timestamp" | "reference" | "bytes" ) "(" text ")"
//	           | "geopoint" "(" value "," value ")" | "vector" "(" value { "," value } ")" .
//	orders     = order { "," order } .
//	order      = field [ "asc" | "desc" ] .
//	values     = value { "," value } .
//	fields     = field { "," field } .
//
// A field is a path in the text that Firestore's protocol has for it, such as
// address.city or `first name`; an object is JSON as package plain reads it, so
// that what "atoll get" prints can be used as it is. Words are understood in
// either case.
//
// What is compared with __name__ may be a text: the path of a document, or its
// id alone if one collection is asked.
//
// An error tells what is wrong, repeats the text, and points at the place.
package ask
