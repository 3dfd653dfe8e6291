package subnet

import (
	"encoding/binary"
	"fmt"
	"slices"

	"atoll"
	"atoll/keys"
	"atoll/planted"
	"atoll/wire"
)

// lane runs the turns of a group of canisters, in order. It touches nothing
// that another lane of the block touches.
type lane struct {
	x      *execution
	turns  []int
	actors []*actor
	into   *lane // the group became part of this one
	err    error
}

// actor is a canister in a block.
type actor struct {
	c       *canister
	o       *overlay
	changes changes
}

func (ln *lane) root() *lane {
	for ln.into != nil {
		ln = ln.into
	}
	return ln
}

// join makes other's turns a part of ln.
func (ln *lane) join(other *lane) {
	other.into = ln
	ln.turns = append(ln.turns, other.turns...)
	slices.Sort(ln.turns)
}

// load finds the canisters of the lane's turns, before any lane runs.
func (ln *lane) load() error {
	for _, i := range ln.turns {
		for _, id := range ln.x.participants(&ln.x.turns[i]) {
			if ln.actor(id) != nil {
				continue
			}
			c := &canister{id: id}
			if id != atoll.Management {
				var err error
				if c, err = ln.x.m.canister(id); err != nil {
					return err
				}
			}
			if c != nil {
				ln.add(c)
			}
		}
	}
	return nil
}

// perTurn is about how many keys one message changes.
const perTurn = 16

func (ln *lane) add(c *canister) *actor {
	a := &actor{c: c, o: newOverlay(ln.x.m.store, perTurn*len(ln.turns))}
	ln.actors = append(ln.actors, a)
	return a
}

// actor returns the canister in this lane; nil if there is none.
func (ln *lane) actor(id atoll.CanisterID) *actor {
	for _, a := range ln.actors {
		if a.c.id == id {
			return a
		}
	}
	return nil
}

func (ln *lane) run() {
	if ln.x.b.Semantics >= 2 {
		for _, a := range ln.actors {
			ln.x.turns[ln.turns[0]].burned += a.c.payStorage(ln.x.b.Time)
		}
	}
	for _, i := range ln.turns {
		ln.turn(&ln.x.turns[i], uint64(i))
		for _, a := range ln.actors {
			if a.o.err != nil {
				ln.err = a.o.err
				return
			}
		}
	}
	h := newHasher()
	for _, a := range ln.actors {
		if a.changes.collect(a.o, h); a.changes.err != nil {
			ln.err = a.changes.err
			return
		}
		a.c.Bytes += a.changes.bytes
	}
}

// turn executes one message and notes what came of it.
func (ln *lane) turn(t *turn, place uint64) {
	if t.letter != nil {
		ln.letterTurn(t, place)
		return
	}
	m := t.message
	reply, err := ln.messageTurn(t, place)
	if err == atoll.ErrDeferred {
		return
	}
	t.outcomes = append(t.outcomes, atoll.Outcome{ID: m.ID, Time: t.now, Payload: reply, Err: atoll.AsError(err)})
}

func (ln *lane) messageTurn(t *turn, place uint64) ([]byte, error) {
	m := t.message
	if len(m.To) == 0 {
		return nil, atoll.Errorf(atoll.Invalid, "the message names no receiver")
	}
	if m.Expires != 0 && t.now > m.Expires {
		return nil, atoll.Errorf(atoll.DeadlineExceeded, "the message expired at %s, before it could be executed", m.Expires)
	}
	in := atoll.Input{ID: m.ID, Caller: m.From, Claims: m.Claims, Method: m.Method, Payload: m.Payload}
	if len(m.To) == 1 && local(m.To[0], ln.x.m.cfg.Subnet) == atoll.Management {
		return ln.manage(t, in)
	}
	actors := make([]*actor, len(m.To))
	for i, id := range m.To {
		if actors[i] = ln.actor(id); actors[i] == nil || id == atoll.Management {
			return nil, atoll.Errorf(atoll.NotFound, "there is no canister %s on subnet %d", id, ln.x.m.cfg.Subnet)
		}
		if slices.Index(m.To, id) != i {
			return nil, atoll.Errorf(atoll.Invalid, "the message names canister %s twice", id)
		}
	}
	for _, a := range actors {
		if cost := messageCost(len(m.Payload)); a.c.Cycles < cost {
			return nil, outOfCycles(a.c, cost)
		}
	}
	return ln.deliver(t, place, actors, in, askedCall{From: m.From, Ingress: true, ID: m.ID})
}

func outOfCycles(c *canister, cost uint64) error {
	return atoll.Errorf(atoll.ResourceExhausted, "canister %s has %d cycles left and needs %d; reads still work, and so do writes when it is topped up", c.id, c.Cycles, cost)
}

