package subnet

import (
	"slices"

	"atoll"
	"atoll/planted"
	"atoll/wire"
)

// Result is what a block did.
type Result struct {
	// Batch holds all changes of the state, the new head among them. The
	// caller adds the log record and applies it.
	Batch    *atoll.Batch
	Head     Head
	Outcomes []atoll.Outcome // answers to ingress messages, of this block or deferred ones
	Messages int             // executed, letters included
	Lanes    int             // groups that could run at once
	Panics   int             // messages that panicked and were rolled back
	Streams  bool            // a stream to another subnet changed
}

// Execute runs a block on the state after the one before. chain is the log's
// end behind the block's record. An error means that the block can't be
// executed here at all: the store failed, or the block is not for this state.
func (m *Machine) Execute(b *atoll.Block, chain Chain) (*Result, error) {
	if err := m.accept(b); err != nil {
		return nil, err
	}
	run := &execution{m: m, b: b, head: m.head, kernel: newOverlay(m.store, 16)}
	run.head.Height, run.head.Chain, run.head.Reserved = b.Height, chain, b.Reserved
	if b.Supports[1] != 0 {
		run.head.Supports = b.Supports
	}
	for i := range b.Slices {
		run.receive(&b.Slices[i])
	}
	run.gather()
	if run.err == nil {
		run.runLanes()
	}
	if run.err != nil {
		return nil, run.err
	}
	return run.finish()
}

// accept checks that the block is for this state.
func (m *Machine) accept(b *atoll.Block) error {
	switch h := m.head; {
	case b.Height != h.Height+1:
		return atoll.Errorf(atoll.Internal, "block %d does not follow height %d", b.Height, h.Height)
	case b.Time <= h.Time:
		return atoll.Errorf(atoll.Internal, "the time %s of block %d is not after %s", b.Time, b.Height, h.Time)
	case b.Semantics != h.Semantics:
		return atoll.Errorf(atoll.Internal, "block %d has semantics version %d in place of %d", b.Height, b.Semantics, h.Semantics)
	case b.Semantics < MinSemantics || b.Semantics > MaxSemantics:
		return atoll.Errorf(atoll.Unimplemented, "block %d has semantics version %d; this version of Atoll executes %d to %d", b.Height, b.Semantics, MinSemantics, MaxSemantics)
	}
	return nil
}

// execution is one block under way.
type execution struct {
	m       *Machine
	b       *atoll.Block
	head    Head
	kernel  *overlay // queues, streams and records of canisters
	turns   []turn
	lanes   []*lane
	streams []atoll.SubnetID // changed
	err     error            // of the store: nothing can go on
}

// turn is one message, at its place in the block.
type turn struct {
	now     atoll.Time
	letter  *atoll.Letter // or
	message *atoll.Message
	// Results, written by the turn's lane alone.
	outcomes []atoll.Outcome
	letters  []atoll.Letter
	burned   uint64
	panicked bool
}

// to returns the canisters that take part.
func (t *turn) to(self atoll.SubnetID) []atoll.CanisterID {
	if t.letter != nil {
		return []atoll.CanisterID{local(t.letter.To, self)}
	}
	if len(t.message.To) == 1 {
		return []atoll.CanisterID{local(t.message.To[0], self)}
	}
	return t.message.To
}

// local returns Management for the subnet's own name.
func local(id atoll.CanisterID, self atoll.SubnetID) atoll.CanisterID {
	if id == ManagementOf(self) {
		return atoll.Management
	}
	return id
}

// ManagementOf returns the name under which canisters of other subnets call a
// subnet's management canister.
func ManagementOf(s atoll.SubnetID) atoll.CanisterID { return atoll.NewCanisterID(s, 0) }

