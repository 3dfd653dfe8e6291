package node

import (
	"sync"

	"atoll"
	"atoll/log/local"
	"atoll/planted"
	"atoll/subnet"
	"atoll/wire"
)

// reserveAhead is how far ahead of the clock a block reserves reads, in
// microseconds. After a restart the first commit is above it, so it must stay
// below atoll.MaxAhead.
const reserveAhead atoll.Time = 250_000

// Config is what a replica is made of.
type Config struct {
	Subnet subnet.Config
	Store  atoll.Store
	// Clock returns the wall's time. It may step back.
	Clock func() atoll.Time
	// Seed returns random bytes for a block.
	Seed func() [16]byte
	// Genesis is executed in the first block of an empty store.
	Genesis subnet.Genesis
	// Exclusive says that the store's lock proves that no other process
	// appends to it. Without it a lease of LeaseTime guards strong reads.
	Exclusive bool
	Supports  [2]atoll.Semantics // zero: what package subnet has
	// Mark is told each durable height, for a witness outside the store; may
	// be nil.
	Mark    func(atoll.Height, atoll.Hash)
	Planted planted.Set
	// LogEntries and LogBytes bound the log; MaxLogEntries and MaxLogBytes
	// if zero.
	LogEntries int
	LogBytes   uint64
}

// LeaseTime is how long, in microseconds, a replica without an exclusive store
// may answer strong reads after its last append. Another one that takes over
// waits longer, by as much as the clocks of the two may differ.
const (
	LeaseTime atoll.Time = 2_000_000
	leaseSkew atoll.Time = 500_000
)

// Replica is one subnet's state, log and mailbox in this process. Submit,
// Acquire, CloseAt and Durable may be called by anyone; Propose and Settle by
// its driver alone, Propose never twice at once, Settle in the order of Propose.
type Replica struct {
	cfg     Config
	machine *subnet.Machine // of the driver
	// logTotal is the size of all records so far, of the driver.
	logTotal uint64
	epoch    atoll.Epoch
	first    bool // no block was appended in this epoch yet
	genesis  bool // the store was empty

	mu       sync.Mutex // guards what follows; nothing else is locked under it
	mail     mailbox
	slices   map[atoll.SubnetID]atoll.Slice // from other subnets, for the next block
	pending  map[atoll.RequestID]*mail      // queued, in a block, or with a deferred reply
	inflight int                            // blocks that are cut and not settled
	last     subnet.Head                    // after the last applied block
	floor    atoll.Time                     // the next block's time must be at or above it
	extend   bool                           // a block is wanted for its reservation
	state    *State                         // what is durable
	closed   atoll.Time                     // reads were served up to it
	err      error                          // the replica is dead
	readOnly error                          // messages are refused with it
	changed  chan struct{}                  // closed when something durable changed
	wake     func()                         // there is something to propose
	metrics  Counters
	lease    atoll.Time // until when strong reads may be answered
}

// Counters count what happened since the replica was opened.
type Counters struct {
	Blocks, Messages, Refused, Panics uint64
	Lanes                             uint64 // sum over blocks
	Bytes                             uint64 // of batches
}

// OpenReplica opens the subnet's state and log. It checks that the log leads to
// the state.
func OpenReplica(cfg Config) (*Replica, error) {
	m, err := subnet.Open(cfg.Subnet, cfg.Store)
	if err != nil {
		return nil, err
	}
	h := m.Head()
	if err := local.Check(cfg.Store, h); err != nil {
		return nil, err
	}
	if cfg.Supports[1] == 0 {
		cfg.Supports = [2]atoll.Semantics{subnet.MinSemantics, subnet.MaxSemantics}
	}
	if cfg.LogEntries == 0 {
		cfg.LogEntries = MaxLogEntries
	}
	if cfg.LogBytes == 0 {
		cfg.LogBytes = MaxLogBytes
	}
	var logTotal uint64
	if h.Chain.Position > 0 {
		e, err := local.Get(cfg.Store, h.Chain.Position)
		if err != nil {
			return nil, err
		}
		logTotal = e.Total
	}
	r := &Replica{
		cfg: cfg, machine: m, logTotal: logTotal, epoch: h.Chain.Epoch + 1, first: true, genesis: h.Height == 0,
		mail: newMailbox(), slices: map[atoll.SubnetID]atoll.Slice{}, pending: map[atoll.RequestID]*mail{},
		last: h, floor: h.Reserved + 1, changed: make(chan struct{}), wake: func() {},
	}
	if cfg.Planted.Has(planted.ClockTrusted) {
		r.floor = 0
	}
	r.state = r.newState(h)
	return r, nil
}

