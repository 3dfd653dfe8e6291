package directory

import "atoll/program/shard"

// Methods of indexes. Administrator, the canister that created the database
// and the node itself may call them; others are refused with PermissionDenied.
const (
	MethodSetIndexes = "set_indexes" // update: SetIndexesRequest -> Indexes, when all shards maintain them
	MethodIndexes    = "indexes"     // query: nothing -> Indexes; how far they are built the shards tell
)

// Administrator is in whose name the doors send what the installation's
// administrator asks for.
const Administrator = shard.Administrator

// SetIndexesRequest replaces what is set about a database's indexes. It fails
// with Invalid as shard.IndexConfig.Check does; with Aborted if IfVersion is
// not the version at hand; with Unavailable while an earlier change is on its
// way to the shards; with ResourceExhausted if a shard has no room for the
// change, or the numbers of indexes are used up. If a shard cannot take it, the
// change stands, the error says what was wrong, and the same request sent
// again repeats it.
type SetIndexesRequest struct {
	// Config's ids and version are not looked at: a composite index that was
	// there before keeps its id, and others get ids that were never used.
	Config shard.IndexConfig `cbor:"1,keyasint"`
	// IfVersion, unless it is nil, is the version that the change was made from;
	// 0 is that of a database whose indexes were never set.
	IfVersion *uint64 `cbor:"2,keyasint,omitempty"`
}

// Indexes is what is set about a database's indexes.
type Indexes struct {
	Config shard.IndexConfig `cbor:"1,keyasint"`
	// Pending tells that shards were not yet heard of; Problem what went wrong
	// with one when the indexes were last set.
	Pending bool   `cbor:"2,keyasint,omitempty"`
	Problem string `cbor:"3,keyasint,omitempty"`
}
