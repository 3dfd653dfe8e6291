package query

import "strconv"

var opNames = [...]string{And: "AND", Or: "OR", Equal: "EQUAL", NotEqual: "NOT_EQUAL", Less: "LESS_THAN",
	LessOrEqual: "LESS_THAN_OR_EQUAL", Greater: "GREATER_THAN", GreaterOrEqual: "GREATER_THAN_OR_EQUAL",
	In: "IN", NotIn: "NOT_IN", ArrayContains: "ARRAY_CONTAINS", ArrayContainsAny: "ARRAY_CONTAINS_ANY",
	IsNaN: "IS_NAN", IsNotNaN: "IS_NOT_NAN", IsNull: "IS_NULL", IsNotNull: "IS_NOT_NULL"}

// String returns the operator's name in Firestore's protocol.
func (op Op) String() string {
	if int(op) < len(opNames) && opNames[op] != "" {
		return opNames[op]
	}
	return "operator " + strconv.Itoa(int(op))
}

// unary reports whether a filter has no value.
func (op Op) unary() bool { return op >= IsNaN && op <= IsNotNull }

// inequality reports whether a filter orders the result by its field.
func (op Op) inequality() bool {
	switch op {
	case NotEqual, Less, LessOrEqual, Greater, GreaterOrEqual, NotIn, IsNotNaN, IsNotNull:
		return true
	}
	return false
}
