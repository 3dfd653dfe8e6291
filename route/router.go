package route

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"atoll"
)

// Node is what a Router needs of the machine that it runs on.
type Node interface {
	// Update hands a message to the subnet of m.To[0] and returns its outcome
	// once the block that holds it is durable. An error of kind Unavailable or
	// ResourceExhausted means that nothing was done; Unknown, or the end of
	// ctx, that the outcome cannot be known and the same message may be sent
	// again. A failed execution is Outcome.Err, not an error.
	Update(ctx context.Context, m atoll.Message) (atoll.Outcome, error)
	// Query answers from the durable state of the canister's subnet, not older
	// than anything acknowledged before the call.
	Query(ctx context.Context, to atoll.CanisterID, q atoll.Question) ([]byte, error)
	// QueryAt is Query on a state that shows all up to the time at, which no
	// commit will ever precede again; the node waits for it, or brings it
	// about. It fails with Invalid if at lies ahead of the clock by more than
	// atoll.MaxAhead.
	QueryAt(ctx context.Context, at atoll.Time, to atoll.CanisterID, q atoll.Question) ([]byte, error)
}

// Caller is on whose behalf a request is made, as a gateway has verified it.
type Caller struct {
	Principal atoll.Principal
	Claims    []byte // of the caller's token, for the rules
}

// Defaults of Options.
const (
	DefaultDatabases = 4096
	DefaultMaxWait   = 60 * time.Second
)

// Limits that are not options.
const (
	maxRefusals = 1024                  // databases whose refusal is remembered
	refusalTime = time.Second           // for how long
	maxResends  = 3                     // of a message with unknown outcome
	resendPause = 20 * time.Millisecond // before the first of them; it doubles
)

// Options say how a Router works. Node and Root are required.
type Options struct {
	Node Node
	Root atoll.CanisterID // of the accounts program
	// Clock tells when leases and refusals end and when messages expire;
	// time.Now if nil.
	Clock func() time.Time
	// Pause waits before a message is sent again, until ctx ends at the
	// latest; nil waits for d. A simulator gives its own.
	Pause func(ctx context.Context, d time.Duration)
	// Databases is how many maps are kept; DefaultDatabases if 0.
	Databases int
	// MaxWait bounds how long a message may wait for its execution, also for
	// callers who set no deadline or a later one; DefaultMaxWait if 0.
	MaxWait time.Duration
}

// Router sends requests to the shards that own their documents. It is safe for
// concurrent use.
type Router struct {
	node    Node
	root    atoll.CanisterID
	clock   func() time.Time
	pause   func(ctx context.Context, d time.Duration)
	maxWait time.Duration
	counts  counters

	mu       sync.Mutex // guards what follows; held for map operations alone
	routes   *lru[atoll.Database, *table]
	refusals *lru[atoll.Database, refusal]
	fetches  map[atoll.Database]*fetch // under way; one for each database that somebody waits for
}

// refusal is an error that is answered again without asking.
type refusal struct {
	err   error
	until time.Time
}

// fetch is a map that one caller is getting and others wait for.
type fetch struct {
	done chan struct{} // closed when table and err are set
	t    *table
	err  error
}

// New returns a Router with an empty cache.
func New(o Options) *Router {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Pause == nil {
		o.Pause = sleep
	}
	if o.Databases <= 0 {
		o.Databases = DefaultDatabases
	}
	if o.MaxWait <= 0 {
		o.MaxWait = DefaultMaxWait
	}
	return &Router{
		node:     o.Node,
		root:     o.Root,
		clock:    o.Clock,
		pause:    o.Pause,
		maxWait:  o.MaxWait,
		routes:   newLRU[atoll.Database, *table](o.Databases),
		refusals: newLRU[atoll.Database, refusal](maxRefusals),
		fetches:  make(map[atoll.Database]*fetch),
	}
}

type counters struct {
	hits, misses, opened, refused, corrected, resent atomic.Uint64
}

// Stats counts what a Router has done since it was made.
type Stats struct {
	Hits      uint64 // requests routed by a cached map
	Misses    uint64 // requests that had to fetch the map, or wait for it
	Opened    uint64 // databases opened at their first use
	Refused   uint64 // requests answered from a remembered refusal
	Corrected uint64 // requests repeated after WrongRange
	Resent    uint64 // messages sent again after an unknown outcome
	Evicted   uint64 // maps forgotten for want of room
	Databases int    // maps kept now
}

// Stats returns the counts so far.
func (r *Router) Stats() Stats {
	r.mu.Lock()
	evicted, databases := r.routes.evicted, r.routes.len()
	r.mu.Unlock()
	return Stats{
		Hits:      r.counts.hits.Load(),
		Misses:    r.counts.misses.Load(),
		Opened:    r.counts.opened.Load(),
		Refused:   r.counts.refused.Load(),
		Corrected: r.counts.corrected.Load(),
		Resent:    r.counts.resent.Load(),
		Evicted:   evicted,
		Databases: databases,
	}
}

// NewRequestID draws a request id.
func NewRequestID() (id atoll.RequestID) {
	rand.Read(id[:]) // never fails: crypto/rand ends the program instead
	return id
}

// expires returns the block time after which nobody waits for a message.
func (r *Router) expires(ctx context.Context) atoll.Time {
	wait := r.maxWait
	if end, ok := ctx.Deadline(); ok {
		wait = min(wait, time.Until(end))
	}
	return atoll.TimeOf(r.clock().Add(wait))
}

// update sends a message until its outcome is known. The id makes a repetition
// harmless: it gets the result of the first. An error leaves the outcome open
// only if its kind is Unknown or DeadlineExceeded or Canceled.
func (r *Router) update(ctx context.Context, m atoll.Message) ([]byte, error) {
	pause := resendPause
	for sent := 0; ; sent++ {
		out, err := r.node.Update(ctx, m)
		if err == nil {
			if out.Err != nil {
				return nil, out.Err
			}
			return out.Payload, nil
		}
		err = ended(err)
		if atoll.KindOf(err) != atoll.Unknown || sent == maxResends {
			return nil, err
		}
		r.pause(ctx, pause)
		if err := ctx.Err(); err != nil {
			return nil, ended(err)
		}
		pause *= 2
		r.counts.resent.Add(1)
	}
}

// sleep waits for d, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// query asks a canister about a time; 0 means now.
func (r *Router) query(ctx context.Context, to atoll.CanisterID, who Caller, method string, at atoll.Time, payload []byte) (b []byte, err error) {
	q := atoll.Question{Caller: who.Principal, Claims: who.Claims, Method: method, Payload: payload}
	if at == 0 {
		b, err = r.node.Query(ctx, to, q)
	} else {
		b, err = r.node.QueryAt(ctx, at, to, q)
	}
	return b, ended(err)
}

// ended turns the end of a context into an error that tells it from a defect.
func ended(err error) error {
	var e *atoll.Error
	switch {
	case err == nil || errors.As(err, &e):
		return err
	case errors.Is(err, context.DeadlineExceeded):
		return atoll.Errorf(atoll.DeadlineExceeded, "the deadline passed before the answer came")
	case errors.Is(err, context.Canceled):
		return atoll.Errorf(atoll.Canceled, "the request was cancelled")
	}
	return err
}
