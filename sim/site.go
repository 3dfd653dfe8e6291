package sim

import (
	"slices"

	"atoll"
	"atoll/host"
	"atoll/keys"
	"atoll/kv/mem"
	"atoll/node"
	"atoll/subnet"
)

// site is one subnet: its disk, and the processes that serve it.
type site struct {
	w      *world
	id     atoll.SubnetID
	disk   *mem.Disk
	store  *mem.Store // open on the disk; nil if none is
	shared bool       // processes have no lock on the disk, but leases
	procs  []*proc    // oldest first; at most two, and one if not shared
	count  int        // of processes so far

	openAt atoll.Time // when the next process starts, if none runs
	full   atoll.Time // until when the disk takes no writes; 0: it does
	sick   bool       // a sync will fail

	tip     Tip // the highest that was durable
	digests map[atoll.Height]atoll.Hash
	acked   atoll.Time // of the last acknowledged message
	served  atoll.Time // the highest time of a read: every later commit is above it
	shown   Tip        // the highest state that a reader saw
	clockAt atoll.Time // what the clock of the last process showed
	toldOf  map[atoll.SubnetID]uint64
	joint   int // joint messages to its couriers that were acknowledged
}

// proc is a process with a replica of a site's subnet.
type proc struct {
	s       *site
	n       int
	rep     *node.Replica
	clock   *clock
	flying  []*node.Block // applied and not settled, oldest first
	from    atoll.Time    // by its clock, when it may append
	paused  atoll.Time    // until when, by true time
	limited atoll.Time    // until when it refuses writes; 0: it takes them
	gone    bool
}

// maxFlying is how many blocks may be applied and not settled, as in node's
// own driver: one that syncs, one that waits to, one that was just cut.
const maxFlying = 3

func newSite(w *world, id atoll.SubnetID) *site {
	return &site{
		w: w, id: id, disk: mem.NewManualDisk(), shared: w.chance(30), openAt: w.now,
		digests: map[atoll.Height]atoll.Hash{}, toldOf: map[atoll.SubnetID]uint64{},
	}
}

// genesis adds couriers to what an installation begins with.
func genesis(id atoll.SubnetID) subnet.Genesis {
	g := host.Genesis(id)
	for range couriers {
		g.Canisters = append(g.Canisters, subnet.GenesisCanister{Program: courierName, Cycles: 1 << 40})
	}
	return g
}

func (w *world) config(s *site) subnet.Config {
	return subnet.Config{Subnet: s.id, Programs: w.programs, Planted: w.opt.Planted}
}

// choices adds what the site may do in this step.
func (s *site) choices() {
	w := s.w
	if s.full != 0 && w.now >= s.full {
		w.may(2, s.empty)
	}
	if len(s.procs) == 0 {
		if w.now >= s.openAt {
			w.may(3, s.open)
		}
		return
	}
	flying := 0
	for _, p := range s.procs {
		flying += len(p.flying)
		if p.asleep() {
			continue
		}
		w.may(4, p.propose)
		if len(p.flying) > 0 && p.flying[0].Commit().(*mem.Commit).Done() {
			w.may(4, p.settle)
		}
		if p.limited != 0 && w.now >= p.limited {
			w.may(2, p.takeWrites)
		}
	}
	if flying > 0 {
		w.may(3, s.sync)
	}
	if len(w.sites) > 1 {
		w.may(1, s.exchange)
	}
}

func (p *proc) asleep() bool { return p.s.w.now < p.paused }

// answers reports whether a process is there and awake.
func (s *site) answers() bool {
	return slices.ContainsFunc(s.procs, func(p *proc) bool { return !p.asleep() })
}

// serving returns a process that could answer; nil if there is none. With two,
// it is sometimes the older one, which may not know yet that its time is over.
func (s *site) serving() *proc {
	var awake []*proc
	for _, p := range s.procs {
		if !p.asleep() {
			awake = append(awake, p)
		}
	}
	switch {
	case len(awake) == 0:
		return nil
	case len(awake) == 2 && s.w.chance(50):
		return awake[0]
	}
	return awake[len(awake)-1]
}