// letterTurn executes a letter: a request of another canister, or the reply to
// a call of this one.
func (ln *lane) letterTurn(t *turn, place uint64) {
	l := t.letter
	in := atoll.Input{Caller: l.From, Method: l.Method, Payload: l.Payload, Cycles: l.Cycles, IsReply: l.IsReply, Err: l.Err}
	a := ln.actor(local(l.To, ln.x.m.cfg.Subnet))
	if l.IsReply {
		ln.replyTurn(t, place, a, in)
		return
	}
	reply, err := ln.requestTurn(t, place, a, in)
	if err == atoll.ErrDeferred {
		return
	}
	answer := atoll.Letter{From: l.To, To: l.From, Call: l.Call, IsReply: true, Payload: reply}
	if err != nil {
		answer = refuse(*l, public(err))
	}
	t.letters = append(t.letters, answer)
}

// public returns an error without the operator's detail, which replicas need
// not agree on.
func public(err error) *atoll.Error {
	e := *atoll.AsError(err)
	e.Detail = ""
	return &e
}

func (ln *lane) requestTurn(t *turn, place uint64, a *actor, in atoll.Input) ([]byte, error) {
	if a.c.id == atoll.Management {
		return ln.manage(t, in)
	}
	a.c.Queued--
	if cost := messageCost(len(in.Payload)); a.c.Cycles+in.Cycles < cost {
		return nil, outOfCycles(a.c, cost)
	}
	return ln.deliver(t, place, []*actor{a}, in, askedCall{From: t.letter.From, Call: t.letter.Call})
}

// replyTurn gives a reply to the canister that asked. That the call is closed
// and its refund booked stands even if the program fails.
func (ln *lane) replyTurn(t *turn, place uint64, a *actor, in atoll.Input) {
	key := madeKey(a.c.id, t.letter.Call)
	raw, ok, err := a.o.Get(key)
	var made madeCall
	if err != nil || !ok || wire.Unmarshal(raw, &made) != nil || made.To != t.letter.From {
		t.burned += in.Cycles // no call of ours: nobody to give it to
		return
	}
	a.o.Delete(key)
	a.c.Open--
	a.c.Cycles += in.Cycles
	if in.Err != nil && ln.x.m.cfg.Planted.Has(planted.RefundTwice) {
		a.c.Cycles += in.Cycles
	}
	a.o.mark()
	if ln.x.m.cfg.Planted.Has(planted.ReplyLost) && t.now%7 == 0 {
		return
	}
	in.Cycles, in.Call, in.Tag = 0, t.letter.Call, made.Tag
	ln.deliver(t, place, []*actor{a}, in, askedCall{})
}

// deliver runs the program on its canister, or on several at once, rolls them
// back if it fails, and bills them.
func (ln *lane) deliver(t *turn, place uint64, actors []*actor, in atoll.Input, from askedCall) ([]byte, error) {
	before := make([]canister, len(actors))
	ctxs := make([]*turnContext, len(actors))
	for i, a := range actors {
		a.o.mark()
		before[i] = *a.c
		a.c.Executed++
		a.c.Asked++
		ctxs[i] = &turnContext{ln: ln, a: a, now: t.now, place: place}
	}
	first := actors[0].c
	first.Cycles += in.Cycles
	if !in.IsReply {
		in.Call = first.Asked
	}
	reply, err := call(ctxs, in)
	if err == atoll.ErrDeferred && !in.IsReply {
		err = ctxs[0].deferReply(in.Call, from)
	}
	failed := err != nil && err != atoll.ErrDeferred
	for i, a := range actors {
		work := a.o.used.cost() + messageCost(len(in.Payload))
		if failed {
			keep := 0
			if ln.x.m.cfg.Planted.Has(planted.PartialRollback) {
				keep = len(a.o.undo) / 2
			}
			a.o.rollback(keep)
			executed, asked := a.c.Executed, a.c.Asked
			*a.c = before[i]
			a.c.Executed, a.c.Asked = executed, asked
		} else {
			t.letters = append(t.letters, ctxs[i].sent...)
			t.outcomes = append(t.outcomes, ctxs[i].outcomes...)
		}
		t.burned += a.c.pay(work)
		a.o.mark()
	}
	t.panicked = t.panicked || atoll.KindOf(err) == atoll.Panicked
	return reply, err
}

