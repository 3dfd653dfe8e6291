package shard

import (
	"atoll"
	"atoll/query"
)

// QueryRequest runs a query over the documents of a range, and continues it
// from page to page.
type QueryRequest struct {
	Target Target      `cbor:"1,keyasint"`
	Query  query.Query `cbor:"2,keyasint"` // normalised: query.Normalize
	At     atoll.Time  `cbor:"3,keyasint,omitempty"`
	// After is where the page before ended (QueryReply.Next); empty for the
	// first page. Offset and Limit of the query count from the first page on;
	// the shard keeps the count in Next.
	After []byte `cbor:"4,keyasint,omitempty"`
	// Page is the most documents to return, 1 to MaxPage. A page also ends at
	// MaxReplyBytes, or when MaxScan keys were read.
	Page    int  `cbor:"5,keyasint"`
	Explain bool `cbor:"6,keyasint,omitempty"` // the reply tells the plan
	// NamesOnly returns the documents' paths alone, and reads no documents if
	// the index tells all.
	NamesOnly bool `cbor:"7,keyasint,omitempty"`
}

// MaxScan is how many keys one page may read before it is cut short, so that
// no query holds a snapshot for long.
const MaxScan = 100_000

// Found is a document of a result.
type Found struct {
	Document
	// Key is its place in the query's order, order-preserving across shards:
	// pages of several ranges are merged by it.
	Key      []byte   `cbor:"10,keyasint"`
	Distance *float64 `cbor:"11,keyasint,omitempty"` // of a vector search
}

// QueryReply is one page. Without Next the result ends here; with it the next
// page may be empty. Whoever asks several ranges asks them without offset and
// for the sum of offset and limit, and merges by Found.Key.
//
// A page of a vector search holds the nearest of the documents that it came to
// look at, at most Nearest.Limit, whatever Page, Offset and Limit say; whoever
// asks merges pages and ranges by Found.Key. Documents for which MaxReplyBytes
// left no room come as paths alone.
type QueryReply struct {
	Time    atoll.Time `cbor:"1,keyasint"`
	Found   []Found    `cbor:"2,keyasint,omitempty"`
	Next    []byte     `cbor:"3,keyasint,omitempty"`
	Skipped int        `cbor:"4,keyasint,omitempty"` // by the query's offset
	Stats   QueryStats `cbor:"5,keyasint"`
}

// QueryStats say what a page cost.
type QueryStats struct {
	Seeks     int    `cbor:"1,keyasint,omitempty"` // index seeks
	Keys      int    `cbor:"2,keyasint,omitempty"` // index entries and versions read
	Documents int    `cbor:"3,keyasint,omitempty"` // documents decoded
	Results   int    `cbor:"4,keyasint,omitempty"`
	Plan      string `cbor:"5,keyasint,omitempty"` // for people, if asked for
	// Needed is how many entries the plan proves that it has to read besides
	// results and seeks: those that a filter without an index drops.
	Needed int `cbor:"6,keyasint,omitempty"`
}

// AggregateRequest sums the documents of a query up.
type AggregateRequest struct {
	Target     Target            `cbor:"1,keyasint"`
	Query      query.Query       `cbor:"2,keyasint"`
	Aggregates []query.Aggregate `cbor:"3,keyasint"`
	At         atoll.Time        `cbor:"4,keyasint,omitempty"`
	After      []byte            `cbor:"5,keyasint,omitempty"`
	Explain    bool              `cbor:"6,keyasint,omitempty"`
}

// AggregateReply holds partial results, which query.Merge joins over pages and
// ranges.
type AggregateReply struct {
	Time    atoll.Time      `cbor:"1,keyasint"`
	Partial []query.Partial `cbor:"2,keyasint"`
	Next    []byte          `cbor:"3,keyasint,omitempty"`
	Stats   QueryStats      `cbor:"4,keyasint"`
}

// DocumentCheck and QueryCheck are what an optimistic transaction has read; a
// commit that carries them is Aborted if it would be read differently now.
type DocumentCheck struct {
	Path     atoll.Path `cbor:"1,keyasint"`
	Revision uint64     `cbor:"2,keyasint"` // 0: the document did not exist, and its tombstone's revision does not matter
	Updated  atoll.Time `cbor:"3,keyasint,omitempty"`
}

// QueryCheck repeats a query at commit.
type QueryCheck struct {
	Query query.Query `cbor:"1,keyasint"`
	Count int         `cbor:"2,keyasint"`
	// Digest of the results' names and update times, in order.
	Digest atoll.Hash `cbor:"3,keyasint"`
}