// open starts a process. The store is opened if none is; else the process
// shares it, after it has made durable what it found.
func (s *site) open() bool {
	w := s.w
	if err := s.openStore(); err != nil {
		w.event("site %d: no store: %v", s.id, err)
		if !s.excused(err) {
			w.fail("subnet %d cannot be opened after a crash: %v", s.id, err)
		}
		s.openAt = w.now + w.between(0, 200*millisecond)
		return true
	}
	s.checkHead()
	if w.finding != nil {
		return true
	}
	s.count++
	p := &proc{s: s, n: s.count}
	skew := maxSkew
	if s.shared {
		skew = sharedSkew
	}
	p.clock = w.newClock(skew)
	if p.clock.read() < s.clockAt {
		w.n.BackSteps++
	}
	store := s.store
	rep, err := node.OpenReplica(node.Config{
		Subnet: w.config(s), Store: store, Clock: p.clock.read, Seed: w.bytes16, Genesis: genesis(s.id),
		Exclusive: !s.shared, Supports: w.supports(s), Planted: w.opt.Planted,
		Mark: func(h atoll.Height, d atoll.Hash) { s.durable(h, d); store.MarkDurable(h, d) },
	})
	if err != nil {
		w.fail("subnet %d has a store that no replica can go on with: %v", s.id, err)
		return true
	}
	p.rep, p.from = rep, rep.TakeOverAt()
	s.procs = append(s.procs, p)
	w.n.Opened++
	w.event("site %d: process %d starts at height %d", s.id, p.n, s.tip.Height)
	return true
}

func (s *site) openStore() error {
	if s.store != nil {
		return s.disk.Sync()
	}
	st, err := mem.Open(s.disk, mem.WithSplit(keys.Split), mem.WithPlanted(s.w.opt.Planted))
	if err == nil {
		s.store = st
	}
	return err
}

// excused reports whether an error is one that was asked for.
func (s *site) excused(err error) bool {
	k := atoll.KindOf(err)
	return s.full != 0 && k == atoll.ResourceExhausted || s.sick && k == atoll.Unavailable
}

// checkHead makes sure that a store which was just opened holds all that was
// ever durable.
func (s *site) checkHead() {
	h, _, err := subnet.ReadHead(s.store)
	switch {
	case err != nil:
		s.w.fail("subnet %d: %v", s.id, err)
	case h.Height < s.tip.Height:
		s.w.fail("subnet %d was durable up to height %d, and is at %d after it was opened again", s.id, s.tip.Height, h.Height)
	case h.Height < s.shown.Height:
		s.w.fail("readers saw subnet %d at height %d, and it is at %d after it was opened again", s.id, s.shown.Height, h.Height)
	case s.digests[h.Height] != (atoll.Hash{}) && s.digests[h.Height] != h.Digest:
		s.w.fail("subnet %d had digest %s at height %d, and has %s after it was opened again", s.id, s.digests[h.Height], h.Height, h.Digest)
	}
}

// show notes a state that a reader was given, as of a time: it must stay, and
// no commit may come at or below that time any more.
func (s *site) show(h subnet.Head, at atoll.Time) {
	s.served = max(s.served, at)
	if h.Height > s.shown.Height {
		s.shown = Tip{h.Height, h.Digest}
	}
	if old, ok := s.digests[h.Height]; ok && old != h.Digest {
		s.w.fail("readers saw subnet %d with digest %s at height %d, where it has %s", s.id, h.Digest, h.Height, old)
	}
}

// supports draws what a process announces that it can execute: everything, or,
// before the first change of the version, just what is in force.
func (w *world) supports(s *site) (none [2]atoll.Semantics) {
	if now := s.head().Semantics; s.store != nil && now == subnet.MinSemantics && w.chance(20) {
		return [2]atoll.Semantics{now, now}
	}
	return none
}