// call runs the program; a panic becomes an error.
func call(ctxs []*turnContext, in atoll.Input) (reply []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			reply, err = nil, &atoll.Error{Kind: atoll.Panicked, Msg: "the program panicked; its changes were rolled back", Detail: fmt.Sprint(r)}
		}
	}()
	p := ctxs[0].a.c.entry.Program
	if len(ctxs) == 1 {
		return p.Update(ctxs[0], in)
	}
	joint, ok := p.(atoll.JointProgram)
	if !ok {
		return nil, atoll.Errorf(atoll.Unimplemented, "program %q takes no joint messages", ctxs[0].a.c.Program)
	}
	all := make([]atoll.Context, len(ctxs))
	for i, c := range ctxs {
		if all[i] = c; c.a.c.Program != ctxs[0].a.c.Program {
			return nil, atoll.Errorf(atoll.Invalid, "a joint message goes to canisters of one program")
		}
	}
	return joint.UpdateJoint(all, in)
}

// turnContext is what a program holds while it executes one message.
type turnContext struct {
	ln       *lane
	a        *actor
	now      atoll.Time
	place    uint64
	sent     []atoll.Letter
	outcomes []atoll.Outcome
}

var _ atoll.Context = (*turnContext)(nil)

// Turn implements atoll.Context.
func (c *turnContext) Turn() atoll.Turn {
	b := c.ln.x.b
	t := atoll.Turn{Self: c.a.c.id, Subnet: c.ln.x.m.cfg.Subnet, Now: c.now, Height: b.Height, Semantics: b.Semantics, Seed: b.Seed}
	last := t.Seed[8:]
	binary.BigEndian.PutUint64(last, binary.BigEndian.Uint64(last)^c.place)
	return t
}

// State implements atoll.Context.
func (c *turnContext) State() atoll.State {
	return window{r: c.a.o, prefix: ownPrefix(c.a.c.id)}
}

// Ranges implements atoll.Context.
func (c *turnContext) Ranges() atoll.State {
	if !c.a.c.entry.Ranges {
		return nil
	}
	return window{r: c.a.o, space: keys.SpaceRanges}
}

// Call implements atoll.Context.
func (c *turnContext) Call(to atoll.CanisterID, method string, payload []byte, cycles uint64, tag []byte) (atoll.CallID, error) {
	self := c.a.c
	switch {
	case self.Open >= MaxOpenCalls:
		return 0, atoll.Errorf(atoll.ResourceExhausted, "canister %s has %d open calls", self.id, self.Open)
	case self.Cycles < cycles:
		return 0, atoll.Errorf(atoll.ResourceExhausted, "canister %s has %d cycles and cannot attach %d", self.id, self.Cycles, cycles)
	case len(payload) > MaxLetterBytes:
		return 0, atoll.Errorf(atoll.Invalid, "a payload of %d bytes is over the limit of %d", len(payload), MaxLetterBytes)
	}
	if s, ok := atoll.SubnetOf(to); ok {
		if st := c.ln.x.m.streams[s]; st != nil && st.Out-st.Acked >= MaxStream {
			return 0, atoll.Errorf(atoll.ResourceExhausted, "%d letters wait for subnet %d", st.Out-st.Acked, s)
		}
	}
	self.Made++
	self.Open++
	self.Cycles -= cycles
	c.a.o.Set(madeKey(self.id, self.Made), wire.Marshal(madeCall{To: to, Tag: tag}))
	c.sent = append(c.sent, atoll.Letter{From: self.id, To: to, Call: self.Made, Method: method, Payload: payload, Cycles: cycles})
	return self.Made, nil
}

// deferReply remembers where the reply to a call goes.
func (c *turnContext) deferReply(id atoll.CallID, from askedCall) error {
	if c.a.c.Deferred >= MaxDeferred {
		return atoll.Errorf(atoll.ResourceExhausted, "canister %s has %d messages to answer", c.a.c.id, c.a.c.Deferred)
	}
	c.a.c.Deferred++
	c.a.o.Set(askedKey(c.a.c.id, id), wire.Marshal(from))
	return atoll.ErrDeferred
}

// Reply implements atoll.Context.
func (c *turnContext) Reply(id atoll.CallID, payload []byte, failure *atoll.Error) error {
	key := askedKey(c.a.c.id, id)
	raw, ok, err := c.a.o.Get(key)
	if err != nil {
		return err
	}
	if !ok {
		return atoll.Errorf(atoll.Invalid, "canister %s has no open call %d to answer", c.a.c.id, id)
	}
	var from askedCall
	if err := wire.Unmarshal(raw, &from); err != nil {
		return err
	}
	c.a.o.Delete(key)
	c.a.c.Deferred--
	if from.Ingress {
		c.outcomes = append(c.outcomes, atoll.Outcome{ID: from.ID, Time: c.now, Payload: payload, Err: failure})
		return nil
	}
	if failure != nil {
		failure = public(failure)
	}
	c.sent = append(c.sent, atoll.Letter{From: c.a.c.id, To: from.From, Call: from.Call, IsReply: true, Payload: payload, Err: failure})
	return nil
}
