// Package query is the meaning of a query: its form, the rules that Firestore
// holds it to, which documents match, in which order they come, and how they
// are summed up. It knows no storage. What a shard finds by its indexes must be
// what this package says of every document.
//
// A query is deterministic: equal documents give equal answers, in one order.
package query

import (
	"atoll"
	"atoll/value"
)

// Limits, as Firestore documents them.
const (
	MaxDisjunctions = 30  // terms of the disjunctive normal form
	MaxFilters      = 100 // filters, sort orders and parent path together
	MaxInequalities = 10  // fields with a range or inequality filter
	MaxNotIn        = 10  // values of one NotIn
	MaxAggregations = 5
	MaxNearest      = 1000 // results of a vector search
)

// Query is Firestore's StructuredQuery. Values are in package value's form, so
// that a query can be logged and sent.
type Query struct {
	// Parent is the document below which is searched; empty for the root.
	Parent atoll.Path `cbor:"1,keyasint,omitempty"`
	// Collection is the id of the collections that are searched; empty means
	// all collections (a kindless query, which implies Descendants).
	Collection string `cbor:"2,keyasint,omitempty"`
	// Descendants searches the collections of that id at any depth below
	// Parent, not only the one directly below it.
	Descendants bool     `cbor:"3,keyasint,omitempty"`
	Where       *Filter  `cbor:"4,keyasint,omitempty"`
	Order       []Order  `cbor:"5,keyasint,omitempty"`
	Start       *Cursor  `cbor:"6,keyasint,omitempty"`
	End         *Cursor  `cbor:"7,keyasint,omitempty"`
	Offset      int      `cbor:"8,keyasint,omitempty"`
	Limit       int      `cbor:"9,keyasint,omitempty"` // 0: none
	Nearest     *Nearest `cbor:"10,keyasint,omitempty"`
	// Select lists the field paths that are returned, in canonical text.
	// Selects tells none (only names) from all.
	Select  []string `cbor:"11,keyasint,omitempty"`
	Selects bool     `cbor:"12,keyasint,omitempty"`
	// Database is where the query runs; Normalize sets it. A document's name
	// is a reference into it.
	Database atoll.Database `cbor:"13,keyasint"`
}

// Op is what a filter tests, or how it combines others. The numbers are logged.
type Op uint8

const (
	And              Op = 1
	Or               Op = 2
	Equal            Op = 3
	NotEqual         Op = 4
	Less             Op = 5
	LessOrEqual      Op = 6
	Greater          Op = 7
	GreaterOrEqual   Op = 8
	In               Op = 9
	NotIn            Op = 10
	ArrayContains    Op = 11
	ArrayContainsAny Op = 12
	IsNaN            Op = 13
	IsNotNaN         Op = 14
	IsNull           Op = 15
	IsNotNull        Op = 16
)

// Filter is a tree: And and Or have Parts, the rest a Field and, but for the
// unary ones, a Value (an array for In, NotIn and ArrayContainsAny).
type Filter struct {
	Op    Op       `cbor:"1,keyasint"`
	Parts []Filter `cbor:"2,keyasint,omitempty"`
	Field string   `cbor:"3,keyasint,omitempty"` // canonical text; __name__ is the document's name
	Value []byte   `cbor:"4,keyasint,omitempty"` // value.EncodeValue
}

// Order is one sort key.
type Order struct {
	Field string `cbor:"1,keyasint"`
	Desc  bool   `cbor:"2,keyasint,omitempty"`
}

// Cursor is a position in the order: the values of its first keys. Before says
// that the position lies before the documents with these values, otherwise
// behind them.
type Cursor struct {
	Values [][]byte `cbor:"1,keyasint"`
	Before bool     `cbor:"2,keyasint,omitempty"`
}

// Measure is a distance between vectors.
type Measure uint8

const (
	Euclidean  Measure = 1
	Cosine     Measure = 2
	DotProduct Measure = 3
)

// Nearest asks for the documents whose vector is nearest to Vector.
type Nearest struct {
	Field     string   `cbor:"1,keyasint"`
	Vector    []byte   `cbor:"2,keyasint"` // value.EncodeValue
	Measure   Measure  `cbor:"3,keyasint"`
	Limit     int      `cbor:"4,keyasint"`           // 1 to MaxNearest
	Result    string   `cbor:"5,keyasint,omitempty"` // field that gets the distance
	Threshold *float64 `cbor:"6,keyasint,omitempty"`
}

// AggregateOp is a way to sum documents up.
type AggregateOp uint8

const (
	Count AggregateOp = 1
	Sum   AggregateOp = 2
	Avg   AggregateOp = 3
	Min   AggregateOp = 4
	Max   AggregateOp = 5
)

// Aggregate is one figure that is asked for.
type Aggregate struct {
	Op    AggregateOp `cbor:"1,keyasint"`
	Field string      `cbor:"2,keyasint,omitempty"` // none for Count
	UpTo  int         `cbor:"3,keyasint,omitempty"` // Count stops there; 0: never
}

// Document is what a query looks at.
type Document struct {
	Path atoll.Path
	Doc  value.Doc
}

// Partial is the state of an aggregation over a part of the documents.
type Partial struct {
	Count  int64  `cbor:"1,keyasint,omitempty"`
	Ints   int64  `cbor:"2,keyasint,omitempty"` // sum of integers, while it fits
	Big    []byte `cbor:"3,keyasint,omitempty"` // exact sum of what is no longer an int64, in the package's form
	Double bool   `cbor:"4,keyasint,omitempty"` // a double was among the values
	Best   []byte `cbor:"5,keyasint,omitempty"` // value.EncodeValue of the least or greatest
}