// receive takes the letters of a slice that are new into their queues.
func (x *execution) receive(s *atoll.Slice) {
	if s.From == x.m.cfg.Subnet {
		return
	}
	st := x.m.stream(s.From)
	for n := st.Acked + 1; n <= min(s.Acked, st.Out); n++ {
		x.kernel.Delete(outKey(s.From, n))
		st.Acked = n
		x.changed(s.From)
	}
	for i := range s.Letters {
		n := s.First + uint64(i)
		if n <= st.In && !x.m.cfg.Planted.Has(planted.LetterTwice) {
			continue // it came before
		}
		if n > st.In+1 {
			return // a gap: they will send again from where we are
		}
		st.In = max(n, st.In)
		x.changed(s.From)
		l := s.Letters[i]
		if from, ok := atoll.SubnetOf(l.From); !ok || from != s.From {
			continue // nobody may speak for the canisters of another subnet
		}
		x.head.Received += l.Cycles
		x.enqueue(l)
	}
}

// changed notes that the stream to and from a subnet is not what it was.
func (x *execution) changed(s atoll.SubnetID) {
	if !slices.Contains(x.streams, s) {
		x.streams = append(x.streams, s)
	}
}

// send routes a letter: to a queue here, or onto a stream.
func (x *execution) send(l atoll.Letter) {
	s, ok := atoll.SubnetOf(l.To)
	if !ok || s == x.m.cfg.Subnet {
		x.enqueue(l)
		return
	}
	st := x.m.stream(s)
	st.Out++
	x.changed(s)
	x.head.Sent += l.Cycles
	x.kernel.Set(outKey(s, st.Out), wire.Marshal(l))
}

// enqueue puts a letter into its canister's queue, or sends a request back
// that cannot be put there. Replies always have room.
func (x *execution) enqueue(l atoll.Letter) {
	to := local(l.To, x.m.cfg.Subnet)
	if to != atoll.Management {
		c, err := x.m.canister(to)
		if err != nil {
			x.err = err
			return
		}
		switch {
		case c == nil && l.IsReply:
			x.head.Burned += l.Cycles
			return
		case c == nil:
			x.send(refuse(l, atoll.Errorf(atoll.NotFound, "there is no canister %s", l.To)))
			return
		case !l.IsReply && c.Queued >= MaxQueued:
			x.send(refuse(l, atoll.Errorf(atoll.ResourceExhausted, "%d requests wait for canister %s already", c.Queued, l.To)))
			return
		case !l.IsReply:
			c.Queued++
			x.touch(c)
		}
	}
	x.head.Letters++
	x.kernel.Set(letterKey(to, x.head.Letters), wire.Marshal(l))
	x.m.queue(to).add(queued{x.head.Letters, l})
}

// touch writes a canister's record with this block.
func (x *execution) touch(c *canister) { x.kernel.Set(canisterKey(c.id), wire.Marshal(c)) }

// refuse returns the reply that refuses a request and gives its cycles back.
func refuse(l atoll.Letter, err *atoll.Error) atoll.Letter {
	return atoll.Letter{From: l.To, To: l.From, Call: l.Call, IsReply: true, Err: err, Cycles: l.Cycles}
}

// gather makes the block's turns: waiting letters, then its messages.
func (x *execution) gather() {
	now := x.b.Time
	ids := x.m.waiting()
	for i := range ids {
		// Another canister comes first in each block, so that none starves.
		id := ids[(uint64(i)+uint64(x.b.Height))%uint64(len(ids))]
		q := x.m.queues[id]
		if x.m.cfg.Planted.Has(planted.LettersReordered) && len(q.letters) > 1 {
			slices.Reverse(q.letters)
		}
		n := min(len(q.letters), lettersPerTurn, lettersPerBlock-len(x.turns))
		for _, l := range q.letters[:n] {
			x.kernel.Delete(letterKey(id, l.n))
			x.turns = append(x.turns, turn{now: now, letter: &l.l})
			now++
		}
		if q.letters = q.letters[n:]; len(q.letters) == 0 {
			delete(x.m.queues, id)
		}
	}
	for i := range x.b.Messages {
		x.turns = append(x.turns, turn{now: now, message: &x.b.Messages[i]})
		now++
	}
	x.head.Time = max(x.b.Time, now-1)
}

