package shard

import "atoll"

// Methods of the shard program. Updates are sent as messages and answered when
// durable; queries read durable state.
const (
	MethodCommit  = "commit"  // update: CommitRequest -> CommitReply; joint over shards
	MethodApply   = "apply"   // update, from semantics version 3 on: ApplyRequest -> ApplyReply
	MethodAssign  = "assign"  // update, from the directory alone: Descriptor -> nothing
	MethodCollect = "collect" // update, from the subnet's housekeeper: CollectRequest -> CollectReply

	MethodGet         = "get"         // query: GetRequest -> GetReply
	MethodList        = "list"        // query: ListRequest -> ListReply
	MethodCollections = "collections" // query: CollectionsRequest -> CollectionsReply
	MethodFeed        = "feed"        // query: FeedRequest -> FeedReply
	MethodStatus      = "status"      // query: nothing -> Status
)

// Methods of queries, see query_api.go.
const (
	MethodQuery     = "query"     // query: QueryRequest -> QueryReply
	MethodAggregate = "aggregate" // query: AggregateRequest -> AggregateReply
)

// Methods of indexes, see index_api.go.
const (
	MethodIndexes     = "indexes"      // update, from the directory alone: IndexConfig -> nothing
	MethodBuild       = "build"        // update, from the subnet's housekeeper: BuildRequest -> BuildReply
	MethodIndexStatus = "index_status" // query: nothing -> IndexStatus
)

// RangeID numbers a range within its database; it is never reused.
type RangeID uint64

// RangeEpoch counts the owners and bounds that a range has had.
type RangeEpoch uint64

// Family numbers a key space of one database: its documents under one
// placement with their index entries. The accounts program hands them out,
// each once in an installation, since databases share a subnet's keys; 0 is
// none.
type Family uint32

// Descriptor says who owns a range. Keys are placement keys of documents
// (package keys) without the family; an empty End means no end.
type Descriptor struct {
	Range    RangeID          `cbor:"1,keyasint"`
	Epoch    RangeEpoch       `cbor:"2,keyasint"`
	Database atoll.Database   `cbor:"3,keyasint"`
	Family   Family           `cbor:"4,keyasint"`
	Start    []byte           `cbor:"5,keyasint,omitempty"`
	End      []byte           `cbor:"6,keyasint,omitempty"`
	Shard    atoll.CanisterID `cbor:"7,keyasint"`
	Subnet   atoll.SubnetID   `cbor:"8,keyasint"`
	// Lease is how long, in microseconds, a client may use this descriptor
	// after it fetched it; the owner outlives every lease when it gives a
	// range away.
	Lease atoll.Time `cbor:"9,keyasint"`
	// Lineage lists the ranges that this one was split or merged from, each
	// once, with the time until which the change feed of its keys stands under
	// their id.
	Lineage []Ancestor `cbor:"10,keyasint,omitempty"`
}

// Ancestor is a range whose change feed holds older changes of a younger one.
type Ancestor struct {
	Range RangeID    `cbor:"1,keyasint"`
	Until atoll.Time `cbor:"2,keyasint"`
}

// Target names the range that a request is meant for, as the sender's map has
// it. The shard answers WrongRange, with its own descriptor as the error's
// data, if it owns no such range at that epoch or a key lies outside.
type Target struct {
	Range RangeID    `cbor:"1,keyasint"`
	Epoch RangeEpoch `cbor:"2,keyasint"`
}

// Op tells what a Write does.
type Op uint8

const (
	OpSet    Op = 1 // the document becomes Doc; with Mask only the masked fields do
	OpDelete Op = 2
	OpVerify Op = 3 // nothing but the precondition
)

// Write changes one document. It is Firestore's Write with its document as
// BSON (package value).
type Write struct {
	Op   Op         `cbor:"1,keyasint"`
	Path atoll.Path `cbor:"2,keyasint"`
	Doc  []byte     `cbor:"3,keyasint,omitempty"`
	// Mask lists field paths in their canonical text (value.FieldPath.String).
	// A masked path that Doc lacks is removed. HasMask tells an empty mask
	// (change no field) from none (replace the document).
	Mask       []string    `cbor:"4,keyasint,omitempty"`
	HasMask    bool        `cbor:"5,keyasint,omitempty"`
	Transforms []Transform `cbor:"6,keyasint,omitempty"` // after the fields are set, in order
	// Preconditions.
	Exists     *bool       `cbor:"7,keyasint,omitempty"`
	UpdateTime *atoll.Time `cbor:"8,keyasint,omitempty"`
}