// TakeOverAt returns the time, by the clock, from which on this replica may
// append: when the lease of the one before has run out, by a clock that differs
// from its own by at most half a second. 0 if the store is exclusive.
func (r *Replica) TakeOverAt() atoll.Time {
	if r.cfg.Exclusive || r.genesis || r.cfg.Planted.Has(planted.LeaseIgnored) {
		return 0
	}
	return r.last.Time + LeaseTime + leaseSkew
}

// Submit queues a message. tell is called once, with the outcome when it is
// durable, or with an error: Unavailable and ResourceExhausted say that nothing
// was done, Unknown that it cannot be known. A second message with the id of
// one that is under way gets the same outcome. The returned function forgets
// the waiter.
func (r *Replica) Submit(m atoll.Message, tell func(atoll.Outcome, error)) (forget func(), err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return nil, r.notRunning()
	}
	if r.readOnly != nil {
		r.metrics.Refused++
		return nil, r.readOnly
	}
	p := r.pending[m.ID]
	if p == nil || p.m.From != m.From {
		p = &mail{m: m, size: m.Size()}
		if err := r.mail.put(p); err != nil {
			r.metrics.Refused++
			return nil, err
		}
		r.pending[m.ID] = p
	}
	w := &waiter{tell: tell, mail: p}
	p.waiters = append(p.waiters, w)
	r.wake()
	return func() { r.forget(w) }, nil
}

// forget drops a waiter. A message that nobody waits for is not put into a
// block; if it is in one, its outcome is kept by its receiver alone.
func (r *Replica) forget(w *waiter) {
	r.mu.Lock()
	defer r.mu.Unlock()
	w.gone = true
	for _, o := range w.mail.waiters {
		if !o.gone {
			return
		}
	}
	w.mail.dropped = true
	if r.pending[w.mail.m.ID] == w.mail {
		delete(r.pending, w.mail.m.ID)
	}
}

// SetReadOnly makes the replica refuse further messages with err, or take them
// again with nil. Reads, and what is queued, go on.
func (r *Replica) SetReadOnly(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.readOnly = err
}

// Receive takes a slice of letters from another subnet for the next block. A
// later slice of the same subnet replaces one that is not yet in a block.
func (r *Replica) Receive(s atoll.Slice) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if old, ok := r.slices[s.From]; ok && old.Acked > s.Acked {
		s.Acked = old.Acked
	}
	r.slices[s.From] = s
	r.wake()
}

// Block is a block on its way to the disk.
type Block struct {
	Height atoll.Height
	commit atoll.Commit
	res    *subnet.Result
	state  *State
	lease  atoll.Time
	heard  []atoll.SubnetID // whose letters it holds
}

// Wait returns when the block is durable, or with the store's error.
func (b *Block) Wait() error { return b.commit.Wait() }

// Commit returns the store's promise for the block, for drivers that don't wait.
func (b *Block) Commit() atoll.Commit { return b.commit }

