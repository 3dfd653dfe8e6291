package node

import (
	"sync/atomic"

	"atoll"
	"atoll/log/local"
	"atoll/planted"
	"atoll/subnet"
)

// State is one durable state of a subnet. Whoever acquired it releases it.
type State struct {
	atoll.Reader
	// Head is the head of the state. Its Time is the time up to which
	// everything is known: no commit will come at or below it.
	Head subnet.Head
	snap atoll.Snapshot
	refs *atomic.Int64 // shared by states with different times over one snapshot
}

// newState takes a snapshot of the store after the last applied block.
func (r *Replica) newState(h subnet.Head) *State {
	s := &State{Head: h, snap: r.cfg.Store.Snapshot(), refs: new(atomic.Int64)}
	s.Reader = s.snap
	s.refs.Store(1)
	return s
}

func (s *State) release() {
	if s.refs.Add(-1) == 0 {
		s.snap.Close()
	}
}

// SeekPrefixGE returns the first key >= key with the same prefix (keys.Split).
func (s *State) SeekPrefixGE(key []byte) (k, v []byte, ok bool, err error) {
	return subnet.SeekPrefixGE(s.snap, key)
}

// Release gives the state back.
func (s *State) Release() { s.release() }

// Acquire returns the newest durable state: it holds everything that was
// acknowledged before the call. It fails with Unavailable if the replica is
// dead or may not answer strong reads (a wanted extension of the lease is then
// under way).
func (r *Replica) Acquire() (*State, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return nil, r.notRunning()
	}
	if !r.cfg.Exclusive && r.cfg.Clock() >= r.lease && !r.cfg.Planted.Has(planted.LeaseIgnored) {
		r.extend = true
		r.wake()
		return nil, atoll.Errorf(atoll.Unavailable, "the lease on subnet %d ran out; it is being renewed", r.last.Subnet)
	}
	return r.acquire(), nil
}

func (r *Replica) acquire() *State {
	r.state.refs.Add(1)
	s := *r.state
	s.Head.Time = max(s.Head.Time, r.closed)
	return &s
}

// CloseAt promises that no commit will come at or below t and returns a durable
// state that shows all up to it; nil if that takes another block, which is then
// wanted: try again when Changed tells. It fails with Invalid if t is too far
// ahead of the clock.
func (r *Replica) CloseAt(t atoll.Time) (*State, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.err != nil:
		return nil, r.notRunning()
	case t <= r.state.Head.Time || t <= r.closed:
		return r.acquire(), nil // also if the clock has stepped back behind it
	case t > r.cfg.Clock()+atoll.MaxAhead:
		return nil, atoll.Errorf(atoll.Invalid, "the time %s lies in the future", t)
	}
	if t <= r.last.Reserved && (r.cfg.Exclusive || !r.first) {
		// Nothing that is still to be executed may commit at or below t. As
		// long as a replica has appended nothing to a store that it shares,
		// the one before it may still do so.
		r.floor = max(r.floor, t+1)
		if r.inflight == 0 && r.last.Height == r.state.Head.Height {
			r.closed = t
			return r.acquire(), nil
		}
	} else {
		r.extend = true
		r.wake()
	}
	return nil, nil
}

// Changed returns a channel that is closed when a newer state is durable, or
// the replica dies.
func (r *Replica) Changed() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.changed
}

// Query answers from the newest durable state.
func (r *Replica) Query(to atoll.CanisterID, q atoll.Question) ([]byte, error) {
	s, err := r.Acquire()
	if err != nil {
		return nil, err
	}
	defer s.Release()
	return subnet.Query(r.cfg.Subnet.Programs, s, s.Head, to, q)
}

// Limits of the log. When it is over one of them, it is cut down to half of
// both.
const (
	MaxLogEntries = 1 << 17
	MaxLogBytes   = 1 << 30
	// The log is measured once in so many blocks; meanwhile it can grow over
	// its limit by that many times MaxBlockBytes.
	logCheckEvery = 64
)

// truncate adds to a block's batch that old log entries are forgotten.
func (r *Replica) truncate(res *subnet.Result) error {
	if res.Head.Chain.Position%logCheckEvery != 0 {
		return nil
	}
	entries, bytes := r.cfg.LogEntries, r.cfg.LogBytes
	over, err := local.Cut(r.cfg.Store, entries, bytes)
	if err != nil || over == 0 {
		return err
	}
	before, err := local.Cut(r.cfg.Store, entries/2, bytes/2)
	if err == nil && before != 0 {
		local.Truncate(res.Batch, before)
	}
	return err
}

// Close releases what the replica holds. Its driver must have stopped.
func (r *Replica) Close() {
	r.Fail(atoll.Errorf(atoll.Unavailable, "closed"))
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state != nil {
		r.state.release()
		r.state = nil
	}
}