// runLanes puts the turns into groups that share no canister and runs them.
func (x *execution) runLanes() {
	groups := map[atoll.CanisterID]*lane{}
	for i := range x.turns {
		t := &x.turns[i]
		var ln *lane
		for _, id := range x.participants(t) {
			switch g := groups[id]; {
			case g == nil && ln == nil:
				ln = &lane{x: x}
				x.lanes = append(x.lanes, ln)
			case g == nil || g.root() == ln:
			case ln == nil:
				ln = g.root()
			default:
				ln.join(g.root())
			}
			groups[id] = ln
		}
		ln.turns = append(ln.turns, i)
	}
	x.lanes = slices.DeleteFunc(x.lanes, func(ln *lane) bool { return ln.into != nil })
	for _, ln := range x.lanes {
		if x.err = ln.load(); x.err != nil {
			return
		}
	}
	if run := x.m.cfg.Lanes; run != nil && len(x.lanes) > 1 {
		run(len(x.lanes), func(i int) { x.lanes[i].run() })
		return
	}
	for _, ln := range x.lanes {
		ln.run()
	}
}

// participants returns the canisters that must not run elsewhere while the
// turn does: its receivers, and for the management canister its target.
func (x *execution) participants(t *turn) []atoll.CanisterID {
	to := t.to(x.m.cfg.Subnet)
	if len(to) == 0 {
		return []atoll.CanisterID{atoll.Management}
	}
	if len(to) == 1 && to[0] == atoll.Management {
		if id, ok := managed(t); ok {
			return append(to, id)
		}
	}
	return to
}

// finish makes the batch of all that the lanes and the kernel changed.
func (x *execution) finish() (*Result, error) {
	res := &Result{Messages: len(x.turns), Lanes: len(x.lanes)}
	for i := range x.turns {
		t := &x.turns[i]
		res.Outcomes = append(res.Outcomes, t.outcomes...)
		x.head.Burned += t.burned
		if t.panicked {
			res.Panics++
		}
		for _, l := range t.letters {
			x.send(l)
		}
	}
	var actors []*actor
	for _, ln := range x.lanes {
		if ln.err != nil {
			return nil, ln.err
		}
		actors = append(actors, ln.actors...)
	}
	slices.SortFunc(actors, func(a, b *actor) int { return compareIDs(a.c.id, b.c.id) })
	all := make([]*changes, 0, len(actors)+1)
	for _, a := range actors {
		all = append(all, &a.changes)
		if a.c.id != atoll.Management {
			x.touch(a.c)
		}
	}
	for _, s := range x.streams {
		x.kernel.Set(streamKey(s), wire.Marshal(x.m.streams[s]))
	}
	if x.err != nil {
		return nil, x.err
	}
	own := new(changes)
	own.collect(x.kernel, newHasher())
	all = append(all, own)
	res.Batch = new(atoll.Batch)
	n := 4 // for the head, and for what the log adds
	for _, c := range all {
		n += len(c.ops)
	}
	res.Batch.Ops = make([]atoll.Op, 0, n)
	for _, c := range all {
		if c.err != nil {
			return nil, c.err
		}
		x.head.Slices.merge(&c.slices)
		for _, op := range c.ops {
			res.Batch.Ops = append(res.Batch.Ops, op)
			res.Batch.Bytes += len(op.Key) + len(op.Value)
		}
	}
	x.head.Digest = nextDigest(x.head.Digest, x.b.Height, all)
	res.Batch.Set(headKey, wire.Marshal(x.head))
	x.m.head = x.head
	res.Head = x.head
	res.Streams = len(x.streams) > 0
	return res, nil
}

func compareIDs(a, b atoll.CanisterID) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