// Propose cuts a block, executes it and applies it to the store. It returns nil
// if there is nothing to do. After an error the replica is dead.
func (r *Replica) Propose() (*Block, error) {
	b, ok := r.cut()
	if !ok {
		return nil, nil
	}
	raw, chain := r.machine.Head().Chain.Append(r.epoch, b)
	res, err := r.machine.Execute(b, chain)
	if err != nil {
		return nil, r.Fail(err)
	}
	r.logTotal = local.Append(res.Batch, raw, res.Head, r.logTotal)
	if err := r.truncate(res); err != nil {
		return nil, r.Fail(err)
	}
	if !r.cfg.Exclusive && !r.cfg.Planted.Has(planted.StaleAppender) {
		if err := r.stillOurs(); err != nil {
			return nil, r.Fail(err)
		}
	}
	commit, err := r.cfg.Store.Apply(res.Batch)
	if err != nil {
		return nil, r.Fail(err)
	}
	out := &Block{Height: b.Height, commit: commit, res: res, state: r.newState(res.Head), lease: b.Time + LeaseTime}
	for _, s := range b.Slices {
		if len(s.Letters) > 0 {
			out.heard = append(out.heard, s.From)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = res.Head
	r.metrics.Blocks++
	r.metrics.Messages += uint64(res.Messages)
	r.metrics.Panics += uint64(res.Panics)
	r.metrics.Lanes += uint64(res.Lanes)
	r.metrics.Bytes += uint64(res.Batch.Bytes)
	if r.cfg.Planted.Has(planted.VisibleBeforeDurable) {
		r.show(out.state)
	}
	if r.cfg.Planted.Has(planted.AckBeforeSync) {
		r.answer(res.Outcomes)
	}
	return out, nil
}

// cut makes the next block of what waits.
func (r *Replica) cut() (*atoll.Block, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil || !r.first && !r.extend && r.mail.count == 0 && len(r.slices) == 0 && !r.machine.Pending() {
		return nil, false
	}
	h := r.machine.Head()
	now := r.cfg.Clock()
	b := &atoll.Block{Height: h.Height + 1, Time: max(now, h.Time+1), Seed: r.cfg.Seed(), Semantics: h.Semantics}
	if !r.cfg.Planted.Has(planted.CommitBelowRead) {
		b.Time = max(b.Time, r.floor)
	}
	b.Reserved = max(now, b.Time) + reserveAhead
	if r.first {
		b.Supports = r.cfg.Supports
	}
	r.inflight++
	if r.first && r.genesis { // alone, so that its canisters are there for all that follows
		b.Messages = []atoll.Message{{To: []atoll.CanisterID{atoll.Management}, Method: subnet.MethodGenesis, Payload: wire.Marshal(r.cfg.Genesis)}}
		r.first = false
		return b, true
	}
	for from := atoll.SubnetID(0); len(r.slices) > 0; from++ {
		if s, ok := r.slices[from]; ok {
			b.Slices = append(b.Slices, s)
			delete(r.slices, from)
		}
	}
	for _, p := range r.mail.take() {
		b.Messages = append(b.Messages, p.m)
	}
	r.first, r.extend = false, false
	return b, true
}

// stillOurs makes sure that nobody else appended to a store that has no lock.
func (r *Replica) stillOurs() error {
	h, _, err := subnet.ReadHead(r.cfg.Store)
	if err != nil {
		return err
	}
	if prev := r.last.Chain; h.Chain != prev {
		return atoll.Errorf(atoll.Aborted, "another process appends to the log of subnet %d: it is at position %d of epoch %d, we are at %d of %d",
			h.Subnet, h.Chain.Position, h.Chain.Epoch, prev.Position, prev.Epoch)
	}
	return nil
}

// Settle makes a block's effects visible and answers its messages. The driver
// calls it after Wait returned nil.
func (r *Replica) Settle(b *Block) {
	if r.cfg.Mark != nil {
		r.cfg.Mark(b.res.Head.Height, b.res.Head.Digest)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		b.state.release()
		return
	}
	r.inflight--
	r.lease = max(r.lease, b.lease)
	if r.state.Head.Height < b.Height {
		r.show(b.state)
	}
	r.answer(b.res.Outcomes)
}

// show makes a state the one that everybody reads.
func (r *Replica) show(s *State) {
	old := r.state
	r.state = s
	old.release()
	close(r.changed)
	r.changed = make(chan struct{})
}

func (r *Replica) answer(outcomes []atoll.Outcome) {
	for _, o := range outcomes {
		p := r.pending[o.ID]
		if p == nil {
			continue
		}
		delete(r.pending, o.ID)
		for _, w := range p.waiters {
			if !w.gone {
				w.tell(o, nil)
			}
		}
	}
}

// Fail makes the replica dead: messages that are in no block get Unavailable,
// the others Unknown. It returns err.
func (r *Replica) Fail(err error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return err
	}
	r.err = err
	for id, p := range r.pending { // order does not matter
		delete(r.pending, id)
		kind, what := atoll.Unavailable, "nothing was done"
		if p.taken {
			kind, what = atoll.Unknown, "whether it was done is not known; send it again with the same request id"
		}
		for _, w := range p.waiters {
			if !w.gone {
				w.tell(atoll.Outcome{}, &atoll.Error{Kind: kind, Msg: "the subnet stopped: " + what, Detail: err.Error()})
			}
		}
	}
	close(r.changed)
	r.changed = make(chan struct{})
	return err
}

// notRunning is the answer of a dead replica: why, for whoever asks, and where,
// for the operator alone. The lock is held.
func (r *Replica) notRunning() error {
	why := atoll.AsError(r.err)
	return &atoll.Error{Kind: atoll.Unavailable, Msg: "the subnet is not running: " + why.Msg, Detail: why.Detail}
}

// Err returns why the replica is dead; nil if it is not.
func (r *Replica) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// Counters returns what happened so far.
func (r *Replica) Counters() (c Counters, queued, queuedBytes int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.metrics, r.mail.count, r.mail.bytes
}