// head returns where the store stands; checkHead has seen that it can be read.
func (s *site) head() subnet.Head {
	h, _, _ := subnet.ReadHead(s.store)
	return h
}

// durable is told by replicas what they settle.
func (s *site) durable(h atoll.Height, d atoll.Hash) {
	if old, ok := s.digests[h]; ok && old != d {
		s.w.fail("subnet %d has two durable blocks of height %d, with digests %s and %s", s.id, h, old, d)
	}
	s.digests[h] = d
	if h > s.tip.Height {
		s.tip = Tip{h, d}
	}
}

// propose cuts a block, if there is something to do.
func (p *proc) propose() bool {
	if len(p.flying) >= maxFlying || p.clock.read() < p.from {
		return false
	}
	b, err := p.rep.Propose()
	switch {
	case err != nil:
		p.died(err)
	case b != nil:
		p.flying = append(p.flying, b)
		p.s.w.event("process %d.%d: block %d", p.s.id, p.n, b.Height)
	}
	return err != nil || b != nil
}

// died ends a process whose replica failed.
func (p *proc) died(err error) {
	s, w := p.s, p.s.w
	w.event("process %d.%d died: %v", s.id, p.n, err)
	fenced := s.shared && atoll.KindOf(err) == atoll.Aborted
	if fenced {
		w.n.Fenced++
	}
	if !fenced && !s.excused(err) && s.store != nil {
		w.fail("process %d of subnet %d died without a cause: %v", p.n, s.id, err)
	}
	p.rep.Fail(err)
	p.end()
	if !fenced && s.store != nil { // the store is of no use to anybody now
		s.closeStore()
	}
}

// end takes the process out of the site.
func (p *proc) end() {
	s := p.s
	p.gone = true
	for i, o := range s.procs {
		if o == p {
			s.procs = append(s.procs[:i:i], s.procs[i+1:]...)
		}
	}
	s.openAt, s.clockAt = s.w.now+s.w.downtime(), p.clock.read()
}

// downtime is how long nobody serves a site whose processes have ended: a
// supervisor may be quick or slow.
func (w *world) downtime() atoll.Time {
	if w.chance(60) {
		return w.between(0, 30*millisecond)
	}
	return w.between(0, 800*millisecond)
}

// closeStore closes the store, and with it all processes that share it.
func (s *site) closeStore() {
	st := s.store
	s.store = nil
	st.Close()
	s.heal()
	for len(s.procs) > 0 {
		p := s.procs[0]
		p.rep.Fail(atoll.Errorf(atoll.Unavailable, "the store was closed"))
		p.end()
	}
}

// heal has syncs succeed again.
func (s *site) heal() {
	s.sick = false
	s.disk.FailNextSync(nil)
}

// sync makes what was applied durable, or fails to.
func (s *site) sync() bool {
	if st := s.disk.Stats(); st.Frames == st.SyncedFrames {
		return false
	}
	if err := s.disk.Sync(); err != nil {
		s.w.event("site %d: sync failed", s.id)
		s.closeStore()
		return true
	}
	s.w.event("site %d: synced", s.id)
	return true
}

// settle tells the replica that its oldest block is durable.
func (p *proc) settle() bool {
	b := p.flying[0]
	p.flying = p.flying[1:]
	if err := b.Wait(); err != nil {
		p.died(err)
		return true
	}
	p.rep.Settle(b)
	p.s.w.n.Blocks++
	p.s.w.event("process %d.%d: settled %d", p.s.id, p.n, b.Height)
	return true
}

// audit reads the whole durable state of a process, as the scrub does.
func (p *proc) audit() {
	st, err := p.rep.Acquire()
	if err != nil {
		return
	}
	defer st.Release()
	p.s.w.n.Audits++
	if err := audit(st); err != nil {
		p.s.w.fail("subnet %d: %v", p.s.id, err)
	}
}

func audit(r atoll.Reader) error {
	a, err := subnet.NewAudit(r)
	for done := false; !done && err == nil; {
		done, err = a.Step(1 << 20)
	}
	return err
}
