package sim

import (
	"errors"

	"atoll"
	"atoll/keys"
	"atoll/kv/mem"
)

// breakSomething makes one thing go wrong, somewhere.
func (w *world) breakSomething() {
	s := w.sites[w.draw(len(w.sites))]
	if s.store == nil && !w.chance(10) { // it is down already
		return
	}
	switch n := w.draw(100); {
	case n < 22:
		s.powerCut()
	case n < 34:
		s.kill()
	case n < 41:
		s.failSync()
	case n < 47:
		s.fill()
	case n < 52:
		s.limit()
	case n < 64:
		s.pause()
	case n < 90 && s.shared:
		s.takeOver()
	case n < 90:
		s.setClock()
	case n < 95:
		s.flipBit()
	default:
		if p := s.serving(); p != nil {
			p.audit()
		}
	}
}

// powerCut takes everything away that is not durable; the next frame may be
// left torn. Nobody is told anything.
func (s *site) powerCut() {
	before := s.disk.Stats()
	s.disk.Crash(s.w.draw)
	after := s.disk.Stats()
	s.w.n.PowerCuts++
	s.w.n.TornBlocks += before.Frames - after.Frames
	s.w.event("site %d: power cut, %d of %d blocks survive", s.id, after.Frames, before.Frames)
	s.abandon()
}

// kill ends the processes; what they wrote to the disk stays.
func (s *site) kill() {
	if s.store == nil {
		return
	}
	s.w.n.Kills++
	s.w.event("site %d: killed", s.id)
	s.store.Close()
	s.abandon()
}

// abandon forgets the processes without a word to those who wait for them.
func (s *site) abandon() {
	s.store = nil
	s.heal()
	for len(s.procs) > 0 {
		s.procs[0].end()
	}
	s.openAt = s.w.now + s.w.downtime()
}

func (s *site) failSync() {
	s.w.n.FailedSync++
	s.w.event("site %d: the next sync will fail", s.id)
	s.sick = true
	s.disk.FailNextSync(errors.New("input/output error"))
}

func (s *site) fill() {
	s.w.n.FullDisks++
	s.w.event("site %d: disk full", s.id)
	s.full = s.w.now + s.w.between(0, second)
	s.disk.FailWrites(atoll.Errorf(atoll.ResourceExhausted, "no space left on the device"))
}

// empty makes room on a full disk.
func (s *site) empty() bool {
	s.w.event("site %d: room on the disk", s.id)
	s.full = 0
	s.disk.FailWrites(nil)
	return true
}

// limit has a process refuse writes, as it does before its disk is full.
func (s *site) limit() {
	if p := s.serving(); p != nil {
		s.w.n.ReadOnly++
		p.limited = s.w.now + s.w.between(0, second)
		p.rep.SetReadOnly(atoll.Errorf(atoll.ResourceExhausted, "the disk is nearly full"))
	}
}

func (p *proc) takeWrites() bool {
	p.limited = 0
	p.rep.SetReadOnly(nil)
	return true
}

// pause stops a process for a while: it does nothing and knows nothing of it.
func (s *site) pause() {
	if p := s.serving(); p != nil {
		s.w.n.Pauses++
		p.paused = s.w.now + s.w.between(0, 4*second)
		s.w.event("process %d.%d: paused", s.id, p.n)
	}
}

// takeOver starts a process beside the one that runs, on a disk that they share.
func (s *site) takeOver() {
	if len(s.procs) != 1 || s.store == nil || s.sick {
		return
	}
	s.w.n.TakeOvers++
	s.open()
}

// setClock sets the clock of a process wrong anew. Clocks of processes that
// rely on leases must not be set: they are only off by a little.
func (s *site) setClock() {
	p := s.serving()
	if p == nil {
		return
	}
	before := p.clock.read()
	p.clock.set()
	s.w.n.ClockSteps++
	if p.clock.read() < before {
		s.w.n.BackSteps++
	}
	s.w.event("process %d.%d: clock set by %d", s.id, p.n, p.clock.read()-before)
}

// flipBit turns over one bit of what is durable, on a copy of the disk: it must
// be noticed when the copy is opened.
func (s *site) flipBit() {
	st := s.disk.Stats()
	if st.SyncedBytes == 0 {
		return
	}
	d := s.disk.Clone()
	bit := s.w.draw(st.SyncedBytes * 8)
	d.FlipBit(bit)
	s.w.n.BitFlips++
	if _, err := mem.Open(d, mem.WithSplit(keys.Split)); atoll.KindOf(err) != atoll.DataLoss {
		s.w.fail("subnet %d: bit %d of its disk was turned over and opening it gave: %v", s.id, bit, err)
	}
}