// TransformKind is one of Firestore's field transforms.
type TransformKind uint8

const (
	ServerTime    TransformKind = 1 // the commit time
	Increment     TransformKind = 2 // int64 saturates; a double makes a double
	Maximum       TransformKind = 3
	Minimum       TransformKind = 4
	ArrayUnion    TransformKind = 5 // appendMissingElements
	ArrayRemove   TransformKind = 6 // removeAllFromArray
	maxTransforms               = 500
)

// Transform computes one field from its old value.
type Transform struct {
	Field   string        `cbor:"1,keyasint"` // canonical field path
	Kind    TransformKind `cbor:"2,keyasint"`
	Operand []byte        `cbor:"3,keyasint,omitempty"` // value.Encode of the operand; an array for union and remove
}

// MaxWrites is the most writes that one commit may have.
const MaxWrites = 10_000

// CommitRequest changes documents of one range, all or none. The writes are
// applied in order, each to what the ones before it left; a document that
// several of them change gets one new version. A request without an id
// (atoll.Message.ID is zero) is executed each time that it comes. For a commit over
// several shards of a subnet the message is joint and Targets has one entry for
// each shard, in the order of Message.To.
type CommitRequest struct {
	Targets []Target `cbor:"1,keyasint"`
	Writes  []Write  `cbor:"2,keyasint"`
	// Documents and Queries are what an optimistic transaction has read. They
	// are checked on the state before the writes; if one would be read
	// differently now, the commit is Aborted and changes nothing.
	Documents []DocumentCheck `cbor:"3,keyasint,omitempty"`
	Queries   []QueryCheck    `cbor:"4,keyasint,omitempty"`
}

// WriteResult is what became of one write.
type WriteResult struct {
	// UpdateTime of the document after the write: the commit time, or the
	// older one if nothing changed. 0 after a delete or verify.
	UpdateTime atoll.Time `cbor:"1,keyasint,omitempty"`
	Results    [][]byte   `cbor:"2,keyasint,omitempty"` // encoded values, one for each transform
}

// CommitReply is kept under the request id and given again to a repetition.
type CommitReply struct {
	Time    atoll.Time    `cbor:"1,keyasint"`
	Results []WriteResult `cbor:"2,keyasint"`
}

// MaxApply is the most writes of an ApplyRequest, as in Firestore's BatchWrite.
const MaxApply = 500

// ApplyRequest changes documents of one range, each by itself: as many
// CommitRequests with one write would, in one message. No document is named
// twice.
type ApplyRequest struct {
	Target Target  `cbor:"1,keyasint"`
	Writes []Write `cbor:"2,keyasint"`
	// IDs are the request ids of the writes, in their order: under his own,
	// each is done once, however often it comes and with whatever others.
	IDs []atoll.RequestID `cbor:"3,keyasint"`
}

// ApplyReply has one result for each write, in their order.
type ApplyReply struct {
	Results []Applied `cbor:"1,keyasint"`
}

// Applied is what became of one write: a result, or why nothing was done.
type Applied struct {
	WriteResult
	Err *atoll.Error `cbor:"10,keyasint,omitempty"`
}

// Document is a document as a shard returns it. Doc is nil if it does not
// exist at the time of the read; then the other fields but Path are zero.
type Document struct {
	Path     atoll.Path `cbor:"1,keyasint"`
	Doc      []byte     `cbor:"2,keyasint,omitempty"` // BSON
	Created  atoll.Time `cbor:"3,keyasint,omitempty"`
	Updated  atoll.Time `cbor:"4,keyasint,omitempty"`
	Revision uint64     `cbor:"5,keyasint,omitempty"` // counts the changes of this path, tombstones included, from 1
}

// GetRequest reads documents by path, at one time.
type GetRequest struct {
	Target Target       `cbor:"1,keyasint"`
	Paths  []atoll.Path `cbor:"2,keyasint"` // at most MaxPage
	// At is the time to read at; 0 means now: all that is durable. A time
	// before the collected horizon fails with FailedPrecondition, one after
	// the durable time with OutOfRange (the caller waits, or has it closed).
	At atoll.Time `cbor:"3,keyasint,omitempty"`
}

// GetReply answers in the order of the request's paths. It may stop short of
// the last ones for MaxReplyBytes, and never of the first.
type GetReply struct {
	Time      atoll.Time `cbor:"1,keyasint"` // at which was read
	Documents []Document `cbor:"2,keyasint"`
}

