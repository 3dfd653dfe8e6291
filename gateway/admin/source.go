package admin

import (
	"context"
	"time"

	"atoll"
	"atoll/program/shard"
	"atoll/route"
	"atoll/subnet"
)

// Source is what the door needs of the node that it shows.
type Source interface {
	Subnets() int
	// Report returns how a subnet does, whether it runs or not.
	Report(atoll.SubnetID) (Report, error)
	// State returns the newest durable state of a subnet; it must be released.
	State(context.Context, atoll.SubnetID) (State, error)
	// Durable blocks until the durable height is above the given one.
	Durable(ctx context.Context, s atoll.SubnetID, above atoll.Height) (atoll.Height, error)
	// Query asks a canister.
	Query(ctx context.Context, to atoll.CanisterID, q atoll.Question) ([]byte, error)
}

// Router is what the door needs of package route; see there.
type Router interface {
	Get(ctx context.Context, db atoll.Database, paths []atoll.Path, at atoll.Time, who route.Caller) (shard.GetReply, error)
	List(ctx context.Context, db atoll.Database, req shard.ListRequest, who route.Caller) (shard.ListReply, error)
	Collections(ctx context.Context, db atoll.Database, req shard.CollectionsRequest, who route.Caller) (shard.CollectionsReply, error)
	Feed(ctx context.Context, db atoll.Database, after shard.FeedCursor, limit int, who route.Caller) (shard.FeedReply, error)
	Indexes(ctx context.Context, db atoll.Database, who route.Caller) (route.IndexSet, error)
	Stats() route.Stats
}

// Report is how a subnet does. Counters begin anew when it is opened again.
type Report struct {
	Head     subnet.Head // of the durable state
	Executed atoll.Height
	Err      error // why it does not run; nil if it does
	Refusing error // why it refuses writes; nil if it takes them

	Blocks, Messages, Refused, Panics, Lanes, Bytes uint64

	Queued, QueuedBytes int
	Reopens, Scrubs     uint64
	Scrubbed            time.Time // zero: not yet
	Free                uint64    // bytes on the disk; 0 if not watched
	Store               []Figure  // of the store, empty if it has none to tell
}

// Figure is one number of a store. Counters only grow while it is open.
type Figure struct {
	Name, Help string // as in atoll_store_{Name}
	Value      float64
	Counter    bool
}

// State is one durable state of a subnet.
type State struct {
	atoll.Reader
	Head    subnet.Head
	Release func()
}