// ListRequest reads the documents of one collection in the order of their
// names.
type ListRequest struct {
	Target     Target     `cbor:"1,keyasint"`
	Collection atoll.Path `cbor:"2,keyasint"`
	After      string     `cbor:"3,keyasint,omitempty"` // document id to start behind; empty: from the first
	Limit      int        `cbor:"4,keyasint"`           // documents, 1 to MaxPage
	At         atoll.Time `cbor:"5,keyasint,omitempty"`
	// Missing includes documents that do not exist but have documents below
	// them (Firestore's show_missing).
	Missing bool `cbor:"6,keyasint,omitempty"`
}

// MaxPage is the most that one list, collections or feed query returns.
const MaxPage = 1000

// MaxReplyBytes is how many bytes of documents one reply may hold before it is
// cut short (it holds at least one document).
const MaxReplyBytes = 4 << 20

// ListReply is one page.
type ListReply struct {
	Time      atoll.Time `cbor:"1,keyasint"`
	Documents []Document `cbor:"2,keyasint,omitempty"`
	More      bool       `cbor:"3,keyasint,omitempty"`
}

// CollectionsRequest asks which collections stand directly below a document,
// or below the root.
type CollectionsRequest struct {
	Target Target     `cbor:"1,keyasint"`
	Parent atoll.Path `cbor:"2,keyasint"`
	After  string     `cbor:"3,keyasint,omitempty"`
	Limit  int        `cbor:"4,keyasint"`
	At     atoll.Time `cbor:"5,keyasint,omitempty"`
}

// CollectionsReply is one page of collection ids, in order.
type CollectionsReply struct {
	Time atoll.Time `cbor:"1,keyasint"`
	IDs  []string   `cbor:"2,keyasint,omitempty"`
	More bool       `cbor:"3,keyasint,omitempty"`
}

// FeedRequest reads the change feed of a range: After < time <= now, in the
// order of (time, key). It fails with FailedPrecondition if changes behind After
// may have been forgotten (Status.Feed); then the reader reads the documents as
// of now and goes on from there.
type FeedRequest struct {
	Target Target     `cbor:"1,keyasint"`
	After  FeedCursor `cbor:"2,keyasint"`
	Limit  int        `cbor:"3,keyasint"`
}

// FeedCursor is a place in a change feed: behind one change, or behind all of
// a time if Key is empty.
type FeedCursor struct {
	Time atoll.Time `cbor:"1,keyasint"`
	Key  []byte     `cbor:"2,keyasint,omitempty"`
}

// Change is one entry of the feed. Doc.Doc is nil for a deletion. A change that
// a later one has superseded, and whose version is collected, is left out.
type Change struct {
	Cursor FeedCursor `cbor:"1,keyasint"`
	Doc    Document   `cbor:"2,keyasint"`
}

// FeedReply is one page. Closed is the time up to which nothing more can come;
// if More is false, a reader that has this page has seen all up to Closed. A
// page may have no changes though there are more.
type FeedReply struct {
	Changes []Change   `cbor:"1,keyasint,omitempty"`
	Closed  atoll.Time `cbor:"2,keyasint"`
	More    bool       `cbor:"3,keyasint,omitempty"`
	Next    FeedCursor `cbor:"4,keyasint"` // After of the request for the next page
}

// MaxCollect is the largest Limit of a CollectRequest.
const MaxCollect = 100_000

// CollectRequest asks a shard to forget what lies below the horizons. They are
// part of the message, so that all replicas forget the same. The first two never
// fall again: a lower one than before means the same as that. None is taken to
// lie after the commit time, nor Latest after Versions.
type CollectRequest struct {
	Versions atoll.Time `cbor:"1,keyasint"` // superseded versions before this time
	Latest   atoll.Time `cbor:"2,keyasint"` // tombstones, and feed entries of live documents, before this time
	Requests atoll.Time `cbor:"3,keyasint"` // results kept for repeated requests, before this time
	Limit    int        `cbor:"4,keyasint"` // feed entries to look at, 1 to MaxCollect
}

// CollectReply says how far it came.
type CollectReply struct {
	Removed int  `cbor:"1,keyasint"` // keys
	More    bool `cbor:"2,keyasint"` // the limit cut it short: send it again
}

// Status is what a shard says of itself.
type Status struct {
	Ranges  []Descriptor `cbor:"1,keyasint,omitempty"`
	Horizon atoll.Time   `cbor:"2,keyasint"` // reads before it are refused
	Feed    atoll.Time   `cbor:"3,keyasint"` // the feed is whole from here on; from before it no reader can go on
}
